"""One process of a benchmark: builds a session and saves it, or loads one, and tells what that took.

It reads a job from its standard input as JSON, and prints the outcome as the last line of its output. The session is a
module of its own that is put in `sys.modules["__main__"]`, as IPython does, so that nothing of this file is in it.

Before the clock runs, the tool has saved and loaded a few small values elsewhere: what is imported on first use is paid
by then, for all alike (the workload `cold` is there for that). Memory is collected before each measurement.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import memory
from benchmarks.tools import TOOLS, Tool, features, listing, save_in_background, saved
from benchmarks.workloads import Load, Step, Workload, from_json

MARK = "OUTCOME "

Told = dict[str, Any]


SESSION = types.ModuleType("__main__")  # one for all: dill keeps the one that it has seen first


def new_session() -> dict[str, Any]:
    """Begin a session: an empty `__main__`."""
    sys.modules["__main__"] = SESSION
    names = vars(SESSION)
    for name in [name for name in names if not name.startswith("__")]:
        del names[name]
    return names


def digest(data: Any) -> str:
    """Return a hash of bytes, or of the memory of an array in C order."""
    from blake3 import blake3

    if not isinstance(data, bytes):
        import numpy

        data = memoryview(numpy.ascontiguousarray(data)).cast("B")
    return blake3(data).hexdigest()


def look(expression: str) -> Any:
    """Evaluate an expression in the session, as JSON brings it back."""
    return json.loads(json.dumps(eval(expression, {**vars(SESSION), "digest": digest})))


def measured(call: Callable[[], Any]) -> Told:
    """Call, and return what it took."""
    gc.collect()
    before = memory.forget_peak()
    started, worked = time.perf_counter(), time.process_time()
    call()
    seconds, cpu = time.perf_counter() - started, time.process_time() - worked
    return {"seconds": seconds, "cpu": cpu, "memory": memory.peak_since(before)}


def on_disk(folder: Path) -> Told:
    """Return how many bytes there are below a folder, how many of them in packs, and how many files."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    sizes = {file: file.stat().st_size for file in files}
    packs = sum(size for file, size in sizes.items() if file.suffix == ".pack")
    return {"total": sum(sizes.values()), "packs": packs, "files": len(files)}


def warm(tool: Tool, folder: Path) -> None:
    """Let the tool import what it needs."""
    names = new_session()
    exec("x, cfg, words = 1, {'rate': 0.1}, ['a', 'b']", names)
    if "numpy" in sys.modules:
        exec("import numpy as np\na = np.arange(10.0)\nlong = np.arange(100_000.0)", names)
    folder.mkdir(parents=True)
    tool.save(folder, 0)
    tool.load(folder, "", "")


def save(workload: Workload, name: str, folder: Path, scratch: Path) -> Told:
    """Build a session and save it, step by step."""
    exec(workload.imports, {})
    if not workload.cold:
        warm(TOOLS[name], scratch / "warm")
    names = new_session()
    names["N"] = workload.size
    exec(workload.build, names)
    place = Place(TOOLS[name], folder, workload.keep)
    steps = {}
    for step in workload.steps:
        if not step.background:
            steps[step.name] = place.step(step, names)
        elif name == "nbsnap" and "background" in features():
            steps[step.name] = in_background(scratch / "apart")
    looks = {load.look or workload.look for load in workload.loads if not load.listing}
    return {
        "data": look(workload.data),
        "steps": steps,
        "looks": {expression: look(expression) for expression in looks},
        "features": sorted(features()) if name == "nbsnap" else [],
    }


class Place:
    """Where a tool's saves go, and how many there were."""

    def __init__(self, tool: Tool, folder: Path, keep: bool) -> None:
        self.tool, self.folder, self.keep = tool, folder, keep
        self.number = 0

    def step(self, step: Step, names: dict[str, Any]) -> Told:
        """Make the saves of a step. What they wrote is told in all, what they took for the median one."""
        before = on_disk(self.folder)
        gone = 0
        took = []
        for _ in range(step.times):
            exec(step.change, names)
            took.append(measured(lambda: self.tool.save(self.folder, self.number)))
            self.number += 1
            if not self.keep and not self.tool.again:
                for old in saved(self.folder)[:-1]:
                    gone += old.stat().st_size
                    old.unlink()
        after = on_disk(self.folder)
        peaks = [one["memory"] for one in took if one["memory"] is not None]
        return {
            "seconds": statistics.median(one["seconds"] for one in took),
            "cpu": statistics.median(one["cpu"] for one in took),
            "memory": max(peaks) if peaks else None,
            "bytes": after["total"] + gone - before["total"],
            "packs": after["packs"] - before["packs"],
            "files": after["files"] - before["files"],
            "total": after["total"],
        }


def in_background(folder: Path) -> Told:
    """Save with nbsnap's background, and tell how long the prompt waited and when it was safe."""
    folder.mkdir()
    started = time.perf_counter()
    waiting: list[Callable[[], None]] = []
    told = measured(lambda: waiting.append(save_in_background(folder)))
    waiting[0]()
    return {**told, "safe": time.perf_counter() - started, "bytes": on_disk(folder)["total"]}


def load(workload: Workload, name: str, folder: Path, scratch: Path, asked: Load) -> Told:
    """Load what was saved into an empty session, read every byte, then look whether it is the same."""
    exec(workload.imports, {})
    if not workload.cold:
        warm(TOOLS[name], scratch / "warm")
    new_session()
    if asked.listing:
        return {"steps": {asked.name: measured(lambda: listing(folder))}, "looks": {}}
    told = measured(lambda: TOOLS[name].load(folder, asked.only, asked.name))
    if workload.touch and not asked.only:
        read = measured(lambda: eval(workload.touch, vars(SESSION)))
        told |= {"touched": told["seconds"] + read["seconds"]}
    expression = asked.look or workload.look
    return {"steps": {asked.name: told}, "looks": {expression: look(expression)}}


def cells(workload: Workload, name: str, rounds: int = 300) -> Told:
    """Run an empty cell many times, and tell what the median one took."""
    from IPython.core.interactiveshell import InteractiveShell

    shell: Any = InteractiveShell.instance()
    shell.history_manager.enabled = False
    shell.user_ns["N"] = workload.size
    if name == "nbsnap":
        shell.run_line_magic("load_ext", "nbsnap")
    shell.run_cell(workload.build)
    took = []
    for turn in range(rounds + 30):
        started = time.perf_counter()
        shell.run_cell("pass")
        if turn >= 30:
            took.append(time.perf_counter() - started)
    return {"steps": {"cells": {"seconds": statistics.median(took)}}, "looks": {}}


def main() -> None:
    """Do the job."""
    job = json.load(sys.stdin)
    workload = from_json(job["workload"])
    folder, scratch = Path(job["folder"]), Path(job["scratch"])
    folder.mkdir(parents=True, exist_ok=True)
    if workload.cells:
        told = cells(workload, job["tool"])
    elif job["load"] is None:
        told = save(workload, job["tool"], folder, scratch)
    else:
        told = load(workload, job["tool"], folder, scratch, workload.loads[job["load"]])
    print(f"\n{MARK}{json.dumps(told)}")


if __name__ == "__main__":
    main()
