"""The table of goals and what was measured, as Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.goals import ROWS, Goal, Row, figure, judge

TOOLS = ("nbsnap", "cloudpickle", "dill", "joblib")
BEGIN, END = "<!-- benchmarks: written by `python3 dev.py bench --readme` -->", "<!-- end of benchmarks -->"

_VERDICTS = {"met": "met", "not met": "**not met**", "worse than allowed": "**worse than allowed**"}


def seconds(number: float) -> str:
    """`0.31 ms`, `12 ms`, `1.31 s`."""
    return f"{number:.3g} s" if number >= 1 else f"{number * 1000:.3g} ms"


def size(number: float) -> str:
    """`812 B`, `1.2 MB`."""
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} GB"


def shown(metric: str, number: float) -> str:
    """A figure with its unit."""
    if metric in ("seconds", "touched", "safe"):
        return seconds(number)
    return f"{number:.0f} files" if metric == "files" else size(number)


def times(number: float) -> str:
    """`0.41x`, `12x`."""
    return f"{number:.2g}x" if number < 99.5 else f"{number:,.0f}x"


def measured(goal: Goal, value: float | None) -> str:
    """What was found for a goal, in a few words."""
    if value is None:
        return f"? {goal.against}".strip()
    if goal.sense == "minus":
        return f"{'+' if value > 0 else ''}{seconds(value)}"
    if not goal.against:
        return shown(goal.metric, value)
    what = {"seconds": "time", "touched": "time", "memory": "memory"}.get(goal.metric, "bytes")
    tool, _, step = goal.against.partition("/")
    whose = {"mapped": "joblib, mapped", "first": "the foreground"}.get(step, tool)
    if goal.sense == "faster":
        return f"{times(value)} {whose}"
    return f"{times(value)} the {tool}" if tool == "data" else f"{times(value)} {tool}'s {what}"


def figures(results: dict[str, Any], row: Row, tool: str) -> str:
    """The figures of a tool in a row; a dash where it failed or was not asked."""
    name = "bare" if row.workload == "cells" and tool == "cloudpickle" else tool
    found = []
    for step, metric in row.shows:
        if tool != "nbsnap" and step == "small":  # they know no other way than to load all
            step = "restore"
        number = figure(results, row.workload, name, step, metric)
        if number is not None:
            found.append(shown(metric, number) + (" (bare IPython)" if name == "bare" else ""))
    return ", ".join(found) or "–"


def heading(results: dict[str, Any]) -> str:
    """How it was measured."""
    scale, repeat = results["scale"], results["repeat"]
    smaller = "" if scale == 1 else f" **At {scale:g} of the full size**, for which the goals are made."
    return f"{machine.sentence(results['machine'])} Medians of {repeat}, all flushed to disk.{smaller}"


def full(results: dict[str, Any]) -> str:
    """Everything: goals, bounds, figures, ratios, verdicts, and what failed."""
    lines = [
        heading(results),
        "",
        f"| work | goal | never worse than | {' | '.join(TOOLS)} | measured | verdict |",
        "|---|---|---|" + "---|" * len(TOOLS) + "---|---|",
    ]
    workloads = results["workloads"]
    for row in ROWS:
        if row.workload in workloads:
            verdict, values = judge(workloads, row)
            cells = [row.work, row.goal, row.never, *(figures(workloads, row, tool) for tool in TOOLS)]
            found = ", ".join(measured(goal, value) for goal, value in values if goal.goal or goal.never or value)
            lines.append(f"| {' | '.join(cells)} | {found} | {_VERDICTS.get(verdict, verdict)} |")
    problems = [
        f"- {name}, {tool}: {problem}"
        for name, told in workloads.items()
        for tool, all_problems in told["problems"].items()
        for problem in all_problems
    ]
    if problems:
        lines += ["", "What did not work, and so has no figures:", "", *problems]
    return "\n".join(lines) + "\n"


def short(results: dict[str, Any]) -> str:
    """What a README has room for."""
    workloads = results["workloads"]
    tools = [tool for tool in TOOLS if any(tool in told["tools"] for told in workloads.values())]
    lines = ["| work | " + " | ".join(tools) + " | goal | reached |", "|---|" + "---|" * len(tools) + "---|---|"]
    for row in ROWS:
        if row.workload in workloads and row.goal:
            verdict, _ = judge(workloads, row)
            cells = [row.work, *(figures(workloads, row, tool) for tool in tools), row.goal]
            reached = {"met": "yes", "not met": "**no**", "worse than allowed": "**no**"}.get(verdict, verdict)
            lines.append(f"| {' | '.join(cells)} | {reached} |")
    return "\n".join(lines) + "\n\n" + heading(results) + "\n"


def put_into(file: Path, text: str, mark: str = BEGIN) -> None:
    """Replace what is between the two marks of a file."""
    before, begin, rest = file.read_text(encoding="utf-8").partition(mark)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{file} does not have the two marks {mark} and {END}")
    file.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}", encoding="utf-8")
