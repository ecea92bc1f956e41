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


def test_a_class_redefined_between_two_partial_restores_is_said(two_shells: Any) -> None:
    """What comes second has the class of what came first, which is not the one that goes by the name now."""
    two_shells.save(DEFINE + "a = A(); more = [A()]")
    done = two_shells.run(
        "import nbsnap\nnbsnap.restore(only=['a'])\nclass A: pass\nr = nbsnap.restore(only=['more'])\n"
        "print(type(more[0]) is type(a), isinstance(a, A)); print(r.notes)"
    )
    assert done.out.startswith("True False\n")
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


KINDS = (
    "import abc, dataclasses, enum, typing\nT = typing.TypeVar('T')\n"
    "class A:\n    x = 1\n    def f(self): return 1\n"
    "@dataclasses.dataclass\nclass P:\n    v: int = 1\n"
    "class E(enum.Enum):\n    B = 1\nclass G(typing.Generic[T]): pass\n"
    "class Outer:\n    class Deep: pass\nclass N(typing.NamedTuple):\n    q: int = 1\n"
    "def factory():\n    class L: pass\n    return L\nL2 = factory()\n"
    "a, p, q, e, g, d, n, l = A(), P(), P(), E.B, G(), Outer.Deep(), N(), L2()\n"
)
SAME = "print(type(a) is A, p == q, e is E.B, type(g) is G, type(d) is Outer.Deep, type(n) is N, type(l) is L2)"


def test_restoring_in_steps_never_splits_a_class(two_shells: Any) -> None:
    """In the process that saved, in one that restored, and one variable after the other in a fresh one."""
    steps = "".join(f"nbsnap.restore(only=['{name}'])\n" for name in ("a", "p", "e", "g", "d", "n", "l"))
    here = two_shells.run(KINDS + "import nbsnap\nnbsnap.snapshot()\n" + steps + SAME)
    whole = two_shells.run("import nbsnap\nnbsnap.restore()\n" + steps + SAME)
    names = ("q", "A", "P", "E", "G", "Outer", "N", "L2")
    rest = "".join(f"nbsnap.restore(only=['{name}'])\n" for name in names)
    apart = two_shells.run("import nbsnap\n" + steps + rest + SAME)
    assert here.out == whole.out == apart.out == "True " * 6 + "True\n"


def test_running_the_cells_again_before_a_restore_splits_nothing(two_shells: Any) -> None:
    """Classes defined anew from the same text are the ones that restored instances get."""
    two_shells.save(KINDS)
    steps = "".join(f"nbsnap.restore(only=['{name}'])\n" for name in ("a", "p", "e", "n"))
    done = two_shells.run(KINDS + "import nbsnap\n" + steps + "print(type(a) is A, p == P(), e is E.B, type(n) is N)\n")
    assert done.out == "True True True True\n"


def test_a_snapshot_right_after_a_restore_writes_next_to_nothing(two_shells: Any) -> None:
    """What came back is taken apart into the same pieces."""
    first = two_shells.save(
        "def f(x): return x\nclass A:\n    def m(self): return 1\na = A(); data = [1, 'text']; n = 5; name = 'a name'\n"
        "rows = [{'n': i, 'name': f'n{i % 50}', 'kind': 'a kind', 'tags': {'t', f't{i % 7}'}} for i in range(3_000)]\n"
        "many = [A() for _ in range(2_000)]\nfor i, one in enumerate(many): one.n = i; one.label = 'a label'; del one"
    )
    names = ["f", "A", "a", "data", "n", "name", "rows", "many", "i"]
    done = two_shells.run(f"import nbsnap\nnbsnap.restore()\nprint(nbsnap.snapshot(only={names}).new_bytes)")
    assert first["new_bytes"] > 0
    assert done.out == "0\n"


SINGLETON = (
    "class Single:\n    it = None\n    def __new__(cls):\n        if cls.it is None: cls.it = object.__new__(cls)\n"
    "        return cls.it\ns = Single(); s.x = 1\n"
)


def test_a_singleton_comes_back_as_the_only_one(two_shells: Any) -> None:
    """Its own `__new__` is not called while its class is not whole, and returns it afterwards."""
    two_shells.save(SINGLETON)
    report, wrong = two_shells.restore({"one": "Single() is s and s.x == 1 and Single.it is s"})
    assert report["failed"] == []
    assert wrong == {}


def test_a_class_that_comes_along_because_it_shares_objects_is_told(two_shells: Any) -> None:
    """A class that holds its own instance is one group with it, and is made anew with it."""
    two_shells.save(SINGLETON)
    done = two_shells.run(SINGLETON + "import nbsnap\nprint(nbsnap.restore(only=['s']).notes)")
    assert done.out == "('Single came anew with s, with which it shares objects',)\n"


def test_a_class_without_a_name_comes_anew_with_what_it_holds(two_shells: Any) -> None:
    """After a restore in place, there are not two of one class: one of a name, one of what a nameless class holds."""
    done = two_shells.run(
        "import nbsnap\nclass Plain: made = []\n"
        "def cells(value):\n    return lambda: value\n"
        "get = cells(type('Made', (), {'made': [Plain()]}))\nPlain.made.append(get)\n"
        "nbsnap.snapshot()\nfor turn in range(2):\n"
        "    assert nbsnap.restore().ok\n    print(type(get().made[0]) is Plain, Plain.made[0] is get)"
    )
    assert done.out == "True True\nTrue True\n"
