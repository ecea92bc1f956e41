"""A store in a bucket: S3 and what speaks like it, Google's and Azure's.

The names of a store are the names of its objects, below the prefix. What a folder does by renaming and locking is done
by other means here:

- **An object appears whole or not at all**, by one `PUT`, or by the parts of an upload that is completed in the end.
  Whatever goes up in one `PUT` (manifests always do) is put on the condition that nothing is there (`If-None-Match`),
  so that of two writers neither replaces what the other has put. Where something is there, it is ours already (an
  answer got lost, and the request was made twice), or it is replaced on the condition that it still is what was seen
  (`If-Match`): a manifest that gets another signature. Packs have random names, and go up in parts.
- **Who holds the store has an object in `locks/`**, which he puts again every minute (`claims`). Where that may not
  have been seen for a while, he publishes no manifest and removes nothing.
- **Requests are few**: lengths are known from listings; records and indexes are fetched in one request if they are
  short, many at a time where many are needed (`expect`), and what a restore reads is fetched ahead in large ranges
  (`ahead`). Records and indexes never change under their names and tags, so a cache may keep them.

An upload that was begun and never completed stays, unseen, until the bucket's own rules remove it: no verb of obstore's
lists them. docs/elsewhere.md has the rule."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from nbsnap.ahead import Ahead, Part
from nbsnap.backends import OURS, File, Hold, Sink, check_name
from nbsnap.cache import Cache
from nbsnap.claims import LOCKS, Claims
from nbsnap.digest import Bytes
from nbsnap.objects import deleted, listed, ranged
from nbsnap.remote import Answer, Client, Exists, Outdated, leave, obstore, submit, understood, wait_for
from nbsnap.uploads import UploadSink

__all__ = ["BucketBackend"]

FIRST = {"snap": 64 << 10, "index": 64 << 10}  # of a record or an index, so much is asked for at first
MOST = 1 << 20  # ... or so much, if it is asked for
KEPT = 64 << 20  # bytes of records and indexes that are kept in memory
MANY = 32  # requests at once


class BucketBackend:
    """A store below a prefix in a bucket. `place` is the URL that a user gave; `client` talks to it."""

    def __init__(self, place: str, client: Client, cache: Cache | None = None) -> None:
        self.place = place
        self.cache = cache
        self.client = client
        self._guard = threading.Lock()
        self._met: dict[str, tuple[int, str]] = {}  # lengths and tags, as they were listed last
        self._kept: OrderedDict[str, tuple[bytes, int]] = OrderedDict()  # beginnings of files, and how long these are
        self._claims = Claims(client)
        self._unconditional = False  # once it is known that the server knows no conditions
        self._ahead = Ahead(self._fetch)

    def describe(self, name: str) -> str:
        return f"{self.place}/{name}"

    def prepare(self) -> None:
        """Nothing is to be made: what cannot be written shows itself with the first hold."""

    def foreign(self) -> bool:
        found = self.client.do(lambda store: obstore().list_with_delimiter_async(store))
        names = {*found["common_prefixes"], *(meta["path"] for meta in found["objects"])}
        tops = {name.strip("/").split("/")[0] for name in names}
        return not OURS.issuperset(tops - {""})  # an object of the prefix's own name is what a console calls a folder

    # --- reading -----------------------------------------------------------------------------------------------------

    def list(self, folder: str) -> list[str]:
        folder = folder.rstrip("/")
        found = self.client.do(lambda store: listed(store, folder))
        names: dict[str, tuple[int, str]] = {}
        for meta in found:
            with contextlib.suppress(ValueError):
                name = check_name(meta["path"])
                if not name.startswith((f"{LOCKS}/", "tmp/")):
                    names[name] = meta["size"], meta["e_tag"] or ""
        with self._guard:
            prefix = folder and folder + "/"
            self._met = {name: told for name, told in self._met.items() if not name.startswith(prefix)} | names
        return sorted(names)

    def size(self, name: str) -> int:
        check_name(name)
        known = name.startswith(("packs/", "snapshots/"))  # what is there keeps its length
        if known and (told := self._met.get(name)) is not None:
            return told[0]
        meta = self._do(name, lambda store: obstore().head_async(store, name))
        if known:
            self._met[name] = meta["size"], meta["e_tag"] or ""
        return int(meta["size"])

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        check_name(name)
        if length == 0 or (length is not None and offset < 0):
            self.size(name)
            return b""
        if (first := FIRST.get(name.rpartition(".")[2])) is None:
            end = None if length is None else offset + length
            if end is not None and self._ahead.holds(name, offset, end):
                buffer = bytearray(end - offset)
                return bytes(memoryview(buffer)[: self.read_into(name, offset, memoryview(buffer))])
            return bytes(self._do(name, lambda store: ranged(store, name, offset, end))[0])
        end = None if length is None else offset + length
        held = self._kept.get(name) or self._from_cache(name)
        if held is None:
            if end is not None and end <= MOST:
                first = max(first, end)
            held = self._keep(name, *self._do(name, lambda store: ranged(store, name, 0, first)))
        data, size = held
        if len(data) < size and (end is None or end > len(data)):
            rest, size = self._do(name, lambda store: ranged(store, name, len(data), None))
            data, size = self._keep(name, data + bytes(rest), size)
        return data[offset:end]

    def read_into(self, name: str, offset: int, buffer: memoryview) -> int:
        check_name(name)
        done = self._ahead.take(name, offset, buffer)
        if done < len(buffer):
            end = offset + len(buffer)
            near = None if self.cache is None else self.cache.cut(_pack(name), offset + done, end)
            if near is None:
                near = self._do(name, lambda store: ranged(store, name, offset + done, end))[0]
                if self.cache is not None:
                    self.cache.keep(_pack(name), offset + done, near)
            data = memoryview(near)
            buffer[done : done + len(data)] = data
            done += len(data)
        return done

    def to_map(self, name: str) -> File | None:
        return None

    def expect(self, names: Iterable[str], *, whole: bool = False) -> None:
        """Fetch records and indexes, or their beginnings, many at a time; what fails is asked for again by `read`."""
        missing = [name for name in names if not (self._has(name, whole) or self._from_cache(name, whole))]
        if len(missing) < 2:
            return
        packs = [f"{name.removesuffix('.index')}.pack" for name in missing if name.endswith(".index")]
        if len(packs) > 1 and any(name not in self._met for name in packs):
            with contextlib.suppress(OSError):
                self.list("packs")

        async def all_of_them() -> None:
            gate = asyncio.Semaphore(MANY)

            async def one(name: str) -> None:
                first = None if whole else FIRST[name.rpartition(".")[2]]
                async with gate:
                    with contextlib.suppress(OSError, Exists, Outdated):
                        self._keep(name, *await self.client.ask(lambda store: ranged(store, name, 0, first)))

            await asyncio.gather(*map(one, missing))

        wait_for(submit(all_of_them()))

    def _has(self, name: str, whole: bool) -> bool:
        held = self._kept.get(name)
        return held is not None and (not whole or len(held[0]) == held[1])

    def ahead(self, parts: Iterable[Part]) -> None:
        """Begin to fetch what will be read of packs, in this order."""
        self._ahead.announce(parts)

    async def _fetch(self, name: str, start: int, end: int) -> Any:
        cache = self.cache
        if cache is not None and (near := await asyncio.to_thread(cache.cut, _pack(name), start, end)) is not None:
            return near
        data = (await self.client.ask(lambda store: ranged(store, name, start, end)))[0]
        if cache is not None:
            await asyncio.to_thread(cache.keep, _pack(name), start, data)
        return data

    def bypass(self) -> None:
        """Read everything from the bucket from now on."""
        self.cache = None
        self._ahead.forget()
        self._kept.clear()

    def doubt(self, name: str) -> None:
        """Read a pack from the bucket again."""
        self._ahead.forget()
        if self.cache is not None:
            self.cache.doubt(_pack(name))

    def _key(self, name: str) -> str:
        """Return under which key a cache has a record or an index; "" if that cannot be told."""
        if name.endswith(".index"):
            return name
        tag = self._met.get(name, (0, ""))[1]
        return f"{name} {tag}" if tag else ""

    def _from_cache(self, name: str, whole: bool = False) -> tuple[bytes, int] | None:
        if self.cache is None or not (key := self._key(name)) or (near := self.cache.get(key)) is None:
            return None
        data, size = near[8:], int.from_bytes(near[:8], "little")
        if len(near) < 8 or (whole and len(data) < size):
            return None
        return self._keep(name, data, size, fetched=False)

    def _keep(self, name: str, data: Bytes, size: int, *, fetched: bool = True) -> tuple[bytes, int]:
        held = bytes(data), size
        if fetched and self.cache is not None and (key := self._key(name)):
            self.cache.put(key, size.to_bytes(8, "little") + held[0])
        with self._guard:
            self._kept[name] = held
            self._kept.move_to_end(name)
            total = sum(len(data) for data, _ in self._kept.values()) if len(self._kept) % 64 == 0 else 0
            while total > KEPT and len(self._kept) > 1:
                total -= len(self._kept.popitem(last=False)[1][0])
        return held

    def _do(self, name: str, work: Callable[[Any], Awaitable[Any]]) -> Any:
        try:
            return self.client.do(work)
        except FileNotFoundError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.describe(name)) from None

    # --- writing -----------------------------------------------------------------------------------------------------

    def create(self, name: str) -> Sink:
        return UploadSink(self.client, check_name(name), put=self.put, sent=self._keep_part)

    def delete(self, name: str) -> None:
        self.remove([check_name(name)])

    def remove(self, names: Iterable[str]) -> None:
        # First the indexes, then the packs, as ever; each kind in few requests.
        given = [check_name(name) for name in names]
        for some in (
            [name for name in given if name.endswith(".index")],
            [n for n in given if not n.endswith(".index")],
        ):
            for first in range(0, len(some), 1000):
                batch = some[first : first + 1000]
                self._claims.check()
                self.client.do(lambda store, batch=batch: deleted(store, batch))  # type: ignore[misc]
                for name in batch:
                    self._met.pop(name, None)
                    self._kept.pop(name, None)

    def withdraw(self, name: str) -> None:
        """Remove what was put just now. The answer to that may be missing yet: it is removed again for a while."""
        self._met.pop(name, None)
        self._kept.pop(name, None)

        async def again() -> None:
            for wait in (0.0, 1.0, 2.0, 8.0):
                await asyncio.sleep(wait)
                await self.client.ask(lambda store: deleted(store, [check_name(name)]))

        leave(submit(again()), 0.1)

    def usage(self) -> int:
        return sum(meta["size"] for meta in self.client.do(lambda store: listed(store, "")))

    def put(self, name: str, data: Bytes) -> None:
        """Put an object in one request, on the condition that it replaces nothing but what was seen."""
        if name.endswith(".snap"):
            self._claims.check()
        self._kept.pop(name, None)
        self._met.pop(name, None)
        tag = self.client.do(lambda store: self._put(store, name, bytes(data)))
        if self.cache is not None and name.endswith((".snap", ".index")):
            self._met[name] = len(data), tag
            self._keep(name, data, len(data))
        else:
            self._keep_part(name, 0, data)

    def _keep_part(self, name: str, start: int, data: Bytes) -> None:
        """Have the cache keep what goes up of a pack."""
        if self.cache is not None and name.endswith(".pack"):
            self.cache.keep(_pack(name), start, data)

    async def _put(self, store: Any, name: str, data: bytes) -> str:
        """Put an object; return its tag, "" where there is none."""
        library = obstore()
        mode: Any = "create"
        for _ in range(2):
            try:
                if self._unconditional:  # the names alone have to do
                    mode = "overwrite"
                return (await library.put_async(store, name, data, mode=mode, use_multipart=False))["e_tag"] or ""
            except Exception as error:
                found = understood(error)
                if isinstance(found, Answer) and (found.status == 501 or type(error).__name__ == "NotSupportedError"):
                    self._unconditional = True
                    continue
                if mode != "create" and isinstance(found, Outdated):
                    break
                if not isinstance(found, Exists | Outdated):
                    raise
            there = await library.get_async(store, name)
            if bytes(await there.bytes_async()) == data:
                return there.meta["e_tag"] or ""  # by us: the answer was lost, and it was asked again
            mode = {key: told for key in ("e_tag", "version") if (told := there.meta[key]) is not None}
        raise OSError(errno.EBUSY, "somebody else changed it just now: try again")

    # --- holding -----------------------------------------------------------------------------------------------------

    def hold(self, *, alone: bool) -> Hold | None:
        return self._claims.take(alone=alone)

    def sweep(self) -> int:
        return 0

    def close(self) -> None:
        self._ahead.forget()


def _pack(name: str) -> str:
    """Return the id of a pack from the name of its file."""
    return name[len("packs/") : -len(".pack")]
