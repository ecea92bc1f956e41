"""snapshot(), verify() and wait(): a namespace is taken apart, and put into a store.

With `restoring`, the one place that holds both a namespace and a store. The namespace is only read.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from . import background as jobs
from . import beside as state
from . import (
    fleeting,
    going,
    host,
    living,
    refilling,
    reports,
    signing,
    trusting,
    undoing,
    verifying,
)
from .backends import MemoryBackend, is_far
from .errors import NbSnapError, NothingNew, StrictError, short_of_memory
from .folder import FolderBackend
from .keep import AUTOMATIC, Rules
from .model import Head, Snapshot, SnapshotReport, VerifyReport
from .opening import Place, book_of, checked, opened_store, store_place
from .pages import Look
from .places import backend_at, shown
from .preview import of_taken
from .progress import Progress
from .quiet import unhurried, uninterrupted
from .seen import learn, mark, since
from .sieve import DEFAULT, Sieve
from .store import Store
from .taken import Taken
from .taking import patterns, session_names, take


@short_of_memory("nothing was saved; the earlier snapshots are as they were")
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
    with opened.writer(look=look, sign=signing.sign, notebook=record.head.notebook) as writer:
        groups, definitions = taken.write(writer.put, writer.at)
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
    if undoing.came_back:
        return None
    try:
        with Store.open(report.store) as opened:
            parent = opened.load(report.id).head.parent
            found = next((head for head in opened.heads(report.notebook) if head.id == parent), None)
    except NbSnapError:
        return None
    return found if found is not None and found.session != host.SESSION else None


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
            short_of_memory("it could not be written"),
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
