"""Blocks that are left in peace, by the garbage collector, by other threads or by Ctrl-C; streams that Ctrl-C gets
through; threads that begin where there is memory for them."""

from __future__ import annotations

import contextlib
import gc
import io
import mmap
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

_ROOM = 16 << 20


@contextlib.contextmanager
def unhurried() -> Iterator[None]:
    """Keep the cyclic garbage collector off while the block runs, if it was on.

    Where many objects are visited or made, it would look at each again and again, for nothing. Of several threads the
    last one puts it on again.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


_gate = threading.Lock()
_inside, _was_on = 0, False


def _enter() -> None:
    global _inside, _was_on
    with _gate:
        if not _inside:
            _was_on = gc.isenabled()
        gc.disable()
        _inside += 1


def _leave() -> None:
    global _inside
    with _gate:
        _inside -= 1
        if not _inside and _was_on:
            gc.enable()


_turn = threading.RLock()


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let no other thread into such a block while this one runs; it waits."""
    with _turn:
        yield


def _renew() -> None:
    """Begin anew in a forked child: other threads that were in there are not here."""
    global _gate, _turn
    _gate, _turn = threading.Lock(), threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back while the block runs, and deliver it afterwards. In other threads it never arrives.

    So it is done with a timer's signal, which people use as a deadline (and so do we, when the process ends).
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _held(signal.SIGINT), _held(getattr(signal, "SIGALRM", signal.SIGINT)):
        yield


@contextlib.contextmanager
def _held(number: int) -> Iterator[None]:
    held: list[tuple[int, Any]] = []
    before = signal.getsignal(number)
    if not callable(before):  # ignored, default, or installed from C: nothing that we could call again
        yield
        return
    try:
        signal.signal(number, lambda number, frame: held.append((number, frame)))
        yield
    finally:
        signal.signal(number, before)
        if held:
            before(*held[0])


def begin(thread: threading.Thread) -> bool:
    """Start a thread; False where there is no room for it.

    Where a new thread gets a stack, and then not a byte more, `start` waits for it for ever: so twice as much as a
    stack has to be free. Ctrl-C in the midst of `start` may leave a thread that waits for ever: so it is held back.
    """
    try:
        mmap.mmap(-1, _ROOM).close()
        with uninterrupted():
            thread.start()
    except (OSError, RuntimeError, MemoryError):
        return False
    return True


class Interruptible(io.BytesIO):
    """What a pickler writes to, by way of Python for each frame of 64 KiB.

    Picklers run in C for as long as there is data, and Ctrl-C only gets through where Python code runs.
    """

    def write(self, data: Any, /) -> int:
        """Append `data`."""
        return super().write(data)


class Reading:
    """What an unpickler reads from, as interruptible. It reads the parts of a stream where they are, without making
    one of them, and lets go of each that it is through with."""

    def __init__(self, parts: Iterable[bytes | bytearray]) -> None:
        self._rest = deque(parts)
        self._view = memoryview(b"")
        self._at = 0

    def read(self, size: int, /) -> bytes:
        """Return the next `size` bytes, or as many as there are."""
        found = bytes(self._view[self._at : self._at + size])
        self._at += len(found)
        return found if len(found) == size or not self._rest else self._on(found, size)

    def readline(self) -> bytes:
        """Return what is left of a line: some codes of pickle, which ours do not use, stand on one."""
        line = bytearray()
        while (byte := self.read(1)) and byte != b"\n":
            line += byte
        return bytes(line + byte)

    def _on(self, found: bytes, size: int) -> bytes:
        """Return as many bytes as are missing, from the parts that follow, behind those that were found."""
        pieces = [found]
        while size := size - len(pieces[-1]):
            if not self._rest:
                break
            self._view = memoryview(self._rest.popleft())
            pieces.append(bytes(self._view[:size]))
            self._at = len(pieces[-1])
        return b"".join(pieces)
