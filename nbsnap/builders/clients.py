"""What streams call for clients of services. These names stand in stored snapshots. Nothing is connected here."""

from __future__ import annotations

import importlib
from typing import Any


def usual_context() -> Any:
    """Return the TLS context that httpx uses if it is told nothing."""
    return importlib.import_module("httpx").create_ssl_context()


def httpx_transport(cls: Any, verify: bool, options: dict[str, Any], limits: tuple[Any, Any, Any]) -> object:
    """Return a transport of httpx with an empty pool."""
    most, kept, expiry = limits
    bounds = importlib.import_module("httpx").Limits(
        max_connections=most, max_keepalive_connections=kept, keepalive_expiry=expiry
    )
    return cls(verify=verify, limits=bounds, **options)
