"""Several processes at one store: nothing is lost, nothing waits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from storage.making import assert_clean, noise, restore

from nbsnap.digest import PIECE_SIZE
from nbsnap.store import Store

PROCESSES, ROUNDS = 4, 12

WORKER = """
import sys
from nbsnap.digest import PIECE_SIZE
from nbsnap.store import Store
from storage.making import noise, restore, save
place, number, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
store = Store.open(place, create=True)
for turn in range(rounds):
    if turn % 3 == 0:
        store = Store.open(place, create=True)
    state = {"shared": noise(2 * PIECE_SIZE, turn), "own": noise(3000, number)}
    state["step"] = noise(70000, number * 100 + turn)
    save(store, state, f"w{number}-{turn}", "shared.ipynb" if turn % 2 else f"own{number}.ipynb")
    assert restore(store, f"w{number}-{turn}", None) == state
"""


def test_nothing_is_lost_between_processes(tmp_path: Path) -> None:
    """Processes that make the store and snapshot into it at the same time lose nothing, and their litter is swept."""
    place = tmp_path / "store"
    path = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parents[1])])
    command = [sys.executable, "-W", "error", "-c", WORKER, str(place)]
    workers = [
        subprocess.Popen([*command, str(number), str(ROUNDS)], env={**os.environ, "PYTHONPATH": path})
        for number in range(PROCESSES)
    ]
    assert [worker.wait(120) for worker in workers] == [0] * PROCESSES
    store = Store.open(place)
    assert len(store.heads()) == PROCESSES * ROUNDS
    assert len(store.heads("shared.ipynb")) == PROCESSES * ROUNDS // 2
    for number in range(PROCESSES):
        for turn in range(ROUNDS):
            state = restore(store, f"w{number}-{turn}", None)
            assert state["step"] == noise(70000, number * 100 + turn)
            assert state["shared"] == noise(2 * PIECE_SIZE, turn)
    assert_clean(store)
    assert not list((place / "tmp").iterdir())
