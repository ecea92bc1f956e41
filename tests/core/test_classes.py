"""Classes of the session beside classes that live already: what is the same stays, what differs is said."""

from __future__ import annotations

from typing import Any

DEFINE = "class A:\n    def m(self): return 1\n"


def test_restoring_one_variable_uses_the_same_class_that_lives(two_shells: Any) -> None:
    """The cell that defines the class was run again, unchanged: the restored instance is its instance."""
    two_shells.save(DEFINE + "a = A(); a.x = 1")
    done = two_shells.run(
        DEFINE + "import nbsnap\nr = nbsnap.restore(only=['a'])\nprint(isinstance(a, A), a.m(), r.notes)"
    )
    assert done.out == "True 1 ()\n"


def test_a_class_that_was_redefined_is_not_touched_and_it_is_said(two_shells: Any) -> None:
    """The live class stays as it is; the restored instance has the class that it was saved with."""
    two_shells.save(DEFINE + "a = A()")
    done = two_shells.run(
        "class A:\n    def m(self): return 2\nlive = A\nimport nbsnap\nr = nbsnap.restore(only=['a'])\n"
        "print(A is live, A().m(), a.m(), isinstance(a, A)); print(r.notes)"
    )
    assert done.out.startswith("True 2 1 False\n")
    assert "A has changed since" in done.out


def test_going_back_in_place_keeps_an_unchanged_class_and_its_other_instances(two_shells: Any) -> None:
    """Snapshot, a bad cell, restore in the same process: later instances stay instances."""
    done = two_shells.run(
        DEFINE
        + "import nbsnap\na = A(); a.x = [1]; live = A\nnbsnap.snapshot()\na.x.append(2); later = A(); del live\n"
        "r = nbsnap.restore()\nprint(a.x, type(a) is A, isinstance(later, A), A is live, r.kept)"
    )
    assert done.out == "[1] True True True ('r', 'later')\n" or done.out == "[1] True True True ('later',)\n"


def test_class_state_comes_back_in_place(two_shells: Any) -> None:
    """A counter on the class is as it was when the snapshot was taken."""
    done = two_shells.run(
        "import nbsnap\nclass C:\n    count = 1\nc = C()\nnbsnap.snapshot()\nC.count = 99\nnbsnap.restore()\n"
        "print(C.count, c.count, type(c) is C)"
    )
    assert done.out == "1 1 True\n"


def test_source_of_restored_functions_is_there(kernel_pair: Any) -> None:
    """`inspect.getsource` and tracebacks show the cell's text in a kernel that never ran it."""
    kernel = kernel_pair.start()
    kernel.run("def f(x):\n    # a remark\n    return 1 / x")
    kernel.run("class K:\n    def m(self):\n        return 'here'")
    kernel.run("%snapshot -q")
    kernel = kernel_pair.restart()
    kernel.run("%restore -q")
    assert "# a remark" in kernel.run("import inspect; print(inspect.getsource(f))").text
    assert "return 'here'" in kernel.run("print(inspect.getsource(K.m))").text


def test_the_same_session_gives_the_same_pieces_in_another_process(two_shells: Any) -> None:
    """Other process, other hash seed: a second snapshot of the same state writes no content."""
    source = (
        "import enum, dataclasses, collections\nk = 2\ndef f(x, y=[1]): return x * k\n"
        "class A:\n    z = 1\n    def m(self): return super().__repr__()\n"
        "class E(enum.Enum):\n    P = 1\n@dataclasses.dataclass\nclass D:\n    x: int = 1\n"
        "a, e, d = A(), E.P, D(); data = {'b': [1, 2], 'a': 'text'}; N = collections.namedtuple('N', 'q'); n = N(1)\n"
        "def outer():\n    c = [0]\n    return lambda: c\ng = outer()\n"
    )
    two_shells.env["PYTHONHASHSEED"] = "1"
    first = two_shells.save(source)
    two_shells.env["PYTHONHASHSEED"] = "2"
    second = two_shells.save(source)
    assert first["skipped"] == second["skipped"] == []
    assert first["new_bytes"] > 0
    assert second["new_bytes"] == 0
