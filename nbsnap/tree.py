"""The names of the files in a store, and what they tell. No I/O.

    store.json                                             the format
    packs/<pack>.pack, packs/<pack>.index                  <pack>: 32 random hexadecimal digits
    snapshots/<notebook key>/<stamp>-<id>[-<tag>].snap     a manifest

The stamp orders the snapshots of a notebook, the tag is there when the snapshot has a name (a hash of that name):
`latest`, an id and a name are found by listing, and one manifest is opened."""

from __future__ import annotations

import functools
import re
import secrets
from typing import NamedTuple

from nbsnap.digest import piece_id

__all__ = [
    "IGNORE_BYTES",
    "IGNORE_FILE",
    "PACKS",
    "SNAPSHOTS",
    "STORE_BYTES",
    "STORE_FILE",
    "Entry",
    "index_file",
    "name_tag",
    "new_pack",
    "notebook_key",
    "pack_file",
    "parse_pack",
    "parse_snapshot",
    "snapshot_file",
    "stamp_after",
    "stamp_of",
    "time_of",
]

STORE_FILE, STORE_BYTES = "store.json", b'{"format":1}\n'
IGNORE_FILE, IGNORE_BYTES = ".gitignore", b"*\n"
PACKS, SNAPSHOTS = "packs", "snapshots"

_PACK = re.compile(rf"{PACKS}/([0-9a-f]{{32}})\.pack")
_SNAPSHOT = re.compile(rf"{SNAPSHOTS}/[A-Za-z0-9_-]+/(\d{{8}}T\d{{12}}Z)-([0-9a-f]{{64}})(?:-([0-9a-f]{{8}}))?\.snap")
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{6})Z", re.ASCII)


class Entry(NamedTuple):
    """A manifest, as far as the name of its file tells. Entries sort from oldest to newest."""

    stamp: str
    id: str
    tag: str
    file: str


def new_pack() -> str:
    """Return an id for a new pack. Random: the name must be known before the first byte is sent to a bucket."""
    return secrets.token_hex(16)


def pack_file(pack: str) -> str:
    """Return the name of a pack's file."""
    return f"{PACKS}/{pack}.pack"


def index_file(pack: str) -> str:
    """Return the name of the file of a pack's index."""
    return f"{PACKS}/{pack}.index"


def parse_pack(file: str) -> str | None:
    """Return the pack whose file this is, or None."""
    found = _PACK.fullmatch(file)
    return found and found[1]


@functools.lru_cache(maxsize=256)
def notebook_key(notebook: str) -> str:
    """Return the name of the folder for a notebook's snapshots: readable, and unique by a hash."""
    stem = re.split(r"[/\\]", notebook)[-1].removesuffix(".ipynb")
    slug = re.sub(r"[^A-Za-z0-9_]+", "-", stem)[:24].strip("-") or "notebook"
    return f"{slug}-{_hash(notebook)[:16]}"


def name_tag(name: str) -> str:
    """Return the tag of a snapshot's name; "" for none."""
    return _hash(name)[:8] if name else ""


def snapshot_file(notebook: str, stamp: str, id: str, name: str) -> str:
    """Return the name of a manifest's file."""
    tag = f"-{name_tag(name)}" if name else ""
    return f"{SNAPSHOTS}/{notebook_key(notebook)}/{stamp}-{id}{tag}.snap"


def parse_snapshot(file: str) -> Entry | None:
    """Return what the name of a manifest's file tells, or None if it is not one."""
    found = _SNAPSHOT.fullmatch(file)
    return found and Entry(found[1], found[2], found[3] or "", file)


def stamp_of(time: str) -> str:
    """Return the stamp for an ISO 8601 time in UTC with microseconds."""
    found = _TIME.fullmatch(time)
    if not found:
        raise ValueError(f"not a time in UTC with microseconds: {time!r}")
    return "{}{}{}T{}{}{}{}Z".format(*found.groups())


def time_of(stamp: str) -> str:
    """Return the time that a stamp stands for, as `stamp_of` takes it."""
    day, clock = stamp[:8], stamp[9:21]
    return f"{day[:4]}-{day[4:6]}-{day[6:]}T{clock[:2]}:{clock[2:4]}:{clock[4:6]}.{clock[6:]}Z"


def stamp_after(stamp: str) -> str:
    """Return the next stamp: for a snapshot made by a clock that has gone back, or twice in a microsecond."""
    number = str(int(stamp[:8] + stamp[9:21]) + 1).zfill(20)
    return f"{number[:8]}T{number[8:20]}Z"


def _hash(text: str) -> str:
    return piece_id(text.encode("utf-8", "surrogatepass"))
