"""Snapshots that another process writes while the session goes on: what they hold, what can go wrong, who waits."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from storage.offers import needs_tracks

import nbsnap
from nbsnap import background

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nothing is written in the background elsewhere")

DATA = "import numpy as np, nbsnap\na = np.arange(3_000_000.0); b = {'k': [1]}\n"


def test_what_is_written_is_the_state_at_the_call(two_shells: Any) -> None:
    """What the session changes while the child writes does not get into the snapshot."""
    done = two_shells.run(
        DATA
        + "r = nbsnap.snapshot(name='then', background=True)\na[:] = 0; b['k'].append(2)\n"
        + "(came,) = nbsnap.wait()\nprint(r.background, r.id, came.background, len(came.id), came.name, came.notes)"
    )
    assert done.out == "True  False 64 then ()\n"
    _, wrong = two_shells.restore({"as it was": "a[-1] == 2_999_999 and b == {'k': [1]}"})
    assert wrong == {}


def test_restore_and_the_next_snapshot_wait_for_it(two_shells: Any) -> None:
    """Right after a snapshot in the background, `latest` is that one, and the next one has it as its parent."""
    done = two_shells.run(
        DATA
        + "nbsnap.snapshot(background=True); a[:] = 0; nbsnap.restore(); print(a[5])\n"
        + "nbsnap.snapshot(background=True); last = nbsnap.snapshot()\n"
        + "from nbsnap import Store\nheads = Store.open('.nbsnap').heads()\n"
        + "print(len(heads), [h.parent for h in heads[1:]] == [h.id for h in heads[:-1]], last.id == heads[-1].id)"
    )
    assert done.out == "5.0\n3 True True\n"


def test_what_the_child_has_hashed_its_parent_knows(two_shells: Any) -> None:
    """The snapshot after one in the background finds every big piece by its quick hash, and writes none."""
    done = two_shells.run(
        "import numpy as np, nbsnap\na = np.random.default_rng(0).random(2_000_000)\n"
        + "nbsnap.snapshot(background=True); nbsnap.wait()\nfrom nbsnap import seen\nfrom nbsnap.digest import quick\n"
        + "raw = memoryview(a).cast('B'); parts = [raw[at : at + 2**20] for at in range(0, len(raw), 2**20)]\n"
        + "print(len(parts), all(seen.find(quick(part)) for part in parts), nbsnap.snapshot(only=['a']).new_bytes)"
    )
    assert done.out == "16 True 0\n"


HASHED = """
import mmap, struct
from nbsnap import line, pages
pages.LOT = 0
hashed, quick = mmap.mmap(-1, 8), line.quick  # shared with the child
def counting(data):
    hashed[:] = struct.pack("q", struct.unpack("q", hashed[:])[0] + len(data))
    return quick(data)
line.quick = counting
def count():
    found = struct.unpack("q", hashed[:])[0]
    hashed[:] = bytes(8)
    return found
"""


@needs_tracks
def test_what_did_not_change_is_not_read_again(two_shells: Any) -> None:
    """What is known before the fork is known to the child, and what the child has named is known to its parent."""
    done = two_shells.run(
        "import numpy as np, nbsnap, time\na = np.random.default_rng(0).random(3_000_000)\n"
        + HASHED
        + "def save(**how):\n    r = nbsnap.snapshot(only=['a'], **how); nbsnap.wait(); return count() >> 20\n"
        + "print(save(), save(background=True), save(background=True), save())\n"
        + "a[1_000_000] = 7; print(save(background=True)); a[2_000_000] = 7; print(save())\n"
        + "b = np.random.default_rng(1).random(3_000_000); a = b; print(save(background=True))\n"
        + "time.sleep(1.1); print(save(background=True), save(background=True), save())"
    )
    first, *rest = done.out.splitlines()
    assert first.split()[0] == "22"
    assert first.split()[1:] == ["0", "0", "0"]
    assert rest[:2] == ["2", "3"]  # of what was written, once in place and once a copy; the first is no more marked
    assert 22 <= int(rest[2]) <= 26
    assert rest[3] == "22 0 0"  # marked when the child had written it, named under the mark, known
    _, wrong = two_shells.restore({"as it was last": "float(a.sum()) == 1499640.6757444357"})
    assert wrong == {}


def test_a_session_that_writes_all_the_time(two_shells: Any) -> None:
    """Whatever other threads write before, while and after a child is forked, the last snapshot is what is there."""
    done = two_shells.run(
        "import numpy as np, nbsnap, threading, random, time\nfrom blake3 import blake3\n"
        + "from nbsnap import pages\npages.LOT = 0\n"
        + "a = np.random.default_rng(0).random(3_000_000); b = np.random.default_rng(1).random(2_000_000)\n"
        + "busy = True\ndef scribble():\n    rng = random.Random(1)\n    while busy:\n"
        + "        a[rng.randrange(400_000)] += 1; b[rng.randrange(len(b))] += 1; time.sleep(rng.random() / 500)\n"
        + "thread = threading.Thread(target=scribble); thread.start()\n"
        + "for turn in range(12):\n    nbsnap.snapshot(only=['a', 'b'], background=turn % 3 > 0)\n"
        + "    if turn % 4: nbsnap.wait(); time.sleep(0.4 * (turn % 2))\n"
        + "busy = False; thread.join(); nbsnap.snapshot(only=['a', 'b'], background=True); nbsnap.wait()\n"
        + "nbsnap.snapshot(only=['a', 'b'])\n"
        + "print(blake3(a.view('u1')).hexdigest(), blake3(b.view('u1')).hexdigest())"
    )
    a, b = done.out.split()
    same = f"[__import__('blake3').blake3(x.view('u1')).hexdigest() for x in (a, b)] == [{a!r}, {b!r}]"
    for which in ("latest", "latest~1"):
        _, wrong = two_shells.restore({"as it was": same}, f"nbsnap.restore({which!r})")
        assert wrong == {}


def test_an_error_of_the_writer_is_told_and_the_older_snapshot_stays(two_shells: Any) -> None:
    """The disk takes no more than a megabyte: a line says so, and what was there is whole."""
    done = two_shells.run(
        DATA
        + "import resource\nnbsnap.snapshot(only=['b'])\nresource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))\n"
        + "nbsnap.snapshot(name='big', background=True)\n"
        + "try: nbsnap.wait()\nexcept nbsnap.NbSnapError as error: print(error)\n"
        + "print(nbsnap.wait(), nbsnap.restore().ok, nbsnap.Store.open('.nbsnap').heads()[0].variables)"
    )
    assert done.out.startswith("big was not saved: ")
    assert done.out.endswith("\n() True 1\n")


def test_a_process_that_ends_leaves_the_writer_to_it(two_shells: Any) -> None:
    """The script is over before its snapshot is: a line says who goes on, and the snapshot gets finished."""
    done = two_shells.run(DATA + "a = np.tile(a, 10)\nnbsnap.snapshot(background=True)")
    assert "is still being written, by process" in done.err
    _until(lambda: list(Path(".nbsnap/snapshots").glob("*/*.snap")))
    _, wrong = two_shells.restore({"all of it": "len(a) == 30_000_000 and a[-1] == 2_999_999"})
    assert wrong == {}


def test_nothing_of_the_session_runs_in_the_child(two_shells: Any) -> None:
    """Exit handlers and finalizers run once: in the session."""
    done = two_shells.run(
        DATA
        + "import atexit, os, weakref\nclass Noisy:\n    def __del__(self): os.write(1, b'del ')\n"
        + "loop = Noisy(); loop.me = loop; del loop\natexit.register(os.write, 1, b'exit')\n"
        + "import gc; gc.disable()\nnbsnap.snapshot(background=True); nbsnap.wait(); gc.collect()"
    )
    assert done.out == "del exit"


def test_where_memory_is_short_it_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The snapshot is there when the call returns, and a note says why it took so long."""
    monkeypatch.setattr(background, "_SPARE", 1 << 60)
    report = nbsnap.snapshot({"x": [1]}, background=True)
    assert report.id
    assert not report.background
    assert "MiB of memory are free" in report.notes[0]


def test_where_there_is_no_room_for_a_process_it_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where the system refuses the fork."""

    def fork() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    report = nbsnap.snapshot({"x": [1]}, background=True)
    assert report.id
    assert "no room for another process" in report.notes[0]


def test_a_store_in_memory_is_written_at_once() -> None:
    """Another process would write into its own copy of it."""
    from nbsnap.backends import MemoryBackend

    store = nbsnap.Store.open(MemoryBackend(), create=True)
    report = nbsnap.snapshot({"x": [1]}, store=store, background=True)
    assert [head.id for head in store.heads()] == [report.id]


def test_a_child_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """It uses no time and waits for no disk: it is killed, and what became of it is told."""
    monkeypatch.setattr(background, "PATIENCE", 0.5)
    monkeypatch.setattr(background, "_LOOK", 0.2)
    came = _ended(lambda: time.sleep(600))
    assert "did not go on" in came["error"]


def test_a_child_that_works_is_not_taken_for_hung(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes, as long as it takes processor time."""
    monkeypatch.setattr(background, "PATIENCE", 0.5)
    monkeypatch.setattr(background, "_LOOK", 0.2)

    def work() -> dict[str, Any]:
        until = time.monotonic() + 3
        while time.monotonic() < until:
            pass
        return {"done": True}

    assert _ended(work) == {"done": True}


def test_a_child_that_is_killed_is_told() -> None:
    """By the out-of-memory killer, say."""
    assert _ended(lambda: os.kill(os.getpid(), 9)) == {"error": "the process that wrote it was killed"}


def test_who_waits_waits_until_it_was_told() -> None:
    """Also where the child is gone, and its end is just being told; who is told may wait himself."""
    told: list[str] = []

    def ended(came: Mapping[str, Any]) -> None:
        time.sleep(0.3)
        told.append(f"{came['done']} {background.wait(5)}")

    for turn in range(2):  # the second begins while the first is told
        assert background.start("work", lambda turn=turn: {"done": turn}, ended)  # type: ignore[misc]
        until = time.monotonic() + 30
        while background.under_way() and time.monotonic() < until:
            time.sleep(0.001)
    assert len(told) < 2
    assert background.wait(30)
    assert sorted(told) == ["0 True", "1 True"]


def test_a_child_keeps_no_socket_of_the_session() -> None:
    """A kernel that is started again binds to the ports of the one before, though a child of that one still writes."""
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    came: list[Mapping[str, Any]] = []
    assert background.start("a nap", lambda: time.sleep(2) or {}, came.append)
    time.sleep(0.5)
    server.close()
    socket.create_server(("127.0.0.1", port)).close()
    assert came == []
    assert background.wait(30)
    assert came == [{}]


@pytest.mark.kernel
def test_a_kernel_that_is_killed_does_not_take_the_writer_with_it(kernel_pair: Any) -> None:
    """SIGKILL right after `%snapshot --background`: the next kernel restores what was being written."""
    first = kernel_pair.start()
    first.run("import numpy as np\na = np.arange(20_000_000.0)")
    said = first.run("%snapshot then --background").text
    assert "being written in the background" in said
    second = kernel_pair.restart()
    _until(lambda: list(Path(".nbsnap/snapshots").glob("*/*.snap")))
    second.run("%restore then")
    assert second.value("float(a[-1])") == 19_999_999.0


@pytest.mark.kernel
def test_a_later_line_says_that_it_is_safe(kernel_pair: Any) -> None:
    """The line comes while another cell runs, or with the next."""
    kernel = kernel_pair.start()
    kernel.run("import numpy as np, time\na = np.arange(2_000_000.0)")
    said = kernel.run("%snapshot then --background\nimport nbsnap; nbsnap.wait(); time.sleep(0.5)").text
    assert "nbsnap: snapshot then (" in said
    assert "is safe on disk · " in said
    kernel.run("report = get_ipython().run_line_magic('snapshot', '--background -q -o')\n(came,) = nbsnap.wait()[-1:]")
    assert kernel.value("report.background, came.background, came.ok, report.id, len(came.id)") == (
        True, False, True, "", 64,
    )  # fmt: skip


def _ended(work: Any) -> Mapping[str, Any]:
    came: list[Mapping[str, Any]] = []
    assert background.start("some work", work, came.append)
    assert background.wait(60)
    return came[0]


def _until(there: Any) -> None:
    until = time.monotonic() + 60
    while not there():
        assert time.monotonic() < until
        time.sleep(0.05)
