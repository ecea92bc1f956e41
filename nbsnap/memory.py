"""NumPy arrays that look at the same memory come back looking at the same memory.

Pickle saves each array by itself, and what was a view becomes a copy. Here a team that turns out to hold several
arrays over one memory is pickled a second time (unless this could be told before, from what its parts had met), and
then those arrays refer to one carrier:

- the array that owns the memory, if it is itself a part of the session: then `view.base is owner` holds again;
- after a restore, when no array owns memory, the one that lies right upon it, as the owner did: so the bytes are the
  same again;
- else a block of bytes, as far as arrays reach that overlap. Not the whole memory that happens to live behind them, and
  nothing between arrays that are apart: two arrays may have one base that owns two memories (a tree of scikit-learn
  does, for nodes and values), with anything of the process in between.

Arrays of Python objects are left to NumPy. NumPy itself is never imported for this.
"""

from __future__ import annotations

import ctypes
import pickle
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from . import builders


@dataclass
class _Seen:
    """One memory: what owns it, and the arrays met that look at it. All are kept alive while their ids count."""

    root: Any
    arrays: dict[int, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Carrier:
    """What arrays over one memory refer to, and where it lies."""

    array: Any
    start: int
    end: int
    whole: bool  # the array is what owns the memory, not a block of bytes that was made for this


#: For the id of what owns a memory: what arrays refer to that look at it.
Carriers = dict[int, tuple[_Carrier, ...]]


class Memory:
    """The memories that one pickler meets, and those that are known to be shared, or taken to be."""

    def __init__(self, shared: Carriers | None = None) -> None:
        self.carriers = dict(shared or {})
        self.taken = dict(self.carriers)
        self._seen: dict[int, _Seen] = {}
        self.starts: set[int] = set()  # where the memories begin that objects of another library look at

    def reduce(self, array: Any, root: Any) -> Any:
        """Return how to save an array over the memory of `root`: NotImplemented leaves it to NumPy."""
        self.meet(array, root)
        carriers = self.carriers.get(id(root), ())
        start, end = reach(array)
        for carrier in carriers:
            if carrier.array is array or (carrier.start <= start and end <= carrier.end):
                break
        else:
            if not _is_spread(array):
                return NotImplemented
            carrier = _carrier(_Seen(root, {id(array): array}))
            self.carriers[id(root)] = (*carriers, carrier)
        if carrier.array is array:
            return upon_buffer(array)
        offset = address(array) - carrier.start
        return builders.view, (
            carrier.array, offset, array.shape, array.strides, array.dtype, writeable(array),
        )  # fmt: skip

    def meet(self, array: Any, root: Any) -> None:
        """Note that an array looks at the memory of `root`."""
        self._seen.setdefault(id(root), _Seen(root)).arrays[id(array)] = array

    def holds(self, shared: Carriers) -> bool:
        """Tell whether what was taken to be shared is what was seen to be."""
        return _spans(self.taken) == _spans(shared)

    @staticmethod
    def of(memories: Iterable[Memory]) -> Memory:
        """Return what several picklers have met, as far as it can be told before one pickler meets it all."""
        together = Memory()
        for memory in memories:
            together.starts |= memory.starts
            for key, seen in memory._seen.items():
                together._seen.setdefault(key, _Seen(seen.root)).arrays.update(seen.arrays)
        return together

    def shared(self) -> Carriers:
        """Return carriers for each memory that more than one array was seen to look at."""
        found = {}
        for key, seen in self._seen.items():
            carriers = tuple(_carrier(part) for part in _parts(seen) if len(part.arrays) > 1 or self._met(part))
            if carriers:
                found[key] = carriers
        return found

    def _met(self, seen: _Seen) -> bool:
        """Tell whether something else looks at this memory too."""
        return bool(self.starts) and any(address(array) in self.starts for array in seen.arrays.values())


def _spans(carriers: Carriers) -> dict[int, list[tuple[int, int, bool]]]:
    return {key: [(each.start, each.end, each.whole) for each in parts] for key, parts in carriers.items()}


def root_of(array: Any) -> Any:
    """Return the object at the end of an array's bases: what owns the memory."""
    ndarray = sys.modules["numpy"].ndarray
    root = array
    while issubclass(type(root), ndarray) and root.base is not None:
        root = root.base
    return root


def address(array: Any) -> int:
    """Return where an array's first element lies."""
    return int(array.__array_interface__["data"][0])


def writeable(array: Any) -> bool:
    """Tell whether an array can be written, without the warning that asking its flags may give."""
    return not array.__array_interface__["data"][1]


def reach(array: Any) -> tuple[int, int]:
    """Return the addresses of an array's first byte and of the first one behind it."""
    start = end = address(array)
    if array.size:
        for length, stride in zip(array.shape, array.strides, strict=True):
            start += min(0, (length - 1) * stride)
            end += max(0, (length - 1) * stride)
        end += array.itemsize
    return start, end


def _is_spread(array: Any) -> bool:
    """Tell whether an array shows the same bytes more than once, or is a read-only view that NumPy would copy."""
    if array.base is None or not array.size:
        return False
    start, end = reach(array)
    gaps = not (array.flags.c_contiguous or array.flags.f_contiguous)
    return bool(array.nbytes > end - start or (gaps and not writeable(array) and end - start <= 2 * array.nbytes))


def upon_buffer(array: Any, write: bool | None = None) -> Any:
    """Return how to save a contiguous array as one that lies right upon a buffer.

    NumPy would put a hidden array between it and its memory, and has no buffer for some types of elements.
    """
    order = "C" if array.flags.c_contiguous else "F"
    data = pickle.PickleBuffer(array.ravel(order).view("u1"))
    return builders.array, (data, array.shape, array.dtype, order, writeable(array) if write is None else write)


def _from_the_larger(found: tuple[int, int, Any]) -> tuple[int, int]:
    return found[0], -found[1]


def _parts(seen: _Seen) -> list[_Seen]:
    """Return the arrays that overlap, apart from those that do not; all, if what they look into is one of them."""
    if len(seen.arrays) < 2 or id(seen.root) in seen.arrays:
        return [seen]
    parts: list[_Seen] = []
    last = -1
    for start, end, array in sorted(((*reach(array), array) for array in seen.arrays.values()), key=_from_the_larger):
        if not parts or start > last or (start == last and end > start):  # an empty one stays with what it is cut from
            parts.append(_Seen(seen.root))
        parts[-1].arrays[id(array)] = array
        last = max(last, end)
    return parts


def _covering(seen: _Seen, start: int, end: int) -> Any:
    """Return the array that lies right upon all of it: that of which the others were views before a restore."""
    ndarray = sys.modules["numpy"].ndarray
    for array in seen.arrays.values():
        upon = type(array) is ndarray and not issubclass(type(array.base), ndarray)
        whole = upon and array.size and reach(array) == (start, end)
        if whole and writeable(array) and (array.flags.c_contiguous or array.flags.f_contiguous):
            return array
    return None


def _carrier(seen: _Seen) -> _Carrier:
    numpy = sys.modules["numpy"]
    root = seen.root
    whole = id(root) in seen.arrays and type(root) is numpy.ndarray and root.size
    if whole and (root.flags.c_contiguous or root.flags.f_contiguous):
        return _Carrier(root, *reach(root), whole=True)
    reaches = [reach(array) for array in seen.arrays.values()]
    start, end = min(start for start, _ in reaches), max(end for _, end in reaches)
    if not issubclass(type(root), numpy.ndarray) and (array := _covering(seen, start, end)) is not None:
        return _Carrier(array, start, end, whole=True)
    block = numpy.frombuffer((ctypes.c_char * (end - start)).from_address(start), dtype="u1")
    return _Carrier(block, start, end, whole=False)
