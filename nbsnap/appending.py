"""How pieces follow one another in a pack: short ones tightly, raw ones of some size on a page's edge, to be mapped.

What lies one behind the other in memory is written in one go; short things are held back until they make a megabyte.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from typing import NamedTuple

from nbsnap.backends import Sink
from nbsnap.digest import PIECE_SIZE, Bytes
from nbsnap.packs import DELTA, RAW, ZSTD, Piece

__all__ = ["ALIGNED", "PAGE", "Big", "Pack", "Row", "Small", "length_of"]

PAGE = 4096
ALIGNED = 1 << 16  # raw pieces from this size on start on a page's edge
_ZEROS = bytes(PAGE)


class Small(NamedTuple):
    """A small piece, coded already."""

    id: bytes
    stored: Bytes
    raw: int
    codec: int


class Big(NamedTuple):
    """A piece of a window."""

    id: bytes
    start: int  # where in the window's memory
    stop: int
    stored: bytes | None = None  # it compressed, or as a delta, if that pays
    base: bytes = b""  # of a delta


class Row(NamedTuple):
    """The new pieces of a window, on their way to be appended."""

    pieces: list[Big]
    memory: memoryview  # of the buffer, or of `bytes`
    buffer: mmap.mmap


class Pack:
    """The pack being written: appends, and remembers where everything went. One thread at a time."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.end = 0
        self.pieces: list[Piece] = []
        self._held = bytearray()  # short things on their way, so that they do not cost a system call each

    def small(self, batch: list[Small]) -> None:
        """Append small pieces, tightly."""
        for id, stored, raw, codec in batch:
            self.pieces.append(Piece(id, self.end, len(stored), raw, codec))
            self.bytes(stored)

    def big(self, row: Row) -> None:
        """Append the pieces of a window; raw ones that lie one behind the other are written in one go."""
        begin = end = -1
        for id, start, stop, stored, base in row.pieces:
            size = stop - start
            if stored is not None:
                self._run(row.memory, begin, end)
                begin = end = -1
                self.pieces.append(Piece(id, self.end, len(stored), size, DELTA if base else ZSTD, base))
                self.bytes(stored)
                continue
            if start != end:
                self._run(row.memory, begin, end)
                begin = start
                if size >= ALIGNED and self.end % PAGE:
                    self.bytes(_ZEROS[self.end % PAGE :])
            end = stop
            self.pieces.append(Piece(id, self.end + start - begin, size, size, RAW))
        self._run(row.memory, begin, end)

    def copy(self, piece: Piece, stored: Bytes) -> None:
        """Append a piece of another pack, coded as it is there. What lies in a row there, and comes so, does here."""
        if _is_aligned(piece) and self.end % PAGE:
            self.bytes(_ZEROS[self.end % PAGE :])
        self.pieces.append(piece._replace(offset=self.end))
        self.bytes(stored)

    def _run(self, memory: memoryview, begin: int, end: int) -> None:
        if begin < end:
            self.bytes(memory[begin:end])

    def bytes(self, data: Bytes) -> None:
        """Append bytes as they are."""
        if len(data) < ALIGNED:
            self._held += data
            if len(self._held) >= PIECE_SIZE:
                self.flush()
        else:
            self.flush()
            self.sink.write(data)
        self.end += len(data)

    def flush(self) -> None:
        """Hand over what is held back."""
        if self._held:
            held, self._held = self._held, bytearray()
            self.sink.write(held)


def _is_aligned(piece: Piece) -> bool:
    return piece.codec == RAW and piece.raw >= ALIGNED


def length_of(pieces: Iterable[Piece]) -> int:
    """Return where the pieces of a pack end into which these are copied."""
    end = 0
    for piece in pieces:
        end += (-end % PAGE if _is_aligned(piece) else 0) + piece.stored
    return end
