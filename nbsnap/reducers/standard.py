"""Objects of the standard library that pickle refuses, and whose contents can be read all the same."""

from __future__ import annotations

import contextvars
import functools
import gc
import pathlib
import pickle
import re
import struct
import sys
from typing import Any

from nbsnap import builders
from nbsnap.builders import standard
from nbsnap.errors import CannotSave
from nbsnap.refused import LIVE

from .common import Plan


def _match(desk: Any, match: re.Match[Any]) -> Any:
    """A match comes back by matching again: the way that gives the same one is found here."""
    desk.claim(match)
    text = match.string
    if type(text) is not str and type(text) is not bytes:
        raise CannotSave(f"it was found in a {type(text).__name__}, which may have changed since", match)
    ways = [("match", match.pos), ("search", match.pos), ("fullmatch", match.pos), ("match", match.start())]
    for way, start in [*ways, ("fullmatch", match.start())]:
        again = getattr(match.re, way)(text, start, match.endpos)
        if again is not None and again.regs == match.regs and again.lastindex == match.lastindex:
            return standard.match, (match.re, way, text, start, match.endpos)
    raise CannotSave("matching again does not give it", match)


def _context_variable(desk: Any, variable: contextvars.ContextVar[Any]) -> Any:
    module, name = _place(variable)
    if module:
        return builders.attribute, (module, name)
    desk.claim(variable)
    default = tuple(gc.get_referents(variable)[1:2])  # the first is its name
    found = contextvars.copy_context()
    value = (found[variable],) if variable in found else ()
    return standard.context_variable, (variable.name, default), value, None, None, standard.set_context_variable


def _place(variable: contextvars.ContextVar[Any]) -> tuple[str, str]:
    """Return the module, other than the session, that binds a context variable, and the name."""
    for holder in gc.get_referrers(variable):
        module = holder.get("__name__") if type(holder) is dict else None
        if type(module) is str and module != "__main__" and vars(sys.modules.get(module, object)) is holder:
            for name, value in list(holder.items()):
                if value is variable:
                    return module, name
    return "", ""


def _connection(desk: Any, connection: Any) -> Any:
    """An SQLite database in memory comes back with its contents; a connection to a file does not."""
    sqlite3 = sys.modules["sqlite3"]
    try:
        places = connection.execute("PRAGMA database_list").fetchall()
        if any(name != "temp" and place for _, name, place in places) or not hasattr(connection, "serialize"):
            raise CannotSave(LIVE, connection)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        data = connection.serialize() if pages else b""
        others = [name for _, name, _ in places if name not in ("main", "temp")]
    except sqlite3.Error as error:  # closed, busy, or of another thread
        raise CannotSave(f"{LIVE} ({error})", connection) from error
    desk.claim(connection)
    desk.note("an SQLite database in memory comes back with its tables, without the functions that Python gave it")
    if others:
        desk.note(f"of an SQLite connection only the main database comes back, not {', '.join(others)}")
    state = {name: getattr(connection, name) for name in ("isolation_level", "row_factory", "text_factory")}
    state["__dict__"] = dict(getattr(connection, "__dict__", {}))
    return (
        standard.connection,
        (type(connection), pickle.PickleBuffer(data)),
        state,
        None,
        None,
        standard.fill_connection,
    )


def _row(desk: Any, row: Any) -> Any:
    """A row of an SQLite table is made from the names of its columns and its values."""
    return standard.row, (tuple(row.keys()), tuple(row))


def _struct(desk: Any, value: Any) -> Any:
    return struct.Struct, (value.format,)


def _system_random(desk: Any, value: Any) -> Any:
    desk.claim(value)
    return type(value), ()


def _decimal_context(desk: Any, context: Any) -> Any:
    """The thread's own context comes back as that of the thread that restores; what it holds lies beside (`beside`)."""
    if context is sys.modules["decimal"].getcontext():
        desk.note("is the session's own decimal context: comes back as the one in force")
        return standard.decimal_context, ()
    desk.claim(context)
    return NotImplemented


def _path(desk: Any, path: pathlib.PurePath) -> Any:
    """A path is made of the classes that the restoring system has, which is not known yet."""
    return standard.path, (type(path).__name__, path.parts)


PLANS: dict[type, Plan] = dict.fromkeys(
    [pathlib.PosixPath, pathlib.WindowsPath, pathlib.PurePosixPath, pathlib.PureWindowsPath], _path
)


def _dataclass_params(desk: Any, params: Any) -> Any:
    """What `@dataclass` was given: later versions keep more of it."""
    desk.claim(params)
    return standard.dataclass_params, ({name: getattr(params, name) for name in type(params).__slots__},)


def _cached_property(desk: Any, value: Any) -> Any:
    """Before Python 3.12 it has a lock, which is made anew."""
    desk.claim(value)
    if type(value) is not functools.cached_property:
        return NotImplemented
    state = {name: part for name, part in vars(value).items() if name != "lock"}
    return standard.cached_property, (), state, None, None, builders.fill_attributes


def _dispatching_method(desk: Any, value: Any) -> Any:
    """From Python 3.13 on it has a cache, which comes back empty."""
    desk.claim(value)
    if type(value) is not functools.singledispatchmethod:
        return NotImplemented
    state = {name: part for name, part in vars(value).items() if name != "_method_cache"}
    return standard.dispatching_method, (), state, None, None, builders.fill_attributes


#: For a class and its subclasses, by qualified name.
PLANS_BY_NAME: dict[str, Plan] = {
    "re.Match": _match,
    "_contextvars.ContextVar": _context_variable,
    "_struct.Struct": _struct,
    "dataclasses._DataclassParams": _dataclass_params,
    "functools.cached_property": _cached_property,
    "functools.singledispatchmethod": _dispatching_method,
    "decimal.Context": _decimal_context,
    "random.SystemRandom": _system_random,
    "sqlite3.Connection": _connection,
    "sqlite3.Row": _row,
}
