"""A store: snapshots, and the pieces that they are made of, upon a backend.

    pieces     new ones go into one pack per snapshot
    index      says which piece lies where in it
    manifest   names the pieces; once it is there, the snapshot counts

Each gets its name whole, and after the one before it (`writer`). A death in between leaves a pack that nobody needs,
whose pieces the next writer uses again; never a broken snapshot. A manifest that is damaged, or misses pieces,
hurts itself alone.

A store object keeps the heads and the indexes that it has read: neither ever changes under its name.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from itertools import islice
from typing import NoReturn

from nbsnap import manifest
from nbsnap.backends import Backend, sentence, write_whole
from nbsnap.errors import DamageError, SnapshotNotFound, StoreError, StoreNotFound, StoreNotWritable, StoreVersionError
from nbsnap.folder import FolderBackend
from nbsnap.model import Content, Head, Snapshot
from nbsnap.pages import Look
from nbsnap.pieces import Pieces
from nbsnap.progress import Progress
from nbsnap.reader import Reader
from nbsnap.tree import (
    IGNORE_BYTES,
    IGNORE_FILE,
    SNAPSHOTS,
    STORE_BYTES,
    STORE_FILE,
    Entry,
    name_tag,
    notebook_key,
    parse_snapshot,
    snapshot_file,
)
from nbsnap.writer import Writer

__all__ = ["Store", "Writer"]

HEAD_GUESS = 4096  # nearly all first lines are shorter

_LATEST = re.compile(r"latest(?:~(\d{1,9}))?", re.ASCII)
_PREFIX = re.compile(r"[0-9a-f]{4,64}")


class Store:
    """A place where snapshots are kept. Reading writes nothing; all writing goes through `writer()`."""

    def __init__(self, place: str | os.PathLike[str] | Backend, *, create: bool = False) -> None:
        self.backend: Backend = FolderBackend(place) if isinstance(place, str | os.PathLike) else place
        self.place = self.backend.place
        self.problems: list[str] = []  # a line for each manifest that the last heads() could not read
        self.pieces = Pieces(self.backend)
        self.progress = Progress()  # where writers and `read` count; somebody else's may be put here
        self._heads: dict[str, Head] = {}
        try:
            if not self._known():
                if not create:
                    raise StoreNotFound(f"there is no store at {self.place}")
                self.found()
            elif create:
                self.backend.prepare()
        except OSError as error:
            raise sentence(error, self.place, writing=create) from error

    @classmethod
    def open(cls, place: str | os.PathLike[str] | Backend, *, create: bool = False) -> Store:
        """Return the store at `place`; with `create`, make it if there is none, and see that it can be written."""
        return cls(place, create=create)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({self.place!r})"

    def close(self) -> None:
        """Let go of open files. The store can still be used."""
        self.backend.close()

    def _known(self) -> bool:
        """Tell whether there is a store, of a format that we know."""
        file = self.backend.describe(STORE_FILE)
        cure = f"it should read {STORE_BYTES.decode().strip()}"
        try:
            text = self.backend.read(STORE_FILE, 0, HEAD_GUESS)
        except (FileNotFoundError, NotADirectoryError):
            if self.backend.list(SNAPSHOTS):
                raise DamageError(f"{file} is missing, but there are snapshots; {cure}") from None
            return False
        try:
            version = json.loads(text)["format"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise DamageError(f"{file} is damaged; {cure}") from None
        if version != 1 or type(version) is not int:
            raise StoreVersionError(f"{self.place} is of format {version!r:.20}; this nbsnap knows 1: upgrade it")
        return True

    def found(self) -> None:
        """Make the store. The place must be empty: no folder of the user's becomes a store by a slip of the pen."""
        if self.backend.foreign() and not self._known():  # it may be one by now: another process made it meanwhile
            raise StoreNotWritable(f"{self.place} is not empty and not a store: choose another place")
        self.backend.prepare()
        write_whole(self.backend, STORE_FILE, STORE_BYTES)
        write_whole(self.backend, IGNORE_FILE, IGNORE_BYTES)

    # --- snapshots -------------------------------------------------------------------------------------------

    def writer(self, *, compression: str = "auto", look: Look | None = None) -> Writer:
        """Return a context manager that takes content and commits one snapshot. `compression` is "auto" or "off".

        `look` may have looked at the memory that will be put, ahead.
        """
        return Writer(self, compression=compression, look=look)

    def entries(self, notebook: str | None = None) -> list[Entry]:
        """Return all manifests of a notebook (None: of all), oldest first, without opening one."""
        folder = SNAPSHOTS if notebook is None else f"{SNAPSHOTS}/{notebook_key(notebook)}"
        try:
            return sorted(entry for file in self.backend.list(folder) if (entry := parse_snapshot(file)))
        except OSError as error:
            raise sentence(error, self.place, writing=False) from error

    def newest(self, notebook: str) -> list[Entry]:
        """Return the newest manifest of a notebook, or nothing where there is none."""
        files = self.backend.list(f"{SNAPSHOTS}/{notebook_key(notebook)}")
        return list(islice(filter(None, map(parse_snapshot, reversed(files))), 1))

    def heads(self, notebook: str | None = None) -> list[Head]:
        """Return the heads of a notebook's snapshots (None: of all), oldest first. `problems` tells the unreadable."""
        self.problems = []
        heads = []
        for entry in self.entries(notebook):
            try:
                heads.append(self.head(entry))
            except StoreError as error:
                self.problems.append(str(error))
        return heads

    def head(self, entry: Entry) -> Head:
        """Return the head of a manifest."""
        head = self._heads.get(entry.file)
        if head is None:
            data = self._bytes(entry, HEAD_GUESS)
            if b"\n" not in data:
                data = self._bytes(entry, manifest.MAX_HEAD)
            try:
                head = manifest.decode_head(data)
            except StoreError as error:
                raise self._named(entry, error) from None
            self._heads[entry.file] = self._fitting(entry, head)
        return head

    def find(self, ref: str = "latest", notebook: str | None = None) -> Snapshot:
        """Return the snapshot that `ref` means, as `resolve` finds it."""
        head = self.resolve(ref, notebook)
        for file, known in self._heads.items():
            if known is head and (entry := parse_snapshot(file)) is not None:
                return self.load_entry(entry)
        return self.load(head.id)

    def load(self, id: str) -> Snapshot:
        """Return the snapshot of this full id, every byte of its record verified. Its content is verified by `read`."""
        for entry in self.entries():
            if entry.id == id:
                return self.load_entry(entry)
        raise SnapshotNotFound(f"no snapshot has the id {id:.12} in {self.place}")

    def load_entry(self, entry: Entry) -> Snapshot:
        """Return the snapshot of a manifest; its pieces will be looked for first in the packs that it names."""
        data = self._bytes(entry, None)
        try:
            snapshot, packs = manifest.parse(data)
        except StoreError as error:
            raise self._named(entry, error) from None
        self._fitting(entry, snapshot.head)
        self.pieces.hint(packs)
        return snapshot

    def remove(self, id: str) -> None:
        """Remove the manifest of a snapshot, if it is there. Its pieces stay, for others and for the next writer."""
        for entry in self.entries():
            if entry.id == id:
                self._heads.pop(entry.file, None)
                self.backend.delete(entry.file)

    def read(self, content: Content) -> bytes | bytearray:
        """Return the bytes of `content`, every piece verified; DamageError names the piece and its pack."""
        return self.reader().stream(content)

    def reader(self, *, size: int = 0, map: bool = True, before: bool = False) -> Reader:
        """Return what reads the content for a restore; see `reader.Reader`."""
        return Reader(self.pieces, size=size, map=map, before=before, progress=self.progress)

    def _bytes(self, entry: Entry, length: int | None) -> bytes:
        try:
            return self.backend.read(entry.file, 0, length)
        except FileNotFoundError:
            raise SnapshotNotFound(f"the snapshot {entry.id[:12]} was removed just now") from None
        except OSError as error:
            raise sentence(error, self.place, writing=False) from error

    def _named(self, entry: Entry, error: StoreError) -> StoreError:
        return type(error)(f"{self.backend.describe(entry.file)}: {error}")

    def _fitting(self, entry: Entry, head: Head) -> Head:
        """A manifest under a name that is not its own is no better than an altered one."""
        if snapshot_file(head.notebook, entry.stamp, head.id, head.name) != entry.file:
            raise DamageError(f"{self.backend.describe(entry.file)}: it does not hold the snapshot that its name says")
        return head

    # --- finding ---------------------------------------------------------------------------------------------

    def resolve(self, ref: str = "latest", notebook: str | None = None) -> Head:
        """Return the head of the snapshot that `ref` means: "latest", "latest~N", a name, or the beginning of an id."""
        entries = self.entries(notebook)
        if not entries and notebook is None:
            raise SnapshotNotFound(f"no snapshot in {self.place} yet: %snapshot makes one")
        if back := _LATEST.fullmatch(ref):
            return self._latest(entries, int(back[1] or 0), notebook)
        tag = name_tag(ref)
        for entry in reversed(entries):
            if tag and entry.tag == tag and self.head(entry).name == ref:
                return self.head(entry)
        if _PREFIX.fullmatch(ref.lower()):
            found = self._begins(entries, ref.lower())
            if not found and notebook is not None:
                found = self._begins(self.entries(), ref.lower())
            if found:
                return self.head(found)
        self._nothing(ref, entries, notebook)

    def _begins(self, entries: list[Entry], prefix: str) -> Entry | None:
        found = {entry.id: entry for entry in entries if entry.id.startswith(prefix)}
        if len(found) > 1:
            ids = ", ".join(id[: len(prefix) + 4] for id in list(found)[-5:])
            raise SnapshotNotFound(f"{len(found)} ids begin with {prefix}: {ids}; give more digits")
        return next(iter(found.values()), None)

    def _latest(self, entries: list[Entry], back: int, notebook: str | None) -> Head:
        if not entries:
            self._nothing("latest", entries, notebook)
        if back >= len(entries):
            raise SnapshotNotFound(f"latest~{back} goes back too far: the oldest snapshot is latest~{len(entries) - 1}")
        try:
            return self.head(entries[-1 - back])
        except DamageError as error:
            rest = f"; the one before it is latest~{back + 1}" if back + 1 < len(entries) else ""
            raise DamageError(f"{error}{rest}") from None

    def _elsewhere(self) -> str:
        """Return what else the store has: a notebook that was renamed goes on looking for its snapshots."""
        entries = self.entries()
        if not entries:
            return ""
        newest = max(entries)
        return f"; the latest here is {newest.id[:7]} of {self.head(newest).notebook}"

    def _nothing(self, ref: str, entries: list[Entry], notebook: str | None) -> NoReturn:
        if not entries:
            raise SnapshotNotFound(
                f"no snapshot of {notebook} in {self.place} yet: %snapshot makes one{self._elsewhere()}"
            )
        heads = self.heads(notebook)
        words = sorted({head.name for head in heads if head.name})
        close = difflib.get_close_matches(ref, words, n=3, cutoff=0.5)
        if not close and _PREFIX.fullmatch(ref.lower()):
            ids = [head.id[: max(7, len(ref))] for head in heads]
            close = difflib.get_close_matches(ref.lower(), ids, n=3, cutoff=0.5)
        whose = f" of {notebook}" if notebook is not None else ""
        hint = f"close: {', '.join(close)}" if close else "`nbsnap list` shows what there is"
        raise SnapshotNotFound(f"no snapshot {ref!r}{whose}; {hint}")
