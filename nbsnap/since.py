"""diff(): what has changed since a snapshot, in the live session or up to another snapshot. Nothing is loaded.

The session is taken apart as for a snapshot, and its content gets the ids that it would have (`naming`); then two
records are compared (`differences`). So this takes as long as a second snapshot, and writes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from . import host
from .differences import names_of
from .namespace import wanted
from .naming import Namer
from .opening import Place, opened_store, store_place
from .progress import Progress
from .records import DiffReport
from .sieve import DEFAULT, Sieve
from .taking import patterns, take


def diff(
    a: str = "latest",
    b: str | None = None,
    namespace: dict[str, Any] | None = None,
    *,
    only: Iterable[str] = (),
    exclude: Iterable[str] = (),
    ignore: Iterable[str] = (),
    store: Place = None,
    notebook: str | None = None,
    engine: str = "auto",
    beside: Iterable[str] | None = None,
    progress: Progress | None = None,
    include_secrets: bool = False,
    secrets: Sieve = DEFAULT,
) -> DiffReport:
    """Report which variables were added, removed and changed from one state to another, and how.

    Args:
        a: the earlier state: a snapshot, as for `restore`.
        b: the later state: another snapshot; None is the session as it is now.
        namespace: the dict that is the session; its own (`__main__`) by default.
        only, exclude: names or shell globs; one that matches nothing is an error.
        ignore: the same as `exclude`, but one that matches nothing is no error.
        store, notebook: as for `snapshot`.
        engine, beside, include_secrets, secrets: as for `snapshot`; they should be what they were for the snapshot.
        progress: as for `snapshot`.

    Raises:
        SnapshotNotFound: there is no such snapshot, or several ids begin so.
        VariableNotFound: a pattern matches no variable of either state.
    """
    started = time.perf_counter()
    only, exclude, ignore = patterns(only), patterns(exclude), patterns(ignore)
    book = notebook or host.default_notebook()
    place, _ = store_place(store, reading=True)
    with opened_store(place, create=False, reading=book) as opened:
        old = opened.find(a, book)
        if b is not None:
            new = opened.find(b, book)
            meant = wanted(names_of(old, new), only, exclude, ignore)
            return opened.compared(old, new, book, started, meant)
        progress = progress or Progress()
        left_out = () if only else ignore  # what is asked for by its name is compared
        seen = take(
            namespace, notebook=book, engine=engine, beside=beside, progress=progress, ignore=left_out,
            include_secrets=include_secrets, secrets=secrets,
        )  # fmt: skip
        progress.begin("comparing", seen.taken.size)
        with Namer(progress) as namer:
            groups, definitions = seen.taken.write(namer.put)
            new = replace(seen.record, groups=groups, definitions=definitions)
            meant = wanted(names_of(old, new), only, exclude, ignore)
            report = opened.compared(old, new, book, started, meant, read=namer.read)
        return replace(report, notes=seen.notes)
