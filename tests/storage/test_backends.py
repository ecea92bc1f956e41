"""The contract that every backend keeps, and what the folder adds: modes, links, temporary files."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nbsnap import folder
from nbsnap.backends import Backend, check_name, write_whole
from nbsnap.folder import FolderBackend

POSIX = pytest.mark.skipif(os.name != "posix", reason="modes and links of POSIX")


def test_published_bytes_are_read_back(backend: Backend) -> None:
    """What is published under a name is there, whole and in parts."""
    sink = backend.create("packs/a.pack")
    sink.write(b"hello, ")
    sink.write(memoryview(bytearray(b"world")))
    sink.publish()
    assert backend.read("packs/a.pack") == b"hello, world"
    assert backend.read("packs/a.pack", 7) == b"world"
    assert backend.read("packs/a.pack", 7, 3) == b"wor"
    assert backend.read("packs/a.pack", 7, 100) == b"world"
    assert backend.read("packs/a.pack", 100, 100) == b""
    assert backend.size("packs/a.pack") == 12


def test_read_into_fills_a_buffer_and_tells_how_far(backend: Backend) -> None:
    """`read_into` fills the buffer from the offset, and returns less where the bytes end."""
    write_whole(backend, "packs/a.pack", b"0123456789")
    buffer = bytearray(4)
    assert backend.read_into("packs/a.pack", 3, memoryview(buffer)) == 4
    assert buffer == b"3456"
    assert backend.read_into("packs/a.pack", 8, memoryview(buffer)) == 2
    assert buffer[:2] == b"89"
    assert backend.read_into("packs/a.pack", 10, memoryview(buffer)) == 0


def test_an_empty_file_is_a_file(backend: Backend) -> None:
    """Nothing can be published, too."""
    write_whole(backend, "packs/empty.pack", b"")
    assert backend.read("packs/empty.pack") == b""
    assert backend.size("packs/empty.pack") == 0
    assert backend.list("packs") == ["packs/empty.pack"]


def test_unpublished_bytes_are_invisible(backend: Backend) -> None:
    """Nobody sees what is written before it is published."""
    sink = backend.create("packs/a.pack")
    sink.write(b"hello")
    assert backend.list("") == []
    with pytest.raises(FileNotFoundError):
        backend.read("packs/a.pack")
    sink.publish()
    assert backend.list("") == ["packs/a.pack"]


def test_abandoned_bytes_are_gone(backend: Backend) -> None:
    """Abandoning leaves nothing, and may be done twice."""
    sink = backend.create("packs/a.pack")
    sink.write(b"hello")
    sink.abandon()
    sink.abandon()
    assert backend.list("") == []
    assert backend.sweep() == 0


def test_listing_goes_down_and_is_sorted(backend: Backend) -> None:
    """`list` returns names at any depth below a folder, sorted, and only those."""
    names = ["packs/b.pack", "packs/a.index", "snapshots/k/2.snap", "snapshots/j/1.snap", "store.json"]
    for name in names:
        write_whole(backend, name, b"x")
    assert backend.list("") == sorted(names)
    assert backend.list("snapshots") == ["snapshots/j/1.snap", "snapshots/k/2.snap"]
    assert backend.list("snapshots/k") == ["snapshots/k/2.snap"]
    assert backend.list("nothing") == []


def test_missing_names(backend: Backend) -> None:
    """A missing name is FileNotFoundError for readers, and nothing for `delete`."""
    for read in (backend.read, backend.size, lambda name: backend.read_into(name, 0, memoryview(bytearray(1)))):
        with pytest.raises(FileNotFoundError):
            read("packs/none.pack")
    backend.delete("packs/none.pack")
    write_whole(backend, "packs/a.pack", b"x")
    backend.delete("packs/a.pack")
    backend.delete("packs/a.pack")
    assert backend.list("") == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a/./b",
        ".",
        "..",
        "a//b",
        "a/b/c/d",
        "a\\b",
        "a/",
        "ä",
        "a\0",
        "c:x",
        "a\n",
    ],
)
def test_names_cannot_lead_out(backend: Backend, name: str) -> None:
    """Names that could mean something outside the store, or something else elsewhere, are refused by every verb."""
    with pytest.raises(ValueError, match="not a name"):
        check_name(name)
    for verb in (backend.read, backend.create, backend.delete, backend.size):
        with pytest.raises(ValueError, match="not a name"):
            verb(name)


def test_many_threads_read_and_write(backend: Backend) -> None:
    """Verbs can be called from several threads at once."""
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(30):
                name = f"packs/{number}-{turn}.pack"
                write_whole(backend, name, name.encode() * 1000)
                buffer = bytearray(len(name))
                assert backend.read_into(name, len(name) * 500, memoryview(buffer)) == len(name)
                assert buffer == name.encode()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(backend.list("packs")) == 120


# --- the folder --------------------------------------------------------------------------------------------------


@POSIX
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_modes_do_not_depend_on_the_umask(tmp_path: Path, umask: int) -> None:
    """Folders are 0700 and files 0600, whatever the umask."""
    old = os.umask(umask)
    try:
        backend = FolderBackend(tmp_path / "store")
        backend.prepare()
        write_whole(backend, "snapshots/key/a.snap", b"x")
        write_whole(backend, "store.json", b"x")
        sink = backend.create("packs/a.pack")
        modes = {str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
        modes = {name: mode for name, mode in modes.items() if name.startswith("store")}
        sink.abandon()
    finally:
        os.umask(old)
    assert {mode for name, mode in modes.items() if (tmp_path / name).is_dir()} == {0o700}
    assert {mode for name, mode in modes.items() if not (tmp_path / name).is_dir()} == {0o600}
    assert len(modes) == 7


@POSIX
def test_links_are_not_followed(tmp_path: Path) -> None:
    """A link where a file or folder of the store should be is an error, and is not listed."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.pack").write_bytes(b"x")
    backend = FolderBackend(tmp_path / "store")
    write_whole(backend, "packs/a.pack", b"x")
    (tmp_path / "store" / "packs" / "link.pack").symlink_to(secret)
    (tmp_path / "store" / "snapshots").symlink_to(tmp_path / "elsewhere")
    assert backend.list("") == ["packs/a.pack"]
    with pytest.raises(OSError, match="symbolic link"):
        backend.read("packs/link.pack")
    with pytest.raises(OSError, match="a link where a folder"):
        backend.read("snapshots/a.pack")
    with pytest.raises(OSError, match="a link where a folder"):
        write_whole(backend, "snapshots/b.snap", b"x")
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["a.pack"]


@POSIX
def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    """A named pipe in the store is refused, and does not hang the reader."""
    backend = FolderBackend(tmp_path / "store")
    write_whole(backend, "packs/a.pack", b"x")
    os.mkfifo(tmp_path / "store" / "packs" / "p.pack")
    with pytest.raises(OSError, match="not a regular file"):
        backend.read("packs/p.pack")
    assert backend.list("packs") == ["packs/a.pack"]


WRITER = """
import os, signal, sys
from nbsnap.folder import FolderBackend
sink = FolderBackend(sys.argv[1]).create("packs/a.pack")
sink.write(b"x" * 1000)
print("ready", flush=True)
sys.stdin.readline()
"""


def test_sweep_takes_the_dead_and_leaves_the_living(tmp_path: Path) -> None:
    """What a killed writer left is removed; what a living one is writing stays, and can be published."""
    backend = FolderBackend(tmp_path / "store")
    mine = backend.create("packs/mine.pack")
    mine.write(b"mine")
    other = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "store")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    assert other.stdin is not None
    with other, other.stdout, other.stdin:
        assert other.stdout.readline().strip() == b"ready"
        assert len(list((tmp_path / "store" / "tmp").iterdir())) == 2
        assert backend.sweep() == 0
        other.kill()
        other.wait()
        if os.name == "posix":
            assert backend.sweep() == 1
    mine.publish()
    assert backend.read("packs/mine.pack") == b"mine"


@POSIX
def test_a_sweep_that_is_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that a sweep has got hold of before its writer had is left to it; the writer makes another one."""
    lock, swept = folder.lock, []

    def late(fd: int) -> bool | None:
        (path,) = (tmp_path / "store" / "tmp").iterdir()
        if not swept:
            swept.append((path, os.open(path, os.O_RDONLY)))
            assert lock(swept[0][1]) is True
        return lock(fd)

    backend = FolderBackend(tmp_path / "store")
    backend.prepare()
    with monkeypatch.context() as patch:
        patch.setattr(folder, "lock", lambda fd: late(fd) if not swept else lock(fd))
        sink = backend.create("packs/a.pack")
    path, fd = swept[0]
    path.unlink()  # what the sweep does next
    os.close(fd)
    sink.write(b"whole")
    sink.publish()
    assert backend.read("packs/a.pack") == b"whole"


def test_sweep_takes_what_is_older_than_a_day(tmp_path: Path) -> None:
    """What was left on another machine is removed when it is a day old."""
    backend = FolderBackend(tmp_path / "store")
    backend.prepare()
    young, old = (tmp_path / "store" / "tmp" / f"elsewhere-{number}-abc" for number in (1, 2))
    young.write_bytes(b"x")
    old.write_bytes(b"x")
    os.utime(old, (time.time() - 90000,) * 2)
    assert backend.sweep() == 1
    assert young.exists()
    assert not old.exists()


def test_open_files_are_few_and_closed(tmp_path: Path) -> None:
    """Reading from many packs keeps a bounded number of files open, and `close` closes them."""
    backend = FolderBackend(tmp_path / "store")
    buffer = memoryview(bytearray(1))
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for number in range(60):
        write_whole(backend, f"packs/{number}.pack", b"x")
        backend.read_into(f"packs/{number}.pack", 0, buffer)
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before + 16
        backend.close()
        assert len(os.listdir("/proc/self/fd")) == before
    assert backend.read_into("packs/0.pack", 0, buffer) == 1


def test_a_platform_without_preadv_or_flock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system lacks positioned reads and locks, the plain way gives the same."""
    monkeypatch.delattr(os, "preadv", raising=False)
    monkeypatch.setattr("nbsnap.folder._fcntl", None)
    backend = FolderBackend(tmp_path / "store")
    write_whole(backend, "packs/a.pack", b"0123456789")
    buffer = bytearray(4)
    assert backend.read_into("packs/a.pack", 3, memoryview(buffer)) == 4
    assert buffer == b"3456"
    sink = backend.create("packs/b.pack")
    assert backend.sweep() == 0
    sink.publish()
