"""What this process has hashed: from the quick hash of a piece to its id, so that memory that did not change is known
at the speed of memory.

Two hashes, each for what it is good for:

- **BLAKE3** names content. What is written to a store was hashed by it just then, from the very copy that is written.
- **XXH3** (128 bits, under a seed that is drawn anew in each process) tells that a piece of memory holds what this
  process itself has hashed by BLAKE3 before. It is never written anywhere, and never heard of by another process.

Nobody outside can aim at a seed that is not known before the process runs, and who is inside can change the memory
itself; by chance, two of a billion pieces are alike with a probability of about 2**-69.

An entry says "these bytes have this id" and no more. It stays true whatever becomes of a store; whether a store holds
the piece is asked of the store each time. So one table serves all stores, and nothing has to be taken out of it.

There is no lock: each step is one operation of a dict, and what is lost in a race is hashed once more. So a forked
child, too, finds the table in order. It has the same seed, and tells its parent at its end what it has hashed."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

__all__ = ["LIMIT", "anything", "find", "keep", "learn", "mark", "since"]

LIMIT = 1 << 16  # entries of a generation (64 GiB of pieces in some 15 MB); there are two

_young: dict[bytes, bytes] = {}
_old: dict[bytes, bytes] = {}


def anything() -> bool:
    """Tell whether there is anything to find."""
    return bool(_young or _old)


def find(key: bytes) -> bytes | None:
    """Return the id of the piece whose quick hash is `key`, if this process has hashed it."""
    id = _young.get(key)
    if id is None and (id := _old.get(key)) is not None:
        keep(key, id)
    return id


def keep(key: bytes, id: bytes) -> None:
    """Remember the id of a piece. Both hashes must have been made of bytes that nobody could change in between."""
    global _young, _old
    if len(_young) >= LIMIT:
        _young, _old = {}, _young
    _young[key] = id


def mark() -> int:
    """Return a place in the table; see `since`."""
    return len(_young)


def since(mark: int) -> dict[str, str]:
    """Return what was kept since a mark was set, in hexadecimal digits."""
    young = _young
    start = mark if mark <= len(young) else 0  # a generation has ended since
    return {key.hex(): id.hex() for key, id in islice(young.items(), start, None)}


def learn(found: Mapping[str, str]) -> None:
    """Take up what a child of this process says that it kept."""
    for key, id in found.items():
        keep(bytes.fromhex(key), bytes.fromhex(id))
