"""A portrait of a session: which objects it has and how they hang together, to be compared with what came back.

`take` walks from the variables and writes a graph of plain data: a list of nodes, each with what `looking` says of one
object, and a reference to each of its parts. `compare` walks the restored variables along such a graph, side by side,
and names the first way on which something is not what it was. Objects that can change must also be one where they were
one. A portrait has a limit; what lies behind it was not compared, and is told.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .looking import Looker, View, atom, said
from .pickling import reason
from .placeholder import Placeholder
from .quiet import unhurried

LIMIT = 100_000  # objects that a portrait holds
SECONDS = 5.0  # that one is given
_STEPS = 16  # of a way that are told

#: A reference: the text of an atom, or the number of a node; -1 for what lies behind the limit.
Ref = str | int
Portrait = dict[str, Any]
#: A way to a part: the way to what holds it, and the last step; deep ones must not be copied at every step.
Way = tuple[Any, str]

CUT = -1


@unhurried()
def take(names: Mapping[str, Any], namespace: dict[str, Any], order: Iterable[str]) -> Portrait:
    """Return the portrait of the variables `names`, those that come first in `order` first, where there is a limit."""
    looker = Looker(namespace)
    nodes: list[list[Any]] = []
    numbers: dict[int, int] = {}
    queue: deque[tuple[int, Any]] = deque()
    until = time.perf_counter() + SECONDS

    def reference(value: Any) -> Ref:
        if (token := atom(value)) is not None:
            return token
        number = numbers.get(id(value))
        if number is None:
            if len(nodes) >= LIMIT or time.perf_counter() > until:
                return CUT
            number = numbers[id(value)] = len(nodes)
            nodes.append([])
            looker.keep.append(value)
            queue.append((number, value))
        return number

    variables: dict[str, Ref] = {}
    for name in order:
        variables[name] = reference(names[name])
        while queue:
            number, value = queue.popleft()
            view = looker.look(value)
            nodes[number] = [*view[:3], [reference(part) for part in view.parts], *view[4:]]
    return {"nodes": nodes, "variables": variables}


@dataclass
class Found:
    """What a comparison found about one variable."""

    differs: list[tuple[str, str]] = field(default_factory=list)  # (path, what): of the user's
    unsure: list[tuple[str, str]] = field(default_factory=list)  # of a library's, or not compared
    through: dict[str, None] = field(default_factory=dict)  # variables by way of which it was compared


@unhurried()
def compare(portrait: Portrait, names: Mapping[str, Any], namespace: dict[str, Any]) -> dict[str, Found]:
    """Return, for each variable of the portrait that is in `names`, how it differs from what it was."""
    return _Comparison(portrait["nodes"], Looker(namespace)).run(portrait["variables"], names)


class _Comparison:
    def __init__(self, nodes: list[list[Any]], looker: Looker) -> None:
        self.nodes = nodes
        self.looker = looker
        self.there: dict[int, tuple[int, Way]] = {}  # node -> id of what it is now, and where that was met
        self.back: dict[int, int] = {}
        self.seen: dict[tuple[int, int], str] = {}  # pairs that were compared -> by way of which variable
        self.queue: deque[tuple[Way, Ref, Any, bool]] = deque()

    def run(self, variables: Mapping[str, Ref], names: Mapping[str, Any]) -> dict[str, Found]:
        found = {name: Found() for name in variables if name in names}
        for name, result in found.items():
            self.queue.append((((), name), variables[name], names[name], True))
            try:
                while self.queue:
                    self.step(name, result, *self.queue.popleft())
            except (Exception, SystemExit) as error:  # the user's code, in what an object says of itself
                result.unsure.append((name, f"cannot be compared: {reason(error)}"))
                self.queue.clear()
        for result in found.values():
            _follow(result, found)
        return found

    def step(self, name: str, result: Found, way: Way, ref: Ref, value: Any, own: bool) -> None:
        """Compare one part with what it was; queue its parts."""
        if type(value) is Placeholder:
            return  # it is told by itself
        if ref == CUT:
            if atom(value) is None and not result.unsure:
                result.unsure.append((_path(way), "lies behind the limit up to which values are compared"))
            return
        token = atom(value)
        if isinstance(ref, str) or token is not None:
            if ref != token:
                was = said(ref) if isinstance(ref, str) else _named(self.nodes[ref][0])
                now = said(token) if token is not None else _named(self.looker.look(value).kind)
                what = f"was {was}, is {now if now != was else 'another'}"
                if own or not way[1].startswith("._"):  # what a library keeps for itself is its own affair
                    (result.differs if own else result.unsure).append((_path(way), what))
            return
        pair = ref, id(value)
        if (before := self.seen.get(pair)) is not None:
            if before != name:
                result.through[before] = None
            return
        self.seen[pair] = name
        was_view = _view(self.nodes[ref])
        view = self.looker.look(value)
        self.looker.keep.append(value)
        if was_view.kind == "placeholder":
            return
        owned = own if was_view.own is None else was_view.own
        problems = result.differs if owned else result.unsure
        if own and was_view.one and view.one:
            met, where = self.there.setdefault(ref, (id(value), way))
            if met != id(value):
                problems.append((_path(way), f"was one object with {_path(where)}, and is not any more"))
            elif self.back.setdefault(id(value), ref) != ref:
                problems.append((_path(way), "was an object of its own, and is one with another now"))
        self.against(way, was_view, view, problems, ref, owned)
        if was_view.blind or view.blind:
            result.unsure.append((_path(way), was_view.blind or view.blind))

    def against(self, way: Way, was: View, now: View, problems: list[tuple[str, str]], ref: int, owned: bool) -> None:
        if was.kind != now.kind:
            problems.append((_path(way), f"was {_named(was.kind)}, is {_named(now.kind)}"))
            return
        labels = list(was.labels)
        before, after = set(labels), set(now.labels)
        if not owned:  # caches and counters of a library's
            before, after = ({label for label in held if not label.startswith("._")} for held in (before, after))
        if was.kind in _ELEMENTS:
            before = after = set()
        if lost := [label for label in labels if label in before - after]:
            problems.append((_path(way), f"has lost {_listed(lost)}"))
        elif more := [label for label in now.labels if label in after - before]:
            problems.append((_path(way), f"has {_listed(more)}, which it had not"))
        elif was.kind == "dict" and was.fact != now.fact and sorted(map(str, was.fact)) == sorted(map(str, now.fact)):
            if owned:
                problems.append((_path(way), "has its keys in another order"))
        elif was.fact != now.fact:
            problems.append((_path(way), _fact(was, now)))
        refs = self.nodes[ref][3]
        if labels == list(now.labels):
            pairs = list(zip(labels, refs, now.parts, strict=True))
        else:
            many = {label for held in (labels, now.labels) for label, count in Counter(held).items() if count > 1}
            there = {label: part for label, part in zip(now.labels, now.parts, strict=True) if label not in many}
            pairs = [(label, part, there[label]) for label, part in zip(labels, refs, strict=True) if label in there]
        for label, part, value in pairs:
            if type(part) is str and part == atom(value):
                continue
            self.queue.append(((way, label), part, value, owned))


def _view(node: list[Any]) -> View:
    """Return what a portrait says of an object, without its parts."""
    kind, fact, labels, _, own, one, blind = node
    return View(kind, fact, labels, (), own, one, blind)


def _path(way: Way) -> str:
    """Return a way as a report shows it, with its middle left out where it is long."""
    steps: list[str] = []
    at: Any = way
    while at:
        at, step = at
        steps.append(step.rstrip())
    steps.reverse()
    if len(steps) > _STEPS:
        steps[_STEPS // 2 : -_STEPS // 2] = [f"[… {len(steps) - _STEPS:,} steps …]"]
    return "".join(steps)


def _follow(result: Found, found: Mapping[str, Found]) -> None:
    """Let a variable have the differences of what it shares with others."""
    todo, seen = deque(result.through), set[str]()
    while todo:
        other = todo.popleft()
        if other not in seen:
            seen.add(other)
            if (there := found.get(other)) is not None and there is not result:
                result.differs += [pair for pair in there.differs if pair not in result.differs]
                result.unsure += [pair for pair in there.unsure if pair not in result.unsure]
                todo += there.through


#: Where labels are no more than places, and the fact tells how many there are.
_ELEMENTS = frozenset({"list", "tuple", "set", "frozenset", "numpy.ndarray"})


def _fact(was: View, now: View) -> str:
    if was.kind == "function":
        return "has other code than it had"
    if isinstance(was.fact, str) and isinstance(now.fact, str) and was.fact.startswith(("int ", "float ", "text ")):
        return f"was {said(was.fact)}, is {said(now.fact)}"
    if was.kind in ("list", "tuple", "dict", "set", "frozenset"):
        a, b = _length(was.fact), _length(now.fact)
        if a != b:
            return f"had {a:,} elements, has {b:,}"
        at = next((n for n, (x, y) in enumerate(zip(was.fact[1:], now.fact[1:], strict=False)) if x != y), 0)
        if was.kind == "list" and len(was.fact) > 2:
            return f"has other elements than it had, from [{at * 4096}] on"
        return "has other elements than it had"
    if was.kind == "numpy.ndarray":
        if was.fact[:2] != now.fact[:2]:
            return f"was {was.fact[0]} of shape {tuple(was.fact[1])}, is {now.fact[0]} of shape {tuple(now.fact[1])}"
        return "has other numbers than it had"
    return "is not what it was"


def _length(fact: Any) -> int:
    if isinstance(fact, int):
        return fact
    return fact[0] if fact and isinstance(fact[0], int) else len(fact)


def _named(kind: str) -> str:
    name = kind.removeprefix("__main__.").removeprefix("builtins.")
    return name if name == "None" else f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}"


def _listed(labels: list[str]) -> str:
    shown = [label.lstrip(".") or label for label in labels[:4]]
    rest = len(labels) - len(shown)
    return ", ".join(shown) + (f" and {rest:,} more" if rest else "")
