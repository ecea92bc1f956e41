"""Classes of the session, taken apart and put together so that each comes back once and everything refers to it.

A class is saved in two parts. The **skeleton** is what must be known to create it: metaclass, name, bases, slots, and
for an Enum its members as bare objects. It is a stream of its own and refers to nothing but other classes. The
**state** is everything in the class's dict (methods, attributes, annotations, the members' values); it is saved in a
group like a variable, attribute by attribute, because it may share objects with variables.

Putting together goes the same way: all skeletons before any state. A skeleton is made by `type.__new__` (or
`ABCMeta.__new__`), past the metaclass, and when no base of the session has its state yet, so that neither a metaclass
nor an `__init_subclass__` of the user runs a second time. State is set through `type.__setattr__`. The idea of a
skeleton that is filled later is cloudpickle's; what differs is that classes here have a key instead of a tracker id,
and so the same class gives the same bytes in every process.
"""

from __future__ import annotations

import _abc  # type: ignore[import-not-found]  # CPython's own registry of virtual subclasses; cloudpickle reads it in the same way
import abc
import enum
import sys
import types
from typing import Any, NamedTuple

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
    birth: tuple[dict[str, Any], dict[str, Any]] | None = None  # a struct's: its fields, and its class's options


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
    if _is_struct(type(cls)):
        names.pop("__slots__", None)  # made from the fields
        return type(cls), name, cls.__bases__, names, members, _birth(cls)
    return type(cls), name, cls.__bases__, names, members


def _is_struct(metaclass: type) -> bool:
    """Tell whether the metaclass is msgspec's, which lays out its classes by their fields."""
    return module_of(metaclass) == "msgspec._core" and metaclass.__name__ == "StructMeta"


#: The options of a struct's class, as its configuration names them.
_OPTIONS = (
    *("frozen", "eq", "order", "array_like", "gc", "repr_omit_defaults", "omit_defaults", "forbid_unknown_fields"),
    *("weakref", "dict", "cache_hash", "tag", "tag_field"),
)


def _birth(cls: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what msgspec has to know to make a struct: annotations and defaults of its own fields, and its options."""
    own = dict(vars(cls).get("__annotations__", {}))  # past the user's code; as they are written
    fields = cls.__struct_fields__
    defaults = dict(zip(reversed(fields), reversed(cls.__struct_defaults__), strict=False))
    encoded = dict(zip(fields, cls.__struct_encode_fields__, strict=True))
    positional = set(cls.__match_args__)
    config = cls.__struct_config__
    options = {name: getattr(config, name) for name in _OPTIONS if getattr(config, name, None) is not None}
    renamed = {name: encoded[name] for name in fields if encoded[name] != name}
    if renamed:
        options["rename"] = renamed
    mine = [name for name in fields if name in own]
    if mine and positional.isdisjoint(mine):
        options["kw_only"] = True
    given: dict[str, Any] = {"__annotations__": own}
    for name in mine:
        default: Any = defaults.get(name)
        kind = type(default).__name__
        if kind == "Factory" and module_of(type(default)) == "msgspec._core":
            given[name] = ("factory", default.factory)
        elif name in defaults and kind != "NoDefaultType":
            given[name] = ("value", default)
    return given, options


def _make_struct(parts: Skeleton) -> type:
    import msgspec

    assert parts.birth is not None
    given, options = parts.birth
    names = dict(parts.names)
    for name, value in given.items():
        if name == "__annotations__":
            names[name] = value
        else:
            names[name] = msgspec.field(**{"default_factory" if value[0] == "factory" else "default": value[1]})
    return parts.metaclass.__new__(parts.metaclass, parts.name, parts.bases, names, **options)


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
    if parts.birth is not None:
        return _make_struct(parts), ()
    create = abc.ABCMeta.__new__ if issubclass(parts.metaclass, abc.ABCMeta) else type.__new__
    cls: type = create(parts.metaclass, parts.name, parts.bases, dict(parts.names))
    return cls, tuple(_bare(cls, raw) for raw in parts.members)


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
    names = [name for name, value in vars(cls).items() if name not in _NOT_STATE and not _is_slot(cls, value)]
    places = {name: place for place, name in enumerate(names)}

    def turn(name: str) -> tuple[bool, str, int]:
        dunder = name.startswith("__") and name.endswith("__")
        return not is_code(vars(cls)[name]), name if dunder else "~", places[name]

    return sorted(names, key=turn)


def _is_slot(cls: type, value: object) -> bool:
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
    """Set one attribute, past the metaclass's own `__setattr__`."""
    if name != "__class__":
        type.__setattr__(cls, name, value)
    elif isinstance(value, property):
        vars(cls)[name].__init__(value.fget, value.fset, value.fdel, value.__doc__)
