"""Exceptions, as streams make them: `nbsnap.builders.exceptions.NAME`."""

from __future__ import annotations

import contextlib
from typing import Any

from nbsnap.describe import made_in_python


def exception(cls: Any, arguments: tuple[Any, ...]) -> BaseException:
    """Return an exception of a class, made by the built-in class that it is derived from."""
    base: Any = next(base for base in cls.__mro__ if not made_in_python(base))
    if issubclass(base, BaseExceptionGroup):
        made: BaseException = base.__new__(cls, *arguments)
    elif issubclass(base, OSError):  # its own `__new__` would choose a subclass by the number
        made = base.__new__(cls)
    else:
        made = BaseException.__new__(cls)
    made.args = arguments
    return made


def fill_exception(target: BaseException, state: dict[str, Any]) -> None:
    """Give an exception what it carried."""
    for name, value in state["fields"].items():
        with contextlib.suppress(AttributeError, TypeError):  # read-only: set when the object was made
            setattr(target, name, value)
    vars(target).update(state["dict"])
    for name, value in state.get("slots", {}).items():
        object.__setattr__(target, name, value)
    target.__cause__ = state.get("cause")
    target.__context__ = state.get("context")
    target.__suppress_context__ = state.get("suppress", False)
