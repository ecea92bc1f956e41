"""Modules that go by another name in another version of their library: streams of either version load in both.

NumPy 2 calls `numpy.core` `numpy._core`, and both refer to it in each of their pickles. Python 3.13 says of paths that
they come from `pathlib._local`, which no other version has.
"""

from __future__ import annotations

import importlib
import sys

__all__ = ["here"]


def here(module: str) -> str:
    """Return the name that a module of a stream goes by here."""
    if module == "pathlib._local":
        return "pathlib"
    old, new = "numpy.core", "numpy._core"
    if module.startswith((f"{old}.", f"{new}.")) or module in (old, new):
        rest = module.removeprefix(new).removeprefix(old)
        return f"{new if _is_later() else old}{rest}"
    return module


def _is_later() -> bool:
    numpy = sys.modules.get("numpy") or importlib.import_module("numpy")
    return not str(numpy.__version__).startswith(("0.", "1."))
