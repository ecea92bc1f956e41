"""Random sessions: what `diff` says, against the graphs of objects before and after, which know nothing of nbsnap.

What is as before by `diff` is the same graph: no change is missed, however deep it is. (The other way round it is not
always so: to describe a `partial` gives it an attribute dict, with which it is pickled otherwise.)
"""

from __future__ import annotations

from typing import Any

import pytest
from core.isomorphism import LOSSES, numbers
from core.test_graphs import Machine, Session, template
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

__all__ = ["template"]  # the fixture


class Compared(Machine):
    """The machine of the random graphs, which also asks what has changed since the snapshot."""

    def restore_elsewhere(self, only: list[str]) -> None:
        """That is what `test_graphs` is for."""

    def load(self, session: Session, only: list[str]) -> Any:
        """Restore, without looking at what came."""
        return session("load", store=self.store, notebook="n", only=only)

    @precondition(lambda self: self.graph is not None)
    @rule()
    def differ(self) -> None:
        """Ask what has changed, and compare what is said with what is true."""
        assert self.graph is not None
        asked = self.session("diff", store=self.store, notebook="n", engine=self.engine)
        said = {change["name"]: change["change"] for change in asked["report"]["changes"]}
        lost = {skip["name"] for skip in asked["report"]["not_compared"]}
        before, after = self.graph, asked["graph"]
        wrong = []
        for name in sorted({*before["variables"], *after["variables"]}):
            there = name in before["variables"], name in after["variables"]
            if there != (True, True):
                expected = "added" if there[1] else "removed"
                if said.get(name) != expected and name not in lost:
                    wrong.append(f"{name}: {said.get(name)}, and is {expected}")
                continue
            if leads_to_losses(before, name) or leads_to_losses(after, name):
                continue
            problems = different(before, after, name)
            if problems and name not in said:
                wrong.append(f"{name}: as before, and is not: {problems}")
        assert not wrong, self.told(wrong)


def leads_to_losses(graph: dict[str, Any], name: str) -> bool:
    """Tell whether what a variable leads to, classes included, holds anything that cannot be saved."""
    todo, seen = numbers(graph["variables"][name]), set[int]()
    while todo:
        number = todo.pop()
        if number not in seen:
            seen.add(number)
            todo.extend(part for _, held in graph["nodes"][number]["edges"] for part in numbers(held))
    return any(graph["nodes"][number]["kind"] in LOSSES for number in seen)


def different(before: dict[str, Any], after: dict[str, Any], name: str) -> str:
    """Return where the graphs of a variable differ, or "" if they are the same."""
    pairs: dict[int, int] = {}
    todo = [(name, before["variables"][name], after["variables"][name])]
    while todo:
        where, one, other = todo.pop()
        if one[0] != other[0] or (one[0] in ("atom", "name") and one != other):
            return f"{where}: {one} was {other}"
        if one[0] != "node":
            if len(one) != len(other):
                return f"{where}: {one} was {other}"
            for at, (part, counterpart) in enumerate(zip(one[1:], other[1:], strict=True)):
                todo.extend(refs(f"{where}.{at}", part, counterpart))
            continue
        if one[1] in pairs:
            if pairs[one[1]] != other[1]:
                return f"{where}: another object"
            continue
        pairs[one[1]] = other[1]
        nodes = before["nodes"][one[1]], after["nodes"][other[1]]
        if any(nodes[0][key] != nodes[1][key] for key in ("kind", "facts")):
            return f"{where}: {nodes[0]['kind']} {nodes[0]['facts']} is {nodes[1]['kind']} {nodes[1]['facts']}"
        edges = [dict(node["edges"]) for node in nodes]
        if edges[0].keys() != edges[1].keys():
            return f"{where}: {sorted(edges[0])} are {sorted(edges[1])}"
        # which array owns a memory that several show is no content: after a restore none does
        todo.extend((f"{where}{label}", ref, edges[1][label]) for label, ref in edges[0].items() if label != ".base")
    return ""


def refs(where: str, one: Any, other: Any) -> list[tuple[str, Any, Any]]:
    """Return pairs of references in what a reference holds in place."""
    if isinstance(one, list) and isinstance(other, list) and one and isinstance(one[0], str) and one[0] in KINDS:
        return [(where, one, other)]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [pair for parts in zip(one, other, strict=True) for pair in refs(where, *parts)]
    return [] if one == other else [(where, ["atom", str(one)], ["atom", str(other)])]


KINDS = {"node", "atom", "name", "live", "tuple", "frozenset", "member", "method"}


def run(template: str, engine: str, examples: int, steps: int, **more: Any) -> None:
    """Compare random sessions: the same at each run, so that none fails that has nothing to do with a change."""
    machine = type("Sessions", (Compared,), {"path": template, "engine": engine})
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    options = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=checks, print_blob=False,
        **({"derandomize": True, "database": None, "phases": [Phase.generate]} | more),
    )  # fmt: skip
    run_state_machine_as_test(machine, settings=options)


@pytest.mark.parametrize(("engine", "examples"), [("auto", 25), ("dill", 5)])
def test_no_change_is_missed(template: str, engine: str, examples: int) -> None:
    """Whatever was typed since the snapshot, what is called as before is as before."""
    run(template, engine, examples, 6)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["auto", "dill"])
def test_no_change_is_missed_in_more_sessions(template: str, engine: str) -> None:
    """The same, with more sessions, and longer ones."""
    run(template, engine, 25, 8)
