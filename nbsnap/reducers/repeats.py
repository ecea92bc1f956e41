"""Arrays of Python objects in which few objects stand in many places: those objects, and a byte for each place.

A column of a table that says "new", "paid" or "sent" is such an array: eight bytes a row point to one of few texts. The
addresses are read as numbers, and a table of 2**bits entries turns an address into a code: `address >> shift` is a hash
without collisions for few objects that were allocated one after the other. A sample finds the objects; what it missed
is found where the table gives another address back. Codes are given by first appearance, so that equal arrays have
equal bytes in every process.
"""

from __future__ import annotations

import sys
from typing import Any

FEW = 256
_SAMPLE = 4096
_HASHES = [(bits, shift) for bits in (8, 10, 12, 14, 16, 18) for shift in (4, 5, 3, 6)]


class _Addresses:
    """The pointers of an array of objects, as NumPy takes them for an array of numbers."""

    def __init__(self, array: Any) -> None:
        numpy = sys.modules["numpy"]
        self.__array_interface__ = {
            "version": 3,
            "shape": (array.size,),
            "typestr": numpy.dtype(numpy.uintp).str,
            "data": (array.__array_interface__["data"][0], True),
        }
        self.array = array


def coded(array: Any) -> tuple[Any, Any] | None:
    """Return the objects of an array without gaps, in memory's order, and codes (uint8) that say which stands where.

    None: there are more than `FEW` objects, or this way does not pay.
    """
    numpy = sys.modules["numpy"]
    addresses = numpy.asarray(_Addresses(array))
    if (found := _different(numpy, addresses)) is None:
        return None
    objects, codes = found
    places = _first_places(numpy, codes, len(objects))
    order = places.argsort()
    rank = numpy.empty(FEW, "u1")
    rank[order] = numpy.arange(len(order))
    values = array.ravel("K")[places[order]].tolist()
    if [*map(id, values)] != numpy.where(objects[order], objects[order], id(None)).tolist():
        return None  # another thread has written to it meanwhile
    return values, rank[codes]


def _different(numpy: Any, addresses: Any) -> tuple[Any, Any] | None:
    """Return the different addresses, and the code of each."""
    objects = numpy.unique(addresses[:: max(1, len(addresses) // _SAMPLE)])
    codes = numpy.empty(len(addresses), "u1")
    done = 0
    while len(objects) <= FEW and (made := _hashed(numpy, objects)) is not None:
        table, mask, shift = made
        for at in range(done, len(addresses), _BLOCK):  # as much as stays in the processor's cache
            part = addresses[at : at + _BLOCK]
            code = codes[at : at + _BLOCK] = table[(part >> shift) & mask]
            missed = objects[code] != part
            if missed.any():
                objects = numpy.concatenate([objects, numpy.unique(part[missed])])  # codes so far stay what they are
                done = at
                break
        else:
            return objects, codes
    return None


_BLOCK = 1 << 15


def _hashed(numpy: Any, objects: Any) -> tuple[Any, Any, Any] | None:
    """Return a table from hashes to places, and the mask and the shift that hash; None if there is none that small."""
    for bits, shift in _HASHES:
        mask = numpy.uintp((1 << bits) - 1)
        hashes = (objects >> numpy.uintp(shift)) & mask
        if len(numpy.unique(hashes)) == len(objects):
            table = numpy.zeros(1 << bits, "u1")
            table[hashes] = numpy.arange(len(objects))
            return table, mask, numpy.uintp(shift)
    return None


def _first_places(numpy: Any, codes: Any, number: int) -> Any:
    """Return where each code stands first; most stand near the beginning."""
    first = numpy.full(number, -1)
    begin, step = 0, _SAMPLE
    while begin < len(codes) and (first < 0).any():
        part = codes[begin : begin + step]
        met, at = numpy.unique(part, return_index=True)
        new = first[met] < 0
        first[met[new]] = begin + at[new]
        begin, step = begin + step, 4 * step
    return first
