"""NumPy arrays: views stay views; see `nbsnap.memory`."""

from __future__ import annotations

import gc
import sys
from typing import Any

from nbsnap.memory import address, root_of, writeable

from .common import Plan
from .torch import array_over, storage_behind


def _array(desk: Any, value: Any) -> Any:
    desk.claim(value)
    if type(value).__name__ == "memmap":
        desk.note("a memory map comes back as an array in memory, without its file")
    if type(value) is not sys.modules["numpy"].ndarray or value.dtype.hasobject:
        return NotImplemented
    root = root_of(value)
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


def _ufunc(desk: Any, value: Any) -> Any:
    """What `numpy.frompyfunc` made of a function has no name by which it could be found."""
    made = next((item for item in gc.get_referents(value) if callable(item)), None)
    if made is None or not value.__name__.endswith("(vectorized)"):
        return NotImplemented
    from nbsnap.builders import numpy

    desk.claim(value)
    return numpy.ufunc, (made, value.nin, value.nout)


#: For a class and its subclasses, by qualified name.
PLANS_BY_NAME: dict[str, Plan] = {"numpy.ndarray": _array, "numpy.ufunc": _ufunc}
