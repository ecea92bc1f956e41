"""Content gets its ids, as a writer would give them, and nothing is written: what a comparison needs of a live session.

It goes the same way (`line`), with the same hashes, threads and knowledge of what did not change since it was hashed
last, but as if the store had all of it already. So it takes as long as a second snapshot of the same data."""

from __future__ import annotations

from nbsnap.appending import Pack
from nbsnap.digest import Bytes
from nbsnap.line import Line
from nbsnap.model import Content
from nbsnap.progress import Progress

__all__ = ["Namer"]


class Namer:
    """Takes content like a `Writer`; a context manager, used by one thread. Streams that it was given can be read."""

    def __init__(self, progress: Progress | None = None) -> None:
        self._line = Line(Pack(_Nowhere()), lambda id: True, lambda ids: True, compressing=False, progress=progress)
        self._streams: dict[Content, bytes] = {}

    def __enter__(self) -> Namer:
        return self

    def __exit__(self, *exc: object) -> None:
        self._line.stop()

    def put(self, data: Bytes) -> Content:
        """Return what stands for `data`."""
        content, _ = self._line.put(data)
        if isinstance(data, bytes):
            self._streams[content] = data
        return content

    def read(self, content: Content) -> bytes:
        """Return the stream that a content stands for."""
        return self._streams[content]


class _Nowhere:
    """A sink into which nothing is ever written."""

    def write(self, data: Bytes) -> None:
        raise AssertionError("what is compared is not written")

    def settle(self) -> None:
        raise AssertionError("what is compared is not written")

    def publish(self, *, last: bool = True) -> None:
        raise AssertionError("what is compared is not written")

    def abandon(self) -> None:
        pass
