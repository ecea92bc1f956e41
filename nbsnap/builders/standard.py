"""Objects of the standard library, as streams make them: `nbsnap.builders.standard.NAME`."""

from __future__ import annotations

import contextvars
import functools
import importlib
import os
import pathlib
import re
from typing import Any

from nbsnap.remarks import remark

from . import make_sound

#: The class that `pathlib.Path()` has here.
PATH = "WindowsPath" if os.name == "nt" else "PosixPath"


def path(kind: str, parts: tuple[str, ...]) -> object:
    """Return a path: `kind` is "PosixPath", "WindowsPath", or the same with "Pure".

    A `Path` of the other kind of system is one of this system if it means the same here: if it is relative, and if no
    part of it would be read in another way. Else it comes back as a pure path of that other kind, which is said.
    """
    if kind == PATH:
        return pathlib.Path(*parts)
    pure = kind if kind.startswith("Pure") else f"Pure{kind}"
    found: pathlib.PurePath = getattr(pathlib, pure)(*parts)
    if pure == kind:
        return found
    if not found.anchor and not any(char in part for part in parts for char in _ELSEWHERE[PATH]):
        return pathlib.Path(*parts)
    remark(f"a path of another system came back as a {pure}, which opens nothing")
    return found


#: What a name may have on the other kind of system, and would be read in another way here.
_ELSEWHERE = {"PosixPath": "/", "WindowsPath": '\\/:*?"<>|'}


def match(pattern: re.Pattern[Any], way: str, text: Any, start: int, end: int) -> object:
    """Return the match that a pattern's method `way` ("match", "search", "fullmatch") finds in text[start:end]."""
    return getattr(pattern, way)(text, start, end)


def context_variable(name: str, default: tuple[Any, ...]) -> object:
    """Return a context variable with the default that is in `default`, or with none."""
    return contextvars.ContextVar(name, default=default[0]) if default else contextvars.ContextVar(name)


def set_context_variable(target: contextvars.ContextVar[Any], value: tuple[Any, ...]) -> None:
    """Set a context variable, in the context of whoever restores, to what is in `value`, if anything."""
    if value:
        target.set(value[0])


def connection(cls: Any, data: Any) -> object:
    """Return a connection to an SQLite database in memory that holds what was serialized."""
    import sqlite3

    made = cls.__new__(cls)
    sqlite3.Connection.__init__(made, ":memory:")
    if memoryview(data).nbytes:
        make_sound(data)
        made.deserialize(bytes(data))
    return made


def fill_connection(target: Any, state: dict[str, Any]) -> None:
    """Set what a connection was told."""
    if attributes := state.pop("__dict__"):
        vars(target).update(attributes)
    for name, value in state.items():
        setattr(target, name, value)


def decimal_context() -> object:
    """Return the decimal context of this thread."""
    import decimal

    return decimal.getcontext()


def row(names: tuple[str, ...], values: tuple[Any, ...]) -> object:
    """Return a row as SQLite gives it: only a cursor can tell it the names of its columns."""
    import sqlite3

    quoted = ", ".join('NULL AS "' + name.replace('"', '""') + '"' for name in names)
    other = sqlite3.connect(":memory:")
    try:
        return sqlite3.Row(other.execute(f"SELECT {quoted or 'NULL'}"), values)
    finally:
        other.close()


def dataclass_params(told: dict[str, Any]) -> object:
    """Return what `@dataclass` was given, as far as this version keeps it."""
    cls = getattr(importlib.import_module("dataclasses"), "_DataclassParams")  # noqa: B009
    made = object.__new__(cls)
    for name in cls.__slots__:
        setattr(made, name, told.get(name, name == "match_args"))
    return made


def cached_property() -> object:
    """Return a cached property that is to be filled."""
    return functools.cached_property(_nothing)


def dispatching_method() -> object:
    """Return a method that dispatches by type, to be filled."""
    return functools.singledispatchmethod(_nothing)


def _nothing(target: object) -> None:
    """Compute nothing."""
