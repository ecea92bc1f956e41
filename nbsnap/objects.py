"""Requests about the objects of a bucket, for `Client.do` and `Client.ask`: each is given obstore's store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nbsnap.digest import Bytes
from nbsnap.remote import Answer, obstore, understood

__all__ = ["deleted", "listed", "ranged"]


async def listed(store: Any, folder: str) -> Sequence[Any]:
    """Return what there is below a folder: of each object its path, size, tag and time."""
    found: list[Any] = []
    async for some in obstore().list(store, folder or None, chunk_size=1000):
        found += some
    return found


async def ranged(store: Any, name: str, start: int, end: int | None) -> tuple[Bytes, int]:
    """Return bytes of an object, fewer where they end, and how long it is."""
    wanted: Any = {"offset": start} if end is None else (start, end)
    options = {} if end is None and not start else {"options": {"range": wanted}}
    try:
        got = await obstore().get_async(store, name, **options)
        return await got.bytes_async(), got.meta["size"]
    except Exception as error:
        if isinstance(error, FileNotFoundError) or not _beyond(error):
            raise
        meta = await obstore().head_async(store, name)
        if start < meta["size"]:
            raise
        return b"", meta["size"]


def _beyond(error: Exception) -> bool:
    """Tell whether an error may mean that a range begins where the object ends, or that this is empty."""
    found = Answer(error)
    return found.status == 416 or found.code == "InvalidRange" or (not found.status and "range" in str(error).lower())


async def deleted(store: Any, names: Sequence[str]) -> None:
    """Remove objects; one that is not there is none to be removed."""
    try:
        await obstore().delete_async(store, list(names))
    except FileNotFoundError as error:
        if isinstance(understood(error), Answer):  # there is no bucket
            raise
        if len(names) > 1:
            for name in names:
                await deleted(store, [name])
