"""Where pieces are and how they are read: the indexes of all packs of a store, kept in memory as they were read.

One dict leads from a piece's id to a number: which index, which record. It is filled in C from the bytes of the
indexes, so that 100,000 pieces take hundredths of a second. A pack is read through `Backend.read_into`, which keeps
files open.

Nothing that is read is believed: every piece is hashed before it is handed out, and lengths are compared before
memory is taken. A piece that is not what its id says is looked for in the other packs, and counts as absent for the
next writer, which then stores it again. So does all of a pack that is not as long as its index says; that is asked of
the packs that are used, once for each snapshot.

Of a piece that is in several packs, one that is whole in itself is preferred to a delta, and a delta counts only as
long as its base does.

An index never changes under its name, so this process reads it once, and a snapshot costs the same however many were
made before it. Whether a pack is still there is asked each time."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Collection, Iterable, Iterator
from typing import TypeVar

from nbsnap.backends import Backend, doubt, expect, sentence
from nbsnap.deltas import apply, base_of
from nbsnap.digest import PIECE_SIZE, digest
from nbsnap.errors import DamageError, StoreError
from nbsnap.model import Content
from nbsnap.packs import (
    DELTA,
    MAX_INDEX,
    RAW,
    TAIL_SIZE,
    Index,
    Piece,
    claimed_length,
    decode_index,
    decompress,
    tail_length,
)
from nbsnap.tree import PACKS, index_file, pack_file, parse_pack

__all__ = ["Pieces"]

Stored = TypeVar("Stored", bytearray, memoryview)

#: (pack, piece) found altered by this process, for each place: such a piece is stored again by the next writer.
_BAD: dict[str, set[tuple[str, bytes]]] = {}

#: Indexes that were read, for each place and pack: as many as hold `_MOST` records, of 130 bytes each.
_READ: dict[tuple[str, str], Index] = {}
_MOST = 1 << 18
_SOME = 1 << 18  # bytes of an index
_count = 0  # of their records


def _keep(place: str, index: Index) -> None:
    global _count
    if (place, index.pack) not in _READ:
        _count += index.count
        if _count > _MOST:
            _READ.clear()
            _count = index.count
        _READ[place, index.pack] = index


class Pieces:
    """All pieces of a store that can be found through an index."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.ruins: dict[str, str] = {}  # pack -> why it cannot be used
        self._guard = threading.RLock()
        self._indexes: list[Index | None] = []
        self._lengths: list[bool | None] = []  # of each index's pack: whether it is whole; None: not asked yet
        self._numbers: dict[str, int] = {}  # pack -> number of its index
        self._where: dict[bytes, int] = {}  # piece -> number of the index << 32 | number of the record
        self._deltas: dict[bytes, bytes] = {}  # piece that is found as a delta -> its base
        self._more: dict[bytes, dict[int, bytes]] = {}  # ... or lies elsewhere as one -> where, and of which base
        self._last: tuple[bytes, bytes | bytearray] = b"", b""  # the base that was read last
        self._hinted: list[str] = []  # packs whose indexes are read when a piece is looked for in vain
        self._bad = _BAD.setdefault(backend.place, set())

    # --- what is there ---------------------------------------------------------------------------------------

    def has(self, id: bytes) -> bool:
        """Tell whether a piece need not be written again: a pack that looks whole has it."""
        location = self._where.get(id)
        if location is None:
            return False
        if self._serves(id, location >> 32, self._deltas.get(id)):
            return True
        if self._where[id] != location:  # that pack is not whole, and another has it
            return self.has(id)
        for other, base in list(self._more.get(id, {}).items()):
            if self._serves(id, other >> 32, base):
                self._deltas[id], self._where[id] = base, other
                return True
        return False

    def _serves(self, id: bytes, number: int, base: bytes | None) -> bool:
        """Tell whether a piece can be had from a pack, where it is a delta of `base`, or of none."""
        if not (self._lengths[number] or self._is_whole(number)):
            return False
        if base is not None and not self._has_whole(base):
            return False
        return not self._bad or (self._pack(number), id) not in self._bad

    def _has_whole(self, id: bytes) -> bool:
        """Tell whether a piece can be had, and not as a delta: others may differ from it."""
        location = self._where.get(id)
        if location is None or id in self._deltas:
            return False
        return self._serves(id, location >> 32, None) or (self._where[id] != location and self._has_whole(id))

    def has_all(self, ids: Collection[bytes]) -> bool:
        """Tell whether none of these pieces needs to be written again; False may mean that it takes a closer look."""
        if self._bad or not self._deltas.keys().isdisjoint(ids):
            return False
        where = self._where
        try:
            numbers = {where[id] >> 32 for id in ids}
        except KeyError:
            return False
        return all(self._lengths[number] or self._is_whole(number) for number in numbers)

    def suspect(self, pack: str, id: bytes) -> None:
        """Remember that a pack's piece was found altered, so that the next writer that is given it stores it again."""
        self._bad.add((pack, id))

    def has_suspects(self, pack: str, pieces: Iterable[Piece]) -> bool:
        """Tell whether any of a pack's pieces was found altered before."""
        return bool(self._bad) and any((pack, piece.id) in self._bad for piece in pieces)

    def bases_of(self, ids: set[bytes]) -> set[bytes]:
        """Return the ids of the pieces that others differ from, of these, where they are found as deltas."""
        return {self._deltas[id] for id in self._deltas.keys() & ids}

    def packs_of(self, ids: Iterable[bytes]) -> set[str]:
        """Return the packs that hold these pieces, as far as the indexes read so far tell; KeyError: one is in none."""
        where = self._where
        return {self._pack(number) for number in {where[id] >> 32 for id in ids}}

    def _pack(self, number: int) -> str:
        index = self._indexes[number]
        return "" if index is None else index.pack

    def _is_whole(self, number: int) -> bool:
        """Tell whether a pack is as long as it should be. If not, other packs that hold its pieces are preferred."""
        index = self._indexes[number]
        if index is None or self._lengths[number] is False:
            return False
        try:
            whole = self.backend.size(pack_file(index.pack)) == index.end + len(index.data)
        except OSError:
            whole = False
        with self._guard:
            self._lengths[number] = whole
            if not whole:
                for other, index in enumerate(self._indexes):
                    if index is not None and self._lengths[other] is not False:
                        self._place(other, index)
        return whole

    def hint(self, packs: Iterable[str]) -> None:
        """Take note of packs to look into before all others. One piece is often found in the first of many."""
        self._hinted += packs

    def look(self, packs: Iterable[str] | None = None) -> None:
        """Read the indexes of these packs; None: of all that are there, and forget those that are gone."""
        self._last = b"", b""
        with self._guard:
            if packs is None:
                try:
                    names = [name for name in self.backend.list(PACKS) if name.endswith(".pack")]
                    packs = [pack for name in names if (pack := parse_pack(name))]
                except OSError as error:
                    raise sentence(error, self.backend.place, writing=False) from error
                self._forget(set(self._numbers).difference(packs))
                self._lengths = [whole and None for whole in self._lengths]
            packs = [pack for pack in packs if pack not in self._numbers]
            expect(self.backend, [index_file(pack) for pack in packs if (self.backend.place, pack) not in _READ])
            for pack in packs:
                if pack not in self._numbers:
                    try:
                        self._look_into(pack)
                    except DamageError as error:
                        self.ruins[pack] = str(error)
                    except StoreError as error:
                        self.ruins[pack] = f"{self.backend.describe(index_file(pack))}: {error}"
                    except OSError as error:
                        self.ruins[pack] = str(sentence(error, self.backend.place, writing=False))

    def _look_into(self, pack: str) -> None:
        known = _READ.get((self.backend.place, pack))
        if known is not None:
            self.add(known, whole=None)
        else:
            index = self.index(pack)
            self.add(index, whole=index.whole)

    def index(self, pack: str) -> Index:
        """Return a pack's index from the file beside it, or where that is damaged from the pack's own end."""
        file = pack_file(pack)
        try:
            length = self.backend.size(file)
        except FileNotFoundError:
            raise DamageError(f"{self.backend.describe(file)} is missing") from None
        try:
            index = self.index_beside(pack)
        except DamageError as error:
            try:
                index = self.index_inside(pack, length)
            except DamageError:
                raise error from None
        index.whole = length == index.end + len(index.data)
        return index

    def index_beside(self, pack: str) -> Index:
        """Return a pack's index from its own file."""
        file = index_file(pack)
        try:
            data = self.backend.read(file, 0, _SOME)
            if len(data) == _SOME:  # what is longer has to begin as an index of that length does
                data += self.backend.read(file, _SOME, claimed_length(data) - _SOME + 1)
            return decode_index(data, pack)
        except FileNotFoundError:
            raise DamageError(f"{self.backend.describe(file)} is missing") from None
        except DamageError as error:
            raise DamageError(f"{self.backend.describe(file)}: {error}") from None

    def index_inside(self, pack: str, length: int) -> Index:
        """Return a pack's index from the end of the pack, which is `length` bytes long."""
        file = pack_file(pack)
        try:
            tail = self.backend.read(file, max(0, length - TAIL_SIZE), TAIL_SIZE)
            size = tail_length(tail) if len(tail) == TAIL_SIZE else 0
            if not TAIL_SIZE < size <= min(length, MAX_INDEX):
                raise DamageError("it does not end with an index: cut short, or altered")
            return decode_index(self.backend.read(file, length - size, size), pack)
        except DamageError as error:
            raise DamageError(f"{self.backend.describe(file)}: {error}") from None

    def add(self, index: Index, *, whole: bool | None = True) -> None:
        """Take up an index that was read or just written."""
        with self._guard:
            number = len(self._indexes)
            self._indexes.append(index)
            self._lengths.append(whole)
            self._numbers[index.pack] = number
            self.ruins.pop(index.pack, None)
            self._place(number, index)
            if whole is not None:
                _keep(self.backend.place, index)

    def _place(self, number: int, index: Index) -> None:
        """Have pieces be found in this pack, but for those that are there in name only."""
        base = number << 32
        places = zip(index.ids(), range(base, base + index.count), strict=True)
        whole = self._lengths[number] is not False
        suspects = bool(self._bad) and any(pack == index.pack for pack, _ in self._bad)
        bases = index.bases()
        if whole and not suspects and not bases:
            self._where.update(places)
            for id in self._deltas.keys() & index.ids():
                del self._deltas[id]
            return
        for id, place in places:
            if id in bases:
                if self._where.setdefault(id, place) == place:
                    self._deltas[id] = bases[id]
                else:
                    self._more.setdefault(id, {})[place] = bases[id]
            elif whole and (index.pack, id) not in self._bad:
                self._where[id] = place
                self._deltas.pop(id, None)
            else:
                self._where.setdefault(id, place)

    def indexes(self) -> list[Index]:
        """Return the indexes read so far, of packs that were there when they were last looked for."""
        return [index for index in self._indexes if index is not None]

    def _forget(self, packs: set[str]) -> None:
        if packs:
            self.ruins |= {pack: f"{self.backend.describe(pack_file(pack))} is missing" for pack in packs}
            held = zip(self._indexes, self._lengths, strict=True)
            rest = [(index, whole) for index, whole in held if index is not None and index.pack not in packs]
            self._indexes, self._lengths, self._numbers = [], [], {}
            self._where, self._deltas, self._more = {}, {}, {}
            for index, whole in rest:
                self.add(index, whole=whole)

    # --- reading ---------------------------------------------------------------------------------------------

    def locate(self, content: Content) -> list[tuple[str, Piece]]:
        """Return where each piece of `content` lies: pack and record. Their raw lengths add up to the content's."""
        found = []
        rest = content.size
        where, indexes = self._where, self._indexes
        for id in content.pieces:
            key = bytes.fromhex(id)
            try:
                location = where[key]
                index = indexes[location >> 32]
                pack, piece = index.pack, index.piece(location & 0xFFFFFFFF)  # type: ignore[union-attr]
            except (LookupError, AttributeError, StoreError):
                pack, piece = self._find(key)
                where, indexes = self._where, self._indexes
            if piece.raw != min(PIECE_SIZE, rest):
                file = self.backend.describe(index_file(pack))
                raise DamageError(f"{file}: piece {id[:12]} is not as long as the snapshot says")
            found.append((pack, piece))
            rest -= piece.raw
        if rest:
            raise DamageError(f"{len(content.pieces)} pieces cannot be the {content.size} bytes that they should be")
        return found

    def place(self, id: bytes) -> tuple[str, Piece] | None:
        """Return where a piece lies, as far as the indexes read so far tell."""
        with self._guard:
            location = self._where.get(id)
            index = None if location is None else self._indexes[location >> 32]
        if location is None or index is None:
            return None
        try:
            return index.pack, index.piece(location & 0xFFFFFFFF)
        except DamageError:
            return None

    def find(self, id: bytes) -> tuple[str, Piece]:
        """Return where a piece lies, having looked for it; DamageError: it is nowhere."""
        return self.place(id) or self._find(id)

    def _find(self, id: bytes) -> tuple[str, Piece]:
        if len(self._hinted) > 1 and hasattr(self.backend, "expect"):
            self.look(self._hinted)
            self._hinted = []
        while id not in self._where and self._hinted:
            self.look([self._hinted.pop()])
        if id not in self._where:
            self.look()
        with self._guard:
            location = self._where.get(id)
            index = None if location is None else self._indexes[location >> 32]
        if location is None or index is None:
            ruins = f" ({'; '.join(self.ruins.values())})" if self.ruins else ""
            raise DamageError(f"piece {id.hex()[:12]} is in no pack of {self.backend.place}{ruins}")
        try:
            return index.pack, index.piece(location & 0xFFFFFFFF)
        except DamageError as error:
            raise DamageError(f"{self.backend.describe(index_file(index.pack))}: {error}") from None

    def sound(self, pack: str, piece: Piece) -> bytes | bytearray:
        """Return the bytes of a piece, verified, from this pack or another that has it; an error is about this one."""
        stored = bytearray(piece.stored)
        try:
            if self.backend.read_into(pack_file(pack), piece.offset, memoryview(stored)) == piece.stored:
                raw = self.decoded(piece, stored)
                if digest(raw) == piece.id:
                    return raw
        except (OSError, StoreError):
            pass
        doubt(self.backend, pack_file(pack))
        try:
            return self.fetch(pack, piece)  # slower, and with words for what is wrong
        except DamageError:
            self.suspect(pack, piece.id)
            for other in self._others(pack, piece):
                with contextlib.suppress(DamageError):
                    return self.fetch(*other)
            raise

    def _others(self, pack: str, piece: Piece) -> Iterator[tuple[str, Piece]]:
        """Yield where else a piece lies."""
        self.look()
        for index in list(self._indexes):
            if index is not None and index.pack != pack and piece.id in (ids := index.ids()):
                other = index.piece(ids.index(piece.id))
                if other.raw == piece.raw:
                    yield index.pack, other

    def decoded(self, piece: Piece, stored: Stored) -> Stored | bytes | bytearray:
        """Return what a piece is in memory, not verified; raise StoreError where what is stored makes none."""
        if piece.codec == RAW:
            return stored
        if piece.codec != DELTA:
            return decompress(stored, piece.raw)
        if base_of(stored) != piece.base:
            raise DamageError("a delta is not of the base that the index says")
        base = self._whole(piece.base)
        if len(base) != piece.raw:
            raise DamageError("a delta is of a piece of another length")
        return apply(stored, base)

    def _whole(self, id: bytes) -> bytes | bytearray:
        """Return the bytes of a piece, verified, of which there are deltas: it is none itself, wherever it is used.

        Verified, though what is made of it will be, too: a base that is altered only where a delta differs from it
        would count as sound, until a repair lets it go.
        """
        last = self._last
        if last[0] == id:
            return last[1]
        place = self.find(id)
        cause: BaseException | None = None
        for pack, copy in itertools.chain([place], self._others(*place)):
            if copy.codec != DELTA:
                try:
                    base = self.fetch(pack, copy)
                    self._last = id, base
                    return base
                except DamageError as error:
                    self.suspect(pack, id)
                    cause = cause or error.__cause__
        raise DamageError(f"the piece {id.hex()[:12]}, from which it differs, cannot be read") from cause

    def fetch(self, pack: str, piece: Piece) -> bytes | bytearray:
        """Return the bytes of one piece of one pack, verified; DamageError names both."""
        return self.stored(pack, piece)[1]

    def stored(self, pack: str, piece: Piece) -> tuple[bytearray, bytes | bytearray]:
        """Return one piece of one pack as it lies there, and its bytes, verified; DamageError names both."""
        file, name = self.backend.describe(pack_file(pack)), piece.id.hex()[:12]
        stored = bytearray(piece.stored)
        try:
            count = self.backend.read_into(pack_file(pack), piece.offset, memoryview(stored))
        except FileNotFoundError:
            raise DamageError(f"{file} is missing: piece {name} is lost") from None
        except OSError as error:
            raise DamageError(f"{file} cannot be read for piece {name}: {error.strerror or error}") from error
        if count < piece.stored:
            raise DamageError(f"{file} is cut short: piece {name} is lost")
        try:
            raw = self.decoded(piece, stored)
        except DamageError as error:
            what = "was altered" if piece.codec != DELTA else "cannot be made of what is there"
            raise DamageError(
                f"{file} is damaged: piece {name} at {piece.offset} {what} ({error})"
            ) from error.__cause__
        if digest(raw) != piece.id:
            raise DamageError(f"{file} is damaged: piece {name} at {piece.offset} was altered (wrong hash)")
        return stored, raw
