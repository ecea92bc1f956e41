"""What is going to be read of a bucket's packs, fetched before it is asked for, in few large pieces.

A restore knows what it needs before it reads the first byte. That is announced here: as parts of packs, in the order in
which they will be read. Parts that lie near each other become one range, so that what is between them is fetched too,
where that costs less than another request. Ranges are fetched several at a time, in the order in which they will be
needed; each is kept until all that was announced of it was read.

- **Memory is bounded**: ranges that are fetched and on their way take `WINDOW` bytes or little more. What is not read
  in the order of its announcement is fetched when it is asked for, whatever the window holds; when too much waits to be
  read, the oldest is let go, and costs a request of its own should it be read after all.
- **Nothing depends on it**: what was not announced, or could not be fetched, is read as if this were not there, and
  errors are told then."""

from __future__ import annotations

import concurrent.futures
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from nbsnap.remote import submit, wait_for

__all__ = ["Ahead", "Part", "ranges"]

RANGE = 8 << 20  # at most so long, unless a single part is longer
GAP = 256 << 10  # so many bytes between two parts are fetched along rather than asked around
WINDOW = 96 << 20
HELD = 256 << 20  # of ranges of which something was not read yet

Part = tuple[str, int, int]  # name, offset, length


class _Range:
    def __init__(self, name: str, start: int, end: int) -> None:
        self.name, self.start, self.end = name, start, end
        self.left = 0  # bytes that were announced, and not read yet
        self.future: concurrent.futures.Future[Any] | None = None

    @property
    def size(self) -> int:
        return self.end - self.start


def ranges(parts: Iterable[Part]) -> list[tuple[str, int, int, int]]:
    """Return ranges that cover all parts: name, start, end, bytes of parts in it; in the order of their first part."""
    order: dict[Part, int] = {}
    count: dict[Part, int] = {}
    for number, part in enumerate(parts):
        if part[2] > 0:
            order.setdefault(part, number)
            count[part] = count.get(part, 0) + 1
    found: list[tuple[int, list[Any]]] = []
    for part in sorted(order):
        name, start, length = part
        end, wanted = start + length, length * count[part]
        if found:
            first, last = found[-1]
            if last[0] == name and start - last[2] <= GAP and max(end, last[2]) - last[1] <= RANGE:
                last[2] = max(last[2], end)
                last[3] += wanted
                found[-1] = (min(first, order[part]), last)
                continue
        found.append((order[part], [name, start, end, wanted]))
    return [(name, start, end, wanted) for _, (name, start, end, wanted) in sorted(found, key=lambda item: item[0])]


class Ahead:
    """Fetches ranges before they are read. `fetch` returns a range's bytes, within the event loop."""

    def __init__(self, fetch: Callable[[str, int, int], Coroutine[Any, Any, Any]]) -> None:
        self._fetch = fetch
        self._guard = threading.Lock()
        self._by_name: dict[str, list[_Range]] = {}
        self._waiting: OrderedDict[int, _Range] = OrderedDict()  # not begun
        self._begun: OrderedDict[int, _Range] = OrderedDict()

    def announce(self, parts: Iterable[Part]) -> None:
        """Take note of what will be read; what was announced before and not read is forgotten."""
        self.forget()
        with self._guard:
            for name, start, end, wanted in ranges(parts):
                made = _Range(name, start, end)
                made.left = wanted
                self._by_name.setdefault(name, []).append(made)
                self._waiting[id(made)] = made
            for found in self._by_name.values():
                found.sort(key=lambda each: each.start)
            self._go_on()

    def forget(self) -> None:
        """Forget everything."""
        with self._guard:
            for each in self._begun.values():
                if each.future is not None:
                    each.future.cancel()
            self._by_name.clear()
            self._waiting.clear()
            self._begun.clear()

    def take(self, name: str, offset: int, buffer: memoryview) -> int:
        """Fill the buffer as far as it was announced; return how many bytes that were."""
        done = 0
        while done < len(buffer):
            found = self._at(name, offset + done)
            if found is None or found.future is None:
                break
            try:
                data = memoryview(wait_for(found.future))
            except (concurrent.futures.CancelledError, Exception):
                self._drop(found)
                break
            begin = offset + done - found.start
            part = data[begin : begin + len(buffer) - done]
            if not len(part):
                break
            buffer[done : done + len(part)] = part
            done += len(part)
            found.left -= len(part)
            if found.left <= 0:
                self._drop(found)
        return done

    def holds(self, name: str, start: int, end: int) -> bool:
        """Tell whether all of it was announced, and lies in one range."""
        with self._guard:
            return any(each.start <= start and end <= each.end for each in self._by_name.get(name, ()))

    def _at(self, name: str, offset: int) -> _Range | None:
        """Return the range that holds an offset, begun."""
        with self._guard:
            found = self._by_name.get(name)
            if not found:
                return None
            at = bisect_right(found, offset, key=lambda each: each.start) - 1
            if at < 0 or offset >= found[at].end:
                return None
            if found[at].future is None:
                self._begin(found[at])
            return found[at]

    def _begin(self, each: _Range) -> None:
        self._waiting.pop(id(each), None)
        self._begun[id(each)] = each
        each.future = submit(self._fetch(each.name, each.start, each.end))

    def _go_on(self) -> None:
        held = sum(each.size for each in self._begun.values())
        while self._waiting and held < WINDOW:
            each = next(iter(self._waiting.values()))
            self._begin(each)
            held += each.size
        while held > HELD and len(self._begun) > 1:
            each = next(iter(self._begun.values()))
            held -= each.size
            self._remove(each)

    def _drop(self, each: _Range) -> None:
        with self._guard:
            self._remove(each)
            self._go_on()

    def _remove(self, each: _Range) -> None:
        self._begun.pop(id(each), None)
        found = self._by_name.get(each.name, [])
        if each in found:
            found.remove(each)
