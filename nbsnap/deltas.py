"""A piece that is told by what differs in it from an older one, its base. No I/O.

    base       32 bytes    the id of the older piece, which has the same length
    blocks     a bit for each block of 4,096 bytes of the piece (the last may be shorter): 1, it differs
    content    of the blocks that differ, one behind the other

Bit k of the row of bits is bit k % 8 of its byte k // 8; the bits that are left over are 0. So a change in one place
of an array costs as many bytes as were changed, and not the megabytes that it lies in. Blocks are as long as the pages
in which memory is written: finer ones would save little, and take longer to compare.

The base is never a delta itself. So a piece is made of two reads at most, however often it has changed."""

from __future__ import annotations

from typing import NamedTuple

from nbsnap.digest import DIGEST_SIZE, Bytes
from nbsnap.errors import DamageError
from nbsnap.runs import runs

__all__ = ["BLOCK", "Delta", "apply", "base_of", "encode", "lay_over", "length"]

BLOCK = 4096


class Delta(NamedTuple):
    """A piece, told by what differs in it."""

    base: bytes
    stored: bytes


def encode(raw: Bytes, id: bytes, base: bytearray, most: float) -> bytes | None:
    """Return `raw` as a delta of `base`, whose id is `id`; None if it would be more than the part `most` of `raw`.

    Both have the same length. (`base` is a bytearray because a comparison with that is one call of memcmp.)
    """
    count = -(-len(raw) // BLOCK)
    differ = [
        number
        for start in _differing(raw, base, 0, len(raw), 16 * BLOCK)
        for number in [at // BLOCK for at in _differing(raw, base, start, min(start + 16 * BLOCK, len(raw)), BLOCK)]
    ]
    if len(differ) * BLOCK > len(raw) * most:
        return None
    bits = bytearray(-(-count // 8))
    for number in differ:
        bits[number // 8] |= 1 << number % 8
    stored = b"".join([id, bits, *(raw[first * BLOCK : behind * BLOCK] for first, behind in runs(differ))])
    return stored if len(stored) <= len(raw) * most else None


def base_of(stored: Bytes) -> bytes:
    """Return the id of the base, with which a delta begins."""
    return bytes(stored[:DIGEST_SIZE])


def length(stored: Bytes, raw: int) -> int:
    """Return how long the delta of a piece of `raw` bytes is that begins so; raise DamageError where none does."""
    numbers = _numbers(stored, raw)
    short = -raw % BLOCK if numbers and (numbers[-1] + 1) * BLOCK > raw else 0
    return _start(raw) + len(numbers) * BLOCK - short


def apply(stored: Bytes, base: Bytes) -> bytearray:
    """Return the piece that a delta of `base` stands for; raise DamageError if it is none of such a piece."""
    made = bytearray(base)
    lay_over(stored, made)
    return made


def lay_over(stored: Bytes, base: bytearray | memoryview) -> None:
    """Make of a base, in place, the piece that a delta of it stands for; DamageError: it is as it was."""
    if length(stored, len(base)) != len(stored):
        raise DamageError("a delta is not as long as it says")
    at = _start(len(base))
    for first, behind in runs(_numbers(stored, len(base))):
        start = first * BLOCK
        size = min(behind * BLOCK, len(base)) - start
        base[start : start + size] = stored[at : at + size]
        at += size


def _start(raw: int) -> int:
    """Return where the content of a delta begins."""
    return DIGEST_SIZE + -(-raw // (8 * BLOCK))


def _numbers(stored: Bytes, raw: int) -> list[int]:
    """Return the numbers of the blocks that a delta holds."""
    count, start = -(-raw // BLOCK), _start(raw)
    bits = int.from_bytes(stored[DIGEST_SIZE:start], "little")
    if len(stored) < start or bits >> count:
        raise DamageError("a delta is cut short, or that of a longer piece")
    return [number for number in range(count) if bits >> number & 1]


def _differing(raw: Bytes, base: bytearray, start: int, stop: int, step: int) -> list[int]:
    """Return where parts of `step` bytes begin, between two places, that are not the same in both."""
    return [at for at in range(start, stop, step) if base[at : min(at + step, stop)] != raw[at : min(at + step, stop)]]
