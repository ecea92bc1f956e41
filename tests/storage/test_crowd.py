"""A crowd at one store: sessions that save and restore, others that prune, check and list, and some that are killed.

Every day for some seconds; for ten minutes by hand:

    python -m pytest -m soak -s tests/storage/test_crowd.py
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from storage.making import assert_clean

import nbsnap
from nbsnap.store import Store

#: A session: what it has saved under a name is there, and equal, as long as nobody deletes it.
SESSION = """
import random, sys, time
import nbsnap
place, number, end = sys.argv[1], sys.argv[2], time.time() + float(sys.argv[3])
chance = random.Random(number)
book = f"n{int(number) % 2}.ipynb"  # two sessions of one notebook, too
rounds = 0
while time.time() < end:
    turn = chance.randrange(1_000_000)
    names = {"turn": turn, "rows": [turn] * 50, "own": random.Random(turn).randbytes(300_000), "common": b"c" * 200_000}
    name = f"s{number}-{rounds % 4}"
    report = nbsnap.snapshot(names, name=name, store=place, notebook=book, beside=(), background=rounds % 3 == 2)
    nbsnap.wait()
    back = {}
    assert nbsnap.restore(name, back, store=place, notebook=book, map=rounds % 2 == 0).ok
    assert back == names, back.keys()
    rounds += 1
print(rounds)
"""

#: Who tidies up: the latest of each name stays, since a name is a promise.
TIDY = """
import sys, time
from nbsnap.errors import SnapshotNotFound
from nbsnap.store import Store
place, end = sys.argv[1], time.time() + float(sys.argv[2])
rounds = 0
while time.time() < end:
    with Store.open(place) as store:
        seen = set()
        for head in reversed(store.heads()):  # the newest of a name first
            if (head.notebook, head.name) in seen:
                try:
                    store.delete(head.id)
                except SnapshotNotFound:  # another one was faster
                    pass
            seen.add((head.notebook, head.name))
        store.prune(last=2)
        store.list()
    rounds += 1
print(rounds)
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-X", "faulthandler", "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def crowd(place: Path, seconds: float, chance: random.Random) -> dict[str, Any]:
    """Let the crowd in for so long; return what it did."""
    Store.open(place, create=True).close()
    end = time.time() + seconds
    sessions = [start(SESSION, place, number, seconds) for number in range(4)]
    tidying = [start(TIDY, place, seconds) for _ in range(2)]
    killed = checks = 0
    victim = start(SESSION, place, 9, seconds)
    while time.time() < end:
        time.sleep(chance.uniform(0.2, 1.2))
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
        killed += 1
        victim = start(SESSION, place, 9 + 2 * (killed % 9), end - time.time())  # the names stay a few
        checked = subprocess.run(
            [sys.executable, "-m", "nbsnap", "list", "--store", str(place), "--json"], capture_output=True, check=True
        )
        checks += bool(json.loads(checked.stdout))
    did = []
    for process in [*sessions, *tidying, victim]:
        out, err = ended(process)
        assert process.returncode == 0, err
        did.append(int(out))
    return {"rounds": did[:4], "pruned": did[4:6], "killed": killed, "listed": checks}


def ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What a process has said; of one that does not end, where its threads are."""
    try:
        return process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        return process.communicate()


def settled(place: Path) -> None:
    """Afterwards the store is sound, what it lists restores, and the next snapshot sweeps what the dead have left."""
    with Store.open(place) as store:
        store.prune(last=2)
        assert_clean(store)
        heads = store.heads()
        assert heads
        for head in heads:
            back: dict[str, Any] = {}
            assert nbsnap.restore(head.id, back, store=store, notebook=head.notebook).ok
            assert back["own"] == random.Random(back["turn"]).randbytes(300_000)
            assert back["rows"] == [back["turn"]] * 50
        nbsnap.snapshot({"x": 1}, store=store, notebook="n0.ipynb", beside=())
    assert not list((place / "tmp").iterdir())
    assert not list((place / "locks").iterdir())


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_crowd(tmp_path: Path) -> None:
    """For some seconds: no snapshot is lost, nobody waits for ever, the locks of the dead are noticed."""
    did = crowd(tmp_path / "store", 6, random.Random(1))
    assert min(*did["rounds"], *did["pruned"], did["killed"]) > 0
    settled(tmp_path / "store")


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_crowd_for_minutes(tmp_path: Path) -> None:
    """The same for ten minutes."""
    did = crowd(tmp_path / "store", 600, random.Random(2))
    print(json.dumps(did))
    settled(tmp_path / "store")
