"""CuPy: arrays over one memory of a GPU share it again; it is read when it is written, by way of pinned memory.

Memory of CuPy is an object, which all arrays over it lead to. What pickle would make of that object is an address, and
so it is with streams, modules and generators of numbers: two processes would both free what is there. They are refused.
"""

from __future__ import annotations

import functools
import pickle
import sys
from collections.abc import Iterator
from typing import Any

from nbsnap import abroad
from nbsnap.errors import CannotSave
from nbsnap.pagemap import where

from .common import Plan, refuse


def _array(desk: Any, array: Any) -> Any:
    desk.claim(array)
    if type(array) is not sys.modules["cupy"].ndarray:
        return NotImplemented
    if not array.size:
        return _builders().array, (None, 0, array.shape, array.dtype, array.strides)
    memory = array.data.mem
    return _builders().array, (memory, array.data.ptr - memory.ptr, array.shape, array.dtype, array.strides)


def _memory(desk: Any, memory: Any) -> Any:
    desk.claim(memory)
    if type(memory).__name__ == "UnownedMemory":
        desk.note("memory that CuPy has from another library comes back as its own")
    _settle(memory)
    if memory.size < _LARGE:
        data: Any = bytearray(b"".join(_parts(memory)))
    else:
        data = pickle.PickleBuffer(abroad.Abroad.of(memory.size, functools.partial(_parts, memory)))
    return _builders().memory, (data, memory.device_id)


#: Less than this is copied at once.
_LARGE = 1 << 17


def _pointer(desk: Any, pointer: Any) -> Any:
    desk.claim(pointer)
    return _builders().pointer, (pointer.mem, pointer.ptr - pointer.mem.ptr)


def _settle(memory: Any) -> None:
    """Wait for the device of a memory, and raise what is wrong with it."""
    try:
        memory.device.synchronize()
    except RuntimeError as error:
        raise CannotSave(f"its GPU does not answer any more ({error}): restart the kernel", memory) from error


def _parts(memory: Any) -> Iterator[memoryview]:
    """Bring a memory here."""
    cuda = sys.modules["cupy"].cuda
    _settle(memory)
    size = memory.size
    room = cuda.alloc_pinned_memory(min(size, abroad.STEP)) if size >= _LARGE else bytearray(size)
    with memoryview(room).cast("B") as view:
        for start in range(0, size, abroad.STEP):
            count = min(abroad.STEP, size - start)
            place = where(view)
            with memory.device:
                cuda.runtime.memcpy(place, memory.ptr + start, count, cuda.runtime.memcpyDeviceToHost)
            yield view[:count]


def _builders() -> Any:
    from nbsnap.builders import cupy

    return cupy


_HANDLE = "a handle of CUDA's, which means something in this process only"

#: For a class and its subclasses, by qualified name.
PLANS_BY_NAME: dict[str, Plan] = {
    "cupy.ndarray": _array,
    "cupy.cuda.memory.BaseMemory": _memory,
    "cupy.cuda.memory.MemoryPointer": _pointer,
    "cupy.random._generator.RandomState": refuse("the state of a RandomState of CuPy cannot be read: make it again"),
    "cupy.cuda.stream._BaseStream": refuse("a queue of work of a GPU"),
    "cupy.cuda.stream.Event": refuse("belongs to work that a GPU does"),
    **{
        f"cupy.cuda.{name}": refuse(_HANDLE)
        for name in (
            "device.Handle",
            "function.Function",
            "function.LinkState",
            "function.Module",
            "graph.Graph",
            "memory.MemoryAsyncPool",
            "memory.MemoryPool",
            "memory.SingleDeviceMemoryPool",
            "memory._Arena",
            "memory._Chunk",
            "pinned_memory.PinnedMemory",
            "pinned_memory.PinnedMemoryPointer",
            "pinned_memory.PinnedMemoryPool",
            "texture.CUDAarray",
            "texture.SurfaceObject",
            "texture.TextureObject",
        )
    },
}
