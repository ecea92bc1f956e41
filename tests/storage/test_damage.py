"""Files that are cut, altered, swapped or gone: a named error or a right result, and the others still load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from storage.making import NOTEBOOK, assert_clean, mixed, noise, restore, save

from nbsnap.digest import PIECE_SIZE
from nbsnap.errors import DamageError, NbSnapError, SnapshotNotFound, StoreError
from nbsnap.maintenance import check
from nbsnap.store import Store

Damage = Callable[[Path], None]


def cut_to_nothing(path: Path) -> None:
    path.write_bytes(b"")


def cut_in_half(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def cut_the_last_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip_first(path: Path) -> None:
    flip(path, 0)


def flip_middle(path: Path) -> None:
    flip(path, path.stat().st_size // 2)


def flip_last(path: Path) -> None:
    flip(path, path.stat().st_size - 1)


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def remove(path: Path) -> None:
    path.unlink()


def flip(path: Path, place: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 0x10]))


ALL: list[Damage] = [
    cut_to_nothing,
    cut_in_half,
    cut_the_last_byte,
    flip_first,
    flip_middle,
    flip_last,
    grow,
    zero,
    remove,
]
STATES = {
    "one": {"a": noise(2 * PIECE_SIZE + 1, 1), "b": mixed()["text5000"]},
    "two": {"a": noise(2 * PIECE_SIZE + 1, 2), "c": noise(300, 2)},
    "three": mixed(3),
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A store with three snapshots, in one pack each."""
    with Store.open(tmp_path / "store", create=True) as store:
        for name, state in STATES.items():
            save(store, state, name)
    return tmp_path / "store"


def the_file(place: Path, name: str, suffix: str) -> Path:
    """The manifest of a snapshot, or the pack or index that holds its pieces."""
    with Store.open(place) as store:
        entry = next(entry for entry in store.entries() if store.head(entry).name == name)
        if suffix == "snap":
            return place / entry.file
        snapshot = store.load_entry(entry)
        packs = {pack for group in snapshot.groups for pack, _ in store.pieces.locate(group.buffers[0])}
        assert len(packs) == 1
        return place / "packs" / f"{packs.pop()}.{suffix}"


@pytest.mark.parametrize("damage", ALL, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("suffix", ["snap", "pack", "index"])
def test_each_file_damaged_in_each_way(place: Path, suffix: str, damage: Damage) -> None:
    """Damage to a file of one snapshot is found, named, and harms no other; what is given back is always right."""
    path = the_file(place, "two", suffix)
    damage(path)
    with Store.open(place) as store:
        assert restore(store, "one") == STATES["one"]
        assert restore(store, "three") == STATES["three"]
        right = None
        try:
            right = restore(store, "two")
        except NbSnapError as error:
            if suffix == "snap" and damage is remove:
                assert isinstance(error, SnapshotNotFound)
            else:
                assert isinstance(error, DamageError)
                assert path.name in str(error)
            assert "\n" not in str(error)
        assert right in (None, STATES["two"])
        assert (right is not None) or suffix != "index"  # the pack has a copy of its index

    with Store.open(place) as store:
        report = check(store)
        if damage is remove and suffix == "snap":
            assert report.ok  # nobody can tell
        elif damage is remove and suffix == "index":
            assert report.ok  # a writer that died just then would leave it so; the pack has a copy
            assert report.unindexed == 1
        else:
            assert not report.ok
            assert any(path.stem in problem.file for problem in report.problems)
            hurt = {name for problem in report.problems for _, name in problem.snapshots}
            assert hurt <= {"two", ""}
            if suffix == "pack" and right is None:
                assert hurt == {"two"}
                assert {name for problem in report.problems for name in problem.variables} <= {"a", "c"}
        save(store, STATES["two"], "again")  # check has seen what is altered: it is written anew
        assert restore(store, "again") == STATES["two"]


@pytest.mark.parametrize("damage", [cut_to_nothing, cut_in_half, flip_first, zero, remove], ids=lambda d: d.__name__)
def test_store_json_damaged(place: Path, damage: Damage) -> None:
    """Without a sound store.json nothing is read, and the error names the file and says what it should read."""
    damage(place / "store.json")
    for create in (False, True):
        with pytest.raises(DamageError, match=r'store\.json is .*; it should read \{"format":1\}'):
            Store.open(place, create=create)
    (place / "store.json").write_text('{"format":1}\n')
    assert_clean(Store.open(place))


def test_every_place_of_a_pack(place: Path) -> None:
    """Wherever a byte of a pack is flipped, a wrong value is never given back."""
    path = the_file(place, "two", "pack")
    size = path.stat().st_size
    refused = 0
    for spot in range(0, size, size // 97):
        flip(path, spot)
        with Store.open(place) as store:
            try:
                assert restore(store, "two") == STATES["two"]
            except DamageError as error:
                refused += 1
                assert path.name in str(error)
                assert "was altered" in str(error)
        flip(path, spot)
    assert refused > 90
    assert_clean(Store.open(place))


def test_swapped_files(place: Path) -> None:
    """Two packs, indexes or manifests that changed places are found out."""
    for suffix in ("pack", "index", "snap"):
        one, two = the_file(place, "one", suffix), the_file(place, "two", suffix)
        first, second = one.read_bytes(), two.read_bytes()
        one.write_bytes(second)
        two.write_bytes(first)
        with Store.open(place) as store:
            assert not check(store).ok
            for name in ("one", "two"):
                try:
                    assert restore(store, name) == STATES[name]
                except StoreError:
                    assert suffix != "index"
            assert restore(store, "three") == STATES["three"]
        one.write_bytes(first)
        two.write_bytes(second)
    assert_clean(Store.open(place))


def test_a_damaged_latest_is_not_passed_over(place: Path) -> None:
    """`latest` that is damaged is an error that says how to get the one before; heads() goes on and tells of it."""
    path = the_file(place, "three", "snap")
    flip(path, 30)
    with Store.open(place) as store:
        with pytest.raises(DamageError, match=rf"{path.name}.*; the one before it is latest~1$"):
            store.resolve("latest", NOTEBOOK)
        assert store.resolve("latest~1", NOTEBOOK).name == "two"
        assert [head.name for head in store.heads()] == ["one", "two"]
        assert len(store.problems) == 1
        assert path.name in store.problems[0]
        save(store, STATES["one"], "four")
        assert store.resolve("latest", NOTEBOOK).name == "four"


def test_a_copy_elsewhere_is_used(place: Path) -> None:
    """A piece that is altered in one pack and sound in another is read from the other."""
    path = the_file(place, "one", "pack")
    with Store.open(place) as store:
        entry = store.entries()[0]
        content = store.load_entry(entry).groups[0].buffers[0]
    original = path.read_bytes()
    flip(path, 100)
    with Store.open(place) as store:
        assert not check(store).ok
        save(store, STATES["one"], "again")
    with Store.open(place) as store:
        assert restore(store, "one") == STATES["one"]
        assert store.read(content) == STATES["one"]["a"]
        report = check(store)
        assert {problem.snapshots for problem in report.problems} == {()}
    path.write_bytes(original)
    assert_clean(Store.open(place))


def test_a_quick_check_finds_what_is_cut(place: Path) -> None:
    """Without reading the pieces, check still finds what is missing or too short."""
    path = the_file(place, "two", "pack")
    with Store.open(place) as store:
        assert check(store, read=False).ok
    cut_in_half(path)
    with Store.open(place) as store:
        report = check(store, read=False)
    assert not report.ok
    assert {name for problem in report.problems for _, name in problem.snapshots} == {"two"}
    assert report.to_dict()["problems"][0]["file"]


def test_what_died_is_no_problem(place: Path) -> None:
    """A pack that nobody refers to is counted as unused."""
    the_file(place, "three", "snap").unlink()
    with Store.open(place) as store:
        report = check(store)
    assert report.ok
    assert report.unused > 5 * PIECE_SIZE
    assert (report.snapshots, report.packs) == (2, 3)
