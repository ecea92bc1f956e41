"""Blocks that are left in peace: by the garbage collector, or by Ctrl-C."""

from __future__ import annotations

import contextlib
import gc
import signal
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def unhurried() -> Iterator[None]:
    """Keep the cyclic garbage collector off while the block runs, if it was on.

    Where many objects are visited or made, it would look at each again and again, for nothing.
    """
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back while the block runs, and deliver it afterwards. In other threads it never arrives."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[tuple[int, Any]] = []
    before = signal.getsignal(signal.SIGINT)
    if not callable(before):  # ignored, default, or installed from C: nothing that we could call again
        yield
        return
    try:
        signal.signal(signal.SIGINT, lambda number, frame: held.append((number, frame)))
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if held:
            before(*held[0])
