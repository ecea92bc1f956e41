"""Stores that somebody made to do harm: each is a function that turns a sound store into one.

As a program, all that can be asked of a store that one does not trust: `python hostile.py PLACE MEGABYTES` runs each
command as text, as JSON and as HTML, with so much memory, and prints what was said as a line of JSON."""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import stat
import struct
import sys
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import zstandard

from nbsnap import manifest
from nbsnap.digest import PIECE_SIZE, digest, piece_id
from nbsnap.packs import RAW, ZSTD, Piece, encode_index
from nbsnap.tree import index_file, new_pack, pack_file, snapshot_file

EVIL = (
    "\x1b]0;owned\x07\x1b[2J</td><script>alert(1)</script><img src=x onerror=alert(1)>\u202e\r\n\ud800'\"&\x00 ../../x"
)
STAMP = "20300101T000000000000Z"

#: Everything that reads a store, and what removes from it.
COMMANDS = [
    "list -v", "show", "show latest~1 -v", "show --html page.html", "show evil", "diff latest~1 latest",
    "diff latest latest~1 -v", "check", "check --quick", "trust latest", "trust --all", "prune --dry-run --last 1",
    "delete latest --dry-run", "prune --last 1 --max-size 1MB --dry-run", "check --repair", "check",
    "prune --last 1 --named", "delete latest", "list",
]  # fmt: skip

#: What copies from one; asked of hostile files, too, with what reads them.
COPIES = [
    "sync PLACE copied --dry-run", "sync PLACE copied", "export --all --force copy.nbsnap --store PLACE",
    "import PLACE --store imported", "check --store copied", "check --store imported",
]  # fmt: skip
READS = [
    f"{command} --store PLACE" for command in ("list -v", "show", "show latest~1 -v", "diff latest~1 latest", "check")
]


def craft(place: Path, body: dict[str, Any] | bytes, *, stamp: str = STAMP, **head: Any) -> Path:
    """Put a manifest into a store: any body and any head, with all hashes right."""
    plain = body if isinstance(body, bytes) else manifest._dumps(body)
    line: dict[str, Any] = {"format": 1, "time": "2030-01-01T00:00:00.000000Z", "notebook": "work/analysis.ipynb"}
    line |= {"body": piece_id(plain), "body_size": len(plain), "seconds": 0.5, **head}
    line |= {"id": manifest._id_of(line), "signature": ""}
    text = manifest._dumps(line) + b"\n" + zstandard.ZstdCompressor(level=3).compress(plain)
    name = line.get("name", "")
    path = place / snapshot_file(line["notebook"], stamp, line["id"], name if isinstance(name, str) else "")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    return path


def put_pack(place: Path, pieces: list[tuple[bytes, bytes, int, int]], *, at: list[int] | None = None) -> str:
    """Put a pack into a store: (id, stored, raw, codec) each, where it pleases; the index's hash is right."""
    pack, records, data = new_pack(), [], b""
    for number, (id, stored, raw, codec) in enumerate(pieces):
        offset = at[number] if at else len(data)
        records.append(Piece(id, offset, len(stored), raw, codec))
        if offset == len(data):
            data += stored
    index = encode_index(pack, len(data), records)
    (place / pack_file(pack)).write_bytes(data + index)
    (place / index_file(pack)).write_bytes(index)
    return pack


def variables(number: int, *ids: str, size: int, name: str = "v") -> dict[str, Any]:
    """A body with so many variables, all of the same content."""
    names = [f"{name}{at}" for at in range(number)]
    groups = [f"g{at}" for at in range(number)]
    return {
        "variables": {"name": names, "group": groups},
        "groups": {"id": groups, "variables": [[one] for one in names], "engine": ["pickle"] * number,
                   "stream": [[size, *ids]] * number},
    }  # fmt: skip


def texts(place: Path) -> None:
    """Commands for terminals and browsers, in every text that there is."""
    body = {
        "variables": {"name": [EVIL, "v"], "type": [EVIL, EVIL], "summary": [EVIL, EVIL], "code": [EVIL, EVIL],
                      "notes": [[EVIL], []], "source": [EVIL, f"{EVIL}:1"], "group": [EVIL, EVIL], "size": [1, 2],
                      "cell": [1, None]},
        "groups": {"id": [EVIL], "variables": [[EVIL, "v"]], "engine": [EVIL], "modules": [[EVIL]], "needs": [[EVIL]],
                   "python": [EVIL]},
        "definitions": {"key": [EVIL], "group": [EVIL], "needs": [[EVIL]]},
        "skips": {"name": [EVIL], "type": [EVIL], "path": [EVIL], "reason": [EVIL], "hint": [EVIL], "code": [EVIL],
                  "kind": [EVIL], "cell": [3]},
        "packages": {"name": [EVIL], "version": [EVIL]},
        "history": {"number": [1], "source": [EVIL]},
        "sources": {"file": [EVIL], "text": [EVIL]},
        "beside": {"name": [EVIL, f"figures:{EVIL}"], "type": [EVIL, EVIL]},
        "previews": {"name": [EVIL, "v"], "mime": ["text/plain", "image/png"], "text": [EVIL, EVIL]},
        "cwd": EVIL,
    }  # fmt: skip
    head = dict.fromkeys(("name", "message", "parent", "python", "platform", "tool", "kind", "session", "time"), EVIL)
    craft(place, body, **head, notebook=EVIL, variables=1, size=1, skipped=1)
    craft(place, body, **head, stamp="20300101T000000000001Z")
    craft(place, body, stamp="20300101T000000000002Z", name="evil", message=EVIL)
    table = {
        "columns": [EVIL],
        "dtypes": [EVIL],
        "index": [EVIL],
        "rows": [[EVIL]],
        "shape": [1 << 70, EVIL],
        "at": EVIL,
    }
    body["previews"] = {"name": ["v"], "mime": ["application/vnd.nbsnap.table+json"], "text": [json.dumps(table)]}
    craft(place, body, stamp="20300101T000000000003Z")


def paths(place: Path) -> None:
    """Names that lead elsewhere, where names of variables, notebooks, pieces and packs belong."""
    outside = "../../../outside/kept"
    body = variables(1, size=0, name=outside) | {"packs": [], "cwd": outside, "sources": {"file": [outside]}}
    craft(place, body, notebook=outside, name=outside)
    craft(place, {"packs": ["../../../../outside/kept0000000000"]}, stamp="20300101T000000000001Z")


def numbers(place: Path) -> None:
    """Numbers that nothing in the world has."""
    most = (1 << 63) - 1
    body = {"variables": {"name": ["a", "b"], "size": [most, most], "cell": [most, 0]},
            "history": {"number": [most], "source": ["x"]}, "skips": {"name": ["s"], "cell": [most]}}  # fmt: skip
    craft(place, body, size=most, new_bytes=most, variables=most, skipped=most, seconds=1.7e308, name="evil")
    craft(place, body, size=1 << 63, stamp="20300101T000000000001Z")
    craft(
        place, b'{"cwd":"","history":{"number":[' + b"9" * 5000 + b'],"source":["x"]}}', stamp="20300101T000000000002Z"
    )
    craft(place, b'{"x":[1e999,-1e999,NaN]}', stamp="20300101T000000000003Z")
    craft(place, {"groups": {"id": ["g"], "stream": [[most]]}}, stamp="20300101T000000000004Z")
    craft(place, {}, time="9999-99-99T99:99:99.999999Z", stamp="99999999T999999999999Z")
    craft(place, {}, time="9999-12-31T23:59:59.999999Z", stamp="99991231T235959999999Z")


def long_contents(place: Path) -> None:
    """A record of some kB for which terabytes would have to be read."""
    zeros = bytes(PIECE_SIZE)
    stored = zstandard.ZstdCompressor().compress(zeros)
    put_pack(place, [(digest(zeros), stored, PIECE_SIZE, ZSTD)])
    ids = [piece_id(zeros)] * 40_000
    craft(place, variables(1, *ids, size=len(ids) * PIECE_SIZE))
    craft(place, variables(3, *ids[:40], size=40 * PIECE_SIZE), stamp="20300101T000000000001Z")


def record_bombs(place: Path) -> None:
    """Records that swell: lists in lists, empty lists by the million, one letter for ever."""
    size = 250 << 20
    craft(place, b'{"x":[' + b"[]," * (size // 3) + b"[]]}")
    craft(place, b'{"cwd":"' + b"a" * size + b'"}', stamp="20300101T000000000001Z")
    craft(place, b'{"x":' + b"[" * (1 << 20) + b"]" * (1 << 20) + b"}", stamp="20300101T000000000002Z")
    craft(place, b'{"x":' + b"[" * 900 + b"]" * 900 + b"}", stamp="20300101T000000000003Z")


def deep_heads(place: Path) -> None:
    """First lines of lists in lists, as deep as can be read and deeper."""
    for number, depth in enumerate((300, 400, 480, 500, 700, 900, 980, 990, 995, 1000, 1500, 100_000)):
        line = b'{"format":1,"x":' + b"[" * depth + b"]" * depth + b"}\n"
        folder = place / f"snapshots/deep-{'0' * 16}"
        folder.mkdir(exist_ok=True)
        (folder / f"20300101T0000000000{number:02}Z-{'0' * 64}.snap").write_bytes(line)


def piece_bombs(place: Path) -> None:
    """Pieces that would be more than they say."""
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 28))
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1 << 22))
    header = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 1 << 60) + b"\x01\x00\x00"
    for stored in (bomb, unsized, header):
        id = digest(stored)
        put_pack(place, [(id, stored, PIECE_SIZE, ZSTD)])
        craft(place, variables(1, id.hex(), size=PIECE_SIZE), stamp=f"20300101T00000000{len(stored):04}Z")


def overlapping(place: Path) -> None:
    """An index by which a few bytes are a hundred thousand pieces."""
    stored = zstandard.ZstdCompressor().compress(bytes(PIECE_SIZE))
    id = digest(bytes(PIECE_SIZE))
    many = [(id, stored, PIECE_SIZE, ZSTD)] * 100_000
    put_pack(place, many, at=[0] * len(many))
    put_pack(place, [(id, stored, PIECE_SIZE, ZSTD), (digest(b"x"), b"x", 1, RAW)], at=[0, 1 << 40])


def links(place: Path) -> None:
    """Links where files of a store belong: to a file that is not the store's."""
    kept = place.parent / "outside" / "kept"
    snap, pack = _first(place, "*.snap"), _first(place, "*.pack")
    for path in (snap, pack, pack.with_suffix(".index")):
        path.unlink()
        path.symlink_to(kept)
    (place / "tmp").mkdir(exist_ok=True)
    (place / "tmp" / _claim()).symlink_to(kept)


def linked_folder(name: str) -> Callable[[Path], None]:
    """A link where a folder of the store belongs: to a folder that is not the store's."""

    def build(place: Path) -> None:
        folder = place / name
        if folder.is_dir():
            folder.rename(place / f"{name}-was")
        folder.symlink_to(place.parent / "outside")
        if name == "damaged":
            _first(place, "*.snap").write_bytes(b"cut")

    build.__name__ = f"linked_{name}"
    return build


def hard_links(place: Path) -> None:
    """Second names of a file that is not the store's, where files of a store belong."""
    kept = place.parent / "outside" / "kept"
    snap, pack = _first(place, "*.snap"), _first(place, "*.pack")
    (place / "tmp").mkdir(exist_ok=True)
    (place / "locks").mkdir(exist_ok=True)
    for path in (snap, pack, pack.with_suffix(".index"), place / "tmp" / _claim(), place / "locks" / _claim()):
        path.unlink(missing_ok=True)
        path.hardlink_to(kept)


def _in_place(make: Callable[[Path], None]) -> Callable[[Path], None]:
    def build(place: Path) -> None:
        snap, pack = _first(place, "*.snap"), _first(place, "*.pack")
        (place / "tmp").mkdir(exist_ok=True)
        (place / "locks").mkdir(exist_ok=True)
        for path in (snap, pack, _last(place, "*.index"), place / "tmp" / _claim(), place / "locks" / _claim()):
            path.unlink(missing_ok=True)
            make(path)

    build.__name__ = make.__name__
    return build


def pipes(path: Path) -> None:
    os.mkfifo(path)


def devices(path: Path) -> None:
    os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero


def folders(path: Path) -> None:
    path.mkdir()


def sockets(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one, contextlib.chdir(path.parent):
        one.bind("s")
        os.rename("s", path.name)


def endless(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def store_pipe(place: Path) -> None:
    """A pipe for store.json."""
    (place / "store.json").unlink()
    os.mkfifo(place / "store.json")


def store_endless(place: Path) -> None:
    """A store.json without an end."""
    (place / "store.json").unlink()
    endless(place / "store.json")


def store_deep(place: Path) -> None:
    """A store.json of lists in lists."""
    (place / "store.json").write_text('{"format":' + "[" * 2000)


def code(place: Path) -> None:
    """Streams that would run a program if anybody loaded them."""
    stream = b"cos\nsystem\n(S'touch " + os.fsencode(place.parent / "ran") + b"'\ntR."
    other = stream.replace(b"touch", b"touch  ")
    put_pack(place, [(digest(one), one, len(one), RAW) for one in (stream, other)])
    for number, one in enumerate((stream, other)):
        craft(place, variables(2, piece_id(one), size=len(one)), stamp=f"20300101T00000000000{number}Z")


def strange_names(place: Path) -> None:
    """Files with names that no store has, some of which are commands for a terminal."""
    for name in (b"\xff\xfe", b"\x1b[2J", b"a\nb", b"-rf", b"..x", "\u202e".encode()):
        for folder in ("packs", "snapshots", "tmp", "."):
            (place / folder).mkdir(exist_ok=True)
            Path(os.fsdecode(os.fsencode(place / folder) + b"/" + name)).write_bytes(b"")
            deep = Path(os.fsdecode(os.fsencode(place / folder) + b"/d" + name))
            deep.mkdir(exist_ok=True)
            (deep / f"{STAMP}-{'0' * 64}.snap").write_bytes(b"x")


STORES = [
    texts, paths, numbers, long_contents, record_bombs, deep_heads, piece_bombs, overlapping, links, hard_links,
    *map(linked_folder, ("tmp", "locks", "packs", "snapshots", "damaged")),
    *map(_in_place, (pipes, devices, folders, sockets, endless)), store_pipe, store_endless, store_deep, code,
    strange_names,
]  # fmt: skip


# --- files ------------------------------------------------------------------------------------------------------------


def _members(place: Path) -> list[tuple[str, bytes]]:
    """What is in a store, as members of a file."""
    files = [place / "store.json", *sorted(place.glob("packs/*")), *sorted(place.glob("snapshots/*/*"))]
    return [(path.relative_to(place).as_posix(), path.read_bytes()) for path in files if path.is_file()]


def _zip(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    made = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(made, "w", method, allowZip64=True) as file:
        warnings.simplefilter("ignore")  # a name that is there twice
        for name, data in members:
            file.writestr(name, data)
    return made.getvalue()


def zip_names(place: Path) -> bytes:
    """Members with names that lead out, are commands, or have no end."""
    names = [
        "../../outside/kept",
        "/outside/kept",
        "packs/../../outside/kept",
        EVIL.replace("\ud800", ""),
        "x" * 60_000,
    ]
    names += [f"snapshots/{name}/{STAMP}-{'0' * 64}.snap" for name in ("..", ".", "a b", "\x1b[2J")]
    return _zip([*_members(place), *((name, b"evil") for name in names)])


def zip_twice(place: Path) -> bytes:
    """Each name twice."""
    return _zip([*_members(place), *_members(place)])


def zip_bomb(place: Path) -> bytes:
    """A quarter of a gigabyte of zeros in little."""
    return _zip([*_members(place), (f"packs/{'0' * 32}.pack", bytes(1 << 28))], zipfile.ZIP_DEFLATED)


def zip_quoted(place: Path) -> bytes:
    """Ten thousand members that are one, as in the bombs that need no compression."""
    data = _zip(_members(place))
    (begin,) = struct.unpack_from("<I", data, len(data) - 6)
    record = data[begin : begin + 28] + struct.pack("<H", 42) + data[begin + 30 : begin + 46]
    made = b"".join(record + f"packs/{number:032x}.pac".encode() for number in range(10_000))
    return data[:begin] + made + struct.pack("<4s4HIIH", b"PK\5\6", 0, 0, 10_000, 10_000, len(made), begin, 0)


def zip_promises(place: Path) -> bytes:
    """A directory that says that there are four billion members, and members that say that they have no end."""
    data = bytearray(_zip(_members(place)))
    at = data.find(b"PK\1\2")
    while at >= 0:
        struct.pack_into("<II", data, at + 20, 0xFFFFFFFE, 0xFFFFFFFE)
        at = data.find(b"PK\1\2", at + 1)
    end = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1 << 62, 1 << 62, 1 << 63, 5)
    return (
        bytes(data[:-22])
        + end
        + struct.pack("<4sIQI", b"PK\6\7", 0, len(data) - 22, 1)
        + (struct.pack("<4s4HIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0))
    )


def zip_many(place: Path) -> bytes:
    """Thirty thousand members."""
    return _zip([*_members(place), *((f"damaged/{number}", b"") for number in range(30_000))])


def zip_small(place: Path) -> bytes:
    """Headers without an end, each of a member of no length."""
    return struct.pack("<4s5HIIIHH", b"PK\3\4", 10, 0, 0, 0, 0, 0, 0, 0, 1, 0) * 300_000


def zip_of(build: Callable[[Path], None]) -> Callable[[Path], bytes]:
    """Return what makes a file of a hostile store."""

    def made(place: Path) -> bytes:
        build(place)
        return _zip(_members(place))

    made.__name__ = f"zip_of_{build.__name__}"
    return made


FILES = [
    zip_names, zip_twice, zip_bomb, zip_quoted, zip_promises, zip_many, zip_small,
    *map(zip_of, (texts, record_bombs, piece_bombs, code)),
]  # fmt: skip


def _first(place: Path, pattern: str) -> Path:
    return min(place.rglob(pattern))


def _last(place: Path, pattern: str) -> Path:
    return max(place.rglob(pattern))


def _claim() -> str:
    from nbsnap.folder import _host

    return f"{_host()}-1-{'0' * 16}"


# --- as a program -----------------------------------------------------------------------------------------------------


def copied(place: str) -> Iterator[dict[str, Any]]:
    """Copy from what is there in all ways, and look into a file; yield what was said."""
    import datetime

    from nbsnap import transfer
    from nbsnap.cli import main

    transfer.DAY = datetime.timedelta(days=36500)  # else most of it is refused for its date
    for command in (*COPIES, *(READS if os.path.isfile(place) else ())):
        out, err, began = io.StringIO(), io.StringIO(), time.monotonic()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([place if word == "PLACE" else word for word in command.split()])
        said = {"command": command, "form": "text", "code": code, "took": time.monotonic() - began}
        yield {**said, "out": out.getvalue(), "err": err.getvalue()}


def asked(place: str) -> Iterator[dict[str, Any]]:
    """Ask everything of a store; yield what was said."""
    from nbsnap.arguments import add
    from nbsnap.cli import main, parser
    from nbsnap.errors import NbSnapError
    from nbsnap.history import Asked, answer
    from nbsnap.layout import to_html
    from nbsnap.store import Store

    assert add
    for command in COMMANDS:
        for form in ("text", "json", "html"):
            out, err, began = io.StringIO(), io.StringIO(), time.monotonic()
            words = [*command.split(), "--store", place]
            if form == "json" and command.startswith(("check --q", "prune", "delete")):
                continue
            if form == "html":
                if any(word in command for word in ("prune", "repair", "delete", "trust")):
                    continue
                args = parser().parse_args(words)
                try:
                    code = answer(args.command, Asked(args, Store.open(place), None, "nbsnap"))
                    out.write(to_html(code.sheet))
                except NbSnapError as error:
                    err.write(str(error)[:0])
                yield {"command": command, "form": form, "code": 0, "out": out.getvalue(), "err": "", "took": 0.0}
                continue
            if form == "json":
                words.append("--json")
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main(words)
            took = time.monotonic() - began
            said = {"command": command, "form": form, "code": code, "took": took}
            yield {**said, "out": out.getvalue(), "err": err.getvalue()}


def run(place: str, megabytes: str) -> None:
    """Ask, with so much memory; print each answer."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (int(megabytes) << 20,) * 2)
    for said in (*copied(place), *(() if os.path.isfile(place) else asked(place))):
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    run(*sys.argv[1:])
