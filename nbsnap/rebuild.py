"""A snapshot and a source → values, group by group; what fails costs its own group.

The loader makes all skeletons that are needed first, then fills the classes, then loads the variables. A group that is
asked for while another loads (an instance whose class has no state yet) is loaded on the spot. Each group's values are
handed to `stand` as soon as they are whole, because a user's `__setstate__` may read globals; who hands in `stand` must
be able to take them back (`namespace.Journal`).

Nothing of a stream is unpickled before the source has verified all of it.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Protocol

from . import definitions, paths, plain, remade
from .anew import Anew
from .builders import make_sound
from .errors import CannotLoad, DamageError
from .flat import EARLY, Filler
from .installed import distribution, version
from .machine import order_of, readable
from .model import Content, Definition, Group, Snapshot
from .pickling import Record, Unpickler, reason
from .placeholder import Placeholder
from .progress import Progress
from .quiet import Reading, unhurried
from .remarks import heard
from .standards import pip_install


class Source(Protocol):
    """Where the bytes of a snapshot come from."""

    def stream(self, content: Content) -> bytes | bytearray:
        """Return the bytes of a stream, all of them verified; raise DamageError if they are not what was saved."""

    def parts(self, content: Content) -> Sequence[bytes | bytearray]:
        """Return the same in parts, for whoever needs no more."""

    def buffers(self, group: Group) -> Sequence[Any]:
        """Return the memory of a group's buffers, in their order: contiguous, and the caller's own to write to."""


#: Libraries that follow numbers in their buffers, or parse them, without asking whether they are sound: what they are
#: given is verified first, though it may be mapped.
PARSERS = frozenset({"awkward", "catboost", "duckdb", "lightgbm", "onnx", "polars", "pyarrow", "spacy", "xgboost"})

Stand = Callable[[Mapping[str, Any]], None]


@dataclass
class Rebuilt:
    """What came back, and what did not."""

    values: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, CannotLoad] = field(default_factory=dict)
    classes: dict[str, type] = field(default_factory=dict)  # the session's, by their keys
    remarks: dict[str, list[str]] = field(default_factory=dict)  # what is said of variables -> their names
    partly: list[tuple[str, Placeholder, str]] = field(default_factory=list)  # variable or class, what it lacks, where
    compiled: tuple[int, int] = (0, 0)  # functions and classes that another Python had compiled, made anew


def rebuild(
    snapshot: Snapshot,
    names: Iterable[str],
    source: Source,
    namespace: dict[str, Any],
    *,
    stand: Stand,
    known: Mapping[str, type] | None = None,
    progress: Progress | None = None,
) -> Rebuilt:
    """Load the variables `names` of a snapshot.

    `namespace` is what functions of the session become bound to; it is changed only through `stand`. `known` gives live
    classes to be used for their keys instead of loading them again. `progress` is told what is being loaded.
    """
    loader = _Loader(snapshot, set(names), source, namespace, stand, known or {}, progress or Progress())
    with unhurried(), loader.anew.quiet():
        try:
            return loader.run()
        finally:  # it is part of cycles, and would keep objects alive until the next collection
            loader.answers.clear()
            loader.anew.answers.clear()


class _Loader:
    def __init__(
        self,
        snapshot: Snapshot,
        wanted: set[str],
        source: Source,
        namespace: dict[str, Any],
        stand: Stand,
        known: Mapping[str, type],
        progress: Progress,
    ) -> None:
        self.progress = progress
        self.snapshot = snapshot
        self.wanted = wanted
        self.source = source
        self.namespace = namespace
        self.stand = stand
        self.kinds = {variable.name: variable.type for variable in snapshot.variables}
        self.order = order_of(dict(snapshot.environment))
        self.groups = {group.id: group for group in snapshot.groups}
        self.specs = {spec.key: spec for spec in snapshot.definitions}
        self.classes: dict[str, type] = dict(known)
        self.members: dict[str, tuple[object, ...]] = {
            key: tuple(definitions.members_of(cls)) for key, cls in known.items() if definitions.is_enum(cls)
        }
        self.broken: dict[str, CannotLoad] = {}  # definitions whose skeleton or state failed
        self.making: set[str] = set()
        self.started: set[str] = {self.specs[key].group for key in known if key in self.specs}
        self.filler = Filler()  # of the group that is being loaded
        self.holes: dict[tuple[str, ...], Placeholder] = {}
        self.rebuilt = Rebuilt()
        self.anew = Anew(snapshot)
        self.answers: dict[str, Callable[..., Any]] = {
            "definition": self.definition, "member": self.member, "parametrized": self.parametrized,
            **self.anew.answers,
        }  # fmt: skip
        self.functions, self.renewed = 0, set[str]()  # compiled anew
        self.told: set[int] = set()  # of the group that is being loaded: what is lost, and told of a class

    def run(self) -> Rebuilt:
        wanted = [group for group in self.snapshot.groups if self.wanted.intersection(group.variables)]
        self.started -= {group.id for group in wanted}
        needed = self.needed(wanted)
        for key in needed:
            if self.specs[key].group not in self.started:
                with contextlib.suppress(CannotLoad):  # it costs what needs it, not the rest
                    self.skeleton(key)
        for key in needed:
            self.try_group(self.groups[self.specs[key].group])
        for group in sorted(wanted, key=lambda group: _turn(group, self.kinds)):
            self.try_group(group)
        self.rebuilt.classes.update((key, cls) for key, cls in self.classes.items() if key not in self.broken)
        self.rebuilt.compiled = self.functions, len(self.renewed)
        return self.rebuilt

    def needed(self, groups: Iterable[Group]) -> list[str]:
        """Return the keys of the definitions that the groups need, directly or not, in the snapshot's order."""
        found: set[str] = set()
        todo = [key for group in groups for key in (*group.needs, *group.definitions)]
        while todo:
            key = todo.pop()
            spec = self.specs.get(key)
            if key in found or spec is None:
                continue
            found.add(key)
            group = self.groups[spec.group]
            todo.extend((*spec.needs, *group.needs, *group.definitions))
        return [spec.key for spec in self.snapshot.definitions if spec.key in found]

    def named(self, name: str) -> Any:
        """Return what a stream calls `__main__.name`: some objects of libraries are saved as no more than that."""
        for names in (self.namespace, vars(sys.modules["__main__"])):
            if name in names:
                return names[name]
        raise CannotLoad(f"was saved as no more than a reference to {name}, which is not there")

    # --- what streams ask for -------------------------------------------------------------------------------------

    def live(self, reference: Any) -> Any:
        """Return what a stream refers to without holding it: a live namespace, or a placeholder."""
        match reference:
            case ("namespace", "session"):
                return self.namespace
            case ("namespace", "main"):
                return vars(sys.modules["__main__"])
            case ("namespace", "builtins"):
                return vars(builtins)
            case ("same", value):
                return value
            case ("early", _):
                return EARLY
            case ("flat", kind, number):
                return self.filler.container(kind, number)
            case ("hole", *hole):
                return self.holes.setdefault(tuple(hole), Placeholder(*hole))
        raise CannotLoad(f"refers to something that this version of nbsnap does not know: {reference!r:.60}")

    def definition(self, key: str) -> type:
        """Return a class of the session, filled if that can be."""
        cls = self.skeleton(key)
        if not self.making:
            self.fill(key)
        if key in self.broken:
            raise self.broken[key]
        return cls

    def fill(self, key: str) -> None:
        """Fill a class, after its bases: a method that is asked for may be one of theirs."""
        if (spec := self.specs.get(key)) is not None:
            for base in spec.needs:
                self.fill(base)
            self.try_group(self.groups[spec.group])

    def member(self, key: str, index: int) -> object:
        """Return a member of a session's Enum."""
        self.definition(key)
        return self.members[key][index]

    def parametrized(self, key: str, arguments: Any) -> Any:
        """Return `key[arguments]` of a class of the session that makes a new class of it, and so has to be whole."""
        cls: Any = self.skeleton(key)
        if (spec := self.specs.get(key)) is not None:
            self.try_group(self.groups[spec.group])
        return cls[arguments]

    def skeleton(self, key: str) -> type:
        """Return a class of the session, made if need be, filled or not."""
        if (cls := self.classes.get(key)) is not None:
            return cls
        if key in self.broken:
            raise self.broken[key]
        spec: Definition | None = self.specs.get(key)
        if spec is None:
            raise CannotLoad(f"needs the class {key}, which the snapshot does not have")
        if key in self.making:
            raise CannotLoad(f"needs the class {key}, which needs itself")
        self.making.add(key)
        try:
            fields = Unpickler(io.BytesIO(self.source.stream(spec.stream)), (), self).load()
            self.classes[key], self.members[key] = definitions.make(fields)
        except (Exception, SystemExit) as error:
            problem = self.problem(error)
            self.broken[key] = CannotLoad(
                f"needs the class {key}, which could not be loaded: {problem.reason}", problem.hint
            )
            raise self.broken[key] from error
        finally:
            self.making.discard(key)
        return self.classes[key]

    @contextlib.contextmanager
    def importing(self, module: str) -> Iterator[None]:
        """Say what is imported while the block runs: it may be what takes long."""
        before, self.progress.importing = self.progress.importing, module
        try:
            yield
        finally:
            self.progress.importing = before

    # --- groups ---------------------------------------------------------------------------------------------------

    def try_group(self, group: Group) -> None:
        """Load a group if it is not loaded yet; note what fails."""
        if group.id in self.started:
            return
        self.started.add(group.id)
        before, self.progress.names = self.progress.names, group.variables or group.definitions
        try:
            with heard() as remarks:
                values = self.load(group)
        except (Exception, SystemExit) as error:
            problem = self.problem(error)
            problem.__traceback__ = problem.__context__ = problem.__cause__ = None  # they hold what was loaded so far
            for name in group.variables:
                self.rebuilt.failed[name] = problem
            for key in group.definitions:
                text = f"needs the class {key}, which could not be loaded: {problem.reason}"
                self.broken.setdefault(key, CannotLoad(text, problem.hint))
            return
        finally:
            self.progress.names = before
        values = {name: value for name, value in values.items() if name in self.wanted}
        self.rebuilt.values.update(values)
        for text in remarks if values or group.definitions else ():
            self.rebuilt.remarks.setdefault(text, []).extend(values or group.definitions)
        self.stand(values)

    def load(self, group: Group) -> dict[str, Any]:
        if not readable(self.order, group.modules, _types(group, self.kinds)):
            raise CannotLoad(f"holds memory of a machine that is {self.order}-endian, which this one is not")
        parts = self.source.parts(group.stream)
        buffers = self.source.buffers(group)
        if not PARSERS.isdisjoint(group.modules):
            for buffer in buffers:
                make_sound(buffer)
        file = Reading(parts)
        del parts  # it lets go of what is read
        table: Iterable[Record] = Unpickler(file, (), self).load()
        reader = Unpickler(file, buffers, self)
        if group.engine == "batch":
            return {name: Unpickler(file, (), self).load() for _, name in table}
        outer = self.filler, self.anew.lost, self.told
        self.filler, self.anew.lost, self.told = Filler(), {}, set()
        try:
            values = self.read(table, reader, group)
            return self.without_lost(values) if self.anew.lost else values
        finally:
            self.filler, self.anew.lost, self.told = outer

    def read(self, table: Iterable[Record], reader: Unpickler, group: Group) -> dict[str, Any]:
        """Read the records of a stream, and return the variables among them."""
        values: dict[str, Any] = {}
        sets: list[set[Any]] = []
        gone: _Gone = {key: {} for key in group.definitions}
        is_flat = group.engine == "flat"
        call = types.FunctionType(_call.__code__, self.namespace)
        for record in table:
            if gone and record[0] == "var":
                self.finish(gone)
            made, before = self.anew.made, set(self.anew.lost)
            while (value := call(reader.load)) is EARLY:
                pass
            if is_flat:
                self.filler.read(reader)
            match record:
                case ("var", name):
                    values[name] = value
                case ("set", key, name):
                    if name not in self.anew.unknown:
                        definitions.set_attribute(self.skeleton(key), name, value)
                case ("members", key):
                    definitions.fill_members(self.members[key], value)
                case ("register", key):
                    for cls in value:
                        self.skeleton(key).register(cls)  # type: ignore[attr-defined]
                case ("before",):
                    pass
                case ("sets",):
                    sets = value
                case ("fill",):
                    plain.fill(sets, *value)
                case _:
                    raise CannotLoad("holds something that this version of nbsnap does not know")
            if self.anew.active:
                self.count(record, value, made, before, gone)
        self.finish(gone)
        if self.anew.active and (
            not remade.MODULES.isdisjoint(group.modules)
            or any(remade.is_completed(self.classes[key]) for key in group.needs if key in self.classes)
        ):
            remade.complete(list(values.values()))
        return values

    # --- what comes from another Python ---------------------------------------------------------------------------

    def count(self, record: Record, value: Any, made: int, before: Set[int], gone: _Gone) -> None:
        """Note what was compiled anew for a record that was read, and what an attribute of a class has lost."""
        if record[0] != "set":
            self.functions += self.anew.made - made
            return
        _, key, name = record
        self.renewed.update([key] if made < self.anew.made else [])
        new = self.anew.lost.keys() - before
        if lost := new | {id(part) for part in (value, *_parts_of(value)) if id(part) in self.anew.lost}:
            gone.setdefault(key, {})[name] = lost

    def finish(self, gone: _Gone) -> None:
        """Give classes what this Python makes for them, and note what they have lost."""
        lost = self.anew.lost
        for key, attributes in gone.items() if self.anew.active else ():
            made: set[str] = set()
            with contextlib.suppress(Exception):  # a metaclass of the user's, perhaps
                made = remade.finish(self.skeleton(key), attributes)
            for name in attributes.keys() - made:
                part = lost[min(attributes[name])]
                self.rebuilt.partly.append((key, part, f"{key}.{name}"))
        for attributes in gone.values():
            self.told.update(*attributes.values())
        gone.clear()

    def without_lost(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the variables without those that are lost; note of the others what they lack."""
        lost = dict(self.anew.lost)
        there: dict[str, Any] = {}
        told: set[Any] = set(self.told)
        for name, value in values.items():
            if id(value) in lost:
                told.add(id(value))
                self.rebuilt.failed[name] = CannotLoad(vars(lost[id(value)])["reason"], self.anew.help)
                continue
            there[name] = value
            for _, _, part in paths.walk(value, {id(self.namespace), *lost}, classes=False):
                if id(part) in lost and (name, id(part)) not in told:
                    told |= {(name, id(part)), id(part)}
                    self.rebuilt.partly.append((name, lost[id(part)], paths.find_id(name, value, id(part))))
        for key in lost.keys() - told:
            for name in list(values)[:1]:
                self.rebuilt.partly.append((name, lost[key], vars(lost[key])["path"]))
        return there

    def problem(self, error: BaseException) -> CannotLoad:
        """Return an error of loading as the report tells it."""
        if isinstance(error, CannotLoad):
            return error
        if isinstance(error, ModuleNotFoundError) and error.name:
            package = error.name.partition(".")[0]
            if package in sys.stdlib_module_names:
                return CannotLoad(f"needs the module {error.name}, which this Python does not have")
            install = distribution(package)
            if install not in {name for name, _ in self.snapshot.packages}:  # a file of the user's own, it seems
                return CannotLoad(f"needs the module {error.name}, which cannot be found here")
            here, saved = version(install), dict(self.snapshot.packages).get(install, "")
            if here and error.name != package:
                text = f"needs the module {error.name}, which {install} {here} does not have"
                return CannotLoad(text, pip_install(install, saved) if saved and saved != here else "")
            return CannotLoad(f"needs the package {package}, which is not installed", pip_install(install))
        if isinstance(error, DamageError):
            return CannotLoad(f"is damaged in the store: {error}")
        return CannotLoad(reason(error))


#: What classes have lost: key -> attribute -> the ids of the placeholders that came with it.
_Gone = dict[str, dict[str, set[int]]]


def _parts_of(value: Any) -> tuple[Any, ...]:
    """Return what an attribute of a class is made around."""
    if isinstance(value, staticmethod | classmethod):
        return (value.__func__,)
    return (value.fget, value.fset, value.fdel) if isinstance(value, property) else ()


def _call(load: Callable[[], Any]) -> Any:
    """Call `load` in a frame of the session: a `__setstate__` may look for names in its caller's globals."""
    return load()


def _types(group: Group, kinds: Mapping[str, str]) -> set[str]:
    return {kinds.get(name, "") for name in group.variables}


def _turn(group: Group, kinds: Mapping[str, str]) -> int:
    """Return when a group is loaded: plain data, modules, functions, the rest, so that code finds what it reads."""
    if group.engine == "batch":
        return -1
    types = _types(group, kinds)
    return 0 if types <= {"module"} else 1 if types <= {"module", "function", "type"} else 2
