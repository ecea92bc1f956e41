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
    """Return an array of objects of which few stand in many places: the items, and in memory's order which is where."""
    few: Any = numpy.empty(len(items), object)
    few[:] = items
    made = numpy.empty(shape, object, order)
    few.take(codes, out=made.ravel(order), mode="clip")  # without a mode it goes through a copy
    if not writeable:
        made.flags.writeable = False
    return made


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
