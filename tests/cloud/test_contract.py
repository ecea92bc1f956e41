"""A bucket keeps the contract of all backends, and upon it a store does what it does in a folder."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

from storage import test_backends, test_crash, test_pruning, test_store


def upon_a_bucket(module: ModuleType) -> dict[str, Any]:
    """The tests of a module that take any backend, or any store."""
    return {
        name: test
        for name, test in vars(module).items()
        if name.startswith("test_")
        and not {"store", "backend"}.isdisjoint(inspect.signature(test).parameters)
        and "folder_store" not in inspect.signature(test).parameters
        and "changes_meanwhile" not in name  # which is about memory, not about where bytes go
    }


for module in (test_backends, test_store, test_crash, test_pruning):
    globals().update(upon_a_bucket(module))
