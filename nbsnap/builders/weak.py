"""Weak containers and references, as streams make them: `nbsnap.builders.weak.NAME`."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

_Pairs = tuple[tuple[Any, Any], ...]


def derived_reference(cls: Any, target: object) -> object:
    """Return a weak reference of a subclass, past the subclass's own `__new__` and `__init__`."""
    return weakref.ref.__new__(cls, target)


def dictionary(cls: Any) -> object:
    """Return an empty weak dictionary of a class, past the class's own `__init__`."""
    made = cls.__new__(cls)
    kind = weakref.WeakValueDictionary if issubclass(cls, weakref.WeakValueDictionary) else weakref.WeakKeyDictionary
    kind.__init__(made)
    return made


def fill_dictionary(target: Any, state: tuple[_Pairs, Mapping[str, Any]]) -> None:
    """Put pairs and attributes into a weak dictionary."""
    pairs, attributes = state
    kind: Any = (
        weakref.WeakValueDictionary if isinstance(target, weakref.WeakValueDictionary) else weakref.WeakKeyDictionary
    )
    vars(target).update(attributes)
    for key, value in pairs:
        kind.__setitem__(target, key, value)


def set_(cls: Any) -> object:
    """Return an empty weak set of a class, past the class's own `__init__`."""
    made = cls.__new__(cls)
    weakref.WeakSet.__init__(made)
    return made


def fill_set(target: Any, state: tuple[tuple[Any, ...], Mapping[str, Any]]) -> None:
    """Put elements and attributes into a weak set."""
    items, attributes = state
    vars(target).update(attributes)
    for item in items:
        weakref.WeakSet.add(target, item)


def finalizer(
    target: object,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    keywords: Mapping[str, Any] | None,
    atexit: bool,
) -> object:
    """Return a finalizer that calls `function` when `target` goes."""
    made = weakref.finalize(target, function, *arguments, **(keywords or {}))
    made.atexit = atexit
    return made


def dead_finalizer() -> object:
    """Return a finalizer that has been called already."""
    return object.__new__(weakref.finalize)
