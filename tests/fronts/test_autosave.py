"""When an autosnapshot is due, what it may cost, and what is said of it. By a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from nbsnap.autosave import Autosave, Outcome
from nbsnap.errors import NbSnapError, NothingNew, StoreError
from nbsnap.model import SnapshotReport


def report(*, background: bool = False, new_bytes: int = 84_000_000) -> SnapshotReport:
    return SnapshotReport(
        id="" if background else "a" * 64, name="", message="", time="2026-01-01T00:00:00Z", notebook="n", store="s",
        variables=(), skipped=(), size=0, new_bytes=new_bytes, seconds=0.0, background=background,
    )  # fmt: skip


@dataclass
class Session:
    """What `Autosave` is told and tells."""

    now: float = 1000.0
    cost: float = 0.011
    outcome: Outcome = field(default_factory=report)
    background: bool = False
    hold: str = ""
    taken: int = 0
    said: list[str] = field(default_factory=list)
    end: Any = None

    def __post_init__(self) -> None:
        self.saving = Autosave(self.take, self.said.append, wait=lambda: self.hold, clock=lambda: self.now)

    def take(self, ended: Any) -> SnapshotReport:
        self.taken += 1
        self.now += self.cost
        if self.background:
            self.end = ended
            return report(background=True)
        if isinstance(self.outcome, NbSnapError):
            raise self.outcome
        return self.outcome

    def cell(self, seconds: float = 0.0) -> int:
        """Run a cell that takes so long; return how many snapshots there have been."""
        self.now += seconds
        self.saving.ran()
        self.saving.look()
        return self.taken


def test_off_until_it_is_turned_on() -> None:
    """No cell makes one before, and none after it was turned off again."""
    session = Session()
    assert session.cell(1e6) == 0
    assert session.saving.status().startswith("Autosnapshot is off")
    session.saving.turn(60)
    assert session.cell(61) == 1
    session.saving.turn(0)
    assert session.cell(1e6) == 1


def test_after_a_cell_when_the_interval_has_passed() -> None:
    """The interval counts from the last one; between cells nothing happens."""
    session = Session()
    session.saving.turn(60)
    assert [session.cell(20) for _ in range(7)] == [0, 0, 1, 1, 1, 2, 2]
    session.now += 1000
    session.saving.look()
    assert session.taken == 3  # what the last cell did was not saved yet
    session.saving.look()
    session.now += 1000
    session.saving.look()
    assert session.taken == 3  # nothing has run since


def test_how_long_until_one_is_due() -> None:
    """A loop that runs between cells can be told when to look again."""
    session = Session()
    session.saving.turn(60)
    assert session.saving.due_in() is None
    session.cell(20)
    assert session.saving.due_in() == 40
    session.now += 40
    assert session.saving.due_in() == 0


def test_all_of_them_stay_within_the_share() -> None:
    """A snapshot of 3 s at an interval of 60 s would take 5 % of the time: they come every 150 s instead."""
    session = Session(cost=3.0)
    session.saving.turn(60)
    began = session.now
    for _ in range(10_000):
        session.cell(1)
    assert session.taken * session.cost / (session.now - began) <= 0.021
    assert session.taken > 0.9 * 0.02 * (session.now - began) / session.cost - 1
    session.cell(1)
    assert "The last one took 3.00 s; the next comes at " in session.saving.status()
    assert "to stay within 2% of your time" in session.saving.status()


def test_a_look_that_finds_nothing_new_costs_too() -> None:
    """It counts towards the share, and is no failure."""
    session = Session(cost=3.0, outcome=NothingNew("b" * 64))
    session.saving.turn(60)
    for _ in range(1000):
        session.cell(1)
    assert session.taken <= 1 + 0.02 * 4000 / 3
    assert session.said == []
    session.saving.turn(60)
    assert (
        session.saving.status().endswith("Nothing has changed since the latest snapshot")
        or "took" in session.saving.why
    )


def test_a_failure_is_said_once_and_its_end_too() -> None:
    """It goes on trying quietly; the status tells the reason as long as it lasts."""
    session = Session(outcome=StoreError("disk full: no room\x1b[31m"))
    session.saving.turn(60)
    for _ in range(5):
        session.cell(61)
    assert session.taken == 5
    assert session.said == [
        "nbsnap: no autosnapshot: disk full: no room\\x1b[31m. It goes on trying, quietly; %autosnapshot 0 turns it off"
    ]
    assert "It fails, and goes on trying: disk full" in session.saving.status()
    session.outcome = report()
    session.cell(61)
    assert session.said[1:] == ["nbsnap: autosnapshots work again"]
    session.cell(61)
    assert len(session.said) == 2


def test_any_error_ends_here() -> None:
    """A cell that has ended well stays so, whatever the snapshot raises; Ctrl-C only stops the snapshot."""

    errors: list[BaseException] = [ValueError("no"), RecursionError(), MemoryError(), KeyboardInterrupt(), SystemExit()]

    def fail(ended: Any) -> SnapshotReport:
        raise errors.pop(0)

    said: list[str] = []
    now = [0.0]
    saving = Autosave(fail, said.append, clock=lambda: now[0])
    saving.turn(60)
    for _ in range(4):
        now[0] += 61
        saving.ran()
        saving.look()
    assert len(said) == 1
    assert saving.why == "It was interrupted"
    now[0] += 61
    with pytest.raises(SystemExit):
        saving.look()


def test_one_in_the_background_ends_later() -> None:
    """None is begun while one is being written; what came of it is told by another thread."""
    session = Session(background=True)
    session.saving.turn(60)
    assert session.cell(61) == 1
    assert session.saving.why == "It is being written"
    assert session.cell(61) == 1
    session.end(report())
    assert "84 MB new, 0.01 s of your time" in session.saving.status()
    assert session.cell(0) == 2
    session.end(StoreError("gone"))
    assert session.said[0].startswith("nbsnap: no autosnapshot: gone.")
    assert session.cell(61) == 3
    session.end(NothingNew("c" * 64))
    assert session.saving.failing == ""


def test_the_users_own_snapshot_begins_the_interval_anew() -> None:
    """There is nothing to save right behind it."""
    session = Session()
    session.saving.turn(60)
    session.cell(59)
    session.saving.saved(report())
    assert session.cell(30) == 0
    assert session.cell(31) == 1


def test_it_waits_while_it_has_to() -> None:
    """The status says why."""
    session = Session(hold="x is missing")
    session.saving.turn(60)
    assert session.cell(61) == 0
    assert session.saving.status().endswith("x is missing")
    session.hold = ""
    assert session.cell(61) == 1
