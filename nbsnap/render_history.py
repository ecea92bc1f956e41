"""What is said of a notebook's history: lists, differences, what was removed, what is damaged. See `render`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from nbsnap.layout import LAST, Block, Sheet, Table
from nbsnap.model import Head, Skip, Variable
from nbsnap.records import Change, CheckReport, DiffReport, ListReport, PruneReport
from nbsnap.wording import count, listed, seconds, short_id, size, when, when_short

__all__ = ["check_sheet", "diff_sheet", "list_sheet", "prune_sheet"]

_NAME, _TYPE = 32, 36
ROWS = 40  # changes shown before "and 12 more"
LINES = 60  # of the difference of one source, and
BLOCKS = 5  # so many sources, unless all is asked for


# ---- list ------------------------------------------------------------------------------------------------------------


def list_sheet(report: ListReport, *, more: str = "", problems: bool = True, now: datetime | None = None) -> Sheet:
    """Return the list of snapshots, oldest first. `more` is the command that shows those that were left out.

    What could not be read is counted, and with `problems` told.
    """
    whose = f"of {report.notebook} " if report.notebook else ""
    if not report.total:
        return Sheet("No snapshot", "", "", ("%snapshot makes one",), f"{whose}in {report.store} yet")
    broken = len(report.problems)
    facts = [f"{size(report.size)} on disk"]
    facts += [f"{broken:,} cannot be read"] if broken else []
    older = report.total - len(report.snapshots) - broken
    lines = [f"and {older:,} older: {more}"] if older > 0 and more else []
    lines += report.problems if problems else ()
    table = _snapshots(report.snapshots, now, notebooks=not report.notebook)
    origin = f"{whose}in {report.store}"
    tables = (table,) if table.rows else ()
    return Sheet(count(report.total - broken, "snapshot"), "", "", tuple(facts), origin, tables, tuple(lines))


def _snapshots(heads: Sequence[Head], now: datetime | None, *, notebooks: bool) -> Table:
    columns = {
        "id": [short_id(head.id) for head in heads],
        "when": [when_short(head.time, now) for head in heads],
        "name": [head.name for head in heads],
        "notebook": [head.notebook if notebooks else "" for head in heads],
        "vars": [f"{head.variables:,}" for head in heads],
        "size": [size(head.size) for head in heads],
        "new": [size(head.new_bytes) for head in heads],
        "skips": [f"{head.skipped:,}" if head.skipped else "" for head in heads],
        "message": [head.message or ("autosnapshot" if head.kind == "auto" else "") for head in heads],
    }
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    if "message" not in shown:
        shown["message"] = [""] * len(heads)
    names = tuple(shown)
    return Table(
        tuple(zip(*shown.values(), strict=True)),
        names if any(shown["message"]) else (*names[:-1], ""),
        tuple(at for at, name in enumerate(names) if name in ("vars", "size", "new", "skips")),
        tuple({"id": 7, "when": 11, "name": _NAME, "notebook": 44, "message": LAST}.get(name, 9) for name in names),
        beneath=True,
    )


# ---- diff ------------------------------------------------------------------------------------------------------------

_KINDS = ("added", "removed", "changed", "perhaps")
_SAME = "as before"


def diff_sheet(report: DiffReport, *, verbose: bool = False, more: str = "", now: datetime | None = None) -> Sheet:
    """Return what `diff` says: kinds of change, and the sources that changed. `more` is the command that shows all."""
    counts = {kind: [change for change in report.changes if change.change == kind] for kind in _KINDS}
    facts = [f"{len(found):,} {kind} changed" if kind == "perhaps" else f"{len(found):,} {kind}"
             for kind, found in counts.items() if found]  # fmt: skip
    if not facts:
        facts.append("nothing has changed")
    facts += [f"{report.same:,} {_SAME}", seconds(report.seconds)]
    old, new = report.old, report.new
    if new.id:
        after = f"{new.name} ({short_id(new.id)})" if new.name else short_id(new.id)
        verb, origin = "From", f"to {after}"
    else:
        verb, origin = "Since", f"from {when(old.time, now)}"
    rows = [_row(change) for kind in _KINDS for change in counts[kind]]
    rest = ""
    if len(rows) > ROWS and not verbose:
        rest = f"and {len(rows) - ROWS:,} more: {more}"
        rows = rows[:ROWS]
    tables = [Table(tuple(rows), (), (), (8, _NAME, _TYPE, LAST), True, rest)] if rows else []
    lines = []
    if report.not_compared:
        lines.append(f"not compared, as it cannot be saved: {_skipped(report.not_compared, verbose)}")
    if report.beside:
        lines.append(f"changed, too, beside the variables: {'; '.join(report.beside)}")
    lines += report.notes
    blocks = _blocks(report.changes, verbose, more)
    return Sheet(verb, old.name, short_id(old.id), tuple(facts), origin, tuple(tables), tuple(lines), blocks)


def _row(change: Change) -> tuple[str, str, str, str]:
    said = [_how(change)]
    known = change.new or change.old
    old, new = change.old, change.new
    if new and new.cell is not None and (old is None or (old.cell, old.code) != (new.cell, new.code)):
        said.append(f"made in In [{new.cell}]")
    return change.change, change.name, known.type if known else "", "; ".join(word for word in said if word)


def _how(change: Change) -> str:
    old, new = change.old, change.new
    if change.change == "perhaps":
        return (
            f"shares objects with {listed(change.shares)}" if change.shares else "this cannot be told from the record"
        )
    if old is None or new is None:
        known = old or new
        return _facts(known) if known else ""
    said = [_fact(*fact) for fact in change.facts]
    if "source" in change.what:
        added = sum(line[:1] == "+" for line in change.source.splitlines())
        removed = sum(line[:1] == "-" for line in change.source.splitlines())
        said.append(f"source, {added:,} {'line' if added == 1 else 'lines'} added, {removed:,} removed")
    if "class" in change.what:
        said.append(f"its class, {new.type}, was changed or defined again")
    if "code" in change.what:
        said.append("its code")
    if "content" in change.what:
        sizes = size(old.size), size(new.size)
        said += ["other content", old.summary, "" if sizes[0] == sizes[1] else " → ".join(sizes)]
    return ", ".join(word for word in said if word)


def _fact(name: str, old: str, new: str) -> str:
    """Return `20,000 → 10,132 rows`, `len 2 → 3`, `float64 → float32`."""
    said = f"{old or 'nothing'} → {new or 'nothing'}"
    return f"{said} {name}" if name in ("rows", "columns") else f"len {said}" if name == "len" else said


def _facts(variable: Variable) -> str:
    if variable.summary == "not saved" and variable.notes:
        return f"cannot be saved: {variable.notes[0]}"
    return ", ".join(word for word in (variable.summary, size(variable.size)) if word)


def _skipped(skips: Sequence[Skip], verbose: bool) -> str:
    names = [f"{skip.name} ({skip.type})" for skip in skips]
    return ", ".join(names) if verbose else listed(names)


def _blocks(changes: Sequence[Change], verbose: bool, more: str) -> tuple[Block, ...]:
    blocks = []
    for change in changes:
        if change.source:
            lines = change.source.split("\n")
            if len(lines) > LINES and not verbose:
                lines[LINES:] = [f"and {len(lines) - LINES:,} lines more: {more}"]
            blocks.append(Block(change.name, tuple(lines)))
    if len(blocks) > BLOCKS and not verbose:
        blocks[BLOCKS:] = [Block(f"and {len(blocks) - BLOCKS:,} sources more: {more}", ())]
    return tuple(blocks)


# ---- prune, delete ---------------------------------------------------------------------------------------------------


def prune_sheet(
    report: PruneReport, *, deleted: bool = False, verbose: bool = False, more: str = "", now: datetime | None = None
) -> Sheet:
    """Return what was removed and freed, or would be."""
    gone = len(report.removed)
    total = gone + len(report.kept)
    would = "would be " if report.dry_run else ""
    if deleted:
        verb = f"{'Dry run: ' if report.dry_run else ''}{count(gone, 'snapshot')} {would}deleted"
    else:
        of = f" of {total:,}" if report.kept else ""
        verb = f"{'Dry run: ' if report.dry_run else ''}{gone:,}{of} snapshots {would}removed"
    facts = (f"{size(max(0, report.freed))} {would}freed", f"{size(report.size)} on disk", seconds(report.seconds))
    rows = [("removed", *_line(head, now), head.message) for head in report.removed]
    if verbose:
        rows += [("stays", *_line(kept.snapshot, now), ", ".join(kept.why)) for kept in report.kept]
    rest = ""
    if len(rows) > ROWS and not verbose:
        rest = f"and {len(rows) - ROWS:,} more: {more}"
        rows = rows[:ROWS]
    table = Table(tuple(rows), (), (4,), (8, 7, 11, _NAME, 9, LAST), True, rest, beneath=True)
    where = f"{report.notebook} in {report.store}" if report.notebook else report.store
    return Sheet(verb, "", "", facts, f"from {where}", (table,) if rows else (), report.notes + report.problems)


def _line(head: Head, now: datetime | None) -> tuple[str, str, str, str]:
    return short_id(head.id), when_short(head.time, now), head.name, size(head.size)


# ---- check -----------------------------------------------------------------------------------------------------------


def check_sheet(report: CheckReport) -> Sheet:
    """Return what `check` found: totals, and a line for each problem with what it hurts."""
    facts = [count(report.snapshots, "snapshot"), f"{count(report.pieces, 'piece')}, {size(report.size)}"]
    if report.unused:
        facts.append(f"{size(report.unused)} that no snapshot needs")
    facts.append("all of it read" if report.read else "records and lengths only")
    facts.append(f"{count(len(report.problems), 'problem')}" if report.problems else "all is well")
    lines = []
    for problem in report.problems:
        said = problem.what if problem.what.startswith(problem.file) else f"{problem.file}: {problem.what}"
        hurt = [f"{name} ({short_id(id)})" if name else short_id(id) for id, name in problem.snapshots]
        if hurt:
            said += f"; hurts {_some(hurt)}" + (f": {_some(problem.variables)}" if problem.variables else "")
        lines.append(said)
    return Sheet("Checked", "", "", tuple(facts), report.store, (), tuple(lines))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8:,} more" if len(names) > 8 else "")
