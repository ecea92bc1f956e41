"""Whether tuples, or lists, hold the very same objects as others, in the time that it takes to compare their memory.

`all(map(is_, one, other))` calls a function for each pair. In CPython a tuple is its head, and behind that the pointers
to what it holds, and `memcmp` compares these. That cannot go wrong: nobody changes a tuple, and both are alive for as
long as it takes, with all that they hold, so that one pointer is one object.

A list has its pointers elsewhere, and other threads may make it longer or shorter at any time, but not while we hold
the interpreter's lock. That is given up between two steps of a program in Python only, and there are none here: how
long a list is, where its pointers are and what they are is asked by iterators that run in C from beginning to end, and
with the garbage collector off, which would call somebody's code. The objects themselves are not touched, of which a
copy would count the holders, one by one, all over the memory.

Whether tuples and lists are what they are thought to be is asked of some of them once, and where they are not, pair by
pair is compared.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import operator
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat
from typing import Any

__all__ = ["same", "same_in_lists"]

_Tuple = tuple[Any, ...]
_Same = Callable[[Iterable[_Tuple], Iterable[_Tuple]], list[bool]]
_SameInLists = Callable[[Sequence[list[Any]], Sequence[_Tuple]], list[bool]]
_HEAD, _EACH = tuple.__basicsize__, tuple.__itemsize__
_ITEMS, _LIST = 24, 40  # bytes from the beginning of a list to where its pointers are, and to its end


def _one_by_one(some: Iterable[_Tuple], others: Iterable[_Tuple]) -> list[bool]:
    pairs = zip(some, others, strict=True)
    return [len(one) == len(other) and all(map(operator.is_, one, other)) for one, other in pairs]


def _lists_one_by_one(lists: Sequence[list[Any]], others: Sequence[_Tuple]) -> list[bool]:
    return same(map(tuple, lists), others)


def _memcmp() -> Any:
    """Return the function, which is called without letting go of the interpreter's lock."""
    kind = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    return kind(("memcmp", ctypes.pythonapi))  # the interpreter's own; Windows has it elsewhere


def _by_memory() -> _Same:
    compare = _memcmp()

    def found(some: Iterable[_Tuple], others: Iterable[_Tuple], head: int = _HEAD, each: int = _EACH) -> list[bool]:
        return [
            (length := len(one)) == len(other) and not compare(id(one) + head, id(other) + head, length * each)
            for one, other in zip(some, others, strict=True)
        ]

    return found


def _lists_by_memory() -> _SameInLists:
    compare, pointer = _memcmp(), ctypes.c_void_p.from_address

    def found(lists: Sequence[list[Any]], others: Sequence[_Tuple]) -> list[bool]:
        lengths = list(map(len, others))
        held = [pointer(id(one) + _ITEMS) for one in lists]  # each is read when it is handed to `compare`
        behind = [id(one) + _HEAD for one in others]
        sizes = map(operator.mul, map(min, map(len, lists), lengths), repeat(_EACH))
        steps: Iterable[Any] = zip(map(len, lists), map(compare, held, behind, sizes), strict=True)
        told: list[Any] = []
        try:
            told.extend(chain(map(operator.call, (gc.isenabled, gc.disable)), steps))
        finally:
            if told and told[0]:  # who has put it off puts it on again, however many are at it
                gc.enable()
        return [length == now and not differ for length, (now, differ) in zip(lengths, told[2:], strict=True)]

    return found


def _is_right(same: _Same, lengths: Iterable[int] = (1, 2, 3, 50)) -> bool:
    """Tell whether a function knows equal objects from one and the same, wherever in a tuple they are."""
    for length in lengths:
        some = tuple(float(number) for number in range(length))
        others = [(*some[:place], float(place), *some[place + 1 :]) for place in range(length)]
        if others != [some] * length or any(same([some] * length, others)) or any(same(others, [some] * length)):
            return False
        if same([some, some], [(*some,), (*some,)]) != [True, True]:  # other tuples of the same
            return False
    return same([(), (0.5,)], [(), ()]) == [True, False]


def _is_right_of_lists(same: _SameInLists) -> bool:
    """Tell whether a function knows lists in the same way, and one that grows, and becomes shorter again."""
    if not _is_right(lambda some, others: same(list(map(list, some)), list(others)), (1, 2, 9)):
        return False
    held = [float(number) for number in range(9)]
    were = tuple(held)
    told = [same([held], [were])]
    held.extend(range(100))  # its pointers are elsewhere by then
    told.append(same([held], [were]))
    del held[9:]
    told.append(same([held], [were]))
    del held[4:]
    told.append(same([held], [were]))
    held.extend(were[4:])
    told.append(same([held], [were]))
    return told == [[True], [False], [True], [False], [True]]


def _fits() -> bool:
    """Tell whether the interpreter has the lock that all this counts on, and pointers as tuples have them."""
    locked: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
    return sys.implementation.name == "cpython" and locked() and ctypes.sizeof(ctypes.c_void_p) == _EACH


def _best() -> _Same:
    """Return the fastest function that is right."""
    with contextlib.suppress(Exception):  # there is no such function, or an audit hook forbids to ask
        if _fits() and _is_right(found := _by_memory()):
            return found
    return _one_by_one


def _best_of_lists() -> _SameInLists:
    with contextlib.suppress(Exception):
        if same is not _one_by_one and list.__basicsize__ == _LIST and _is_right_of_lists(found := _lists_by_memory()):
            return found
    return _lists_one_by_one


#: Tells of each of some tuples whether it holds the very same objects as the other one at its place.
same = _best()
#: Tells the same of lists and the tuples at their places: each as it is at one moment.
same_in_lists = _best_of_lists()
