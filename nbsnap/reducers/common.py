"""What all reducers share: the form of a plan, and the ways to tell what can be saved by its name alone."""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Callable
from typing import Any

from nbsnap.describe import made_in_python, module_of, qualname_of
from nbsnap.errors import CannotSave

#: How objects of one type are taken apart: `(desk, value)` → what `reducer_override` may return.
Plan = Callable[[Any, Any], Any]

SESSION = "__main__"

#: The memory that the storage half makes for a restored buffer, in the place of a `bytearray`.
REGION = "nbsnap.mapping.Region"


def by_name(value: object, module: str | None, qualname: str) -> bool:
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


def class_by_name(cls: type) -> bool:
    """Tell whether importing the class's module and following its name leads to this very class."""
    return by_name(cls, module_of(cls), qualname_of(cls))


def inherits(cls: type, name: str) -> bool:
    """Tell whether a class or a base of it, `object` apart, defines a name."""
    return any(name in vars(base) for base in cls.__mro__ if base is not object)


def refuse(reason: str) -> Plan:
    """Return the plan that refuses."""

    def plan(desk: Any, value: Any) -> Any:
        raise CannotSave(reason, value)

    return plan


def fresh(make: Callable[[], object], what: str) -> Plan:
    """Return the plan for what comes back new, as `make` makes it; `what` names it in the note."""

    def plan(desk: Any, value: Any) -> Any:
        desk.claim(value)
        desk.note(f"{what} comes back fresh")
        return make, ()

    return plan


def slots_of(value: object) -> dict[str, Any]:
    """Return what a value has in the slots of classes written in Python."""
    found = {}
    for base in type(value).__mro__:
        if made_in_python(base):
            for name, slot in vars(base).items():
                if type(slot) is types.MemberDescriptorType:
                    with contextlib.suppress(AttributeError):  # empty
                        found[name] = slot.__get__(value, base)
    return found
