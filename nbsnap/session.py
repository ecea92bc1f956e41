"""snapshot() and restore(): the one place that holds both a namespace and a store.

A snapshot only reads the namespace. A restore changes it through a journal: whatever happens on the way (an error under
`strict`, Ctrl-C), the journal is undone and the namespace is as it was.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from . import background as jobs
from . import beside as state
from . import cells, host, later, living, provenance, reports, wording
from .errors import NbSnapError, SnapshotNotFound, StoreNotFound, StrictError
from .folder import FolderBackend
from .model import RestoreReport, Snapshot, SnapshotReport
from .namespace import Journal, matches_any, user_names
from .progress import Progress
from .quiet import unhurried, uninterrupted
from .rebuild import Rebuilt, rebuild
from .seen import learn, mark, since
from .store import Store
from .taken import Taken
from .taking import parts_of, patterns, selected, session_names, take

Place = str | os.PathLike[str] | Store | None


@unhurried()
def snapshot(
    namespace: dict[str, Any] | None = None,
    *,
    name: str | None = None,
    message: str = "",
    only: Iterable[str] = (),
    exclude: Iterable[str] = (),
    ignore: Iterable[str] = (),
    strict: bool = False,
    dry_run: bool = False,
    store: Place = None,
    notebook: str | None = None,
    engine: str = "auto",
    beside: Iterable[str] | None = None,
    background: bool = False,
    ended: Callable[[SnapshotReport | NbSnapError], None] | None = None,
    progress: Progress | None = None,
) -> SnapshotReport:
    """Save the variables of a namespace and report what was saved and what was not.

    Args:
        namespace: the dict to save, which is only read; the session's own (`__main__`) by default.
        name: what the snapshot is to be called. A name used again moves to the new snapshot.
        message: a line about it, for people.
        only, exclude: names or shell globs; one that matches nothing is an error.
        ignore: the same as `exclude`, but one that matches nothing is no error.
        strict: raise instead of skipping anything, and write nothing.
        dry_run: report what would be saved, and write nothing.
        store: where; a path or a Store. By default `.nbsnap` beside the notebook.
        notebook: what the snapshot belongs to; by default found from the front end.
        engine: "auto", "dill" or "cloudpickle": who takes objects apart first.
        beside: what to keep beside the variables, of `model.BESIDE`, "all" or "none". By default all of it, but nothing
            of a namespace that is not the session's own, nor with `only`.
        background: return as soon as the state is captured, and let another process write it (on Linux; elsewhere, and
            where memory is short, it is written before this returns, and a note says so). The report then has no `id`.
        ended: called, in another thread, with the report of a snapshot that was written in the background, or with
            what went wrong. `nbsnap.wait()` gives the same.
        progress: is kept up to date, for whoever looks at it from another thread.

    Raises:
        VariableNotFound: a pattern matches no variable.
        StrictError: `strict`, and something cannot be saved.
        NbSnapError: there is nothing to save, or an argument makes no sense.
        StoreError: the store cannot be written; what it held is unharmed.
    """
    started = time.perf_counter()
    _check_name(name)
    progress = progress or Progress()
    record, taken, kept, notes = take(
        namespace, name or "", message, only=only, exclude=exclude, ignore=ignore, notebook=notebook, engine=engine,
        beside=beside, progress=progress,
    )  # fmt: skip
    head, skips = record.head, record.skips
    if strict and skips:
        raise StrictError(reports.refused("saved", skips))
    if not taken.variables and not dry_run:
        raise NbSnapError(reports.nothing(skips))
    place, told = store_place(store)
    notes = told + notes
    if dry_run:
        return reports.saved(head, str(place), taken, skips, 0, started, dry_run=True, notes=notes)
    if background:
        with opened_store(place, create=True) as opened:
            where = opened.place
            in_folder = isinstance(opened.backend, FolderBackend)
            why = jobs.refusal() if in_folder else "only a store in a folder can be written by another process"
        if not why:
            report = reports.saved(head, where, taken, skips, 0, started, notes=notes, background=True)
            if _in_background(record, taken, kept, started, report, ended):
                return report
            why = "there is no room for another process"
        notes += (f"{why}: it was written before you could go on",)
    saved: Snapshot | None = None
    try:
        with opened_store(place, create=True) as opened:
            where = opened.place
            saved = _write(opened, record, taken, started, progress)
        living.remember(saved, taken.classes)
        state.remember(saved.head.id, kept)
        return reports.saved(saved.head, where, taken, skips, saved.head.new_bytes, started, notes=notes)
    except KeyboardInterrupt:
        if saved is not None:  # too late to stop it, so it is taken back: interrupted means not done
            with uninterrupted(), opened_store(place, create=False) as opened:
                opened.remove(saved.head.id)
        raise


def _write(opened: Store, record: Snapshot, taken: Taken, started: float, progress: Progress) -> Snapshot:
    """Put everything into the store; return the record as it stands there."""
    progress.begin("writing", taken.size)
    opened.progress = progress
    with opened.writer() as writer:
        groups, definitions = taken.write(writer.put)
        progress.begin("flushing to the disk")
        head = replace(record.head, seconds=round(time.perf_counter() - started, 6))
        return writer.commit(replace(record, head=head, groups=groups, definitions=definitions))


def _in_background(
    record: Snapshot,
    taken: Taken,
    kept: Mapping[str, Any],
    started: float,
    report: SnapshotReport,
    ended: Callable[[SnapshotReport | NbSnapError], None] | None,
) -> bool:
    """Let a child write it all; tell whether that has begun."""
    place, classes = report.store, taken.classes

    def work() -> dict[str, Any]:
        with Store.open(place, create=True) as opened:
            before = mark()
            return {"id": _write(opened, record, taken, started, Progress()).head.id, "seen": since(before)}

    def over(told: Mapping[str, Any]) -> None:
        came: SnapshotReport | NbSnapError
        try:
            came = _came(told, place, classes, kept, report)
        except NbSnapError as error:
            came = error
        _ended.append(came)
        if ended is not None:
            ended(came)

    name = f"snapshot {report.name}".strip()
    return jobs.start(name, work, over)


def _came(
    told: Mapping[str, Any], place: str, classes: Mapping[str, type], kept: Mapping[str, Any], report: SnapshotReport
) -> SnapshotReport:
    """Return the report of what a child has written."""
    if "error" in told:
        raise NbSnapError(f"{report.name or 'the snapshot'} was not saved: {told['error']}")
    learn(told["seen"])
    with Store.open(place) as opened:
        saved = opened.load(told["id"])
    living.remember(saved, classes)
    state.remember(saved.head.id, kept)
    head = saved.head
    return replace(
        report, id=head.id, time=head.time, size=head.size, new_bytes=head.new_bytes, seconds=head.seconds,
        background=False,
    )  # fmt: skip


#: What came of the latest snapshots in the background, until it is asked for.
_ended: deque[SnapshotReport | NbSnapError] = deque(maxlen=8)


def wait(timeout: float | None = None) -> tuple[SnapshotReport, ...]:
    """Wait for snapshots that are being written in the background, and return the reports of those that were.

    Args:
        timeout: seconds to wait at most; None waits for as long as it takes.

    Returns:
        The reports of those that ended since this was last asked (of the last eight), oldest first.

    Raises:
        NbSnapError: one of them was not saved; what came of the others can be asked for again.
    """
    jobs.wait(timeout)
    found: list[SnapshotReport] = []
    while _ended:
        came = _ended.popleft()
        if isinstance(came, NbSnapError):
            _ended.extendleft(reversed(found))
            raise came
        found.append(came)
    return tuple(found)


def restore(
    snapshot: str = "latest",
    namespace: dict[str, Any] | None = None,
    *,
    only: Iterable[str] = (),
    exclude: Iterable[str] = (),
    exact: bool = False,
    strict: bool = False,
    dry_run: bool = False,
    store: Place = None,
    notebook: str | None = None,
    beside: Iterable[str] | None = None,
    reload_extensions: bool = False,
    map: bool = True,
    verify: Literal["later", "before"] = "later",
    progress: Progress | None = None,
) -> RestoreReport:
    """Bring the variables of a snapshot back into a namespace and report what came back and what did not.

    **A snapshot is a pickle: restoring one runs code that it holds. Restore only what you trust.**

    Args:
        snapshot: a name, the beginning of an id (4 digits at least), "latest", or "latest~N" for the N-th before it.
        namespace: the dict to restore into; the session's own (`__main__`) by default.
        only, exclude: names or shell globs; one that matches nothing is an error.
        exact: also remove the user's variables that the snapshot does not know.
        strict: raise instead of leaving anything out, with the namespace as it was.
        dry_run: report what would come back; nothing is loaded.
        store, notebook: as for `snapshot`.
        beside: what to put back beside the variables, as for `snapshot`; nothing by default with `only` or `exclude`.
        reload_extensions: load IPython's extensions again that the session had.
        map: let the big arrays of a big snapshot be pages of the store's files until they are touched, where that is
            safe. They can be written to, and the store does not change.
        verify: when what was mapped is verified. "later": in the background, and damage costs a line on stderr.
            "before": first of all, and damage costs the variable; `strict` asks for this. The rest always is, first.

        progress: as for `snapshot`.

    Raises:
        SnapshotNotFound: there is no such snapshot, or several ids begin so.
        VariableNotFound: a pattern matches no variable of the snapshot.
        StrictError: `strict`, and something was not saved or does not load.
        DamageError: the snapshot's own record is damaged. Damaged content costs only the variables that it holds.
    """
    started = time.perf_counter()
    if verify not in ("later", "before"):
        raise NbSnapError(f"what is mapped is verified 'later' or 'before', not {verify!r}")
    progress = progress or Progress()
    progress.begin("waiting for the snapshot before")
    jobs.wait()
    names = session_names(namespace)
    only, exclude = patterns(only), patterns(exclude)
    book = notebook or host.default_notebook()
    parts = parts_of(beside, names, partly=bool(only or exclude))
    place, _ = store_place(store, reading=True)
    with opened_store(place, create=False, reading=book) as opened:
        record = opened.find(snapshot, book)
        skips = {skip.name: skip for skip in record.skips}
        saved = [variable.name for variable in record.variables]
        chosen = set(selected([*saved, *(name for name in skips if name not in saved)], only, exclude))
        not_saved = tuple(skip for skip in record.skips if skip.name in chosen or not (only or exclude))
        wanted = [name for name in saved if name in chosen]
        others = _others(names, {*saved, *skips}, only, exclude)
        entries = [entry.name for entry in record.beside if state.part_of(entry.name) in parts]
        if dry_run:
            return reports.restored(
                record, opened.place, wanted, (), not_saved, others, exact, started, dry_run=True, beside=entries
            )
        loading = [*wanted, *(state.name_of(entry) for entry in entries)]
        progress.begin("reading", _size(record, loading, streams=True))
        opened.progress = progress
        source = opened.reader(size=_size(record, loading), map=map, before=strict or verify == "before")
        journal = Journal(names)
        turn = state.Turn(record.head.id, reload_extensions=reload_extensions, in_session=host.is_session(names))
        try:
            state.begin({state.part_of(entry) for entry in entries}, turn)
            early, late = _stages(entries)
            first = rebuild(record, [state.name_of(entry) for entry in early], source, names, stand=_leave)
            state.put(state.EARLY, _entries(first, turn), turn)
            cells.show(record.sources)
            loading = [*wanted, *(state.name_of(entry) for entry in late)]
            known, notes = living.classes(record, names, loading, source.stream)
            built = rebuild(
                record, loading, source, names, stand=lambda values: journal.bind(_variables(values)), known=known
            )
            living.remember(record, built.classes)
            failed = tuple(reports.failure(record, name, built.failed[name]) for name in wanted if name in built.failed)
            if strict and (failed or not_saved):
                raise StrictError(reports.refused("restored", (*failed, *not_saved)))
            if exact:
                journal.remove(others)
            here = [name for name in wanted if name in built.values]
            turn.restored = {name: built.values[name] for name in here}
            state.put(parts, _entries(built, turn), turn)
            notes += (*turn.notes, *_parted(record, here, names))
            report = reports.restored(
                record, opened.place, here, failed, not_saved, others, exact, started, notes=notes, beside=turn.done
            )
            state.finish(turn)
            if (seen := host.look(names)).hidden is not None:
                provenance.restored(report.restored, seen.code)
            later.verify(opened.pieces, source.unverified, _tell_damage)
            return report
        except BaseException:
            with uninterrupted():
                journal.undo()
                turn.undo()
            raise


# --- the namespace ----------------------------------------------------------------------------------------------------


def _stages(entries: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the entries that are put back before the variables, and those after."""
    early: list[str] = []
    late: list[str] = []
    for entry in entries:
        (early if state.part_of(entry) in state.EARLY else late).append(entry)
    return early, late


def _parted(record: Snapshot, here: Collection[str], names: Mapping[str, Any]) -> Iterator[str]:
    """Yield lines about variables that shared objects with some that were not restored with them, and are there."""
    for group in record.groups:
        came = [name for name in group.variables if name in here]
        stayed = [name for name in group.variables if name in names and name not in here]
        if came and stayed and state.item_of(came[0]) is None:
            yield (
                f"{wording.listed(came)} shared objects with {wording.listed(stayed)}, now apart:"
                " restore them together to have them share again"
            )


def _leave(values: Mapping[str, Any]) -> None:
    """Bind nothing."""


def _variables(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if state.item_of(name) is None}


def _entries(built: Rebuilt, turn: state.Turn) -> dict[str, Any]:
    """Return what lies beside the variables, by entry; what could not be loaded is noted."""
    for name, problem in built.failed.items():
        if (entry := state.item_of(name)) is not None:
            turn.notes.append(f"{' '.join(wording.beside([entry])) or entry}: not put back: {problem.reason}")
    return {entry: value for name, value in built.values.items() if (entry := state.item_of(name)) is not None}


def _others(
    names: dict[str, Any], known: Collection[str], only: Iterable[str], exclude: Iterable[str]
) -> tuple[str, ...]:
    """Return the user's live names that the snapshot does not know, among those asked for."""
    mine, _ = user_names(names, host.look(names).hidden)
    wanted, unwanted = patterns(only), patterns(exclude)
    return tuple(
        name
        for name in mine
        if name not in known and (not wanted or matches_any(name, wanted)) and not matches_any(name, unwanted)
    )


# --- the store --------------------------------------------------------------------------------------------------------


def store_place(given: Place, *, reading: bool = False) -> tuple[str | os.PathLike[str] | Store, tuple[str, ...]]:
    return (given, ()) if given is not None else host.default_store(reading=reading)


@contextlib.contextmanager
def opened_store(place: str | os.PathLike[str] | Store, *, create: bool, reading: str = "") -> Iterator[Store]:
    if isinstance(place, Store):
        yield place
        return
    try:
        opened = Store.open(place, create=create)
    except StoreNotFound as error:
        raise SnapshotNotFound(f"no snapshot of {reading} in {place} yet: %snapshot makes one") from error
    with opened:
        yield opened


def _check_name(name: str | None) -> None:
    if name is None or name == "":
        return
    if (
        name.startswith("-")
        or name != name.strip()
        or any(ord(c) < 32 or ord(c) == 127 for c in name)
        or len(name) > 200
    ):
        raise NbSnapError(f"{name!r} cannot be the name of a snapshot")
    if name == "latest" or name.startswith("latest~"):
        raise NbSnapError(f"{name!r} already has a meaning and cannot be the name of a snapshot")


def _size(record: Snapshot, names: Iterable[str], *, streams: bool = False) -> int:
    """Return how many bytes of buffers, or of buffers and streams, some variables of a snapshot have."""
    wanted = set(names)
    groups = [group for group in record.groups if not wanted.isdisjoint(group.variables)]
    size = sum(content.size for group in groups for content in group.buffers)
    return size + sum(group.stream.size for group in groups) if streams else size


def _tell_damage(names: tuple[str, ...], what: str) -> None:
    """Say that variables were restored whose bytes turned out to be damaged afterwards."""
    entries = [entry for name in names if (entry := state.item_of(name)) is not None]
    shown = ", ".join([name for name in names if state.item_of(name) is None] or wording.beside(entries))
    line = f"nbsnap: {shown}: damaged in the store, so what was restored may be wrong: {what}"
    with contextlib.suppress(OSError, ValueError):  # nobody is left to be told
        print(wording.encodable(wording.clean(line), sys.stderr.encoding), file=sys.stderr, flush=True)
