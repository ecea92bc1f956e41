"""Memory that is brought here while it is written, as a GPU's is; and what a forked child would not have."""

from __future__ import annotations

import mmap
import pickle
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nbsnap
from nbsnap import abroad, pagemap
from nbsnap.deltas import BLOCK
from nbsnap.digest import PIECE_SIZE
from nbsnap.remarks import heard, remark

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="nothing is written in the background elsewhere")


class Device:
    """Memory of a device: pickled as a buffer that is not there until its parts are asked for."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.room = bytearray(abroad.STEP)
        self.asked = 0

    def parts(self) -> Iterator[memoryview]:
        """Bring the memory, each part in the place of the one before."""
        for start in range(0, len(self.data), abroad.STEP):
            self.asked += 1
            part = self.data[start : start + abroad.STEP]
            self.room[: len(part)] = part
            yield memoryview(self.room)[: len(part)]

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return bytearray, (pickle.PickleBuffer(abroad.Abroad.of(len(self.data), self.parts)),)


NOISE = random.Random(0).randbytes(3 * abroad.STEP + 12_345)


def save(names: dict[str, Any], **more: Any) -> nbsnap.SnapshotReport:
    """Take a snapshot of a dict."""
    return nbsnap.snapshot(names, store="store", notebook="abroad", **more)


def load() -> dict[str, Any]:
    """Return what the latest snapshot holds."""
    names: dict[str, Any] = {}
    assert nbsnap.restore(namespace=names, store="store", notebook="abroad").ok
    return names


def test_parts_are_stored_as_all_of_it_at_once() -> None:
    """What is brought in parts comes back whole, and has the pieces that the same bytes have in one go."""
    assert save({"x": Device(NOISE)}).new_bytes > len(NOISE)
    assert load()["x"] == NOISE
    whole = nbsnap.snapshot({"x": Whole(NOISE)}, store="store", notebook="abroad")
    assert whole.new_bytes < 1000


class Whole(Device):
    """The same in one go."""

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return bytearray, (pickle.PickleBuffer(bytearray(self.data)),)


def test_only_what_is_new_is_written() -> None:
    """A second snapshot of the same memory writes none of it; a changed byte costs the block that it is in."""
    device = Device(NOISE)
    save({"x": device})
    assert save({"x": device}).new_bytes == 0
    changed = bytearray(NOISE)
    for part in range(3):  # in each another piece
        changed[part * abroad.STEP + (2 * part + 1) * PIECE_SIZE // 2] ^= 1
    changed[-1] ^= 1
    device.data = bytes(changed)
    assert 3 * BLOCK < save({"x": device}).new_bytes < 3 * BLOCK + 12_345 + 1000  # the last piece is a short one
    assert load()["x"] == device.data


def test_a_dry_run_brings_nothing() -> None:
    """What would be saved is told with its size, and the device is left alone."""
    device = Device(NOISE)
    assert save({"x": device}, dry_run=True).size > len(NOISE)
    assert device.asked == 0


@LINUX
def test_what_is_abroad_is_brought_before_the_fork() -> None:
    """In the background the memory is copied first, by this process; the child asks the device for nothing."""
    device = Device(NOISE)
    assert save({"x": device}, background=True).background
    device.data, asked = bytes(len(NOISE)), device.asked
    (report,) = nbsnap.wait()
    assert report.id
    assert device.asked == asked == 4
    assert load()["x"] == NOISE


@LINUX
def test_memory_that_is_shared_is_copied_before_the_fork(two_shells: Any) -> None:
    """A child would see what the session writes into a shared mapping: a memory map of a file, for one."""
    pytest.importorskip("numpy")
    done = two_shells.run(
        "import numpy as np, nbsnap\nnp.arange(20_000_000.).tofile('file')\n"
        "a = np.memmap('file', mode='r+'); b = np.arange(20_000_000.)\n"
        "assert nbsnap.snapshot(background=True).background\na[:] = 1; b[:] = 1\nnbsnap.wait()"
    )
    assert done.err == ""
    _, wrong = two_shells.restore(
        {"a": "a.view('f8')[-1] == 19_999_999 and a.view('f8').sum() == b.sum()", "b": "b[-1] == 19_999_999"}
    )
    assert wrong == {}


@LINUX
def test_what_a_fork_leaves_out_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A private mapping is inherited, a shared one is not, nor one that is marked so while a device is in use."""
    private = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    shared = mmap.mmap(-1, 1 << 20)
    marked = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    marked.madvise(mmap.MADV_DONTFORK)
    views = {name: memoryview(made) for name, made in (("private", private), ("shared", shared), ("marked", marked))}
    monkeypatch.setattr(pagemap, "pinning", lambda: True)
    is_copied = pagemap.inherited()
    assert {name: is_copied(view) for name, view in views.items()} == {
        "private": True, "shared": False, "marked": False
    }  # fmt: skip
    assert is_copied(memoryview(bytes(100_000)))


@LINUX
def test_where_memory_is_short_nothing_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device with more memory than the machine has left is written before the call returns, part by part."""
    monkeypatch.setattr("nbsnap.background.free_memory", lambda: 300 << 20)
    device = Device(NOISE)
    report = save({"x": device}, background=True)
    assert report.id
    assert "300 MiB of memory are free" in report.notes[0]
    assert load()["x"] == NOISE


def test_remarks_go_to_who_listens() -> None:
    """What is said while something is loaded is told with the variables' names; nobody listening is no error."""
    remark("to nobody")
    with heard() as outer:
        remark("before")
        with heard() as inner:
            remark("twice")
            remark("twice")
        remark("after")
    assert (list(outer), list(inner)) == (["before", "after"], ["twice"])


SPEAKER = """
from nbsnap.remarks import remark
def make(text):
    remark(text)
    return [text]
class Says:
    def __init__(self, text): self.text = text
    def __reduce__(self): return make, (self.text,)
"""


def test_a_report_has_the_remarks(two_shells: Any) -> None:
    """A restore has one line for all variables of which the same is said."""
    Path("speaker.py").write_text(SPEAKER, encoding="utf-8")
    two_shells.save(
        "from speaker import Says\na = Says('came as text'); b = {'k': Says('came as text')}; c = Says('so')"
    )
    report, wrong = two_shells.restore({"all": "a == ['came as text'] and b['k'] == a and c == ['so']"})
    assert wrong == {}
    assert report["notes"] == ["a and b: came as text", "c: so"]


def test_what_an_object_has_copied_is_verified_all_the_same(two_shells: Any) -> None:
    """Memory that was mapped only to be copied, to a GPU say, is gone when the restore ends; damage to it is told."""
    Path("copier.py").write_text(
        "import pickle\nclass Copied:\n    def __init__(self, data): self.data = data\n"
        "    def __reduce_ex__(self, p): return make, (pickle.PickleBuffer(self.data),)\n"
        "def make(data): return Copied(bytearray(data))\n",
        encoding="utf-8",
    )
    two_shells.save(
        "import random\nfrom copier import Copied\nx = Copied(bytearray(random.Random(0).randbytes(30_000_000)))"
    )
    (pack,) = (two_shells.folder / ".nbsnap" / "packs").glob("*.pack")
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    done = two_shells.run("import nbsnap, nbsnap.later\nnbsnap.restore()\nassert nbsnap.later.wait(60)")
    assert "x: damaged in the store" in done.err
