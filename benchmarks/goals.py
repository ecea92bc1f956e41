"""What is to be reached, row by row, and how what was measured stands to it.

A goal compares one figure of nbsnap with another: the same figure of another tool, another step, or the data. `faster`
asks that the other be so many times what nbsnap's is; `at most` asks that nbsnap's be at most so many times the other.
`never` is what must not be missed even where the goal is. Figures are medians.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any, Literal

MET, MISSED, WORSE, ABSENT, UNKNOWN = "met", "not met", "worse than allowed", "not there yet", "not measured"
_ORDER = (MET, UNKNOWN, MISSED, WORSE)

Results = dict[str, Any]  # workload → {"data": …, "features": …, "tools": {tool: {step: {metric: [samples]}}}, …}


@dataclass(frozen=True)
class Goal:
    """One figure, what it is compared with, and the bounds."""

    at: str  # a step or a load of the row's workload
    metric: str  # seconds, touched, memory, bytes, packs, files, total
    against: str  # a tool, "tool/step", "data", or "" for the figure itself
    sense: Literal["faster", "at most", "minus"]  # minus: what it is above the other
    goal: float | None = None
    never: float | None = None

    def verdict(self, value: float | None) -> str:
        """Return how a value stands to the bounds."""
        if value is None:
            return UNKNOWN
        sign = 1 if self.sense == "faster" else -1
        if self.never is not None and value * sign < self.never * sign:
            return WORSE
        return MISSED if self.goal is not None and value * sign < self.goal * sign else MET


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    work: str
    goal: str  # as the issue puts it
    never: str
    workload: str
    shows: tuple[tuple[str, str], ...]  # (step, metric): the figures that are shown for each tool
    goals: tuple[Goal, ...]
    needs: str = ""  # an argument of `nbsnap.snapshot`


def faster(at: str, tool: str, goal: float | None, never: float | None = None, metric: str = "seconds") -> Goal:
    """The other takes so many times as long."""
    return Goal(at, metric, tool, "faster", goal, never)


def at_most(at: str, metric: str, against: str, goal: float | None, never: float | None = None) -> Goal:
    """So many times the other, or so much."""
    return Goal(at, metric, against, "at most", goal, never)


_FIRST = (("first", "seconds"),)
_ALL = 1.001  # times the bytes: all of them, and a manifest
_BOTH = (("first", "seconds"), ("first", "bytes"))
_BIG = (faster("first", "cloudpickle", 1.2, 0.9), faster("first", "dill", 2, 0.9))
_MILLION = (at_most("first", "seconds", "cloudpickle", 1.1, 1.5), faster("first", "dill", 10))
_BIG_WORDS = ("1.2x cloudpickle's speed, 2x dill's", "0.9x")
_MILLION_WORDS = ("1.1x cloudpickle's time; 10x faster than dill", "1.5x the time")

ROWS = (
    Row("first snapshot of one array of 2 GB", *_BIG_WORDS, "array", _FIRST, _BIG),
    Row("first snapshot of 20 arrays of 100 MB", *_BIG_WORDS, "arrays", _FIRST, _BIG),
    Row(
        "first snapshot of a realistic session",
        "2x cloudpickle, at most 0.6x its bytes",
        "1x",
        "session",
        _BOTH,
        (faster("first", "cloudpickle", 2, 1), at_most("first", "bytes", "cloudpickle", 0.6, _ALL)),
    ),
    Row(
        "1 GB of zeros",
        "3x cloudpickle, at most 1 % of the bytes",
        "1x",
        "zeros",
        _BOTH,
        (faster("first", "cloudpickle", 3, 1), at_most("first", "bytes", "cloudpickle", 0.01, _ALL)),
    ),
    *(
        Row(
            f"1 GB of {what}",
            "3x cloudpickle, at most 20 % of the bytes",
            "1x",
            name,
            _BOTH,
            (faster("first", "cloudpickle", 3, 1), at_most("first", "bytes", "cloudpickle", 0.2, _ALL)),
        )
        for name, what in (
            ("repeated", "a repeated text, one str"),
            ("text", "a log, one str"),
            ("lines", "a log, an array"),
        )
    ),
    Row("one million small objects: dicts", *_MILLION_WORDS, "objects", _FIRST, _MILLION),
    Row("one million small objects: a dataclass", *_MILLION_WORDS, "instances", _FIRST, _MILLION),
    Row("5,000 small variables: first", "2x faster than dill", "", "variables", _FIRST, (faster("first", "dill", 2),)),
    Row(
        "5,000 small variables: second, nothing changed",
        "under 50 ms",
        "",
        "variables",
        (("unchanged", "seconds"),),
        (at_most("unchanged", "seconds", "", 0.05),),
    ),
    Row(
        "5,000 small variables: second, one changed",
        "under 50 ms",
        "",
        "variables",
        (("one changed", "seconds"),),
        (at_most("one changed", "seconds", "", 0.05),),
    ),
    Row(
        "nothing changed, 2 GB",
        "30x cloudpickle, under 0.2 s, only a manifest written",
        "10x",
        "array",
        (("unchanged", "seconds"), ("unchanged", "bytes")),
        (
            faster("unchanged", "cloudpickle", 30, 10),
            at_most("unchanged", "seconds", "", 0.2),
            at_most("unchanged", "files", "", 1),
        ),
    ),
    Row(
        "one 1 MB variable added to 2 GB",
        "25x",
        "10x",
        "array",
        (("added", "seconds"), ("added", "bytes")),
        (faster("added", "cloudpickle", 25, 10),),
    ),
    Row(
        "one column appended to a frame of 5 million rows",
        "8x",
        "4x",
        "column",
        (("column", "seconds"), ("column", "bytes")),
        (faster("column", "cloudpickle", 8, 4),),
    ),
    Row(
        "one element changed in 2 GB",
        "40x, at most one piece and a manifest written",
        "15x",
        "array",
        (("element", "seconds"), ("element", "bytes")),
        (faster("element", "cloudpickle", 40, 15), at_most("element", "packs", "", (1 << 20) + (1 << 16))),
    ),
    Row(
        "21 snapshots of 100 MB, 1 % changed in one place each",
        "at most 1.25x the data on disk (cloudpickle: 21x)",
        "1.5x",
        "history",
        (("history", "total"), ("history", "seconds")),
        (at_most("history", "total", "data", 1.25, 1.5),),
    ),
    Row(
        "restore of 2 GB of arrays, until the prompt",
        "50x cloudpickle",
        "5x",
        "arrays",
        (("restore", "seconds"),),
        (faster("restore", "cloudpickle", 50, 5), faster("restore", "joblib/mapped", None)),
    ),
    Row(
        "restore of 2 GB of arrays, every byte then read once",
        "5x",
        "",
        "arrays",
        (("restore", "touched"),),
        (
            faster("restore", "cloudpickle", 5, metric="touched"),
            faster("restore", "joblib/mapped", None, metric="touched"),
        ),
    ),
    Row(
        "restore of the realistic session, until the prompt",
        "10x",
        "3x",
        "session",
        (("restore", "seconds"),),
        (faster("restore", "cloudpickle", 10, 3),),
    ),
    Row(
        "one small variable out of a 2 GB snapshot",
        "under 10 ms, 100x",
        "20 ms",
        "array",
        (("small", "seconds"),),
        (at_most("small", "seconds", "", 0.01, 0.02), faster("small", "cloudpickle/restore", 100)),
    ),
    Row(
        "background snapshot of 2 GB: what the prompt waits",
        "under 20 ms, 50x less than a foreground save",
        "100 ms",
        "array",
        (("background", "seconds"),),
        (at_most("background", "seconds", "", 0.02, 0.1), faster("background", "nbsnap/first", 50)),
        needs="background",
    ),
    Row(
        "extra memory: saving 2 GB of arrays",
        "64 MB plus the streams",
        "10 % of the session",
        "arrays",
        (("first", "memory"),),
        (at_most("first", "memory", "", 64e6), at_most("first", "memory", "data", None, 0.1)),
    ),
    Row(
        "extra memory: restoring 2 GB of arrays, before first touch",
        "32 MB",
        "as cloudpickle",
        "arrays",
        (("restore", "memory"),),
        (at_most("restore", "memory", "", 32e6), at_most("restore", "memory", "cloudpickle", None, 1.02)),
    ),
    Row(
        "per-cell cost when nothing is asked for, 1,000 variables",
        "under 0.2 ms",
        "1 ms",
        "cells",
        (("cells", "seconds"),),
        (Goal("cells", "seconds", "bare", "minus", 0.0002, 0.001),),
    ),
    Row(
        "a few small variables, the first call of a process: save",
        "",
        "",
        "cold",
        _FIRST,
        (faster("first", "cloudpickle", None), faster("first", "dill", None)),
    ),
    Row(
        "a few small variables, the first call of a process: load",
        "",
        "",
        "cold",
        (("restore", "seconds"),),
        (faster("restore", "cloudpickle", None), faster("restore", "dill", None)),
    ),
)


def figure(results: Results, workload: str, tool: str, step: str, metric: str) -> float | None:
    """Return the median of what was measured, or None where it was not, or where it failed."""
    found = results.get(workload, {}).get("tools", {}).get(tool, {}).get(step, {}).get(metric)
    samples = [one for one in found or () if one is not None]
    return statistics.median(samples) if samples else None


def value(results: Results, row: Row, goal: Goal) -> float | None:
    """Return the figure, or how it stands to the other one."""
    own = figure(results, row.workload, "nbsnap", goal.at, goal.metric)
    if own is None or not goal.against:
        return own
    if goal.against == "data":
        other = float(results[row.workload]["data"] or 0) or None
    else:
        tool, _, step = goal.against.partition("/")
        other = figure(results, row.workload, tool, step or goal.at, goal.metric)
    if other is None:
        return None
    if goal.sense == "minus":
        return own - other
    over, under = (other, own) if goal.sense == "faster" else (own, other)
    return over / under if under else None


def judge(results: Results, row: Row) -> tuple[str, list[tuple[Goal, float | None]]]:
    """Return the verdict about a row, the worst of its goals', and what was measured for each."""
    values = [(goal, value(results, row, goal)) for goal in row.goals]
    if row.needs and row.needs not in results.get(row.workload, {}).get("features", ()):
        return (ABSENT if row.workload in results else UNKNOWN), values
    if all(found is None for _, found in values):
        return UNKNOWN, values
    if not row.goal:
        return "", values
    bounded = [(goal, found) for goal, found in values if goal.goal is not None or goal.never is not None]
    return max((goal.verdict(found) for goal, found in bounded), key=_ORDER.index), values
