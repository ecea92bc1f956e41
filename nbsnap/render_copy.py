"""What is said of snapshots that were copied: by `export`, `import` and `sync`. See `render`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from nbsnap.layout import LAST, Sheet, Table
from nbsnap.model import Head
from nbsnap.records import CopyReport
from nbsnap.wording import count, seconds, short_id, size, when_short

__all__ = ["copy_sheet"]

ROWS = 40
_NAME = 32


def copy_sheet(report: CopyReport, verb: str, lines: Iterable[str] = (), *, now: datetime | None = None) -> Sheet:
    """Return what was copied, or would be; `lines` stand behind the notes."""
    copied = report.copied
    only = copied[0] if len(copied) == 1 else None
    what = "" if only else f"{count(len(copied), 'snapshot')} "
    facts = [f"{size(report.bytes)}", seconds(report.seconds)]
    if only:
        facts.insert(0, count(only.variables, "variable"))
    if report.already:
        facts.insert(-1, f"{report.already:,} {'was' if report.already == 1 else 'were'} there already")
    if report.problems:
        facts.append(f"{count(len(report.problems), 'problem')}")
    table = _table(copied, now)
    if report.dry_run:
        verb = f"Dry run: {verb.lower()}"
    return Sheet(
        verb,
        only.name if only else "",
        short_id(only.id) if only else "",
        tuple(facts),
        f"{what}from {report.source} to {report.target}",
        (table,) if len(copied) > 1 else (),
        (*report.problems, *report.notes, *lines),
    )


def _table(heads: tuple[Head, ...], now: datetime | None) -> Table:
    shown = heads[-ROWS:]
    rows = tuple(
        (
            short_id(head.id),
            when_short(head.time, now),
            head.name,
            f"{head.variables:,}",
            size(head.size),
            head.notebook,
        )
        for head in shown
    )
    more = f"and {len(heads) - ROWS:,} older" if len(heads) > ROWS else ""
    head = ("id", "when", "name", "vars", "size", "notebook")
    return Table(rows, head, (3, 4), (7, 11, _NAME, 9, 9, LAST), False, more, beneath=True)
