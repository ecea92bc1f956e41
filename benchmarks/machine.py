"""What the figures were measured on: processor, memory, disk, versions."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("nbsnap", "cloudpickle", "dill", "joblib", "numpy", "pandas", "scikit-learn", "matplotlib", "ipython")


def describe(place: Path, *, probe: int = 1 << 28) -> dict[str, Any]:
    """Return a description of this machine, and of the disk that `place` is on. `probe` bytes try the disk."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()}",
        "file system": _file_system(place),
        "disk": _disk(place, probe),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "commit": _commit(),
        "date": time.strftime("%Y-%m-%d"),
    }


def sentence(machine: dict[str, Any]) -> str:
    """Return the description in a sentence."""
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items() if name != "nbsnap")
    memory = f"{machine['memory'] / 2**30:.0f} GiB of memory" if machine["memory"] else "memory unknown"
    return (
        f"{machine['processor']}, {machine['cores']} cores, {memory}, {machine['system']}, {machine['file system']} on"
        f" a disk that writes and flushes {machine['disk'] / 1e9:.2g} GB/s; {machine['python']}, {packages}."
    )


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    if sys.platform == "darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string")
    return platform.processor() or platform.machine()


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def _file_system(place: Path) -> str:
    """Return the type of the file system: that of the longest mount point above."""
    best, kind = "", "an unknown file system"
    try:
        for line in Path("/proc/mounts").read_text().splitlines():
            _, point, found, *_ = line.split()
            if len(point) >= len(best) and place.resolve().is_relative_to(point):
                best, kind = point, found
    except OSError:
        pass
    return kind


def _disk(place: Path, size: int) -> float:
    """Return how many bytes a second are written and flushed: the best of three."""
    data = os.urandom(1 << 20)
    best = 0.0
    for _ in range(3):
        file = place / "probe"
        started = time.perf_counter()
        with open(file, "wb", buffering=0) as out:
            for _ in range(max(1, size >> 20)):
                out.write(data)
            os.fsync(out.fileno())
        best = max(best, max(size, 1 << 20) / (time.perf_counter() - started))
        file.unlink()
    return best


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """Return the commit of this checkout, with a + where files differ from it; "" outside of one."""
    commit = _output("git", "rev-parse", "--short", "HEAD")
    return f"{commit}+" if commit and _output("git", "status", "--porcelain", "-uno") else commit


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
