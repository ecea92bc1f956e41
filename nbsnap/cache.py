"""What was fetched from a bucket, kept on this machine: records, indexes, and ranges of packs.

None of it ever changes under its name, so nothing here can be out of date; it can only be there or not. So:

- **Each entry is a file of its own**, written under another name and renamed, with the BLAKE3 of its key and its bytes
  in front. One that does not fit is removed, and is not there. Several processes use it at once.
- **A folder for each place**, for its owner alone (0700, files 0600), in the user's cache folder; who wants that
  elsewhere sets `NBSNAP_CACHE`. It may be removed at any time.
- **Its size has a limit** over all places (`c.NbSnap.cache_size`, or `NBSNAP_CACHE_SIZE`; 0 keeps nothing). What was
  not used for longest goes first.
- **It never fails anybody**: where nothing can be written (a full disk, a folder that is another user's), there is no
  cache.

Ranges of packs are found by what they cover, so that one variable comes out of what was fetched for all of them, and a
restore out of what the snapshot had put."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from pathlib import Path

from nbsnap import owners
from nbsnap.digest import DIGEST_SIZE, Bytes, digest
from nbsnap.keep import parse_size

__all__ = ["DEFAULT", "Cache", "for_place", "set_limit"]

DEFAULT = "4 GB"
OLD = 86400.0  # seconds after which what was never renamed is a dead one's
AGAIN = 3600.0  # an entry is marked as used no more often than that

_limit: int | None = None


def set_limit(size: str | int) -> None:
    """Let all caches together be no larger than that; 0: none is kept, "": as large as by default."""
    global _limit
    _limit = 0 if size in (0, "0") else parse_size(size) if size else None


def limit() -> int:
    """Return how large all caches together may be."""
    if told := os.environ.get("NBSNAP_CACHE_SIZE", "").strip():
        return 0 if told == "0" else parse_size(told)
    return parse_size(DEFAULT) if _limit is None else _limit


def root() -> Path:
    """Return the folder of all caches."""
    if told := os.environ.get("NBSNAP_CACHE"):
        return Path(os.path.abspath(os.path.expanduser(told)))
    import platformdirs

    return Path(platformdirs.user_cache_dir("nbsnap", appauthor=False)) / "buckets"


def for_place(place: str) -> Cache | None:
    """Return the cache of a place; None where there is to be none."""
    most = limit()
    if not most:
        return None
    try:
        top = root()
        top.parent.mkdir(parents=True, exist_ok=True)
        folder = top / digest(place.encode()).hex()[:24]
        for path in (top, folder):
            with contextlib.suppress(FileExistsError):
                owners.private_folder(str(path))
        if owners.stranger(str(top), [folder.name]):
            return None
        owners.tighten(str(top))
        owners.tighten(str(folder))
    except OSError:
        return None
    return Cache(folder, most)


class Cache:
    """The cache of one place."""

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder, most
        self._guard = threading.Lock()
        self._ranges: dict[str, list[tuple[int, int]]] | None = None
        self._put = 0  # bytes since it was last looked how much there is
        self._broken = False

    def get(self, key: str) -> bytes | None:
        """Return what was put under a key."""
        return self._read(digest(key.encode()).hex()[:40], key)

    def put(self, key: str, data: Bytes) -> None:
        """Keep something under a key."""
        self._write(digest(key.encode()).hex()[:40], key, data)

    def cut(self, pack: str, start: int, end: int) -> bytearray | None:
        """Return a range of a pack, if all of it is there."""
        found = bytearray()
        while (at := start + len(found)) < end:
            with self._guard:
                held = max((r for r in self._known().get(pack, ()) if r[0] <= at < r[1]), key=_end, default=None)
            if held is None:
                return None
            data = self._read(_range_file(pack, *held), _range_file(pack, *held))
            if data is None or len(data) != held[1] - held[0]:
                with self._guard, contextlib.suppress(ValueError):
                    self._known()[pack].remove(held)
                return None
            found += memoryview(data)[at - held[0] : end - held[0]]
        return found

    def keep(self, pack: str, start: int, data: Bytes) -> None:
        """Keep a range of a pack."""
        end = start + len(data)
        with self._guard:
            known = self._known().setdefault(pack, [])
            if end <= start or any(begin <= start and end <= stop for begin, stop in known):
                return
        name = _range_file(pack, start, end)
        if self._write(name, name, data):
            with self._guard:
                known.append((start, end))

    def doubt(self, pack: str) -> None:
        """Drop all of a pack: something in it was not what it should be."""
        with self._guard:
            for held in self._known().pop(pack, []):
                with contextlib.suppress(OSError):
                    os.unlink(self.folder / _range_file(pack, *held))

    def _known(self) -> dict[str, list[tuple[int, int]]]:
        if self._ranges is None:
            self._ranges = {}
            with contextlib.suppress(OSError):
                for name in os.listdir(self.folder):
                    pack, _, rest = name.partition("-")
                    start, _, end = rest.partition("-")
                    if len(pack) == 32 and start.isdecimal() and end.isdecimal():
                        self._ranges.setdefault(pack, []).append((int(start), int(end)))
        return self._ranges

    def _read(self, name: str, key: str) -> bytes | None:
        path = self.folder / name
        try:
            with open(path, "rb") as file:
                data = file.read()
                old = time.time() - os.fstat(file.fileno()).st_mtime > AGAIN
            content = memoryview(data)[DIGEST_SIZE:]
            if digest(key.encode() + b"\0" + content) != data[:DIGEST_SIZE]:
                os.unlink(path)
                return None
            if old:
                os.utime(path)
        except OSError:
            return None
        return bytes(content)

    def _write(self, name: str, key: str, data: Bytes) -> bool:
        if self._broken or len(data) > self.most // 4:
            return False
        temporary = self.folder / f".{os.getpid()}-{secrets.token_hex(8)}"
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
            try:
                with open(fd, "wb", buffering=0) as file:
                    for part in (digest(key.encode() + b"\0" + bytes(data)), data):
                        view = memoryview(part)
                        while view:
                            view = view[file.write(view) :]
                os.replace(temporary, self.folder / name)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
                raise
        except OSError:
            self._broken = True
            return False
        with self._guard:
            first = not self._put
            self._put += len(data)
            full = first or self._put > self.most // 16
            if full:
                self._put = 1
        if full:
            self._make_room()
        return True

    def _make_room(self) -> None:
        """Remove what was not used for longest, of all places, until a tenth of the limit is free."""
        found: list[tuple[float, int, str]] = []
        now = time.time()
        with contextlib.suppress(OSError):
            for place in os.scandir(self.folder.parent):
                with contextlib.suppress(OSError):
                    for entry in os.scandir(place):
                        with contextlib.suppress(OSError):
                            told = entry.stat(follow_symlinks=False)
                            if entry.name.startswith(".") and now - told.st_mtime < OLD:
                                continue
                            found.append((told.st_mtime, told.st_size, entry.path))
        total = sum(size for _, size, _ in found)
        if total <= self.most:
            return
        for _, size, path in sorted(found):
            if total <= self.most * 9 // 10:
                break
            with contextlib.suppress(OSError):
                os.unlink(path)
            total -= size


def _end(held: tuple[int, int]) -> int:
    return held[1]


def _range_file(pack: str, start: int, end: int) -> str:
    return f"{pack}-{start}-{end}"
