"""Looking after a store: is every snapshot whole?

`check` looks both ways: from each snapshot to the pieces that it names, and from each pack to the pieces that its
index promises. It reads, and unpickles nothing. What nobody refers to (the pack of a writer that died, pieces that
a concurrent writer stored too) is counted, and no problem: pruning is what frees it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from nbsnap import manifest
from nbsnap.backends import anew, announce, sentence
from nbsnap.errors import DamageError, SnapshotNotFound, StoreError
from nbsnap.model import Snapshot
from nbsnap.packs import DELTA, TAIL_SIZE, Piece
from nbsnap.records import CheckReport, Problem
from nbsnap.store import Store
from nbsnap.tree import PACKS, index_file, pack_file, parse_pack

__all__ = ["CheckReport", "Problem", "check", "users_of"]


Users = dict[bytes, list[int]]  # piece -> numbers of the snapshots that refer to it


def check(store: Store, *, read: bool = True) -> CheckReport:
    """Look at everything in the store; without `read`, at records and lengths only, which takes moments."""
    try:
        return _check(store, read)
    except OSError as error:
        raise sentence(error, store.place, writing=False) from error


def _check(store: Store, read: bool) -> CheckReport:
    anew(store.backend)
    store.pieces.look()
    problems: list[Problem] = []
    snapshots = list(_snapshots(store, problems))
    users = users_of(snapshots)
    names = set(store.backend.list(PACKS))
    packs = [pack for name in sorted(names) if (pack := parse_pack(name))]
    sound: set[bytes] = set()  # pieces that are there at least once
    broken: dict[bytes, tuple[str, str]] = {}  # a piece that is not, and where it should have been
    deltas: list[tuple[str, Piece]] = []  # no better than what they differ from: those are looked at first
    pieces = size = unused = unindexed = 0
    announce(store.backend, lambda: _parts(store, read))
    for pack in packs:
        file = store.backend.describe(pack_file(pack))
        try:
            length = store.backend.size(pack_file(pack))
            size += length
            records, complaints = _records(store, pack, index_file(pack) in names)
        except FileNotFoundError:  # removed just now
            continue
        except (StoreError, OSError) as error:
            why = getattr(error, "strerror", None) or error
            problems.append(Problem(file, f"neither the index beside nor the one inside it can be read: {why}"))
            continue
        problems += [Problem(*complaint) for complaint in complaints]
        unindexed += index_file(pack) not in names
        pieces += len(records)
        unused += sum(piece.stored for piece in records if piece.id not in users)
        for piece in records:
            try:
                if piece.offset + piece.stored > length:
                    raise DamageError(f"{file} is cut short: piece {piece.id.hex()[:12]} is lost")
                if piece.codec == DELTA:
                    deltas.append((pack, piece))
                    continue
                if read:
                    store.pieces.fetch(pack, piece)
                sound.add(piece.id)
            except DamageError as error:
                broken[piece.id] = (file, str(error))
                store.pieces.suspect(pack, piece.id)
    sound |= _sound_deltas(store, deltas, sound, users, broken, read)
    for id, (file, what) in _packless(store, names, users.keys() - sound):
        broken.setdefault(id, (file, what))
    for id, (file, what) in broken.items():
        if id in sound:
            problems.append(Problem(file, f"{what}; another pack has it too"))
        else:
            problems.append(_hurts(file, what, id, users.get(id, []), snapshots))
    for id in users.keys() - sound - broken.keys():
        what = f"piece {id.hex()[:12]} is in no pack"
        problems.append(_hurts(store.backend.describe(PACKS), what, id, users[id], snapshots))
    problems += _lengths(store, snapshots, sound)
    return CheckReport(
        store.place, len(store.entries()), len(packs), pieces, size, unused, unindexed, read, tuple(problems)
    )


def _sound_deltas(
    store: Store,
    deltas: list[tuple[str, Piece]],
    sound: set[bytes],
    users: Users,
    broken: dict[bytes, tuple[str, str]],
    read: bool,
) -> set[bytes]:
    """Return which deltas are as they should be, of what is `sound` otherwise; tell of the others in `broken`.

    Without its base, one is as good as none: that is no damage, if nobody needs it, or there is another.
    """
    whole: set[bytes] = set()
    for pack, piece in sorted(deltas, key=_by_base):
        if piece.base in sound:
            try:
                if read:
                    store.pieces.fetch(pack, piece)
                whole.add(piece.id)
            except DamageError as error:
                broken[piece.id] = (store.backend.describe(pack_file(pack)), str(error))
                store.pieces.suspect(pack, piece.id)
    for pack, piece in deltas:
        if piece.base not in sound and piece.id in users and not (piece.id in sound or piece.id in whole):
            store.pieces.suspect(pack, piece.id)  # it may be altered, too, which shows when its base is there again
            file = store.backend.describe(pack_file(pack))
            what = f"{file}: piece {piece.id.hex()[:12]} differs from piece {piece.base.hex()[:12]}, which is lost"
            broken[piece.id] = (file, what)
    return whole


def _parts(store: Store, read: bool) -> Iterator[tuple[str, int, int]]:
    """Yield the parts of packs that are going to be read: the copy of the index, and the pieces."""
    deltas: list[tuple[str, Piece]] = []
    for index in sorted(store.pieces.indexes(), key=lambda index: index.pack):
        file = pack_file(index.pack)
        yield file, index.end, len(index.data)
        yield file, index.end + len(index.data) - TAIL_SIZE, TAIL_SIZE
        if read:
            with contextlib.suppress(StoreError):
                pieces = index.pieces()
                deltas += [(index.pack, piece) for piece in pieces if piece.codec == DELTA]
                yield from ((file, piece.offset, piece.stored) for piece in pieces if piece.codec != DELTA)
    yield from ((pack_file(pack), piece.offset, piece.stored) for pack, piece in sorted(deltas, key=_by_base))


def _by_base(delta: tuple[str, Piece]) -> bytes:
    """Order deltas so that what they differ from is read once for all of them."""
    return delta[1].base


def users_of(snapshots: Sequence[Snapshot]) -> Users:
    """Return which snapshots refer to each piece."""
    users: Users = {}
    for number, snapshot in enumerate(snapshots):
        for content in manifest.contents(snapshot):
            for id in map(bytes.fromhex, content.pieces):
                numbers = users.setdefault(id, [])
                if not numbers or numbers[-1] != number:
                    numbers.append(number)
    return users


def _snapshots(store: Store, problems: list[Problem]) -> Iterator[Snapshot]:
    """Yield the snapshots whose manifests are sound."""
    for entry in store.loading(store.entries()):
        try:
            yield store.load_entry(entry)
        except SnapshotNotFound:  # removed just now
            continue
        except StoreError as error:
            file = store.backend.describe(entry.file)
            problems.append(Problem(file, str(error).removeprefix(f"{file}: "), ((entry.id, ""),)))


def _records(store: Store, pack: str, indexed: bool) -> tuple[list[Piece], list[tuple[str, str]]]:
    """Return what a pack's index lists, and what is wrong with the two copies of it."""
    complaints = []
    index = store.pieces.index(pack)
    file = store.backend.describe(pack_file(pack))
    beside = store.backend.describe(index_file(pack))
    try:
        if indexed:
            store.pieces.index_beside(pack)
    except StoreError as error:
        complaints.append((beside, f"{str(error).removeprefix(f'{beside}: ')} (the pack has a copy)"))
    except OSError as error:
        complaints.append((beside, f"it cannot be read: {error.strerror or error} (the pack has a copy)"))
    try:
        store.pieces.index_inside(pack, store.backend.size(pack_file(pack)))
    except StoreError as error:
        complaints.append((file, f"{str(error).removeprefix(f'{file}: ')} (the index beside it is used)"))
    if not index.whole and not complaints:
        complaints.append((file, f"it should be {index.end + len(index.data):,} bytes long"))
    return index.pieces(), complaints


def _packless(store: Store, names: set[str], wanted: set[bytes]) -> Iterator[tuple[bytes, tuple[str, str]]]:
    """Yield the wanted pieces of packs of which only the index is there: it tells at least what is lost."""
    for name in sorted(names):
        file = name.removesuffix(".index") + ".pack"
        pack = parse_pack(file)
        if pack and name.endswith(".index") and file not in names:
            try:
                lost = wanted.intersection(store.pieces.index_beside(pack).ids())
            except (StoreError, OSError):
                continue
            where = store.backend.describe(file)
            for id in lost:
                yield id, (where, f"{where} is missing: piece {id.hex()[:12]} is lost")


def _hurts(file: str, what: str, id: bytes, numbers: list[int], snapshots: list[Snapshot]) -> Problem:
    piece = id.hex()
    hurt = [snapshots[number] for number in numbers]
    names = {
        name
        for snapshot in hurt
        for group in snapshot.groups
        if any(piece in content.pieces for content in (group.stream, *group.buffers))
        for name in group.variables
    }
    return Problem(file, what, tuple((snapshot.head.id, snapshot.head.name) for snapshot in hurt), tuple(sorted(names)))


def _lengths(store: Store, snapshots: list[Snapshot], sound: set[bytes]) -> Iterator[Problem]:
    """A snapshot may name a sound piece in a place where one of another length belongs."""
    for snapshot in snapshots:
        for content in manifest.contents(snapshot):
            if sound.issuperset(map(bytes.fromhex, content.pieces)):
                try:
                    store.pieces.locate(content)
                except DamageError as error:
                    head = snapshot.head
                    yield Problem(store.place, str(error), ((head.id, head.name),))
                    break
