"""One team of variables ↔ one small stream and its big out-of-band buffers (PEP 574).

Four engines write streams, and all go through the same guard (`_Guard`), so that they give the same guarantees:

    pickle        the C pickler with the reducers of this package, then cloudpickle's, then the objects' own
    cloudpickle   the same, with cloudpickle's reducers before those of this package
    dill          dill's pickler, which is written in Python: slow, and able to take apart what no other can
    flat          the first, level by level: slow, and able to go as deep as the data (see `flat`)

The guard's two hooks see every object that matters. `persistent_id` sees exact dicts, lists and sets, which no other
hook is shown: it claims them for the team, and writes a reference where a dict is the live namespace itself, or where
a set has to be put in order.
`reducer_override` sees everything else: it refuses handles, binds functions and classes to the session, and claims
instances. Both run in Python for each object, so both decide by exact type first.

A stream begins with a pickle of its own, the table: a list of records. Each record then follows as a pickle, and all of
these are written by one pickler and read by one unpickler, memo and all:

    ("set", KEY, NAME)     an attribute of the class KEY
    ("members", KEY)       what the members of the Enum KEY carry
    ("register", KEY)      the virtual subclasses of the abstract base class KEY
    ("var", NAME)          the value of a variable

What is plain data goes another way, without hooks: see `plain`, and `batches` for many small variables.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import pickle
import sys
import types
import weakref
from _thread import LockType, RLock
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any

import cloudpickle

from . import codes, flat, moved
from .describe import is_changed_meanwhile
from .errors import CannotSave
from .memory import Memory
from .ordering import Unordered, ordered
from .quiet import Reading
from .reducers import Plan, plan_for
from .sharing import ATOMS, PLAIN, VIEWS, Ownership, Team, Touch

ENGINES = ("auto", "dill", "cloudpickle")

#: Buffers shorter than this stay in the stream: a piece of its own would cost more than it saves.
BUFFER_MINIMUM = 32 * 1024

Record = tuple[str, ...]

#: What a placeholder says: where the part was, its type, why it is not there, how it was made.
Hole = tuple[str, str, str, str]


class Desk:
    """What one pickler and the plans it calls need to know. One desk per attempt at a team."""

    def __init__(
        self,
        *,
        namespace: dict[str, Any],
        define: Callable[[type], str],
        enum_member: Callable[[type, Any], tuple[str, int]],
        file_name: Callable[[str], str],
        ownership: Ownership | None,
        team: Team,
        memory: Memory | None = None,
        holes: dict[int, Hole] | None = None,
        secrets: Mapping[int, str] | None = None,
        in_code: Callable[[types.FunctionType], str] | None = None,
        mark: Callable[[types.CodeType, str], codes.Mark] | None = None,
    ) -> None:
        self.define_class = define
        self.member_of = enum_member
        self.file_name = file_name
        self.filled_by_function: set[int] = set()
        self.needs: set[str] = set()
        self.types: set[type] = set()
        self.modules: set[str] = set()  # of functions, classes and modules that are referred to by name
        self.machine: set[str] = set()  # what not every machine has: "cuda:0", "longdouble"
        self.bytecode = False
        self.bound: set[str] = set()  # functions that no other Python can be given, for want of their text
        self.homes: dict[int, str] = {}  # id of code -> the module that it is of
        self._mark = mark
        self.touched = False  # another team's object was met
        self.memory = memory or Memory()
        self.holes: dict[int, Hole] = {} if holes is None else holes
        self.secrets = secrets or {}  # id -> why it is not saved
        self.in_code = in_code or _nothing_in  # tells why the code of a function is not saved, or ""
        self.left_out: dict[int, None] = {}  # the holes met while the present record is pickled, in order
        self.notes: set[str] = set()
        #: Claims a mutable object for the team; raises Touch if another team has it.
        self.claim: Callable[[object], None] = ownership.claimer(team) if ownership is not None else _claim_nothing
        self._copies = ownership.copies if ownership is not None else {}
        self._places = ownership.places if ownership is not None else {}
        self._once = ownership.once if ownership is not None else {}
        self._live = {
            id(vars(builtins)): "builtins",
            id(vars(sys.modules["__main__"])): "main",
            id(namespace): "session",
        }

    @property
    def live_ids(self) -> Set[int]:
        """The ids of the live namespaces."""
        return self._live.keys()

    def live(self, names: dict[str, Any]) -> str | None:
        """Return which live namespace a dict is: "session", "main", "builtins", or None."""
        return self._live.get(id(names))

    def part_of_copy(self, names: dict[str, Any], part: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        """Return what `part` leaves of a copy of the namespace: one dict for functions that share one."""
        self.claim(names)
        if (found := self._copies.get(id(names))) is None:
            found = self._copies[id(names)] = part(names)
        return found

    def place(self, address: int) -> object:
        """Return what stands for the memory at an address, to be claimed where objects do not lead to each other."""
        return self._places.setdefault(address, object())

    def once(self, value: object, make: Callable[[Any], Any]) -> Any:
        """Return what `make` makes of a value, once for all attempts: for what takes long and depends on it alone."""
        if (found := self._once.get(id(value))) is None:
            found = self._once[id(value)] = (value, make(value))
        return found[1]

    def define(self, cls: type) -> str:
        """Return the key of a class of the session, after having taken it into the snapshot."""
        key = self.define_class(cls)
        self.needs.add(key)
        return key

    def enum_member(self, cls: type, value: Any) -> tuple[str, int]:
        """Return the key of the member's class and the member's place in it."""
        self.define(cls)
        return self.member_of(cls, value)

    def met_placeholder(self, placeholder: object) -> None:
        """Note that something is still not there: a placeholder that came with an earlier snapshot."""
        known = vars(placeholder)
        self.holes[id(placeholder)] = (known["path"], known["type"], known["reason"], known["made"])
        self.left_out[id(placeholder)] = None

    def needs_this_python(self) -> None:
        """Note that the stream holds bytecode."""
        self.bytecode = True

    def mark(self, code: types.CodeType) -> codes.Mark | None:
        """Return what another Python finds the text of some code by; None where nothing is written."""
        if self._mark is None:
            return None
        mark = self._mark(code, self.homes.get(id(code), ""))
        if not mark.kind and not codes.is_generated(code):
            self.bound.add(code.co_qualname)
        return mark

    def note(self, text: str) -> None:
        """Note for the report that something comes back in another form."""
        self.notes.add(text)


def _nothing_in(function: types.FunctionType) -> str:
    """Find nothing in a function's code."""
    return ""


def _claim_nothing(value: object) -> None:
    """Watch nothing: what is pickled is a part of a class, or only being looked at."""


def _looker(desk: Desk) -> Callable[[Any], Any]:
    """Return the `persistent_id` of a pickler. It is called for each object, atoms too, and sees most of them only."""
    claim, holes, secrets = desk.claim, desk.holes, desk.secrets
    sets: dict[int, Unordered | None] = {}

    def look(value: Any) -> Any:
        cls = type(value)
        if cls not in _LOOKED_AT and not holes and not secrets:
            return None
        if holes and (hole := holes.get(id(value))) is not None:
            desk.left_out[id(value)] = None
            return ("hole", *hole)
        if secrets and (why := secrets.get(id(value))) is not None:
            raise CannotSave(why, value)
        if cls in PLAIN:
            if cls is dict and (live := desk.live(value)) is not None:
                return ("namespace", live)
            try:
                claim(value)
            except Touch:
                desk.touched = True
                return ("touched",)
        if cls is set or cls is frozenset:  # written in an order of its own, if it has one
            if (key := id(value)) not in sets:
                sets[key] = ordered(value)
            found = sets[key]
            return None if found is None else ("same", found)
        return None

    return look


_LOOKED_AT = PLAIN | {frozenset}


class _Guard:
    """The two hooks, as a mixin before a pickler class."""

    def __init__(
        self,
        desk: Desk,
        plans: dict[type, Plan],
        file: io.BytesIO,
        buffers: list[pickle.PickleBuffer],
        native: frozenset[type],
    ) -> None:
        self._desk = desk
        self._plans = plans
        self._native = native
        self._look = _looker(desk)
        if type(self).persistent_id is _Guard.persistent_id:  # the pickler calls a function sooner than a method
            self.persistent_id = self._look  # type: ignore[method-assign,assignment]

        def take(buffer: pickle.PickleBuffer) -> bool:
            """Keep a buffer out of the stream; true leaves it in."""
            if buffer.raw().nbytes < BUFFER_MINIMUM:
                return True
            buffers.append(buffer)
            return False

        super().__init__(file, protocol=5, buffer_callback=take)  # type: ignore[call-arg]

    def persistent_id(self, value: Any) -> Any:
        return self._look(value)

    def reducer_override(self, value: Any) -> Any:
        cls = type(value)
        plan = self._plans.get(cls)
        if plan is None:
            plan = self._plans[cls] = plan_for(cls, self._native)
        self._desk.types.add(cls)
        try:
            return plan(self._desk, value)
        except Touch:  # what is written is thrown away: do not go down here
            self._desk.touched = True
            return str, ()


class _Diagnosis(_Guard):
    """A guard that calls `__reduce_ex__` itself, and so knows who fails, and that goes on behind each failure."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, {}, io.BytesIO(), [], frozenset())
        self.found: list[CannotSave] = []

    def persistent_id(self, value: Any) -> Any:
        try:
            return self._look(value)
        except CannotSave as error:
            error.__traceback__ = None
            self.found.append(error)
            return ("touched",)

    def reducer_override(self, value: Any) -> Any:
        try:
            return self._reduce(value)
        except CannotSave as error:
            if error.culprit is None:
                error.culprit = value
            error.__traceback__ = error.__cause__ = error.__context__ = None  # they lead back here: a cycle
            self.found.append(error)
            return str, ()  # what is written is thrown away

    def _reduce(self, value: Any) -> Any:
        cls = type(value)
        try:
            reduction = super().reducer_override(value)
            if (
                reduction is not NotImplemented
                or cls in ATOMS
                or cls in PLAIN
                or issubclass(cls, type | types.FunctionType)
            ):
                return reduction
            reduce = self.dispatch_table.get(cls)  # type: ignore[attr-defined]
            reduction = reduce(value) if reduce is not None else cls.__reduce_ex__(value, 5)  # type: ignore[call-arg]
        except CannotSave:
            raise
        except RecursionError:
            raise
        except (Exception, SystemExit) as error:
            raise CannotSave(reason(error), value) from error
        if isinstance(reduction, str):
            return NotImplemented
        if not isinstance(reduction, tuple) or not 2 <= len(reduction) <= 6:
            raise CannotSave("its __reduce_ex__ returned something that pickle does not understand", value)
        return reduction


class _FastPickler(_Guard, cloudpickle.Pickler):  # type: ignore[misc]
    def dump(self, value: Any) -> None:
        pickle.Pickler.dump(self, value)  # cloudpickle's own hides which error it was


def _flat_reference(writer: Any, reference: Any, value: Any) -> Any:
    """Return the persistent id of a value in a flat stream: `reference` is what the guard says."""
    cls = type(value)
    if reference is None and cls in flat.CONTAINERS:
        return writer.queue.reference(value)
    return ("early", value.value) if cls is flat.Early else reference


class _FlatPickler(_FastPickler):
    """The fast pickler, going down one level at a time; see `flat`."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.queue = flat.Queue()

    def persistent_id(self, value: Any) -> Any:
        return _flat_reference(self, super().persistent_id(value), value)

    def reducer_override(self, value: Any) -> Any:
        cls = type(value)
        reduction = super().reducer_override(value)
        if reduction is NotImplemented:
            if cls in ATOMS or cls in PLAIN or issubclass(cls, type | types.FunctionType):
                return reduction
            reduce = self.dispatch_table.get(cls)
            reduction = reduce(value) if reduce is not None else cls.__reduce_ex__(value, 5)  # type: ignore[call-arg]
            if isinstance(reduction, str):
                return NotImplemented
        return self.queue.shallow(value, reduction)


class _DiagnosisPickler(_Diagnosis, cloudpickle.Pickler):  # type: ignore[misc]
    def dump(self, value: Any) -> None:
        pickle.Pickler.dump(self, value)


class _FlatDiagnosisPickler(_DiagnosisPickler):
    """The same for what is too deep, one level at a time."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.queue = flat.Queue()

    def persistent_id(self, value: Any) -> Any:
        return _flat_reference(self, super().persistent_id(value), value)

    def reducer_override(self, value: Any) -> Any:
        reduction = super().reducer_override(value)
        return reduction if reduction is NotImplemented else self.queue.shallow(value, reduction)

    def dump(self, value: Any) -> None:
        self.queue.write(value, super().dump)


def reason(error: BaseException) -> str:
    """Return one line for the report about an error that pickling or unpickling an object raised."""
    if isinstance(error, CannotSave):
        return error.reason
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    if isinstance(error, MemoryError):
        return "did not fit into the memory"
    if is_changed_meanwhile(error):
        return f"another thread changes it all the time ({error})"
    try:
        text = " ".join(str(error).split())
    except (Exception, SystemExit):  # the user's exception, the user's __str__
        text = ""
    if len(text) > 160:
        text = text[:159] + "…"
    if isinstance(error, TypeError) and (text.startswith("cannot pickle") or any(t in text for t in _CYTHON)):
        return "cannot be pickled"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


#: What compiled classes say that have no way of being pickled.
_CYTHON = ("no default __reduce__ due to non-trivial __cinit__", "cannot be converted to a Python object for pickling")


def pickler(
    engine: str, desk: Desk, plans: dict[type, Plan], file: io.BytesIO, buffers: list[pickle.PickleBuffer]
) -> pickle.Pickler:
    """Return a pickler of that engine ("pickle", "cloudpickle", "dill", "flat") that writes to `file` and `buffers`."""
    if engine == "dill":
        return _dill_pickler()(desk, plans, file, buffers, _dill_types())  # type: ignore[no-any-return]
    if engine == "flat":
        return _FlatPickler(desk, plans, file, buffers, frozenset())
    native = frozenset(cloudpickle.Pickler.dispatch_table) - _ALWAYS_OURS if engine == "cloudpickle" else frozenset()
    return _FastPickler(desk, plans, file, buffers, native)


def diagnose(desk: Desk, value: object) -> list[CannotSave]:
    """Return what in `value` refuses to be saved, each with the object at fault, as far as that can be told."""
    looker = _DiagnosisPickler(desk)
    try:
        looker.dump(value)
    except RecursionError:
        looker = _FlatDiagnosisPickler(desk)
        with contextlib.suppress(Exception, SystemExit):
            looker.dump(value)
    except (Exception, SystemExit):  # what it could not go behind: what was found so far has to do
        pass
    return looker.found


#: What no engine may do its own way: the result would not be bound to the live session, or cut loose from its source.
_ALWAYS_OURS = frozenset(
    {
        types.CodeType,
        types.CellType,
        types.MethodType,
        types.ModuleType,
        types.MappingProxyType,
        memoryview,
        weakref.ref,
    }
    | {LockType, RLock, *VIEWS}
)


def _dill_types() -> frozenset[type]:
    import dill

    return frozenset(cls for cls in dill.Pickler.dispatch if isinstance(cls, type)) - _ALWAYS_OURS


_DILL: list[type] = []


def _dill_pickler() -> type:
    """Return the guarded dill pickler; dill is imported when it is first needed."""
    if not _DILL:
        import dill

        class _DillPickler(_Guard, dill.Pickler):  # type: ignore[misc]
            pass

        _DILL.append(_DillPickler)
    return _DILL[0]


def write_table(file: io.BytesIO, records: Iterable[Record]) -> None:
    """Write the table of a stream; by itself, so that its strings are never one with strings of the contents."""
    file.write(pickle.dumps(tuple(records), 5))


class Unpickler(pickle.Unpickler):
    """Reads a row of pickles. Classes and namespaces of the session come from the loader that is handed in."""

    def __init__(self, file: io.BytesIO | Reading, buffers: Iterable[Any], loader: Any) -> None:
        super().__init__(file, buffers=buffers)
        self._loader = loader

    def find_class(self, module: str, name: str) -> Any:
        if module == "nbsnap.builders" and (answer := self._loader.answers.get(name)) is not None:
            return answer
        if module == "__main__":
            return self._loader.named(name)
        if module.startswith(("numpy.", "pathlib.")):
            module = moved.here(module)
        find = super().find_class if not self._loader.anew.active else self._find
        if module not in sys.modules:
            with self._loader.importing(module):
                return find(module, name)
        return find(module, name)

    def _find(self, module: str, name: str) -> Any:
        return self._loader.anew.find(module, name, super().find_class)

    def persistent_load(self, reference: Any) -> Any:
        return self._loader.live(reference)
