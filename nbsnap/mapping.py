"""Memory that is a file until it is touched: where that is safe, and how it is made.

A big buffer of a restore is a `Region`: one anonymous mapping, as long as the buffer, of which any part can be laid
over with a part of a pack (`lay`), privately. Pages of such a part are the file's own until they are written; then
they are the process's, and the file never knows. What is not laid over is plain memory, zero until it is filled. A
region is an `mmap`, so it can be written, it stays as long as an array is upon it, and all of it goes at once.

**Removing a pack under a region is safe**: POSIX keeps the file until its last mapping goes, and packs are never
changed. **Cutting one short is not**: to touch a page beyond the end of a file is SIGBUS, the end of the process, and
so is a disk that fails to read it. Hence:

- only files on a local file system of a known kind are mapped, where nothing but the store's own verbs comes to a
  pack (`is_safe`); network file systems, FUSE and what is not known here are read. So is everything on Windows, where
  a file that is mapped cannot be removed;
- the length of the file is looked at before (by `reader`).

Each part laid over costs the process one of its mappings, of which Linux allows 65,530; all regions together take no
more than a quarter of them."""

from __future__ import annotations

import contextlib
import mmap
import os
import sys
import weakref
from collections.abc import Callable
from typing import Any

from nbsnap import pages

__all__ = ["PAGE", "Region", "address", "is_safe", "lay", "parts_left", "region", "will_be_filled"]

PAGE = mmap.ALLOCATIONGRANULARITY
PARTS = 1 << 14
HUGE = 4 << 20  # below, huge pages are not worth a system call

#: `f_type` of statfs(2): disks that cannot be pulled out, and memory.
LINUX = {
    0xEF53: "ext",
    0x58465342: "xfs",
    0x9123683E: "btrfs",
    0x01021994: "tmpfs",
    0x858458F6: "ramfs",
    0x794C7630: "overlay",
    0x2FC12FC1: "zfs",
    0xF2F52010: "f2fs",
    0xCA451A4E: "bcachefs",
    0x3153464A: "jfs",
    0x52654973: "reiserfs",
}
DARWIN = {b"apfs", b"hfs"}

_POSIX = sys.platform in ("linux", "darwin") and sys.maxsize > 1 << 32  # elsewhere `off_t` may not be a long
_FIXED = 0x10  # MAP_FIXED, which the module mmap does not know
_NORESERVE = 0x4000 if sys.platform == "linux" else 0  # memory that may never be needed is not set aside

_regions: weakref.WeakSet[Region] = weakref.WeakSet()


class Region(mmap.mmap):
    """The memory of one buffer. `parts` is how many parts of files were laid over it."""

    parts = 0
    settle: Callable[[Region], None] | None = None  # of the reader that has laid them, while it is there

    def make_sound(self) -> None:
        """Read and verify what was laid over it, if that has not been done; after this the files are not asked again.

        For whoever makes more of these bytes than an array: unpickles them, or lets a library parse them.
        """
        if self.settle is not None:
            self.settle(self)

    def __reduce__(self) -> Any:
        """A copy of it is plain memory."""
        return bytearray, (bytes(self),)

    def __deepcopy__(self, memo: dict[int, Any]) -> bytearray:
        return bytearray(self)


def region(size: int) -> Region | bytearray:
    """Return `size` bytes of zeros, which take no memory until they are touched."""
    if not _POSIX:
        return bytearray(size)
    try:
        return Region(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE)
    except OSError:
        raise MemoryError from None


def will_be_filled(target: Region | bytearray) -> None:
    """Have the system give huge pages to a region that will be written to from end to end: it takes half the time."""
    if isinstance(target, Region) and len(target) >= HUGE and hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel that has none
            target.madvise(mmap.MADV_HUGEPAGE)


def parts_left() -> int:
    """Return how many more parts may be laid over regions of this process."""
    return PARTS - sum(made.parts for made in list(_regions))


def lay(target: Region | bytearray, at: int, fd: int, offset: int, length: int) -> bool:
    """Lay a part of an open file over zeros in `target`, copy on write; False where that cannot be done.

    Then that part of `target` stays zeros. `at` and `offset` are multiples of PAGE, and the file reaches that far.
    """
    if not isinstance(target, Region) or at % PAGE or offset % PAGE or not 0 < length <= len(target) - at:
        return False
    call = _system_call("mmap")
    if call is None:
        return False
    here = address(target) + at
    access, private = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | _NORESERVE | _FIXED
    if call(here, length, access, private, fd, offset) != here:
        # a system may have taken out what was there before it found that it cannot: put it back
        if call(here, length, access, private | mmap.MAP_ANONYMOUS, -1, 0) != here:
            raise MemoryError
        return False
    if not target.parts:
        weakref.finalize(target, pages.forget, address(target), len(target)).atexit = False
    target.parts += 1
    _regions.add(target)
    return True


def address(target: Region) -> int:
    """Return where a region begins."""
    import ctypes

    return ctypes.addressof(ctypes.c_char.from_buffer(target))


def is_safe(fd: int) -> bool:
    """Tell whether an open file is on a file system of which files can be mapped without risk."""
    if not _POSIX:
        return False
    symbol = "fstatfs$INODE64" if sys.platform == "darwin" and os.uname().machine == "x86_64" else "fstatfs"
    call = _system_call(symbol)
    import ctypes

    found = ctypes.create_string_buffer(4096)  # longer than any system's record
    if call is None or call(fd, found) != 0:
        return False
    if sys.platform == "darwin":
        is_local = int.from_bytes(found.raw[64:68], "little") & 0x1000
        return bool(is_local) and found.raw[72:88].split(b"\0")[0] in DARWIN
    return int.from_bytes(found.raw[:8], sys.byteorder) in LINUX


def _system_call(name: str) -> Any:
    """Return a function of the C library, or None if it cannot be had."""
    if name not in _calls:
        import ctypes  # not for those who only list snapshots

        arguments = {
            "mmap": [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long],
            "fstatfs": [ctypes.c_int, ctypes.c_char_p],
        }
        try:
            call: Any = ctypes.CDLL(None)[name]
        except (OSError, AttributeError, TypeError):
            call = None
        else:
            kind = name.partition("$")[0]
            call.argtypes = arguments[kind]
            call.restype = ctypes.c_void_p if kind == "mmap" else ctypes.c_int
        _calls[name] = call
    return _calls[name]


_calls: dict[str, Any] = {}
