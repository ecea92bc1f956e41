"""What the kernel knows of memory is never more than what hashing would say."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import mmap
import os
import random
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from storage.making import assert_clean, noise, record, restore
from storage.offers import TRACKS, needs_maps, needs_tracks

from nbsnap import line, pagemap, pages
from nbsnap.digest import PIECE_SIZE, digest, quick
from nbsnap.store import Store

PAGE = mmap.PAGESIZE
SIZE = 12 * PIECE_SIZE


#: One machine in peace, and one Python, is enough: it is the kernel that is asked here.
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is known yet; memory is marked as soon as it was unchanged once, and believed at once."""
    monkeypatch.setattr(pages, "_state", (0, None))
    monkeypatch.setattr(pages, "_HOME", os.getpid())
    monkeypatch.setattr(pages, "_parts", {})
    monkeypatch.setattr(pages, "PATIENCE", 1)
    monkeypatch.setattr(pages, "CREDIT", 0)
    monkeypatch.setattr(pages, "LOT", 0)
    monkeypatch.setattr(pages, "SETTLED", 0.0)
    yield
    if pages._state[1] is not None:
        pages._state[1].close()


def plain(size: int = SIZE, *, huge: bool = False) -> mmap.mmap:
    """Memory as an allocator gets it."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE if huge else mmap.MADV_NOHUGEPAGE)
    memory.write(noise(size, size))
    return memory


def address_of(memory: mmap.mmap | bytearray | memoryview) -> int:
    """Where writable memory begins."""
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def look_at(memory: object) -> list[bool]:
    """Look as a snapshot does; what is known must be true. Return of which pieces the ids were known."""
    with memoryview(memory).cast("B") as view:  # type: ignore[arg-type]
        look = pages.Look()
        told = look.known(view)
        ids = [digest(view[start : start + PIECE_SIZE]) for start in range(0, len(view), PIECE_SIZE)]
        assert len(told) in (0, len(ids))
        for id, real in zip(told, ids, strict=False):
            assert id in (b"", real), "a page that was written is not known to be"
        look.learn(view, ids)
    return [bool(id) for id in told] or [False] * len(ids)


def calm(memory: object) -> None:
    """Look until all is known, as if nothing had been rewritten before."""
    if pages._state[1]:
        pages._state[1].quiet.clear()
    for _ in range(4):
        found = look_at(memory)
    assert all(found)


# --- quiet memory ------------------------------------------------------------------------------------------------


@needs_tracks
def test_quiet_memory_is_known_at_the_fourth_look() -> None:
    """Hashed; unchanged, so marked; hashed under the mark; known. A write makes one piece unknown for as long."""
    with plain() as memory:
        assert [sum(look_at(memory)) for _ in range(5)] == [0, 0, 0, 12, 12]
        memory[5 * PIECE_SIZE + 77] ^= 1
        rest = [number != 5 for number in range(12)]
        assert [look_at(memory) for _ in range(3)] == [rest] * 3
        assert all(look_at(memory))


@needs_tracks
def test_quiet_memory_that_begins_within_a_page() -> None:
    """Pieces that share a page do not take each other's marks away."""
    with plain() as memory, memoryview(memory) as whole, whole[100 : 9 * PIECE_SIZE + 4 * PAGE] as view:
        assert [sum(look_at(view)) for _ in range(5)] == [0, 0, 0, 10, 10]
        for at, touched in ((5 * PIECE_SIZE + PAGE, 5), (0, 0), (len(view) - 1, 9)):
            view[at] ^= 1
            rest = [each != touched for each in range(10)]
            assert [look_at(view) for _ in range(3)] == [rest] * 3
            assert all(look_at(view))
        view[5 * PIECE_SIZE] ^= 1  # on a page of two pieces
        assert look_at(view) == [each not in (4, 5) for each in range(10)]
        assert 10 in [sum(look_at(view)) for _ in range(9)]


@needs_tracks
def test_a_write_between_hashing_and_marking() -> None:
    """What is written after a piece was hashed, and before it is marked, is not missed."""
    rng = random.Random(2)
    known = 0
    with plain() as memory, memoryview(memory) as view:
        for _ in range(200):
            at = rng.randrange(len(view))
            if rng.random() < 0.4:
                view[at] = view[at]
            look = pages.Look()
            told = look.known(view)
            ids = [digest(view[start : start + PIECE_SIZE]) for start in range(0, len(view), PIECE_SIZE)]
            assert all(id in (b"", real) for id, real in zip(told, ids, strict=True))
            known += sum(map(bool, told))
            if rng.random() < 0.3:
                view[at] ^= 1
            look.learn(view, ids)
    assert known > 200


@needs_tracks
def test_a_new_buffer_is_marked_at_once_and_later_ones_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is hashed for the first time; what was written, only when it was unchanged three times."""
    monkeypatch.setattr(pages, "PATIENCE", 3)
    monkeypatch.setattr(pages, "CREDIT", 3)
    monkeypatch.setattr(pages, "SETTLED", 9.0)
    with plain() as memory:
        assert [sum(look_at(memory)) for _ in range(3)] == [0, 12, 12]
        memory[5 * PIECE_SIZE] ^= 1
        assert [sum(look_at(memory)) for _ in range(7)] == [11, 11, 11, 11, 11, 12, 12]


@needs_tracks
def test_other_memory_at_the_same_place_is_not_rewritten_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """An array that is freed, and another one in its place: that one is marked at once, however often it goes so."""
    monkeypatch.setattr(pages, "CREDIT", 3)
    monkeypatch.setattr(pages, "PATIENCE", 3)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    address = libc.mmap(None, SIZE, 3, 0x22, -1, 0)
    for turn in range(6):
        memory = (ctypes.c_char * SIZE).from_address(address)
        memory[:] = noise(SIZE, turn)
        assert [sum(look_at(memory)) for _ in range(2)] == [0, 12]
        assert libc.mmap(address, SIZE, 3, 0x32, -1, 0) == address


@needs_tracks
def test_little_is_not_worth_being_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is hashed in the time that it takes to find out whether it may be marked is hashed."""
    monkeypatch.setattr(pages, "LOT", SIZE + 1)
    with plain() as memory:
        assert not any(any(look_at(memory)) for _ in range(5))
    monkeypatch.setattr(pages, "LOT", SIZE)
    with plain() as memory:
        calm(memory)


@needs_tracks
@pytest.mark.parametrize("way", ["read", "readv", "running", "elsewhere", "asleep"])
def test_while_another_thread_may_be_reading_into_it_nothing_new_is_believed(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A direct read that was under way when memory was marked writes past the mark: only a second later is it over."""
    monkeypatch.setattr(pages, "CREDIT", 1)
    monkeypatch.setattr(pages, "SETTLED", 0.5)
    fro, to = os.pipe()
    over = threading.Event()
    with plain() as memory, memoryview(memory) as view:
        other = bytearray(10)

        def work() -> None:
            if way == "read":
                with open(fro, "rb", buffering=0, closefd=False) as file:
                    file.readinto(view[3 * PIECE_SIZE : 4 * PIECE_SIZE])
            elif way == "readv":
                os.readv(fro, [view[:10]])
            elif way == "elsewhere":
                with open(fro, "rb", buffering=0, closefd=False) as file:
                    file.readinto(other)
            elif way == "running":
                while not over.is_set():
                    ctypes.CDLL(None).memcmp(view_address, view_address, ctypes.c_size_t(len(memory)))
            else:
                over.wait()

        view_address = ctypes.c_void_p(address_of(memory))
        thread = threading.Thread(target=work)
        thread.start()
        time.sleep(0.2)
        try:
            known = [sum(look_at(memory)) for _ in range(2)]
            believed = way in ("elsewhere", "asleep")
            assert known == [0, 12 if believed else 0]
            time.sleep(0.6)
            assert [sum(look_at(memory)) for _ in range(2)] == ([12, 12] if believed else [0, 12])
            over.set()
            os.write(to, b"0123456789")
            thread.join(10)
            assert sum(look_at(memory)) == {"read": 11, "readv": 11}.get(way, 12)
        finally:
            over.set()
            os.close(to)
            thread.join(10)
            os.close(fro)


@needs_tracks
def test_what_is_rewritten_again_and_again_is_left_alone() -> None:
    """Each time that most of a buffer was rewritten, it takes four times longer to be marked; in the end for ever."""
    with plain() as memory:
        looks = []
        for turn in range(5):
            looks.append(next((number for number in range(1, 120) if all(look_at(memory))), 120))
            memory[:] = noise(SIZE, turn)
        assert looks == [4, 7, 19, 67, 120]
        (quiet,) = pages._state[1].quiet.values()  # type: ignore[union-attr]
        assert not any(quiet.marked)


def write_slice(memory: mmap.mmap, at: int, rng: random.Random) -> None:
    data = rng.randbytes(rng.choice([1, 100, PAGE, 3 * PAGE]))[: len(memory) - at]
    memory[at : at + len(data)] = data


def write_same(memory: mmap.mmap, at: int, rng: random.Random) -> None:
    memory[at] = memory[at]


def by_numpy(memory: mmap.mmap, at: int, rng: random.Random) -> None:
    numpy = pytest.importorskip("numpy")
    numpy.frombuffer(memory, dtype="u1")[at :: PIECE_SIZE + PAGE] += 1


def by_threads(memory: mmap.mmap, at: int, rng: random.Random) -> None:
    places = [rng.randrange(len(memory)) for _ in range(4)]
    threads = [threading.Thread(target=write_slice, args=(memory, place, rng)) for place in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def by_read(memory: mmap.mmap, at: int, rng: random.Random) -> None:
    with open("/dev/urandom", "rb", buffering=0) as file, memoryview(memory) as view:
        count = min(2 * PAGE, len(memory) - at)
        assert file.readinto(view[at : at + count]) == count


def by_preadv(memory: mmap.mmap, at: int, rng: random.Random) -> None:
    with open(sys.executable, "rb") as file, memoryview(memory) as view:
        other = rng.randrange(len(memory) - 10)
        assert os.preadv(file.fileno(), [view[at : at + 10], view[other : other + 10]], 4096) > 0


def by_socket(memory: mmap.mmap, at: int, rng: random.Random) -> None:
    one, two = socket.socketpair()
    with one, two, memoryview(memory) as view:
        one.sendall(rng.randbytes(5000))
        assert two.recv_into(view[at : at + 5000]) > 0


def by_direct(memory: mmap.mmap, at: int, rng: random.Random) -> None:
    try:
        fd = os.open(__file__, os.O_RDONLY | os.O_DIRECT)
    except OSError:  # a file system that has none
        return by_read(memory, at, rng)
    try:
        with memoryview(memory) as view:
            assert os.preadv(fd, [view[at // PAGE * PAGE : at // PAGE * PAGE + PAGE]], 0) > 0
    except OSError:
        return by_read(memory, at, rng)
    finally:
        os.close(fd)


def by_process_vm(memory: mmap.mmap, at: int, rng: random.Random) -> None:
    fd = os.open("/proc/self/mem", os.O_RDWR)
    try:
        assert os.pwrite(fd, rng.randbytes(9)[: len(memory) - at], address_of(memory) + at) > 0
    finally:
        os.close(fd)


def discard(memory: mmap.mmap, at: int, rng: random.Random) -> None:
    start = at // PAGE * PAGE
    memory.madvise(mmap.MADV_DONTNEED, start, min(rng.choice([PAGE, 2 << 20]), len(memory) - start))
    if rng.random() < 0.5:  # whole huge pages too
        memory.madvise(mmap.MADV_DONTNEED)


def discard_lazily(memory: mmap.mmap, at: int, rng: random.Random) -> None:
    with contextlib.suppress(OSError):  # there are no such pages in a file
        memory.madvise(mmap.MADV_FREE, at // PAGE * PAGE, PAGE)


def collapse(memory: mmap.mmap, at: int, rng: random.Random) -> None:
    """Have the kernel make huge pages of small ones, where it likes to."""
    with contextlib.suppress(OSError):
        memory.madvise(25)  # MADV_COLLAPSE
    if rng.random() < 0.5:
        memory[at] ^= 1


def by_a_child(memory: mmap.mmap, at: int, rng: random.Random) -> None:
    child = os.fork()
    if child == 0:
        memory[at] ^= 1
        os._exit(0)
    if rng.random() < 0.5:
        write_slice(memory, at, rng)
    os.waitpid(child, 0)


def by_another_view(memory: mmap.mmap, at: int, rng: random.Random) -> None:
    """Other buffers over the same memory are watched, too."""
    start = rng.randrange(2 * PIECE_SIZE)
    with memoryview(memory) as view, view[start : len(memory) - rng.randrange(2 * PIECE_SIZE)] as part:
        write_slice(memory, at, rng)
        for _ in range(rng.randrange(4)):
            look_at(part)
        write_slice(memory, rng.randrange(len(memory)), rng)


def protected(memory: mmap.mmap, at: int, rng: random.Random) -> None:
    libc, start = ctypes.CDLL(None, use_errno=True), at // PAGE * PAGE
    where = ctypes.c_void_p(address_of(memory) + start)
    for access in (1, 3):  # PROT_READ, and back
        assert libc.mprotect(where, ctypes.c_size_t(PAGE), access) == 0
    if rng.random() < 0.5:
        memory[at] ^= 1


def locked(memory: mmap.mmap, at: int, rng: random.Random) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    where = ctypes.c_void_p(address_of(memory) + at // PAGE * PAGE)
    if libc.mlock(where, ctypes.c_size_t(PAGE)) == 0:
        memory[at] ^= 1
        libc.munlock(where, ctypes.c_size_t(PAGE))


def nothing(memory: mmap.mmap, at: int, rng: random.Random) -> None:
    assert memory[at] >= 0


WAYS: list[Callable[[mmap.mmap, int, random.Random], None]] = [
    write_slice,
    write_same,
    by_numpy,
    by_threads,
    by_read,
    by_preadv,
    by_socket,
    by_direct,
    by_process_vm,
    discard,
    discard_lazily,
    collapse,
    by_a_child,
    by_another_view,
    protected,
    locked,
]


@needs_tracks
@pytest.mark.parametrize("huge", [False, True], ids=["small pages", "huge pages"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_way_of_writing_is_noticed(way: Callable[..., None], huge: bool) -> None:
    """Once all of the memory is known, each way of writing to it is seen, and none of them fails."""
    rng = random.Random(1)
    with plain(SIZE + 5000, huge=huge) as memory:
        for turn in range(6):
            calm(memory)
            way(memory, (len(memory) - 10) // (turn + 1), rng)
            look_at(memory)
            gc.collect()


@needs_tracks
@pytest.mark.parametrize("seed", range(6))
def test_random_rounds_say_what_hashing_says(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In hundreds of rounds of quiet and of random writes, nothing is believed that hashing would not say."""
    monkeypatch.setattr(pages, "CREDIT", seed // 3)  # 1: what is new is marked at once
    rng = random.Random(seed)
    known = 0
    with plain(SIZE + rng.randrange(PIECE_SIZE), huge=bool(seed % 2)) as memory:
        for _ in range(150):
            for _ in range(rng.choice([0, 0, 0, 1, 1, 3])):
                rng.choice(WAYS)(memory, rng.randrange(len(memory) - 5000), rng)
            known += sum(look_at(memory))
            if rng.random() < 0.1:
                pages._state[1].quiet[next(reversed(pages._state[1].quiet))].patience = 1  # type: ignore[union-attr]
            gc.collect(0)
    assert known > 200


@needs_tracks
@pytest.mark.parametrize("credit", [0, 1])
def test_writes_at_any_time(credit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that writes all the time, while memory is marked and hashed too, is never missed."""
    monkeypatch.setattr(pages, "CREDIT", credit)
    with plain(10 * PIECE_SIZE) as memory:
        scribbler = Scribbler(memory, 3)
        try:
            with memoryview(memory) as view:
                for turn in range(150):
                    look = pages.Look()
                    look.known(view)
                    ids = [digest(view[start : start + PIECE_SIZE]) for start in range(0, len(view), PIECE_SIZE)]
                    look.learn(view, ids)
                    if turn % 3 == 0:
                        with scribbler.paused():
                            for _ in range(turn % 4 + 1):
                                look_at(memory)
        finally:
            scribbler.stop()


class Scribbler:
    """A thread that writes into the first pieces of some memory all the time, but while it is paused."""

    def __init__(self, memory: mmap.mmap, pieces: int) -> None:
        self.memory, self.pieces = memory, pieces
        self._stop, self._pause, self._resting = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        rng = random.Random(3)
        while not self._stop.is_set():
            if self._pause.is_set():
                self._resting.set()
                time.sleep(0.001)
                continue
            self.memory[rng.randrange(self.pieces * PIECE_SIZE)] ^= 1

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        self._resting.clear()
        self._pause.set()
        assert self._resting.wait(10)
        yield
        self._pause.clear()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def in_a_child(look: pages.Look, memory: mmap.mmap, exact: int) -> tuple[list[tuple[int, int, str]], int]:
    """Fork, and name all pieces there, as a snapshot in the background does; return that, and how many were known.

    From the piece `exact` on, nobody wrote between the look and the fork.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside other threads
        child = os.fork()
    if not child:
        try:
            with memoryview(memory) as view:
                real = [digest(view[start : start + PIECE_SIZE]) for start in range(0, len(view), PIECE_SIZE)]
                told = look.known(view) or [b""] * len(real)
                wrong = sum(id not in (b"", own) for id, own in zip(told[exact:], real[exact:], strict=True))
                look.learn(view, [id or own for id, own in zip(told, real, strict=True)])
                os.write(writing, json.dumps([wrong, sum(map(bool, told)), look.named]).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        wrong, known, named = json.load(file)
    os.waitpid(child, 0)
    assert wrong == 0, "the child believes of a piece what it was not at the fork"
    assert len(named) == 1
    return named, known


@needs_tracks
@pytest.mark.parametrize("huge", [False, True], ids=["small pages", "huge pages"])
def test_a_child_names_while_its_parent_writes(huge: bool) -> None:
    """Writes before the fork, between fork and marking, and after it are never missed, by the child or by the parent.

    The child takes over what its parent has looked at; the parent learns what the child has named, and marks then.
    """
    rng = random.Random(4)
    known = children = 0
    with plain(10 * PIECE_SIZE, huge=huge) as memory:
        scribbler = Scribbler(memory, 3)
        try:
            for turn in range(80):
                look = pages.Look()
                with memoryview(memory) as view:
                    if turn % 2:
                        look.ahead([view], forking=True)
                        named, some = in_a_child(look, memory, 3)
                    else:
                        with scribbler.paused():
                            look.ahead([view], forking=True)
                            named, some = in_a_child(look, memory, 0)
                    children += some
                    if rng.random() < 0.3:
                        write_slice(memory, rng.randrange(len(memory)), rng)
                look.afterwards(named)
                if rng.random() < 0.2:
                    write_slice(memory, rng.randrange(len(memory)), rng)
                if turn % 3 == 0:
                    with scribbler.paused():
                        for _ in range(rng.randrange(3)):
                            known += sum(look_at(memory))
        finally:
            scribbler.stop()
        known += sum(look_at(memory))
    assert known > 50
    assert children > 100


@needs_tracks
def test_what_a_child_named_is_known_without_naming_it_again() -> None:
    """Snapshots in the background alone: named, marked afterwards; named under the mark; then known to the child."""
    with plain() as memory:
        found = []
        for _ in range(5):
            look = pages.Look()
            with memoryview(memory) as view:
                look.ahead([view], forking=True)
                named, some = in_a_child(look, memory, 0)
            look.afterwards(named)
            found.append(some)
        assert found == [0, 0, 0, 12, 12]
        assert all(look_at(memory))


@needs_tracks
def test_what_is_there_instead_when_a_child_is_done() -> None:
    """The memory that a child was forked with may be gone, or another's: it is not taken for what it was."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    address = libc.mmap(None, SIZE, 3, 0x22, -1, 0)
    memory = (ctypes.c_char * SIZE).from_address(address)
    memory[:] = noise(SIZE, 1)
    ids = [digest(noise(SIZE, 1)[start : start + PIECE_SIZE]) for start in range(0, SIZE, PIECE_SIZE)]
    old = [(address, SIZE, b"".join(ids).hex())]
    for gone in (True, False):
        for _ in range(4):
            look = pages.Look()
            with memoryview(memory).cast("B") as view:
                look.ahead([view], forking=True)
            if gone:
                assert libc.munmap(address, SIZE) == 0
                look.afterwards(old)
            assert libc.mmap(address, SIZE, 3, 0x32, -1, 0) == address
            memory[:] = noise(SIZE, 2)
            if not gone:
                look.afterwards(old)
            assert not any(look_at(memory))
    libc.munmap(address, SIZE)


@needs_tracks
def test_arrays_that_come_and_go_at_the_same_place() -> None:
    """Freed and made anew, of other lengths, grown and cut by realloc: an array never gets the ids of another."""
    numpy = pytest.importorskip("numpy")
    rng = random.Random(5)
    arrays, places, known = [], set(), 0
    for turn in range(120):
        if len(arrays) < 3 or rng.random() < 0.2:
            arrays.append(numpy.full(rng.choice([9, 10, 20]) * PIECE_SIZE // 8 + rng.randrange(999), turn, dtype="i8"))
        elif rng.random() < 0.3:
            arrays.pop(rng.randrange(len(arrays)))
        array = arrays[-1]
        if rng.random() < 0.2:
            array.resize(rng.choice([9, 20, 21]) * PIECE_SIZE // 8 + turn, refcheck=False)
        if rng.random() < 0.2:
            array[rng.randrange(len(array))] += 1
        places.add(array.ctypes.data)
        for each in arrays:
            known += sum(look_at(each))
    assert known > 500
    assert len(places) < 110  # the same place, again and again


@needs_tracks
def test_another_mapping_at_the_same_address_is_unknown() -> None:
    """Known memory that is unmapped, replaced, or moved away and back is hashed again."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = libc.mremap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    address = libc.mmap(None, SIZE, 3, 0x22, -1, 0)
    other = libc.mmap(None, SIZE, 3, 0x22, -1, 0)
    memory = (ctypes.c_char * SIZE).from_address(address)
    memory[:] = noise(SIZE, 1)
    calm(memory)
    assert libc.mmap(address, SIZE, 3, 0x32, -1, 0) == address  # replaced at once
    assert not any(look_at(memory))
    memory[:] = noise(SIZE, 2)
    calm(memory)
    assert libc.munmap(address, SIZE) == 0
    assert libc.mmap(address, SIZE, 3, 0x32, -1, 0) == address
    assert not any(look_at(memory))
    calm(memory)
    assert libc.mremap(address, SIZE, SIZE, 3, other) == other  # moved, and something else comes back
    assert libc.mmap(address, SIZE, 3, 0x32, -1, 0) == address
    memory[:] = noise(SIZE, 3)
    assert not any(look_at(memory))
    moved = (ctypes.c_char * SIZE).from_address(other)
    assert not any(look_at(moved))
    calm(moved)
    assert libc.mremap(other, SIZE, SIZE, 3, address) == address
    assert not any(look_at(memory))
    calm(memory)
    libc.munmap(address, SIZE)


@needs_tracks
def test_marked_memory_can_be_resized() -> None:
    """A mapping of which a part was watched still grows and shrinks in one piece."""
    memory = plain(SIZE + 3 * PAGE)
    with memoryview(memory) as view, view[PAGE + 5 : PAGE + 5 + 10 * PIECE_SIZE] as part:
        calm(part)
    data = memory[:]
    gc.collect()
    memory.resize(2 * SIZE)
    assert memory[: len(data)] == data
    look_at(memory)
    memory.resize(SIZE)
    look_at(memory)
    memory.close()


@needs_tracks
def test_a_child_does_not_believe_its_parents_marks() -> None:
    """After a fork, the child knows nothing of plain memory, whatever it or its parent writes."""
    with plain() as memory:
        calm(memory)
        child = os.fork()
        if child == 0:
            good = False
            try:
                good = not any(any(look_at(memory)) for _ in range(5))
            finally:
                os._exit(0 if good else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert all(look_at(memory))


def ring() -> int:
    """An io_uring, by which memory can be registered for the kernel to write to; or any other device."""
    fd = ctypes.CDLL(None, use_errno=True).syscall(425, 8, ctypes.create_string_buffer(120))
    return fd if fd >= 0 else os.open("/dev/fuse", os.O_RDWR)


@needs_tracks
@pytest.mark.parametrize("credit", [0, 3])
def test_what_a_device_may_write_to_is_not_marked(credit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """While something is open that may pin memory, nothing new is believed; afterwards it is."""
    monkeypatch.setattr(pages, "CREDIT", credit)
    with plain() as memory:
        fd = ring()
        assert not any(any(look_at(memory)) for _ in range(5))
        os.close(fd)
        calm(memory)
        fd = ring()  # what was marked before is seen even if it is pinned now
        assert all(look_at(memory))
        memory[0] ^= 1
        for _ in range(5):
            assert look_at(memory) == [False] + [True] * 11
        os.close(fd)
        for _ in range(4):
            look_at(memory)
        assert all(look_at(memory))


def test_what_is_harmless_and_what_is_not() -> None:
    """Terminals and files of shared memory are open in every session; graphics cards, RDMA and io_uring may pin."""
    for name in ("/dev/null", "/dev/pts/3", "/dev/tty", "/dev/urandom", "/dev/shm/x y", "anon_inode:[eventpoll]"):
        assert pagemap._HARMLESS.fullmatch(name)
    for name in ("/dev/nvidia0", "/dev/nvidia-uvm", "/dev/kfd", "/dev/dri/renderD128", "/dev/infiniband/uverbs0",
                 "anon_inode:[io_uring]", "/dev/vfio/1", "/[aio]"):  # fmt: skip
        assert not pagemap._HARMLESS.fullmatch(name)


# --- restored memory ---------------------------------------------------------------------------------------------


@pytest.fixture
def restored(tmp_path: Path) -> Iterator[mmap.mmap]:
    """Memory that a restore mapped: a file, privately, told of."""
    data = noise(SIZE + 70_000, 9)
    (tmp_path / "pack").write_bytes(bytes(PAGE) + data)
    with (tmp_path / "pack").open("rb") as file:
        memory = mmap.mmap(file.fileno(), len(data), access=mmap.ACCESS_COPY, offset=PAGE)
    ids = [digest(data[start : start + PIECE_SIZE]) for start in range(0, len(data), PIECE_SIZE)]
    start = address_of(memory)
    pages.mapped([(start, len(data), ids)])
    yield memory
    pages.forget(start, len(data))
    gc.collect()
    memory.close()


@needs_maps
def test_restored_memory_is_known_until_it_is_written(restored: mmap.mmap) -> None:
    """Touched or not, what is still the file's is known at the first look; a written page makes one piece unknown."""
    assert all(look_at(restored))  # which touches all of it
    assert all(look_at(restored))
    restored[3 * PIECE_SIZE - 1] ^= 1
    restored[-1] ^= 1
    assert look_at(restored) == [number not in (2, 12) for number in range(13)]
    restored.madvise(mmap.MADV_DONTNEED, 2 * PIECE_SIZE, PIECE_SIZE)  # then it is the file's again
    assert look_at(restored) == [number != 12 for number in range(13)]


@needs_maps
def test_parts_of_restored_memory(restored: mmap.mmap) -> None:
    """A view that is cut as the memory was is known too, and any other is hashed."""
    with memoryview(restored) as view:
        assert all(look_at(view[PIECE_SIZE:]))
        assert look_at(view[PIECE_SIZE : 3 * PIECE_SIZE + 9]) == [True, True, False]
        assert not any(look_at(view[PAGE:]))
        assert not any(look_at(view[: PIECE_SIZE // 2]))


@needs_maps
def test_parts_that_were_told_one_by_one(restored: mmap.mmap) -> None:
    """What was mapped in parts, in any order, is known in one; what is forgotten of it takes all of it along."""
    (whole,) = pages._parts.values()
    pages.forget(whole.start, 1)
    cuts = [(0, 4), (4, 5), (7, 13)]  # pieces 5 and 6 are not told of
    parts = [
        (whole.start + first * PIECE_SIZE, min(last * PIECE_SIZE, len(restored)) - first * PIECE_SIZE,
         whole.ids[first:last])
        for first, last in reversed(cuts)
    ]  # fmt: skip
    pages.mapped(parts)
    assert sorted(len(part.ids) for part in pages._parts.values()) == [5, 6]
    assert look_at(restored) == [number not in (5, 6) for number in range(13)]
    pages.forget(whole.start + 4 * PIECE_SIZE, PIECE_SIZE)
    assert look_at(restored) == [number > 6 for number in range(13)]


@needs_maps
def test_restored_memory_in_random_rounds(restored: mmap.mmap) -> None:
    """Whatever is written, by whom and how, what is known of restored memory is what hashing says."""
    rng = random.Random(11)
    ways = [way for way in WAYS if way is not by_another_view]
    found = set()
    for _ in range(200):
        rng.choice(ways)(restored, rng.randrange(len(restored) - 5000), rng)
        found.add(sum(look_at(restored)))
        gc.collect(0)
        if rng.random() < 0.2:
            restored.madvise(mmap.MADV_DONTNEED)
    assert {0, 1, 2, 3} & found
    assert len(found) > 4


@needs_maps
def test_a_child_knows_restored_memory(restored: mmap.mmap) -> None:
    """A forked child looks by itself: it sees what it wrote, and what its parent wrote before."""
    look_at(restored)
    restored[0] ^= 1
    child = os.fork()
    if child == 0:
        good = False
        try:
            restored[5 * PIECE_SIZE] ^= 1
            good = look_at(restored) == [number not in (0, 5) for number in range(13)]
        finally:
            os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert look_at(restored) == [number != 0 for number in range(13)]


@needs_maps
def test_what_was_unmapped_is_forgotten(restored: mmap.mmap) -> None:
    """Nothing is known after `forget`; nor, without it, when something else is at that address."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    start = address_of(restored)
    assert libc.mmap(start + 4 * PIECE_SIZE, PIECE_SIZE, 3, 0x32, -1, 0) == start + 4 * PIECE_SIZE
    assert not any(look_at(restored))
    pages.forget(start, 1)
    assert pages._parts == {}


@needs_maps
def test_shared_mappings_are_not_taken(tmp_path: Path) -> None:
    """Memory that others can write to is nothing that can be known."""
    (tmp_path / "file").write_bytes(bytes(SIZE))
    with (tmp_path / "file").open("r+b") as file, mmap.mmap(file.fileno(), SIZE) as memory:
        pages.mapped([(address_of(memory), SIZE, [digest(bytes(PIECE_SIZE))] * 12)])
        gc.collect()
        assert pages._parts == {}
        assert not any(any(look_at(memory)) for _ in range(5))
        gc.collect()


# --- in a snapshot -----------------------------------------------------------------------------------------------


@needs_maps
def test_a_snapshot_of_restored_memory_hashes_nothing(
    folder_store: Store, restored: mmap.mmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the store has the pieces, not a byte is read; one written byte costs one piece; else all is hashed."""
    hashed = [0]

    def counting(data: memoryview) -> bytes:
        hashed[0] += len(data)
        return quick(data)

    def save() -> int:
        hashed[0] = 0
        with folder_store.writer() as writer:
            writer.commit(record({"x": writer.put(restored)}))
        return hashed[0]

    monkeypatch.setattr(line, "quick", counting)
    assert save() >= len(restored)
    assert save() == 0
    restored[7 * PIECE_SIZE + 5] ^= 1
    assert PIECE_SIZE <= save() <= 2 * PIECE_SIZE
    assert restore(folder_store) == {"x": restored[:]}
    assert_clean(folder_store)
    for pack in (Path(folder_store.place) / "packs").iterdir():
        pack.unlink()
    assert save() >= len(restored)
    assert restore(folder_store) == {"x": restored[:]}


@needs_tracks
def test_a_snapshot_of_quiet_memory_hashes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a few snapshots of memory that did not change, not a byte is read; what is written is saved."""
    hashed = [0]

    def counting(data: memoryview) -> bytes:
        hashed[0] += len(data)
        return quick(data)

    monkeypatch.setattr(line, "quick", counting)
    rng = random.Random(1)
    with plain(SIZE + 333) as memory:
        for turn in range(25):
            hashed[0] = 0
            with store.writer() as writer:
                writer.commit(record({"x": writer.put(memory)}))
            assert (hashed[0] == 0) == (turn % 5 > 2 or turn == 4), turn
            assert restore(store) == {"x": memory[:]}
            if turn % 5 == 4:
                write_slice(memory, rng.randrange(SIZE), rng)
    assert_clean(store)


# --- where it cannot be had --------------------------------------------------------------------------------------

FALLING_BACK = """
import ctypes, errno, mmap, os, struct, sys
kind = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)
if kind in ("no userfaultfd", "no ioctl"):
    number = {"no userfaultfd": {"x86_64": 323, "aarch64": 282}, "no ioctl": {"x86_64": 16, "aarch64": 29}}[kind]
    rules = [(0x20, 0, 0, 0), (0x15, 0, 1, number[os.uname().machine]), (0x06, 0, 0, 0x50000 | errno.EPERM),
             (0x06, 0, 0, 0x7FFF0000)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
    filter = struct.pack("HxxxxxxP", len(rules), ctypes.addressof(program))
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, ctypes.create_string_buffer(filter), 0, 0) == 0
from nbsnap import pages
from nbsnap.backends import MemoryBackend
from nbsnap.store import Store
from storage.making import record
pages.PATIENCE, pages.SETTLED, pages.LOT = 1, 0.0, 0
memory = mmap.mmap(-1, 16 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.write(os.urandom(16 << 20))
store = Store.open(MemoryBackend(), create=True)
if kind == "no files":
    import resource
    with store.writer() as writer:
        writer.commit(record({"x": writer.put(bytes(100_000))}))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
for turn in range(6):
    with store.writer() as writer:
        content = writer.put(memory)
        writer.commit(record({"x": content}))
    assert store.read(content) == memory[:]
look = pages.Look()
print(sum(map(bool, look.known(memoryview(memory)))))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp")
@pytest.mark.parametrize("kind", ["no userfaultfd", "no ioctl", "no files", "turned off", "as it is"])
def test_where_the_kernel_says_no_memory_is_hashed(kind: str) -> None:
    """Under a seccomp filter, without files to open, or if turned off, snapshots are as right, and nothing is said."""
    path = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parents[1])])
    off = {"NBSNAP_PAGES": "0"} if kind == "turned off" else {}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", FALLING_BACK, kind],
        env={**os.environ, "PYTHONPATH": path, **off},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert int(run.stdout) == (16 if kind == "as it is" and TRACKS else 0)
