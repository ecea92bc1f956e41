"""Containers and values of classes of the session, as streams make them, past the methods of those classes."""

from __future__ import annotations

import collections
from typing import Any


def empty(kind: Any, cls: Any) -> object:
    """Return an empty container of a class of the session, made by the built-in class below it."""
    return kind.__new__(cls)


def made(kind: Any, cls: Any, plain: Any) -> object:
    """Return a tuple, a text, a number of a class of the session, made by the built-in class below it."""
    return kind.__new__(cls, plain)


def fill(target: Any, state: dict[str, Any]) -> None:
    """Put items and attributes into it."""
    items = state.get("items", ())
    if isinstance(target, collections.OrderedDict):
        for key, value in items.items() if items else ():
            collections.OrderedDict.__setitem__(target, key, value)
    elif isinstance(target, dict):
        dict.update(target, items)
        if isinstance(target, collections.defaultdict):
            vars(collections.defaultdict)["default_factory"].__set__(target, state.get("factory"))
    elif isinstance(target, list):
        list.extend(target, items)
    elif isinstance(target, set):
        set.update(target, items)
    elif isinstance(target, collections.deque):
        collections.deque.__init__(target, items, state.get("maxlen"))
    if "is_its_dict" in state:
        object.__setattr__(target, "__dict__", target)
    if "dict" in state:
        object.__getattribute__(target, "__dict__").update(state["dict"])
    for name, value in state.get("slots", {}).items():
        object.__setattr__(target, name, value)
