"""Classes of the session: defined once, referred to from everywhere; their Enum members and type variables too."""

from __future__ import annotations

import enum
import operator
import types
import typing
from typing import Any

from nbsnap import builders
from nbsnap.errors import CannotSave

from .common import Plan, by_name, class_by_name


def class_(desk: Any, cls: type) -> Any:
    if cls in _TYPES_OF_SINGLETONS or class_by_name(cls):
        return NotImplemented
    if name := _TYPE_NAMES.get(cls):
        return builders.builtin_type, (name,)
    if not cls.__flags__ & (1 << 9):  # Py_TPFLAGS_HEAPTYPE: made while the program runs
        raise CannotSave("a built-in type that cannot be found by its name", cls)
    if not _MAPPED.isdisjoint(vars(cls)):
        raise CannotSave("SQLAlchemy keeps its classes in registries of its own: run the cell that defines it", cls)
    if (parts := _parts(cls)) is not None:
        return operator.getitem, parts
    return builders.definition, (desk.define(cls),)


#: What SQLAlchemy leaves in a class that it has mapped, or whose subclasses it maps.
_MAPPED = frozenset({"_sa_class_manager", "_sa_registry"})


def _parts(cls: type) -> tuple[type, tuple[Any, ...]] | None:
    """Return what a class of pydantic's was made from by `Generic[…]`: asked again, the generic gives the same one."""
    made = vars(cls).get("__pydantic_generic_metadata__")
    if type(made) is not dict or not made.get("origin") or type.__subclasses__(cls):
        return None
    return made["origin"], made["args"]


_TYPES_OF_SINGLETONS = frozenset({type(None), type(...), type(NotImplemented)})
_TYPE_NAMES: dict[type, str] = {
    value: name for name, value in vars(types).items() if isinstance(value, type) and value.__module__ == "builtins"
}


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


PLANS: dict[type, Plan] = {
    typing.TypeVar: _type_variable,
    typing.ParamSpec: _type_variable,
    typing.TypeVarTuple: _type_variable,
}
