"""What a store does: puts and gives back, drops what it has, finds, refuses, keeps its order."""

from __future__ import annotations

import array
import os
import threading
from pathlib import Path

import pytest
from storage.making import NOTEBOOK, SIZES, State, assert_clean, mixed, noise, record, restore, save, text

from nbsnap import tree
from nbsnap.backends import Backend, MemoryBackend, write_whole
from nbsnap.digest import PIECE_SIZE, piece_id
from nbsnap.errors import (
    DamageError,
    SnapshotNotFound,
    StoreError,
    StoreNotFound,
    StoreNotWritable,
    StoreVersionError,
)
from nbsnap.maintenance import check
from nbsnap.model import Content
from nbsnap.packs import RAW, ZSTD
from nbsnap.store import Store


def test_what_is_put_comes_back(store: Store) -> None:
    """Content of every size and kind is read back equal, by the store that wrote it and by a new one."""
    state = mixed()
    head = save(store, state, "first")
    assert restore(store) == state
    again = Store.open(store.backend)
    assert restore(again, "first") == state
    assert again.load(head.id) == store.load(head.id)
    assert again.load(head.id).head == head
    assert_clean(again)


def test_heads_are_filled_in(store: Store) -> None:
    """`commit` fills in id, time, parent and new bytes."""
    first = save(store, {"x": noise(100)}, "a")
    sizes = [store.backend.size(name) for name in store.backend.list("packs") if name.endswith(".pack")]
    second = save(store, {"x": noise(200)})
    other = save(store, {"x": noise(200)}, notebook="other.ipynb")
    assert len(first.id) == 64
    assert (first.parent, second.parent, other.parent) == ("", first.id, "")
    assert first.time.endswith("Z")
    assert first.time < second.time
    assert [first.new_bytes] == sizes
    assert other.new_bytes == 0
    assert store.heads(NOTEBOOK) == [first, second]
    assert store.heads() == [first, second, other]


@pytest.mark.parametrize("kind", ["bytes", "bytearray", "memoryview", "array", "strided"])
def test_every_kind_of_buffer(store: Store, kind: str) -> None:
    """Bytes-like things of native numbers can be put; what is not contiguous is refused."""
    raw = noise(PIECE_SIZE + 8)
    data = {
        "bytes": raw,
        "bytearray": bytearray(raw),
        "memoryview": memoryview(raw),
        "array": memoryview(array.array("d", raw)),
        "strided": memoryview(raw)[::2],
    }[kind]
    with store.writer() as writer:
        if kind == "strided":
            with pytest.raises(ValueError, match="contiguous"):
                writer.put(data)
            return
        content = writer.put(data)
        assert content == Content(len(raw), (piece_id(raw[:PIECE_SIZE]), piece_id(raw[PIECE_SIZE:])))
        writer.commit(record({"x": content}))
    assert store.read(content) == raw


def test_the_caller_may_reuse_the_buffer(store: Store) -> None:
    """`put` has taken what it needs when it returns."""
    buffer = bytearray(noise(4 * PIECE_SIZE))
    with store.writer() as writer:
        first = writer.put(buffer)
        before = bytes(buffer)
        buffer[:] = noise(4 * PIECE_SIZE, 1)
        second = writer.put(buffer)
        writer.commit(record({"a": first, "b": second}))
    assert store.read(first) == before
    assert store.read(second) == buffer


def test_a_buffer_that_changes_meanwhile_gives_no_lie(store: Store) -> None:
    """Though another thread writes into the buffer while it is put, every piece is what its id says."""
    buffer = bytearray(16 * PIECE_SIZE)
    stop = threading.Event()

    def scribble() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            buffer[turn * 4099 % len(buffer)] = turn % 255

    thread = threading.Thread(target=scribble)
    thread.start()
    try:
        for _ in range(5):
            with store.writer(compression="off") as writer:
                writer.commit(record({"x": writer.put(buffer)}))
    finally:
        stop.set()
        thread.join()
    assert_clean(store)


# --- what is written ---------------------------------------------------------------------------------------------


def written(store: Store) -> tuple[int, int]:
    """The number of packs, and of pieces in them."""
    report = check(store)
    return report.packs, report.pieces


def test_equal_pieces_are_written_once(store: Store) -> None:
    """Pieces that the store has, or that came before in the same snapshot, are not written again."""
    big = noise(10 * PIECE_SIZE)
    save(store, {"x": big, "same": big, "head": big[: 3 * PIECE_SIZE]})
    assert written(store) == (1, 10)
    changed = bytearray(big)
    changed[5 * PIECE_SIZE : 6 * PIECE_SIZE] = noise(PIECE_SIZE, 1)
    head = save(store, {"x": bytes(changed)})
    assert written(store) == (2, 11)
    assert PIECE_SIZE < head.new_bytes < PIECE_SIZE + 1000
    save(store, {"x": bytes(changed) + b"more"})
    assert written(store) == (3, 12)
    assert_clean(store)


def test_nothing_new_writes_only_a_manifest(store: Store) -> None:
    """A snapshot of what the store has adds one file, also from a store object that was just opened."""
    save(store, mixed())
    before = set(store.backend.list(""))
    again = Store.open(store.backend)
    head = save(again, mixed())
    new = set(store.backend.list("")) - before
    assert len(new) == 1
    assert new.pop().endswith(".snap")
    assert head.new_bytes == 0
    assert restore(again) == mixed()


def test_compression_where_it_pays(store: Store) -> None:
    """Zeros and text are compressed, noise is kept raw, and `compression="off"` keeps everything raw."""
    size = 8 * PIECE_SIZE
    assert save(store, {"x": bytes(size)}).new_bytes < size / 1000
    assert save(store, {"x": text(size)}).new_bytes < size / 20
    assert size < save(store, {"x": noise(size)}).new_bytes < size + 5000
    half = noise(4 * PIECE_SIZE, 2) + text(4 * PIECE_SIZE, 2)
    assert size / 2 < save(store, {"x": half}).new_bytes < size * 0.55
    with store.writer(compression="off") as writer:
        snapshot = writer.commit(record({"x": writer.put(text(size, 5))}))
    assert snapshot.head.new_bytes > size
    assert restore(store) == {"x": text(size, 5)}
    with pytest.raises(ValueError, match="compression"):
        store.writer(compression="lzma")


def test_arrays_lie_in_one_run_on_page_edges(store: Store) -> None:
    """The raw pieces of one buffer lie one behind the other, from a page's edge on, whatever was put around it."""
    with store.writer() as writer:
        contents = []
        for seed, size in enumerate((PIECE_SIZE * 3 + 100, 300, 70_000, PIECE_SIZE * 2, 65_536, 1_500_000)):
            writer.put(text(5000, seed))
            contents.append(writer.put(noise(size, seed)))
            writer.put(text(3 * PIECE_SIZE, seed))
        writer.commit(record({f"v{n}": content for n, content in enumerate(contents)}))
    for content in contents:
        places = store.pieces.locate(content)
        if content.size >= 65536:
            assert places[0][1].offset % 4096 == 0
        assert {piece.codec for _, piece in places} == {RAW}
        end = places[0][1].offset
        for _, piece in places:
            assert piece.offset == end
            end += piece.stored
    assert {piece.codec for _, piece in store.pieces.locate(writer_content(store, text(5000, 0)))} == {ZSTD}


def writer_content(store: Store, data: bytes) -> Content:
    with store.writer() as writer:
        return writer.put(data)


def test_references_to_nothing_are_refused(store: Store) -> None:
    """A snapshot that names a piece which was never put is an error, and no manifest."""
    with store.writer() as writer, pytest.raises(StoreError, match="never put"):
        writer.commit(record({"x": Content(5, ("ab" * 32,))}))
    assert store.backend.list("snapshots") == []


def test_a_writer_is_for_one_snapshot(store: Store) -> None:
    """A writer refuses work before its block, and after its commit."""
    with pytest.raises(StoreError, match="not open"):
        store.writer().commit(record({}))
    with pytest.raises(StoreError, match="not open"):
        store.writer().put(noise(100_000))
    with store.writer() as writer:
        with pytest.raises(StoreError, match="entered once"):
            writer.__enter__()
        writer.commit(record({}))
        with pytest.raises(StoreError, match="not open"):
            writer.commit(record({}))
    with pytest.raises(StoreError, match="entered once"):
        writer.__enter__()


# --- finding -----------------------------------------------------------------------------------------------------


def test_resolve(store: Store) -> None:
    """`latest`, `latest~N`, names and id prefixes lead to the right snapshot."""
    a = save(store, {"x": b"1"}, "before train")
    b = save(store, {"x": b"2"}, "übung ✓")
    c = save(store, {"x": b"3"}, "before train")
    other = save(store, {"x": b"4"}, "elsewhere", notebook="other.ipynb")
    assert store.resolve(notebook=NOTEBOOK) == c
    assert store.resolve("latest", NOTEBOOK) == store.resolve("latest~0", NOTEBOOK) == c
    assert store.resolve("latest~2", NOTEBOOK) == a
    assert store.resolve("latest") == other
    assert store.resolve("before train", NOTEBOOK) == c  # the name has moved
    assert store.resolve("übung ✓", NOTEBOOK) == b
    for head in (a, b, c, other):
        assert store.resolve(head.id, NOTEBOOK) == head
        assert store.resolve(head.id[:10].upper(), NOTEBOOK) == head  # ids are found in all notebooks
    assert store.resolve("elsewhere") == other
    assert store.resolve("elsewhere", NOTEBOOK) == other  # a name that one other notebook has
    with pytest.raises(SnapshotNotFound):
        store.entry("elsewhere", NOTEBOOK)  # by which snapshots are removed
    save(store, {"x": b"5"}, "elsewhere", notebook="third.ipynb")
    with pytest.raises(SnapshotNotFound, match=r"'elsewhere' is the name of snapshots of other.ipynb and third.ipynb"):
        store.resolve("elsewhere", NOTEBOOK)
    with pytest.raises(SnapshotNotFound):
        store.resolve(a.id[:3], NOTEBOOK)


def test_resolve_tells_what_is_close(store: Store) -> None:
    """An unknown snapshot is an error of one line, with the closest names, the oldest one, or what to do."""
    with pytest.raises(SnapshotNotFound, match=rf"^no snapshot of {NOTEBOOK} in .* yet: %snapshot makes one$"):
        store.resolve("latest", NOTEBOOK)
    with pytest.raises(SnapshotNotFound, match=r"^no snapshot of .* yet"):
        store.resolve("name", NOTEBOOK)
    with pytest.raises(SnapshotNotFound, match=r"^no snapshot in .* yet"):
        store.resolve()
    head = save(store, {"x": b"1"}, "before-train")
    with pytest.raises(SnapshotNotFound, match=r"close: before-train$"):
        store.resolve("before-trian", NOTEBOOK)
    with pytest.raises(SnapshotNotFound, match=r"the oldest snapshot is latest~0$"):
        store.resolve("latest~1", NOTEBOOK)
    with pytest.raises(SnapshotNotFound, match=f"close: {head.id[:8]}"):
        store.resolve(head.id[:7] + ("0" if head.id[7] != "0" else "1"), NOTEBOOK)
    with pytest.raises(SnapshotNotFound, match="nbsnap list"):
        store.resolve("zzzzzz", NOTEBOOK)
    with pytest.raises(SnapshotNotFound, match="yet"):
        store.resolve("latest", "new.ipynb")
    with pytest.raises(SnapshotNotFound, match=r"no snapshot has the id"):
        store.load("0" * 64)


def test_a_name_wins_over_an_id(store: Store) -> None:
    """A snapshot named like the beginning of another's id is found by its name."""
    first = save(store, {"x": b"1"})
    second = save(store, {"x": b"2"}, first.id[:6])
    assert store.resolve(first.id[:6], NOTEBOOK) == second
    assert store.resolve(first.id[:7], NOTEBOOK) == first


def test_a_name_does_not_hide_an_id(store: Store) -> None:
    """As many digits as people are shown of an id mean no other that is called so; a whole id means itself."""
    first = save(store, {"x": b"1"})
    for length in (7, 12, 64):
        save(store, {"x": b"%d" % length}, first.id[:length])
    for length in (7, 12):
        with pytest.raises(SnapshotNotFound, match=f"name of .* beginning of the id {first.id}: give a whole id"):
            store.resolve(first.id[:length], NOTEBOOK)
    assert store.resolve(first.id, NOTEBOOK) == first
    assert store.resolve(first.id, "other.ipynb") == first


def test_an_ambiguous_prefix_is_an_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A beginning that two ids share is refused, with more digits of each."""
    save(store, {"x": b"1"})
    head = save(store, {"x": b"2"})
    entries = store.entries()
    twin = entries[0]._replace(id=head.id[:10] + "0" * 54)
    monkeypatch.setattr(store, "entries", lambda notebook=None: [twin, *entries])
    with pytest.raises(SnapshotNotFound, match=f"2 ids begin with {head.id[:6]}: .*{head.id[:10]}.*give more digits"):
        store.resolve(head.id[:6], NOTEBOOK)


def test_latest_opens_one_manifest(tmp_path: Path) -> None:
    """However long the history is, `latest`, an id and a name open one manifest, and a commit opens none."""

    class Counting(MemoryBackend):
        opened = 0

        def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
            self.opened += name.endswith(".snap")
            return super().read(name, offset, length)

    backend = Counting()
    store = Store.open(backend, create=True)
    for number in range(30):
        save(store, {"x": b"%d" % number}, f"name{number}")
    assert backend.opened == 0
    head = save(Store.open(backend), {"x": b"new"})
    for ref in ("latest", "latest~20", "name3", head.id[:12]):
        backend.opened = 0
        Store.open(backend).resolve(ref, NOTEBOOK)
        assert backend.opened == 1


def test_a_clock_that_goes_back_does_not_change_the_order(store: Store) -> None:
    """`latest` is the last one taken, also when the clock says otherwise or stands still."""
    times = ["2026-11-22T15:32:07.123456Z", "2024-01-01T00:00:00.000000Z", "2026-11-22T15:32:07.123456Z"]
    heads = [save(store, {"x": b"%d" % n}, time=time) for n, time in enumerate(times)]
    assert [head.time for head in heads] == times
    assert store.heads(NOTEBOOK) == heads
    assert store.resolve("latest", NOTEBOOK) == heads[2]
    assert [head.parent for head in heads] == ["", heads[0].id, heads[1].id]
    assert_clean(store)


@pytest.mark.parametrize(
    "notebook",
    ["", "a/b.ipynb", "a/b.ipynb ", "C:\\Users\\ä\\Untitled.ipynb", "../../x", "数据.ipynb", "\ud800", "x" * 5000],
)
def test_any_notebook_and_name(store: Store, notebook: str) -> None:
    """A notebook's or snapshot's name can be any text; it never becomes a path."""
    for name in ("a/b", "..", "né\n", notebook or "x"):
        head = save(store, {"x": b"1"}, name, notebook=notebook)
        assert head.notebook == notebook
        assert store.resolve(name, notebook).id == head.id
    assert len(store.heads(notebook)) == 4
    assert_clean(store)


def test_keys_tell_notebooks_apart() -> None:
    """Notebooks of one name in two folders have keys of their own, which can be read."""
    keys = {
        tree.notebook_key(name) for name in ("a/My Notebook.ipynb", "b/My Notebook.ipynb", "My-Notebook", "ipython")
    }
    assert len(keys) == 4
    assert all(key.startswith(("My-Notebook-", "ipython-")) for key in keys)


# --- opening -----------------------------------------------------------------------------------------------------


def test_opening_what_is_not_there(tmp_path: Path) -> None:
    """Without `create` nothing is made; with it the tree of format.md is."""
    with pytest.raises(StoreNotFound, match="there is no store at"):
        Store.open(tmp_path / "deep" / "store")
    assert not (tmp_path / "deep").exists()
    Store.open(tmp_path / "deep" / "store", create=True)
    assert (tmp_path / "deep" / "store" / "store.json").read_text() == '{"format":1}\n'
    assert (tmp_path / "deep" / "store" / ".gitignore").read_text() == "*\n"
    Store.open(tmp_path / "deep" / "store")
    Store.open(str(tmp_path / "deep" / "store"), create=True)


def test_reading_writes_nothing(tmp_path: Path) -> None:
    """Opening, listing, loading, reading and checking leave every file and folder as it was."""
    with Store.open(tmp_path / "store", create=True) as store:
        save(store, mixed(), "name")

    def states() -> list[tuple[str, int, int]]:
        return [(str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in sorted((tmp_path / "store").rglob("*"))]

    before = states()
    with Store.open(tmp_path / "store") as store:
        restore(store)
        store.resolve("name")
        assert_clean(store)
    assert states() == before


def test_a_folder_of_the_users_does_not_become_a_store(tmp_path: Path) -> None:
    """A folder that holds something else is refused, and left as it is."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / ".gitignore").write_text("*.pyc\n")
    with pytest.raises(StoreNotWritable, match="not empty and not a store"):
        Store.open(tmp_path / "mine", create=True)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == [".gitignore"]
    (tmp_path / "empty").mkdir()
    Store.open(tmp_path / "empty", create=True)


@pytest.mark.parametrize("version", ["2", "0", '"1"', "true", "null"])
def test_a_store_of_another_format_is_refused(backend: Backend, version: str) -> None:
    """A store that says another format is refused, in both ways of opening it."""
    write_whole(backend, "store.json", b'{"format":%s}' % version.encode())
    for create in (False, True):
        with pytest.raises(StoreVersionError, match=r"of format .*; this nbsnap knows 1"):
            Store.open(backend, create=create)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """A place below a file, or that is one, is StoreNotWritable with the path and the system's reason."""
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file" / "store", tmp_path / "file"):
        with pytest.raises(StoreNotWritable, match=r"file.* cannot be written: (Not a directory|File exists)"):
            Store.open(place, create=True)
        with pytest.raises(StoreNotFound):
            Store.open(place)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="modes do not bind root")
def test_a_store_that_may_not_be_written(tmp_path: Path) -> None:
    """A read-only store can be read; opening it to write, or a writer, is StoreNotWritable."""
    with Store.open(tmp_path / "store", create=True) as store:
        save(store, mixed())
    for folder in (tmp_path / "store", *(tmp_path / "store").rglob("*")):
        if folder.is_dir():
            folder.chmod(0o500)
    try:
        with pytest.raises(StoreNotWritable, match=r"Permission denied"):
            Store.open(tmp_path / "store", create=True)
        store = Store.open(tmp_path / "store")
        assert restore(store) == mixed()
        with pytest.raises(StoreNotWritable, match=r"Permission denied"):
            save(store, mixed())
    finally:
        for folder in (tmp_path / "store", *(tmp_path / "store").rglob("*")):
            if folder.is_dir():
                folder.chmod(0o700)


@pytest.mark.parametrize("code", ["EACCES", "EROFS", "EPERM"])
def test_a_refusal_of_the_system_is_told(folder_store: Store, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """When the system refuses to make a file, a writer is StoreNotWritable before anything is done."""
    import errno

    save(folder_store, {"x": b"1"})
    real = os.open

    def refuse(path: str, flags: int, mode: int = 0o777, **more: object) -> int:
        if flags & os.O_CREAT:
            number = getattr(errno, code)
            raise OSError(number, os.strerror(number), path)
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreNotWritable, match=rf"tmp.* cannot be written: {os.strerror(getattr(errno, code))}"):
        save(folder_store, {"x": b"2"})
    assert restore(folder_store) == {"x": b"1"}


def test_a_folder_that_was_removed_is_made_again(folder_store: Store) -> None:
    """A store object whose folder was removed writes everything anew, and refers to nothing that is gone."""
    import shutil

    save(folder_store, mixed())
    shutil.rmtree(folder_store.place)
    assert folder_store.heads() == []
    save(folder_store, mixed())
    assert restore(Store.open(folder_store.place)) == mixed()
    assert_clean(folder_store)


def test_a_store_can_be_moved_while_it_is_closed(folder_store: Store, tmp_path: Path) -> None:
    """Nothing in a store depends on where it is."""
    save(folder_store, mixed(), "name")
    folder_store.close()
    (tmp_path / "store").rename(tmp_path / "moved")
    with Store.open(tmp_path / "moved") as moved:
        assert restore(moved, "name") == mixed()
        assert_clean(moved)


def test_stores_see_each_others_snapshots(store: Store) -> None:
    """Two store objects over one place see what the other wrote, pieces and all."""
    other = Store.open(store.backend)
    state: State = {"x": noise(3 * PIECE_SIZE)}
    save(store, state)
    assert restore(other) == state
    assert save(other, state).new_bytes == 0
    assert len(store.heads(NOTEBOOK)) == 2


def test_sizes_cover_the_edges() -> None:
    """The sizes that the tests use are at the edges of what is small, aligned and cut."""
    assert {65535, 65536, PIECE_SIZE - 1, PIECE_SIZE, PIECE_SIZE + 1} <= set(SIZES)


def test_damage_error_is_a_store_error() -> None:
    """Callers can catch everything of a store at once."""
    assert issubclass(DamageError, StoreError)
