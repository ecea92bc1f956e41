"""`verify`: what a fresh process finds of a snapshot, by real processes: the session's, and the one that it starts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from test_messy import SESSION

VERIFIED = "nbsnap.snapshot(verify=True)"


def verified(shells: Any, source: str, call: str = VERIFIED) -> dict[str, Any]:
    """What `verify` finds, as a dict: of each variable its record, by name."""
    report = shells.save(source, call)
    found = report["verified"]
    return {**found, "variables": {entry["name"]: entry for entry in found["variables"]}}


def test_what_comes_back_is_identical_or_equal(two_shells: Any) -> None:
    """NaN, frames, figures, arrays, functions and classes, cycles and deep lists: nothing of it is called different."""
    found = verified(
        two_shells,
        """
import collections, datetime, enum, functools, threading
import numpy as np, pandas as pd, matplotlib.pyplot as plt
nan = float('nan'); several = [nan, 1.5, -0.0, 10**100, 'text', b'x', None]; numbers = list(range(10_000))
df = pd.DataFrame({'a': [1.0, nan], 'b': ['x', 'y'], 'c': pd.date_range('2020', periods=2)}); column = df['a']
array = np.arange(12.0).reshape(3, 4); view = array[1:]; objects = np.array([1, 'a', None, nan], dtype=object)
fig, ax = plt.subplots(); line = ax.plot([1, 4, 9])[0]
rng = np.random.default_rng(1); when = datetime.datetime(2020, 1, 1); masked = np.ma.array([1, 2], mask=[0, 1])
class Kind(enum.Enum):
    A = 1
class Point:
    def __init__(self, x): self.x, self.lock, self.tags = x, threading.Lock(), {'u', 'v', 'w'}
    def twice(self): return self.x * factor
factor = 2; point = Point(3); points = {Point(n) for n in range(3)}; method = point.twice
@functools.cache
def cached(x): return x * factor
ring = []; ring.append(ring); deep = []
for _ in range(2_000): deep = [deep]
table = collections.defaultdict(list, a=[1]); kind = Kind.A; queue = collections.deque([1], maxlen=3)
""",
    )
    assert found["problem"] == ""
    results = {name: entry["result"] for name, entry in found["variables"].items()}
    assert set(results.values()) <= {"identical", "equal"}, found["variables"]
    assert results["numbers"] == results["several"] == results["nan"] == "identical"
    assert len(results) > 30


LOSSY = """
def rebuilt(a):
    new = Lossy.__new__(Lossy); new.a = a; return new
class Lossy:
    def __init__(self): self.a, self.weights, self._state = 1, [1, 2], 'secret'
    def __reduce__(self): return rebuilt, (self.a,)
lossy = Lossy(); held = {'models': [lossy]}; fine = {'a': 1}
"""


def test_attributes_that_a_reduce_loses_are_found(two_shells: Any) -> None:
    """The pickle of an object that forgets attributes gives the same pieces: only the original tells."""
    found = verified(two_shells, LOSSY)["variables"]
    assert found["lossy"]["result"] == "differs"
    assert (found["lossy"]["path"], found["lossy"]["what"]) == ("lossy", "has lost _state, weights")
    assert found["held"]["result"] == "differs", "the same object by another way"
    assert found["fine"]["result"] == "identical"


def test_values_that_change_on_the_way_are_found(two_shells: Any) -> None:
    """A number, a text, an element, a type, a copy where there was one object; a text is not shown."""
    found = verified(
        two_shells,
        """
import os
class Changed:
    def __init__(self, **values): self.__dict__.update(values)
    def __getstate__(self): return dict(self.__dict__)
    def __setstate__(self, state): self.__dict__.update({name: change(value) for name, value in state.items()})
def change(value):
    if type(value) is int: return value + 1
    if type(value) is str: return value.upper()
    if type(value) is list: return list(value)
    return tuple(value)
number = Changed(n=1); text = Changed(word='geheim'); shared = [1, 2]; copy = Changed(items=shared)
kind = Changed(rows={1, 2}); pair = [number, text]
class Token:
    def __init__(self): self.value = 0
    def __setstate__(self, state): self.value = int.from_bytes(os.urandom(6), 'big') + 1
token = Token()
""",
    )["variables"]
    said = {name: f"{entry['path']} {entry['what']}" for name, entry in found.items() if entry["result"] == "differs"}
    assert said["number"] == "number.n was 1, is 2"
    assert said["text"] == "text.word was a text of length 6, is another"
    assert said["copy"] == "copy.items was one object with shared, and is not any more"
    assert said["kind"] == "kind.rows was a set, is a tuple"
    assert said["token"].startswith("token.value was 0, is ")
    assert said["pair"].startswith("number.n was 1, is 2")


def test_what_does_not_load_says_why(two_shells: Any) -> None:
    """A `__setstate__` that raises, and modules that a fresh process does not find; the others are verified."""
    report = two_shells.save(
        """
import os, shutil, sys
class Trap:
    def __init__(self): self.v = 1
    def __setstate__(self, state): raise ValueError('the licence server is gone')
trap = Trap(); good = [1, 2]
os.mkdir('hack'); open('hack/gone_module.py', 'w').write('class Thing:\\n    pass\\n')
os.mkdir('kept'); open('kept/kept_module.py', 'w').write('class Thing:\\n    pass\\n')
sys.path += [os.path.abspath('hack'), os.path.abspath('kept')]
import gone_module, kept_module
thing, other = gone_module.Thing(), kept_module.Thing(); thing.x = 1
shutil.rmtree('hack')
""",
        VERIFIED,
    )
    found = {entry["name"]: entry for entry in report["verified"]["variables"]}
    assert found["trap"]["result"] == "failed"
    assert "the licence server is gone" in found["trap"]["what"]
    assert found["thing"]["result"] == "failed"
    assert "gone_module" in found["thing"]["what"]
    assert found["good"]["result"] == "identical"
    assert found["other"]["result"] in ("identical", "equal"), "what the session added to sys.path comes back"
    assert report["id"], "it is saved all the same"


def test_what_cannot_be_told_is_called_unknown(two_shells: Any) -> None:
    """Things that cannot be compared are no differences; placeholders are told by the snapshot, and are none."""
    found = verified(
        two_shells,
        """
class Node:
    def __init__(self, to): self.to = to
alike = {Node([n]) for n in range(3)}; addresses = {object() for _ in range(3)}
rows = (n for n in range(3)); half = {'bad': rows, 'good': [1]}
""",
    )["variables"]
    assert found["alike"]["result"] in ("unknown", "identical")
    assert found["addresses"]["result"] in ("identical", "equal")
    assert found["half"]["result"] in ("identical", "equal")
    assert "rows" not in found


def test_strict_takes_back_what_does_not_come_back(two_shells: Any) -> None:
    """With `strict` the snapshot that is not right does not stay, and the one before it is the latest again."""
    done = two_shells.run(
        "import nbsnap\nx = 1\nfirst = nbsnap.snapshot(name='good').id\n" + LOSSY + "try:\n"
        "    nbsnap.snapshot(verify=True, strict=True)\n"
        "except nbsnap.StrictError as error: print(error)\n"
        "with nbsnap.Store('.nbsnap') as store: print([head.id for head in store.heads()] == [first])\n"
    )
    assert "lossy: has lost _state, weights" in done.out
    assert done.out.splitlines()[-1] == "True"


def gone(pid: int) -> bool:
    """Tell whether a process has ended, a moment later at most."""
    for _ in range(50):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


SLOW = """
import os, time
class Slow:
    def __init__(self): self.v = 1
    def __setstate__(self, state):
        with open('pid.part', 'w') as file: file.write(str(os.getpid()))
        os.rename('pid.part', 'pid')
        time.sleep(100)
slow = Slow()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_process_that_takes_too_long_is_ended(two_shells: Any) -> None:
    """The report says so in a line, nothing is verified, and the process is gone."""
    found = verified(two_shells, SLOW, "nbsnap.snapshot(verify=True, verify_timeout=8)")
    assert found["problem"] == "the fresh process took longer than 8 s and was ended"
    assert {entry["result"] for entry in found["variables"].values()} == {"unknown"}
    assert gone(int((two_shells.folder / "pid").read_text()))


def test_a_process_that_crashes_is_told(two_shells: Any) -> None:
    """Code that ends the process in the middle of loading costs the verification, not the snapshot."""
    report = two_shells.save(
        "import os\nclass Dead:\n    def __init__(self): self.v = 1\n"
        "    def __setstate__(self, state): print('gone now'); os.write(2, b'no more of this\\n'); os._exit(7)\n"
        "dead = Dead()\n",
        VERIFIED,
    )
    assert report["verified"]["problem"] == "the fresh process ended with exit code 7: no more of this"
    assert report["id"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_ctrl_c_ends_the_process_and_takes_the_snapshot_back(two_shells: Any) -> None:
    """Interrupted means not done: no snapshot stays, and no process."""
    script = two_shells.folder / "session.py"
    script.write_text(
        f"{SLOW}\nimport nbsnap\ntry: nbsnap.snapshot(verify=True)\n"
        "except KeyboardInterrupt: print('stopped')\n"
        "with nbsnap.Store('.nbsnap') as store: print(len(store.heads()))\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as process:
        pid = two_shells.folder / "pid"
        for _ in range(600):
            if pid.exists():
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert out.split() == ["stopped", "0"]
    assert gone(int(pid.read_text()))


def test_a_snapshot_can_be_verified_later(two_shells: Any) -> None:
    """`nbsnap.verify` finds what does not load and what changes each time, and says what it cannot see."""
    two_shells.save(
        LOSSY + "import os\nclass Token:\n    def __init__(self): self.value = 0\n"
        "    def __setstate__(self, state): self.value = int.from_bytes(os.urandom(6), 'big') + 1\n"
        "token = Token(); class_ = Token\nprint('printed while it is defined')\n"
    )
    done = two_shells.run(
        "import nbsnap\nprint('REPORT' + nbsnap.verify().to_json())\nprint(nbsnap.verify('latest').ok)"
    )
    report = json.loads(done.out.splitlines()[0].removeprefix("REPORT"))
    found = {entry["name"]: entry for entry in report["variables"]}
    assert found["token"]["result"] == "differs"
    assert found["fine"]["result"] == "identical"
    assert found["lossy"]["result"] in ("identical", "equal"), "the original is not there any more"
    assert "compared with itself" in report["notes"][-1]
    assert done.out.splitlines()[-1] == "False"


def test_only_what_is_written_can_be_verified(two_shells: Any) -> None:
    """Neither a dry run nor a snapshot in the background, and the error says so."""
    for more in ("dry_run=True", "background=True"):
        done = two_shells.run(f"import nbsnap\nx = 1\nnbsnap.snapshot(verify=True, {more})", ok=False)
        assert "has to be written first" in done.err


def test_verifying_changes_nothing(two_shells: Any) -> None:
    """Looking at every object of the messy session leaves no trace: the next snapshot finds nothing new."""
    done = two_shells.run(
        SESSION + "\nimport nbsnap\nnbsnap.snapshot(verify=True)\nfound = nbsnap.snapshot(verify=True)\n"
        "verified = found.verified.to_json(); del found\n"
        "new = nbsnap.snapshot(exclude=['verified']).new_bytes; print(new); print('FOUND' + verified)"
    )
    new, found = done.out.rsplit("FOUND", 1)
    assert new.split()[-1] == "0"
    results = {entry["name"]: entry["result"] for entry in json.loads(found)["variables"]}
    assert {name for name, result in results.items() if result == "failed"} == {"trap"}
    assert {name for name, result in results.items() if result == "differs"} == set()


@pytest.mark.kernel
def test_the_magics_verify_and_explain(kernel_pair: Any) -> None:
    """In a kernel: a line when all is well, a table where it is not, and nothing saved by --explain."""
    kernel = kernel_pair.start()
    kernel.run("x = [1, 2]; df = {'a': x}")
    said = kernel.run("%snapshot good --verify").text
    assert "Verified in a fresh process · 2 of 2 variables identical" in said
    kernel.run(LOSSY)
    said = kernel.run("%snapshot --verify").text
    assert "differs" in said
    assert "has lost _state, weights" in said
    output = kernel.run("report = %snapshot --verify -o -q\nprint(report.verified.ok, report.verified.wrong[0].name)")
    assert "False lossy" in output.stdout
    before = kernel.run("import nbsnap; len(nbsnap.Store('.nbsnap').heads())").result
    said = kernel.run("rows = (n for n in x); half = {'k': [rows]}\n%snapshot --explain half").text
    assert "half['k'][0]" in said
    assert "way around" in said
    assert kernel.run("len(nbsnap.Store('.nbsnap').heads())").result == before
    assert "half" in kernel.run("%snapshot --explain hal", ok=False).text, "a close name"
