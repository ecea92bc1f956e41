"""One file that is a store: what other tools make of it, what it makes of theirs, and of files that lie."""

from __future__ import annotations

import os
import random
import shutil
import stat
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from storage.making import NOTEBOOK, assert_clean, mixed, noise, restore, save

from nbsnap import transfer, zipform
from nbsnap.archive import ArchiveBackend, is_archive
from nbsnap.archiver import ALIGNED, ArchiveWriter
from nbsnap.backends import MemoryBackend
from nbsnap.digest import PIECE_SIZE
from nbsnap.errors import (
    DamageError,
    NbSnapError,
    SnapshotNotFound,
    StoreError,
    StoreNotFound,
    StoreVersionError,
)
from nbsnap.mapping import Region, is_safe
from nbsnap.model import Group
from nbsnap.store import Store
from nbsnap.transfer import chosen, copy, export
from nbsnap.tree import parse_pack, parse_snapshot

POSIX = pytest.mark.skipif(os.name != "posix", reason="modes and links of POSIX")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with three snapshots of two notebooks; nobody changes it."""
    store = Store(tmp_path_factory.mktemp("source") / "store", create=True)
    save(store, mixed(1), "one")
    save(store, mixed(2), "two")
    save(store, {**mixed(2), "big": noise(6 * PIECE_SIZE, 5)}, "three", notebook="other.ipynb")
    return store


@pytest.fixture
def file(source: Store, tmp_path: Path) -> Path:
    """All of it in one file."""
    assert export(source, source.entries(), tmp_path / "all.nbsnap").ok
    return tmp_path / "all.nbsnap"


def same(file: Path, source: Store) -> None:
    """A file has all that a store has."""
    store = Store(file)
    assert [entry.file for entry in store.entries()] == [entry.file for entry in source.entries()]
    assert restore(store, "one") == mixed(1)
    assert restore(store, "three", None)["big"] == noise(6 * PIECE_SIZE, 5)
    assert_clean(store)


# --- what it is -------------------------------------------------------------------------------------------------------


def test_it_is_a_store(file: Path, source: Store) -> None:
    """All that reads a store reads the file: list, show, compare, check, restore; of any notebook."""
    same(file, source)
    store = Store(file)
    assert store.is_file
    assert not Store(source.place).is_file
    assert store.stranger() == ""
    assert store.list().size == file.stat().st_size
    assert store.diff("one", "two", NOTEBOOK).changes
    assert store.find("latest").head.name == "three"
    assert [head.notebook for head in store.notebooks()] == ["other.ipynb", NOTEBOOK]
    store.close()
    assert restore(store, "two") == mixed(2)


def test_it_is_a_zip(file: Path, source: Store, tmp_path: Path) -> None:
    """Python's own reader finds every member whole, in the order of the writes; unpacked, it is a store."""
    with zipfile.ZipFile(file) as opened:
        assert opened.testzip() is None
        members = opened.infolist()
        assert {member.compress_type for member in members} == {zipfile.ZIP_STORED}
        assert [member.filename for member in members[:2]] == ["store.json", ".gitignore"]
        kinds = [Path(member.filename).suffix for member in sorted(members, key=lambda member: member.header_offset)]
        assert kinds[2:] == [".pack", ".index", ".snap", ".snap", ".snap"]
        opened.extractall(tmp_path / "unpacked")
    unpacked = Store(tmp_path / "unpacked")
    assert_clean(unpacked)
    assert restore(unpacked, "one") == mixed(1)
    assert {entry.file: unpacked.backend.read(entry.file) for entry in unpacked.entries()} == {
        entry.file: source.backend.read(entry.file) for entry in source.entries()
    }
    save(unpacked, {"a": b"1"}, "four")
    assert_clean(unpacked)


@pytest.mark.skipif(shutil.which("unzip") is None, reason="needs unzip")
def test_unzip_reads_it(file: Path) -> None:
    """So does what most systems have."""
    done = subprocess.run(["unzip", "-tq", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_packs_lie_on_a_page(file: Path) -> None:
    """The bytes of a pack begin at a multiple of 16 KiB, and the gap is an extra field that tools know."""
    with zipfile.ZipFile(file) as opened:
        (pack,) = [member for member in opened.infolist() if member.filename.endswith(".pack")]
    data = file.read_bytes()
    named, more = struct.unpack_from("<HH", data, pack.header_offset + 26)
    extra = data[pack.header_offset + 30 + named :][:more]
    assert (pack.header_offset + 30 + named + more) % ALIGNED == 0
    assert struct.unpack_from("<HHH", extra) == (0xD935, more - 4, ALIGNED)
    assert not extra[6:].strip(b"\0")


@POSIX
def test_it_is_for_its_owner_alone(source: Store, tmp_path: Path) -> None:
    """Mode 0600, whatever the umask; and what is not an ordinary file is not replaced."""
    old = os.umask(0)
    try:
        export(source, chosen(source, ["one"], None), tmp_path / "x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for place in (tmp_path / "link", tmp_path):
        with pytest.raises(NbSnapError, match="not an ordinary file"):
            export(source, source.entries(), place, force=True)
    assert not (tmp_path / "elsewhere").exists()
    (tmp_path / "elsewhere").write_bytes(b"")
    for name, make in (("a", os.symlink), ("b", os.link)):
        make(tmp_path / "elsewhere", tmp_path / f"{name}.part")
        with pytest.raises(NbSnapError, match="not of an export that was interrupted"):
            export(source, source.entries(), tmp_path / name)
    assert (tmp_path / "elsewhere").read_bytes() == b""


def test_what_is_there_stays(file: Path, source: Store, tmp_path: Path) -> None:
    """A file is replaced only with force, and only by a whole one; a stranger's .part stops it."""
    before = file.read_bytes()
    with pytest.raises(NbSnapError, match="is there already: --force"):
        export(source, chosen(source, ["one"], None), file)
    assert file.read_bytes() == before
    report = export(source, chosen(source, ["one"], None), file, force=True)
    assert [head.name for head in Store(file).heads()] == ["one"]
    assert report.bytes == file.stat().st_size < len(before)
    (tmp_path / "y.part").write_bytes(b"something of mine")
    with pytest.raises(NbSnapError, match="not of an export that was interrupted: remove it"):
        export(source, source.entries(), tmp_path / "y")
    assert (tmp_path / "y.part").read_bytes() == b"something of mine"
    with pytest.raises(NbSnapError, match="there is no such folder"):
        export(source, source.entries(), tmp_path / "none" / "y")
    assert sorted(os.listdir(tmp_path)) == ["all.nbsnap", "work", "y.part"]


def test_a_dry_run_writes_nothing(source: Store, tmp_path: Path) -> None:
    """It says what would be in it."""
    report = export(source, source.entries(), tmp_path / "x", dry_run=True)
    assert [head.name for head in report.copied] == ["one", "two", "three"]
    assert report.bytes > 6 * PIECE_SIZE
    assert not (tmp_path / "x").exists()
    assert not (tmp_path / "x.part").exists()


def test_it_is_only_read(file: Path) -> None:
    """Saving into it, removing from it and signing in it are one line; it stays as it is."""
    before = file.read_bytes()
    store = Store(file)
    with pytest.raises(StoreError, match="it is one file, which is only read; `nbsnap import`"):
        Store(file, create=True)
    with pytest.raises(StoreError, match="only read"):
        save(store, {"a": b"1"})
    with pytest.raises(StoreError, match="only read"):
        store.delete("one")
    with pytest.raises(StoreError, match="only read"):
        store.sign(store.entries()[0], lambda signature, id: "x")
    with pytest.raises(StoreError, match="only read"):
        copy(store, Store(file), store.entries())
    assert file.read_bytes() == before


def test_it_is_exchanged_meanwhile(file: Path, source: Store) -> None:
    """A file that is another one by now is not read by the places of the former; that is told."""
    store = Store(file)
    store.close()
    export(source, chosen(source, ["one"], None), file, force=True)
    with pytest.raises(StoreError, match="it is another file by now"):
        store.load_entry(store.entries()[0])
    assert Store(file).find("one").head.name == "one"


def buffers(store: Store, name: str) -> Region:
    snapshot = store.find("three")
    (group,) = [group for group in snapshot.groups if group.variables == (name,)]
    assert isinstance(group, Group)
    (made,) = store.reader(size=100 << 20).buffers(group)
    assert isinstance(made, Region)
    return made


@pytest.mark.skipif(sys.platform != "linux", reason="maps")
def test_big_arrays_are_mapped_from_it(file: Path, tmp_path: Path) -> None:
    """As from a folder: privately, and not where the bytes do not lie on a page."""
    with file.open("rb") as opened:
        if not is_safe(opened.fileno()):
            pytest.skip("a file system that is not mapped")
    before = file.read_bytes()
    made = buffers(Store(file), "big")
    assert made.parts > 0
    assert bytes(made) == noise(6 * PIECE_SIZE, 5)
    made[:5] = b"12345"
    assert file.read_bytes() == before
    shifted = tmp_path / "shifted"
    repacked(file, shifted)
    again = buffers(Store(shifted), "big")
    assert again.parts == 0
    assert bytes(again) == noise(6 * PIECE_SIZE, 5)
    file.unlink()
    assert made[5:] == noise(6 * PIECE_SIZE, 5)[5:]


# --- an export that was interrupted -----------------------------------------------------------------------------------


class Stop(BaseException):
    """It ends here."""


@pytest.fixture
def part(source: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All of a file but the directory, in several packs."""
    monkeypatch.setattr(transfer, "FULL", 2 * PIECE_SIZE)

    def stop(self: ArchiveWriter) -> int:
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(ArchiveWriter, "finish", stop)
        with pytest.raises(Stop):
            export(source, source.entries(), tmp_path / "x")
    return tmp_path / "x.part"


def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the members that are written from now on."""
    names: list[str] = []
    create = ArchiveWriter.create
    monkeypatch.setattr(ArchiveWriter, "create", lambda self, name: names.append(name) or create(self, name))
    return names


def test_it_goes_on_where_it_was(source: Store, part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is whole is not written again, wherever it was cut, and the file is the same in the end."""
    whole = part.read_bytes()
    names = written(monkeypatch)
    place = part.with_suffix("")
    export(source, source.entries(), place)
    assert names == []
    assert place.read_bytes()[: len(whole)] == whole
    same(place, source)
    assert not part.exists()
    with zipfile.ZipFile(place) as opened:
        members = {member.header_offset: member.filename for member in opened.infolist()}
    ends = dict(zip(members.values(), [*list(members)[1:], len(whole)], strict=True))
    cuts = [at + (0, 31, 200, 10)[number % 4] for number, at in enumerate(members)] + [10, 31, len(whole) - 1]
    for cut in cuts:
        names.clear()
        place.unlink()
        part.write_bytes(whole[:cut] + bytes(50))
        export(source, source.entries(), place)
        same(place, source)
        kept = [name for name, end in ends.items() if end <= cut and parse_snapshot(name)]
        assert not set(kept) & set(names)
        assert not part.exists()


def test_what_is_altered_is_written_again(source: Store, part: Path) -> None:
    """Nothing in a .part is believed: what does not verify goes, with all behind it."""
    whole, place, chance = part.read_bytes(), part.with_suffix(""), random.Random(1)
    for _ in range(6):
        data = bytearray(whole)
        data[chance.randrange(60, len(data))] ^= 0x10
        part.write_bytes(data)
        export(source, source.entries(), place)
        same(place, source)
        place.unlink()


def test_a_part_of_another_export(source: Store, part: Path, tmp_path: Path) -> None:
    """What belongs to other snapshots is not carried along."""
    report = export(source, chosen(source, ["one"], None), tmp_path / "x")
    assert report.ok
    assert [head.name for head in Store(tmp_path / "x").heads()] == ["one"]
    alone = export(source, chosen(source, ["one"], None), tmp_path / "alone").bytes
    assert report.bytes <= alone + ALIGNED


@pytest.mark.skipif(sys.platform == "win32", reason="needs flock")
def test_two_exports_at_once(source: Store, tmp_path: Path) -> None:
    """The second one says so; when the first has ended, it works."""
    with ArchiveWriter(tmp_path / "x") as first:
        Store(first, create=True)
        with pytest.raises(NbSnapError, match="is being written just now by another export"):
            export(source, source.entries(), tmp_path / "x")
    assert not (tmp_path / "x.part").exists()
    assert export(source, source.entries(), tmp_path / "x").ok


def test_nothing_sound_to_export(tmp_path: Path) -> None:
    """Where the only snapshot is damaged there is no file, and no .part."""
    store = Store(tmp_path / "store", create=True)
    save(store, {"a": noise(5000)}, "one")
    (pack,) = (tmp_path / "store" / "packs").glob("*.pack")
    data = bytearray(pack.read_bytes())
    data[100] ^= 1
    pack.write_bytes(data)
    with pytest.raises(DamageError, match=r"one \(.* was not copied: .*altered"):
        export(store, store.entries(), tmp_path / "x")
    assert not [name for name in os.listdir(tmp_path) if name.startswith("x")]


# --- files of others --------------------------------------------------------------------------------------------------


def repacked(file: Path, to: Path, method: int = zipfile.ZIP_STORED, change: Callable[[str], str] = str) -> None:
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(to, "w", method) as new:
        new.writestr("packs/", b"")
        for name in old.namelist():
            new.writestr(change(name), old.read(name))


def test_made_by_another_tool(file: Path, source: Store, tmp_path: Path) -> None:
    """A ZIP that somebody has made of a store is read, if it compresses nothing; foreign members are passed over."""
    repacked(file, tmp_path / "again")
    same(tmp_path / "again", source)
    with zipfile.ZipFile(tmp_path / "again", "a") as opened:
        for name in ("../../outside", "/etc/passwd", "a/b/c/d", "tmp/x-1-2", "notes ü.txt", "C:\\x", ""):
            opened.writestr(name or "x" * 200, b"evil")
    same(tmp_path / "again", source)
    assert not [name for name in Store(tmp_path / "again").backend.list("") if "evil" in name or ".." in name]
    repacked(file, tmp_path / "small", zipfile.ZIP_DEFLATED)
    with pytest.raises(DamageError, match="compressed: unpack it, and use the folder"):
        Store(tmp_path / "small")
    repacked(file, tmp_path / "deeper", change=lambda name: f".nbsnap/{name}")
    with pytest.raises(StoreNotFound):
        Store(tmp_path / "deeper")


def test_what_is_no_archive(tmp_path: Path) -> None:
    """A file that is something else is no store, and opening a pipe or a device is not even tried."""
    (tmp_path / "text").write_text("hello")
    assert not is_archive(tmp_path / "text")
    with pytest.raises(StoreNotFound):
        Store(tmp_path / "text")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        assert not is_archive(tmp_path / "pipe")
    assert not is_archive("/dev/zero")
    assert not is_archive(tmp_path / "missing")


def find(data: bytearray, sign: bytes, number: int = 0) -> int:
    """Where the record is with that sign, counted from the beginning, or from the end."""
    places = []
    at = data.find(sign)
    while at >= 0:
        places.append(at)
        at = data.find(sign, at + 1)
    return places[number]


def put(data: bytearray, at: int, form: str, value: int) -> None:
    struct.pack_into(form, data, at, value)


def lies() -> dict[str, Callable[[bytearray], object]]:
    """Each turns the bytes of a sound file into those of one that lies."""
    central = b"PK\1\2"
    return {
        "cut": lambda data: data.__delitem__(slice(len(data) - 1, None)),
        "half": lambda data: data.__delitem__(slice(len(data) // 2, None)),
        "something behind": lambda data: data.extend(b"x"),
        "a comment": lambda data: (put(data, len(data) - 2, "<H", 4), data.extend(b"text")),
        "something in front": lambda data: data.__setitem__(slice(0, 0), b"PK\3\4" + bytes(100)),
        "fewer members": lambda data: put(data, len(data) - 12, "<H", 3),
        "another number": lambda data: (put(data, len(data) - 12, "<H", 999), put(data, len(data) - 14, "<H", 999)),
        "encrypted": lambda data: put(data, find(data, central, 2) + 8, "<H", 1),
        "compressed": lambda data: put(data, find(data, central, 2) + 10, "<H", 8),
        "longer than it is": lambda data: put(data, find(data, central, 2) + 20, "<I", 0x7FFFFFFF),
        "one over the other": lambda data: put(data, find(data, central, 3) + 42, "<I", 90),
        "far away": lambda data: put(data, find(data, central, 3) + 42, "<I", 0xFFFFFFF0),
        "wide and nothing": lambda data: put(data, find(data, central, 3) + 42, "<I", 0xFFFFFFFF),
        "all at one place": lambda data: [
            put(data, find(data, central, number) + 42, "<I", 0) for number in range(5)
        ],
        "a name twice": lambda data: data.__setitem__(slice(find(data, central, 0) + 46, find(data, central, 0) + 56),
                                                      b".gitignore"),
        "the sign": lambda data: put(data, find(data, central, 4), "<I", 0),
    }  # fmt: skip


@pytest.mark.parametrize("lie", lies())
def test_files_that_lie(lie: str, file: Path) -> None:
    """Whatever the directory says that cannot be: one line, and no member is read."""
    data = bytearray(file.read_bytes())
    lies()[lie](data)
    file.write_bytes(data)
    with pytest.raises(StoreError) as caught:
        Store(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_header_that_differs(file: Path) -> None:
    """Where something else stands than the directory says, that member cannot be read; the others can."""
    data = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as opened:
        snaps = [one for one in opened.infolist() if one.filename.endswith(".snap")]
    for change in (
        lambda at: put(data, at, "<I", 0),  # no header
        lambda at: put(data, at + 8, "<H", 8),  # compressed
        lambda at: put(data, at + 28, "<H", 0xFFFF),  # begins behind where it has to end
        lambda at: data.__setitem__(at + 30, ord("x")),  # another name
    ):
        data[:] = file.read_bytes() if change is None else data
        original = bytes(data)
        change(snaps[1].header_offset)
        file.write_bytes(data)
        store = Store(file)
        assert [head.name for head in store.heads()] == ["one", "three"]
        assert "not what the directory says" in store.problems[0]
        data[:] = original


def test_altered_bytes_are_found(file: Path, tmp_path: Path) -> None:
    """What is in it is verified as in any store: import takes what is whole, and names what is not."""
    data = bytearray(file.read_bytes())
    at = data.find(noise(6 * PIECE_SIZE, 5)[:64])
    data[at + 5] ^= 1
    file.write_bytes(data)
    target = Store(tmp_path / "target", create=True)
    report = copy(Store(file), target, Store(file).entries())
    assert [head.name for head in report.copied] == ["one", "two"]
    assert "belongs to big" in report.problems[0]
    assert_clean(target)


def test_what_is_whole_of_a_file_that_was_cut(source: Store, part: Path, tmp_path: Path) -> None:
    """Without its end, a file is walked from header to header: snapshots that are whole before the cut are there."""
    data = part.read_bytes()
    first = data.find(b"PK\3\4", data.find(source.entries()[0].file.encode()))
    file = tmp_path / "cut"
    file.write_bytes(data[:first])
    with pytest.raises(DamageError, match="`nbsnap import` takes what is whole"):
        Store(file)
    backend = ArchiveBackend(file, salvage=True)
    assert "cut short" in backend.cut
    store = Store(backend)
    assert [head.name for head in store.heads()] == ["one"]
    target = Store(tmp_path / "target", create=True)
    assert [head.name for head in copy(store, target, store.entries()).copied] == ["one"]
    assert_clean(target)


# --- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="files with holes")
def test_beyond_four_gigabytes(source: Store, tmp_path: Path) -> None:
    """Where members lie may take more than 32 bits: we and Python's reader find them."""
    with ArchiveWriter(tmp_path / "x") as writer:
        store = Store(writer, create=True)
        writer.end = 5 << 30
        copy(source, store, chosen(source, ["one"], None))
        writer.finish()
    store = Store(tmp_path / "x")
    assert restore(store, "one") == mixed(1)
    assert_clean(store)
    with zipfile.ZipFile(tmp_path / "x") as opened:
        (name,) = [name for name in opened.namelist() if parse_pack(name)]
        assert opened.getinfo(name).header_offset >= 5 << 30
        assert zlib.crc32(opened.read(name)) == opened.getinfo(name).CRC


@pytest.mark.slow
def test_many_members(tmp_path: Path) -> None:
    """More than 65,535 of them."""
    with ArchiveWriter(tmp_path / "x") as writer:
        Store(writer, create=True)
        for number in range(66_000):
            sink = writer.create(f"damaged/{number}")
            sink.write(b"x")
            sink.publish()
        writer.finish()
    assert len(Store(tmp_path / "x").backend.list("damaged")) == 66_000
    with zipfile.ZipFile(tmp_path / "x") as opened:
        assert len(opened.namelist()) == 66_002


def test_too_many_members(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory longer than any of ours is not read."""
    monkeypatch.setattr(zipform, "MAX_DIRECTORY", 100)
    with pytest.raises(DamageError, match="too many"):
        Store(file)


def test_nothing_by_that_name(file: Path) -> None:
    """An unknown snapshot is the same line as in a folder."""
    with pytest.raises(SnapshotNotFound, match="close: one"):
        Store(file).find("onee")


@POSIX
def test_a_link_to_it(file: Path, source: Store, tmp_path: Path) -> None:
    """The user's own arrangement: it is read by way of a link."""
    (tmp_path / "link").symlink_to(file)
    same(tmp_path / "link", source)
    assert Store(tmp_path / "link").stranger() == ""


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root, to give a file away")
def test_another_users_file(file: Path) -> None:
    """It is told whose it is, so that a restore asks for --trust; and it is not mapped."""
    os.chown(file, 12345, -1)
    store = Store(file)
    assert "belongs to another user: uid 12345" in store.stranger()
    assert buffers(store, "big").parts == 0


def test_of_a_later_format(file: Path, tmp_path: Path) -> None:
    """A file of a format that this nbsnap does not know is refused; a record of one is passed over, and named."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(tmp_path / "later", "w") as new:
        for name in old.namelist():
            new.writestr(name, b'{"format":2}' if name == "store.json" else old.read(name))
    with pytest.raises(StoreVersionError):
        Store(tmp_path / "later")
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(tmp_path / "record", "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, data.replace(b'"format":1,', b'"format":2,') if name.endswith(".snap") else data)
    target = Store(tmp_path / "target", create=True)
    report = copy(Store(tmp_path / "record"), target, Store(tmp_path / "record").entries())
    assert (len(report.problems), report.copied) == (3, ())
    assert all("upgrade" in line for line in report.problems)
    assert_clean(target)


def test_random_damage(tmp_path: Path) -> None:
    """Whatever bytes are changed, lost or put in: what can be copied is right and whole, the rest is one line each."""
    source = Store(MemoryBackend(), create=True)
    states = {}
    for number in range(3):
        state = {"a": noise(3000, number), "b": noise(80_000, number // 2)}
        states[save(source, state, f"s{number}").id] = state
    file, chance = tmp_path / "x", random.Random(3)
    export(source, source.entries(), file)
    whole = file.read_bytes()
    directory = whole.find(b"PK\1\2")
    outcomes = set()
    for _ in range(80):
        data = bytearray(whole)
        at = chance.randrange(chance.choice([0, directory]), len(data))
        change = chance.choice([bytes([data[at] ^ 1 << chance.randrange(8)]), b"\xff\xff\xff\xff", b"PK\3\4", b""])
        data[at : at + chance.choice([0, 1, len(change), 46])] = change
        file.write_bytes(data)
        for salvage in (False, True):
            target = Store(MemoryBackend(), create=True)
            try:
                damaged = Store(ArchiveBackend(file, salvage=salvage))
                copy(damaged, target, damaged.entries())
            except StoreError as error:
                assert "\n" not in str(error)
            assert_clean(target)
            for entry in target.entries():
                assert restore(target, entry.id, None) == states[entry.id]
            outcomes.add(len(target.entries()))
    assert {0, 3} < outcomes
