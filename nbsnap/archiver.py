"""One file that is a store, made: a ZIP in which nothing is compressed (`zipform`; `archive` reads one).

A file is written as FILE.part, for its owner alone, and gets its name when it is whole and flushed. Of a member the
header is written last; so what is whole in a FILE.part is found by walking from header to header, and an export that
was interrupted goes on there.
"""

from __future__ import annotations

import bisect
import contextlib
import errno
import os
import stat
import sys
import threading
import zlib
from collections.abc import Iterable, Iterator

from nbsnap import owners, zipform
from nbsnap.archive import Archive, Part
from nbsnap.backends import Hold, Sink, check_name
from nbsnap.digest import Bytes
from nbsnap.errors import NbSnapError, StoreError
from nbsnap.folder import OpenFile, flush, flush_folder, lock
from nbsnap.tree import STORE_FILE, parse_pack
from nbsnap.zipform import Member

__all__ = ["ALIGNED", "ArchiveWriter"]

ALIGNED = 1 << 14  # where the bytes of a pack begin: pages of all systems are that long or shorter

_CHUNK = 1 << 30
_EARLY = 8 << 20
_OPEN = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class _Open(OpenFile):
    """A file that is open already."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.lock = threading.Lock()
        self.size = os.fstat(fd).st_size
        self.device = os.fstat(fd).st_dev

    def __del__(self) -> None:
        pass


class ArchiveWriter(Archive):
    """A file that is being written, member by member: a backend for one writer, who has one sink at a time.

    A context manager. Left without `finish`, it keeps FILE.part for the next try, unless there is nothing worth it.
    """

    def __init__(self, place: str | os.PathLike[str], *, force: bool = False) -> None:
        super().__init__(place)
        self.part = f"{self.place}.part"
        self._force = force
        self._may_take_place()
        self.fd = self._opened()
        self._now = _Open(self.fd)
        members, self.end = zipform.by_headers(self._now)
        self._take(members)
        self.sink: _Appended | None = None
        self.packs = 0  # that were written

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.fd >= 0:
            if any(map(parse_pack, self._members)):
                self._let_go()
            else:
                self.discard()

    def members(self) -> Iterator[str]:
        """Yield the names of the members, in the order in which they lie."""
        yield from sorted(self._members, key=self._members.__getitem__)

    def cut(self, name: str) -> None:
        """Drop a member, and all that lie behind it."""
        self.end = self._members[name].header
        self._take({name: member for name, member in self._members.items() if member.header < self.end})
        os.ftruncate(self.fd, self.end)

    def discard(self) -> None:
        """Drop it all."""
        with contextlib.suppress(OSError):
            os.unlink(self.part)
        self._let_go()

    def finish(self) -> int:
        """Make it whole, durable, and give it its name; return how long it is."""
        begin = at = self.end
        for name, member in sorted(self._members.items(), key=lambda item: item[1]):
            at += self._write(at, zipform.entry(name, member))
        at += self._write(at, zipform.tail(begin, at - begin, len(self._members)))
        os.ftruncate(self.fd, at)
        flush(self.fd)
        self._may_take_place()
        if sys.platform == "win32":
            self._let_go()  # an open file cannot be renamed there
        os.replace(self.part, self.place)
        self._let_go()
        flush_folder(os.path.dirname(self.place))
        return at

    def _may_take_place(self) -> None:
        """Raise NbSnapError where something is at the place that is not to be replaced."""
        try:
            found = os.lstat(self.place)
        except FileNotFoundError:
            return
        if not stat.S_ISREG(found.st_mode):
            raise NbSnapError(f"{self.place} is not an ordinary file, so it is not replaced")
        if not self._force:
            raise NbSnapError(f"{self.place} is there already: --force replaces it")

    def _opened(self) -> int:
        """Return FILE.part, open and locked: a new one, or that of an export that was interrupted."""
        for _ in range(100):
            try:
                fd = os.open(self.part, _OPEN | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                try:
                    found = os.lstat(self.part)
                    fd = os.open(self.part, _OPEN) if _may_take_up(found) else -1
                except FileNotFoundError:
                    continue
                if fd < 0 or not zipform.begins_as(_Open(fd), STORE_FILE):
                    if fd >= 0:
                        os.close(fd)
                    said = f"{self.part} is there, and is not of an export that was interrupted: remove it"
                    raise NbSnapError(said) from None
            except FileNotFoundError:
                raise NbSnapError(f"cannot write {self.place}: there is no such folder") from None
            if lock(fd) is False:
                os.close(fd)
                raise NbSnapError(f"{self.part} is being written just now by another export")
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(fd), os.lstat(self.part)):
                    if hasattr(os, "fchmod"):
                        os.fchmod(fd, 0o600)
                    return fd
            os.close(fd)  # it was finished, or removed, before it was ours
        raise StoreError(f"{self.part} comes and goes: another export writes it")

    def _file(self) -> OpenFile:
        return self._now

    def _write(self, at: int, data: Bytes) -> int:
        """Write bytes at a place; return how many."""
        view = memoryview(data).cast("B")
        with self._now.lock:
            os.lseek(self.fd, at, os.SEEK_SET)
            done = 0
            while done < len(view):
                done += os.write(self.fd, view[done : done + _CHUNK])
        return done

    def _let_go(self) -> None:
        if self.fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self.fd)
            self.fd = self._now.fd = -1

    # --- what a store asks of it -----------------------------------------------------------------------------

    def prepare(self) -> None:
        pass

    def usage(self) -> int:
        return self.end

    def to_map(self, name: str) -> Part | None:
        return None

    def create(self, name: str) -> Sink:
        if self.sink is not None or check_name(name) in self._members:
            raise OSError(errno.EBUSY, "one thing is written at a time, and once", self.describe(name))
        self.sink = _Appended(self, name)
        return self.sink

    def delete(self, name: str) -> None:
        raise OSError(errno.ENOTSUP, "nothing is removed from it", self.describe(name))

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            self.delete(name)

    def hold(self, *, alone: bool) -> Hold | None:
        return _Held()

    def close(self) -> None:
        pass


class _Held:
    """FILE.part is locked by whoever writes it."""

    def release(self) -> None:
        pass


class _Appended:
    """A member on its way to the end of the file. Its header comes last."""

    def __init__(self, archive: ArchiveWriter, name: str) -> None:
        self.archive, self.name = archive, name
        self.header = archive.end
        start = self.header + zipform.length_of_header(name)
        self.extra = zipform.padding(start, ALIGNED) if parse_pack(name) else b""
        self.start = self.at = self.begun = start + len(self.extra)
        self.crc = 0

    def write(self, data: Bytes) -> None:
        self.crc = zlib.crc32(data, self.crc)
        self.at += self.archive._write(self.at, data)
        if self.at - self.begun >= _EARLY:
            if sys.platform == "linux":  # see folder: the flush at the end then has little left to wait for
                with contextlib.suppress(OSError):
                    os.posix_fadvise(self.archive.fd, self.begun, self.at - self.begun, os.POSIX_FADV_DONTNEED)
            self.begun = self.at

    def settle(self) -> None:
        pass

    def publish(self, *, last: bool = True) -> None:
        size = self.at - self.start
        if size > zipform.LONGEST:
            raise StoreError(f"{self.name} is too long for one file")
        member = Member(self.header, size, self.at, self.crc, self.start)
        self.archive._write(self.header, zipform.header(self.name, member, self.extra))
        self.archive.end = self.at
        self.archive._now.size = self.at
        self.archive._members[self.name] = member
        bisect.insort(self.archive._names, self.name)
        self.archive.sink = None

    def abandon(self) -> None:
        if self.archive.sink is self:
            self.archive.sink = None
            with contextlib.suppress(OSError):
                os.ftruncate(self.archive.fd, self.header)


def _may_take_up(found: os.stat_result) -> bool:
    """Tell whether a file may be written to: an ordinary one of this user's, which nobody knows by another name."""
    mine = owners.user() is None or found.st_uid == owners.user()
    return stat.S_ISREG(found.st_mode) and mine and found.st_nlink == 1
