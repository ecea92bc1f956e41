"""The ZIP format, as far as a store in one file uses it: nothing compressed, nothing encrypted, one disk.

Each member stands behind a header of its own; then comes the directory, with an entry for each, and the end, before
which stand numbers that are too large for it. docs/format.md has the picture.

**Nothing that a file says is believed.** Where members lie is compared with the file's length, with each other and with
what stands there; they cannot overlap, so no few bytes stand for many. Python's own reader is not used: it believes
more.
"""

from __future__ import annotations

import contextlib
import stat
import struct
import time
from typing import NamedTuple

from nbsnap.backends import check_name
from nbsnap.errors import DamageError
from nbsnap.folder import OpenFile

__all__ = [
    "LONGEST",
    "Member",
    "begins_as",
    "by_directory",
    "by_headers",
    "entry",
    "header",
    "is_one",
    "length_of_header",
    "padding",
    "read",
    "start_of",
    "tail",
]

MAX_DIRECTORY = 32 << 20  # bytes: more than a hundred thousand snapshots
LONGEST = 0xFFFFFFFE  # bytes of a member

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


class Member(NamedTuple):
    """A member: where its header is, how long it is, and where it has to end. `start` is -1 until it was looked at."""

    header: int
    size: int
    limit: int
    crc: int = 0
    start: int = -1


def read(file: OpenFile, offset: int, length: int) -> bytes:
    """Return bytes of a file, as many as there are."""
    if offset < 0:
        return b""
    data = bytearray(min(length, max(0, file.size - offset)))
    return bytes(memoryview(data)[: file.read_into(offset, memoryview(data))])


def is_one(file: OpenFile) -> bool:
    """Tell whether a file begins or ends as a ZIP does."""
    return read(file, 0, 4) == _LOCAL_SIGN or read(file, file.size - _END.size, 4) == _END_SIGN


def begins_as(file: OpenFile, name: str) -> bool:
    """Tell whether a file begins with the header of a member of this name, or with as much as got through."""
    first = read(file, 0, _LOCAL.size + len(name))
    sign, found = first[:4].rstrip(b"\0"), first[_LOCAL.size :].rstrip(b"\0")
    return _LOCAL_SIGN.startswith(sign) and name.encode().startswith(found)


def by_directory(file: OpenFile) -> dict[str, Member]:
    """Return the members as the directory at the end lists them."""
    begin, length, count = _directory(file)
    data = read(file, begin, length)
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
        sign, disk, first, here, count, length, begin, comment = _END.unpack(read(file, at, _END.size))
    except struct.error:
        sign = b""
    if sign != _END_SIGN or comment or disk or first or here != count:
        raise DamageError("it does not end as it should: cut short, or something was added")
    end = at
    if _MANY in (here, count) or _MUCH in (length, begin):
        end -= _LOCATOR.size + _END64.size
        tail = read(file, end, _LOCATOR.size + _END64.size)
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


def start_of(file: OpenFile, name: str, member: Member) -> int:
    """Return where the bytes of a member begin, by its own header; -1 where that is not there."""
    with contextlib.suppress(struct.error):
        head = read(file, member.header, _LOCAL.size + len(name))
        sign, _, flags, method, _, _, _, _, _, named, more = _LOCAL.unpack_from(head)
        if (sign, method, head[_LOCAL.size :]) == (_LOCAL_SIGN, 0, name.encode()) and named == len(name):
            return -1 if flags & _ENCRYPTED else member.header + len(head) + int(more)
    return -1


def by_headers(file: OpenFile) -> tuple[dict[str, Member], int]:
    """Return the members that are whole, by walking from header to header, and where the last of them ends."""
    members: dict[str, Member] = {}
    at = 0
    while len(members) * _CENTRAL.size < MAX_DIRECTORY:
        try:
            sign, _, flags, method, _, _, crc, packed, size, named, more = _LOCAL.unpack(read(file, at, _LOCAL.size))
        except struct.error:
            break
        start = at + _LOCAL.size + named + more
        if sign != _LOCAL_SIGN or flags & (_ENCRYPTED | _LATER) or method or size != packed or size == _MUCH:
            break
        if start + size > file.size:
            break
        name = read(file, at + _LOCAL.size, named).decode("latin-1")
        if _is_ours(name) and name not in members:
            members[name] = Member(at, size, start + size, crc, start)
        at = start + size
    return members, at


def _moment() -> tuple[int, int]:
    """Return the time as ZIP has it."""
    now = time.localtime()
    if not 1980 <= now.tm_year < 2108:
        return 0, 1 << 5 | 1
    clock = now.tm_hour << 11 | now.tm_min << 5 | now.tm_sec // 2
    return clock, (now.tm_year - 1980) << 9 | now.tm_mon << 5 | now.tm_mday


def length_of_header(name: str) -> int:
    """Return how long the header of a member is, without its extra fields."""
    return _LOCAL.size + len(name)


def padding(at: int, aligned: int) -> bytes:
    """Return an extra field at this place, behind which something begins that is to be aligned."""
    gap = -(at + _EXTRA.size + 2) % aligned
    return struct.pack("<HHH", _PADDING, gap + 2, aligned) + bytes(gap)


def header(name: str, member: Member, extra: bytes) -> bytes:
    """Return the header of a member, with its extra fields."""
    sizes = member.crc, member.size, member.size, len(name), len(extra)
    return _LOCAL.pack(_LOCAL_SIGN, _PLAIN, 0, 0, *_moment(), *sizes) + name.encode() + extra


def entry(name: str, member: Member) -> bytes:
    """Return the entry of a member in the directory."""
    far = member.header >= _MUCH
    extra = struct.pack("<HHQ", _ZIP64, 8, member.header) if far else b""
    version = _LONG if far else _PLAIN
    sizes = member.crc, member.size, member.size, len(name), len(extra)
    place = 0, 0, 0, _MODE, min(member.header, _MUCH)
    return _CENTRAL.pack(_CENTRAL_SIGN, _UNIX | version, version, 0, 0, *_moment(), *sizes, *place) + (
        name.encode() + extra
    )


def tail(begin: int, length: int, count: int) -> bytes:
    """Return what stands behind the directory, which begins here, is so long, and has so many entries."""
    far = b""
    if begin >= _MUCH or count >= _MANY:
        numbers = _UNIX | _LONG, _LONG, 0, 0, count, count, length, begin
        far = _END64.pack(_END64_SIGN, _END64.size - 12, *numbers)
        far += _LOCATOR.pack(_LOCATOR_SIGN, 0, begin + length, 1)
    few = min(count, _MANY)
    return far + _END.pack(_END_SIGN, 0, 0, few, few, length, min(begin, _MUCH), 0)
