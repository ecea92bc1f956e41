"""Classes of the session: defined once, referred to from everywhere; their Enum members and type variables too."""

from __future__ import annotations

import enum
import operator
import sys
import types
import typing
from typing import Any

from nbsnap import builders
from nbsnap.describe import made_in_python, module_of
from nbsnap.errors import CannotSave

from .common import Plan, by_name, class_by_name


def class_(desk: Any, cls: type) -> Any:
    if cls in _TYPES_OF_SINGLETONS or class_by_name(cls):
        desk.modules.add(module_of(cls))
        return NotImplemented
    if name := _TYPE_NAMES.get(cls):
        return builders.builtin_type, (name,)
    if module_of(cls) == "_ctypes" and (found := _ctypes_base(cls)):
        return builders.type_of, ("ctypes", found)
    if not made_in_python(cls):
        raise CannotSave("a built-in type that cannot be found by its name", cls)
    if not _MAPPED.isdisjoint(vars(cls)):
        raise CannotSave("SQLAlchemy keeps its classes in registries of its own: run the cell that defines it", cls)
    return builders.definition, (desk.define(cls),)


#: What SQLAlchemy leaves in a class that it has mapped, or whose subclasses it maps.
_MAPPED = frozenset({"_sa_class_manager", "_sa_registry"})


_TYPES_OF_SINGLETONS = frozenset({type(None), type(...), type(NotImplemented)})
_TYPE_NAMES: dict[type, str] = {
    value: name for name, value in vars(types).items() if isinstance(value, type) and value.__module__ == "builtins"
}


def _ctypes_base(cls: type) -> str:
    """Return the name of the class of ctypes that a metaclass of it, which no module has, is the type of."""
    ctypes = sys.modules.get("ctypes")
    names = ("Structure", "Union", "LittleEndianStructure", "BigEndianStructure", "Array", "_Pointer", "_SimpleCData")
    return next((name for name in names if type(getattr(ctypes, name, None)) is cls), "")


def _ctypes_array(desk: Any, cls: Any) -> Any:
    """`c_int * 3` is the same class each time, and so is `POINTER(c_int)`."""
    return (operator.mul, (cls._type_, cls._length_)) if cls._type_ * cls._length_ is cls else class_(desk, cls)


def _ctypes_pointer(desk: Any, cls: Any) -> Any:
    pointer = sys.modules["ctypes"].POINTER
    return (pointer, (cls._type_,)) if pointer(cls._type_) is cls else class_(desk, cls)


def _model(desk: Any, cls: Any) -> Any:
    """pydantic keeps one class for each `Model[int]`: asking it again gives that one, or makes it as it was made."""
    made_of = vars(cls).get("__pydantic_generic_metadata__") or {}
    origin, arguments = made_of.get("origin"), made_of.get("args")
    if origin is None or not arguments:
        return class_(desk, cls)
    arguments = arguments[0] if len(arguments) == 1 else arguments
    if class_by_name(origin):
        return operator.getitem, (origin, arguments)
    return builders.parametrized, (desk.define(origin), arguments)


def enum_member(desk: Any, value: enum.Enum) -> Any:
    cls = type(value)
    if class_by_name(cls):
        return NotImplemented
    return builders.member, desk.enum_member(cls, value)


def _type_variable(desk: Any, variable: Any) -> Any:
    if by_name(variable, variable.__module__, variable.__name__):
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


def _new_type(desk: Any, value: Any) -> Any:
    if by_name(value, value.__module__, value.__name__):
        return NotImplemented
    desk.claim(value)
    return (
        typing.NewType,
        (value.__name__, value.__supertype__),
        dict(vars(value)),
        None,
        None,
        builders.fill_attributes,
    )


def _type_alias(desk: Any, value: Any) -> Any:
    """What `type Name = …` makes: without parameters it may lead back to itself, and then not until it is asked."""
    if by_name(value, value.__module__, value.__name__):
        return NotImplemented
    desk.claim(value)
    if value.__type_params__:
        return builders.generic_alias, (value.__name__, value.__value__, value.__type_params__)
    return builders.type_alias, (value.__name__, value.__module__), (value.__value__,), None, None, builders.fill_alias


PLANS: dict[type, Plan] = {
    typing.TypeVar: _type_variable,
    typing.ParamSpec: _type_variable,
    typing.TypeVarTuple: _type_variable,
}

#: By qualified name; for classes, that of their metaclass.
PLANS_BY_NAME: dict[str, Plan] = {
    "typing.NewType": _new_type,
    "typing.TypeAliasType": _type_alias,
    "_ctypes.PyCArrayType": _ctypes_array,
    "_ctypes.PyCPointerType": _ctypes_pointer,
    "pydantic._internal._model_construction.ModelMetaclass": _model,
}
