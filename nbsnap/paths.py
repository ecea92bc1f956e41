"""Where inside a value another object sits, written as the user would write it: `model.callbacks[2].sock`.

Asked only after something could not be saved. The search goes breadth first, so the shortest way is told. It reads
dicts, lists, attributes and closures directly and never calls the user's `__getattr__`, `__repr__` or `__eq__`.
"""

from __future__ import annotations

import functools
import gc
import sys
import types
from collections import deque
from collections.abc import Iterator, Set
from typing import Any

from .describe import is_a, made_in_python
from .sharing import LEAVES, VIEWS

LIMIT = 500_000  # objects looked at before the search gives up
STEPS = 16  # of a way that are told
_LEAVES = frozenset({*LEAVES, bytearray, types.ModuleType, types.CodeType})


def walk(
    value: object, closed: Set[int] = frozenset(), *, classes: bool = True, leaves: bool = False, limit: int = LIMIT
) -> Iterator[tuple[object, str, object]]:
    """Yield (holder, step, child) for everything that can be reached from a value, breadth first, each holder once.

    Objects whose ids are in `closed` are not looked into, nor are classes below the value if `classes` is false. Texts,
    numbers and the like are passed over unless they are in `closed`, or `leaves` is true. After `limit` objects the
    search gives up.
    """
    seen = {id(value)}
    keep: list[object] = []
    queue: deque[object] = deque([value])
    while queue and len(seen) < limit:
        holder = queue.popleft()
        if not classes and holder is not value and is_a(holder, type):
            continue
        if closed and is_a(holder, dict):
            for place, key in _keys_among(holder, closed):
                yield holder, f".keys()[{place}]", key
        for step, child in children(holder):
            is_leaf = type(child) in _LEAVES
            if is_leaf and not leaves and id(child) not in closed:
                continue
            yield holder, step, child
            if not is_leaf and id(child) not in seen and id(child) not in closed:
                seen.add(id(child))
                keep.append(child)
                queue.append(child)


def _keys_among(holder: Any, wanted: Set[int]) -> list[tuple[int, object]]:
    """Return the keys of a dict that are texts or numbers of these ids: others are told by `children`."""
    return [(i, key) for i, key in enumerate(list(dict.keys(holder))) if type(key) in (str, int) and id(key) in wanted]


def find(name: str, value: object, culprit: object) -> str:
    """Return the path from the variable `name`, bound to `value`, to `culprit`; just `name` where no way is found."""
    return find_id(name, value, id(culprit))


def find_id(name: str, value: object, culprit: int) -> str:
    """Return the same for what is known by its id."""
    if id(value) == culprit:
        return name
    way = Ways(value)
    for holder, step, child in walk(value, {culprit}):
        way.note(holder, step, child)
        if id(child) == culprit:
            return way.to(name, child)
    return name


class Ways:
    """The first way to each object that a walk has met."""

    def __init__(self, value: object) -> None:
        self._before: dict[int, tuple[int, str]] = {id(value): (0, "")}

    def note(self, holder: object, step: str, child: object) -> None:
        """Note one step of a walk."""
        self._before.setdefault(id(child), (id(holder), step))

    def to(self, name: str, child: object) -> str:
        """Return the way from the variable `name` to an object, with its middle left out where it is long."""
        steps: list[str] = []
        at, step = self._before[id(child)]
        while at:
            steps.append(step)
            at, step = self._before[at]
        steps.reverse()
        if len(steps) > STEPS:
            steps[STEPS // 2 : -STEPS // 2] = [f"[… {len(steps) - STEPS:,} steps …]"]
        return name + "".join(steps)


def leads_from(name: str, path: str) -> bool:
    """Tell whether a path begins at a variable."""
    return path.startswith(name) and path[len(name) : len(name) + 1] in ("", ".", "[", "{")


def children(value: Any) -> Iterator[tuple[str, object]]:
    """Yield what a value holds, each with the text that leads there."""
    cls = type(value)
    named = is_a(value, dict, list, tuple, set, frozenset, deque) or cls in _OWN
    if is_a(value, dict):
        for i, (name, child) in enumerate(list(dict.items(value))):
            yield f"[{as_key(name)}]", child
            if type(name) not in (str, int):
                yield f".keys()[{i}]", name
    elif (sequence := next((kind for kind in _SEQUENCES if is_a(value, kind)), None)) is not None:
        for i, child in enumerate(list(sequence.__iter__(value))):
            yield f"[{i}]", child
    elif is_a(value, set, frozenset):
        for child in list(gc.get_referents(value)):
            if child is not cls:
                yield "{…}", child
    elif cls is types.FunctionType:
        for cell_name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=False):
            for child in gc.get_referents(cell):
                yield f".<closure {cell_name}>", child
        for child in (*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()):
            yield ".<default>", child
    elif cls is types.MethodType:
        yield ".__self__", value.__self__
        yield ".__func__", value.__func__
    elif is_a(value, BaseException) and not is_a(value, BaseExceptionGroup):
        yield ".args", value.args
        yield ".__cause__", value.__cause__
        yield ".__context__", value.__context__
        named = True
    elif is_a(value, functools.partial):
        yield ".func", value.func
        yield ".args", value.args
        yield ".keywords", value.keywords
        if sum(type(part) is dict for part in gc.get_referents(value)) < 2:
            return  # asked for its attributes, it would get a dict for them, and be saved with that
    elif cls is types.MappingProxyType or cls in VIEWS:
        for child in gc.get_referents(value):
            yield ".mapping" if cls in VIEWS else "", child
    elif _is_object_array(value):
        for i, child in enumerate(value.flat):
            yield f".flat[{i}]" if value.ndim != 1 else f"[{i}]", child
    elif is_a(value, type):
        for key, child in list(type.__dict__["__dict__"].__get__(value).items()):
            yield f".{key}", child
        return
    for key, child in attributes(value):
        named = True
        yield f".{key}", child
    if not named:
        for child in gc.get_referents(value):
            if child is not cls:
                yield ".…", child


_SEQUENCES: tuple[Any, ...] = (list, tuple, deque)
_OWN = (types.FunctionType, types.MethodType, types.MappingProxyType, *VIEWS)


def attributes(value: object) -> Iterator[tuple[str, object]]:
    """Yield the attributes of an object, those in slots too, without asking it."""
    names = _own_names(value)
    if type(names) is dict:
        yield from ((key, child) for key, child in list(names.items()) if type(key) is str)
    for base in _bases(type(value)):
        if not made_in_python(base):  # the slots of built-in types are not the user's
            continue
        for key, slot in list(_held_by_class(base).items()):
            if type(slot) is types.MemberDescriptorType:
                try:
                    yield key, slot.__get__(value, base)
                except (AttributeError, TypeError):
                    continue


def put_attribute(value: object, name: str, held: object) -> bool:
    """Put something in the place of an attribute that `attributes` yields, past its class; False if there is none."""
    names = _own_names(value)
    if type(names) is dict and name in names:
        names[name] = held
        return True
    for base in _bases(type(value)):
        slot = _held_by_class(base).get(name)
        if type(slot) is types.MemberDescriptorType and made_in_python(base):
            slot.__set__(value, held)
            return True
    return False


_bases: Any = type.__dict__["__mro__"].__get__
_held_by_class: Any = type.__dict__["__dict__"].__get__


def _own_names(value: object) -> object:
    """Return the dict of an object, past what its class may have put in the place of `__dict__`."""
    cls = type(value)
    replaced = False
    for base in _bases(cls):
        slot = _held_by_class(base).get("__dict__")
        if type(slot) in (types.GetSetDescriptorType, types.MemberDescriptorType):  # the latter in C only
            try:
                return slot.__get__(value, cls)
            except (AttributeError, TypeError):
                return None
        replaced = replaced or slot is not None
    if not replaced or type(cls) is not type or not cls.__dictoffset__:
        return None
    if any("__slots__" in _held_by_class(base) or "__slotnames__" in _held_by_class(base) for base in _bases(cls)):
        return None  # these would be asked for
    return object.__getstate__(value)


def _is_object_array(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray and value.dtype == object


def as_key(value: object) -> str:
    if type(value) in (str, int, float, bool, type(None)):
        text = repr(value)
        return text if len(text) <= 40 else text[:39] + "…"
    return "…"
