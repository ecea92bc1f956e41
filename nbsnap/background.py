"""Work that a forked child does while the session goes on, under a watchdog.

A fork is a copy of all memory in a few milliseconds, made by the page tables and shared until somebody writes. So what
the child sees stays as it was at the fork, whatever the session does, and the child can hash, compress and write for as
long as the disk needs. Three rules make that safe in a process full of libraries and threads:

- The child runs our own storage code only, never a library's or the user's: locks and thread pools that other threads
  held at the fork are not there in the child, and whoever touches them hangs.
- It leaves the session's files, sockets, terminal and process group at once. So a kernel that is killed and started
  again finds its ports free, and what kills the kernel's group does not reach the child, which finishes the snapshot.
- It leaves by `os._exit`: no exit handler and no finalizer of the session runs a second time.

The parent's thread reads the outcome from a pipe. A child that uses no processor time for a minute, and does not wait
for a disk either, is taken for hung and killed. The writer publishes nothing before its end, so nothing else is lost.

Only on Linux: on macOS a forked child may not use what system libraries have set up, and Windows has no fork. `refusal`
says where it is not possible, or not wise for lack of memory; the caller then does the work in the foreground.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .errors import NbSnapError
from .quiet import begin, uninterrupted

#: Seconds without a sign of life after which a child is given up.
PATIENCE = 60.0
_LOOK = 5.0  # seconds between two looks at it
_SPARE = 256 << 20  # bytes of memory that have to be free: pages that the session writes to are copied meanwhile


class Job:
    """One child. `wait` returns when it is over, and `ended` has been called with what came of it."""

    def __init__(self, name: str, pipe: int, ended: Callable[[Mapping[str, Any]], None]) -> None:
        self.name = name  # what it is about, for people
        self.pid = 0
        self._pipe = pipe
        self._ended = ended
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="nbsnap-background", daemon=True)
        self.watched = begin(self._thread)  # before the fork: after it, all that a new thread touches is copied first

    def begin(self, pid: int) -> None:
        """Watch this child; 0: there is none."""
        if pid:
            self.pid = pid
            _jobs.append(self)
        self._begun.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, `timeout` seconds at most; tell whether it is over. Ctrl-C interrupts the waiting only."""
        until = None if timeout is None else time.monotonic() + timeout
        while self._thread.is_alive():
            left = 0.1 if until is None else min(0.1, until - time.monotonic())
            if left <= 0:
                return False
            self._thread.join(left)
        return True

    def _watch(self) -> None:
        self._begun.wait()
        if not self.pid:
            os.close(self._pipe)
            return
        try:
            try:
                told = self._read()
            finally:
                _telling.append(self)  # before it leaves the others, so that `wait` sees it in one of the two
                os.close(self._pipe)
                _reap(self.pid)
                if self in _jobs:
                    _jobs.remove(self)
            self._ended(told)
        finally:
            _telling.remove(self)

    def _read(self) -> Mapping[str, Any]:
        """Return what the child says at its end."""
        import select

        data = bytearray()
        alive, since = _signs_of_life(self.pid), time.monotonic()
        while True:
            ready, _, _ = select.select([self._pipe], [], [], _LOOK)
            if ready:
                part = os.read(self._pipe, 1 << 16)
                if not part:
                    break
                data += part
                since = time.monotonic()
            elif (now := _signs_of_life(self.pid)) != alive:
                alive, since = now, time.monotonic()
            elif time.monotonic() - since > PATIENCE:
                os.kill(self.pid, signal.SIGKILL)
                return {"error": f"the process that wrote it did not go on for {PATIENCE:.0f} s and was ended"}
        try:
            told = json.loads(data)
        except ValueError:
            told = None
        return told if isinstance(told, dict) else {"error": "the process that wrote it was killed"}


_jobs: list[Job] = []
_telling: list[Job] = []  # those whose child is gone, and of which it is being told


def refusal(needs: int = 0) -> str:
    """Return why nothing can be done in the background now, with `needs` bytes of memory copied before, or ""."""
    if sys.platform != "linux" or not hasattr(os, "fork"):
        return "this system cannot write in the background"
    if (free := free_memory()) is not None and free < _SPARE + needs:
        return f"only {free >> 20} MiB of memory are free, too little to write in the background"
    return ""


def start(name: str, work: Callable[[], dict[str, Any]], ended: Callable[[Mapping[str, Any]], None]) -> bool:
    """Do `work` in a child; False where the system has no room for another process.

    What `work` returns, as JSON, or `{"error": line}` is handed to `ended`, in a thread of this process. Where it
    returns `{"become": [program, argument, …]}`, the child becomes that program. Its last argument is the number of the
    pipe, into which it writes white space as a sign of life, and in the end the JSON.
    """
    try:
        reading, writing = os.pipe()
    except OSError:  # too many open files
        return False
    with uninterrupted():
        job = Job(name, reading, ended)
        if not job.watched:
            os.close(reading)
            os.close(writing)
            return False
        pid = 0
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python's and JAX's of threads: the child does not use what they hold
                pid = os.fork()
            if not pid:
                _child(writing, work)
        except OSError:
            return False
        finally:
            os.close(writing)
            job.begin(pid)
    return True


def wait(timeout: float | None = None) -> bool:
    """Wait until no job is under way, and it was told of all; tell whether that is so.

    Whoever is told of one and waits himself waits for those under way only: else two could wait for each other.
    """
    until = None if timeout is None else time.monotonic() + timeout
    jobs = list(_jobs)  # first: who leaves it is among the others by then
    telling = list(_telling)
    if threading.current_thread() not in [job._thread for job in telling]:
        jobs += telling
    return all(job.wait(None if until is None else max(0.0, until - time.monotonic())) for job in jobs)


def under_way() -> tuple[str, ...]:
    """Return the names of the jobs that are not over."""
    return tuple(job.name for job in _jobs)


# --- the child --------------------------------------------------------------------------------------------------------


def _child(writing: int, work: Callable[[], dict[str, Any]]) -> None:
    """Do the work and leave. Nothing gets out of here, whatever happens."""
    try:
        gc.disable()  # a collection would run the user's finalizers
        os.setsid()
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN if number != signal.SIGTERM else signal.SIG_DFL)
        _leave_files(writing)
        try:
            told = work()
        except NbSnapError as error:
            told = {"error": str(error)}
        except BaseException as error:
            told = {"error": f"{type(error).__name__}: {error}"}
        if "become" in told:  # another program, which goes on and tells of it by the same pipe
            os.set_inheritable(writing, True)
            command = [*told["become"], str(writing)]
            os.execv(command[0], command)
        data = memoryview(json.dumps(told).encode())
        while data:
            data = data[os.write(writing, data) :]
    finally:
        os._exit(0)


def _leave_files(kept: int) -> None:
    """Close every file of the parent's but one, and have nothing to read from or write to."""
    for fd in {0, 1, 2} - {kept}:  # first: to read the list is to open a file, and there may be room for none
        with contextlib.suppress(OSError):
            os.close(fd)
    for fd in sorted(map(int, os.listdir("/proc/self/fd"))):
        if fd != kept:
            with contextlib.suppress(OSError):  # the one by which the list was read
                os.close(fd)
    for fd in range(3):
        if os.open(os.devnull, os.O_RDWR) != fd:
            break


# --- looking at it ----------------------------------------------------------------------------------------------------


#: The system calls that are about files: write, fsync, open, close, rename, unlink and the like. A disk that is on a
#: network, or a file system that is a program, lets them wait (in state S) where a plain one does not.
_OF_FILES = {
    "x86_64": {1, 2, 3, 4, 5, 6, 17, 18, 20, 73, 74, 75, 77, 82, 83, 87, 91, 217, 221, 257, 258, 262, 263, 264, 277,
               295, 306, 316, 332},
    "aarch64": {34, 35, 38, 46, 52, 56, 57, 61, 32, 64, 66, 67, 68, 69, 79, 80, 82, 83, 84, 223, 267, 276, 291},
}  # fmt: skip


def _signs_of_life(pid: int) -> object:
    """Return something that changes as long as a process works; while it waits for a disk, each time."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        if any(_waits_for_disk(pid, task) for task in os.listdir(f"/proc/{pid}/task")):
            return time.monotonic()
    except OSError:
        return None
    return fields[11], fields[12]


def _waits_for_disk(pid: int, task: str) -> bool:
    with contextlib.suppress(OSError, ValueError):  # it has ended, or may not be looked at
        with open(f"/proc/{pid}/task/{task}/stat", "rb") as file:
            if file.read().rpartition(b")")[2].split()[0] == b"D":
                return True
        with open(f"/proc/{pid}/task/{task}/syscall", "rb") as file:
            return int(file.read().split()[0]) in _OF_FILES.get(os.uname().machine, ())
    return False


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):  # somebody waits for all children
        os.waitpid(pid, 0)


def free_memory() -> int | None:
    """Return the bytes of memory that can still be had: of the machine, or what a cgroup leaves; None if unknown."""
    found = [*_in_meminfo(), *_in_cgroup()]
    return min(found) if found else None


def _in_meminfo() -> Iterator[int]:
    with contextlib.suppress(OSError, ValueError), open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                yield int(line.split()[1]) << 10


def _in_cgroup() -> Iterator[int]:
    with contextlib.suppress(OSError, ValueError, IndexError):
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            path = next(line[3:].strip() for line in file if line.startswith("0::"))
        folder = f"/sys/fs/cgroup{path}"
        with open(f"{folder}/memory.max", encoding="ascii") as file:
            most = int(file.read())  # "max" is no number
        with open(f"{folder}/memory.stat", encoding="ascii") as file:
            held = dict(line.split() for line in file)
        with open(f"{folder}/memory.current", encoding="ascii") as file:
            yield most - int(file.read()) + int(held["file"])


@atexit.register
def _say_goodbye() -> None:
    """Say at exit what is still being written: the child goes on by itself."""
    for job in _jobs:
        print(f"nbsnap: {job.name} is still being written, by process {job.pid}, which goes on", file=sys.stderr)
