"""Lists, dicts, numbers and the like of classes of the session: taken apart and put together past their own methods.

Pickle appends to a list with its own `append`, fills a dict with its own `__setitem__`, and makes a set, a tuple or a
number by calling the class. Where the class has put something of its own there, a restore would run it a second time,
on what it has already worked on, before the object has its attributes. Here the built-in class below does all of it.
"""

from __future__ import annotations

import collections
from typing import Any

from nbsnap.builders import containers as builders
from nbsnap.describe import OWN_WAYS, module_of

from .common import SESSION, Plan, slots_of

#: What is made empty, and filled when everything that it may lead back to is there; the nearest first.
_FILLED: tuple[Any, ...] = (
    collections.OrderedDict,
    collections.Counter,
    collections.defaultdict,
    collections.deque,
    dict,
    list,
    set,
)
#: What is made at once, as it cannot change.
_MADE: tuple[Any, ...] = (tuple, frozenset, int, float, complex, str, bytes)

_TAKING_PART = ("__init__", "__new__", "__setitem__", "__iter__", "__len__", "__getitem__", "append", "extend", "add")
_MORE = ("update", "items", "keys", "values", "__init_subclass__")


def plan_for_container(cls: type) -> Plan | None:
    """Return the plan for objects of a class of the session whose methods would take part in loading, or None."""
    if module_of(cls) != SESSION:
        return None
    own = [base for base in cls.__mro__ if module_of(base) == SESSION and "_fields" not in vars(base)]
    if any(name in vars(base) for base in own for name in OWN_WAYS):
        return None
    if any("__new__" in vars(base) for base in own) and (made := _base(cls, _MADE)) is not None:
        return _made(made)
    if any(name in vars(base) for base in own for name in (*_TAKING_PART, *_MORE)):
        filled = _base(cls, _FILLED)
        return None if filled is None else _filled(filled)
    return None


def _base(cls: type, kinds: tuple[Any, ...]) -> Any:
    """Return the built-in class below, if all that stands between is of the session or only named."""
    kind = next((kind for kind in kinds if issubclass(cls, kind)), None)
    for base in cls.__mro__:
        if kind is not None and module_of(base) != SESSION and not issubclass(kind, base):
            if base.__module__ in ("typing", "abc", "collections.abc") and "__dict__" not in vars(base):
                continue
            return None
    return kind


def _filled(kind: Any) -> Plan:
    def plan(desk: Any, value: Any) -> Any:
        desk.claim(value)
        held: Any
        if issubclass(kind, dict):
            held = dict(kind.items(value))
        else:
            held = set(set.__iter__(value)) if kind is set else list(kind.__iter__(value))
        state: dict[str, Any] = {"items": held, "slots": slots_of(value)}
        attributes = _attributes(value)
        state |= {"is_its_dict": True} if attributes is value else {"dict": dict(attributes)}
        if kind is collections.deque:
            state["maxlen"] = vars(kind)["maxlen"].__get__(value)
        if kind is collections.defaultdict:
            state["factory"] = vars(kind)["default_factory"].__get__(value)
        return builders.empty, (kind, type(value)), {k: v for k, v in state.items() if v}, None, None, builders.fill

    return plan


def _made(kind: Any) -> Plan:
    def plan(desk: Any, value: Any) -> Any:
        desk.claim(value)
        plain = complex(value.real, value.imag) if kind is complex else kind.__new__(kind, _plain(kind, value))
        state = {"dict": dict(_attributes(value)), "slots": slots_of(value)}
        state = {key: held for key, held in state.items() if held}
        return builders.made, (kind, type(value), plain), state or None, None, None, builders.fill

    return plan


def _attributes(value: Any) -> dict[str, Any]:
    try:
        found: dict[str, Any] = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return found


def _plain(kind: Any, value: Any) -> Any:
    if kind in (tuple, frozenset):
        return list(kind.__iter__(value))
    ways: dict[Any, Any] = {int: int.__int__, float: float.__float__, str: str.__str__, bytes: bytes.__bytes__}
    return ways[kind](value)
