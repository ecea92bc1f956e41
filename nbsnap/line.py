"""The line that content goes along on its way into a pack: cut, hashed, coded, appended, by a few threads.

    the caller            hashing threads                                            the appending thread
    ──────────            ───────────────                                            ────────────────────
    small content:
    hash, code, gather    ─────────────────────────────── a megabyte at a time ──►   append, tightly
    a big buffer: what the kernel knows not to have been written (`pages`) is done
    the rest        ──►   take its next window (4 MiB); piece by piece:
                          the same as ever, by its quick hash? done, in place
                          copy, hash the copy; the store has it? done
                          compress where it pays, or tell what differs from the piece that was there (`earlier`)
                          in order: new ones on to be appended               ──►     append, raw ones on a page's edge
    ◄── the ids           take the next window                              ◄──      give the buffer back

Rules, and why:

1. **A piece is what its id says**, though another thread may change the variable meanwhile: what is hashed by BLAKE3,
   compressed and written is one copy of it (1 MiB, still in the cache). Only what cannot change, `bytes` and texts, is
   not copied. A piece that is known is hashed in place, without a copy: if it changes just then, it is not known, or it
   was seen in a state that is stored.
2. **What is written depends on the content alone**, never on which thread was faster. Windows are hashed in any order
   and arrive in theirs (`_arrive`), and only there is decided which of two equal pieces is the first. Whether
   compressing pays is asked of a sample in each window, and whether it is like the snapshot before of its first new
   pieces: functions of the content, too.
3. **Memory is bounded**: BUFFERS windows are on their way. A thread has a buffer in hand before it takes a window; so
   the one that all others wait for can always go on.
4. **An error of any thread stops all, and is raised in the caller's thread**. The caller only waits, so that Ctrl-C
   finds nothing half done. `stop` lets threads finish the piece that they are at (milliseconds) and ends them.

Threads are started when there is something for them: a session without any big value has none, and a buffer of one
window is hashed in the caller's thread, which costs less than handing it over. Where none can be started (for lack of
memory, or at the end of the process), the caller's does it all, with one buffer if need be."""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from nbsnap import pages, seen
from nbsnap.appending import ALIGNED, Big, Pack, Row, Small
from nbsnap.deltas import Delta
from nbsnap.digest import PIECE_SIZE, Bytes, Named, digest, quick
from nbsnap.model import Content
from nbsnap.packs import ARRAY_PAYS, RAW, STREAM_PAYS, ZSTD, compress
from nbsnap.progress import Progress
from nbsnap.quiet import begin
from nbsnap.texts import is_fixed

__all__ = ["Line"]

WINDOW = 4 * PIECE_SIZE  # what a thread takes at a time; to write a GB by so much takes 0.37 s of CPU, 0.45 by the MiB
PIECES = WINDOW // PIECE_SIZE
SAMPLE = 1 << 16  # so much of a window is compressed to see whether it pays
SMALLEST = 192  # shorter content is not worth compressing: of 5,000 pickles of 145 bytes, in 15 ms, none got smaller
BUFFERS = 6

T = TypeVar("T")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> mmap.mmap:
    """Return memory for a window. Of a bytearray, all pages would be written before the first is used."""
    try:
        if sys.platform == "win32":
            return mmap.mmap(-1, WINDOW)
        memory = mmap.mmap(-1, WINDOW, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError from error
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


#: Makes a delta of a piece of a buffer, by its number and its bytes; None where there is nothing that it is like.
Differ = Callable[[int, memoryview], Delta | None]


class _Task:
    """A big buffer that is being hashed."""

    def __init__(self, view: memoryview, told: list[bytes], delta: Differ | None) -> None:
        self.view = view
        self.delta = delta
        self.fixed = is_fixed(view.obj)
        self.most = STREAM_PAYS if self.fixed else ARRAY_PAYS
        self.ids = told or [b""] * -(-len(view) // PIECE_SIZE)
        todo = (at * PIECE_SIZE for at in range(0, len(self.ids), PIECES) if b"" in self.ids[at : at + PIECES])
        self.windows = list(todo)
        self.count = len(self.windows)
        self.numbers: Iterator[int] = iter(range(self.count))  # `next` is one step for all threads
        self.arrived = 0
        self.early: dict[int, Row | None] = {}  # windows that are done before one in front of them
        self.left: queue.SimpleQueue[None] = queue.SimpleQueue()


class Line:
    """Content in, ids out, what is new into a pack. Used by one thread; `stop` must be called in the end."""

    def __init__(
        self,
        pack: Pack,
        stored: Callable[[bytes], bool],
        all_stored: Callable[[list[bytes]], bool],
        *,
        compressing: bool,
        progress: Progress | None = None,
        look: pages.Look | None = None,
    ) -> None:
        self.pack = pack
        self.progress = progress or Progress()
        self.new: set[bytes] = set()  # ids of what goes into the pack
        self.error: BaseException | None = None
        self._stored = stored
        self._all_stored = all_stored  # the same of many, and much faster; False may be wrong
        self._compressing = compressing
        self._live = seen.anything()  # the last piece was known by its quick hash: the next may be too, so no copy yet
        self._batch: list[Small] = []
        self._batched = 0
        self._look = look or pages.Look()
        self._order = threading.Lock()
        self._hashers: set[threading.Thread] = set()
        self._appenders: set[threading.Thread] = set()  # one, or none yet
        self._ended: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._jobs: queue.SimpleQueue[list[Small] | Row | None] = queue.SimpleQueue()
        self._free: queue.SimpleQueue[mmap.mmap] = queue.SimpleQueue()
        self._made = 0

    # --- the caller's thread ---------------------------------------------------------------------------------

    @property
    def coming(self) -> int:
        """How many bytes of small content wait to be appended."""
        return self._batched

    def put(self, data: Bytes, delta: Differ | None = None) -> tuple[Content, list[bytes]]:
        """Take any contiguous buffer of bytes or native numbers; return what stands for it, and the pieces' ids.

        `delta` knows what was there before; what is compressed does not ask it.
        """
        if type(data) is Named and self._stored(data.id):  # what is to be written is hashed once more
            self.progress.done += len(data)
            return Content(len(data), (data.id.hex(),)), [data.id]
        if isinstance(data, bytes) and 0 < len(data) < ALIGNED:
            ids = [self.small(data)]
            return Content(len(data), (ids[0].hex(),)), ids
        with memoryview(data) as view:
            if not view.c_contiguous:
                raise ValueError("only contiguous memory can be put into a store")
            size = view.nbytes
            if not size:
                return Content(0), []
            with view.cast("B") if view.format != "B" or view.ndim != 1 else view as flat:
                ids = self.big(flat, delta) if size >= ALIGNED else [self.small(bytes(flat))]
        return Content(size, tuple(id.hex() for id in ids)), ids

    def small(self, raw: bytes) -> bytes:
        """Take content that is one small piece; return its id."""
        self.progress.done += len(raw)
        id = digest(raw)
        if id not in self.new and not self._stored(id):
            stored = compress(raw) if self._compressing and len(raw) >= SMALLEST else None
            small = Small(id, raw, len(raw), RAW) if stored is None else Small(id, stored, len(raw), ZSTD)
            self._batch.append(small)
            self.new.add(id)
            self._batched += len(small.stored)
            if self._batched >= PIECE_SIZE:
                self._hand_over()
        return id

    def big(self, view: memoryview, delta: Differ | None = None) -> list[bytes]:
        """Take a big buffer; return the ids of its pieces. All of it has been read when this returns."""
        told = self._look.known(view)
        if not self._all_stored(list(filter(None, told))):
            told = [id if id and self._known(id) else b"" for id in told]
        task = _Task(view, told, delta)
        self.progress.done += len(view) - sum(min(WINDOW, len(view) - base) for base in task.windows)  # what is known
        threads = min(4, _cores(), task.count)
        try:
            if task.count and not self._made:  # with one, all can be done, whoever gets no other
                self._free.put(_memory())
                self._made = 1
            while 1 < threads > len(self._hashers):
                if not self._start(self._hashing, self._hashers, "nbsnap-hash"):
                    threads = len(self._hashers)
            if threads < 2:
                if task.count:
                    self._hash(task)
            else:
                for _ in range(threads):
                    self._tasks.put(task)
                for _ in range(threads):
                    _wait(task.left)
        except BaseException as error:
            self.fail(error)
            raise
        self.check()
        self._look.learn(view, task.ids)
        return task.ids

    def check(self) -> None:
        """Raise what stopped the line, if anything did."""
        if self.error is not None:
            raise self.error

    def finish(self) -> None:
        """Have everything appended, or raise what came in between."""
        self._hand_over()
        self.stop()
        self.check()

    def stop(self) -> None:
        """End the threads. What was handed over before is appended, unless there was an error."""
        for _ in range(len(self._hashers)):
            self._tasks.put(None)
        self._end(self._hashers)
        self._jobs.put(None)  # only now: a hashing thread may just have started the appending one
        self._end(self._appenders, math.inf if self.error is None else 0.15)

    def _start(self, work: Callable[[], None], running: set[threading.Thread], name: str) -> bool:
        """Start a thread; False where there can be none: for lack of memory, or at the end of the process."""

        def run() -> None:
            try:
                work()
            finally:
                running.discard(thread)
                self._ended.put(None)

        thread = threading.Thread(target=run, name=name, daemon=True)
        running.add(thread)
        began = False
        try:
            began = begin(thread)
        finally:
            if not began and not thread.is_alive():
                running.discard(thread)
        return began

    def _end(self, running: set[threading.Thread], patience: float = math.inf) -> None:
        """Wait for threads to end. `join` alone would not do: interrupted once, Python 3.11 takes them for ended.

        After an error or Ctrl-C nobody waits for a slow disk: the thread that is in a write ends right after it.
        """
        threads = list(running)
        until = time.monotonic() + patience
        while running and time.monotonic() < until:
            with contextlib.suppress(queue.Empty):
                self._ended.get(timeout=0.05)
        for thread in threads:
            if thread not in running:
                thread.join()

    def fail(self, error: BaseException) -> None:
        """Stop the line. The first error is the one that is told."""
        self.error = self.error or error

    def _hand_over(self) -> None:
        batch, self._batch, self._batched = self._batch, [], 0
        if batch and self._appenders:
            self._jobs.put(batch)
        elif batch:
            try:
                self.pack.small(batch)
            except BaseException as error:  # some ids are known as new, and may not be written
                self.fail(error)
                raise

    # --- the hashing threads ---------------------------------------------------------------------------------

    def _hashing(self) -> None:
        while (task := self._next(self._tasks)) is not None:
            left = task.left
            try:
                self._hash(task)
            except BaseException as error:
                self.fail(error)
            del task  # nothing of the caller's memory stays behind
            left.put(None)

    def _hash(self, task: _Task) -> None:
        """Hash pieces of a task until there are no more."""
        buffer = None
        while self.error is None:
            buffer = buffer or self._buffer()
            number = next(task.numbers, None)
            if buffer is None or number is None:
                break
            if self._window(task, number, buffer):
                buffer = None
        if buffer is not None:
            self._free.put(buffer)

    def _buffer(self) -> mmap.mmap | None:
        """Return a free buffer; while there is none, wait for the appending thread. None: the line was stopped."""
        while self.error is None:
            try:
                return self._free.get(block=self._made >= BUFFERS, timeout=0.1)
            except queue.Empty:
                if self._made < BUFFERS:
                    self._made += 1
                    with contextlib.suppress(MemoryError):
                        return _memory()
                    self._made = BUFFERS  # those that are there have to do
        return None

    def _window(self, task: _Task, number: int, buffer: mmap.mmap) -> bool:
        """Hash the pieces of a window, and have the new ones appended. Tell whether the buffer went along with them."""
        base = task.windows[number]
        fresh: dict[bytes, tuple[int, int]] = {}
        with task.view[base : base + WINDOW] as window:
            memory = memoryview(window if task.fixed else buffer)
            for start in range(0, len(window), PIECE_SIZE):
                if self.error is not None:
                    return False
                if task.ids[(base + start) // PIECE_SIZE]:
                    continue
                with window[start : start + PIECE_SIZE] as live:
                    stop = start + len(live)
                    id = self._name(live, memory[start:stop], task.fixed)
                task.ids[(base + start) // PIECE_SIZE] = id
                if not self._known(id):
                    fresh.setdefault(id, (start, stop))
            pays = bool(fresh) and self._compressing and _pays(window, task.most)
        if task.delta is not None and not pays:
            pieces = _deltas(task.delta, base // PIECE_SIZE, fresh, memory)
        else:
            pieces = [
                Big(id, start, stop, compress(memory[start:stop], task.most) if pays else None)
                for id, (start, stop) in fresh.items()
            ]
        return self._arrive(task, number, Row(pieces, memory, buffer) if pieces else None)

    def _name(self, live: memoryview, copy: memoryview, fixed: bool) -> bytes:
        """Return the id of a piece of memory. If it is new, `copy` holds what it is the id of."""
        if self._live:
            id = seen.find(quick(live))
            if id is not None and self._known(id):
                return id
            self._live = False
        if not fixed:
            copy[:] = live
        key = quick(copy)
        id = seen.find(key)
        if id is not None and self._known(id):
            self._live = True
            return id
        id = digest(copy)  # what is written is named by nothing else
        seen.keep(key, id)
        return id

    def _known(self, id: bytes) -> bool:
        return id in self.new or self._stored(id)

    def _arrive(self, task: _Task, number: int, row: Row | None) -> bool:
        """Let windows go on in their order: to the appending thread, or nowhere if nothing is new. Rule 2."""
        with self._order:
            task.early[number] = row
            while task.arrived in task.early:
                first = task.early.pop(task.arrived)
                task.arrived += 1
                self.progress.done += min(WINDOW, len(task.view) - task.windows[task.arrived - 1])
                if first is None:
                    continue
                pieces = [piece for piece in first.pieces if piece.id not in self.new]  # or a window before it has it
                if not pieces:
                    self._free.put(first.buffer)
                    continue
                self.new.update(piece.id for piece in pieces)
                started = self._appenders or self._start(self._appending, self._appenders, "nbsnap-append")
                self._hand_over()  # by the caller's thread, or while it waits
                first = first._replace(pieces=pieces)
                if started:
                    self._jobs.put(first)
                else:
                    self.pack.big(first)
                    self._free.put(first.buffer)
        return row is not None

    # --- the appending thread --------------------------------------------------------------------------------

    def _appending(self) -> None:
        while (job := self._next(self._jobs)) is not None:
            try:
                if self.error is None:
                    if isinstance(job, Row):
                        self.pack.big(job)
                    else:
                        self.pack.small(job)
            except BaseException as error:
                self.fail(error)
            if isinstance(job, Row):
                self._free.put(job.buffer)
            del job

    def _next(self, things: queue.SimpleQueue[T]) -> T | None:
        """Wait for the next thing to do. None: there is no more."""
        while True:
            try:
                return things.get(timeout=1.0)
            except queue.Empty:
                if self.error is not None:  # an interrupt came between, and nobody will send the end any more
                    return None


def _deltas(delta: Differ, first: int, fresh: Mapping[bytes, tuple[int, int]], memory: memoryview) -> list[Big]:
    """Return the new pieces of a window, whose first has the number `first`, as deltas where that is shorter."""
    pieces: list[Big] = []
    for id, (start, stop) in fresh.items():
        found = None
        if len(fresh) < PIECES or not pieces or pieces[0].base:  # all are new, and the first is nothing like it was
            found = delta(first + start // PIECE_SIZE, memory[start:stop])
        if found is None or found.base == id:  # one that was lost, and is there again
            pieces.append(Big(id, start, stop))
        else:
            pieces.append(Big(id, start, stop, found.stored, found.base))
    return pieces


def _pays(window: memoryview, most: float) -> bool:
    """Tell whether compressing pays, by a sample from the middle: it must get to `most` of its length."""
    start = max(0, (len(window) - SAMPLE) // 2)
    return compress(bytes(window[start : start + SAMPLE]), most) is not None


def _wait(left: queue.SimpleQueue[None]) -> None:
    """Wait for a thread to leave a task. The timeout lets Ctrl-C through on every system."""
    while True:
        try:
            return left.get(timeout=0.1)
        except queue.Empty:
            continue
