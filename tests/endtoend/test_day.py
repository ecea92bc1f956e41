"""A day's work, in one go: cells over a gigabyte with autosnapshots, kernels that die, cells that fail, a full disk."""

from __future__ import annotations

from typing import Any

import pytest

from nbsnap.store import Store

#: How many arrays of 100 MB there are.
ARRAYS = 10
CELLS = 200

BEGIN = f"""
import resource, time, numpy as np
def base(k): return np.random.default_rng(k).random(12_500_000)
arrays = [base(k) for k in range({ARRAYS})]
same = arrays[3][100:200]
done = 0; notes = {{}}; rows = (n for n in range(10))
def total(): return sum(notes.values())
"""

#: What one cell does; `done` says how far the day has come.
STEP = f"arrays[done % {ARRAYS}][done * 1000] = -done; notes[f'step {{done}}'] = done; done += 1; time.sleep(0.05)"

FAILS = "%%snapshot --rollback -q\narrays[0] *= 2; notes.clear(); done = -1; del arrays[5]; 1 / 0"

#: Whether the session is what so many steps make of it.
RIGHT = f"""
def wrong(done):
    found = []
    for k in range({ARRAYS}):
        right = base(k)
        for step in range(k, done, {ARRAYS}): right[step * 1000] = -step
        if not np.array_equal(right, arrays[k]): found.append(f'arrays[{{k}}]')
    if notes != {{f'step {{n}}': n for n in range(done)}} or total() != sum(range(done)): found.append('notes')
    if not np.shares_memory(same, arrays[3]): found.append('same')
    return found
wrong(done)
"""


@pytest.mark.slow
@pytest.mark.kernel
@pytest.mark.timeout(900)
def test_a_days_work_survives(kernel_pair: Any) -> None:
    """200 cells over 1 GB, autosnapshots each second, three restarts, two rollbacks, one full disk: nothing is lost."""

    def begin() -> Any:
        kernel = kernel_pair.restart() if kernel_pair.started else kernel_pair.start()
        kernel.run("%config NbSnap.max_size = '2 GB'\n%config NbSnap.autosnapshot_share = 0.2\n%autosnapshot 1")
        return kernel

    events = {40: "fails", 60: "dies", 90: "fails", 110: "dies", 120: "full", 140: "room", 170: "dies"}
    kernel = begin()
    kernel.run(BEGIN)
    at = 0
    while at < CELLS:
        match events.pop(at, ""):
            case "fails":  # half-way, and takes itself back
                failed = kernel.run(FAILS, ok=False)
                assert failed.error == "ZeroDivisionError: division by zero"
                assert kernel.value("done") == at
                assert kernel.value("next(rows)") is not None
            case "dies":
                kernel = begin()
                kernel.run("%restore -q")
                lost, at = at - kernel.value("done"), kernel.value("done")
                assert 0 <= lost < 40, "seconds of work, at most"
                kernel.run("%restore --rerun rows -q")
            case "full":
                kernel.run("import nbsnap; nbsnap.wait(); limits = resource.getrlimit(resource.RLIMIT_FSIZE)")
                kernel.run("resource.setrlimit(resource.RLIMIT_FSIZE, (2**19, limits[1]))")
            case "room":
                assert "It fails, and goes on trying: " in kernel.run("%autosnapshot").text
                kernel.run("resource.setrlimit(resource.RLIMIT_FSIZE, limits)")
        kernel.run(STEP)
        at += 1
    assert events == {}
    assert kernel.value("done") == CELLS
    assert kernel.run(RIGHT).result == "[]"
    assert "It fails" not in kernel.run("%autosnapshot").text
    kernel.run("%snapshot the-evening -q")
    last = begin()
    last.run("%restore the-evening -q")
    assert last.run(RIGHT).result == "[]"
    with Store.open(".nbsnap") as store:
        assert store.backend.usage() < 3_000_000_000
