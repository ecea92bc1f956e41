"""A backend in a local folder.

Temporary files are `tmp/<host>-<pid>-<random>`, each locked by the process that writes it (flock: the lock dies with
the process). A sweep removes those of this host whose lock is free, and any older than a day. Where there is no flock
(Windows: an open file cannot be removed there anyway), only age counts.

Who adds to the store has an empty file there from beginning to end; who wants it alone has one in `locks/`. Each makes
his own first and then looks for the other's, so of two that come at once one sees the other, or both do and give way.
Other machines' files count as long as they are younger than a day, for their locks may not reach us.

**Nothing leads out of the store.** Names have no `..` (`backends`), folders and files that are links are refused, files
are opened so that the system follows none, and what is no regular file is not read. Nothing that is there is written
to: a file is new, or it takes the place of another. So a hard link to a file elsewhere can be read, where its bytes are
verified, but never changed. A store of which a folder is another user's is not written to, and `stranger` tells whose
it is; folders of one's own that others may enter are closed before anything is written (`owners`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import socket
import stat
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType

from nbsnap import owners
from nbsnap.backends import OURS, Hold, Sink, check_name
from nbsnap.digest import Bytes
from nbsnap.mapping import is_safe
from nbsnap.quiet import begin

__all__ = ["FolderBackend", "OpenFile", "flush", "flush_folder", "lock"]

_fcntl: ModuleType | None
try:
    import fcntl as _fcntl
except ImportError:  # Windows
    _fcntl = None

TMP, LOCKS = "tmp", "locks"
FOLDERS = ("packs", "snapshots", TMP, LOCKS)
_WORD = re.compile(r"[A-Za-z0-9._-]+")
_CLAIM = re.compile(r"[A-Za-z0-9._]+-\d+-[0-9a-f]+")  # a file of a process: its host, its number, and at random
DAY = 86400.0
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_HANDLES = 16
_EARLY = 8 << 20  # see _FileSink._begin
_CHUNK = 1 << 30  # no system call is asked for more: Linux stops at 2 GiB, macOS refuses


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "_", socket.gethostname())[:40].strip(".") or "host"


def flush(fd: int) -> None:
    """Have the disk itself keep what was written: on macOS fsync alone does not."""
    full = getattr(_fcntl, "F_FULLFSYNC", None)
    if _fcntl is not None and full is not None:
        with contextlib.suppress(OSError):
            _fcntl.fcntl(fd, full)
            return
    os.fsync(fd)


def flush_folder(path: str) -> None:
    """Make a rename in this folder durable, where the system lets a folder be opened."""
    if sys.platform == "win32":
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:  # some network file systems refuse; their renames are synchronous
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def lock(fd: int) -> bool | None:
    """Try to lock an open file; None where that cannot be done here."""
    if _fcntl is None:
        return None
    try:
        _fcntl.flock(fd, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _sweep(path: str, mine: bool) -> bool | None:
    """Remove a file if the process that made it is dead, or must be by now; tell whether that is so. None: it is none.

    A link or a device was not made by a process of ours: it is nobody's sign of life, and stays.
    """
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return None
    fd = os.open(path, _READ)
    try:
        aged = abs(time.time() - os.fstat(fd).st_mtime) > DAY
        free = lock(fd) if mine else None
        dead = aged if free is None else free
        if sys.platform == "win32":
            os.close(fd)
        if dead:
            os.unlink(path)
    finally:
        if sys.platform != "win32":
            os.close(fd)
    return dead


def _no_link(path: str) -> str:
    """Return the path of a folder in the store, or raise OSError where that is a link that leads elsewhere."""
    if os.path.islink(path):
        raise OSError(errno.ELOOP, "a link where a folder of the store should be", path)
    return path


class OpenFile:
    """An open file for reading; closed when the last user lets go of it."""

    start = 0

    def __init__(self, path: str) -> None:
        self.fd = -1
        mode = os.stat(path, follow_symlinks=False).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):  # to open a device may be to set it going
            raise OSError(errno.EINVAL, "not a regular file", path)
        self.fd = fd = os.open(path, _READ)
        self.lock = threading.Lock()
        found = os.fstat(fd)
        self.size, self.device = found.st_size, found.st_dev
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)

    def __del__(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)

    def read_into(self, offset: int, buffer: memoryview) -> int:
        done = 0
        while done < len(buffer):
            part = buffer[done : done + _CHUNK]
            if hasattr(os, "preadv"):
                count = os.preadv(self.fd, [part], offset + done)
            else:
                with self.lock:
                    os.lseek(self.fd, offset + done, os.SEEK_SET)
                    data = os.read(self.fd, len(part))
                count = len(data)
                part[:count] = data
            if not count:
                break
            done += count
        return done


class FolderBackend:
    """A store in a folder: folders are 0700 and files 0600 whatever the umask says; links are not followed.

    `may_map` tells of an open file whether it is safe to map it.
    """

    def __init__(self, place: str | os.PathLike[str], *, may_map: Callable[[int], bool] = is_safe) -> None:
        self.place = os.path.abspath(os.fspath(place))
        self._handles: OrderedDict[str, OpenFile] = OrderedDict()
        self._guard = threading.Lock()
        self._may_map = may_map
        self._safe: dict[int, bool] = {}  # by device
        self._is_ours = False  # once that was asked

    def describe(self, name: str) -> str:
        return os.path.join(self.place, *name.split("/"))

    def path(self, name: str) -> str:
        """Return where `name` is; its folder is checked not to be a link that leads elsewhere."""
        *folders, file = check_name(name).split("/")
        path = self.place
        for folder in folders:
            path = _no_link(f"{path}{os.sep}{folder}")
        return f"{path}{os.sep}{file}"

    def stranger(self) -> str:
        """Return a clause that says to whom the store, or a folder in it, belongs, if to another user; else ""."""
        books: list[str] = []
        with contextlib.suppress(OSError):
            books = [f"snapshots{os.sep}{name}" for name in os.listdir(os.path.join(self.place, "snapshots"))]
        return owners.stranger(self.place, (*FOLDERS, *books))

    def _check_owner(self) -> None:
        """Refuse to write into what is another user's; close to others what is our own."""
        if self._is_ours:
            return
        if whose := owners.stranger(self.place, FOLDERS):
            raise OSError(errno.EPERM, whose, self.place)
        for folder in ("", *FOLDERS):
            path = os.path.join(self.place, folder) if folder else os.path.realpath(self.place)
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                _no_link(path)
                owners.tighten(path)
        self._is_ours = True

    def prepare(self) -> None:
        if not os.path.isdir(self.place):
            os.makedirs(os.path.dirname(self.place), exist_ok=True)
            self._folder(self.place)
        self._check_owner()
        folder = os.path.join(self.place, TMP)
        self._folder(folder, lasting=False)
        if not os.access(folder, os.W_OK | os.X_OK):
            code = errno.EACCES if os.stat(folder).st_mode & stat.S_IWUSR == 0 else errno.EROFS
            raise OSError(code, os.strerror(code), folder)

    def foreign(self) -> bool:
        try:
            return not OURS.issuperset(os.listdir(self.place))
        except FileNotFoundError:
            return False

    def list(self, folder: str) -> list[str]:
        names: list[str] = []
        folders = [folder.rstrip("/")]
        while folders:
            here = folders.pop()
            try:
                path = _no_link(self.path(here)) if here else self.place
                with os.scandir(path) as entries:
                    prefix, depth = here and here + "/", here.count("/") + 2 if here else 1
                    for entry in entries:
                        if depth > 3 or not _WORD.fullmatch(entry.name):
                            continue
                        if entry.is_file(follow_symlinks=False):
                            names.append(prefix + entry.name)
                        elif entry.is_dir(follow_symlinks=False) and prefix + entry.name not in (TMP, LOCKS):
                            folders.append(prefix + entry.name)
            except (FileNotFoundError, NotADirectoryError):
                continue
        return sorted(names)

    def size(self, name: str) -> int:
        return os.stat(self.path(name), follow_symlinks=False).st_size

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        handle = OpenFile(self.path(name))
        rest = max(0, handle.size - offset)
        data = bytearray(rest if length is None else min(rest, length))
        return bytes(memoryview(data)[: handle.read_into(offset, memoryview(data))])

    def read_into(self, name: str, offset: int, buffer: memoryview) -> int:
        return self._open(name).read_into(offset, buffer)

    def to_map(self, name: str) -> OpenFile | None:
        file = self._open(name)
        if file.device not in self._safe:
            self._safe[file.device] = self._may_map(file.fd)
        return file if self._safe[file.device] and not owners.foreign_file(file.fd) else None

    def _open(self, name: str) -> OpenFile:
        with self._guard:
            file = self._handles.get(name)
            if file is None:
                file = self._handles[name] = OpenFile(self.path(name))
                if len(self._handles) > _HANDLES:
                    self._handles.popitem(last=False)
            else:
                self._handles.move_to_end(name)
        return file

    def create(self, name: str) -> Sink:
        path = self.path(name)
        return _FileSink(self, path, self._claimed(TMP))

    def _claimed(self, folder: str) -> _Own:
        """Return a new file of this process in a folder: locked, for the owner alone."""
        self._check_owner()
        for _ in range(100):
            _no_link(os.path.join(self.place, folder))
            path = os.path.join(self.place, folder, f"{_host()}-{os.getpid()}-{secrets.token_hex(8)}")
            try:
                own = _Own(path, os.open(path, _WRITE, 0o600))
            except FileNotFoundError:
                self._folder(self.place)
                self._folder(os.path.dirname(path))
                continue
            if hasattr(os, "fchmod"):
                os.fchmod(own.fd, 0o600)
            # Locked only now that it has an owner: interrupted in between, it would look alive for ever. Until then a
            # sweep takes it for a dead one's: who does not get the lock, or finds it gone, was too slow.
            if lock(own.fd) is not False and os.path.lexists(path):
                return own
            own.close()
        raise OSError(errno.EAGAIN, "temporary files are removed as fast as they are made", self.place)

    def delete(self, name: str) -> None:
        with self._guard:
            self._handles.pop(name, None)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path(name))

    def remove(self, names: Iterable[str]) -> None:
        folders: dict[str, None] = {}
        for name in names:
            self.delete(name)
            folders[os.path.dirname(self.describe(name))] = None
        for folder in folders:
            with contextlib.suppress(FileNotFoundError):
                flush_folder(folder)

    def usage(self) -> int:
        total = 0
        folders = [self.place]
        while folders:
            with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:  # a figure is nothing to fail for
                for entry in entries:
                    with contextlib.suppress(OSError):
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.path)
                        else:
                            total += entry.stat(follow_symlinks=False).st_size
        return total

    def hold(self, *, alone: bool) -> Hold | None:
        mine = _FolderHold(self._claimed(LOCKS if alone else TMP))
        try:
            others = [path for folder in ((LOCKS, TMP) if alone else (LOCKS,)) for path in self._living(folder)[0]]
        except BaseException:
            mine.release()
            raise
        if [path for path in others if path != mine.own.path]:
            mine.release()
            return None
        return mine

    def _living(self, folder: str) -> tuple[Sequence[str], int]:
        """Return the files in a folder whose processes may be alive; remove the others, and say how many there were."""
        place = _no_link(os.path.join(self.place, folder))
        mine, removed = _host() + "-", 0
        alive = []
        try:
            names = os.listdir(place)
        except FileNotFoundError:
            return [], 0
        for name in names:
            path = os.path.join(place, name)
            if not _CLAIM.fullmatch(name):  # put there by somebody else: it is left alone, and says nothing
                continue
            try:
                swept: bool | None = _sweep(path, name.startswith(mine))
            except FileNotFoundError:  # gone
                continue
            except OSError:  # in use, or not ours to remove: the next one sees to it
                swept = False
            removed += bool(swept)
            if swept is False:
                alive.append(path)
        return alive, removed

    def sweep(self) -> int:
        return self._living(TMP)[1]

    def close(self) -> None:
        with self._guard:
            self._handles.clear()

    def _folder(self, path: str, *, lasting: bool = True) -> None:
        """Make one folder of the store, for the owner alone; one that need not last is not flushed to the disk."""
        try:
            owners.private_folder(path)  # whatever the umask
        except FileExistsError:
            if (os.path.islink(path) and path != self.place) or not os.path.isdir(path):
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from None
            return
        if lasting:
            flush_folder(os.path.dirname(path))


class _Own:
    """A file of this process, open and locked until it is closed: then a sweep may take it."""

    def __init__(self, path: str, fd: int) -> None:
        self.path, self.fd = path, fd

    def close(self) -> None:
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            os.close(fd)

    def __del__(self) -> None:
        self.close()  # after an interrupt at a bad moment


class _FolderHold:
    def __init__(self, own: _Own) -> None:
        self.own = own

    def release(self) -> None:
        if self.own.fd >= 0:
            with contextlib.suppress(OSError):  # removed first: once it is closed, it looks like a dead one's
                if sys.platform == "win32":
                    self.own.close()
                os.unlink(self.own.path)
            self.own.close()

    def _close(self) -> None:
        self.own.close()

    def __del__(self) -> None:
        self.release()


class _FileSink:
    def __init__(self, backend: FolderBackend, path: str, own: _Own) -> None:
        self.guard = threading.Lock()  # one thread may abandon what another still writes: never into a closed file
        self.backend, self.target, self.temporary, self.own = backend, path, own.path, own
        self.written = self.begun = 0
        self.settled = -1  # so many bytes are known to be on the disk

    def write(self, data: Bytes) -> None:
        view = memoryview(data)
        with self.guard:
            while len(view):
                count = os.write(self.fd, view[:_CHUNK])
                self.written += count
                view = view[count:]
        if self.written - self.begun >= _EARLY:
            self._begin()

    def _begin(self) -> None:
        """Have the system begin to write to the disk, so that the flush at the end has little left to wait for.

        Linux does so when told that dirty pages are not needed; it keeps them in memory (seen with mincore).
        2 GB on a virtual disk, flushed: 1.95 s with this, 2.7 s without, 1.9 s with posix_fallocate besides. O_DIRECT
        from two threads: 1.85 s, and 0.15 s of CPU instead of 0.75; but a restore then finds nothing in memory.
        """
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                os.posix_fadvise(self.fd, self.begun, self.written - self.begun, os.POSIX_FADV_DONTNEED)
        self.begun = self.written

    def settle(self) -> None:
        with self.guard:
            if self.settled != self.written and self.fd >= 0:
                flush(self.fd)
                self.settled = self.written

    def publish(self, *, last: bool = True) -> None:
        self.settle()
        folder = os.path.dirname(self.target)
        if not os.path.isdir(folder):
            parent = os.path.dirname(folder)
            if not os.path.isdir(parent):
                self.backend._folder(parent)
            self.backend._folder(folder)
        if sys.platform == "win32":
            self._close()  # an open file cannot be renamed there
        os.replace(self.temporary, self.target)
        self._close()
        if last:
            flush_folder(folder)

    def abandon(self) -> None:
        # The last to close a removed file waits until its blocks are free: 0.3 s for a GB. And another thread may be in
        # the midst of a write or a flush that takes as long as it takes. Ctrl-C waits for none of that.
        if self.fd >= 0 and self.written:
            removing = threading.Thread(target=self._remove, name="nbsnap-remove", daemon=True)
            if begin(removing):
                removing.join(0.05)
                return
        self._remove()

    def _remove(self) -> None:
        if sys.platform == "win32":
            self._close()  # an open file cannot be removed there
        with contextlib.suppress(OSError):
            os.unlink(self.temporary)
        self._close()

    @property
    def fd(self) -> int:
        return self.own.fd

    def _close(self) -> None:
        with self.guard, contextlib.suppress(OSError):
            self.own.close()
