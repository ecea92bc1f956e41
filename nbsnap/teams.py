"""Which variables are taken together from the beginning, by what can be seen of them without taking them apart.

What two variables share is found when they are pickled (see `capture`), and they are pickled once more then, together.
Here is what would not be found so, or would be found for nearly every session."""

from __future__ import annotations

import functools
import gc
import types
from collections.abc import Collection, Iterable, Mapping
from typing import Any

__all__ = ["together"]

#: What cannot change and yet is worth being one object again, from what length on: short texts Python shares by itself.
_ALIASED: dict[type, int] = {tuple: 1, frozenset: 1, str: 64, bytes: 64}


def together(values: Mapping[str, Any], small: Collection[str]) -> Iterable[list[str]]:
    """Return the names but the small ones, those together that are bound to one tuple, frozenset, or text.

    Nothing else ties these. Those of objects that have each other as attributes come together too: a figure and its
    axes would find that out by being pickled, and be pickled once more.
    """
    found: dict[object, list[str]] = {}
    objects: dict[int, list[str]] = {}
    rest = {name: value for name, value in values.items() if name not in small}
    for name, value in rest.items():
        shortest = _ALIASED.get(type(value))
        if _has_attributes(value):
            objects.setdefault(id(value), []).append(name)
        else:
            found.setdefault(name if shortest is None or len(value) < shortest else id(value), []).append(name)
    for key, names in list(objects.items()):
        for other in map(id, _attributes(values[names[0]])):
            into, more = objects[key], objects.get(other)
            if more is not None and more is not into:
                into += more
                objects.update((id(values[name]), into) for name in more)
    place = {name: place for place, name in enumerate(rest)}
    tied = {id(names): sorted(names, key=place.__getitem__) for names in objects.values()}
    return sorted([*found.values(), *tied.values()], key=lambda names: place[names[0]])


def _has_attributes(value: Any) -> bool:
    cls = type(value)
    return cls.__dictoffset__ != 0 and not issubclass(cls, _APART) and cls.__reduce_ex__ == _own_reduce


_own_reduce: Any = object.__reduce_ex__
#: What is saved by its name, or has the whole session as an attribute.
_APART = (type, types.FunctionType, types.ModuleType, functools.partial, BaseException)


def _attributes(value: Any) -> Iterable[Any]:
    """Return the attributes of an object, without asking it."""
    for part in gc.get_referents(value):
        if type(part) is dict and len(part) <= _MANY:
            yield from part.values()
        else:
            yield part  # from Python 3.12 on there may be no dict yet


_MANY = 256  # attributes of one object that are looked at
