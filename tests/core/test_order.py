"""The same state gives the same bytes, whatever the hash seed: what a restart does not change is not stored again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nbsnap.ordering import ordered

SESSION = """
import collections, datetime, enum
words = {'a', 'bb', 'ccc', 'd' * 9, 'é'}; frozen = frozenset(words); big = {str(n) for n in range(5_000)}
mixed = {'a', 1, None, (1, 'x'), frozenset({'p', 'q'}), b'z', datetime.date(2020, 1, 1), 2.5}
class Colour(enum.Enum):
    RED = 1; BLUE = 2; GREEN = 3
colours = {Colour.RED, Colour.BLUE, Colour.GREEN}; keyed = {frozen: 1, 'k': {'u', 'v', 'w'}}
class Thing:
    tags = {'t1', 't2', 't3'}
    def __init__(self): self.own = {'q', 'r', 's'}
    def has(self, x): return x in {'x', 'y', 'z'}
thing = Thing(); things = [Thing() for _ in range(3)]; kinds = {int, str, Thing, dict}
def allowed(x, among={'a', 'b', 'c'}): return x in among
rows = [{'m', 'n'}] * 3; deep = {'x': [{'name': str(n), 'tags': {f't{n}', 'u', 'v'}} for n in range(50)]}
class Node: pass
node = Node(); node.others = {node}; node.names = {'i', 'j', 'k'}
tagged = [{'id': n, 'tags': {f't{n % 9}', f'u{n % 5}', 'all'}, 'by': 'me'} for n in range(2_000)]
several = [Thing() for _ in range(1_000)]; lone = {'one', 'two', 'three'}; few = [1, 'a', {'b': 2}]
some = {3: {'x', 'y'}}
"""


def test_another_process_with_another_seed_stores_nothing_new(two_shells: Any) -> None:
    """Of the second and third snapshot only the record is new, no piece."""
    new = []
    for seed in ("1", "2", "77"):
        two_shells.env["PYTHONHASHSEED"] = seed
        report = two_shells.save(SESSION)
        assert report["skipped"] == []
        new.append(report["new_bytes"])
    assert new[0] > 0
    assert new[1:] == [0, 0]


def test_sets_come_back_as_they_were(two_shells: Any) -> None:
    """Equal, of the same kind, shared where they were shared, and with themselves inside where they were."""
    two_shells.save(SESSION)
    _, wrong = two_shells.restore(
        {
            "values": "words == {'a', 'bb', 'ccc', 'd' * 9, 'é'} and frozen == words and type(frozen) is frozenset",
            "mixed": "len(mixed) == 8 and frozenset({'q', 'p'}) in mixed and len(big) == 5_000 and '4999' in big",
            "shared": "rows[0] is rows[1] and keyed[frozenset(words)] == 1 and keyed['k'] == {'u', 'v', 'w'}",
            "cycle": "node in node.others and len(node.others) == 1",
            "types": "colours == set(Colour) and Thing in kinds and thing.own == {'q', 'r', 's'}",
        }
    )
    assert wrong == {}


@pytest.mark.parametrize(
    "left",
    [{1, 2}, frozenset({1.5, True}), {Path("."), object()}, {object(), object()}],
    ids=["int", "float", "two", "none"],
)
def test_what_has_its_order_or_none_is_left_alone(left: Any) -> None:
    """Numbers hash to themselves everywhere; plain objects have nothing but their addresses."""
    assert ordered(left) is None
