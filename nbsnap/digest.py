"""What the id of a piece means. The only place of the package that hashes.

A piece's id is the BLAKE3 hash (32 bytes, written as 64 lowercase hexadecimal digits) of its bytes as they were in
memory: before compression, without any framing or key. So equal bytes have one id in every store, on every machine,
and `b3sum` checks it.

Content is cut at fixed distances of `PIECE_SIZE`. Fixed, not content-defined: arrays and frames change in place,
and seldom grow in the middle; a fixed cut keeps a big array in one run of equal steps that can be mapped, and costs
nothing to find."""

from __future__ import annotations

from typing import TypeAlias

from blake3 import blake3

__all__ = ["DIGEST_SIZE", "PIECE_SIZE", "Bytes", "digest", "piece_id"]

Bytes: TypeAlias = bytes | bytearray | memoryview

PIECE_SIZE = 1 << 20
DIGEST_SIZE = 32


def digest(data: Bytes) -> bytes:
    """Return the 32 bytes of the hash of `data`. The GIL is released while a big one is hashed."""
    return blake3(data).digest()


def piece_id(data: Bytes) -> str:
    """Return the id of the piece `data`: 64 hexadecimal digits."""
    return blake3(data).hexdigest()
