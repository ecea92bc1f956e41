"""Clients of services: what they were told comes back, their connections do not. httpx."""

from __future__ import annotations

import ssl
from typing import Any

from nbsnap.builders import clients
from nbsnap.errors import CannotSave

from .common import Plan

_POOL_OPTIONS = ("_http1", "_http2", "_uds", "_local_address", "_retries", "_socket_options")


def _transport(desk: Any, transport: Any) -> Any:
    """A transport of httpx is its options and a pool of connections; the pool comes back empty."""

    desk.claim(transport)
    pool = transport._pool
    if "Proxy" in type(pool).__name__:
        raise CannotSave("goes through a proxy: make it again", transport)
    context = pool._ssl_context
    checks = context is None or context.verify_mode is not ssl.CERT_NONE
    if context is not None and checks and context.cert_store_stats() != clients.usual_context().cert_store_stats():
        raise CannotSave("holds certificates of its own: make it again", transport)
    desk.note("connections are opened anew; a client certificate is not kept")
    options = {name.lstrip("_"): getattr(pool, name, None) for name in _POOL_OPTIONS}
    limits = (pool._max_connections, pool._max_keepalive_connections, pool._keepalive_expiry)
    return clients.httpx_transport, (type(transport), checks, options, _finite(limits))


def _finite(limits: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return limits as they are given: httpcore turns "no limit" into a very large number."""
    return tuple(None if limit is not None and limit > 1 << 40 else limit for limit in limits)


PLANS_BY_NAME: dict[str, Plan] = {
    "httpx.HTTPTransport": _transport,
    "httpx.AsyncHTTPTransport": _transport,
    "httpx._transports.default.HTTPTransport": _transport,
    "httpx._transports.default.AsyncHTTPTransport": _transport,
}
