"""A namespace → teams → streams → the sink, collecting skips.

Two steps, so that a dry run and `strict` can stop between them: `take_apart` pickles everything into memory (streams
are small, big buffers stay where they are), and `Taken.write` hands streams and buffers to the store.

`take_apart` keeps a queue of teams, at first one for each variable. When it is empty, teams that touched each other
are merged and queued again. A variable that cannot be pickled leaves its team with a Skip, and the rest of the team is
queued again. Classes of the session join the queue as they are met. So every team ends pickled, merged or empty, and
each step makes the partition coarser or smaller.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import operator
import pickle
import types
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from . import batches, beside, definitions, describe, plain, reducers, unchanged
from .cells import Cells, is_kept
from .describe import is_changed_meanwhile
from .digest import PIECE_SIZE, named
from .errors import CannotSave
from .flat import Queue
from .losses import Losses
from .masking import mask_code
from .memory import Memory
from .model import Content, Definition, Skip, Variable
from .origins import origin
from .pickling import BUFFER_MINIMUM, Desk, Hole, Record, pickler, reason, write_table
from .progress import Progress
from .quiet import unhurried
from .sharing import LEAVES, Ownership, Team, Touch
from .sieve import DEFAULT
from .taken import Pickled, Taken, TakenClass, batch_record, closure, group_record, modules_of, reachable
from .teams import together
from .unchanged import Batch, Known
from .withheld import Withheld

#: Returns the text of the cell and the line in it where a class is that is bound to a name; or `Variable.source`.
ClassText = Callable[[str], tuple[str, int] | str]

_BREAK = "\n"
#: What has a text that may be kept.
_WITH_TEXT = (type, types.FunctionType, type(functools.cache(lambda: None)))

#: Engines tried in turn for each setting.
_ENGINES = {"auto": ("pickle", "dill"), "cloudpickle": ("cloudpickle", "pickle", "dill"), "dill": ("dill", "pickle")}


class _Failed(Exception):
    """A record of a team that could not be pickled."""

    def __init__(self, record: Record, cause: BaseException) -> None:
        super().__init__(record)
        self.record = record
        self.cause = cause


_MASK = functools.partial(mask_code, sieve=DEFAULT)


def take_apart(
    namespace: dict[str, Any],
    names: Sequence[str],
    *,
    engine: str = "auto",
    made: Mapping[str, tuple[int, str]] | None = None,
    classes: Mapping[str, type] | None = None,
    beside: Mapping[str, Any] | None = None,
    class_text: ClassText = lambda name: "",
    progress: Progress | None = None,
    withheld: Withheld | None = None,
    mask: Callable[[str], str] = _MASK,
    typed: Callable[[], Iterable[str]] = tuple,
    known: dict[str, Known] | None = None,
) -> Taken:
    """Pickle the variables `names` of a namespace, which is only read.

    `made` tells for a name the cell that bound it (execution count and first line), for the report. `classes` are
    taken besides, under the keys given, and so are the entries of `beside`, as variables of reserved names.
    `class_text` tells where the text of a class is that is bound to a name: a cell and a line in it. `progress` is told
    what is being taken apart. What is a part of `withheld` is refused; `mask` masks the secrets in a text.
    `typed` returns these, magics and all, for code that does not name its cell. `known` are small variables that are
    as they were; what is known of others that are taken is added to it.
    """
    with unhurried():
        capture = _Capture(
            namespace,
            names,
            engine,
            made or {},
            beside or {},
            class_text,
            progress or Progress(),
            withheld,
            Cells(mask, typed),
            {} if known is None else known,
        )
        try:
            return capture.run(classes or {})
        finally:  # it is part of a cycle, and would keep the user's objects alive until the next collection
            vars(capture).clear()


class _Capture:
    def __init__(
        self,
        namespace: dict[str, Any],
        names: Sequence[str],
        engine: str,
        made: Mapping[str, tuple[int, str]],
        entries: Mapping[str, Any],
        class_text: ClassText,
        progress: Progress,
        withheld: Withheld | None,
        cells: Cells,
        known: dict[str, Known],
    ) -> None:
        self.progress = progress
        self.known = known
        self.withheld = withheld
        self.secrets = withheld.reasons() if withheld is not None else {}
        self.watched: Set[str] = withheld.watched if withheld is not None else set()
        self.namespace = namespace
        self.values = {name: namespace[name] for name in names if name in namespace}
        self.entries = {
            reserved: entry for entry in entries if (reserved := beside.name_of(entry)) not in self.values
        }  # reserved name -> entry
        self.engines = _ENGINES[engine]
        self.made = made
        self.class_text = class_text
        self.ownership = Ownership()
        self.plans: dict[str, dict[type, reducers.Plan]] = {}
        self.accepted: dict[type, bool] = {}
        self.types: dict[type, str] = {}
        apart = {id(namespace), *(id(self.values[name]) for name in self.watched if name in self.values)}
        self.small: dict[str, bytes] = {}
        self.arrays: set[str] = set()  # of the small
        if self.engines[0] == "pickle":
            self.small, self.arrays = batches.take(self.values, apart, known)
        self.values.update((reserved, entries[entry]) for reserved, entry in self.entries.items())
        self.order = dict(zip(self.values, itertools.count(), strict=False))
        self.queue: deque[Team] = deque(Team(names, []) for names in together(self.values, self.small))
        self.done: dict[Team, Pickled] = {}
        self.touching: dict[Team, object] = {}  # those that have touched others, and what keeps their claims true
        self.met: dict[Team, Memory] = {}
        self.classes: dict[str, TakenClass] = {}
        self.keys: dict[int, str] = {}
        self.refused: dict[str, str] = {}
        self.asked: Set[str] = frozenset()
        self.skips: dict[str, Skip] = {}
        self.partly: list[Skip] = []
        self.cells = cells
        self.losses = Losses(self.made, lambda holes: self.desk(Team([], []), None, holes=holes), self.secret)
        self.idle = self.desk(Team([], []), None)
        kinds = map(type, map(self.values.__getitem__, self.small))
        held = list(itertools.compress(self.small, map(operator.not_, map(_UNSHARED.__contains__, kinds))))
        self.ownership.claim_alone(held, map(self.values.__getitem__, held))

    def run(self, classes: Mapping[str, type]) -> Taken:
        self.keys.update((id(cls), key) for key, cls in classes.items())
        for key, cls in classes.items():
            with contextlib.suppress(CannotSave):
                self.take_class(cls, key)
        self.asked = frozenset(classes)
        while self.queue or self.touching:
            if not self.queue:
                self.unite()
            team = self.queue.popleft()
            try:
                self.done[team] = self.attempt(team)
            except Touch as touch:
                self.touching[team] = touch.keep
            except _Failed as failure:
                self.fail(team, failure)
        return self.result()

    # --- one team -------------------------------------------------------------------------------------------------

    def attempt(self, team: Team) -> Pickled:
        """Pickle a team with the first engine that can."""
        self.progress.names = team.variables or team.definitions
        if self.engines[0] == "pickle" and (plain := self.attempt_plain(team)) is not None:
            return plain
        first: _Failed | None = None
        engines = deque(self.engines)
        again = 5
        while engines:
            engine = engines.popleft()
            try:
                done = self.attempt_with(engine, team, Memory(team.memory))
                if not done.desk.memory.holds(shared := done.desk.memory.shared()):
                    self.ownership.release(team)
                    del done  # its memo holds attribute dicts, which would count as shared
                    done = self.attempt_with(engine, team, Memory(shared))
                return done
            except _Failed as failure:
                self.ownership.release(team)
                first = first or failure
                if isinstance(failure.cause, RecursionError):
                    return self.attempt_flat(team)
                if not _worth_another(failure.cause):
                    break
                if again and is_changed_meanwhile(failure.cause):
                    again -= 1
                    engines.appendleft(engine)
                failure.__traceback__ = failure.cause.__traceback__ = failure.cause.__context__ = (
                    None  # they hold it too
                )
            except Touch:
                raise
            except BaseException:
                self.ownership.release(team)
                raise
        assert first is not None
        try:
            raise first
        finally:
            del first  # else the frame and the error would keep each other, and the user's objects, alive

    def attempt_flat(self, team: Team) -> Pickled:
        """Pickle a team that is too deep for the others, level by level."""
        try:
            return self.attempt_with("flat", team, None)
        except Touch:
            raise
        except BaseException:
            self.ownership.release(team)
            raise

    def attempt_plain(self, team: Team) -> Pickled | None:
        """Pickle a lone variable of plain data without watching; None if it is not that, or nested too deeply."""
        if len(team.variables) != 1 or team.definitions:
            return None
        name = team.variables[0]
        if type(self.values[name]) is tuple and not (
            batches.is_alone(self.values, name) or unchanged.cannot_change(self.values[name], BUFFER_MINIMUM)
        ):
            return None  # nobody asks whose a tuple is: who else holds it would have other parts
        value = self.values[name]
        if (
            name in self.watched
            or value is self.namespace
            or not (type(value) in plain.KINDS or self.accepts(type(value)))
        ):
            return None
        if type(value) in plain.LONG and len(value) >= BUFFER_MINIMUM:
            if type(value) is bytearray:
                self.ownership.claim(value, team)
            return Pickled(team, "pickle", *plain.write_long(("var", name), value), self.idle, {}, {}, None)
        if (found := plain.survey([value], self.accepts)) is None:
            return None
        desk = self.desk(team, None) if found.classes else self.idle
        if type(value) not in LEAVES | plain.CALLED:
            self.ownership.claim(value, team)
        try:
            calls = {cls: how for cls in found.classes if type(how := reducers.class_(desk, cls)) is tuple}
            stream = plain.write(("var", name), value, found, calls)
        except Exception:  # too deep, changed by another thread meanwhile, of a compiled class after all: to be watched
            self.ownership.release(team)
            return None
        desk.types.update(found.classes)
        return Pickled(team, "pickle", stream, [], desk, {}, {}, None)

    def accepts(self, cls: type) -> bool:
        """Tell whether objects of a class are plain data: their attributes, and no more."""
        if (known := self.accepted.get(cls)) is None:
            known = self.accepted[cls] = reducers.saved_as_attributes(cls)
        return known

    def attempt_with(self, engine: str, team: Team, memory: Memory | None) -> Pickled:
        desk = self.desk(team, self.ownership, memory, self.losses.holes)
        self.met[team] = desk.memory
        file = io.BytesIO()
        buffers: list[pickle.PickleBuffer] = []
        records = self.records(team)
        write_table(file, records)
        writer = pickler(engine, desk, self.plans.setdefault(engine, {}), file, buffers)
        notes: dict[str, tuple[str, ...]] = {}
        left_out: dict[str, tuple[int, ...]] = {}
        queue: Queue | None = getattr(writer, "queue", None)
        for record in records:
            desk.notes, desk.left_out = set(), {}
            try:
                value = self.value(record)
                if record[0] == "var" and id(value) in self.losses.holes:
                    raise CannotSave(self.losses.holes[id(value)][2], value)
                if queue is not None:
                    queue.write(value, writer.dump)
                else:
                    writer.dump(value)
            except (Exception, SystemExit) as error:
                raise _Failed(record, error) from error
            if desk.notes and record[0] == "var":
                notes[record[1]] = tuple(sorted(desk.notes))
            left_out[record[1]] = (*left_out.get(record[1], ()), *desk.left_out)
        if desk.touched:
            raise Touch((desk, writer))
        if missing := {key for keys in left_out.values() for key in keys}:
            left_out = self.told(records, left_out, missing)
        return Pickled(team, engine, file.getvalue(), buffers, desk, notes, left_out, writer)

    def told(
        self, records: Iterable[Record], left_out: Mapping[str, tuple[int, ...]], missing: Set[int]
    ) -> dict[str, tuple[int, ...]]:
        """Return who tells of what is left out: each variable that leads to it, else the class in which it was met."""
        found: dict[str, tuple[int, ...]] = {}
        for record in records:
            for part in self.losses.misplaced(self.value(record), missing):
                raise _Failed(record, CannotSave(self.losses.holes[id(part)][2], part))
            if record[0] == "var":
                found[record[1]] = tuple(self.losses.within(self.value(record), missing))
        by_variables = {key for keys in found.values() for key in keys}
        for name, keys in left_out.items():
            found.setdefault(name, tuple(key for key in keys if key not in by_variables))
        return found

    def records(self, team: Team) -> list[Record]:
        """Return the table of a team: classes first, what their loading may call before what is loaded."""
        records: list[Record] = []
        for key in team.definitions:
            found = self.classes[key]
            records.extend(
                ("set", key, name) for name in definitions.state_names(found.cls) if name not in found.dropped
            )
            if definitions.is_enum(found.cls):
                records.append(("members", key))
            if definitions.registered(found.cls) and "register" not in found.dropped:
                records.append(("register", key))
        records.sort(key=self.turn)
        records.extend(("var", name) for name in team.variables)
        return records

    def turn(self, record: Record) -> int:
        """Return when a part of a class is set: first what pickle calls to fill an object, then to have it as a key."""
        kind, key, *name = record
        if kind != "set" or not definitions.is_code(vars(self.classes[key].cls)[name[0]]):
            return 3
        return 0 if name[0] in describe.OWN_WAYS else 1 if name[0] in ("__hash__", "__eq__") else 2

    def value(self, record: Record) -> Any:
        match record:
            case ("var", name):
                return self.values[name]
            case ("set", key, name):
                return definitions.state(self.classes[key].cls, name)
            case ("members", key):
                return definitions.take_member_states(self.classes[key].cls)
            case _:
                return definitions.registered(self.classes[record[1]].cls)

    def desk(
        self,
        team: Team,
        ownership: Ownership | None,
        memory: Memory | None = None,
        holes: dict[int, Hole] | None = None,
    ) -> Desk:
        return Desk(
            namespace=self.namespace,
            define=self.define,
            enum_member=self.enum_member,
            file_name=self.cells.name,
            ownership=ownership,
            team=team,
            memory=memory,
            holes=holes,
            secrets=self.secrets,
            in_code=self.withheld.in_code if self.withheld is not None else None,
            mark=self.cells.mark,
        )

    def secret(self, part: object) -> str:
        """Return what kind of secret an object is, or ""."""
        found = self.withheld.parts.get(id(part)) if self.withheld is not None else None
        return found.kind if found is not None else ""

    def unite(self) -> None:
        """Merge the teams that are linked, and queue what comes of it."""
        for teams in self.ownership.linked():
            there = [team for team in teams if team in self.touching or team in self.done or self.is_small(team)]
            memory = Memory.of(self.met[team] for team in there if team in self.met)
            for team in there:
                self.met.pop(team, None)
                self.done.pop(team, None)
                self.ownership.release(team)
                for name in team.variables:
                    self.small.pop(name, None)
            variables = sorted((name for team in there for name in team.variables), key=self.order.__getitem__)
            # by key, so that the same classes give the same stream whichever was met first (`living` compares streams)
            classes = sorted(key for team in there for key in team.definitions)
            self.queue.append(Team(variables, classes, memory.shared()))
        self.touching.clear()

    def is_small(self, team: Team) -> bool:
        """Tell whether a team is a small variable that was alone so far."""
        return len(team.variables) == 1 and team.variables[0] in self.small

    def fail(self, team: Team, failure: _Failed) -> None:
        """Take what cannot be saved out of its team and queue the rest."""
        kind, key, *rest = failure.record
        if kind == "var":
            if self.losses.leave_holes(key, self.values[key]):
                variables = team.variables
            else:
                self.skips[key] = self.losses.skip(key, self.values[key], failure.cause)
                variables = [name for name in team.variables if name != key]
        else:
            found = self.classes[key]
            what = rest[0] if rest else kind
            skip = self.losses.skip(key, self.value(failure.record), failure.cause, f"{key}.{what}", "partly")
            if kind == "members":
                self.refuse(key, skip.reason)
                team = Team(team.variables, [other for other in team.definitions if other != key])
            else:
                found.dropped.add(what)
                self.partly.append(replace(skip, type=describe.type_name(found.cls)))
            variables = team.variables
        if variables or team.definitions:
            self.queue.append(Team(variables, team.definitions))

    def refuse(self, key: str, why: str) -> None:
        """Give up a class that others may refer to already: what does is pickled again, and fails."""
        self.refused[key] = why
        for team, item in list(self.done.items()):
            if key in closure(item.desk.needs, self.classes):
                del self.done[team]
                self.ownership.release(team)
                self.queue.append(team)

    # --- classes of the session -----------------------------------------------------------------------------------

    def define(self, cls: type) -> str:
        """Take a class of the session into the snapshot, once, and return its key."""
        if (key := self.keys.get(id(cls))) is not None:
            if key in self.refused:
                raise CannotSave(f"its class {cls.__qualname__} cannot be saved: {self.refused[key]}", cls)
            return key
        return self.take_class(cls, self.new_key(cls))

    def take_class(self, cls: type, key: str) -> str:
        """Pickle a class's skeleton and queue its state."""
        self.keys[id(cls)] = key
        team = Team([], [key])
        desk = self.desk(team, None)
        file = io.BytesIO()
        try:
            pickler("pickle", desk, {}, file, []).dump(definitions.take_skeleton(cls))
        except (Exception, SystemExit) as error:
            del self.keys[id(cls)]
            raise CannotSave(f"its class {cls.__qualname__} cannot be saved: {reason(error)}", cls) from error
        needs = tuple(sorted(desk.needs - {key}))
        self.classes[key] = TakenClass(cls, key, file.getvalue(), needs, modules_of(desk))
        self.queue.append(team)
        return key

    def new_key(self, cls: type) -> str:
        name = cls.__qualname__
        taken = set(self.keys.values())
        bound = self.namespace.get(name)
        if name not in taken and (bound is cls or not describe.is_a(bound, type)):
            return name
        number = 2
        while f"{name}#{number}" in taken:
            number += 1
        return f"{name}#{number}"

    def enum_member(self, cls: type, value: Any) -> tuple[str, int]:
        for place, member in enumerate(definitions.members_of(cls)):
            if member is value:
                return self.keys[id(cls)], place
        raise CannotSave(f"a member that its Enum {cls.__qualname__} does not know", value)

    # --- the end --------------------------------------------------------------------------------------------------

    def result(self) -> Taken:
        pickled = sorted(self.done.values(), key=lambda p: min((self.order[n] for n in p.team.variables), default=-1))
        pickled = reachable(pickled, self.classes, self.asked)
        groups = []
        variables: dict[str, Variable] = {}
        home: dict[str, str] = {}
        partly: dict[str, list[Skip]] = {}
        total = 0
        for number, item in enumerate(pickled):
            group = f"g{number}"
            size = len(item.stream) + sum(buffer.raw().nbytes for buffer in item.buffers)
            total += size
            home.update((key, group) for key in item.team.definitions)
            groups.append((group_record(group, item, self.classes), item.stream, item.buffers))
            for name, left in item.left_out.items():
                value = self.values[name] if name in item.team.variables else self.classes[name].cls
                partly.setdefault(name, []).extend(self.losses.partly_lines(name, value, left))
            share = size // max(1, len(item.team.variables))
            for name in item.team.variables:
                variables[name] = self.variable(name, share, group, item.notes.get(name, ()))
        again: dict[str, Batch] = {}
        for names, modules in batches.cut(self.small, self.arrays):
            batch = again[names[0]] = self.batch(names, modules, f"g{len(groups)}")
            groups.append((batch.record, batch.stream, []))
            total += len(batch.stream)
            variables.update(zip(names, batch.variables, strict=True))
        unchanged.remember(again)
        kept = sorted(key for key in self.classes if key in home)
        defined = tuple(
            (Definition(key, Content(0), home[key], self.classes[key].needs), self.classes[key].stream) for key in kept
        )
        total += sum(len(stream) for _, stream in defined)
        told = sorted((self.skips.keys() | partly).intersection(self.values), key=self.order.__getitem__)
        skips = [skip for name in told for skip in ([self.skips[name]] if name in self.skips else partly[name])]
        own = itertools.filterfalse(self.entries.__contains__, filter(variables.__contains__, self.values))
        return Taken(
            variables=tuple(map(variables.__getitem__, own)),
            beside=tuple(
                replace(variables[name], name=entry) for name, entry in self.entries.items() if name in variables
            ),
            skips=tuple(skip for skip in skips if skip.name not in self.entries)
            + tuple(skip for name in partly if name not in self.values for skip in partly[name])
            + tuple(skip for skip in self.partly if skip.name in home),
            lost=tuple(replace(skip, name=self.entries[skip.name]) for skip in skips if skip.name in self.entries),
            sources=self.cells.texts(),
            size=total,
            classes={key: self.classes[key].cls for key in kept},
            _groups=tuple(groups),
            _definitions=defined,
        )

    def batch(self, names: list[str], modules: tuple[str, ...], group: str) -> Batch:
        """Return the stream of a batch, and the records of what is in it: those of before, if it is what it was."""
        parts, places = list(map(self.known.get, names)), list(map(self.made.get, names))
        before = unchanged.same_batch(names, parts, places)
        if before is not None and before.record.id == group:
            return before
        if before is not None:
            stream, content = before.stream, before.record.stream
        else:
            table = pickle.dumps(tuple(("var", name) for name in names), 5)
            stream, content = _named(b"".join([table, *(self.small[name] for name in names)]))
        made = tuple(self.variable(name, len(self.small[name]), group, ()) for name in names)
        return Batch(names, parts, places, stream, batch_record(group, names, modules, content), made)

    def variable(self, name: str, size: int, group: str, notes: tuple[str, ...]) -> Variable:
        value = self.values[name]
        count, line = self.made.get(name, _UNKNOWN)
        if (kind := self.types.get(type(value))) is None:
            kind = self.types[type(value)] = describe.type_name(value)
        source = self.source(name, value) if describe.is_a(value, *_WITH_TEXT) else ""
        return Variable(name, kind, size, describe.summary(value), group, count, line, notes, source)

    def source(self, name: str, value: Any) -> str:
        """Return where the text of a function or class is."""
        found = origin(value, self.cells)
        if found or not describe.is_a(value, type) or describe.module_of(value) != "__main__":
            return found
        told = self.class_text(name)
        if type(told) is not tuple:
            file = self.cells.name(str(told).partition(":")[0])  # keeps it
            return str(told) if is_kept(file) else ""
        text, line = told
        file = self.cells.keep(f"{text.rstrip(_BREAK)}{_BREAK}")  # as Python's cache of lines has it
        return f"{file}:{line}:{describe.qualname_of(value)}"


#: The cell and the line that bound a name, where nobody knows.
_UNKNOWN = (None, "")
#: Small variables of these types cannot be shared.
_UNSHARED = LEAVES | plain.CALLED


def _named(stream: bytes) -> tuple[bytes, Content]:
    """Return a stream and its content; if it is one piece, with its id, for the snapshots to come."""
    if len(stream) > PIECE_SIZE:
        return stream, Content(0)
    data = named(stream)
    return data, Content(len(data), (data.id.hex(),))


def _worth_another(cause: BaseException) -> bool:
    """Tell whether another engine may do better: not with what is refused, nor for a lack of stack or memory."""
    return not isinstance(cause, CannotSave | RecursionError | MemoryError)
