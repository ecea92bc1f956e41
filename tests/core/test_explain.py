"""`nbsnap.explain`: why an object can or cannot be saved, and what it takes."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from test_messy import SESSION

import nbsnap
from nbsnap import layout, sheets


def explain(source: str, name: str = "x", **more: Any) -> nbsnap.Explanation:
    """Run `source` in a namespace of its own and explain a variable of it."""
    names: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    exec(source, names)
    found = nbsnap.explain(namespace=names, name=name, **more)
    json.loads(found.to_json())
    sheet = sheets.explain_sheet(found)
    assert layout.to_html(sheet).startswith("<div")
    assert found.name in layout.to_text(sheet)
    return found


CONNECTION = """
import socket
class Conn:
    def __init__(self): self.sock, self.name = socket.socket(), 'x'
    def close(self): self.sock.close()
"""


def test_a_part_that_refuses_is_told_with_the_way_to_it_and_who_holds_it() -> None:
    """Path, type, reason, the holders from the variable down, other variables that lead there, a way around."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(CONNECTION + "x = {'pool': [1, Conn()], 'lr': 0.1}; y = (x['pool'],)", names)
    try:
        found = nbsnap.explain(namespace=names, name="x")
    finally:
        names["x"]["pool"][1].close()
    (culprit,) = found.culprits
    assert found.result == "partly"
    assert not found.ok
    assert (culprit.path, culprit.type, culprit.reason) == ("x['pool'][1].sock", "socket.socket", "a live connection")
    assert culprit.holders == (("x", "dict"), ("x['pool']", "list"), ("x['pool'][1]", "Conn"))
    assert culprit.variables == ("y",)
    assert "del x['pool'][1].sock" in culprit.hint
    assert "connect again" in culprit.hint


@pytest.mark.parametrize(
    ("source", "reason", "hint"),
    [
        ("x = (n for n in range(3))", "running code", "make it again"),
        ("class S:\n    def __reduce__(self): raise RuntimeError('not today')\nx = S()", "not today", "--exclude x"),
        ("x = __import__('threading').Thread()", "process or thread", "start it again"),
    ],
    ids=["generator", "reduce", "thread"],
)
def test_what_is_skipped_says_why_and_what_helps(source: str, reason: str, hint: str) -> None:
    """The variable itself is the culprit; there are no parts to weigh."""
    found = explain(source)
    assert found.result == "skipped"
    assert (found.engine, found.stream, found.parts) == ("", 0, ())
    assert reason in found.reason
    assert found.culprits[0].path == "x"
    assert hint in found.culprits[0].hint


def test_sizes_by_part_and_each_shared_part_once() -> None:
    """Buffers and streams of the largest parts, nested; what lies behind two names is weighed where it is met first."""
    found = explain("""
import numpy as np
big = np.zeros(500_000)
x = {'data': {'big': big, 'again': big}, 'list': list(range(50_000)), 'small': [1]}; other = [x['data'], big]
""")
    parts = {part.path: part for part in found.parts}
    assert list(parts)[:2] == ["x['data']", "x['data']['big']"]
    assert parts["x['data']"].buffers == parts["x['data']['big']"].buffers == 4_000_000
    assert parts["x['data']['big']"].depth == 2
    assert set(parts["x['data']['big']"].also) == {"other", "big"}
    assert parts["x['list']"].stream > 100_000
    assert "x['data']['again']" not in parts, "it is the same array"
    assert found.buffers == 4_000_000
    assert {shared.name for shared in found.shared} == {"big", "other"}
    assert next(shared for shared in found.shared if shared.name == "other").path in ("x['data']", "x['data']['big']")


def test_frames_by_their_columns_and_memory_that_is_shared() -> None:
    """A column, an array over it, and what they travel with, as far as it can be seen."""
    found = explain("""
import numpy as np, pandas as pd
x = pd.DataFrame({'a': np.arange(100_000), 'b': np.ones(100_000)}); column = x['a']; array = x['b'].to_numpy()
""")
    assert {part.path for part in found.parts} >= {"x['a']", "x['b']"}
    why = {shared.name: shared for shared in found.shared}
    assert set(why) == {"array", "column"}
    assert why["array"].type == "memory"
    assert found.modules == ("numpy", "pandas")


def test_classes_notes_and_code_of_the_session() -> None:
    """What travels along, what comes back in another form, and that code loads under one Python only."""
    found = explain("""
import threading
class Base: pass
class Model(Base):
    def __init__(self): self.lock, self.f = threading.Lock(), lambda: 1
x = Model()
""")
    assert found.classes == ("Base", "Model")
    assert found.notes == ("a lock comes back fresh",)
    assert found.python
    assert found.modules == ()
    assert found.engine == "pickle"


def test_small_deep_cyclic_and_large_things() -> None:
    """Each is explained, with the engine that takes it; what was not looked at is told."""
    assert explain("x = 5; y = 6").engine == "batch"
    assert explain("x = []; x.append(x)").result == "saved"
    assert explain("x = []\nfor _ in range(20_000): x = [x]").engine == "flat"
    found = explain("x = [{'a': n} for n in range(5_000)]")
    assert found.unseen == ("the sizes of 3,000 of the 5,000 parts of x",)
    assert explain("x = [object() for _ in range(40)] + [(n for n in ()) for _ in range(40)]").unseen
    assert explain("import decimal; x = decimal").result == "saved"
    assert explain("class x:\n    rows = (n for n in ())\n    other = 1").result == "partly"


def test_objects_that_no_variable_is_bound_to(own_folder: Path) -> None:
    """Any object, under the name obj; one that a variable is bound to, under that name."""
    lock = threading.Lock()
    names = {"known": [1, [2]], "other": {"lock": lock}}
    assert nbsnap.explain({"a": names["known"]}, names).shared[0].name == "known"
    assert nbsnap.explain({"a": (n for n in ())}, names).culprits[0].path == "obj['a']"
    assert nbsnap.explain(names["known"], names).name == "known"
    assert nbsnap.explain(7, names).result == "saved"
    assert nbsnap.explain(lock, names).notes == ("a lock comes back fresh",)
    assert not (own_folder / ".nbsnap").exists(), "nothing is saved"


def test_a_name_that_is_not_there_lists_close_ones() -> None:
    """As any other unknown name."""
    with pytest.raises(nbsnap.VariableNotFound, match="number"):
        nbsnap.explain(namespace={"number": 1}, name="numbr")
    with pytest.raises(nbsnap.NbSnapError, match="either"):
        nbsnap.explain()


@pytest.mark.slow
def test_every_variable_of_the_messy_session_and_none_is_changed(two_shells: Any) -> None:
    """All of it can be explained, and the next snapshot finds nothing new."""
    done = two_shells.run(
        SESSION
        + """
import nbsnap, json
from nbsnap import layout, sheets
def __look__():
    names = [n for n in globals() if not n.startswith('__')]
    nbsnap.explain(0)  # imports modules of nbsnap, which is a variable
    nbsnap.snapshot()
    told = {}
    for name in names:
        found = nbsnap.explain(name=name)
        found.to_json(); layout.to_text(sheets.explain_sheet(found)); layout.to_html(sheets.explain_sheet(found))
        told[name] = found.result
    after = nbsnap.snapshot()
    lost = {skip.name: skip.kind for skip in after.skipped}
    print('\\nTOLD' + json.dumps([told, lost, after.new_bytes, [v.name for v in after.variables]]))
__look__()
"""
    )
    told, lost, new, saved = json.loads(done.out.rpartition("\nTOLD")[2])
    assert new == 0
    assert len(told) > 60
    for name, result in told.items():
        assert (result == "skipped") == (lost.get(name) == "skipped"), name
        assert (result == "saved") <= (name in saved), name
        if lost.get(name) == "partly":
            assert result == "partly", name
