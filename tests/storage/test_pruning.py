"""Snapshots that go: what they alone needed is freed, nothing else is harmed, whoever else is at work, or dies."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from storage.making import (
    NOTEBOOK,
    Died,
    DyingBackend,
    assert_clean,
    make_backend,
    mixed,
    noise,
    record,
    restore,
    save,
    text,
)

from nbsnap import manifest, pruning
from nbsnap.backends import Backend, MemoryBackend
from nbsnap.digest import PIECE_SIZE
from nbsnap.errors import DamageError, NbSnapError, SnapshotNotFound
from nbsnap.folder import FolderBackend
from nbsnap.keep import Rules
from nbsnap.maintenance import check
from nbsnap.store import Store

MIB = PIECE_SIZE


def day(number: int, hour: int = 12) -> str:
    return f"2026-03-{number:02}T{hour:02}:00:00.000000Z"


def packs(store: Store) -> list[str]:
    return [name for name in store.backend.list("packs") if name.endswith(".pack")]


# --- deleting ---------------------------------------------------------------------------------------------------------


def test_what_only_the_deleted_one_needed_is_freed(store: Store) -> None:
    """Its own pieces go, shared ones stay; the report says how many bytes, and a dry run has said the same before."""
    save(store, {"shared": noise(2 * MIB, 1)}, "one")
    save(store, {"shared": noise(2 * MIB, 1), "own": noise(3 * MIB, 2)}, "two")
    save(store, {"shared": noise(2 * MIB, 1), "other": noise(MIB, 3)}, "three")
    before, files = store.backend.usage(), store.backend.list("")
    foreseen = store.delete("two", notebook=NOTEBOOK, dry_run=True)
    assert store.backend.list("") == files
    report = store.delete("two", notebook=NOTEBOOK)
    assert report.freed == foreseen.freed == before - store.backend.usage()
    assert report.size == foreseen.size == store.backend.usage()
    assert 3 * MIB < report.freed < 3 * MIB + 10_000
    assert [head.name for head in report.removed] == ["two"]
    assert (report.dry_run, foreseen.dry_run, report.ok) == (False, True, True)
    assert len(packs(store)) == 2
    assert restore(store, "one") == {"shared": noise(2 * MIB, 1)}
    assert restore(store, "three") == {"shared": noise(2 * MIB, 1), "other": noise(MIB, 3)}
    with pytest.raises(SnapshotNotFound):
        store.resolve("two", NOTEBOOK)
    assert check(store).unused == 0
    assert_clean(store)


def test_several_at_once_and_all(store: Store) -> None:
    """Several go in one; when the last one goes, nothing is left but an empty store, which can be used."""
    for number in range(4):
        save(store, {"x": noise(MIB, number), "y": text(5000, number)}, f"s{number}")
    report = store.delete("s0", "latest", "s0", notebook=NOTEBOOK)
    assert [head.name for head in report.removed] == ["s0", "s3"]
    store.delete(*[head.id[:8] for head in store.heads()])
    assert store.backend.list("") == [".gitignore", "store.json"]
    save(store, {"x": noise(MIB, 0)}, "again")
    assert restore(store, "again") == {"x": noise(MIB, 0)}
    assert_clean(store)


def test_an_unknown_one_deletes_none(store: Store) -> None:
    """One wrong name among several is an error that lists close ones, and nothing is removed."""
    save(store, {"x": b"1"}, "before-train")
    save(store, {"x": b"2"}, "after")
    with pytest.raises(SnapshotNotFound, match="close: before-train"):
        store.delete("after", "before-trian", notebook=NOTEBOOK)
    assert len(store.heads()) == 2


def test_a_name_of_several_notebooks_is_not_guessed(store: Store) -> None:
    """Without a notebook, a name that two have deletes nothing; an id, or a name that one has, is clear."""
    save(store, {"x": b"1"}, "best", "a.ipynb")
    head = save(store, {"x": b"2"}, "best", "b.ipynb")
    save(store, {"x": b"3"}, "only", "b.ipynb")
    for ref in ("best", "latest", "latest~1"):
        with pytest.raises(SnapshotNotFound, match=r"is in a\.ipynb and b\.ipynb: say of which notebook"):
            store.delete(ref)
    assert len(store.heads()) == 3
    store.delete("only", head.id[:8])
    store.delete("best")
    assert store.heads() == []


def test_a_pack_that_is_mostly_unneeded_is_copied(folder_store: Store) -> None:
    """What is left of it goes into a new pack, in a row and on pages' edges as it was, and the old one goes."""
    store = folder_store
    save(store, {"gone": noise(20 * MIB, 1), "left": noise(3 * MIB + 70_000, 2), "text": text(2 * MIB, 3)})
    save(store, {"left": noise(3 * MIB + 70_000, 2), "text": text(2 * MIB, 3)}, "kept")
    (old,) = packs(store)
    foreseen = store.delete("latest~1", notebook=NOTEBOOK, dry_run=True)
    report = store.delete("latest~1", notebook=NOTEBOOK)
    assert report.freed == foreseen.freed > 3 * MIB
    (new,) = packs(store)
    assert new != old
    assert store.backend.usage() < 4 * MIB
    content = next(group.buffers[0] for group in store.find("kept").groups if group.variables == ("left",))
    places = [piece for _, piece in Store.open(store.place).pieces.locate(content)]
    assert [piece.offset - places[0].offset for piece in places] == [0, MIB, 2 * MIB, 3 * MIB]
    assert places[0].offset % 4096 == 0
    assert restore(store, "kept") == {"left": noise(3 * MIB + 70_000, 2), "text": text(2 * MIB, 3)}
    assert check(store).unused == 0
    assert_clean(store)


def test_a_pack_that_is_mostly_needed_stays(folder_store: Store) -> None:
    """Copying what is mostly needed would cost more than it frees; where a limit is to be kept, it is done."""
    store = folder_store
    save(store, {"gone": noise(MIB, 1), "left": noise(3 * MIB, 2)})
    save(store, {"left": noise(3 * MIB, 2)}, "kept")
    before = packs(store)
    assert store.delete("latest~1", notebook=NOTEBOOK).freed < 10_000
    assert packs(store) == before
    assert check(store).unused == MIB
    assert store.prune(NOTEBOOK, max_size="3.5 MB").freed > MIB
    assert check(store).unused == 0
    assert restore(store, "kept") == {"left": noise(3 * MIB, 2)}


# --- pruning ----------------------------------------------------------------------------------------------------------


def test_prune_keeps_by_rule_and_says_why(store: Store) -> None:
    """The newest, one per day, the named and the latest stay; dry run and real run agree; others' notebooks stay."""
    for number in range(1, 11):
        name = "mark" if number == 2 else ""
        save(store, {"x": noise(100_000, number)}, name, time=day(1 + number // 2, number % 2 * 3 + 5))
    save(store, {"x": noise(100_000, 99)}, notebook="other.ipynb", time=day(1))
    foreseen = store.prune(NOTEBOOK, last=2, daily=3, dry_run=True)
    report = store.prune(NOTEBOOK, last=2, daily=3)
    assert [head.id for head in report.removed] == [head.id for head in foreseen.removed]
    assert report.freed == foreseen.freed > 500_000
    kept = [(kept.snapshot.time[8:13], kept.why) for kept in report.kept]
    assert kept == [
        ("02T05", ("named",)),
        ("04T08", ("daily",)),
        ("05T08", ("last", "daily")),
        ("06T05", ("latest", "last", "daily")),
    ]
    assert [head.time[8:13] for head in store.heads(NOTEBOOK)] == [time for time, _ in kept]
    assert len(store.heads("other.ipynb")) == 1
    assert_clean(store)


def test_without_a_rule_only_what_nobody_needs_goes(store: Store) -> None:
    """No snapshot is removed; what a writer that died has left is."""
    save(store, {"x": noise(MIB, 1)})
    save(store, {"x": noise(MIB, 2)})
    store.remove(store.resolve("latest~1", NOTEBOOK).id)
    report = store.prune()
    assert (report.removed, len(report.kept), report.freed > MIB) == ((), 1, True)
    assert store.prune().freed == 0
    assert_clean(store)


def test_each_notebook_by_itself_and_a_limit_for_all(store: Store) -> None:
    """Without a notebook, rules of time go by notebook, and the limit of size is the store's: the oldest go first."""
    for number in range(6):
        save(store, {"x": noise(MIB, number)}, notebook=f"{number % 2}.ipynb", time=day(1 + number))
    assert [head.time[8:10] for head in store.prune(last=2, dry_run=True).removed] == ["01", "02"]
    report = store.prune(max_size=3 * MIB + 100_000)
    assert [head.time[8:10] for head in report.removed] == ["01", "02", "03"]
    assert store.backend.usage() < 3 * MIB + 100_000
    report = store.prune(max_size="1 kB")
    assert [head.notebook for head in store.heads()] == ["0.ipynb", "1.ipynb"]
    assert "the latest snapshot and those with a name are not removed" in report.notes[0]


def test_rules_that_make_no_sense(store: Store) -> None:
    """They are refused before anything is looked at."""
    save(store, {"x": b"1"})
    for wrong in ({"last": -1}, {"max_size": "much"}, {"daily": 1.5}):
        with pytest.raises(NbSnapError, match=r"last|much|daily"):
            store.prune(**wrong)  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_random_histories(tmp_path_factory: pytest.TempPathFactory, chance: random.Random) -> None:
    """Whatever was saved, deleted and pruned, what is left restores, and each figure is what the disk says."""
    store = Store.open(MemoryBackend(), create=True)
    truth: dict[str, dict[str, bytes]] = {}
    for turn in range(chance.randint(2, 12)):
        if truth and chance.random() < 0.4:
            before = store.backend.usage()
            if chance.random() < 0.5:
                refs = chance.sample(sorted(truth), chance.randint(1, len(truth)))
                foreseen = store.delete(*refs, dry_run=True)
                report = store.delete(*refs)
            else:
                rules = {"last": chance.randint(0, 3), "max_size": chance.choice([0, MIB, 4 * MIB])}
                foreseen = store.prune(**rules, dry_run=True)
                report = store.prune(**rules)
            assert report.freed == foreseen.freed == before - store.backend.usage()
            for head in report.removed:
                del truth[head.id]
        else:
            state = {
                f"v{number}": noise(chance.choice([10, 5000, 70_000, MIB, 2 * MIB + 9]), chance.randint(0, 5))
                for number in range(chance.randint(0, 4))
            }
            head = save(store, state, time=day(1 + turn))
            truth[head.id] = state
    assert {head.id for head in store.heads()} == set(truth)
    for id, state in truth.items():
        assert restore(store, id, None) == state
    assert_clean(store)


# --- what cannot be read ----------------------------------------------------------------------------------------------


def spoil(store: Store, ref: str, place: int) -> Path:
    entry = store.entry(ref, NOTEBOOK)
    path = Path(store.backend.describe(entry.file))
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    store.forget([entry.file])
    return path


@pytest.mark.parametrize("place", [30, -30], ids=["head", "body"])
def test_a_damaged_record_keeps_all_packs(folder_store: Store, place: int) -> None:
    """It may need anything: others are removed, no pack is, and a line says why. Deleted by its id, it is gone."""
    store = folder_store
    broken = save(store, {"x": noise(MIB, 1)})
    save(store, {"x": noise(MIB, 2)}, "two")
    save(store, {"x": noise(MIB, 3)}, "three")
    path = spoil(store, "latest~2", place)
    report = store.delete("two", notebook=NOTEBOOK)
    assert not report.ok
    assert path.name in report.problems[0]
    assert len(packs(store)) == 3
    assert not store.prune(dry_run=True).ok
    by_rule = store.prune(last=1, dry_run=True).removed
    assert len(by_rule) == (place < 0), "of which not even the head can be read, that stays: no rule can be applied"
    assert path.exists()
    report = store.delete(broken.id[:10])
    assert report.ok
    assert report.removed[0].id == broken.id
    assert len(packs(store)) == 1
    assert restore(store) == {"x": noise(MIB, 3)}
    assert_clean(store)


def test_a_record_of_a_later_format_keeps_all_packs(folder_store: Store) -> None:
    """An older nbsnap does not know what a newer one's snapshot needs."""
    store = folder_store
    save(store, {"x": noise(MIB, 1)}, "one")
    save(store, {"x": noise(MIB, 2)}, "two")
    entry = store.entry("two", NOTEBOOK)
    path = Path(store.backend.describe(entry.file))
    path.write_bytes(path.read_bytes().replace(b'"format":1', b'"format":2'))
    report = Store.open(store.place).delete("one", notebook=NOTEBOOK)
    assert "of format 2" in report.problems[0]
    assert len(packs(store)) == 2


def twice(store: Store, state: dict[str, bytes], name: str) -> None:
    """Save with pieces in a pack of their own, as a writer does that began before the others had ended."""
    with store.writer() as writer:
        writer._line._stored = lambda id: False
        contents = {key: writer.put(value) for key, value in state.items()}
        writer.commit(record(contents, name))


def test_of_two_copies_the_sound_one_stays(folder_store: Store) -> None:
    """Before a copy goes, the other one is read: a damaged one is not relied on."""
    store = folder_store
    state = {"x": noise(MIB, 1)}
    twice(store, state, "one")
    first = packs(store)
    twice(store, state, "two")
    assert len(packs(store)) == 2
    (second,) = set(packs(store)) - set(first)
    for bad in (first[0], second):
        copies = {name: store.backend.read(name) for name in store.backend.list("packs")}
        path = Path(store.backend.describe(bad))
        data = bytearray(path.read_bytes())
        data[5000] ^= 1
        path.write_bytes(data)
        again = Store.open(store.place)
        again.prune()
        assert bad not in packs(again)
        assert restore(again, "one") == restore(again, "two") == state
        assert_clean(again)
        for name, data in copies.items():  # as it was, for the other way round
            Path(store.backend.describe(name)).write_bytes(data)
        again.pieces._bad.clear()


def test_damage_in_a_pack_that_would_be_copied(folder_store: Store) -> None:
    """It stays as it is, and a line names the piece: nothing is lost that could be read."""
    store = folder_store
    save(store, {"gone": noise(9 * MIB, 1), "left": noise(MIB, 2), "sound": noise(MIB, 3)})
    save(store, {"left": noise(MIB, 2), "sound": noise(MIB, 3)}, "kept")
    content = next(group.buffers[0] for group in store.find("kept").groups if group.variables == ("left",))
    ((pack, piece),) = Store.open(store.place).pieces.locate(content)
    path = Path(store.backend.describe(f"packs/{pack}.pack"))
    data = bytearray(path.read_bytes())
    data[piece.offset + 7] ^= 1
    path.write_bytes(data)
    report = store.delete("latest~1", notebook=NOTEBOOK)
    assert "damaged" in report.problems[0]
    assert packs(store) == [f"packs/{pack}.pack"]
    with pytest.raises(DamageError):
        restore(store, "kept")


def test_no_room_for_copying(folder_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk what is not needed at all goes, and what would have to be copied stays as it is."""
    store = folder_store
    save(store, {"gone": noise(9 * MIB, 1), "left": noise(MIB, 2)})
    save(store, {"left": noise(MIB, 2), "own": noise(MIB, 3)}, "two")
    save(store, {"left": noise(MIB, 2)}, "three")

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        report = store.delete("latest~2", "two", notebook=NOTEBOOK)
    assert MIB < report.freed < 2 * MIB
    assert "disk full" in report.notes[0]
    assert restore(store, "three") == {"left": noise(MIB, 2)}
    assert not list(Path(store.place, "tmp").iterdir())
    assert store.prune().freed > 9 * MIB
    assert_clean(store)


# --- others at work ---------------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "PATIENCE", 0.2)


def test_packs_wait_for_a_writer(store: Store, impatient: None) -> None:
    """As long as somebody is saving, no pack goes: he may count on it. What waits is freed the next time."""
    save(store, {"x": noise(MIB, 1)}, "one")
    save(store, {"x": noise(MIB, 2)}, "two")
    other = Store.open(store.backend)
    with other.writer() as writer:
        report = store.delete("one", notebook=NOTEBOOK)
        assert "somebody is saving" in report.notes[0]
        assert report.ok
        assert len(packs(store)) == 2
        contents = {"x": writer.put(noise(MIB, 1))}  # what the deleted one alone had
        assert writer.new_bytes == 0
        writer.commit(record(contents, "three"))
    assert store.prune().freed == 0
    assert restore(store, "three") == {"x": noise(MIB, 1)}
    store.delete("three", notebook=NOTEBOOK)
    assert len(packs(store)) == 1
    assert_clean(store)


def test_a_writer_waits_until_packs_are_removed(store: Store) -> None:
    """Who comes while packs are removed begins when that is over, and sees what is left."""
    save(store, {"x": noise(MIB, 1)}, "one")
    hold = store.backend.hold(alone=True)
    assert hold is not None
    assert store.backend.hold(alone=True) is None
    done = threading.Event()

    def work() -> None:
        save(Store.open(store.backend), {"x": noise(MIB, 1)}, "two")
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert not done.wait(0.3)
        for name in packs(store):
            store.backend.remove([name.replace(".pack", ".index"), name])
    finally:
        hold.release()
        thread.join(30)
    assert done.is_set()
    assert restore(store, "two") == {"x": noise(MIB, 1)}


def test_a_record_that_is_signed_while_it_is_removed(store: Store) -> None:
    """It comes back with its pieces, or not at all."""
    save(store, {"x": noise(MIB, 1)}, "one")
    removing = threading.Thread(target=Store.open(store.backend).delete, args=("one",), kwargs={"notebook": NOTEBOOK})

    def sign(signature: str, id: str) -> str:
        removing.start()
        until = time.monotonic() + 30
        while store.entries() and time.monotonic() < until:
            time.sleep(0.01)
        return "signed"

    store.sign(store.entry("one", NOTEBOOK), sign)
    removing.join(30)
    assert store.load_entry(store.entry("one", NOTEBOOK)).signature == "signed"
    assert restore(store, "one") == {"x": noise(MIB, 1)}
    assert_clean(store)


def test_a_reader_in_the_midst_of_it(folder_store: Store) -> None:
    """Who has found out where pieces are finds those that were moved meanwhile."""
    store = folder_store
    save(store, {"gone": noise(9 * MIB, 1), "left": noise(2 * MIB, 2)})
    save(store, {"left": noise(2 * MIB, 2)}, "kept")
    other = Store.open(store.place)
    (group,) = other.find("kept").groups
    other.pieces.locate(group.buffers[0])
    store.delete("latest~1", notebook=NOTEBOOK)
    for map in (True, False):
        assert bytes(other.reader(size=1 << 30, map=map).buffers(group)[0]) == noise(2 * MIB, 2)


LIVING = """
import sys
from nbsnap.folder import FolderBackend
hold = FolderBackend(sys.argv[1]).hold(alone=sys.argv[2] == "alone")
print("ready" if hold else "refused", flush=True)
sys.stdin.readline()
"""


@pytest.mark.skipif(os.name != "posix", reason="flock")
@pytest.mark.parametrize("kind", ["alone", "shared"])
def test_a_hold_dies_with_its_process(tmp_path: Path, kind: str) -> None:
    """What a living process holds counts, what a killed one held does not."""
    backend = FolderBackend(tmp_path / "store")
    command = [sys.executable, "-c", LIVING, str(tmp_path / "store"), kind]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdin is not None
    with other, other.stdout, other.stdin:
        assert other.stdout.readline().strip() == b"ready"
        assert backend.hold(alone=True) is None
        shared = backend.hold(alone=False)
        assert (shared is None) == (kind == "alone")
        if shared is not None:
            shared.release()
        other.kill()
        other.wait()
    hold = backend.hold(alone=True)
    assert hold is not None
    hold.release()
    hold.release()
    assert not list((tmp_path / "store" / "locks").iterdir())
    assert not list((tmp_path / "store" / "tmp").iterdir())


def test_another_machines_writer_counts_for_a_day(tmp_path: Path) -> None:
    """Its lock may not reach us, so its file counts until it is a day old."""
    backend = FolderBackend(tmp_path / "store")
    backend.prepare()
    file = tmp_path / "store" / "tmp" / "elsewhere-1-abc"
    file.write_bytes(b"")
    assert backend.hold(alone=True) is None
    os.utime(file, (time.time() - 90_000,) * 2)
    hold = backend.hold(alone=True)
    assert hold is not None
    hold.release()


WORKER = """
import sys, time
from nbsnap.digest import PIECE_SIZE
from nbsnap.store import Store
from storage.making import noise, restore, save
place, number, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
store = Store.open(place, create=True)
for turn in range(rounds):
    if turn % 3 == 0:
        store = Store.open(place)
    # the same pieces come again and again, after the snapshots that had them were removed
    state = {"shared": noise(PIECE_SIZE, turn % 2), "own": noise(PIECE_SIZE, number * 100 + turn % 3)}
    save(store, state, f"w{number}", f"own{number}.ipynb")
    assert restore(store, f"w{number}", f"own{number}.ipynb") == state
    time.sleep(0.01)
"""

PRUNER = """
import sys, time
from nbsnap.store import Store
place, until = sys.argv[1], time.monotonic() + 60
store = Store.open(place)
freed = 0
while time.monotonic() < until:
    report = store.prune(last=1)
    assert report.ok, report.problems
    freed += report.freed
    if sys.stdin in __import__("select").select([sys.stdin], [], [], 0.01)[0]:
        break
print(freed)
"""


@pytest.mark.skipif(os.name != "posix", reason="flock, select")
def test_beside_processes_that_save(tmp_path: Path) -> None:
    """Two prune all the time while three save what was pruned: each snapshot that stays restores, nothing is left."""
    place = tmp_path / "store"
    Store.open(place, create=True)
    path = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parents[1])])
    env = {**os.environ, "PYTHONPATH": path}
    pruners = [
        subprocess.Popen(
            [sys.executable, "-c", PRUNER, str(place)], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    workers = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", WORKER, str(place), str(number), "40"], env=env)
        for number in range(3)
    ]
    assert [worker.wait(120) for worker in workers] == [0] * 3
    freed = 0
    for pruner in pruners:
        out, _ = pruner.communicate(b"stop\n", timeout=60)
        assert pruner.returncode == 0
        freed += int(out)
    assert freed > 3 * MIB, "it was tried in earnest"
    store = Store.open(place)
    store.prune(last=1)
    assert len(store.heads()) == 3
    for number in range(3):
        state = restore(store, f"w{number}", f"own{number}.ipynb")
        assert state == {"shared": noise(MIB, 39 % 2), "own": noise(MIB, number * 100 + 39 % 3)}
    assert check(store).unused == 0
    assert_clean(store)
    assert not list((place / "tmp").iterdir())
    assert not list((place / "locks").iterdir())


# --- deaths -----------------------------------------------------------------------------------------------------------


def three(store: Store) -> dict[str, dict[str, bytes]]:
    states = {
        "one": {"big": noise(2 * MIB + 5, 1), "left": noise(100_000, 2)},
        "two": {"left": noise(100_000, 2), "own": noise(MIB, 3)},
        "three": {"left": noise(100_000, 2), "little": text(5000, 1)},
    }
    for name, state in states.items():
        save(store, state, name)
    return states


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", ["memory", "folder"])
def test_death_at_every_step(kind: str, late: bool, tmp_path: Path) -> None:
    """Whatever step is the last, what was to stay restores, and the next pruning leaves nothing behind."""
    states: dict[str, dict[str, bytes]] = {}
    steps, survived = 0, 0
    while True:
        folder = tmp_path / str(steps)
        folder.mkdir()
        backend: Backend = make_backend(kind, folder)
        states = three(Store.open(backend, create=True))
        dying = DyingBackend(backend, steps, late=late)
        died = False
        try:
            Store.open(dying).delete("one", "two", notebook=NOTEBOOK)
        except Died:
            died = True
        dying.bury()
        backend.close()

        store = Store.open(backend)
        assert_clean(store)
        for head in store.heads():
            assert restore(store, head.name) == states[head.name]
        assert restore(store, "three") == states["three"]
        left = [head.name for head in store.heads() if head.name != "three"]
        store.delete(*left, notebook=NOTEBOOK)
        assert restore(store, "three") == states["three"]
        report = check(store)
        assert report.ok
        assert report.unused == 0
        assert len(packs(store)) == 2, "what was left of the first, and the last"
        if kind == "folder" and os.name == "posix":
            assert not [*(folder / "store" / "locks").iterdir()]
        survived += died
        if not died:
            break
        steps += 1
    assert survived >= 8


KILLED = """
import os, signal, sys
from storage.making import NOTEBOOK, DyingBackend
from nbsnap.folder import FolderBackend
from nbsnap.store import Store
class Killed(DyingBackend):
    def step(self):
        last = super().step()
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return last
Store.open(Killed(FolderBackend(sys.argv[1]), int(sys.argv[2]))).delete("one", "two", notebook=NOTEBOOK)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_killed_processes(tmp_path: Path) -> None:
    """A process that is killed in the midst of it holds nobody up, and the next one finishes its work."""
    path = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parents[1])])
    for steps in range(0, 40, 2):
        place = tmp_path / f"store{steps}"
        states = three(Store.open(place, create=True))
        run = subprocess.run(
            [sys.executable, "-c", KILLED, str(place), str(steps)],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode in (0, -signal.SIGKILL), run.stderr
        store = Store.open(place)
        save(store, mixed(1), "after")
        store.delete(*[name for name in ("one", "two") if name in {head.name for head in store.heads()}])
        assert restore(store, "three") == states["three"]
        assert restore(store, "after") == mixed(1)
        assert check(store).unused == 0
        assert_clean(store)
        if run.returncode == 0:
            break
    else:
        raise AssertionError("it was killed every time")
    assert steps > 4


def test_pieces_of_a_record_are_those_that_it_names(store: Store) -> None:
    """The quick way to the pieces of a manifest finds what reading all of it finds, and refuses what that refuses."""
    save(store, mixed(3), "all")
    entry = store.entry("all", NOTEBOOK)
    named = {bytes.fromhex(id) for content in manifest.contents(store.load_entry(entry)) for id in content.pieces}
    assert store.needs(entry) == named
    assert len(named) > 20
    data = store.backend.read(entry.file)
    for altered in (data[:-1], data + b"x", data.replace(b'"name":"all"', b'"name":"alt"'), b"", data[:100]):
        with pytest.raises(DamageError):
            manifest.pieces(altered)


def at(hours: float) -> str:
    """A time so many hours after a beginning."""
    return (datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_autosnapshots_thin_out_by_themselves(store: Store) -> None:
    """What the user asked for stays, and the last one of each session; a few are removed at a time."""
    mine = save(store, {"x": noise(200_000, 0)}, time=at(0))
    for number in range(30):
        session = "a" * 16 if number < 10 else "b" * 16
        head = save(store, {"x": noise(200_000, number)}, time=at(0.1 + number / 60), kind="auto", session=session)
        store.thin(head.notebook, Rules(last=4))
    left = [(head.kind, head.session[:1]) for head in store.heads(head.notebook)]
    assert left[0] == ("", "")
    assert left.count(("auto", "a")) == 1
    assert 4 <= left.count(("auto", "b")) < 4 + 5
    assert store.thin(head.notebook, Rules(last=4)) == 0
    assert restore(store, mine.id) == {"x": noise(200_000, 0)}
    assert restore(store) == {"x": noise(200_000, 29)}
    assert_clean(store)


def test_autosnapshots_stay_within_a_size(store: Store) -> None:
    """The oldest go, the last one of a session too; never the latest, nor what the user asked for."""
    for number in range(20):
        kind = "" if number == 3 else "auto"
        head = save(store, {"x": noise(1_000_000, number)}, time=at(number), kind=kind, session=f"{number:016x}")
        store.thin(head.notebook, Rules(max_size=5_500_000))
    heads = store.heads(head.notebook)
    assert [head.kind for head in heads].count("") == 1
    assert heads[-1].id == head.id
    assert 5 <= len(heads) < 5 + 5
    assert store.backend.usage() < 11_000_000
    assert_clean(store)
