"""Which variables travel together: those that share something that can change, and no others."""

from __future__ import annotations

import gc
import pickle
import random
import sys
import types
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nbsnap import sharing
from nbsnap.capture import take_apart
from nbsnap.model import Content
from nbsnap.plain import survey
from nbsnap.teams import together


def partition(**names: Any) -> set[frozenset[str]]:
    """Which variables share a memo: those of a group, but of a batch each has its own."""
    taken = take_apart(names, list(names))
    assert taken.skips == ()
    groups, _ = taken.write(lambda data: Content(0))
    whole = {frozenset(group.variables) for group in groups if group.engine != "batch" and group.variables}
    return whole | {frozenset({name}) for group in groups if group.engine == "batch" for name in group.variables}


def apart(*names: str) -> set[frozenset[str]]:
    return {frozenset({name}) for name in names}


class Thing:
    shared_by_class: list[int] = []  # noqa: RUF012

    def __init__(self, v: object) -> None:
        self.v = v


def test_shared_mutable_objects_tie() -> None:
    """Lists, dicts, sets, instances, arrays: directly, in containers, or in attributes."""
    for shared in ([1], {"k": 1}, {1}, bytearray(b"x"), Thing(1), np.arange(3), object()):
        assert partition(a=[shared], b=(shared,), c=[1]) == {frozenset("ab"), frozenset("c")}
        assert partition(a=Thing(shared), b={"k": {"l": shared}}) == {frozenset("ab")}


def test_shared_immutable_objects_do_not_tie() -> None:
    """Strings, numbers, tuples of them, dates, modules, library functions and classes stand alone."""
    stamp = pd.Timestamp("2026")
    for shared in ("text" * 9, 10**30, (1, "a"), frozenset({1}), stamp, np.float64(1), np, len, Thing, np.dtype("f8")):
        assert partition(a=[shared], b={"k": shared}) == apart("a", "b")


def test_what_only_a_library_holds_does_not_tie() -> None:
    """Two frames are two groups, though their class holds lists that both refer to."""
    assert partition(a=pd.DataFrame({"x": [1]}), b=pd.DataFrame({"y": [2]})) == apart("a", "b")


def test_many_that_tie_do_not_scan_the_heap_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pairs share something, and however much a library's class or module holds for all."""
    scans = []

    def get_referrers(*objects: object) -> list[object]:
        scans.append(objects)
        return gc.get_referrers(*objects)

    monkeypatch.setattr(sharing, "gc", types.SimpleNamespace(get_referrers=get_referrers))
    names: dict[str, Any] = {}
    for number in range(60):
        names[f"a{number}"] = [number]
        names[f"b{number}"] = {"the same": names[f"a{number}"]}
    library = types.ModuleType("some_library")
    monkeypatch.setitem(sys.modules, "some_library", library)
    library.registry = [1]  # type: ignore[attr-defined]
    library.Kind = type("Kind", (), {"__module__": "some_library", "__doc__": "", "shared": {"of": "all"}})  # type: ignore[attr-defined]
    alone = [{"held": held} for held in (library.registry, library.Kind.shared) for _ in range(3)]  # type: ignore[attr-defined]
    names |= {f"c{number}": value for number, value in enumerate(alone)}
    pairs = {frozenset({f"a{number}", f"b{number}"}) for number in range(60)}
    assert partition(**names) == pairs | apart(*(f"c{number}" for number in range(6)))
    assert len(scans) < 12


def test_arrays_over_one_memory_tie_and_are_stored_once() -> None:
    """Views travel with what they look into; a view of something that nobody names brings only what is seen of it."""
    base = np.arange(50_000.0)
    taken = take_apart({"base": base, "half": base[:25_000], "other": np.ones(3)}, ["base", "half", "other"])
    groups = {variable.name: variable.group for variable in taken.variables}
    assert groups["base"] == groups["half"] != groups["other"]
    assert taken.size < 1.01 * base.nbytes
    hidden = np.arange(10_000_000.0)
    taken = take_apart({"a": hidden[5:100], "b": hidden[50:200]}, ["a", "b"])
    assert taken.size < 5_000
    taken = take_apart({"a": hidden[:10], "b": hidden[-10:]}, ["a", "b"])
    assert taken.size < 5_000


class Owner:
    """What two arrays have as their base, and which owns a memory for each."""

    def __init__(self, *memories: np.ndarray) -> None:
        self.memories = memories

    def array(self, number: int) -> np.ndarray:
        self.__array_interface__ = self.memories[number].__array_interface__
        return np.asarray(self)


def test_what_lies_between_two_memories_of_one_owner_is_not_touched() -> None:
    """Arrays with one base are stored as far as they reach, be it that others live between them; views stay views."""
    heap = np.zeros(1_000_000)
    owner = Owner(heap[:10], heap[-10:])
    first, last = owner.array(0), owner.array(1)
    assert first.base is last.base is owner
    names = {"first": first, "part": first[2:5], "last": last}
    taken = take_apart(names, list(names))
    assert taken.size < 5_000
    assert {variable.name for variable in taken.variables} == set(names)


def test_a_model_is_not_larger_than_its_pickle() -> None:
    """A forest of scikit-learn, each tree of which has two memories, costs what pickle makes of it."""
    ensemble = pytest.importorskip("sklearn.ensemble")
    model = ensemble.RandomForestRegressor(5, random_state=1).fit(np.arange(300.0).reshape(-1, 1), np.arange(300.0))
    assert take_apart({"model": model}, ["model"]).size < 1.2 * len(pickle.dumps(model, protocol=5))


def test_chains_of_sharing_end_in_one_group() -> None:
    """a~b, c~d, b~c: found in any order."""
    x, y, z = [1], [2], [3]
    names = {"a": [x], "b": [x, z], "c": [z, y], "d": [y], "e": [4]}
    for seed in range(10):
        order = list(names)
        random.Random(seed).shuffle(order)
        assert partition(**{name: names[name] for name in order}) == {frozenset("abcd"), frozenset("e")}


def test_many_variables_over_one_object_stay_quick() -> None:
    """A thousand variables that share one list end in one group after a few rounds."""
    shared = [1]
    (group,) = partition(**{f"v{i}": [shared, i] for i in range(1000)})
    assert len(group) == 1000


@pytest.mark.parametrize(
    ("build", "tree"),
    [
        (lambda: 5, True),
        (lambda: [[1, 2], {"a": (3, [4])}, {5}], True),
        (lambda: [{"a": i} for i in range(100)], True),
        (lambda: (lambda x: [x, x])([1]), False),
        (lambda: (lambda x: {"a": x, "b": [[x]]})({}), False),
        (lambda: [(1, 2)] * 3, True),
        (lambda: [([1],)] * 3, False),
        (lambda: [object()], False),
        (lambda: {(1, 2): 3}, True),
        (lambda: [np.arange(2)], False),
        (lambda: [type("L", (list,), {})()], False),
    ],
)
def test_plain_data_is_known_by_its_reference_counts(build: Any, tree: bool) -> None:
    """Trees of built-in containers that nothing else holds; anything in doubt is not one."""
    assert (survey([build()]) is not None) is tree


def test_a_tree_that_something_else_looks_into_is_none() -> None:
    """A list inside that another name holds, also one in a cycle, is shared."""
    outer = [[1], [2]]
    inner = outer[0]
    assert survey([outer]) is None
    del inner
    assert survey([outer]) is not None
    outer.append(outer)
    assert survey([outer]) is None


def test_objects_that_have_each_other_as_attributes_start_together() -> None:
    """They are pickled once, not once alone and once more together; a name is never lost on the way."""
    first, second = Thing(None), Thing(None)
    first.v, second.v = second, {"back": first}
    third, lonely = Thing(second), Thing(1)
    names = {"lonely": lonely, "third": third, "first": first, "again": first, "second": second, "n": 1}
    found = list(together(names, {"n"}))
    assert found == [["lonely"], ["third", "first", "again", "second"]]
    assert partition(**names) == {frozenset(found[1]), *apart("lonely", "n")}
