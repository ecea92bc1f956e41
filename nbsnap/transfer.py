"""Snapshots from one store to another: what `sync`, `export` and `import` do. Nothing is unpickled, nothing is signed.

    manifests   the very bytes, under the name that they have: id and signatures stay
    pieces      those that the target lacks: read, verified, and written into new packs, coded as they are

Rules:

1. **Pack, index, manifest**, as for any snapshot. A manifest is written only when all that it names is in the target.
2. **What was copied stays.** A pack is published when `FULL` bytes are in it, and the snapshots that are whole with it
   come right behind, the oldest first: so the target is at any time what the source was, and a next try goes on there.
   The target is held from beginning to end, so that nobody removes what no manifest names yet.
3. **Nothing that the source says is believed.** A piece is copied if its bytes have its hash. A snapshot of which a
   piece is damaged is not copied, and told; so is one that would stay the latest, for its stamp is of days to come.
4. The source is only read. What somebody prunes in it meanwhile is looked for where it is then.

Several threads read, hash and decompress; this one writes. No more than `WINDOW` runs wait for it."""

from __future__ import annotations

import contextlib
import datetime
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from nbsnap import manifest
from nbsnap.appending import ALIGNED, PAGE, Pack
from nbsnap.archiver import ArchiveWriter
from nbsnap.backends import MemoryBackend, Sink, sentence
from nbsnap.digest import PIECE_SIZE, Bytes, digest
from nbsnap.errors import DamageError, NbSnapError, SnapshotNotFound, StoreError
from nbsnap.model import Content, Head, Snapshot
from nbsnap.packs import DELTA, RAW, ZSTD, Piece, compress
from nbsnap.progress import Progress
from nbsnap.quiet import begin
from nbsnap.records import CopyReport
from nbsnap.store import Store
from nbsnap.tree import IGNORE_FILE, STORE_FILE, Entry, new_pack, pack_file, parse_pack, parse_snapshot, time_of
from nbsnap.wording import listed, short_id
from nbsnap.writer import held, publish_pack

__all__ = ["chosen", "copy", "export", "label"]

FULL = 256 << 20  # bytes of a pack: so much is lost at most when it is interrupted
RUN = 4 * PIECE_SIZE  # at most this much is read at once
THREADS, WINDOW = 4, 8
ALONE = 4 << 20  # less than this is not worth a second thread
WAITING = 64 << 20  # bytes of memory that records may take that wait for their pack
DAY = datetime.timedelta(days=1)

Result = TypeVar("Result")


def label(head: Head) -> str:
    """Return how a snapshot is called in a line: `before-train (3f9c21a)`."""
    return f"{head.name} ({short_id(head.id)})" if head.name else short_id(head.id)


def chosen(store: Store, refs: Iterable[str], notebook: str | None, *, every: bool = False) -> list[Entry]:
    """Return the manifests that are meant, oldest first: these, or `every` one of the notebook (None: of the store)."""
    if every:
        return store.entries(notebook)
    return sorted({store.entry(ref, notebook) for ref in refs})


def copy(
    source: Store,
    target: Store,
    entries: Sequence[Entry],
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> CopyReport:
    """Copy snapshots that the target lacks.

    Raises:
        StoreError: the target cannot be written; what was copied until then is whole, and is not copied again.
    """
    started = time.perf_counter()
    work = _Copying(source, target, progress or Progress())
    try:
        with contextlib.nullcontext() if dry_run else held(target):
            work.plan(entries)
            if not dry_run:
                target.backend.sweep()
                work.run()
    except OSError as error:
        raise _said(error, target.place) from error
    return CopyReport(
        source=source.place,
        target=target.place,
        copied=tuple(source.head_or_stub(entry) for entry in work.wanted) if dry_run else tuple(work.copied),
        already=work.already,
        pieces=len(work.missing) if dry_run else work.pieces,
        bytes=work.bytes if dry_run else work.progress.done,
        seconds=time.perf_counter() - started,
        dry_run=dry_run,
        notes=tuple(work.notes),
        problems=tuple(work.problems),
    )


def _said(error: OSError, place: str) -> StoreError:
    """Return the error of ours; another place for the store, which it may name, is no cure here."""
    said = sentence(error, place, writing=True)
    return type(said)(str(said).partition("; NBSNAP_STORE")[0])


class _Waiting(NamedTuple):
    """A record that waits for the pack that it needs."""

    entry: Entry
    head: Head
    data: bytes
    contents: tuple[Content, ...]


class _Damaged(DamageError):
    """A piece cannot be had."""

    def __init__(self, message: str, id: bytes) -> None:
        super().__init__(message)
        self.id = id


class _Copying:
    def __init__(self, source: Store, target: Store, progress: Progress) -> None:
        self.source, self.target, self.progress = source, target, progress
        target.progress = progress
        self.already = self.pieces = self.bytes = 0
        self.wanted: list[Entry] = []
        self.missing: set[bytes] = set()
        self.copied: list[Head] = []
        self.notes: list[str] = []
        self.problems: list[str] = []
        self._pack: Pack | None = None
        self._id = ""
        self._in_pack: dict[bytes, int] = {}  # piece -> how it is coded there
        self._plain: set[bytes] = set()  # of the snapshot: pieces that will be copied, and not as deltas
        self._waiting: list[_Waiting] = []
        self._weight = 0

    # --- what there is to do ---------------------------------------------------------------------------------

    def plan(self, entries: Sequence[Entry]) -> None:
        """Find out which snapshots and pieces are missing in the target, and how many bytes they are."""
        self.progress.begin("comparing the stores")
        here = {entry.id for entry in self.target.entries()}
        self.source.pieces.look()
        self.target.pieces.look()
        last = (datetime.datetime.now(datetime.UTC) + DAY).strftime("%Y%m%dT%H%M%S%fZ")
        for entry in entries:
            if entry.id in here:
                self.already += 1
                continue
            here.add(entry.id)
            try:
                ids = self.source.needs(entry)
            except SnapshotNotFound:  # removed just now
                continue
            except StoreError as error:
                self.problems.append(f"{short_id(entry.id)} was not copied: {error}")
                continue
            if entry.stamp > last:
                said = label(self.source.head(entry))
                self.problems.append(
                    f"{said} was not copied: it is from {time_of(entry.stamp)[:10]}, which is yet to come,"
                    " and would stay the latest until then"
                )
                continue
            self.wanted.append(entry)
            for id in ids - self.missing:
                if not self.target.pieces.has(id):
                    self.missing.add(id)
                    place = self.source.pieces.place(id)
                    self.bytes += place[1].stored if place is not None else 0

    # --- doing it --------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Copy it."""
        self.progress.begin("copying", self.bytes)
        try:
            for entry in self.wanted:
                self._carry(entry)
            self._publish()
        finally:
            if self._pack is not None:
                self._pack.sink.abandon()

    def _carry(self, entry: Entry) -> None:
        """Copy the pieces of one snapshot, and let its record wait for them to be published."""
        try:
            data, snapshot = self.source.record(entry)
        except SnapshotNotFound:
            self.notes.append(f"{short_id(entry.id)} was removed meanwhile")
            return
        except StoreError as error:
            self.problems.append(f"{short_id(entry.id)} was not copied: {error}")
            return
        self.progress.names = [label(snapshot.head)]
        read = _read(self.source, self._order(snapshot), self._has_plainly)
        try:
            while (piece := self._next(read, entry, snapshot)) is not None:
                self._add(*piece)
        except _NotThis:
            return
        finally:
            read.close()
        contents = tuple(manifest.contents(snapshot))
        self._waiting.append(_Waiting(entry, snapshot.head, data, contents))
        self._weight += len(data) + sum(300 + 120 * len(content.pieces) for content in contents)
        if self._weight > WAITING:
            self._publish()

    def _next(
        self, read: Iterator[tuple[Piece, Bytes]], entry: Entry, snapshot: Snapshot
    ) -> tuple[Piece, Bytes] | None:
        """Return the next piece of a snapshot; if it cannot be had, tell, and go on with the next snapshot."""
        try:
            return next(read, None)
        except DamageError as error:
            try:
                self.source.backend.size(entry.file)
            except FileNotFoundError:
                self.notes.append(f"{label(snapshot.head)} was removed meanwhile")
                raise _NotThis from None
            names = _names(snapshot, error.id) if isinstance(error, _Damaged) else []
            hurt = f" (it belongs to {listed(names)})" if names else ""
            self.problems.append(f"{label(snapshot.head)} was not copied: {error}{hurt}")
            raise _NotThis from None

    def _order(self, snapshot: Snapshot) -> Iterator[tuple[str, Piece]]:
        """Yield where the pieces lie that the target lacks: short ones first, those that may be mapped, then deltas.

        Each in the order of the content, so that an array lies in one row in the new pack. A base is before its deltas.
        """
        found: dict[bytes, tuple[str, Piece]] = {}
        for content in manifest.contents(snapshot):
            rest = content.size
            for id in map(bytes.fromhex, content.pieces):
                raw, rest = min(PIECE_SIZE, rest), rest - PIECE_SIZE
                if id in found or id in self._in_pack or self.target.pieces.has(id):
                    continue
                place = self.source.pieces.place(id)
                if place is None:
                    self.source.pieces.look()  # somebody prunes, perhaps
                    place = self.source.pieces.place(id)
                if place is None:
                    raise _Damaged(f"piece {id.hex()[:12]} is in no pack of {self.source.place}", id)
                if place[1].raw != raw:
                    raise _Damaged(f"piece {id.hex()[:12]} is not as long as the snapshot says", id)
                found[id] = place
        self._plain = {id for id, place in found.items() if place[1].codec != DELTA}
        yield from (place for place in found.values() if not _is_aligned(place[1]) and place[1].codec != DELTA)
        yield from (place for place in found.values() if _is_aligned(place[1]))
        yield from (place for place in found.values() if place[1].codec == DELTA)

    def _has_plainly(self, id: bytes) -> bool:
        """Tell whether the target has, or is about to get, a piece that deltas may be copied of as they are."""
        if id in self._plain or self._in_pack.get(id, DELTA) != DELTA:
            return True
        place = self.target.pieces.place(id) if self.target.pieces.has(id) else None
        return place is not None and place[1].codec != DELTA

    def _add(self, piece: Piece, stored: Bytes) -> None:
        if self._pack is None:
            self._id = new_pack()
            self._pack = Pack(self.target.backend.create(pack_file(self._id)))
        self._pack.copy(piece, stored)
        self._in_pack[piece.id] = piece.codec
        self.pieces += 1
        self.progress.done += len(stored)
        if self._pack.end >= FULL:
            self._publish()

    def _publish(self) -> None:
        """Make the pack count, and then the records that have waited for it."""
        if self._pack is not None:
            publish_pack(self.target, self._id, self._pack)
            self._pack = None
            self._in_pack.clear()
        waiting, self._waiting, self._weight = self._waiting, [], 0
        sound = [one for one in waiting if self._is_whole(one)]
        folders = [one.entry.file.rpartition("/")[0] for one in sound]
        for one, folder, after in zip(sound, folders, [*folders[1:], "", ""], strict=False):
            _put(self.target, one.entry.file, one.data, last=folder != after)
            self.copied.append(one.head)
        if sound:
            self._is_still_there(sound)

    def _is_whole(self, one: _Waiting) -> bool:
        """Tell whether all that a snapshot needs is in the target, each piece as long as it should be."""
        try:
            for content in one.contents:
                self.target.pieces.locate(content)
        except DamageError as error:
            self.problems.append(f"{label(one.head)} was not copied: {error}")
            return False
        return True

    def _is_still_there(self, written: Sequence[_Waiting]) -> None:
        """Somebody may have removed the target from under us: then this was written into what was left of it."""
        try:
            self.target.backend.size(STORE_FILE)
        except FileNotFoundError:
            self.target.backend.remove(one.entry.file for one in written)
            raise StoreError(f"{self.target.place} was removed while it was written to: try again") from None


class _NotThis(Exception):
    """A snapshot cannot be copied, which was told."""


def _put(store: Store, file: str, data: bytes, *, last: bool) -> None:
    sink: Sink = store.backend.create(file)
    try:
        sink.write(data)
        sink.publish(last=last)
    except BaseException:
        sink.abandon()
        raise


def _is_aligned(piece: Piece) -> bool:
    return piece.codec == RAW and piece.raw >= ALIGNED


def _names(snapshot: Snapshot, id: bytes) -> list[str]:
    """Return the names of the variables that need a piece."""
    piece = id.hex()
    return [
        name
        for group in snapshot.groups
        if any(piece in content.pieces for content in (group.stream, *group.buffers))
        for name in group.variables
    ]


# --- reading ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Run:
    """Pieces that lie one behind the other, or nearly."""

    pack: str
    pieces: list[Piece]
    start: int
    end: int


def _runs(places: Iterable[tuple[str, Piece]]) -> Iterator[_Run]:
    """Yield pieces in runs that are read at once."""
    run: _Run | None = None
    for pack, piece in places:
        stop = piece.offset + piece.stored
        if run is not None and pack == run.pack and 0 <= piece.offset - run.end < PAGE and stop - run.start <= RUN:
            run.pieces.append(piece)
            run.end = stop
            continue
        if run is not None:
            yield run
        run = _Run(pack, [piece], piece.offset, stop)
    if run is not None:
        yield run


def _read(
    source: Store, places: Iterable[tuple[str, Piece]], is_base: Callable[[bytes], bool]
) -> Generator[tuple[Piece, Bytes], None, None]:
    """Yield pieces as they are coded, each verified; DamageError: one cannot be had.

    Of what is no base where they go, no delta goes there.
    """
    runs = list(_runs(places))
    several = sum(run.end - run.start for run in runs) >= ALONE
    for pieces in _ahead(lambda run: _loaded(source, run, is_base), runs, THREADS if several else 0):
        yield from pieces


def _loaded(source: Store, run: _Run, is_base: Callable[[bytes], bool]) -> list[tuple[Piece, Bytes]]:
    data = memoryview(bytearray(run.end - run.start))
    count = 0
    with contextlib.suppress(OSError):  # it is asked for again piece by piece, which finds the words
        count = source.backend.read_into(pack_file(run.pack), run.start, data)
    found: list[tuple[Piece, Bytes]] = []
    for piece in run.pieces:
        at = piece.offset - run.start
        stored = data[at : at + piece.stored]
        fits = piece.codec != DELTA or is_base(piece.base)
        if fits and at + piece.stored <= count and _is_sound(source, piece, stored):
            found.append((piece, stored))
        else:
            found.append(_elsewhere(source, run.pack, piece))
    return found


def _is_sound(source: Store, piece: Piece, stored: memoryview) -> bool:
    try:
        return digest(source.pieces.decoded(piece, stored)) == piece.id
    except StoreError:
        return False


def _elsewhere(source: Store, pack: str, piece: Piece) -> tuple[Piece, Bytes]:
    """Return a piece that is not sound where it should be from wherever else it is."""
    try:
        raw = source.pieces.sound(pack, piece)
    except StoreError as error:
        raise _Damaged(str(error), piece.id) from None
    stored = None if _is_aligned(piece) or piece.codec == DELTA else compress(raw)
    if stored is None:
        return Piece(piece.id, 0, len(raw), len(raw), RAW), raw
    return Piece(piece.id, 0, len(stored), len(raw), ZSTD), stored


Job = TypeVar("Job")


def _ahead(work: Callable[[Job], Result], jobs: Sequence[Job], threads: int) -> Iterator[Result]:
    """Yield the results of jobs in their order, done ahead by so many threads; an error is raised in its place."""
    threads = min(threads, len(jobs), 2 * (os.cpu_count() or 1))
    changed = threading.Condition()
    done: dict[int, tuple[Result | None, BaseException | None]] = {}
    begun = asked = 0
    over = False

    def help() -> None:
        nonlocal begun
        while True:
            with changed:
                while not over and begun - asked >= WINDOW:
                    changed.wait()
                if over or begun == len(jobs):
                    return
                number, begun = begun, begun + 1
            result: tuple[Result | None, BaseException | None]
            try:
                result = work(jobs[number]), None
            except BaseException as error:
                result = None, error
            with changed:
                done[number] = result
                changed.notify_all()

    helpers = [threading.Thread(target=help, name="nbsnap-copy", daemon=True) for _ in range(threads)]
    if not sum(map(begin, helpers)):
        yield from map(work, jobs)
        return
    try:
        for asked in range(len(jobs)):
            with changed:
                changed.notify_all()
                while asked not in done:
                    changed.wait(0.1)
                result, error = done.pop(asked)
            if error is not None:
                raise error
            yield result  # type: ignore[misc]
    finally:  # after Ctrl-C they end with what they are at
        with changed:
            over = True
            changed.notify_all()


# --- one file ---------------------------------------------------------------------------------------------------------


def export(
    source: Store,
    entries: Sequence[Entry],
    file: str | os.PathLike[str],
    *,
    force: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> CopyReport:
    """Write snapshots into one file, which is a store by itself. One that was interrupted goes on where it was.

    Raises:
        NbSnapError: there is something at the place already, or none of the snapshots can be copied.
        StoreError: it cannot be written.
    """
    place = os.path.abspath(os.fspath(file))
    if dry_run:
        report = copy(source, Store(MemoryBackend(), create=True), entries, dry_run=True, progress=progress)
        return replace(report, target=place)
    started = time.perf_counter()
    try:
        with ArchiveWriter(place, force=force) as archive:
            _take_up(archive, source, entries)
            target = Store(archive, create=True)
            report = copy(source, target, entries, progress=progress)
            heads = target.heads()
            if not heads:
                archive.discard()
                raise DamageError("; ".join((*report.problems, *target.problems)) or "there is nothing to export")
            if progress is not None:
                progress.begin("flushing to the disk")
            length = archive.finish()
    except OSError as error:
        raise _said(error, place) from error
    took = time.perf_counter() - started
    return replace(report, copied=tuple(heads), already=0, bytes=length, seconds=took)


def _take_up(archive: ArchiveWriter, source: Store, entries: Sequence[Entry]) -> None:
    """Of what is in a file that was interrupted, keep what belongs to these snapshots and is whole; drop the rest."""
    if not any(True for _ in archive.members()):
        return
    wanted = {entry.file: entry for entry in entries}
    needed: set[bytes] = set()
    for entry in entries:
        with contextlib.suppress(NbSnapError):
            needed |= source.needs(entry)
    begun = Store(archive, create=True)
    names = list(archive.members())
    for name, after in zip(names, [*names[1:], ""], strict=True):
        if name in (STORE_FILE, IGNORE_FILE) or name.endswith(".index"):
            continue
        try:
            if pack := parse_pack(name):
                index = begun.pieces.index(pack)
                good = index.whole and after == name.removesuffix("pack") + "index"
                good = good and needed.issuperset(index.ids())
                good = good and archive.read(after) == index.data
                good = good and all(begun.pieces.stored(pack, piece) for piece in index.pieces())
            else:
                good = parse_snapshot(name) is not None and archive.read(name) == source.record(wanted[name])[0]
        except (NbSnapError, KeyError, OSError):
            good = False
        if not good:
            archive.cut(name)
            return
