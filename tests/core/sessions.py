"""Sessions for the tests of random object graphs: processes that are told what to type, and describe what they hold.

Run as a program, this is a template process: it has imported what sessions need, and forks one for each connection to
its socket, so that a fresh process costs a few milliseconds. A session reads requests as lines of JSON (`type`, `look`,
`ways`, `save`, `diff`, `load`) and answers each with a line.

`Describer` writes a namespace down as a graph that can be compared with another process's. A graph has `variables`,
name → reference, and `nodes`, one for each object that has an identity. A reference is a list:

    ["node", N]           the object number N
    ["atom", text]        a value that has no identity worth keeping
    ["name", text]        something that an installed module has under that name
    ["live"]              the namespace itself
    ["tuple", refs]       held in place, for sharing it shows nowhere; so are
    ["frozenset", [[key, ref], ...]], ["member", class, name, is it that], ["method", self, function]

and a node is {"kind": ..., "facts": what can be compared as text, "edges": [[label, ref], ...]}.

Nothing here uses nbsnap to find out what an object is or holds.
"""

from __future__ import annotations

import collections
import enum
import functools
import gc
import hashlib
import io
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import traceback
import types
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

import nbsnap
from nbsnap.placeholder import Placeholder

#: What every session begins with: classes and functions of all kinds, defined in its namespace.
PREAMBLE = """
import collections, dataclasses, enum, functools, math, operator, threading, types, weakref
import numpy as np

class Plain:
    made = []
    def __init__(self, x=None, y=None): self.x, self.y = x, y
    def m(self): return v0
    @classmethod
    def c(cls): return cls.made
class Slotted:
    __slots__ = ('x', 'y', '__weakref__')
    def __init__(self, x=None, y=None): self.x, self.y = x, y
    def m(self): return self.x
class Both(Slotted):
    made = {}
@dataclasses.dataclass
class Data:
    x: object = None
    y: object = None
    def m(self): return self.x
@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Frozen:
    x: object = None
    y: object = None
class Items(list):
    def m(self): return self.x
class Table(dict):
    def m(self): return self.x
class Own:
    def __init__(self, x=None, y=None): self.x, self.y = x, y
    def __getstate__(self): return [self.x, self.y]
    def __setstate__(self, state): self.x, self.y = state
    def m(self): return self.x
class Value:
    def __init__(self, n): self.n = n
    def __eq__(self, other): return type(other) is Value and other.n == self.n
    def __hash__(self): return hash(self.n)
class Refuses:
    def __reduce__(self): raise ValueError('no')
class Color(enum.Enum):
    RED = 1
    BLUE = [2]
class Perm(enum.Flag):
    R = 1
    W = 2
Pair = collections.namedtuple('Pair', 'x y')
def cells(cell):
    def get(): return cell
    def put(new):
        nonlocal cell
        cell = new
    return get, put
def loop(held):
    def again(): return again, held
    return again
def running():
    yield 1
"""

_ATOMS = (str, int, float, bool, bytes, complex, type(None), range, type(...), type(NotImplemented))
_OUT_OF_STATE = frozenset(
    {"__dict__", "__weakref__", "__module__", "__qualname__", "__doc__", "__slots__", "__slotnames__", "_abc_impl"}
)
_SESSION = "__main__"


class Describer:
    """One look at a namespace."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names
        self.numbers: dict[int, int] = {}
        self.keep: list[Any] = []
        self.nodes: list[dict[str, Any]] = []
        self.queue: collections.deque[tuple[dict[str, Any], Any]] = collections.deque()
        self.weak: list[tuple[dict[str, Any], Any]] = []
        self.arrays: list[tuple[dict[str, Any], Any]] = []

    def graph(self, wanted: list[str]) -> dict[str, Any]:
        """Return the graph of all that can be reached from these variables."""
        variables = {name: self.ref(self.names[name]) for name in wanted if name in self.names}
        while self.queue:
            node, value = self.queue.popleft()
            node["kind"], node["facts"], node["edges"] = self.content(node, value)
        for node, reference in self.weak:
            target = reference()
            known = target is not None and id(target) in self.numbers
            node["edges"].append(["()", ["node", self.numbers[id(target)]] if known else ["atom", "gone"]])
        self.describe_memory()
        return {"variables": variables, "nodes": self.nodes}

    def ref(self, value: Any) -> list[Any]:
        cls = type(value)
        if value is self.names:
            return ["live"]
        if cls in _ATOMS:
            return ["atom", f"{cls.__name__} {value!r}"]
        if cls is tuple:
            return ["tuple", [self.ref(item) for item in value]]
        if cls is frozenset:
            return ["frozenset", [[key, self.ref(item)] for key, item in _sorted(value)]]
        if cls is types.MethodType:
            return ["method", self.ref(value.__self__), self.ref(value.__func__)]
        if cls is types.ModuleType and sys.modules.get(value.__name__) is value:
            return ["name", value.__name__]
        if isinstance(value, enum.Enum):
            same = cls._value2member_map_.get(value.value) if type(value.value) is not list else cls[value.name]
            return ["member", self.ref(cls), str(value.name), same is value]
        if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType) and _is_by_name(value):
            return ["name", f"{value.__module__}.{value.__qualname__}"]
        number = self.numbers.get(id(value))
        if number is None:
            number = self.numbers[id(value)] = len(self.nodes)
            self.nodes.append({})
            self.keep.append(value)
            self.queue.append((self.nodes[-1], value))
        return ["node", number]

    def content(self, node: dict[str, Any], value: Any) -> tuple[str, list[Any], list[Any]]:
        cls = type(value)
        kind = _KINDS.get(cls)
        if cls is Placeholder:
            return "hole", [], []
        if kind in ("lock", "bad"):
            return kind, [cls.__name__], []
        if cls is bytearray:
            return kind, [value.hex()], []
        if cls in (list, collections.deque):
            return kind, [getattr(value, "maxlen", None)], [[f"[{i}]", self.ref(item)] for i, item in enumerate(value)]
        if cls is set:
            return kind, [], [[f"{{{key}}}", self.ref(item)] for key, item in _sorted(value)]
        if cls is collections.defaultdict:
            return kind, [], [*self.items(value), [".default_factory", self.ref(value.default_factory)]]
        if cls in (dict, collections.OrderedDict):
            return kind, [], self.items(value)
        if cls is types.FunctionType:
            return kind, *self.function(value)
        if cls is types.CellType:
            return kind, [], [[".cell_contents", self.ref(held)] for held in gc.get_referents(value)]
        if cls is functools.partial:
            parts = (("func", value.func), ("args", value.args), ("keywords", value.keywords))
            return kind, [], [[f".{name}", self.ref(part)] for name, part in parts]
        if cls is types.MappingProxyType:
            return kind, [], [[".source", self.ref(gc.get_referents(value)[0])]]
        if kind == "dict view":
            return kind, [cls.__name__], [[".source", self.ref(gc.get_referents(value)[0])]]
        if cls is memoryview:
            return kind, [value.format, value.readonly], [[".obj", self.ref(value.obj)]]
        if cls is types.SimpleNamespace:
            return kind, [], [[f".{name}", self.ref(held)] for name, held in vars(value).items()]
        if isinstance(value, weakref.ref):
            self.weak.append((node, value))
            return "weak reference", [], []
        if cls is np.ndarray:
            if value.dtype.hasobject:
                held = [[f"[{i}]", self.ref(item)] for i, item in enumerate(value.flat)]
                return "object array", [list(value.shape)], held
            self.arrays.append((node, value))
            return "array", [value.dtype.str, list(value.shape), value.flags.writeable], []
        if isinstance(value, io.IOBase) or cls.__name__ == "Refuses":
            return "bad", [cls.__name__], []
        if isinstance(value, type):
            return "class", *self.session_class(value)
        if isinstance(value, property):
            return "property", [], [[f".{n}", self.ref(getattr(value, n))] for n in ("fget", "fset", "fdel")]
        if isinstance(value, staticmethod | classmethod):
            return "wrapped method", [cls.__name__], [[".__func__", self.ref(value.__func__)]]
        if cls is types.ModuleType:
            held = {name: item for name, item in vars(value).items() if not name.startswith("__")}
            return "module", [value.__name__], [[f".{name}", self.ref(item)] for name, item in held.items()]
        if isinstance(value, types.MemberDescriptorType | types.GetSetDescriptorType | types.WrapperDescriptorType):
            return "descriptor", [value.__name__], []
        if isinstance(value, BaseException):
            return "exception", [], [[".__class__", self.ref(cls)], [".args", self.ref(value.args)]]
        return self.instance(value)

    def items(self, value: Any) -> list[Any]:
        edges = []
        for i, (key, item) in enumerate(dict.items(value)):
            if type(key) is not str:
                edges.append([f".keys()[{i}]", self.ref(key)])
            edges.append([f"[{key!r}]" if type(key) is str else f".values()[{i}]", self.ref(item)])
        return edges

    def function(self, value: Any) -> tuple[list[Any], list[Any]]:
        names = value.__globals__
        facts = [value.__name__, value.__qualname__, value.__module__, str(value.__doc__), _code(value.__code__)]
        edges = [[".__globals__", ["live"] if names is self.names else ["atom", str(names.get("__name__"))]]]
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            edges.append([f".<closure {name}>", self.ref(cell)])
        for name in ("__defaults__", "__kwdefaults__", "__annotations__", "__dict__"):
            if held := getattr(value, name):
                parts = held.items() if isinstance(held, dict) else enumerate(held)
                edges.extend([f".{name}[{key!r}]", self.ref(part)] for key, part in parts)
        return facts, edges

    def session_class(self, cls: type) -> tuple[list[Any], list[Any]]:
        held = vars(cls)
        facts = [
            cls.__name__,
            cls.__qualname__,
            cls.__module__,
            str(held.get("__doc__")),
            list(held.get("__slots__", ())),
        ]
        edges = [[".__class__", self.ref(type(cls))], [".__bases__", self.ref(cls.__bases__)]]
        for name, value in sorted(held.items(), key=lambda item: item[0]):
            mine = getattr(value, "__objclass__", None) is cls
            if name in _OUT_OF_STATE or (mine and isinstance(value, types.MemberDescriptorType)):
                continue
            if name == "__static_attributes__":
                facts.append(sorted(value))
            elif not (mine and isinstance(value, types.GetSetDescriptorType)):
                edges.append([f".{name}", self.ref(value)])
        return facts, edges

    def instance(self, value: Any) -> tuple[str, list[Any], list[Any]]:
        cls = type(value)
        kind = "opaque" if isinstance(value, list | dict | tuple) or hasattr(cls, "__setstate__") else "instance"
        if issubclass(cls, tuple) and hasattr(cls, "_fields"):
            kind = "instance"
        if "__dataclass_params__" in vars(cls):
            kind = "instance"
        edges = [[".__class__", self.ref(cls)]]
        edges += [[f".{name}", self.ref(held)] for name, held in _attributes(value)]
        if isinstance(value, list | tuple):
            edges += [[f"[{i}]", self.ref(item)] for i, item in enumerate(value)]
        elif isinstance(value, dict):
            edges += self.items(value)
        elif len(edges) == 1 and cls.__module__ != _SESSION and cls is not object:
            reduced = value.__reduce_ex__(4)
            edges += [[f".{i}", self.ref(part)] for i, part in enumerate(reduced)] if type(reduced) is tuple else []
            return "opaque", [str(reduced)] if type(reduced) is str else [], edges
        return kind, [], edges

    def describe_memory(self) -> None:
        """Tell of each array where in which memory it lies; of one that is alone on its memory, only what it shows."""
        blocks: dict[int, list[tuple[dict[str, Any], Any]]] = {}
        for node, array in self.arrays:
            blocks.setdefault(id(_root(array)), []).append((node, array))
        for number, held in enumerate(blocks.values()):
            lowest = min(np.lib.array_utils.byte_bounds(array)[0] for _, array in held)
            for node, array in held:
                node["facts"].append(hashlib.sha256(array.tobytes()).hexdigest())
                if len(held) > 1 and array.size:
                    base = array.base
                    known = ["node", self.numbers[id(base)]] if id(base) in self.numbers else ["atom", "hidden"]
                    place = array.__array_interface__["data"][0] - lowest
                    node["facts"].append([number, place, list(array.strides)])
                    node["edges"].append([".base", known])


def _root(array: Any) -> Any:
    root = array
    while isinstance(root, np.ndarray) and root.base is not None:
        root = root.base
    return root


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    yield from list(getattr(value, "__dict__", {}).items())
    for base in type(value).__mro__:
        for name, slot in vars(base).items():
            if type(slot) is types.MemberDescriptorType and base.__module__ == _SESSION and hasattr(value, name):
                yield name, getattr(value, name)


def _is_by_name(value: Any) -> bool:
    found: Any = sys.modules.get(value.__module__ or "")
    if found is None or value.__module__ == _SESSION:
        return False
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is value


def _code(code: types.CodeType) -> str:
    parts: list[Any] = [code.co_code.hex(), code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars]
    parts += [code.co_name, code.co_firstlineno, code.co_flags]
    for held in code.co_consts:
        parts.append(_code(held) if isinstance(held, types.CodeType) else sorted(map(repr, held))
                     if isinstance(held, frozenset) else repr(held))  # fmt: skip
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _sorted(items: Any) -> list[tuple[str, Any]]:
    """Return a set's items in an order that does not depend on hashes, each with a key that tells it from others."""
    return sorted(((_key(item), item) for item in items), key=lambda pair: pair[0])


def _key(item: Any) -> str:
    if type(item) in _ATOMS:
        return f"{type(item).__name__} {item!r}"
    if type(item) in (tuple, frozenset):
        keys = [_key(part) for part in item]
        return f"{type(item).__name__} {keys if type(item) is tuple else sorted(keys)}"
    if isinstance(item, type | types.FunctionType | enum.Enum | types.ModuleType):
        return f"{type(item).__name__} {getattr(item, '__name__', item)}"
    return f"{type(item).__name__} {getattr(item, 'n', '')}"


_KINDS: dict[type, str] = {
    list: "list",
    dict: "dict",
    set: "set",
    bytearray: "bytearray",
    collections.OrderedDict: "ordered dict",
    collections.defaultdict: "default dict",
    collections.deque: "deque",
    types.FunctionType: "function",
    types.CellType: "cell",
    functools.partial: "partial",
    types.MappingProxyType: "mapping proxy",
    type({}.keys()): "dict view",
    type({}.values()): "dict view",
    type({}.items()): "dict view",
    type(collections.OrderedDict().keys()): "dict view",
    type(collections.OrderedDict().values()): "dict view",
    memoryview: "memory view",
    types.SimpleNamespace: "simple namespace",
    types.GeneratorType: "bad",
    type(threading.Lock()): "lock",
}


# --- the ways to the objects of a namespace ---------------------------------------------------------------------------


def ways(names: dict[str, Any], limit: int = 60) -> list[list[Any]]:
    """Return what a user may type to get at objects, each with what can be done to what stands there."""
    seen: set[int] = set()
    found: list[list[Any]] = []
    variables = sorted(name for name in names if name[0] == "v" and name[1:].isdigit())
    starts = [(name, names[name]) for name in [*variables, "Plain", "Both", "Color.BLUE.value"] if name in names]
    queue = collections.deque(starts)
    while queue and len(found) < limit:
        way, value = queue.popleft()
        if id(value) in seen and not way.isalnum():
            continue
        seen.add(id(value))
        found.append([way, _uses(value)])
        queue.extend((way + step, child) for step, child in _steps(value) if way.count(".") + way.count("[") < 4)
    return found


def _steps(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list | tuple | collections.deque):
        yield from ((f"[{i}]", item) for i, item in enumerate(value))
    elif isinstance(value, dict):
        yield from ((f"[{key!r}]", item) for key, item in value.items() if type(key) is str)
    if isinstance(value, type):
        yield from ((f".{name}", getattr(value, name)) for name in ("made", "extra") if name in vars(value))
    elif type(value).__module__ == _SESSION or isinstance(value, types.SimpleNamespace):
        yield from ((f".{name}", getattr(value, name)) for name in ("x", "y") if hasattr(value, name))


def _uses(value: Any) -> list[str]:
    cls = type(value)
    uses = ["any"]
    if cls in _ATOMS:
        return ["any", "hashable"]
    if isinstance(value, np.ndarray):
        uses.append("objects" if value.dtype.hasobject else "array")
        return uses
    for kind, use in ((list, "list"), (dict, "dict"), (bytearray, "bytearray")):
        if isinstance(value, kind):
            uses.append(use)
    if cls is set and all(type(item) in _ATOMS for item in value):  # one object in it, else who is who is not told
        uses.append("set")
    for kind, use in ((collections.deque, "deque"), (type, "class"), (types.FunctionType, "function")):
        if isinstance(value, kind):
            uses.append(use)
    if cls is types.FunctionType and value.__name__ == "put":
        uses.append("put")
    if cls.__module__ == _SESSION and not isinstance(value, type | enum.Enum) and cls.__name__ not in _FIXED:
        uses.append("attributes")
    if hasattr(cls, "m"):
        uses.append("method")
    if _can_be_referred_to(value):
        uses.append("weak")
    if cls.__hash__ is not None and not isinstance(value, tuple | frozenset):
        uses.append("hashable")
    return uses


_FIXED = ("Frozen", "Pair", "Refuses", "Value")


def _can_be_referred_to(value: Any) -> bool:
    try:
        weakref.ref(value)
    except TypeError:
        return False
    return not isinstance(value, type | types.GeneratorType | enum.Enum | weakref.ref)


# --- one session ------------------------------------------------------------------------------------------------------


class _Session:
    def __init__(self) -> None:
        sys.modules[_SESSION] = types.ModuleType(_SESSION)  # as a fresh interpreter has it
        self.names: dict[str, Any] = vars(sys.modules[_SESSION])

    def type(self, source: str) -> str:
        """Run what a user types; return "" or what it raised."""
        try:
            exec(source, self.names)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return ""

    def users(self) -> list[str]:
        return sorted(name for name in self.names if not name.startswith("__"))

    def look(self) -> dict[str, Any]:
        """Describe everything, and count the classes of the session that go by each name."""
        look = Describer(self.names)
        graph = look.graph(self.users())
        found: dict[str, set[int]] = {}
        for value in look.keep:
            for cls in (value, type(value)):
                if isinstance(cls, type) and cls.__module__ == _SESSION:
                    found.setdefault(cls.__qualname__, set()).add(id(cls))
        return {"graph": graph, "classes": {name: len(ids) for name, ids in found.items()}}

    def ways(self) -> list[list[Any]]:
        return ways(self.names)

    def save(self, store: str, notebook: str, engine: str) -> dict[str, Any]:
        gc.collect()  # else it is chance what weak references in garbage refer to
        report = nbsnap.snapshot(self.names, store=store, notebook=notebook, engine=engine)
        return {"report": report.to_dict(), **self.look()}

    def diff(self, store: str, notebook: str, engine: str) -> dict[str, Any]:
        gc.collect()
        report = nbsnap.diff("latest", None, self.names, store=store, notebook=notebook, engine=engine)
        return {"report": report.to_dict(), **self.look()}

    def load(self, store: str, notebook: str, only: list[str], snapshot: str = "latest") -> dict[str, Any]:
        report = nbsnap.restore(snapshot, self.names, store=store, notebook=notebook, only=only)
        return {"report": report.to_dict(), **self.look()}


def _serve(connection: socket.socket) -> None:
    session = _Session()
    with connection.makefile("rw", encoding="utf-8") as lines:
        for line in lines:
            verb, arguments = json.loads(line)
            try:
                answer = json.dumps({"done": getattr(session, verb)(**arguments)})
            except BaseException:
                answer = json.dumps({"failed": traceback.format_exc()})
            lines.write(answer + "\n")
            lines.flush()


def template(path: str) -> None:
    """Wait for connections, and fork a session for each."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with tempfile.TemporaryDirectory() as store:  # what is read once in a process is read before the forks
        nbsnap.snapshot({"v": [1]}, store=store, notebook="n")
        nbsnap.restore(namespace={}, store=store, notebook="n")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        print("ready", flush=True)
        while True:
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                _serve(connection)
                os._exit(0)
            connection.close()
