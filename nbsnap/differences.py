"""What is different between two snapshots, told from their records. Nothing is loaded.

**What is the same** is known by content: a group of which stream and buffers have the same ids is as it was. Where they
differ, the streams are read (not loaded; see `streams`) and each variable of the group is looked at by itself:

    its part of the stream is the same, and so is all that it refers to      as it was
    the parts differ, and what they refer to is the same                     changed
    anything else: it shares objects with a variable that changed            perhaps

A stream that cannot be looked at (too long, written level by level, damaged) leaves one variable alone in its group
changed, and several of one group perhaps. A "perhaps" of which type or summary differ has changed after all.

**Different bytes do not always mean a different value.** Two lists that are equal, and of which one holds the same
object twice, are different here; so is whatever a library pickles by addresses or times.

**How it changed** is told by the facts that records have: type, summary (shape, dtype, rows, length, the value of a
number), the text of functions and classes. A class counts by its definition, and its instances change with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import NamedTuple

from nbsnap.errors import StoreError
from nbsnap.model import Content, Group, Skip, Snapshot, Variable
from nbsnap.records import Change
from nbsnap.sources import difference, source
from nbsnap.streams import LONGEST, Part, class_unit, parts, text

__all__ = ["Differences", "compare", "names_of"]

Read = Callable[[Content], bytes | bytearray]
BESIDE = "beside:"  # what lies beside the variables goes by such names in groups


class Differences(NamedTuple):
    """What `compare` found."""

    changes: tuple[Change, ...]
    same: int
    not_compared: tuple[Skip, ...]
    beside: tuple[str, ...]  # entries that changed


class _Is(Enum):
    SAME = "as it was"
    CODE = "only bytecode differs, or where it stands"
    CHANGED = "changed"
    UNKNOWN = "perhaps changed"


def compare(
    old: Snapshot, new: Snapshot, read_old: Read, read_new: Read, wanted: Callable[[str], bool] = lambda name: True
) -> Differences:
    """Compare two snapshots, of which the streams are read by `read_old` and `read_new`; names that are `wanted`."""
    judge = _Judge(_Side(old, read_old), _Side(new, read_new))
    before = {variable.name: variable for variable in old.variables if wanted(variable.name)}
    after = {variable.name: variable for variable in new.variables if wanted(variable.name)}
    lost_before, lost_after = _lost(old, wanted), _lost(new, wanted)
    changes: list[Change] = []
    not_compared: list[Skip] = []
    same = 0
    for name in dict.fromkeys((*before, *lost_before, *after, *lost_after)):
        ours, theirs = before.get(name), after.get(name)
        skip = lost_before.get(name) or lost_after.get(name)
        if ours and theirs:
            change = judge.change(ours, theirs)
            if change is None:
                same += 1
            else:
                changes.append(change)
        elif skip and (name in before or name in lost_before) and (name in after or name in lost_after):
            types = _type(ours, lost_before.get(name)), _type(theirs, lost_after.get(name))
            if types[0] == types[1]:
                not_compared.append(skip)
            else:
                known = _known(ours, lost_before.get(name)), _known(theirs, lost_after.get(name))
                changes.append(Change(name, "changed", ("type",), (("type", *types),), *known))
        elif ours:
            changes.append(Change(name, "removed", old=ours))
        elif skip and name in lost_before:  # it was not kept, so it cannot be missed
            not_compared.append(skip)
        else:
            changes.append(Change(name, "added", new=_known(theirs, skip)))
    order = {name: at for at, name in enumerate((*after, *lost_after))}
    changes.sort(key=lambda change: order.get(change.name, -1))
    entries = {entry.name for entry in old.beside} & {entry.name for entry in new.beside}
    beside = [entry.name for entry in new.beside if entry.name in entries]
    changed = tuple(entry for entry in beside if judge.unit(BESIDE + entry) is not _Is.SAME)
    return Differences(tuple(changes), same, tuple(not_compared), changed)


def names_of(*states: Snapshot) -> Iterator[str]:
    """Yield the names of which some states know anything."""
    for state in states:
        yield from (variable.name for variable in state.variables)
        yield from (skip.name for skip in state.skips)


def _lost(snapshot: Snapshot, wanted: Callable[[str], bool]) -> dict[str, Skip]:
    saved = {variable.name for variable in snapshot.variables}
    skips = (skip for skip in snapshot.skips if skip.kind == "skipped" and skip.name not in saved)
    return {skip.name: skip for skip in skips if wanted(skip.name)}


def _type(variable: Variable | None, skip: Skip | None) -> str:
    return variable.type if variable else skip.type if skip else ""


def _known(variable: Variable | None, skip: Skip | None) -> Variable | None:
    """Return what is known of a name that may not have been saved."""
    if variable is None and skip is not None:
        return Variable(skip.name, skip.type, 0, "not saved", "", skip.cell, skip.code, (skip.reason,))
    return variable


# --- what changed -----------------------------------------------------------------------------------------------------


class _Side:
    """One of the two snapshots."""

    def __init__(self, record: Snapshot, read: Read) -> None:
        self.record = record
        self.variables = {variable.name: variable for variable in record.variables}
        self.definitions = {spec.key: spec for spec in record.definitions}
        self.home: dict[str, Group] = {}  # of each variable and class
        for group in record.groups:
            self.home.update(dict.fromkeys(group.variables, group))
            self.home.update((class_unit(key), group) for key in group.definitions)
        self._read = read
        self._parts: dict[str, dict[str, Part]] = {}

    def part(self, unit: str, rename: Mapping[bytes, bytes] | None = None) -> Part | None:
        """Return what the stream says of a variable or class; None if that cannot be told."""
        group = self.home[unit]
        if rename:
            return self._look(group, rename).get(unit)
        if group.id not in self._parts:
            self._parts[group.id] = self._look(group, {})
        return self._parts[group.id].get(unit)

    def _look(self, group: Group, rename: Mapping[bytes, bytes]) -> dict[str, Part]:
        if group.stream.size > LONGEST:
            return {}
        try:
            return parts(group, self._read(group.stream), rename)
        except (StoreError, ValueError):
            return {}

    def mates(self, name: str) -> set[str]:
        """Return the variables that share objects with one."""
        group = self.home[name]
        return set() if group.engine == "batch" else {other for other in group.variables if not _reserved(other)}


class _Judge:
    """Compares variables and classes of two snapshots. Answers are kept."""

    def __init__(self, old: _Side, new: _Side) -> None:
        self.old, self.new = old, new
        self.known: dict[str, _Is] = {}
        self.again = {  # of the classes that were defined again: how their keys are written, and those of the others
            text(key): text(key.partition("#")[0]) for side in (old, new) for key in side.definitions if "#" in key
        }

    def unit(self, unit: str) -> _Is:
        """Judge a variable or class that is on both sides, by its own part and what that refers to in its group."""
        if unit not in self.known:
            self.known[unit] = _Is.UNKNOWN  # if it leads back here
            self.known[unit] = self._judge(unit)
        return self.known[unit]

    def _judge(self, unit: str) -> _Is:
        ours, theirs = self.old.home.get(unit), self.new.home.get(unit)
        if ours is None or theirs is None:
            return _Is.CHANGED
        if (ours.stream, ours.buffers) == (theirs.stream, theirs.buffers):
            return _Is.SAME
        before, after = self.old.part(unit), self.new.part(unit)
        if before is None or after is None:
            return _Is.CHANGED if _alone(ours) and _alone(theirs) else _Is.UNKNOWN
        refs = before.refs(unit), after.refs(unit)
        steady = refs[0] == refs[1] and all(self.unit(ref.unit) in (_Is.SAME, _Is.CODE) for ref in refs[0])
        if before.items == after.items:
            return _Is.SAME if steady else _Is.UNKNOWN
        if before.without_code() == after.without_code():
            return _Is.CODE if steady else _Is.UNKNOWN
        return _Is.CHANGED if steady else _Is.UNKNOWN

    def definition(self, key: str) -> _Is:
        """Judge a class of the session: its skeleton, and what it carries."""
        ours, theirs = self.old.definitions.get(key), self.new.definitions.get(key)
        if ours is None or theirs is None:
            return _Is.CHANGED
        return self.unit(class_unit(key)) if ours.stream == theirs.stream else _Is.CHANGED

    def change(self, old: Variable, new: Variable) -> Change | None:
        """Return what became of a variable that is on both sides; None if it is as it was."""
        verdict = self.unit(old.name)
        facts = _facts(old, new)
        what = tuple(fact for fact, _, _ in facts)
        sources = source(self.old.record, old), source(self.new.record, new)
        said = difference(sources[0], sources[1]) if sources[0] is not None and sources[1] is not None else ""
        if said:
            return Change(old.name, "changed", (*what, "source"), facts, old, new, source=said)
        if facts:
            return Change(old.name, "changed", what, facts, old, new)
        if verdict is _Is.CODE:
            if None in sources:
                return Change(old.name, "changed", ("code",), (), old, new)
            verdict = _Is.SAME
        if verdict is _Is.SAME:
            return Change(old.name, "changed", ("class",), (), old, new) if self._classes(old.name) else None
        if verdict is _Is.CHANGED:
            return Change(old.name, "changed", (self._content(old.name),), (), old, new)
        return Change(old.name, "perhaps", (), (), old, new, shares=self._shares(old.name))

    def _classes(self, name: str) -> list[str]:
        """Return the classes of the session that a variable needs and that are not as they were."""
        needed = self.old.home[name].needs
        changed = [key for key in needed if not self._stays(key)]
        if not changed or _alone(self.old.home[name]):
            return changed
        part = self.old.part(name)
        return [key for key in changed if part is None or part != self.old.part(name, {text(key): b""})]

    def _stays(self, key: str) -> bool:
        verdict = self.definition(key)
        return verdict is _Is.SAME or (verdict is _Is.CODE and self._same_text(key))

    def _same_text(self, key: str) -> bool:
        """Tell whether the text of a class is known, and the same: then only the place of its code can differ."""
        found = []
        for side in (self.old, self.new):
            variable = next((v for v in side.record.variables if v.name == key and v.source.endswith(f":{key}")), None)
            found.append(source(side.record, variable) if variable else None)
        return found[0] is not None and found[0] == found[1]

    def _content(self, name: str) -> str:
        """Return "class" for a variable that is as it was, but for a class that was defined again; else "content"."""
        if not self.again:
            return "content"
        before, after = self.old.part(name, self.again), self.new.part(name, self.again)
        if before is None or after is None:
            return "content"
        return "class" if before.without_code() == after.without_code() else "content"

    def _shares(self, name: str) -> tuple[str, ...]:
        """Return the variables with which one shares objects: those that changed, or else those that may have."""
        mates = sorted((self.old.mates(name) | self.new.mates(name)) - {name})
        there = [mate for mate in mates if mate in self.old.variables and mate in self.new.variables]
        changed = [
            mate
            for mate in there
            if self.unit(mate) is _Is.CHANGED or _facts(self.old.variables[mate], self.new.variables[mate])
        ]
        return tuple(changed or [mate for mate in there if self.unit(mate) is not _Is.SAME] or mates)


def _alone(group: Group) -> bool:
    return len(group.variables) + len(group.definitions) == 1


def _reserved(name: str) -> bool:
    return name.startswith(BESIDE)


# --- the facts --------------------------------------------------------------------------------------------------------

_NAMED = dict.fromkeys(("int", "float", "bool", "complex"), "value") | {"module": "version", "function": "signature"}
_PATTERNS = (
    re.compile(r"len (?P<len>[\d,]+)"),
    re.compile(r"(?P<rows>[\d,]+) rows?(?: × (?P<columns>[\d,]+) columns?)?(?:, (?P<dtype>.*))?"),
    re.compile(r"(?P<shape>scalar|[\d,]+(?: × [\d,]+)*)(?: (?P<dtype>\S+))?(?:, .*)?"),
)


def _facts(old: Variable, new: Variable) -> tuple[tuple[str, str, str], ...]:
    """Return in which facts two variables differ: the fact, what it was, what it is."""
    if old.type != new.type:
        return (("type", old.type, new.type),)
    if old.summary == new.summary:
        return ()
    if (name := _NAMED.get(old.type)) is not None:
        return ((name, old.summary, new.summary),)
    for pattern in _PATTERNS:
        before, after = pattern.fullmatch(old.summary), pattern.fullmatch(new.summary)
        if before and after:
            now = after.groupdict(default="")
            found = [(fact, said, now[fact]) for fact, said in before.groupdict(default="").items()]
            if differ := tuple(fact for fact in found if fact[1] != fact[2]):
                return differ
    return (("summary", old.summary, new.summary),)
