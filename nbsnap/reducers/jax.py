"""JAX: the numbers of an array go out of band, as NumPy's do, and the device is remembered.

JAX itself would copy them into the stream. What it calls weakly typed is left to it: these are single numbers. So are
its keys of random numbers.
"""

from __future__ import annotations

import sys
from typing import Any

from .common import Plan


def _array(desk: Any, array: Any) -> Any:
    desk.claim(array)
    if array.is_deleted() or array.weak_type or not array.is_fully_addressable:
        return NotImplemented
    if len(array.sharding.device_set) != 1:
        desk.note("an array that is spread over devices comes back on one of them")
        return NotImplemented
    (device,) = array.sharding.device_set
    # asked of a shard: the array itself would keep what it is asked for
    numbers = sys.modules["numpy"].asarray(array.addressable_data(0))
    dtype = numbers.dtype
    if dtype.kind == "V":  # bfloat16 and the like, which are no numbers to NumPy
        numbers = numbers.view(f"u{dtype.itemsize}")
    where = (device.platform, device.id) if array.committed or device != _first() else ()
    return _builders().array, (numbers, dtype, where)


def _device(desk: Any, device: Any) -> Any:
    return _builders().device, (device.platform, device.id)


def _first() -> Any:
    return sys.modules["jax"].devices()[0]


def _builders() -> Any:
    from nbsnap.builders import jax

    return jax


#: For a class and its subclasses, by qualified name.
PLANS_BY_NAME: dict[str, Plan] = {
    "jaxlib._jax.ArrayImpl": _array,
    "jaxlib.xla_extension.ArrayImpl": _array,
    "jaxlib._jax.Device": _device,
    "jaxlib.xla_extension.Device": _device,  # as it was called before 0.6
}
