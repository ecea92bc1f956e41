"""What an object is, seen from outside, in a form in which two processes can compare it.

Pickles cannot tell what pickling has lost: an object whose `__reduce__` forgets an attribute gives the same bytes
before and after. So objects are looked at past the ways in which they are saved:

- plain containers by their elements, numbers and texts by their values, arrays by their bytes;
- objects of the user's own classes by their attributes, read directly, never through the object's own code;
- functions and classes of the session by their code and state, all others by their name;
- objects of libraries by what they say of themselves when they are saved, for their attributes are full of caches. What
  differs in there is not the user's, and counts for less (`View.own`).
"""

from __future__ import annotations

import abc
import collections
import copyreg
import enum
import functools
import marshal
import pickle
import sys
import sysconfig
import types
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from . import abroad, definitions, describe
from .digest import piece_id
from .model import Content
from .ordering import ordered
from .paths import children
from .pickling import Desk
from .placeholder import Placeholder
from .reducers import is_value, plan_for
from .reducers.common import by_name, class_by_name
from .sharing import LEAVES, Team

_BLOCK = 4_096  # numbers and texts that are compared by one hash
_SHORT = 64  # a text that is compared as it is
_FEW = 64  # and how many are compared one by one
_ATOMS = LEAVES | {type(...), type(NotImplemented)}
_USER = "user"


class View(NamedTuple):
    """One object: what it is, what can be said of it at once, and what it holds."""

    kind: str  # the name of its type
    fact: Any  # plain data that JSON can hold; equal for what is equal
    labels: tuple[str, ...] = ()  # the way to each part, as a path has it
    parts: tuple[Any, ...] = ()
    own: bool | None = True  # False: it is what a library says of an object; None: as what holds it
    one: bool = False  # it can change, so it matters whether two names lead to one
    blind: str = ""  # why nothing can be said of what is inside


def atom(value: Any) -> str | None:
    """Return the text that stands for a number, a text, None and their like; None for what is no atom."""
    cls = type(value)
    if cls not in _ATOMS:
        return None
    if cls is str:
        if len(value) <= _SHORT:
            return f"text {len(value)} {value}"  # a portrait is never kept
        return _text("text", value.encode("utf-8", "surrogatepass"), len(value))
    if cls is bytes:
        return _text("bytes", value, len(value))
    if cls is int and abs(value) >= 1 << 64:
        return _text("int", value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True), value.bit_length())
    return f"{cls.__name__} {value!r}"


def _text(kind: str, data: bytes, length: int) -> str:
    return f"{kind} {length} {piece_id(data)[:20]}"


def said(token: str) -> str:
    """Return an atom as a report shows it: numbers as they are, texts by their length."""
    kind, _, rest = token.partition(" ")
    if kind in ("text", "bytes"):
        return f"{'a text' if kind == 'text' else 'bytes'} of length {rest.partition(' ')[0]}"
    if kind == "int" and " " in rest:
        return "a large integer"
    return rest if kind != "NoneType" else "None"


class Looker:
    """Looks at objects, one after the other. Keep it as long as their ids count: it keeps what it has made."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._desk = Desk(
            namespace=namespace,
            define=lambda cls: describe.qualname_of(cls),
            enum_member=lambda cls, value: (describe.qualname_of(cls), 0),
            file_name=lambda name: name,
            ownership=None,
            team=Team([], []),
        )
        self._plans: dict[type, Any] = {}
        self._ways: dict[type, str] = {}
        self.keep: list[object] = []

    def look(self, value: Any) -> View:
        """Return what can be said of an object that is no atom."""
        try:
            return self._look(value)
        except (Exception, SystemExit):  # the user's code, where an object says how it is saved; or it is half made
            return View(_name(type(value)), None, own=False, blind=f"nothing can be said of {_article(value)}")

    def _look(self, value: Any) -> View:
        cls = type(value)
        if cls is dict and id(value) in self._desk.live_ids:
            return View("namespace", None)
        if cls is set or cls is frozenset:
            return self._set(value)
        if (how := _KINDS.get(cls)) is not None:
            return how(value)  # type: ignore[no-any-return]
        name = _name(cls)
        if cls is Placeholder:
            return View("placeholder", None)
        if issubclass(cls, type):
            return _class(value)
        if issubclass(cls, enum.Enum):
            return View(name, str(value._name_), own=None)
        if name == "numpy.ndarray":
            return _array(value)
        if cls in _COLLECTIONS:
            return View(name, None, *self._attributes(value), own=None, one=True)
        ways = self._ways.get(cls)
        if ways is None:
            ways = self._ways[cls] = _ways(cls)
        if ways == _USER:
            return View(name, _base(value), *self._attributes(value), one=True)
        view = self._saying(value, name)
        if not users_own(cls):
            return view
        labels, parts = self._attributes(value)  # a class of the user's, saved by its library: what is public is theirs
        public = [(a, b) for a, b in zip(labels, parts, strict=True) if a[:1] == "." and a[1:2] != "_"]
        public.append((" ", self._kept(_Said(view))))
        return View(name, None, tuple(a for a, _ in public), tuple(b for _, b in public), one=True)

    def _kept(self, value: Any) -> Any:
        self.keep.append(value)
        return value

    def _attributes(self, value: Any) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return what an object holds by its attributes and elements."""
        found = [(label, part) for label, part in children(value) if label != ".…"]
        if describe.is_a(value, set, frozenset):
            found = [(label, part) for label, part in found if label != "{…}"]
            found.append(("{…}", self._kept(frozenset(set.__iter__(value) if describe.is_a(value, set) else value))))
        if describe.is_a(value, collections.defaultdict):
            found.append((".default_factory", value.default_factory))
        named = sorted((pair for pair in found if pair[0][:1] == "."), key=lambda pair: pair[0])
        others = [pair for pair in found if pair[0][:1] != "."]
        if (data := _array_below(value)) is not None:
            others.append(("", self._kept(data)))
        return tuple(label for label, _ in (*others, *named)), tuple(part for _, part in (*others, *named))

    def _set(self, value: Any) -> View:
        """Return a set with its elements in an order in which another process has them, too."""
        kind, one = type(value).__name__, type(value) is set
        if set(map(type, value)) <= LEAVES:
            return View(kind, [len(value), *_hashes(sorted(filter(None, map(atom, value))))], own=None, one=one)
        if (found := ordered(value)) is not None:
            items = found.items
        else:
            keys = {id(element): self._key(element) for element in value}
            items = sorted(value, key=lambda element: keys[id(element)])
            alike = [key for key, count in collections.Counter(keys.values()).items() if count > 1]
            if not all(whole for *_, whole in alike):
                blind = "has elements that are too much alike to be told apart"
                return View(kind, len(value), own=None, one=one, blind=blind)
        return View(kind, len(value), ("{…}",) * len(value), tuple(items), own=None, one=one)

    def _key(self, element: Any) -> tuple[str, str, str, bool]:
        """Return what an element can be ordered by, and whether that is all there is to it."""
        if (token := atom(element)) is not None:
            return token, "", "", True
        is_set = type(element) in (set, frozenset)
        view = View("set", len(element), ("",), (element,)) if is_set else self.look(element)
        tokens = []
        whole = True
        for label, part in zip(view.labels, view.parts, strict=True):
            named = describe.is_a(part, type) and class_by_name(part)
            whole = whole and (named or atom(part) is not None)
            tokens.append(f"{label} {atom(part) or _name(part if named else type(part))}")
        return view.kind, repr(view.fact), "\n".join(tokens), whole

    def _saying(self, value: Any, name: str) -> View:
        """Return what an object says of itself when it is saved."""
        cls = type(value)
        if cls is _Said:
            view: View = value.view
            return view
        try:
            plan = self._plans.get(cls) or self._plans.setdefault(cls, plan_for(cls, frozenset()))
            found = plan(self._desk, value)
            if found is NotImplemented:
                reduce = copyreg.dispatch_table.get(cls)
                found = reduce(value) if reduce is not None else cls.__reduce_ex__(value, 5)  # type: ignore[call-arg]
            if isinstance(found, str):
                return View(name, found, own=None)
            call, arguments, state, items, pairs = (*found, None, None, None)[:5]
            parts: list[tuple[str, Any]] = [(f"({at})", part) for at, part in enumerate(arguments)]
            if type(state) is tuple and len(state) == 2 and all(type(part) in (dict, types.NoneType) for part in state):
                state = {**(state[0] or {}), **(state[1] or {})}
            if type(state) is dict and all(type(key) is str for key in state):
                parts += [(f".{key}", state[key]) for key in sorted(state)]
            elif state is not None:
                parts.append((".<state>", state))
            parts += [(f"[{at}]", part) for at, part in enumerate(items or ())]
            for at, (key, part) in enumerate(pairs or ()):
                parts += [(f".keys()[{at}]", key), (f"[{_key(key)}]", part)]
        except (Exception, SystemExit):
            return View(name, None, own=False, blind=f"nothing can be said of {_article(value)}")
        self.keep += (found, state, *(part for _, part in parts))
        how = getattr(call, "__qualname__", type(call).__qualname__)
        own = None if is_value(cls) else False
        return View(name, how, tuple(label for label, _ in parts), tuple(part for _, part in parts), own=own)


class _Said:
    """Stands for what an object says of itself, beside the attributes that it has."""

    def __init__(self, view: View) -> None:
        self.view = view


def _name(cls: type) -> str:
    if _made_by_library(cls):
        return describe.qualname_of(cls)
    return f"{describe.module_of(cls)}.{describe.qualname_of(cls)}"


def _made_by_library(cls: type) -> bool:
    """Tell whether a class was made by the metaclass of a library, which gives it attributes, and may name a module."""
    return type(cls) not in (type, abc.ABCMeta, enum.EnumType) and not users_own(type(cls))


def _article(value: object) -> str:
    return describe.with_article(describe.type_name(value))


def users_own(cls: type) -> bool:
    """Tell whether a class is the user's: of the session, or of a module that does not belong to the installation."""
    module = describe.module_of(cls)
    if "[" in describe.qualname_of(cls):  # what a library has made of a generic class
        return False
    if module == "__main__":
        return True
    if module.partition(".")[0] in (*sys.stdlib_module_names, "nbsnap", ""):
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    return not isinstance(file, str) or not file.startswith(_installed())


@functools.lru_cache(maxsize=1)
def _installed() -> tuple[str, ...]:
    return tuple({*sysconfig.get_paths().values(), *(entry for entry in sys.path if entry.endswith("-packages"))})


def _ways(cls: type) -> str:
    """Return who says how objects of a class are saved: the user, which may be nobody at all, or a library."""
    if not users_own(cls):
        return "library"
    for base in cls.__mro__:
        if base is object or base in _BARE:
            continue
        if any(way in vars(base) for way in describe.OWN_WAYS):
            return _USER if users_own(base) else "library"
        if not describe.made_in_python(base):
            return "library"
    return _USER


_COLLECTIONS = frozenset({collections.OrderedDict, collections.defaultdict, collections.deque, collections.Counter})
_BARE = {*_COLLECTIONS, list, dict, tuple, set, frozenset, int, float, complex, str, bytes, bytearray}


def _base(value: Any) -> Any:
    """Return the number or text that an object of a class below `int`, `str` and their like is."""
    for base, plain in _PLAIN:
        if describe.is_a(value, base):
            return atom(plain(value))
    return None


_PLAIN: tuple[tuple[type, Any], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (complex, complex.__pos__),
    (bytes, lambda value: bytes.__getitem__(value, slice(None))),
    (bytearray, bytes),
)

# --- exact types ------------------------------------------------------------------------------------------------------


def _list(value: Any) -> View:
    kind, one = type(value).__name__, type(value) is not tuple
    if len(value) > _FEW and set(map(type, value)) <= LEAVES:
        return View(kind, [len(value), *_hashes(value)], own=None, one=one)
    return View(kind, len(value), tuple(f"[{at}]" for at in range(len(value))), tuple(value), own=None, one=one)


def _dict(value: dict[Any, Any]) -> View:
    if len(value) > _FEW and set(map(type, value)) <= LEAVES and set(map(type, value.values())) <= LEAVES:
        return View(
            "dict", [len(value), *_hashes([part for pair in value.items() for part in pair])], own=None, one=True
        )
    labels: list[str] = []
    parts: list[Any] = []
    keys: list[str] = []
    for key, part in list(value.items()):
        if (token := atom(key)) is None:
            labels.append(f".keys()[{len(keys)}]")
            parts.append(key)
        keys.append(token or "")
        labels.append(f"[{_key(key)}]")
        parts.append(part)
    return View("dict", keys, tuple(labels), tuple(parts), own=None, one=True)


def _key(key: Any) -> str:
    return repr(key) if type(key) in (str, int, float, bool, types.NoneType) and len(repr(key)) <= 40 else "…"


def _hashes(values: Iterable[Any]) -> Iterator[str]:
    rest = iter(values)
    while block := list(islice(rest, _BLOCK)):
        yield piece_id(marshal.dumps(block, 0))[:20]  # version 0 writes each value by itself


def _bytearray(value: bytearray) -> View:
    return View("bytearray", atom(bytes(value)), own=None, one=True)


def _module(value: types.ModuleType) -> View:
    return View("module", str(vars(value).get("__name__")))


def _class(cls: type) -> View:
    name = _name(cls)
    if class_by_name(cls) or not describe.made_in_python(cls):
        return View("class", name)
    names = [name for name in definitions.state_names(cls) if name not in _NOT_COMPARED]
    if issubclass(cls, enum.Enum):
        return View("class", [name, [str(member._name_) for member in definitions.members_of(cls)]], one=True)
    parts = tuple(definitions.state(cls, name) for name in names)
    fact = [name, [describe.qualname_of(base) for base in cls.__bases__]]
    own = not _made_by_library(cls)
    return View("class", fact, tuple(f".{name}" for name in names), parts, own=own, one=True)


#: Made anew by Python or a library when it is asked for.
_NOT_COMPARED = frozenset({"__annotate__", "__annotate_func__", "__annotations_cache__", "__firstlineno__", "__doc__"})


def _function(function: types.FunctionType) -> View:
    if by_name(function, function.__module__, function.__qualname__):
        return View("function", f"{function.__module__}.{function.__qualname__}")
    found = [(f".<default {at}>", part) for at, part in enumerate(function.__defaults__ or ())]
    found += [(f".<default {name}>", part) for name, part in sorted((function.__kwdefaults__ or {}).items())]
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            found.append((f".<closure {name}>", cell.cell_contents))
        except ValueError:  # empty
            continue
    found += sorted((f".{name}", part) for name, part in function.__dict__.items()) if function.__dict__ else []
    fact = [function.__qualname__, _code(function.__code__)]
    return View("function", fact, tuple(label for label, _ in found), tuple(part for _, part in found), one=True)


def _code(code: types.CodeType) -> str:
    consts = [_constant(constant) for constant in code.co_consts]
    parts = (code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_flags, consts)
    return piece_id(repr(parts).encode("utf-8", "surrogatepass"))[:20]


def _constant(constant: Any) -> str:
    if type(constant) is types.CodeType:
        return _code(constant)
    return repr(sorted(map(repr, constant))) if type(constant) is frozenset else repr(constant)


def _method(method: types.MethodType) -> View:
    return View("method", None, (".__self__", ".__func__"), (method.__self__, method.__func__))


def _builtin(function: types.BuiltinFunctionType) -> View:
    holder = function.__self__
    if holder is None or isinstance(holder, types.ModuleType | type):
        return View("builtin function", function.__qualname__)
    return View("builtin function", function.__qualname__, (".__self__",), (holder,))


def _partial(value: functools.partial[Any]) -> View:
    return View("functools.partial", None, (".func", ".args", ".keywords"), (value.func, value.args, value.keywords))


def _descriptor(value: Any) -> View:
    return View(type(value).__name__, None, (".__func__",), (value.__func__,))


def _property(value: property) -> View:
    return View("property", None, (".fget", ".fset", ".fdel"), (value.fget, value.fset, value.fdel))


def _cell(value: types.CellType) -> View:
    try:
        return View("cell", "full", (".cell_contents",), (value.cell_contents,), own=None)
    except ValueError:
        return View("cell", "empty", own=None)


def _cached(value: Any) -> View:
    return View("functools.lru_cache", None, (".__wrapped__",), (value.__wrapped__,))


def _buffer(value: pickle.PickleBuffer) -> View:
    with value.raw() as data:
        content = abroad.put(data, lambda part, _: Content(part.nbytes, (piece_id(part),)))  # of a device, part by part
        return View("buffer", [content.size, list(content.pieces)])


_KINDS: dict[type, Any] = {
    list: _list,
    tuple: _list,
    dict: _dict,
    bytearray: _bytearray,
    types.ModuleType: _module,
    type: _class,
    types.FunctionType: _function,
    types.MethodType: _method,
    types.BuiltinFunctionType: _builtin,
    functools.partial: _partial,
    staticmethod: _descriptor,
    classmethod: _descriptor,
    property: _property,
    types.CellType: _cell,
    functools._lru_cache_wrapper: _cached,
    pickle.PickleBuffer: _buffer,
}

# --- arrays -----------------------------------------------------------------------------------------------------------


def _array(value: Any) -> View:
    numpy = sys.modules["numpy"]
    fact = [str(value.dtype.descr if value.dtype.names else value.dtype.str), list(value.shape)]
    if value.dtype.hasobject:
        return View(
            "numpy.ndarray",
            fact,
            tuple(f".flat[{at}]" for at in range(value.size)),
            tuple(value.flat),
            own=None,
            one=True,
        )
    data = numpy.ascontiguousarray(value)
    fact.append(piece_id(memoryview(data.reshape(-1).view("u1"))) if data.nbytes else "")
    return View("numpy.ndarray", fact, own=None, one=True)


def _array_below(value: Any) -> Any:
    """Return the plain array that an object of a class below `numpy.ndarray` is."""
    numpy = sys.modules.get("numpy")
    return value.view(numpy.ndarray) if numpy is not None and describe.is_a(value, numpy.ndarray) else None
