"""What a restore asks of a store: big buffers mapped or read, all of it right, damage never unnoticed."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from storage.making import NOTEBOOK, State, assert_clean, noise, save, text
from storage.test_damage import flip

from nbsnap import later
from nbsnap.backends import MemoryBackend
from nbsnap.digest import PIECE_SIZE
from nbsnap.errors import DamageError, SnapshotNotFound
from nbsnap.folder import FolderBackend, OpenFile
from nbsnap.maintenance import check
from nbsnap.mapping import Region
from nbsnap.model import Group
from nbsnap.reader import SMALL, Reader
from nbsnap.store import Store
from nbsnap.tree import pack_file

MIB = PIECE_SIZE
MAPS = pytest.mark.skipif(sys.platform != "linux", reason="whether the test's own file system is mapped is told here")

STATE: State = {
    "noise": noise(9 * MIB + 70_001),
    "mixed": noise(4 * MIB, 1) + text(4 * MIB, 1) + noise(2 * MIB + 5, 2),
    "zeros": bytes(6 * MIB + 11),
    "half": bytes(3 * MIB) + noise(2 * MIB, 3),
    "text": text(3 * MIB + 999),
    "small": noise(300_000, 4),
    "tiny": noise(100, 5),
    "empty": b"",
}


class Unmappable(FolderBackend):
    """A folder on a system that refuses to map its files, though it looks safe."""

    def to_map(self, name: str) -> OpenFile | None:
        file = OpenFile("/proc/version")
        file.size = 1 << 40
        return file


BACKENDS = {
    "mapped": FolderBackend,
    "unsafe": lambda place: FolderBackend(place, may_map=lambda fd: False),
    "refused": Unmappable,
    "memory": lambda place: MemoryBackend(),
}


def groups(store: Store, ref: str = "latest") -> dict[str, Group]:
    """The groups of a snapshot, by their one variable."""
    return {group.variables[0]: group for group in store.load(store.resolve(ref, NOTEBOOK).id).groups}


def reader(store: Store, *, map: bool = True, before: bool = False) -> Reader:
    """A reader for a big restore."""
    return store.reader(size=SMALL, map=map, before=before)


def read(made: Reader, found: dict[str, Group]) -> dict[str, Region | bytearray]:
    """The buffer of each group."""
    return {name: made.buffers(group)[0] for name, group in found.items()}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store in a folder that may be mapped whatever it lies on, with one snapshot of noise in it, 9 MiB."""
    with Store.open(FolderBackend(tmp_path / "store", may_map=lambda fd: True), create=True) as made:
        save(made, {"a": STATE["noise"], "b": noise(2 * MIB, 8)}, "first")
        yield made


def the_pack(store: Store) -> Path:
    """The only pack of a store."""
    (path,) = Path(store.place, "packs").glob("*.pack")
    return path


def piece_place(store: Store, name: str, number: int) -> tuple[Path, int]:
    """Where a piece of a variable lies: file and offset."""
    pack, piece = store.pieces.locate(groups(store)[name].buffers[0])[number]
    return Path(store.place, pack_file(pack)), piece.offset


# --- right ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("map", [False, True])
def test_buffers_are_what_was_saved(tmp_path: Path, kind: str, before: bool, map: bool) -> None:
    """Raw, compressed, zero and small content comes back whole and can be written, however it is read."""
    with Store.open(BACKENDS[kind](tmp_path / "store"), create=True) as store:
        save(store, STATE)
        changed = dict(STATE, noise=STATE["noise"][: 5 * MIB] + b"!" + STATE["noise"][5 * MIB + 1 :])
        save(store, changed)
        for ref, state in (("latest~1", STATE), ("latest", changed)):
            made = reader(store, map=map, before=before)
            buffers = read(made, groups(store, ref))
            for name, value in state.items():
                assert bytes(buffers[name]) == value, name
                with memoryview(buffers[name]) as view:
                    assert not view.readonly
                    assert view.contiguous
                    view[: len(view)] = bytes(len(view))
            assert made.unverified == [] or (map and not before and kind == "mapped")
        assert bytes(read(reader(store), groups(store))["noise"]) == changed["noise"]
        assert_clean(store)


def test_streams_are_what_was_saved(store: Store) -> None:
    """Whole or in parts, read by one thread or by many, which stop at what is damaged."""
    save(store, STATE)
    for name, group in groups(store).items():
        (content,) = group.buffers
        assert reader(store).stream(content) == b"".join(reader(store).parts(content)) == STATE[name]
    path, offset = piece_place(store, "text", 2)
    flip(path, offset + 50)
    with pytest.raises(DamageError, match=path.name):
        reader(store).parts(groups(store)["text"].buffers[0])
    path, offset = piece_place(store, "mixed", 5)
    flip(path, offset + 50)
    with pytest.raises(DamageError, match=path.name):
        reader(store).parts(groups(store)["mixed"].buffers[0])
    assert not [thread for thread in threading.enumerate() if thread.name == "nbsnap-read"]


@MAPS
def test_what_is_mapped_and_what_is_read(store: Store) -> None:
    """Raw runs are mapped, a changed piece from its own pack; compressed pieces are read between them."""
    save(store, STATE)
    changed = bytearray(STATE["noise"])
    changed[5 * MIB : 6 * MIB] = noise(MIB, 99)
    save(store, {**STATE, "noise": changed})
    buffers = read(reader(store), groups(store))
    parts = {name: buffer.parts for name, buffer in buffers.items() if isinstance(buffer, Region)}
    assert parts == {"noise": 3, "mixed": 2, "zeros": 0, "half": 1, "text": 0, "small": 1}
    assert bytes(buffers["noise"]) == changed
    assert {name for name, buffer in buffers.items() if type(buffer) is bytearray} == {"tiny", "empty"}


def test_a_small_restore_is_read_and_verified(store: Store) -> None:
    """Where the buffers are few bytes together nothing is mapped, and nothing is left to verify."""
    made = store.reader(size=SMALL - 1)
    assert bytes(made.buffers(groups(store)["a"])[0]) == STATE["noise"]
    assert made.unverified == []


@MAPS
def test_mappings_are_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process lays no more than so many parts of files over its memory; the rest is read."""
    monkeypatch.setattr("nbsnap.mapping.PARTS", 3)
    held = [read(reader(store), groups(store)) for _ in range(3)]
    assert sorted(buffer.parts for buffers in held for buffer in buffers.values()) == [0, 0, 0, 1, 1, 1]
    assert all(bytes(buffers["a"]) == STATE["noise"] for buffers in held)
    del held
    gc.collect()
    assert read(reader(store), groups(store))["a"].parts == 1


@MAPS
def test_the_store_may_go_while_arrays_live(store: Store) -> None:
    """Mapped memory outlives its pack, also where it has not been touched before."""
    buffers = read(reader(store), groups(store))
    assert buffers["a"].parts == 1
    store.close()
    shutil.rmtree(store.place)
    assert bytes(buffers["a"]) == STATE["noise"]


@MAPS
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="told by /proc")
def test_no_file_stays_open_for_mapped_memory(store: Store) -> None:
    """When all is verified, mapped memory holds no file descriptor."""
    for number in range(20):
        save(store, {f"v{number}": noise(MIB, 100 + number)})
    store.close()
    before = len(os.listdir("/proc/self/fd"))
    buffers = []
    for number in range(20):
        made = reader(store)
        (group,) = groups(store, f"latest~{number}").values()
        buffers.append(made.buffers(group)[0])
        later.verify(store.pieces, made.unverified, lambda *told: None)
    del made
    assert later.wait(30)
    store.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert sum(buffer.parts for buffer in buffers) == 20


def test_indexes_are_read_as_far_as_they_are_needed(tmp_path: Path) -> None:
    """One piece out of a long history is found without the indexes of all packs; without hints by all of them."""
    with Store.open(tmp_path / "store", create=True) as store:
        state = {}
        for number in range(8):
            state[f"v{number}"] = noise(5000, number)
            save(store, state)
    for hint in (True, False):
        with Store.open(tmp_path / "store") as store:
            found = store.find("latest", NOTEBOOK)
            if not hint:
                store.pieces._hinted.clear()
            assert store.read(found.groups[0].buffers[0]) == state["v0"]
            assert hint or len(store.pieces._numbers) == 8
            for group in found.groups:
                assert store.read(group.buffers[0]) == state[group.variables[0]]
            assert len(store.pieces._numbers) == 8


# --- damage -----------------------------------------------------------------------------------------------------------


@MAPS
def test_damage_to_what_is_mapped_is_told_afterwards(store: Store) -> None:
    """It is told once, with names and file; from then on it is refused, and stored anew by the next snapshot."""
    for number in (0, 5):
        flip(*_inside(piece_place(store, "a", number)))
    made = reader(store)
    buffers = read(made, groups(store))
    assert bytes(buffers["a"]) != STATE["noise"]
    assert bytes(buffers["b"]) == noise(2 * MIB, 8)
    told: list[tuple[tuple[str, ...], str]] = []
    later.verify(store.pieces, made.unverified, lambda *what: told.append(what))
    assert later.wait(30)
    ((names, what),) = told
    assert names == ("a",)
    assert what.startswith(str(the_pack(store)))
    assert "was altered (wrong hash)" in what

    with Store.open(FolderBackend(store.place, may_map=lambda fd: True)) as again:
        with pytest.raises(DamageError, match="was altered"):
            reader(again).buffers(groups(again)["a"])
        assert bytes(reader(again).buffers(groups(again)["b"])[0]) == noise(2 * MIB, 8)
        assert not check(again).ok
        save(again, {"a": STATE["noise"]})
        made = reader(again)
        assert bytes(made.buffers(groups(again)["a"])[0]) == STATE["noise"]


def _inside(place: tuple[Path, int]) -> tuple[Path, int]:
    return place[0], place[1] + 1000


def test_a_reader_that_verifies_before_refuses_damage(store: Store) -> None:
    """With `before`, and without mapping, no altered byte is handed out, in whichever piece."""
    for number in (0, 3, 9):
        path, offset = _inside(piece_place(store, "a", number))
        flip(path, offset)
        for made in (reader(store, before=True), reader(store, map=False)):
            with pytest.raises(DamageError, match=rf"{path.name}.*was altered"):
                made.buffers(groups(store)["a"])
            assert made.unverified == []
        flip(path, offset)
        store.pieces._bad.clear()
    assert bytes(reader(store, before=True).buffers(groups(store)["a"])[0]) == STATE["noise"]


def test_a_sound_copy_takes_the_place_of_a_damaged_one(store: Store) -> None:
    """With `before`, a piece that is altered in one pack and sound in another is laid right."""
    path, offset = _inside(piece_place(store, "a", 4))
    flip(path, offset)
    assert not check(store).ok
    save(store, {"a": STATE["noise"]})
    store.pieces._bad.clear()
    with Store.open(FolderBackend(store.place, may_map=lambda fd: True)) as again:
        for ref in ("latest", "latest~1"):
            made = reader(again, before=True)
            assert bytes(made.buffers(groups(again, ref)["a"])[0]) == STATE["noise"]


@pytest.mark.parametrize("before", [False, True])
def test_a_pack_that_is_cut_short_is_refused_at_once(store: Store, before: bool) -> None:
    """No page is mapped that the file does not reach: touching it would end the process."""
    path = the_pack(store)
    os.truncate(path, path.stat().st_size // 2)
    with Store.open(FolderBackend(store.place, may_map=lambda fd: True)) as again:
        for group in groups(again).values():
            made = reader(again, before=before)
            try:
                assert bytes(made.buffers(group)[0]) in (STATE["noise"], noise(2 * MIB, 8))
            except DamageError as error:
                assert "cut short" in str(error)
                break
        else:
            pytest.fail("nothing was refused")


@pytest.mark.parametrize("map", [False, True])
def test_a_pack_that_is_gone_is_refused_at_once(store: Store, map: bool) -> None:
    """Content of a pack that was removed before the restore is a named error."""
    path = the_pack(store)
    found = groups(store)
    store.close()
    path.unlink()
    with pytest.raises(DamageError, match=f"{path.name} is missing"):
        reader(store, map=map).buffers(found["a"])


@MAPS
def test_what_is_gone_is_verified_all_the_same(store: Store) -> None:
    """Something was made of it, perhaps; and so is what a store held that was removed, by what is still open."""
    flip(*_inside(piece_place(store, "a", 2)))
    made = reader(store)
    buffers = read(made, groups(store))
    told: list[tuple[tuple[str, ...], str]] = []
    del buffers["a"]
    gc.collect()
    later.verify(store.pieces, made.unverified, lambda *what: told.append(what))
    assert later.wait(30)
    assert [names for names, _ in told] == [("a",)]
    told.clear()
    store.pieces._bad.clear()

    buffers = read(made := reader(store), groups(store))
    store.close()
    shutil.rmtree(store.place)
    later.verify(store.pieces, made.unverified, lambda *what: told.append(what))
    assert later.wait(30)
    assert [names for names, _ in told] == [("a",)]


def test_an_error_in_one_of_many_threads_is_raised(store: Store) -> None:
    """The first error of any thread reaches the caller, and no thread goes on behind its back."""
    save(store, {"wide": b"".join(text(MIB, number) for number in range(12))})
    path, offset = piece_place(store, "wide", 7)
    flip(path, offset + 50)
    with pytest.raises(DamageError, match=path.name):
        reader(store).buffers(groups(store)["wide"])
    assert not [thread for thread in threading.enumerate() if thread.name == "nbsnap-read"]


def test_find_is_resolve_and_load(store: Store) -> None:
    """`find` gives the snapshot that `resolve` means, of this notebook or by its id, and fails in the same words."""
    second = save(store, {"c": b"c" * 100}, "second")
    assert store.find("latest", NOTEBOOK).head == second
    assert store.find("first", NOTEBOOK) == store.load(store.resolve("first", NOTEBOOK).id)
    assert store.find(second.id[:8], "other.ipynb").head == second
    with pytest.raises(SnapshotNotFound, match="no snapshot 'third'"):
        store.find("third", NOTEBOOK)
