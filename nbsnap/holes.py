"""Where a placeholder may stand, so that one bad part costs no more than itself.

Given a value and the parts in it that refuse to be saved, `holes` says which objects to leave out. That is the part
itself where everything on the way to it merely holds what is below: built-in containers, plain objects, closures. But
an object with its own ways of being saved (`__reduce__`, `__setstate__`, or made in C) may take apart what it is given,
so then the whole of it is left out, or what holds it in turn. Where that leads up to the value, or where a part cannot
be found, there is no such place, and the value has to be skipped.
"""

from __future__ import annotations

import collections
import types
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .describe import module_of
from .paths import Ways, walk

_CONTAINERS = frozenset(
    {
        dict,
        list,
        tuple,
        set,
        frozenset,
        types.FunctionType,
        collections.OrderedDict,
        collections.defaultdict,
        collections.deque,
        collections.Counter,
    }
)
_OWN_WAYS = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getnewargs__", "__getnewargs_ex__")


class Hole(NamedTuple):
    """One part to leave out."""

    part: object
    path: str
    culprit: object  # what refuses to be saved: the part, or something inside of it
    culprit_path: str


def holes(name: str, value: object, culprits: Sequence[object], beyond: Iterable[int] = ()) -> list[Hole]:
    """Return what to leave out of the variable `name`, or nothing if it has to be skipped.

    `beyond` holds the ids of objects that are not looked into: the live namespaces.
    """
    held_by: dict[int, list[tuple[object, str]]] = {}
    ways = Ways(value)
    unsafe: set[int] = set()  # held, somewhere on the way, by what may take it apart
    for holder, step, child in walk(value, {*map(id, culprits), *beyond}):
        held_by.setdefault(id(child), []).append((holder, step))
        ways.note(holder, step, child)
        if id(holder) in unsafe or not _only_holds(holder, step):
            unsafe.add(id(child))
    found: dict[int, Hole] = {}
    for culprit in culprits:
        todo = [culprit]
        seen: set[int] = set()
        while todo:
            part = todo.pop()
            if id(part) in seen:
                continue
            seen.add(id(part))
            if part is value or id(part) not in held_by:
                return []
            if id(part) in unsafe:
                todo.extend(holder for holder, _ in held_by[id(part)])
            else:
                found.setdefault(id(part), Hole(part, ways.to(name, part), culprit, ways.to(name, culprit)))
    return list(found.values())


def _only_holds(holder: object, step: str) -> bool:
    """Tell whether an object does no more with a part, while it is rebuilt, than keep it."""
    cls = type(holder)
    if step.startswith((".keys()", ".…")):
        return False
    if cls in _CONTAINERS or cls is types.CellType:
        return True
    if issubclass(cls, tuple) and hasattr(cls, "_fields") and step.startswith("["):
        return True
    return step.startswith(".") and _is_plain(cls)


def _is_plain(cls: type) -> bool:
    """Tell whether objects of a class are rebuilt from their attributes, with no code of the class taking part."""
    if issubclass(cls, type | types.ModuleType) or (
        cls.__flags__ & (1 << 9) == 0 and not issubclass(cls, BaseException)
    ):
        return False
    for base in cls.__mro__:
        if base is object or (issubclass(base, BaseException) and base.__flags__ & (1 << 9) == 0):
            continue
        if base.__flags__ & (1 << 9) == 0:  # made in C: who knows what it expects
            return False
        for name in _OWN_WAYS:
            made = vars(base).get(name)
            if made is not None and module_of(type(made)) and getattr(made, "__module__", "") != "dataclasses":
                return False
    return True
