"""rerun(): variables that a snapshot does not hold, made again by the statements that had made them.

`remake` finds which statements these are. Here they are run, one step after another, up to the first that fails.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from . import host, undoing, wording
from .errors import NbSnapError
from .masking import is_masked
from .model import MASK, NOTHING_RUN, RerunReport, Step
from .opening import Place, book_of, checked, opened_store, store_place
from .remake import plan
from .taking import patterns, session_names

__all__ = ["rerun"]


def rerun(
    wanted: Iterable[str],
    snapshot: str = "",
    namespace: dict[str, Any] | None = None,
    *,
    dry_run: bool = False,
    store: Place = None,
    notebook: str | None = None,
    show: Callable[[Step], None] | None = None,
    run: Callable[[str], str] | None = None,
    python: Callable[[str], str] = str,
    trust: bool = False,
) -> RerunReport:
    """Make variables again that a snapshot does not hold, by running the statements of the cells that had made them.

    **This runs code that the snapshot holds.** What it is, `dry_run` tells.

    Args:
        wanted: their names, which are names of the session.
        snapshot: of which the cells are; by default the last one that was restored here, or the latest.
        namespace: the dict to run them in; the session's own by default.
        dry_run: say what would be run, and run nothing.
        store, notebook: as for `snapshot`.
        show: called with each step before it is run.
        run: runs Python source in the namespace, and returns what went wrong, or "".
        python: makes Python of the text of a cell, in which magics may stand.
        trust: as for `restore`; a dry run needs none.

    Raises:
        SnapshotNotFound: there is no such snapshot.
        TrustError: this user did not make it, as far as can be told.
        NbSnapError: it knows no cells, as it was not taken in IPython.
    """
    started = time.perf_counter()
    names = session_names(namespace)
    book = notebook or host.default_notebook()
    place, _ = store_place(store, reading=True)
    with opened_store(place, create=False, reading=book) as opened:
        meant = snapshot or (undoing.came_back[-1] if undoing.came_back else "latest")
        record = opened.find(meant, book_of(opened, book))
        if not dry_run:
            checked(record, opened, trust)
    if not record.history:
        raise NbSnapError("the snapshot knows no cells: it was not taken in IPython")
    wanted = patterns(wanted)
    there = {name for name in names if name not in wanted}
    found = plan([(count, python(text)) for count, text in record.history], wanted, there)
    failed = _why_not(found.steps)
    made: list[str] = []
    for step in () if dry_run or failed else found.steps:
        if show is not None:
            show(step)
        kept = {name: names[name] for name in step.rebinds if name in names}
        failed = (run or (lambda code: _run(code, names)))(step.code)
        names.update(kept)
        made += [name for name in step.makes if name in names]
        if failed:
            break
    return RerunReport(
        id=record.head.id,
        name=record.head.name,
        time=record.head.time,
        steps=found.steps,
        made=tuple(dict.fromkeys(made)),
        unknown=found.unknown,
        failed=failed,
        seconds=time.perf_counter() - started,
        dry_run=dry_run,
    )


def _why_not(steps: Iterable[Step]) -> str:
    """Return why steps cannot be run again: a secret stood in one, and was masked. Then none is run."""
    masked = next((step for step in steps if is_masked(step.code)), None)
    if masked is None:
        return ""
    return (
        f"{NOTHING_RUN}: a secret that stood in In [{masked.cell}] was not kept, {MASK} stands in its place;"
        f" make {wording.listed(masked.makes)} by hand, then rerun the rest"
    )


def _run(code: str, names: dict[str, Any]) -> str:
    try:
        exec(compile(code, "<rerun>", "exec"), names)
    except (Exception, SystemExit) as error:
        return f"{type(error).__name__}: {error}"
    return ""
