"""The number that CPython gives a dict with each change: whatever is done to it, and by whatever way."""

from __future__ import annotations

import collections
import ctypes
import random
import subprocess
import sys
import threading

import pytest

from nbsnap.versions import _is_right, _unknown, version


class Thing:
    """An object of the user's."""


def ways():
    """Return what changes a dict that has the keys "a" and "b", each in a way of its own."""
    scope = {}
    exec("def store(d): d['a'] = object()\ndef drop(d): del d['b']", scope)
    set_item = ctypes.pythonapi.PyDict_SetItem
    set_item.argtypes = [ctypes.py_object] * 3
    return {
        "stored": scope["store"],
        "stored many times": lambda d: [scope["store"](d) for _ in range(100)],  # the bytecode is specialised by then
        "deleted": scope["drop"],
        "update": lambda d: d.update(b=object()),
        "update by pairs": lambda d: d.update([("new", 1)]),
        "or": lambda d: d.__ior__({"new": 1}),
        "pop": lambda d: d.pop("a"),
        "popitem": dict.popitem,
        "clear": dict.clear,
        "setdefault": lambda d: d.setdefault("new", 1),
        "init": lambda d: dict.__init__(d, new=1),
        "as a namespace": lambda d: exec("new = 1", d),
        "a global": lambda d: exec("def f():\n global a\n a = object()\nfor _ in range(100): f()", d),
        "moved": lambda d: d.update(a=d.pop("a")),
        "in C": lambda d: set_item(d, "a", object()),
        "counted": lambda d: collections._count_elements(d, "xy"),
        "by another thread": lambda d: in_thread(lambda: d.update(a=object())),
        "by an object": by_an_object,
    }


def in_thread(call):
    """Call in another thread."""
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


def by_an_object(mapping):
    """Change the dict as the attributes of an object."""
    thing = Thing()
    thing.__dict__ = mapping
    for _ in range(100):
        thing.a = object()


@pytest.mark.parametrize("change", ways().values(), ids=ways())
@pytest.mark.parametrize("make", [lambda: {"a": 1, "b": 2}, lambda: {"a": 1, "b": 2, 3: 4}], ids=["texts", "mixed"])
def test_a_change_is_a_new_number(change, make):
    """After a change a dict has a number that it never had, while one that is only looked at keeps it."""
    mapping = make()
    before = version(mapping)
    assert (repr(mapping), list(mapping), mapping == {}, mapping.copy())[0]
    assert version(mapping) == before != 0
    change(mapping)
    assert version(mapping) != before


@pytest.mark.parametrize("how", ["vars", "given", "own"])
def test_the_attributes_of_objects(how):
    """Attributes either have no number, or another one after each change."""
    thing = Thing()
    for number in range(3):
        if how == "given":
            thing.__dict__ = {"a": number}
        thing.a, thing.b = number, number
        mapping = vars(thing)
        before = version(mapping)
        if how == "own":
            mapping["a"] = object()
        else:
            thing.a = object()
        assert before == 0 or version(mapping) != before


def test_no_two_have_the_same():
    """Whatever dicts there are and were, no two had one number."""
    rng = random.Random(3)
    met = set()
    held = [{} for _ in range(50)]
    for _ in range(5_000):
        at = rng.randrange(50)
        match rng.randrange(4):
            case 0:
                held[at] = held[rng.randrange(50)].copy()
            case 1:
                held[at] = {}
            case _:
                held[at][rng.randrange(9)] = object()
        if number := version(held[at]):
            assert number not in met
            met.add(number)
    assert len(met) > 4_000


def test_a_number_that_is_none_is_not_believed():
    """Where a dict has no such number in its head, that is found out before it is used."""
    assert sys.version_info < (3, 14)
    assert version is not _unknown
    assert _is_right(version)
    assert not _is_right(_unknown)
    assert not _is_right(lambda mapping: 1 + len(mapping))
    assert not _is_right(lambda mapping: id(mapping))
    assert not _is_right(lambda mapping: hash(tuple(mapping)) | 1)


def test_an_audit_hook_may_forbid_it():
    """Where nobody may look at memory, things are compared the long way, and no snapshot fails."""
    program = """
import sys
def hook(event, args):
    if event.startswith("ctypes.cdata"):
        raise RuntimeError(event)
sys.addaudithook(hook)
import nbsnap, tempfile
from nbsnap import identity, versions
assert versions.version is versions._unknown and identity.same_in_lists is identity._lists_one_by_one
place, names, came = tempfile.mkdtemp(), {"a": [1, 2], "d": {"k": 1}}, {}
for turn in range(3):
    names["a"].append(turn)
    names["d"][turn] = turn
    nbsnap.snapshot(names, store=place, notebook="n")
nbsnap.restore(namespace=came, store=place, notebook="n")
assert came == names
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
