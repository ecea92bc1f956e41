"""Snapshots that go to a bucket while the session goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cloud.clouds import Harm, Proxy, Server, denied
from storage.making import assert_clean

from nbsnap.store import Store

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nothing is written in the background elsewhere")

DATA = "import os, random, sys, time, nbsnap\na = bytearray(random.Random(1).randbytes(18_000_000)); b = {'k': [1]}\n"


def going() -> list[Path]:
    """The spools that are there."""
    return list(Path(os.environ["XDG_DATA_HOME"], "nbsnap", "going").glob("*/*"))


def wait_until(done: Any, seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not done() and time.monotonic() < until:
        time.sleep(0.05)
    assert done()


@pytest.fixture
def place(s3: str, two_shells: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("NBSNAP_STORE", s3)
    return s3


def test_the_state_at_the_call_arrives(place: str, two_shells: Any) -> None:
    """What the session changes meanwhile does not get into it; it is told when it is in the bucket."""
    done = two_shells.run(
        DATA
        + "r = nbsnap.snapshot(name='then', background=True)\na[:] = bytes(18_000_000); b['k'].append(2)\n"
        + "(came,) = nbsnap.wait()\nprint(r.background, r.store, came.background, len(came.id), came.store, came.notes)"
    )
    assert done.out == f"True {place} False 64 {place} ()\n"
    _, wrong = two_shells.restore(
        {"as it was": "a == __import__('random').Random(1).randbytes(18_000_000)", "b": "b == {'k': [1]}"}
    )
    assert wrong == {}
    assert not going()
    with Store.open(place) as store:
        assert_clean(store)


@pytest.mark.slow
def test_restore_and_the_next_snapshot_wait_for_it(place: str, two_shells: Any) -> None:
    """Right after it, `latest` is that one, and the next one has it as its parent; nothing goes up twice."""
    done = two_shells.run(
        DATA
        + "nbsnap.snapshot(background=True); a[:] = bytes(18_000_000); nbsnap.restore(); print(a[5] != 0)\n"
        + "nbsnap.snapshot(background=True); last = nbsnap.snapshot(); print(last.new_bytes)\n"
        + f"from nbsnap import Store\nheads = Store.open({place!r}).heads()\n"
        + "print(len(heads), [h.parent for h in heads[1:]] == [h.id for h in heads[:-1]], last.id == heads[-1].id)"
    )
    assert done.out == "True\n0\n3 True True\n"


def test_a_kernel_that_dies_does_not_take_it_along(place: str, proxy: Proxy, two_shells: Any) -> None:
    """Killed right after the call, the session is gone; the next one waits for the snapshot, and gets it."""
    two_shells.run("import nbsnap; b = 'old'; nbsnap.snapshot()")
    proxy.latency = 0.1
    two_shells.run(DATA + "nbsnap.snapshot(name='last', background=True); os.kill(os.getpid(), 9)", ok=False)
    assert len(Store.open(place).heads()) == 1
    report, wrong = two_shells.restore({"b": "b == {'k': [1]}"})
    assert wrong == {}
    assert report["name"] == "last"
    assert not going()


def test_what_could_not_be_sent_goes_before_the_next(place: str, proxy: Proxy, two_shells: Any) -> None:
    """Credentials that have expired: one line says where it is kept; with new ones, both arrive, in order."""
    two_shells.run("import nbsnap; x = 1; nbsnap.snapshot(name='first')")
    proxy.rule = denied("PUT", "BEGIN", status=400, code="ExpiredToken")
    done = two_shells.run(
        DATA + "nbsnap.snapshot(name='second', background=True)\ntry: nbsnap.wait()\nexcept Exception as e: print(e)"
    )
    (kept,) = going()
    assert done.out.startswith("second was not saved: ")
    assert "the credentials have expired" in done.out
    assert str(kept) in done.out
    assert oct(kept.stat().st_mode & 0o777) == "0o700"
    proxy.rule = None
    report, _ = two_shells.restore({})
    assert report["name"] == "first"
    assert any(str(kept) in note for note in report["notes"])
    done = two_shells.run(
        "import nbsnap; y = 2; nbsnap.snapshot(name='third', background=True); print(len(nbsnap.wait()))"
    )
    assert done.out == "1\n"
    with Store.open(place) as store:
        assert [head.name for head in store.heads()] == ["first", "second", "third"]
        assert_clean(store)
    _, wrong = two_shells.restore({"b": "b == {'k': [1]}"}, "nbsnap.restore('second')")
    assert wrong == {}
    assert not going()


@pytest.mark.slow
def test_a_bucket_that_is_slow_is_waited_for(place: str, proxy: Proxy, two_shells: Any) -> None:
    """The session sees that its process lives, although it does nothing but wait for the network."""
    proxy.rule = lambda asked: Harm(wait=7) if asked.kind == "PUT" and ".snap" in asked.path else None
    done = two_shells.run(
        "import nbsnap\nfrom nbsnap import background\nbackground.PATIENCE = 6.0; background._LOOK = 1.0\n"
        "x = 1; nbsnap.snapshot(background=True); print(len(nbsnap.wait()))"
    )
    assert done.out == "1\n"


@pytest.mark.slow
def test_a_killed_process_is_told_of(place: str, proxy: Proxy, server: Server, two_shells: Any) -> None:
    """The one that sends is killed: the session is told, and the next snapshot takes it along."""
    proxy.rule = lambda asked: Harm(wait=30) if asked.kind == "PUT" and ".snap" in asked.path else None
    code = "import nbsnap; x = 1; nbsnap.snapshot(name='one', background=True)\nfrom nbsnap import background\n"
    code += "print(background._jobs[0].pid, flush=True)\ntry: nbsnap.wait()\nexcept Exception as e: print(e)"
    running = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    pid = int(running.stdout.readline())
    wait_until(lambda: any(asked.kind == "PUT" and ".snap" in asked.path for asked in proxy.asked))
    os.kill(pid, signal.SIGKILL)
    assert "was killed" in running.communicate(timeout=20)[0]
    proxy.rule = None
    two_shells.run("import nbsnap; y = 2; nbsnap.snapshot(name='two', background=True); nbsnap.wait()")
    with Store.open(place) as store:
        assert {head.name for head in store.heads()} >= {"one", "two"}
    assert not going()
