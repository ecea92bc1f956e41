"""A namespace as it is now, taken apart: which variables are meant, and what is known of them.

It is only read, and nothing is written: a snapshot is made of the result (`session`), or a comparison (`since`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from . import background as jobs
from . import beside as state
from . import environment, host, provenance, reports, wording
from .capture import take_apart
from .describe import type_name
from .errors import NbSnapError
from .model import BESIDE, Skip, Snapshot
from .namespace import matches_any, select, user_names
from .pickling import ENGINES
from .progress import Progress
from .taken import Taken


class Seen(NamedTuple):
    """A namespace as it is now, taken apart and not written anywhere."""

    record: Snapshot  # without groups and definitions: those come of writing
    taken: Taken
    kept: Mapping[str, Any]  # the state beside the variables
    notes: tuple[str, ...]


def take(
    namespace: dict[str, Any] | None,
    name: str = "",
    message: str = "",
    *,
    only: Iterable[str] = (),
    exclude: Iterable[str] = (),
    ignore: Iterable[str] = (),
    notebook: str | None = None,
    engine: str = "auto",
    beside: Iterable[str] | None = None,
    automatic: bool = False,
    progress: Progress,
) -> Seen:
    """Take a namespace apart; what the arguments mean is said in `snapshot`."""
    if engine not in ENGINES:
        raise NbSnapError(f"no engine {engine!r}; there are {', '.join(ENGINES)}")
    progress.begin("waiting for the snapshot before")
    jobs.wait()
    progress.begin("taking apart")
    names = session_names(namespace)
    only, exclude = patterns(only), patterns(exclude)
    seen = host.look(names)
    made = provenance.binders(seen.code) if seen.hidden is not None else {}
    parts = parts_of(beside, names, partly=bool(only))
    available, lost = user_names(names, seen.hidden)
    chosen = without(selected(available, only, exclude), ignore, asked=only)
    kept, lost_beside = state.take(parts, state.Scene({name: names[name] for name in chosen}, host.cells(seen)))
    taken = take_apart(
        names, chosen, engine=engine, made=made, beside=kept, progress=progress,
        class_text=lambda name: provenance.class_text(name, seen.code),
    )  # fmt: skip
    notes = tuple(f"{' '.join(wording.beside([skip.name]))}: not kept: {skip.reason}" for skip in taken.lost)
    skips = taken.skips + tuple(_shell_name(name, names, made) for name in _asked(lost, only))
    book = notebook or host.default_notebook()
    record = Snapshot(
        head=reports.new_head(book, name, message, taken, skips, "auto" if automatic else "", host.SESSION),
        variables=taken.variables,
        groups=(),
        definitions=(),
        skips=skips,
        packages=environment.packages(),
        history=seen.history,
        sources=taken.sources,
        cwd=_cwd(),
        beside=taken.beside,
    )
    return Seen(record, taken, kept, lost_beside + notes)


# --- what is meant ----------------------------------------------------------------------------------------------------


def session_names(names: dict[str, Any] | None) -> dict[str, Any]:
    if names is not None:
        if not isinstance(names, dict):
            raise NbSnapError(f"a namespace is a dict, as globals() gives it, not {type_name(names)}")
        return names
    shell = host.running_shell()
    found: dict[str, Any] = shell.user_ns if shell is not None else vars(sys.modules["__main__"])
    return found


def parts_of(asked: Iterable[str] | None, names: dict[str, Any], *, partly: bool) -> tuple[str, ...]:
    """Return which parts beside the variables are meant: all of the session's, if nothing is said of either."""
    return state.chosen(asked, () if partly or not host.is_session(names) else BESIDE)


def selected(names: list[str], only: Iterable[str], exclude: Iterable[str]) -> list[str]:
    return select(names, patterns(only), patterns(exclude))


def patterns(given: Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def without(names: list[str], ignore: Iterable[str], asked: Iterable[str]) -> list[str]:
    """Leave out what is always left out, unless it is asked for by its name."""
    ignored, by_name = patterns(ignore), set(patterns(asked))
    if not ignored:
        return names
    return [name for name in names if name in by_name or not matches_any(name, ignored)]


def _asked(names: list[str], only: Iterable[str]) -> list[str]:
    wanted = patterns(only)
    return [name for name in names if not wanted or matches_any(name, wanted)]


def _shell_name(name: str, names: Mapping[str, Any], made: Mapping[str, tuple[int, str]]) -> Skip:
    count, line = made.get(name, (None, ""))
    why = "the name is IPython's own, and restoring it would break the shell"
    return Skip(name, type_name(names.get(name)), name, why, cell=count, code=line)


def _cwd() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed under us
        return ""
