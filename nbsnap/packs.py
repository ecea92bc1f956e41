"""What the bytes of a pack and of its index mean. No I/O; see docs/format.md for the picture.

A pack is pieces one after another (this module does not care in which order), then a copy of its index. The index
beside the pack is those same last bytes, so that a lost or damaged index costs nothing. An index is

    header   40 bytes   magic, version, size of a record, count, id of the pack, where the pieces end
    records  52 each    id of the piece, offset, stored length, raw length, codec
             84 each    in a pack that has deltas (version 2): then the id of the piece that it differs from, or zeros
    tail     40 bytes   length of the whole index, BLAKE3 of all bytes before these last 32

Everything is little-endian. Records are checked when they are looked up, not when the index is read: an index of
100,000 pieces is then one hash and one pass in C."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterable
from typing import NamedTuple

import zstandard

from nbsnap.digest import DIGEST_SIZE, PIECE_SIZE, Bytes, digest
from nbsnap.errors import DamageError, StoreVersionError

__all__ = [
    "ARRAY_PAYS",
    "DELTA",
    "MAX_INDEX",
    "PAYS",
    "RAW",
    "STREAM_PAYS",
    "TAIL_SIZE",
    "ZSTD",
    "Index",
    "Piece",
    "claimed_length",
    "compress",
    "decode_index",
    "decompress",
    "encode_index",
    "index_length",
    "tail_length",
]

RAW, ZSTD, DELTA = 0, 1, 2
SHORT = 1 << 13  # up to here setting the compressor up costs more than compressing: level -1 has smaller tables
PAYS = 0.9  # compressed bytes are kept when they are at most this part of the raw ones
STREAM_PAYS = 0.5  # ... and of a long stream, which is read through in any case
ARRAY_PAYS = 0.05  # ... and of an array: else zstd takes ten times as long as a good disk, and nothing can be mapped

_MAGIC = b"nbsnapIX"
_HEADER = struct.Struct("<8sHHI16sQ")
_RECORDS = {1: struct.Struct("<32sQIIB3x"), 2: struct.Struct("<32sQIIB3x32s")}  # by the version of the index
_IDS = {1: struct.Struct("<32s20x"), 2: struct.Struct("<32s52x")}
_BASES = struct.Struct("<32s20x32s")
_NONE = bytes(DIGEST_SIZE)
_TAIL = struct.Struct("<Q32s")
TAIL_SIZE = _TAIL.size
MAX_INDEX = _HEADER.size + (1 << 22) * _RECORDS[2].size + _TAIL.size  # pieces of about 4 TB, as in a manifest


class Piece(NamedTuple):
    """One record of an index: where a piece lies in its pack, and how it is coded."""

    id: bytes
    offset: int
    stored: int  # bytes in the pack
    raw: int  # bytes in memory
    codec: int
    base: bytes = b""  # of a delta: the id of the piece that it differs from


class Index:
    """The records of one pack, kept as the bytes that they were read from."""

    __slots__ = ("_ids", "count", "data", "end", "pack", "version", "whole")

    def __init__(self, pack: str, count: int, end: int, data: bytes, version: int = 1) -> None:
        self.pack = pack
        self.count = count
        self.end = end
        self.data = data
        self.version = version
        self.whole = True  # False once the pack was seen to be shorter than it should be
        self._ids: list[bytes] | None = None

    def ids(self) -> list[bytes]:
        """Return the ids of all pieces, in the order of the records."""
        if self._ids is None:
            self._ids = [record[0] for record in _IDS[self.version].iter_unpack(self._records())]
        return self._ids

    def bases(self) -> dict[bytes, bytes]:
        """Return the ids of the pieces that are deltas, each with that of the piece that it differs from."""
        if self.version == 1:
            return {}
        return {id: base for id, base in _BASES.iter_unpack(self._records()) if base != _NONE}

    def _records(self) -> memoryview:
        return memoryview(self.data)[_HEADER.size : -_TAIL.size]

    def piece(self, number: int, start: int = 0) -> Piece:
        """Return one record, or raise DamageError if it cannot be true: it may not begin before `start`."""
        record = _RECORDS[self.version]
        id, offset, stored, raw, codec, *more = record.unpack_from(self.data, _HEADER.size + number * record.size)
        base = more[0] if more and more[0] != _NONE else b""
        if codec not in (RAW, ZSTD, DELTA):
            raise StoreVersionError(f"a piece is coded in a way ({codec}) unknown to this nbsnap: upgrade it")
        if (
            not 0 < raw <= PIECE_SIZE
            or not 0 < stored <= raw
            or not start <= offset <= self.end - stored
            or (codec == RAW and stored != raw)
            or (codec == DELTA) != bool(base)
            or base == id
        ):
            raise DamageError(f"record {number} of the index is nonsense")
        return Piece(id, offset, stored, raw, codec, base)

    def pieces(self) -> list[Piece]:
        """Return all records. They lie one behind the other: no few bytes stand for many pieces."""
        found: list[Piece] = []
        end = 0
        for number in range(self.count):
            piece = self.piece(number, end)
            found.append(piece)
            end = piece.offset + piece.stored
        return found


def index_length(count: int, *, deltas: bool = False) -> int:
    """Return how long the index of that many pieces is; with `deltas`, if any of them is one."""
    return _length(count, 2 if deltas else 1)


def _length(count: int, version: int) -> int:
    return _HEADER.size + count * _RECORDS[version].size + _TAIL.size


def claimed_length(data: bytes) -> int:
    """Return how long the index is that begins so; raise DamageError where nothing that long can be one."""
    magic, version, _, count, _, _ = _HEADER.unpack_from(data)
    length = _length(count, version) if version in _RECORDS else 0
    if magic != _MAGIC or not len(data) <= length <= MAX_INDEX:
        raise DamageError("this is not an index")
    return length


def encode_index(pack: str, end: int, pieces: Iterable[Piece]) -> bytes:
    """Return the index of the pack `pack` (32 hexadecimal digits), whose pieces end at `end`."""
    pieces = list(pieces)
    version = 2 if any(piece.base for piece in pieces) else 1
    record = _RECORDS[version]
    if version == 1:
        records = [record.pack(*piece[:-1]) for piece in pieces]
    else:
        records = [record.pack(*piece[:-1], piece.base or _NONE) for piece in pieces]
    length = _length(len(records), version)
    header = _HEADER.pack(_MAGIC, version, record.size, len(records), bytes.fromhex(pack), end)
    body = header + b"".join(records) + length.to_bytes(8, "little")
    return body + digest(body)


def decode_index(data: bytes, pack: str) -> Index:
    """Return the index of the pack `pack` from its bytes; raise DamageError if they are not that."""
    if len(data) < _HEADER.size + _TAIL.size:
        raise DamageError("the index is cut short")
    magic, version, size, count, owner, end = _HEADER.unpack_from(data)
    length, check = _TAIL.unpack_from(data, len(data) - _TAIL.size)
    if magic != _MAGIC:
        raise DamageError("this is not an index")
    if digest(memoryview(data)[:-DIGEST_SIZE]) != check:
        raise DamageError("the index was altered or cut short: its checksum is wrong")
    if version not in _RECORDS or size != _RECORDS[version].size:
        raise StoreVersionError(f"the index is of version {version}, which this nbsnap does not know: upgrade it")
    if length != len(data) or length != _length(count, version):
        raise DamageError("the index does not have the length that it says")
    if owner.hex() != pack:
        raise DamageError(f"the index is that of another pack, {owner.hex()}")
    return Index(pack, count, end, data, version)


def tail_length(tail: bytes) -> int:
    """Return how long the index is that ends with `tail` (the last TAIL_SIZE bytes of a pack or index)."""
    return int(_TAIL.unpack(tail)[0])


class _Coders(threading.local):
    """A compressor and a decompressor for each thread: neither may be shared."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=1, write_checksum=False, write_content_size=True)
        self.quick = zstandard.ZstdCompressor(level=-1, write_checksum=False, write_content_size=True)
        self.decompressor = zstandard.ZstdDecompressor()


_coders = _Coders()


def compress(raw: Bytes, pays: float = PAYS) -> bytes | None:
    """Return `raw` compressed, or None where that does not pay, or where there is no memory for it."""
    try:
        stored = (_coders.compressor if len(raw) > SHORT else _coders.quick).compress(raw)
    except (zstandard.ZstdError, MemoryError):
        return None
    return stored if len(stored) <= len(raw) * pays else None


def decompress(stored: Bytes, raw: int) -> bytes:
    """Return the `raw` bytes that `stored` holds; raise DamageError without making more than that many."""
    try:
        if zstandard.frame_content_size(stored) != raw:
            raise DamageError("a compressed piece is not of the length that the index says")
        data = _coders.decompressor.decompress(stored, max_output_size=raw)
    except zstandard.ZstdError as error:
        raise DamageError(f"a compressed piece cannot be decompressed ({error})") from None
    if len(data) != raw:
        raise DamageError("a compressed piece is not of the length that the index says")
    return data
