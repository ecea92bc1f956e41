"""%autosnapshot, a snapshot at the end and a restore at the beginning of a session, in real kernels and shells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nbsnap.model import Head
from nbsnap.store import Store

pytestmark = pytest.mark.kernel


def heads() -> list[Head]:
    if not Path(".nbsnap/store.json").exists():
        return []
    with Store.open(".nbsnap") as store:
        return list(store.heads("work.ipynb"))


def until(number: int, seconds: float = 30.0) -> list[Head]:
    """Wait until there are so many snapshots."""
    end = time.monotonic() + seconds
    while len(found := heads()) < number and time.monotonic() < end:
        time.sleep(0.05)
    return found


def test_after_a_cell_and_while_nobody_types(kernel_pair: Any) -> None:
    """The last cell is saved, too, though no other follows; a kernel that dies then has lost nothing."""
    kernel = kernel_pair.start()
    assert "Autosnapshot every 1 s" in kernel.run("%autosnapshot 1\n%config NbSnap.autosnapshot_share = 1.0").text
    kernel.run("x = 1")
    (first,) = until(1)
    assert (first.kind, first.name, first.variables) == ("auto", "", 1)
    kernel.run("y = [2]; z = y")
    assert [head.variables for head in until(2)] == [1, 3]
    said = kernel.run("%autosnapshot").text
    assert "Autosaved " in said
    assert " of your time\n2 since it was turned on, " in said
    second = kernel_pair.restart()
    second.run("%restore")
    assert second.value("x, y is z") == (1, True)


def test_none_where_nothing_has_changed(kernel_pair: Any) -> None:
    """Cells that only look make none, and the status says so."""
    kernel = kernel_pair.start()
    kernel.run(
        "import time; x = list(range(100))\n%config NbSnap.autosnapshot_share = 1.0\n%config NbSnap.autosnapshot = 1"
    )
    until(1)
    for _ in range(3):
        kernel.run("len(x); time.sleep(1.1)")
    time.sleep(0.5)
    assert "Nothing has changed since the latest snapshot" in kernel.run("%autosnapshot").text
    assert len(heads()) == 1
    assert kernel.run("%autosnapshot 0").text.startswith("Autosnapshot is off")
    kernel.run("x = 5; time.sleep(1.1)")
    time.sleep(1.5)
    assert len(heads()) == 1


def test_no_hook_before_it_is_asked_for(kernel_pair: Any) -> None:
    """Loaded and not asked for anything, nbsnap listens to no event of the shell."""
    kernel = kernel_pair.start()
    kernel.run("a = 1")
    count = "sum('nbsnap' in f.__module__ for fs in get_ipython().events.callbacks.values() for f in fs)"
    assert kernel.value(count) == 0
    kernel.run("%autosnapshot 60")
    assert kernel.value(count) == 2
    kernel.run("%unload_ext nbsnap")
    assert kernel.value(count) == 0


def test_a_failure_does_not_touch_the_cell(kernel_pair: Any, tmp_path: Path) -> None:
    """A store that cannot be written: one line, cells go on, and it works again when the store does."""
    place = tmp_path / "no-folder"
    place.write_text("a file")
    kernel = kernel_pair.start()
    kernel.run(f"%config NbSnap.store = {str(place)!r}\n%config NbSnap.autosnapshot_share = 1.0\n%autosnapshot 1")
    kernel.run("import time; t = 1; time.sleep(1.2)")
    said = "".join(kernel.run(f"u = {n}; time.sleep(1.2)").text for n in range(4))
    assert said.count("nbsnap: no autosnapshot: ") <= 1
    assert "It fails, and goes on trying" in kernel.run("%autosnapshot").text
    place.unlink()
    kernel.run("u = 5; time.sleep(1.2)")
    kernel.run("import nbsnap; nbsnap.wait()")
    assert "Autosaved " in kernel.run("%autosnapshot").text
    assert kernel.value("u") == 5


def test_one_at_the_end_of_the_session(kernel_pair: Any) -> None:
    """A kernel that is shut down as Jupyter does it saves what has changed since the latest, and nothing else."""
    kernel = kernel_pair.start()
    kernel.run(
        "import numpy as np\na = np.arange(300_000.0); b = 1\n%config NbSnap.snapshot_on_exit = True\n%snapshot one"
    )
    kernel.run("b = 2")
    kernel.client.shutdown()
    (_, last) = until(2)
    assert (last.kind, last.variables) == ("auto", 3)
    second = kernel_pair.restart()
    second.run("%config NbSnap.snapshot_on_exit = True\n%restore")
    assert second.value("b, float(a.sum())") == (2, 299_999 * 150_000.0)
    second.client.shutdown()
    time.sleep(3)
    assert len(heads()) == 2


def test_one_at_the_end_of_a_terminal(own_folder: Path) -> None:
    """IPython in a terminal, on whatever Python: also where no process may be started any more."""
    lines = "%load_ext nbsnap\n%config NbSnap.snapshot_on_exit = True\nx = 'words'; big = bytearray(3_000_000)\n"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ipython = [sys.executable, "-m", "IPython", "--no-banner", "--simple-prompt", "--colors=NoColor"]
    done = subprocess.run(ipython, input=lines, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr + done.stdout
    end = time.monotonic() + 20
    listed: Any = []
    while not listed and time.monotonic() < end:
        done = subprocess.run(
            [sys.executable, "-m", "nbsnap", "list", "--json"], env=env, capture_output=True, text=True, check=False
        )
        listed = json.loads(done.stdout) if done.stdout.strip() else []
        listed = listed["snapshots"] if isinstance(listed, dict) else listed
    assert [head["variables"] for head in listed] == [2]


def test_what_a_session_does_at_its_start(kernel_pair: Any) -> None:
    """`ask` says what there is, `never` nothing, `always` restores it before the first cell runs."""
    kernel_pair.start().run("x = [1]; y = x\n%snapshot")
    for setting, says in (("ask", "were saved here"), ("never", ""), ("always", "Restored ")):
        kernel_pair.started[-1].kill()
        kernel = kernel_pair.start(load=False, arguments=(f"--NbSnap.autorestore={setting}",))
        text = kernel.run("%load_ext nbsnap").text + kernel.run("'x' in globals()").text
        assert says in text
        assert text.endswith("True\n") == (setting == "always")
        assert ("nbsnap" in text or "Restored" in text) == bool(says)
    assert kernel.value("x is y") is True


def test_a_session_that_restored_nothing_says_where_the_one_before_is(kernel_pair: Any) -> None:
    """Its first autosnapshot becomes the latest, so that `%restore` alone would bring back the wrong one."""
    kernel_pair.start().run("a, b, c = 1, 2, 3\n%snapshot")
    (old,) = heads()
    kernel = kernel_pair.restart()
    kernel.run("%config NbSnap.autosnapshot_share = 1.0\n%autosnapshot 1")
    kernel.run("import time; time.sleep(1.2)")
    kernel.run("d = 5")
    assert len(until(2)) >= 2
    kernel.run("import nbsnap; nbsnap.wait()")
    said = kernel.run("%autosnapshot").text
    assert f"%restore {old.id[:7]} brings it back" in said
