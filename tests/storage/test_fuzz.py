"""Any damage to any file, and any record that anybody could write: a named error or a right result.

Everyday some hundred cases by hypothesis; a fuzzer that follows coverage (`fuzzing`) runs by hand:

    python -m pytest -m soak tests/storage/test_fuzz.py
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from storage import fuzzing
from storage.hostile import craft
from storage.making import NOTEBOOK, noise, restore, save, text

from nbsnap import manifest
from nbsnap.backends import MemoryBackend
from nbsnap.errors import NbSnapError
from nbsnap.maintenance import check
from nbsnap.repairing import repair
from nbsnap.store import Store

STATES = {
    "one": {"a": noise(70_000, 1), "b": text(9000, 1), "both": noise(5000, 0)},
    "two": {"a": noise(70_000, 2), "c": noise(300, 2), "both": noise(5000, 0)},
    "three": {"d": text(200_000, 3), "e": b"", "both": noise(5000, 0)},
}
_places = itertools.count()


def _sound() -> dict[str, bytes]:
    backend = MemoryBackend()
    backend.place = "memory-fuzz"
    store = Store.open(backend, create=True)
    for name, state in STATES.items():
        save(store, state, name)
    return dict(backend.files)


FILES = _sound()
KINDS = ("snap", "index", "pack", "json")
NAMES = {kind: sorted(name for name in FILES if name.endswith(kind)) for kind in KINDS}


def store_of(files: dict[str, bytes]) -> Store:
    """A store of these files, at a place of its own: what was read of another one is not remembered for it."""
    backend = MemoryBackend()
    backend.place, backend.files = f"memory-{next(_places)}", dict(files)
    return Store.open(backend)


@st.composite
def harm(draw: st.DrawFn) -> tuple[str, bytes | None]:
    """A file, and what is in it after it was damaged; None: it is gone."""
    kind = draw(st.sampled_from(KINDS[:3]))
    name = draw(st.sampled_from(NAMES[kind]))
    data = FILES[name]
    start = draw(st.integers(0, len(data) - 1) | st.integers(max(0, len(data) - 400), len(data) - 1))
    stop = draw(st.integers(start, len(data)) | st.integers(start, min(len(data), start + 16)))
    what = draw(st.sampled_from(("flip", "cut", "drop", "zero", "grow", "noise", "swap", "copy", "gone")))
    region = data[start:stop]
    if what == "flip":
        bit = draw(st.integers(0, 7))
        return name, data[:start] + bytes([data[start] ^ 1 << bit]) + data[start + 1 :]
    if what == "swap":  # with a file of its kind
        return name, FILES[draw(st.sampled_from(NAMES[kind]))]
    made = {
        "cut": data[:start],
        "drop": data[:start] + data[stop:],
        "zero": data[:start] + bytes(len(region)) + data[stop:],
        "grow": data[:start] + draw(st.binary(max_size=60)) + data[start:],
        "noise": data[:start] + noise(len(region), 7) + data[stop:],
        "copy": data[:start] + region + data[start:],
        "gone": None,
    }
    return name, made[what]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(harm(), min_size=1, max_size=3))
def test_any_damage(harms: list[tuple[str, bytes | None]]) -> None:
    """What comes back is right; the rest is a named error; repair keeps all that is whole, and check is content."""
    files = FILES | dict(harms)  # type: ignore[operator]
    files = {name: data for name, data in files.items() if data is not None}
    before = came_back(store_of(files))
    store = store_of(files)
    check(store)
    report = repair(store)
    assert not report.problems
    after = came_back(store)
    assert before.items() <= after.items()  # repair loses nothing
    found = check(store)
    lost = {one.id for one in report.lost if not one.whole}
    assert {id for problem in found.problems for id, _ in problem.snapshots} == lost
    assert all(problem.snapshots for problem in found.problems)
    again = repair(store)
    assert (again.rewritten, again.rebuilt, again.aside, again.renamed, again.dropped) == (0, (), (), (), ())
    save(store, STATES["one"], "again")
    assert restore(store, "again") == STATES["one"]


def came_back(store: Store) -> dict[tuple[str, str], bytes]:
    """What can be had of each snapshot, variable by variable: none of it wrong."""
    found = {}
    for name, state in STATES.items():
        try:
            snapshot = store.find(name, NOTEBOOK)
        except NbSnapError as error:
            assert "\n" not in str(error)
            continue
        for group in snapshot.groups:
            try:
                value = bytes(store.read(group.buffers[0]))
            except NbSnapError as error:
                assert "\n" not in str(error)
                continue
            assert value == state[group.variables[0]]
            found[name, group.variables[0]] = value
    return found


#: Values where others belong.
odd = st.one_of(
    st.sampled_from([None, True, 0, 1, -1, 1 << 62, 1 << 63, 10**30, "", "g0", "a", "../x", "\ud800", [], {}, [[]]]),
    st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5),
    st.lists(st.integers() | st.text(max_size=3), max_size=3), st.dictionaries(st.text(max_size=3), st.none()),
)  # fmt: skip


@st.composite
def records(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A head and a body of which some parts are odd."""
    data = FILES[draw(st.sampled_from(NAMES["snap"]))]
    line, body = manifest._verified(data)
    line = {key: value for key, value in line.items() if key not in ("id", "signature", "body", "body_size")}
    for _ in range(draw(st.integers(1, 4))):
        fuzzing.put(draw(st.sampled_from([line, body, body])), draw(odd), lambda many: draw(st.integers(0, many - 1)))
    return line, body


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(records())
@example(({"time": "", "notebook": "n"}, {"variables": {"name": ["a"], "group": ["nowhere"]}}))
@example(({"time": "x", "notebook": ""}, {"groups": {"id": ["g", "g"], "variables": [["a", "a"], ["a"]]}}))
def test_any_record(record: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """A record in which anything may stand, with all hashes right, is shown and compared, or refused by name."""
    line, body = record
    if any(type(line.get(key)) is not str for key in ("notebook", "time")):
        line |= {"notebook": "n", "time": ""}
    with tempfile.TemporaryDirectory(prefix="nbsnap-test-") as folder:
        path = craft(Path(folder), body, **line)
        files = FILES | {path.relative_to(folder).as_posix(): path.read_bytes()}
    fuzzing.ask(store_of(files))


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("target", fuzzing.TARGETS)
def test_fuzzing(target: str) -> None:
    """Ten minutes each of a fuzzer that follows coverage, in so much memory."""
    words = [sys.executable, fuzzing.__file__, target, "600"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    print(json.loads(done.stdout))
