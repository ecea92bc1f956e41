"""What must be true of a namespace that came back, stated over two graphs (see `sessions`) and without nbsnap's code.

A **loss** is an object that cannot be saved: running code, an open file, an object that refuses, a placeholder that an
earlier snapshot left. Everything else comes back: the same kinds, contents, order, and every identity between objects,
no more and no fewer. About the losses, the graphs tell apart who holds them:

- where all that leads from a variable to its losses merely holds what is below (`HOLDERS`), a placeholder stands for
  each loss, and for nothing else;
- where something else is on the way (a partial, a key, an object with its own `__setstate__`), the smallest whole is
  not known here, but bounded: what is missing led to a loss, no placeholder stands inside such an object, and if the
  variable is not there at all, the report says so.
"""

from __future__ import annotations

from collections import deque
from typing import Any

#: Kinds of objects that do no more with their parts than hold them. Keys of dicts are no such parts.
HOLDERS = frozenset(
    {
        "list",
        "dict",
        "set",
        "ordered dict",
        "default dict",
        "deque",
        "function",
        "cell",
        "instance",
        "tuple",
        "simple namespace",
        "exception",
    }
)
LOSSES = frozenset({"bad", "hole"})

Ref = list[Any]
Graph = dict[str, Any]


class Losses:
    """Which objects of a graph lead to losses, and whether only through holders."""

    def __init__(self, graph: Graph) -> None:
        self.nodes = graph["nodes"]
        self.leading = self._leading()

    def leads(self, ref: Ref) -> bool:
        """Tell whether a loss is at or below a reference."""
        return any(number in self.leading for number in numbers(ref))

    def is_loss(self, ref: Ref) -> bool:
        """Tell whether a reference is to a loss itself."""
        return ref[0] == "node" and self.nodes[ref[1]]["kind"] in LOSSES

    def is_hole(self, ref: Ref) -> bool:
        """Tell whether a reference is to a placeholder of an earlier snapshot."""
        return ref[0] == "node" and self.nodes[ref[1]]["kind"] == "hole"

    def only_held(self, ref: Ref) -> bool:
        """Tell whether all ways from a reference to losses lead through holders only."""
        todo, seen = [(ref, True)], set()
        while todo:
            here, safe = todo.pop()
            if not self.leads(here):
                continue
            if not safe or here[0] == "method":
                return False
            if here[0] == "node":
                if here[1] not in seen:
                    seen.add(here[1])
                    todo.extend(self.parts(here[1]))
            else:
                todo.extend((part, True) for part in inner(here))
        return True

    def below(self, ref: Ref) -> set[int]:
        """Return the numbers of all objects at or below a reference, classes' attributes apart."""
        todo, found = numbers(ref), set[int]()
        while todo:
            number = todo.pop()
            if number not in found:
                found.add(number)
                todo.extend(part for _, held in parts_of(self.nodes[number]) for part in numbers(held))
        return found

    def parts(self, number: int) -> list[tuple[Ref, bool]]:
        """Return what an object holds, each with whether it merely holds it. A class's attributes are no parts."""
        node = self.nodes[number]
        return [(ref, node["kind"] in HOLDERS and not label.startswith(".keys")) for label, ref in parts_of(node)]

    def _leading(self) -> set[int]:
        held_by: dict[int, list[int]] = {}
        for number, node in enumerate(self.nodes):
            for _, ref in parts_of(node):
                for part in numbers(ref):
                    held_by.setdefault(part, []).append(number)
        todo = [number for number, node in enumerate(self.nodes) if node["kind"] in LOSSES]
        found: set[int] = set()
        while todo:
            number = todo.pop()
            if number not in found:
                found.add(number)
                todo.extend(held_by.get(number, ()))
        return found


def parts_of(node: dict[str, Any]) -> list[tuple[str, Ref]]:
    """Return an object's edges along which a loss below is a loss of the object."""
    if node["kind"] == "class":
        return []
    return [(label, ref) for label, ref in node["edges"] if label not in (".__class__", ".__globals__")]


def inner(ref: Ref) -> list[Ref]:
    """Return the references inside one that is not to a node."""
    match ref:
        case ["tuple", refs]:
            return list(refs)
        case ["frozenset", pairs]:
            return [part for _, part in pairs]
        case ["member", cls, *_]:
            return [cls]
        case ["method", target, function]:
            return [target, function]
    return []


def numbers(ref: Ref) -> list[int]:
    """Return the numbers of all nodes that a reference names."""
    return [ref[1]] if ref[0] == "node" else [number for part in inner(ref) for number in numbers(part)]


class Comparison:
    """One graph against the graph of what came back, variable by variable; `problems` says what is wrong."""

    def __init__(self, before: Graph, after: Graph) -> None:
        self.before, self.after = before, after
        self.losses = Losses(before)
        self.there: dict[int, int | str] = {}
        self.back: dict[int, int] = {}
        self.queue: deque[tuple[str, Ref, Ref, bool]] = deque()
        self.held: set[int] = set()  # what the compared variables keep alive
        self.problems: list[str] = []

    def run(self, names: list[str], skips: list[dict[str, Any]]) -> list[str]:
        """Compare these variables of the earlier graph with those of the later one; return what is wrong."""
        told = {skip["name"] for skip in skips}
        gone = {skip["name"] for skip in skips if skip["kind"] == "skipped"}
        for name in names:
            ref = self.before["variables"][name]
            if name in self.after["variables"]:
                if name in gone:
                    self.problems.append(f"{name} is reported as skipped, and is there")
                exact = self.losses.only_held(ref)
                self.queue.append((name, ref, self.after["variables"][name], exact))
            elif not self.losses.leads(ref):
                self.problems.append(f"{name} holds nothing that cannot be saved, and is not there")
            elif name not in gone:
                self.problems.append(f"{name} is not there, and no line says so")
            elif self.losses.only_held(ref) and not self.losses.is_loss(ref):
                self.problems.append(f"{name} is not there, though a placeholder could stand in it")
        self.problems += self.untold(told)
        self.held = self.strongly([ref for _, ref, _, _ in self.queue])
        while self.queue and not self.problems:
            self.step(*self.queue.popleft())
        return self.problems

    def strongly(self, refs: list[Ref]) -> set[int]:
        """Return the numbers of all objects that these references keep alive."""
        todo = [number for ref in refs for number in numbers(ref)]
        found: set[int] = set()
        while todo:
            number = todo.pop()
            if number not in found:
                found.add(number)
                edges = self.before["nodes"][number]["edges"]
                todo.extend(part for label, ref in edges if label != "()" for part in numbers(ref))
        return found

    def untold(self, told: set[str]) -> list[str]:
        """Return the losses in variables about which no line names any of the variables that lead there."""
        leading: dict[int, set[str]] = {}
        for name, ref in self.before["variables"].items():
            for number in self.losses.below(ref):
                if self.losses.is_loss(["node", number]):
                    leading.setdefault(number, set()).add(name)
        return [f"no line tells of the loss in {sorted(names)}" for names in leading.values() if not names & told]

    def step(self, way: str, one: Ref, other: Ref, exact: bool) -> None:
        if other[0] == "node" and self.after["nodes"][other[1]]["kind"] == "hole":
            self.hole(way, one, exact)
        elif other == ["atom", "gone"] and one[0] == "node" and one[1] not in self.held:
            return  # a weak reference to what was not restored
        elif self.losses.is_loss(one):
            self.problems.append(f"{way} is a loss, and {self.shown(other)} stands there")
        elif one[0] != other[0]:
            self.problems.append(f"{way} was {one[0]} {self.shown(one)}, is {self.shown(other)}")
        elif one[0] == "node":
            self.pair(way, one[1], other[1], exact)
        elif one[0] == "frozenset":
            self.unordered(way, one[1], other[1], exact)
        elif inner(one):
            if len(inner(one)) != len(inner(other)) or (one[0] == "member" and one[2:] != other[2:]):
                self.problems.append(f"{way} was {one}, is {other}")
            self.queue.extend(
                (f"{way}({i})", a, b, exact) for i, (a, b) in enumerate(zip(inner(one), inner(other), strict=False))
            )
        elif one != other:
            self.problems.append(f"{way} was {one}, is {other}")

    def hole(self, way: str, one: Ref, exact: bool) -> None:
        if one[0] == "node" and self.there.setdefault(one[1], "hole") != "hole":
            self.problems.append(f"{way} is a placeholder here, and whole elsewhere")
        if not self.losses.leads(one):
            self.problems.append(f"{way} could be saved, and is a placeholder")
        if exact and not self.losses.is_loss(one):
            self.problems.append(f"{way} is a placeholder, though what is inside it could be left out alone")

    def pair(self, way: str, one: int, other: int, exact: bool) -> None:
        if one in self.there:
            if self.there[one] != other:
                self.problems.append(f"{way} was one object with another, and is not any more")
            return
        if other in self.back:
            self.problems.append(f"{way} was an object of its own, and is one with another now")
            return
        self.there[one], self.back[other] = other, one
        a, b = self.before["nodes"][one], self.after["nodes"][other]
        if a["kind"] != b["kind"] or a["facts"] != b["facts"]:
            self.problems.append(f"{way} was {a['kind']} {a['facts']}, is {b['kind']} {b['facts']}")
            return
        if a["kind"] == "set":
            self.unordered(way, a["edges"], b["edges"], exact)
            return
        mine, theirs = a["edges"], b["edges"]
        if a["kind"] == "class":  # an attribute that holds a loss is left out
            there = {label for label, _ in theirs}
            mine = [[label, ref] for label, ref in mine if label in there or not self.losses.leads(ref)]
        if [label for label, _ in mine] != [label for label, _ in theirs]:
            self.problems.append(f"{way} had {[label for label, _ in mine]}, has {[label for label, _ in theirs]}")
            return
        holds = a["kind"] in HOLDERS or a["kind"] in ("class", "weak reference", "object array")
        for (label, x), (_, y) in zip(mine, theirs, strict=True):
            is_hole = y[0] == "node" and self.after["nodes"][y[1]]["kind"] == "hole"
            if is_hole and (not holds or label.startswith(".keys")) and not self.losses.is_hole(x):
                self.problems.append(f"{way}{label} is a placeholder inside an object that may take it apart")
            self.queue.append((way + label, x, y, exact))

    def unordered(self, way: str, mine: list[Any], theirs: list[Any], exact: bool) -> None:
        """Compare the elements of sets, each with a key that tells it from the others."""
        if len(mine) != len(theirs):
            self.problems.append(f"{way} had {len(mine)} elements, has {len(theirs)}")
            return
        left: dict[str, list[Ref]] = {}
        for key, ref in theirs:
            left.setdefault(key, []).append(ref)
        pairs = [(ref, left[key].pop()) if left.get(key) else (ref, None) for key, ref in mine]
        rest = [ref for refs in left.values() for ref in refs]
        self.queue.extend((f"{way}{{…}}", a, b if b is not None else rest.pop(), exact) for a, b in pairs)

    def shown(self, ref: Ref) -> str:
        return f"{ref[0]} {ref[1:]}"
