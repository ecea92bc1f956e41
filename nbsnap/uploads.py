"""Files on their way into a bucket: in one `PUT`, or in parts that go up while more is written.

An object appears whole or not at all, by the one, or when the upload is completed in the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import threading
from collections.abc import Callable
from typing import Any

from nbsnap.digest import Bytes
from nbsnap.remote import Answer, Client, leave, obstore, soon, submit, understood, wait_for

__all__ = ["UploadSink"]

PART = 16 << 20  # of an upload; 10,000 of them are a pack's longest, 160 GB
AT_ONCE = 5  # parts on their way at once; two more wait


class _Stop(Exception):
    """An upload is given up."""


class UploadSink:
    """Bytes on their way: one `PUT` in the end if they are few, else parts that go up while more are written.

    `put` makes the object of few bytes. `sent` is told of each part that goes up, and where in the object it lies.
    """

    def __init__(
        self, client: Client, name: str, put: Callable[[str, Bytes], None], sent: Callable[[str, int, Bytes], None]
    ) -> None:
        self.client, self.name = client, name
        self._put, self._was_sent = put, sent
        self._held = bytearray()
        self._sent = 0
        self._upload: _Upload | None = None
        self._over = False

    def write(self, data: Bytes) -> None:
        if self._over:
            raise OSError(errno.EBADF, "it was given up")
        self._held += data
        while len(self._held) >= PART + (0 if self._upload else 1):  # exactly one part goes up as it is
            if self._upload is None:
                self._upload = _Upload(self.client, self.name)
            part, self._held = bytes(memoryview(self._held)[:PART]), self._held[PART:]
            self._send(part)

    def _send(self, part: bytes) -> None:
        assert self._upload is not None
        self._upload.send(part)
        self._was_sent(self.name, self._sent, part)
        self._sent += len(part)

    def settle(self) -> None:
        pass

    def publish(self, *, last: bool = True) -> None:
        held, self._held = self._held, bytearray()
        if self._upload is None:
            self._put(self.name, held)
        else:
            if held:
                self._send(bytes(held))
            self._upload.finish()
        self._over = True

    def abandon(self) -> None:
        if not self._over:
            self._over = True
            self._held = bytearray()
            if self._upload is not None:
                self._upload.stop()


class _Upload:
    """Parts that go up several at a time, taken out of a queue by obstore."""

    def __init__(self, client: Client, name: str) -> None:
        self._room = threading.Semaphore(2)
        self._parts: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._stopped = False
        store = client.store(uploading=True)

        async def run() -> None:
            library = obstore()
            try:
                await library.put_async(
                    store, name, self._out(), chunk_size=PART, max_concurrency=AT_ONCE, use_multipart=True
                )
            except _Stop:
                return
            except Exception as error:
                if self._stopped:
                    return
                found = understood(error)
                failure = OSError(found.errno, found.words) if isinstance(found, Answer) else found
            else:
                return
            raise failure from None

        self._future = submit(run())

    async def _out(self) -> Any:
        while True:
            part = await self._parts.get()
            if self._stopped:
                raise _Stop  # so that obstore has the bucket forget what went up
            if part is None:
                return
            self._room.release()
            yield part
            del part

    def send(self, part: bytes | None) -> None:
        while not self._room.acquire(timeout=0.1):
            if self._stopped:
                raise OSError(errno.EBADF, "it was given up")
            if self._future.done():
                break
        if self._future.done():
            self._future.result()  # raises what went wrong
            raise OSError(errno.EIO, "the upload ended too early")
        soon(self._parts.put_nowait, part)

    def finish(self) -> None:
        soon(self._parts.put_nowait, None)
        wait_for(self._future)

    def stop(self) -> None:
        self._stopped = True
        with contextlib.suppress(OSError, RuntimeError):
            soon(self._parts.put_nowait, None)
            leave(self._future)
