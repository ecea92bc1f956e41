"""The power fails at any moment, and the disk keeps what it likes of what was not flushed."""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from storage.making import NOTEBOOK, assert_clean, noise, restore, save, text
from storage.powercut import Recorder, cut

from nbsnap import folder, owners
from nbsnap.store import Store

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX's rules")

STATES = {
    name: {"kept": noise(30_000, 1), "own": noise(90_000, seed), "words": text(9000, seed), "little": noise(50, seed)}
    for seed, name in enumerate(("s0", "s1", "s2", "s3"))
}


class Day:
    """A store in which one thing after another was done; `done` says after how many steps each of them counted."""

    def __init__(self, place: Path) -> None:
        self.recorder = Recorder(place)
        self.place = place
        self.saved: dict[str, int] = {}  # a snapshot -> the step from which on it must be there
        self.going: dict[str, int] = {}  # ... from which on it may be gone
        self.gone: dict[str, int] = {}  # ... from which on it must be

    @property
    def now(self) -> int:
        return len(self.recorder.steps)

    def save(self, name: str) -> None:
        save(Store.open(self.place, create=True), STATES[name], name)
        self.saved[name] = self.now

    def prune(self, last: int, *names: str) -> None:
        self.going |= dict.fromkeys(names, self.now)
        report = Store.open(self.place).prune(NOTEBOOK, last=last, named=True)
        assert [head.name for head in report.removed] == list(names)
        self.gone |= dict.fromkeys(names, self.now)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    """A store was made, four snapshots taken, and two pruned, so that a pack was copied."""
    place = tmp_path_factory.mktemp("day") / "store"
    place.mkdir(mode=0o700)
    day = Day(place)
    with pytest.MonkeyPatch.context() as patch:
        for module in (folder, owners):  # all that makes, moves or removes files
            patch.setattr(module, "os", day.recorder)
        for name in ("s0", "s1", "s2"):
            day.save(name)
        day.prune(1, "s0", "s1")
        day.save("s3")
    kinds = [step.kind for step in day.recorder.steps]
    assert min(map(kinds.count, ("create", "write", "flush", "mkdir", "move", "remove"))) >= 3
    return day


def look_after(day: Day, place: Path, steps: int) -> int:
    """What must be there after so many steps is there, and right; what is there is right; and it goes on."""
    try:
        store = Store.open(place, create=True)
    except OSError as error:
        raise AssertionError(f"after {steps} steps: {error}") from error
    assert_clean(store)
    here = {head.name for head in store.heads(NOTEBOOK)}
    for name, since in day.saved.items():
        if since <= steps and steps <= day.going.get(name, steps):
            assert name in here, f"{name} was lost after {steps} steps"
        if day.gone.get(name, steps + 1) <= steps:
            assert name not in here, f"{name} is back after {steps} steps"
    for name in here:
        assert restore(store, name) == STATES[name]
    save(store, {"next": noise(2000, 9)}, "next")
    assert restore(store, "next") == {"next": noise(2000, 9)}
    assert not list((place / "tmp").iterdir())
    report = store.prune(NOTEBOOK)
    assert report.ok
    assert_clean(store)
    return len(here)


def play(day: Day, folder: Path, turns: int, harm: Callable[[random.Random], float], seed: int) -> int:
    """Cut the power so many times; return how many snapshots there were in all."""
    total = 0
    for turn in range(turns):
        chance = random.Random(f"{seed}-{turn}")
        steps = day.now * turn // turns if turns < day.now else turn % (day.now + 1)
        place = folder / "cut"
        place.mkdir(mode=0o700)
        cut(day.recorder.steps[:steps], place, chance, lambda chance=chance: harm(chance))  # type: ignore[misc]
        total += look_after(day, place, steps)
        shutil.rmtree(place)
    return total


@pytest.mark.parametrize(
    "harm", [lambda chance: 1.0, lambda chance: chance.choice((0.1, 0.5, 0.9))], ids=["all of it", "some"]
)
def test_power_cuts(day: Day, tmp_path: Path, harm: Callable[[random.Random], float]) -> None:
    """All, or any part, of what was not flushed is lost, torn or reordered: snapshots that counted are whole."""
    assert play(day, tmp_path, 40, harm, 0) > 20


def test_the_test_would_see_it(day: Day, tmp_path: Path) -> None:
    """Without the flushes, snapshots are lost or damaged: so the others are seen to matter."""
    careless = [step for step in day.recorder.steps if step.kind != "flush"]
    bad = 0
    for turn in range(20):
        place = tmp_path / str(turn)
        place.mkdir()
        cut(careless, place, random.Random(turn), lambda: 0.3)
        try:
            look_after(day, place, day.now)
        except Exception:
            bad += 1
    assert bad > 15


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_many_power_cuts(day: Day, tmp_path: Path) -> None:
    """The same, thousands of times."""
    print(play(day, tmp_path, 4000, lambda chance: chance.choice((0.05, 0.2, 0.5, 0.8, 1.0)), 1))
