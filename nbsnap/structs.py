"""Classes of msgspec: made whole by their own metaclass, because they cannot be filled in later.

A `msgspec.Struct` is compiled from its fields when it is created. What it was created from can be read off the class
again: annotations, defaults and the options of its configuration. msgspec itself is not imported to save.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from typing import Any

_OPTIONS = (
    "frozen", "eq", "order", "array_like", "gc", "repr_omit_defaults", "omit_defaults", "forbid_unknown_fields",
    "weakref", "dict", "cache_hash", "tag", "tag_field",
)  # fmt: skip
#: What the metaclass puts into the class.
MADE = frozenset(
    [
        "__struct_fields__", "__struct_defaults__", "__struct_encode_fields__", "__struct_config__", "__match_args__",
        "__annotations__", "__signature__",
    ]
)  # fmt: skip


def is_struct(cls: type) -> bool:
    """Tell whether a class is derived from `msgspec.Struct`."""
    msgspec = sys.modules.get("msgspec")
    return msgspec is not None and isinstance(cls, type(msgspec.Struct))


def take(cls: Any) -> dict[str, Any]:
    """Return what a Struct class was created from: its own fields, in order, and the keyword arguments."""
    nothing = sys.modules["msgspec"].NODEFAULT
    own = [name for name in cls.__slots__ if not name.startswith("__")]
    annotations = vars(cls).get("__annotations__") or {}
    fields, defaults = cls.__struct_fields__, cls.__struct_defaults__
    given = dict(zip(fields[len(fields) - len(defaults) :], defaults, strict=True))
    encoded = dict(zip(fields, cls.__struct_encode_fields__, strict=True))
    parameters = inspect.signature(cls).parameters
    made = []
    for name in annotations:
        default = given.get(name, nothing)
        how = "none" if default is nothing else "factory" if hasattr(default, "factory") else "value"
        value = getattr(default, "factory", default) if how != "none" else None
        made.append((name, annotations[name], how, value))
    config = cls.__struct_config__
    options = {name: getattr(config, name) for name in _OPTIONS if hasattr(config, name)}
    options["kw_only"] = bool(own) and all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in own)
    options["rename"] = {name: encoded[name] for name in own}
    return {"fields": tuple(made), "options": options}


def make(metaclass: Any, name: str, bases: tuple[type, ...], names: dict[str, Any], struct: dict[str, Any]) -> type:
    """Return the class that `take` has read."""
    field = importlib.import_module("msgspec").field
    names = {key: value for key, value in names.items() if key != "__slots__"}
    names["__annotations__"] = {key: hint for key, hint, _, _ in struct["fields"]}
    for key, _, how, value in struct["fields"]:
        if how != "none":
            names[key] = field(default_factory=value) if how == "factory" else field(default=value)
    made: type = metaclass.__new__(metaclass, name, bases, names, **struct["options"])
    return made
