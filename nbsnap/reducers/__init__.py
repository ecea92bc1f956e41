"""How types are taken apart where pickle alone would refuse, lie or do harm: a table, type → plan.

A **plan** is a function `(desk, value) -> reduction`, where the reduction is what `reducer_override` may return: a
tuple as `__reduce__` makes it, or NotImplemented to let the pickler go on with its own ways. Plans are chosen once per
type and capture by `plan_for`; what depends on the value is decided inside the plan. `desk` (`pickling.Desk`) offers
`claim(value)`, `live(dict)`, `define(cls)`, `note(text)` and `needs_this_python()`.

Order of the choice: functions and classes (which must be bound to the live session), then exact types, then the nearest
class that is known by its name, which may be a refused one, then what kind of object it is, then the engine's own. The
classes of optional libraries are known by qualified name and never imported.
"""

from __future__ import annotations

import copyreg
import datetime
import enum
import importlib
import io
import numbers
import pathlib
import sys
import types
import weakref
from typing import Any

from nbsnap import builders
from nbsnap.describe import module_of
from nbsnap.refused import MEMORY_FILES, REFUSED, qualified
from nbsnap.sharing import ATOMS, PLAIN, VALUES

from . import attributes, builtin, classes, functions, standard, threads, weak
from .builtin import stream
from .classes import class_, enum_member
from .common import SESSION, Plan, inherits, refuse, slots_of
from .containers import plan_for_container
from .exceptions import exception
from .functions import function

__all__ = ["LIBRARIES", "Plan", "class_", "is_value", "plan_for", "saved_as_attributes"]

#: Packages whose classes have plans: the module in here that knows them, which is imported when the first is met.
LIBRARIES = {
    "PIL": "shown",
    "_duckdb": "tables",
    "bokeh": "shown",
    "bs4": "texts",
    "cupy": "cupy",
    "duckdb": "tables",
    "httpx": "clients",
    "ipywidgets": "shown",
    "jaxlib": "jax",
    "lightgbm": "tables",
    "lxml": "texts",
    "matplotlib": "matplotlib",
    "numba": "numba",
    "numpy": "numpy",
    "pandas": "pandas",
    "polars": "tables",
    "pyarrow": "tables",
    "rich": "shown",
    "spacy": "texts",
    "torch": "torch",
    "xgboost": "tables",
}

_TABLE: dict[type, Plan] = {
    **functions.PLANS,
    **classes.PLANS,
    **builtin.PLANS,
    **standard.PLANS,
    **threads.PLANS,
    **weak.PLANS,
}

#: Plans for a class and its subclasses, known by qualified name.
_BY_NAME: dict[str, Plan] = {
    **builtin.PLANS_BY_NAME,
    **classes.PLANS_BY_NAME,
    **threads.PLANS_BY_NAME,
    **standard.PLANS_BY_NAME,
    **weak.PLANS_BY_NAME,
}


def plan_for(cls: type, native: frozenset[type]) -> Plan:
    """Choose the plan for objects of exactly this class. Types in `native` are left to the engine if that is safe."""
    if issubclass(cls, type):
        return _plan_by_name(cls) or class_
    if cls is types.FunctionType:
        return function
    if cls in PLAIN or cls in ATOMS:
        return _nothing
    if cls in _TABLE and cls not in native:
        return _TABLE[cls]
    if (plan := _plan_by_name(cls)) is not None:
        return plan
    if issubclass(cls, enum.Enum):
        return enum_member
    if issubclass(cls, BaseException):
        return exception
    if (plan := plan_for_container(cls)) is not None:
        return plan
    if cls in VALUES or is_value(cls) or cls.__name__ in _COMPILED:
        return _nothing
    singletons = _singletons(cls)
    if singletons:
        return _singleton_or_instance(singletons)
    if module_of(cls) == SESSION and (inherits(cls, "__reduce__") or inherits(cls, "__reduce_ex__")):
        return _by_its_own_reduce
    if _is_greedy(cls) or _has_own_new(cls):
        return _past_the_object
    return attributes.instance if attributes.has_plain_dict(cls) else _instance


def saved_as_attributes(cls: type) -> bool:
    """Tell whether objects of a class are left to pickle, which saves their attributes without asking the class."""
    plan = plan_for(cls, frozenset())
    return (plan is attributes.instance or plan is _instance) and attributes.has_no_more(cls)


def _plan_by_name(cls: type) -> Plan | None:
    """Return the plan for a class, or for the nearest base of it, that is known by its qualified name."""
    for base in cls.__mro__:
        module = LIBRARIES.get(module_of(base).partition(".")[0])
        if module is not None:
            _BY_NAME.update(importlib.import_module(f"{__name__}.{module}").PLANS_BY_NAME)
        name = qualified(base)
        if (plan := _BY_NAME.get(name)) is not None:
            return plan
        if (reason := REFUSED.get(name)) is not None and not issubclass(cls, MEMORY_FILES):
            return stream if issubclass(cls, io.IOBase) else refuse(reason)
    return None


#: Functions that Cython has compiled, which are known by their names: the type is made anew for each version of Cython.
_COMPILED = frozenset({"cython_function_or_method", "fused_cython_function"})
_VALUE_CLASSES = (datetime.date, datetime.time, datetime.timedelta, datetime.tzinfo, numbers.Number, pathlib.PurePath)
_hash_by_identity: Any = object.__hash__


def is_value(cls: type) -> bool:
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


def _by_its_own_reduce(desk: Any, value: Any) -> Any:
    """What a class of the session says, unless that is only a name: there would be nothing behind the name."""
    desk.claim(value)
    cls = type(value)
    reduction = cls.__reduce_ex__(value, 5)  # type: ignore[call-arg]
    if type(reduction) is not str:
        return reduction
    state = (dict(getattr(value, "__dict__", {})), slots_of(value))
    return builders.new_object, (cls,), state, None, None, builders.set_state


def _is_greedy(cls: type) -> bool:
    """Tell whether objects of this class answer for attributes that they do not have, or for their class."""
    if cls in copyreg.dispatch_table:  # its library says how it is saved
        return False
    if inherits(cls, "__class__"):
        return True
    return inherits(cls, "__getattr__") and not inherits(cls, "__setstate__")


def _has_own_new(cls: type) -> bool:
    """Tell whether a class of the session makes its objects with code of its own, and without arguments to keep."""
    own = any("__new__" in vars(base) and module_of(base) == SESSION for base in cls.__mro__)
    return own and not issubclass(cls, tuple) and not any(inherits(cls, n) for n in ("__reduce__", "__reduce_ex__"))


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
    if attributes.has_plain_dict(cls) and attributes.is_shared(value):
        state, setter = attributes.with_dict(value, state), builders.share_attributes
    elif state is None or inherits(cls, "__setstate__"):
        return (make, arguments, state, *rest)
    else:
        setter = builders.set_state
    return (make, arguments, state, *rest, *(None,) * (2 - len(rest)), setter)


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
