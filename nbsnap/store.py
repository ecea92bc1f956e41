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

import contextlib
import difflib
import json
import os
import re
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NoReturn

from nbsnap import manifest
from nbsnap.backends import Backend, expect, sentence, write_whole
from nbsnap.differences import compare
from nbsnap.errors import DamageError, SnapshotNotFound, StoreError, StoreNotFound, StoreNotWritable, StoreVersionError
from nbsnap.keep import Rules, parse_size
from nbsnap.model import Content, Head, Snapshot
from nbsnap.pages import Look
from nbsnap.pieces import Pieces
from nbsnap.places import ArchiveBackend, FolderBackend, backend_at
from nbsnap.progress import Progress
from nbsnap.pruning import Choice, choose, discard, spare
from nbsnap.reader import Reader
from nbsnap.records import DiffReport, ListReport, PruneReport
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
    time_of,
)
from nbsnap.wording import beside as in_words
from nbsnap.wording import short_id
from nbsnap.writer import Writer, held

__all__ = ["Store", "Writer"]

HEAD_GUESS = 4096  # nearly all first lines are shorter
WHOLE_GUESS = 1 << 18  # and nearly all records
AT_ONCE, WHOLE_AT_ONCE = 500, 50  # so many records are announced to a backend that fetches several at a time

_LATEST = re.compile(r"latest(?:~(\d{1,9}))?", re.ASCII)
_SHORT = len(short_id("0" * 64))  # what people are shown of an id; shorter, a name is meant where there is one
_PREFIX = re.compile(r"[0-9a-f]{4,64}")


FEW = 5  # autosnapshots are removed when there are so many that no rule keeps: each time packs may be copied


class Store:
    """A place where snapshots are kept. Reading writes nothing; all writing goes through `writer()`."""

    def __init__(self, place: str | os.PathLike[str] | Backend, *, create: bool = False, later: bool = False) -> None:
        self.backend: Backend = backend_at(place) if isinstance(place, str | os.PathLike) else place
        self.place = self.backend.place
        self.problems: list[str] = []  # a line for each manifest that the last heads() could not read
        self.pieces = Pieces(self.backend)
        self.progress = Progress()  # where writers and `read` count; somebody else's may be put here
        self._heads: dict[str, Head] = {}
        try:
            if not self._known():
                if not create:
                    raise StoreNotFound(f"there is no store at {self.place}{self._nothing_there()}")
                if later:
                    self._see_that_it_can_be_founded()
                else:
                    self.found()
            elif create:
                self.backend.prepare()
        except OSError as error:
            raise sentence(error, self.place, writing=create) from error

    @classmethod
    def open(cls, place: str | os.PathLike[str] | Backend, *, create: bool = False, later: bool = False) -> Store:
        """Return the store at `place`; with `create`, make it if there is none, and see that it can be written.

        `later`: only see to it that it can be made; whoever writes into it opens it himself, and makes it.
        """
        return cls(place, create=create, later=later)

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
        cure = f"it should read {STORE_BYTES.decode().strip()}; `nbsnap check --repair` writes it again"
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

    def _nothing_there(self) -> str:
        """Return what to say besides where there is nothing at all, by what seems to be meant."""
        if not isinstance(self.backend, FolderBackend) or os.path.lexists(self.place):
            return ""
        return ": there is no such file" if os.path.splitext(self.place)[1] else ": there is no such file or folder"

    def found(self) -> None:
        """Make the store. The place must be empty: no folder of the user's becomes a store by a slip of the pen."""
        self._see_that_it_can_be_founded()
        write_whole(self.backend, STORE_FILE, STORE_BYTES, last=False)  # first: by it an archive's beginning is known
        write_whole(self.backend, IGNORE_FILE, IGNORE_BYTES)

    def _see_that_it_can_be_founded(self) -> None:
        if self.backend.foreign() and not self._known():  # it may be one by now: another process made it meanwhile
            raise StoreNotWritable(f"{self.place} is not empty and not a store: choose another place")
        self.backend.prepare()

    # --- snapshots -------------------------------------------------------------------------------------------

    def writer(
        self,
        *,
        compression: str = "auto",
        look: Look | None = None,
        sign: Callable[[str], str] | None = None,
        notebook: str = "",
    ) -> Writer:
        """Return a context manager that takes content and commits one snapshot. `compression` is "auto" or "off".

        `look` may have looked at the memory that will be put, ahead; `sign` makes the signature of an id; `notebook` is
        whose newest snapshot tells what of a buffer is not new.
        """
        return Writer(self, compression=compression, look=look, sign=sign, notebook=notebook)

    def sign(self, entry: Entry, sign: Callable[[str, str], str]) -> None:
        """Let a manifest have another signature, which `sign` makes of the one that it has and of its id.

        It replaces the file at once, under its own name: the id does not change. The store is held meanwhile, so that
        a manifest that somebody removes just then is gone, or comes back with all that it needs.
        """
        try:
            with held(self):
                data = self._all(entry)
                try:
                    head = manifest.decode_head(data)
                    data = manifest.resigned(data, sign)
                except StoreError as error:
                    raise self._named(entry, error) from None
                self._fitting(entry, head)
                write_whole(self.backend, entry.file, data)
        except OSError as error:
            raise sentence(error, self.place, writing=True) from error

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
        return self._heads_of(self.entries(notebook))

    def notebooks(self) -> list[Head]:
        """Return the newest head that can be read of each notebook."""
        found: dict[str, Head] = {}
        for entry in reversed(self.entries()):
            folder = entry.file.rpartition("/")[0]
            if folder not in found:
                with contextlib.suppress(StoreError, SnapshotNotFound):
                    found[folder] = self.head(entry)
        return list(found.values())

    def _heads_of(self, entries: Sequence[Entry]) -> list[Head]:
        self.problems = []
        heads = []
        for number, entry in enumerate(entries):
            if number % AT_ONCE == 0:
                coming = entries[number : number + AT_ONCE]
                expect(self.backend, [each.file for each in coming if each.file not in self._heads])
            try:
                heads.append(self.head(entry))
            except SnapshotNotFound:  # removed just now
                continue
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
        return self.record(entry)[1]

    def record(self, entry: Entry) -> tuple[bytes, Snapshot]:
        """Return a manifest as it is, and the snapshot that it holds."""
        data = self._all(entry)
        try:
            snapshot, packs = manifest.parse(data)
        except StoreError as error:
            raise self._named(entry, error) from None
        self._fitting(entry, snapshot.head)
        self.pieces.hint(packs)
        return data, snapshot

    def needs(self, entry: Entry) -> set[bytes]:
        """Return the ids of all pieces that a manifest names, every byte of it verified."""
        data = self._all(entry)
        try:
            head, ids = manifest.pieces(data)
        except StoreError as error:
            raise self._named(entry, error) from None
        self._fitting(entry, head)
        return ids

    def buffers(self, entry: Entry) -> dict[str, list[list[str]]]:
        """Return the ids of the pieces of the buffers of each variable of a manifest, every byte of it verified."""
        try:
            return manifest.buffers(self._all(entry))
        except StoreError as error:
            raise self._named(entry, error) from None

    def loading(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Yield manifests that will be loaded or asked what they need, all of them; they are fetched some at a time."""
        rest = [*entries]
        for number, entry in enumerate(rest):
            if number % WHOLE_AT_ONCE == 0:
                expect(self.backend, [each.file for each in rest[number : number + WHOLE_AT_ONCE]], whole=True)
            yield entry

    def remove(self, id: str) -> None:
        """Remove the manifest of a snapshot, if it is there. Its pieces stay, for others and for the next writer."""
        for entry in self.entries():
            if entry.id == id:
                self.forget([entry.file])
                self.backend.delete(entry.file)

    def forget(self, files: Iterable[str]) -> None:
        """Forget what manifests say that are removed."""
        for file in files:
            self._heads.pop(file, None)

    def read(self, content: Content) -> bytes | bytearray:
        """Return the bytes of `content`, every piece verified; DamageError names the piece and its pack."""
        return self.reader().stream(content)

    def reader(self, *, size: int = 0, map: bool = True, before: bool = False) -> Reader:
        """Return what reads the content for a restore; see `reader.Reader`."""
        return Reader(self.pieces, size=size, map=map, before=before, progress=self.progress)

    def _bytes(self, entry: Entry, length: int) -> bytes:
        try:
            return self.backend.read(entry.file, 0, length)
        except FileNotFoundError:
            raise SnapshotNotFound(f"the snapshot {entry.id[:12]} was removed just now") from None
        except OSError as error:
            raise sentence(error, self.place, writing=False) from error

    def _all(self, entry: Entry) -> bytes:
        data = self._bytes(entry, WHOLE_GUESS)
        if len(data) == WHOLE_GUESS:
            self.head(entry)  # something long has to begin as a manifest does
            data = self._bytes(entry, manifest.MAX_FILE)
        return data

    def _named(self, entry: Entry, error: StoreError) -> StoreError:
        return type(error)(f"{self.backend.describe(entry.file)}: {error}")

    def _fitting(self, entry: Entry, head: Head) -> Head:
        """A manifest under a name that is not its own is no better than an altered one."""
        if snapshot_file(head.notebook, entry.stamp, head.id, head.name) != entry.file:
            raise DamageError(f"{self.backend.describe(entry.file)}: it does not hold the snapshot that its name says")
        return head

    def stranger(self) -> str:
        """Return a clause that says whose the store is, or a folder in it, if it is another user's; else ""."""
        return self.backend.stranger() if isinstance(self.backend, FolderBackend | ArchiveBackend) else ""

    @property
    def is_file(self) -> bool:
        """True for one file that `nbsnap export` has made. It holds what somebody has chosen, of any notebook."""
        return isinstance(self.backend, ArchiveBackend)

    # --- finding ---------------------------------------------------------------------------------------------

    def resolve(self, ref: str = "latest", notebook: str | None = None) -> Head:
        """Return the head of the snapshot that `ref` means: "latest", "latest~N", a name, or the beginning of an id.

        A name that this notebook does not know may be that of another one, if of one only. (Not so for `entry`, by
        which snapshots are removed.)
        """
        try:
            entry = self.entry(ref, notebook)
        except SnapshotNotFound:
            found = self._of_another(ref, notebook)
            if found is None:
                raise
            entry = found
        try:
            return self.head(entry)
        except DamageError as error:
            back = _LATEST.fullmatch(ref)
            before = int(back[1] or 0) + 1 if back else 0
            rest = f"; the one before it is latest~{before}" if 0 < before < len(self.entries(notebook)) else ""
            raise DamageError(f"{error}{rest}") from None

    def entry(self, ref: str = "latest", notebook: str | None = None) -> Entry:
        """Return the manifest of the snapshot that `ref` means; only where that is a name, it is opened."""
        entries = self.entries(notebook)
        if not entries and notebook is None:
            raise SnapshotNotFound(f"no snapshot in {self.place} yet: %snapshot makes one")
        if back := _LATEST.fullmatch(ref):
            return self._latest(entries, int(back[1] or 0), notebook)
        named = self._called(ref, entries)
        if named is not None and len(ref) < _SHORT:
            return named
        meant = self._meant_by(ref.lower(), entries, notebook)
        if named is not None and meant is not None and named.id != meant.id and len(ref) < len(meant.id):
            raise SnapshotNotFound(
                f"{ref} is the name of {named.id[:12]} and the beginning of the id {meant.id}: give a whole id"
            )
        if found := meant or named:  # a whole id means itself, whatever else is called so
            return found
        self._nothing(ref, entries, notebook)

    def _called(self, name: str, entries: Sequence[Entry]) -> Entry | None:
        """Return the latest of that name."""
        tag = name_tag(name)
        return next((e for e in reversed(entries) if tag and e.tag == tag and self.head(e).name == name), None)

    def _of_another(self, name: str, notebook: str | None) -> Entry | None:
        """Return the latest of a name that one other notebook has, and this one has not; None where there is none."""
        if notebook is None or _LATEST.fullmatch(name):
            return None
        tag, books = name_tag(name), dict[str, Entry]()
        for entry in self.entries():
            with contextlib.suppress(StoreError, SnapshotNotFound):
                if entry.tag == tag and (head := self.head(entry)).name == name:
                    books[head.notebook] = entry
        if notebook in books:
            return None
        if len(books) > 1:
            whose = " and ".join(sorted(books)[:5])
            raise SnapshotNotFound(f"{name!r} is the name of snapshots of {whose}: give the beginning of an id")
        return next(iter(books.values()), None)

    def _meant_by(self, prefix: str, entries: Sequence[Entry], notebook: str | None) -> Entry | None:
        """Return the one whose id begins so: of this notebook, or of any."""
        if not _PREFIX.fullmatch(prefix):
            return None
        found = self._begins(entries, prefix)
        return found if found or notebook is None else self._begins(self.entries(), prefix)

    def _begins(self, entries: Sequence[Entry], prefix: str) -> Entry | None:
        found = {entry.id: entry for entry in entries if entry.id.startswith(prefix)}
        if len(found) > 1:
            ids = ", ".join(id[: len(prefix) + 4] for id in list(found)[-5:])
            raise SnapshotNotFound(f"{len(found)} ids begin with {prefix}: {ids}; give more digits")
        return next(iter(found.values()), None)

    def _latest(self, entries: Sequence[Entry], back: int, notebook: str | None) -> Entry:
        if not entries:
            self._nothing("latest", entries, notebook)
        if back >= len(entries):
            raise SnapshotNotFound(f"latest~{back} goes back too far: the oldest snapshot is latest~{len(entries) - 1}")
        return entries[-1 - back]

    def _elsewhere(self) -> str:
        """Return what else the store has: a notebook that was renamed goes on looking for its snapshots."""
        entries = self.entries()
        if not entries:
            return ""
        newest = max(entries)
        return f"; the latest here is {newest.id[:7]} of {self.head(newest).notebook}"

    def _nothing(self, ref: str, entries: Sequence[Entry], notebook: str | None) -> NoReturn:
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
        there = f"`nbsnap list --store {shlex.quote(self.place)}`" if self.is_file else "`nbsnap list`"
        hint = f"close: {', '.join(close)}" if close else f"{there} shows what there is"
        raise SnapshotNotFound(f"no snapshot {ref!r}{whose}; {hint}")

    # --- the history -----------------------------------------------------------------------------------------

    def diff(self, a: str, b: str = "latest", notebook: str | None = None) -> DiffReport:
        """Return what is different between two snapshots. Their streams may be read; nothing is loaded."""
        started = time.perf_counter()
        return self.compared(self.find(a, notebook), self.find(b, notebook), notebook or "", started)

    def compared(
        self,
        old: Snapshot,
        new: Snapshot,
        notebook: str,
        started: float,
        wanted: Callable[[str], bool] = lambda name: True,
        *,
        read: Callable[[Content], bytes | bytearray] | None = None,
    ) -> DiffReport:
        """Return what is different between two states; `read` reads the streams of the new one, if it is not kept."""
        changes, same, lost, beside = compare(old, new, self.read, read or self.read, wanted)
        took = time.perf_counter() - started
        return DiffReport(self.place, notebook, old.head, new.head, changes, same, lost, took, in_words(beside))

    def delete(self, *refs: str, notebook: str | None = None, dry_run: bool = False) -> PruneReport:
        """Remove snapshots, and free what no other needs. `dry_run` only says what that would be.

        Without a notebook, a name that several have (or `latest`) is an error: which one is meant cannot be guessed.
        """
        started = time.perf_counter()
        gone = list(dict.fromkeys(self._meant(ref, notebook) for ref in refs))
        return self._without(notebook, Choice(gone), started, dry_run=dry_run)

    def _meant(self, ref: str, notebook: str | None) -> Entry:
        entry = self.entry(ref, notebook)
        if notebook is None and not entry.id.startswith(ref.lower()):
            latest = _LATEST.fullmatch(ref) is not None
            books = sorted(
                head.notebook
                for head in self.notebooks()
                if latest or any(entry.tag == name_tag(ref) for entry in self.entries(head.notebook))
            )
            if len(books) > 1:
                raise SnapshotNotFound(f"{ref} is in {' and '.join(books[:5])}: say of which notebook")
        return entry

    def prune(
        self,
        notebook: str | None = None,
        *,
        last: int = 0,
        hourly: int = 0,
        daily: int = 0,
        max_size: int | str = 0,
        named: bool = False,
        dry_run: bool = False,
    ) -> PruneReport:
        """Remove the snapshots that no rule keeps, and free what no other needs.

        Without a rule none is removed, and what nobody needs is freed all the same. The latest of a notebook stays,
        and so do those with a name, unless `named` is given.

        Args:
            notebook: whose; None applies the rules to each notebook of the store by itself, and `max_size` to all.
            last: keep the newest so many.
            hourly, daily: keep the newest one of each of the last so many hours or days in which there are any.
            max_size: let the oldest go until the others need no more than so many bytes; "2 GB" is understood.
            named: let those with a name go, too.
            dry_run: only say what would be removed and freed.
        """
        started = time.perf_counter()
        rules = Rules(last, hourly, daily, parse_size(max_size) if max_size else 0, named)
        return self._without(
            notebook, choose(self, notebook, rules), started, dry_run=dry_run, tight=bool(rules.max_size)
        )

    def thin(self, notebook: str, rules: Rules) -> int:
        """Remove autosnapshots that no rule keeps, some at a time; return how many."""
        gone = spare(self, notebook, rules)
        if len(gone) < FEW:
            return 0
        discard(self, gone, tight=bool(rules.max_size))
        return len(gone)

    def _without(
        self, notebook: str | None, choice: Choice, started: float, *, dry_run: bool, tight: bool = False
    ) -> PruneReport:
        removed = tuple(map(self.head_or_stub, choice.gone))
        freed = discard(self, choice.gone, dry_run=dry_run, tight=tight)
        return PruneReport(
            store=self.place,
            notebook=notebook or "",
            removed=removed,
            kept=tuple(choice.kept),
            freed=freed.bytes,
            size=self.backend.usage() - (freed.bytes if dry_run else 0),
            seconds=time.perf_counter() - started,
            dry_run=dry_run,
            notes=(*choice.notes, *freed.notes),
            problems=tuple(freed.problems),
        )

    def head_or_stub(self, entry: Entry) -> Head:
        """Return the head of a manifest, or where that cannot be read what the name of its file tells."""
        try:
            return self.head(entry)
        except (StoreError, SnapshotNotFound) as error:
            time = time_of(entry.stamp)
            return Head(entry.id, time, "", "", f"its record cannot be read: {error}", "", 0, 0, 0, 0, 0.0, "", "", "")

    # The last of the methods: behind it, `list` means this.
    def list(self, notebook: str | None = None, *, limit: int | None = None) -> ListReport:
        """Return a notebook's snapshots (None: those of all), oldest first; with `limit`, so many of the newest."""
        entries = self.entries(notebook)
        heads = self._heads_of(entries[-limit:] if limit else entries)
        return ListReport(
            self.place, notebook or "", tuple(heads), len(entries), self.backend.usage(), tuple(self.problems)
        )
