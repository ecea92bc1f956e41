"""Stores that were made to do harm can be listed, shown, compared, checked, pruned and repaired, and do none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from storage import hostile
from storage.making import noise, save

from nbsnap.store import Store

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory, devices")

MEMORY = 1500  # megabytes
OPEN = "\x1b\x07\r\x00\u202e"  # what must not reach a terminal


def look(folder: Path) -> dict[str, tuple[bytes, float]]:
    """All that is in a folder, with the times of change."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime) for path in sorted(folder.iterdir())}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A store with two snapshots, beside it a folder with old files that look like something of a store."""
    outside = tmp_path / "outside"
    outside.mkdir()
    long_ago = time.time() - 10 * 86400
    for name in ("kept", "notes.txt", "a.pack", f"{'0' * 32}.index", hostile._claim(), "other-7-0123456789abcdef"):
        (outside / name).write_bytes(b"a file of the user's: " + name.encode())
        os.utime(outside / name, (long_ago, long_ago))
    with Store.open(tmp_path / "store", create=True) as store:
        save(store, {"a": noise(200_000, 1), "b": b"text " * 1000})
        save(store, {"a": noise(200_000, 2), "b": b"text " * 1000}, "good")
    return tmp_path / "store"


@pytest.mark.parametrize("build", hostile.STORES, ids=lambda build: build.__name__)
def test_hostile_stores(place: Path, build: Callable[[Path], None]) -> None:
    """Nothing hangs, nothing runs, nothing outside is touched, and nothing reaches the screen as it is."""
    try:
        build(place)
    except PermissionError:
        pytest.skip("needs root")
    before = look(place.parent / "outside")
    asked(place.parent, place, before)


@pytest.mark.parametrize("build", hostile.FILES, ids=lambda build: build.__name__)
def test_hostile_files(place: Path, build: Callable[[Path], bytes]) -> None:
    """The same of one file: looked into, imported, synced and written into another one."""
    before = look(place.parent / "outside")
    file = place.parent / "evil.nbsnap"
    file.write_bytes(build(place))
    asked(place.parent, file, before)


def asked(folder: Path, place: Path, before: dict[str, tuple[bytes, float]]) -> None:
    """Ask everything of a place, with bounded memory, and look at the answers."""
    words = [sys.executable, hostile.__file__, str(place), str(MEMORY)]
    done = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, timeout=90, check=False, errors="surrogateescape"
    )
    assert done.returncode == 0, (done.stdout[-600:], done.stderr[-3000:])
    answers = list(map(json.loads, done.stdout.splitlines()))
    assert len(answers) >= len(hostile.COPIES) + len(hostile.READS if place.is_file() else hostile.COMMANDS)
    assert look(folder / "outside") == before
    assert not (folder / "ran").exists()
    for said in answers:
        what = f"{said['command']} as {said['form']}"
        assert said["code"] in (0, 3, 4, 5, 6), (what, said)
        assert said["took"] < 20, what
        assert not any(char in said["out"] + said["err"] for char in OPEN), (what, said)
        assert "<script" not in said["out"] or said["form"] != "html", what
        assert said["err"].count("\n") == len([line for line in said["err"].split("\n")[:-1] if "nbsnap: " in line])
        if said["form"] == "json" and said["code"] in (0, 6) and said["out"]:
            json.loads(said["out"])
    page = folder / "page.html"
    if page.exists():
        text = page.read_text(encoding="utf-8")
        assert not any(char in text for char in OPEN)
        assert "<script>alert" not in text
        assert "<img src=x" not in text


def test_a_place_with_a_strange_name(tmp_path: Path) -> None:
    """The name of the folder is no command for the terminal either."""
    place = tmp_path / "\x1b[2J\u202e<script>\n"
    with Store.open(place, create=True) as store:
        save(store, {"a": b"x"})
    words = [sys.executable, hostile.__file__, str(place), str(MEMORY)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    for said in map(json.loads, done.stdout.splitlines()):
        assert not any(char in said["out"] + said["err"] for char in OPEN)
        assert said["form"] != "html" or "<script" not in said["out"]
