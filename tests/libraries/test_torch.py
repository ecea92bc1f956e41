"""PyTorch: how much is written, beside that it comes back (which is in the table)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.heavy

MAKE = """
import torch
base = torch.arange(1_000_000.)
half = base[::2]
turned = {"t": base.reshape(1000, 1000).t()}
array = base.numpy()
"""

MEASURE = """
from nbsnap.capture import take_apart
taken = take_apart(globals(), ["base", "half", "turned", "array"])
((group, stream, buffers),) = taken._groups
print("MEASURED", len(stream), [buffer.raw().nbytes for buffer in buffers], group.variables)
buffers[0].raw()[:4] = b"\\x00\\x00\\x80\\x3f"
print("FIRST", base[0].item())
"""


def test_a_storage_is_written_once_and_without_a_copy(two_shells: Any) -> None:
    """Four views of 4 MB are one buffer of 4 MB, which is the tensor's own memory, and a small stream."""
    told = two_shells.run(MAKE + MEASURE).out
    size, rest = told.partition("MEASURED ")[2].split(" ", 1)
    assert int(size) < 4000
    assert rest.startswith("[4000000] ('base', 'half', 'turned', 'array')")
    assert "FIRST 1.0" in told


def test_a_storage_that_is_restored_is_the_memory_that_was_read(two_shells: Any) -> None:
    """Restored tensors over one storage take the space of one."""
    two_shells.save(MAKE)
    checks = {
        "one memory": "base.data_ptr() == half.data_ptr() == array.ctypes.data",
        "no copies": "base.untyped_storage().nbytes() == 4_000_000 and half.stride() == (2,)",
        "writing": "turned['t'].zero_() is not None and base.sum() == 0 and array.sum() == 0",
    }
    report, wrong = two_shells.restore(checks)
    assert wrong == {}
    assert report["failed"] == []


def test_a_small_storage_can_grow(two_shells: Any) -> None:
    """A restored tensor of a few numbers can be resized in place, as one that PyTorch has made."""
    two_shells.save("import torch\nsmall = torch.ones(3)")
    _, wrong = two_shells.restore({"resize": "small.resize_(1000).shape == (1000,)"})
    assert wrong == {}


def test_what_lived_on_another_device_comes_back_on_this_machine(two_shells: Any) -> None:
    """A storage of a device that is not here is loaded into main memory."""
    told = two_shells.run(
        "from nbsnap.builders import torch as builders\n"
        "storage = builders.storage(bytearray(b'\\x01' * 40_000), 'cuda:99')\n"
        "print('DEVICE', storage.device.type, storage.nbytes(), storage[39_999])"
    ).out
    assert "DEVICE cpu 40000 1" in told


def test_the_benchmark_of_a_gpu_runs(tmp_path: Path) -> None:
    """At a tiny size and on the CPU it saves and loads with each tool, so that it does not rot; times are not asked."""
    words = ["--device", "cpu", "--size", "0.02", "--repeat", "1", "--scratch", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.cuda", *words],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1].strip() for line in done.stdout.splitlines()]
    assert rows[2:] == [
        "first save",
        "save, nothing changed",
        "save, one element changed",
        "save in the background: until the prompt",
        "save in the background: until it is safe",
        "load",
    ]
