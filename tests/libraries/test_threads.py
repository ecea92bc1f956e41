"""Snapshots in the background of kernels in which libraries run threads of their own."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.heavy, pytest.mark.kernel]

SESSION = """
import numpy as np, polars as pl, torch, nbsnap, threading
a = np.random.default_rng(0).random((1000, 1000))
frame = pl.DataFrame({"k": np.arange(200_000) % 7, "v": np.random.default_rng(1).random(200_000)})
layer = torch.nn.Linear(512, 512)
def work(turn):
    a[turn % 1000] = turn
    product = (a @ a).sum()
    groups = frame.group_by("k").agg(pl.col("v").sum()).sort("k")
    out = layer(torch.ones(256, 512)).sum().item()
    return float(product), groups.height, out
stop = threading.Event()
def churn():
    while not stop.wait(0.001): np.dot(np.ones((100, 100)), np.ones((100, 100)))
threads = [threading.Thread(target=churn, daemon=True) for _ in range(2)]
for thread in threads: thread.start()
"""


def test_fifty_rounds_beside_the_threads_of_libraries_stay_healthy(kernel_pair: Any) -> None:
    """BLAS, Polars and PyTorch work with their threads before, while and after a child writes: nothing hangs."""
    kernel = kernel_pair.start()
    kernel.run(SESSION)
    kernel.run("for turn in range(50):\n"
               "    assert nbsnap.snapshot(background=True, exclude=['stop', 'threads']).background\n"
               "    assert work(turn)[1] == 7\n"
               "came = nbsnap.wait()\nstop.set()", timeout=240)  # fmt: skip
    assert kernel.value("len(came), all(report.id for report in came)") == (8, True)
    assert kernel.value("len(nbsnap.Store.open('.nbsnap').heads())") == 50
    second = kernel_pair.restart()
    second.run("%restore")
    assert second.value("work(3)[1], float(a[48, 0]), float(a[49, 0]) == 49") == (7, 48.0, False)
