"""Keeping what can be kept of a damaged store, and saying what cannot.

    store.json       written again, where records of this format tell what it said
    a record         (manifest) that is altered: moved to `damaged/`, for nobody can tell what it said; one that is
                     whole, under a name that is not its own: gets its name back
    an index         that is altered or gone: written again from the copy at the end of its pack
    a pack           that is altered, cut or grown: its sound pieces are copied into a new one, then it goes. Without
                     any index: what snapshots need is looked for in it, by its hash
    an index alone   goes; what it listed is lost

Rules:

1. **Nothing is guessed.** A piece is kept if its bytes have its hash, and not otherwise. Snapshots keep their records
   as they are: what is left of one restores, and if a later snapshot stores a lost piece again, it is whole.
2. **First the new, durable, then the old goes.** After a death things are there twice; the next repair ends it.
3. **Alone**, as pruning is: nobody writes meanwhile.
4. A file that cannot be read for any other reason than its bytes (no permission, a disk with errors, a later format) is
   left as it is, and told.

Nothing is unpickled."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import zstandard

from nbsnap import deltas, manifest
from nbsnap.appending import PAGE, Pack
from nbsnap.backends import Backend, anew, sentence, write_whole
from nbsnap.digest import PIECE_SIZE, digest
from nbsnap.errors import DamageError, SnapshotNotFound, StoreError, StoreVersionError
from nbsnap.maintenance import Users, users_of
from nbsnap.model import Snapshot
from nbsnap.packs import DELTA, RAW, ZSTD, Index, Piece, decode_index, decompress, encode_index
from nbsnap.places import backend_at
from nbsnap.pruning import alone
from nbsnap.records import Lost, RepairReport
from nbsnap.store import Store
from nbsnap.tree import (
    PACKS,
    SNAPSHOTS,
    STORE_BYTES,
    STORE_FILE,
    Entry,
    index_file,
    new_pack,
    pack_file,
    parse_pack,
    parse_snapshot,
    snapshot_file,
    stamp_of,
)
from nbsnap.writer import publish_pack

__all__ = ["DAMAGED", "opened", "repair"]

DAMAGED = "damaged"
_MAGIC = b"\x28\xb5\x2f\xfd"  # how a zstd frame begins
_WINDOW = 2 * PIECE_SIZE


def opened(place: str | os.PathLike[str]) -> Store:
    """Return the store at a place; if its store.json is damaged and its records tell what it said, write that again."""
    try:
        return Store.open(place)
    except DamageError as error:
        backend = backend_at(place)
        try:
            if not any(_is_ours(backend, file) for file in backend.list(SNAPSHOTS)):
                raise error from None
            write_whole(backend, STORE_FILE, STORE_BYTES)
        except OSError as trouble:
            raise sentence(trouble, backend.place, writing=True) from trouble
        return Store.open(place)


def _is_ours(backend: Backend, file: str) -> bool:
    """Tell whether a file is a record of the format that we know."""
    try:
        return parse_snapshot(file) is not None and bool(manifest.decode_head(backend.read(file, 0, manifest.MAX_HEAD)))
    except (StoreError, OSError):
        return False


def repair(store: Store) -> RepairReport:
    """Keep what can be kept; see the module's docstring."""
    started = time.perf_counter()
    try:
        hold = alone(store)
        if hold is None:
            raise StoreError(f"somebody is saving into {store.place} just now: try again later; nothing was changed")
        try:
            anew(store.backend)
            work = _Repair(store)
            work.records()
            work.packs()
            return work.report(time.perf_counter() - started)
        finally:
            hold.release()
            store.pieces.look()
    except OSError as error:
        raise sentence(error, store.place, writing=True) from error


class _Seen(NamedTuple):
    """A pack, as it was found."""

    records: Index | None
    sound: list[Piece]
    whole: bool  # the pack itself, its end included
    beside: bool  # the index beside it is right


class _Repair:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.backend = store.backend
        self.snapshots: list[Snapshot] = []
        self.aside: list[str] = []
        self.gone: list[Lost] = []
        self.renamed: list[str] = []
        self.rebuilt: list[str] = []
        self.rewritten = self.found = 0
        self.dropped: list[str] = []
        self.problems: list[str] = []

    # --- records -------------------------------------------------------------------------------------------------

    def records(self) -> None:
        """Look at all manifests: `snapshots` are the sound ones, and each of the others is dealt with."""
        misnamed: list[tuple[str, Snapshot, bytes]] = []
        for file in self.backend.list(DAMAGED):  # a repair before this one may have come no further
            read = self._whole(file)
            if read is not None:
                misnamed.append((file, *read))
        damaged: list[Entry] = []
        for entry in self.store.entries():
            try:
                self.snapshots.append(self.store.load_entry(entry))
            except SnapshotNotFound:
                continue
            except DamageError:
                read = self._whole(entry.file)
                if read is None:
                    damaged.append(entry)
                else:
                    misnamed.append((self._copied(entry, read[1]), *read))
                    damaged.append(entry)
            except StoreError as error:
                self.problems.append(f"left as it is: {error}")
        right = {self._name(snapshot): (file, snapshot, data) for file, snapshot, data in misnamed}
        for entry in damaged:
            if self._whole(entry.file) is None:
                self._set_aside(entry)
        here = {snapshot.head.id for snapshot in self.snapshots}
        for name, (_, snapshot, data) in right.items():
            if snapshot.head.id not in here:
                write_whole(self.backend, name, data)
                self.snapshots.append(snapshot)
                self.renamed.append(self.backend.describe(name))
        wrong = [entry.file for entry in damaged if entry.file not in right]
        self.store.forget(wrong)
        self.backend.remove([*wrong, *(file for file, _, _ in misnamed if file not in right)])

    def _whole(self, file: str) -> tuple[Snapshot, bytes] | None:
        """Return the snapshot that a file holds, every byte verified, whatever it is called."""
        try:
            manifest.decode_head(self.backend.read(file, 0, manifest.MAX_HEAD))
            data = self.backend.read(file, 0, manifest.MAX_FILE)
            return manifest.decode(data), data
        except (StoreError, OSError):
            return None

    def _name(self, snapshot: Snapshot) -> str:
        head = snapshot.head
        try:
            return snapshot_file(head.notebook, stamp_of(head.time), head.id, head.name)
        except ValueError:
            return f"{DAMAGED}/{head.id}.snap"

    def _copied(self, entry: Entry, data: bytes) -> str:
        """Put a copy of a record where the next repair finds it; return that name."""
        name = f"{DAMAGED}/{entry.file.removeprefix(f'{SNAPSHOTS}/')}"
        write_whole(self.backend, name, data)
        return name

    def _set_aside(self, entry: Entry) -> None:
        """Copy an altered record to where nobody takes it for a snapshot."""
        head = self.store.head_or_stub(entry)
        long = self.backend.size(entry.file) > manifest.MAX_FILE  # that was never a record
        name = self._copied(entry, self.backend.read(entry.file, 0, PAGE if long else manifest.MAX_FILE))
        self.aside.append(self.backend.describe(name))
        self.gone.append(Lost(entry.id, head.name, head.notebook, (), whole=True))

    # --- packs ---------------------------------------------------------------------------------------------------

    def packs(self) -> None:
        """Look at all packs and indexes, and mend them one by one."""
        names = set(self.backend.list(PACKS))
        self.store.pieces.look()
        known = {pack_file(index.pack) for index in self.store.pieces.indexes()}
        for name in sorted(names - known):
            if (pack := parse_pack(name)) is not None and not self.problems:
                with contextlib.suppress(OSError):  # which is told below
                    self._lay_open(pack)
        for name in sorted(names):
            pack = parse_pack(name)
            if pack is not None:
                try:
                    self._mend(pack)
                except FileNotFoundError:
                    continue
                except (OSError, StoreVersionError) as error:
                    self.problems.append(f"left as it is: {_said(self.backend.describe(name), error)}")
        orphans = [name for name in sorted(names) if name.endswith(".index") and _pack_of(name) not in names]
        self.backend.remove(orphans)
        self.dropped += map(self.backend.describe, orphans)
        self.store.pieces.look()

    def _lay_open(self, pack: str) -> None:
        """Let what is found in a pack without an index be known: deltas in other packs may differ from it."""
        found = sorted(
            (piece for piece in self._salvaged(pack) if piece.codec != DELTA), key=lambda piece: piece.offset
        )
        end = self.backend.size(pack_file(pack))
        self.store.pieces.add(decode_index(encode_index(pack, end, found), pack), whole=None)

    def _mend(self, pack: str) -> None:
        seen = self._look(pack)
        if seen.whole and seen.records is not None:
            if not seen.beside:
                write_whole(self.backend, index_file(pack), seen.records.data)
                self.rebuilt.append(self.backend.describe(index_file(pack)))
            return
        if seen.records is None:
            if self.problems:  # a record that was not read may need what is in it
                self.problems.append(f"left as it is: {self.backend.describe(pack_file(pack))} has no index")
                return
            seen = seen._replace(sound=list(self._salvaged(pack)))
            self.found += len(seen.sound)
        if seen.sound:
            self._rewrite(pack, sorted(seen.sound, key=lambda piece: piece.offset))
            self.rewritten += 1
        else:
            self.dropped.append(self.backend.describe(pack_file(pack)))
        self.backend.remove([index_file(pack), pack_file(pack)])

    def _look(self, pack: str) -> _Seen:
        length = self.backend.size(pack_file(pack))
        beside = _tried(lambda: self.store.pieces.index_beside(pack))
        inside = _tried(lambda: self.store.pieces.index_inside(pack, length))
        index = beside or inside
        if index is None:
            return _Seen(None, [], False, False)
        sound: list[Piece] = []
        end = 0
        for number in range(index.count):
            try:
                piece = index.piece(number, end)
                end = piece.offset + piece.stored
                self.store.pieces.stored(pack, piece)
            except DamageError as error:
                if isinstance(error.__cause__, OSError):
                    raise error.__cause__ from None
                continue
            sound.append(piece)
        whole = inside is not None and len(sound) == index.count and length == inside.end + len(inside.data)
        return _Seen(index, sound, whole, beside is not None)

    def _rewrite(self, old: str, pieces: list[Piece]) -> None:
        """Copy pieces into a new pack, each verified once more."""
        id = new_pack()
        pack = Pack(self.backend.create(pack_file(id)))
        try:
            for piece in pieces:
                pack.copy(piece, self.store.pieces.stored(old, piece)[0])
            publish_pack(self.store, id, pack)
        finally:
            pack.sink.abandon()

    def _salvaged(self, pack: str) -> Iterator[Piece]:
        """Yield pieces that snapshots need and that lie in a pack of which no index is left."""
        wanted = {id: size for snapshot in self.snapshots for id, size in _sizes(snapshot)}
        lengths = sorted(set(wanted.values()), reverse=True)
        bases = {id: size for snapshot in self.snapshots for id, size in _bases(snapshot)}
        file = pack_file(pack)
        length, at = self.backend.size(file), 0
        start, window = 0, b""
        while at < length:
            if at - start + PIECE_SIZE > len(window) and start + len(window) < length:
                start, window = at, self.backend.read(file, at, _WINDOW)
            if window.count(0, at - start, at - start + PIECE_SIZE) == PIECE_SIZE:  # nothing, as after a power cut
                at += PIECE_SIZE
                continue
            view = memoryview(window)[at - start :]
            piece = self._delta_at(view, at, bases) or _piece_at(view, at, wanted, lengths)
            if piece is not None:
                if piece.id in wanted:
                    yield piece
                at += piece.stored
                continue
            page = (at // PAGE + 1) * PAGE
            begins = [window.find(begin, at - start + 1, page - start) for begin in (_MAGIC, *bases)]
            at = min((start + begin for begin in begins if begin >= 0), default=page)

    def _delta_at(self, view: memoryview, at: int, bases: dict[bytes, int]) -> Piece | None:
        """Return the delta that begins here with the id of its base, if there is one."""
        base = deltas.base_of(view)
        if base not in bases:
            return None
        try:
            stored = bytearray(view[: deltas.length(view, bases[base])])
            piece = Piece(b"", at, len(stored), bases[base], DELTA, base)
            piece = piece._replace(id=digest(self.store.pieces.decoded(piece, stored)))
        except StoreError:
            return None
        return piece if piece.id != base else None  # the id of the base stands in the index, too

    # --- what is lost --------------------------------------------------------------------------------------------

    def report(self, seconds: float) -> RepairReport:
        """Return what was done, and which variables of which snapshots are lost."""
        users: Users = users_of(self.snapshots)
        here = {id for index in self.store.pieces.indexes() for id in index.ids()}
        missing = users.keys() - here
        hurt = sorted({number for id in missing for number in users[id]})
        for number in hurt:
            snapshot = self.snapshots[number]
            names = tuple(_names(snapshot, missing))
            self.gone.append(Lost(snapshot.head.id, snapshot.head.name, snapshot.head.notebook, names))
        return RepairReport(
            store=self.store.place,
            snapshots=len(self.snapshots),
            rebuilt=tuple(self.rebuilt),
            rewritten=self.rewritten,
            found=self.found,
            dropped=tuple(self.dropped),
            renamed=tuple(self.renamed),
            aside=tuple(self.aside),
            pieces=len(missing),
            lost=tuple(self.gone),
            seconds=seconds,
            problems=tuple(self.problems),
        )


def _tried(read: Callable[[], Index]) -> Index | None:
    try:
        return read()
    except StoreVersionError:
        raise
    except DamageError:
        return None


def _said(file: str, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return reason if reason.startswith(file) else f"{file}: {reason}"


def _pack_of(index: str) -> str:
    return index.removesuffix(".index") + ".pack"


def _sizes(snapshot: Snapshot) -> Iterator[tuple[bytes, int]]:
    """Yield the pieces of a snapshot, and how long each is in memory."""
    for content in manifest.contents(snapshot):
        rest = content.size
        for id in content.pieces:
            yield bytes.fromhex(id), min(PIECE_SIZE, rest)
            rest -= PIECE_SIZE


def _bases(snapshot: Snapshot) -> Iterator[tuple[bytes, int]]:
    for content in snapshot.bases:
        for id in content.pieces:
            yield bytes.fromhex(id), content.size


def _piece_at(view: memoryview, at: int, wanted: dict[bytes, int], lengths: list[int]) -> Piece | None:
    """Return the piece that begins here, if there is one: a whole frame, or bytes with the hash of a wanted one."""
    if view[:4] == _MAGIC:
        frame = _frame(view)
        if frame is not None:
            raw, stored = frame
            return Piece(digest(raw), at, stored, len(raw), ZSTD)
    for size in lengths:
        if size <= len(view):
            id = digest(view[:size])
            if wanted.get(id) == size:
                return Piece(id, at, size, size, RAW)
    return None


def _frame(view: memoryview) -> tuple[bytes, int] | None:
    """Return what the frame holds with which the bytes begin, and how long it is."""
    try:
        raw = zstandard.frame_content_size(view)
        if not 0 < raw <= PIECE_SIZE:
            return None
        decoder = zstandard.ZstdDecompressor().decompressobj()
        decoder.decompress(view[: min(len(view), raw)])
        stored = min(len(view), raw) - len(decoder.unused_data)
        return decompress(view[:stored], raw), stored
    except (zstandard.ZstdError, DamageError):
        return None


def _names(snapshot: Snapshot, missing: set[bytes]) -> Iterator[str]:
    """Yield the names of the variables that need any of these pieces."""
    lost = {id.hex() for id in missing}
    keys = {spec.key for spec in snapshot.definitions if not lost.isdisjoint(spec.stream.pieces)}
    for group in snapshot.groups:
        contents = (group.stream, *group.buffers)
        if keys.intersection(group.needs) or any(not lost.isdisjoint(content.pieces) for content in contents):
            yield from group.variables
