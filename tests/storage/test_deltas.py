"""Pieces told by what differs from older ones: a few kilobytes for a change, and never less safe than a whole piece."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from storage.making import NOTEBOOK, assert_clean, drift, noise, record, restore, save
from storage.test_repair import alter

from nbsnap import deltas, later, manifest
from nbsnap.backends import MemoryBackend
from nbsnap.deltas import BLOCK
from nbsnap.digest import PIECE_SIZE, digest
from nbsnap.earlier import Place
from nbsnap.errors import DamageError
from nbsnap.maintenance import check
from nbsnap.mapping import Region
from nbsnap.packs import DELTA, RAW, Piece, decode_index, encode_index
from nbsnap.reader import Laid
from nbsnap.repairing import repair
from nbsnap.store import Store
from nbsnap.transfer import copy, export
from nbsnap.tree import index_file, pack_file

MIB = PIECE_SIZE


def all_deltas(store: Store) -> list[tuple[str, Piece]]:
    """The deltas of a store, with their packs."""
    store.pieces.look()
    return [(index.pack, piece) for index in store.pieces.indexes() for piece in index.pieces() if piece.codec == DELTA]


def changed(data: bytes, *places: int) -> bytes:
    """The same but for a byte at each of some places."""
    made = bytearray(data)
    for place in places:
        made[place] ^= 255
    return bytes(made)


BIG = noise(3 * MIB + 70_000, 7)
STATES = [BIG, changed(BIG, 5), changed(BIG, 5, MIB + 9), changed(BIG, 6, 3 * MIB + 69_999), changed(BIG, 7)]


@pytest.fixture
def history(store: Store) -> Store:
    """A store in which an array has changed four times, in a place or two."""
    for number, data in enumerate(STATES):
        save(store, {"a": data, "own": noise(70_000, number)}, f"s{number}")
    return store


def is_whole(store: Store, *numbers: int) -> None:
    """These snapshots are there, and as they were."""
    assert [head.name for head in store.heads(NOTEBOOK)] == [f"s{number}" for number in numbers]
    for number in numbers:
        assert restore(store, f"s{number}") == {"a": STATES[number], "own": noise(70_000, number)}
    assert_clean(store)


# --- how one looks ----------------------------------------------------------------------------------------------------


@given(
    st.integers(1, 20 * BLOCK), st.lists(st.tuples(st.integers(0, 20 * BLOCK), st.integers(1, 3 * BLOCK)), max_size=5)
)
def test_there_and_back(size: int, changes: list[tuple[int, int]]) -> None:
    """What differs, applied to the base, is the piece; its length is told by its beginning; nothing else is taken."""
    base, raw = bytearray(noise(size)), bytearray(noise(size))
    for at, count in changes:
        raw[at : at + count] = bytes(max(0, min(count, size - at)))
    stored = deltas.encode(memoryview(raw), digest(base), base, 1e5)
    assert stored is not None
    assert deltas.apply(stored, base) == raw
    assert deltas.base_of(stored) == digest(base)
    assert deltas.length(stored, size) == len(stored)
    blocks = {at // BLOCK for at in range(size) if raw[at] != base[at]}
    assert len(stored) <= 32 + -(-size // BLOCK // 8) + 1 + len(blocks) * BLOCK
    for wrong in (stored[:-1], stored + b"x", stored[:20]):
        with pytest.raises(DamageError):
            deltas.apply(wrong, base)


def test_no_longer_than_it_may_be() -> None:
    """What differs in too much is no delta; bits beyond the end are refused."""
    base = bytearray(noise(10 * BLOCK))
    assert deltas.encode(noise(10 * BLOCK, 1), digest(base), base, 0.9) is None
    half = base[: 5 * BLOCK] + noise(5 * BLOCK, 1)
    stored = deltas.encode(half, digest(base), base, 0.9)
    assert stored is not None
    with pytest.raises(DamageError):
        deltas.apply(stored[:33] + b"\x80" + stored[34:], base)


def test_an_index_with_deltas() -> None:
    """It comes back as it was; one without is as it was before there were any."""
    plain = [Piece(digest(b"a"), 0, 5, 9, 1), Piece(digest(b"b"), 5, 7, 7, RAW)]
    both = [*plain, Piece(digest(b"c"), 12, 40, 70, DELTA, digest(b"b"))]
    for pieces, version, size in ((plain, 1, 52), (both, 2, 84)):
        data = encode_index("ab" * 16, 52, pieces)
        assert (data[8], data[10], len(data)) == (version, size, 80 + size * len(pieces))
        index = decode_index(data, "ab" * 16)
        assert index.pieces() == pieces
        assert index.ids() == [piece.id for piece in pieces]
        assert index.bases() == {piece.id: piece.base for piece in pieces if piece.base}


@pytest.mark.parametrize(
    "piece",
    [
        Piece(digest(b"c"), 0, 40, 70, DELTA),
        Piece(digest(b"c"), 0, 40, 70, DELTA, digest(b"c")),
        Piece(digest(b"c"), 0, 40, 70, 1, digest(b"b")),
    ],
)
def test_nonsense_in_an_index(piece: Piece) -> None:
    """A delta has a base, which is another piece; nothing else has one."""
    good = Piece(digest(b"d"), 40, 40, 70, DELTA, digest(b"b"))
    index = decode_index(encode_index("ab" * 16, 80, [piece, good]), "ab" * 16)
    with pytest.raises(DamageError):
        index.piece(0)
    assert index.piece(1) == good


# --- snapshots --------------------------------------------------------------------------------------------------------


def test_a_change_costs_its_blocks(store: Store) -> None:
    """One byte changed costs a block; what has changed often is a delta of the first still; all come back."""
    heads = [save(store, {"a": data}, f"s{number}") for number, data in enumerate(STATES)]
    assert heads[0].new_bytes > len(BIG)
    assert [head.new_bytes // BLOCK for head in heads[1:]] == [1, 1, 1, 1]  # of the last piece, the short block alone
    firsts = {digest(BIG[at : at + MIB]) for at in range(0, len(BIG), MIB)}
    assert {piece.base for _, piece in all_deltas(store)} <= firsts
    for number, data in enumerate(STATES):
        assert restore(store, f"s{number}") == {"a": data}
    assert_clean(store)


def test_what_changes_everywhere_is_whole(store: Store) -> None:
    """Nothing is a delta of what it is not like: other bytes, another length, another variable, another notebook."""
    save(store, {"a": BIG})
    save(store, {"a": noise(len(BIG), 8)})
    save(store, {"a": changed(BIG, 5)[:-1], "b": changed(BIG, 3 * MIB)})
    save(store, {"a": changed(BIG, MIB)}, notebook="other.ipynb")
    assert {len(bytes(store.pieces.fetch(*where))) for where in all_deltas(store)} <= {MIB}
    assert len(all_deltas(store)) == 0
    assert_clean(store)


def test_it_does_not_grow_a_chain(store: Store) -> None:
    """However often a piece has changed, it is made of two reads; what has become another one is a base by itself."""
    data = noise(2 * MIB, 3)
    for number in range(24):
        at = number * 97_003 % (2 * MIB - 90_000)
        data = data[:at] + noise(90_000, number) + data[at + 90_000 :]
        save(store, {"a": data})
        assert restore(store) == {"a": data}
    plain = {piece.id for index in store.pieces.indexes() for piece in index.pieces() if piece.codec != DELTA}
    assert all_deltas(store)
    assert all(piece.base in plain for _, piece in all_deltas(store))
    assert len(plain) > 2  # not all are deltas of the first two
    assert_clean(store)


def test_in_another_process_and_in_the_background(tmp_path: Path) -> None:
    """A real session: arrays and frames that change in place; in the foreground and behind it; restored elsewhere."""
    program = """
import sys, numpy as np, pandas as pd, nbsnap
place, how = sys.argv[1:]
if how == "save":
    rng = np.random.default_rng(0)
    names = {"a": rng.random(400_000), "frame": pd.DataFrame(rng.random((100_000, 4)), columns=list("wxyz"))}
    nbsnap.snapshot(names, store=place, notebook="n", name="first")
    names["a"][100] = 1.0
    print(nbsnap.snapshot(names, store=place, notebook="n", name="second").new_bytes)
    names["frame"].loc[50_000, "x"] = 2.0
    nbsnap.snapshot(names, store=place, notebook="n", name="third", background=True)
    print(nbsnap.wait()[0].new_bytes)
else:
    names = {}
    nbsnap.restore(how, namespace=names, store=place, notebook="n", trust=True)
    rng = np.random.default_rng(0)
    a, frame = rng.random(400_000), pd.DataFrame(rng.random((100_000, 4)), columns=list("wxyz"))
    if how != "first":
        a[100] = 1.0
    if how == "third":
        frame.loc[50_000, "x"] = 2.0
    print(np.array_equal(names["a"], a) and names["frame"].equals(frame))
    names["a"][200] = 3.0  # it can be written to, and saved again
    print(nbsnap.snapshot(names, store=place, notebook="n").new_bytes)
"""

    def run(how: str) -> list[str]:
        words = [sys.executable, "-c", program, str(tmp_path / "store"), how]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()

    for new in map(int, run("save")):
        assert 0 < new < 3 * BLOCK
    for name in ("first", "second", "third"):
        right, new = run(name)
        assert right == "True"
        assert int(new) < 8 * BLOCK
    with Store.open(tmp_path / "store") as store:
        assert_clean(store)


# --- letting go -------------------------------------------------------------------------------------------------------


def test_a_base_stays_as_long_as_it_is_needed(history: Store) -> None:
    """The first snapshot goes, and what others are told by stays; with the last of them it goes, too."""
    history.delete("s0", notebook=NOTEBOOK)
    is_whole(history, 1, 2, 3, 4)
    history.delete("s2", notebook=NOTEBOOK)
    history.prune(NOTEBOOK)
    is_whole(history, 1, 3, 4)
    save(history, {"z": noise(100)}, "z")
    for number in (1, 3, 4):
        history.delete(f"s{number}", notebook=NOTEBOOK)
    assert history.backend.usage() < 10_000
    assert_clean(history)


def test_what_a_manifest_needs(history: Store) -> None:
    """It names the bases of its deltas, like any other content, and what is loaded is as ever."""
    snapshot = history.find("s2", NOTEBOOK)
    first = [digest(BIG[:MIB]), digest(BIG[MIB : 2 * MIB])]
    assert {id for content in snapshot.bases for id in content.pieces} == {id.hex() for id in first}
    assert [group.variables for group in snapshot.groups] == [("a",), ("own",)]
    entry = next(entry for entry in history.entries() if entry.id == snapshot.head.id)
    assert history.needs(entry) >= set(first)
    assert manifest.parse(history.record(entry)[0]).snapshot == snapshot


def test_an_orphan_does_not_count_without_its_base(store: Store) -> None:
    """A pack stays for another piece in it. A delta in it, which nobody needs, loses its base: it is stored again."""
    save(store, {"a": BIG}, "base")
    save(store, {"a": changed(BIG, 5), "own": noise(90_000)}, "delta")
    save(store, {"own": noise(90_000)}, "own")
    store.delete("base", notebook=NOTEBOOK)
    store.delete("delta", notebook=NOTEBOOK)
    assert len(all_deltas(store)) == 1
    assert store.backend.usage() < MIB
    again = Store(store.backend)
    head = save(again, {"a": changed(BIG, 5)})
    assert head.new_bytes > len(BIG)
    assert restore(again) == {"a": changed(BIG, 5)}
    assert not again.find("latest", NOTEBOOK).bases
    assert_clean(again)


def two_copies(store: Store, second: str) -> bytes:
    """A store where the first piece of `changed(BIG, 5)` lies twice: as a delta, and whole or as a delta of another."""
    data, other = changed(BIG, 5)[:MIB], changed(BIG, 9)[:MIB]
    save(store, {"a": BIG[:MIB]}, "base")
    beside = Store(store.backend)  # reads the indexes, and sees nothing of what is written after
    with beside.writer(notebook="elsewhere") as writer:
        content = {"a": writer.put(other)}
        writer.commit(record(content, "other", "elsewhere"))
    late = Store(store.backend)
    with late.writer(notebook="elsewhere" if second == "delta" else "") as writer:
        save(store, {"a": data}, "delta")
        content = {"a": writer.put(data, Place(("a",), 0))}
        writer.commit(record(content, "twice", "elsewhere"))
    assert len([piece for _, piece in all_deltas(store)]) == (2 if second == "delta" else 1)
    return data


@pytest.mark.parametrize("second", ["delta", "whole"])
@pytest.mark.parametrize("gone", [["base"], ["delta"], ["twice"], ["other"], ["base", "delta"], ["other", "twice"]])
def test_copies_of_one_piece(store: Store, second: str, gone: list[str]) -> None:
    """Two writers have stored one piece at the same time. Whatever goes, what is left is whole."""
    two_copies(store, second)
    states = {"base": BIG[:MIB], "other": changed(BIG, 9)[:MIB], "delta": changed(BIG, 5)[:MIB]}
    states["twice"] = states["delta"]
    for name in gone:
        store.delete(name, notebook=None)
    again = Store(store.backend)
    again.prune(None, max_size=0)
    for name in states.keys() - set(gone):
        assert restore(again, name, None) == {"a": states[name]}, name
    assert_clean(again)


def test_a_piece_that_is_a_delta_of_what_its_snapshot_does_not_name(store: Store) -> None:
    """A copied snapshot finds its piece as a delta of another base than it had. That stays as long as it is needed."""
    save(store, {"a": ONE}, "one")
    save(store, {"a": TWO}, "two")
    source = Store(MemoryBackend(), create=True)
    save(source, {"a": TWO}, "whole", "w")
    save(source, {"a": THREE}, "three", "d")
    save(source, {"a": TWO}, "differs", "d")
    assert copy(source, store, source.entries()).ok
    for gone in ("one", "two", "three"):
        store.delete(gone, notebook=None)
    again = Store(store.backend)
    assert restore(again, "whole", "w") == restore(again, "differs", "d") == {"a": TWO}
    assert_clean(again)
    assert again.prune(None, max_size=MIB // 2).notes  # it counts
    for gone in ("whole", "differs"):
        again.delete(gone, notebook=None)
    assert again.backend.usage() < 1000


def test_an_orphan_whose_base_is_a_delta_now_is_no_damage(store: Store) -> None:
    """Nobody needs it, and it cannot be made any more: nothing to be told of, and pruning copies what is beside it."""
    save(store, {"a": TWO}, "base")
    save(store, {"a": THREE, "own": noise(90_000)}, "delta")
    save(store, {"own": noise(90_000)}, "own")
    store.delete("base", "delta", notebook=NOTEBOOK)
    save(store, {"a": ONE, "c": THREE})
    save(store, {"a": TWO, "c": THREE})
    assert len(all_deltas(store)) == 2
    assert_clean(Store(store.backend))
    assert store.prune(NOTEBOOK, max_size=1, named=True).problems == ()
    assert restore(store) == {"a": TWO, "c": THREE}
    assert_clean(Store(store.backend))


# --- damage -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with that history."""
    with Store.open(tmp_path / "store", create=True) as store:
        for number, data in enumerate(STATES):
            save(store, {"a": data, "own": noise(70_000, number)}, f"s{number}")
    return tmp_path / "store"


def where(place: Path, id: bytes) -> tuple[Path, int]:
    store = Store.open(place)
    store.pieces.look()
    found = store.pieces.place(id)
    assert found is not None
    return place / pack_file(found[0]), found[1].offset


@pytest.mark.parametrize("read", [True, False])
def test_a_damaged_base_is_told_and_healed(place: Path, read: bool) -> None:
    """It hurts whoever needs it; the next snapshot that has those very bytes makes all of them whole again."""
    base, at = where(place, digest(BIG[:MIB]))
    if read:
        alter(base, at + 1000)
    else:  # only lengths are looked at
        os.truncate(base, at + 1000)
    report = check(Store.open(place), read=read)
    assert {snapshot[1] for problem in report.problems for snapshot in problem.snapshots} >= {f"s{n}" for n in range(5)}
    with pytest.raises(DamageError):
        restore(Store.open(place), "s1")
    again = Store.open(place)
    head = save(again, {"a": BIG, "own": noise(70_000, 0)}, "healed")
    assert head.new_bytes > MIB
    for number in range(5):
        assert restore(Store.open(place), f"s{number}")["a"] == STATES[number]


def test_a_damaged_delta_is_stored_again(place: Path) -> None:
    """The next writer that has the piece stores it anew."""
    pack, piece = all_deltas(Store.open(place))[0]
    alter(place / pack_file(pack), piece.offset + 50)
    assert not check(Store.open(place)).ok
    again = Store.open(place)
    number = next(
        n for n in range(5) if digest(STATES[n][:MIB]) == piece.id or digest(STATES[n][MIB : 2 * MIB]) == piece.id
    )
    save(again, {"a": STATES[number]}, "again")
    assert restore(Store.open(place), "again") == {"a": STATES[number]}
    assert restore(Store.open(place), f"s{number}")["a"] == STATES[number]
    assert save(again, {"a": STATES[number]}).new_bytes == 0  # and that is known


def test_a_damaged_piece_is_stored_again_as_a_delta(place: Path) -> None:
    """Once: the copy that is sound is known."""
    with Store.open(place) as store:
        save(store, {"b": changed(BIG, 9)})
        pack, at = where(place, digest(changed(BIG, 9)[:MIB]))
        alter(pack, at + 1000)
        assert not check(store).ok
        save(store, {"b": BIG})
        assert 0 < save(store, {"b": changed(BIG, 9)}).new_bytes < 2 * BLOCK
        assert save(store, {"b": changed(BIG, 9)}).new_bytes == 0
        assert restore(store) == {"b": changed(BIG, 9)}


def test_repair_finds_deltas_without_an_index(place: Path) -> None:
    """Packs that have lost both copies of their index give back their deltas as they give back other pieces."""
    packs = {pack for pack, _ in all_deltas(Store.open(place))}
    assert len(packs) == 4
    for pack in packs:
        (place / index_file(pack)).unlink()
        length = (place / pack_file(pack)).stat().st_size
        alter(place / pack_file(pack), length - 20, bytes(20))
    assert not check(Store.open(place)).ok
    report = repair(Store.open(place))
    assert (report.found, report.lost) == (9, ())  # five deltas (one is short), and what was new beside them
    is_whole(Store.open(place), 0, 1, 2, 3, 4)


@pytest.mark.parametrize("which", ["base", "all"])
def test_repair_of_what_deltas_differ_from(place: Path, which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The base's pack is mended before those of the deltas are looked at; what cannot be mended is lost, and told."""
    base, at = where(place, digest(BIG[:MIB]))
    for pack in [base] if which == "base" else place.glob("packs/*.pack"):
        (place / index_file(pack.stem)).unlink()
        alter(pack, pack.stat().st_size - 20, bytes(20))
    monkeypatch.setattr("nbsnap.pieces._READ", {})  # as in another process
    assert repair(Store.open(place)).lost == ()
    is_whole(Store.open(place), 0, 1, 2, 3, 4)
    base, at = where(place, digest(BIG[:MIB]))
    alter(base, at + 1000)
    report = repair(Store.open(place))
    assert {lost.name for lost in report.lost} == {f"s{n}" for n in range(5)}
    assert all(lost.variables == ("a",) for lost in report.lost)


def test_repair_does_not_take_an_index_for_deltas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of an index begins with the id of a base, and zeros, as a delta of nothing would."""
    place = tmp_path / "store"
    with Store.open(place, create=True) as store:
        for data in (BIG[:200_000], changed(BIG[:200_000], 5)):
            save(store, {"a": data})
    base, at = where(place, digest(BIG[:200_000]))
    assert at == 0
    (place / index_file(base.stem)).unlink()
    alter(base, base.stat().st_size - 20, bytes(20))
    monkeypatch.setattr("nbsnap.pieces._READ", {})
    assert repair(Store.open(place)).lost == ()
    assert_clean(Store.open(place))
    assert restore(Store.open(place)) == {"a": changed(BIG[:200_000], 5)}


def test_a_delta_that_is_altered_too_is_stored_again(place: Path) -> None:
    """Without its base nobody can tell: so it does not count, either, once the base is there again."""
    pack, piece = next(found for found in all_deltas(Store.open(place)) if found[1].base == digest(BIG[:MIB]))
    base, _ = where(place, piece.base)
    alter(place / pack_file(pack), piece.offset + 50)
    base.unlink()
    (place / index_file(base.stem)).unlink()
    with Store.open(place) as store:
        assert not check(store).ok
        for data in STATES:
            save(store, {"a": data}, "again")
            assert restore(store) == {"a": data}
    for number, data in enumerate(STATES):
        assert restore(Store.open(place), f"latest~{4 - number}") == {"a": data}


def test_repair_waits_for_a_base_that_cannot_be_read_now(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that is not of the bytes: deltas stay where they are, as their base does."""
    base, _ = where(place, digest(BIG[:MIB]))
    base.rename(place / "kept")
    base.mkdir()  # which no one can read from
    monkeypatch.setattr("nbsnap.pieces._READ", {})
    report = repair(Store.open(place))
    assert (len(report.problems), report.rewritten) == (4, 0)
    base.rmdir()
    (place / "kept").rename(base)
    is_whole(Store.open(place), 0, 1, 2, 3, 4)


# --- what is made up --------------------------------------------------------------------------------------------------


def crafted(store: Store, *pieces: tuple[bytes, bytes, int, bytes]) -> None:
    """Put a pack into a store: (id, stored, codec, base) each, of a MiB."""
    data = b"".join(stored for _, stored, _, _ in pieces)
    at, records = 0, []
    for id, stored, codec, base in pieces:
        records.append(Piece(id, at, len(stored), MIB, codec, base))
        at += len(stored)
    pack = os.urandom(16).hex()
    index = encode_index(pack, at, records)
    for name, content in ((pack_file(pack), data + index), (index_file(pack), index)):
        sink = store.backend.create(name)
        sink.write(content)
        sink.publish()


def delta_of(raw: bytes, base: bytes) -> bytes:
    stored = deltas.encode(raw, digest(base), bytearray(base), 0.9)
    assert stored is not None
    return stored


ONE, TWO, THREE = BIG[:MIB], changed(BIG, 5)[:MIB], changed(BIG, 9)[:MIB]
A, B, C = map(digest, (ONE, TWO, THREE))
MADE_UP = {
    "a delta of a delta": [
        (A, ONE, RAW, b""),
        (B, delta_of(TWO, ONE), DELTA, A),
        (C, delta_of(THREE, TWO), DELTA, B),
    ],
    "deltas of each other": [(B, delta_of(TWO, THREE), DELTA, C), (C, delta_of(THREE, TWO), DELTA, B)],
    "a base that is nowhere": [(C, delta_of(THREE, TWO), DELTA, B)],
    "another base than the index says": [
        (A, ONE, RAW, b""),
        (B, TWO, RAW, b""),
        (C, delta_of(THREE, TWO), DELTA, A),
    ],
    "a base that is altered": [(B, ONE, RAW, b""), (C, delta_of(THREE, TWO), DELTA, B)],
    "a delta of something else": [(B, TWO, RAW, b""), (C, delta_of(ONE, TWO), DELTA, B)],
}


@pytest.mark.parametrize("what", MADE_UP)
def test_what_is_made_up_is_damage(what: str) -> None:
    """Whatever a delta claims, it is the piece that its id says, or an error, and never an endless search."""
    store = Store(MemoryBackend(), create=True)
    crafted(store, *MADE_UP[what])
    store.pieces.look()
    at = store.pieces.place(C)
    assert at is not None
    for ask in (store.pieces.sound, store.pieces.fetch):
        with pytest.raises(DamageError):
            ask(*at)
    again = Store(store.backend)  # which knows nothing of this
    with again.writer(notebook=NOTEBOOK) as writer:
        writer.commit(record({"a": writer.put(THREE)}))
    if what in ("a delta of a delta", "deltas of each other", "a base that is nowhere"):  # that can be seen at once
        assert restore(Store(store.backend)) == {"a": THREE}


# --- from store to store ----------------------------------------------------------------------------------------------


def test_copies_are_deltas_too(history: Store, tmp_path: Path) -> None:
    """What is copied takes no more than it took, base and all, into a store, a file, and out of it."""
    target = Store(MemoryBackend(), create=True)
    report = copy(history, target, history.entries())
    assert report.problems == ()
    is_whole(target, 0, 1, 2, 3, 4)
    assert len(all_deltas(target)) == len(all_deltas(history)) == 5
    assert target.backend.usage() < history.backend.usage() + 10_000
    export(history, history.entries(), tmp_path / "all.nbsnap")
    is_whole(Store.open(tmp_path / "all.nbsnap"), 0, 1, 2, 3, 4)
    assert os.path.getsize(tmp_path / "all.nbsnap") < history.backend.usage() + 100_000


def test_one_snapshot_brings_its_bases(history: Store, tmp_path: Path) -> None:
    """A file of one snapshot holds all that it needs, and what goes on from it does as well."""
    entry = next(entry for entry in history.entries() if history.head(entry).name == "s2")
    export(history, [entry], tmp_path / "one.nbsnap")
    single = Store.open(tmp_path / "one.nbsnap")
    is_whole(single, 2)
    target = Store(MemoryBackend(), create=True)
    copy(single, target, single.entries())
    copy(history, target, history.entries())
    is_whole(target, 0, 1, 2, 3, 4)


def test_a_delta_goes_whole_where_its_base_is_none(store: Store) -> None:
    """The target has the base as a delta of another: what differs from it is copied as a piece by itself."""
    save(store, {"a": ONE})
    save(store, {"a": TWO})  # here a delta of the first
    source = Store(MemoryBackend(), create=True)
    save(source, {"a": TWO})
    save(source, {"a": THREE}, "three")  # there a delta of the second
    report = copy(source, store, source.entries())
    assert report.problems == ()
    again = Store(store.backend)
    assert restore(again, "three") == {"a": THREE}
    assert len(all_deltas(again)) == 1
    assert_clean(again)


def test_an_interrupted_export_goes_on(place: Path, tmp_path: Path) -> None:
    """What is in the file of one that was cut off, deltas included, is taken up."""
    store = Store.open(place)
    export(store, store.entries(), tmp_path / "all.nbsnap")
    whole = (tmp_path / "all.nbsnap").read_bytes()
    for part in (0.3, 0.8, 0.97, 0.995):
        (tmp_path / "again.nbsnap.part").write_bytes(whole[: int(len(whole) * part)])
        export(store, store.entries(), tmp_path / "again.nbsnap")
        is_whole(Store.open(tmp_path / "again.nbsnap"), 0, 1, 2, 3, 4)
        os.unlink(tmp_path / "again.nbsnap")


def test_drift_is_a_delta(store: Store) -> None:
    """What the other tests of this half save has deltas in it."""
    for seed in range(4):
        save(store, {"drift": drift(seed)})
    assert all_deltas(store)


# --- mapped -----------------------------------------------------------------------------------------------------------

LONG = noise(20 * MIB, 11)
SCATTERED = changed(LONG, *range(70_000, 20 * MIB, MIB // 2), 20 * MIB - 1)


def mapped(store: Store, *, before: bool = False) -> tuple[Any, list[Laid]]:
    """The buffer of the newest snapshot as a restore lays it out, and what is left to verify."""
    made = store.reader(size=1 << 30, before=before)
    (group,) = store.find("latest", NOTEBOOK).groups
    (buffer,) = made.buffers(group)
    return buffer, made.unverified


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """A store with a long array, and with that array changed in each of its pieces."""
    with Store.open(tmp_path / "long", create=True) as store:
        save(store, {"a": LONG})
        assert save(store, {"a": SCATTERED}).new_bytes < 50 * BLOCK
    return tmp_path / "long"


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is mapped there")
def test_deltas_are_mapped(long: Path) -> None:
    """What they differ from is mapped in one part, and what differs written over it; the file never knows."""
    store = Store.open(long)
    buffer, laid = mapped(store)
    assert isinstance(buffer, Region)
    assert buffer.parts == 1
    assert sum(part.run.size for part in laid) == len(LONG)
    assert bytes(buffer) == SCATTERED
    told: list[object] = []
    later.verify(store.pieces, laid, lambda *words: told.append(words))
    assert later.wait(60)
    assert told == []
    buffer[:100] = bytes(100)
    assert bytes(mapped(Store.open(long))[0]) == SCATTERED
    assert_clean(store)


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is mapped there")
@pytest.mark.parametrize("what", ["base", "delta", "length"])
def test_damage_is_told_of_what_is_mapped(long: Path, what: str) -> None:
    """Of a base, beneath what a delta does not hold, and of a delta; what is verified before is not handed out."""
    store = Store.open(long)
    pack, piece = sorted(all_deltas(store), key=lambda found: found[1].offset)[5]
    if what == "base":
        base, at = where(long, piece.base)
        alter(base, at + 5000)
    elif what == "delta":
        alter(long / pack_file(pack), piece.offset + piece.stored - 100)
    else:
        alter(long / pack_file(pack), piece.offset + 33, b"\xff")
    again = Store.open(long)
    if what == "length":  # it is seen at once
        with pytest.raises(DamageError):
            mapped(again)
        return
    buffer, laid = mapped(again)
    assert isinstance(buffer, Region)
    told: list[tuple[str, ...]] = []
    later.verify(again.pieces, laid, lambda names, words: told.append(names))
    assert later.wait(60)
    assert told == [("a",)]
    with pytest.raises(DamageError):
        mapped(Store.open(long), before=True)


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is mapped there")
def test_what_is_mapped_outlives_its_packs(long: Path) -> None:
    """Deleting and pruning under an array of deltas changes nothing in it, and is no damage."""
    store = Store.open(long)
    save(store, {"b": noise(100)}, "left")
    made = store.reader(size=1 << 30)
    (group,) = store.find("latest~1", NOTEBOOK).groups
    (buffer,) = made.buffers(group)
    store.delete("latest~1", notebook=NOTEBOOK)
    store.delete("latest~1", notebook=NOTEBOOK)
    assert store.backend.usage() < MIB
    told: list[object] = []
    later.verify(store.pieces, made.unverified, lambda *words: told.append(words))
    assert later.wait(60)
    assert told == []
    assert bytes(buffer) == SCATTERED


def test_what_goes_on_changing_is_written_whole_now_and_then(store: Store) -> None:
    """Deltas of deltas' bases are short: a quarter of a piece at most."""
    data, longest = noise(2 * MIB, 3), 0
    save(store, {"a": data})
    for number in range(60):
        data = changed(data, *((number * 7919 + at * 61_001) * 257 % (2 * MIB) for at in range(1, 3)))
        save(store, {"a": data})
        longest = max(longest, *(piece.stored for _, piece in all_deltas(store)))
    plain = [piece for index in store.pieces.indexes() for piece in index.pieces() if piece.codec == RAW]
    assert longest <= MIB // 4
    assert len(plain) >= 2
    assert restore(store) == {"a": data}
    assert_clean(store)
