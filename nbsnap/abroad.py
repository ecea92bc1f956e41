"""Memory that is not the processor's, a GPU's: it is brought here bit by bit, while it is written.

What pickle keeps out of its stream is memory of this process. For a storage on a device, an `Abroad` stands there: as
many bytes of address space, of which not one is ever touched, and the way to bring the true ones. So a snapshot of what
fills a GPU needs two buffers of STEP bytes, and a dry run needs nothing.

A library brings its memory in *parts*: views of one buffer or of two in turns, of STEP bytes each and the last one of
what is left. A part holds until the next one is asked for. While one is hashed and written, a library that can lets its
device fill the other buffer. Parts of whole pieces, one behind the other, have the same ids as all of it at once.

Two buffers, and not one as long as all of it: memory that a device writes to by itself has to be pinned by the kernel,
which takes longer than the copy, and as much memory as the device has. Not memory of the ordinary kind either: the
driver would copy by way of a buffer of its own, and nothing else would be done meanwhile. `docs/fidelity.md` has the
figures.

A forked child can do nothing with a device. So what is abroad is brought here before a snapshot is handed to one, and
so is memory that the child would share with the session, or not have at all (`at_home`)."""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .digest import PIECE_SIZE
from .model import Content
from .pagemap import inherited, where

__all__ = ["STEP", "Abroad", "at_home", "left_behind", "put"]

STEP = 32 * PIECE_SIZE

_FLAGS = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if sys.platform != "win32" else {}
_UNTOUCHED = {"flags": _FLAGS["flags"] | getattr(mmap, "MAP_NORESERVE", 0)} if _FLAGS else {}


class Abroad(mmap.mmap):
    """Stands for `size` bytes of a device's memory. `parts` brings them."""

    parts: Callable[[], Iterator[memoryview]]

    @classmethod
    def of(cls, size: int, parts: Callable[[], Iterator[memoryview]]) -> Abroad:
        """Return what stands for memory of this size, which is more than none."""
        try:
            made = cls(-1, size, **_UNTOUCHED)
        except OSError:
            raise MemoryError from None
        made.parts = parts
        return made


def put(view: memoryview, sink: Callable[[Any, int], Content]) -> Content:
    """Put memory into a sink, wherever it is; return what stands for it.

    The sink is told of each part how many pieces there are before it.
    """
    if not isinstance(view.obj, Abroad):
        return sink(view, 0)
    size = 0
    pieces: list[str] = []
    for part in view.obj.parts():
        content = sink(part, len(pieces))
        size += content.size
        pieces += content.pieces
    return Content(size, tuple(pieces))


def left_behind(buffers: Iterable[pickle.PickleBuffer]) -> set[int]:
    """Return the ids of the buffers that a forked child would not have as they are now."""
    found, others = set(), []
    for buffer in buffers:
        if isinstance(buffer.raw().obj, Abroad):
            found.add(id(buffer))
        else:
            others.append(buffer)
    if others:
        with contextlib.suppress(OSError, ValueError):  # no /proc: then nothing is known to the contrary
            is_copied = inherited()
            found.update(id(buffer) for buffer in others if not is_copied(buffer.raw()))
    return found


def at_home(buffer: pickle.PickleBuffer, *, threads: int = 4) -> pickle.PickleBuffer:
    """Return a copy of a buffer in plain memory, which a forked child has."""
    view = buffer.raw()
    try:
        made = mmap.mmap(-1, view.nbytes, **_FLAGS)
    except OSError:
        raise MemoryError from None
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel that has none
            made.madvise(mmap.MADV_HUGEPAGE)
    source = view.obj
    parts = source.parts() if isinstance(source, Abroad) else _parts_of(view)
    threads = min(threads, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads, "nbsnap-copy") as pool, memoryview(made) as target:
        at = 0
        for part in parts:
            step = -(-part.nbytes // threads)
            jobs = [(target[at + n : at + n + step], part[n : n + step]) for n in range(0, part.nbytes, step)]
            list(pool.map(_copy, jobs))
            at += part.nbytes
    return pickle.PickleBuffer(made)


def _parts_of(view: memoryview) -> Iterator[memoryview]:
    for start in range(0, view.nbytes, STEP):
        yield view[start : start + STEP]


def _copy(job: tuple[memoryview, memoryview]) -> None:
    """Copy memory, and let other threads go on meanwhile: to assign to a view would not."""
    import ctypes

    target, source = job
    ctypes.memmove(where(target), where(source), source.nbytes)
