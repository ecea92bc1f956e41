"""SIGKILL and errors of the system at every call that a save, a prune or a repair makes: nothing older is harmed.

What is done, and what is looked at afterwards, is in `rounds`. Everyday a call here and there, with -m slow a hundred,
and all of them with

    python -m pytest -m soak tests/storage/test_killed.py
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from storage.tracing import possible

WRITERS = ("first", "incremental", "background", "prune", "repair", "sync", "export")
KILLS = [f"{scenario}:{how}" for how in ("before", "torn", "after") for scenario in WRITERS]
ERRORS = ["incremental:errors", "background:errors", "restore:errors", "prune:errors", "look:errors", "first:errors"]
ERRORS += ["sync:errors", "export:errors"]
EVERY_ERROR = [
    f"{scenario}:{error}"
    for error in ("EIO", "ENOSPC", "EACCES", "EROFS", "EMFILE", "ESTALE")
    for scenario in ("first", "incremental", "background", "restore", "prune", "look", "sync", "export")
]


@pytest.fixture(scope="module", autouse=True)
def traceable() -> None:
    """Where a process may not be traced, none of this can be tried."""
    if why := possible():
        pytest.skip(why)


def played(what: list[str], *options: str, timeout: float = 280.0) -> list[dict[str, Any]]:
    """Play rounds in a process of their own; fail where anything was wrong in one of them."""
    program = str(Path(__file__).with_name("rounds.py"))
    words = [sys.executable, program, *what, *options]
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr
    figures = [json.loads(line) for line in done.stdout.splitlines()]
    assert [wrong for one in figures for wrong in one["wrong"]] == []
    assert len(figures) == len(what)
    return figures


def test_killed_here_and_there() -> None:
    """Killed at a call that writes, before it, after it, or half through: as if it had not been, or all of it."""
    figures = played(KILLS, "--every", "41")
    assert sum(one["struck"] for one in figures) >= 15


def test_errors_here_and_there() -> None:
    """An error at any call is survived, or one line; store and namespace are as they were."""
    figures = played(ERRORS, "--every", "43")
    assert sum(one["struck"] for one in figures) >= 6
    assert sum(one["silent"] for one in figures) < sum(one["struck"] for one in figures)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("options", [[], ["--lasting"]], ids=["once", "from then on"])
def test_errors_at_many_calls(options: list[str]) -> None:
    """The same, at more of them; and errors that do not go away."""
    played(ERRORS, "--every", "29" if options else "23", *options, timeout=800)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_many_calls() -> None:
    """The same, at more of them."""
    played(KILLS, "--every", "19", timeout=800)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("what", KILLS)
def test_killed_at_every_call(what: str) -> None:
    """At every call, three times: threads take turns in another order each time."""
    for _ in range(3):
        print(*played([what], timeout=3600.0))


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("options", [[], ["--lasting"]], ids=["once", "from then on"])
@pytest.mark.parametrize("what", EVERY_ERROR)
def test_every_error_at_every_call(what: str, options: list[str]) -> None:
    """Each error at every call, those that only look included, for once and from then on."""
    print(*played([what], *options, timeout=3600.0))
