"""What the id of a piece means. The only place of the package that hashes content.

A piece's id is the BLAKE3 hash (32 bytes, written as 64 lowercase hexadecimal digits) of its bytes as they were in
memory: before compression, without any framing or key. So equal bytes have one id in every store, on every machine,
and `b3sum` checks it.

Content is cut at fixed distances of `PIECE_SIZE`. Fixed, not content-defined: arrays and frames change in place,
and seldom grow in the middle; a fixed cut keeps a big array in one run of equal steps that can be mapped, and costs
nothing to find."""

from __future__ import annotations

import os
from typing import TypeAlias

import xxhash
from blake3 import blake3

__all__ = ["DIGEST_SIZE", "PIECE_SIZE", "Bytes", "Named", "digest", "named", "piece_id", "quick"]

Bytes: TypeAlias = bytes | bytearray | memoryview

PIECE_SIZE = 1 << 20
DIGEST_SIZE = 32


def digest(data: Bytes) -> bytes:
    """Return the 32 bytes of the hash of `data`. The GIL is released while a big one is hashed."""
    return blake3(data).digest()


def piece_id(data: Bytes) -> str:
    """Return the id of the piece `data`: 64 hexadecimal digits."""
    return blake3(data).hexdigest()


class Named(bytes):
    """Content of one piece that is put into a store again and again, with its id: what is there is not hashed again."""

    id: bytes


def named(data: bytes) -> Named:
    """Return the same bytes with their id; of one piece that is, of PIECE_SIZE bytes or fewer."""
    found = Named(data)
    found.id = digest(data)
    return found


_SEED = int.from_bytes(os.urandom(8), "little")  # so nobody can prepare two pieces that are alike


def quick(data: Bytes) -> bytes:
    """Return 16 bytes that tell within this process, and only there, whether `data` is what it was. `seen` says more.

    The GIL is released while a big one is hashed.
    """
    return xxhash.xxh3_128_digest(data, _SEED)
