"""Where a store is, as people say it, and the backend for that: a path, or a URL.

    work/.nbsnap, file:///home/ada/work/.nbsnap    a folder
    before-train.nbsnap                            a file that `nbsnap export` has written
    s3://BUCKET/PREFIX, gs://…, az://…             a bucket (`bucket`, needs the extra `cloud`)
    memory://NAME                                  this process's memory, for trying things out

A folder by a URL is the same folder, and its store the same store."""

from __future__ import annotations

import os
import re

from nbsnap.archive import ArchiveBackend, is_archive
from nbsnap.backends import Backend, MemoryBackend
from nbsnap.errors import StoreError
from nbsnap.folder import FolderBackend

__all__ = ["ArchiveBackend", "FolderBackend", "backend_at", "is_url", "settled", "shown"]

_memories: dict[str, MemoryBackend] = {}


def is_url(place: object) -> bool:
    """Tell whether a place is a URL, and not a path. One letter in front of a colon is a disk."""
    return isinstance(place, str) and re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", place) is not None


def backend_at(place: str | os.PathLike[str]) -> Backend:
    """Return the backend for a place. Nothing is made there, and nothing is asked of a bucket yet.

    Raises StoreError where the place makes no sense, or what talks to a bucket is not installed.
    """
    if not is_url(place):
        return ArchiveBackend(place) if is_archive(place) else FolderBackend(place)
    url = os.fspath(place)
    scheme = url.partition("://")[0].lower()
    if scheme == "file":
        return backend_at(_path(url))
    if scheme == "memory":
        if url not in _memories:
            made = MemoryBackend()
            made.place = url
            _memories.setdefault(url, made)
        return _memories[url]
    from nbsnap.bucket import BucketBackend
    from nbsnap.cache import for_place
    from nbsnap.remote import address, client_for

    known = address(url)
    return BucketBackend(known, client_for(known), for_place(known))


def shown(place: object) -> str:
    """Return a place as it is shown before it was opened; StoreError where it is a URL that holds a secret."""
    return backend_at(place).place if is_url(place) else str(place)  # type: ignore[arg-type]


def settled(place: str | os.PathLike[str]) -> str:
    """Return a place that means the same in another process and from another folder."""
    return os.fspath(place) if is_url(place) else os.path.abspath(place)


def _path(url: str) -> str:
    import urllib.parse  # slow to import, and rarely needed
    import urllib.request

    found = urllib.parse.urlsplit(url)
    if found.netloc not in ("", "localhost") or found.query or found.fragment or not found.path.startswith("/"):
        raise StoreError("a folder is given as file:///PATH, with three slashes and nothing behind it")
    return urllib.request.url2pathname(found.path)
