"""What a magic shows: a report as HTML with plain text beside it in a kernel, as text for the width of a terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbsnap.layout import Sheet
    from nbsnap.magics.shell import NbSnap

__all__ = ["REPORTS", "in_kernel", "report_html", "report_text", "say", "screen", "show"]

#: The reports that are shown so where they stand at the end of a cell, too: module of nbsnap, class.
REPORTS = (
    ("model", "SnapshotReport"),
    ("model", "RestoreReport"),
    ("model", "Snapshot"),
    ("records", "ListReport"),
    ("records", "DiffReport"),
    ("records", "PruneReport"),
    ("records", "CheckReport"),
    ("model", "VerifyReport"),
    ("answers", "Explanation"),
)


def in_kernel(shell: Any) -> bool:
    return getattr(shell, "kernel", None) is not None


def say(text: str) -> None:
    """Print a line, as far as the stream can write its letters."""
    from nbsnap.wording import encodable

    print(encodable(text, sys.stdout.encoding), flush=True)


def show(magics: NbSnap, report: object, sheet: Sheet) -> None:
    """Show a report, which is then not shown in full again as Out[…]."""
    from nbsnap.layout import Shown

    magics.shown = report
    if in_kernel(magics.ip):
        from IPython.display import display

        display(Shown(sheet))  # type: ignore[no-untyped-call]
    else:
        say(str(Shown(sheet, _width())))


def _width() -> int | None:
    if not sys.stdout.isatty():
        return None
    return max(50, shutil.get_terminal_size().columns)


def screen(shell: Any) -> Callable[[str, str], None] | None:
    """Return what shows text and HTML below the cell, each time in place of what it showed before.

    None outside of a kernel, and where what the cell shows is caught (`%%capture`): nobody looks on then.
    """
    from IPython.core.displaypub import CapturingDisplayPublisher
    from IPython.display import display

    if not in_kernel(shell) or isinstance(shell.display_pub, CapturingDisplayPublisher):
        return None
    handle: Any = None

    def draw(text: str, html: str) -> None:
        nonlocal handle
        data = {"text/plain": text, "text/html": html}
        if handle is None:
            handle = display(data, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            handle.update(data, raw=True)

    return draw


def report_text(magics: NbSnap, report: Any, printer: Any, cycle: bool) -> None:
    """Show a report that stands at the end of a cell: in full, unless the magic has printed it just now."""
    from nbsnap import render, sheets
    from nbsnap.layout import to_text

    if report is magics.shown or cycle:
        name = type(report).__name__
        if name in ("SnapshotReport", "RestoreReport"):
            printer.text(render.brief(report))
        else:
            printer.text(sheets.brief(report) if name in ("VerifyReport", "Explanation") else f"<{name}>")
    else:
        printer.text(to_text(_sheet(report)))


def report_html(magics: NbSnap, report: Any) -> str | None:
    from nbsnap.layout import to_html

    return None if report is magics.shown else to_html(_sheet(report))


def _sheet(report: Any) -> Sheet:
    from nbsnap import render, render_history, sheets

    how: dict[str, Callable[[Any], Sheet]] = {
        "Snapshot": render.show_sheet,
        "SnapshotReport": render.snapshot_sheet,
        "RestoreReport": render.restore_sheet,
        "VerifyReport": sheets.verify_sheet,
        "Explanation": sheets.explain_sheet,
    }
    name = type(report).__name__
    if name in how:
        return how[name](report)
    sheet: Sheet = getattr(render_history, f"{name.removesuffix('Report').lower()}_sheet")(report)
    return sheet
