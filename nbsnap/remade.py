"""What the standard library makes for classes and objects, made again where they come from another Python.

`dataclasses` and `namedtuple` compile methods of texts that nobody keeps; `enum` and `typing` leave tables in a class
that another version reads by other names. So a **twin** of the class is made by the library that is here, with the same
fields, and what is wanted is taken from it. The twin has no bases, and stands-in for the defaults, types and factories:
none of the user's code takes part, and each stand-in is then replaced by what it stands for.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import sys
import types
import typing
from collections.abc import Callable, Collection
from typing import Any

from . import definitions, paths
from .refused import qualified

__all__ = ["MODULES", "complete", "finish", "is_completed"]


_REPLACE = "__replace__"  # of what is made for a class, there from Python 3.13 on


def finish(cls: Any, lost: Collection[str]) -> set[str]:
    """Make again what of a class is lost, as far as that can be; return the names of what was made."""
    held = vars(cls)
    made: dict[str, Any] = {}
    if "__dataclass_params__" in held and "__dataclass_fields__" in held:
        made = _of_dataclass(cls, {*lost, _REPLACE})
    elif issubclass(cls, tuple) and "_fields" in held and tuple in cls.__bases__:
        made = _of_namedtuple(cls, {*lost, _REPLACE})
    made = {name: value for name, value in made.items() if name in lost or name not in held}
    for name, value in made.items():
        definitions.set_attribute(cls, name, value)
    if _REPLACE in lost and _REPLACE not in made and sys.version_info < (3, 13):
        type.__delattr__(cls, _REPLACE)
        made[_REPLACE] = None
    if held.get("_is_protocol") is True:
        made |= _of_protocol(cls, lost)
    if issubclass(cls, enum.Enum):
        _fill_enum(cls)
    return {name for name in made if name in lost}


# --- dataclasses ------------------------------------------------------------------------------------------------------


class _StandIn:
    """Stands for a value of the user's."""


def _of_dataclass(cls: Any, names: Collection[str]) -> dict[str, Any]:
    params, fields = vars(cls)["__dataclass_params__"], vars(cls)["__dataclass_fields__"]
    true: dict[int, Any] = {}
    body: dict[str, Any] = {
        "__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": "twin", "__annotations__": {},
    }  # fmt: skip
    keep: list[object] = []

    def stand_in(value: Any) -> Any:
        if value is dataclasses.MISSING:
            return value
        keep.append(made := _StandIn())
        true[id(made)] = value
        return made

    for name, field in fields.items():
        kind = field._field_type
        if kind is dataclasses._FIELD_CLASSVAR:  # type: ignore[attr-defined]
            continue
        is_init = kind is dataclasses._FIELD_INITVAR  # type: ignore[attr-defined]
        body["__annotations__"][name] = dataclasses.InitVar[object] if is_init else object
        body[name] = dataclasses.field(
            default=stand_in(field.default), default_factory=stand_in(field.default_factory), init=field.init,
            repr=field.repr, hash=field.hash, compare=field.compare, kw_only=field.kw_only,
        )  # fmt: skip
    if any("__post_init__" in vars(base) for base in cls.__mro__):
        body["__post_init__"] = None
    options: dict[str, Any] = {name: getattr(params, name) for name in _PARAMS}
    options["slots"] = "__slots__" in vars(cls)
    plain = type(cls.__name__, (), body)
    twin: type = dataclasses.dataclass(**options)(plain)
    true.update({id(plain): cls, id(twin): cls})
    keep += [plain, twin]
    found = {name: vars(twin)[name] for name in names if name in vars(twin)}
    for function in found.values():
        _put_true(function, true)
    if (init := found.get("__init__")) is not None:
        init.__annotations__ = {
            name: fields[name].type if name in fields else told for name, told in init.__annotations__.items()
        }
    return found


#: As all versions have them.
_PARAMS = ("init", "repr", "eq", "order", "unsafe_hash", "frozen")


def _put_true(value: Any, true: dict[int, Any]) -> None:
    """Replace stand-ins in a function, and in those that it is made around."""
    if type(value) is not types.FunctionType or value.__module__ in ("dataclasses", "reprlib"):
        return
    for cell in value.__closure__ or ():
        held = cell.cell_contents
        if id(held) in true:
            cell.cell_contents = true[id(held)]
        elif type(held) is types.FunctionType:
            _put_true(held, true)
    if value.__defaults__:
        value.__defaults__ = tuple(true.get(id(one), one) for one in value.__defaults__)
    if value.__kwdefaults__:
        value.__kwdefaults__ = {name: true.get(id(one), one) for name, one in value.__kwdefaults__.items()}


# --- named tuples -----------------------------------------------------------------------------------------------------


def _of_namedtuple(cls: Any, names: Collection[str]) -> dict[str, Any]:
    defaults = vars(cls).get("_field_defaults") or {}
    make: Any = collections.namedtuple
    twin = make(cls.__name__, cls._fields, defaults=list(defaults.values()), module=cls.__module__)
    found = {name: vars(twin)[name] for name in names if name in vars(twin)}
    for value in found.values():
        function = getattr(value, "__func__", value)
        function.__qualname__ = f"{cls.__qualname__}.{function.__name__}"
    if (new := found.get("__new__")) is not None and (told := vars(cls).get("__annotations__")):
        new.__annotations__ = told
    return found


# --- protocols and enums ----------------------------------------------------------------------------------------------


def _of_protocol(cls: Any, lost: Collection[str]) -> dict[str, Any]:
    """Give a protocol what this version of `typing` looks at."""
    module: Any = typing
    made: dict[str, Any] = {}
    if "__subclasshook__" in lost:
        hook = getattr(module, "_proto_hook", None)
        made["__subclasshook__"] = hook if hook is not None else _hook_of_before_3_12(cls)
    if "__init__" in lost:
        made["__init__"] = module._no_init_or_replace_init
    for name, value in made.items():
        definitions.set_attribute(cls, name, value)
    set_up = vars(type(typing.Protocol)).get("__init__")  # from Python 3.12 on
    if set_up is not None:
        set_up(cls, cls.__name__, cls.__bases__, {})
        if sys.version_info >= (3, 13) and vars(cls).get("_is_runtime_protocol"):
            data = {name for name in cls.__protocol_attrs__ if not callable(getattr(cls, name, None))}
            definitions.set_attribute(cls, "__non_callable_proto_members__", data)
    return made


def _hook_of_before_3_12(cls: type) -> Callable[..., Any]:
    """Return the hook that Python 3.11 makes for each protocol."""
    protocol: Any = typing.Protocol

    class Twin(protocol):  # type: ignore[misc]
        pass

    hook: Any = Twin.__subclasshook__.__func__ if hasattr(Twin.__subclasshook__, "__func__") else Twin.__subclasshook__
    for cell in hook.__closure__ or ():
        if cell.cell_contents is Twin:
            cell.cell_contents = cls
    return typing.cast(Callable[..., Any], hook)


#: What later versions look values up in, beside what all versions do.
_TABLES = ("_hashable_values_", "_unhashable_values_", "_unhashable_values_map_")


def _fill_enum(cls: type[enum.Enum]) -> None:
    """Give an Enum the tables of this version that it does not have."""
    missing = [name for name in _TABLES if name in vars(enum.Enum) and name not in vars(cls)]
    if not missing:
        return
    hashable: list[Any] = []
    unhashable: dict[str, list[Any]] = {}
    for name, member in vars(cls).get("_member_map_", {}).items():
        value = member._value_
        if any(value is known for known in (*hashable, *(one for held in unhashable.values() for one in held))):
            continue
        try:
            hash(value)
        except TypeError:
            unhashable.setdefault(name, []).append(value)
        else:
            hashable.append(value)
    tables: dict[str, Any] = {
        "_hashable_values_": hashable,
        "_unhashable_values_": [value for held in unhashable.values() for value in held],
        "_unhashable_values_map_": unhashable,
    }
    for name in missing:
        definitions.set_attribute(cls, name, tables[name])


# --- objects ----------------------------------------------------------------------------------------------------------


def _prefixes(parser: Any) -> types.SimpleNamespace:
    full, inline = vars(parser).get("_comment_prefixes"), vars(parser).get("_inline_comment_prefixes")
    return types.SimpleNamespace(full=tuple(full or ()), inline=tuple(inline or ()))


def _constant(value: Any) -> Callable[[Any], Any]:
    return lambda target: value


#: What some versions look for in objects of a class and others do not leave there; too much of it does no harm.
_ATTRIBUTES: dict[str, dict[str, Callable[[Any], Any]]] = {
    "argparse.Action": {"deprecated": _constant(False)},
    "asyncio.queues.Queue": {"_is_shutdown": _constant(False)},
    "configparser.RawConfigParser": {
        "_prefixes": _prefixes,
        "_allow_unnamed_section": _constant(False),
        "_comment_prefixes": lambda parser: parser._prefixes.full,
        "_inline_comment_prefixes": lambda parser: parser._prefixes.inline,
    },
    "logging.LogRecord": {"taskName": _constant(None)},
    "queue.Queue": {"is_shutdown": _constant(False)},
    "reprlib.Repr": {"indent": _constant(None)},
}
#: The modules that have such classes, as a group names them.
MODULES = frozenset(name.partition(".")[0] for name in _ATTRIBUTES)


def is_completed(cls: type) -> bool:
    """Tell whether objects of a class are looked at by `complete`."""
    return any(qualified(base) in _ATTRIBUTES for base in cls.__mro__)


def complete(value: Any) -> None:
    """Give objects of the standard library within a value the attributes that this version looks for."""
    for part in [value, *(child for _, _, child in paths.walk(value, classes=False))]:
        for base in type(part).__mro__:
            for name, make in _ATTRIBUTES.get(qualified(base), {}).items():
                if name not in (held := vars(part)):
                    held[name] = make(part)
