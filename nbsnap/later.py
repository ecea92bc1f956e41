"""What a restore has mapped is verified after it: in a thread of its own, which reads the files and never the memory.

A restore hands out mapped arrays before anybody has looked at their bytes (`reader`). The thread begins when the
restore has succeeded, and takes its time: it waits until the session is idle (for PATIENCE seconds at most), so that
what is done first with the arrays has the memory for itself. What is gone by then is verified all the same: something
was made of it. The end of the interpreter gives it ALLOWED seconds, and says so where they were not enough. What it
finds is told once for each group of variables; the pieces count as damaged from then on, so a second restore refuses
them by name, and the next snapshot of the right values stores them anew.

A forked child has no such thread."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence

from nbsnap import pages
from nbsnap.mapping import address
from nbsnap.packs import RAW
from nbsnap.pieces import Pieces
from nbsnap.quiet import begin
from nbsnap.reader import RUN, Laid, damaged
from nbsnap.tree import pack_file
from nbsnap.wording import to_stderr

__all__ = ["Tell", "verify", "wait"]

#: Told of damage: the names that it hurts, and what is wrong with which file.
Tell = Callable[[tuple[str, ...], str], None]

NICE = 10  # of the thread: the session's own threads go first
PATIENCE = 2.0
ALLOWED = 2.0  # seconds at the end of the interpreter
_IDLE, _LOOK = 0.2, 0.1  # a processor is idle that works for less than this part of so many seconds

_threads: list[threading.Thread] = []
_ending = threading.Event()
_hurry = threading.Event()  # somebody waits


def verify(pieces: Pieces, laid: Sequence[Laid], tell: Tell) -> None:
    """Verify, from now on, what a restore has mapped; `tell` is called in the thread that does so."""
    if not laid:
        return
    work = functools.partial(_work, pieces, laid, tell)
    thread = threading.Thread(target=_nicely, args=(work,), name="nbsnap-verify", daemon=True)
    _hurry.clear()
    if not begin(thread):
        work()
        return
    if not _threads:
        atexit.register(_end)
    _threads[:] = [other for other in _threads if other.is_alive()] + [thread]


def wait(timeout: float | None = None) -> bool:
    """Wait until all that was restored in this process is verified; False if that takes longer than `timeout`."""
    until = None if timeout is None else time.monotonic() + timeout
    _hurry.set()
    for thread in list(_threads):
        thread.join(None if until is None else max(0.0, until - time.monotonic()))
    return not any(thread.is_alive() for thread in _threads)


def _nicely(work: Callable[[], None]) -> None:
    if sys.platform == "linux":  # where a thread has a priority of its own
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
    _be_patient()
    work()


def _be_patient() -> None:
    """Wait until this process does nothing, or somebody waits for it."""
    used, until = time.process_time(), time.monotonic() + PATIENCE
    while time.monotonic() < until and not _hurry.wait(_LOOK):
        before, used = used, time.process_time()
        if used - before < _IDLE * _LOOK:
            return


def _work(pieces: Pieces, laid: Sequence[Laid], tell: Tell) -> None:
    told: set[tuple[str, ...]] = set()
    sound: list[Laid] = []
    scratch = bytearray(RUN)
    for part in laid:
        if _ending.is_set():
            return
        found = damaged(pieces, part, scratch)
        if not found:
            sound.append(part)
        elif part.names not in told:
            told.add(part.names)
            piece, _ = found[0]
            file = pieces.backend.describe(pack_file(part.run.pack))
            name = piece.id.hex()[:12]
            tell(part.names, f"{file} is damaged: piece {name} at {piece.offset} was altered (wrong hash)")
    believe(sound)


def believe(sound: Sequence[Laid]) -> None:
    """Let the next snapshot ask the kernel what of this was written, instead of reading it again (`pages`)."""
    whole = [part for part in sound if part.run.pieces[0].codec == RAW]  # a delta has been written into it
    held = [(region, part.run) for part in whole if (region := part.region()) is not None]
    pages.mapped((address(region) + run.at, run.size, [piece.id for piece in run.pieces]) for region, run in held)


def _end() -> None:
    """Stop the threads while they still can be: one that is in the midst of hashing must not be cut off."""
    done = wait(ALLOWED)
    _ending.set()
    if not done:
        to_stderr("nbsnap: not all that was restored could be verified: `nbsnap check` does")
        wait(2.0)
