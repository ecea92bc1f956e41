"""What streams call for objects of CuPy. These names stand in stored snapshots.

Where CuPy or a GPU is missing, arrays come back as NumPy's, and that is said.
"""

from __future__ import annotations

import importlib
from typing import Any

from nbsnap import abroad
from nbsnap.errors import CannotLoad
from nbsnap.pagemap import where
from nbsnap.remarks import remark
from nbsnap.wording import size as size_in_words


def memory(data: Any, device: int) -> object:
    """Return memory of a GPU with these bytes; where there is none, a NumPy array of them."""
    gpus, why = _gpus()
    if not gpus:
        remark(f"came back as a NumPy array: {why}")
        return importlib.import_module("numpy").frombuffer(data, "u1")
    if device >= gpus:
        remark(f"came back on GPU 0: there is no GPU {device} here")
    cuda = importlib.import_module("cupy").cuda
    with cuda.Device(device if device < gpus else 0), memoryview(data) as view:
        size = len(view)
        try:
            made = cuda.alloc(size)
        except cuda.memory.OutOfMemoryError:
            free, _ = cuda.runtime.memGetInfo()
            text = f"needs {size_in_words(size)} of the GPU's memory, where {size_in_words(free)} are free"
            raise CannotLoad(text, "free memory on the GPU") from None
        room = cuda.alloc_pinned_memory(min(size, abroad.STEP))
        with memoryview(room).cast("B") as bytes_of_room:
            for start in range(0, size, abroad.STEP):
                count = min(abroad.STEP, size - start)
                bytes_of_room[:count] = view[start : start + count]
                (made + start).copy_from_host(where(bytes_of_room), count)
    return made.mem


def array(memory: Any, offset: int, shape: Any, dtype: Any, strides: Any) -> object:
    """Return an array over a memory, `offset` bytes behind its beginning; one without elements needs no memory."""
    if memory is None:
        gpus, why = _gpus()
        if not gpus:
            remark(f"came back as a NumPy array: {why}")
        return importlib.import_module("cupy" if gpus else "numpy").empty(shape, dtype)
    if type(memory).__module__ == "numpy":
        return type(memory)(shape, dtype, memory, offset, strides)
    cupy = importlib.import_module("cupy")
    return cupy.ndarray(shape, dtype, cupy.cuda.MemoryPointer(memory, offset), strides)


def pointer(memory: Any, offset: int) -> object:
    """Return a pointer into a memory; where there is no GPU, what a NumPy array has there."""
    if type(memory).__module__ == "numpy":
        return memory[offset:]
    return importlib.import_module("cupy").cuda.MemoryPointer(memory, offset)


def _gpus() -> tuple[int, str]:
    """Return how many GPUs CuPy can use, and if it is none, why."""
    try:
        runtime = importlib.import_module("cupy").cuda.runtime
    except ImportError:
        return 0, "CuPy is not installed here"
    try:
        return runtime.getDeviceCount(), ""
    except RuntimeError:
        return 0, "there is no CUDA here"
