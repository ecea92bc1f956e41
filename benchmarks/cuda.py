"""What it takes to save and to load what lives on a GPU: `python -m benchmarks.cuda`, on a machine that has one.

    python -m benchmarks.cuda                    4 GB of tensors, three turns: a table
    python -m benchmarks.cuda --transfers        instead: how memory gets from the GPU to the host and back, way by way
    --size GB, --repeat N, --scratch FOLDER      FOLDER is on the disk that is measured

Each save and each load is a process of its own, in which CUDA has begun before the clock runs. Files and folders are
flushed (durable against durable) and in the page cache when they are loaded; a load ends when the GPU has everything.
What comes back is compared with what was saved. `torch.save` and cloudpickle write their one file anew each time.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import memory
from benchmarks.tools import flush

COUNT = 16  # tensors
MARK = "OUTCOME "
ROOT = Path(__file__).resolve().parent.parent

Told = dict[str, Any]


def make(device: str, size: int) -> dict[str, Any]:
    """Return tensors of so many bytes in all, of noise: nothing can be compressed."""
    import torch

    torch.manual_seed(1)
    names = {f"t{n}": torch.rand(size // COUNT // 4, device=device) for n in range(COUNT)}
    settle()
    return names


def settle() -> None:
    """Wait for the GPU."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def look(names: dict[str, Any]) -> list[float]:
    """Return what tells whether these are the same tensors."""
    return [float(names[f"t{n}"].double().sum()) for n in range(COUNT)] + [float(names["t3"][77])]


def clocked(call: Callable[[], Any]) -> Told:
    """Return how long a call takes, and how much memory of the host at its peak."""
    before = memory.forget_peak()
    started = time.perf_counter()
    call()
    settle()
    return {"seconds": time.perf_counter() - started, "memory": memory.peak_since(before)}


# --- the tools, each in a process of its own --------------------------------------------------------------------------


def save(tool: str, folder: Path, device: str, size: int) -> Told:
    """Save in this process; return the figures of each step, and what the tensors look like."""
    small, names = make(device, 1 << 20), make(device, size)
    told: Told = {"look": look(names), "steps": {}}
    if tool == "nbsnap":
        import nbsnap

        def take(**more: Any) -> Any:
            return nbsnap.snapshot(names, store=folder, notebook="cuda", **more)

        nbsnap.snapshot(small, store=folder, notebook="small")
        told["steps"]["first save"] = clocked(take)
        told["steps"]["save, nothing changed"] = clocked(take)
        names["t1"][5] = 2
        told["steps"]["save, one element changed"] = clocked(take)
        names["t1"][5] = 3
        told["steps"]["save in the background: until the prompt"] = clocked(lambda: take(background=True))
        told["steps"]["save in the background: until it is safe"] = clocked(nbsnap.wait)
        told["look"] = look(names)
        return told
    write = {"torch.save": _torch_save, "cloudpickle": _cloudpickle}[tool]
    write(small, folder / "small")
    told["steps"]["first save"] = clocked(lambda: write(names, folder / "file"))
    told["steps"]["save, nothing changed"] = clocked(lambda: write(names, folder / "file"))
    return told


def _torch_save(names: dict[str, Any], file: Path) -> None:
    import torch

    torch.save(names, file)
    flush(file)


def _cloudpickle(names: dict[str, Any], file: Path) -> None:
    import cloudpickle

    with open(file, "wb") as out:
        cloudpickle.dump(names, out)
    flush(file)


def load(tool: str, folder: Path, device: str, size: int) -> Told:
    """Load in this process, in which CUDA has begun, after something small."""
    import torch

    make(device, 1 << 20)
    names: dict[str, Any] = {}
    if tool == "nbsnap":
        import nbsnap

        nbsnap.restore(namespace={}, store=folder, notebook="small")
        step = clocked(lambda: nbsnap.restore(namespace=names, store=folder, notebook="cuda"))
    elif tool == "torch.save":
        torch.load(folder / "small")
        step = clocked(lambda: names.update(torch.load(folder / "file")))
    else:
        step = clocked(lambda: names.update(_unpickled(folder / "file")))
    return {"steps": {"load": step}, "look": look(names)}


def _unpickled(file: Path) -> dict[str, Any]:
    with open(file, "rb") as source:
        names: dict[str, Any] = pickle.load(source)
    return names


# --- ways between GPU and host ----------------------------------------------------------------------------------------


def transfers(folder: Path, device: str, size: int) -> dict[str, float]:
    """Return GB/s of each way, the best of three."""
    import torch
    from xxhash import xxh3_128

    from nbsnap import abroad
    from nbsnap.builders import torch as builders
    from nbsnap.reducers.torch import _parts

    flat = make(device, size)["t0"]
    flat = torch.cat([flat] * COUNT).view(torch.uint8)
    size = len(flat)
    found: dict[str, float] = {}
    host = torch.empty(size, dtype=torch.uint8)
    host.fill_(1)

    def best(what: str, call: Callable[[], Any], times: int = 3) -> None:
        seconds = []
        for _ in range(times):
            settle()
            started = time.perf_counter()
            call()
            settle()
            seconds.append(time.perf_counter() - started)
        found[what] = size / min(seconds) / 1e9
        print(f"{found[what]:8.1f} GB/s  {what}", flush=True)

    def pinned_anew() -> None:
        torch.empty(size, dtype=torch.uint8, pin_memory=True).copy_(flat)
        getattr(torch._C, "_host_emptyCache", lambda: None)()

    def hashed(view: memoryview) -> None:
        for start in range(0, len(view), 4 << 20):
            xxh3_128(view[start : start + (4 << 20)]).digest()

    def parts(look: Callable[[memoryview], Any]) -> None:
        for part in _parts(flat.untyped_storage()):
            look(part)

    best("to the host: pageable, new memory", flat.cpu)
    best("to the host: pageable, memory that is there", lambda: host.copy_(flat))
    best("to the host: pinned, all of it, made for it", pinned_anew)
    whole = [torch.empty(size, dtype=torch.uint8, pin_memory=device != "cpu")]
    best("to the host: pinned, all of it, that is there", lambda: whole[0].copy_(flat))
    best("hashing alone (XXH3, one thread)", lambda: hashed(memoryview(whole[0].numpy())))
    whole.clear()
    for step in (4, 16, 32, 64, 128):
        abroad.STEP = step << 20
        best(f"to the host: two pinned buffers of {step} MiB", lambda: parts(len))
        best(f"to the host: two pinned buffers of {step} MiB, each hashed", lambda: parts(hashed))
    file = folder / "flat"
    flat.cpu().numpy().tofile(file)
    import numpy

    mapped = torch.from_numpy(numpy.memmap(file, dtype="u1", mode="c"))
    best("to the GPU: a mapped file, pageable", lambda: mapped.to(device))
    for step in (4, 16, 32, 64):
        abroad.STEP = step << 20
        best(f"to the GPU: a mapped file, two pinned buffers of {step} MiB", lambda: builders._on_gpu(mapped, device))
    abroad.STEP = 32 << 20
    few = [mapped[n : n + (4 << 20)] for n in range(0, size - (4 << 20), 4 << 20)]
    best("to the GPU: 4 MiB each, pinned", lambda: [builders._on_gpu(part, device) for part in few])
    best("to the GPU: 4 MiB each, pageable", lambda: [part.to(device) for part in few])
    return found


# --- the front --------------------------------------------------------------------------------------------------------


def child(*words: str) -> Told:
    """Run this file in a process of its own; return what it told."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.cuda", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told: Told = json.loads(done.stdout.rpartition(MARK)[2])
    return told


def measure(scratch: Path, device: str, size: int, repeat: int) -> dict[str, dict[str, list[Told]]]:
    """Return all samples, by step and tool; the tools take turns."""
    found: dict[str, dict[str, list[Told]]] = {}
    for _ in range(repeat):
        for tool in ("nbsnap", "torch.save", "cloudpickle"):
            folder = scratch / tool
            folder.mkdir()
            shared = (tool, str(folder), device, str(size))
            saved, loaded = child("save", *shared), child("load", *shared)
            if saved["look"] != loaded["look"]:
                raise SystemExit(f"{tool}: what came back is not what was saved")
            for step, sample in (saved["steps"] | loaded["steps"]).items():
                found.setdefault(step, {}).setdefault(tool, []).append(sample)
            shutil.rmtree(folder)
    return found


def table(found: dict[str, dict[str, list[Told]]]) -> str:
    """Return the medians as Markdown: seconds, and the peak of the host's memory."""
    tools = ("nbsnap", "torch.save", "cloudpickle")
    lines = ["| | " + " | ".join(tools) + " |", "|---|" + "---|" * len(tools)]
    for step, samples in found.items():
        cells = []
        for tool in tools:
            if tool not in samples:
                cells.append("")
                continue
            seconds = statistics.median(sample["seconds"] for sample in samples[tool])
            peaks = [sample["memory"] for sample in samples[tool] if sample["memory"] is not None]
            cells.append(f"{seconds:.2f} s" + (f", {statistics.median(peaks) / 2**20:,.0f} MiB" if peaks else ""))
        lines.append(f"| {step} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Measure, or be the process that is measured."""
    if arguments and arguments[0] in ("save", "load"):
        verb, tool, folder, device, number = arguments
        told = {"save": save, "load": load}[verb](tool, Path(folder), device, int(number))
        print(MARK + json.dumps(told))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=4.0, help="GB of tensors")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--scratch", type=Path, default=None)
    parser.add_argument("--transfers", action="store_true")
    given = parser.parse_args(arguments)
    size = int(given.size * 1e9)
    with tempfile.TemporaryDirectory(dir=given.scratch) as name:
        if given.transfers:
            transfers(Path(name), given.device, size)
        else:
            print(table(measure(Path(name), given.device, size, given.repeat)))


if __name__ == "__main__":
    main(sys.argv[1:])
