"""Which store a user means, opened; and whether what is to be loaded of it may be."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from . import calls, host, trusting
from .errors import SnapshotNotFound, StoreNotFound, TrustError
from .model import Snapshot
from .store import Store

__all__ = ["Place", "book_of", "checked", "file_of", "opened_store", "store_place"]

Place = str | os.PathLike[str] | Store | None


def store_place(given: Place, *, reading: bool = False) -> tuple[str | os.PathLike[str] | Store, tuple[str, ...]]:
    return (given, ()) if given is not None else host.default_store(reading=reading)


@contextlib.contextmanager
def opened_store(
    place: str | os.PathLike[str] | Store, *, create: bool, reading: str = "", later: bool = False
) -> Iterator[Store]:
    if isinstance(place, Store):
        yield place
        return
    try:
        opened = Store.open(place, create=create, later=later)
    except StoreNotFound as error:
        raise SnapshotNotFound(f"no snapshot of {reading} in {place} yet: %snapshot makes one") from error
    with opened:
        yield opened


def book_of(opened: Store, notebook: str) -> str | None:
    """Return whose snapshots are meant in a store: a notebook's; in one file, which holds what was chosen, any's."""
    return None if opened.is_file else notebook


def file_of(opened: Store) -> str:
    """Return the file that a store is; "" where it is none."""
    return opened.place if opened.is_file else ""


def checked(record: Snapshot, opened: Store, given: bool) -> str:
    """Return who has made a snapshot that is about to be loaded; TrustError tells what is in it."""
    try:
        return trusting.check(record, given=given, stranger=opened.stranger(), file=file_of(opened))
    except TrustError as error:
        error.refers = calls.summary(calls.read(record, opened.read))
        raise
