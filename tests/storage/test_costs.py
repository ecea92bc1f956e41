"""What a snapshot costs beside its content: how often the disk is waited for, and that a long history costs nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from storage.making import NOTEBOOK, assert_clean, mixed, noise, restore, save

from nbsnap.backends import MemoryBackend
from nbsnap.digest import PIECE_SIZE
from nbsnap.store import Store

PROC = pytest.mark.skipif(sys.platform != "linux", reason="finds the names of open files in /proc")


def kind_of(path: str) -> str:
    """What the file of a store is, from its name."""
    ending = os.path.splitext(path)[1]
    return {".pack": "pack", ".index": "index", ".snap": "manifest"}.get(ending, os.path.basename(path))


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is flushed and renamed from now on; temporary files go by the name that they get."""
    told: list[tuple[str, str]] = []
    flush, rename = os.fsync, os.replace

    def fsync(fd: int) -> None:
        told.append(("flush", os.readlink(f"/proc/self/fd/{fd}")))
        flush(fd)

    def replace(source: str, target: str) -> None:
        rename(source, target)
        told[:] = [(what, target if file == source else file) for what, file in told]
        told.append(("rename", target))

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    return told


@PROC
def test_all_is_on_the_disk_before_a_snapshot_counts(folder_store: Store, steps: list[tuple[str, str]]) -> None:
    """Pack, index and manifest are flushed before the first gets its name; the packs' folder before the last does."""
    save(folder_store, {"x": b"1"})
    steps.clear()
    save(folder_store, {"x": noise(2 * PIECE_SIZE)})
    key = Path(folder_store.entries(NOTEBOOK)[0].file).parts[1]
    assert [(what, kind_of(path)) for what, path in steps] == [
        ("flush", "pack"),
        ("flush", "index"),
        ("flush", "manifest"),
        ("rename", "pack"),
        ("rename", "index"),
        ("flush", "packs"),
        ("rename", "manifest"),
        ("flush", key),
    ]


@PROC
def test_nothing_new_waits_for_one_file_and_its_folder(folder_store: Store, steps: list[tuple[str, str]]) -> None:
    """Nothing is flushed but the manifest, and the folder that it is in."""
    save(folder_store, mixed())
    steps.clear()
    save(folder_store, mixed())
    key = Path(folder_store.entries(NOTEBOOK)[0].file).parts[1]
    told = [(what, kind_of(path)) for what, path in steps]
    assert told == [("flush", "manifest"), ("rename", "manifest"), ("flush", key)]


class Counting(MemoryBackend):
    """Counts what is read."""

    reads = 0

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        self.reads += not name.startswith("store")
        return super().read(name, offset, length)


def test_a_process_reads_each_index_once() -> None:
    """However many snapshots there are, the next one of this process reads none of what it has read or written."""
    backend = Counting()
    Store.open(backend, create=True)
    for number in range(20):
        save(Store.open(backend), {"x": noise(500, number), "y": noise(PIECE_SIZE, 1)})
    assert backend.reads == 0
    assert save(Store.open(backend), {"x": noise(500, 3), "y": noise(PIECE_SIZE, 1)}).new_bytes == 0
    assert backend.reads == 0


@pytest.mark.parametrize("again", [False, True], ids=["alone", "also in another pack"])
def test_a_pack_that_was_cut_short_since_is_noticed(folder_store: Store, again: bool) -> None:
    """What it held is stored anew, if no other pack holds it, although its index is known."""
    state: dict[str, Any] = {"x": noise(3 * PIECE_SIZE, 1)}
    save(folder_store, state)
    packs = Path(folder_store.place, "packs")
    (first,) = packs.glob("*.pack")
    if again:
        hidden = first.rename(first.with_suffix(".away"))
        assert save(folder_store, state).new_bytes > 0
        hidden.rename(first)
        assert save(Store.open(folder_store.place), state).new_bytes == 0
    os.truncate(first, PIECE_SIZE)
    for number, store in enumerate((folder_store, Store.open(folder_store.place))):
        assert (save(store, state).new_bytes > 0) == (not again and number == 0)
        assert restore(store) == state
    first.unlink()
    first.with_suffix(".index").unlink()
    assert restore(Store.open(folder_store.place)) == state
    assert_clean(Store.open(folder_store.place))


@pytest.mark.parametrize("harm", [Path.unlink, lambda file: os.truncate(file, 60), lambda file: file.write_bytes(b"")])
def test_a_lost_index_costs_nothing(folder_store: Store, harm: Any) -> None:
    """The copy at the end of the pack serves: all is read, and nothing is stored twice, by another process too."""
    state = mixed()
    save(folder_store, state)
    (index,) = Path(folder_store.place, "packs").glob("*.index")
    harm(index)
    from nbsnap import pieces

    for _ in range(2):
        store = Store.open(folder_store.place)
        assert restore(store) == state
        assert save(store, state).new_bytes == 0
        pieces._READ.clear()  # as in a new process
