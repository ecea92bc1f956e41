"""Whether a dict is as it was, told by the number that CPython gives it with each change (PEP 509).

`ma_version_tag` stands in the head of every dict, behind how many items there are: a number that no other dict has or
had, and another one after each change. It is private, and gone in Python 3.14; so it is read only where a try of all
ways to change a dict has shown that it is there, and where not, nobody can tell (0) and what is held is compared.

Nor can anybody tell of a dict that shares its keys with others: those are the attributes of objects, which Python 3.13
changes in place, without a new number.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["version"]

_Dict = dict[Any, Any]
_USED, _VERSION, _VALUES = 16, 24, 40  # bytes from the beginning: how many items, the number, whose keys they share
_SIZE = 48


def _unknown(mapping: _Dict) -> int:
    return 0


def _in_the_head() -> Callable[[_Dict], int]:
    number, address = ctypes.c_uint64.from_address, ctypes.c_void_p.from_address

    def found(mapping: _Dict) -> int:
        at = id(mapping)
        return 0 if address(at + _VALUES).value else number(at + _VERSION).value

    return found


class _Attributes:
    def __init__(self) -> None:
        self.one = self.two = 1


_CHANGES: tuple[Callable[[_Dict], object], ...] = (
    lambda d: d.__setitem__("a", 2),
    lambda d: d.__setitem__("new", 2),
    lambda d: d.__delitem__("new"),
    lambda d: d.update(a=3),
    lambda d: d.update({"more": 1, "and more": 2}),
    lambda d: d.pop("more"),
    lambda d: d.setdefault("more", 1),
    lambda d: d.popitem(),
    lambda d: d.__ior__({"a": 4}),
    lambda d: d.__init__(a=5),  # type: ignore[misc]
    lambda d: d.__setitem__(1, 1),  # keys that are not all texts
    lambda d: d.__setitem__(1, 2),
    lambda d: d.update(dict.fromkeys(range(100))),  # it grows
    lambda d: d.clear(),
    lambda d: d.update({"a": 1, "b": 2}),  # an empty one may take over all of another at once
    lambda d: d.clear(),
    lambda d: d.__ior__({"a": 1}),
)
_NO_CHANGES: tuple[Callable[[_Dict], object], ...] = (
    dict.copy,
    repr,
    list,
    lambda d: [*d.values(), *d.items(), d == {}, d.get("a"), "b" in d, len(d)],
)


def _is_right(version: Callable[[_Dict], int]) -> bool:
    """Tell whether a function knows a changed dict from one that is only looked at."""
    tried: list[_Dict] = [{}, {"a": 1, 2: "b"}, dict.fromkeys("abc", 0)]
    met: set[int] = set()
    for one in tried:
        one["a"] = 0
        if ctypes.c_ssize_t.from_address(id(one) + _USED).value != len(one):
            return False
        for change in _CHANGES:
            before = version(one)
            if not before or before in met or any(version(one) != before for look in _NO_CHANGES if [look(one)]):
                return False
            met.add(before)
            change(one)
            if version(one) == before:
                return False
    return not version(vars(_Attributes()))


def _best() -> Callable[[_Dict], int]:
    """Return what tells the number of a dict."""
    with contextlib.suppress(Exception):  # an audit hook forbids to ask
        if sys.implementation.name == "cpython" and sys.version_info < (3, 14) and dict.__basicsize__ == _SIZE:
            if _is_right(found := _in_the_head()):
                return found
    return _unknown


#: The number of a dict's last change, which no other one has; 0 where nobody can tell.
version = _best()
