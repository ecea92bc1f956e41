"""Death at every step that writes: nothing older is harmed, and the next snapshot works."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

import pytest
from storage.conftest import KINDS
from storage.making import NOTEBOOK, Died, DyingBackend, assert_clean, make_backend, mixed, noise, restore, save

from nbsnap.digest import PIECE_SIZE
from nbsnap.errors import StoreError
from nbsnap.folder import FolderBackend
from nbsnap.store import Store


def small(seed: int) -> dict[str, bytes]:
    """A state that takes few steps to write."""
    return {"big": noise(2 * PIECE_SIZE + 5, 1), "other": noise(PIECE_SIZE, seed), "little": noise(500, seed)}


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", KINDS)
def test_death_at_every_step(kind: str, late: bool, tmp_path: Path) -> None:
    """Whatever step of making a store or a snapshot is the last, the earlier ones stay and the next one works."""
    steps, survived = 0, 0
    while True:
        folder = tmp_path / str(steps)
        folder.mkdir()
        backend = make_backend(kind, folder)
        if steps % 2:  # every other time there is an earlier snapshot
            save(Store.open(backend, create=True), small(0), "good")
        dying = DyingBackend(backend, steps // 2, late=late)
        died = False
        try:
            save(Store.open(dying, create=True), small(1))
        except Died:
            died = True
        dying.bury()
        backend.close()

        store = Store.open(backend, create=True)
        assert_clean(store)
        if steps % 2:
            assert restore(store, "good") == small(0)
        # the dying one counts wholly or not at all
        made = [head for head in store.heads(NOTEBOOK) if not head.name]
        if made:
            assert restore(store, made[0].id) == small(1)
        assert bool(made) or died
        save(store, small(2))
        assert restore(store) == small(2)
        assert_clean(store)
        if kind == "folder" and os.name == "posix":
            assert not list((folder / "store" / "tmp").iterdir())
        survived += died
        if not died and steps % 2:
            break
        steps += 1
    assert survived >= 24


def test_an_abandoned_writer_leaves_nothing(folder_store: Store) -> None:
    """Leaving the block without a commit, or by an exception, drops what was written."""
    save(folder_store, small(0))
    before = sorted(folder_store.backend.list(""))
    with folder_store.writer() as writer:
        writer.put(noise(3 * PIECE_SIZE, 7))
    with pytest.raises(RuntimeError, match="oops"), folder_store.writer() as writer:
        writer.put(noise(3 * PIECE_SIZE, 7))
        raise RuntimeError("oops")
    assert sorted(folder_store.backend.list("")) == before
    assert not list(Path(folder_store.place, "tmp").iterdir())


def test_disk_full(folder_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is one line that says so; earlier snapshots and the folder are as before, and later it works."""
    save(folder_store, small(0), "good")
    before = sorted(folder_store.backend.list(""))
    write, room = os.write, [3 * PIECE_SIZE]

    def full(fd: int, data: bytes) -> int:
        if room[0] < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room[0] -= len(data)
        return write(fd, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(StoreError, match=r"^disk full: .* needs [\d,]+ bytes or more; .*$") as caught:
            save(folder_store, {"x": noise(20 * PIECE_SIZE, 5)})
    assert "\n" not in str(caught.value)
    assert sorted(folder_store.backend.list("")) == before
    assert not list(Path(folder_store.place, "tmp").iterdir())
    assert restore(folder_store, "good") == small(0)
    save(folder_store, {"x": noise(20 * PIECE_SIZE, 5)})
    assert_clean(folder_store)


def interrupt_saving(number: int, frame: FrameType | None) -> None:
    """Do what Ctrl-C does, unless it comes too late: when `save` has returned already."""
    while frame is not None:
        if frame.f_code is save.__code__:
            raise KeyboardInterrupt
        frame = frame.f_back


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer signal")
@pytest.mark.filterwarnings("ignore:unclosed scandir:ResourceWarning")  # interrupted before the `with` had hold of it
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # interrupted inside a finalizer
def test_interrupts_at_any_moment(folder_store: Store) -> None:
    """Ctrl-C at any moment of a snapshot leaves the store sound, with that snapshot wholly there or not at all."""
    save(folder_store, small(0), "good")
    interrupted = 0
    for turn in range(150):
        state = {"a": noise(3 * PIECE_SIZE, turn), "b": mixed()["text5000"], "c": noise(300, turn)}
        old = signal.signal(signal.SIGALRM, interrupt_saving)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0002 * (turn + 1) % 0.02 + 0.0001)
            save(folder_store, state)
        except KeyboardInterrupt:
            interrupted += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
    assert interrupted > 20
    again = Store.open(folder_store.place)
    assert_clean(again)
    assert restore(again, "good") == small(0)
    save(again, small(1))
    assert restore(again) == small(1)
    if os.name == "posix":
        assert not list(Path(folder_store.place, "tmp").iterdir())


KILLED = """
import os, signal, sys
from storage.making import DyingBackend, save, mixed
from nbsnap.folder import FolderBackend
from nbsnap.store import Store
class Killed(DyingBackend):
    def step(self):
        last = super().step()
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return last
save(Store.open(Killed(FolderBackend(sys.argv[1]), int(sys.argv[2]))), mixed(1))
print("done")
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_killed_processes(tmp_path: Path) -> None:
    """A process that is killed at a step takes nothing with it, and what it left is cleaned up by the next snapshot."""
    place = tmp_path / "store"
    save(Store.open(place, create=True), mixed(0), "good")
    path = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parents[1])])
    for steps in range(0, 60, 3):
        run = subprocess.run(
            [sys.executable, "-c", KILLED, str(place), str(steps)],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode in (0, -signal.SIGKILL), run.stderr
        store = Store.open(FolderBackend(place))
        assert_clean(store)
        assert restore(store, "good") == mixed(0)
        if run.returncode == 0:
            break
    else:
        raise AssertionError("it was killed every time")
    assert steps > 3
    assert restore(store) == mixed(1)
    assert not list((place / "tmp").iterdir())
