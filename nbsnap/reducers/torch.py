"""PyTorch: tensors over one storage share it again, big storages go out of band, gradients and hooks come along.

A tensor is taken apart as PyTorch does it, down to its storage, which PyTorch would copy into the stream, once for each
tensor. A storage here is an object like any other: claimed for its team, pickled once, referred to by all that look at
it. The storage's Python object stays the same one as long as it is alive, and the pickler's memo keeps it alive.

NumPy and PyTorch may look at one memory too. An array made by `Tensor.numpy()` leads back to its storage. A tensor made
by `torch.from_numpy` does not lead back to its array; so where both libraries are in use, both claim the *place*, the
address where a memory begins. Once they meet in one team, the storage refers to the array (`nbsnap.memory`).

A result that still hangs on its calculation comes back as numbers: what would compute the gradients is running code.

A storage on a GPU is read when it is written, by way of pinned memory (`nbsnap.abroad`). What is being calculated there
is waited for. A device that has failed is found here already, so that it costs its tensors and not the snapshot.
"""

from __future__ import annotations

import ctypes
import functools
import pickle
import sys
import warnings
from collections.abc import Iterator
from itertools import chain
from typing import Any

from nbsnap import abroad, builders
from nbsnap.errors import CannotSave

from .common import Plan, refuse


def _tensor(desk: Any, tensor: Any) -> Any:
    desk.claim(tensor)
    cls: Any = type(tensor)
    if tensor.requires_grad and not tensor.is_leaf:
        desk.note("a result that carries a gradient comes back as numbers, cut off from its calculation")
        tensor = tensor.detach()
    state: dict[str, Any] = {}
    if tensor.is_leaf and tensor.grad is not None:
        state["grad"] = tensor.grad
    for name in ("_backward_hooks", "_post_accumulate_grad_hooks"):
        if hooks := getattr(tensor, name, None):
            state[name] = hooks
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that hooks are not saved, or that a kind of tensor is a prototype
        reduction = cls.__reduce_ex__(tensor, 5)
    make, arguments, *rest = reduction
    if make is _v3():  # it is handed what `torch.load` would hand it
        torch = sys.modules["torch"]
        typed = torch.storage.TypedStorage(wrap_storage=arguments[0], dtype=torch.uint8, _internal=True)
        reduction = (make, (typed, *arguments[1:]), *rest)
    if rest or not state:
        return reduction
    return (*reduction, state, None, None, _builders().fill_tensor)


def _v3() -> Any:
    return getattr(sys.modules["torch"]._utils, "_rebuild_tensor_v3", None)


def _module(desk: Any, module: Any) -> Any:
    """A parametrized module is of a class that was made for it alone, and that refuses to be pickled."""
    desk.claim(module)
    cls = type(module)
    if "parametrizations" not in module._modules or cls.__module__ != "torch.nn.utils.parametrize":
        return NotImplemented
    return builders.new_object, (cls.__bases__[0],), dict(vars(module)), None, None, _builders().fill_parametrized


def _storage(desk: Any, storage: Any) -> Any:
    desk.claim(storage)
    make = _builders()
    device = str(storage.device)
    if device == "meta":
        return NotImplemented
    if device != "cpu":
        desk.machine.add(device)
    size = storage.nbytes()
    if not size:
        return make.storage, (b"", device)
    if storage.device.type == "cuda":
        _settle(storage)
    if storage.device.type == "cuda" and size >= _LARGE:
        return make.storage, (pickle.PickleBuffer(abroad.Abroad.of(size, functools.partial(_parts, storage))), device)
    if device != "cpu":
        return make.storage, (pickle.PickleBuffer(_block(storage.cpu())), device)
    if _is_pinned(storage):
        return make.storage, (pickle.PickleBuffer(_block(storage)), device, True)
    start = storage.data_ptr()
    if "numpy" in sys.modules:
        desk.claim(desk.place(start))
        desk.memory.starts.add(start)
        for carrier in chain.from_iterable(desk.memory.carriers.values()):
            if carrier.start <= start and start + size <= carrier.end:
                return make.storage_over, (carrier.array, start - carrier.start, size)
    return make.storage, (pickle.PickleBuffer(_block(storage)),)


def _block(storage: Any) -> Any:
    """Return the memory of a storage as an object that pickle takes for a buffer, and that keeps the storage alive."""

    block = _block_type(storage.nbytes()).from_address(storage.data_ptr())
    block.storage = storage
    return block


@functools.lru_cache(256)
def _block_type(size: int) -> Any:
    class Block(ctypes.c_char * size):  # type: ignore[misc]
        pass

    return Block


#: Less than this is copied at once, in a few microseconds.
_LARGE = 1 << 17


def _settle(storage: Any) -> None:
    """Wait for the device of a storage, and raise what is wrong with it."""
    try:
        sys.modules["torch"].cuda.synchronize(storage.device)
    except RuntimeError as error:  # a kernel that failed before: nothing on the device can be read any more
        text = str(error).strip().partition("\n")[0]
        raise CannotSave(f"{storage.device} does not answer any more ({text}): restart the kernel", storage) from error


def _parts(storage: Any) -> Iterator[memoryview]:
    """Bring the memory of a storage here: while one part is looked at, the device copies the next one."""
    torch = sys.modules["torch"]
    _settle(storage)
    size, step = storage.nbytes(), abroad.STEP
    flat = torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)
    rooms = [_builders().pinned(min(size, step)) for _ in range(2 if size > step else 1)]
    copied = [torch.cuda.Event() for _ in rooms]

    def begin(start: int) -> None:
        turn = start // step % 2
        room = rooms[turn][: size - start]
        room.copy_(flat[start : start + room.numel()], non_blocking=True)
        copied[turn].record(torch.cuda.current_stream(storage.device))

    begin(0)
    for start in range(0, size, step):
        if start + step < size:
            begin(start + step)
        turn = start // step % 2
        copied[turn].synchronize()
        yield pickle.PickleBuffer(_block(rooms[turn].untyped_storage())).raw()[: size - start]


def _is_pinned(storage: Any) -> bool:
    """Tell whether the memory of a storage is pinned, without waking CUDA for it."""
    return bool(sys.modules["torch"].cuda.is_initialized() and storage.is_pinned())


def _typed_storage(desk: Any, storage: Any) -> Any:
    return _builders().typed_storage, (storage._untyped_storage, storage.dtype)


def _generator(desk: Any, generator: Any) -> Any:
    torch = sys.modules["torch"]
    state = str(generator.device), bytes(generator.get_state().tolist())
    if generator is torch.default_generator:
        return _builders().default_generator, ()
    if any(generator is own for own in torch.cuda.default_generators):
        return _builders().default_generator, state
    desk.claim(generator)
    return _builders().generator, state


def _stream(desk: Any, stream: Any) -> Any:
    """A stream is a queue of work, and the work is done."""
    desk.claim(stream)
    desk.note("a CUDA stream comes back fresh")
    return _builders().stream, (stream.device.index, stream.priority, not stream.cuda_stream)


def _event(desk: Any, event: Any) -> Any:
    """An event whose work is done keeps nobody waiting, as one that was never recorded."""
    desk.claim(event)
    desk.note("a CUDA event comes back fresh, with no time recorded")
    return _builders().event, ()


def _script(desk: Any, value: Any) -> Any:
    raise CannotSave("was compiled by torch.jit: save it with torch.jit.save", value)


def _builders() -> Any:
    from nbsnap.builders import torch

    return torch


def storage_behind(root: Any) -> Any:
    """Return the storage that an array's memory belongs to, if what owns the memory is a tensor; else None."""
    torch = sys.modules.get("torch")
    if torch is None or not issubclass(type(root), torch.Tensor):
        return None
    return root.untyped_storage()


def array_over(storage: Any, offset: int, shape: Any, strides: Any, dtype: Any, writeable: bool) -> Any:
    """Return how to save a NumPy array over a storage."""
    return _builders().array, (storage, offset, shape, strides, dtype, writeable)


#: For a class and its subclasses, by qualified name.
PLANS_BY_NAME: dict[str, Plan] = {
    "torch.Tensor": _tensor,
    "torch.storage.UntypedStorage": _storage,
    "torch.storage.TypedStorage": _typed_storage,
    "torch.nn.modules.module.Module": _module,
    "torch._C.Generator": _generator,
    "torch.cuda.streams.Event": _event,
    "torch.cuda.streams.ExternalStream": refuse("a stream that another library has made"),
    "torch.cuda.streams.Stream": _stream,
    "torch.jit.torch.jit.ScriptFunction": _script,
    "torch.jit._script.ScriptModule": _script,
}
