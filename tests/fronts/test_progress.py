"""The progress bar: there when it takes more than a second and somebody looks, and gone at the end."""

from __future__ import annotations

import io
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import nbsnap
from nbsnap import meter
from nbsnap.progress import Progress


class Terminal(io.StringIO):
    """Where somebody looks."""

    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, seconds: float, **more: Any) -> str:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    progress = Progress()
    with meter.shown(progress, **{"in_kernel": False, "quiet": False, **more}):
        progress.begin("writing", 8_000_000)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            progress.done = min(progress.total, progress.done + 200_000)
            time.sleep(0.05)
    return screen.getvalue()


def test_what_takes_long_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is at, of how many bytes how many are done; at the end the line is empty again."""
    said = shown(monkeypatch, 2.2)
    assert "nbsnap: writing" in said
    assert "/8.00M" in said
    assert "B/s" in said
    assert not said.rpartition("\r")[0].rpartition("\r")[2].strip()


@pytest.mark.parametrize(("seconds", "more"), [(0.2, {}), (1.6, {"quiet": True})])
def test_what_is_quick_or_quiet_shows_nothing(monkeypatch: pytest.MonkeyPatch, seconds: float, more: Any) -> None:
    """Nor does it load tqdm."""
    assert shown(monkeypatch, seconds, **more) == ""


def test_a_pipe_sees_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody looks no bar is drawn."""
    with meter.shown(Progress("writing", 10, 3), in_kernel=False, quiet=False):
        time.sleep(1.4)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_no_thread_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the work fails."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(ZeroDivisionError), meter.shown(Progress(), in_kernel=False, quiet=False):
        1 / 0
    assert "nbsnap-progress" not in {thread.name for thread in threading.enumerate()}


def test_a_snapshot_and_a_restore_count_their_bytes() -> None:
    """All that they take, whether the store knows it or not, and no more than they said."""
    import numpy as np

    names: dict[str, Any] = {"a": np.arange(3_000_000.0), "b": list(range(9))}
    for _ in range(2):
        progress = Progress()
        report = nbsnap.snapshot(names, store="store", progress=progress)
        assert progress.what == "flushing to the disk"
        assert report.size > 24_000_000
    progress = Progress()
    nbsnap.restore(namespace={}, store="store", progress=progress)
    assert progress.total >= progress.done > 24_000_000


#: A class in a library that takes its time, and tells what is said of that.
SLOW = """
import time
time.sleep(NAP)
class Model:
    told = []
    def __getstate__(self): self.tell(); return {"x": 1}
    def __setstate__(self, state): self.tell()
    def tell(self):
        if self.told is not None: self.told.append(SAID())
"""


def test_what_it_is_at_is_said(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that are taken apart or loaded, and the package that is imported for them."""
    monkeypatch.syspath_prepend(own_folder)
    said: list[str] = []
    progress = Progress()
    monkeypatch.setattr("builtins.SAID", lambda: said.append(meter._said(progress)), raising=False)
    Path("slow_library.py").write_text(SLOW.replace("time.sleep(NAP)", "SAID()"))
    import slow_library  # type: ignore[import-not-found]

    said.clear()
    nbsnap.snapshot({"model": slow_library.Model(), "x": [1]}, store="store", progress=progress)
    assert said == ["nbsnap: taking apart model"]
    assert meter._said(progress) == "nbsnap: flushing to the disk"
    said.clear()
    del sys.modules["slow_library"]
    nbsnap.restore(namespace={}, store="store", progress=progress)
    assert said == ["nbsnap: loading model (importing slow_library)", "nbsnap: loading model"]
    del sys.modules["slow_library"]
    progress = Progress("loading", names=["a\nb", "beside:figures:1", *"cdefg"])
    assert meter._said(progress).startswith("nbsnap: loading a")
    assert "\n" not in meter._said(progress)
    assert meter._said(progress).endswith(", c, d, e and 2 more")


@pytest.mark.kernel
def test_a_slow_import_is_shown_and_can_be_stopped(kernel_pair: Any) -> None:
    """`%restore` says which package is being imported; Ctrl-C stops that, and the next `%restore` imports it."""
    Path("slow_library.py").write_text(SLOW.replace("NAP", "float(open('nap').read())").replace("SAID()", "0"))
    Path("nap").write_text("0")
    first = kernel_pair.start()
    first.run("import slow_library\nmodel = slow_library.Model(); del slow_library\n%snapshot")
    Path("nap").write_text("30")
    second = kernel_pair.restart()
    second.run("model = mine = [1]")
    message = second.send("%restore")
    time.sleep(3.0)
    pressed = time.monotonic()
    second.interrupt()
    output = second.collect(message, timeout=20)
    took = time.monotonic() - pressed
    assert "nbsnap: loading model (importing slow_library)" in output.text
    assert "KeyboardInterrupt" in (output.error or "") + output.text
    assert took < 2.0  # 0.2 s where nothing else runs
    assert second.value("model is mine, 'slow_library' in __import__('sys').modules") == (True, False)
    Path("nap").write_text("0")
    second.run("%restore")
    assert second.value("type(model).__module__") == "slow_library"


@pytest.mark.kernel
def test_a_notebook_sees_the_bar_while_it_lasts(kernel_pair: Any) -> None:
    """As text where there is no ipywidgets; what stays is the report."""
    kernel = kernel_pair.start()
    kernel.run("import time\nclass Slow:\n    def __getstate__(self): time.sleep(2); return {'x': 1}\nslow = Slow()")
    said = kernel.run("%snapshot").text
    assert "nbsnap: taking apart" in said
    assert "Snapshot " in said.splitlines()[-1]
    assert "nbsnap: " not in kernel.run("%snapshot -q").text
