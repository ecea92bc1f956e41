"""Why an object can or cannot be saved, and what a snapshot of it is made of.

The session is taken apart as a snapshot takes it, and nothing is written. Then the object is looked at closer: the way
to each part that refuses, who holds it and which other variables lead there; the size by part; and for variables that
travel with it, one of the objects that they share. Of the user's code no more runs than what a snapshot runs. Walks
have a limit and weighing has a limit of time; what lies behind them is told.
"""

from __future__ import annotations

import functools
import io
import pickle
import sys
import time
import types
from collections.abc import Iterable, Mapping, Set
from dataclasses import replace
from typing import Any

from . import beside, definitions, describe, paths, wording
from .answers import Culprit, Explanation, Part, Shared
from .errors import CannotSave, NbSnapError
from .looking import users_own
from .masking import mask_code
from .memory import Memory, root_of
from .model import Group, Skip, Variable
from .namespace import select
from .pickling import Desk, Hole, diagnose, pickler
from .quiet import unhurried
from .reducers import is_value
from .reducers.common import class_by_name
from .refused import LIVE, OPEN, PROCESS, RUNNING
from .sharing import ATOMS, LEAVES, VALUES, Team
from .sieve import DEFAULT, Sieve
from .taken import Taken
from .taking import apart, look_at
from .withheld import Withheld, search

LIMIT = 100_000  # objects of one variable that are looked at
SECONDS = 4.0  # for weighing, and for asking other variables
_CULPRITS = 20
_MOST = 8  # parts of one object that are shown
_DEPTH = 3
_SHARE = 0.1  # of the whole that a part has to take, for its own parts to be shown
_LEAST = 0.002  # and to be shown itself
_ELEMENTS = 2_000  # of one container that are weighed one by one
MEMORY = "memory"  # the type of what arrays share that are different objects
_ENTRY = "explained"
_NOTHING: Any = object()


@unhurried()
def explain(
    obj: Any = _NOTHING,
    namespace: dict[str, Any] | None = None,
    *,
    name: str | None = None,
    engine: str = "auto",
    include_secrets: bool = False,
    secrets: Sieve = DEFAULT,
) -> Explanation:
    """Say why an object can or cannot be saved, what stands in the way, and what it takes.

    Args:
        obj: the object; one that a variable is bound to is explained as that variable.
        namespace: the dict that it belongs to; the session's own (`__main__`) by default.
        name: the name of a variable, instead of an object.
        engine, include_secrets, secrets: as for `snapshot`.

    Raises:
        VariableNotFound: there is no variable of that name.
        NbSnapError: neither an object nor a name is given, or both.
    """
    if (obj is _NOTHING) == (name is None):
        raise NbSnapError("either an object is explained or the variable of a name")
    started = time.perf_counter()
    names, mine, made = look_at(namespace, secrets)
    if name is not None:
        (name,) = select([name] if name in names else mine, [name])[:1]
        obj = names[name]
    else:
        name = next((one for one in mine if names[one] is obj and type(obj) not in LEAVES), None)
    extra = {} if name is not None else {_ENTRY: obj}
    chosen = mine if name is None or name in mine else [*mine, name]
    secret = search({one: names[one] for one in chosen} | extra, secrets, {id(names)})
    withheld = None if include_secrets else secret
    mask = functools.partial(mask_code, sieve=secrets, known=secret.known)
    taken, own = apart(names, chosen, withheld, engine=engine, made=made, beside=extra, mask=mask)
    taken = replace(taken, skips=own + taken.skips)
    return _Explaining(name, obj, names, taken, started, withheld).run()


class _Explaining:
    def __init__(
        self,
        name: str | None,
        value: Any,
        names: dict[str, Any],
        taken: Taken,
        started: float,
        withheld: Withheld | None,
    ) -> None:
        self.key = name if name is not None else beside.name_of(_ENTRY)  # as the capture calls it
        self.name = name or "obj"
        self.value = value
        self.names = names
        self.taken = taken
        self.withheld = withheld
        self.started = started
        self.until = time.perf_counter() + SECONDS
        self.unseen: list[str] = []
        self.holes: dict[int, Hole] = {}
        self.ways = _Ways(self.name, value, self.closed)
        if self.ways.cut:
            self.unseen.append(f"what lies more than {LIMIT:,} objects below {self.name}")

    @property
    def closed(self) -> Set[int]:
        return self.desk().live_ids

    def desk(self, memory: Memory | None = None, holes: dict[int, Hole] | None = None) -> Desk:
        return Desk(
            namespace=self.names,
            define=lambda cls: describe.qualname_of(cls),
            enum_member=lambda cls, value: (describe.qualname_of(cls), 0),
            file_name=lambda name: name,
            ownership=None,
            team=Team([], []),
            memory=memory,
            holes=holes,
            secrets=self.withheld.reasons() if self.withheld is not None else None,
            in_code=self.withheld.in_code if self.withheld is not None else None,
        )

    def run(self) -> Explanation:
        entry = self.taken.entry(self.key)
        own = [skip for skip in (*self.taken.skips, *self.taken.lost) if skip.name in (self.key, _ENTRY)]
        classes = self.classes()
        of_classes = [skip for skip in self.taken.skips if skip.name in classes and skip.name != self.key]
        group = entry[0] if entry is not None else None
        culprits = self.culprits(own, of_classes)
        mates = [other for other in group.variables if other != self.key] if group is not None else []
        mates = mates if group is not None and group.engine != "batch" else []
        walks = {other: _Ways(other, self.taken_value(other), self.closed) for other in mates if self.has(other)}
        variable = next((v for v in self.taken.variables if v.name == self.key), None)
        result = "skipped" if entry is None else "partly" if own or of_classes else "saved"
        scale = _Scale(self, group.engine if group is not None else "pickle")
        parts = self.parts(scale, entry, variable, walks) if entry is not None else ()
        return Explanation(
            name=self.name,
            type=describe.type_name(self.value),
            summary=describe.summary(self.value),
            result=result,
            reason=own[0].reason if own and entry is None else "",
            engine=group.engine if group is not None else "",
            stream=self.size(entry, variable),
            buffers=entry[2] if entry is not None else 0,
            culprits=culprits,
            parts=parts,
            shared=tuple(self.sharing(other, walks.get(other)) for other in mates),
            notes=scale.notes,
            classes=tuple(sorted(classes)),
            modules=_packages(group.modules) if group is not None else (),
            python=group.python if group is not None else "",
            bound=group.bound if group is not None else (),
            unseen=tuple(dict.fromkeys(self.unseen)),
            seconds=time.perf_counter() - self.started,
        )

    def size(self, entry: Any, variable: Any) -> int:
        """Return the bytes of the stream; of a batch, this variable's own."""
        if entry is None:
            return 0
        group, stream, _ = entry
        return variable.size if variable is not None and group.engine == "batch" else int(stream)

    def has(self, other: str) -> bool:
        return other in self.names

    def taken_value(self, other: str) -> Any:
        return self.names[other]

    def classes(self) -> set[str]:
        entry = self.taken.entry(self.key)
        return self.taken.classes_of(entry[0]) if entry is not None else set()

    # --- what cannot be saved -------------------------------------------------------------------------------------

    def culprits(self, own: list[Skip], of_classes: list[Skip]) -> tuple[Culprit, ...]:
        """Return each part that refuses, with the way to it."""
        if not own and not of_classes:
            return ()
        found: dict[int, CannotSave] = {}
        if own:
            for error in diagnose(self.desk(), self.value):
                found.setdefault(id(error.culprit), error)
        told = []
        for key, error in list(found.items())[:_CULPRITS]:
            path, holders = self.ways.to(key)
            kind = describe.type_name(error.culprit)
            self.holes[key] = (path, kind, error.reason, "")
            others = self.leading(key)
            hint = _hint(path, error, holders, self.ways.holder(key), self.name)
            told.append(Culprit(path, kind, error.reason, holders, others, hint))
        if len(found) > _CULPRITS:
            self.unseen.append(f"{len(found) - _CULPRITS:,} more parts that cannot be saved")
        if not told:  # the capture knows more than can be found out by asking again: a class, a lack of stack
            told = [_of_skip(skip, self.name) for skip in own if not skip.reason.endswith("placeholders stand there")]
        return (*told, *(_of_skip(skip, self.name) for skip in of_classes))

    def leading(self, key: int) -> tuple[str, ...]:
        """Return the other variables that lead to a part: among those that cannot be saved as a whole, too."""
        names = dict.fromkeys(skip.name for skip in self.taken.skips if skip.name in self.names)
        found = []
        for other in names:
            if other == self.key:
                continue
            if time.perf_counter() > self.until:
                self.unseen.append("whether other variables lead to the same parts")
                break
            value = self.names[other]
            if id(value) == key or any(id(child) == key for _, _, child in paths.walk(value, self.closed, limit=LIMIT)):
                found.append(other)
        return tuple(found)

    # --- sizes ----------------------------------------------------------------------------------------------------

    def parts(
        self, scale: _Scale, entry: tuple[Group, int, int], variable: Variable | None, walks: Mapping[str, _Ways]
    ) -> tuple[Part, ...]:
        """Return the largest parts, and in turn those of each that is large."""
        group, stream, buffers = entry
        found: list[Part] = []
        if variable is not None and len(group.variables) == 1 and not buffers:  # all is known
            whole, scale.notes = stream, variable.notes
        else:
            whole = scale.whole(self.value)
        self.until = time.perf_counter() + SECONDS
        self.weigh(self.name, self.value, 1, whole, scale, walks, found, set())
        return tuple(found)

    def weigh(
        self,
        path: str,
        value: Any,
        depth: int,
        whole: int,
        scale: _Scale,
        walks: Mapping[str, _Ways],
        found: list[Part],
        above: Set[int],
    ) -> None:
        children = _parts_of(value)
        if depth > _DEPTH or all(type(child) in LEAVES for _, child in children):
            return
        if len(children) > _ELEMENTS:
            self.unseen.append(f"the sizes of {len(children) - _ELEMENTS:,} of the {len(children):,} parts of {path}")
            children = children[:_ELEMENTS]
        weights = scale.weights([child for _, child in children])
        if len(weights) < len(children):
            self.unseen.append(
                f"the sizes of {len(children) - len(weights):,} of the parts of {path}, for lack of time"
            )
        rows = sorted(zip(children, weights, strict=False), key=lambda row: -sum(row[1]))
        here = {*above, id(value)}
        for (step, child), (stream, buffers) in rows[:_MOST]:
            if stream + buffers <= _LEAST * whole or id(child) in here or id(child) in self.holes:
                continue
            way = path + step
            also = tuple(other for other, walk in walks.items() if walk.leads(child))
            kind, what = describe.type_name(child), describe.summary(child)
            found.append(Part(way, kind, what, depth, stream, buffers, also))
            if stream + buffers >= _SHARE * whole and time.perf_counter() < self.until:
                self.weigh(way, child, depth + 1, whole, scale, walks, found, here)

    # --- sharing --------------------------------------------------------------------------------------------------

    def sharing(self, other: str, walk: _Ways | None) -> Shared:
        """Return one object that another variable of the group shares with this one."""
        if (entry := beside.item_of(other)) is not None:
            return Shared(" ".join(wording.beside([entry])) or entry, "", "", "")
        met = walk.first_of(self.ways) if walk is not None else None
        if met is None or walk is None:
            return Shared(other, "", "", "")
        mine, theirs, is_memory = met
        kind = MEMORY if is_memory else describe.type_name(self.ways.objects[mine])
        return Shared(other, self.ways.to(mine)[0], walk.to(theirs)[0], kind)


class _Ways:
    """Everything below a value, with the first way to each object, and to the memory that arrays look at."""

    def __init__(self, name: str, value: Any, closed: Set[int]) -> None:
        self.name = name
        self.objects: dict[int, Any] = {id(value): value}
        self._before: dict[int, tuple[int, str]] = {id(value): (0, "")}
        self._memory: dict[int, int] = {}  # id of what owns a memory -> id of the first array that looks at it
        self._note(value)
        below = () if describe.is_a(value, types.ModuleType) else paths.walk(value, closed, classes=False, limit=LIMIT)
        for holder, step, child in below:
            if id(child) not in self.objects:
                self.objects[id(child)] = child
                self._before[id(child)] = (id(holder), step)
                self._note(child)
        self.cut = len(self.objects) >= LIMIT

    def _note(self, value: Any) -> None:
        for array in _arrays(value):
            self._memory.setdefault(id(root_of(array)), id(value))

    def to(self, key: int) -> tuple[str, tuple[tuple[str, str], ...]]:
        """Return the path to an object, and the path and type of each that holds it on the way."""
        if key not in self._before:
            return self.name, ()
        steps: list[tuple[int, str]] = []
        at = key
        while at:
            holder, step = self._before[at]
            steps.append((at, step))
            at = holder
        steps.reverse()
        whole = self._path([step for _, step in steps])
        if len(steps) > paths.STEPS:
            last = steps[-2][0]
            return whole, ((self._path([step for _, step in steps[:-1]]), describe.type_name(self.objects[last])),)
        holders = []
        path = self.name
        for at, step in steps[:-1]:
            path += step
            holders.append((path, describe.type_name(self.objects[at])))
        return whole, tuple(holders)

    def holder(self, key: int) -> Any:
        """Return what holds an object."""
        return self.objects.get(self._before.get(key, (0, ""))[0])

    def _path(self, steps: list[str]) -> str:
        if len(steps) > paths.STEPS:
            half = paths.STEPS // 2
            steps = [*steps[:half], f"[… {len(steps) - 2 * half:,} steps …]", *steps[-half:]]
        return self.name + "".join(steps)

    def leads(self, part: Any) -> bool:
        """Tell whether the value holds an object that can change, or looks at the same memory."""
        if any(id(root_of(array)) in self._memory for array in _arrays(part)):
            return True
        return id(part) in self.objects and _can_be_shared(part)

    def first_of(self, other: _Ways) -> tuple[int, int, bool] | None:
        """Return the first object that another value holds, too: its id there and here, and whether it is a memory."""
        arrays = {key: (other._memory[root], key, True) for root, key in self._memory.items() if root in other._memory}
        for key, value in self.objects.items():
            if key in other.objects and _can_be_shared(value):
                return key, key, False
            if key in arrays:
                return arrays[key]
        return None


def _arrays(value: Any) -> list[Any]:
    """Return the arrays that a value is, or that a frame or column of pandas holds."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return []
    if describe.is_a(value, numpy.ndarray):
        return [value]
    if describe.type_name(value) not in ("pandas.DataFrame", "pandas.Series"):
        return []
    blocks = getattr(vars(value).get("_mgr"), "blocks", ())
    return [block.values for block in blocks if describe.is_a(block.values, numpy.ndarray)]


def _can_be_shared(value: Any) -> bool:
    """Tell whether it matters that two variables lead to an object."""
    if describe.is_a(value, type, types.ModuleType, types.MethodType, tuple, frozenset, *VALUES):
        return False
    return type(value) not in ATOMS and not is_value(type(value))


class _Scale:
    """Weighs objects one after the other with one pickler, so that what they share is weighed once."""

    def __init__(self, explaining: _Explaining, engine: str) -> None:
        self._of = explaining
        self._engine = engine if engine in ("dill", "cloudpickle", "flat") else "pickle"
        self._memory: Memory | None = None
        self.notes: tuple[str, ...] = ()  # what comes back in another form

    def whole(self, value: Any) -> int:
        """Return the weight of it all; notes which memories arrays share in it."""
        ((stream, buffers),) = self.weights([value], hurry=False) or [(0, 0)]
        return stream + buffers

    def weights(self, values: Iterable[Any], *, hurry: bool = True) -> list[tuple[int, int]]:
        """Return the bytes in the stream and in buffers of each value; of fewer, if there is no time for all."""
        found: list[tuple[int, int]] = []
        file, buffers, writer, desk = self._begin()
        for value in values:
            if hurry and time.perf_counter() > self._of.until:
                break
            before, held = file.tell(), len(buffers)
            try:
                self._dump(writer, value)
            except (Exception, SystemExit) as error:
                if isinstance(error, RecursionError) and self._engine != "flat":
                    self._engine = "flat"
                    file, buffers, writer, desk = self._begin()
                    before, held = file.tell(), 0
                    try:
                        self._dump(writer, value)
                    except (Exception, SystemExit):
                        found.append((0, 0))
                        continue
                else:
                    found.append((0, 0))
                    file, buffers, writer, desk = self._begin()
                    continue
            found.append((file.tell() - before, sum(buffer.raw().nbytes for buffer in buffers[held:])))
        if not hurry:
            self._memory = Memory(desk.memory.shared())
            self.notes = tuple(sorted(desk.notes))
        return found

    def _begin(self) -> tuple[io.BytesIO, list[pickle.PickleBuffer], Any, Desk]:
        shared = Memory(self._memory.carriers) if self._memory is not None else None
        desk = self._of.desk(shared, dict(self._of.holes))
        file: io.BytesIO = io.BytesIO()
        buffers: list[pickle.PickleBuffer] = []
        return file, buffers, pickler(self._engine, desk, {}, file, buffers), desk

    def _dump(self, writer: Any, value: Any) -> None:
        queue = getattr(writer, "queue", None)
        if queue is not None:
            queue.write(value, writer.dump)
        else:
            writer.dump(value)


def _parts_of(value: Any) -> list[tuple[str, Any]]:
    """Return what a value consists of, for its user: of a frame, the columns; of a class, what the session gave it."""
    kind = describe.type_name(value)
    if kind == "pandas.DataFrame":
        frame = value.copy(deep=False)  # what is asked of it leaves traces
        return [(".index", frame.index), *((f"[{paths.as_key(name)}]", column) for name, column in frame.items())]
    if kind.startswith("pandas.") or describe.is_a(value, types.ModuleType):
        return []
    if describe.is_a(value, type):
        names = [] if class_by_name(value) else definitions.state_names(value)
        return [(f".{name}", definitions.state(value, name)) for name in names]
    return [(step, child) for step, child in paths.children(value) if step != ".…"]


def _packages(modules: Iterable[str]) -> tuple[str, ...]:
    return tuple(module for module in modules if module not in sys.stdlib_module_names)


# --- hints ------------------------------------------------------------------------------------------------------------

_HINTS = {
    RUNNING: "keep what it is made from, and make it again after a restore",
    OPEN: "keep its path, and open it again after a restore",
    LIVE: "keep how to connect, and connect again after a restore",
    PROCESS: "let it end and keep its result, or start it again after a restore",
}


def _hint(path: str, error: CannotSave, holders: tuple[tuple[str, str], ...], holder: Any, name: str) -> str:
    """Return how to get around a part that refuses."""
    after = _HINTS.get(error.reason, "")
    if not holders:
        return after or f"%snapshot --exclude {name} leaves it out"
    way, kind = holders[-1]
    last = path[len(way) :] if path.startswith(way) else ""
    ways = []
    if "…" not in path and (last.startswith("[") or last[1:].isidentifier()):
        ways.append(f"del {path}")
    if last[1:].isidentifier() and users_own(type(holder)):
        ways.append(f"let {kind}.__getstate__ leave {last[1:]} out")
    if users_own(type(error.culprit)):
        ways.append(f"give {describe.type_name(error.culprit)} a __reduce__ that works")
    return "; or ".join([*ways, *([after] if after else [])])


def _of_skip(skip: Skip, name: str) -> Culprit:
    leaves = skip.kind == "skipped" and not skip.secret  # the reason of a secret says what to do
    hint = skip.hint or (f"%snapshot --exclude {name} leaves it out" if leaves else "")
    return Culprit(skip.path, skip.type, skip.reason, (), (), hint)
