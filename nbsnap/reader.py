"""The content of a store, as a restore asks for it: small things read, big buffers mapped.

    streams               read piece by piece, verified
    small buffers         read, verified
    big ones              raw pieces in whole runs are mapped (`mapping`), if the backend says that this is safe, and so
                          are those that a delta is of, with its blocks written over them; the others are read and
                          decompressed into the same memory, verified

Several threads read (reads, hashes and zstd leave the GIL alone), in runs of at most 4 MiB.

What is mapped has not been looked at yet when it is handed out: that is why it is there at once. So it is verified
afterwards (`later`), from the file, which does not change, and not from the memory, which the user may write to. A
reader that is to verify `before` hashes what it has mapped before it hands it out. A restore of less than `SMALL` is
read: verifying it takes a few milliseconds, and then nothing is left to be found out later.

What was verified is known to the next snapshot by its quick hash (`seen`).

A piece of which all bytes are zero is not read at all: fresh memory is that already. Its id proves it."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import threading
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from nbsnap import seen
from nbsnap.backends import File, announce
from nbsnap.deltas import base_of, lay_over
from nbsnap.digest import PIECE_SIZE, digest, quick
from nbsnap.errors import DamageError, StoreError
from nbsnap.mapping import PAGE, Region, lay, parts_left, region, will_be_filled
from nbsnap.model import Content, Group, Snapshot
from nbsnap.packs import DELTA, RAW, Piece
from nbsnap.pieces import Pieces
from nbsnap.progress import Progress
from nbsnap.quiet import begin
from nbsnap.tree import pack_file

__all__ = ["Laid", "Reader", "Run", "damaged"]

SMALL = 16 << 20  # the big buffers of a restore that are fewer bytes than this are read
BIG = 1 << 18  # a buffer of this size is big, and so is a run
RUN = 4 * PIECE_SIZE  # at most this much is read at once
ALONE = 4 << 20  # less than this is not worth a second thread
THREADS = 8
FILES = 64  # packs that are kept open until they are verified

Buffer = Region | bytearray
Job = TypeVar("Job")


class Run(NamedTuple):
    """Raw pieces that lie one behind the other in a pack, or one compressed piece."""

    pack: str
    at: int  # where they belong in the content
    pieces: Sequence[Piece]

    @property
    def size(self) -> int:
        """How many bytes of the content they are."""
        return sum(piece.raw for piece in self.pieces)


class Laid(NamedTuple):
    """A part of a buffer that was mapped; as much as is verified at once."""

    region: weakref.ref[Region]
    run: Run
    file: File | None  # None: not kept open
    names: tuple[str, ...]  # of the variables that it belongs to, or of the classes


class Reader:
    """Reads the content of one restore. Used by one thread.

    `size` is how many bytes of buffers it will be asked for, as far as that is known.
    """

    def __init__(
        self,
        pieces: Pieces,
        *,
        size: int = 0,
        map: bool = True,
        before: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self.pieces = pieces
        self.progress = progress or Progress()
        self.unverified: list[Laid] = []
        self._before = before
        self._parts = parts_left() if map and size >= SMALL else 0
        self._files: dict[str, File] = {}
        self._own = threading.local()

    def expect(self, snapshot: Snapshot, names: Collection[str]) -> None:
        """Say which variables will be loaded: a backend that is far away begins to fetch what they need, in order."""
        announce(self.pieces.backend, lambda: self._wanted(snapshot, names))

    def _wanted(self, snapshot: Snapshot, names: Collection[str]) -> Iterator[tuple[str, int, int]]:
        contents: list[Content] = []
        needed = _needed(snapshot, set(names))
        for definition in snapshot.definitions:
            if definition.key in needed:
                contents.append(definition.stream)
        for group in snapshot.groups:
            if not needed.isdisjoint((group.id, *group.definitions)):
                contents += [group.stream, *group.buffers]
        for content in contents:
            with contextlib.suppress(StoreError, OSError):  # whoever reads it is told
                for pack, piece in self.pieces.locate(content):
                    if piece.id != _zeros():
                        yield pack_file(pack), piece.offset, piece.stored
                    if piece.base:
                        base = self.pieces.find(piece.base)
                        yield pack_file(base[0]), base[1].offset, base[1].stored

    def stream(self, content: Content) -> bytes | bytearray:
        """Return the bytes of `content`, every piece of them verified; DamageError names the piece and its pack."""
        parts = self.parts(content)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def parts(self, content: Content) -> list[bytes | bytearray]:
        """Return these bytes piece by piece."""
        places = self.pieces.locate(content)
        found: list[bytes | bytearray] = [b""] * len(places)

        def read(number: int) -> None:
            pack, piece = places[number]
            raw = found[number] = self.pieces.sound(pack, piece)
            if piece.raw >= PAGE:
                seen.keep(quick(raw), piece.id)
            self.progress.done += piece.raw

        _in_threads(read, range(len(places)), content.size)
        return found

    def buffers(self, group: Group) -> list[Buffer]:
        """Return the memory of a group's buffers, which can be written to; what is read of it is verified."""
        made: list[Buffer] = []
        reads: list[tuple[Buffer, Run]] = []
        laid: list[Laid] = []
        for content in group.buffers:
            target = region(content.size) if content.size >= BIG else bytearray(content.size)
            made.append(target)
            rest: list[tuple[Buffer, Run]] = []
            places = self.pieces.locate(content)
            deltas = self._parts and any(piece.base for _, piece in places)
            for run in _runs(map(self._beneath, places) if deltas else places):
                first = run.at // PIECE_SIZE
                own = list(_runs(places[first : first + len(run.pieces)], run.at)) if deltas else [run]
                if parts := self._lay(target, run, own, group.variables or group.definitions):
                    laid += parts
                elif not (isinstance(target, Region) and _is_zero(own[0])):
                    rest += [(target, one) for one in own]
                    continue
                self.progress.done += run.size
            if sum(run.size for _, run in rest) == content.size:
                will_be_filled(target)
            reads += rest
        self._fill(reads)
        if self._before:
            _in_threads(self._verify, laid, sum(part.run.size for part in laid))
        else:
            self.unverified += laid
            for part in laid:
                if (owner := part.region()) is not None:
                    owner.settle = functools.partial(_settle, weakref.ref(self))
        return made

    def settle(self, region: Region) -> None:
        """Read what was mapped into a region, verified, into it: from then on it is memory like any other."""
        mine = [part for part in self.unverified if part.region() is region]
        self.unverified = [part for part in self.unverified if part.region() is not region]
        with memoryview(region) as view:
            for laid in mine:
                at = laid.run.at
                for piece in laid.run.pieces:
                    view[at : at + piece.raw] = self.pieces.sound(laid.run.pack, piece)
                    at += piece.raw
        region.settle = None

    def _beneath(self, place: tuple[str, Piece]) -> tuple[str, Piece]:
        """Return the raw piece that can be mapped in the place of one, which may be a delta of it."""
        if place[1].codec == DELTA:
            with contextlib.suppress(DamageError):  # whoever reads it is told
                base = self.pieces.find(place[1].base)
                if base[1].codec == RAW and base[1].raw == place[1].raw:
                    return base
        return place

    def _lay(self, target: Buffer, run: Run, own: list[Run], names: tuple[str, ...]) -> list[Laid]:
        """Map a run into `target` if that can be done; what is known to be bad or too short is read, and so refused.

        `own` is what belongs there: the pieces of the run, and deltas of them, which are written over it.
        """
        first, size = run.pieces[0], run.size
        if not self._parts or first.codec != RAW or size < BIG or first.offset % PAGE or not isinstance(target, Region):
            return []
        if self.pieces.has_suspects(run.pack, run.pieces):
            return []
        try:
            file = self._files.get(run.pack) or self.pieces.backend.to_map(pack_file(run.pack))
        except OSError:
            return []
        if file is None or first.offset + size > file.size:
            return []
        if not lay(target, run.at, file.fd, file.start + first.offset, size):
            return []
        self._parts -= 1
        kept = run.pack in self._files or len(self._files) < FILES
        if kept:
            self._files[run.pack] = file
        found = weakref.ref(target)
        laid: list[Laid] = []
        for one in own:
            if one.pieces[0].codec == DELTA:
                self._write_over(target, one)
                laid.append(Laid(found, one, None, names))
            else:
                laid += [Laid(found, part, file if kept else None, names) for part in _parts_of(one)]
        return laid

    def _write_over(self, target: Region, run: Run) -> None:
        """Make the piece of a delta of the base that was mapped: of what is not verified yet, as that is not."""
        (piece,) = run.pieces
        with memoryview(target)[run.at : run.at + piece.raw] as view:
            if not self.pieces.has_suspects(run.pack, run.pieces):
                stored = bytearray(piece.stored)
                with contextlib.suppress(OSError, DamageError):
                    count = self.pieces.backend.read_into(pack_file(run.pack), piece.offset, memoryview(stored))
                    if count == piece.stored and base_of(stored) == piece.base:
                        lay_over(stored, view)
                        return
            view[:] = self.pieces.sound(run.pack, piece)

    def _verify(self, laid: Laid) -> None:
        """Hash what was mapped; what is altered is replaced by a sound copy, or else refused."""
        scratch = getattr(self._own, "scratch", None)
        if scratch is None:
            scratch = self._own.scratch = bytearray(RUN)
        for piece, at in damaged(self.pieces, laid, scratch):
            if (target := laid.region()) is not None:
                with memoryview(target)[at : at + piece.raw] as view:
                    view[:] = self.pieces.sound(laid.run.pack, piece)

    def _fill(self, reads: list[tuple[Buffer, Run]]) -> None:
        """Read and verify these runs into their buffers."""
        jobs = [(buffer, part) for buffer, run in reads for part in _parts_of(run)]
        _in_threads(self._read, jobs, sum(run.size for _, run in jobs))

    def _read(self, job: tuple[Buffer, Run]) -> None:
        buffer, run = job
        first = run.pieces[0]
        with memoryview(buffer)[run.at : run.at + run.size] as view:
            count = 0
            if first.codec == RAW:
                with contextlib.suppress(OSError):  # it is asked for again piece by piece, which finds the words
                    count = self.pieces.backend.read_into(pack_file(run.pack), first.offset, view)
            start = 0
            for piece in run.pieces:
                stop = start + piece.raw
                with view[start:stop] as raw:
                    if count < stop or digest(raw) != piece.id:
                        raw[:] = self.pieces.sound(run.pack, piece)
                    if piece.raw >= PAGE:
                        seen.keep(quick(raw), piece.id)
                start = stop
            self.progress.done += run.size


def _needed(snapshot: Snapshot, names: set[str]) -> set[str]:
    """Return the ids of the groups, and the keys of the definitions, that loading some variables needs."""
    groups = {group.id: group for group in snapshot.groups}
    definitions = {definition.key: definition for definition in snapshot.definitions}
    waiting = [group.id for group in snapshot.groups if not names.isdisjoint(group.variables)]
    needed: set[str] = set()
    while waiting:
        one = waiting.pop()
        if one in needed:
            continue
        needed.add(one)
        if one in groups:
            waiting += [*groups[one].needs, *groups[one].definitions]
        elif one in definitions:
            waiting += [*definitions[one].needs, definitions[one].group]
    return needed


def _settle(reader: weakref.ref[Reader], region: Region) -> None:
    if (mine := reader()) is not None:
        mine.settle(region)


def damaged(pieces: Pieces, laid: Laid, scratch: bytearray) -> list[tuple[Piece, int]]:
    """Return the pieces of what was mapped that are not what they should be, each with its place in the content.

    The file is read, by way of `scratch`. A pack that was removed meanwhile and not kept open cannot be asked any more,
    and nothing is found.
    """
    run = laid.run
    offset, name = run.pieces[0].offset, pack_file(run.pack)
    if run.pieces[0].codec == DELTA:
        return _damaged_delta(pieces, run)
    read = laid.file.read_into if laid.file is not None else functools.partial(pieces.backend.read_into, name)
    found = []
    with memoryview(scratch)[: run.size] as view:
        try:
            count = read(offset, view)
        except FileNotFoundError:
            return []
        except OSError:
            count = 0
        start = 0
        for piece in run.pieces:
            stop = start + piece.raw
            if count < stop or digest(view[start:stop]) != piece.id:
                pieces.suspect(run.pack, piece.id)
                found.append((piece, run.at + start))
            else:
                seen.keep(quick(view[start:stop]), piece.id)
            start = stop
    return found


def _damaged_delta(pieces: Pieces, run: Run) -> list[tuple[Piece, int]]:
    """Return the same of a delta that was written over what was mapped: both are read, and put together once more."""
    (piece,) = run.pieces
    try:
        pieces.stored(run.pack, piece)
    except StoreError:
        with contextlib.suppress(OSError):
            pieces.backend.size(pack_file(run.pack))
            pieces.suspect(run.pack, piece.id)
            return [(piece, run.at)]
    return []


def _runs(places: Iterable[tuple[str, Piece]], at: int = 0) -> Iterator[Run]:
    """Yield the pieces of a content in runs; the first piece belongs at `at`."""
    end = 0
    pack = ""
    held: list[Piece] = []
    for place, piece in places:
        if held and (piece.codec != RAW or held[0].codec != RAW or place != pack or piece.offset != end):
            run = Run(pack, at, held)
            yield run
            at, held = at + run.size, []
        held.append(piece)
        pack, end = place, piece.offset + piece.stored
    if held:
        yield Run(pack, at, held)


def _parts_of(run: Run) -> Iterator[Run]:
    """Yield a run in parts that are read at once."""
    step = RUN // PIECE_SIZE
    for first in range(0, len(run.pieces), step):
        yield Run(run.pack, run.at + first * PIECE_SIZE, run.pieces[first : first + step])


def _is_zero(run: Run) -> bool:
    """Tell whether a run is a whole piece of zeros."""
    return len(run.pieces) == 1 and run.pieces[0].id == _zeros()


@functools.cache
def _zeros() -> bytes:
    return digest(bytes(PIECE_SIZE))


# --- threads ----------------------------------------------------------------------------------------------------------


def _in_threads(work: Callable[[Job], None], jobs: Sequence[Job], size: int) -> None:
    """Do all jobs, `size` bytes in all, in this thread and in others. The first error stops them all and is raised."""
    count = min(_processors(), THREADS, len(jobs)) if size >= ALONE else 1
    if count == 1:
        for job in jobs:
            work(job)
        return
    waiting = iter(jobs)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            for job in waiting:  # the iterator of a list or a range: no two threads get the same
                if errors:
                    return
                work(job)
        except BaseException as error:
            errors.append(error)

    helpers = [threading.Thread(target=run, name="nbsnap-read", daemon=True) for _ in range(count - 1)]
    try:
        helpers = list(itertools.takewhile(begin, helpers))
        run()
        for helper in helpers:
            while helper.is_alive():
                helper.join(0.05)
    except BaseException as error:  # Ctrl-C: the others end with the job they are at, and hold its memory until then
        errors.append(error)
        raise
    if errors:
        raise errors[0]


def _processors() -> int:
    """Return how many processors this process may use."""
    affinity: Any = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
