"""What the snapshot before holds of the same variables: pieces of which new ones can be deltas.

An array that has changed in one place has a new piece, or two, and most of these is what the piece was that lay there
before. So the newest snapshot of the notebook is asked what it has for the buffer, by the name of the variable and the
number of the buffer, once there is something new in it and not before; and the new piece is compared with the one at
the same place.

Only raw pieces are bases: what is compressed costs more to read than a delta of it saves. Before a whole base is read,
PROBES blocks of it are compared. Where all of them differ, the memory is another one, and so it is for the rest of
what is looked at together: what has changed everywhere costs a few reads of a page more, and not a read of everything.

A base is verified before anything is compared with it. No store that is far away is asked: to fetch a piece would take
longer than to send one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from nbsnap.deltas import BLOCK, Delta, encode
from nbsnap.digest import Bytes, digest
from nbsnap.errors import NbSnapError
from nbsnap.packs import PAYS, RAW, Piece
from nbsnap.tree import pack_file

if TYPE_CHECKING:
    from nbsnap.store import Store

__all__ = ["Earlier", "Place"]

AGAIN = 0.25  # of a piece that was a delta already a new one is no longer: what goes on changing gets another base
PROBES = 4  # evenly spread: whatever leaves more than a quarter of a piece as it was is seen


class Place(NamedTuple):
    """Which buffer of which variables something is, or is a part of."""

    names: Sequence[str]
    number: int
    before: int = 0  # so many pieces of the buffer are before it


class _Base(NamedTuple):
    pack: str
    piece: Piece
    most: float  # how much of a piece a delta of it may be


class Earlier:
    """The buffers of the newest snapshot of a notebook. Several threads may ask."""

    def __init__(self, store: Store, notebook: str) -> None:
        self._store = store
        self._notebook = notebook
        self._guard = threading.Lock()
        self._buffers: dict[str, list[list[str]]] | None = None  # of each variable; not read yet

    def delta(self, place: Place, number: int, raw: memoryview) -> Delta | None:
        """Return piece `number` of what is here as a delta of what was there before; None if it is nothing like it."""
        with contextlib.suppress(NbSnapError, OSError, MemoryError):  # then it is written whole
            base = self._base(place, place.before + number, len(raw))
            if base is not None and self._is_like(base.pack, base.piece, raw):
                pack, piece, most = base
                before = bytearray(len(raw))
                count = self._store.backend.read_into(pack_file(pack), piece.offset, memoryview(before))
                if count < len(before) or digest(before) != piece.id:
                    self._store.pieces.suspect(pack, piece.id)
                    return None
                stored = encode(raw, piece.id, before, most)
                return None if stored is None else Delta(piece.id, stored)
        return None

    def _base(self, place: Place, number: int, size: int) -> _Base | None:
        """Return a raw piece that the store has and will keep, from the same place of the same buffer."""
        ids = self._ids(place)
        if number >= len(ids):
            return None
        id = bytes.fromhex(ids[number])
        pieces = self._store.pieces
        base = next(iter(pieces.bases_of({id})), id)
        found = pieces.place(base) if pieces.has(base) else None
        if found is None or found[1].codec != RAW or found[1].raw != size:
            return None
        return _Base(*found, PAYS if base == id else AGAIN)

    def _ids(self, place: Place) -> list[str]:
        with self._guard:
            if self._buffers is None:
                self._buffers = {}
                with contextlib.suppress(NbSnapError, OSError):
                    for entry in self._store.newest(self._notebook):
                        self._buffers = self._store.buffers(entry)
            buffers = next((self._buffers[name] for name in place.names if name in self._buffers), [])
        return buffers[place.number] if place.number < len(buffers) else []

    def _is_like(self, pack: str, piece: Piece, raw: Bytes) -> bool:
        """Tell whether any of some blocks is the same as it was."""
        count = piece.raw // BLOCK
        before = bytearray(BLOCK)
        for probe in range(min(PROBES, count)):
            at = (probe * count // PROBES + probe) % count * BLOCK  # of no period that changes may have
            if self._store.backend.read_into(pack_file(pack), piece.offset + at, memoryview(before)) < BLOCK:
                return False
            if before == raw[at : at + BLOCK]:
                return True
        return False
