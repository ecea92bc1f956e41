"""A namespace as it is now, taken apart: which variables are meant, and what is known of them.

It is only read, and nothing is written: a snapshot is made of the result (`saving`), or a comparison (`since`).
"""

from __future__ import annotations

import functools
import itertools
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from . import background as jobs
from . import beside as state
from . import environment, host, local, provenance, reports, unchanged, wording
from .capture import take_apart
from .describe import type_name
from .errors import NbSnapError
from .masking import mask_cells, mask_code
from .missed import inside
from .model import Skip, Snapshot
from .namespace import matches_any, select, user_names
from .parts import BESIDE
from .pickling import ENGINES
from .progress import Progress
from .quiet import one_at_a_time
from .sieve import DEFAULT, HOLDS_KNOWN, Found, Sieve
from .taken import Taken
from .unchanged import Known, Looked
from .withheld import LENGTH, Withheld, search


class Seen(NamedTuple):
    """A namespace as it is now, taken apart and not written anywhere."""

    record: Snapshot  # without groups and definitions: those come of writing
    taken: Taken
    kept: Mapping[str, Any]  # the state beside the variables
    notes: tuple[str, ...]
    known: tuple[str, ...]  # the values of secrets, which nothing that is shown may hold
    same: Mapping[str, Known]  # small variables, and what is known of them


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
    include_secrets: bool = False,
    secrets: Sieve = DEFAULT,
    progress: Progress,
) -> Seen:
    """Take a namespace apart; what the arguments mean is said in `snapshot`."""
    if engine not in ENGINES:
        raise NbSnapError(f"no engine {engine!r}; there are {', '.join(ENGINES)}")
    progress.begin("waiting for the snapshot before")
    jobs.wait()
    with one_at_a_time():  # what is known of small variables is one table for all threads
        progress.begin("taking apart")
        names = session_names(namespace)
        only, exclude = patterns(only), patterns(exclude)
        seen = host.look(names)
        available, lost = user_names(names, seen.hidden)
        secret, same, looked = _looked_through(names, available, secrets)
        mask = functools.partial(mask_code, sieve=secrets, known=secret.known)
        code = mask_cells(seen.code, secrets, secret.known)
        made = provenance.binders(code) if seen.hidden is not None else {}
        parts = parts_of(beside, names, partly=bool(only))
        chosen = without(selected(available, only, exclude), ignore, asked=only)
        kept, lost_beside = state.take(parts, state.Scene({name: names[name] for name in chosen}, host.cells(seen)))
        taken, own = apart(
            names, chosen, None if include_secrets else secret, engine=engine, made=made, beside=kept, mask=mask,
            progress=progress, class_text=lambda name: provenance.class_text(name, code),
            typed=lambda: (text for _, text in seen.history), known=same,
        )  # fmt: skip
        for one in (*secret.whole, *secret.watched):  # also what was found by the bytes that would have been written
            unchanged.drop(one)
        looked.found_clean(secrets, secret.passed)
        unchanged.passed_over(secret.passed, secrets)
    gone = tuple(_masked(skip, secrets, secret.known) for skip in taken.lost)
    notes = tuple(f"{' '.join(wording.beside([skip.name]))}: not kept: {skip.reason}" for skip in gone)
    skips = own + taken.skips + tuple(_shell_name(name, names, made) for name in _asked(lost, only))
    skips = tuple(_masked(skip, secrets, secret.known) for skip in skips)
    message = secrets.mask(message, secret.known)
    book = notebook or host.default_notebook()
    record = Snapshot(
        head=reports.new_head(book, name, message, taken, skips, "auto" if automatic else "", host.SESSION),
        variables=taken.variables,
        groups=(),
        definitions=(),
        skips=skips,
        packages=environment.packages(),
        history=mask_cells(seen.history, secrets, secret.known),
        sources=taken.sources,
        cwd=_cwd(),
        beside=taken.beside,
        distributions=environment.distributions(taken.modules(), secrets, secret.known),
        local=local.imported(),
        environment=environment.facts(taken.devices(), secrets, secret.known),
    )
    return Seen(record, taken, kept, lost_beside + notes, secret.known, same)


# --- secrets ----------------------------------------------------------------------------------------------------------


def _looked_through(
    names: dict[str, Any], available: list[str], sieve: Sieve
) -> tuple[Withheld, dict[str, Known], Looked]:
    """Return what is a secret, the small variables that are as they were and none, and what of the others was seen.

    Those in which this very sieve has found nothing are not looked at again; in which it finds nothing now, from the
    next time on. Those that there was no time for have their turn by and by.
    """
    same = unchanged.as_they_were(names)
    looked = Looked(names, itertools.filterfalse(same.__contains__, available), LENGTH)
    aside = unchanged.left_aside(same, sieve)
    secret = search(dict(zip(available, map(names.__getitem__, available), strict=True)), sieve, {id(names)}, aside)
    for name in (*secret.whole, *secret.watched):
        unchanged.drop(name)
        same.pop(name, None)
    aside |= secret.passed
    unchanged.judged(names, [name for name in available if name in same and name not in aside], sieve)
    return secret, same, looked


def apart(
    names: dict[str, Any],
    chosen: list[str],
    secret: Withheld | None,
    *,
    made: Mapping[str, tuple[int, str]],
    beside: Mapping[str, Any],
    **more: Any,
) -> tuple[Taken, tuple[Skip, ...]]:
    """Take variables apart, without what is a secret; return lines, too, about those that are left out as a whole."""
    if secret is None:
        return take_apart(names, chosen, made=made, beside=beside, **more), ()
    needles = [form for text in secret.known for form in _forms(text)]
    tried: set[str] = set()
    lost: tuple[Skip, ...] = ()
    while True:
        rest = [name for name in chosen if name not in secret.whole]
        taken = take_apart(names, rest, made=made, withheld=secret, beside=beside, **more)
        leaking = taken.holding(needles) if needles else set()
        if not leaking:
            told = [_secret_skip(name, names, secret.whole[name], made) for name in chosen if name in secret.whole]
            return replace(taken, lost=lost + taken.lost), tuple(told)
        if not inside(secret, {**taken.classes, **names}, leaking) or leaking <= tried:
            # it stands where no placeholder can: inside of something else. So what leads there stays behind
            holders = taken.leading_to(leaking)
            entries = {entry for name in holders if (entry := state.item_of(name)) is not None and entry in beside}
            secret.whole.update((name, HOLDS_KNOWN) for name in rest if name in holders)
            lost += tuple(Skip(entry, "", entry, HOLDS_KNOWN.reason, secret=HOLDS_KNOWN.kind) for entry in entries)
            beside = {entry: value for entry, value in beside.items() if entry not in entries}
            if not entries and holders.isdisjoint(rest):
                raise NbSnapError("a secret would come along, and what holds it cannot be told: nothing was saved")
        tried |= leaking


def _forms(text: str) -> tuple[bytes, ...]:
    """Return the bytes that stand for a text in a stream."""
    return tuple(dict.fromkeys((text.encode("utf-8", "surrogatepass"), text.encode("latin-1", "replace"))))


def _secret_skip(name: str, names: Mapping[str, Any], found: Found, made: Mapping[str, tuple[int, str]]) -> Skip:
    count, line = made.get(name, (None, ""))
    return Skip(name, type_name(names.get(name)), name, found.reason, cell=count, code=line, secret=found.kind)


def _masked(skip: Skip, sieve: Sieve, known: tuple[str, ...]) -> Skip:
    """Return a line in which no secret stands: errors of the user's code may tell one, and so may a path."""
    path, why = sieve.mask(skip.path, known), sieve.mask(skip.reason, known)
    return skip if path == skip.path and why == skip.reason else replace(skip, path=path, reason=why)


# --- what is meant ----------------------------------------------------------------------------------------------------


def session_names(names: dict[str, Any] | None) -> dict[str, Any]:
    if names is not None:
        if not isinstance(names, dict):
            raise NbSnapError(f"a namespace is a dict, as globals() gives it, not {type_name(names)}")
        return names
    shell = host.running_shell()
    found: dict[str, Any] = shell.user_ns if shell is not None else vars(sys.modules["__main__"])
    return found


def look_at(
    namespace: dict[str, Any] | None, sieve: Sieve = DEFAULT
) -> tuple[dict[str, Any], list[str], dict[str, tuple[int, str]]]:
    """Return a namespace, by default the session's, with the names of its variables and the cells that bound them."""
    names = session_names(namespace)
    seen = host.look(names)
    made = provenance.binders(mask_cells(seen.code, sieve)) if seen.hidden is not None else {}
    return names, user_names(names, seen.hidden)[0], made


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
