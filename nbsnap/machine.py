"""What is not the same on every machine: the order of bytes, and what the C compiler makes of a `long double`.

See docs/format.md, "Byte order" and "Long doubles".
"""

from __future__ import annotations

import ctypes
import functools
import platform
import sys
from collections.abc import Collection, Mapping

__all__ = ["long_double", "order_of", "readable"]


@functools.cache
def long_double() -> str:
    """Return what a long double of C is here: "80 bits in 16 bytes"."""
    size = ctypes.sizeof(ctypes.c_longdouble)
    x86 = platform.machine().lower() in ("x86_64", "amd64", "i386", "i586", "i686")
    return f"{64 if size == 8 else 80 if x86 else 128} bits in {size} bytes"


def order_of(facts: Mapping[str, str]) -> str:
    """Return the order of bytes where a snapshot was taken, by the facts in its record; there was but one at first."""
    return facts.get("byteorder", "little")


def readable(order: str, modules: Collection[str], types: Collection[str]) -> bool:
    """Tell whether a group that was saved in an order of bytes can be read here.

    So it is where that is this machine's, where what needs these modules says for itself in which order its bytes are,
    and where nothing is in it but modules: `types` are those of its variables.
    """
    if order == sys.byteorder or set(types) <= {"module"}:
        return True
    return all(name in _ORDERED or (name in sys.stdlib_module_names and name not in _RAW) for name in modules)


_ORDERED = frozenset({"numpy", "pandas"})
_RAW = frozenset({"_ctypes", "array", "ctypes"})
