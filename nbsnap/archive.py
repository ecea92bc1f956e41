"""One file that is a store: a ZIP in which nothing is compressed. docs/format.md has the picture.

`ArchiveBackend` reads one, `ArchiveWriter` makes one. Rules:

1. **Nothing that the file says is believed.** Where members lie is compared with the file's length, with each other and
   with what stands there; they cannot overlap, so no few bytes stand for many. What they hold is verified as in any
   store. Python's own reader is not used: it believes more.
2. **Names stay names.** They are looked up, and no file is ever made of one.
3. **It is only read.** Whatever would change it is an error (EROFS). A file that is changed or exchanged while it is in
   use is one, too (ESTALE): where members lie was read at the beginning.
4. A file is **written** as FILE.part, for its owner alone, and gets its name when it is whole and flushed. Of a member
   the header is written last; so what is whole in a FILE.part is found by walking from header to header, and an export
   that was interrupted goes on there.
"""

from __future__ import annotations

import bisect
import contextlib
import errno
import os
import stat
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from nbsnap import owners
from nbsnap.backends import Hold, Sink, check_name, sentence
from nbsnap.digest import Bytes
from nbsnap.errors import DamageError, NbSnapError, StoreError
from nbsnap.folder import OpenFile, flush, flush_folder, lock
from nbsnap.mapping import PAGE, is_safe
from nbsnap.tree import STORE_FILE, parse_pack

__all__ = ["ArchiveBackend", "ArchiveWriter", "is_archive"]

ALIGNED = 1 << 14  # where the bytes of a pack begin: pages of all systems are that long or shorter
MAX_DIRECTORY = 32 << 20  # bytes: more than a hundred thousand snapshots

_LOCAL = struct.Struct("<4s5HIIIHH")
_CENTRAL = struct.Struct("<4s6HIIIHHHHHII")
_END = struct.Struct("<4s4HIIH")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR = struct.Struct("<4sIQI")
_EXTRA = struct.Struct("<HH")
_SIGNS = _LOCAL_SIGN, _CENTRAL_SIGN, _END_SIGN, _END64_SIGN, _LOCATOR_SIGN = (
    b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\6\6", b"PK\6\7",
)  # fmt: skip
_PADDING, _ZIP64 = 0xD935, 0x0001  # kinds of extra fields
_ENCRYPTED, _LATER = 0x2041, 0x0008  # flags: of a member; and that its sizes stand behind it
_PLAIN, _LONG = 10, 45  # the version of ZIP that a reader has to know
_UNIX = 3 << 8
_MODE = (stat.S_IFREG | 0o600) << 16
_MUCH, _MANY = 0xFFFFFFFF, 0xFFFF
_CHUNK = 1 << 30
_EARLY = 8 << 20
_OPEN = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_READ_ONLY = "it is one file, which is only read; `nbsnap import` brings what it holds into a store"


class Member(NamedTuple):
    """A member: where its header is, how long it is, and where it has to end. `start` is -1 until it was looked at."""

    header: int
    size: int
    limit: int
    crc: int = 0
    start: int = -1


class Part:
    """A member as a file that may be mapped."""

    def __init__(self, file: OpenFile, member: Member) -> None:
        self.file, self.fd = file, file.fd
        self.start, self.size = member.start, member.size

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset` on; return how many bytes there were."""
        return self.file.read_into(self.start + offset, buffer[: max(0, self.size - offset)])


def is_archive(place: str | os.PathLike[str]) -> bool:
    """Tell whether a place is a file that begins or ends as an archive does."""
    try:
        if not os.path.isfile(place):
            return False
        file = OpenFile(os.path.realpath(place))
        return _read(file, 0, 4) == _LOCAL_SIGN or _read(file, file.size - _END.size, 4) == _END_SIGN
    except OSError:
        return False


# --- reading ----------------------------------------------------------------------------------------------------------


class _Archive:
    """What reading and writing have in common: named members of an open file."""

    def __init__(self, place: str | os.PathLike[str], may_map: Callable[[int], bool] = is_safe) -> None:
        self.place = os.path.abspath(os.fspath(place))
        self._members: dict[str, Member] = {}
        self._names: list[str] = []  # sorted
        self._may_map = may_map
        self._safe: bool | None = None
        self._guard = threading.Lock()

    def _file(self) -> OpenFile:
        raise NotImplementedError

    def _take(self, members: dict[str, Member]) -> None:
        self._members, self._names = members, sorted(members)

    def describe(self, name: str) -> str:
        return os.path.join(self.place, *name.split("/"))

    def foreign(self) -> bool:
        return False

    def list(self, folder: str) -> list[str]:
        if not folder:
            return list(self._names)
        prefix = folder.rstrip("/")
        return self._names[bisect.bisect(self._names, prefix + "/") : bisect.bisect(self._names, prefix + "0")]

    def size(self, name: str) -> int:
        return self._member(name).size

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        rest = max(0, self._member(name).size - offset)
        data = bytearray(rest if length is None else min(rest, length))
        return bytes(memoryview(data)[: self.read_into(name, offset, memoryview(data))])

    def read_into(self, name: str, offset: int, buffer: memoryview) -> int:
        return self._part(name).read_into(offset, buffer)

    def to_map(self, name: str) -> Part | None:
        part = self._part(name)
        if self._safe is None:
            self._safe = self._may_map(part.fd)
        return part if self._safe and not part.start % PAGE and not owners.foreign_file(part.fd) else None

    def usage(self) -> int:
        try:
            return os.stat(self.place).st_size
        except OSError:  # a figure is nothing to fail for
            return 0

    def sweep(self) -> int:
        return 0

    def _member(self, name: str) -> Member:
        try:
            return self._members[check_name(name)]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.describe(name)) from None

    def _part(self, name: str) -> Part:
        file, member = self._file(), self._member(name)
        if member.start < 0:
            start = _start(file, name, member)
            if start < 0 or start + member.size > member.limit:
                raise OSError(errno.EINVAL, "what stands there is not what the directory says", self.describe(name))
            member = self._members[name] = member._replace(start=start)
        return Part(file, member)


class ArchiveBackend(_Archive):
    """A store in one file, for reading.

    With `salvage`, what is whole is there even if the file is cut short; `cut` says why not all of it is.
    """

    def __init__(
        self,
        place: str | os.PathLike[str],
        *,
        may_map: Callable[[int], bool] = is_safe,
        salvage: bool = False,
    ) -> None:
        super().__init__(place, may_map)
        self.cut = ""
        self._open: OpenFile | None = None
        self._was: tuple[int, ...] = ()
        try:
            file = self._file()
            try:
                self._take(_by_directory(file))
            except DamageError as error:
                said = f"{self.place} is damaged: {error}"
                if not salvage:
                    raise DamageError(f"{said}; `nbsnap import` takes what is whole") from None
                self.cut = said
                self._take(_by_headers(file)[0])
        except OSError as error:
            raise sentence(error, self.place, writing=False) from error

    def _file(self) -> OpenFile:
        with self._guard:
            if self._open is None:
                file = OpenFile(os.path.realpath(self.place))  # the file's own place may be a link, as a folder's may
                found = os.fstat(file.fd)
                now = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
                if self._was and self._was != now:
                    raise OSError(errno.ESTALE, "it is another file by now", self.place)
                self._open, self._was = file, now
            return self._open

    def stranger(self) -> str:
        """Return a clause that says to whom the file belongs, if to another user; else ""."""
        return owners.stranger(self.place)

    def prepare(self) -> None:
        raise self._refusal()

    def create(self, name: str) -> Sink:
        raise self._refusal()

    def delete(self, name: str) -> None:
        raise self._refusal()

    def remove(self, names: Iterable[str]) -> None:
        if list(names):
            raise self._refusal()

    def hold(self, *, alone: bool) -> Hold | None:
        raise self._refusal()

    def _refusal(self) -> OSError:
        return OSError(errno.ENOTSUP, _READ_ONLY, self.place)

    def close(self) -> None:
        with self._guard:
            self._open = None


def _read(file: OpenFile, offset: int, length: int) -> bytes:
    if offset < 0:
        return b""
    data = bytearray(min(length, max(0, file.size - offset)))
    return bytes(memoryview(data)[: file.read_into(offset, memoryview(data))])


def _by_directory(file: OpenFile) -> dict[str, Member]:
    """Return the members as the directory at the end lists them."""
    begin, length, count = _directory(file)
    data = _read(file, begin, length)
    found: list[tuple[int, str, int, int]] = []
    at = 0
    for _ in range(count):
        try:
            sign, _, _, flags, method, _, _, crc, packed, size, named, more, said, disk, _, _, header = (
                _CENTRAL.unpack_from(data, at)
            )
        except struct.error:
            sign = b""
        if sign != _CENTRAL_SIGN or disk:
            raise DamageError("its directory is altered")
        at += _CENTRAL.size
        name, extra = data[at : at + named].decode("latin-1"), data[at + named : at + named + more]
        at += named + more + said
        size, packed, header = _wide(extra, size, packed, header)
        if at > length or header + _LOCAL.size + named + packed > begin:
            raise DamageError("its directory is altered")
        if flags & _ENCRYPTED or method or size != packed:
            how = "encrypted" if flags & _ENCRYPTED else "compressed"
            raise DamageError(f"what it holds is {how}: unpack it, and use the folder")
        found.append((header, name, size, crc))
    if at != length:
        raise DamageError("its directory is altered")
    found.sort()
    limits = [header for header, *_ in found[1:]] + [begin]
    members: dict[str, Member] = {}
    for (header, name, size, crc), limit in zip(found, limits, strict=True):
        if header + _LOCAL.size + len(name) + size > limit:
            raise DamageError("members lie one over the other")
        if _is_ours(name):
            if name in members:
                raise DamageError(f"{name} is in it twice")
            members[name] = Member(header, size, limit, crc)
    return members


def _directory(file: OpenFile) -> tuple[int, int, int]:
    """Return where the directory begins, its length, and the number of members."""
    at = file.size - _END.size
    try:
        sign, disk, first, here, count, length, begin, comment = _END.unpack(_read(file, at, _END.size))
    except struct.error:
        sign = b""
    if sign != _END_SIGN or comment or disk or first or here != count:
        raise DamageError("it does not end as it should: cut short, or something was added")
    end = at
    if _MANY in (here, count) or _MUCH in (length, begin):
        end -= _LOCATOR.size + _END64.size
        tail = _read(file, end, _LOCATOR.size + _END64.size)
        if len(tail) < _LOCATOR.size + _END64.size:
            raise DamageError("its end is altered")
        sign, size, _, _, disk, first, here, count, length, begin = _END64.unpack_from(tail)
        sign2, _, where, disks = _LOCATOR.unpack_from(tail, _END64.size)
        right = (_END64_SIGN, _END64.size - 12, 0, 0, count, _LOCATOR_SIGN, end)
        if (sign, size, disk, first, here, sign2, where) != right or disks > 1:
            raise DamageError("its end is altered")
    if begin + length != end or count * _CENTRAL.size > length:
        raise DamageError("its end is altered")
    if length > MAX_DIRECTORY:
        raise DamageError(f"it has {count:,} members, too many")
    return begin, length, count


def _wide(extra: bytes, size: int, packed: int, header: int) -> tuple[int, int, int]:
    """Return size, packed size and place of a member, where they are too large for their fields."""
    if _MUCH not in (size, packed, header):
        return size, packed, header
    at = 0
    while at + _EXTRA.size <= len(extra):
        kind, length = _EXTRA.unpack_from(extra, at)
        at += _EXTRA.size
        if kind == _ZIP64:
            numbers = iter(struct.unpack_from(f"<{min(length, len(extra) - at) // 8}Q", extra, at))
            wide = [next(numbers, _MUCH) if one == _MUCH else one for one in (size, packed, header)]
            return wide[0], wide[1], wide[2]
        at += length
    return size, packed, header


def _is_ours(name: str) -> bool:
    """Tell whether a store may have a file of that name. Folders, and what leads out, are passed over."""
    with contextlib.suppress(ValueError):
        return check_name(name).partition("/")[0] not in ("tmp", "locks")
    return False


def _start(file: OpenFile, name: str, member: Member) -> int:
    """Return where the bytes of a member begin, by its own header; -1 where that is not there."""
    with contextlib.suppress(struct.error):
        head = _read(file, member.header, _LOCAL.size + len(name))
        sign, _, flags, method, _, _, _, _, _, named, more = _LOCAL.unpack_from(head)
        if (sign, method, head[_LOCAL.size :]) == (_LOCAL_SIGN, 0, name.encode()) and named == len(name):
            return -1 if flags & _ENCRYPTED else member.header + len(head) + int(more)
    return -1


def _by_headers(file: OpenFile) -> tuple[dict[str, Member], int]:
    """Return the members that are whole, by walking from header to header, and where the last of them ends."""
    members: dict[str, Member] = {}
    at = 0
    while len(members) * _CENTRAL.size < MAX_DIRECTORY:
        try:
            sign, _, flags, method, _, _, crc, packed, size, named, more = _LOCAL.unpack(_read(file, at, _LOCAL.size))
        except struct.error:
            break
        start = at + _LOCAL.size + named + more
        if sign != _LOCAL_SIGN or flags & (_ENCRYPTED | _LATER) or method or size != packed or size == _MUCH:
            break
        if start + size > file.size:
            break
        name = _read(file, at + _LOCAL.size, named).decode("latin-1")
        if _is_ours(name) and name not in members:
            members[name] = Member(at, size, start + size, crc, start)
        at = start + size
    return members, at


# --- writing ----------------------------------------------------------------------------------------------------------


class _Open(OpenFile):
    """A file that is open already."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.lock = threading.Lock()
        self.size = os.fstat(fd).st_size
        self.device = os.fstat(fd).st_dev

    def __del__(self) -> None:
        pass


class ArchiveWriter(_Archive):
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
        members, self.end = _by_headers(self._now)
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
            at += self._write(at, _central(name, member))
        count, length = len(self._members), at - begin
        if begin >= _MUCH or count >= _MANY:
            numbers = _UNIX | _LONG, _LONG, 0, 0, count, count, length, begin
            tail = _END64.pack(_END64_SIGN, _END64.size - 12, *numbers) + _LOCATOR.pack(_LOCATOR_SIGN, 0, at, 1)
            at += self._write(at, tail)
        few = min(count, _MANY)
        at += self._write(at, _END.pack(_END_SIGN, 0, 0, few, few, length, min(begin, _MUCH), 0))
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
                if fd < 0 or not _begins_so(fd):
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
        start = self.header + _LOCAL.size + len(name)
        gap = -(start + _EXTRA.size + 2) % ALIGNED if parse_pack(name) else -1
        self.extra = b"" if gap < 0 else struct.pack("<HHH", _PADDING, gap + 2, ALIGNED) + bytes(gap)
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
        if size >= _MUCH:
            raise StoreError(f"{self.name} is too long for one file")
        member = Member(self.header, size, self.at, self.crc, self.start)
        self.archive._write(self.header, _local(self.name, member, self.extra))
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


def _begins_so(fd: int) -> bool:
    """Tell whether a file begins as one that is being written: with the first header, or as much as got through."""
    first = _read(_Open(fd), 0, _LOCAL.size + len(STORE_FILE))
    sign, name = first[:4].rstrip(b"\0"), first[_LOCAL.size :].rstrip(b"\0")
    return _LOCAL_SIGN.startswith(sign) and STORE_FILE.encode().startswith(name)


def _moment() -> tuple[int, int]:
    """Return the time as ZIP has it."""
    now = time.localtime()
    if not 1980 <= now.tm_year < 2108:
        return 0, 1 << 5 | 1
    clock = now.tm_hour << 11 | now.tm_min << 5 | now.tm_sec // 2
    return clock, (now.tm_year - 1980) << 9 | now.tm_mon << 5 | now.tm_mday


def _local(name: str, member: Member, extra: bytes) -> bytes:
    sizes = member.crc, member.size, member.size, len(name), len(extra)
    return _LOCAL.pack(_LOCAL_SIGN, _PLAIN, 0, 0, *_moment(), *sizes) + name.encode() + extra


def _central(name: str, member: Member) -> bytes:
    far = member.header >= _MUCH
    extra = struct.pack("<HHQ", _ZIP64, 8, member.header) if far else b""
    version = _LONG if far else _PLAIN
    sizes = member.crc, member.size, member.size, len(name), len(extra)
    place = 0, 0, 0, _MODE, min(member.header, _MUCH)
    return _CENTRAL.pack(_CENTRAL_SIGN, _UNIX | version, version, 0, 0, *_moment(), *sizes, *place) + (
        name.encode() + extra
    )
