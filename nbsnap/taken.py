"""What a capture has pickled, and the records of a snapshot that come of it.

`capture` decides what is pickled together and what is lost; here is what it keeps meanwhile, and how the result is
handed to a store: streams and buffers first, then the records that name them.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from . import abroad, describe
from .builders import PYTHON
from .model import Content, Definition, Group, Skip, Variable
from .pickling import Desk
from .sharing import Team

Sink = Callable[[Any], Content]


@dataclass
class Pickled:
    """A team's stream, while the partition is not final."""

    team: Team
    engine: str
    stream: bytes
    buffers: list[pickle.PickleBuffer]
    desk: Desk
    notes: dict[str, tuple[str, ...]]
    left_out: dict[str, tuple[int, ...]]  # variable or class -> holes in it
    keep: object  # the pickler: its memo holds the temporaries whose ids are claimed


@dataclass
class TakenClass:
    """A class of the session and its skeleton's stream."""

    cls: type
    key: str
    stream: bytes
    needs: tuple[str, ...]
    modules: set[str]  # that its skeleton refers to
    dropped: set[str] = field(default_factory=set)  # attributes that could not be saved


@dataclass(frozen=True)
class Taken:
    """A namespace taken apart: what `write` will put into the store, and what could not be taken."""

    variables: tuple[Variable, ...]  # with `group` set as it will be
    beside: tuple[Variable, ...]  # the same for what lies beside them, by entry
    skips: tuple[Skip, ...]
    lost: tuple[Skip, ...]  # of what lies beside
    sources: tuple[tuple[str, str], ...]
    size: int
    classes: Mapping[str, type]  # the session's, by their keys
    _groups: tuple[tuple[Group, bytes, list[pickle.PickleBuffer]], ...]
    _definitions: tuple[tuple[Definition, bytes], ...]

    def entry(self, name: str) -> tuple[Group, int, int] | None:
        """Return the group of a name, and the bytes of its stream and of its buffers; None for what was not taken."""
        for group, stream, buffers in self._groups:
            if name in group.variables:
                return group, len(stream), sum(buffer.raw().nbytes for buffer in buffers)
        return None

    def holding(self, needles: Sequence[bytes]) -> set[str]:
        """Return the variables, entries beside them and keys of classes in whose streams one of these stands."""
        found: set[str] = set()
        sizes: dict[str, int] = {}
        for group, stream, _ in self._groups:
            if not any(needle in stream for needle in needles):
                continue
            if group.engine != "batch":
                found.update(group.variables, group.definitions)
                continue
            sizes = sizes or {variable.name: variable.size for variable in self.variables}
            end = len(stream)
            for name in reversed(group.variables):  # a pickle for each, one behind the other
                part, end = stream[end - sizes[name] : end], end - sizes[name]
                if any(needle in part for needle in needles):
                    found.add(name)
        for definition, stream in self._definitions:
            if any(needle in stream for needle in needles):
                found.add(definition.key)
        return found

    def modules(self) -> set[str]:
        """Return the top-level modules that loading all of it imports."""
        return {module for group, _, _ in self._groups for module in group.modules}

    def devices(self) -> set[str]:
        """Return the devices on which something of it lies: "cuda:0"."""
        return {name for group, _, _ in self._groups for name in group.machine if name != "longdouble"}

    def leading_to(self, some: Collection[str]) -> set[str]:
        """Return the variables and entries beside them among `some`, and those that need the classes among them."""
        groups = [group for group, *_ in self._groups if not self.classes_of(group).isdisjoint(some)]
        return set(some).union(*(group.variables for group in groups))

    def classes_of(self, group: Group) -> set[str]:
        """Return the keys of the session's classes that a group needs, directly or by way of others."""
        needs = {definition.key: definition.needs for definition, _ in self._definitions}
        found: set[str] = set()
        todo = [*group.needs, *group.definitions]
        while todo:
            key = todo.pop()
            if key not in found:
                found.add(key)
                todo.extend(needs.get(key, ()))
        return found

    def buffers(self) -> Iterator[memoryview]:
        """Yield the memory of this process that `write` will put, in the order of the groups."""
        views = (buffer.raw() for _, _, buffers in self._groups for buffer in buffers)
        return (view for view in views if not isinstance(view.obj, abroad.Abroad))

    def write(
        self, sink: Sink, at: Callable[[Sequence[str], int], Callable[[Any, int], Content]] | None = None
    ) -> tuple[tuple[Group, ...], tuple[Definition, ...]]:
        """Put all content into the sink and return the records that name it; `at` gives the sink of a buffer."""
        written = []
        for group, stream, buffers in self._groups:
            views = enumerate(buffer.raw() for buffer in buffers)
            contents = tuple(
                abroad.put(view, (lambda data, _: sink(data)) if at is None else at(group.variables, number))
                for number, view in views
            )
            content = sink(stream)
            if (group.stream, group.buffers) != (content, contents):  # of a batch it is known before
                group = replace(group, stream=content, buffers=contents)
            written.append(group)
        defined = tuple(replace(definition, stream=sink(stream)) for definition, stream in self._definitions)
        return tuple(written), defined

    def left_behind(self) -> tuple[set[int], int]:
        """Return the ids of the buffers that a forked child would not have as they are now, and their bytes."""
        buffers = [buffer for _, _, buffers in self._groups for buffer in buffers]
        found = abroad.left_behind(buffers)
        return found, sum(buffer.raw().nbytes for buffer in buffers if id(buffer) in found)

    def at_home(self, left: set[int]) -> Taken:
        """Return the same with these buffers copied into plain memory."""
        if not left:
            return self
        groups = tuple(
            (group, stream, [abroad.at_home(buffer) if id(buffer) in left else buffer for buffer in buffers])
            for group, stream, buffers in self._groups
        )
        return replace(self, _groups=groups)


def modules_of(desk: Desk) -> set[str]:
    """Return the top-level modules that loading what a desk has pickled imports."""
    return {name.partition(".")[0] for name in (*map(describe.module_of, desk.types), *desk.modules)}


def group_record(id: str, item: Pickled, classes: Mapping[str, TakenClass]) -> Group:
    """Return the record of a group, without its content."""
    modules = modules_of(item.desk).union(*(classes[key].modules for key in item.team.definitions))
    return Group(
        id=id,
        variables=tuple(item.team.variables),
        definitions=tuple(item.team.definitions),
        engine=item.engine,
        stream=Content(0),
        needs=tuple(sorted(item.desk.needs | set(item.team.definitions))),
        modules=tuple(sorted(modules - {"", "builtins", "__main__", "nbsnap"})),
        python=PYTHON if item.desk.bytecode else "",
        machine=tuple(sorted(item.desk.machine)),
        bound=tuple(sorted(item.desk.bound)),
    )


def batch_record(id: str, names: Sequence[str], modules: tuple[str, ...], stream: Content) -> Group:
    """Return the record of a batch of small variables."""
    return Group(id=id, variables=tuple(names), definitions=(), engine="batch", stream=stream, modules=modules)


def reachable(pickled: list[Pickled], classes: Mapping[str, TakenClass], asked: Set[str]) -> list[Pickled]:
    """Leave out classes that were met only on the way to something that could not be saved."""
    home = {key: item for item in pickled for key in item.team.definitions}
    wanted: set[int] = set()
    todo: list[Pickled] = [item for item in pickled if item.team.variables or asked & set(item.team.definitions)]
    while todo:
        item = todo.pop()
        if id(item) in wanted:
            continue
        wanted.add(id(item))
        todo.extend(home[key] for key in closure(item.desk.needs, classes) if key in home)
    return [item for item in pickled if id(item) in wanted]


def closure(keys: Iterable[str], classes: Mapping[str, TakenClass]) -> set[str]:
    """Return the keys of classes, and of all that their skeletons need."""
    found: set[str] = set()
    todo = list(keys)
    while todo:
        key = todo.pop()
        if key not in found:
            found.add(key)
            todo.extend(classes[key].needs)
    return found
