"""Whether tuples hold the very same objects as others, in the time that it takes to compare their memory.

`all(map(is_, one, other))` calls a function for each pair. In CPython a tuple is its head, and behind that the pointers
to what it holds, and `memcmp` compares these. That cannot go wrong: nobody changes a tuple, and both are alive for as
long as it takes, with all that they hold, so that one pointer is one object. Whether tuples are what they are thought
to be is asked of some of them once, and where they are not, pair by pair is compared.
"""

from __future__ import annotations

import ctypes
import operator
import sys
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["same"]

_Tuple = tuple[Any, ...]
_Same = Callable[[Iterable[_Tuple], Iterable[_Tuple]], list[bool]]
_HEAD, _EACH = tuple.__basicsize__, tuple.__itemsize__


def _one_by_one(some: Iterable[_Tuple], others: Iterable[_Tuple]) -> list[bool]:
    pairs = zip(some, others, strict=True)
    return [len(one) == len(other) and all(map(operator.is_, one, other)) for one, other in pairs]


def _by_memory() -> _Same:
    kind = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    compare = kind(("memcmp", ctypes.pythonapi))  # the interpreter's own; Windows has it elsewhere

    def found(some: Iterable[_Tuple], others: Iterable[_Tuple], head: int = _HEAD, each: int = _EACH) -> list[bool]:
        return [
            (length := len(one)) == len(other) and not compare(id(one) + head, id(other) + head, length * each)
            for one, other in zip(some, others, strict=True)
        ]

    return found


def _is_right(same: _Same) -> bool:
    """Tell whether a function knows equal objects from one and the same, wherever in a tuple they are."""
    for length in (1, 2, 3, 50):
        some = tuple(float(number) for number in range(length))
        others = [(*some[:place], float(place), *some[place + 1 :]) for place in range(length)]
        if others != [some] * length or any(same([some] * length, others)) or any(same(others, [some] * length)):
            return False
        if same([some, some], [(*some,), (*some,)]) != [True, True]:  # other tuples of the same
            return False
    return same([(), (0.5,)], [(), ()]) == [True, False]


def _best() -> _Same:
    """Return the fastest function that is right."""
    if sys.implementation.name == "cpython" and ctypes.sizeof(ctypes.c_void_p) == _EACH:
        try:
            found = _by_memory()
        except AttributeError:
            return _one_by_one
        if _is_right(found):
            return found
    return _one_by_one


#: Tells of each of some tuples whether it holds the very same objects as the other one at its place.
same = _best()
