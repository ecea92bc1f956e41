"""Rounds of dying and failing: sessions that save, prune and repair are struck at a system call, then looked after.

    python rounds.py first:before prune:errors --every 5      prints figures as JSON, and what was wrong

Each round has a store of its own. A child does what the scenario says and is struck; another one, which has seen none
of it, then finds that `check` is clean, that every earlier snapshot restores equal, that what was being saved is there
wholly or not at all, that the next snapshot works and leaves no litter behind, and that pruning gets all space back.
All children are forked from this process, which has imported everything and saved nothing: a round takes a quarter of a
second. See `tracing` for how they are struck.
"""

from __future__ import annotations

import argparse
import errno
import functools
import importlib
import json
import os
import pkgutil
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from storage.tracing import Traced, traced

import nbsnap
from nbsnap import manifest
from nbsnap.errors import NbSnapError, SnapshotNotFound, StoreNotFound
from nbsnap.maintenance import check
from nbsnap.repairing import repair
from nbsnap.store import Store
from nbsnap.transfer import copy, export
from nbsnap.tree import index_file, pack_file

for _module in pkgutil.iter_modules(nbsnap.__path__, "nbsnap."):  # so that no child has to
    if not _module.name.endswith(("magics", "__main__", "startup")):
        importlib.import_module(_module.name)

ERRORS = ("EIO", "ENOSPC", "EACCES", "EROFS", "EMFILE", "ESTALE")
Names = dict[str, Any]


def state(number: int) -> Names:
    """What a session holds at that time: most of a big array as before, things that share, things that are new."""
    big = np.random.default_rng(0).random(150_000)
    big[0] = number
    rows = [{"number": number, "at": at} for at in range(200)]
    own = np.random.default_rng(number).random(40_000)
    return {"big": big, "rows": rows, "same": rows, "own": own, "text": "x" * 5000, "view": own[100:200]}


def equal(names: Names, others: Names) -> bool:
    """Tell whether two sessions are alike, sharing included."""
    if names.keys() != others.keys() or (names and others["rows"] is not others["same"]):
        return False
    return all(np.array_equal(names[name], others[name]) for name in names)


def save(place: str, number: int, **how: Any) -> None:
    nbsnap.snapshot(state(number), store=place, notebook="n", name=f"s{number}", **how)
    if how.get("background"):
        nbsnap.wait()


def back(place: str, name: str) -> Names:
    names: Names = {}
    report = nbsnap.restore(name, names, store=place, notebook="n")
    assert report.ok, report
    return names


# --- scenarios --------------------------------------------------------------------------------------------------------


class Scenario(NamedTuple):
    """What is there before, what is then done, and which states there are for sure, and perhaps, afterwards."""

    before: Callable[[str], None]
    act: Callable[[str], None]
    sure: tuple[int, ...] = ()
    perhaps: tuple[int, ...] = ()
    verify: Callable[[str], None] | None = None


def nothing(place: str) -> None:
    pass


def one(place: str) -> None:
    save(place, 0)


def four(place: str) -> None:
    for number in range(4):
        save(place, number)


def prune(place: str) -> None:
    report = Store.open(place).prune("n", last=2, named=True)
    if report.problems + report.notes:
        raise NbSnapError("; ".join(report.problems + report.notes))


def restore(place: str) -> None:
    names = {"rows": 1, "other": 2}
    kept = dict(names)
    try:
        report = nbsnap.restore("s0", names, store=place, notebook="n")
    except BaseException:
        assert names == kept, f"the namespace was changed: {sorted(names)}"
        raise
    told = {skip.name for skip in report.failed}
    right = state(0)
    for name, value in right.items():
        assert name in told or np.array_equal(names[name], value), name
    if told:
        raise NbSnapError(report.failed[0].reason)


def look(place: str) -> None:
    """What only reads."""
    store = Store.open(place)
    report = check(store)
    if not report.ok:
        raise NbSnapError(report.problems[0].what)
    store.list("n")
    store.diff("s0", "latest", "n")


def damaged(place: str) -> None:
    """Three snapshots: of the first one's pack a piece is altered, the index of the last is gone, a record is cut."""
    for number in range(3):
        save(place, number)
    store = Store.open(place)
    entries = store.entries()
    packs = [sorted(manifest.parse(Path(place, entry.file).read_bytes()).packs) for entry in entries]
    (own,) = set(packs[2]) - {*packs[0], *packs[1]}
    Path(place, index_file(own)).unlink()
    (group,) = (group for group in store.load_entry(entries[0]).groups if "own" in group.variables)
    first = bytes.fromhex(group.buffers[0].pieces[0])  # the other snapshots have nothing like it
    (lost,) = (piece for piece in store.pieces.index(packs[0][0]).pieces() if piece.id == first)
    with Path(place, pack_file(packs[0][0])).open("r+b") as file:
        file.seek(lost.offset + 5)
        file.write(b"altered")
    with Path(place, entries[1].file).open("r+b") as file:
        file.truncate(700)


def mend(place: str) -> None:
    report = repair(Store.open(place))
    lost = [(lost.name, lost.variables, lost.whole) for lost in report.lost]
    assert lost == [("s1", (), True), ("s0", ("own", "view"), False)], report


def verify_mended(place: str) -> None:
    """A repair that was cut short is taken up by the next one, and what is whole at the end is what can be."""
    repair(Store.open(place))
    store = Store.open(place)
    report = check(store)
    assert {problem.variables for problem in report.problems} == {("own", "view")}, report
    assert [head.name for head in store.heads()] == ["s0", "s2"]
    assert [len(files) for *_, files in os.walk(Path(place, "damaged"))] == [0, 1]
    assert equal(state(2), back(place, "s2"))
    names: Names = {}
    restored = nbsnap.restore("s0", names, store=place, notebook="n")
    assert [skip.name for skip in restored.failed] == ["own", "view"]
    assert all(np.array_equal(value, state(0)[name]) for name, value in names.items())
    assert names.keys() == state(0).keys() - {"own", "view"}
    save(place, 0)  # what was lost is there again, so the old one is whole, too
    assert check(Store.open(place)).ok
    assert all(equal(state(0), back(place, ref)) for ref in ("latest", "latest~2"))
    assert not os.listdir(Path(place, "tmp"))
    assert not os.listdir(Path(place, "locks"))


def elsewhere(place: str) -> str:
    """Where another store is, whose calls are not counted."""
    return os.path.join(os.path.dirname(place), "elsewhere")


def one_and_elsewhere(place: str) -> None:
    save(place, 0)
    save(elsewhere(place), 1)


def sync(place: str) -> None:
    with Store.open(elsewhere(place)) as source, Store.open(place, create=True) as target:
        report = copy(source, target, source.entries())
    assert report.ok, report


def two_elsewhere(place: str) -> None:
    save(elsewhere(place), 0)
    save(elsewhere(place), 1)


def export_file(place: str) -> None:
    with Store.open(elsewhere(place)) as source:
        assert export(source, source.entries(), f"{place}.nbsnap").ok


def verify_exported(place: str) -> None:
    """A file that is there is whole; what was begun is finished by the next try."""
    if not os.path.exists(f"{place}.nbsnap"):
        export_file(place)
    assert check(Store.open(f"{place}.nbsnap")).ok
    assert all(equal(state(number), back(f"{place}.nbsnap", f"s{number}")) for number in range(2))
    assert not os.path.exists(f"{place}.nbsnap.part")


SCENARIOS = {
    "sync": Scenario(one_and_elsewhere, sync, (0,), (1,)),
    "export": Scenario(two_elsewhere, export_file, verify=verify_exported),
    "repair": Scenario(damaged, mend, verify=verify_mended),
    "first": Scenario(nothing, lambda place: save(place, 1), (), (1,)),
    "incremental": Scenario(one, lambda place: save(place, 1), (0,), (1,)),
    "background": Scenario(one, lambda place: save(place, 1, background=True), (0,), (1,)),
    "prune": Scenario(four, prune, (2, 3), (0, 1)),
    "restore": Scenario(one, restore, (0,)),
    "look": Scenario(one, look, (0,)),
}


# --- what is found afterwards -----------------------------------------------------------------------------------------


def verify(place: str, scenario: Scenario) -> None:
    """Look at a store after a round."""
    try:
        store = Store.open(place)
    except StoreNotFound:
        assert not scenario.sure
    else:
        report = check(store)
        assert report.ok, report.problems
        whole = {int(head.name[1:]) for head in store.heads()}
        assert set(scenario.sure) <= whole <= {*scenario.sure, *scenario.perhaps}, whole
        for number in whole:
            assert equal(state(number), back(place, f"s{number}")), f"s{number} is not what it was"
    save(place, 9)
    for folder in ("tmp", "locks"):
        path = Path(place, folder)
        assert not path.exists() or not os.listdir(path), f"litter in {folder}: {os.listdir(path)}"
    assert equal(state(9), back(place, "latest"))
    store = Store.open(place)
    store.prune("n")
    report = check(store)
    assert report.ok, report.problems
    needed = set().union(*map(store.needs, store.entries()))
    for index in store.pieces.indexes():
        left = sum(piece.stored for piece in index.pieces() if piece.id not in needed)
        assert left < max(index.end // 2, 1 << 16), f"{left} of {index.end} bytes of a pack are needed by nobody"
    assert report.unindexed == 0 or report.packs > report.unindexed


def in_a_child(work: Callable[[], None]) -> str:
    """Do something in a process of its own; return what went wrong."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.close(reading)
            try:
                work()
                code = 0
            except BaseException:
                os.write(writing, traceback.format_exc()[-4000:].encode())
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    status = os.waitpid(child, 0)[1]
    return said or (f"ended with status {status}" if status else "")


class Round(NamedTuple):
    seen: Traced
    told: str  # the line of the error of ours that it ended with, if it did
    wrong: str


def play(scenario: Scenario, at: int, how: str | int | None, *, reads: bool = False, lasting: bool = False) -> Round:
    """Play one round in a folder of its own."""
    folder = tempfile.mkdtemp(prefix="nbsnap-round-")
    place = os.path.join(folder, "store")
    said = Path(folder, "said")

    def act() -> None:
        try:
            scenario.act(place)
        except (NbSnapError, SnapshotNotFound) as error:
            said.write_text(f"told {error}")
        except BaseException:
            said.write_text(f"wrong {traceback.format_exc()[-4000:]}")

    try:
        first = functools.partial(scenario.before, place)
        seen = traced(act, place=place, at=at, how=how, reads=reads, lasting=lasting, first=first)
        kind, _, line = (said.read_text() if said.exists() else "").partition(" ")
        wrong = line if kind == "wrong" else ""
        if seen.status == 70:
            wrong = "it could not begin"
        if kind == "told" and ("\n" in line or not 10 < len(line) < 600):
            wrong = f"not a line for people: {line!r}"
        wrong = wrong or in_a_child(lambda: scenario.verify(place) if scenario.verify else verify(place, scenario))
        return Round(seen, line if kind == "told" else "", wrong)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def rounds(name: str, how: str, *, every: int = 1, start: int = 0, lasting: bool = False) -> dict[str, Any]:
    """Strike a scenario at each call, or at one in so many; return figures."""
    began = time.monotonic()
    scenario = SCENARIOS[name]
    wrong: list[str] = []
    told: dict[str, int] = {}
    struck = played = silent = 0
    at = start
    while True:
        kind: str | int = how
        if how in ERRORS or how == "errors":
            kind = getattr(errno, how if how in ERRORS else ERRORS[played % len(ERRORS)])
        got = play(scenario, at, kind, reads=isinstance(kind, int), lasting=lasting)
        played += 1
        call = got.seen.calls[at] if at < len(got.seen.calls) else None
        if got.wrong:
            what = f"{name} {errno.errorcode.get(kind, '') if isinstance(kind, int) else kind} at {at}: {call}"
            wrong.append(f"{what}: {got.told}: {got.wrong}")
        if not got.seen.struck:
            break
        struck += 1
        if got.told:
            words = got.told.split(": ")
            told[words[-1][:80]] = told.get(words[-1][:80], 0) + 1
        elif isinstance(kind, int):
            silent += 1
        at += every
    took = round(time.monotonic() - began, 1)
    return {
        "scenario": name,
        "how": how,
        "struck": struck,
        "silent": silent,
        "told": told,
        "wrong": wrong,
        "took": took,
    }


def main() -> int:
    """Play the rounds that are asked for, scenario:how each; print a line of figures for each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="+", metavar="SCENARIO:HOW")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--lasting", action="store_true")
    args = parser.parse_args()
    for number, what in enumerate(args.what):
        scenario, _, how = what.partition(":")
        start = (args.start + 3 * number) % args.every
        print(json.dumps(rounds(scenario, how, every=args.every, start=start, lasting=args.lasting)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
