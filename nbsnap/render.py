"""Reports and records as sheets: what is said of them, in which order. Reads records, does no I/O, knows no IPython.

How a sheet looks, as text or as HTML, is `layout`'s business. Tables are bounded by their rows, and what was left out
is counted, with the command that shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from nbsnap import glance
from nbsnap.layout import LAST, TABLE_ROWS, Block, Sheet, Table, title
from nbsnap.model import (
    MASK,
    NOTHING_RUN,
    Preview,
    RerunReport,
    RestoreReport,
    Skip,
    Snapshot,
    SnapshotReport,
    Step,
    Variable,
)
from nbsnap.wording import beside, clean, count, cut, seconds, short_id, size, when

__all__ = [
    "brief",
    "reference",
    "rerun_text",
    "restore_sheet",
    "saved_line",
    "show_sheet",
    "snapshot_sheet",
    "step_text",
]

ROWS = 20  # problems shown before "and 12 more"
LOOKS = 12  # previews shown in a notebook without -v
NAMES = 8  # names listed in a line
_MUCH = 100_000_000  # bytes in memory that are worth a line
_NAME, _TYPE, _MIDDLE = 32, 36, 44  # columns on the screen


def snapshot_sheet(report: SnapshotReport, *, verbose: bool = False) -> Sheet:
    """Return what `%snapshot` says. A dry run lists the variables; `verbose` lists all of them, and all rows."""
    facts = [f"{count(len(report.variables), 'variable')}, {size(report.size)}"]
    if report.background:
        facts.append("being written in the background")
    else:
        facts.append("nothing was written" if report.dry_run else f"{size(report.new_bytes)} new on disk")
    if not report.dry_run:
        facts.append(seconds(report.seconds))
    more = "%snapshot --dry-run -v" if report.dry_run else "%snapshot -v"
    tables = [_problems(report.skipped, verbose, more)]
    if report.dry_run or verbose:
        tables.append(_variables(report.variables, verbose, more))
    lines = [f"message: {report.message}"] if report.message and verbose else []
    if report.beside and (report.dry_run or verbose):
        lines.append(f"beside the variables: {'; '.join(report.beside)}")
    lines += report.notes
    if report.dry_run:
        return Sheet("Dry run: snapshot", report.name, "", tuple(facts), "would hold", _filled(tables), tuple(lines))
    return Sheet("Snapshot", report.name, short_id(report.id), tuple(facts), "", _filled(tables), tuple(lines))


def saved_line(report: SnapshotReport) -> str:
    """Return the line for a snapshot that was written in the background, and is safe now."""
    facts = [f"{size(report.new_bytes)} new", seconds(report.seconds)]
    where = f"in {cut(report.store, 80)}" if "://" in report.store else "on disk"
    return f"nbsnap: snapshot {title(report.name, short_id(report.id))} is safe {where} · {' · '.join(facts)}"


def restore_sheet(
    report: RestoreReport, *, verbose: bool = False, source: str = "", now: datetime | None = None
) -> Sheet:
    """Return what `%restore` says. A dry run lists the variables; `verbose` lists all of them, and all rows.

    `source` is what stands behind a `%restore` of the same, where that is not in the notebook's own store.
    """
    if report.undo:
        return undo_sheet(report, verbose=verbose)
    facts = [f"{count(len(report.restored), 'variable')}, {size(report.size)}"]
    facts.append("nothing was changed" if report.dry_run else seconds(report.seconds))
    more = "%restore --dry-run -v" if report.dry_run else "%restore -v"
    tables = [_missing(report.failed + report.partly + report.not_saved, verbose, more)]
    if report.dry_run or verbose:
        tables.append(_variables(report.restored, verbose, more))
    lines = []
    helped = [skip for skip in report.failed if skip.hint]
    if helped:
        hints = list(dict.fromkeys(skip.hint for skip in helped))
        then = _command("%restore", reference(report.name, report.id), "--only", *(skip.name for skip in helped))
        lines.append(f"To finish: {'; '.join(hints[:NAMES])}; then {then}{source}")
    not_saved = [skip for skip in report.not_saved if skip.cell is not None and skip.kind != "partly"]
    again = [skip.name for skip in not_saved if MASK not in skip.code]
    if again:
        them = "it" if len(again) == 1 else "them"
        lines.append(f"To make {them} again: {_command('%restore', '--rerun', *again)}{source}")
    if report.removed:
        removed = "would be removed" if report.dry_run else "removed"
        lines.append(f"{removed}, as the snapshot does not have them: {_names(report.removed, verbose)}")
    if report.kept and verbose:
        lines.append(f"kept, though the snapshot does not have them: {_names(report.kept, verbose)}")
    elif report.kept:
        were, them = ("was", "it") if len(report.kept) == 1 else ("were", "them")
        other = count(len(report.kept), "variable")
        lines.append(f"{other} that the snapshot does not have {were} kept (--exact removes {them})")
    if report.beside:
        put = "would be put back, too" if report.dry_run else "put back, too"
        lines.append(f"{put}: {'; '.join(report.beside)}")
    lines += report.notes
    if report.held >= _MUCH:
        lines.append(f"what was replaced (about {size(report.held)}) is kept for --undo, until the next %snapshot")
    verb = "Dry run: restore" if report.dry_run else "Restored"
    origin = f"from {when(report.time, now)}"
    return Sheet(verb, report.name, short_id(report.id), tuple(facts), origin, _filled(tables), tuple(lines))


def undo_sheet(report: RestoreReport, *, verbose: bool = False) -> Sheet:
    """Return what `%restore --undo` says."""
    facts = [f"{count(len(report.restored), 'variable')} put back"]
    if report.removed:
        facts.append(f"{len(report.removed):,} removed")
    facts.append("nothing was changed" if report.dry_run else seconds(report.seconds))
    more = "%restore --undo --dry-run -v"
    tables = [_variables(report.restored, verbose, more)] if report.dry_run or verbose else []
    lines = (
        []
        if report.dry_run or verbose or not report.restored
        else [f"put back: {_names([v.name for v in report.restored], verbose)}"]
    )
    if report.removed:
        lines.append(f"{'would be removed' if report.dry_run else 'removed'}: {_names(report.removed, verbose)}")
    if report.beside:
        lines.append(f"put back, too: {'; '.join(report.beside)}")
    lines += report.notes
    what = "restore" if report.undo == "undone" else "undo of the restore"
    verb = f"Dry run: take back the {what} of" if report.dry_run else f"Took back the {what} of"
    return Sheet(verb, report.name, short_id(report.id), tuple(facts), "", _filled(tables), tuple(lines))


def step_text(step: Step) -> str:
    """Return the statements of a cell that are about to be run again."""
    code = "\n".join(f"    {clean(line)}" for line in step.code.split("\n"))
    kept = f"    # {_names(step.rebinds, False)}: kept as in the session" if step.rebinds else ""
    return "\n".join(filter(None, [f"In [{step.cell}]:", code, kept]))


def rerun_text(report: RerunReport) -> str:
    """Return what `%restore --rerun` says at its end; a dry run shows the statements."""
    lines = []
    if report.dry_run:
        lines += [step_text(step) for step in report.steps]
        lines.append("Dry run: nothing was run" if report.steps else "Dry run: there is nothing to run")
    elif report.made:
        lines.append(f"Made again: {', '.join(map(clean, report.made))} · {seconds(report.seconds)}")
    if report.failed:
        stopped = "" if report.failed.startswith(NOTHING_RUN) else "stopped there: "
        lines.append(f"nbsnap: {stopped}{clean(report.failed)}")
    if report.unknown:
        lines.append(f"nbsnap: no cell of the snapshot makes {_names(report.unknown, True)}")
    return "\n".join(lines)


def show_sheet(
    snapshot: Snapshot, *, verbose: bool = False, command: str = "nbsnap show", now: datetime | None = None
) -> Sheet:
    """Return what `show` says of one snapshot; `command` is how it is called here."""
    head = snapshot.head
    facts = (
        f"{count(head.variables, 'variable')}, {size(head.size)}",
        f"{size(head.new_bytes)} new on disk",
        when(head.time, now),
    )
    lines = [f"notebook: {head.notebook}"]
    if head.message:
        lines.append(f"message: {head.message}")
    lines.append(f"made by: {head.tool}, Python {head.python}, {head.platform}")
    if bound := dict.fromkeys(name for group in snapshot.groups for name in group.bound):
        lines.append(
            f"under another Python these are left out, as their text is not known: {_names(tuple(bound), verbose)}"
        )
    if head.parent:
        lines.append(f"after: {short_id(head.parent)}")
    lines.append(f"id: {head.id}")
    if snapshot.beside:
        lines.append(f"beside the variables: {'; '.join(beside(entry.name for entry in snapshot.beside))}")
    more = f"{command} {short_id(head.id)} -v"
    tables = [_variables(snapshot.variables, verbose, more), _problems(snapshot.skips, verbose, more)]
    if verbose and snapshot.packages:
        tables.append(Table(snapshot.packages, ("package", "version"), limits=(_MIDDLE, _NAME)))
    blocks = _looks(snapshot.previews, verbose)
    return Sheet("Snapshot", head.name, short_id(head.id), facts, "", _filled(tables), tuple(lines), blocks)


def _looks(previews: Sequence[Preview], verbose: bool) -> tuple[Block, ...]:
    """Return what can be seen of values: in a notebook tables and pictures, and with `verbose` lines for all."""
    blocks = [Block(one.name, glance.lines(one) if verbose else (), glance.markup(one)) for one in previews]
    shown = [block for block in blocks if block.markup or block.lines]
    return tuple(shown if verbose else shown[:LOOKS])


def brief(report: SnapshotReport | RestoreReport) -> str:
    """Return a report in one line: what stands after `Out[3]:` where the report itself was shown already."""
    problems: tuple[Skip, ...]
    if isinstance(report, SnapshotReport):
        variables, problems = report.variables, report.skipped
    else:
        variables, problems = report.restored, report.failed + report.partly + report.not_saved
    lost = f", {len(problems):,} not or not wholly" if problems else ""
    said = title(report.name, short_id(report.id)) or ("dry run" if report.dry_run else "in the background")
    return f"<{type(report).__name__} {said}: {count(len(variables), 'variable')}{lost}>"


def _filled(tables: Iterable[Table]) -> tuple[Table, ...]:
    return tuple(table for table in tables if table.rows)


def reference(name: str, id: str) -> str:
    """Return what to type for a snapshot: its name, if that is one word, or the beginning of its id."""
    plain = name and name[0] not in "-~%" and all(char.isalnum() or char in "._-" for char in name)
    return name if plain else short_id(id)


def _command(*words: str) -> str:
    return " ".join(words if len(words) <= NAMES + 3 else (*words[: NAMES + 3], "…"))


def _names(names: Sequence[str], verbose: bool) -> str:
    shown = [cut(name, _NAME) for name in (names if verbose else names[:NAMES])]
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest:,} more" if rest else "")


def _cell(number: int | None) -> str:
    return "" if number is None else f"made in In [{number}]"


def _reason(skip: Skip) -> str:
    """Return where inside the variable the culprit is, unless the reason begins with that, and the reason."""
    if skip.path in ("", skip.name) or skip.reason.startswith(skip.path):
        return skip.reason
    return f"{cut(skip.path, 100, middle=True)}: {skip.reason}"


def _problems(skips: Sequence[Skip], verbose: bool, more: str) -> Table:
    """Rows of kind, name, type and what happened: in the order of kinds, then as they came."""
    order = {"skipped": 0, "partly": 1, "failed": 2}
    rows = []
    for skip in sorted(skips, key=lambda skip: order.get(skip.kind, 3)):
        parts = [_reason(skip), skip.hint, _cell(skip.cell) if skip.kind != "partly" else ""]
        rows.append((skip.kind, skip.name, skip.type, "; ".join(part for part in parts if part)))
    return _limited(rows, verbose, ROWS, more, limits=(12, _NAME, _TYPE, LAST), labels=True)


def _missing(skips: Sequence[Skip], verbose: bool, more: str) -> Table:
    """Rows for what a restore could not give back: why, and for what was never saved, the code that made it."""
    order = ["failed", "not saved", "partly"]
    rows = []
    for skip in skips:
        label = skip.kind if skip.kind in order else "not saved"
        where = ", ".join(part for part in (cut(skip.type, _TYPE), _cell(skip.cell)) if part)
        said = "; ".join(part for part in (_reason(skip), skip.hint) if part)
        if label == "not saved" and skip.code:
            said = cut(f"{'looks like a secret; ' if skip.secret else ''}{skip.code}", 100)
        rows.append((label, skip.name, f"{where}:  {said}"))
    rows.sort(key=lambda row: order.index(row[0]))
    return _limited(rows, verbose, ROWS, more, limits=(12, _NAME, LAST), labels=True)


def _variables(variables: Sequence[Variable], verbose: bool, more: str) -> Table:
    """One row per variable, the largest first."""
    ordered = sorted(variables, key=lambda variable: (-variable.size, variable.name))
    rows = []
    for variable in ordered if verbose else ordered[: TABLE_ROWS + 1]:
        cell = "" if variable.cell is None else f"In [{variable.cell}]"
        said = "; ".join((variable.summary, *variable.notes) if variable.summary else variable.notes)
        rows.append((variable.name, variable.type, size(variable.size), cell, said))
    head = ("variable", "type", "size", "cell", "summary")
    limits = (_NAME, _TYPE, 9, 10, LAST)
    return _limited(rows, verbose, TABLE_ROWS, more, len(ordered), head=head, right=(2,), limits=limits)


def _limited(
    rows: Sequence[tuple[str, ...]],
    verbose: bool,
    limit: int,
    more: str,
    total: int | None = None,
    *,
    head: tuple[str, ...] = (),
    right: tuple[int, ...] = (),
    limits: tuple[int, ...] = (),
    labels: bool = False,
) -> Table:
    total = len(rows) if total is None else total
    rest = ""
    if not verbose and total > limit:
        rest = f"and {total - limit:,} more: {more}"
        rows = rows[:limit]
    return Table(tuple(rows), head, right, limits, labels, rest)
