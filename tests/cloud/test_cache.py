"""What is kept of a bucket on this machine: it saves requests, is bounded, and is never believed or missed."""

from __future__ import annotations

import os
import random
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cloud.clouds import Proxy
from storage.making import assert_clean

import nbsnap
from nbsnap import cache, pieces
from nbsnap.maintenance import check
from nbsnap.store import Store

NAMES: dict[str, Any] = {f"small{number}": list(range(number)) for number in range(40)} | {
    "big": bytearray(random.Random(1).randbytes(18 << 20))
}


@pytest.fixture
def folder(proxy: Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache, in a folder of its own."""
    monkeypatch.setenv("NBSNAP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NBSNAP_CACHE_SIZE", "1 GB")
    return tmp_path / "cache"


def save(url: str, names: dict[str, Any]) -> None:
    nbsnap.snapshot(names, store=url, notebook="n", beside=())


def back(url: str, **more: Any) -> dict[str, Any]:
    pieces._READ.clear()  # as in a new process
    names: dict[str, Any] = {}
    report = nbsnap.restore("latest", names, store=url, notebook="n", **more)
    assert report.ok, report.failed
    return names


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in files(folder))


def test_the_second_restore_is_local(proxy: Proxy, s3: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is there is asked for; and one variable comes out of what was fetched for all of them."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("NBSNAP_CACHE_SIZE", "0")
        save(s3, NAMES)
    assert back(s3) == NAMES
    proxy.reset()
    assert back(s3) == NAMES
    assert back(s3, only=["small7"]) == {"small7": NAMES["small7"]}
    assert dict(proxy.counts) == {"GET": 2, "LIST": 2, "HEAD": 2}


def test_a_restore_after_the_snapshot_is_local(proxy: Proxy, s3: str, folder: Path) -> None:
    """What this machine has put need not be fetched by the next kernel."""
    save(s3, NAMES)
    proxy.reset()
    assert back(s3) == NAMES
    assert dict(proxy.counts) == {"GET": 1, "LIST": 1, "HEAD": 1}


@pytest.mark.skipif(os.name != "posix", reason="modes")
def test_it_is_for_its_owner_alone(s3: str, folder: Path) -> None:
    """Folders 0700, files 0600, and nothing half written is left."""
    save(s3, NAMES)
    back(s3)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
        assert not path.name.startswith(".")


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "harm", ["altered", *(pytest.param(each, marks=SLOW) for each in ("cut", "gone", "exchanged"))]
)
def test_what_is_damaged_is_fetched_again(proxy: Proxy, s3: str, folder: Path, harm: str) -> None:
    """A restore takes nothing from the cache on trust, and says nothing of it: the bucket has it."""
    save(s3, NAMES)
    kept = sorted(files(folder))
    for number, path in enumerate(kept):
        data = path.read_bytes()
        if harm == "cut":
            path.write_bytes(data[: len(data) // 2])
        elif harm == "altered":
            path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        elif harm == "gone":
            path.unlink()
        else:
            path.write_bytes(kept[number - 1].read_bytes())
    assert back(s3) == NAMES
    assert back(s3) == NAMES


def test_check_looks_into_the_bucket(proxy: Proxy, s3: str, folder: Path) -> None:
    """Damage in the bucket is found, whatever is kept here."""
    save(s3, NAMES)
    with Store.open(s3) as store:
        assert_clean(store)
        (pack,) = [name for name in store.backend.list("packs") if name.endswith(".pack")]
        data = bytearray(store.backend.read(pack))
        data[10_000_000] ^= 1
        store.backend.put(pack, data)  # type: ignore[attr-defined]
    assert not check(Store.open(s3)).ok


def test_it_stays_within_its_limit(s3: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was used last stays; over all places together."""
    monkeypatch.setenv("NBSNAP_CACHE_SIZE", "24 MB")
    for number in range(6):
        save(f"{s3}/{number % 2}", {"x": random.Random(number).randbytes(5 << 20)})
        assert size(folder) < 32_000_000
    assert size(folder) > 10_000_000
    assert back(f"{s3}/1")["x"] == random.Random(5).randbytes(5 << 20)


@pytest.mark.parametrize("setting", ["0", "folder"])
def test_without_it(s3: str, folder: Path, tmp_path: Path, setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turned off, or where nothing can be written, all works the same."""
    if setting == "0":
        monkeypatch.setenv("NBSNAP_CACHE_SIZE", "0")
    else:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("NBSNAP_CACHE", str(tmp_path / "file" / "cache"))
    save(s3, NAMES)
    assert back(s3) == NAMES
    assert not files(folder)


def test_a_full_disk_only_means_no_cache(s3: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes that fail are given up, for good."""
    save(s3, {"x": 1})

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.os, "replace", full)
    save(s3, NAMES)
    assert back(s3) == NAMES
    assert not [path for path in files(folder) if path.name.startswith(".")]


@SLOW
def test_several_processes_at_once(s3: str, folder: Path) -> None:
    """They fill and empty one cache, and all get what they asked for."""
    save(s3, NAMES)
    code = (
        "import sys, nbsnap\n"
        "for turn in range(4):\n"
        "    names = {}\n"
        "    assert nbsnap.restore('latest', names, store=sys.argv[1], notebook='n').ok and len(names) == 41\n"
    )
    env = {**os.environ, "NBSNAP_CACHE_SIZE": "30 MB"}
    running = [subprocess.Popen([sys.executable, "-W", "error", "-c", code, s3], env=env) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
