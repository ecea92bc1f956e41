"""What a user calls a place, as the backend that keeps what is there: one function, so that every command knows all."""

from __future__ import annotations

import os

from nbsnap.archive import ArchiveBackend, is_archive
from nbsnap.backends import Backend
from nbsnap.folder import FolderBackend

__all__ = ["ArchiveBackend", "FolderBackend", "backend_at"]


def backend_at(place: str | os.PathLike[str]) -> Backend:
    """Return the backend for a place: a file that `nbsnap export` has made, else a folder, which need not be there."""
    return ArchiveBackend(place) if is_archive(place) else FolderBackend(place)
