"""Taking back the last restore of the session; and knowing whether that restore was a whole one.

A restore binds fresh objects and leaves those that it replaces as they are. So they can be bound again: the very
objects, with all that happened to them before, and never anything that is loaded. What lay beside the variables goes
back, too. The rules:

- **Back to before the restore, for what the restore has touched.** Names that it did not touch stay as they are. A name
  that it replaced or removed gets its former value back, also where the user has bound it anew since; one that it added
  is removed, unless the user has bound it anew.
- **Nothing is lost by it.** What an undo replaces is kept in its turn, so that a second one brings it back, and so on.
- **It keeps values in memory** that the user believes replaced. So a report says how much that is, where it is much;
  they are let go by the next restore, and by the next snapshot that the user takes of the whole session (an
  autosnapshot lets nothing go); and they are not kept at all where they would take more than half of the memory that
  is free.
- Only the session's own namespace has this: with a dict of one's own, one can keep a copy of the dict.

A restore is **incomplete** where variables did not load, or where it failed and their names are bound to nothing. While
that is so, no autosnapshot is taken: it would come before the good one. It ends when each of those names is bound to
something new, by a restore, an undo or the user; or when the user takes a snapshot all the same, which says what is
missing from it.
"""

from __future__ import annotations

import contextlib
import sys
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from . import beside as state
from . import host, living, provenance, wording
from .describe import module_of, summary, type_name
from .errors import NbSnapError
from .model import RestoreReport, Skip, Snapshot, Variable
from .namespace import ABSENT, Journal, put_in_order, select, user_names
from .quiet import uninterrupted
from .weight import free, weigh

__all__ = ["add", "came_back", "failed", "incomplete", "keep", "settle", "undo"]

#: What was replaced is kept if this many times as much memory is free.
_SHARE = 2


#: The ids of the snapshots from which something was restored in this process, the last one last.
came_back: list[str] = []

#: Libraries of which objects may be referred to weakly: on others, a weak reference is a mark that a snapshot sees.
_MARKED = frozenset(["numpy", "pandas", "polars", "pyarrow", "scipy", "torch", "xarray"])


class _Mark:
    """What a name was bound to, without keeping that alive.

    By its address: what has taken the place of something of the same kind that is gone counts as the same. That is rare
    (`x = []` is made before the old one goes, `del x` first is needed), and costs no value, only words about it.
    """

    __slots__ = ("_id", "_reference")

    def __init__(self, value: object) -> None:
        self._id = id(value)
        self._reference: Any = None
        if module_of(type(value)).partition(".")[0] in _MARKED:
            with contextlib.suppress(TypeError):
                self._reference = weakref.ref(value)

    def is_of(self, value: object) -> bool:
        """Tell whether this is it."""
        return id(value) == self._id and (self._reference is None or self._reference() is value)


@dataclass
class _Incomplete:
    """A restore that did not bring all."""

    label: str  # "before-train (3f9c21a)"
    names: dict[str, _Mark]  # variable -> what its name was bound to all the same

    def missing(self, names: Mapping[str, Any]) -> list[str]:
        """Return the names that nothing new was bound to since."""
        return [name for name, mark in self.names.items() if mark.is_of(names.get(name, ABSENT))]


@dataclass
class _Change:
    """What the last restore has changed, as it is needed to take that back, and to do it again."""

    namespace: dict[str, Any]
    journal: weakref.ref[Journal]  # which holds values
    report: RestoreReport
    other: dict[str, Any]  # name -> the value that it does not have now: before the restore, or after it once undone
    marks: dict[str, _Mark]  # name -> what it was bound to here
    before: list[str]  # all names in their order
    after: list[str]
    steps: list[state.Step]  # for what lies beside the variables
    classes: living.Known
    since: int  # the cell that restored
    made: provenance.Restored
    incomplete: _Incomplete | None  # as it stands on the other side
    undone: set[str] = field(default_factory=set)
    beside_undone: bool = False


_last: _Change | None = None
_incomplete: _Incomplete | None = None
_why_none = "there was no restore in this session"


# --- what session tells -----------------------------------------------------------------------------------------------


def keep(
    names: dict[str, Any],
    report: RestoreReport,
    journal: Journal,
    turn: state.Turn,
    order: list[str],
    classes: living.Known,
    made: provenance.Restored,
    *,
    partly: bool,
) -> RestoreReport:
    """Note what a restore has changed in the session, and return the report with what is said about that."""
    global _last, _incomplete, _why_none
    if not host.is_session(names):
        return report
    other = journal.replaced()
    held = weigh(value for value in other.values() if value is not ABSENT)
    total = sum(held.values())
    code = host.look(names).code
    with uninterrupted():
        lost = (*report.failed, *(skip for skip in report.partly if skip.name in names))
        before, _incomplete = _incomplete, _still(names, report, lost, partly=partly)
        _last = _Change(
            names, weakref.ref(journal), report, other, {name: _Mark(names.get(name, ABSENT)) for name in other}, order,
            list(names), turn.later, classes, code[-1][0] if code else 0, made, before,
        )  # fmt: skip
    if any(size * _SHARE > free(place) for place, size in held.items()):
        _let_go(f"what the restore of {_label(report)} replaced took too much memory to be kept")
        told = f"what was replaced ({wording.size(total)}) was too much to keep in memory, so there is no --undo"
        return replace(report, notes=(*report.notes, told))
    return replace(report, held=total)


def failed(names: dict[str, Any], record: Snapshot, wanted: Iterable[str], journal: Journal) -> None:
    """Note that a restore has failed, and left the namespace as it was."""
    global _incomplete
    if _last is not None and _last.journal() is journal:  # it was interrupted when all was done
        _let_go(f"the restore of {_label(record.head)} was interrupted")
    absent = [name for name in wanted if name not in names]
    if absent and host.is_session(names):
        marks = {name: _Mark(ABSENT) for name in absent}
        _incomplete = _Incomplete(_label(record.head), (_incomplete.names if _incomplete else {}) | marks)


def settle(variables: Iterable[Variable]) -> tuple[str, ...]:
    """Take a snapshot of the whole session, which holds these variables, for the user's word that all is well.

    Returns lines about what is missing from it. What was replaced by the restore before is let go.
    """
    global _incomplete
    missing = _incomplete.missing(_session()) if _incomplete is not None else []
    label = _incomplete.label if _incomplete is not None else ""
    saved = {variable.name for variable in variables} if missing else set()
    gone = [name for name in missing if name not in saved]
    older = [name for name in missing if name in saved]
    lines = []
    if gone:
        lines.append(f"missing, as {_were(gone)} not restored from {label}: {wording.listed(gone)}")
    if older:
        lines.append(f"not as in {label}, from which {_were(older)} not restored: {wording.listed(older)}")
    _incomplete = None
    if _last is not None:
        why = (
            f"what the restore of {_label(_last.report)} replaced was let go at {time.strftime('%H:%M')}, by a snapshot"
        )
        _let_go(why)
    return tuple(lines)


def _were(names: Sequence[str]) -> str:
    return "it was" if len(names) == 1 else "they were"


def incomplete() -> str | None:
    """Return what is missing of the last restore of this session, as a sentence; None where nothing is."""
    missing = _incomplete.missing(_session()) if _incomplete is not None else []
    if _incomplete is None or not missing:
        return None
    are = "is" if len(missing) == 1 else "are"
    return f"the restore of {_incomplete.label} is incomplete: {wording.listed(missing)} {are} missing"


def _still(
    names: Mapping[str, Any], report: RestoreReport, failures: Sequence[Skip], *, partly: bool
) -> _Incomplete | None:
    """Return what is missing after a restore: what it did not bring, and if it was for a part, what was missing."""
    older = _incomplete.names if _incomplete is not None and partly else {}
    marks = older | {skip.name: _Mark(names.get(skip.name, ABSENT)) for skip in failures}
    return _Incomplete(_label(report), marks) if marks else None


# --- undo -------------------------------------------------------------------------------------------------------------


def undo(
    names: dict[str, Any], *, only: Sequence[str] = (), exclude: Sequence[str] = (), dry_run: bool = False
) -> RestoreReport:
    """Take the last restore back; or where that was done, do it again.

    Raises:
        NbSnapError: there is nothing to take back.
        VariableNotFound: a pattern matches nothing that the restore has changed.
    """
    started = time.perf_counter()
    change = _last
    if change is None or change.namespace is not names:
        raise NbSnapError(f"nothing to undo: {_why_none if change is None else 'that namespace is not the session'}")
    if not change.other and not change.steps:
        raise NbSnapError(f"nothing to undo: the restore of {_label(change.report)} has changed nothing")
    partly = bool(only or exclude)
    chosen = select(list(change.other), only, exclude)
    turned = [name for name in chosen if name not in change.undone]
    again = not turned and (partly or change.beside_undone or not change.steps)
    turned = turned or (chosen if again else [])
    bind, remove, stay, anew = _plan(change, turned)
    notes = _about(stay, anew)
    report = replace(
        change.report,
        restored=tuple(Variable(name, type_name(value), 0, summary(value), "") for name, value in bind.items()),
        failed=(), not_saved=(), kept=(), removed=tuple(remove), size=0, held=0, beside=(), dry_run=dry_run,
        undo="redone" if again else "undone", notes=notes, seconds=time.perf_counter() - started,
    )  # fmt: skip
    if dry_run:
        return report
    with uninterrupted():
        turn = _turn_round(change, bind, remove, again=again, beside=not partly)
    for name in stay:
        del change.other[name]
    done = wording.beside(turn.done)
    return replace(report, notes=(*notes, *turn.notes), beside=done, seconds=time.perf_counter() - started)


def _plan(change: _Change, turned: Iterable[str]) -> tuple[dict[str, Any], list[str], list[str], list[str]]:
    """Return what to bind, what to remove, and what the user has bound anew: what stays so, and what is replaced."""
    bind: dict[str, Any] = {}
    remove: list[str] = []
    stay: list[str] = []
    anew: list[str] = []
    for name in turned:
        now, target = change.namespace.get(name, ABSENT), change.other[name]
        is_new = now is not ABSENT and not change.marks[name].is_of(now)
        if target is not ABSENT:
            bind[name] = target
            if is_new:
                anew.append(name)
        elif is_new:
            stay.append(name)
        elif now is not ABSENT:
            remove.append(name)
    return bind, remove, stay, anew


def _about(stay: Sequence[str], anew: Sequence[str]) -> tuple[str, ...]:
    lines = []
    if anew:
        were, values = ("was", "that value is") if len(anew) == 1 else ("were", "those values are")
        lines.append(f"{wording.listed(anew)} {were} bound anew since: {values} back after another %restore --undo")
    if stay:
        were, stays = ("was", "stays") if len(stay) == 1 else ("were", "stay")
        lines.append(f"{wording.listed(stay)} {were} bound anew since, and {stays}")
    return tuple(lines)


def _turn_round(
    change: _Change, bind: Mapping[str, Any], remove: Sequence[str], *, again: bool, beside: bool
) -> state.Turn:
    """Let each of these names have its other value, and keep the one that it had for the way back."""
    global _incomplete
    names = change.namespace
    turned = [*bind, *remove]
    seen = host.look(names)
    made = provenance.binders(seen.code)
    origins = _origins(change, seen)
    journal, turn = Journal(names), state.Turn(change.report.id)
    now, order = {name: names.get(name, ABSENT) for name in turned}, list(names)
    try:
        journal.bind(bind)
        journal.remove(remove)
        put_in_order(names, change.after if again else change.before, user_names(names, seen.hidden)[0])
        if beside:
            state.take_back(change.steps, turn)
            state.finish(turn)
    except BaseException:
        journal.undo()
        turn.undo()
        raise
    roots = set(turned)
    former = {origin: cls for origin, cls in change.classes.items() if str(origin[0]).partition(".")[0] in roots}
    change.classes |= living.exchange(former)
    if seen.hidden is not None:
        provenance.put_back({name: origins[name] for name in bind if name in origins}, seen.code)
    change.other |= now
    change.marks |= {name: _Mark(names.get(name, ABSENT)) for name in turned}
    change.made |= {name: (0, *made[name]) for name in turned if name in made}
    if again:
        change.undone -= roots
        change.before = order
    else:
        change.undone |= roots
        change.after = order
    if beside:
        change.steps, change.beside_undone = turn.later, not again
        change.incomplete, _incomplete = _incomplete, change.incomplete
    return turn


def _origins(change: _Change, seen: host.Host) -> dict[str, tuple[int, str]]:
    """Return where the values were made that the names do not have now."""
    if seen.hidden is None:
        return {}
    found = provenance.binders([cell for cell in seen.code if cell[0] <= change.since], change.made)
    return found | {name: (change.made[name][1], change.made[name][2]) for name in change.undone if name in change.made}


def add(names: dict[str, Any], bind: Mapping[str, Any], remove: Iterable[str]) -> tuple[str, ...]:
    """Do more for a restore that has just ended, so that it is taken back with it; return the names removed."""
    with uninterrupted():
        journal = Journal(names)
        order = list(names)
        journal.bind(bind)
        journal.remove(here := [name for name in remove if name in names])
        if _last is not None and _last.namespace is names:
            for name, value in journal.replaced().items():
                _last.other.setdefault(name, value)
                _last.marks[name] = _Mark(names.get(name, ABSENT))
            _last.before = [*_last.before, *(name for name in order if name not in set(_last.before))]
            _last.after = list(names)
    return tuple(here)


# --- the rest ---------------------------------------------------------------------------------------------------------


def _let_go(why: str) -> None:
    global _last, _why_none
    _last, _why_none = None, why


def _session() -> Mapping[str, Any]:
    shell = host.running_shell()
    found: Mapping[str, Any] = vars(sys.modules["__main__"]) if shell is None else shell.user_ns
    return found


def _label(of: Any) -> str:
    """Return how a snapshot is called in a sentence, from a report or a head."""
    short = wording.short_id(of.id)
    return f"{of.name} ({short})" if of.name else short
