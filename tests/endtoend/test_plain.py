"""The main job in plain Python: `nbsnap.snapshot()` in one process, `nbsnap.restore()` in another, and no IPython."""

from __future__ import annotations

import subprocess
import sys

SESSION = """
import math
FACTOR = 3
shared = [1, 2]
owner = {"list": shared, "pair": (shared, 1)}
class Model:
    def __init__(self, w):
        self.w = w
    def predict(self, x):
        return scale(self.w) * x
def scale(x):
    return x * FACTOR
model = Model(2)
rows = (i for i in range(3))
"""


def test_the_main_job(two_shells):
    """What `__main__` holds comes back in another process, with aliases, classes and live functions."""
    saved = two_shells.save(SESSION, "nbsnap.snapshot(name='before', message='good')")
    assert saved["name"] == "before"
    assert saved["message"] == "good"
    assert [skip["name"] for skip in saved["skipped"]] == ["rows"]
    report, wrong = two_shells.restore(
        {
            "alias": "owner['list'] is shared and owner['pair'][0] is shared",
            "class": "isinstance(model, Model) and Model.__module__ == '__main__'",
            "live globals": "scale(2) == 6 and globals().update(FACTOR=5) is None and scale(2) == 10",
            "method": "model.predict(1) == 10",
            "module": "math.floor(2.5) == 2",
            "nothing invented": "'rows' not in globals()",
        }
    )
    assert wrong == {}
    assert [skip["name"] for skip in report["not_saved"]] == ["rows"]
    assert report["failed"] == []


def test_no_ipython_is_loaded_for_it(two_shells):
    """Saving and restoring in plain Python imports neither IPython nor numpy."""
    code = (
        "x = 1\nimport nbsnap, sys\nnbsnap.snapshot()\nnbsnap.restore()\nprint({'IPython', 'numpy'} & set(sys.modules))"
    )
    assert two_shells.run(code).out.strip() == "set()"


def test_python_s_own_names_stay(two_shells):
    """`__name__`, `__file__`, `__builtins__` and the like are neither saved nor touched."""
    saved = two_shells.save("x = 1")
    assert [variable["name"] for variable in saved["variables"]] == ["x", "nbsnap"]
    _, wrong = two_shells.restore({"name": "__name__ == '__main__'", "file": "__file__.endswith('session.py')"})
    assert wrong == {}


def test_any_dict_is_a_namespace(two_shells):
    """A dict given as `namespace` is saved and restored in place of `__main__`, functions' globals included."""
    code = """
import nbsnap
space = {}
exec("base = 10\\ndef add(x): return base + x\\nitems = [1]", space)
nbsnap.snapshot(space, name="space")
fresh = {}
report = nbsnap.restore("space", fresh)
assert fresh["add"](1) == 11, fresh
fresh["base"] = 20
assert fresh["add"](1) == 21
assert fresh["items"] == [1] and fresh["items"] is not space["items"]
assert space["base"] == 10
print(sorted(v.name for v in report.restored))
"""
    assert two_shells.run(code).out.strip() == "['add', 'base', 'items']"


def test_reports_are_for_programs_too(two_shells):
    """A report is a frozen record whose `to_dict` and `to_json` hold plain data only."""
    code = """
import dataclasses, json, nbsnap
x = [1, 2, 3]
report = nbsnap.snapshot(message="for a program")
told = json.loads(report.to_json())
assert told == json.loads(json.dumps(report.to_dict()))
assert told["message"] == "for a program" and told["id"] == report.id and len(report.id) == 64
try:
    report.id = "other"
except dataclasses.FrozenInstanceError:
    print("frozen")
"""
    assert two_shells.run(code).out.strip() == "frozen"


def test_typed_at_the_prompt(two_shells):
    """The same in `python -i`, where functions have no file to come from."""
    typed = "import nbsnap\nf = lambda v: v + step\nstep = 2\nprint(nbsnap.snapshot(name='typed').ok)\n"
    back = "import nbsnap\nprint(nbsnap.restore('typed').ok, f(1))\nstep = 5\nprint(f(1))\n"
    out = []
    for lines in (typed, back):
        done = subprocess.run(
            [sys.executable, "-i", "-q"], input=lines, capture_output=True, text=True, timeout=60, check=True
        )
        out.append(done.stdout.split())
    assert out == [["True"], ["True", "3", "6"]]


def test_a_second_snapshot_of_the_same_state_writes_next_to_nothing(two_shells):
    """Only what the store lacks is written: the second time, not the data."""
    code = """
import nbsnap
data = bytes(range(256)) * 40_000
import os
noise = os.urandom(3_000_000)
first = nbsnap.snapshot(exclude=["first*"] if "first" in globals() else [])
second = nbsnap.snapshot(exclude=["first"])
print(first.new_bytes > 3_000_000, second.new_bytes < 20_000)
"""
    assert two_shells.run(code).out.split() == ["True", "True"]
