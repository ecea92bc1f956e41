"""Writing one snapshot: content in, pieces cut, hashed, compressed and appended to one pack; then index and manifest.

    put (the caller's thread)                           the packing thread
    ─────────────────────────                           ──────────────────
    cut into pieces, hash each                          sample, compress where it pays
    known? count it, go on                              append: raw ones of 64 KiB and more on a page's edge
    else: a copy of it, in one of a few buffers   ──►   buffer back to the caller's thread

A piece is copied (1 MiB, still in the cache) before it is hashed, and what is written is that copy. So a piece is
always what its id says, though another thread may change the variable meanwhile; and `put` need not wait for the
disk. As long as the pieces prove to be known they are hashed in place, without the copy. Small content (under 64
KiB) is gathered in the caller's thread and handed over a megabyte at a time; a session without any big value never
starts the thread.

Leaving the `with` block without `commit` drops everything. The temporary file exists from beginning to end, so that
others can see that somebody is writing, and a place that cannot be written shows itself before any work is done."""

from __future__ import annotations

import datetime
import errno
import queue
import threading
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from nbsnap import manifest
from nbsnap.backends import Sink, sentence, write_whole
from nbsnap.digest import PIECE_SIZE, Bytes, digest
from nbsnap.errors import StoreError
from nbsnap.model import Content, Snapshot
from nbsnap.packs import RAW, ZSTD, Piece, compress, decode_index, encode_index
from nbsnap.quiet import uninterrupted
from nbsnap.tree import STORE_FILE, index_file, new_pack, pack_file, snapshot_file, stamp_after, stamp_of

if TYPE_CHECKING:
    from nbsnap.store import Store

__all__ = ["Writer"]

PAGE = 4096
ALIGNED = 1 << 16  # raw pieces from this size on start on a page's edge
WINDOW = 4 * PIECE_SIZE  # of so much of a big buffer ...
SAMPLE = 1 << 16  # ... so much is compressed to see whether it pays
SMALLEST = 128  # shorter ones are not worth compressing
BUFFERS = 6
_ZEROS = bytes(PAGE)


class _Small(NamedTuple):
    """A small piece, coded already."""

    id: bytes
    stored: Bytes
    raw: int
    codec: int


class _Big(NamedTuple):
    """A big piece that waits in a buffer to be coded and appended."""

    id: bytes
    buffer: bytearray
    size: int
    sample: bool  # the first new one of its window: find out whether compressing pays


class _Pack:
    """The pack being written: appends, and remembers where everything went. One thread at a time."""

    def __init__(self, sink: Sink, compressing: bool) -> None:
        self.sink = sink
        self.end = 0
        self.pieces: list[Piece] = []
        self.compressing = compressing
        self.pays = False
        self._held = bytearray()  # short things on their way, so that they do not cost a system call each

    def small(self, batch: list[_Small]) -> None:
        """Append small pieces, tightly."""
        for id, stored, raw, codec in batch:
            self.pieces.append(Piece(id, self.end, len(stored), raw, codec))
            self.bytes(stored)

    def big(self, job: _Big) -> None:
        """Code a big piece and append it."""
        with memoryview(job.buffer)[: job.size] as raw:
            if self.compressing and job.sample:
                start = max(0, (job.size - SAMPLE) // 2)
                self.pays = compress(raw[start : start + SAMPLE]) is not None
            stored = compress(raw) if self.compressing and self.pays else None
            if stored is not None:
                self.pieces.append(Piece(job.id, self.end, len(stored), job.size, ZSTD))
                self.bytes(stored)
                return
            if job.size >= ALIGNED and self.end % PAGE:
                self.bytes(_ZEROS[self.end % PAGE :])
            self.pieces.append(Piece(job.id, self.end, job.size, job.size, RAW))
            self.bytes(raw)

    def bytes(self, data: Bytes) -> None:
        """Append bytes as they are."""
        if len(data) < ALIGNED:
            self._held += data
            if len(self._held) >= PIECE_SIZE:
                self.flush()
        else:
            self.flush()
            self.sink.write(data)
        self.end += len(data)

    def flush(self) -> None:
        """Hand over what is held back."""
        if self._held:
            held, self._held = self._held, bytearray()
            self.sink.write(held)


class Writer:
    """Takes content, commits one snapshot. A context manager; used by one thread."""

    def __init__(self, store: Store, *, compression: str = "auto") -> None:
        if compression not in ("auto", "off"):
            raise ValueError(f"compression is 'auto' or 'off', not {compression!r}")
        self.store = store
        self._compressing = compression == "auto"
        self._pack: _Pack | None = None
        self._new: set[bytes] = set()
        self._batch: list[_Small] = []
        self._batched = 0
        self._thread: threading.Thread | None = None
        self._jobs: queue.SimpleQueue[list[_Small] | _Big | None] = queue.SimpleQueue()
        self._buffers: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
        self._made = 0
        self._error: BaseException | None = None

    def __enter__(self) -> Writer:
        if self._pack is not None or self._error is not None:
            raise StoreError("a writer is entered once: ask the store for another")
        backend = self.store.backend
        try:
            try:
                backend.size(STORE_FILE)
            except FileNotFoundError:  # somebody removed the folder under us
                self.store.found()
            backend.sweep()
            self._pack_id = new_pack()
            self._pack = _Pack(backend.create(pack_file(self._pack_id)), self._compressing)
        except OSError as error:
            raise sentence(error, self.store.place, writing=True) from error
        try:
            self.store.pieces.look()
        except BaseException:
            self._drop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._drop()

    @property
    def new_bytes(self) -> int:
        """How long the pack is so far. Exact after `commit`; before, the last megabytes may be on their way."""
        return 0 if self._pack is None else self._pack.end

    # --- taking content --------------------------------------------------------------------------------------

    def put(self, data: Bytes) -> Content:
        """Store `data` (any contiguous buffer of bytes or native numbers); return what stands for it."""
        view = memoryview(data)
        size = view.nbytes
        if not view.c_contiguous:
            raise ValueError("only contiguous memory can be put into a store")
        if not size:
            return Content(0)
        if view.format != "B" or view.ndim != 1:
            view = view.cast("B")
        if size < ALIGNED:
            return Content(size, (self._put_small(bytes(view)),))
        return Content(size, tuple(self._put_big(view)))

    def _known(self, id: bytes) -> bool:
        return id in self._new or self.store.pieces.has(id)

    def _put_small(self, raw: bytes) -> str:
        id = digest(raw)
        if not self._known(id):
            stored = compress(raw) if self._compressing and len(raw) >= SMALLEST else None
            small = _Small(id, raw, len(raw), RAW) if stored is None else _Small(id, stored, len(raw), ZSTD)
            self._batch.append(small)
            self._new.add(id)
            self._batched += len(small.stored)
            if self._batched >= PIECE_SIZE:
                self._hand_over()
        return id.hex()

    def _put_big(self, view: memoryview) -> list[str]:
        ids = []
        known = False
        window = -1
        for start in range(0, len(view), PIECE_SIZE):
            raw = view[start : start + PIECE_SIZE]
            size = len(raw)
            if known:  # the last one was: this one may be too, so no copy yet
                id = digest(raw)
                known = self._known(id)
            if not known:
                buffer = self._buffer()
                buffer[:size] = raw
                with memoryview(buffer)[:size] as copy:
                    id = digest(copy)
                known = self._known(id)
                if known:
                    self._buffers.put(buffer)
                else:
                    self._hand_over()
                    self._jobs.put(_Big(id, buffer, size, window != start // WINDOW))
                    self._new.add(id)
                    window = start // WINDOW
            ids.append(id.hex())
        return ids

    def _buffer(self) -> bytearray:
        """Return a free buffer; while there is none, wait for the packing thread."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="nbsnap-pack", daemon=True)
            self._thread.start()
        while True:
            self._check()
            try:
                return self._buffers.get(block=self._made >= BUFFERS, timeout=0.1)
            except queue.Empty:
                if self._made < BUFFERS:
                    self._made += 1
                    return bytearray(PIECE_SIZE)

    def _hand_over(self) -> None:
        batch, self._batch, self._batched = self._batch, [], 0
        if not batch:
            return
        if self._thread is not None:
            self._jobs.put(batch)
            return
        assert self._pack is not None
        try:
            self._pack.small(batch)
        except OSError as error:
            raise self._sentence(error) from error

    # --- the packing thread ----------------------------------------------------------------------------------

    def _work(self) -> None:
        pack = self._pack
        while pack is not None:
            try:
                job = self._jobs.get(timeout=1.0)
            except queue.Empty:
                if self._error is not None:  # an interrupt came between, and nobody will send the end any more
                    return
                continue
            if job is None:
                return
            try:
                if self._error is None:
                    if isinstance(job, _Big):
                        pack.big(job)
                    else:
                        pack.small(job)
            except BaseException as error:
                self._error = error  # raised in the caller's thread, at its next step
            if isinstance(job, _Big):
                self._buffers.put(job.buffer)

    def _check(self) -> None:
        if self._pack is None:
            raise StoreError("this writer is not open: use it in a `with` block, before its commit")
        error = self._error
        if isinstance(error, OSError):
            raise self._sentence(error) from error
        if error is not None:
            raise error

    def _join(self) -> None:
        thread = self._thread
        if thread is not None:
            self._jobs.put(None)
            while thread.is_alive():
                thread.join(0.1)
            self._thread = None

    def _sentence(self, error: OSError) -> StoreError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            need = self.new_bytes + max(1, self._batched)
            return StoreError(
                f"disk full: {self.store.place} has no room for this snapshot, which needs {need:,} bytes or more;"
                " the earlier ones are as they were"
            )
        return sentence(error, self.store.place, writing=True)

    # --- the end ---------------------------------------------------------------------------------------------

    def commit(self, snapshot: Snapshot) -> Snapshot:
        """Make the snapshot count: pack, index, manifest. Return it with id, time, parent and new bytes filled in."""
        self._check()
        self._hand_over()
        self._join()
        self._check()
        pack, store = self._pack, self.store
        assert pack is not None
        packs = self._packs_of(snapshot)
        try:
            if pack.pieces:
                self._publish_pack(pack)
            time = snapshot.head.time or datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            newest = store.entries(snapshot.head.notebook)[-1:]
            stamp = max([stamp_of(time), *(stamp_after(entry.stamp) for entry in newest)])
            parent = newest[0].id if newest else ""
            head = replace(snapshot.head, time=time, parent=parent, new_bytes=pack.end)
            snapshot, data = manifest.encode(replace(snapshot, head=head), packs)
            file = snapshot_file(head.notebook, stamp, snapshot.head.id, head.name)
        except OSError as error:
            raise self._sentence(error) from error
        finally:
            self._drop()
        self._publish_manifest(file, data)  # nothing is left to do after it, where Ctrl-C could come in between
        return snapshot

    def _publish_manifest(self, file: str, data: bytes) -> None:
        """Make the snapshot count. Ctrl-C waits for the few milliseconds that it takes, and then takes it back."""
        backend = self.store.backend
        try:
            with uninterrupted():
                write_whole(backend, file, data)
        except OSError as error:
            raise self._sentence(error) from error
        except KeyboardInterrupt:
            backend.delete(file)
            raise

    def _publish_pack(self, pack: _Pack) -> None:
        index = encode_index(self._pack_id, pack.end, pack.pieces)
        pack.bytes(index)
        pack.flush()
        pack.sink.publish()
        write_whole(self.store.backend, index_file(self._pack_id), index)
        self.store.pieces.add(decode_index(index, self._pack_id))

    def _packs_of(self, snapshot: Snapshot) -> set[str]:
        """Return the packs that hold what the snapshot refers to; nothing that is nowhere may become a manifest."""
        ids = set(chain.from_iterable(content.pieces for content in manifest.contents(snapshot)))
        pieces = set(map(bytes.fromhex, ids))
        packs = {self._pack_id} if pieces & self._new else set()
        for piece in pieces - self._new:
            pack = self.store.pieces.pack_of(piece)
            if pack is None:
                raise StoreError(f"piece {piece.hex()[:12]} of the snapshot was never put into {self.store.place}")
            packs.add(pack)
        return packs

    def _drop(self) -> None:
        """Let go of thread and temporary file. What was published stays."""
        pack = self._pack
        if pack is not None:
            self._error = self._error or StoreError("the writer was left")  # the thread drops what it still has to do
            try:
                self._join()
            finally:
                self._pack = None
                pack.sink.abandon()
