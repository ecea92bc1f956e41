"""`nbsnap enable` and the start of a session: loaded by itself, one line at most, and quick."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest


def nbsnap(*words: str, profile: Path) -> str:
    """Run the command line for an IPython folder of the test's own."""
    done = subprocess.run(
        [sys.executable, "-m", "nbsnap", *words],
        env={**os.environ, "IPYTHONDIR": str(profile)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


@pytest.mark.kernel
def test_an_enabled_profile_loads_it_in_every_kernel(kernel_pair, tmp_path):
    """After `nbsnap enable`, kernels of the profile have the magics; after `nbsnap disable`, they have not."""
    folder = tmp_path / "ipython"
    told = nbsnap("enable", profile=folder)
    assert "ipython_config.py" in told
    env = {"IPYTHONDIR": str(folder)}
    kernel = kernel_pair.start(load=False, env=env)
    assert kernel.run("x = 1").text == "", "nothing is said without a snapshot"
    assert "1 variable" in kernel.run("%snapshot").text
    kernel.kill()
    kernel = kernel_pair.start(load=False, env=env)
    first = kernel.run("1 + 1")
    assert "nbsnap: 1 variable" in first.text, "the hint, with the first cell"
    assert "nbsnap" not in kernel.run("1 + 1").text, "once"
    nbsnap("disable", profile=folder)
    kernel = kernel_pair.start(load=False, env=env)
    assert "UsageError" in kernel.run("%snapshot", ok=False).text


def test_enable_twice_and_disable_leave_the_users_lines_alone(tmp_path):
    """The user's own configuration stays as it was, byte for byte."""
    config = tmp_path / "profile_default" / "ipython_config.py"
    config.parent.mkdir(parents=True)
    mine = "c = get_config()\nc.InteractiveShellApp.extensions = ['autoreload']  # mine\n"
    config.write_text(mine)
    nbsnap("enable", profile=tmp_path)
    once = config.read_text()
    nbsnap("enable", profile=tmp_path)
    assert config.read_text() == once
    assert once != mine
    assert mine in once
    nbsnap("disable", profile=tmp_path)
    assert config.read_text() == mine


@pytest.mark.slow
def test_loading_costs_less_than_50_ms(own_folder, tmp_path):
    """IPython with nbsnap in its profile starts at most 50 ms later than without (medians of 9 starts each)."""
    bare, loaded = tmp_path / "bare", tmp_path / "loaded"
    nbsnap("enable", profile=loaded)
    times: dict[Path, list[float]] = {bare: [], loaded: []}
    program = (
        "import time; started = time.perf_counter(); from IPython import start_ipython; "
        "start_ipython(['-c', 'print(time.perf_counter() - started)'], user_ns={'time': time, 'started': started})"
    )
    for _ in range(10):
        for folder in times:
            done = subprocess.run(
                [sys.executable, "-c", program],
                env={**os.environ, "IPYTHONDIR": str(folder)},
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            )
            times[folder].append(float(done.stdout.split()[-1]))
    medians = [statistics.median(taken[1:]) for taken in times.values()]  # the first start makes the profile
    print(f"bare {medians[0] * 1000:.0f} ms, with nbsnap {medians[1] * 1000:.0f} ms")
    assert medians[1] - medians[0] < 0.050
