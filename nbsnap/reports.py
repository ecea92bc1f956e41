"""The records and reports of what `saving` and `restoring` do: who is told what, made of what was taken or loaded."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime

from . import __version__, environment, wording
from .describe import with_article
from .errors import CannotLoad
from .model import Head, RestoreReport, Skip, Snapshot, SnapshotReport, VerifyReport
from .rebuild import Rebuilt
from .taken import Taken


def new_head(
    book: str, name: str, message: str, taken: Taken, skips: tuple[Skip, ...], kind: str, session: str
) -> Head:
    """Return the head of a snapshot that is being made; the store fills in the rest."""
    return Head(
        id="",
        time=datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        notebook=book,
        name=name,
        message=message,
        parent="",
        variables=len(taken.variables),
        skipped=len(skips),
        size=taken.size,
        new_bytes=0,
        seconds=0.0,
        python=environment.python(),
        platform=environment.machine(),
        tool=f"nbsnap {__version__}",
        kind=kind,
        session=session,
    )


def saved(
    head: Head,
    place: str,
    taken: Taken,
    skips: tuple[Skip, ...],
    new_bytes: int,
    started: float,
    *,
    dry_run: bool = False,
    background: bool = False,
    notes: tuple[str, ...],
) -> SnapshotReport:
    """Return the report of a snapshot."""
    return SnapshotReport(
        id=head.id,
        name=head.name,
        message=head.message,
        time=head.time,
        notebook=head.notebook,
        store=place,
        variables=taken.variables,
        skipped=skips,
        size=head.size,
        new_bytes=new_bytes,
        seconds=time.perf_counter() - started,
        dry_run=dry_run,
        notes=notes,
        beside=wording.beside(entry.name for entry in taken.beside),
        background=background,
    )


def restored(
    record: Snapshot,
    place: str,
    done: Collection[str],
    failed: tuple[Skip, ...],
    not_saved: tuple[Skip, ...],
    others: tuple[str, ...],
    exact: bool,
    started: float,
    *,
    dry_run: bool = False,
    notes: tuple[str, ...] = (),
    beside: Iterable[str] = (),
) -> RestoreReport:
    """Return the report of a restore that has brought back the variables `done`."""
    present = set(done)
    came = tuple(variable for variable in record.variables if variable.name in present)
    return RestoreReport(
        id=record.head.id,
        name=record.head.name,
        time=record.head.time,
        notebook=record.head.notebook,
        store=place,
        restored=came,
        failed=failed,
        not_saved=not_saved,
        kept=() if exact else others,
        removed=others if exact else (),
        size=record.head.size if len(came) == len(record.variables) else sum(v.size for v in came),
        seconds=time.perf_counter() - started,
        dry_run=dry_run,
        notes=notes,
        beside=wording.beside(beside),
    )


def of_another(head: Head, asked: str, notebook: str | None) -> tuple[str, ...]:
    """Return a line where a name was that of another notebook's snapshot."""
    if notebook is None or head.notebook == notebook or head.id.startswith(asked.lower()):
        return ()
    return (f"it is a snapshot of {head.notebook}, as {notebook} has none of that name",)


def failure(record: Snapshot, name: str, error: CannotLoad) -> Skip:
    """Return the line about a variable that could not be loaded."""
    variable = next(variable for variable in record.variables if variable.name == name)
    return Skip(name, variable.type, name, error.reason, "failed", error.hint, variable.cell, variable.code)


def lacking(record: Snapshot, built: Rebuilt) -> Iterator[Skip]:
    """Yield the lines about variables and classes that came back but for a part."""
    variables = {variable.name: variable for variable in record.variables}
    for name, part, path in built.partly:
        variable = variables.get(name)
        known = vars(part)
        why = f"{path} is {with_article(known['type'])}: {known['reason']}; a placeholder stands there"
        kind, cell, code = (variable.type, variable.cell, variable.code) if variable is not None else ("type", None, "")
        yield Skip(name, kind, path, why, "partly", "", cell, code)


def compiled(record: Snapshot, built: Rebuilt) -> Iterator[str]:
    """Yield a line about the functions and classes that another Python had compiled."""
    functions, classes = built.compiled
    told = [wording.count(functions, "function")] if functions else []
    if classes:
        told.append("1 class" if classes == 1 else f"{classes:,} classes")
    if told:
        one = sum(built.compiled) == 1
        version = ".".join(record.head.python.split(".")[:2])
        yield f"saved by Python {version}: {' and '.join(told)} {_ANEW[one]}"


_ANEW = {True: "was compiled anew from its text", False: "were compiled anew from their text"}


def same(latest: Snapshot, record: Snapshot) -> bool:
    """Tell whether two snapshots hold the same, whenever and wherever it was made."""
    return _held(latest) == _held(record)


def _held(record: Snapshot) -> tuple[object, ...]:
    groups = {(g.variables, g.stream.pieces, tuple(b.pieces for b in g.buffers)) for g in record.groups}
    return groups, {d.stream.pieces for d in record.definitions}, {(skip.path, skip.reason) for skip in record.skips}


def nothing(skips: tuple[Skip, ...]) -> str:
    """Return why no snapshot is made of nothing: it would become the latest and hide the one before it."""
    if not skips:
        return "there is no variable to save, so no snapshot was made"
    return refused("saved", skips)


def refused(what: str, skips: tuple[Skip, ...]) -> str:
    """Return why nothing was "saved" or "restored": what would have been lost."""
    first = "; ".join(f"{skip.name} ({skip.type}): {skip.reason}" for skip in skips[:3])
    more = f"; and {len(skips) - 3} more" if len(skips) > 3 else ""
    return f"nothing was {what}, because of {first}{more}"


def not_verified(report: VerifyReport) -> str:
    """Return why a snapshot is taken back that does not come back as it was."""
    if report.problem:
        return f"nothing was saved, because it could not be verified: {report.problem}"
    found = "; ".join(f"{said.path}: {said.what}" for said in report.wrong[:3])
    more = f"; and {len(report.wrong) - 3} more" if len(report.wrong) > 3 else ""
    return f"nothing was saved, because it does not come back as it was: {found}{more}"
