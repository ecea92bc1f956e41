"""Where a placeholder may stand, so that one bad part costs no more than itself.

Given a value and the parts in it that refuse to be saved, `holes` says which objects to leave out. That is the part
itself where everything on the way to it merely holds what is below: built-in containers, plain objects, closures. But
an object with its own ways of being saved (`__reduce__`, `__setstate__`, or made in C) may take apart what it is given,
so then the whole of it is left out, or what holds it in turn. Where that leads up to the value, or where a part cannot
be found, there is no such place, and the value has to be skipped.
"""

from __future__ import annotations

import collections
import functools
import types
import weakref
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .describe import OWN_WAYS, is_a, made_in_python, module_of
from .paths import Ways, walk
from .refused import qualified
from .sharing import VIEWS

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
        types.SimpleNamespace,
    }
)


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
    ways = Ways(value)
    held_by = _holders(value, culprits, beyond, ways)
    if any(culprit is value or id(culprit) not in held_by for culprit in culprits):
        return []
    parts, takers = _places(value, held_by, culprits)
    if any(taker is value for taker in takers) or any(is_a(part, type) for part in (*parts, *takers)):
        return []  # a class is never left out: its instances would have none
    found = []
    for part in parts:
        way = ways.to(name, part)
        found.append(Hole(part, way, part, way))
    for taker in takers:
        culprit = next(culprit for culprit in culprits if id(taker) in _leading([culprit], held_by))
        found.append(Hole(taker, ways.to(name, taker), culprit, ways.to(name, culprit)))
    return found


def misplaced(value: object, parts: Sequence[object], beyond: Iterable[int] = ()) -> list[object]:
    """Return those parts that a value holds, if it holds one of them in an object that may take it apart.

    A class is not looked into: each part of its state is asked for by itself.
    """
    if is_a(value, type):
        return []
    held_by = _holders(value, parts, beyond, Ways(value))
    there = [part for part in parts if id(part) in held_by]
    return there if _places(value, held_by, there)[1] else []


_Holders = dict[int, list[tuple[object, str]]]


def _holders(value: object, culprits: Iterable[object], beyond: Iterable[int], ways: Ways) -> _Holders:
    """Return who holds each object below a value; culprits, classes and what lies beyond are not looked into."""
    held_by: _Holders = {}
    for holder, step, child in walk(value, {*map(id, culprits), *beyond}, classes=False):
        held_by.setdefault(id(child), []).append((holder, step))
        ways.note(holder, step, child)
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
    ways = [(key, holder, step) for key in leading & held_by.keys() for holder, step in held_by[key]]
    for key, holder, _ in ways:
        objects[id(holder)] = holder
        down.setdefault(id(holder), []).append(key)
    for key, holder, step in ways:
        if not _only_holds(holder, step) and (key in is_culprit or not _passes(holder, step, objects[key])):
            takers[id(holder)] = holder
    todo = list(takers)
    while todo:  # what would be left out must not be taken apart either
        for holder, step in held_by.get(todo.pop(), ()):
            if id(holder) not in takers and not _only_holds(holder, step):
                takers[id(holder)] = holder
                todo.append(id(holder))
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
    if cls is functools.partial:
        return step != ".func"
    if qualified(cls) == "numpy.ndarray":
        return step.startswith(("[", ".flat["))
    return step.startswith(".") and _is_plain(cls)


def _passes(holder: object, step: str, part: object) -> bool:
    """Tell whether an object uses a part while it is rebuilt, but nothing of what is in the part."""
    if type(holder) is dict:  # a key that hashes by identity
        return step.startswith(".keys()") and type(part).__hash__ is object.__hash__
    return type(holder) in _AROUND


#: Made around a part of the right type, which they do not look into.
_AROUND = frozenset(
    {
        functools.partial,
        types.MethodType,
        types.MappingProxyType,
        weakref.ref,
        staticmethod,
        classmethod,
        property,
        *VIEWS,
    }
)


def _is_plain(cls: type) -> bool:
    """Tell whether objects of a class are rebuilt from their attributes, with no code of the class taking part."""
    if issubclass(cls, type | types.ModuleType):
        return False
    if not made_in_python(cls) and not issubclass(cls, BaseException):
        return False
    for base in cls.__mro__:
        if base is object or (issubclass(base, BaseException) and not made_in_python(base)):
            continue
        if not made_in_python(base):  # made in C: who knows what it expects
            return False
        for name in OWN_WAYS:
            made = vars(base).get(name)
            if made is not None and module_of(type(made)) and getattr(made, "__module__", "") != "dataclasses":
                return False
    return True
