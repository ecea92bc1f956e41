"""Sets in an order of their own, so that the same set gives the same bytes in every process.

Python's order follows the hashes, and those of strings change from process to process, as do addresses. A set of plain
values is therefore written in an order that depends on the values only. It is left as it is where its order does not
change anyway (numbers), or where its elements have nothing to be ordered by but their addresses (plain instances).
"""

from __future__ import annotations

import enum
import types
from collections.abc import Iterable
from typing import Any

from .describe import is_a, module_of, qualname_of

#: Types whose hashes, and with them the order in a set, are the same in every process.
NUMBERS = frozenset({int, float, bool, complex})

#: Types of which `repr` tells all that makes two values differ, by qualified name.
_SHOWN = frozenset(
    """
    builtins.int builtins.float builtins.bool builtins.complex builtins.str builtins.bytes builtins.NoneType
    builtins.ellipsis builtins.range datetime.date datetime.time datetime.timedelta decimal.Decimal fractions.Fraction
    uuid.UUID pathlib.PosixPath pathlib.WindowsPath pathlib._local.PosixPath pathlib._local.WindowsPath
    """.split()  # noqa: SIM905
)


class Unordered:
    """A set that is being written, in the order in which its elements are. It stands for the set in the stream."""

    __slots__ = ("items", "kind", "source")

    def __init__(self, source: Any, items: list[Any]) -> None:
        self.source = source  # kept alive as long as its id counts
        self.kind = type(source)
        self.items = items


def ordered(source: Any) -> Unordered | None:
    """Return a set or frozenset in the order to write it in, or None if it may be written as it is."""
    kinds = set(map(type, source))
    if kinds <= NUMBERS:
        return None
    if kinds == {str} or kinds == {bytes}:
        return Unordered(source, sorted(source))
    try:
        return Unordered(source, sorted(source, key=_key))
    except _NoOrder:
        return None


class _NoOrder(Exception):
    """An element has nothing to be ordered by."""


def _key(value: Any) -> tuple[str, str]:
    cls = type(value)
    name = f"{module_of(cls)}.{qualname_of(cls)}"
    if name in _SHOWN:
        return name, repr(value)
    if cls is tuple or cls is frozenset:
        keys: Iterable[tuple[str, str]] = map(_key, value)
        return cls.__name__, repr(list(keys) if cls is tuple else sorted(keys))
    if name == "datetime.datetime" and (value.tzinfo is None or type(value.tzinfo).__qualname__ == "timezone"):
        return name, repr(value)
    if is_a(value, enum.Enum):
        return name, str(value._name_)
    if is_a(value, type):
        return "type", f"{module_of(value)}.{qualname_of(value)}"
    if cls is types.FunctionType or cls is types.BuiltinFunctionType:
        return "function", f"{value.__module__}.{value.__qualname__}"
    raise _NoOrder
