"""`nbsnap enable` and the start of a session: loaded by itself, one line at most, and quick."""

from __future__ import annotations

import os
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


def starts(folders: list[Path], cache: Path) -> list[float]:
    """Seconds of processor time from the first line to the prompt, the least of nine starts for each profile, in turn.

    Processor time and the least of it, because others use the machine too; with cached bytecode, as everybody has it.
    """
    program = (
        "import time; started = time.process_time(); from IPython import start_ipython; "
        "start_ipython(['-c', 'print(time.process_time() - started)'], user_ns={'time': time, 'started': started})"
    )
    times: dict[Path, list[float]] = {folder: [] for folder in folders}
    env = {**os.environ, "PYTHONPYCACHEPREFIX": str(cache)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    for _ in range(10):
        for folder, taken in times.items():
            done = subprocess.run(
                [sys.executable, "-c", program],
                env={**env, "IPYTHONDIR": str(folder)},
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            )
            taken.append(float(done.stdout.split()[-1]))
    return [min(taken[1:]) for taken in times.values()]  # the first start makes profile and cache


@pytest.mark.slow
def test_loading_costs_less_than_50_ms(own_folder, tmp_path):
    """IPython with nbsnap in its profile starts at most 50 ms later than without, also where it shows the hint."""
    bare, loaded = tmp_path / "bare", tmp_path / "loaded"
    nbsnap("enable", profile=loaded)
    without, quiet = starts([bare, loaded], tmp_path / "cache")
    save = "import nbsnap; x = 1; nbsnap.snapshot(globals(), notebook='ipython')"
    subprocess.run([sys.executable, "-c", save], check=True, timeout=60, capture_output=True)
    again, hinted = starts([bare, loaded], tmp_path / "cache")
    print(f"bare {without:.3f} s, loaded +{quiet - without:.3f} s, with the hint +{hinted - again:.3f} s")
    assert quiet - without < max(0.050, 0.15 * without)
    assert hinted - again < max(0.050, 0.15 * again)
