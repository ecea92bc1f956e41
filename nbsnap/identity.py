"""Whether two tuples hold the very same objects, in the time that it takes to compare their memory.

`all(map(is_, one, other))` calls a function for each pair. In CPython a tuple is its head, and behind that the pointers
to what it holds, and `memcmp` compares these. That cannot go wrong: nobody changes a tuple, and both are alive for as
long as it takes, with all that they hold, so that one pointer is one object. Whether tuples are what they are thought
to be is asked of some of them once, and where they are not, pair by pair is compared.
"""

from __future__ import annotations

import ctypes
import operator
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["same"]

_Tuple = tuple[Any, ...]
_HEAD, _EACH = tuple.__basicsize__, tuple.__itemsize__


def _one_by_one(one: _Tuple, other: _Tuple) -> bool:
    return len(one) == len(other) and all(map(operator.is_, one, other))


def _by_memory() -> Callable[[_Tuple, _Tuple], bool]:
    kind = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    compare = kind(("memcmp", ctypes.pythonapi))  # the interpreter's own; Windows has it elsewhere

    def found(one: _Tuple, other: _Tuple) -> bool:
        length = len(one)
        return length == len(other) and not compare(id(one) + _HEAD, id(other) + _HEAD, length * _EACH)

    return found


def _is_right(same: Callable[[_Tuple, _Tuple], bool]) -> bool:
    """Tell whether a function knows equal objects from one and the same, wherever in a tuple they are."""
    for length in (1, 2, 3, 50):
        some = tuple(float(number) for number in range(length))
        if not same(some, (*some,)):  # another tuple of the same
            return False
        for place in range(length):
            other = (*some[:place], float(place), *some[place + 1 :])
            if other != some or same(some, other) or same(other, some):
                return False
    return same((), ()) and not same((0.5,), ())


def _best() -> Callable[[_Tuple, _Tuple], bool]:
    """Return the fastest function that is right."""
    if sys.implementation.name == "cpython" and ctypes.sizeof(ctypes.c_void_p) == _EACH:
        try:
            found = _by_memory()
        except AttributeError:
            return _one_by_one
        if _is_right(found):
            return found
    return _one_by_one


#: Tells whether two tuples hold the very same objects.
same = _best()
