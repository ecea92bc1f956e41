"""Code that another Python has compiled: found in its text, or told why not. Here one Python plays two.

What differs from version to version is tested with the true ones, in `endtoend/test_pythons.py`.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import traceback
import types
from pathlib import Path
from typing import Any

import pytest

import nbsnap
import nbsnap.restoring  # knows which Python it is before that is patched
from nbsnap import codes
from nbsnap.anew import PYTHON
from nbsnap.placeholder import Placeholder


def cell(text: str, number: int = 1, *, by_statement: bool = False) -> dict[str, Any]:
    """Return the namespace in which a cell has run, known as IPython makes it known."""
    name = f"<ipython-input-{number}-{abs(hash(text)):x}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    names: dict[str, Any] = {"__name__": "__main__"}
    whole = ast.parse(text)
    for module in [ast.Module([node], []) for node in whole.body] if by_statement else [whole]:
        exec(compile(module, name, "exec"), names)
    del names["__builtins__"]
    return names


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: Any) -> Any:
    """Save as Python 3.1 would, and restore as the one that runs."""

    def travel(names: dict[str, Any], **options: Any) -> tuple[dict[str, Any], nbsnap.RestoreReport]:
        with monkeypatch.context() as patch:
            for module in ("builders", "taken"):
                patch.setattr(f"nbsnap.{module}.PYTHON", "3.1")
            nbsnap.snapshot(names, store=tmp_path / "s", notebook="n", **options)
        target: dict[str, Any] = {}
        return target, nbsnap.restore(namespace=target, store=tmp_path / "s", notebook="n")

    return travel


def test_functions_that_stand_in_one_line_are_told_apart(elsewhere: Any) -> None:
    """By the place in the line, and by what they take and speak of."""
    names, report = elsewhere(
        cell(
            "a, b, c = lambda x: x + 1, lambda x: x + 2, lambda y: y\n"
            "d = [lambda: 1, lambda: 2] + [(lambda i: lambda: i)(3)]\ne, f = lambda: (1, 2), lambda: (1, 3)"
        )
    )
    assert (names["a"](1), names["b"](1), names["c"](5)) == (2, 3, 5)
    assert [one() for one in (*names["d"], names["e"], names["f"])] == [1, 2, 3, (1, 2), (1, 3)]
    assert report.ok
    assert report.notes == (f"saved by Python {PYTHON}: 8 functions were compiled anew from their text",)


def test_what_was_masked_is_never_run(elsewhere: Any) -> None:
    """A secret in the text of a function is not in the text that is kept; its neighbours come back."""
    names, report = elsewhere(
        cell("def log_in():\n    password = 'hunter2-but-longer'\n    return password\ndef beside(x):\n    return x"),
        include_secrets=True,
    )
    assert names.keys() == {"beside"}
    assert names["beside"](3) == 3
    (skip,) = report.failed
    assert skip.reason == "it was made under Python 3.1, and its text holds what was masked, as a secret"


def test_a_secret_beside_a_class_costs_the_class_nothing(elsewhere: Any) -> None:
    """Each statement of a cell is compiled by itself, so it does not know what the one before imports: no change."""
    text = (
        "import math\nclass Circle:\n    def round(self): return math.floor(2.5)\n"
        "def also(): return math.floor(3.5)\ncfg = {'password': 'hunter2-abc'}\n"
    )
    names, report = elsewhere(cell(text, by_statement=True))
    assert (names["Circle"]().round(), names["also"]()) == (2, 3)
    assert (report.failed, report.partly) == ((), ())


def test_a_value_that_is_a_secret_by_its_name_elsewhere_moves_no_lambda(elsewhere: Any) -> None:
    """It is masked in the line in front of them, which makes that shorter: each is itself all the same."""
    text = 'x = "abcdefghijklmnopqrstuvwx12"; f, g = lambda v: v + 1, lambda v: v + 2'
    names, report = elsewhere(cell(f"{text}\npassword = x"))
    assert (names["f"](1), names["g"](1)) == (2, 3)
    assert (report.failed, report.partly) == ((), ())
    assert "x" not in names  # it holds the value of the password


def test_a_text_that_is_not_that_of_the_code_is_not_used(elsewhere: Any, tmp_path: Path) -> None:
    """A script that was edited since, and cells that were changed on their way to the compiler."""
    script = tmp_path / "work.py"
    script.write_text("def f(x):\n    return x * 2\n")
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(script.read_text(), str(script), "exec"), names)
    del names["__builtins__"]
    assert elsewhere(names)[0]["f"](2) == 4
    script.write_text("def f(x):\n    return x * 3\n")
    linecache.checkcache()
    back, report = elsewhere(names)
    assert back == {}
    assert [skip.reason for skip in report.failed] == [
        "it was made under Python 3.1, and its file had changed since it was run"
    ]
    changed = cell("def g(x): return x / 3")
    other = cell("def g(x): return Integer(x) / Integer(3)", 2)["g"].__code__
    changed["g"].__code__ = other.replace(co_filename=changed["g"].__code__.co_filename)
    back, report = elsewhere(changed)
    assert back == {}
    assert report.failed[0].reason.endswith("and what its text gives here is not what it was")


def test_a_script_travels_statement_by_statement(elsewhere: Any, tmp_path: Path) -> None:
    """The lines of its functions are counted within what is kept, wherever it stood; and so under the same Python."""
    script = tmp_path / "work.py"
    rows = [f"def f{n}(x):\n    return x + {n}" for n in range(300)]
    last = "class A:\n    def m(self):\n        1 / 0\n"
    script.write_text("\n\n".join(["# head\r\n\f\nimport functools", *rows, last]))
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(script.read_bytes(), str(script), "exec"), names)
    del names["__builtins__"]
    back, report = elsewhere(names)
    nbsnap.snapshot(names, store=tmp_path / "same", notebook="n")
    same: dict[str, Any] = {}
    again = nbsnap.restore(namespace=same, store=tmp_path / "same", notebook="n")
    assert report.ok
    assert again.ok
    script.unlink()
    for found in (back, same):
        assert [found[f"f{n}"](1) for n in range(300)] == list(range(1, 301))
        assert inspect.getsource(found["f7"]) == "def f7(x):\n    return x + 7\n"
        with pytest.raises(ZeroDivisionError) as caught:
            found["A"]().m()
        assert "1 / 0" in "".join(traceback.format_exception(caught.value))
    assert back["f7"].__code__ == same["f7"].__code__
    twice = nbsnap.snapshot(same, store=tmp_path / "same", notebook="n")
    assert twice.new_bytes == 0, "what was restored is what was saved"


def test_a_lost_function_costs_no_more_than_itself(elsewhere: Any) -> None:
    """Containers, partials, caches, bound methods and closures come back around a placeholder that says why."""
    names = cell(
        "import functools\nexec('def lost(x, *y): return x')\n"
        "held = {'fn': lost, 'part': functools.partial(lost, 1), 'cache': functools.lru_cache(lost), 'rows': [1]}\n"
        "def around(fn):\n    def inner(): return fn\n    return inner\nkept = around(lost)\n"
        "class A:\n    m = staticmethod(lost)\n    p = property(lost)\n    c = classmethod(lost)\n    size = 3\n"
        "a = A(); bound = a.c"
    )
    back, report = elsewhere(names)
    assert {skip.name for skip in report.failed} == {"lost"}
    assert {skip.path for skip in report.partly} >= {"held['fn']", "A.m", "A.p", "A.c"}
    assert {skip.name for skip in report.partly} == {"held", "kept", "A", "bound"}
    assert not report.ok
    assert type(back["held"]["fn"]) is Placeholder
    assert back["held"]["rows"] == [1]
    assert back["kept"]() is back["held"]["fn"]
    assert back["a"].size == 3
    for use in (back["held"]["fn"], back["held"]["part"], back["held"]["cache"], back["A"].m, back["bound"]):
        with pytest.raises(nbsnap.NbSnapError, match=r"lost was a function and could not be loaded: it was made"):
            use(1)
    assert "placeholder for lost, a function that could not be loaded" in repr(back["held"]["fn"])


@pytest.mark.parametrize("engine", ["dill", "cloudpickle"])
def test_whatever_engine(elsewhere: Any, engine: str) -> None:
    """Functions go one way in all of them."""
    names, report = elsewhere(
        cell("k = 2\nf = lambda x: x * k\nclass A:\n    def m(self): return f(3)\na = A()"), engine=engine
    )
    assert report.ok
    assert names["a"].m() == 6


def test_pickles_of_others_that_hold_bytecode_are_refused(elsewhere: Any) -> None:
    """Bytes within a pickle that cloudpickle has made are looked into before they are loaded."""
    names = cell(
        "import cloudpickle, pickle\nclass Sealed:\n    def __init__(self, fn): self.fn = fn\n"
        "    def __reduce__(self): return pickle.loads, (cloudpickle.dumps(self.fn),)\n"
        "sealed = Sealed(lambda: 1)\nplain = Sealed([1, 2])\nheld = {'sealed': sealed, 'rows': [1]}\n"
    )
    back, report = elsewhere(names)
    assert {skip.name: skip.reason for skip in report.failed} == {
        "sealed": "it was made under Python 3.1, and holds bytecode in a pickle of its own"
    }
    assert [skip.path for skip in report.partly] == ["held['sealed']"]
    assert back["held"]["rows"] == [1]
    assert back["plain"] == [1, 2]


def test_copies_of_cloudpickle_make_nothing_of_bytecode(elsewhere: Any) -> None:
    """Whoever loads a pickle within a pickle, by whatever name: no code is made of it, and what holds it is told."""
    joblib = pytest.importorskip("joblib")
    names = cell("def add(a, b=3):\n    return a + b\n")
    names["wrapped"], names["x"] = joblib.wrap_non_picklable_objects(names["add"]), [1]
    target, report = elsewhere(names)
    assert (target["x"], target["add"](1), "wrapped" in target) == ([1], 4, False)
    (failed,) = report.failed
    assert failed.name == "wrapped"
    assert "holds bytecode of Python 3.1" in failed.reason


def test_a_mark_is_read_as_it_was_written() -> None:
    """Whatever a name may be; and what is none is no mark."""
    code = compile("lambda é: é", "<x>", "eval").co_consts[0]
    for name in ("f", "a\nb", "\udc80", ""):
        mark = codes.mark(code.replace(co_qualname=name), "text", "<nbsnap-cell-0>")
        assert codes.read(codes.written(mark)) == mark
    for data in (
        b"",
        b"nbsnap-code 1\n",
        b"nbsnap-code 1\ntext\nx\n1\n2\n3\nx\nf",
        b"nbsnap-code 2\n\n\n1\n2\n3\n4\nf",
        b"\xff",
    ):
        assert codes.read(data) is None


def test_a_statement_is_found_in_what_cannot_be_parsed() -> None:
    """Where another statement of the cell is of a later Python."""
    text = (
        "new = ?!\n@one\n@two(\n  3\n)\ndef f():\n    return 1\n\n    # on\n\n"
        "class A:\n  def m(self): pass\nlast = ?!\n"
    )
    assert codes.around(text, 2).strip("\n") == "@one\n@two(\n  3\n)\ndef f():\n    return 1\n\n    # on"
    assert codes.around(text, 12).strip("\n") == "class A:\n  def m(self): pass"
    assert codes.around(text, 12).index("class") == 10
    assert codes.around(text, 40) == ""


def test_nothing_of_the_users_is_run_to_find_code(elsewhere: Any) -> None:
    """A cell that would write if it were run again is compiled, and not run."""
    names = cell("ran = []\nran.append(1)\ndef f(): return ran")
    back, _ = elsewhere(names)
    assert back["f"]() == [1]
    assert isinstance(back["f"], types.FunctionType)
