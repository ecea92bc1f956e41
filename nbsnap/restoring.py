"""restore() and undo(): what a store holds is loaded, and bound in a namespace.

With `saving`, the one place that holds both a namespace and a store. The namespace is changed through a journal:
whatever happens on the way (an error under `strict`, Ctrl-C), the journal is undone and the namespace is as it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from . import background as jobs
from . import beside as state
from . import (
    cells,
    elsewhere,
    going,
    host,
    later,
    living,
    provenance,
    refilling,
    reports,
    trusting,
    undoing,
    wording,
)
from .anew import foretold
from .errors import NbSnapError, StrictError, short_of_memory
from .model import Difference, RestoreReport, Snapshot
from .namespace import Journal, matches_any, user_names
from .opening import Place, book_of, checked, file_of, opened_store, store_place
from .places import shown
from .progress import Progress
from .quiet import uninterrupted
from .rebuild import Rebuilt, rebuild
from .taking import parts_of, patterns, selected, session_names, without


@short_of_memory("nothing was restored; the variables are as they were")
def restore(
    snapshot: str = "latest",
    namespace: dict[str, Any] | None = None,
    *,
    only: Iterable[str] = (),
    exclude: Iterable[str] = (),
    ignore: Iterable[str] = (),
    exact: bool = False,
    strict: bool = False,
    dry_run: bool = False,
    undo: bool = False,
    store: Place = None,
    notebook: str | None = None,
    beside: Iterable[str] | None = None,
    reload_extensions: bool = False,
    map: bool = True,
    verify: Literal["later", "before"] = "later",
    trust: bool = False,
    tell: Callable[[tuple[Difference, ...]], None] | None = None,
    progress: Progress | None = None,
) -> RestoreReport:
    """Bring the variables of a snapshot back into a namespace and report what came back and what did not.

    **A snapshot is a pickle: restoring one runs code that it holds. Restore only what you trust.**

    Args:
        snapshot: a name, the beginning of an id (4 digits at least), "latest", or "latest~N" for the N-th before it.
        namespace: the dict to restore into; the session's own (`__main__`) by default.
        only, exclude: names or shell globs; one that matches nothing is an error.
        ignore: names or globs of variables that are never saved: `exact` lets them be.
        exact: also remove the user's variables that the snapshot does not know.
        strict: raise instead of leaving anything out, with the namespace as it was.
        dry_run: report what would come back; nothing is loaded.
        undo: as `nbsnap.undo()`; only `only`, `exclude` and `dry_run` go with it.
        store, notebook: as for `snapshot`.
        beside: what to put back beside the variables, as for `snapshot`; nothing by default with `only` or `exclude`.
        reload_extensions: load IPython's extensions again that the session had.
        map: let the big arrays of a big snapshot be pages of the store's files until they are touched, where that is
            safe. They can be written to, and the store does not change.
        verify: when what was mapped is verified. "later": in the background, and damage costs a line on stderr.
            "before": first of all, and damage costs the variable; `strict` asks for this. The rest always is, first.
        trust: load it even though this user did not make it, as far as can be told. It counts as trusted from then on
            in this process; `nbsnap trust` signs it for good.
        tell: called before anything is loaded with what is different from where the snapshot was taken, the dangerous
            first. By default what matters of it goes to stderr. The report has it, too.
        progress: as for `snapshot`.

    Raises:
        SnapshotNotFound: there is no such snapshot, or several ids begin so.
        VariableNotFound: a pattern matches no variable of the snapshot.
        TrustError: this user did not make the snapshot, as far as can be told; its `snapshot` shows what is in it.
        StrictError: `strict`, and something was not saved or does not load, or the environment differs in what matters.
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
    if undo:
        if snapshot != "latest" or exact or strict:
            raise NbSnapError("--undo takes back the last restore: no snapshot, --exact or --strict goes with it")
        return _take_back(names, only, exclude, dry_run)
    book = notebook or host.default_notebook()
    parts = parts_of(beside, names, partly=bool(only or exclude))
    place, _ = store_place(store, reading=True)
    unsent = going.wait(shown(getattr(place, "place", place)), book)
    with opened_store(place, create=False, reading=book) as opened:
        record = opened.find(snapshot, book_of(opened, book))
        foreign = reports.of_another(record.head, snapshot, book_of(opened, book))
        skips = {skip.name: skip for skip in record.skips}
        saved = [variable.name for variable in record.variables]
        chosen = set(selected([*saved, *(name for name in skips if name not in saved)], only, exclude))
        not_saved = tuple(skip for skip in record.skips if skip.name in chosen or not (only or exclude))
        wanted = [name for name in saved if name in chosen]
        others = tuple(without(list(_others(names, {*saved, *skips}, only, exclude)), ignore, asked=only))
        entries = [entry.name for entry in record.beside if state.part_of(entry.name) in parts]
        if dry_run:
            stranger = opened.stranger()
            trusted = "given" if trust else trusting.judge(record, stranger=stranger)
            said = (
                () if trusted in trusting.GOOD else (trusting.refusal(record, stranger=stranger, file=file_of(opened)),)
            )
            report = reports.restored(
                record, opened.place, wanted, (), not_saved, others, exact, started, dry_run=True, beside=entries,
                notes=(*foreign, *said, *foretold(record, wanted)),
            )  # fmt: skip
            return replace(report, trust=trusted, differs=_told(record, wanted, tell, trusted=not said))
        trusted = checked(record, opened, trust)
        differs = _told(record, wanted, tell, trusted=True, strict=strict)
        loading = [*wanted, *(state.name_of(entry) for entry in entries)]
        progress.begin("loading", _size(record, loading, streams=True))
        opened.progress = progress
        source = opened.reader(size=_size(record, loading), map=map, before=strict or verify == "before")
        source.expect(record, loading)
        journal, order, made = Journal(names), list(names), provenance.known()
        turn = state.Turn(record.head.id, reload_extensions=reload_extensions, in_session=host.is_session(names))
        former = {skip.name: names[skip.name] for skip in not_saved if skip.secret and skip.name in names}
        try:
            state.begin({state.part_of(entry) for entry in entries}, turn)
            early, late = _stages(entries)
            first = rebuild(record, [state.name_of(entry) for entry in early], source, names, stand=_leave)
            state.put(state.EARLY, _entries(first, turn), turn)
            cells.show(record.sources)
            loading = [*wanted, *(state.name_of(entry) for entry in late)]
            known, notes = living.classes(record, names, loading, source.stream)
            built = rebuild(
                record,
                loading,
                source,
                names,
                stand=lambda values: journal.bind(_variables(values)),
                known=known,
                progress=progress,
            )
            filled = refilling.refill(record.head.id, not_saved, former, built.values)
            not_saved = tuple(skip for skip in not_saved if skip not in filled)
            progress.what = "putting back what lies beside the variables"
            classes = living.remember(record, built.classes)
            turn.undoing.append(lambda: living.exchange(classes))
            failed = tuple(reports.failure(record, name, built.failed[name]) for name in wanted if name in built.failed)
            partly = tuple(reports.lacking(record, built))
            if strict and (failed or partly or not_saved):
                raise StrictError(reports.refused("restored", (*failed, *partly, *not_saved)))
            if exact:
                journal.remove(others)
            here = [name for name in wanted if name in built.values]
            turn.restored = {name: built.values[name] for name in here}
            state.put(parts, _entries(built, turn), turn)
            notes += (
                *foreign,
                *unsent,
                *reports.compiled(record, built),
                *_remarks(first),
                *_remarks(built),
                *turn.notes,
            )
            notes += tuple(_parted(record, set(here), names))
            if filled:
                notes += (f"{wording.listed([skip.path for skip in filled])}: a secret, kept from the session",)
            report = reports.restored(
                record, opened.place, here, failed, not_saved, others, exact, started, notes=notes, beside=turn.done
            )
            report = replace(report, trust=trusted, differs=differs, partly=partly)
            state.finish(turn)
            if (seen := host.look(names)).hidden is not None:
                provenance.restored(report.restored, seen.code)
            later.verify(opened.pieces, source.unverified, _tell_damage)
            undoing.came_back.append(record.head.id)
            return undoing.keep(names, report, journal, turn, order, classes, made, partly=bool(only or exclude))
        except BaseException:
            with uninterrupted():
                journal.undo()
                turn.undo()
                undoing.failed(names, record, wanted, journal)
            raise


def _told(
    record: Snapshot,
    wanted: Collection[str],
    tell: Callable[[tuple[Difference, ...]], None] | None,
    *,
    trusted: bool,
    strict: bool = False,
) -> tuple[Difference, ...]:
    """Say what is different here, before anything is loaded, and return it; refuse if that is asked for."""
    found = elsewhere.differences(record, wanted, trusted=trusted)
    if strict and (why := elsewhere.refusal(found)):
        raise StrictError(why)
    if found:
        (tell or elsewhere.say)(found)
    return found


def undo(
    namespace: dict[str, Any] | None = None,
    *,
    only: Iterable[str] = (),
    exclude: Iterable[str] = (),
    dry_run: bool = False,
) -> RestoreReport:
    """Take the last restore of the session back; after that, do it again.

    Names that the restore replaced or removed get their very objects back, names that it added are removed, and what
    lies beside the variables is as it was. All other names stay as they are. What is replaced by this is kept: a second
    call brings it back.

    Args:
        namespace: the session's own, which is the default; no other has this.
        only, exclude: names or shell globs, of what the restore has changed; nothing beside the variables then.
        dry_run: report what would be put back, and change nothing.

    Raises:
        NbSnapError: there was no restore, or what it replaced has been let go: by a snapshot, or for want of memory.
        VariableNotFound: a pattern matches nothing that the restore has changed.
    """
    return _take_back(session_names(namespace), patterns(only), patterns(exclude), dry_run)


def _take_back(names: dict[str, Any], only: tuple[str, ...], exclude: tuple[str, ...], dry_run: bool) -> RestoreReport:
    report = undoing.undo(names, only=only, exclude=exclude, dry_run=dry_run)
    if report.undo == "redone" and not dry_run:
        undoing.came_back.append(report.id)
    elif report.id in undoing.came_back and not (dry_run or only or exclude):
        undoing.came_back.remove(report.id)
    return report


def is_here(snapshot: str, *, store: Place = None, notebook: str | None = None) -> bool:
    """Tell whether the variables of a snapshot are in this session: taken here, or restored here."""
    book = notebook or host.default_notebook()
    place, _ = store_place(store, reading=True)
    with opened_store(place, create=False, reading=book) as opened:
        head = opened.find(snapshot, book_of(opened, book)).head
    return head.id in undoing.came_back or head.session == host.SESSION


def _stages(entries: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the entries that are put back before the variables, and those after."""
    early: list[str] = []
    late: list[str] = []
    for entry in entries:
        (early if state.part_of(entry) in state.EARLY else late).append(entry)
    return early, late


def _parted(record: Snapshot, here: Collection[str], names: Mapping[str, Any]) -> Iterator[str]:
    """Yield lines about variables that shared objects with some that were not restored with them, and are there."""
    restored = set(here)
    for group in record.groups:
        if group.engine == "batch":  # these share nothing
            continue
        came = [name for name in group.variables if name in restored]
        stayed = [name for name in group.variables if name in names and name not in restored]
        if came and stayed and state.item_of(came[0]) is None:
            yield (
                f"{wording.listed(came)} shared objects with {wording.listed(stayed)}, now apart:"
                " restore them together to have them share again"
            )


def _remarks(built: Rebuilt) -> Iterator[str]:
    """Yield what is to be said of the objects that came back, each sentence with the variables that it is about."""
    for text, names in built.remarks.items():
        entries = [entry for name in names if (entry := state.item_of(name)) is not None]
        shown = [*(name for name in names if state.item_of(name) is None), *wording.beside(entries)]
        yield f"{wording.listed(shown)}: {text}"


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
    wording.to_stderr(f"nbsnap: {shown}: damaged in the store, so what was restored may be wrong: {what}")
