"""NumPy arrays: views stay views, see `nbsnap.memory`; subclasses are views of a plain array; rows stay rows.

An array of Python objects cannot be put upon a buffer, so NumPy writes it as a list, and only a view of it is taken
apart here: what it is a view of, and where it begins.
"""

from __future__ import annotations

import array
import gc
import pickle
import sys
from typing import Any

from nbsnap.builders import attribute, fill_attributes
from nbsnap.builders import numpy as builders
from nbsnap.machine import long_double
from nbsnap.memory import address, root_of, upon_buffer, writeable
from nbsnap.refused import qualified
from nbsnap.sharing import LEAVES, Touch

from .common import REGION, Plan
from .repeats import coded
from .torch import array_over, storage_behind


def _array(desk: Any, value: Any) -> Any:
    desk.claim(value)
    reduction = _shared(desk, value)
    if reduction is NotImplemented and _is_without_buffer(value):
        return upon_buffer(value)
    if reduction is NotImplemented and _is_copied(value):
        return upon_buffer(sys.modules["numpy"].array(value, order="C"), writeable(value))
    if reduction is NotImplemented and value.dtype.hasobject and (made := desk.once(value, _leaves)) is not None:
        return made
    # what NumPy says itself is asked for here, because dill has another way, which loses the read-only flag
    return value.__reduce_ex__(5) if reduction is NotImplemented else reduction


def _dtype(desk: Any, dtype: Any) -> Any:
    """A dtype is written by kind and size, whatever its name; but long doubles of one size are not alike everywhere."""
    if dtype.char not in "gG":
        return NotImplemented
    desk.machine.add("longdouble")
    order = {"<": "little", ">": "big"}.get(dtype.byteorder, sys.byteorder)
    return builders.longdouble, (dtype.char, order, long_double())


def _leaves(value: Any) -> Any:
    """Return how to save a long array of texts and numbers: without watching each; None for others."""
    if value.dtype != object or value.size < _LONG or type(value) is not sys.modules["numpy"].ndarray:
        return None
    order = "C" if value.flags.c_contiguous else "F" if value.flags.f_contiguous else ""
    if not order:
        return None
    layout = (value.shape, order, writeable(value))
    if (found := coded(value)) is not None:
        items, codes = found
        return (builders.coded, (items, codes, *layout)) if set(map(type, items)) <= LEAVES else None
    items = value.ravel(order).tolist()
    if not set(map(type, items)) <= LEAVES:
        return None
    return builders.objects, (pickle.PickleBuffer(pickle.dumps(items, 5)), *layout)


_LONG = 1000


def _is_without_buffer(value: Any) -> bool:
    """Tell whether NumPy would copy a big array into the stream: the buffer protocol has no dates and durations."""
    flags = value.flags
    return value.dtype.kind in "mM" and value.nbytes >= _BIG and (flags.c_contiguous or flags.f_contiguous)


def _is_copied(value: Any) -> bool:
    """Tell whether NumPy would copy a big array into the stream because there are gaps in it."""
    flags = value.flags
    gaps = not (flags.c_contiguous or flags.f_contiguous)
    return gaps and value.nbytes >= _BIG and not value.dtype.hasobject and type(value) is sys.modules["numpy"].ndarray


_BIG = 1 << 15


def _shared(desk: Any, value: Any) -> Any:
    """Return how to save what a stream of NumPy's own would cut loose from its memory, or NotImplemented."""
    ndarray = sys.modules["numpy"].ndarray
    cls = type(value)
    if cls.__name__ == "memmap":
        desk.note("a memory map comes back as an array in memory, without its file")
    if cls is not ndarray:
        if _has_own_ways(cls):
            return NotImplemented
        plain = _plain(value, ndarray)
        if cls.__name__ == "memmap":
            return builders.array_of, (ndarray, plain)
        state = dict(getattr(value, "__dict__", {})) or None
        return builders.array_of, (cls, plain), state, None, None, fill_attributes
    root = root_of(value)
    if value.dtype.hasobject:
        return _objects(desk, value, root)
    if root is not value:
        try:
            desk.claim(root)
        except Touch:
            desk.memory.meet(value, root)
            raise
    if "torch" in sys.modules:
        if (storage := storage_behind(root)) is not None:
            offset = address(value) - storage.data_ptr()
            return array_over(storage, offset, value.shape, value.strides, value.dtype, writeable(value))
        desk.claim(desk.place(address(value)))  # a tensor may look at the same memory
        if issubclass(type(root), type(value)):
            desk.claim(desk.place(address(root)))
    if root is not value and address(value) not in desk.memory.starts and (held := _held_elsewhere(root)) is not None:
        desk.claim(held)
        offset = address(value) - address(sys.modules["numpy"].frombuffer(held, "u1"))
        return builders.upon, (held, offset, value.shape, value.strides, value.dtype, writeable(value))
    return desk.memory.reduce(value, root)


def _plain(value: Any, ndarray: Any) -> Any:
    """Return an array of a subclass as a plain one: the very one that it is a view of, if it shows all of that."""
    held, plain = value.base, ndarray.view(value, ndarray)
    if type(held) is ndarray and _layout(held) == _layout(plain):
        return held
    return plain


def _layout(array: Any) -> tuple[Any, ...]:
    return address(array), array.shape, array.strides, array.dtype, writeable(array)


def _held_elsewhere(root: Any) -> Any:
    """Return the `bytearray`, `array.array` or region whose memory a root shows, if something else may refer to it.

    Where only its arrays hold it (a restore puts such things beneath them), as much as they reach is saved.
    """
    source: Any = root.obj if type(root) is memoryview else None
    if not (type(source) in (bytearray, array.array) or qualified(type(source)) == REGION) or not len(source):
        return None
    return source if sys.getrefcount(source) > _OURS else None


#: References to such an object when nobody else has one: the view's, the variable's above, and the call's.
_OURS = 3


def _has_own_ways(cls: type) -> bool:
    """Tell whether a subclass of ndarray is saved by code of its own; masked arrays' would copy what they share."""
    ndarray, masked = sys.modules["numpy"].ndarray, _masked_array()
    for name in ("__reduce__", "__reduce_ex__", "__setstate__"):
        owner = next(base for base in cls.__mro__ if name in vars(base))
        if owner not in (ndarray, masked, object):
            return True
    return False


def _masked_array() -> Any:
    module = sys.modules.get("numpy.ma")
    return getattr(module, "MaskedArray", None)


def _objects(desk: Any, value: Any, root: Any) -> Any:
    """An array of objects that is a view of another: saved as one where the other lies in one piece."""
    if root is value or type(root) is not type(value) or root.dtype != value.dtype or not root.size:
        return NotImplemented
    if not (root.flags.c_contiguous or root.flags.f_contiguous) or not value.size:
        return NotImplemented
    desk.claim(root)
    step = root.itemsize
    offset = address(value) - address(root)
    if offset % step or any(stride % step for stride in value.strides):
        return NotImplemented
    return builders.objects_view, (root, offset // step, value.shape, value.strides, writeable(value))


def _row(desk: Any, value: Any) -> Any:
    """A row of a structured array shows the array's memory."""
    desk.claim(value)
    holder = value.base
    ndarray = sys.modules["numpy"].ndarray
    if type(holder) is not ndarray or value.dtype.hasobject:
        return NotImplemented
    place = holder
    if holder.shape or holder.dtype != value.dtype or address(holder) != address(value):
        place = _place(holder, value)
    return NotImplemented if place is None else (builders.row, (place,))


def _place(holder: Any, row: Any) -> Any:
    """Return the array without dimensions that shows a row of another array, or None."""
    offset = address(row) - address(holder)
    index = []
    for length, stride in sorted(zip(holder.shape, holder.strides, strict=True), key=lambda axis: -abs(axis[1])):
        index.append(min(offset // stride, length - 1) if stride and length else 0)
        offset -= index[-1] * stride
    order = sorted(range(holder.ndim), key=lambda axis: -abs(holder.strides[axis]))
    if offset or holder.dtype != row.dtype or any(i < 0 for i in index) or not holder.size:
        return None
    return holder[tuple(slice(i, i + 1) for _, i in sorted(zip(order, index, strict=True)))].reshape(())


def _ufunc(desk: Any, value: Any) -> Any:
    """What `numpy.frompyfunc` made of a function has no name by which it could be found."""
    made = next((item for item in gc.get_referents(value) if callable(item)), None)
    if made is None or not value.__name__.endswith("(vectorized)"):
        return NotImplemented
    desk.claim(value)
    return builders.ufunc, (made, value.nin, value.nout)


#: For a class and its subclasses, by qualified name.
# --- random numbers ---------------------------------------------------------------------------------------------------
# NumPy writes its generators in another way in each major version, and NumPy 1 forgets the seeds; this is the same in
# all of them, and what draws from the same numbers goes on to do so.


def _seeds(desk: Any, seeds: Any) -> Any:
    if type(seeds).__module__.partition(".")[0] != "numpy":
        return NotImplemented
    desk.claim(seeds)
    return builders.seed_sequence, (dict(seeds.state),)


def _numbers(desk: Any, numbers: Any) -> Any:
    desk.claim(numbers)
    seeds = getattr(numbers, "seed_seq", None)
    if type(numbers).__module__.partition(".")[0] != "numpy" or type(seeds).__name__ not in (
        "SeedSequence",
        "NoneType",
    ):
        return NotImplemented
    return builders.bit_generator, (type(numbers), seeds), numbers.state, None, None, builders.fill_bit_generator


def _generator(desk: Any, generator: Any) -> Any:
    desk.claim(generator)
    numpy = sys.modules["numpy"]
    if type(generator) is not numpy.random.Generator:
        return NotImplemented
    return builders.generator, (type(generator), generator.bit_generator)


def _random_state(desk: Any, generator: Any) -> Any:
    own = sys.modules["numpy.random.mtrand"]._rand
    if generator is own:
        return attribute, ("numpy.random.mtrand", "_rand")
    desk.claim(generator)
    if type(generator) is not type(own):
        return NotImplemented
    state = generator.get_state(legacy=False)
    arguments = type(generator), generator._bit_generator
    return builders.generator, arguments, state, None, None, builders.fill_random_state


PLANS_BY_NAME: dict[str, Plan] = {
    "numpy.random._generator.Generator": _generator,
    "numpy.random.bit_generator.BitGenerator": _numbers,
    "numpy.random.bit_generator.SeedSequence": _seeds,
    "numpy.random.mtrand.RandomState": _random_state,
    "numpy.dtype": _dtype,
    "numpy.ndarray": _array,
    "numpy.ufunc": _ufunc,
    "numpy.void": _row,
}
