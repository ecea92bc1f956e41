"""PAGEMAP_SCAN, userfaultfd and /proc: what Linux offers for telling which memory was written. `pages` has the theory.

Everything raises OSError where it cannot be had."""

from __future__ import annotations

import bisect
import contextlib
import functools
import mmap
import os
import re
import struct
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

__all__ = [
    "LINUX",
    "Area",
    "Kernel",
    "areas",
    "covering",
    "down",
    "inherited",
    "is_plain",
    "pinning",
    "reading",
    "up",
    "where",
]

PAGE = mmap.PAGESIZE
SCAN = 0xC0606610  # _IOWR('f', 16, struct pm_scan_arg)
REGISTER, PROTECT, HANDSHAKE = 0xC020AA00, 0xC018AA06, 0xC018AA3F
ALLOWED, WRITTEN, FILE, PRESENT, SWAPPED = 1, 2, 4, 8, 16
WP_UNPOPULATED, WP_ASYNC = 1 << 13, 1 << 15
USER_MODE_ONLY = 1
SYSCALL = {"x86_64": 323, "aarch64": 282}  # userfaultfd(2). On other machines even ioctls are numbered differently
STEP = 1 << 26  # bytes that are marked in one call: meanwhile nobody can map or unmap memory
REGIONS = 4096  # that one call tells; if four calls do not suffice, the memory is too torn to be worth it

_LINE = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) (\S+) (\d+) *(.*)$", re.M)
_SUSPECT = re.compile(rb" ((?:/dev/|anon_inode:|/\[aio\])[^\n]*)")
#: What may be open, or mapped, in a process whose memory no device writes to. All else under /dev may pin.
_HARMLESS = re.compile(
    r"/dev/(null|zero|full|u?random|kmsg|console|tty\w*|ptmx|pts/.*|shm/.*|mqueue/.*|hugepages/.*|stdin|stdout|stderr)"
    r"( \(deleted\))?"
    r"|anon_inode:(\[(eventpoll|eventfd|timerfd|signalfd|pidfd|userfaultfd|fanotify|perf_event)\]|inotify)"
)


#: Calls that fill memory of the caller: read and pread64, which name it, then readv, preadv and preadv2, which do not.
_READS = {"x86_64": ((0, 17), (19, 295, 327)), "aarch64": ((63, 67), (65, 69, 286))}

LINUX = sys.platform == "linux" and sys.maxsize > 1 << 32 and os.uname().machine in SYSCALL


class Area(NamedTuple):
    """A line of /proc/self/maps."""

    start: int
    stop: int
    access: bytes
    file: tuple[bytes, bytes, int]
    path: bytes


class Kernel:
    """The files by which the kernel is asked, for one process."""

    def __init__(self, *, tracks: bool) -> None:
        import ctypes  # not for those who only list snapshots

        self._ctypes = ctypes
        self.pid = os.getpid()
        self.tracks = tracks
        self._regions = (ctypes.c_uint64 * (3 * REGIONS))()
        self._tracker = -1
        self._pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._scan(0, 0, 0, 0, 0, 0)  # an old kernel, or a filter, says no here
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Close the files. All marks go with them."""
        for fd in (self._pagemap, self._tracker):
            if fd >= 0:
                os.close(fd)
        self._pagemap = self._tracker = -1

    def scan(self, start: int, stop: int, *, of: int, none: int, any: int, tell: int) -> Iterator[tuple[int, int]]:
        """Yield the ranges of pages (begin, end), around these addresses, that have all of `of`, but none of `none`.

        Where that is too many, raise OSError.
        """
        at, stop = down(start), up(stop)
        for _ in range(4):
            count, at = self._scan(at, stop, of, none, any, tell)
            found = self._regions[: 3 * count]
            yield from zip(found[::3], found[1::3], strict=True)
            if at >= stop:
                return
        raise OSError("too many ranges")

    def _scan(self, start: int, stop: int, of: int, none: int, any: int, tell: int) -> tuple[int, int]:
        import fcntl

        where = self._ctypes.addressof(self._regions)
        argument = bytearray(struct.pack("=12Q", 96, 0, start, stop, 0, where, REGIONS, 0, none, of, any, tell))
        count = fcntl.ioctl(self._pagemap, SCAN, argument)
        return count, struct.unpack_from("=Q", argument, 32)[0]

    # --- tracking ---------

    def open(self) -> bool:
        """Tell whether memory can be marked, by a userfaultfd that is made when it is first needed."""
        if self._tracker < 0 and self.tracks:
            import fcntl

            self.tracks = False
            if _status("Seccomp") == 0:
                call = self._ctypes.CDLL(None, use_errno=True).syscall
                fd = call(SYSCALL[os.uname().machine], os.O_CLOEXEC | os.O_NONBLOCK | USER_MODE_ONLY)
                if fd >= 0:
                    try:
                        features = WP_UNPOPULATED | WP_ASYNC
                        fcntl.ioctl(fd, HANDSHAKE, bytearray(struct.pack("=3Q", 0xAA, features, 0)))
                    except OSError:
                        os.close(fd)
                    else:
                        self._tracker, self.tracks = fd, True
        return self.tracks

    def register(self, start: int, stop: int) -> None:
        """Have marks mean something in a mapping."""
        import fcntl

        fcntl.ioctl(self._tracker, REGISTER, bytearray(struct.pack("=4Q", start, stop - start, 2, 0)))

    def protect(self, start: int, stop: int, on: int) -> None:
        """Mark pages, or take their marks away."""
        import fcntl

        for at in range(start, stop, STEP):
            part = struct.pack("=3Q", at, min(STEP, stop - at), on)
            fcntl.ioctl(self._tracker, PROTECT, bytearray(part))


@functools.cache
def _buffer() -> Any:
    import ctypes  # not for those who only list snapshots

    class Buffer(ctypes.Structure):
        _fields_ = [  # Py_buffer
            ("buf", ctypes.c_void_p),
            ("obj", ctypes.py_object),
            ("len", ctypes.c_ssize_t),
            ("itemsize", ctypes.c_ssize_t),
            ("readonly", ctypes.c_int),
            ("ndim", ctypes.c_int),
            ("rest", ctypes.c_void_p * 5),
        ]

    return Buffer


def where(view: memoryview) -> int:
    """Return where the memory of a view begins."""
    import ctypes

    buffer, python = _buffer()(), ctypes.pythonapi
    try:  # Ctrl-C may come right behind the call
        if python.PyObject_GetBuffer(ctypes.py_object(view), ctypes.byref(buffer), 0) != 0:
            raise BufferError
        return int(buffer.buf or 0)
    finally:
        python.PyBuffer_Release(ctypes.byref(buffer))  # nothing, where it was not got


# --- what /proc says ---------------------------------------------------------------------------------------------


def areas() -> list[Area]:
    """Return all mappings of this process, by address."""
    with open("/proc/self/maps", "rb") as file:
        lines = _LINE.findall(file.read())
    found = []
    for start, stop, access, offset, device, inode, path in lines:
        at = int(start, 16)
        found.append(Area(at, int(stop, 16), access, (device, inode, int(offset, 16) - at), path))
    return found


def covering(lines: list[Area], start: int, stop: int) -> list[Area]:
    """Return the mappings that hold all of this memory, or nothing."""
    first = bisect.bisect_right(lines, start, key=lambda area: area.start) - 1
    found: list[Area] = []
    for area in lines[max(0, first) :]:
        if start >= stop or not area.start <= start < area.stop:
            break
        found.append(area)
        start = area.stop
    return found if start >= stop else []


def is_plain(area: Area) -> bool:
    """Tell whether it is private memory without a file, that can be written."""
    named = area.path in (b"", b"[heap]") or area.path.startswith(b"[anon:")
    return area.access == b"rw-p" and area.file[:2] == (b"00:00", b"0") and named


def inherited() -> Callable[[memoryview], bool]:
    """Return a function that tells of memory whether a forked child has a copy of it: as it was, to read as it likes.

    It has not of mappings that are shared (it would see what the parent writes), nor of those that a driver or a
    library has marked as not to be copied (`MADV_DONTFORK`), which `smaps` shows. That file costs a walk over all page
    tables, so it is read only where a device is in use.
    """
    lines = areas()
    kept = _not_copied() if pinning() else set()

    def tell(view: memoryview) -> bool:
        start = where(view)
        found = covering(lines, start, start + view.nbytes)
        return bool(found) and all(area.access.endswith(b"p") and area.start not in kept for area in found)

    return tell


def _not_copied() -> set[int]:
    """Return where the mappings begin that a fork leaves out."""
    found = set()
    with open("/proc/self/smaps", "rb") as file:
        start = 0
        for line in file:
            if (head := _LINE.match(line)) is not None:
                start = int(head[1], 16)
            elif line.startswith(b"VmFlags:") and b" dc " in line:
                found.add(start)
    return found


def _status(field: str) -> int:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith(field + ":"):
                return int(line.split()[1])
    return -1


def reading(places: Iterable[tuple[int, int]]) -> bool:
    """Tell whether another thread may be in the midst of a read into this memory (address, length)."""
    named, unnamed = _READS[os.uname().machine]
    own = threading.get_native_id()
    for task in map(int, os.listdir("/proc/self/task")):
        if task == own:
            continue
        try:
            with open(f"/proc/self/task/{task}/syscall", "rb") as file:
                words = file.read().split()
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
        if words[0] == b"running":  # perhaps in such a call: that is not told
            return True
        call = int(words[0])
        if call in unnamed:
            return True
        if call in named:
            start, length = int(words[2], 16), int(words[3], 16)
            if any(start < address + size and address < start + length for address, size in places):
                return True
    return False


def pinning() -> bool:
    """Tell whether a device may write to memory of this process. Rule 4."""
    with open("/proc/self/maps", "rb") as maps:
        names = set(map(os.fsdecode, _SUSPECT.findall(maps.read())))
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one of the listing
            names.add(os.readlink(f"/proc/self/fd/{fd}"))
    suspects = (name for name in names if name.startswith(("/dev/", "anon_inode:", "/[aio]")))
    return _status("VmPin") != 0 or not all(map(_HARMLESS.fullmatch, suspects))


def down(address: int) -> int:
    return address // PAGE * PAGE


def up(address: int) -> int:
    return -(-address // PAGE) * PAGE
