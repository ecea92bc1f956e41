"""Snapshots from store to store: only what is missing, as it was, whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import threading
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from storage.conftest import KINDS
from storage.making import (
    NOTEBOOK,
    Died,
    DyingBackend,
    assert_clean,
    make_backend,
    mixed,
    noise,
    restore,
    save,
    text,
)

from nbsnap import transfer
from nbsnap.backends import MemoryBackend
from nbsnap.deltas import BLOCK
from nbsnap.digest import PIECE_SIZE
from nbsnap.errors import StoreError
from nbsnap.maintenance import check
from nbsnap.manifest import contents
from nbsnap.mapping import PAGE
from nbsnap.packs import RAW
from nbsnap.store import Store
from nbsnap.transfer import chosen, copy
from nbsnap.tree import pack_file


@pytest.fixture
def full() -> Store:
    """A store in memory with a history of two notebooks."""
    store = Store(MemoryBackend(), create=True)
    save(store, mixed(1), "one")
    save(store, mixed(2), "two")
    save(store, {**mixed(2), "more": noise(3 * PIECE_SIZE, 5), "text": text(9 * PIECE_SIZE)}, notebook="other.ipynb")
    return store


def manifests(store: Store) -> dict[str, bytes]:
    return {entry.file: store.backend.read(entry.file) for entry in store.entries()}


def coded(store: Store) -> dict[bytes, bytes]:
    """Each piece of a store as it is coded there."""
    return {
        piece.id: bytes(store.pieces.stored(index.pack, piece)[0])
        for index in store.pieces.indexes()
        for piece in index.pieces()
    }


def test_everything_arrives_as_it_was(full: Store, store: Store) -> None:
    """Records are the same bytes under the same names, pieces are coded as they were, and there once each."""
    report = copy(full, store, full.entries())
    assert report.ok
    assert [head.id for head in report.copied] == [entry.id for entry in full.entries()]
    assert manifests(store) == manifests(full)
    assert coded(store) == coded(full)
    assert report.pieces == len(coded(full)) == sum(index.count for index in store.pieces.indexes())
    assert report.bytes == sum(map(len, coded(full).values()))
    assert restore(store, "two") == mixed(2)
    assert_clean(store)
    again = copy(full, store, full.entries())
    assert (again.copied, again.already, again.pieces, again.bytes) == ((), 3, 0, 0)


def test_what_can_be_mapped_still_can(full: Store, store: Store) -> None:
    """Raw pieces of some size begin on a page's edge, and an array lies in one row."""
    copy(full, store, full.entries("other.ipynb"))
    for index in store.pieces.indexes():
        assert all(not piece.offset % PAGE for piece in index.pieces() if piece.codec == RAW and piece.raw > 65536)
    (entry,) = store.entries("other.ipynb")
    for content in contents(store.load_entry(entry)):
        found = store.pieces.locate(content)
        if len(found) > 2 and all(piece.codec == RAW for _, piece in found):
            assert all(b.offset == a.offset + PIECE_SIZE for (_, a), (_, b) in itertools.pairwise(found))


def test_only_what_is_missing(full: Store, store: Store) -> None:
    """One changed block of many megabytes costs one; a dry run says the same and writes nothing."""
    big = bytearray(noise(40 * PIECE_SIZE, 8))
    save(full, {"big": bytes(big)}, "first")
    copy(full, store, full.entries())
    big[5 * PIECE_SIZE + 17] ^= 1
    head = save(full, {"big": bytes(big)}, "second")
    before = sorted(store.backend.list(""))
    dry = copy(full, store, full.entries(), dry_run=True)
    assert sorted(store.backend.list("")) == before
    report = copy(full, store, full.entries())
    assert report.copied == dry.copied == (head,)
    assert (report.pieces, report.bytes) == (dry.pieces, dry.bytes) == (1, 32 + PIECE_SIZE // BLOCK // 8 + BLOCK)
    assert restore(store, "second") == {"big": bytes(big)}
    assert_clean(store)


def test_some_of_them(full: Store, store: Store) -> None:
    """A name, an id, a notebook: what is copied is what was chosen, and what it needs."""
    report = copy(full, store, chosen(full, ["one"], NOTEBOOK))
    assert [head.name for head in report.copied] == ["one"]
    assert restore(store, "one") == mixed(1)
    copy(full, store, chosen(full, [], "other.ipynb", every=True))
    assert [entry.id for entry in store.entries()] == [full.entries()[0].id, full.entries()[2].id]
    assert_clean(store)


def test_packs_are_published_now_and_then(full: Store, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is copied becomes several packs, and records come as soon as they are whole; all fits together."""
    monkeypatch.setattr(transfer, "FULL", 2 * PIECE_SIZE)
    copy(full, store, full.entries())
    assert len(store.pieces.indexes()) > 5
    assert manifests(store) == manifests(full)
    assert restore(store, "two") == mixed(2)
    assert_clean(store)


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", KINDS)
def test_death_at_every_step(kind: str, late: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever step of making the target and copying is the last: it is clean, and the next try completes it."""
    monkeypatch.setattr(transfer, "FULL", PIECE_SIZE)
    source = Store(MemoryBackend(), create=True)
    save(source, {"big": noise(2 * PIECE_SIZE + 5, 1), "little": noise(500, 1)}, "one")
    save(source, {"big": noise(2 * PIECE_SIZE + 5, 1), "little": noise(600, 2)}, "two")
    steps = 0
    while True:
        backend = make_backend(kind, tmp_path / str(steps))
        if steps % 2:
            save(Store(backend, create=True), {"mine": noise(1000, 3)}, "mine", "mine.ipynb")
        dying = DyingBackend(backend, steps // 2, late=late)
        died = False
        try:
            copy(source, Store(dying, create=True), source.entries())  # type: ignore[arg-type]
        except Died:
            died = True
        dying.bury()
        backend.close()
        store = Store(backend, create=True)
        assert_clean(store)
        assert [head.name for head in store.heads(NOTEBOOK)] in ([], ["one"], ["one", "two"])
        copy(source, store, source.entries())
        assert {name: restore(store, name) for name in ("one", "two")} == {
            name: restore(source, name) for name in ("one", "two")
        }
        if steps % 2:
            assert restore(store, "mine", "mine.ipynb") == {"mine": noise(1000, 3)}
        assert_clean(store)
        if kind == "folder" and os.name == "posix":
            assert not list((tmp_path / str(steps) / "store" / "tmp").iterdir())
        shutil.rmtree(tmp_path / str(steps), ignore_errors=True)
        if not died and steps % 2:
            break
        steps += 1
    assert steps > 40


def interrupt_copying(number: int, frame: FrameType | None) -> None:
    """Do what Ctrl-C does, unless it comes too late: when `copy` has returned already."""
    while frame is not None:
        if frame.f_code is copy.__code__:
            raise KeyboardInterrupt
        frame = frame.f_back


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer signal")
@pytest.mark.filterwarnings("ignore:unclosed scandir:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_interrupts_at_any_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C at any moment leaves the target sound, and the next try completes it."""
    monkeypatch.setattr(transfer, "FULL", 2 * PIECE_SIZE)
    source = Store(tmp_path / "source", create=True)
    for number in range(3):
        save(source, {"a": noise(6 * PIECE_SIZE, number), "b": noise(300, number)}, f"s{number}")
    interrupted = 0
    for turn in range(24):
        target = Store(tmp_path / str(turn), create=True)
        old = signal.signal(signal.SIGALRM, interrupt_copying)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0017 * (turn + 1))
            copy(source, target, source.entries())
        except KeyboardInterrupt:
            interrupted += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
        again = Store(tmp_path / str(turn))
        assert check(again, read=False).ok
        copy(source, again, source.entries())
        assert_clean(again)
        assert manifests(again) == manifests(source)
        shutil.rmtree(tmp_path / str(turn))
    assert interrupted > 6


def altered(store: Store, content: bytes) -> str:
    """Change a byte of a piece in the one pack that has it; return that pack."""
    import blake3

    id = blake3.blake3(content[:PIECE_SIZE]).digest()
    place = store.pieces.place(id)
    assert place is not None
    pack, piece = place
    name = pack_file(pack)
    data = bytearray(store.backend.read(name))
    data[piece.offset + piece.stored // 2] ^= 1
    assert isinstance(store.backend, MemoryBackend)
    store.backend.files[name] = bytes(data)
    return pack


def test_what_is_damaged_is_named_and_the_rest_copied(full: Store, store: Store) -> None:
    """A snapshot that needs a damaged piece is not copied; the line names it, the pack, and the variable."""
    state = {"bad": noise(2 * PIECE_SIZE, 70), "good": noise(2 * PIECE_SIZE, 71)}
    save(full, state, "hurt")
    pack = altered(full, state["bad"])
    report = copy(full, store, full.entries())
    assert not report.ok
    (line,) = report.problems
    assert line.startswith("hurt (")
    assert pack in line
    assert "belongs to bad" in line
    assert len(report.copied) == 3
    assert_clean(store)
    save(full, {"bad": state["bad"]}, "once more")  # a sound copy is somewhere else
    assert copy(full, store, full.entries()).ok
    assert restore(store, "hurt") == state
    assert_clean(store)


def test_a_record_that_cannot_be_read(full: Store, store: Store) -> None:
    """A damaged record is named, and costs the others nothing."""
    assert isinstance(full.backend, MemoryBackend)
    file = full.entries()[1].file
    full.backend.files[file] = full.backend.files[file][:-3]
    report = copy(full, store, full.entries())
    assert len(report.copied) == 2
    assert file in report.problems[0]
    assert_clean(store)


def test_nothing_from_days_to_come(store: Store) -> None:
    """A snapshot that would stay the latest for ever is not copied."""
    source = Store(MemoryBackend(), create=True)
    save(source, {"a": b"1"}, "now")
    save(source, {"a": b"2"}, "then", time="9999-12-31T23:59:59.999999Z")
    report = copy(source, store, source.entries())
    assert [head.name for head in report.copied] == ["now"]
    assert "then (" in report.problems[0]
    assert "9999-12-31" in report.problems[0]


def test_the_source_is_pruned_meanwhile(full: Store, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs that somebody copies and removes, and snapshots that somebody deletes, while they are read."""
    order = transfer._Copying._order
    ids = [entry.id for entry in full.entries()]
    done = []

    def late(self, snapshot):
        found = list(order(self, snapshot))
        if not done:
            done.append(Store(full.backend).delete(ids[1], ids[2]))
        return iter(found)

    monkeypatch.setattr(transfer._Copying, "_order", late)
    report = copy(full, store, full.entries())
    assert done[0].freed > 0
    assert [head.id for head in report.copied] == ids[:1]
    assert report.ok
    assert len(report.notes) == 2
    assert_clean(store)


def test_nobody_removes_what_is_being_copied(full: Store, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pruning in the midst of it leaves the packs to the next one."""
    from nbsnap import pruning

    monkeypatch.setattr(pruning, "PATIENCE", 0.0)
    monkeypatch.setattr(transfer, "FULL", 2 * PIECE_SIZE)
    add = transfer._Copying._add
    said = []

    def pruned(self, piece, stored):
        if self.pieces == 8:
            said.append(Store(store.backend).prune())
        add(self, piece, stored)

    monkeypatch.setattr(transfer._Copying, "_add", pruned)
    assert copy(full, store, full.entries()).ok
    assert "somebody is saving" in said[0].notes[0]
    assert_clean(store)


def test_two_at_once(full: Store, folder_store: Store) -> None:
    """Two that copy the same into one store at the same time do not harm each other."""
    reports = []

    def work() -> None:
        reports.append(copy(Store(full.backend), Store(folder_store.place), full.entries()))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(report.ok for report in reports)
    assert manifests(folder_store) == manifests(full)
    assert_clean(Store(folder_store.place))


def test_the_target_is_removed_meanwhile(full: Store, folder_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is a line, and no snapshot stands in what was left of it."""
    add = transfer._Copying._add

    def removed(self, piece, stored):
        if self.pieces == 8:
            Path(folder_store.place, "store.json").unlink()
        add(self, piece, stored)

    monkeypatch.setattr(transfer._Copying, "_add", removed)
    with pytest.raises(StoreError, match="was removed while it was written to"):
        copy(full, folder_store, full.entries())
    assert folder_store.entries() == []


def test_a_piece_of_another_length(store: Store) -> None:
    """A record that puts a sound piece where one of another length belongs is not copied."""
    source = Store(MemoryBackend(), create=True)
    with source.writer() as writer:
        from storage.making import record

        from nbsnap.model import Content

        writer.put(noise(1000))
        content = writer.put(noise(2000))
        writer.commit(record({"a": Content(1999, content.pieces)}))
    report = copy(source, store, source.entries())
    assert "not as long as the snapshot says" in report.problems[0]
    save(store, {"a": noise(2000)}, "mine")  # the target has that piece, too
    report = copy(source, store, source.entries())
    assert "not as long as the snapshot says" in report.problems[0]
    assert_clean(store)


PARTS = st.integers(0, 5).map(lambda seed: noise(70_000, seed)) | st.integers(0, 5).map(lambda seed: noise(100, seed))
STATES = st.dictionaries(st.sampled_from("abc"), PARTS, min_size=1)
STEPS = st.lists(
    st.tuples(st.just("save"), st.booleans(), st.sampled_from(["", "x", "y"]), STATES)
    | st.tuples(st.just("sync"), st.booleans())
    | st.tuples(st.just("prune"), st.booleans(), st.integers(1, 3)),
    max_size=12,
)


@given(STEPS)
def test_two_stores(steps: list[tuple[object, ...]]) -> None:
    """Whatever two stores have seen: synced both ways, they list the same, and hold it whole."""
    stores = [Store(MemoryBackend(), create=True) for _ in range(2)]
    states: dict[str, dict[str, bytes]] = {}
    for what, first, *rest in steps:
        one, other = stores if first else stores[::-1]
        if what == "save":
            head = save(one, rest[1], rest[0])  # type: ignore[arg-type]
            states[head.id] = dict(rest[1])  # type: ignore[call-overload]
        elif what == "sync":
            assert copy(one, other, one.entries()).ok
        else:
            one.prune(last=rest[0], named=True)  # type: ignore[arg-type]
    for one, other in (stores, stores[::-1]):
        assert copy(one, other, one.entries()).ok
    assert manifests(stores[0]) == manifests(stores[1])
    for store in stores:
        assert_clean(store)
        for entry in store.entries():
            assert restore(store, entry.id, None) == states[entry.id]


def test_errors_have_a_line(full: Store, folder_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is one line; what was copied until then is whole and not copied again."""
    monkeypatch.setattr(transfer, "FULL", 2 * PIECE_SIZE)
    write, room = os.write, [9 * PIECE_SIZE]

    def filled(fd: int, data: bytes) -> int:
        if room[0] < len(data):
            raise OSError(28, "No space left on device")
        room[0] -= len(data)
        return write(fd, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", filled)
        with pytest.raises(StoreError, match=r"^disk full: nothing more can be written to"):
            copy(full, folder_store, full.entries())
    assert_clean(Store(folder_store.place))
    left = copy(full, Store(folder_store.place), full.entries())
    assert 0 < left.pieces < len(coded(full)) - 5
    assert_clean(Store(folder_store.place))
