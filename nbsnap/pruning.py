"""Letting snapshots go, and freeing the packs that nobody needs then. Which go, the rules of `keep` say.

    manifests       are removed first, and durably
    packs           of which no piece is needed are removed next
    the others      of which little is needed: that is copied into a new pack, as any writer would; then they go, too

A death in between leaves what nobody refers to, and the next pruning frees it. Rules:

1. **What is needed is read from every manifest of the store.** One that cannot be read may need anything: as long as
   it is there, nothing but manifests is removed.
2. **Packs are removed under a hold that nobody shares** (`Backend.hold`). Once it is had, manifests and packs are
   listed once more: what a writer has made of them meanwhile is seen. Copying goes on beside writers, as writing does.
3. **Of a needed piece that is in several packs, one copy stays**, and it is read and verified before another goes.
   A delta takes no other copy's place but that of a delta of the same base: whoever needs the piece may not need the
   other base. Where nobody needs the base of one, it is no copy at all, as long as there is another; if there is none
   (a copied snapshot names the bases that it had where it came from), the base is needed.
4. Where somebody is writing, packs wait for the next pruning. Nobody is made to wait for longer than removing takes."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nbsnap.appending import Pack, length_of
from nbsnap.backends import Hold, anew, announce, sentence
from nbsnap.errors import DamageError, SnapshotNotFound, StoreError
from nbsnap.keep import Rules, protected, staying, too_many
from nbsnap.model import Head
from nbsnap.packs import DELTA, Index, Piece, index_length
from nbsnap.records import Kept
from nbsnap.tree import PACKS, Entry, index_file, new_pack, pack_file, parse_pack
from nbsnap.wording import count, size
from nbsnap.writer import publish_pack

if TYPE_CHECKING:
    from nbsnap.store import Store

__all__ = ["Choice", "Freed", "alone", "choose", "discard"]

PATIENCE = 5.0  # seconds for which others may be writing
LITTLE = 0.5  # a pack is copied of which at least this part is not needed
TIGHT = 0.1  # ... where a limit is to be kept
WORTH = 1 << 16  # bytes that copying has to free


@dataclass
class Freed:
    """What came of it."""

    bytes: int = 0
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass
class Choice:
    """Which snapshots go, and which stay."""

    gone: list[Entry] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def choose(store: Store, notebook: str | None, rules: Rules) -> Choice:
    """Return what rules make of a notebook's snapshots; None: of each notebook's, and `max_size` is for all of them."""
    choice = Choice()
    books: dict[str, list[Entry]] = {}
    for entry in store.entries(notebook):
        books.setdefault(entry.file.rpartition("/")[0], []).append(entry)
    heads: dict[Entry, Head] = {}
    why: dict[str, tuple[str, ...]] = {}
    stay: set[str] = set()
    for entries in books.values():
        mine: dict[Entry, Head] = {}
        for entry in entries:
            try:
                mine[entry] = store.head(entry)
            except (StoreError, SnapshotNotFound):  # gone, or it stays: `discard` tells of it, and `delete` removes it
                continue
        heads.update(mine)
        why.update(staying(list(mine.values()), rules))
        stay.update(head.id for head in protected(list(mine.values()), rules))
    left = sorted(entry for entry in heads if entry.id in why)
    too_big = _over(store, left, rules.max_size, stay, choice) if rules.max_size else set()
    for entry in sorted(heads):
        if entry.id in why and entry.id not in too_big:
            choice.kept.append(Kept(heads[entry], why[entry.id]))
        else:
            choice.gone.append(entry)
    return choice


def spare(store: Store, notebook: str, rules: Rules) -> list[Entry]:
    """Return the autosnapshots of a notebook that no rule keeps, oldest first.

    What the user asked for is never among them. The last one of each session is not, for what a later session has not
    restored is there alone, unless `max_size` asks for it.
    """
    choice = choose(store, notebook, replace(rules, max_size=0))
    heads = {entry: store.head(entry) for entry in store.entries(notebook)}
    last = {head.session: entry for entry, head in heads.items()}
    gone = [entry for entry in choice.gone if heads[entry].kind == "auto" and last[heads[entry].session] != entry]
    if rules.max_size:
        left = [entry for entry in sorted(heads) if entry not in gone]
        stay = {entry.id for entry in left if heads[entry].kind != "auto"} | {left[-1].id}
        too_big = _over(store, left, rules.max_size, stay, choice)
        gone += [entry for entry in left if entry.id in too_big]
    return sorted(gone)


def _over(store: Store, entries: list[Entry], limit: int, stay: set[str], choice: Choice) -> set[str]:
    """Return the ids of those that have to go so that the others need no more bytes than `limit`."""
    store.pieces.look()
    sizes, bases = _stored_sizes(store)
    pool: dict[bytes, bytes] = {}  # ids that are equal are one object: there may be millions
    needs: dict[str, set[bytes]] = {}
    for entry in entries:
        manifest = entry.file.encode()
        sizes[manifest] = _size(store, entry.file)
        try:
            ids = store.needs(entry)
            unnamed = (bases[id] for id in ids & bases.keys() if ids.isdisjoint(bases[id]))
            needs[entry.id] = {pool.setdefault(id, id) for id in ids.union(*unnamed)} | {manifest}
        except (StoreError, SnapshotNotFound):
            needs[entry.id] = {manifest}
            stay.add(entry.id)
    gone, rest = too_many([entry.id for entry in entries], limit, needs, sizes, stay)
    if rest > limit:
        choice.notes.append(
            f"what stays takes {size(rest)}, more than the limit of {size(limit)}:"
            " the latest snapshot and those with a name are not removed"
        )
    return set(gone)


def discard(store: Store, entries: Collection[Entry], *, dry_run: bool = False, tight: bool = False) -> Freed:
    """Remove the manifests `entries`, then what no other needs. `dry_run` only says how many bytes that would free."""
    try:
        return _discard(store, entries, dry_run, TIGHT if tight else LITTLE)
    except OSError as error:
        raise sentence(error, store.place, writing=True) from error


def _discard(store: Store, entries: Collection[Entry], dry_run: bool, share: float) -> Freed:
    freed = Freed()
    needed = _Needed(store, {entry.file for entry in entries})
    needed.read()
    for entry in entries:
        freed.bytes += _size(store, entry.file)
    if dry_run:
        if not needed.blocked(freed):
            store.pieces.look()
            _foresee(store, needed, share, freed)
        return freed
    anew(store.backend)
    store.forget(entry.file for entry in entries)
    store.backend.remove(entry.file for entry in entries)
    needed.removed()
    if needed.blocked(freed) or not _remove_packs(store, needed, freed, set()):
        return freed
    poor = _poor(store, needed.ids, share)
    if poor and (new := _copy(store, poor, freed)):
        _remove_packs(store, needed, freed, {new})
    return freed


class _Needed:
    """The pieces that manifests name."""

    def __init__(self, store: Store, leaving: Collection[str]) -> None:
        self.store = store
        self.ids: set[bytes] = set()
        self.unread: dict[str, str] = {}  # manifest -> why it cannot be read
        self._leaving = leaving
        self._done = set(leaving)

    def removed(self) -> None:
        """The manifests that were leaving are gone: one that is there again (`Store.sign`) is needed."""
        self._done.difference_update(self._leaving)

    def read(self) -> None:
        """Read the manifests that are there and were not read yet."""
        for entry in self.store.loading(entry for entry in self.store.entries() if entry.file not in self._done):
            try:
                self.ids.update(self.store.needs(entry))
            except SnapshotNotFound:  # removed just now
                continue
            except StoreError as error:
                self.unread[entry.file] = str(error)
                continue
            self.unread.pop(entry.file, None)
            self._done.add(entry.file)

    def blocked(self, freed: Freed) -> bool:
        """Tell whether it is not known what is needed, and say so."""
        if self.unread:
            freed.problems.append(
                f"no pack can be removed, as {count(len(self.unread), 'record')} cannot be read and may need it: "
                f"{next(iter(self.unread.values()))}"
            )
        return bool(self.unread)


def _stored_sizes(store: Store) -> tuple[dict[bytes, int], dict[bytes, set[bytes]]]:
    """Return how many bytes each piece of the store takes, with its records in the two copies of the index.

    And of those that are there as deltas alone, the bases: one of them is needed, whether it is named or not.
    """
    sizes: dict[bytes, int] = {}
    bases: dict[bytes, set[bytes]] = {}
    plain: set[bytes] = set()
    for index, pieces in _packs(store):
        deltas = index.version > 1
        record = 2 * (index_length(1, deltas=deltas) - index_length(0, deltas=deltas))
        for piece in pieces:
            if piece.codec == DELTA:
                sizes.setdefault(piece.id, piece.stored + record)
                bases.setdefault(piece.id, set()).add(piece.base)
            else:
                sizes[piece.id] = piece.stored + record
                plain.add(piece.id)
    return sizes, {id: found for id, found in bases.items() if id not in plain}


def _takes_the_place(other: Piece, piece: Piece) -> bool:
    """Tell whether a copy of a piece is as good as this one, which may be a base itself, or a delta. Rule 3."""
    return other.codec != DELTA or other.base == piece.base


def _needed_in(store: Store, needed: set[bytes]) -> list[tuple[Index, list[Piece]]]:
    """Return the packs, each with the pieces in it that are needed, in so far as the copies there count. Rule 3."""
    packs = list(_packs(store))
    if any(index.version > 1 for index, _ in packs):
        bases = needed.intersection(piece.id for _, pieces in packs for piece in pieces if piece.codec != DELTA)
        copies = [piece for _, pieces in packs for piece in pieces if piece.id in needed]
        good = {piece.id for piece in copies if piece.codec != DELTA or piece.base in bases}
        needed = needed.union(piece.base for piece in copies if piece.id not in good)
        packs = [
            (index, [piece for piece in pieces if piece.codec != DELTA or piece.base in bases or piece.id not in good])
            for index, pieces in packs
        ]
    return [(index, [piece for piece in pieces if piece.id in needed]) for index, pieces in packs]


def _packs(store: Store) -> Iterator[tuple[Index, list[Piece]]]:
    """Yield the packs whose indexes can be read; what is in the others nobody can tell, and they stay."""
    for index in sorted(store.pieces.indexes(), key=lambda index: index.pack):
        try:
            yield index, index.pieces()
        except StoreError:
            continue


# --- packs of which nothing is needed ---------------------------------------------------------------------------------


def _remove_packs(store: Store, needed: _Needed, freed: Freed, trusted: Collection[str]) -> bool:
    """Remove the packs that can be done without; False if that is not possible now."""
    hold = alone(store)
    if hold is None:
        freed.notes.append("somebody is saving into the store just now: the next prune or delete frees what is left")
        return False
    try:
        needed.read()
        if needed.blocked(freed):
            return False
        store.pieces.look()
        names = [*_files(_spare(store, needed.ids, trusted)), *_orphans(store, needed.ids)]
        freed.bytes += sum(_size(store, name) for name in names)
        store.backend.remove(names)
    finally:
        hold.release()
    store.pieces.look()
    return True


def alone(store: Store) -> Hold | None:
    """Return a hold that nobody shares, as soon as it can be had."""
    until = time.monotonic() + PATIENCE
    while (hold := store.backend.hold(alone=True)) is None:
        if time.monotonic() > until:
            return None
        time.sleep(0.05)
    return hold


def _files(packs: Iterable[str]) -> Iterator[str]:
    """Yield the names of the files of packs, as they are removed: a pack alone can be read, an index cannot."""
    for pack in packs:
        yield index_file(pack)
        yield pack_file(pack)


def _spare(store: Store, needed: set[bytes], trusted: Collection[str]) -> list[str]:
    """Return the packs that can go: each piece of them is not needed, or verified in another one that stays.

    Those in `trusted` were just written for what is needed; their pieces are not read again.
    """
    here = {index.pack: pieces for index, pieces in _needed_in(store, needed)}
    where: dict[bytes, dict[str, Piece]] = {}
    for pack, pieces in here.items():
        for piece in pieces:
            where.setdefault(piece.id, {})[pack] = piece
    gone = []
    for pack, pieces in sorted(here.items(), key=lambda item: (sum(piece.stored for piece in item[1]), item[0])):
        if pieces and pack in trusted:
            continue
        others = [
            [at for at in where[piece.id].items() if at[0] != pack and _takes_the_place(at[1], piece)]
            for piece in pieces
        ]
        if all(others) and all(any(_is_sound(store, *at, trusted) for at in found) for found in others):
            gone.append(pack)
            for piece in pieces:
                del where[piece.id][pack]
    return gone


def _is_sound(store: Store, pack: str, piece: Piece, trusted: Collection[str]) -> bool:
    if pack in trusted:
        return True
    try:
        store.pieces.stored(pack, piece)
    except DamageError:
        store.pieces.suspect(pack, piece.id)
        return False
    return True


def _orphans(store: Store, needed: set[bytes]) -> Iterator[str]:
    """Yield the indexes without a pack; those that list needed pieces stay, to tell what is lost."""
    names = set(store.backend.list(PACKS))
    for name in sorted(names):
        pack = parse_pack(name.removesuffix(".index") + ".pack")
        if pack and name.endswith(".index") and pack_file(pack) not in names:
            try:
                ids = store.pieces.index_beside(pack).ids()
            except StoreError:
                ids = []
            if needed.isdisjoint(ids):
                yield name


def _size(store: Store, name: str) -> int:
    try:
        return store.backend.size(name)
    except FileNotFoundError:
        return 0


# --- packs of which little is needed ----------------------------------------------------------------------------------


def _poor(store: Store, needed: set[bytes], share: float, gone: Collection[str] = ()) -> dict[str, list[Piece]]:
    """Return the packs that are worth copying, with what is needed of them; {} if it frees too little."""
    found: dict[str, list[Piece]] = {}
    saved = 0
    met: dict[bytes, Piece] = {}
    for index, here in _needed_in(store, needed):
        if index.pack in gone or not index.whole:
            continue
        pieces = [piece for piece in here if piece.id not in met or not _takes_the_place(met[piece.id], piece)]
        pieces.sort(key=lambda piece: piece.offset)
        unneeded = index.end - sum(piece.stored for piece in pieces)
        if unneeded >= share * index.end and unneeded:
            found[index.pack] = pieces
            saved += unneeded
            met.update((piece.id, piece) for piece in pieces)
    return found if saved >= WORTH else {}


def _copy(store: Store, poor: dict[str, list[Piece]], freed: Freed) -> str:
    """Copy what is needed into a new pack, verified, and return that; "" if it was not possible."""
    hold = store.backend.hold(alone=False)
    if hold is None:
        return ""
    id = new_pack()
    try:
        pack = Pack(store.backend.create(pack_file(id)))
        try:
            announce(store.backend, lambda: _parts(poor))
            for old, pieces in poor.items():
                for piece in pieces:
                    pack.copy(piece, store.pieces.stored(old, piece)[0])
            freed.bytes -= publish_pack(store, id, pack)
        except DamageError as error:
            freed.problems.append(f"packs that are needed in part stay as they are, for one is damaged: {error}")
            return ""
        finally:
            pack.sink.abandon()
    except OSError as error:
        why = sentence(error, store.place, writing=True)
        freed.notes.append(f"packs that are needed in part stay as they are: {why}")
        return ""
    finally:
        hold.release()
    return id


def _parts(poor: dict[str, list[Piece]]) -> Iterator[tuple[str, int, int]]:
    for old, pieces in poor.items():
        yield from ((pack_file(old), piece.offset, piece.stored) for piece in pieces)


def _foresee(store: Store, needed: _Needed, share: float, freed: Freed) -> None:
    """Add what removing and copying would free."""
    gone = _spare(store, needed.ids, ())
    poor = _poor(store, needed.ids, share, gone)
    names = [*_files([*gone, *poor]), *_orphans(store, needed.ids)]
    freed.bytes += sum(_size(store, name) for name in names)
    if poor:
        kept = [piece for pieces in poor.values() for piece in pieces]
        deltas = any(piece.codec == DELTA for piece in kept)
        freed.bytes -= length_of(kept) + 2 * index_length(len(kept), deltas=deltas)
