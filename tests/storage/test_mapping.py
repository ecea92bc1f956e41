"""Regions: memory that is a file until it is touched; and where files may be mapped."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from storage.making import noise

from nbsnap.mapping import LINUX, PAGE, Region, is_safe, lay, parts_left, region

LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="told by /proc")
MAPS = pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="regions are mapped on Linux and macOS")


def mappings_of(path: Path) -> int:
    """How many parts of a file this process has mapped."""
    return Path("/proc/self/maps").read_text(encoding="utf-8").count(str(path))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of ten pages."""
    path = tmp_path / "file"
    path.write_bytes(noise(10 * PAGE))
    return path


@MAPS
def test_a_region_is_memory() -> None:
    """A region is zeros that can be written, and may be of any size; a copy of it is plain memory."""
    made = region(3 * PAGE + 5)
    assert isinstance(made, Region)
    assert len(made) == 3 * PAGE + 5
    assert bytes(made) == bytes(3 * PAGE + 5)
    made[1:3] = b"ab"
    for other in (pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made)):
        assert type(other) is bytearray
        assert other == bytes(made)


@MAPS
@LINUX_ONLY
def test_a_part_of_a_file_is_laid_over_a_region_until_it_is_written(file: Path) -> None:
    """What is laid over shows the file; writing changes the region alone; it all goes when the region does."""
    made = region(6 * PAGE)
    fd = os.open(file, os.O_RDONLY)
    left = parts_left()
    assert lay(made, PAGE, fd, 4 * PAGE, 2 * PAGE)
    assert lay(made, 4 * PAGE, fd, 0, PAGE + 10)
    os.close(fd)
    data = noise(10 * PAGE)
    assert bytes(made) == bytes(PAGE) + data[4 * PAGE : 6 * PAGE] + bytes(PAGE) + data[: 2 * PAGE]
    assert (mappings_of(file), parts_left()) == (2, left - 2)
    made[PAGE] = made[PAGE] ^ 1
    assert file.read_bytes() == data
    file.unlink()
    assert bytes(made)[PAGE + 1 : 3 * PAGE] == data[4 * PAGE + 1 : 6 * PAGE]
    del made
    gc.collect()
    assert (mappings_of(file), parts_left()) == (0, left)


@MAPS
def test_what_does_not_fit_is_not_laid(file: Path) -> None:
    """Places that are not on a page's edge, or reach beyond the region, are refused; so is plain memory."""
    made = region(4 * PAGE)
    with file.open("rb") as opened:
        for at, offset, length in ((1, 0, PAGE), (0, 1, PAGE), (PAGE, 0, 4 * PAGE), (0, 0, 0), (5 * PAGE, 0, PAGE)):
            assert not lay(made, at, opened.fileno(), offset, length)
        assert not lay(bytearray(4 * PAGE), 0, opened.fileno(), 0, PAGE)
    assert bytes(made) == bytes(4 * PAGE)


@MAPS
@pytest.mark.skipif(not os.path.exists("/proc/version"), reason="needs a file that cannot be mapped")
def test_where_a_file_cannot_be_mapped_the_memory_stays(file: Path) -> None:
    """A file that the system refuses to map leaves the region as it was, other parts of the file included."""
    made = region(4 * PAGE)
    made[0:3] = b"abc"
    with open("/proc/version", "rb") as refused, file.open("rb") as opened:
        assert lay(made, PAGE, opened.fileno(), 0, PAGE)
        assert not lay(made, 0, refused.fileno(), 0, PAGE)
        assert not lay(made, 2 * PAGE, refused.fileno(), 0, PAGE)
        assert not lay(made, 2 * PAGE, -1, 0, PAGE)
    assert bytes(made)[PAGE : 2 * PAGE] == noise(10 * PAGE)[:PAGE]
    made[2 * PAGE :] = bytes(range(256)) * (2 * PAGE // 256)
    assert made[3 * PAGE + 7] == 7


@LINUX_ONLY
def test_known_local_file_systems_are_safe(file: Path) -> None:
    """What `stat -f` says about a file system decides; /proc, pipes and closed files are not safe."""
    kind = subprocess.run(["stat", "-f", "-c", "%t", file], capture_output=True, text=True, check=True).stdout
    with file.open("rb") as opened:
        assert is_safe(opened.fileno()) == (int(kind, 16) in LINUX)
    if os.path.isdir("/dev/shm"):
        fd = os.open("/dev/shm", os.O_RDONLY)
        assert is_safe(fd)
        os.close(fd)
    with open("/proc/version", "rb") as other:
        assert not is_safe(other.fileno())
    ends = os.pipe()
    assert not is_safe(ends[0])
    for end in ends:
        os.close(end)
    assert not is_safe(ends[0])
