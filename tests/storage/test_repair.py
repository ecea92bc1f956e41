"""`check --repair`: what is whole is kept, what is lost is told, and nothing is guessed."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from storage.making import NOTEBOOK, assert_clean, noise, restore, save, text

from nbsnap.cli import main
from nbsnap.digest import PIECE_SIZE
from nbsnap.errors import DamageError, StoreError
from nbsnap.layout import to_text
from nbsnap.maintenance import check
from nbsnap.packs import Piece
from nbsnap.render_repair import repair_sheet
from nbsnap.repairing import DAMAGED, opened, repair
from nbsnap.store import Store

STATES = {
    "one": {"a": noise(2 * PIECE_SIZE + 70_000, 1), "b": text(9000, 1), "c": noise(500, 1)},
    "two": {"a": noise(2 * PIECE_SIZE + 70_000, 1), "d": text(2 * PIECE_SIZE, 2), "e": noise(70_001, 2)},
    "three": {"f": noise(400, 3)},
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A store with three snapshots, in a pack each; two of them share a buffer."""
    with Store.open(tmp_path / "store", create=True) as store:
        for name, state in STATES.items():
            save(store, state, name)
    return tmp_path / "store"


def snap(place: Path, name: str) -> Path:
    """The file of a snapshot's record."""
    store = Store.open(place)
    return place / next(entry.file for entry in store.entries() if store.head(entry).name == name)


def pack(place: Path, name: str, variable: str) -> Path:
    """The pack that holds a variable."""
    return place / "packs" / f"{piece(place, name, variable)[0]}.pack"


def piece(place: Path, name: str, variable: str, number: int = 0) -> tuple[str, Piece]:
    """Where a piece of a variable is."""
    store = Store.open(place)
    (group,) = (group for group in store.find(name, NOTEBOOK).groups if variable in group.variables)
    return store.pieces.locate(group.buffers[0])[number]


def alter(path: Path, at: int, data: bytes = b"altered") -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def all_is_well(place: Path, *names: str) -> None:
    """The store is sound, and these are its snapshots."""
    with Store.open(place) as store:
        assert_clean(store)
        assert [head.name for head in store.heads()] == list(names)
        for name in names:
            assert restore(store, name) == STATES[name]
        assert not list((place / "tmp").iterdir())
        assert not list((place / "locks").iterdir())


def test_nothing_to_repair(place: Path) -> None:
    """A sound store stays as it is, file by file."""
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    report = repair(Store.open(place))
    assert report.ok
    assert "there was nothing to repair" in to_text(repair_sheet(report))
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before


def gone(path: Path) -> None:
    path.unlink()


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("harm", [gone, zeros, half], ids=lambda harm: harm.__name__)
def test_an_index_is_written_again(place: Path, harm: Callable[[Path], None]) -> None:
    """The pack has a copy of its index: byte by byte the same."""
    path = pack(place, "two", "e").with_suffix(".index")
    right = path.read_bytes()
    harm(path)
    report = repair(Store.open(place))
    assert report.ok
    assert report.rebuilt == (str(path),)
    assert path.read_bytes() == right
    all_is_well(place, *STATES)


@pytest.mark.parametrize("cut", [1, 40, 100])
def test_a_pack_without_its_end(place: Path, cut: int) -> None:
    """The index beside it tells where the pieces are: they are copied into a new pack."""
    path = pack(place, "one", "a")
    os.truncate(path, path.stat().st_size - cut)
    report = repair(Store.open(place))
    assert (report.ok, report.rewritten) == (True, 1)
    assert not path.exists()
    all_is_well(place, *STATES)


def test_a_pack_that_has_grown(place: Path) -> None:
    """What was added goes, and nothing else."""
    path = pack(place, "one", "a")
    path.write_bytes(path.read_bytes() + b"more" * 2000)
    assert repair(Store.open(place)).ok
    all_is_well(place, *STATES)


def test_a_piece_that_is_altered(place: Path) -> None:
    """Which variables of which snapshots are lost is told; the others restore; and the next one may heal them."""
    where, lost = piece(place, "one", "a", 1)
    alter(place / "packs" / f"{where}.pack", lost.offset + 77)
    report = repair(Store.open(place))
    assert [(one.name, one.variables, one.whole) for one in report.lost] == [
        ("one", ("a",), False), ("two", ("a",), False)]  # fmt: skip
    assert (report.pieces, report.rewritten, report.ok) == (1, 1, False)
    said = to_text(repair_sheet(report))
    assert "lost" in said
    assert "1 piece lost" in said
    store = Store.open(place)
    found = check(store)
    assert [problem.variables for problem in found.problems] == [("a",)]
    for name in ("one", "two"):
        for group in store.find(name, NOTEBOOK).groups:
            if group.variables != ("a",):
                assert store.read(group.buffers[0]) == STATES[name][group.variables[0]]
    save(store, {"other_name": STATES["one"]["a"]}, "again")
    assert_clean(Store.open(place))
    assert restore(Store.open(place), "two") == STATES["two"]


def test_a_pack_without_any_index(place: Path) -> None:
    """What snapshots need is found in it by its hash, raw or compressed, long or short."""
    path = pack(place, "two", "e")
    path.with_suffix(".index").write_bytes(b"")
    os.truncate(path, path.stat().st_size - 100)
    first = pack(place, "one", "a")
    first.with_suffix(".index").unlink()
    alter(first, first.stat().st_size - 20)
    report = repair(Store.open(place))
    assert (report.ok, report.rewritten) == (True, 2)
    assert report.found >= 7
    all_is_well(place, *STATES)


def test_an_index_without_its_pack(place: Path) -> None:
    """It goes, and what it listed is lost."""
    path = pack(place, "three", "f")
    path.unlink()
    report = repair(Store.open(place))
    assert report.dropped == (str(path.with_suffix(".index")),)
    assert [(one.name, one.variables) for one in report.lost] == [("three", ("f",))]


def test_a_record_that_is_altered(place: Path) -> None:
    """It is put aside as it is, said to be lost, and is no snapshot any more; prune can free what it needed."""
    path = snap(place, "two")
    os.truncate(path, path.stat().st_size - 3)
    left = path.read_bytes()
    report = repair(Store.open(place))
    (lost,) = report.lost
    assert (lost.name, lost.notebook, lost.whole) == ("two", NOTEBOOK, True)
    (aside,) = report.aside
    assert Path(aside).read_bytes() == left
    assert Path(aside).parent.parent.name == DAMAGED
    all_is_well(place, "one", "three")
    assert Store.open(place).prune(NOTEBOOK).ok
    all_is_well(place, "one", "three")
    assert repair(Store.open(place)).ok


def test_records_that_changed_places(place: Path) -> None:
    """Records say whose they are, so each gets its name back."""
    one, two = snap(place, "one"), snap(place, "two")
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    report = repair(Store.open(place))
    assert report.ok
    assert len(report.renamed) == 2
    assert not list((place / DAMAGED).rglob("*.snap"))
    all_is_well(place, *STATES)


def test_a_record_under_another_name(place: Path) -> None:
    """A renamed file gets its name back."""
    path = snap(place, "two")
    path.rename(path.with_name(path.name[:23] + "f" * 64 + ".snap"))
    assert not check(Store.open(place)).ok
    assert repair(Store.open(place)).ok
    assert path.exists()
    all_is_well(place, *STATES)


@pytest.mark.parametrize("harm", [gone, zeros, half], ids=lambda harm: harm.__name__)
def test_store_json_is_written_again(place: Path, harm: Callable[[Path], None]) -> None:
    """The records are of format 1, so it said so."""
    harm(place / "store.json")
    with pytest.raises(DamageError):
        Store.open(place)
    assert repair(opened(place)).ok
    all_is_well(place, *STATES)


def test_store_json_of_which_nothing_tells(place: Path) -> None:
    """Where no record can be read, it is not known what it said."""
    for path in place.rglob("*.snap"):
        half(path)
        alter(path, 10)
    (place / "store.json").write_text("?")
    with pytest.raises(DamageError, match="it should read"):
        opened(place)
    assert (place / "store.json").read_text() == "?"


def test_everything_at_once(place: Path) -> None:
    """What is left of each is kept."""
    half(pack(place, "one", "a"))
    zeros(pack(place, "three", "f").with_suffix(".index"))
    alter(snap(place, "two"), 30)
    report = repair(Store.open(place))
    assert {one.name for one in report.lost} == {"one", ""}
    with Store.open(place) as store:
        assert restore(store, "three") == STATES["three"]
    assert repair(Store.open(place)).lost == tuple(one for one in report.lost if not one.whole)


def test_repair_is_alone(place: Path) -> None:
    """While somebody saves, nothing is touched, and a line says so."""
    path = pack(place, "two", "e").with_suffix(".index")
    path.unlink()
    with pytest.MonkeyPatch.context() as patch, Store.open(place).writer() as writer:
        patch.setattr("nbsnap.pruning.PATIENCE", 0.1)
        writer.put(b"something")
        with pytest.raises(StoreError, match=r"somebody is saving into .* just now: try again later"):
            repair(Store.open(place))
        assert not path.exists()
    assert repair(Store.open(place)).ok


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="modes do not bind root")
def test_a_pack_that_may_not_be_read(place: Path) -> None:
    """No permission is no damage: it stays as it is."""
    path = pack(place, "two", "e")
    path.chmod(0)
    report = repair(Store.open(place))
    assert not report.ok
    assert path.exists()


def test_an_error_of_the_disk_is_no_damage(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pack in which the disk cannot read stays, and is told."""
    path = pack(place, "two", "e")
    store = Store.open(place)
    read = store.backend.read_into

    def broken(name: str, offset: int, buffer: memoryview) -> int:
        if name.endswith(path.name):
            raise OSError(5, "Input/output error")
        return read(name, offset, buffer)

    monkeypatch.setattr(store.backend, "read_into", broken)
    report = repair(store)
    assert report.problems == (f"left as it is: {path}: Input/output error",)
    all_is_well(place, *STATES)


def test_a_later_format_is_left_alone(place: Path) -> None:
    """A record of a later nbsnap is not damaged, and what it may need is not removed."""
    path = snap(place, "two")
    head, _, body = path.read_bytes().partition(b"\n")
    path.write_bytes(head.replace(b'"format":1', b'"format":2') + b"\n" + body)
    report = repair(Store.open(place))
    assert len(report.problems) == 1
    assert "format 2" in report.problems[0]
    assert path.exists()
    assert len(list((place / "packs").glob("*.pack"))) == 3


def test_the_command(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`nbsnap check --repair` says what it did, and ends with the code of damage if any is left."""
    backup = place.with_name("backup")
    shutil.copytree(place, backup)
    pack(place, "two", "e").with_suffix(".index").unlink()
    (place / "store.json").unlink()
    assert main(["check", "--repair", "--store", str(place)]) == 0
    assert "1 index written again" in capsys.readouterr().out
    where, lost = piece(backup, "three", "f")
    alter(backup / "packs" / f"{where}.pack", lost.offset)
    assert main(["check", "--repair", "--json", "--store", str(backup)]) == 6
    record = json.loads(capsys.readouterr().out)
    assert record["ok"] is False
    assert [(one["name"], one["variables"]) for one in record["lost"]] == [("three", ["f"])]
    assert main(["check", "--repair", "--store", str(backup)]) == 6
    assert "three" in capsys.readouterr().out
