"""snapshot() and restore(): the one place that holds both a namespace and a store.

A snapshot only reads the namespace. A restore changes it through a journal: whatever happens on the way (an error under
`strict`, Ctrl-C), the journal is undone and the namespace is as it was.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from . import background as jobs
from . import beside as state
from . import (
    cells,
    elsewhere,
    fleeting,
    going,
    host,
    later,
    living,
    provenance,
    refilling,
    reports,
    signing,
    trusting,
    undoing,
    verifying,
    wording,
)
from .anew import foretold
from .backends import MemoryBackend, is_far
from .errors import MemoryShort, NbSnapError, NothingNew, StrictError
from .folder import FolderBackend
from .keep import AUTOMATIC, Rules
from .masking import mask_cells
from .model import Difference, Head, RestoreReport, Snapshot, SnapshotReport, VerifyReport
from .namespace import Journal, matches_any, user_names
from .opening import Place, book_of, checked, file_of, opened_store, store_place
from .pages import Look
from .places import backend_at, shown
from .preview import of_taken
from .progress import Progress
from .quiet import unhurried, uninterrupted
from .rebuild import Rebuilt, rebuild
from .seen import learn, mark, since
from .sieve import DEFAULT, Sieve
from .store import Store
from .taken import Taken
from .taking import parts_of, patterns, selected, session_names, take, without


@contextlib.contextmanager
def _in_memory(otherwise: str) -> Iterator[None]:
    """Make one line of it where the memory is too short, saying what is so `otherwise`."""
    try:
        yield
    except MemoryShort:
        raise
    except MemoryError as error:
        raise MemoryShort(f"there is not enough memory, so {otherwise}") from error


@_in_memory("nothing was saved; the earlier snapshots are as they were")
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
    previews: bool = True,
    background: bool = False,
    automatic: bool = False,
    keep: Rules = AUTOMATIC,
    ended: Callable[[SnapshotReport | NbSnapError], None] | None = None,
    progress: Progress | None = None,
    verify: bool = False,
    verify_timeout: float = verifying.TIMEOUT,
    include_secrets: bool = False,
    secrets: Sieve = DEFAULT,
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
        previews: keep with it what is shown of some values without loading them: the first rows of frames, figures in
            small. Nothing whose name says that it is a secret.
        background: return as soon as the state is captured, and let another process write it (on Linux; elsewhere, and
            where memory is short, it is written before this returns, and a note says so). The report then has no `id`.
        automatic: nobody has asked for it: none is made where nothing has changed since the latest, and it counts as
            one that may be thinned out.
        keep: of an `automatic` one: which autosnapshots stay, once it is there.
        ended: called, in another thread, with the report of a snapshot that was written in the background, or with
            what went wrong. `nbsnap.wait()` gives the same.
        progress: is kept up to date, for whoever looks at it from another thread.
        verify: let a fresh process restore the snapshot, and report what came back of each variable. With `strict`,
            one that does not come back as it was is an error, and the snapshot is taken back.
        verify_timeout: the seconds that the process is given.
        include_secrets: save what looks like a secret (passwords, tokens, keys), too. In what is shown of the snapshot,
            and in the text of the cells, it is masked all the same.
        secrets: what looks like one: `nbsnap.Sieve(names=…, values=…, allowed=…)`.

    Raises:
        VariableNotFound: a pattern matches no variable.
        StrictError: `strict`, and something cannot be saved.
        NbSnapError: there is nothing to save, or an argument makes no sense.
        NothingNew: `automatic`, and nothing has changed.
        StoreError: the store cannot be written; what it held is unharmed.
    """
    started = time.perf_counter()
    if verify and (dry_run or background):
        raise NbSnapError("what is verified has to be written first: neither as a dry run nor in the background")
    _check_name(name)
    progress = progress or Progress()
    record, taken, kept, notes, known, same = take(
        namespace, name or "", message, only=only, exclude=exclude, ignore=ignore, notebook=notebook, engine=engine,
        beside=beside, progress=progress, automatic=automatic, include_secrets=include_secrets, secrets=secrets,
    )  # fmt: skip
    head, skips = record.head, record.skips
    if strict and skips:
        raise StrictError(reports.refused("saved", skips))
    if not taken.variables and not dry_run:
        raise NbSnapError(reports.nothing(skips))
    place, told = store_place(store)
    notes = told + notes + (() if automatic or dry_run else fleeting.once(str(getattr(place, "place", place))))
    if verify:
        _check_folder(place)
        pictured = verifying.picture(taken.variables, session_names(namespace))
    if dry_run:
        return reports.saved(head, shown(place), taken, skips, 0, started, dry_run=True, notes=notes)
    if previews:
        record = replace(record, previews=of_taken(session_names(namespace), taken, kept, secrets, known, same))
    prints = refilling.prints(skips, session_names(namespace))
    if background:
        with opened_store(place, create=True, later=True) as opened:
            where = opened.place
            possible = isinstance(opened.backend, FolderBackend) or going.is_possible(where)
            why = jobs.refusal() if possible else "what is in memory cannot be written by another process"
        if not why:
            left, needs = taken.left_behind()
            why = jobs.refusal(needs)
        if not why:
            progress.begin("copying what another process would not have", needs)
            taken = taken.at_home(left)
            report = reports.saved(head, where, taken, skips, 0, started, notes=notes, background=True)
            if _in_background(record, taken, kept, prints, started, report, ended, keep):
                return replace(report, notes=notes + _settled(namespace, taken, patterns(only), automatic))
            why = "there is no room for another process"
        notes += (f"{why}: it was written before you could go on",)
    written: list[Snapshot] = []
    try:
        with opened_store(place, create=True) as opened:
            where = opened.place
            notes += going.wait(where, head.notebook)
            _write(opened, record, taken, Look(), started, progress, keep, written)
        (saved,) = written
        living.remember(saved, taken.classes)
        state.remember(saved.head.id, kept)
        refilling.remember(saved.head.id, prints)
        verified = None
        if verify:
            progress.begin("verifying in a fresh process")
            verified = verifying.in_fresh_process(saved, where, pictured, engine, verify_timeout)
            if strict and not verified.ok:
                raise StrictError(reports.not_verified(verified))
        notes += _settled(namespace, taken, patterns(only), automatic) + _remembered(saved)
        report = reports.saved(saved.head, where, taken, skips, saved.head.new_bytes, started, notes=notes)
        return replace(report, verified=verified)
    except (KeyboardInterrupt, StrictError):
        for saved in written:  # too late to stop it, so it is taken back: interrupted means not done
            with uninterrupted(), opened_store(place, create=False) as opened:
                opened.remove(saved.head.id)
        raise


def _settled(namespace: dict[str, Any] | None, taken: Taken, only: Collection[str], automatic: bool) -> tuple[str, ...]:
    """Return lines about what is missing from a snapshot of the whole session after an incomplete restore."""
    if automatic or only or not host.is_session(session_names(namespace)):
        return ()
    return undoing.settle({variable.name for variable in taken.variables})


def _write(
    opened: Store,
    record: Snapshot,
    taken: Taken,
    look: Look,
    started: float,
    progress: Progress,
    keep: Rules,
    written: list[Snapshot],
) -> None:
    """Put everything into the store, and the record as it stands there into `written`.

    To return it would leave a moment in which Ctrl-C finds nothing that it could take back, though it counts.
    """
    progress.begin("writing", taken.size)
    opened.progress = progress
    if not look.asked:
        look.ahead(taken.buffers())
    with opened.writer(look=look, sign=signing.sign) as writer:
        groups, definitions = taken.write(writer.put)
        record = replace(record, groups=groups, definitions=definitions)
        latest = _latest(opened, record.head.notebook) if record.head.kind == "auto" else None
        if latest is not None and reports.same(latest, record):
            raise NothingNew(latest.head.id)
        progress.begin("sending the rest" if is_far(opened.backend) else "flushing to the disk")
        head = replace(record.head, seconds=round(time.perf_counter() - started, 6))
        written.append(writer.commit(replace(record, head=head)))
    saved = written[-1]
    if saved.head.kind == "auto":
        with contextlib.suppress(NbSnapError):  # it is there, and those that may go can go another time
            opened.thin(saved.head.notebook, keep)


def _remembered(saved: Snapshot) -> tuple[str, ...]:
    """Note that this process has taken a snapshot; return a line if it could not be signed."""
    trusting.remember(saved.head.id)
    return () if saved.signature else trusting.unsigned()


def left_behind(report: SnapshotReport) -> Head | None:
    """Return the head of the snapshot before one, if it is of another process, of which nothing was restored here.

    None too where that cannot be told.
    """
    if came_back:
        return None
    try:
        with Store.open(report.store) as opened:
            parent = opened.load(report.id).head.parent
            found = next((head for head in opened.heads(report.notebook) if head.id == parent), None)
    except NbSnapError:
        return None
    return found if found is not None and found.session != host.SESSION else None


#: The ids of the snapshots from which something was restored in this process, the last one last.
came_back: list[str] = []


def _latest(opened: Store, book: str) -> Snapshot | None:
    try:
        return opened.find("latest", book)
    except NbSnapError:  # there is none yet, or none that can be read
        return None


def verify(
    snapshot: str = "latest",
    *,
    store: Place = None,
    notebook: str | None = None,
    engine: str = "auto",
    verify_timeout: float = verifying.TIMEOUT,
    trust: bool = False,
) -> VerifyReport:
    """Let a fresh process restore a snapshot, and report what came back of each variable.

    **It runs the code that the snapshot holds, as a restore does.** What came back is compared with the pieces in the
    store, and where these differ, with what comes back of it when it is saved and loaded once more. Whether it is what
    the session had can be asked only while the session is there: `snapshot(verify=True)`.

    Args:
        snapshot, store, notebook: as for `restore`.
        engine: as for `snapshot`: the one that it was made with.
        verify_timeout: the seconds that the process is given.
        trust: as for `restore`.

    Raises:
        SnapshotNotFound: there is no such snapshot, or several ids begin so.
        TrustError: this user did not make it, as far as can be told.
    """
    jobs.wait()
    book = notebook or host.default_notebook()
    place, _ = store_place(store, reading=True)
    _check_folder(place)
    with opened_store(place, create=False, reading=book) as opened:
        record, where = opened.find(snapshot, book_of(opened, book)), opened.place
        checked(record, opened, trust)
    return verifying.in_fresh_process(record, where, None, engine, verify_timeout)


def _in_background(
    record: Snapshot,
    taken: Taken,
    kept: Mapping[str, Any],
    prints: refilling.Prints,
    started: float,
    report: SnapshotReport,
    ended: Callable[[SnapshotReport | NbSnapError], None] | None,
    keep: Rules,
) -> bool:
    """Let a child write it all; tell whether that has begun."""
    place, classes = report.store, taken.classes
    try:
        spool = going.spool(place, record.head.notebook) if going.is_possible(place) else ""
    except OSError:
        return False
    look = Look()
    look.ahead(taken.buffers(), forking=True)

    def work() -> dict[str, Any]:
        written: list[Snapshot] = []
        if spool:
            going.see_to(spool)
        with (
            _in_memory("it could not be written"),
            Store.open(going.store_in(spool) if spool else place, create=True) as opened,
        ):
            before = mark()
            try:
                _write(opened, record, taken, look, started, Progress(), keep, written)
                came = {"id": written[-1].head.id}
            except NothingNew as nothing:
                came = {"nothing new since": nothing.id}
            told = {**came, "seen": since(before), "named": look.named}
        return going.hand_over(place, spool, told, keep) if spool else told

    def over(told: Mapping[str, Any]) -> None:
        came: SnapshotReport | NbSnapError
        going.clean(spool)
        try:
            came = _came(told, place, classes, kept, prints, report)
        except NbSnapError as error:
            came = error
        if record.head.kind != "auto":  # nobody waits for those
            _ended.append(came)
        if ended is not None:
            ended(came)
        look.afterwards(told.get("named", ()))

    name = f"snapshot {report.name}".strip()
    if jobs.start(name, work, over):
        return True
    going.clean(spool)
    return False


def _came(
    told: Mapping[str, Any],
    place: str,
    classes: Mapping[str, type],
    kept: Mapping[str, Any],
    prints: refilling.Prints,
    report: SnapshotReport,
) -> SnapshotReport:
    """Return the report of what a child has written."""
    if "error" in told:
        raise NbSnapError(f"{report.name or 'the snapshot'} was not saved: {told['error']}")
    learn(told["seen"])
    if "id" not in told:
        raise NothingNew(told["nothing new since"])
    with Store.open(place) as opened:
        saved = opened.load(told["id"])
    living.remember(saved, classes)
    state.remember(saved.head.id, kept)
    refilling.remember(saved.head.id, prints)
    head, notes = saved.head, report.notes + _remembered(saved)
    return replace(
        report, notes=notes, id=head.id, time=head.time, size=head.size, new_bytes=head.new_bytes, seconds=head.seconds,
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


@_in_memory("nothing was restored; the variables are as they were")
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
            came_back.append(record.head.id)
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
        came_back.append(report.id)
    elif report.id in came_back and not (dry_run or only or exclude):
        came_back.remove(report.id)
    return report


def is_here(snapshot: str, *, store: Place = None, notebook: str | None = None) -> bool:
    """Tell whether the variables of a snapshot are in this session: taken here, or restored here."""
    book = notebook or host.default_notebook()
    place, _ = store_place(store, reading=True)
    with opened_store(place, create=False, reading=book) as opened:
        head = opened.find(snapshot, book_of(opened, book)).head
    return head.id in came_back or head.session == host.SESSION


# --- the namespace ----------------------------------------------------------------------------------------------------


def look_at(
    namespace: dict[str, Any] | None, sieve: Sieve = DEFAULT
) -> tuple[dict[str, Any], list[str], dict[str, tuple[int, str]]]:
    """Return a namespace, by default the session's, with the names of its variables and the cells that bound them."""
    names = session_names(namespace)
    seen = host.look(names)
    made = provenance.binders(mask_cells(seen.code, sieve)) if seen.hidden is not None else {}
    return names, user_names(names, seen.hidden)[0], made


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


# --- the store --------------------------------------------------------------------------------------------------------


def _check_folder(place: Place) -> None:
    backend = place.backend if isinstance(place, Store) else backend_at(place or "")
    if isinstance(backend, MemoryBackend):
        raise NbSnapError("what is in memory cannot be verified by another process")


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
