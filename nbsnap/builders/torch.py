"""What streams call for objects of PyTorch. These names stand in stored snapshots.

A storage of 32 KiB and more lies right in the buffer that was read for it, as NumPy arrays do; a smaller one gets
memory of PyTorch's own, which can grow. What lived on a GPU goes there by way of pinned memory, from which a GPU copies
by itself. Where that GPU is not here, it goes to the first one, or stays in main memory, and that is said.
"""

from __future__ import annotations

import gc
import warnings
from collections import OrderedDict
from typing import Any

import torch

from nbsnap import abroad
from nbsnap.errors import CannotLoad
from nbsnap.placeholder import Placeholder
from nbsnap.remarks import remark
from nbsnap.wording import size as size_in_words


def storage(data: Any, device: str = "cpu", is_pinned: bool = False) -> object:
    """Return a storage with these bytes."""
    here = _here(device)
    if not len(data):
        return torch.UntypedStorage(0, device=here)
    flat = torch.frombuffer(data, dtype=torch.uint8)
    if here.startswith("cuda"):
        return _on_gpu(flat, here).untyped_storage()
    if here != "cpu":
        return flat.to(here).untyped_storage()
    if is_pinned and _gpus():
        return pinned(len(data)).copy_(flat).untyped_storage()
    big = not isinstance(data, bytes) and len(data) >= 32 * 1024
    return flat.untyped_storage() if big else flat.clone().untyped_storage()


def pinned(size: int) -> Any:
    """Return bytes of memory that a GPU can copy from and to by itself; plain ones if there are none to be had."""
    try:
        return torch.empty(size, dtype=torch.uint8, device="cpu", pin_memory=True)
    except RuntimeError:
        return torch.empty(size, dtype=torch.uint8, device="cpu")


def _on_gpu(flat: Any, device: str) -> Any:
    """Return bytes on a GPU: while it copies one part of them, the next one is read into pinned memory."""
    size = len(flat)
    made = _empty(size, device)
    if size < _LARGE:
        return made.copy_(flat)
    step = min(abroad.STEP, max(_LARGE, size // 4))
    rooms = [pinned(step) for _ in range(2)]
    copied = [torch.cuda.Event() for _ in rooms]
    stream = torch.cuda.current_stream(device)
    for number, start in enumerate(range(0, size, step)):
        room, done = rooms[number % 2][: size - start], copied[number % 2]
        done.synchronize()
        room.copy_(flat[start : start + step])
        made[start : start + step].copy_(room, non_blocking=True)
        done.record(stream)
    stream.synchronize()  # other streams need not wait, and an error is told of the right variable
    return made


#: Less than this is copied at once.
_LARGE = 1 << 20


def _empty(size: int, device: str) -> Any:
    try:
        return torch.empty(size, dtype=torch.uint8, device=device)
    except torch.cuda.OutOfMemoryError:
        gc.collect()  # what a variable that failed before has left
    try:
        return torch.empty(size, dtype=torch.uint8, device=device)
    except torch.cuda.OutOfMemoryError:
        free, _ = torch.cuda.mem_get_info(device)
        text = f"needs {size_in_words(size)} of memory on {device}, where {size_in_words(free)} are free"
        raise CannotLoad(text, f"free memory on {device}") from None


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
    flat: Any = torch.empty(0, dtype=torch.uint8, device="cpu").set_(untyped).numpy()
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
    here = _here(device, "a generator of random numbers starts anew on the CPU, with other numbers")
    made = torch.Generator(here)
    if here.partition(":")[0] == device.partition(":")[0]:
        made.set_state(_bytes(state))
    else:
        made.manual_seed(int.from_bytes(state[:8], "little"))  # the seed is what a GPU's state begins with
    return made


def default_generator(device: str = "cpu", state: bytes = b"") -> object:
    """Return the generator that PyTorch itself draws from, as it is; `state` is for where there is no such device."""
    if device == "cpu":
        return torch.default_generator
    if not _gpus():
        return generator(device, state)
    torch.cuda.init()
    return torch.cuda.default_generators[torch.device(_here(device)).index]


def stream(index: int, priority: int, is_default: bool) -> object:
    """Return a fresh CUDA stream."""
    if not _gpus():
        return _missing("stream", "Stream")
    device = torch.device(_here(f"cuda:{index}"))
    return torch.cuda.default_stream(device) if is_default else torch.cuda.Stream(device, priority=priority)


def event() -> object:
    """Return a fresh CUDA event."""
    return torch.cuda.Event(enable_timing=True) if _gpus() else _missing("event", "Event")


def _missing(what: str, name: str) -> Placeholder:
    remark(f"a CUDA {what} is missing, a placeholder stands there: {_without()}")
    return Placeholder("it", f"torch.cuda.{name}", "there is no CUDA here", "")


def _bytes(data: bytes) -> Any:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8).clone()


def _gpus() -> int:
    """Return how many GPUs are here. It is asked for only where the session that was saved had one in use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a driver that is too old, for one
        return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _without() -> str:
    built = torch.version.cuda or getattr(torch.version, "hip", None)
    return "there is no CUDA here" if built else "there is no CUDA here (PyTorch was installed without it)"


def _here(device: str, otherwise: str = "came back on the CPU") -> str:
    """Return the device if it is here; else one that is, and say so."""
    kind, _, index = device.partition(":")
    if kind == "cuda":
        gpus = _gpus()
        if int(index or 0) < gpus:
            return device
        if gpus:
            remark(f"came back on cuda:0: there is no {device} here")
            return "cuda:0"
        remark(f"{otherwise}: {_without()}")
        return "cpu"
    if kind in ("cpu", "meta") or (kind == "mps" and torch.backends.mps.is_available()):
        return device
    remark(f"{otherwise}: there is no {kind} here")
    return "cpu"
