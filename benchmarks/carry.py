"""Copying a store: nbsnap's sync, export and import beside `cp -r` and a ZIP without compression, all flushed.

    python -m benchmarks.carry [--size GB] [--repeat N] [--scratch FOLDER]

Arrays of random numbers are saved once, and once more with one element changed. The ways take turns, medians count;
files are in the page cache, as they are for who has just saved. Peak memory is that of a process that does only this.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

import nbsnap
from nbsnap.store import Store
from nbsnap.transfer import copy, export

PEAK = """
import sys
from nbsnap.cli import main
code = main(sys.argv[1:])
peaks = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(peaks[0]) // 1024)
sys.exit(code)
"""


def flush(place: Path) -> None:
    """Have the disk keep a file, or all that is in a folder."""
    for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)


def cp(source: Path, target: Path) -> None:
    shutil.copytree(source, target)
    flush(target)


def zip_stored(source: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w") as file:
        for path in sorted(source.rglob("*")):
            file.write(path, path.relative_to(source))
    flush(target)


def sync(source: Path, target: Path) -> None:
    with Store(source) as one, Store(target, create=True) as other:
        assert copy(one, other, one.entries()).ok


def to_file(source: Path, target: Path) -> None:
    with Store(source) as one:
        assert export(one, one.entries(), target).ok


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, default=1.0, help="gigabytes of arrays")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--scratch", default=None)
    args = parser.parse_args(arguments)
    base = Path(tempfile.mkdtemp(prefix="nbsnap-carry-", dir=args.scratch))
    try:
        measure(base, args.size, args.repeat)
    finally:
        shutil.rmtree(base)
    return 0


def measure(base: Path, size: float, repeat: int) -> None:
    rng = np.random.default_rng(0)
    names = {f"a{number}": rng.random(max(1, int(size * 1e8 / 8))) for number in range(10)}
    store, file, target = base / "store", base / "file.nbsnap", base / "target"
    nbsnap.snapshot(names, store=store, notebook="n")
    to_file(store, file)
    ways: dict[str, tuple[Callable[[Path, Path], None], Path]] = {
        "cp -r": (cp, store), "ZIP, stored": (zip_stored, store), "sync": (sync, store), "export": (to_file, store),
        "import": (sync, file),
    }  # fmt: skip
    took: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(repeat):
        for way, (work, source) in ways.items():
            began = time.perf_counter()
            work(source, target)
            took[way].append(time.perf_counter() - began)
            shutil.rmtree(target) if target.is_dir() else target.unlink()
    for way, seconds in took.items():
        print(f"{way:12} {statistics.median(seconds):6.2f} s")
    sync(store, target)
    names["a3"][0] = 0
    nbsnap.snapshot(names, store=store, notebook="n")
    began = time.perf_counter()
    with Store(store) as one, Store(target) as other:
        report = copy(one, other, one.entries())
    print(f"one element changed: {report.bytes:,} bytes, {time.perf_counter() - began:.3f} s")
    if sys.platform == "linux":
        for words in (
            ["sync", str(store), str(base / "other")],
            ["export", "--all", str(base / "all"), "--store", str(store)],
        ):
            done = subprocess.run([sys.executable, "-c", PEAK, *words], capture_output=True, text=True, check=True)
            print(f"peak memory of nbsnap {words[0]}: {done.stdout.split()[-1]} MiB")


if __name__ == "__main__":
    sys.exit(main())
