"""A long text as the bytes that it is made of: memory that nobody can change, so whoever stores it need not copy it."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

__all__ = ["is_fixed", "utf8"]


class _OfText:
    """Marks the memory of a text among all that ctypes makes a view of."""


def utf8(text: str) -> Any:
    """Return a text's bytes in UTF-8 as a buffer; of an ASCII text those that it is made of, which are that already."""
    if not text.isascii():
        return text.encode("utf-8", "surrogatepass")
    memory = _memory_type(len(text)).from_address(_address_of_utf8(text))
    memory.text = text  # keeps it alive
    return memory


def is_fixed(owner: object) -> bool:
    """Tell whether the memory of a buffer's owner can never change: of `bytes`, and of a text."""
    return isinstance(owner, bytes | _OfText)


@functools.lru_cache(64)
def _memory_type(size: int) -> Any:
    class Memory(_OfText, ctypes.c_char * size):  # type: ignore[misc]
        pass

    return Memory


_address_of_utf8 = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object)(("PyUnicode_AsUTF8", ctypes.pythonapi))
