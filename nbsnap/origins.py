"""Where the text of functions and classes is: the cell, and the line in it. For `diff`, which runs and parses nothing.

A function's code names its file and first line. A class does not; but the functions in its body do, and where there are
none, the cell that bound the name. A cell goes by a name made of its text, under which the snapshot keeps it (`cells`).
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from typing import Any

from .cells import Cells, is_kept
from .describe import is_a, qualname_of

_DEEP = 10  # decorators around a function
_CACHED = type(functools.cache(lambda: None))


def origin(value: Any, cells: Cells) -> str:
    """Return "FILE:12" of a function, "FILE:12:Point" of a class, or ""; FILE is kept in `cells`."""
    if is_a(value, type):
        for function in _functions(value):
            if is_kept(file := cells.name(function.co_filename)):
                return f"{file}:{function.co_firstlineno}:{qualname_of(value)}"
        return ""
    code = _code(value)
    if code is None or not is_kept(file := cells.name(code.co_filename)):
        return ""
    return f"{file}:{code.co_firstlineno}"


def _code(value: Any) -> types.CodeType | None:
    """Return the code of a function, below what decorators have put around it."""
    for _ in range(_DEEP):
        if type(value) is not types.FunctionType and type(value) is not _CACHED:
            return None
        inner = value.__dict__.get("__wrapped__")
        if inner is None:
            break
        value = inner
    return value.__code__ if type(value) is types.FunctionType else None


def _functions(cls: type) -> Iterator[types.CodeType]:
    """Yield the code of the functions in the body of a class."""
    inside = f"{qualname_of(cls)}."
    for held in list(type.__dict__["__dict__"].__get__(cls).values()):
        if type(held) in (staticmethod, classmethod):
            held = held.__func__
        elif type(held) is property:
            held = held.fget
        code = _code(held)
        if code is not None and code.co_qualname.startswith(inside):
            yield code
