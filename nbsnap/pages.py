"""What the kernel knows about memory: pages that nobody wrote need not be read again. Linux 6.7 and later.

Two things can be known, without reading the memory, both by PAGEMAP_SCAN (an ioctl of /proc/self/pagemap):

(a) **Restored memory is still its file's.** A restore maps packs privately. A page of such a mapping that was written
    is anonymous from then on; every other page is the file's, or not there yet. Whoever maps says so (`mapped`).
(b) **Quiet memory was not written.** A big buffer is write-protected for *tracking* before it is hashed: the first
    write to a page clears a mark on it, in the kernel and without anybody's help (userfaultfd(2) with
    UFFD_FEATURE_WP_ASYNC: nothing is ever delivered, no read(2) into the memory fails).

Rules, and why each is needed:

1. **Only good news is believed.** Asked are the pages that are present *and* marked *and* not written; what the kernel
   does not list is hashed. So memory that was unmapped, mapped anew, moved, discarded (MADV_DONTNEED) or swapped out is
   hashed. (Asked for the *written* pages instead, kernels before 7.2 leave out discarded ones: commits 07b4377bdbe7,
   40de8160ca7f.) For (a), where untouched pages are not listed by anything, /proc/self/maps must say that the file is
   still mapped there, at the same offset.
2. **Marked first, hashed later**: an id is believed if the piece was hashed while it was marked, and is marked still.
   A write in between is seen at the next look. What is hashed may be the state at a fork, if the mark is older: every
   write since the mark was set, by this process, is seen, on whichever side of the fork it was. A mark that is younger
   than what was hashed (`afterwards`) says nothing of it; the next look hashes again.
3. **Nobody else's mark counts.** Pages are marked for one buffer; who marks them for another (a view, a new array in
   the place of an old one, a neighbour on the same page) makes the first one's pieces unknown. Memory is registered
   by whole mappings, and all marks in it are cleared first: a kernel before 6.13 moves marks along with mremap(2).
   By whole mappings also because a registered part would split them, and mremap(2) of a split mapping fails.
4. **Devices write past the page tables.** A driver that holds pages pinned (CUDA's registered memory, RDMA, io_uring's
   registered buffers) writes without a fault. To pin is to write, for the kernel, so pins that come after the mark are
   seen; those that were there before are not. So while the process has a device open that may pin, or pinned pages
   are counted, nothing is marked and no new id believed. A direct read pins for as long as it lasts: if another thread
   is in one, or may be, what is hashed is believed only SETTLED seconds after the mark. (a) needs no such care: such a
   page is not the file's.
5. **Never against the program.** A write to a marked page costs a fault, once. Most big buffers are never written
   again, so a new one has CREDIT; what was written is marked when it was unchanged PATIENCE times; that grows by the
   factor 4 each time that most of a buffer was rewritten, and in the end it is never marked.
   Under a seccomp filter userfaultfd(2) is not even tried: a filter may kill who asks. Huge pages stay whole while they
   are marked, and are split by a write to them.
6. Whatever fails, or is not what it should be, means that nothing is known, and `line` hashes. A forked child knows
   of (b) what its parent has asked before (`ahead`), and looks by itself for (a). NBSNAP_PAGES=0 turns all of it off.

Documented in Documentation/admin-guide/mm/pagemap.rst and userfaultfd.rst of Linux; PAGEMAP_SCAN(2const),
ioctl_userfaultfd(2). `docs/format.md` tells what it means for a store: nothing, ids are what they always were."""

from __future__ import annotations

import bisect
import contextlib
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from nbsnap.digest import DIGEST_SIZE, PIECE_SIZE
from nbsnap.pagemap import (
    ALLOWED,
    FILE,
    LINUX,
    PRESENT,
    SWAPPED,
    WRITTEN,
    Area,
    Kernel,
    areas,
    covering,
    down,
    is_plain,
    pinning,
    reading,
    up,
    where,
)
from nbsnap.runs import runs

__all__ = ["Look", "forget", "mapped"]

SMALLEST = 8 << 20  # smaller buffers are hashed in a millisecond
LOT = 64 << 20  # so much is marked at a time, or nothing: finding out whether it may be takes as long as hashing that
PATIENCE = 3  # so often unchanged, and a piece is marked
CREDIT = 3  # so often every piece of a new buffer is taken to have been unchanged
GIVEN_UP = 100  # that would be a patience without end
SETTLED = 1.0
MOST = 1 << 18  # pieces that are remembered, in all


Place = tuple[int, int]  # address and length


class Part(NamedTuple):
    """A part of a file that is mapped."""

    start: int
    stop: int
    ids: Sequence[bytes]
    file: tuple[bytes, bytes, int]  # device, inode, offset less address


class Quiet:
    """A buffer that may be quiet. Of each piece: its id, how often it was unchanged, whether it is marked."""

    def __init__(self, count: int) -> None:
        self.ids = [b""] * count  # b"" as long as it is not known
        self.calm = [CREDIT] * count
        self.marked: list[float | None] = [None] * count  # who looks from then on may believe what it hashes
        self.clean = bytearray(count)  # as the last look found it
        self.sure = bytearray(count)  # the id was hashed under the mark
        self.patience = PATIENCE

    def ripe(self) -> list[int]:
        """Return which pieces are to be marked."""
        if self.patience >= GIVEN_UP:
            return []
        pieces = enumerate(zip(self.marked, self.calm, strict=True))
        return [number for number, (since, calm) in pieces if since is None and calm >= self.patience]


#: Parts of files that were mapped, by address. Whoever maps and unmaps does single operations of a dict on it.
_parts: dict[int, Part] = {}


def mapped(parts: Iterable[tuple[int, int, Sequence[bytes]]]) -> None:
    """Remember that memory (address, length, ids of its pieces) was just mapped privately, from verified pieces.

    Whoever says so calls `forget` before the memory is unmapped. Best once for all that a restore maps.
    """
    if not _supported():
        return
    with contextlib.suppress(OSError):
        lines = areas()
        last: Part | None = None
        for start, length, ids in sorted(parts):
            found = covering(lines, start, start + length)
            if not found or length <= 0 or len(ids) != -(-length // PIECE_SIZE) or found[0].file[1] == b"0":
                continue
            part = Part(start, start + length, tuple(ids), found[0].file)
            if last and last.stop == start and last.file == part.file and (start - last.start) % PIECE_SIZE == 0:
                part = Part(last.start, part.stop, (*last.ids, *ids), part.file)
            if _is_mapped(part, lines):
                _parts[part.start] = last = part


def forget(start: int, length: int) -> None:
    """Forget what was mapped there. May be called at any time, by a finalizer too."""
    for part in list(_parts.values()):
        if part.start < start + length and start < part.stop:
            _parts.pop(part.start, None)


class Look:
    """One look at memory, for one snapshot: buffers that are held, so that none is unmapped meanwhile.

    Asked `ahead` about all of them, it has looked before the first is hashed; so it can be handed to a forked child,
    for which its answers hold as well. Its parent then learns `afterwards` what the child has hashed.
    """

    def __init__(self) -> None:
        self._kernel: _Kernel | None = None
        self._pid = os.getpid()
        self._sorted: list[Part] | None = None  # what is mapped, by address
        self._devices: bool | None = None
        self._asked: dict[Place, float] = {}
        self._told: dict[Place, list[bytes]] = {}  # answers that nobody has called for yet
        self.asked = False  # ahead
        self.named: list[tuple[int, int, str]] = []  # what this child was told: places, and the ids of their pieces

    def ahead(self, views: Iterable[memoryview], *, forking: bool = False) -> None:
        """Look at all buffers of a snapshot. `forking`: only at marks, for a child will look at restored memory."""
        self.asked = True
        if not _supported():
            return
        with contextlib.suppress(*_UNKNOWN):
            self._kernel = kernel = _kernel()
            with kernel.turn():
                big = (view for view in views if view.nbytes >= SMALLEST)
                places = list(dict.fromkeys((where(view), view.nbytes) for view in big))
                answers = self._ask(kernel, places, forking=forking)
                self._told.update(zip(places, answers, strict=True))

    def known(self, view: memoryview) -> list[bytes]:
        """Return the ids of a buffer's pieces, b"" for those that must be hashed; [] if nothing is known."""
        size = len(view)
        if size < (PIECE_SIZE if _parts else SMALLEST) or not _supported():
            return []
        try:
            self._kernel = kernel = _kernel()
            with kernel.turn():
                place = where(view), size
                told = self._told.pop(place, None)
                if told is None:
                    (told,) = self._ask(kernel, [place])
                elif kernel.pid != self._pid and _parts:
                    mine = [b""] * len(told)
                    self._restored(kernel, *place, mine)
                    told = [own or id for own, id in zip(mine, told, strict=True)]
        except _UNKNOWN:
            return []
        return told

    def learn(self, view: memoryview, ids: list[bytes]) -> None:
        """Be told the ids of all pieces of a buffer, after `known` was asked about it and the rest was hashed."""
        kernel, size = self._kernel, len(view)
        if kernel is None or size < SMALLEST or kernel.pid != os.getpid():
            return
        with contextlib.suppress(*_UNKNOWN), kernel.turn():
            if kernel.pid != self._pid:
                self.named.append((where(view), size, b"".join(ids).hex()))
            elif kernel.tracks:
                self._learn(kernel, (where(view), size), ids)

    def afterwards(self, named: Iterable[tuple[int, int, str]]) -> None:
        """Be told what a child has `named` of the buffers that were asked about ahead, and mark what is ripe.

        Nobody holds the memory any more. If something else is there now, its marks are as good as none: what is marked
        is hashed before it is believed.
        """
        kernel = self._kernel
        if kernel is None or not kernel.tracks:
            return
        with contextlib.suppress(*_UNKNOWN), kernel.turn():
            for address, size, digits in named:
                ids = bytes.fromhex(digits)
                self._learn(
                    kernel, (address, size), [ids[at : at + DIGEST_SIZE] for at in range(0, len(ids), DIGEST_SIZE)]
                )
            ripe = [(place, quiet.ripe()) for place in self._asked if (quiet := kernel.quiet.get(place)) is not None]
            if _is_a_lot(ripe) and kernel.open() and not pinning():
                lines = areas()
                for place, numbers in ripe:
                    kernel.mark(place, numbers, lines)

    def _ask(self, kernel: _Kernel, places: list[Place], *, forking: bool = False) -> list[list[bytes]]:
        answers = []
        ripe = []
        now = time.monotonic()
        for place in places:
            address, size = place
            told = [b""] * -(-size // PIECE_SIZE)
            if _parts and not forking:
                self._restored(kernel, address, size, told)
            if size >= SMALLEST and kernel.tracks:
                self._asked.setdefault(place, now)
                quiet = self._quiet(kernel, place, told)
                if not forking and not all(told) and (numbers := [n for n in quiet.ripe() if not told[n]]):
                    ripe.append((place, numbers))
            answers.append(told)
        ripe = [(place, numbers) for place, numbers in ripe if place in kernel.quiet]  # what is new may have put it out
        if _is_a_lot(ripe) and kernel.open():
            self._mark(kernel, ripe, now)
        return answers

    def _mark(self, kernel: _Kernel, ripe: list[tuple[Place, list[int]]], now: float) -> None:
        """Mark pieces that are about to be hashed. Rule 4 says when that hash may be believed."""
        if self._devices or (kernel.devices and pinning()):
            return
        lines = areas()
        for place, numbers in ripe:
            kernel.mark(place, numbers, lines)
        self._devices = kernel.devices = pinning()
        settled = not self._devices and not reading([place for place, _ in ripe])
        for place, numbers in ripe:
            quiet = kernel.quiet[place]
            for number in numbers:
                if quiet.marked[number] is not None:
                    quiet.clean[number] = 1
                    if settled:
                        quiet.marked[number] = now

    # --- (a) -------------------------------------------------------------------------------------------------

    def _restored(self, kernel: _Kernel, address: int, size: int, told: list[bytes]) -> None:
        if self._sorted is None:
            lines = areas()
            self._sorted = sorted(part for part in list(_parts.values()) if _is_mapped(part, lines))
        stop = address + size
        first = max(0, bisect.bisect_right(self._sorted, address, key=lambda part: part.start) - 1)
        for part in self._sorted[first:]:
            if part.start >= stop:
                break
            if part.stop <= address or (part.start - address) % PIECE_SIZE or _parts.get(part.start) is not part:
                continue
            shift = (address - part.start) // PIECE_SIZE  # piece n of the buffer is piece n + shift of the part
            low, high = max(0, -shift), min(len(told), len(part.ids) - shift)
            ends = min(address + high * PIECE_SIZE, stop), min(part.start + (high + shift) * PIECE_SIZE, part.stop)
            high -= ends[0] != ends[1]  # the last piece of one of them is cut short
            if low < high:
                told[low:high] = part.ids[low + shift : high + shift]
        if not any(told):
            return
        for begin, end in kernel.scan(address, stop, of=FILE, none=FILE, any=PRESENT | SWAPPED, tell=PRESENT | SWAPPED):
            low, high = max(0, (begin - address) // PIECE_SIZE), (end - 1 - address) // PIECE_SIZE + 1
            told[low:high] = [b""] * (min(high, len(told)) - low)

    # --- (b) -------------------------------------------------------------------------------------------------

    def _quiet(self, kernel: _Kernel, place: Place, told: list[bytes]) -> Quiet:
        address, size = place
        quiet = kernel.quiet.get(place)
        if quiet is None:
            quiet = Quiet(len(told))
            kernel.remember(place, quiet)
            return quiet
        count = len(quiet.ids)
        quiet.clean = bytearray(count)
        if not any(quiet.marked):
            return quiet
        unsure = (since and not sure for since, sure in zip(quiet.marked, quiet.sure, strict=True))
        if self._devices is None and any(unsure):
            self._devices = pinning()  # before the hashing: who lets go of pages later has written by then
        of = ALLOWED | WRITTEN | PRESENT
        for begin, end in kernel.scan(address, address + size, of=of, none=WRITTEN, any=0, tell=ALLOWED):
            first = max(0, -((address - begin) // PIECE_SIZE))
            last = count if end >= address + size else (end - address) // PIECE_SIZE
            if first < last:
                quiet.clean[first:last] = b"\1" * (last - first)
        if all(quiet.clean) and all(quiet.sure):
            told[:] = quiet.ids
            return quiet
        written = 0
        for number, since in enumerate(quiet.marked):
            if since is None:
                continue
            if not quiet.clean[number]:
                quiet.marked[number], quiet.sure[number], quiet.calm[number] = None, 0, 0
                written += 1
            elif quiet.sure[number]:
                told[number] = told[number] or quiet.ids[number]
        if written > count // 2:
            allowed = kernel.scan(address, address + size, of=ALLOWED, none=0, any=0, tell=ALLOWED)
            if not any(True for _ in allowed):  # it was not rewritten: other memory has been mapped here
                quiet = Quiet(count)
                kernel.remember(place, quiet)
                return quiet
            quiet.patience = min(4 * quiet.patience, GIVEN_UP)
        return quiet

    def _learn(self, kernel: _Kernel, place: Place, ids: list[bytes]) -> None:
        asked = self._asked.get(place, 0.0)
        if not asked:  # never asked about, or learned already
            return
        self._asked[place] = 0.0
        quiet = kernel.quiet.pop(place, None)
        if quiet is None:
            return
        kernel.remember(place, quiet)
        if all(quiet.clean) and all(quiet.sure) and ids == quiet.ids:
            return
        for number, (id, before) in enumerate(zip(ids, quiet.ids, strict=True)):
            same = id == before or not before
            since = quiet.marked[number]
            if since is not None:
                if not same:  # written while it was hashed, or by a device: from the beginning
                    quiet.marked[number], quiet.sure[number], quiet.calm[number] = None, 0, 0
                elif quiet.clean[number] and self._devices is False and asked >= since:
                    quiet.sure[number] = 1
            elif before:
                quiet.calm[number] = quiet.calm[number] + 1 if same else 0
        quiet.ids = ids


def _is_a_lot(ripe: list[tuple[Place, list[int]]]) -> bool:
    count = sum(len(numbers) for _, numbers in ripe)
    return count > 0 and count * PIECE_SIZE >= LOT


_UNKNOWN = (OSError, ValueError, TypeError, AttributeError, BufferError)


class _Kernel(Kernel):
    """The kernel's side, and the buffers that are watched by it."""

    def __init__(self, *, tracks: bool) -> None:
        super().__init__(tracks=tracks)
        self.quiet: dict[Place, Quiet] = {}  # the last used one is the last
        self.devices = False  # when something was marked last: whether any may pin
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """One at a time; whoever comes meanwhile knows nothing, and need not wait."""
        if not self._lock.acquire(blocking=False):
            raise BlockingIOError
        try:
            yield
        finally:
            self._lock.release()

    # --- tracking --------------------------------------------------------------------------------------------

    def remember(self, place: Place, quiet: Quiet) -> None:
        """Put a buffer at the end of those that are watched, and let go of the first ones if they are too many."""
        self.quiet[place] = quiet
        count = sum(len(each.ids) for each in self.quiet.values())
        while count > MOST and len(self.quiet) > 1:
            (start, length), old = next(iter(self.quiet.items()))
            del self.quiet[start, length]
            count -= len(old.ids)
            if any(old.marked):
                with contextlib.suppress(OSError):
                    self.protect(down(start), up(start + length), 0)

    def mark(self, place: Place, numbers: list[int], lines: list[Area]) -> None:
        """Mark pieces of a buffer. What is not plain private memory is left alone, for ever."""
        (address, size), quiet = place, self.quiet[place]
        plain = []
        for number in numbers:
            start = address + number * PIECE_SIZE
            inside = covering(lines, start, min(start + PIECE_SIZE, address + size))
            if inside and all(map(is_plain, inside)):
                plain.append(number)
            elif inside:
                quiet.calm[number] = -(1 << 60)
        for first, last in runs(plain):
            start, stop = address + first * PIECE_SIZE, min(address + last * PIECE_SIZE, address + size)
            # The page that a neighbour shares: if that is marked, so is the page; or it was written, and must show it.
            beside = first > 0 and quiet.marked[first - 1] is not None
            start = up(start) if beside else down(start)
            beside = last < len(quiet.ids) and quiet.marked[last] is not None
            stop = down(stop) if beside else up(stop)
            try:
                self._lost(start, stop)
                try:
                    self.protect(start, stop, 1)
                except OSError:  # not registered yet, or not all of it
                    for area in covering(lines, start, stop):
                        self._take(area)
                    self.protect(start, stop, 1)
            except OSError:
                quiet.patience = GIVEN_UP
                return
            quiet.marked[first:last] = [time.monotonic() + SETTLED] * (last - first)

    def _take(self, area: Area) -> None:
        self._lost(area.start, area.stop)
        self.register(area.start, area.stop)
        self.protect(area.start, area.stop, 0)

    def _lost(self, start: int, stop: int) -> None:
        """What buffers believe of these pages is no longer known. Rule 3."""
        for (address, size), quiet in self.quiet.items():
            if address < stop and start < address + size:
                first = max(0, (start - address) // PIECE_SIZE)
                last = min(len(quiet.ids), (stop - 1 - address) // PIECE_SIZE + 1)
                quiet.marked[first:last] = [None] * (last - first)
                quiet.sure[first:last] = bytes(last - first)


_HOME = os.getpid()  # where memory is tracked; its children only look
_state: tuple[int, _Kernel | None] = (0, None)


def _supported() -> bool:
    return LINUX and os.environ.get("NBSNAP_PAGES") != "0"


def _kernel() -> _Kernel:
    """Return the kernel's side for this very process, or raise OSError. What a parent opened tells of the parent."""
    global _state
    pid = os.getpid()
    if _state[0] != pid:
        _state = pid, None
        _state = pid, _Kernel(tracks=pid == _HOME)
    if _state[1] is None:
        raise OSError("not to be had")
    return _state[1]


def _is_mapped(part: Part, lines: list[Area]) -> bool:
    found = covering(lines, part.start, part.stop)
    return bool(found) and all(area.file == part.file and area.access.endswith(b"p") for area in found)
