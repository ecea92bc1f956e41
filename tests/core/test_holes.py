"""One part that cannot be saved costs that part: a placeholder stands there, and the rest of the object comes back."""

from __future__ import annotations

import itertools
import types
from typing import Any

import pytest

import nbsnap
from nbsnap.placeholder import Placeholder, PlaceholderError

SESSION = """
import collections, dataclasses, functools
def g(): return (x for x in [1])
rows = g()
cfg = {'a': 1, 'bad': rows, 't': (1, g()), 's': {1, 2}}
second = [rows, 7]
class Plain: pass
plain = Plain(); plain.callbacks = [1, Plain()]; plain.callbacks[1].sock = g(); plain.ok = 5
@dataclasses.dataclass
class D:
    x: object
    y: int
@dataclasses.dataclass(frozen=True, slots=True)
class F:
    x: object
    y: int
d, f = D(g(), 2), F(g(), 2)
def make():
    lost, kept = g(), 3
    return lambda: (lost, kept)
closure = make()
def default(x=g(), y=2): return y
def keyword(*, x=g(), y=2): return y
Pair = collections.namedtuple('Pair', 'a b'); pair = Pair(1, g())
ordered = collections.OrderedDict(a=g(), b=1); many = [g() for _ in range(300)] + ['end']
key = {g(): 1, 'ok': 2}; around_key = {'k': key, 'z': 1}
part = functools.partial(print, g()); around_part = {'p': part, 'x': 1}
class Own:
    def __setstate__(self, state): self.__dict__.update(state); self.n = len(list(self.g))
own = Own(); own.g = g(); around_own = [own, 7]
class Holder:
    def get(self): return self.ok
holder = Holder(); holder.g = g(); holder.ok = 4; method = holder.get
by_method = {'m': own.__setstate__, 'x': 1}
by_func = {'p': functools.partial(closure, 1), 'q': functools.partial(g().send, 1)}
import numpy as np, types
cells = np.array([1, g(), 'a'], dtype=object); grid = np.array([[None, g()]], dtype=object)
space = types.SimpleNamespace(a=1, b=g()); error = ValueError('v'); error.rows = g()
"""


def test_the_good_part_comes_back(two_shells: Any) -> None:
    """Containers, plain and data classes, closures, defaults keep all but the bad part, and the report says which."""
    report = two_shells.save(SESSION)
    by_kind: dict[str, dict[str, list[str]]] = {}
    for skip in report["skipped"]:
        by_kind.setdefault(skip["kind"], {}).setdefault(skip["name"], []).append(skip["path"])
    assert by_kind["skipped"] == {"rows": ["rows"], "key": ["key.keys()[0]"], "own": ["own.g"]}
    assert by_kind["partly"] == {
        "cfg": ["cfg['bad']", "cfg['t'][1]"],
        "second": ["second[0]"],
        "plain": ["plain.callbacks[1].sock"],
        "d": ["d.x"],
        "f": ["f.x"],
        "closure": ["closure.<closure lost>"],
        "default": ["default.<default>"],
        "keyword": ["keyword.<default>"],
        "pair": ["pair[1]"],
        "ordered": ["ordered['a']"],
        "many": ["many[0]", "many[1]", "many[2]", "many"],
        "around_key": ["around_key['k']"],
        "part": ["part.args[0]"],
        "around_part": ["around_part['p'].args[0]"],
        "around_own": ["around_own[0]"],
        "holder": ["holder.g"],
        "by_method": ["by_method['m']"],
        "by_func": ["by_func['q']", "by_func['p'].func.<closure lost>"],
        "method": ["method.__self__.g"],
        "cells": ["cells[1]"],
        "grid": ["grid.flat[1]"],
        "space": ["space.b"],
        "error": ["error.rows"],
    }
    restored, wrong = two_shells.restore(
        {
            "cfg": "cfg['a'] == 1 and cfg['t'][0] == 1 and cfg['s'] == {1, 2} and 'rows' not in globals()",
            "repr": "repr(cfg['bad']).startswith(\"<placeholder for cfg['bad'], a generator that was not saved\")",
            "shared": "second[0] is cfg['bad'] and second[1] == 7",
            "plain": "plain.ok == 5 and plain.callbacks[0] == 1 and type(plain.callbacks[1]) is Plain",
            "data": "d.y == 2 and type(d) is D and f.y == 2 and type(f) is F",
            "functions": "closure()[1] == 3 and default() == keyword() == 2",
            "containers": "pair.a == 1 and type(pair) is Pair and ordered['b'] == 1 and many[300] == 'end'",
            "holders": "around_key['z'] == 1 and around_part['x'] == 1 and around_own[1] == 7",
            "partial": "part.func is print and around_part['p'] is part and by_func['p'].func is closure",
            "method": "method.__self__ is holder and method() == 4 and by_method['x'] == 1",
            "arrays": "cells[0] == 1 and cells[2] == 'a' and grid.shape == (1, 2)",
            "more": "space.a == 1 and error.args == ('v',)",
            "whole": "not {'key', 'own'} & set(globals())",
        }
    )
    assert wrong == {}
    assert restored["failed"] == []
    assert {skip["name"] for skip in restored["not_saved"]} == {skip["name"] for skip in report["skipped"]}


def test_a_placeholder_cannot_be_used_and_says_why() -> None:
    """Attribute, call, iteration, arithmetic, truth, item: each is an error that says what was there."""
    stands = Placeholder("cfg['x']", "generator", "cannot be saved", "cfg was made in In [3]: cfg = {}")
    for use in (
        lambda: stands.send,
        lambda: stands(),
        lambda: list(stands),
        lambda: stands + 1,
        lambda: 1 + stands,
        lambda: bool(stands),
        lambda: stands[0],
        lambda: len(stands),
        lambda: stands < 1,
        lambda: float(stands),
        lambda: setattr(stands, "x", 1),
    ):
        with pytest.raises(
            PlaceholderError, match=r"cfg\['x'\] was a generator and was not saved: cannot be saved"
        ) as e:
            use()
        assert "In [3]: cfg = {}" in str(e.value)
    assert not hasattr(stands, "_repr_html_")
    assert stands == stands


def test_placeholders_are_told_again_in_the_next_snapshot(tmp_path: Any) -> None:
    """They are saved as what they are, and the report goes on saying that something is missing."""
    source = {"cfg": {"a": 1, "bad": (x for x in ())}}
    nbsnap.snapshot(source, store=tmp_path / "s", notebook="n")
    target: dict[str, Any] = {}
    nbsnap.restore(namespace=target, store=tmp_path / "s", notebook="n")
    report = nbsnap.snapshot(target, store=tmp_path / "s", notebook="n")
    (skip,) = report.skipped
    assert (skip.kind, skip.path) == ("partly", "cfg['bad']")
    again: dict[str, Any] = {}
    nbsnap.restore(namespace=again, store=tmp_path / "s", notebook="n")
    assert repr(again["cfg"]["bad"]) == repr(target["cfg"]["bad"])


def test_what_is_made_around_a_dict_keeps_its_good_part() -> None:
    """A read-only dict, a view, a key that hashes by identity: none of them looks into what it is given."""
    from nbsnap.capture import take_apart

    bad = (x for x in ())

    def key() -> Any:
        return bad

    for holder, path in (
        (types.MappingProxyType({1: [bad]}), "v['h'][1][0]"),
        ({"k": [bad]}.values(), "v['h'].mapping['k'][0]"),
        ({key: 1}, "v['h'].keys()[0].<closure bad>"),
    ):
        taken = take_apart({"v": {"h": holder, "ok": 1}}, ["v"])
        assert [skip.path for skip in taken.skips] == [path]


def test_nothing_that_takes_it_apart_is_given_a_placeholder() -> None:
    """Where an object with its own ways of being saved holds the bad part, at any depth, all of that object goes."""
    from nbsnap.capture import take_apart

    def bad() -> Any:
        return [(x for x in ())]

    for holder in (itertools.repeat(bad()), enumerate([bad()]), {(1, bad()[0]): 1}):
        taken = take_apart({"v": {"h": holder, "ok": 1}}, ["v"])
        assert [skip.path for skip in taken.skips] == ["v['h']"], holder
