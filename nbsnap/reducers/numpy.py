"""NumPy arrays: views stay views, see `nbsnap.memory`; subclasses are views of a plain array; rows stay rows.

An array of Python objects cannot be put upon a buffer, so NumPy writes it as a list, and only a view of it is taken
apart here: what it is a view of, and where it begins.
"""

from __future__ import annotations

import gc
import sys
from typing import Any

from nbsnap.builders import fill_attributes
from nbsnap.builders import numpy as builders
from nbsnap.memory import address, root_of, writeable

from .common import Plan
from .torch import array_over, storage_behind


def _array(desk: Any, value: Any) -> Any:
    desk.claim(value)
    ndarray = sys.modules["numpy"].ndarray
    cls = type(value)
    if cls.__name__ == "memmap":
        desk.note("a memory map comes back as an array in memory, without its file")
    if cls is not ndarray:
        if _has_own_ways(cls):
            return NotImplemented
        plain = ndarray.view(value, ndarray)
        if cls.__name__ == "memmap":
            return builders.array_of, (ndarray, plain)
        state = dict(getattr(value, "__dict__", {})) or None
        return builders.array_of, (cls, plain), state, None, None, fill_attributes
    root = root_of(value)
    if value.dtype.hasobject:
        return _objects(desk, value, root)
    if root is not value:
        desk.claim(root)
    if "torch" in sys.modules:
        if (storage := storage_behind(root)) is not None:
            offset = address(value) - storage.data_ptr()
            return array_over(storage, offset, value.shape, value.strides, value.dtype, writeable(value))
        desk.claim(desk.place(address(value)))  # a tensor may look at the same memory
        if issubclass(type(root), type(value)):
            desk.claim(desk.place(address(root)))
    return desk.memory.reduce(value, root)


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
    if type(holder) is not sys.modules["numpy"].ndarray or value.dtype.hasobject:
        return NotImplemented
    root = root_of(holder)
    offset = address(value) - address(root) if type(root) is type(holder) else -1
    if offset < 0 or not root.flags.c_contiguous or offset + value.itemsize > root.nbytes:
        return NotImplemented
    place = sys.modules["numpy"].ndarray((), value.dtype, root.reshape(-1).view("u1"), offset)
    if not writeable(holder):
        place.flags.writeable = False
    return builders.row, (place,)


def _ufunc(desk: Any, value: Any) -> Any:
    """What `numpy.frompyfunc` made of a function has no name by which it could be found."""
    made = next((item for item in gc.get_referents(value) if callable(item)), None)
    if made is None or not value.__name__.endswith("(vectorized)"):
        return NotImplemented
    desk.claim(value)
    return builders.ufunc, (made, value.nin, value.nout)


#: For a class and its subclasses, by qualified name.
PLANS_BY_NAME: dict[str, Plan] = {"numpy.ndarray": _array, "numpy.ufunc": _ufunc, "numpy.void": _row}
