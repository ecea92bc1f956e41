"""How types are taken apart where pickle alone would refuse, lie or do harm: a table, type → plan.

A **plan** is a function `(desk, value) -> reduction`, where the reduction is what `reducer_override` may return: a
tuple as `__reduce__` makes it, or NotImplemented to let the pickler go on with its own ways. Plans are chosen once per
type and capture by `plan_for`; what depends on the value is decided inside the plan. `desk` (`pickling.Desk`) offers
`claim(value)`, `live(dict)`, `define(cls)`, `note(text)` and `needs_this_python()`.

Order of the choice: refused types, then functions and classes (which must be bound to the live session), then the
reducers below, then the engine's own. The classes of optional libraries are known by qualified name and never imported.
"""

from __future__ import annotations

import _thread
import array
import contextlib
import copyreg
import datetime
import enum
import functools
import gc
import importlib
import io
import logging
import marshal
import numbers
import pathlib
import sys
import types
import typing
import weakref
from collections.abc import Callable
from typing import Any

from . import builders
from .describe import is_a, module_of, qualname_of
from .errors import CannotSave
from .memory import root_of
from .placeholder import Placeholder
from .refused import OPEN, qualified, refusal
from .sharing import ATOMS, PLAIN, VALUES

Plan = Callable[[Any, Any], Any]

SESSION = "__main__"


def plan_for(cls: type, native: frozenset[type]) -> Plan:
    """Choose the plan for objects of exactly this class. Types in `native` are left to the engine if that is safe."""
    if issubclass(cls, type):
        return _class
    if cls is types.FunctionType:
        return _function
    if cls in PLAIN or cls in ATOMS:
        return _nothing
    if reason := refusal(cls):
        return _stream if issubclass(cls, io.IOBase) else _refuse(reason)
    if cls in _TABLE and cls not in native:
        return _TABLE[cls]
    for base in cls.__mro__:
        if (plan := _BY_NAME.get(qualified(base))) is not None:
            return plan
    if issubclass(cls, enum.Enum):
        return _enum_member
    if cls in VALUES or _is_value(cls):
        return _nothing
    singletons = _singletons(cls)
    if singletons:
        return _singleton_or_instance(singletons)
    if _is_greedy(cls) or _has_own_new(cls):
        return _past_the_object
    return _instance


_VALUE_CLASSES = (datetime.date, datetime.time, datetime.timedelta, datetime.tzinfo, numbers.Number, pathlib.PurePath)
_hash_by_identity: Any = object.__hash__


def _is_value(cls: type) -> bool:
    """Tell whether objects of this class are compared by value and have no room for change: dates, paths, dtypes."""
    return (issubclass(cls, _VALUE_CLASSES) and module_of(cls) != SESSION) or (
        cls.__dictoffset__ == 0
        and cls.__hash__ is not None
        and cls.__hash__ is not _hash_by_identity
        and module_of(cls) != SESSION
        and not issubclass(cls, weakref.ref)
    )


def _nothing(desk: Any, value: Any) -> Any:
    return NotImplemented


def _instance(desk: Any, value: Any) -> Any:
    desk.claim(value)
    return NotImplemented


def _is_greedy(cls: type) -> bool:
    """Tell whether objects of this class answer for attributes that they do not have, or for their class."""
    if cls in copyreg.dispatch_table:  # its library says how it is saved
        return False
    if _inherits(cls, "__class__"):
        return True
    return _inherits(cls, "__getattr__") and not _inherits(cls, "__setstate__")


def _has_own_new(cls: type) -> bool:
    """Tell whether a class of the session makes its objects with code of its own, and without arguments to keep."""
    own = any("__new__" in vars(base) and module_of(base) == SESSION for base in cls.__mro__)
    return own and not issubclass(cls, tuple) and not any(_inherits(cls, n) for n in ("__reduce__", "__reduce_ex__"))


def _inherits(cls: type, name: str) -> bool:
    return any(name in vars(base) for base in cls.__mro__ if base is not object)


def _past_the_object(desk: Any, value: Any) -> Any:
    """Make it and set its state past the object itself.

    Pickling would ask for its `__class__`, and unpickling would ask its `__getattr__`, while it is empty, for
    `__setstate__`; or it would call the class's own `__new__` (a singleton's, say), which may look for what is not
    there yet.
    """
    desk.claim(value)
    cls = type(value)
    reduction = cls.__reduce_ex__(value, 5)  # type: ignore[call-arg]
    if type(reduction) is not tuple or not 2 <= len(reduction) <= 5:
        return NotImplemented if type(reduction) is str else reduction
    make, arguments, state, *rest = (*reduction, None)[: max(3, len(reduction))]
    if make is copyreg.__newobj__:  # type: ignore[attr-defined]
        make = builders.bare if len(arguments) == 1 and _has_own_new(cls) else builders.new_object
    if state is None or _inherits(cls, "__setstate__"):
        return (make, arguments, state, *rest)
    return (make, arguments, state, *rest, *(None,) * (2 - len(rest)), builders.set_state)


def _refuse(reason: str) -> Plan:
    def plan(desk: Any, value: Any) -> Any:
        raise CannotSave(reason, value)

    return plan


def _stream(desk: Any, value: Any) -> Any:
    for name in ("stdin", "stdout", "stderr"):
        if value is getattr(sys, name, None) or value is getattr(sys, f"__{name}__", None):
            return builders.standard_stream, (name,)
    raise CannotSave(OPEN, value)


# --- functions: bound to the live namespace they came from ---------------------------------------------------------


def _function(desk: Any, function: types.FunctionType) -> Any:
    if _by_name(function, function.__module__, function.__qualname__):
        return NotImplemented
    desk.claim(function)
    desk.needs_this_python()
    cells = function.__closure__
    if cells:
        desk.filled_by_function.update(map(id, cells))
    state: dict[str, Any] = {"cells": tuple(_contents(cell) for cell in cells or ())}
    for name, empty in _FUNCTION_STATE:
        value = getattr(function, name, empty)
        if value is not empty and not (name in ("__annotations__", "__type_params__") and not value):
            state[name] = sys.intern(value) if name == "__module__" and type(value) is str else value
    state["__qualname__"] = sys.intern(function.__qualname__)  # equal strings are one: the same bytes everywhere
    if function.__dict__:
        state["__dict__"] = dict(function.__dict__)
    arguments = (function.__code__, _globals(desk, function), sys.intern(function.__name__), cells)
    return builders.function, arguments, state, None, None, builders.fill_function


_FUNCTION_STATE: tuple[tuple[str, Any], ...] = (
    ("__module__", None),
    ("__doc__", None),
    ("__defaults__", None),
    ("__kwdefaults__", None),
    ("__annotations__", None),
    ("__type_params__", ()),
)


def _by_name(value: object, module: str | None, qualname: str) -> bool:
    """Tell whether importing `module` and following `qualname` leads to this very object."""
    if not module or module == SESSION or "<locals>" in qualname:
        return False
    found: Any = sys.modules.get(module)
    if found is None:
        return False
    try:
        for name in qualname.split("."):
            found = getattr(found, name)
    except Exception:  # a module's __getattr__ may raise anything
        return False
    return found is value


def _globals(desk: Any, function: types.FunctionType) -> Any:
    names = function.__globals__
    if desk.live(names) is not None:
        return names  # persistent_id writes which live namespace it is
    module = sys.modules.get(names.get("__name__", ""))
    return module if module is not None and vars(module) is names else names


def _contents(cell: types.CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def _cell(desk: Any, cell: types.CellType) -> Any:
    desk.claim(cell)
    if id(cell) in desk.filled_by_function:
        return builders.cell, ()
    return builders.cell, (), _contents(cell), None, None, builders.fill_cell


def _code(desk: Any, code: types.CodeType) -> Any:
    desk.needs_this_python()
    return builders.code, (builders.PYTHON, marshal.dumps(_portable(desk, code), 2))


def _portable(desk: Any, code: types.CodeType) -> types.CodeType:
    """Return the code with file names that do not change from process to process."""
    constants = tuple(_portable(desk, c) if isinstance(c, types.CodeType) else c for c in code.co_consts)
    return code.replace(co_consts=constants, co_filename=desk.file_name(code.co_filename))


def _method(desk: Any, method: types.MethodType) -> Any:
    target, function = method.__self__, method.__func__
    owner: Any = target if is_a(target, type) else type(target)
    name = getattr(function, "__name__", "")
    for base in owner.__mro__:
        if name in vars(base):
            held = vars(base)[name]
            if getattr(held, "__func__", held) is function:
                return getattr, (target, name)
            break
    desk.claim(method)
    return types.MethodType, (function, target)


# --- classes: defined once, referred to from everywhere ------------------------------------------------------------


def _class(desk: Any, cls: type) -> Any:
    if cls in _TYPES_OF_SINGLETONS or _class_by_name(cls):
        return NotImplemented
    if name := _TYPE_NAMES.get(cls):
        return builders.builtin_type, (name,)
    if not cls.__flags__ & (1 << 9):  # Py_TPFLAGS_HEAPTYPE: made while the program runs
        raise CannotSave("a built-in type that cannot be found by its name", cls)
    return builders.definition, (desk.define(cls),)


_TYPES_OF_SINGLETONS = frozenset({type(None), type(...), type(NotImplemented)})
_TYPE_NAMES: dict[type, str] = {
    value: name for name, value in vars(types).items() if isinstance(value, type) and value.__module__ == "builtins"
}


def _class_by_name(cls: type) -> bool:
    return _by_name(cls, module_of(cls), qualname_of(cls))


def _enum_member(desk: Any, value: enum.Enum) -> Any:
    cls = type(value)
    if _class_by_name(cls):
        return NotImplemented
    return builders.member, desk.enum_member(cls, value)


# --- singletons: objects that a library knows by their place -------------------------------------------------------


def _singletons(cls: type) -> dict[int, tuple[str, str]]:
    """Return id → (module, name) of the objects of this class that its own module binds to a name."""
    place = module_of(cls)
    module = sys.modules.get(place)
    if module is None or place in (SESSION, "builtins"):
        return {}
    found: dict[int, tuple[str, str]] = {}
    for name, value in list(vars(module).items()):
        if type(value) is cls:
            found.setdefault(id(value), (place, name))
    return found


def _singleton_or_instance(singletons: dict[int, tuple[str, str]]) -> Plan:
    def plan(desk: Any, value: Any) -> Any:
        place = singletons.get(id(value))
        if place is not None and getattr(sys.modules[place[0]], place[1], None) is value:
            return builders.attribute, place
        desk.claim(value)
        return NotImplemented

    return plan


# --- the rest -------------------------------------------------------------------------------------------------------


def _module(desk: Any, module: types.ModuleType) -> Any:
    name = module.__name__
    if sys.modules.get(name) is module and name != SESSION:
        return builders.module, (name,)
    if name == SESSION:
        return builders.module, (SESSION,)
    with contextlib.suppress(ImportError, ValueError):
        if getattr(module, "__spec__", None) is not None and importlib.import_module(name) is module:
            return builders.module, (name,)
    desk.claim(module)
    names = {key: value for key, value in vars(module).items() if key not in _MODULE_MACHINERY}
    return builders.new_module, (name, module.__doc__), names, None, None, builders.fill_module


_MODULE_MACHINERY = frozenset(["__builtins__", "__loader__", "__spec__", "__doc__", "__name__"])


def _fresh(make: Callable[[], object], what: str) -> Plan:
    def plan(desk: Any, value: Any) -> Any:
        desk.claim(value)
        desk.note(f"{what} comes back fresh")
        return make, ()

    return plan


def _weak_reference(desk: Any, reference: Any) -> Any:
    desk.claim(reference)
    target = reference()
    if target is None:
        return builders.dead_reference, (weakref.ref,)
    return builders.reference, (target,)


def _mapping_proxy(desk: Any, proxy: Any) -> Any:
    desk.claim(proxy)
    (source,) = gc.get_referents(proxy)
    return types.MappingProxyType, (source,)


def _dict_view(kind: str) -> Plan:
    def plan(desk: Any, view: Any) -> Any:
        desk.claim(view)
        return builders.dict_view, (next(s for s in gc.get_referents(view) if is_a(s, dict)), kind)

    return plan


def _memory_view(desk: Any, view: memoryview) -> Any:
    """A view of all of a buffer stays one; of a part, only the bytes can be kept."""
    desk.claim(view)
    source = view.obj
    whole = view.contiguous and view.nbytes == memoryview(source).nbytes if source is not None else False
    if whole and is_a(source, bytes, bytearray, array.array):
        return builders.memory_view, (source, view.format, view.shape)
    desk.note("a memoryview comes back as a view of its own bytes")
    return memoryview, (view.tobytes() if view.readonly else bytearray(view.tobytes()),)


def _thread_local(desk: Any, value: Any) -> Any:
    desk.claim(value)
    desk.note("thread-local data comes back with what this thread has in it")
    return builders.local, (), dict(vars(value)), None, None, builders.fill_attributes


def _simple_queue(desk: Any, queue: Any) -> Any:
    if not queue.empty():
        raise CannotSave("what waits in such a queue cannot be read without taking it out", queue)
    desk.claim(queue)
    return builders.simple_queue, ()


def _weak_proxy(desk: Any, proxy: Any) -> Any:
    desk.claim(proxy)
    try:
        target = proxy.__repr__.__self__  # what a proxy answers is its target's; its own type has nothing to ask
    except ReferenceError as error:
        raise CannotSave("what it refers to is gone", proxy) from error
    if any(reference is proxy for reference in weakref.getweakrefs(target)):
        return weakref.proxy, (target,)
    raise CannotSave("what it refers to cannot be found", proxy)


def _array(desk: Any, value: Any) -> Any:
    desk.claim(value)
    if type(value).__name__ == "memmap":
        desk.note("a memory map comes back as an array in memory, without its file")
    if type(value) is not sys.modules["numpy"].ndarray or value.dtype.hasobject:
        return NotImplemented
    root = root_of(value)
    if root is not value:
        desk.claim(root)
    return desk.memory.reduce(value, root)


def _placeholder(desk: Any, value: Any) -> Any:
    desk.met_placeholder(value)
    return NotImplemented


def _logger(desk: Any, logger: logging.Logger) -> Any:
    if logger is logging.getLogger():
        return builders.logger, ("",)
    if logging.Logger.manager.loggerDict.get(logger.name) is logger:
        return builders.logger, (logger.name,)
    desk.claim(logger)
    return object.__reduce_ex__(logger, 4)


def _lru_cache(desk: Any, cached: Any) -> Any:
    if _by_name(cached, cached.__module__, cached.__qualname__):
        return NotImplemented
    desk.claim(cached)
    desk.note("a cache comes back empty")
    options = cached.cache_parameters()
    arguments = (cached.__wrapped__, options["maxsize"], options["typed"])
    return builders.lru_cache, arguments, dict(vars(cached)), None, None, builders.fill_attributes


def _shell(desk: Any, value: Any) -> Any:
    return builders.shell, ()


def _type_variable(desk: Any, variable: Any) -> Any:
    if _by_name(variable, variable.__module__, variable.__name__):
        return NotImplemented
    desk.claim(variable)
    kind = type(variable).__name__
    options: dict[str, Any] = {}
    for option, attribute in (
        ("bound", "__bound__"),
        ("covariant", "__covariant__"),
        ("contravariant", "__contravariant__"),
    ):
        if value := getattr(variable, attribute, None):
            options[option] = value
    if getattr(variable, "__infer_variance__", False):
        options["infer_variance"] = True
    if getattr(variable, "has_default", bool)():
        options["default"] = variable.__default__
    constraints = getattr(variable, "__constraints__", ())
    return builders.type_variable, (kind, variable.__name__, constraints, options, variable.__module__)


_TABLE: dict[type, Plan] = {
    functools._lru_cache_wrapper: _lru_cache,
    Placeholder: _placeholder,
    types.CellType: _cell,
    types.CodeType: _code,
    types.MethodType: _method,
    types.ModuleType: _module,
    _thread.LockType: _fresh(builders.lock, "a lock"),
    _thread.RLock: _fresh(builders.rlock, "a lock"),
    _thread._local: _thread_local,
    types.MappingProxyType: _mapping_proxy,
    memoryview: _memory_view,
    type({}.keys()): _dict_view("keys"),
    type({}.values()): _dict_view("values"),
    type({}.items()): _dict_view("items"),
    weakref.ref: _weak_reference,
    weakref.ProxyType: _weak_proxy,
    weakref.CallableProxyType: _weak_proxy,
    logging.Logger: _logger,
    logging.RootLogger: _logger,
    typing.TypeVar: _type_variable,
    typing.ParamSpec: _type_variable,
    typing.TypeVarTuple: _type_variable,
}

with contextlib.suppress(ImportError):
    import _queue

    _TABLE[_queue.SimpleQueue] = _simple_queue

#: Plans for a class and its subclasses, known by qualified name.
_BY_NAME: dict[str, Plan] = {
    "IPython.core.interactiveshell.InteractiveShell": _shell,
    "builtins.module": _module,
    "numpy.ndarray": _array,
    "logging.Logger": _logger,
    "ipykernel.iostream.OutStream": _stream,
}
