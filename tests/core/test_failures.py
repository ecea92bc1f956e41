"""What does not load costs its own group and one line, and a later restore finishes the job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nbsnap
import nbsnap.restoring  # knows which Python it is before that is patched
from nbsnap.lost import line


def test_a_missing_package_is_named_and_a_later_restore_finishes(two_shells: Any) -> None:
    """The line names it; the rest is there; `--only` brings the variable once the package is back."""
    package = two_shells.folder / "lostpackage.py"
    package.write_text("class Thing:\n    v = 7\n    def __init__(self): self.w = 1\n")
    two_shells.save("import lostpackage\nthing = lostpackage.Thing(); kept = [1]; inside = {'thing': [thing]}")
    package.rename(two_shells.folder / "away")
    report, wrong = two_shells.restore({"rest": "kept == [1] and 'thing' not in globals()"})
    assert wrong == {}
    failed = {skip["name"]: skip for skip in report["failed"]}
    assert set(failed) == {"lostpackage", "thing", "inside"}
    assert failed["thing"]["reason"] == "needs the module lostpackage, which cannot be found here"
    assert failed["thing"]["hint"] == ""  # a file of the user's own: nobody else's package of that name would help
    (two_shells.folder / "away").rename(package)
    report, wrong = two_shells.restore(
        {"now": "thing.w == 1 and inside['thing'][0] is thing and 'kept' not in globals()"},
        "nbsnap.restore(only=['thing', 'inside'])",
    )
    assert report["failed"] == []
    assert wrong == {}


def test_the_hint_knows_packages_by_the_name_they_are_installed_by(two_shells: Any) -> None:
    """`sklearn` is installed as scikit-learn."""
    package = two_shells.folder / "sklearn.py"
    package.write_text("class Thing: pass\n")
    two_shells.save("import sys; sys.path.insert(0, '.')\nimport sklearn\nthing = sklearn.Thing()\ndel sys")
    package.unlink()
    report, _ = two_shells.restore({}, "(__import__('sys').modules.update(sklearn=None), nbsnap.restore())[1]")
    assert {skip["hint"] for skip in report["failed"]} == {"pip install scikit-learn"}


def test_a_setstate_that_raises_costs_its_own_group(two_shells: Any) -> None:
    """The error's own words are in the line, and what shares nothing with it is there."""
    two_shells.save(
        "class Bad:\n    def __setstate__(self, s): raise KeyError('no way')\n"
        "bad = Bad(); bad.x = 1; with_it = [bad]; other = Bad; apart = {'k': 1}"
    )
    report, wrong = two_shells.restore({"apart": "apart == {'k': 1} and other is Bad"})
    assert {skip["name"]: skip["reason"] for skip in report["failed"]} == {
        "bad": "KeyError: 'no way'",
        "with_it": "KeyError: 'no way'",
    }
    assert wrong == {}


def test_a_class_whose_base_is_gone_takes_down_only_what_needs_it(two_shells: Any) -> None:
    """Instances of the class fail with the class named; the others are there."""
    package = two_shells.folder / "lostbase.py"
    package.write_text("class Base: pass\n")
    two_shells.save(
        "from lostbase import Base as B\nclass Mine(B): pass\nclass Free: pass\nmine = Mine(); free = Free()\ndel B"
    )
    package.unlink()
    report, wrong = two_shells.restore({"free": "type(free) is Free"})
    reasons = {skip["name"]: skip["reason"] for skip in report["failed"]}
    assert set(reasons) == {"Mine", "mine"}
    assert reasons["mine"].startswith("needs the class Mine, which could not be loaded: needs the module lostbase")
    assert wrong == {}


def test_strict_restore_leaves_the_namespace_as_it_was(tmp_path: Path) -> None:
    """Neither what loaded nor what did not is bound."""
    source: dict[str, Any] = {}
    exec(
        "class Bad:\n    def __setstate__(self, s): raise KeyError('no way')\nbad = Bad(); bad.x = 1; good = 2", source
    )
    nbsnap.snapshot(source, store=tmp_path / "s", notebook="n")
    target = {"mine": 1, "good": 0}
    with pytest.raises(nbsnap.StrictError, match=r"nothing was restored, because of bad \(Bad\): KeyError"):
        nbsnap.restore(namespace=target, strict=True, store=tmp_path / "s", notebook="n")
    assert target == {"mine": 1, "good": 0}


def test_an_interrupt_while_loading_leaves_the_namespace_as_it_was(tmp_path: Path) -> None:
    """KeyboardInterrupt out of a `__setstate__` gets through, and what was bound so far is taken back."""
    source: dict[str, Any] = {}
    exec(
        "class Stop:\n    def __setstate__(self, s): raise KeyboardInterrupt\na = 1; stop = Stop(); stop.x = 1", source
    )
    nbsnap.snapshot(source, store=tmp_path / "s", notebook="n")
    target = {"a": 0, "mine": 1}
    with pytest.raises(KeyboardInterrupt):
        nbsnap.restore(namespace=target, store=tmp_path / "s", notebook="n")
    assert target == {"a": 0, "mine": 1}


def test_damaged_content_costs_only_the_variables_that_it_holds(tmp_path: Path) -> None:
    """A flipped byte in an array's piece is named; the other variables come back."""
    import numpy as np

    store = tmp_path / "s"
    nbsnap.snapshot({"a": np.random.default_rng(0).random(300_000), "b": 1}, store=store, notebook="n")
    (pack,) = (store / "packs").glob("*.pack")
    pack.chmod(0o600)
    data = bytearray(pack.read_bytes())
    data[1_000_000] ^= 1
    pack.write_bytes(data)
    target: dict[str, Any] = {}
    report = nbsnap.restore(namespace=target, store=store, notebook="n")
    assert target == {"b": 1}
    (skip,) = report.failed
    assert skip.name == "a"
    assert pack.name in skip.reason


def test_functions_of_another_python_without_a_text_are_refused_and_data_is_not(
    tmp_path: Path, monkeypatch: Any
) -> None:
    """Bytecode never meets an interpreter of another version."""
    source: dict[str, Any] = {"__name__": "__main__"}
    exec("def f(): return 1\nclass A:\n    def m(self): return 1\na = A(); data = [1]", source)
    del source["__builtins__"]
    with monkeypatch.context() as patch:
        for module in ("builders", "taken"):
            patch.setattr(f"nbsnap.{module}.PYTHON", "3.1")
        nbsnap.snapshot(source, store=tmp_path / "s", notebook="n")
    target: dict[str, Any] = {}
    report = nbsnap.restore(namespace=target, store=tmp_path / "s", notebook="n")
    assert target.keys() == {"data", "A", "a"}
    assert target["data"] == [1]
    assert type(target["a"]) is target["A"]
    (lost,) = report.failed
    assert (lost.name, lost.reason) == ("f", "it was made under Python 3.1, and its text is not known")
    assert line(lost, "9063273").endswith(
        f"{lost.reason}; start Python 3.1, then %restore 9063273 --only f tries again"
    )
    assert [(skip.name, skip.path, skip.kind) for skip in report.partly] == [("A", "A.m", "partly")]
    with pytest.raises(nbsnap.NbSnapError, match=r"A\.m was a function and could not be loaded: it was made under"):
        target["a"].m()
    with pytest.raises(nbsnap.StrictError, match=r"A\.m is a function"):
        nbsnap.restore(namespace={}, store=tmp_path / "s", notebook="n", only=["A", "a"], strict=True)


def test_saving_again_heals_what_was_found_damaged(tmp_path: Path) -> None:
    """A piece that a restore found altered is stored again by the next snapshot, not taken for granted."""
    import numpy as np

    store = tmp_path / "s"
    session = {"a": np.random.default_rng(0).random(300_000)}
    nbsnap.snapshot(session, name="one", store=store, notebook="n")
    (pack,) = (store / "packs").glob("*.pack")
    data = bytearray(pack.read_bytes())
    data[1_000_000] ^= 1
    pack.write_bytes(data)
    assert nbsnap.restore(namespace={}, store=store, notebook="n").failed
    report = nbsnap.snapshot(session, name="two", store=store, notebook="n")
    assert report.new_bytes > 0
    for name in ("two", "one"):  # the same piece: the older snapshot is whole again too
        target: dict[str, Any] = {}
        assert nbsnap.restore(name, namespace=target, store=store, notebook="n").failed == ()
        assert (target["a"] == session["a"]).all()


def test_a_store_that_can_only_be_read_is_still_read(monkeypatch: Any, tmp_path: Path) -> None:
    """Snapshots beside the notebook are found though new ones would go elsewhere, until some are there."""
    from nbsnap import host

    monkeypatch.setattr(host, "_started_in", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    nbsnap.snapshot({"x": 1}, notebook="n")
    monkeypatch.setattr(host, "_can_write", lambda place: False)  # root may write anywhere, so it is said for it
    assert nbsnap.restore(namespace={}, notebook="n").ok
    report = nbsnap.snapshot({"x": 2}, notebook="n")
    assert report.notes
    target: dict[str, Any] = {}
    nbsnap.restore(namespace=target, notebook="n")
    assert target == {"x": 2}
