"""The keys with which this user's snapshots are signed: where they lie, how they are made, which are known.

A key is 32 random bytes. The user's **own** key signs; it is made when the first snapshot is signed. Others that were
imported are **known**: what they have signed counts as this user's, too. A key file is one line of text
(`nbsnap-key 1 <64 hexadecimal digits>`), `own.key` or `<id>.key`, in a folder `nbsnap/keys` of

1. Jupyter's data folder, if there is one (where `JUPYTER_DATA_DIR` says, or in the usual place), else
2. the platform's folder for the data of programs.

All of these places are looked into each time, and the first own key that is found is the one: installing Jupyter later
does not make another person of the user. Rules:

- **Private**: folder 0700, files 0600, whatever the umask. A file that others can read or that is another user's, a
  link, or one in a folder in which others may write is not used, and a line says so.
- **Made at once and once**: written beside its place, flushed, and linked into it, which fails where it exists. So of
  several kernels that begin together one makes the key and all use it.
- The **id** of a key, 16 hexadecimal digits, is a hash from which nobody gets the key."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
import sys
import time
from typing import NamedTuple

from nbsnap import owners
from nbsnap.errors import NbSnapError

__all__ = ["Key", "export", "import_", "known", "own", "problems"]

OWN = "own.key"
SIZE = 32
_LINE = re.compile(rb"(?:#[^\n]*\n)*nbsnap-key 1 ([0-9a-f]{64})\s*")
_FILE = re.compile(r"[0-9a-f]{16}\.key")
_LINUX: bool = sys.platform == "linux"
_LONGEST = 4096  # bytes of a key file
_MOST = 64  # imported keys that are read
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_PATIENCE = 2.0  # seconds that another process is given to finish writing its key, where files cannot be linked


class Key(NamedTuple):
    """One key."""

    id: str
    secret: bytes
    file: str
    own: bool  # it signs; else it was imported

    def __repr__(self) -> str:  # never the secret: in no traceback and no log
        return f"Key({self.id})"


def id_of(secret: bytes) -> str:
    """Return the id of a key."""
    return hashlib.sha256(b"nbsnap key\n" + secret).hexdigest()[:16]


# --- where ----------------------------------------------------------------------------------------------------------


def _jupyter() -> list[str]:
    """Return the places where Jupyter's data folder may be, as jupyter_core finds it."""
    found = [os.environ.get("JUPYTER_DATA_DIR", "")]
    if sys.platform == "win32":
        found += [os.path.join(root, "jupyter") for name in ("APPDATA", "LOCALAPPDATA") if (root := _env(name))]
    elif sys.platform == "darwin":
        found += [_home("Library", "Jupyter"), _home("Library", "Application Support", "Jupyter")]
    else:
        found.append(os.path.join(_env("XDG_DATA_HOME") or _home(".local", "share"), "jupyter"))
    return [os.path.abspath(place) for place in found if place]


def _env(name: str) -> str:
    return os.environ.get(name, "").strip()


def _home(*parts: str) -> str:
    return os.path.join(os.path.expanduser("~"), *parts)


def _platform() -> str:
    if _LINUX:  # as platformdirs does, without importing it at every start of a process
        return os.path.join(_env("XDG_DATA_HOME") or _home(".local", "share"), "nbsnap")
    import platformdirs

    return platformdirs.user_data_dir("nbsnap", appauthor=False)


def folders() -> list[str]:
    """Return the folders in which keys may lie, the most wanted first."""
    places = [os.path.join(place, "nbsnap") for place in _jupyter()] + [_platform()]
    return list(dict.fromkeys(os.path.join(place, "keys") for place in places))


def home() -> str:
    """Return the folder in which a new key is made."""
    for place in _jupyter():
        if os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK):
            return os.path.join(place, "nbsnap", "keys")
    return os.path.join(_platform(), "keys")


# --- reading --------------------------------------------------------------------------------------------------------

#: Keys that were read: by their file, what the file looked like then, and the key.
_held: dict[str, tuple[tuple[int, ...], bytes]] = {}


def _secret(file: str) -> bytes:
    """Return the key in a file; NbSnapError where it is not to be used, FileNotFoundError where there is none."""
    found = os.lstat(file)
    look = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_mode)
    held = _held.get(file)
    if held is not None and held[0] == look:
        return held[1]
    folder = os.lstat(os.path.dirname(file))
    if (user := owners.user()) is not None:
        if not stat.S_ISDIR(folder.st_mode) or folder.st_uid != user or folder.st_mode & 0o022:
            raise NbSnapError(f"{os.path.dirname(file)} is not a folder of yours alone, so no key in it is used")
        if not stat.S_ISREG(found.st_mode) or found.st_uid != user:
            raise NbSnapError(f"{file} is not a file of yours, so it is not used as a key")
        if found.st_mode & 0o077:
            raise NbSnapError(f"{file} is a key that others can read: chmod 600 it, if nobody else has")
    fd = os.open(file, _READ)
    try:
        opened = os.fstat(fd)
        if (opened.st_dev, opened.st_ino) != look[:2] or not stat.S_ISREG(opened.st_mode):
            raise NbSnapError(f"{file} was exchanged while it was read")
        data = os.read(fd, _LONGEST)
    finally:
        os.close(fd)
    secret = _parsed(data)
    if secret is None:
        raise NbSnapError(f"{file} is no key: damaged, or made by a later nbsnap")
    _held[file] = look, secret
    return secret


def _parsed(data: bytes) -> bytes | None:
    match = _LINE.fullmatch(data)
    return bytes.fromhex(match[1].decode("ascii")) if match else None


def _found_own() -> Key | None:
    """Return the user's own key, if there is one."""
    for folder in folders():
        file = os.path.join(folder, OWN)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            secret = _secret(file)
            return Key(id_of(secret), secret, file, True)
    return None


#: Lines about key files that are not used, of the last `known()`.
problems: list[str] = []


def known() -> list[Key]:
    """Return all keys that are known here, each once, the user's own one first; none is made."""
    problems.clear()
    found: dict[str, Key] = {}
    others = []
    for folder in folders():
        try:
            names = os.listdir(folder)
        except OSError:  # most of them are not there
            continue
        others += [os.path.join(folder, name) for name in sorted(names) if _FILE.fullmatch(name)][:_MOST]
        if OWN in names:
            others.insert(0, os.path.join(folder, OWN))
    others.sort(key=lambda file: os.path.basename(file) != OWN)  # and otherwise as they come
    for file in others:
        try:
            secret = _secret(file)
        except (OSError, NbSnapError) as error:
            problems.append(str(error))
            continue
        is_own = os.path.basename(file) == OWN and not any(key.own for key in found.values())
        found.setdefault(id_of(secret), Key(id_of(secret), secret, file, is_own))
    return list(found.values())


def own() -> Key:
    """Return the user's own key, made now if there is none.

    Raises:
        NbSnapError: there can be none: no place to keep it, or a file that is not to be used.
    """
    try:
        found = _found_own()
        if found is None:
            file = os.path.join(home(), OWN)
            _make(file, os.urandom(SIZE))
            secret = _waited(file)
            found = Key(id_of(secret), secret, file, True)
        return found
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else home()
        raise NbSnapError(f"no key could be kept in {where}: {error.strerror or error}") from error


def _waited(file: str) -> bytes:
    """Return the key that this process, or another at the same moment, has made."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return _secret(file)
        except NbSnapError:
            if time.monotonic() > until or os.path.getsize(file) >= SIZE * 2:
                raise
            time.sleep(0.01)


# --- writing --------------------------------------------------------------------------------------------------------


def text_of(secret: bytes) -> bytes:
    """Return a key as it stands in a file."""
    return b"nbsnap-key 1 " + secret.hex().encode("ascii") + b"\n"


def _private_folder(path: str) -> None:
    """Make a folder for the user alone, and those above it as the system makes them."""
    os.makedirs(os.path.dirname(os.path.dirname(path)), exist_ok=True)
    for folder in (os.path.dirname(path), path):
        with contextlib.suppress(FileExistsError):
            owners.private_folder(folder)


def _make(file: str, secret: bytes) -> bool:
    """Make a key file, whole and for good; False where there is one, which stays."""
    _private_folder(os.path.dirname(file))
    spare = f"{file}.{os.urandom(8).hex()}"
    try:
        _write(spare, text_of(secret))
        try:
            os.link(spare, file)
        except FileExistsError:
            return False
        except OSError:  # a file system, or a system, without links
            if sys.platform == "win32":
                try:
                    os.rename(spare, file)  # which refuses there, if it exists
                except FileExistsError:
                    return False
            else:
                try:
                    _write(file, text_of(secret))
                except FileExistsError:
                    return False
    finally:
        with contextlib.suppress(OSError):
            os.unlink(spare)
    _flush_folder(os.path.dirname(file))
    return True


def _write(file: str, data: bytes) -> None:
    """Write a new file that only the user can read."""
    fd = os.open(file, _WRITE, 0o600)
    try:
        if hasattr(os, "fchmod"):
            os.fchmod(fd, 0o600)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def _flush_folder(folder: str) -> None:
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            fd = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


# --- from one machine to another --------------------------------------------------------------------------------------


def export(file: str) -> Key:
    """Write the user's own key into a new file, for nobody else to read; return it."""
    key = own()
    note = f"# The key {key.id} of nbsnap. Who has it can sign as you: keep it private, remove it when it is moved.\n"
    try:
        _write(file, note.encode("ascii") + text_of(key.secret))
    except FileExistsError:
        raise NbSnapError(f"{file} exists, and was not replaced") from None
    except OSError as error:
        raise NbSnapError(f"{file} cannot be written: {error.strerror or error}") from error
    return key


def import_(file: str, *, sign: bool = False) -> tuple[Key, bool]:
    """Let a key that was exported be known here; return it, and whether it is new.

    With `sign`, it becomes the user's own, and the own one before it stays known.
    """
    try:
        fd = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", file)
            data = os.read(fd, _LONGEST)
        finally:
            os.close(fd)
    except OSError as error:
        raise NbSnapError(f"{file} cannot be read: {error.strerror or error}") from error
    secret = _parsed(data)
    if secret is None:
        raise NbSnapError(f"{file} is no key of nbsnap's: `nbsnap key export FILE` writes one")
    id = id_of(secret)
    before = _found_own()
    there = {key.id for key in known()}
    try:
        if before is not None and before.id == id:
            return before, False
        folder = os.path.dirname(before.file) if before is not None else home()
        if not sign:
            target = os.path.join(folder, f"{id}.key")
            _make(target, secret)
            return Key(id, secret, target, False), id not in there
        target = os.path.join(folder, OWN)
        if before is not None:
            _make(os.path.join(folder, f"{before.id}.key"), before.secret)
            spare = f"{target}.{os.urandom(8).hex()}"
            _write(spare, text_of(secret))
            os.replace(spare, target)
            _flush_folder(folder)
        elif not _make(target, secret):
            raise NbSnapError("another process has just made a key: try again")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, f"{id}.key"))
        return Key(id, secret, target, True), id not in there
    except OSError as error:
        raise NbSnapError(f"no key could be kept in {home()}: {error.strerror or error}") from error
