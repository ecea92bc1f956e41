"""NumPy arrays, as streams make them: `nbsnap.builders.numpy.NAME`; plain ones are made by `nbsnap.builders`."""

from __future__ import annotations

import pickle
import sys
from typing import Any

import numpy

from nbsnap.errors import CannotLoad
from nbsnap.machine import long_double

from . import make_sound


def longdouble(char: str, order: str, form: str) -> object:
    """Return the dtype of long doubles, if they are here what they were where they were saved: see `machine`."""
    if form != long_double():
        raise CannotLoad(f"holds long doubles of {form}, which cannot be read here, where they have {long_double()}")
    made: Any = numpy.dtype(char)
    return made if order == sys.byteorder else made.newbyteorder(order)


def array_of(cls: Any, plain: Any) -> object:
    """Return an array of a subclass over the memory of a plain one."""
    return plain.view(cls) if type(plain) is not cls else plain


def upon(source: Any, offset: int, shape: Any, strides: Any, dtype: Any, writeable: bool) -> object:
    """Return an array over the memory of a `bytearray` or the like, `offset` bytes behind its beginning."""
    made = numpy.ndarray(shape, dtype, numpy.frombuffer(source, "u1"), offset, strides)
    if not writeable:
        made.flags.writeable = False
    return made


def objects_view(root: Any, first: int, shape: Any, strides: Any, writeable: bool) -> object:
    """Return a view of an array of objects that begins at its element number `first`."""
    flat = (root if root.flags.c_contiguous else root.T).reshape(-1)
    made = numpy.lib.stride_tricks.as_strided(flat[first:], shape, strides, writeable=writeable)
    return made


def coded(items: Any, codes: Any, shape: Any, order: Any, writeable: bool) -> object:
    """Return an array of objects of which few stand in many places: the items, and in memory's order which is where.

    The codes may lie in memory that is not verified yet: those that are too high are taken for the highest.
    """
    few: Any = numpy.empty(len(items), object)
    few[:] = items
    made = numpy.empty(shape, object, order)
    _take(few, codes, made.ravel(order))
    if not writeable:
        made.flags.writeable = False
    return made


def _take(few: Any, codes: Any, out: Any) -> None:
    """Put the objects that codes stand for into `out`, which takes half the time if neighbours are put there together.

    For that there is a table of all the rows that there can be: of three objects in rows of two aa, ba, ca, ab, bb, cb,
    ac, bc, cc. Codes 1 and 2 are row 1 + 2 * 3 of it.
    """
    base = len(few)
    width = next((width for width in (8, 4, 2) if base**width * width <= min(_CACHED, codes.size // 4)), 1)
    whole = codes.size // width * width if width > 1 else 0
    if whole:
        powers: Any = base ** numpy.arange(width)
        places = powers if sys.byteorder == "little" else powers[::-1]
        table = few[numpy.arange(base**width)[:, None] // places % base]
        for at in range(0, whole, _BLOCK):
            stop = min(at + _BLOCK, whole)
            rows = _together(codes[at:stop], base, width).astype(numpy.intp)
            table.take(rows, axis=0, out=out[at:stop].reshape(-1, width), mode="clip")
    few.take(codes[whole:], out=out[whole:], mode="clip")  # without a mode it goes through a copy


_CACHED = 1 << 15  # a table of so many places stays in the processor's cache
_BLOCK = 1 << 16  # and so does what is made of so many codes


def _together(codes: Any, base: int, width: int) -> Any:
    """Return one number for each `width` codes: pairs of bytes are put together, then pairs of these."""
    bits = 8
    while bits < 8 * width:
        codes = codes.view(f"u{bits // 4}")
        codes = (codes & ((1 << bits) - 1)) + (codes >> bits) * base
        bits, base = 2 * bits, base * base
    return codes


def objects(data: Any, shape: Any, order: Any, writeable: bool) -> object:
    """Return an array of texts, numbers and the like, from the pickle of a list of them."""
    made = numpy.empty(shape, object, order)
    make_sound(data)
    made.ravel(order)[:] = pickle.loads(data)
    if not writeable:
        made.flags.writeable = False
    return made


def row(place: Any) -> object:
    """Return the row of a structured array that an array without dimensions shows."""
    return place[()]


def ufunc(function: Any, inputs: int, outputs: int) -> object:
    """Return a function of the session as a function of arrays."""
    return numpy.frompyfunc(function, inputs, outputs)


def seed_sequence(state: dict[str, Any]) -> object:
    """Return a sequence of seeds that has handed out as many as it had."""
    return numpy.random.SeedSequence(**state)


def bit_generator(cls: Any, seeds: Any) -> object:
    """Return the numbers behind a generator, not yet where they were; those of an old `RandomState` have no seeds."""
    made = cls(0 if seeds is None else seeds)
    if seeds is None and hasattr(made, "_legacy_seeding"):
        made._legacy_seeding(0)
    return made


def fill_bit_generator(target: Any, state: dict[str, Any]) -> None:
    """Go to where the numbers were."""
    target.state = state


def generator(cls: Any, numbers: Any) -> object:
    """Return a `Generator` or a `RandomState` that draws from these numbers."""
    return cls(numbers)


def fill_random_state(target: Any, state: dict[str, Any]) -> None:
    """Give a `RandomState` the half of a pair of normal numbers that it has not handed out yet."""
    target.set_state(state)
