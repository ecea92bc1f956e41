"""The state beside the variables: random generators, open figures, options, where modules are found, and the like.

Each **part** of `model.BESIDE` has a keeper in here, a pair of functions on facing lines. `take(scene)` returns what
there is to keep, by item (`{"numpy": …}` for the part `random`); `put(values, turn)` makes it so again. An entry of a
snapshot is called `part:item`, `random:numpy`. Values are captured as if they were variables of reserved names
(`beside:random:numpy`, which no variable has), so that an open figure that is a variable, too, stays one object.

Three rules:
- Taking imports nothing: a library that is not loaded has no state. Putting may import what the session had loaded.
- What is taken is total for what it covers: putting back what was taken gives that state, defaults included. So the
  state before a restore can be taken, and put back where the restore fails (`Turn.hold`, `Turn.undo`).
- A keeper that fails costs a line in the report, never a variable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from nbsnap.errors import NbSnapError
from nbsnap.parts import BESIDE

from . import extensions, figures, filters, generators, options, places, submodules
from .turn import Scene, Step, Turn, said

__all__ = [
    "Scene",
    "Step",
    "Turn",
    "begin",
    "chosen",
    "finish",
    "item_of",
    "name_of",
    "part_of",
    "put",
    "remember",
    "take",
    "take_back",
]


class _Keeper(NamedTuple):
    take: Callable[[Scene], dict[str, Any]]
    put: Callable[[Mapping[str, Any], Turn], None]
    total: bool = True  # put(take()) changes nothing, and undoes what another put has done


#: In the order of putting back: first where modules are found, last what the loading of libraries may change.
_KEEPERS = {
    "directory": _Keeper(places.take_directory, places.put_directory, total=False),
    "path": _Keeper(places.take_path, places.put_path, total=False),
    "submodules": _Keeper(submodules.take, submodules.put, total=False),
    "extensions": _Keeper(extensions.take, extensions.put, total=False),
    "options": _Keeper(options.take, options.put),
    "figures": _Keeper(figures.take, figures.put, total=False),
    "warnings": _Keeper(filters.take_warnings, filters.put_warnings),
    "decimal": _Keeper(filters.take_decimal, filters.put_decimal),
    "random": _Keeper(generators.take, generators.put),
}

#: Put back before the variables are loaded, which may need the user's own modules.
EARLY = ("directory", "path")

_PREFIX = "beside:"


def name_of(entry: str) -> str:
    """Return the reserved name under which an entry is captured."""
    return _PREFIX + entry


def item_of(name: str) -> str | None:
    """Return the entry that goes by a reserved name, or None for a variable's."""
    return name.removeprefix(_PREFIX) if name.startswith(_PREFIX) else None


def part_of(entry: str) -> str:
    """Return the part that an entry belongs to."""
    return entry.partition(":")[0]


def chosen(asked: Iterable[str] | None, otherwise: Iterable[str] = BESIDE) -> tuple[str, ...]:
    """Return the parts that are asked for, in the order of putting back; `otherwise` where nothing was said."""
    names = set(otherwise if asked is None else [asked] if isinstance(asked, str) else asked)
    if "all" in names:
        names = set(BESIDE)
    if unknown := sorted(names - {"none", *BESIDE}):
        raise NbSnapError(f"there is no {unknown[0]!r} beside the variables; there are all, none, {', '.join(BESIDE)}")
    return tuple(part for part in _KEEPERS if part in names)


def take(parts: Iterable[str], scene: Scene) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what there is to keep, by entry, and lines about what could not be taken."""
    taken: dict[str, Any] = {}
    notes: list[str] = []
    for part in parts:
        try:
            taken.update((f"{part}:{item}", value) for item, value in _KEEPERS[part].take(scene).items())
        except (Exception, SystemExit) as error:  # a library that is not what it was, or half loaded
            notes.append(f"{part}: not kept beside the variables: {said(error)}")
    return taken, tuple(notes)


def begin(parts: Iterable[str], turn: Turn) -> None:
    """Remember the state as it is, to be put back where a restore fails."""
    for part in sorted(parts, key=list(_KEEPERS).index):
        keeper = _KEEPERS[part]
        if keeper.total:
            values, _ = take([part], Scene())
            now = {entry.partition(":")[2]: value for entry, value in values.items()}
            turn.undoing.append(lambda keeper=keeper, now=now: keeper.put(now, Turn()))  # type: ignore[misc]
            turn.later.append(partial(_put_again, part, now))


def _put_again(part: str, values: Mapping[str, Any], turn: Turn) -> None:
    """Make the state of a part, which is total, what it was when a restore began."""
    begin([part], turn)
    _KEEPERS[part].put(values, turn)


def take_back(steps: Iterable[Step], turn: Turn) -> None:
    """Take back what an earlier turn has done, the last first. What fails is said."""
    for step in reversed(list(steps)):
        before, later = len(turn.undoing), len(turn.later)
        try:
            step(turn)
        except (Exception, SystemExit) as error:
            turn.undo(before)
            del turn.later[later:]
            turn.notes.append(f"not all that lies beside the variables could be put back: {said(error)}")


def put(parts: Iterable[str], values: Mapping[str, Any], turn: Turn) -> None:
    """Make the state of these parts what `values`, by entry, say. What fails is taken back and said."""
    for part in parts:
        own = {entry.partition(":")[2]: value for entry, value in values.items() if part_of(entry) == part}
        if not own:
            continue
        before, later = len(turn.undoing), len(turn.later)
        try:
            _KEEPERS[part].put(own, turn)
        except (Exception, SystemExit) as error:
            turn.undo(before)
            del turn.later[later:]
            turn.notes.append(f"{part}: not put back: {said(error)}")


def finish(turn: Turn) -> None:
    """End a restore that has gone well. It can still be undone, should Ctrl-C come now."""
    for action in turn.ending:
        action()


def remember(snapshot: str, taken: Mapping[str, Any]) -> None:
    """Note what of this process a snapshot has taken."""
    figures.remember(snapshot, taken)
