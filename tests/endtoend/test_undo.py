"""Going back in a live session: `%restore` after a bad cell, `--undo` of that, and restores that did not succeed.

Most of it runs in plain Python, in a process of its own; what IPython has a part in, in real kernels.
"""

from __future__ import annotations

import json
import sys
import textwrap

import pytest

SESSION = """
import numpy as np, pandas as pd
RATE = 2
class Model:
    def __init__(self): self.weights = np.zeros(3)
    def fit(self, x): self.weights += x; return self
    def predict(self): return "old"
def price(x): return x * RATE
df = pd.DataFrame({"a": [1, 2, 3], "b": [4.0, 5.0, 6.0]})
arr = np.arange(5.0)
view = arr[1:3]
model = Model().fit(1)
config = {"lr": 0.1, "model": model}
gone = "still here"
"""

BAD = """
df.drop(columns="b", inplace=True)
arr *= 2
model.fit(10)
config.clear()
class Model:
    def predict(self): return "new"
def price(x): return -1
del gone
added = 1
RATE = 100
"""

#: True of the session as it was.
GOOD = {
    "list(df.columns)": ["a", "b"],
    "arr.tolist()": [0, 1, 2, 3, 4],
    "np.shares_memory(arr, view)": True,
    "model.weights.tolist()": [1, 1, 1],
    "config['model'] is model": True,
    "isinstance(model, Model)": True,
    "Model().predict()": "old",
    "price(1)": 2,
    "gone": "still here",
}


@pytest.mark.kernel
@pytest.mark.parametrize("exact", ["", " --exact"])
def test_back_after_a_bad_cell_and_forward_again(kernel_pair, exact):
    """`%restore` gives the session of before the bad cell, `--undo` the very objects of after it, and so on."""
    kernel = kernel_pair.start()
    kernel.run(SESSION)
    kernel.run("%snapshot good")
    kernel.run(BAD)
    kernel.run("import builtins; builtins.after = dict(globals())")
    kernel.run(
        "order = [n for n in globals() if n in after and not n.startswith('_')]; builtins.order = order; del order"
    )
    kernel.run(f"%restore good{exact}")
    for check, value in GOOD.items():
        assert kernel.value(check) == value, check
    assert kernel.value("'added' in globals()") == (not exact)
    kernel.run("RATE = 3")
    assert kernel.value("price(1)") == 3, "restored functions see the session's names"

    said = kernel.run("%restore --undo").text
    assert said.startswith("Took back the restore of good ("), said
    assert "RATE was bound anew since" in said
    names = ["df", "arr", "view", "model", "config", "Model", "price", "added", "RATE"]
    assert kernel.value(f"[n for n in {names} if globals()[n] is not after[n]], 'gone' in globals()") == ([], False)
    assert kernel.value("list(df.columns), arr.tolist(), config, price(1)") == (["a"], [0, 2, 4, 6, 8], {}, -1)
    assert kernel.value("isinstance(model, Model), Model().predict()") == (False, "new"), "as the bad cell left it"
    assert kernel.value("[n for n in globals() if n in order] == order")

    assert kernel.run("%restore --undo").text.startswith("Took back the undo of the restore of good (")
    for check, value in GOOD.items():
        assert kernel.value(check) == (value if check != "price(1)" else 3), check
    kernel.run("%restore --undo -q")
    assert kernel.value(f"[n for n in {names} if globals()[n] is not after[n]]") == []


@pytest.mark.kernel
def test_an_undone_restore_leaves_classes_and_origins_as_they_were(kernel_pair):
    """After an undo, instances restored later are of the live class, and variables were made where they were made."""
    kernel = kernel_pair.start()
    kernel.run("class P:\n    def __init__(self, n): self.n = n")
    kernel.run("p = P(1); x = [1]")
    kernel.run("%snapshot first")
    kernel.run("x = [2]")
    kernel.run("P.late = 5; Live = P")
    kernel.run("%restore first")
    assert kernel.value("P is Live") is False, "it is another one than was saved, so it came anew"
    kernel.run("%restore --undo")
    assert kernel.value("P is Live, isinstance(p, P), x") == (True, True, [2])
    kernel.run("%restore first --only p")
    assert kernel.value("isinstance(p, P), p.n") == (True, 1)
    report = json.loads(kernel.run("r = %snapshot -o -q\nprint(r.to_json())").stdout)
    assert {v["name"]: v["code"] for v in report["variables"]}["x"] == "x = [2]"


@pytest.mark.kernel
def test_undo_says_what_it_does(kernel_pair):
    """Help, dry run, `-q`, `-o`, and one clear line where there is nothing to undo or an argument makes no sense."""
    kernel = kernel_pair.start()
    kernel.run("x = 1; y = [1]")
    assert (
        "UsageError: nothing to undo: there was no restore in this session"
        in kernel.run("%restore --undo", ok=False).text
    )
    kernel.run("%snapshot one -q")
    kernel.run("x = 2; z = 3")
    kernel.run("%restore one --exact -q")
    for wrong, said in [
        ("%restore one --undo", "--undo takes back the last restore"),
        ("%restore --undo --exact", "--undo takes back the last restore"),
        ("%restore --undo --only zz", "did you mean z?"),
    ]:
        assert said in kernel.run(wrong, ok=False).text
    said = kernel.run("%restore --undo --dry-run").text
    assert "Dry run: take back the restore of one (" in said
    assert "nothing was changed" in said
    assert kernel.value("x, 'z' in globals()") == (1, False)
    report = json.loads(kernel.run("r = %restore --undo -q -o\nprint(r.to_json())").stdout)
    assert [v["name"] for v in report["restored"]] == ["x", "y", "z"]
    assert (report["undo"], report["name"], report["failed"]) == ("undone", "one", [])
    assert kernel.value("x, z") == (2, 3)
    kernel.run("%restore --undo --only x -q")
    assert kernel.value("x, z") == (1, 3)
    assert kernel.run("%restore --undo -q").text == ""
    assert kernel.value("x, z") == (2, 3), "what is left of it is undone, then"
    kernel.run("%restore --undo -q")
    assert kernel.value("x, 'z' in globals()") == (1, False)
    kernel.run("%snapshot two -q")
    assert "was let go at " in kernel.run("%restore --undo", ok=False).text


@pytest.mark.kernel
def test_a_variable_that_is_never_saved_is_never_removed(kernel_pair):
    """`--exact` leaves alone what the setting `exclude` keeps out of every snapshot."""
    kernel = kernel_pair.start()
    kernel.run("%config NbSnap.exclude = ['big_*']")
    kernel.run("x = 1; big_one = 2")
    kernel.run("%snapshot")
    kernel.run("other = 3")
    kernel.run("%restore --exact")
    assert kernel.value("big_one, 'other' in globals()") == (2, False)


# ---- in plain Python -------------------------------------------------------------------------------------------------


def test_names_bound_since_the_restore(two_shells):
    """An undo brings back all that the restore took; what the user bound meanwhile stays, or comes back by another."""
    two_shells.run(
        textwrap.dedent("""
        import nbsnap
        from nbsnap import undoing
        a, b, c, d = [1], [2], [3], [4]
        nbsnap.snapshot(name="one")
        old = dict(a=a, b=b)
        names = list(globals())
        del c, d
        e = 5
        nbsnap.restore("one")                       # replaces a and b, adds c and d, keeps e
        a = newer = ["newer"]                       # had been replaced
        c = mine = ["mine"]                         # had been added
        f = 6                                       # not touched
        del b
        report = nbsnap.undo()
        assert a is old["a"] and b is old["b"]
        assert c is mine and "d" not in globals()
        assert (e, f) == (5, 6)
        assert report.removed == ("d",) and "a was bound anew since" in report.notes[0]
        assert report.notes[1] == "c was bound anew since, and stays"
        again = nbsnap.restore(undo=True)
        assert again.undo == "redone"
        assert a is newer and c is mine and d == [4] and "b" not in globals()
        nbsnap.undo()
        assert a is old["a"] and b is old["b"] and "d" not in globals()
        """)
    )


def test_the_order_of_names_is_as_it_was(two_shells):
    """What `--exact` had removed stands between its neighbours again, and what came since behind them."""
    two_shells.run(
        textwrap.dedent("""
        import nbsnap
        a = [1]; z = [26]
        nbsnap.snapshot(name="one", only=["a", "z"])
        b, c = 2, 3
        d = 4
        del a
        a = 0
        def order(): return [n for n in globals() if n in ("a", "b", "c", "d", "z", "late")]
        assert order() == ["z", "b", "c", "d", "a"]
        nbsnap.restore("one", exact=True)
        import nbsnap
        assert [n for n in globals() if n in ("a", "b", "c", "d", "z")] == ["z", "a"]
        late = 1
        nbsnap.undo()
        assert order() == ["z", "b", "c", "d", "a", "late"]
        """)
    )


def test_what_lies_beside_is_taken_back_too(two_shells):
    """Random generators, options, filters, the directory, `sys.path` and open figures: before, after, and before."""
    two_shells.run(
        textwrap.dedent("""
        import decimal, os, random, sys, warnings
        import matplotlib.pyplot as plt, numpy as np, pandas as pd
        import nbsnap
        os.mkdir("one"); os.mkdir("two"); os.mkdir("lib1"); os.mkdir("lib2")
        one, two, lib1, lib2 = (os.path.abspath(n) for n in ("one", "two", "lib1", "lib2"))

        def now():
            return (random.getstate(), np.random.get_state()[1].tolist(), pd.get_option("display.max_rows"),
                    list(warnings.filters), os.getcwd(), list(sys.path), plt.get_fignums(),
                    {n: len(plt.figure(n).axes) for n in sorted(plt.get_fignums())}, decimal.getcontext().prec)

        random.seed(1); np.random.seed(1); pd.set_option("display.max_rows", 11); os.chdir(one); sys.path.append(lib1)
        plt.figure(1).subplots(1, 1); plt.figure(2).subplots(1, 2); decimal.getcontext().prec = 5
        x = [1]
        nbsnap.snapshot(name="one", exclude=["now"])
        saved = now()
        random.seed(2); np.random.seed(2); pd.set_option("display.max_rows", 22); os.chdir(two); sys.path.remove(lib1)
        sys.path.append(lib2); warnings.simplefilter("error", BytesWarning); decimal.getcontext().prec = 9
        plt.close(2); plt.figure(3).subplots(3, 3); mine = plt.figure(1); mine.subplots(2, 2)
        before = now()
        nbsnap.restore("one")
        after = now()
        assert after[0] == saved[0] and after[1] == saved[1] and after[2] == 11 and after[4] == one
        assert lib1 in after[5] and lib2 in after[5] and after[6] == [1, 2, 3] and after[8] == 5, after[4:]
        report = nbsnap.undo()
        undone = now()
        assert undone == before, [i for i in range(len(before)) if before[i] != undone[i]]
        assert plt.figure(1) is mine
        assert any("random" in line for line in report.beside), report.beside
        nbsnap.undo()
        again = now()
        assert again == after, [i for i in range(len(before)) if after[i] != again[i]]
        nbsnap.undo()
        assert now() == before
        """)
    )


def test_mapped_arrays_and_undo(two_shells):
    """An array that an earlier restore has mapped is given back with what was written to it, its store long gone."""
    two_shells.run(
        textwrap.dedent("""
        import shutil
        import numpy as np, nbsnap
        big = np.random.default_rng(0).random(4_000_000)
        nbsnap.snapshot(name="one")
        first = float(big[0])
        nbsnap.restore("one")
        mapped = big
        big[0] = 7.0
        report = nbsnap.restore("one")
        assert big is not mapped and big[0] == first
        assert 30_000_000 < report.held < 40_000_000, report.held
        shutil.rmtree(".nbsnap")
        nbsnap.undo()
        assert big is mapped and big[0] == 7.0 and float(big[1:].sum()) > 0
        """)
    )


def test_what_was_replaced_is_let_go(two_shells):
    """By a snapshot that the user takes, or by the next restore; not by one that nobody asked for, nor for a part."""
    two_shells.run(
        textwrap.dedent("""
        import weakref
        import numpy as np, nbsnap
        from nbsnap import undoing
        a = np.ones(10); b = 1
        nbsnap.snapshot(name="one")
        def forget():
            global a, watch
            watch = weakref.ref(a)
            nbsnap.restore("one")
        forget()
        assert watch() is not None, "kept for an undo"
        nbsnap.snapshot(only=["b"])
        nbsnap.snapshot(automatic=True)
        assert watch() is not None
        first = watch
        forget()
        assert first() is None and watch() is not None, "the next restore"
        nbsnap.snapshot()
        assert watch() is None, "a snapshot"
        try:
            nbsnap.undo()
        except nbsnap.NbSnapError as error:
            assert "nothing to undo: what the restore of one (" in str(error) and "by a snapshot" in str(error)
        else:
            raise AssertionError
        """)
    )


def test_too_much_to_keep(two_shells):
    """Where what was replaced would take too much of the free memory it is not kept, which is said."""
    two_shells.run(
        textwrap.dedent("""
        import numpy as np, nbsnap
        from nbsnap import undoing
        a = np.ones(1000)
        nbsnap.snapshot(name="one")
        undoing._SHARE = 1 << 60  # as if so much had to be free
        report = nbsnap.restore("one")
        assert report.held == 0 and "was too much to keep in memory, so there is no --undo" in report.notes[-1]
        try:
            nbsnap.undo()
        except nbsnap.NbSnapError as error:
            assert "took too much memory" in str(error)
        else:
            raise AssertionError
        """)
    )


def test_only_the_session_has_an_undo(two_shells):
    """A dict of one's own is not kept alive by restores into it."""
    two_shells.run(
        textwrap.dedent("""
        import nbsnap
        a = [1]
        nbsnap.snapshot(name="one")
        mine = {}
        nbsnap.restore("one", mine)
        for call in (lambda: nbsnap.undo(mine), nbsnap.undo):
            try:
                call()
            except nbsnap.NbSnapError as error:
                assert "nothing to undo" in str(error)
            else:
                raise AssertionError
        """)
    )


# ---- restores that did not succeed -----------------------------------------------------------------------------------


LOADS = """
class Fails:
    how = None
    def __getstate__(self): return {"v": 1}
    def __setstate__(self, state):
        if how is not None:
            raise how
        self.v = 1
how = None
fails = Fails(); data = [1]; more = [2]
import nbsnap, nbsnap.undoing
nbsnap.snapshot(name="good", exclude=["how"])
"""


@pytest.mark.parametrize("how", ["KeyboardInterrupt()", "MemoryError()", "ValueError('no')"])
def test_a_restore_that_failed_leaves_all_as_it_was(two_shells, how):
    """Ctrl-C, or an error under `strict`: the namespace is untouched; with no name missing nothing is incomplete."""
    strict = "" if how.startswith("Keyboard") else ", strict=True"
    two_shells.run(
        LOADS
        + textwrap.dedent(f"""
        data.append(5); added = 1
        before = dict(globals())
        how = before["how"] = {how}
        try:
            nbsnap.restore("good", exact=True{strict})
        except (KeyboardInterrupt, nbsnap.StrictError):
            pass
        else:
            raise AssertionError
        assert {{k: v for k, v in globals().items() if k != "before"}} == {{k: v for k, v in before.items()}}
        assert all(globals()[k] is v for k, v in before.items())
        assert nbsnap.undoing.incomplete() is None
        try:
            nbsnap.undo()
        except nbsnap.NbSnapError as error:
            assert "nothing to undo" in str(error)
        """)
    )


def test_an_interrupted_restore_in_a_fresh_session_is_incomplete(two_shells):
    """Until the names are bound, or a restore succeeds, nobody takes the near empty session for the state to save."""
    two_shells.run(LOADS)
    two_shells.run(
        textwrap.dedent("""
        import nbsnap, nbsnap.undoing
        how = KeyboardInterrupt()
        assert nbsnap.undoing.incomplete() is None
        try:
            nbsnap.restore("good")
        except KeyboardInterrupt:
            pass
        told = nbsnap.undoing.incomplete()
        assert told.startswith("the restore of good ("), told
        assert told.endswith("is incomplete: Fails, fails, data and more are missing"), told
        data = more = 1
        assert "Fails and fails are missing" in nbsnap.undoing.incomplete()
        how = None
        nbsnap.restore("good")
        assert nbsnap.undoing.incomplete() is None
        """)
    )


def test_a_restore_that_brought_only_a_part_is_incomplete(two_shells):
    """It is until what failed is bound anew, restored, or the restore undone; a snapshot says what it misses."""
    two_shells.run(LOADS)
    two_shells.run(
        textwrap.dedent("""
        import nbsnap, nbsnap.undoing
        incomplete = nbsnap.undoing.incomplete
        how = ValueError("no")
        assert [s.name for s in nbsnap.restore("good").failed] == ["fails"]
        assert incomplete().endswith("is incomplete: fails is missing")
        nbsnap.undo()
        assert incomplete() is None, "undone"
        nbsnap.undo()
        assert incomplete() is not None, "redone"
        nbsnap.restore("good", only=["data"])
        assert incomplete() is not None, "another variable"
        fails = "by hand"
        assert incomplete() is None, "bound"
        how = ValueError("no")
        nbsnap.restore("good")
        assert fails == "by hand" and incomplete() is not None, "what is there is not what was saved"
        how = None
        nbsnap.restore("good", only=["fails"])
        assert incomplete() is None, "restored"
        how = ValueError("no"); del fails
        nbsnap.restore("good")
        assert nbsnap.snapshot(automatic=True).notes == ()
        assert incomplete() is not None, "a snapshot that nobody asked for"
        report = nbsnap.snapshot(exclude=["how"])
        assert len(report.notes) == 1, report.notes
        assert report.notes[0].startswith("missing, as it was not restored from good ("), report.notes
        assert report.notes[0].endswith(": fails")
        assert incomplete() is None, "the user knows"
        fails = "older"
        nbsnap.restore("good")
        report = nbsnap.snapshot(exclude=["how"])
        assert report.notes[0].startswith("not as in good (") and report.notes[0].endswith(": fails"), report.notes
        """)
    )


@pytest.mark.kernel
def test_a_kernel_with_a_package_missing(kernel_pair):
    """`%snapshot` after an incomplete restore goes through, and names what is missing; `--only` completes it."""
    module = kernel_pair.folder / "gadgets_lib.py"
    module.write_text("class Gadget:\n    size = 3\n")
    kernel = kernel_pair.start()
    kernel.run(
        "import sys; sys.path.insert(0, '')\nfrom gadgets_lib import Gadget\nw = Gadget(); plain = 1; del Gadget"
    )
    kernel.run("%snapshot good")
    module.rename(module.with_suffix(".away"))
    kernel = kernel_pair.restart()
    kernel.run("%restore")
    asks = "import nbsnap.undoing\nprint(nbsnap.undoing.incomplete())"
    assert "w is missing" in kernel.run(asks).stdout
    module.with_suffix(".away").rename(module)
    kernel.run("%restore --only w")
    assert kernel.run(asks).stdout == "None\n"
    assert kernel.run("%snapshot").text.count("missing") == 0
    module.rename(module.with_suffix(".away"))
    kernel = kernel_pair.restart()
    kernel.run("%restore good")
    assert "missing, as it was not restored from good (" in kernel.run("%snapshot -q").text


@pytest.mark.kernel
def test_no_autosnapshot_after_an_incomplete_restore(kernel_pair):
    """What is missing is missing from no snapshot that nobody asked for: the good one stays the latest."""
    module = kernel_pair.folder / "gadgets_lib.py"
    module.write_text("class Gadget:\n    size = 3\n")
    kernel = kernel_pair.start()
    kernel.run(
        "import sys; sys.path.insert(0, '')\nfrom gadgets_lib import Gadget\nw = Gadget(); plain = 1; del Gadget"
    )
    kernel.run("%snapshot good")
    module.rename(module.with_suffix(".away"))
    kernel = kernel_pair.restart()
    kernel.run("%config NbSnap.snapshot_on_exit = True\n%restore\n%autosnapshot 1")
    stamps = "import nbsnap\nprint([head.name for head in nbsnap.Store.open('.nbsnap').heads()])"
    for n in range(3):
        kernel.run(f"late = {n}; import time; time.sleep(0.6)")
    assert "None while the restore of good (" in kernel.run("%autosnapshot").text
    assert kernel.run(stamps).stdout == "['good']\n"
    kernel.run("w = None; import time; time.sleep(1.1)")
    kernel.run("time.sleep(1.1)")
    assert kernel.run(stamps).stdout != "['good']\n"


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the memory in use")
def test_memory_is_held_once_more_and_said(two_shells):
    """400 MB that were replaced stay until a snapshot is taken; the report says so, and then the memory is free."""
    out = two_shells.run(
        textwrap.dedent("""
        import numpy as np, nbsnap
        from nbsnap import render, layout
        def used():
            with open("/proc/self/status") as file:
                return next(int(line.split()[1]) for line in file if line.startswith("RssAnon:")) / 1000
        a = np.random.default_rng(0).random(50_000_000)
        nbsnap.snapshot(name="one")
        start = used()
        report = nbsnap.restore("one")
        a += 1
        print(layout.to_text(render.restore_sheet(report)))
        twice = used()
        nbsnap.snapshot(name="two")
        once = used()
        print("MB:", round(start), round(twice), round(once))
        assert twice - start > 350 and once - start < 50
        """)
    ).out
    assert "what was replaced (about 400 MB) is kept for --undo, until the next %snapshot" in out
    print(out)
