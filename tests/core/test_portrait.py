"""Portraits: what was is compared with what is, side by side."""

from __future__ import annotations

import collections
import json
from typing import Any

import pytest

from nbsnap import portrait


def compare(before: dict[str, Any], after: dict[str, Any]) -> dict[str, portrait.Found]:
    """The portrait of a namespace goes through JSON, as it does to another process, and is held against another one."""
    taken = json.loads(json.dumps(portrait.take(before, before, list(before))))
    return portrait.compare(taken, after, after)


class Thing:
    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


class Slots:
    __slots__ = ("a", "b")

    def __init__(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self, name, value)


class Words(list):  # type: ignore[type-arg]
    pass


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (1, 2, "x was 1, is 2"),
        (1, True, "x was 1, is True"),
        (0.0, -0.0, "x was 0.0, is -0.0"),
        ("one", "two", "x was a text of length 3, is another"),
        ("one", b"one", "x was a text of length 3, is bytes of length 3"),
        (2**100, 2**100 + 1, "x was a large integer, is another"),
        ([1, 2], [1, 3], "x[1] was 2, is 3"),
        ([1, 2], [1, 2, 3], "x had 2 elements, has 3"),
        ([1, 2], (1, 2), "x was a list, is a tuple"),
        (list(range(9_000)), [*range(8_999), 0], "x has other elements than it had, from [8192] on"),
        ({"a": 1, "b": [2]}, {"a": 1}, "x has lost ['b']"),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, "x has its keys in another order"),
        ({"a": {"b": [None]}}, {"a": {"b": [0]}}, "x['a']['b'][0] was None, is 0"),
        ({1, 2}, {1, 3}, "x has other elements than it had"),
        ({n: n for n in range(99)}, {n: n + (n == 7) for n in range(99)}, "x has other elements than it had"),
        (Thing(a=1, b=2), Thing(a=1), "x has lost b"),
        (Thing(a=1), Thing(a=1, b=2), "x has b, which it had not"),
        (Thing(a=Thing(b=1)), Thing(a=Thing(b=2)), "x.a.b was 1, is 2"),
        (Slots(a=1, b=2), Slots(a=1), "x has lost b"),
        (Words([1]), Words([2]), "x[0] was 1, is 2"),
        (collections.deque([1]), collections.deque([2]), "x[0] was 1, is 2"),
        (lambda: 1, lambda: 2, "x has other code than it had"),
        (bytearray(b"ab"), bytearray(b"ac"), "x is not what it was"),
    ],
)
def test_what_differs_is_told_with_its_path(before: Any, after: Any, said: str) -> None:
    """The first thing on the way that is not what it was; and nothing where both are the same."""
    (found,) = compare({"x": before}, {"x": after}).values()
    assert f"{found.differs[0][0]} {found.differs[0][1]}" == said
    (same,) = compare({"x": before}, {"x": before}).values()
    assert (same.differs, same.unsure) == ([], [])


def test_one_object_has_to_be_one_again() -> None:
    """Aliases that were cut, and objects that became one."""
    one, other = [1], [1]
    assert compare({"x": [one, one]}, {"x": [[1], [1]]})["x"].differs[0] == (
        "x[1]",
        "was one object with x[0], and is not any more",
    )
    assert "is one with another now" in compare({"x": [one, other]}, {"x": [one, one]})["x"].differs[0][1]
    assert compare({"x": one, "y": one}, {"x": [1], "y": [1]})["y"].differs
    assert not compare({"x": (1, 2), "y": (1, 2)}, {"x": (1, 2), "y": (1, 2)})["y"].differs


def test_a_difference_is_one_of_all_that_lead_there() -> None:
    """What was compared by way of one variable counts for another that holds it."""
    before, after = Thing(a=1), Thing(a=2)
    found = compare({"x": before, "y": [before], "z": 1}, {"x": after, "y": [after], "z": 1})
    assert found["y"].differs == found["x"].differs == [("x.a", "was 1, is 2")]
    assert found["z"].differs == []


def test_sets_of_objects_are_compared_where_these_can_be_told_apart() -> None:
    """By what they hold; sets of things that look alike cannot be compared, which is said."""
    assert compare({"x": {Thing(a=1), Thing(a=2)}}, {"x": {Thing(a=2), Thing(a=1)}})["x"] == portrait.Found()
    assert compare({"x": {Thing(a=1), Thing(a=2)}}, {"x": {Thing(a=2), Thing(a=3)}})["x"].differs
    assert compare({"x": {object(), object()}}, {"x": {object(), object()}})["x"] == portrait.Found()
    alike = compare({"x": {Thing(a=[1]), Thing(a=[2])}}, {"x": {Thing(a=[1]), Thing(a=[2])}})["x"]
    assert not alike.differs
    assert "alike" in alike.unsure[0][1]


def test_arrays_and_frames() -> None:
    """By dtype, shape and bytes, whatever their order in memory; frames by what they say of themselves."""
    numpy = pytest.importorskip("numpy")
    pandas = pytest.importorskip("pandas")
    a = numpy.arange(6.0).reshape(2, 3)
    assert compare({"x": a}, {"x": numpy.asfortranarray(a)})["x"] == portrait.Found()
    assert compare({"x": a}, {"x": a + 1})["x"].differs[0][1] == "has other numbers than it had"
    assert "of shape (2, 3), is <f8 of shape (3, 2)" in compare({"x": a}, {"x": a.T})["x"].differs[0][1]
    assert compare({"x": numpy.float64(1)}, {"x": numpy.float64(2)})["x"].differs
    assert compare({"x": numpy.array([1, "a"], object)}, {"x": numpy.array([1, "b"], object)})["x"].differs
    frame = pandas.DataFrame({"a": [1.0, float("nan")], "b": ["x", "y"]})
    assert compare({"x": frame}, {"x": frame.copy()})["x"] == portrait.Found()
    assert compare({"x": frame}, {"x": frame.assign(a=0.0)})["x"].unsure, "a library's: told, and not called wrong"


def test_what_lies_behind_the_limit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that come first are compared whole; of what was not looked at nobody says that it is equal."""
    monkeypatch.setattr(portrait, "LIMIT", 5)
    names = {"small": [[1]], "big": [[n] for n in range(9)]}
    found = compare(names, names)
    assert found["small"] == portrait.Found()
    assert "behind the limit" in found["big"].unsure[0][1]


def test_deep_and_cyclic_things() -> None:
    """Neither the depth nor a cycle matters; the middle of a long path is left out."""

    def deep(end: Any) -> list[Any]:
        made = [end]
        for _ in range(20_000):
            made = [made]
        return made

    (path, what) = compare({"x": deep(1)}, {"x": deep(2)})["x"].differs[0]
    assert path == f"x{'[0]' * 7}[… 19,986 steps …]{'[0]' * 8}"
    assert what == "was 1, is 2"
    ring: list[Any] = []
    ring.append(ring)
    assert compare({"x": ring}, {"x": ring})["x"] == portrait.Found()
    assert compare({"x": ring}, {"x": [[]]})["x"].differs


def test_objects_that_say_nothing_or_raise_do_no_harm() -> None:
    """They are told as not compared."""

    class Sulky(dict):  # type: ignore[type-arg]
        def __reduce__(self) -> Any:
            raise RuntimeError

    generator = (n for n in ())
    assert compare({"x": generator}, {"x": (n for n in ())})["x"].unsure
    assert compare({"x": Sulky(a=1)}, {"x": Sulky(a=2)})["x"].differs
