"""The front of the benchmarks: runs the workloads, tool after tool in turn, and writes what came out.

    python -m benchmarks                       the whole, at a quarter of the size; into benchmarks/results/
    python -m benchmarks --scale 1             as the goals put it: needs 8 GB of memory and 10 GB of disk
    python -m benchmarks --only array session  these workloads alone
    python -m benchmarks --growth              how the costs grow, instead
    python -m benchmarks --from FILE --readme  no run: put the table of earlier results into README.md

Each save and each load is a process of its own, and the tools take turns (A B C A B C …), so that a machine that slows
down for a while does not do it to one of them alone. Results are written after each workload.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import growth, machine, plot, table
from benchmarks.child import MARK
from benchmarks.tools import TOOLS
from benchmarks.workloads import WORKLOADS, Workload, find

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
TIMEOUT = 3600

Told = dict[str, Any]


class Bench:
    """Runs workloads below a folder on the disk that is measured."""

    def __init__(self, scratch: Path, tools: Sequence[str], *, quiet: bool = False) -> None:
        self.scratch = scratch
        self.tools = (*tools, "bare")
        self.quiet = quiet
        home = scratch / "home"
        home.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "HOME": str(home),
            "USERPROFILE": str(home),
            "IPYTHONDIR": str(home / "ipython"),
            "MPLCONFIGDIR": str(home / "matplotlib"),
            "MPLBACKEND": "Agg",
            "PYTHONWARNINGS": "ignore",
        }
        for name in ("NBSNAP_STORE", "PYTHONDONTWRITEBYTECODE"):  # the latter makes every import a compilation
            self.environment.pop(name, None)

    def say(self, text: str) -> None:
        """Tell the person who waits."""
        if not self.quiet:
            print(text, flush=True)

    def child(self, workload: Workload, tool: str, folder: Path, load: int | None = None) -> Told:
        """Run one process; raise with its last line when it fails."""
        scratch = Path(tempfile.mkdtemp(dir=self.scratch, prefix="child-"))
        job = {
            "workload": asdict(workload),
            "tool": tool,
            "folder": str(folder),
            "scratch": str(scratch),
            "load": load,
        }
        try:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.child"],
                input=json.dumps(job),
                cwd=scratch,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ToolFailed(f"took more than {TIMEOUT} s") from None
        finally:
            shutil.rmtree(scratch)
        if done.returncode or MARK not in done.stdout:
            lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
            raise ToolFailed(lines[-1][:300])
        told: Told = json.loads(done.stdout.rpartition(MARK)[2])
        return told

    def once(self, workload: Workload, tool: str, folder: Path) -> Told:
        """Save, then load in fresh processes; return the figures of all steps, and the problems."""
        told: Told = {"steps": {}, "problems": []}
        try:
            saved = self.child(workload, tool, folder)
        except ToolFailed as failed:
            told["problems"].append(f"save: {failed}")
            return told
        told |= saved
        for number, load in enumerate(() if workload.cells else workload.loads):
            if load.tools and tool not in load.tools:
                continue
            try:
                loaded = self.child(workload, tool, folder, number)
            except ToolFailed as failed:
                told["problems"].append(f"{load.name}: {failed}")
                continue
            for expression, seen in loaded["looks"].items():
                if seen != saved["looks"][expression]:
                    told["problems"].append(f"{load.name}: what came back is not what was saved")
                    break
            else:
                told["steps"] |= loaded["steps"]
        return told

    def workload(self, workload: Workload, repeat: int) -> Told:
        """Run a workload, the tools in turn; return all samples, by tool, step and metric."""
        tools = [tool for tool in workload.tools if tool in self.tools]
        outcome: Told = {"size": workload.size, "data": None, "features": [], "tools": {}, "problems": {}}
        for turn in range(repeat):
            for tool in tools:
                if any(problem.startswith("save") for problem in outcome["problems"].get(tool, ())):
                    continue  # it will not work the next time either, and may take long
                folder = self.scratch / f"{workload.name}-{tool}"
                started = time.monotonic()
                told = self.once(workload, tool, folder)
                shutil.rmtree(folder, ignore_errors=True)
                add(outcome, tool, told)
                wrong = f"  {'; '.join(told['problems'])}" if told["problems"] else ""
                self.say(f"{workload.name:10} {turn + 1}/{repeat} {tool:12} {time.monotonic() - started:6.1f} s{wrong}")
        return outcome


class ToolFailed(Exception):
    """A process of a tool ended with an error."""


def add(outcome: Told, tool: str, told: Told) -> None:
    """Add what one turn told to what is known of a workload."""
    steps = outcome["tools"].setdefault(tool, {})
    for step, figures in told["steps"].items():
        for metric, figure in figures.items():
            steps.setdefault(step, {}).setdefault(metric, []).append(figure)
    known = outcome["problems"].setdefault(tool, [])
    known.extend(problem for problem in told["problems"] if problem not in known)
    outcome["data"] = told.get("data") or outcome["data"]
    outcome["features"] = told.get("features") or outcome["features"]


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="python3 dev.py bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--scale", type=float, default=0.25, metavar="FACTOR", help="sizes, 1 is as in the goals (0.25)")
    made.add_argument("--only", nargs="+", metavar="WORKLOAD", choices=[one.name for one in WORKLOADS], default=[])
    made.add_argument("--tools", nargs="+", choices=[one for one in TOOLS if one != "bare"], default=list(TOOLS))
    made.add_argument("--repeat", type=int, default=5, metavar="N", help="how often each is measured (5)")
    made.add_argument(
        "--growth",
        action="store_true",
        help="how costs grow, instead of the table; with --only: arrays, variables, history",
    )
    made.add_argument("--into", type=Path, default=RESULTS, metavar="FOLDER", help="where results go")
    made.add_argument("--scratch", type=Path, metavar="FOLDER", help="on the disk to be measured; by default INTO's")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    made.add_argument("--from", type=Path, metavar="FILE", dest="earlier", help="do not run: take these results")
    made.add_argument("--docs", action="store_true", help="put the tables of --growth into docs/growth.md")
    made.add_argument("--readme", action="store_true", help="put the table into README.md, between its two marks")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, write."""
    asked = parser().parse_args(arguments)
    if asked.earlier:
        results = json.loads(asked.earlier.read_text())
        if asked.growth:
            asked.into.mkdir(parents=True, exist_ok=True)
            growth.write(results, asked.into)
            return _documented(asked)
        print(table.full(results))
    else:
        asked.into.mkdir(parents=True, exist_ok=True)
        place = asked.scratch or asked.into
        place.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=place, prefix="scratch-"))
        try:
            bench = Bench(scratch, asked.tools)
            results = {"machine": machine.describe(scratch), "scale": asked.scale, "repeat": asked.repeat}
            print(machine.sentence(results["machine"]), flush=True)
            if asked.growth:
                growth.run(bench, results, asked.into, only=asked.only, json_file=asked.json)
                return _documented(asked)
            run(bench, [find(name) for name in asked.only] or list(WORKLOADS), results, asked)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    if asked.readme:
        table.put_into(ROOT / "README.md", table.short(results))
    return 0


def _documented(asked: argparse.Namespace) -> int:
    if asked.docs:
        table.put_into(ROOT / "docs" / "growth.md", (asked.into / "growth.md").read_text(), growth.MARK)
    return 0


def run(bench: Bench, workloads: Sequence[Workload], results: Told, asked: argparse.Namespace) -> None:
    """Run workloads one by one, and write after each what is known by then."""
    results["workloads"] = {}
    for workload in workloads:
        results["workloads"][workload.name] = bench.workload(workload.at(asked.scale), asked.repeat)
        for file in filter(None, (asked.into / "results.json", asked.json)):
            file.write_text(json.dumps(results, indent=1) + "\n")
        (asked.into / "table.md").write_text(table.full(results))
    plot.bars(results, asked.into)
    print("\n" + table.full(results))
    print(f"Written into {asked.into}", flush=True)
