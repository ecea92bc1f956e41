"""Runs a library's two sessions from outside, and says what is wrong with what they found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .table import Library, Row

TESTS = Path(__file__).parents[1]

#: One thread, so that sums are added up in one order; no look at the network; no window.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONWARNINGS": "ignore",
}


@dataclass(frozen=True)
class Found:
    """What a library's sessions told: for each row what is wrong with it, and the reasons and notes of the report."""

    wrong: dict[str, list[str]]
    reasons: dict[str, str]  # of skipped variables
    kinds: dict[str, str]  # their types
    notes: dict[str, tuple[str, ...]]  # of variables that come back in another form


def try_library(library: Library, folder: Path, chosen: Sequence[int] = ()) -> Found:
    """Save in one process, restore in another, both in `folder`; compare."""
    saved = _session(library, "save", folder, chosen)
    restored = _session(library, "restore", folder, chosen)
    rows = [library.rows[number] for number in chosen] if chosen else list(library.rows)
    told = saved["report"]["skipped"]
    reasons = {skip["name"]: skip["reason"] for skip in told}
    notes = {variable["name"]: tuple(variable["notes"]) for variable in saved["report"]["variables"]}
    failed = {skip["name"]: skip["reason"] for skip in restored["report"]["failed"]}
    wrong: dict[str, list[str]] = {}
    for row, names, before, after in zip(rows, saved["names"], saved["looks"], restored["looks"], strict=True):
        found = [*_losses(row, names, reasons, failed), *_remarks(row, names, notes), *_differences(row, before, after)]
        if found:
            wrong[row.what] = found
    untold = set(reasons) | set(failed)
    untold -= {name for names in saved["names"] for name in names}
    if untold:
        wrong["no row's"] = sorted(f"{name}: {reasons.get(name) or failed[name]}" for name in untold)
    kinds = {skip["name"]: skip["type"] for skip in told}
    return Found(wrong, reasons, kinds, {name: lines for name, lines in notes.items() if lines})


def _losses(row: Row, names: list[str], reasons: dict[str, str], failed: dict[str, str]) -> list[str]:
    found = []
    for name in names:
        word = row.skipped.get(name)
        if name in failed:
            found.append(f"{name} could not be loaded: {failed[name]}")
        elif word is None and name in reasons:
            found.append(f"{name} was not saved: {reasons[name]}")
        elif word is not None and (name not in reasons or word not in reasons[name]):
            found.append(f"{name} should be skipped for a reason with {word!r}: {reasons.get(name, 'it was saved')}")
    return found


def _remarks(row: Row, names: list[str], notes: dict[str, tuple[str, ...]]) -> list[str]:
    if row.remark:
        return []
    return [f"{name} has a note: {note}" for name in names for note in notes.get(name, ()) if note != _EVERYDAY]


#: A note that needs no remark: locks are everywhere, and nobody misses one.
_EVERYDAY = "a lock comes back fresh"


def _differences(row: Row, before: dict[str, str], after: dict[str, str]) -> list[str]:
    found = []
    for check in row.holds:
        if before[check] != "True":
            found.append(f"is not so before: {check}: {before[check]}")
        elif after[check] != "True":
            found.append(f"{check}: {after[check]}")
    for check in row.same:
        if before[check] != after[check]:
            found.append(f"{check}: was {before[check]:.300}, is {after[check]:.300}")
    return found


def _session(library: Library, verb: str, folder: Path, chosen: Sequence[int]) -> dict[str, Any]:
    """Run one of the two functions of `inside` in a fresh process whose `__main__` is a user's empty session."""
    answer = folder / f"{verb}.json"
    script = folder / "session.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(TESTS)!r})\nfrom libraries import inside\n"
        f"exec({_START!r}.format(verb={verb!r}), "
        f"dict(inside=inside, title={library.title!r}, answer={str(answer)!r}, chosen={list(chosen)!r}))\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"{library.title}, {verb}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    return found


_START = "import __main__\ndel __main__.sys, __main__.inside\ninside.{verb}(title, answer, chosen)"
