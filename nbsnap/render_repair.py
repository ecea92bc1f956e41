"""What is said of a repair: what was done, and what is lost, snapshot by snapshot. See `render`."""

from __future__ import annotations

from collections.abc import Sequence

from nbsnap.layout import LAST, Sheet, Table
from nbsnap.records import Lost, RepairReport
from nbsnap.wording import count, seconds, short_id

__all__ = ["repair_sheet"]

ROWS = 40  # snapshots shown before "and 12 more"
NAMES = 12  # of their variables


def repair_sheet(report: RepairReport, *, front: str = "nbsnap") -> Sheet:
    """Return what `check --repair` did, and what it could not keep."""
    rebuilt = len(report.rebuilt)
    done = [
        (rebuilt, f"{rebuilt:,} {'index' if rebuilt == 1 else 'indexes'} written again"),
        (report.rewritten, count(report.rewritten, "pack") + " copied without what is damaged"),
        (report.found, count(report.found, "piece") + " found without an index"),
        (len(report.renamed), count(len(report.renamed), "record") + " under the right name again"),
        (len(report.dropped), count(len(report.dropped), "file") + " removed, as nothing sound was left in them"),
    ]
    facts = [count(report.snapshots, "snapshot"), *(said for number, said in done if number)]
    facts.append(f"{count(report.pieces, 'piece')} lost" if report.pieces else "")
    if len(list(filter(None, facts))) == 1 and report.ok:
        facts.append("there was nothing to repair")
    facts.append(seconds(report.seconds))
    rows = tuple(("lost", short_id(lost.id), lost.name, _what(lost)) for lost in report.lost[:ROWS])
    more = f"and {len(report.lost) - ROWS:,} more: {front} check --repair --json" if len(report.lost) > ROWS else ""
    table = Table(rows, (), (), (8, 7, 32, LAST), True, more, beneath=True)
    lines = [f"a record that cannot be read was moved to {file}" for file in report.aside]
    if any(not lost.whole for lost in report.lost):
        lines.append(
            "What else is in these snapshots restores; a later snapshot of the same values makes them whole again;"
            f" {front} delete removes them"
        )
    lines += report.problems
    tables = (table,) if rows else ()
    return Sheet("Repaired", "", "", tuple(filter(None, facts)), report.store, tables, tuple(lines))


def _what(lost: Lost) -> str:
    if lost.whole:
        return "all of it: its record cannot be read"
    return _some(lost.variables) or "classes that it defines"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMES]) + (f" and {len(names) - NAMES:,} more" if len(names) > NAMES else "")
