"""The filters of `warnings`, all of them in their order, and the decimal context.

Filters are not told apart from those of Python, IPython and the libraries: the whole list is kept and put back. Their
categories are kept by name, so that a library that is missing costs its own filters; classes of the session as such.
"""

from __future__ import annotations

import importlib
import re
import sys
import warnings
from collections.abc import Mapping
from typing import Any

from .turn import Scene, Turn, equal

# --- warnings ---------------------------------------------------------------------------------------------------------


def take_warnings(_: Scene) -> dict[str, Any]:
    """Return the list of filters."""
    return {"filters": tuple(_plain(entry) for entry in warnings.filters)}


def put_warnings(values: Mapping[str, Any], turn: Turn) -> None:
    """Make the list of filters what it was."""
    if equal(take_warnings(Scene()), dict(values)):
        return
    made: list[Any] = []
    for action, message, category, module, line in values["filters"]:
        try:
            made.append((action, _pattern(message), _category(category), _pattern(module), line))
        except (ImportError, AttributeError) as error:
            turn.notes.append(f"warnings: the filter for {category} was not put back: {error}")
    present = list(warnings.filters)
    turn.undoing.append(lambda: _set(present))
    if set(map(_plain, made)) != set(map(_plain, present)):
        turn.done.append("warnings:filters")
    _set(made)


def _set(filters: list[Any]) -> None:
    warnings.resetwarnings()  # which also lets Python forget what it has decided by the old ones
    live: Any = warnings.filters
    live[:] = filters


def _plain(entry: Any) -> tuple[Any, ...]:
    action, message, category, module, line = entry
    by_name = category.__module__ != "__main__"
    kind = f"{category.__module__}:{category.__qualname__}" if by_name else category
    return action, _text(message), kind, _text(module), line


def _text(pattern: Any) -> Any:
    """Return a compiled pattern as its text and flags; Python's own first filters hold text, or None."""
    return (pattern.pattern, pattern.flags) if isinstance(pattern, re.Pattern) else pattern


def _pattern(text: Any) -> Any:
    return re.compile(*text) if type(text) is tuple else text


def _category(kind: Any) -> Any:
    if type(kind) is not str:
        return kind
    module, _, name = kind.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


# --- decimal ----------------------------------------------------------------------------------------------------------

_NUMBERS = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")


def take_decimal(_: Scene) -> dict[str, Any]:
    """Return the decimal context of this thread, if `decimal` is loaded."""
    decimal = sys.modules.get("decimal")
    if decimal is None or not hasattr(decimal, "getcontext"):
        return {}
    context = decimal.getcontext()
    found: dict[str, Any] = {name: getattr(context, name) for name in _NUMBERS}
    for name in ("traps", "flags"):
        found[name] = tuple(sorted(signal.__name__ for signal, on in getattr(context, name).items() if on))
    return {"context": found}


def put_decimal(values: Mapping[str, Any], turn: Turn) -> None:
    """Make the decimal context of this thread what it was. It stays the same object."""
    if equal(take_decimal(Scene()), dict(values)):
        return
    decimal = importlib.import_module("decimal")
    wanted = values["context"]
    now = take_decimal(Scene())["context"]
    context = decimal.getcontext()
    for name in _NUMBERS:
        setattr(context, name, wanted[name])
    for name in ("traps", "flags"):
        signals = getattr(context, name)
        for signal in signals:
            signals[signal] = signal.__name__ in wanted[name]
    if now | {"flags": ()} != wanted | {"flags": ()}:
        turn.done.append("decimal:context")
