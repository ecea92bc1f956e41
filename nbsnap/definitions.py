"""Classes of the session, taken apart and put together so that each comes back once and everything refers to it.

A class is saved in two parts. The **skeleton** is what must be known to create it: metaclass, name, bases, slots, and
for an Enum its members as bare objects. It is a stream of its own and refers to nothing but other classes. The
**state** is everything in the class's dict (methods, attributes, annotations, the members' values); it is saved in a
group like a variable, attribute by attribute, because it may share objects with variables.

Putting together goes the same way: all skeletons before any state. A skeleton is made by the nearest `__new__` that is
not written in Python (`type`'s, for most), past the metaclass, and when no base of the session has its state yet, so
that neither a metaclass nor an `__init_subclass__` of the user runs a second time. State is set past the metaclass's
`__setattr__` in the same way. The idea of a skeleton that is filled later is cloudpickle's; what differs is that
classes here have a key instead of a tracker id, and so the same class gives the same bytes in every process.
"""

from __future__ import annotations

import _abc  # type: ignore[import-not-found]  # CPython's own registry of virtual subclasses; cloudpickle reads it in the same way
import abc
import enum
import sys
import types
from typing import Any, NamedTuple

from . import structs
from .describe import is_a, module_of
from .errors import CannotSave

#: Part of the skeleton, made anew with it, or (the last) a mark that copyreg leaves on classes it has seen.
_NOT_STATE = frozenset(
    {"__dict__", "__weakref__", "__module__", "__qualname__", "__slots__", "_abc_impl", "__slotnames__"}
)
#: Attributes that other attributes' loading may call: set first.
_CODE = (types.FunctionType, staticmethod, classmethod, property)
_RAW = (bool, int, float, complex, str, bytes, tuple)


class Skeleton(NamedTuple):
    """What a class is created from. Its fields stand in stored snapshots: new ones go to the end, with a default."""

    metaclass: type
    name: str
    bases: tuple[type, ...]
    names: dict[str, Any]  # __module__, __qualname__, __slots__, __doc__
    members: tuple[tuple[Any, ...], ...] = ()  # an Enum's: (raw value,) for a mixed-in type, () for a plain object
    struct: dict[str, Any] | None = None  # what a msgspec.Struct is created from; see `structs`


def take_skeleton(cls: type) -> tuple[Any, ...]:
    """Return the fields of the class's Skeleton, as a plain tuple."""
    held = vars(cls)
    module, qualname, name = map(sys.intern, (module_of(cls), cls.__qualname__, cls.__name__))
    names: dict[str, Any] = {"__module__": module, "__qualname__": qualname}
    if "__slots__" in held:
        names["__slots__"] = _slots(held["__slots__"])
    if "__orig_bases__" in held:  # Generic's own __init_subclass__ insists on it; the true ones come with the state
        names["__orig_bases__"] = ()
    if "__class__" in held:  # can be given at birth only: a property is made empty and filled later
        value = held["__class__"]
        names["__class__"] = property() if is_a(value, property) else value
    members = tuple(_raw(member) for member in members_of(cls)) if issubclass(cls, enum.Enum) else ()
    fields: tuple[Any, ...] = (type(cls), name, cls.__bases__, names, members)
    return (*fields, structs.take(cls)) if structs.is_struct(cls) else fields


def _slots(declared: Any) -> Any:
    if isinstance(declared, str):
        return declared
    try:
        return tuple(str(name) for name in declared)
    except TypeError as error:
        raise CannotSave("its __slots__ cannot be read again", declared) from error


def make(skeleton: tuple[Any, ...]) -> tuple[type, tuple[object, ...]]:
    """Return the class that a skeleton describes, without its state, and an Enum's bare members."""
    parts = Skeleton(*skeleton)
    if parts.struct is not None:
        return structs.make(parts.metaclass, parts.name, parts.bases, parts.names, parts.struct), ()
    create = _built_in(parts.metaclass, "__new__")
    cls: type = create(parts.metaclass, parts.name, parts.bases, dict(parts.names))
    _built_in(parts.metaclass, "__init__")(cls, parts.name, parts.bases, dict(parts.names))  # ctypes' does something
    return cls, tuple(_bare(cls, raw) for raw in parts.members)


def _built_in(metaclass: type, name: str) -> Any:
    """Return what a metaclass calls `__new__`, `__init__` or `__setattr__` below all that is written in Python."""
    for base in metaclass.__mro__:
        if base is abc.ABCMeta and name == "__new__":
            return base.__new__
        if type(vars(base).get(name)) in (types.BuiltinFunctionType, types.WrapperDescriptorType):
            return getattr(base, name)
    return getattr(type, name)


def members_of(cls: type) -> list[Any]:
    """Return an Enum's members, and the composite flags that were made so far, each once, in a fixed order."""
    found: dict[int, Any] = {}
    for table in ("_member_map_", "_value2member_map_"):
        for member in (vars(cls).get(table) or {}).values():
            found.setdefault(id(member), member)
    return list(found.values())


def _raw(member: Any) -> tuple[Any, ...]:
    for raw in _RAW:
        if is_a(member, raw):
            return (raw, _plain(raw, member))
    return ()


def _plain(raw: type, member: Any) -> Any:
    """Return the built-in value of a member that is, say, also an int, past the user's own `__int__`."""
    if raw is str:
        return str.__str__(member)
    if raw in (int, bool):
        return int.__int__(member)
    if raw is float:
        return float.__float__(member)
    if raw is tuple:
        return tuple.__getitem__(member, slice(None))
    return complex.__add__(member, 0j) if raw is complex else bytes.__add__(member, b"")


def _bare(cls: type, raw: tuple[Any, ...]) -> object:
    return raw[0].__new__(cls, raw[1]) if raw else object.__new__(cls)


def state_names(cls: type) -> list[str]:
    """Return the names of the class's dict that are its state: code first, each part in order of definition.

    Dunder names go before the others, by name: Python adds some of them, and when depends on how the class was made.
    """
    made = structs.MADE if structs.is_struct(cls) else frozenset()
    names = [name for name, value in vars(cls).items() if name not in _NOT_STATE | made and not _is_slot(cls, value)]
    places = {name: place for place, name in enumerate(names)}

    def turn(name: str) -> tuple[bool, str, int]:
        dunder = name.startswith("__") and name.endswith("__")
        return not is_code(vars(cls)[name]), name if dunder else "~", places[name]

    return sorted(names, key=turn)


def _is_slot(cls: type, value: object) -> bool:
    if type(value).__name__ == "CField" and module_of(type(value)) == "_ctypes":  # made from `_fields_`
        return True
    return (
        type(value) in (types.MemberDescriptorType, types.GetSetDescriptorType)
        and getattr(value, "__objclass__", None) is cls
    )


def state(cls: type, name: str) -> Any:
    """Return the value of one name of the state."""
    value = vars(cls)[name]
    # the compiler collects these in a set, whose order changes with the hash seed
    return tuple(sorted(value)) if name == "__static_attributes__" and is_a(value, tuple) else value


def is_enum(cls: type) -> bool:
    """Tell whether the class is an Enum with members."""
    return issubclass(cls, enum.Enum) and bool(members_of(cls))


def is_code(value: object) -> bool:
    """Tell whether an attribute is one that the loading of others may call."""
    return is_a(value, *_CODE)


def take_member_states(cls: type) -> tuple[dict[str, Any], ...]:
    """Return what an Enum's members carry, in the order of `members_of`."""
    return tuple(dict(vars(member)) for member in members_of(cls))


def fill_members(members: tuple[object, ...], states: tuple[dict[str, Any], ...]) -> None:
    """Give bare members back what they carried."""
    for member, state in zip(members, states, strict=True):
        vars(member).update(state)


def registered(cls: type) -> list[type]:
    """Return the classes that were registered as virtual subclasses of an abstract base class."""
    if not is_a(cls, abc.ABCMeta):
        return []
    found = (reference() for reference in _abc._get_dump(cls)[0])
    return sorted(
        (item for item in found if item is not None), key=lambda item: f"{item.__module__}.{item.__qualname__}"
    )


def set_attribute(cls: type, name: str, value: object) -> None:
    """Set one attribute, past a `__setattr__` that the metaclass has in Python."""
    if name != "__class__":
        _built_in(type(cls), "__setattr__")(cls, name, value)
    elif isinstance(value, property):
        vars(cls)[name].__init__(value.fget, value.fset, value.fdel, value.__doc__)
