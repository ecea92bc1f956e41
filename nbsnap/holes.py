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
from .paths import walk

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

    `beyond` holds the ids of objects that are not looked into: the live namespaces, what is left out already.
    """
    held_by = _holders(value, culprits, beyond)
    if any(culprit is value or id(culprit) not in held_by for culprit in culprits):
        return []
    parts, takers = _places(value, held_by, culprits)
    if any(taker is value for taker in takers):
        return []
    path = {id(value): name}
    for key, holders in held_by.items():  # in the order in which they were met, so the first holder has its path
        path.setdefault(key, path[id(holders[0][0])] + holders[0][1])
    found = [Hole(part, path[id(part)], part, path[id(part)]) for part in parts]
    for taker in takers:
        culprit = next(culprit for culprit in culprits if id(taker) in _leading([culprit], held_by))
        found.append(Hole(taker, path[id(taker)], culprit, path[id(culprit)]))
    return found


def misplaced(value: object, parts: Sequence[object], beyond: Iterable[int] = ()) -> list[object]:
    """Return those parts that a value holds, if it holds one of them in an object that may take it apart."""
    held_by = _holders(value, parts, beyond)
    there = [part for part in parts if id(part) in held_by]
    return there if _places(value, held_by, there)[1] else []


_Holders = dict[int, list[tuple[object, str]]]


def _holders(value: object, culprits: Iterable[object], beyond: Iterable[int]) -> _Holders:
    """Return who holds each object below a value; the culprits, and what lies beyond, are not looked into."""
    held_by: _Holders = {}
    for holder, step, child in walk(value, {*map(id, culprits), *beyond}):
        held_by.setdefault(id(child), []).append((holder, step))
    return held_by


def _leading(culprits: Iterable[object], held_by: _Holders) -> set[int]:
    """Return the ids of the culprits and of all that leads to them."""
    todo = [id(culprit) for culprit in culprits]
    found: set[int] = set()
    while todo:
        key = todo.pop()
        if key not in found:
            found.add(key)
            todo.extend(id(holder) for holder, _ in held_by.get(key, ()))
    return found


def _places(value: object, held_by: _Holders, culprits: Sequence[object]) -> tuple[list[object], list[object]]:
    """Return the culprits that are merely held, on some way from the value, and the outermost objects that are not.

    Both are to be left out: an object that may take a culprit apart goes as a whole, wherever it is held.
    """
    leading = _leading(culprits, held_by)
    is_culprit = set(map(id, culprits))
    down: dict[int, list[int]] = {}  # what each object holds of all that leads to culprits
    takers: dict[int, object] = {}
    objects = {id(culprit): culprit for culprit in culprits}
    for key in leading & held_by.keys():
        for holder, step in held_by[key]:
            objects[id(holder)] = holder
            down.setdefault(id(holder), []).append(key)
            if not _only_holds(holder, step):
                takers[id(holder)] = holder
    parts: list[object] = []
    outermost: list[object] = []
    seen: set[int] = set()
    todo = [id(value)]
    while todo:
        key = todo.pop()
        if key in seen or key not in leading:
            continue
        seen.add(key)
        if key in is_culprit:
            parts.append(objects[key])
        elif key in takers:
            outermost.append(takers[key])
        else:
            todo.extend(reversed(down.get(key, ())))
    return parts, outermost


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
    if issubclass(cls, type | types.ModuleType) or cls.__flags__ & (1 << 9) == 0:
        return False
    for base in cls.__mro__:
        if base is object:
            continue
        if base.__flags__ & (1 << 9) == 0:  # made in C: who knows what it expects
            return False
        for name in _OWN_WAYS:
            made = vars(base).get(name)
            if made is not None and module_of(type(made)) and getattr(made, "__module__", "") != "dataclasses":
                return False
    return True
