"""Who adds to a store in a bucket, and who tidies it up, keep out of each other's way without a lock of the system."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from cloud.clouds import Asked, Harm, Proxy, Server
from cloud.conftest import in_memory
from storage.making import assert_clean, noise, record, restore, save

from nbsnap import claims as claiming
from nbsnap import objects, pruning
from nbsnap.digest import PIECE_SIZE as MIB
from nbsnap.errors import StoreError
from nbsnap.places import backend_at
from nbsnap.store import Store


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hold that is not renewed is a dead one's after two seconds."""
    monkeypatch.setattr(claiming, "EXPIRY", 2.0)
    monkeypatch.setattr(claiming, "BEAT", 0.3)
    monkeypatch.setattr(claiming, "TRUST", 1.0)
    monkeypatch.setattr(claiming, "PACE", 0.05)


def claims(url: str) -> list[str]:
    """The objects in locks/."""
    found = backend_at(url).client.do(lambda store: objects.listed(store, "locks"))  # type: ignore[attr-defined]
    return [meta["path"] for meta in found]


def test_many_add_and_one_alone_removes(s3: str) -> None:
    """As long as somebody adds, nobody has it alone; and the other way round. What was let go of is gone."""
    one, two = backend_at(s3), backend_at(s3)
    first, second = one.hold(alone=False), two.hold(alone=False)
    assert first is not None
    assert second is not None
    assert one.hold(alone=True) is None
    first.release()
    second.release()
    alone = two.hold(alone=True)
    assert alone is not None
    assert one.hold(alone=False) is None
    assert one.hold(alone=True) is None
    alone.release()
    alone.release()
    time.sleep(0.2)
    assert claims(s3) == []


DYING = """
import os, sys
from nbsnap.places import backend_at
hold = backend_at(sys.argv[1]).hold(alone=sys.argv[2] == "alone")
print("held", flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("kind", ["alone", "shared"])
def test_a_dead_ones_hold_is_noticed_by_its_age(s3: str, kind: str) -> None:
    """Killed while it held the store: until it is too old it counts, then it is removed."""
    subprocess.run(
        [sys.executable, "-c", DYING, s3, kind], env=os.environ, capture_output=True, timeout=60, check=False
    )
    assert len(claims(s3)) == 1
    backend = backend_at(s3)
    began = time.monotonic()
    while (hold := backend.hold(alone=True)) is None:
        assert time.monotonic() - began < 10
    assert time.monotonic() - began > 0.5
    hold.release()
    time.sleep(0.3)
    assert claims(s3) == []


@pytest.mark.usefixtures("hasty")
def test_who_goes_on_is_not_taken_for_dead(s3: str) -> None:
    """A hold is renewed as long as its holder lives, however long that is."""
    hold = backend_at(s3).hold(alone=False)
    assert hold is not None
    other = backend_at(s3)
    until = time.monotonic() + 3.5
    while time.monotonic() < until:
        assert other.hold(alone=True) is None
    hold.release()


@pytest.mark.usefixtures("hasty")
def test_who_was_out_of_reach_publishes_nothing(proxy: Proxy, s3: str) -> None:
    """Others may have tidied up meanwhile: the snapshot fails with a line, and a pruning removes nothing more."""
    store = Store.open(s3, create=True)
    save(store, {"x": noise(1000)}, "one")

    def broken(asked: Asked) -> Harm | None:
        return Harm(status=503, code="SlowDown") if "locks" in asked.path and asked.method == "PUT" else None

    with pytest.raises(StoreError, match="out of reach for minutes"), store.writer() as writer:
        writer.put(noise(5000, 1))
        proxy.rule = broken
        time.sleep(1.5)
        save_into(writer)
    proxy.rule = None
    backend = store.backend
    hold = backend.hold(alone=True)
    assert hold is not None
    proxy.rule = broken
    time.sleep(1.5)
    with pytest.raises(OSError, match="out of reach for minutes"):
        backend.remove([store.entries()[0].file])
    proxy.rule = None
    hold.release()
    assert [head.name for head in store.heads()] == ["one"]
    assert_clean(store)


def save_into(writer: Any) -> None:
    writer.commit(record({"x": writer.put(noise(5000, 1))}, "two"))


def test_a_writer_and_a_pruning_at_once(s3: str) -> None:
    """What a snapshot counts on is not removed under it: the packs wait for the next pruning."""
    store, other = Store.open(s3, create=True), Store.open(s3)
    save(store, {"x": noise(MIB, 1)}, "one")
    with store.writer() as writer:
        content = writer.put(noise(MIB, 1))
        assert content.pieces
        patience, pruning.PATIENCE = pruning.PATIENCE, 0.2
        try:
            report = other.delete("one", notebook=None)
        finally:
            pruning.PATIENCE = patience
        assert "somebody is saving" in report.notes[0]
        writer.commit(record({"x": content}, "two"))
    assert restore(Store.open(s3), "two") == {"x": noise(MIB, 1)}
    other.prune()
    assert_clean(Store.open(s3))


WRITING = """
import sys
from nbsnap.store import Store
from storage.making import noise, restore, save
place, number = sys.argv[1], int(sys.argv[2])
for turn in range(4):
    store = Store.open(place, create=True)
    state = {"shared": noise(300_000, turn), "own": noise(3000, number * 10 + turn)}
    save(store, state, f"w{number}-{turn}", "one.ipynb")
    assert restore(store, f"w{number}-{turn}", None) == state
    if turn == 2 and number == 0:
        store.prune("one.ipynb", last=50)
"""


def test_several_machines_at_one_notebook(s3: str, server: Server) -> None:
    """All that they save is there, in an order, each with a parent; the store is made by all of them at once."""
    tests = os.path.dirname(os.path.dirname(__file__))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([os.path.dirname(tests), tests])}
    running = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", WRITING, s3, str(number)], env=env)
        for number in range(3)
    ]
    assert [process.wait(100) for process in running] == [0, 0, 0]
    store = Store.open(s3)
    heads = store.heads("one.ipynb")
    assert {head.name for head in heads} == {f"w{number}-{turn}" for number in range(3) for turn in range(4)}
    assert len({entry.stamp for entry in store.entries()}) == len({head.id for head in heads}) == 12
    for head in heads:
        assert restore(store, head.name, None)["shared"] == noise(300_000, int(head.name[-1]))
    assert_clean(store)


def test_putting_never_replaces_what_was_not_seen(server: Server, s3: str) -> None:
    """A second writer of the same name with other bytes: what is there is replaced only as it was seen."""
    for backend in (in_memory(), backend_at(s3)):
        backend.put("snapshots/a/b.snap", b"one")  # type: ignore[attr-defined]
        backend.put("snapshots/a/b.snap", b"one")  # type: ignore[attr-defined]
        backend.put("snapshots/a/b.snap", b"two")  # type: ignore[attr-defined]
        assert backend.read("snapshots/a/b.snap") == b"two"


def test_of_two_that_replace_one_is_told(proxy: Proxy, s3: str) -> None:
    """Somebody else replaces it between the look and the put: that is not overwritten."""
    one, two = backend_at(s3), backend_at(s3)
    one.put("snapshots/a/b.snap", b"one")  # type: ignore[attr-defined]
    seen: list[Asked] = []

    def late(asked: Asked) -> Harm | None:
        if asked.kind == "PUT" and "b.snap" in asked.path:
            seen.append(asked)
            if len(seen) == 2:
                return Harm(wait=1.0)
        return None

    proxy.rule = late
    failed: list[BaseException] = []

    def replace() -> None:
        try:
            one.put("snapshots/a/b.snap", b"mine")  # type: ignore[attr-defined]
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=replace)
    thread.start()
    while len(seen) < 2:
        time.sleep(0.01)
    two.put("snapshots/a/b.snap", b"theirs")  # type: ignore[attr-defined]
    thread.join()
    assert [str(error) for error in failed] == ["[Errno 16] somebody else changed it just now: try again"]
    assert backend_at(s3).read("snapshots/a/b.snap") == b"theirs"
