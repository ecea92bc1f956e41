"""Deep structures, level by level: a pickler that never goes more than one level down.

Pickle descends as deep as the data, and every Python has its own limit to that (some hundred levels on 3.12). Here each
container and each object is first written empty, by a number or by its constructor's arguments, and what it holds
follows as a pickle of its own behind it, and so on until the queue is empty. It costs some ten microseconds for each
object, so it is only done where the ordinary way has failed for depth.

A stream of this kind has, after each record of its table, the fills that belong to it, and then None:

    ("list", N, items)   ("dict", N, keys, values)   ("set", N, items)     what container number N holds
    ("state", object, state)          what an ordinary object holds, a dict or a pair as pickle has it
    ("items", object, items)          what an object that is also a list (or appends) holds
    ("pairs", object, keys, values)   what an object that is also a dict holds
    ("call", function, object, state) what a reducer's own setter does

A tuple cannot be written empty. So of tuples nested in tuples some are written by themselves, innermost first, before
what holds them: as a persistent id ("early", tuple), which leaves the tuple in the memo and means nothing else.

Loading sets lists and ordinary states as they come, and after the last one the rest, from the inside out: what needs
its keys' hashes, and what runs code of the user.
"""

from __future__ import annotations

import copyreg
import pickle
import types
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from . import builders
from .describe import is_a

#: How many tuples deep a pickle may go before it is divided.
_DEPTH = 20

CONTAINERS: dict[type, str] = {list: "list", dict: "dict", set: "set"}


class Early:
    """A tuple that is written before what holds it, for it cannot be written empty and filled later."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


#: What an `Early` is loaded as: the tuple stays in the unpickler's memo.
EARLY = object()


class Queue:
    """What was written empty and has to be filled yet."""

    def __init__(self) -> None:
        self._heights: dict[int, int] = {}  # of tuples, in tuples
        self._open: set[int] = set()
        self._numbers: dict[int, int] = {}
        self._waiting: deque[tuple[Any, ...]] = deque()
        self._keep: list[object] = []  # temporaries live as long as their ids count

    def reference(self, container: Any) -> tuple[str, str, int]:
        """Return the persistent id of a list, dict or set, which is queued when it is met for the first time."""
        kind = CONTAINERS[type(container)]
        number = self._numbers.get(id(container))
        if number is None:
            number = self._numbers[id(container)] = len(self._numbers)
            self._keep.append(container)
            held = (tuple(container), tuple(container.values())) if kind == "dict" else (tuple(container),)
            self._waiting.append((kind, number, *held))
        return ("flat", kind, number)

    def shallow(self, value: Any, reduction: Any) -> Any:
        """Return a reduction without what the object holds, which is queued."""
        if type(reduction) is not tuple or len(reduction) < 3:
            return reduction
        make, arguments, state, items, pairs, setter = (*reduction, None, None, None)[:6]
        if make is copyreg.__newobj__:  # type: ignore[attr-defined]
            make = builders.new_object
        if items is not None:
            self._waiting.append(("items", value, tuple(items)))
        if pairs is not None:
            held = tuple(pairs)
            self._waiting.append(("pairs", value, tuple(k for k, _ in held), tuple(v for _, v in held)))
        if setter is not None:
            self._waiting.append(("call", setter, value, _open(state)))
        elif state is not None:
            self._waiting.append(("state", value, _open(state)))
        return make, arguments

    def write(self, value: Any, dump: Callable[[Any], None]) -> None:
        """Write a value, all fills, those included that are met on the way, and the end mark."""
        self._write(value, dump)
        while self._waiting:
            self._write(self._waiting.popleft(), dump)
        dump(None)

    def _write(self, value: Any, dump: Callable[[Any], None]) -> None:
        for inner in self._deep_tuples(value):
            dump(Early(inner))
        dump(value)

    def _deep_tuples(self, value: Any) -> Iterator[Any]:
        """Yield some of the tuples within tuples, from the inside out, so that none is far from the one before."""
        stack = [value] if _is_deep(value) else []
        while stack:
            top = stack[-1]
            heights = self._heights
            inner = [part for part in tuple.__iter__(top) if is_a(part, tuple)]
            waiting = [part for part in inner if id(part) not in heights]
            if waiting and id(top) not in self._open:
                self._open.add(id(top))
                stack += waiting
                continue
            stack.pop()
            if id(top) not in heights:
                heights[id(top)] = 1 + max((heights.get(id(part), 0) for part in inner), default=0)
                self._keep.append(top)
                if heights[id(top)] % _DEPTH == 0:
                    yield top


def _is_deep(value: Any) -> bool:
    """Tell whether there are tuples in tuples further down than any fill has them by itself."""
    level = [value] if is_a(value, tuple) else []
    for _ in range(_DEPTH // 2):
        level = [part for held in level for part in tuple.__iter__(held) if isinstance(part, tuple)]
        if not level:
            return False
    return True


def _open(state: Any) -> Any:
    """Return a state whose own dicts are written in place, because a setter is called with all of it at once."""
    if type(state) is dict:
        return ("dict", tuple(state), tuple(state.values()))
    if type(state) is tuple and len(state) == 2 and all(type(part) in (dict, types.NoneType) for part in state):
        return ("pair", _open(state[0]) if state[0] is not None else None, _open(state[1]) if state[1] else None)
    return ("plain", state)


def _close(opened: Any) -> Any:
    match opened:
        case ("dict", keys, values):
            return dict(zip(keys, values, strict=True))
        case ("pair", first, second):
            return (_close(first) if first else None, _close(second) if second else None)
        case (_, state):
            return state


class Filler:
    """The other side: containers by number, filled as the fills are read."""

    def __init__(self) -> None:
        self._containers: dict[int, Any] = {}
        self._late: list[tuple[Any, ...]] = []

    def container(self, kind: str, number: int) -> Any:
        """Return container `number`, empty when it is asked for the first time."""
        made = self._containers.get(number)
        if made is None:
            made = self._containers[number] = {"list": list, "dict": dict, "set": set}[kind]()
        return made

    def read(self, reader: pickle.Unpickler) -> None:
        """Read fills up to the end mark, and put everything in its place."""
        while (fill := reader.load()) is not None:
            if fill is EARLY:
                continue
            if fill[0] == "list":
                self.container("list", fill[1]).extend(fill[2])
            elif fill[0] == "state" and not _has_setter(fill[1]):
                builders.set_state(fill[1], _close(fill[2]))
            else:
                self._late.append(fill)
        for fill in reversed(self._late):
            self._fill(fill)
        self._late.clear()

    def _fill(self, fill: tuple[Any, ...]) -> None:
        match fill:
            case ("dict", number, keys, values):
                self.container("dict", number).update(zip(keys, values, strict=True))
            case ("set", number, items):
                self.container("set", number).update(items)
            case ("state", target, state):
                type(target).__setstate__(target, _close(state))
            case ("items", target, items):
                _extend(target, items)
            case ("pairs", target, keys, values):
                for key, value in zip(keys, values, strict=True):
                    target[key] = value
            case ("call", setter, target, state):
                setter(target, _close(state))


def _has_setter(value: Any) -> bool:
    return any("__setstate__" in vars(base) for base in type(value).__mro__)


def _extend(target: Any, items: tuple[Any, ...]) -> None:
    if is_a(target, list):
        list.extend(target, items)
    else:
        for item in items:
            target.append(item)
