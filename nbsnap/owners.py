"""Whose a folder is, and folders for their owner alone. POSIX only: elsewhere everything counts as this user's.

A store in a place where others may write (`/tmp`) may have been put there by somebody else. So whoever writes into a
store, or restores from it, asks `stranger` first: the store's folder, the link that leads to it, and the folders in it
have to be this user's. Who the parents belong to does not matter, as long as others cannot rename what is not theirs in
them; that is what the sticky bit of `/tmp` is for.

A file system that keeps no owners (CIFS, FAT: all files seem to be one user's) tells nothing. It is known by a file
that is made there and seems to be somebody else's."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable

__all__ = ["foreign_file", "private_folder", "stranger", "tighten", "user"]

_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
OTHERS = 0o077


def user() -> int | None:
    """Return the number of the user for whom this process acts; None where there are no such numbers."""
    return os.geteuid() if hasattr(os, "geteuid") else None


def _called(number: int) -> str:
    try:
        import pwd

        return f"{pwd.getpwuid(number).pw_name} (uid {number})"
    except (ImportError, KeyError, OSError):
        return f"uid {number}"


def stranger(place: str, folders: Iterable[str] = ()) -> str:
    """Return a clause that says to whom a store (a folder or one file), or a folder in it, belongs; "" if to this user.

    What is not there belongs to nobody.
    """
    me = user()
    if me is None:
        return ""
    for path in (place, *(f"{place}{os.sep}{folder}" for folder in folders)):
        try:
            found = os.lstat(path)
            if path == place and stat.S_ISLNK(found.st_mode):
                if found.st_uid not in (me, 0):
                    return f"the link {path} is another user's: {_called(found.st_uid)}"
                found = os.stat(path)
        except OSError:
            continue
        if found.st_uid != me and _keeps_owners(place, me):
            what = "the store" if path == place else path
            return f"{what} belongs to another user: {_called(found.st_uid)}"
    return ""


def _keeps_owners(place: str, me: int) -> bool:
    """Tell whether the file system keeps owners: a new file there is this user's. If none can be made, it does."""
    folder = place if os.path.isdir(place) else os.path.dirname(os.path.realpath(place))
    path = os.path.join(folder, f".owner-{os.urandom(8).hex()}")
    try:
        fd = os.open(path, _NEW, 0o600)
    except OSError:
        return True
    try:
        return os.fstat(fd).st_uid == me
    finally:
        os.close(fd)
        with contextlib.suppress(OSError):
            os.unlink(path)


def foreign_file(fd: int) -> bool:
    """Tell whether somebody else may change an open file: it is another user's, or others may write to it."""
    me = user()
    if me is None:
        return False
    found = os.fstat(fd)
    return found.st_uid != me or bool(found.st_mode & 0o022)


def private_folder(path: str) -> None:
    """Make a folder for its owner alone, whatever the umask; FileExistsError where there is something."""
    os.mkdir(path, 0o700)
    tighten(path)


def tighten(path: str) -> None:
    """Let a folder be for its owner alone. A link is not followed."""
    if user() is None:
        return
    try:
        fd = os.open(path, _FOLDER)
    except PermissionError:  # made under a umask that keeps out its owner
        with contextlib.suppress(OSError):
            if not os.path.islink(path):
                os.chmod(path, 0o700)
        return
    try:
        mode = stat.S_IMODE(os.fstat(fd).st_mode)
        if mode & OTHERS or mode & 0o700 != 0o700:
            with contextlib.suppress(OSError):  # a file system that keeps no modes
                os.fchmod(fd, (mode & ~OTHERS) | 0o700)
    finally:
        os.close(fd)
