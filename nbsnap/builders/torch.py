"""What streams call for objects of PyTorch. These names stand in stored snapshots.

A storage of 32 KiB and more lies right in the buffer that was read for it, as NumPy arrays do; a smaller one gets
memory of PyTorch's own, which can grow. What lived on a device that is not here comes back in main memory.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch


def storage(data: Any, device: str = "cpu") -> object:
    """Return a storage with these bytes."""
    if not len(data):
        return torch.UntypedStorage(0, device=_here(device))
    flat = torch.frombuffer(data, dtype=torch.uint8)
    if device != "cpu":
        return flat.to(_here(device)).untyped_storage()
    big = not isinstance(data, bytes) and len(data) >= 32 * 1024
    return flat.untyped_storage() if big else flat.clone().untyped_storage()


def storage_over(carrier: Any, offset: int, size: int) -> object:
    """Return a storage over the memory of a NumPy array, `offset` bytes behind its beginning."""
    flat = carrier if carrier.flags.c_contiguous else carrier.T
    block = type(carrier)((size,), "u1", flat, offset)
    return torch.from_numpy(block).untyped_storage()


def typed_storage(untyped: Any, dtype: Any) -> object:
    """Return a storage that knows the type of its elements, over one that does not."""
    return torch.storage.TypedStorage(wrap_storage=untyped, dtype=dtype, _internal=True)


def array(untyped: Any, offset: int, shape: Any, strides: Any, dtype: Any, writeable: bool) -> object:
    """Return a NumPy array over a storage, `offset` bytes behind its beginning."""
    flat: Any = torch.empty(0, dtype=torch.uint8).set_(untyped).numpy()
    made = type(flat)(shape, dtype, flat, offset, strides)
    if not writeable:
        made.flags.writeable = False
    return made


def fill_tensor(target: Any, state: dict[str, Any]) -> None:
    """Give a tensor its gradient and its hooks."""
    if (gradient := state.get("grad")) is not None:
        target.grad = gradient
    for name in ("_backward_hooks", "_post_accumulate_grad_hooks"):
        if (hooks := state.get(name)) is not None:
            setattr(target, name, hooks if isinstance(hooks, OrderedDict) else OrderedDict(hooks))


def fill_parametrized(target: Any, state: dict[str, Any]) -> None:
    """Fill a parametrized module, and give it a class of its own, in which its parameters are computed."""
    from torch.nn.utils import parametrize

    vars(target).update(state)
    parametrize._inject_new_class(target)
    for name in target._modules["parametrizations"]:
        parametrize._inject_property(target, name)


def generator(device: str, state: bytes) -> object:
    """Return a generator of random numbers in mid-stream; on another kind of device it starts anew, from its seed."""
    here = _here(device)
    made = torch.Generator(here)
    if here == device:
        made.set_state(torch.frombuffer(bytearray(state), dtype=torch.uint8).clone())
    return made


def default_generator() -> object:
    """Return the generator that PyTorch itself draws from."""
    return torch.default_generator


def _here(device: str) -> str:
    """Return the device if it is here, else "cpu"."""
    kind, _, index = device.partition(":")
    if kind == "cuda":
        return device if torch.cuda.is_available() and int(index or 0) < torch.cuda.device_count() else "cpu"
    if kind == "mps":
        return device if torch.backends.mps.is_available() else "cpu"
    return device if kind in ("cpu", "meta") else "cpu"
