"""Writing one snapshot: content goes along a line of threads into one pack (`line`); then index and manifest follow.

The three are written first, each to a temporary file, and flushed; then they get their names, in that order, and the
folder of the first two is flushed before the manifest gets its own. So whoever sees a manifest has its pack, and the
disk is waited for as rarely as that allows.

Leaving the `with` block without `commit` drops everything. The store is held from beginning to end, so that nobody
removes what is counted on here; and the temporary file is there at once, so that a place that cannot be written shows
itself before any work is done."""

from __future__ import annotations

import contextlib
import datetime
import errno
import functools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nbsnap import manifest
from nbsnap.appending import Pack
from nbsnap.backends import Backend, Hold, Sink, is_far, sentence, withdraw, write_whole
from nbsnap.digest import Bytes
from nbsnap.earlier import Earlier, Place
from nbsnap.errors import StoreError
from nbsnap.line import Line
from nbsnap.model import Content, Snapshot
from nbsnap.packs import decode_index, encode_index
from nbsnap.pages import Look
from nbsnap.quiet import begin, uninterrupted
from nbsnap.tree import STORE_FILE, index_file, new_pack, pack_file, snapshot_file, stamp_after, stamp_of

if TYPE_CHECKING:
    from nbsnap.store import Store

__all__ = ["Writer", "held", "publish_pack"]

WAIT = 0.02


class Writer:
    """Takes content, commits one snapshot. A context manager; used by one thread."""

    def __init__(
        self,
        store: Store,
        *,
        compression: str = "auto",
        look: Look | None = None,
        sign: Callable[[str], str] | None = None,
        notebook: str = "",
    ) -> None:
        if compression not in ("auto", "off"):
            raise ValueError(f"compression is 'auto' or 'off', not {compression!r}")
        self.store = store
        self._compressing = compression == "auto"
        self._look = look
        self._earlier = Earlier(store, notebook) if notebook and not is_far(store.backend) else None
        self._sign = sign
        self._entered = False
        self._line: Line | None = None  # while it is open
        self._hold: Hold | None = None
        self._end = 0
        self._counted = ""  # the manifest, once it counts
        self._put: dict[int, tuple[Content, list[bytes]]] = {}  # by its id(): content that was put, and its pieces

    def __enter__(self) -> Writer:
        if self._entered:
            raise StoreError("a writer is entered once: ask the store for another")
        self._entered = True
        backend = self.store.backend
        try:
            try:
                backend.size(STORE_FILE)
            except FileNotFoundError:  # somebody removed the folder under us
                self.store.found()
            self._hold = _admitted(self.store)
            backend.sweep()
            self._pack_id = new_pack()
            pack = Pack(backend.create(pack_file(self._pack_id)))
            self._line = Line(
                pack,
                self.store.pieces.has,
                self.store.pieces.has_all,
                compressing=self._compressing,
                progress=self.store.progress,
                look=self._look,
            )
            self.store.pieces.look()
        except BaseException as error:
            self.__exit__()
            if isinstance(error, OSError):
                raise sentence(error, self.store.place, writing=True) from error
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None = None, *rest: object) -> None:
        try:
            try:
                self._drop()
            finally:
                if self._hold is not None:
                    self._hold.release()
        except KeyboardInterrupt:
            self._take_back()
            raise
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._take_back()

    def _take_back(self) -> None:
        """Interrupted means not done: also where Ctrl-C came when the snapshot counted already."""
        if self._counted:
            with uninterrupted(), contextlib.suppress(OSError):
                withdraw(self.store.backend, self._counted)
                self._counted = ""

    @property
    def new_bytes(self) -> int:
        """How long the pack is so far. Exact after `commit`; before, the last megabytes may be on their way."""
        return self._end if self._line is None else self._line.pack.end

    # --- taking content --------------------------------------------------------------------------------------

    def put(self, data: Bytes, place: Place | None = None) -> Content:
        """Store `data` (any contiguous buffer of bytes or native numbers); return what stands for it.

        `place` says whose buffer it is: what is new in it may be told by what differs from the snapshot before.
        """
        line = self._open()
        known = None if place is None or self._earlier is None else functools.partial(self._earlier.delta, place)
        try:
            content, ids = line.put(data, known)
            self._put[id(content)] = content, ids
            return content
        except OSError as error:
            raise self._sentence(error) from error

    def at(self, names: Sequence[str], number: int) -> Callable[[Bytes, int], Content]:
        """Return `put` for a buffer of some variables, or for a part of it that has so many pieces before it."""
        return lambda data, before: self.put(data, Place(names, number, before))

    def _open(self) -> Line:
        if self._line is None:
            raise StoreError("this writer is not open: use it in a `with` block, before its commit")
        return self._line

    def _sentence(self, error: OSError) -> StoreError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            need = self.new_bytes + max(1, 0 if self._line is None else self._line.coming)
            return StoreError(
                f"disk full: {self.store.place} has no room for this snapshot, which needs {need:,} bytes or more;"
                " the earlier ones are as they were"
            )
        return sentence(error, self.store.place, writing=True)

    # --- the end ---------------------------------------------------------------------------------------------

    def commit(self, snapshot: Snapshot) -> Snapshot:
        """Make the snapshot count: pack, index, manifest. Return it with id, time, parent and new bytes filled in."""
        line, store = self._open(), self.store
        pack, backend = line.pack, store.backend
        sinks: list[Sink] = []
        index = b""
        try:
            try:
                line.finish()
                snapshot, packs = self._with_places(snapshot, line.new)
                if pack.pieces:
                    index = encode_index(self._pack_id, pack.end, pack.pieces)
                    pack.bytes(index)
                    pack.flush()
                    sinks = [pack.sink, _written(backend, index_file(self._pack_id), index)]
                moment = snapshot.head.time or datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
                newest = store.newest(snapshot.head.notebook)
                stamp = max([stamp_of(moment), *(stamp_after(entry.stamp) for entry in newest)])
                parent = newest[0].id if newest else ""
                head = replace(snapshot.head, time=moment, parent=parent, new_bytes=pack.end)
                snapshot, data = manifest.encode(replace(snapshot, head=head), packs, sign=self._sign)
                file = snapshot_file(head.notebook, stamp, snapshot.head.id, head.name)
                sinks.append(_written(backend, file, data))
                _settle(sinks, in_thread=pack.end >= _LONG)
                if index:
                    sinks[0].publish(last=False)
                    sinks[1].publish()
                    store.pieces.add(decode_index(index, self._pack_id))
            except OSError as error:
                raise self._sentence(error) from error
            finally:
                self._drop()
            self._count(file, sinks[-1])  # nothing is left to do after it, where Ctrl-C could come in between
        finally:
            for sink in sinks:
                sink.abandon()  # nothing, where it has got its name
        return snapshot

    def _count(self, file: str, sink: Sink) -> None:
        """Make the snapshot count. Ctrl-C waits for the few milliseconds that it takes; `__exit__` takes it back.

        It does not wait for a backend that is far away: what it asked for is taken back, whether it was done or not.
        """
        far = is_far(self.store.backend)
        try:
            with contextlib.nullcontext() if far else uninterrupted():
                if far:
                    self._counted = file
                sink.publish()
                self._counted = file
                self._is_still_there(file)
        except OSError as error:
            raise self._sentence(error) from error

    def _is_still_there(self, file: str) -> None:
        """Somebody may have removed the store from under us: then this was written into what was left of it."""
        backend = self.store.backend
        try:
            backend.size(STORE_FILE)
        except FileNotFoundError:
            backend.delete(file)
            raise StoreError(f"{self.store.place} was removed while the snapshot was written: take it again") from None

    def _with_places(self, snapshot: Snapshot, new: set[bytes]) -> tuple[Snapshot, set[str]]:
        """Return the snapshot with the bases of its deltas, and the packs that hold what it refers to.

        Nothing that is nowhere may become a manifest.
        """
        pieces: set[bytes] = set()
        for content in manifest.contents(replace(snapshot, bases=())):
            put = self._put.get(id(content))
            pieces.update(put[1] if put is not None else map(bytes.fromhex, content.pieces))
        old = pieces - new
        packs = {self._pack_id} if len(old) < len(pieces) else set()
        here = {piece.id: piece for piece in self._open().pack.pieces if piece.base}
        bases = {here[id].base for id in here.keys() & pieces} | self.store.pieces.bases_of(old)
        try:
            packs |= self.store.pieces.packs_of(old | bases)
        except KeyError as error:
            name = error.args[0].hex()[:12]
            raise StoreError(f"piece {name} of the snapshot was never put into {self.store.place}") from None
        contents = tuple(Content(self.store.pieces.find(id)[1].raw, (id.hex(),)) for id in sorted(bases))
        return replace(snapshot, bases=contents), packs

    def _drop(self) -> None:
        """Let go of thread and temporary file. What was published stays."""
        line = self._line
        if line is not None:
            line.fail(StoreError("the writer was left"))  # the threads drop what they still have to do
            try:
                line.stop()
            finally:
                self._line, self._end = None, line.pack.end
                line.pack.sink.abandon()


def _admitted(store: Store) -> Hold:
    """Return a hold of the store. While somebody removes what is not needed, that takes a moment."""
    while (hold := store.backend.hold(alone=False)) is None:
        store.progress.begin("waiting for the store to be pruned")
        time.sleep(WAIT)
    return hold


@contextlib.contextmanager
def held(store: Store) -> Iterator[None]:
    """Hold the store, with others who add to it, while the block runs."""
    hold = _admitted(store)
    try:
        yield
    finally:
        hold.release()


_LONG = 1 << 20  # a pack that is longer is flushed by a thread, so that Ctrl-C need not wait for the disk


def _settle(sinks: list[Sink], *, in_thread: bool) -> None:
    """Have the disk keep what was written."""
    errors: list[BaseException] = []
    waiting = list(sinks)

    def work() -> None:
        try:
            while waiting:
                waiting.pop(0).settle()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, name="nbsnap-flush", daemon=True)
    if in_thread and begin(thread):
        try:
            while thread.is_alive():
                thread.join(0.1)
        finally:
            waiting.clear()  # after Ctrl-C, it ends with the one that it is at
    else:
        work()
    if errors:
        raise errors[0]


def _written(backend: Backend, name: str, data: Bytes) -> Sink:
    """Return a sink with all of `data`, which nobody sees yet."""
    sink = backend.create(name)
    try:
        sink.write(data)
    except BaseException:
        sink.abandon()
        raise
    return sink


def publish_pack(store: Store, id: str, pack: Pack) -> int:
    """Make a pack count, then its index; return how many bytes they take."""
    index = encode_index(id, pack.end, pack.pieces)
    pack.bytes(index)
    pack.flush()
    pack.sink.publish()
    write_whole(store.backend, index_file(id), index)
    store.pieces.add(decode_index(index, id))
    return pack.end + len(index)
