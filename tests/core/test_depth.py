"""Structures nested far deeper than any pickler goes: they come back whole, or with the one bad part left out."""

from __future__ import annotations

from typing import Any


def test_tuples_in_tuples_come_back(two_shells: Any) -> None:
    """A list of cons cells, of named tuples, and tuples that hold lists and dicts that hold tuples."""
    report = two_shells.save(
        "from typing import Any, NamedTuple\n"
        "cells = ()\nfor i in range(50_000): cells = (i, cells)\n"
        "class Cons(NamedTuple):\n    value: int\n    rest: Any\n"
        "named = None\nfor i in range(10_000): named = Cons(i, named)\n"
        "mixed = None\nfor i in range(2_000): mixed = ([i], (mixed, {'at': (i,)}))\n"
        "ring = []; tail = (ring,)\nfor i in range(2_000): tail = (tail, i)\nring.append(tail)\n"
        "def length(t):\n    n = 0\n    while t: t = t[1]; n += 1\n    return n\n"
    )
    assert report["skipped"] == []
    _, wrong = two_shells.restore(
        {
            "cells": "length(cells) == 50_000 and cells[0] == 49_999",
            "named": "length(named) == 10_000 and type(named.rest.rest) is Cons and named.rest.value == 9_998",
            "mixed": "mixed[0] == [1999] and mixed[1][0][0] == [1998] and mixed[1][0][1][1] == {'at': (1998,)}",
            "ring": "ring[0] is tail",
        }
    )
    assert wrong == {}


def test_a_bad_part_far_down_costs_itself_only(two_shells: Any) -> None:
    """The line about it tells both ends of the way, not all of it."""
    report = two_shells.save(
        "class Node:\n    def __init__(self, rest): self.rest, self.bad = rest, None\n"
        "node = None\nfor i in range(5_000):\n    node = Node(node)\n    if i == 2_000: node.bad = (n for n in [1])\n"
        "nest = []\nfor i in range(5_000): nest = [nest, (n for n in [1]) if i == 2_000 else None]\n"
    )
    lines = {skip["name"]: skip for skip in report["skipped"]}
    assert set(lines) == {"node", "nest"}
    assert all(line["kind"] == "partly" and len(line["reason"]) < 300 for line in lines.values())
    assert "steps" in lines["node"]["path"]
    assert lines["node"]["path"].endswith(".bad")
    _, wrong = two_shells.restore(
        {
            "node": "(lambda n: [n := n.rest for _ in range(2_999)][-1])(node).bad.__class__.__name__ == 'Placeholder'",
            "good": "type(node.rest.rest) is Node and len(nest) == 2 and nest[1] is None",
        }
    )
    assert wrong == {}
