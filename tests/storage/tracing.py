"""Processes that die, or are told of an error, at the very system call that one chooses: ptrace, from Python alone.

    traced(work, at=7, how="before")     a child forks off, does `work`, and is killed with SIGKILL as it begins its
                                         eighth call that writes: the call is not made
                "after"                  ... as it ends it: the call was made
                "torn"                   ... when half of what it writes has got through
                28 (or another errno)    the call is not made, and fails with that error
                None                     nothing happens: the calls are counted

What counts are calls that change something on a disk (and with `reads` those that only look), by whatever thread and
whatever process that it forks; and only on what is below `place`, an absolute path. The process that made the
call is killed, all threads of it, and no other: a child that writes in the background goes on when its parent is gone,
as the kernel has it.

Linux on x86_64, where nothing forbids ptrace; `possible()` tells.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Call", "Traced", "possible", "traced"]

#: Calls of x86_64. Those with a "fd" act on an open file, which is their first argument.
WRITING = {
    1: "write fd", 18: "pwrite fd", 20: "writev fd", 296: "pwritev fd", 328: "pwritev2 fd", 40: "sendfile fd",
    326: "copy_file_range", 74: "fsync fd", 75: "fdatasync fd", 77: "ftruncate fd", 285: "fallocate fd",
    91: "fchmod fd", 73: "flock fd", 76: "truncate", 82: "rename", 264: "renameat", 316: "renameat2", 86: "link",
    265: "linkat", 87: "unlink", 263: "unlinkat", 83: "mkdir", 258: "mkdirat", 84: "rmdir", 88: "symlink",
    266: "symlinkat", 90: "chmod", 268: "fchmodat", 85: "creat", 2: "open", 257: "openat",
}  # fmt: skip
LOOKING = {
    0: "read fd", 17: "pread fd", 19: "readv fd", 295: "preadv fd", 327: "preadv2 fd", 217: "getdents64 fd",
    5: "fstat fd", 262: "newfstatat", 332: "statx", 4: "stat", 6: "lstat", 21: "access", 269: "faccessat",
    439: "faccessat2", 9: "mmap", 8: "lseek fd", 221: "fadvise fd",
}  # fmt: skip
OPENS = {2: 1, 257: 2}  # open, openat: which argument has the flags
AT = ("at", "at2", "statx")  # ends of names of calls of which the second argument is the path
MAPS = 9

_TRACEME, _POKEUSER, _SYSCALL, _SETOPTIONS, _MESSAGE, _INFO = 0, 6, 24, 0x4200, 0x4201, 0x420E
_BIRTHS = (1, 2, 3)  # fork, vfork, clone
_OPTIONS = 0x1 | 0x2 | 0x4 | 0x8 | 0x100000  # mark system calls; follow fork, vfork, clone; nobody outlives the tracer
_ALL = 0x40000000
_RAX, _RDX, _ORIG_RAX = 10 * 8, 12 * 8, 15 * 8
_ENTRY, _EXIT = 1, 2


def _ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> int:
    call = ctypes.CDLL(None, use_errno=True).ptrace
    call.restype, call.argtypes = ctypes.c_long, [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    done: int = call(request, pid, address, data)
    if done < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return done


@dataclass
class Call:
    """A system call that was seen."""

    name: str
    pid: int
    file: str = ""


@dataclass
class Traced:
    """What became of a child."""

    calls: list[Call] = field(default_factory=list)  # those that count, the last one made or not made
    struck: bool = False  # it came to the call that was chosen
    status: int = 0  # of the child, as os.waitstatus_to_exitcode has it


class _Tracer:
    def __init__(self, place: str, at: int, how: str | int | None, *, reads: bool, lasting: bool) -> None:
        self.place, self.at, self.how, self.lasting = place, at, how, lasting
        self.wanted = WRITING | LOOKING if reads else WRITING
        self.reads = reads
        self.found = Traced()
        self.waiting: dict[int, str | int] = {}  # thread -> what happens as its call ends
        self.info = ctypes.create_string_buffer(88)

    def at_a_call(self, thread: int) -> None:
        _ptrace(_INFO, thread, 88, ctypes.addressof(self.info))
        kind, number, *words = struct.unpack_from("<B23x7Q", self.info)
        if kind == _EXIT:
            self.leaves(thread)
        elif kind == _ENTRY and (call := self.counts(thread, number, words)) is not None:
            self.found.calls.append(call)
            last = len(self.found.calls) - 1
            if self.how is not None and (last == self.at or (self.lasting and last > self.at)):
                self.strikes(thread, number, words)

    def counts(self, thread: int, number: int, words: list[int]) -> Call | None:
        name = self.wanted.get(number)
        if name is None or (number in OPENS and not self.reads and not words[OPENS[number]] & os.O_CREAT):
            return None
        if number == MAPS and words[4] >= 1 << 31:  # of nothing
            return None
        file = ""
        if name.endswith(" fd") or number == MAPS:
            try:
                file = os.readlink(f"/proc/{thread}/fd/{words[4] if number == MAPS else words[0]}")
            except OSError:
                return None
        else:
            file = path_of(thread, words[1 if name.endswith(AT) else 0])
        if not file.startswith(self.place):
            return None
        return Call(name.removesuffix(" fd"), thread, file)

    def strikes(self, thread: int, number: int, words: list[int]) -> None:
        self.found.struck = True
        if self.how == "before":
            kill(thread)
        elif self.how == "torn" and number == 1 and words[2] > 1:
            _ptrace(_POKEUSER, thread, _RDX, words[2] // 2)
            self.waiting[thread] = "after"
        elif isinstance(self.how, int):
            _ptrace(_POKEUSER, thread, _ORIG_RAX, 2**64 - 1)  # no such call
            self.waiting[thread] = self.how
        else:
            self.waiting[thread] = "after"

    def leaves(self, thread: int) -> None:
        what = self.waiting.pop(thread, None)
        if what == "after":
            kill(thread)
        elif isinstance(what, int):
            _ptrace(_POKEUSER, thread, _RAX, 2**64 - what)

    def run(self, child: int) -> Traced:
        os.waitpid(child, 0)
        _ptrace(_SETOPTIONS, child, 0, _OPTIONS)
        alive, begun, gone = {child}, {child}, set[int]()  # `begun`: those that have stopped once
        _ptrace(_SYSCALL, child)
        while alive:  # the process may have other children, which are nobody's here
            thread, status = os.waitpid(-1, _ALL)
            if not os.WIFSTOPPED(status):
                alive.discard(thread)
                gone.add(thread)
                if thread == child:
                    self.found.status = os.waitstatus_to_exitcode(status)
                continue
            sent = os.WSTOPSIG(status)
            try:
                if sent == signal.SIGTRAP | 0x80:
                    self.at_a_call(thread)
                    sent = 0
                elif event := status >> 16:
                    sent = 0
                    if event in _BIRTHS and (born := _told(thread)) not in gone:
                        alive.add(born)
                elif sent == signal.SIGSTOP and thread not in begun:
                    sent = 0
                alive.add(thread)
                begun.add(thread)
                _ptrace(_SYSCALL, thread, 0, sent)
            except ProcessLookupError:  # killed just now
                continue
        return self.found


def _told(thread: int) -> int:
    """Return who was born, as an event says."""
    told = ctypes.c_ulong()
    _ptrace(_MESSAGE, thread, 0, ctypes.addressof(told))
    return told.value


def path_of(thread: int, address: int) -> str:
    """Return the text at an address of a process."""
    with open(f"/proc/{thread}/mem", "rb", buffering=0) as memory:
        return os.pread(memory.fileno(), 300, address).partition(b"\0")[0].decode(errors="replace")


def kill(thread: int) -> None:
    """Kill the process to which a thread belongs."""
    with open(f"/proc/{thread}/status") as file:
        (process,) = (int(line.split()[1]) for line in file if line.startswith("Tgid:"))
    os.kill(process, signal.SIGKILL)


def traced(
    work: Callable[[], None],
    *,
    place: str = "",
    at: int = 0,
    how: str | int | None = None,
    first: Callable[[], None] | None = None,
    reads: bool = False,
    lasting: bool = False,
) -> Traced:
    """Do `work` in a child, which dies or fails at the call number `at`; `first` is done there before calls count.

    `lasting`: an error is told at every later call, too.
    """
    child = os.fork()
    if not child:
        code = 70
        try:
            if first is not None:
                first()
            _ptrace(_TRACEME, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            work()
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    return _Tracer(place, at, how, reads=reads, lasting=lasting).run(child)


def possible() -> str:
    """Return why this cannot be done here, or "" if it can."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "ptrace as on Linux, x86_64"
    try:
        seen = traced(lambda: os.rename("/nowhere", "/nowhere"), at=0, how="before")
    except OSError as error:
        return f"ptrace: {error}"
    return "" if seen.status == -signal.SIGKILL and seen.struck else "ptrace does not do here what it should"
