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
from nbsnap import bar, meter
from nbsnap.progress import Progress


class Terminal(io.StringIO):
    """Where somebody looks."""

    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, seconds: float, **more: Any) -> str:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    progress = Progress()
    with meter.shown(progress, **{"quiet": False, **more}):
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
    with meter.shown(Progress("writing", 10, 3), quiet=False):
        time.sleep(1.4)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_no_thread_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the work fails."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(ZeroDivisionError), meter.shown(Progress(), quiet=False):
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
    monkeypatch.setattr("builtins.SAID", lambda: said.append(bar.said(progress)), raising=False)
    Path("slow_library.py").write_text(SLOW.replace("time.sleep(NAP)", "SAID()"))
    import slow_library  # type: ignore[import-not-found]

    said.clear()
    nbsnap.snapshot({"model": slow_library.Model(), "x": [1]}, store="store", progress=progress)
    assert said == ["nbsnap: taking apart model"]
    assert bar.said(progress) == "nbsnap: flushing to the disk"
    said.clear()
    del sys.modules["slow_library"]
    nbsnap.restore(namespace={}, store="store", progress=progress)
    assert said == ["nbsnap: loading model (importing slow_library)", "nbsnap: loading model"]
    del sys.modules["slow_library"]
    progress = Progress("loading", names=["a\nb", "beside:figures:1", *"cdefg"])
    assert bar.said(progress).startswith("nbsnap: loading a")
    assert "\n" not in bar.said(progress)
    assert bar.said(progress).endswith(", c, d, e and 2 more")


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


SLOWLY = "import time\nclass Slow:\n    def __getstate__(self): time.sleep(1.7); return {'x': 1}\nslow = Slow()"
EMPTY = {"text/plain": "", "text/html": ""}


@pytest.mark.kernel
def test_a_notebook_sees_the_bar_while_it_lasts(kernel_pair: Any) -> None:
    """A display that changes, and is empty in the end; nothing on stderr, and what stays is the report."""
    kernel = kernel_pair.start()
    kernel.run(SLOWLY)
    said = kernel.run("%snapshot")
    bar, report = said.displays
    assert bar["text/plain"] == "nbsnap: taking apart slow"
    assert "nbsnap: taking apart slow</div>" in bar["text/html"]
    assert len(said.updates) > 1
    assert said.updates[-1] == EMPTY
    assert report["text/plain"].startswith("Snapshot ")
    assert (said.stdout, said.stderr) == ("", "")
    quiet = kernel.run("%snapshot -q")
    assert (quiet.displays, quiet.updates) == ([], [])


@pytest.mark.kernel
def test_a_bar_goes_away_with_an_error_and_is_not_captured(kernel_pair: Any) -> None:
    """After Ctrl-C nothing of it stays; a cell whose output is caught shows none."""
    kernel = kernel_pair.start()
    kernel.run(SLOWLY.replace("1.7", "30"))
    message = kernel.send("%snapshot")
    time.sleep(2.5)
    kernel.interrupt()
    stopped = kernel.collect(message, timeout=30)
    assert stopped.error is not None
    assert "KeyboardInterrupt" in stopped.error
    assert [stopped.displays[0]["text/plain"], stopped.updates[-1]] == ["nbsnap: taking apart slow", EMPTY]
    kernel.run(SLOWLY)
    caught = kernel.run("%%capture caught\n%snapshot")
    assert (caught.displays, caught.updates) == ([], [])
    assert kernel.value("len(caught.outputs), caught.stdout, caught.stderr") == (1, "", "")


def test_a_bar_says_how_far_it_is_how_fast_and_how_long_still() -> None:
    """The rate is of the last moments, and of this part of the work; without a total there is no bar."""
    pace, progress = bar.Pace(), Progress()
    progress.begin("writing", 1_000_000_000)
    assert pace.see(progress, 0.0) == 0
    assert bar.to_text(progress, 0) == "nbsnap: writing · 0% of 1.0 GB"
    for second in range(1, 11):
        progress.done = 10_000_000 * second
        rate = pace.see(progress, float(second))
    assert bar.to_text(progress, rate) == "nbsnap: writing · 10% of 1.0 GB · 10 MB/s · 1 min 30 s left"
    assert "width:10.0%" in bar.to_html(progress, rate)
    progress.done += 2 * 400_000_000
    assert round(pace.see(progress, 11.0)) == 141_666_667  # of six seconds
    assert bar.to_text(progress, 142e6).endswith("90% of 1.0 GB · 142 MB/s")
    progress.begin("loading", 50)
    assert pace.see(progress, 12.0) == 0
    progress.done = 70  # more than was thought
    assert bar.to_text(progress, 0) == "nbsnap: loading · 100% of 50 bytes"
    progress.begin("loading <b>")
    progress.names = ["<i>"]
    assert bar.to_html(progress, 0).endswith("<div>nbsnap: loading &lt;b&gt; &lt;i&gt;</div></div>")
