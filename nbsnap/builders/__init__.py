"""What streams call when they are loaded. Each name here stands in stored snapshots: it may gain arguments, lose none.

A stream names these functions as `nbsnap.builders.NAME`, or `nbsnap.builders.THEME.NAME` for those of one theme or
library. Some of them (`definition`, `member`, `parametrized`) mean something only while a snapshot is being rebuilt,
and are answered by the loader (`rebuild._Loader`), not by this module; under another Python than that of the snapshot
some more are, those that need bytecode or syntax (`anew.Anew.answers`).

Functions are built in two steps, empty and then filled, because what fills them (a closure cell, a default, an
attribute) may lead back to the function itself.
"""

from __future__ import annotations

import functools
import importlib
import logging
import marshal
import queue
import sys
import threading
import types
import typing
import weakref
from collections import OrderedDict
from typing import Any

from nbsnap.errors import CannotLoad
from nbsnap.remarks import remark

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


def definition(key: str) -> type:
    """Return the class of the session that goes by `key`. Answered by the loader."""
    raise CannotLoad(f"the class {key} belongs to a snapshot and cannot be loaded on its own")


def member(key: str, index: int) -> object:
    """Return the `index`-th member of the session's Enum `key`. Answered by the loader."""
    raise CannotLoad(f"the Enum {key} belongs to a snapshot and cannot be loaded on its own")


def parametrized(key: str, arguments: Any) -> type:
    """Return `key[arguments]` of the session's generic model `key`. Answered by the loader."""
    raise CannotLoad(f"the class {key} belongs to a snapshot and cannot be loaded on its own")


def code(python: str, data: bytes, mark: bytes = b"") -> types.CodeType:
    """Return the code object that `data` (marshal, format 2) holds, if it was made by this Python.

    For another Python the loader answers: it compiles the text that `mark` leads to (`codes`).
    """
    if python != PYTHON:
        raise CannotLoad(f"holds functions compiled by Python {python}, which Python {PYTHON} cannot run")
    loaded = marshal.loads(data)
    if not isinstance(loaded, types.CodeType):
        raise CannotLoad("holds something else where a function's code should be")
    return loaded


def cell() -> types.CellType:
    """Return an empty closure cell."""
    return types.CellType()


def fill_cell(target: types.CellType, contents: tuple[Any, ...]) -> None:
    """Put the one value in `contents` into the cell; none leaves it empty."""
    if contents:
        target.cell_contents = contents[0]


def function(
    code: types.CodeType,
    globals: dict[str, Any] | types.ModuleType,
    name: str,
    closure: tuple[types.CellType, ...] | None,
) -> types.FunctionType:
    """Return a function without defaults or attributes; a module stands for its own globals."""
    names = vars(globals) if isinstance(globals, types.ModuleType) else globals
    return types.FunctionType(code, names, name, None, closure)


def fill_function(target: types.FunctionType, state: dict[str, Any]) -> None:
    """Give `function`'s result what it carried: closure contents, defaults, attributes."""
    for cell, contents in zip(target.__closure__ or (), state.pop("cells", ()), strict=False):
        fill_cell(cell, contents)
    attributes = state.pop("__dict__", None)
    for name, value in state.items():
        setattr(target, name, value)
    if attributes:
        target.__dict__.update(attributes)


def module(name: str) -> types.ModuleType:
    """Return the module, imported if need be."""
    return importlib.import_module(name)


def attribute(module: str, name: str) -> object:
    """Return a module's attribute that is known by its place and not by its type: a sentinel, a singleton."""
    return getattr(importlib.import_module(module), name)


def builtin_type(name: str) -> object:
    """Return a type that only the module `types` has a name for."""
    return getattr(types, name)


def type_of(module: str, name: str) -> type:
    """Return the type of a module's attribute: a metaclass that has no name of its own."""
    return type(getattr(importlib.import_module(module), name))


def new_module(name: str, doc: str | None) -> types.ModuleType:
    """Return an empty module that is not in `sys.modules`."""
    return types.ModuleType(name, doc)


def fill_module(target: types.ModuleType, names: dict[str, Any]) -> None:
    """Put a made module's names back."""
    vars(target).update(names)


def long(cls: type, data: Any) -> object:
    """Return a text, `bytes` or `bytearray` from its bytes: copied, so they may as well be verified."""
    make_sound(data)
    if cls is str:
        return str(data, "utf-8", "surrogatepass")
    return data if type(data) is cls else cls(data)


def standard_stream(name: str) -> object:
    """Return `sys.stdin`, `sys.stdout` or `sys.stderr` as they are now."""
    return getattr(sys, name)


def shell() -> object:
    """Return the running IPython shell."""
    ipython = sys.modules.get("IPython")
    running = ipython.get_ipython() if ipython is not None else None
    if running is None:
        raise CannotLoad("needs a running IPython")
    return running


def lock() -> object:
    """Return a fresh lock."""
    return threading.Lock()


def rlock() -> object:
    """Return a fresh re-entrant lock."""
    return threading.RLock()


def local() -> object:
    """Return fresh thread-local data."""
    return threading.local()


def simple_queue() -> object:
    """Return an empty queue."""
    return queue.SimpleQueue()


def reference(target: object, callback: Any = None) -> object:
    """Return a weak reference."""
    return weakref.ref(target, callback)


def dead_reference(cls: type) -> object:
    """Return a weak reference whose referent is gone, with a hash, for it may be a key that was put in before."""

    class Gone:
        pass

    target = Gone()
    made = weakref.ref(target)
    hash(made)
    return made


def logger(name: str) -> logging.Logger:
    """Return the logger of that name as the running program has configured it."""
    return logging.getLogger(name) if name else logging.getLogger()


def fill_set(target: set[Any], items: tuple[list[Any]]) -> None:
    """Put elements into a set."""
    target.update(items[0])


def dict_view(source: dict[Any, Any], kind: str) -> object:
    """Return the live view of a dict that its method `kind` gives: "keys", "values" or "items"."""
    view: object = getattr(OrderedDict if isinstance(source, OrderedDict) else dict, kind)(source)
    return view


def memory_view(source: Any, format: Any, shape: Any) -> object:
    """Return a view of all of an object's memory."""
    return memoryview(source).cast("B").cast(format, shape) if shape is not None else memoryview(source)


def bare(cls: Any) -> object:
    """Return an object of a class of the session, uninitialised, past the class's own `__new__`."""
    make = next(
        vars(base)["__new__"] for base in cls.__mro__ if type(vars(base).get("__new__")) is types.BuiltinFunctionType
    )
    return make(cls)


def lru_cache(function: Any, maxsize: int | None, typed: bool) -> object:
    """Return the function with an empty cache around it."""
    return functools.lru_cache(maxsize=maxsize, typed=typed)(function)


def fill_attributes(target: Any, attributes: dict[str, Any]) -> None:
    """Put an object's attributes back as they were."""
    vars(target).update(attributes)


def new_object(cls: Any, *arguments: Any) -> object:
    """Return an object as its class makes it, uninitialised."""
    return cls.__new__(cls, *arguments)


def set_state(target: Any, state: Any) -> None:
    """Set an object's state as pickle would, without asking the object."""
    slots = None
    if type(state) is tuple and len(state) == 2:
        state, slots = state
    if state:
        object.__getattribute__(target, "__dict__").update(state)
    for name, value in (slots or {}).items():
        object.__setattr__(target, name, value)


def share_attributes(target: Any, state: Any) -> None:
    """Give an object a dict that others hold, too, for its attributes; with slots, `state` is a pair as in pickle."""
    attributes, slots = state if type(state) is tuple else (state, None)
    object.__setattr__(target, "__dict__", attributes)
    set_state(target, (None, slots))


def make_sound(data: Any) -> None:
    """Have memory that a restore has mapped be verified, before more is made of its bytes than an array."""
    owner = data.obj if isinstance(data, memoryview) else data
    if (make := getattr(owner, "make_sound", None)) is not None:
        make()


def buffer(data: Any) -> object:
    """Return memory as it was read."""
    return data


def array(data: Any, shape: Any, dtype: Any, order: Any, writeable: bool) -> object:
    """Return a NumPy array right upon a buffer."""
    made = importlib.import_module("numpy").ndarray(shape, dtype, data, 0, None, order)
    if not writeable:
        made.flags.writeable = False
    return made


def view(carrier: Any, offset: int, shape: Any, strides: Any, dtype: Any, writeable: bool) -> object:
    """Return a NumPy array over the memory of another, `offset` bytes behind its beginning."""
    flat = carrier if carrier.flags.c_contiguous else carrier.T  # the same memory in the order in which it lies
    made = type(carrier)(shape, dtype, flat, offset, strides)
    if not writeable:
        made.flags.writeable = False
    return made


def type_variable(kind: str, name: str, constraints: tuple[Any, ...], options: dict[str, Any], module: str) -> object:
    """Return a TypeVar, ParamSpec or TypeVarTuple."""
    for option, since in (("infer_variance", (3, 12)), ("default", (3, 13))):
        if option in options and sys.version_info < since:
            del options[option]
            remark(f"the {kind} {name} comes back without its {option}: that needs Python {since[0]}.{since[1]}")
    made = getattr(typing, kind)(name, *constraints, **options)
    made.__module__ = module
    return made


def type_alias(name: str, module: str) -> object:
    """Return what `type NAME = …` makes (Python 3.12), with a value that is looked up when it is first asked for."""
    names: dict[str, Any] = {"__name__": module, "value": []}
    exec(f"type {name} = value[0]", names)
    made = names[name]
    _alias_values[id(made)] = names["value"]
    return made


_alias_values: dict[int, list[Any]] = {}


def fill_alias(target: object, value: tuple[Any]) -> None:
    """Give a type alias its value."""
    _alias_values.pop(id(target)).append(value[0])


def generic_alias(name: str, value: Any, parameters: tuple[Any, ...]) -> object:
    """Return a type alias with parameters."""
    make: Any = getattr(typing, "TypeAliasType")  # noqa: B009  # Python 3.12
    made: object = make(name, value, type_params=parameters)
    return made
