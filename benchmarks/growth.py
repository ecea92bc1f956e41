"""How the costs grow: with the size of arrays, with the number of variables, with the length of the history.

Each curve is a row of sizes, and each size a workload. Only the last one differs in how it is run: the snapshots before
are still there, as they are for a user, so the store is the same from the first point to the last.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import plot
from benchmarks.workloads import Load, Step, Workload, find

if TYPE_CHECKING:
    from benchmarks.run import Bench

Told = dict[str, Any]


@dataclass(frozen=True)
class Curve:
    """What grows, and what is measured at each size."""

    name: str
    title: str
    unit: str  # of the axis
    sizes: tuple[float, ...]  # in that unit, at scale 1
    shows: tuple[tuple[str, str, str], ...]  # (tool, step, metric), drawn
    told: tuple[tuple[str, str, str], ...] = ()  # in the table only: memory, and bytes on disk


_SECONDS = ("seconds",)


def _lines(tools: tuple[str, ...], *steps: tuple[str, str]) -> tuple[tuple[str, str, str], ...]:
    return tuple((tool, step, metric) for step, metric in steps for tool in tools)


_ROOM = (
    *_lines(("nbsnap", "cloudpickle"), ("first", "memory"), ("first", "bytes"), ("restore", "memory")),
    *_lines(("nbsnap",), ("unchanged", "bytes")),
)

CURVES = (
    Curve(
        "arrays",
        "one array",
        "GB",
        (1, 2, 4, 7, 10),
        (
            *_lines(("nbsnap", "cloudpickle"), ("first", "seconds"), ("restore", "seconds"), ("restore", "touched")),
            ("nbsnap", "unchanged", "seconds"),
        ),
        _ROOM,
    ),
    Curve(
        "variables",
        "small variables",
        "variables",
        (10, 100, 1000, 10_000, 100_000),
        (
            *_lines(("nbsnap", "cloudpickle", "dill"), ("first", "seconds"), ("restore", "seconds")),
            ("nbsnap", "unchanged", "seconds"),
        ),
        _ROOM,
    ),
    Curve(
        "history",
        "snapshots in the history",
        "snapshots",
        (1, 10, 100, 500, 2000),
        _lines(("nbsnap",), ("snapshot", "seconds"), ("restore", "seconds"), ("listing", "seconds")),
        _lines(("nbsnap",), ("snapshot", "memory"), ("restore", "memory"), ("snapshot", "total")),
    ),
)

#: A session of 20 MB, of which each snapshot changes two places.
HISTORY = Workload(
    "history",
    "a long history",
    size=2_500_000,
    build="""
import numpy as np
rng = np.random.default_rng(FROM)
data = rng.random(N)
for k in range(50):
    globals()[f"v{k:02}"] = {"key": k, "words": [f"word {j}" for j in range(k)]}
""",
    look="[digest(data), repr([globals()[f'v{k:02}'] for k in range(50)])]",
    loads=(Load("restore"), Load("listing", listing=True)),
    least=10_000,
    tools=("nbsnap",),
)
_CHANGE = "data[rng.integers(0, N)] = -1.0\nv00 = {'at': rng.random()}"


def points(curve: Curve, scale: float) -> list[float]:
    """Return the sizes of a curve at a scale, each once."""
    if curve.unit == "GB":
        return [size * scale for size in curve.sizes]
    return sorted({float(max(number + 1, round(size * min(1.0, scale)))) for number, size in enumerate(curve.sizes)})


def workload_at(curve: Curve, point: float) -> Workload:
    """Return the workload of a point of one of the first two curves."""
    if curve.name == "arrays":
        whole = find("array")
        steps = tuple(step for step in whole.steps if step.name in ("first", "unchanged"))
        return replace(whole, size=int(point * 1e9) // 8, steps=steps, loads=(Load("restore"),))
    whole = find("variables")
    return replace(whole, size=int(point), steps=whole.steps[:2])


def run(bench: Bench, results: Told, into: Path, *, only: Sequence[str] = (), json_file: Path | None = None) -> None:
    """Measure all curves, or those named, and write after each what is known by then."""
    results["curves"] = {}
    for curve in [curve for curve in CURVES if not only or curve.name in only]:
        at = points(curve, results["scale"])
        if curve.name == "history":
            told = _history(bench, [int(point) for point in at], results["repeat"], results["scale"])
        else:
            tools = tuple(dict.fromkeys(tool for tool, _, _ in curve.shows))
            told = [bench.workload(replace(workload_at(curve, point), tools=tools), results["repeat"]) for point in at]
        results["curves"][curve.name] = {"points": at, "told": told}
        for file in filter(None, (into / "growth.json", json_file)):
            file.write_text(json.dumps(results, indent=1) + "\n")
    write(results, into)
    print("\n" + (into / "growth.md").read_text())
    print(f"Written into {into}", flush=True)


def _history(bench: Bench, lengths: list[int], repeat: int, scale: float) -> list[Told]:
    """Let one store grow; at each length make five snapshots more, restore the last and list them all."""
    from benchmarks.run import add

    folder = bench.scratch / "history"
    made = 0
    told = []
    for length in lengths:
        steps = (Step("grow", _CHANGE, times=max(1, length - made)), Step("snapshot", _CHANGE, times=repeat))
        build = HISTORY.build.replace("FROM", str(length))
        workload = replace(HISTORY.at(scale), steps=steps, build=build)
        outcome: Told = {"tools": {}, "problems": {}, "data": None, "features": []}
        add(outcome, "nbsnap", bench.once(workload, "nbsnap", folder))
        for number in [number for number in range(len(workload.loads)) for _ in range(repeat - 1)]:
            add(outcome, "nbsnap", {"steps": bench.child(workload, "nbsnap", folder, number)["steps"], "problems": []})
        made = max(1, length - made) + repeat + made
        told.append(outcome)
        bench.say(f"history    {length} snapshots")
    shutil.rmtree(folder, ignore_errors=True)
    return told


def write(results: Told, into: Path) -> None:
    """Write the curves as a table and as a plot."""
    from benchmarks import table
    from benchmarks.goals import figure

    lines = [table.heading(results)]
    for curve in CURVES:
        if curve.name not in results["curves"]:
            continue
        found = results["curves"][curve.name]
        for title, shows in ((f"{curve.title}: time", curve.shows), (f"{curve.title}: room", curve.told)):
            lines += ["", f"### {title[0].upper()}{title[1:]}", ""]
            lines.append(f"| {curve.unit} | {' | '.join(' '.join(_words(line)) for line in shows)} |")
            lines.append("|---|" + "---|" * len(shows))
            for point, told in zip(found["points"], found["told"], strict=True):
                numbers = [figure({"": told}, "", *line) for line in shows]
                cells = [
                    table.shown(line[2], number) if number is not None else "–"
                    for line, number in zip(shows, numbers, strict=True)
                ]
                lines.append(f"| {_number(point)} | {' | '.join(cells)} |")
        problems = [p for told in found["told"] for all_ in told["problems"].values() for p in all_]
        lines += [f"\nproblem: {problem}" for problem in dict.fromkeys(problems)]
    (into / "growth.md").write_text("\n".join(lines) + "\n")
    plot.curves(results, into)


#: Where docs/growth.md has them.
MARK = "<!-- growth: written by `python3 dev.py bench --growth --docs` -->"


def _words(line: tuple[str, str, str]) -> tuple[str, str]:
    tool, step, metric = line
    return tool, step + _METRICS.get(metric, "")


#: What is measured besides the time that a step takes.
_METRICS = {"touched": " and read", "memory": ", memory", "bytes": ", written", "total": ", the store by then"}


def _number(point: float) -> str:
    return f"{point:,.0f}" if point == int(point) else f"{point:g}"
