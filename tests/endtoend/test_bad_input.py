"""Bad input and bad places: one clear line each, and nothing that was there is harmed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SNAPSHOT = "import nbsnap\nalpha, beta, df_one, df_two = [1], [2], 3, 4\n"


def error_of(shells, source: str) -> str:
    """The one line of the NbSnapError that the program ends with."""
    done = shells.run(
        f"import nbsnap\ntry:\n    {source}\n"
        "except nbsnap.NbSnapError as error:\n    print(type(error).__name__ + ': ' + str(error))\n"
    )
    assert len(done.out.splitlines()) == 1, done.out
    return done.out.strip()


def cli(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in the working directory."""
    return subprocess.run(
        [sys.executable, "-m", "nbsnap", *words], capture_output=True, text=True, timeout=60, check=False
    )


# --- unknown names ----------------------------------------------------------------------------------------------------


def test_an_unknown_snapshot(two_shells):
    """The error lists the closest names; the command line ends with code 3."""
    two_shells.save(SNAPSHOT, "nbsnap.snapshot(name='before-train')")
    said = error_of(two_shells, "nbsnap.restore('before-trian')")
    assert said.startswith("SnapshotNotFound: ")
    assert "before-train" in said
    ended = cli("show", "before-trian", "--notebook", "session.py")
    assert ended.returncode == 3
    assert "before-train" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_unknown_variable(two_shells):
    """On both ways the error lists the closest names, and nothing is saved or bound."""
    done = two_shells.run(
        SNAPSHOT
        + "try:\n    nbsnap.snapshot(only=['alpah'])\nexcept nbsnap.VariableNotFound as error:\n    print(error)\n"
    )
    assert "alpha" in done.out
    assert "no snapshot" in error_of(two_shells, "nbsnap.restore()")
    two_shells.save(SNAPSHOT)
    said = error_of(two_shells, "nbsnap.restore(only=['df_on'])")
    assert said.startswith("VariableNotFound: ")
    assert "df_one" in said
    assert "zzz*" in error_of(two_shells, "nbsnap.restore(exclude=['zzz*'])")


def test_no_snapshot_yet(two_shells):
    """With no store, and with a store of another notebook, the error says how to make one."""
    assert "%snapshot makes one" in error_of(two_shells, "nbsnap.restore()")
    two_shells.save(SNAPSHOT, "nbsnap.snapshot(notebook='other.ipynb')")
    said = error_of(two_shells, "nbsnap.restore()")
    assert said.startswith("SnapshotNotFound: ")
    assert "%snapshot makes one" in said


@pytest.mark.kernel
def test_in_ipython_each_is_one_line_of_usage_error(kernel_pair):
    """A wrong name, pattern, option or snapshot is a UsageError in one line, without a traceback."""
    kernel = kernel_pair.start()
    kernel.run("alpha = 1\n%snapshot good")
    for cell, word in (
        ("%restore goood", "good"),
        ("%restore --only alhpa", "alpha"),
        ("%snapshot --only alhpa", "alpha"),
        ("%snapshot --exclude nothing_*", "nothing_*"),
        ("%snapshot --no-such-option", "--no-such-option"),
        ("%restore latest~7", "latest~7"),
        ("%snapshot latest", "latest"),
    ):
        output = kernel.run(cell, ok=False)
        assert word in output.text, cell
        assert "UsageError" in output.text, cell
        assert "Traceback" not in output.text + output.traceback, cell
        assert len(output.text.strip().splitlines()) == 1, output.text
    assert kernel.value("alpha") == 1


# --- places -----------------------------------------------------------------------------------------------------------


def test_a_place_that_cannot_be_written_falls_back(two_shells, private_environment):
    """When no store can be made beside the notebook it goes to the user's data folder, and a line says so."""
    (two_shells.folder / ".nbsnap").write_text("a file in the way")
    report = two_shells.save(SNAPSHOT)
    assert any("cannot be written" in note and report["store"] in note for note in report["notes"])
    assert str(private_environment) in report["store"]
    _, wrong = two_shells.restore({"all": "alpha == [1] and df_two == 4"})
    assert wrong == {}
    assert (two_shells.folder / ".nbsnap").read_text() == "a file in the way"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_falls_back(two_shells):
    """The same for a folder that only permits reading."""
    script = two_shells.folder / "session.py"
    script.write_text(SNAPSHOT + "print(nbsnap.snapshot().store)\n")
    two_shells.folder.chmod(0o555)
    try:
        done = subprocess.run(
            [sys.executable, script], cwd=two_shells.folder, capture_output=True, text=True, check=True
        )
    finally:
        two_shells.folder.chmod(0o755)
    assert not done.stdout.startswith(str(two_shells.folder))


@pytest.mark.parametrize("place", ["in-the-way/store", "/proc/nbsnap/store"])
def test_a_store_that_was_asked_for_and_cannot_be_written(two_shells, place):
    """A store named by the user is never silently put elsewhere: an error names it, and the namespace stays."""
    if place.startswith("/proc") and not sys.platform.startswith("linux"):
        pytest.skip("no /proc here")
    (two_shells.folder / "in-the-way").write_text("a file")
    done = two_shells.run(
        SNAPSHOT + f"before = dict(globals())\ntry:\n    nbsnap.snapshot(store={place!r})\n"
        "except nbsnap.StoreError as error:\n    print(type(error).__name__, error)\n"
        "after = {k: v for k, v in globals().items() if k not in ('before', 'error')}\n"
        "print(all(after.get(k) is v for k, v in before.items()))\n"
    )
    first, same = done.out.splitlines()
    assert str(Path(place).parent) in first
    assert same == "True"


def test_a_store_of_a_later_format_is_refused(two_shells):
    """A store whose format this nbsnap does not know is left alone, and the error says so."""
    two_shells.save(SNAPSHOT)
    stamp = two_shells.folder / ".nbsnap" / "store.json"
    text = stamp.read_text()
    newer = text.replace("1", "999", 1)
    assert newer != text
    stamp.write_text(newer)
    assert error_of(two_shells, "nbsnap.restore()").startswith("StoreVersionError: ")
    assert error_of(two_shells, "nbsnap.snapshot()").startswith("StoreVersionError: ")
    assert stamp.read_text() == newer


# --- damage -----------------------------------------------------------------------------------------------------------


def damage(path: Path, how: str) -> None:
    """Truncate, flip or empty a file."""
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    if how == "truncated":
        data = data[: len(data) // 2]
    elif how == "altered":
        data[len(data) // 2] ^= 0xFF
    else:
        data = bytearray()
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["truncated", "altered", "emptied"])
@pytest.mark.parametrize("kind", ["pack", "snap"])
def test_a_damaged_file_is_named_and_the_other_snapshots_restore(two_shells, kind, how):
    """A truncated, altered or empty pack or manifest costs its own snapshot, by name, and no other."""
    save = "import nbsnap, random\ndata = random.Random({0}).randbytes(200_000)\nwhich = {0}\n"
    folder = two_shells.folder / ".nbsnap"
    two_shells.save(save.format(1), "nbsnap.snapshot(name='good')")
    old = set(folder.rglob(f"*.{kind}"))
    two_shells.save(save.format(2), "nbsnap.snapshot(name='hurt')")
    (victim,) = set(folder.rglob(f"*.{kind}")) - old
    damage(victim, how)

    done = two_shells.run(
        "import nbsnap\nwhich = 'mine'\ntry:\n    report = nbsnap.restore('hurt')\n"
        "    print([(skip.name, skip.reason) for skip in report.failed])\n"
        "except nbsnap.NbSnapError as error:\n    print(type(error).__name__, error)\n"
        "print('data' in globals() and hash(data) and len(data))\n"
    )
    said, bound = done.out.splitlines()
    assert bound == "False", "a wrong value must never be bound"
    assert victim.name in said or victim.stem in said or "hurt" in said, said
    ended = cli("check")
    assert ended.returncode != 0
    assert victim.name in ended.stdout + ended.stderr

    _, wrong = two_shells.restore({"good": "which == 1 and len(data) == 200_000"}, "nbsnap.restore('good')")
    assert wrong == {}
    two_shells.save(save.format(3), "nbsnap.snapshot(name='next')")
    _, wrong = two_shells.restore({"next": "which == 3 and len(data) == 200_000"}, "nbsnap.restore()")
    assert wrong == {}


# --- objects that raise or lie ----------------------------------------------------------------------------------------

HOSTILE = {
    "eq": "__eq__ = boom\n    __hash__ = None",
    "bool": "__bool__ = boom",
    "len": "__len__ = boom",
    "len lies": "__len__ = lambda self: -1",
    "repr": "__repr__ = __str__ = __format__ = boom",
    "repr lies": "__repr__ = lambda self: 5",
    "class": "__class__ = property(boom)",
    "class lies": "__class__ = property(lambda self: dict)",
    "getattr": "__getattr__ = boom",
    "getattr lies": "__getattr__ = lambda self, name: lambda *a, **k: None",
    "getattribute": "__getattribute__ = boom",
    "hash": "__hash__ = boom",
    "iter": "__iter__ = __contains__ = boom",
    "shape lies": "shape = property(lambda self: self)\n    dtype = property(boom)",
    "dir": "__dir__ = boom",
    "sizeof": "__sizeof__ = boom",
    "del": "__del__ = lambda self: None",
    "exit": "__reduce_ex__ = lambda self, protocol: exit(3)",
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_an_object_that_raises_or_lies_is_never_fatal(two_shells, name):
    """Special methods that raise or lie cost their own variable at most, and never the others."""
    code = (
        "import nbsnap\ndef boom(*a, **k):\n    raise RuntimeError('do not call me')\n"
        f"class Hostile:\n    {HOSTILE[name]}\n"
        "hostile = Hostile()\nheld = [hostile, 1]\ngood = {'a': [1, 2]}\nalias = good['a']\n"
    )
    report = two_shells.save(code)
    assert {"good", "alias"} <= {variable["name"] for variable in report["variables"]}
    accounted = {variable["name"] for variable in report["variables"]} | {skip["name"] for skip in report["skipped"]}
    assert {"hostile", "held"} <= accounted, "nothing is dropped without a line"
    back, wrong = two_shells.restore({"good": "good['a'] is alias and alias == [1, 2]"})
    assert wrong == {}
    told = {v["name"] for v in back["restored"]} | {s["name"] for s in (*back["failed"], *back["not_saved"])}
    assert {"hostile", "held"} <= told


def test_objects_are_not_asked_needlessly(two_shells):
    """A snapshot calls no `__eq__`, `__bool__`, `__len__`, `__repr__`, `__iter__`, `__hash__` of the user's objects."""
    code = """
import nbsnap
class Counting:
    calls = []
def record(name):
    def method(self, *rest):
        Counting.calls.append(name)
        return {"__bool__": True, "__len__": 0, "__repr__": "", "__hash__": 0, "__eq__": True}.get(name)
    return method
for name in ("__eq__", "__bool__", "__len__", "__repr__", "__hash__", "__getattr__", "__iter__", "__str__"):
    setattr(Counting, name, record(name))
one, two = Counting(), [Counting()]
Counting.calls.clear()
nbsnap.snapshot(dry_run=True)
print(sorted(set(Counting.calls)))
"""
    assert two_shells.run(code).out.strip() == "[]"


def test_an_object_that_kills_the_loader_costs_itself(two_shells):
    """`SystemExit` from the user's own `__setstate__` is a failure of that variable, with a line."""
    code = (
        "class Leaver:\n    def __init__(self): self.v = 1\n"
        "    def __setstate__(self, state): raise SystemExit(4)\n"
        "leaver = Leaver(); good = 1\n"
    )
    two_shells.save(code)
    report, wrong = two_shells.restore({"good": "good == 1 and 'leaver' not in globals()"})
    assert wrong == {}
    assert [skip["name"] for skip in report["failed"]] == ["leaver"]


def test_handles_are_refused_wherever_they_sit_and_files_survive(two_shells):
    """A handle opened for writing, at any depth, is refused by type, and its file is as it was after the restore."""
    code = (
        "import socket, sqlite3\n"
        "for n in range(3):\n    open(f'keep{n}.txt', 'w').write('precious')\n"
        "top = open('keep0.txt', 'r+')\nclosed = open('keep1.txt', 'a'); closed.close()\n"
        "deep = {'a': [({'b': open('keep2.txt', 'r+')},)]}\nsock = [socket.socket()]\n"
        "conn = {'db': sqlite3.connect('x.db')}\nfine = 1\n"
    )
    report = two_shells.save(code)
    skipped = {skip["name"]: skip for skip in report["skipped"]}
    assert {"top", "closed", "deep", "sock", "conn"} <= set(skipped)
    assert skipped["deep"]["path"] == "deep['a'][0][0]['b']"
    assert skipped["conn"]["path"] == "conn['db']"
    _, wrong = two_shells.restore(
        {"files": "[open(f'keep{n}.txt').read() for n in range(3)] == ['precious'] * 3", "fine": "fine == 1"}
    )
    assert wrong == {}
