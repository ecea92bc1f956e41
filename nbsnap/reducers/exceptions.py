"""Exceptions: with their cause, their context and what they carry, past their own `__init__`.

Pickle calls the class with `args`, which fails for every exception whose `__init__` takes something else. Here the
object is made by the built-in class below it, and everything that the built-in classes and the user keep on it is set
afterwards. The traceback is lost: it refers to frames, whose state cannot be saved.
"""

from __future__ import annotations

import types
from typing import Any

from nbsnap.builders import exceptions
from nbsnap.describe import OWN_WAYS, made_in_python

from .common import slots_of

#: Kept by the object itself, or (`obj`, as in pickle) whatever happened to be at hand when a name was not found.
_NOT_STATE = frozenset(["args", "obj", "characters_written"])


def exception(desk: Any, value: BaseException) -> Any:
    """The plan for all exceptions."""
    desk.claim(value)
    cls = type(value)
    if value.__traceback__ is not None:
        desk.note("an exception comes back without its traceback")
    if any(made_in_python(base) and any(name in vars(base) for name in OWN_WAYS) for base in cls.__mro__):
        return NotImplemented
    if getattr(value, "obj", None) is not None and isinstance(value, AttributeError | NameError):
        desk.note("an exception comes back without the object in which a name was looked for")
    fields: dict[str, Any] = {}
    for base in cls.__mro__:
        if made_in_python(base) or base in (BaseException, object):
            continue
        for name, slot in vars(base).items():
            if name in _NOT_STATE or type(slot) not in (types.MemberDescriptorType, types.GetSetDescriptorType):
                continue
            try:
                found = slot.__get__(value, cls)
            except AttributeError:
                continue
            if found is not None:
                fields[name] = found
    state: dict[str, Any] = {"fields": fields, "dict": dict(vars(value))}
    if slots := slots_of(value):
        state["slots"] = slots
    if value.__cause__ is not None:
        state["cause"] = value.__cause__
    if value.__context__ is not None:
        state["context"] = value.__context__
    if value.__suppress_context__:
        state["suppress"] = True
    return exceptions.exception, (cls, value.args), state, None, None, exceptions.fill_exception
