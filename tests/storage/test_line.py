"""The line of threads that content goes along: nothing depends on timing, no more is copied or kept than must be."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from storage.making import assert_clean, make_backend, noise, record, restore, save, text, threads
from storage.test_crash import interrupt_saving

from nbsnap import line, seen
from nbsnap.backends import Backend, MemoryBackend, Sink
from nbsnap.deltas import BLOCK
from nbsnap.digest import PIECE_SIZE, Bytes, digest, quick
from nbsnap.errors import StoreError
from nbsnap.maintenance import check
from nbsnap.packs import Piece
from nbsnap.store import Store
from nbsnap.texts import is_fixed, utf8
from nbsnap.tree import parse_pack

WINDOW = line.WINDOW


class WrappingBackend:
    """A backend whose sinks do something before each write."""

    def __init__(self, inner: Backend, before: Callable[[Bytes], None]) -> None:
        self.inner, self.before = inner, before

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def create(self, name: str) -> Sink:
        sink = self.inner.create(name)
        write = sink.write

        def wrapped(data: Bytes) -> None:
            self.before(data)
            write(data)

        sink.write = wrapped  # type: ignore[method-assign]
        return sink


# --- what is written ---------------------------------------------------------------------------------------------


def layout(store: Store) -> tuple[list[Piece], bytes]:
    """The records of a store's only pack, and its bytes without the index."""
    (pack,) = [pack for name in store.backend.list("packs") if (pack := parse_pack(name))]
    index = store.pieces.index(pack)
    return index.pieces(), store.backend.read(f"packs/{pack}.pack", 0, index.end)


def test_the_pack_is_the_same_whatever_the_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many threads there are, and whoever is slow, the same content gives the same bytes in the same order."""
    state = {
        "text": text(9 * PIECE_SIZE + 77, 1),
        "small": noise(3000, 1),
        "noise": bytearray(noise(13 * PIECE_SIZE + 70_001, 2)),
        "zeros": bytearray(11 * PIECE_SIZE),
        "half": noise(5 * PIECE_SIZE, 3) + text(5 * PIECE_SIZE, 3) + noise(WINDOW, 3)[: PIECE_SIZE + 5],
        "small2": text(3000, 2),
        "again": noise(13 * PIECE_SIZE + 70_001, 2)[WINDOW:] + noise(6 * PIECE_SIZE, 4),
        "one": noise(PIECE_SIZE, 5),
    }
    rng = random.Random(7)
    found = set()
    interval = sys.getswitchinterval()
    for turn in range(12):
        monkeypatch.setattr(line, "_cores", lambda turn=turn: (1, 2, 4)[turn % 3])
        store = Store.open(
            WrappingBackend(MemoryBackend(), lambda data: time.sleep(rng.random() * 0.004)),  # type: ignore[arg-type]
            create=True,
        )
        sys.setswitchinterval(rng.choice([1e-6, 1e-4, 0.005]))
        try:
            save(store, state)  # type: ignore[arg-type]
        finally:
            sys.setswitchinterval(interval)
        pieces, data = layout(store)
        found.add((tuple(pieces), digest(data)))
        assert restore(store) == state
        assert_clean(store)
    assert len(found) == 1


def test_memory_that_changes_meanwhile(store: Store) -> None:
    """Whatever another thread writes into it, known pieces and compressed ones included, no piece belies its id."""
    buffer = bytearray(8 * WINDOW)
    stop = threading.Event()

    def scribble() -> None:
        rng = random.Random(1)
        while not stop.is_set():
            start = rng.randrange(len(buffer) - 300)
            buffer[start : start + 300] = bytes(300) if rng.random() < 0.5 else rng.randbytes(300)

    thread = threading.Thread(target=scribble)
    thread.start()
    try:
        for turn in range(6):
            with store.writer() as writer:
                content = writer.put(buffer)
                writer.commit(record({"x": content}))
            assert len(store.read(content)) == len(buffer)
            if turn == 3:
                buffer[: 4 * WINDOW] = noise(4 * WINDOW, turn)
    finally:
        stop.set()
        thread.join()
    assert_clean(store)


def test_only_what_cannot_change_is_taken_for_fixed() -> None:
    """Texts and `bytes` are written from where they are, and compressed like a stream; other memory is not."""
    words = noise(2 * PIECE_SIZE).translate(b"abcdefgh" * 32)  # three bits of eight: less than half, more than a tenth
    block = (ctypes.c_char * len(words)).from_buffer(bytearray(words))
    fixed = [words, utf8(words.decode("ascii")), utf8("ü" * 10)]
    assert [is_fixed(owner) for owner in fixed] == [True] * 3
    assert [is_fixed(owner) for owner in (block, bytearray(words), mmap.mmap(-1, 10))] == [False] * 3
    sizes = []
    for data in (block, fixed[1]):
        with Store.open(MemoryBackend(), create=True) as store, store.writer() as writer:
            content = writer.put(data)
            writer.commit(record({"a": content}))
        sizes.append(store.backend.usage())
    assert sizes[1] < len(words) // 2 < len(words) < sizes[0]


def test_the_callers_memory_is_let_go(store: Store) -> None:
    """When `put` has returned, nothing holds the buffer any more: it can be resized."""
    with store.writer() as writer:
        for size in (100, PIECE_SIZE, 5 * WINDOW + 3):
            buffer = bytearray(noise(size))
            content = writer.put(buffer)
            buffer.clear()
            view = memoryview(bytearray(noise(size)))
            assert writer.put(view) == content
            view.release()


# --- what is known -----------------------------------------------------------------------------------------------


class Counting:
    """Counts what is hashed, and where."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.named = self.copied = self.seen = 0
        self.memory: list[object] = []
        monkeypatch.setattr(line, "digest", self.digest)
        monkeypatch.setattr(line, "quick", self.quick)

    def digest(self, data: Bytes) -> bytes:
        self.named += len(data)
        return digest(data)

    def quick(self, data: memoryview) -> bytes:
        if any(data.obj is memory for memory in self.memory):
            self.seen += len(data)
        else:
            self.copied += len(data)
        return quick(data)


def test_nothing_changed_copies_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second snapshot of the same memory looks at each byte once, in place, and writes a manifest only.

    Where the kernel knows that nothing was written, it does not even do that: see `test_pages`.
    """
    monkeypatch.setenv("NBSNAP_PAGES", "0")
    buffers = [bytearray(noise(5 * WINDOW + 300_000, 1)), bytearray(noise(PIECE_SIZE, 2)), bytearray(noise(200_000, 3))]
    state = {str(number): buffer for number, buffer in enumerate(buffers)}
    size = sum(map(len, buffers))
    save(store, state)  # type: ignore[arg-type]
    before = set(store.backend.list(""))
    counting = Counting(monkeypatch)
    counting.memory = list(buffers)
    head = save(store, state)  # type: ignore[arg-type]
    assert (counting.seen, counting.copied, counting.named) == (size, 0, 0)
    assert head.new_bytes == 0
    assert len(set(store.backend.list("")) - before) == 1

    buffers[0][2 * WINDOW + 5] ^= 1  # one element changed: one piece is copied and named, and one block written
    head = save(store, state)  # type: ignore[arg-type]
    assert counting.named == PIECE_SIZE
    assert counting.copied <= 2 * WINDOW
    assert BLOCK < head.new_bytes < BLOCK + 1000
    assert restore(store) == state
    assert_clean(store)


def test_what_the_store_lost_is_stored_again(folder_store: Store) -> None:
    """Though this process has seen a piece before, it is written again where the store does not hold it any more."""
    state = {"x": noise(3 * WINDOW, 1), "y": bytearray(noise(WINDOW + 5, 2))}
    size = sum(map(len, state.values()))
    place = Path(folder_store.place)
    save(folder_store, state)  # type: ignore[arg-type]
    assert save(folder_store, state).new_bytes == 0  # type: ignore[arg-type]

    for pack in (place / "packs").iterdir():  # pruned
        pack.unlink()
    assert save(folder_store, state).new_bytes > size  # type: ignore[arg-type]
    assert restore(folder_store) == state

    shutil.rmtree(place)  # deleted
    assert save(folder_store, state).new_bytes > size  # type: ignore[arg-type]
    assert restore(Store.open(place)) == state
    assert_clean(folder_store)

    (pack,) = (place / "packs").glob("*.pack")  # damaged, and found out
    with pack.open("r+b") as file:
        file.seek(WINDOW + 77)
        file.write(b"damage")
    assert not check(folder_store).ok
    assert PIECE_SIZE <= save(folder_store, state).new_bytes < 2 * PIECE_SIZE  # type: ignore[arg-type]
    assert restore(Store.open(place)) == state


def test_each_store_gets_its_own(tmp_path: Path) -> None:
    """What was seen on the way to one store is not taken for granted in another."""
    state = {"x": noise(2 * WINDOW, 1), "y": noise(70_000, 2)}
    for number in range(3):
        backend = make_backend("folder" if number else "memory", tmp_path / str(number))
        store = Store.open(backend, create=True)
        assert save(store, state).new_bytes > 2 * WINDOW
        assert restore(Store.open(backend)) == state
        assert_clean(store)


def test_the_table_of_what_was_seen_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps what was of use of late, and never more than two generations."""
    monkeypatch.setattr(seen, "_young", {})
    monkeypatch.setattr(seen, "_old", {})
    monkeypatch.setattr(seen, "LIMIT", 10)
    assert not seen.anything()
    seen.keep(b"often", b"used")
    for number in range(200):
        seen.keep(b"%d" % number, b"id%d" % number)
        assert seen.find(b"often") == b"used"
        assert len(seen._young) + len(seen._old) <= 20
    assert seen.find(b"199") == b"id199"
    assert seen.find(b"0") is None
    assert seen.anything()


def test_quick_hashes_mean_nothing_elsewhere() -> None:
    """Another process hashes with another seed."""
    program = "from nbsnap.digest import quick; print(quick(b'x').hex())"
    path = str(Path(__file__).parents[2])
    runs = [
        subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path}, capture_output=True)
        for _ in range(2)
    ]
    assert len({run.stdout for run in runs}) == 2


# --- memory, errors, Ctrl-C --------------------------------------------------------------------------------------

SAVING = """
import os, resource, sys
from nbsnap.digest import PIECE_SIZE
from nbsnap.store import Store
from storage.making import record
kind, place = sys.argv[1:]
page = (lambda: os.urandom(4096)) if kind == "noise" else (lambda: os.urandom(64) + bytes(4032))
block = b"".join(page() for _ in range(PIECE_SIZE // 4096))[8:]
data = bytearray(256 * PIECE_SIZE)
for number in range(256):
    data[number * PIECE_SIZE : (number + 1) * PIECE_SIZE] = number.to_bytes(8, "little") + block
store = Store.open(place, create=True)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for turn in range(2):
    with store.writer() as writer:
        new = writer.commit(record({"x": writer.put(data)})).head.new_bytes
    print(new, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB there")
@pytest.mark.parametrize("kind", ["noise", "sparse"])
def test_memory_is_bounded(tmp_path: Path, kind: str) -> None:
    """Saving 256 MiB, compressed or not, takes less than 64 MB of memory besides."""
    path = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parents[1])])
    run = subprocess.run(
        [sys.executable, "-c", SAVING, kind, str(tmp_path / "store")],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    (first, more), (second, _) = (map(int, row.split()) for row in run.stdout.splitlines())
    assert (first > 256 * PIECE_SIZE) == (kind == "noise")
    assert second == 0
    assert more < 64_000


class Broken(BaseException):
    """What no stage expects."""


@pytest.mark.parametrize("error", [OSError(errno.EIO, os.strerror(errno.EIO)), MemoryError(), Broken()], ids=repr)
@pytest.mark.parametrize("stage", ["quick", "digest", "compress", "write"])
@pytest.mark.parametrize("cores", [1, 3])
def test_an_error_of_any_stage_is_raised_by_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, error: BaseException, cores: int
) -> None:
    """It ends the writer and its threads, leaves nothing behind, and the next snapshot works."""
    counts = {"calls": 0}

    def breaking(work: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*args: object) -> object:
            counts["calls"] += 1
            if counts["calls"] == 3:
                raise error
            return work(*args)

        return wrapped

    inner = make_backend("folder", tmp_path)
    good = {"x": noise(WINDOW, 1)}
    save(Store.open(inner, create=True), good, "good")
    state = {"a": text(6 * WINDOW + 5, 1), "b": bytearray(noise(9 * WINDOW, 8)), "c": noise(3000, 2)}
    monkeypatch.setattr(line, "_cores", lambda: cores)
    with monkeypatch.context() as patch:
        if stage == "write":
            before = breaking(lambda data: None)
            store = Store.open(WrappingBackend(inner, before), create=True)  # type: ignore[arg-type]
        else:
            store = Store.open(inner)
            patch.setattr(line, stage, breaking(getattr(line, stage)))
        expected = StoreError if isinstance(error, OSError) else type(error)
        with pytest.raises(expected, match="Input/output" if isinstance(error, OSError) else None):
            save(store, state)  # type: ignore[arg-type]
    assert counts["calls"] >= 3
    assert threads() == []
    assert not list((tmp_path / "store" / "tmp").iterdir())
    assert restore(store, "good") == good
    save(Store.open(inner), state)  # type: ignore[arg-type]
    assert restore(store) == state
    assert_clean(store)


def test_after_an_error_a_writer_takes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who goes on after an error is told of it again, and cannot commit."""
    with store.writer() as writer:
        with monkeypatch.context() as patch:
            patch.setattr(line, "digest", lambda data: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                writer.put(noise(3 * WINDOW, 11))
        with pytest.raises(ZeroDivisionError):
            writer.put(noise(3 * WINDOW, 12))
        with pytest.raises(ZeroDivisionError):
            writer.commit(record({}))
    assert store.backend.list("snapshots") == []


def test_after_a_failed_write_of_small_content_nothing_counts(tmp_path: Path) -> None:
    """Small content that could not be written, without any thread, is not taken for written by who goes on."""
    inner = make_backend("folder", tmp_path)

    def full(data: Bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    Store.open(inner, create=True)
    store = Store.open(WrappingBackend(inner, full))  # type: ignore[arg-type]
    contents = {}
    with store.writer() as writer:
        with pytest.raises(StoreError, match="disk full"):
            for number in range(60):
                contents[str(number)] = writer.put(noise(60_000, number))
        with pytest.raises(StoreError, match="disk full"):
            writer.commit(record(contents))
    assert store.backend.list("") == [".gitignore", "store.json"]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer signal")
@pytest.mark.parametrize("size", [16 * WINDOW, PIECE_SIZE, 5 * WINDOW], ids=["one big", "by the piece", "at the end"])
def test_ctrl_c_does_not_wait_for_a_slow_disk(tmp_path: Path, size: int) -> None:
    """With a disk that would take seconds, Ctrl-C ends the snapshot at once, its threads after the write under way."""
    inner = make_backend("folder", tmp_path)
    writes = []

    def slow(data: Bytes) -> None:
        time.sleep(0.2)
        writes.append(len(data))

    store = Store.open(WrappingBackend(inner, slow), create=True)  # type: ignore[arg-type]
    data = memoryview(bytearray(noise(16 * WINDOW, 3)))[: max(size, 5 * WINDOW)]
    at = [0.0]

    def interrupt(number: int, frame: object) -> None:
        at[0] = time.monotonic()
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt), store.writer() as writer:
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            contents = {str(start): writer.put(data[start : start + size]) for start in range(0, len(data), size)}
            writer.commit(record(contents))
            pytest.fail("it was over already")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert time.monotonic() - at[0] < 1.5  # the goal is 0.2; a busy machine may add to it
    written = len(writes)
    assert threads() == []
    assert len(writes) <= written + 1
    assert not list((tmp_path / "store" / "tmp").iterdir())
    assert store.backend.list("snapshots") == []


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer signal")
@pytest.mark.filterwarnings("ignore:unclosed scandir:ResourceWarning")  # interrupted before the `with` had hold of it
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # interrupted inside a finalizer
def test_no_thread_outlives_an_interrupt(folder_store: Store) -> None:
    """Ctrl-C at any moment of a snapshot with all threads at work ends them, and what is there is sound."""
    rng = random.Random(3)
    buffer = bytearray(noise(5 * WINDOW, 1))
    old = signal.signal(signal.SIGALRM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, interrupt_saving)
    interrupted = 0
    try:
        for turn in range(80):
            for start in range(0, len(buffer), PIECE_SIZE):
                if rng.random() < 0.5:
                    buffer[start : start + 8] = turn.to_bytes(8, "little")
            state = {"a": buffer, "b": noise(300, turn), "c": bytes(buffer[: 2 * WINDOW + 5])}
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0005 + rng.random() * 0.06)
                save(folder_store, state)  # type: ignore[arg-type]
            except KeyboardInterrupt:
                interrupted += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            assert threads() == []
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGALRM, old)
    assert interrupted > 10
    assert not list(Path(folder_store.place, "tmp").iterdir())
    save(folder_store, state)  # type: ignore[arg-type]
    assert restore(Store.open(folder_store.place)) == state
    assert_clean(folder_store)


def test_without_any_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started, at the end of a process or for lack of memory, the caller's does it all."""

    def no(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    state = {"big": noise(20 * PIECE_SIZE + 77, 4), "text": text(6 * PIECE_SIZE, 1), "small": b"abc" * 100}
    store = Store.open(tmp_path / "store", create=True)
    monkeypatch.setattr(threading.Thread, "start", no)
    save(store, state)
    monkeypatch.undo()
    assert restore(Store.open(tmp_path / "store")) == state
    assert_clean(store)
