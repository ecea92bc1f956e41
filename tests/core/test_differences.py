"""What `diff` says of variables that changed, and that it says nothing of those that did not; nothing is loaded."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import pytest
from core.test_objects import ROWS as OBJECTS

import nbsnap
from nbsnap import sources, streams
from nbsnap.differences import compare
from nbsnap.model import Content, Group, Head, Snapshot, Variable
from nbsnap.store import Store

#: Declared before the snapshot, done after it, and what `diff` then says of which names: kind, what, shares.
Said = dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]]
CHANGES: list[tuple[str, str, Said]] = [
    ("number = 1", "number = 2", {"number": ("changed", ("value",), ())}),
    ("text = 'abc'", "text = 'abd'", {"text": ("changed", ("content",), ())}),
    ("words = ['a']", "words.append('b')", {"words": ("changed", ("len",), ())}),
    ("deep = {'k': [1, {'l': 2}]}", "deep['k'][1]['l'] = 3", {"deep": ("changed", ("content",), ())}),
    ("typed = [1]", "typed = (1,)", {"typed": ("changed", ("type",), ())}),
    ("gone = 1", "del gone", {"gone": ("removed", (), ())}),
    ("", "come = 1", {"come": ("added", (), ())}),
    ("array = np.arange(9000.0)", "array[5] = 0", {"array": ("changed", ("content",), ())}),
    ("shaped = np.arange(12)", "shaped = np.arange(12).reshape(3, 4)", {"shaped": ("changed", ("shape",), ())}),
    ("kind = np.arange(12)", "kind = kind.astype('f4')", {"kind": ("changed", ("dtype",), ())}),
    ("frame = pd.DataFrame({'x': [1, 2]})", "frame = frame[:1]", {"frame": ("changed", ("rows",), ())}),
    ("wide = pd.DataFrame({'x': [1, 2]})", "wide['y'] = [1, 2]", {"wide": ("changed", ("columns",), ())}),
    ("mixed = pd.DataFrame({'x': [1, 2]})", "mixed['x'] = ['a', 'b']", {"mixed": ("changed", ("dtype",), ())}),
    ("cells = pd.DataFrame({'x': [1, 2]})", "cells.loc[0, 'x'] = 9", {"cells": ("changed", ("content",), ())}),
    ("series = pd.Series([1, 2])", "series = pd.Series([1, 2, 3])", {"series": ("changed", ("rows",), ())}),
    (
        "inner = [1]; outer = {'k': inner}; far = [outer]",
        "inner.append(2)",
        {
            "inner": ("changed", ("len",), ()),
            "outer": ("perhaps", (), ("inner",)),
            "far": ("perhaps", (), ("inner",)),
        },
    ),
    (
        "held = [1]; holder = {'k': held, 'n': 1}",
        "holder['n'] = 2",
        {"holder": ("changed", ("content",), ())},
    ),
    (
        "base = np.arange(9000.0); view = base[:10]; beside = np.arange(9000.0) + 1",
        "view[0] = 7",
        {"base": ("changed", ("content",), ()), "view": ("perhaps", (), ("base",))},
    ),
    ("alone = [[1], [2]]", "alias = alone", {"alias": ("added", (), ())}),
    (
        "class Point:\n    kept = [1]\n    def __init__(self): self.x = 1\np = Point(); q = Point()",
        "p.x = 2",
        {"p": ("changed", ("content",), ())},
    ),
    (
        "class Shape:\n    sides = 3\ns = Shape()",
        "Shape.sides = 4",
        {"Shape": ("changed", ("class",), ()), "s": ("changed", ("class",), ())},
    ),
    (
        "def make():\n    class Again:\n        def m(self): return 1\n    return Again\nAgain = make(); old = Again()",
        "Again = make()",
        {"old": ("changed", ("class",), ())},
    ),
    ("def bare(x): return x", "def bare(x, y): return x", {"bare": ("changed", ("signature",), ())}),
    ("def given(x=1): return x", "given.__defaults__ = (2,)", {"given": ("changed", ("content",), ())}),
    ("def closed():\n    n = [1]\n    return lambda: n\nclosure = closed()", "closure().append(2)",
     {"closure": ("changed", ("content",), ())}),
    ("rows = (n for n in range(3))", "", {}),
    ("lost = (n for n in range(3))", "lost = [1]", {"lost": ("changed", ("type",), ())}),
    ("found = [1]", "found = (n for n in range(3))", {"found": ("changed", ("type",), ())}),
    ("", "new_rows = (n for n in range(3))", {"new_rows": ("added", (), ())}),
]  # fmt: skip

#: The same after what is done, though not the same bytes or objects.
SAME = [
    ("letters = {'a', 'b', 'c', 'd', 'e'}", "letters = {'e', 'd', 'c', 'b', 'a'}"),
    ("pair = ['x' * 100] * 2", "pair = ['x' * 50 + 'x' * 50, 'x' * 99 + 'x']"),
    ("again = {'k': [1, 2]}", "again = {'k': [1, 2]}"),
    ("column = pd.DataFrame({'x': range(9000)})", "column = pd.DataFrame({'x': range(9000)})"),
    ("one, two = [1], [1]", "one, two = two, one"),
    ("numbers = np.arange(70000.0)", "numbers = numbers + 0"),
    ("plain = [{'n': n, 't': str(n)} for n in range(2000)]", "plain = [{'n': n, 't': str(n)} for n in range(2000)]"),
]

DIFF = """
import json, numpy as np, pandas as pd, nbsnap, pathlib
{before}
nbsnap.snapshot(name="before", notebook="n", store="store")
files = sorted(str(path) for path in pathlib.Path("store").rglob("*"))
names = {{name: id(value) for name, value in globals().items()}}
live = nbsnap.diff("before", notebook="n", store="store")
print("NOTHING", json.dumps([c.to_dict() for c in live.changes if c.name not in ("files", "names", "live")]))
{after}
live = nbsnap.diff("before", notebook="n", store="store")
assert sorted(str(path) for path in pathlib.Path("store").rglob("*")) == files
print("LIVE", live.to_json())
nbsnap.snapshot(name="after", notebook="n", store="store")
"""
OWN = {"files", "names", "live"}


def said(report: dict[str, Any]) -> Said:
    return {
        change["name"]: (change["change"], tuple(change["what"]), tuple(change["shares"]))
        for change in report["changes"]
        if change["name"] not in OWN
    }


def test_each_change_is_told_for_what_it_is(two_shells) -> None:
    """Live and between two snapshots alike; what did not change is not told, and nothing is written."""
    before = "\n".join(declare for declare, *_ in CHANGES) + "\n" + "\n".join(declare for declare, _ in SAME)
    after = "\n".join(change for _, change, _ in CHANGES) + "\n" + "\n".join(change for _, change in SAME)
    out = two_shells.run(DIFF.format(before=before, after=after)).out
    assert json.loads(re.search(r"^NOTHING (.*)$", out, re.M)[1]) == []
    live = json.loads(re.search(r"^LIVE (.*)$", out, re.M)[1])
    expected = {name: what for *_, row in CHANGES for name, what in row.items()}
    assert said(live) == expected
    assert [skip["name"] for skip in live["not_compared"]] == ["rows"]
    store = Store.open(two_shells.folder / "store")
    kept = json.loads(store.diff("before", "after", "n").to_json())
    assert said(kept) == expected
    assert kept["same"] == live["same"]
    back = said(json.loads(store.diff("after", "before", "n").to_json()))
    assert {name for name, row in back.items() if row[0] == "added"} == {"gone"}
    assert {name for name, row in back.items() if row[0] == "removed"} == {"come", "alias"}


def test_facts_before_and_after(two_shells) -> None:
    """Programs get each fact that differs, before and after."""
    before = "n = 1; f = pd.DataFrame({'x': [1, 2]}); a = np.zeros((3, 4)); l = [1]; m = json\ndef g(x): return x"
    after = "n = 2.5; f = pd.concat([f, f.assign(y=1)]); a = np.zeros((4, 3), 'f4'); l = 'x'\ndef g(*x): return x"
    out = two_shells.run(DIFF.format(before=before, after=after)).out
    live = json.loads(re.search(r"^LIVE (.*)$", out, re.M)[1])
    facts = {change["name"]: change["facts"] for change in live["changes"]}
    assert facts["n"] == [["type", "int", "float"]]
    assert facts["f"][:2] == [["rows", "2", "4"], ["columns", "1", "2"]]
    assert facts["a"] == [["shape", "3 × 4", "4 × 3"], ["dtype", "float64", "float32"]]
    assert facts["g"] == [["signature", "(x)", "(*x)"]]


def test_a_restored_session_is_as_it_was(two_shells) -> None:
    """In another process, with another hash seed, nothing of a session with all kinds of objects counts as changed."""
    session = "\n".join(declare for _, declare, _ in OBJECTS)
    two_shells.save(session, "nbsnap.snapshot(name='all')")
    two_shells.env["PYTHONHASHSEED"] = "7"
    out = two_shells.run(
        "import nbsnap\nnbsnap.restore('all')\nd = nbsnap.diff('all')\nprint('\\nREPORT' + d.to_json())"
    ).out
    report = json.loads(out.rpartition("\nREPORT")[2])
    told = {change["name"]: change["what"] for change in report["changes"] if change["change"] != "added"}
    # `everything` is globals(), `stated` has a __getstate__ that renames its attribute
    assert set(told) <= {"everything", "stated"}, told
    assert report["same"] > 150


def test_patterns_choose_what_is_compared(own_folder) -> None:
    """--only and --exclude of both states; what matches nothing is an error, an `ignore` that does not is none."""
    names: dict[str, Any] = {"df_a": 1, "df_b": 1, "x": 1, "gone": 1}
    nbsnap.snapshot(names, name="a", notebook="n", store="store")
    names.update(df_a=2, df_b=2, x=2)
    del names["gone"]

    def changed(**more: Any) -> list[str]:
        report = nbsnap.diff("a", None, names, notebook="n", store="store", **more)
        return sorted(change.name for change in report.changes)

    assert changed() == ["df_a", "df_b", "gone", "x"]
    assert changed(only=["df_*"]) == ["df_a", "df_b"]
    assert changed(exclude=["df_*"], ignore=["x", "nothing"]) == ["gone"]
    assert changed(only=["gone", "x"], ignore=["*"]) == ["gone", "x"]
    with pytest.raises(nbsnap.VariableNotFound, match="df_a"):
        changed(only=["df_c"])
    with pytest.raises(nbsnap.SnapshotNotFound, match="close: a"):
        nbsnap.diff("aa", None, names, notebook="n", store="store")
    nbsnap.snapshot(names, name="b", notebook="n", store="store")
    report = nbsnap.diff("a", "b", notebook="n", store="store", only=["x", "gone"])
    assert [(change.name, change.change) for change in report.changes] == [("gone", "removed"), ("x", "changed")]


def test_the_namespace_is_only_read(own_folder) -> None:
    """Neither its names nor what they are bound to change, and no file is written; a store need not be writable."""
    names: dict[str, Any] = {"x": [1, {2: 3}], "y": "text"}
    nbsnap.snapshot(names, name="a", notebook="n", store="store")
    bound = {name: id(value) for name, value in names.items()}
    before = {str(path): path.stat().st_mtime_ns for path in own_folder.rglob("*")}
    report = nbsnap.diff("a", None, names, notebook="n", store="store")
    assert (report.changes, report.same) == ((), 2)
    assert {name: id(value) for name, value in names.items()} == bound
    assert {str(path): path.stat().st_mtime_ns for path in own_folder.rglob("*")} == before
    with pytest.raises(nbsnap.SnapshotNotFound):
        nbsnap.diff("a", None, names, notebook="n", store="elsewhere")
    assert not (own_folder / "elsewhere").exists()


# --- streams, read without loading ------------------------------------------------------------------------------------


def test_a_stream_says_what_belongs_to_which_variable(own_folder) -> None:
    """Parts begin and end where variables do; references name the variable in which the object was met."""
    shared = [1, 2]
    names: dict[str, Any] = {"a": shared, "b": {"k": shared}, "c": [shared, shared]}
    nbsnap.snapshot(names, notebook="n", store="store")
    store = Store.open("store")
    (group,) = store.find("latest", "n").groups
    found = streams.parts(group, store.read(group.stream))
    assert sorted(found) == ["a", "b", "c"]
    assert found["a"].refs("a") == []
    assert found["b"].refs("b") == [streams.Ref("a", 0)]
    assert found["c"].refs("c") == [streams.Ref("a", 0)] * 2


@pytest.mark.parametrize(
    "stream",
    [b"", b".", b"garbage", b"\x80\x05N.", b"\x80\x05)." + b"\x80\x05N.", b"\x80\x05\x8c\x03va", b"\x80\x05h\xff.",
     b"\x80\x05\x8c\x03var\x8c\x01x\x86\x85.", b"\x80\x05\x8c\x03var\x8c\x01x\x86\x85.\x8e" + b"\xff" * 8,
     b"\x80\x05X\xff\xff\xff\xff."],
)  # fmt: skip
def test_what_is_no_stream(stream: bytes) -> None:
    """Whatever stands there, the answer is a ValueError: neither a hang, nor memory by what a length claims."""
    group = Group("g", ("x",), (), "pickle", Content(len(stream)))
    with pytest.raises(ValueError, match=r"cut short|not understood|not one|more than"):
        streams.parts(group, stream)


def a_state(stream: bytes, engine: str, *names: str) -> tuple[Snapshot, Any]:
    head = Head("1", "", "n", "", "", "", 1, 0, 0, 0, 0.0, "", "", "")
    content = Content(len(stream), (stream.hex()[:64].ljust(64, "0"),))
    variables = tuple(Variable(name, "list", 1, "len 1", "g") for name in names)
    group = Group("g", names, (), engine, content)
    return Snapshot(head, variables, (group,), (), (), (), (), (), ""), lambda content: stream


@pytest.mark.parametrize("engine", ["pickle", "flat", "batch", "of a later nbsnap"])
def test_streams_that_cannot_be_understood(engine: str) -> None:
    """One variable alone has changed, of several it is not known; no error."""
    for names, kind in ((("x",), "changed"), (("x", "y"), "perhaps")):
        old, read_old = a_state(b"one thing", engine, *names)
        new, read_new = a_state(b"another", engine, *names)
        found = compare(old, new, read_old, read_new)
        assert [change.change for change in found.changes] == [kind] * len(names)


# --- sources ----------------------------------------------------------------------------------------------------------

CELL = '''\
import functools
class Outer:
    """Text."""
    @property
    def m(self): return 1

    class Inner:
        x = 1
def decorate(f):
    @functools.wraps(f)
    def inner(*a):
        return f(*a)
    return inner
@decorate
@decorate
def decorated(
    x,
):
    # comment
    return """
unindented
"""
f = lambda: (1,
             2)
def last(): pass
'''


@pytest.mark.parametrize(
    ("place", "first", "last"),
    [
        ("2:Outer", "class Outer:", "        x = 1"),
        ("5:Outer", "class Outer:", "        x = 1"),
        ("8:Outer.Inner", "class Inner:", "    x = 1"),
        ("10", "@functools.wraps(f)", "    return f(*a)"),
        ("14", "@decorate", '"""'),
        ("25", "def last(): pass", "def last(): pass"),
        ("99", None, None),
        ("0", None, None),
        ("7:Nowhere", "class Inner:", "    x = 1"),
    ],
)
def test_the_text_of_a_function_or_class(place: str, first: str | None, last: str | None) -> None:
    """It is cut out of its cell with decorators and without indent, by its line alone; no code is parsed."""
    file = "<nbsnap-cell-0123456789abcdef>"
    variable = Variable("x", "function", 1, "", "g", source=f"{file}:{place}")
    state, _ = a_state(b"", "pickle")
    found = sources.source(dataclasses.replace(state, sources=((file, CELL),)), variable)
    lines = [None] if found is None else found.splitlines()
    assert (lines[0], lines[-1]) == (first, last)


@pytest.mark.parametrize("text", ["", "def f(", "'''", "\0", "class", "(" * 5000, "if x:\n  y\n z", "\\"])
def test_a_cell_that_is_no_python(text: str) -> None:
    """Text of a store that somebody else wrote gives some text or none, and no error."""
    file = "<nbsnap-cell-0123456789abcdef>"
    state, _ = a_state(b"", "pickle")
    state = dataclasses.replace(state, sources=((file, text),))
    for place in ("1", "1:X", "2"):
        found = sources.source(state, Variable("x", "function", 1, "", "g", source=f"{file}:{place}"))
        assert found is None or isinstance(found, str)
