"""A handful of verbs over named bytes: where a store keeps its files.

The contract, each rule with its reason:

1. A name is one to three parts of letters, digits, `.`, `_`, `-`, joined by `/`; no part is `.` or `..`. So a name
   means the same on every file system and in every bucket, and cannot lead out of the store.
2. Bytes under a name never change. There is no verb that appends to, renames or rewrites what is there. So readers
   need no lock, and rsync, NFS and a bucket can hold a store.
3. `create(name)` gives a sink. What is written into it can be seen by nobody until `publish()`, which makes all of
   it durable and visible under the name at once, or not at all. `abandon()`, or death, leaves nothing under the
   name. (A folder: a temporary file, flushed and renamed. A bucket: a multipart upload, completed.) Publishing a
   name that exists replaces it: the store only does so with equal bytes. Of several sinks, `settle` of each before
   the first is published saves waiting; `publish(last=False)` leaves it to the next one, which has to be in the same
   folder, to make both names durable.
4. A missing name is FileNotFoundError in `read`, `read_into` and `size`; `delete` of it is nothing; `list` of a
   missing folder is empty. So two that clean up at once do not fail each other.
5. What was published before `create` was called stays readable while others write.
6. Other errors are OSErrors with errno, as the system gave them. The store makes sentences of them.
7. Reading writes nothing: no folder, no lock, no access mark; but see `owners` for what seems to be another user's.
8. Any thread may call any verb. A sink belongs to one thread at a time.
9. Who adds to the store holds it meanwhile (`hold`), many at once; who removes what nobody refers to holds it alone. A
   hold goes with the process that has it. So nothing is removed that a writer has just found there and counts on."""

from __future__ import annotations

import errno
import os
import re
import threading
from collections.abc import Callable, Iterable
from typing import Protocol

from nbsnap.digest import Bytes
from nbsnap.errors import StoreError, StoreNotWritable

__all__ = [
    "Backend",
    "File",
    "Hold",
    "MemoryBackend",
    "Sink",
    "anew",
    "announce",
    "check_name",
    "doubt",
    "expect",
    "is_far",
    "sentence",
    "withdraw",
    "write_whole",
]


class Sink(Protocol):
    """Bytes on their way to a name."""

    def write(self, data: Bytes) -> None:
        """Append `data`, all of it. The buffer may be used again when this returns."""

    def settle(self) -> None:
        """Make what was written durable. Nobody sees it yet."""

    def publish(self, *, last: bool = True) -> None:
        """Make everything written durable, then visible under the name. The sink is closed afterwards."""

    def abandon(self) -> None:
        """Drop everything written. Nothing happens when the sink is closed already. Never raises OSError."""


class Hold(Protocol):
    """The store is held, by those who add to it or by one who removes, until this is released."""

    def release(self) -> None:
        """Let go. Once is enough; never raises OSError."""


class File(Protocol):
    """A file that may be mapped, or a part of one. It is open as long as somebody holds this."""

    fd: int
    start: int  # where in the open file it begins
    size: int

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset` on; return how many bytes there were."""


class Backend(Protocol):
    """Where the bytes of a store are; the rules are in the module's docstring."""

    place: str

    def describe(self, name: str) -> str:
        """Return how a person would find `name`: a path, a URL."""

    def prepare(self) -> None:
        """Make the place if it is not there, or raise OSError when it cannot be written."""

    def foreign(self) -> bool:
        """Tell whether there is anything at the place that is no store's."""

    def list(self, folder: str) -> list[str]:
        """Return the names below `folder` ("" for all), at any depth, sorted. Unpublished ones are not among them."""

    def size(self, name: str) -> int:
        """Return the length of what is under `name`."""

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Return the bytes from `offset` on, fewer than `length` where they end."""

    def read_into(self, name: str, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset` on; return how many bytes there were."""

    def to_map(self, name: str) -> File | None:
        """Return the file that `name` is, open, if mapping it into memory is safe; else None. See `mapping`."""

    def create(self, name: str) -> Sink:
        """Return a sink for `name`."""

    def delete(self, name: str) -> None:
        """Remove `name`."""

    def remove(self, names: Iterable[str]) -> None:
        """Remove these names in this order, so that none comes back: a power failure after this does not undo it."""

    def usage(self) -> int:
        """Return how many bytes there are under all names."""

    def hold(self, *, alone: bool) -> Hold | None:
        """Hold the store: with others who do not ask for it `alone`. None: somebody holds it otherwise just now."""

    def sweep(self) -> int:
        """Remove what dead writers left unpublished; return how many."""

    def close(self) -> None:
        """Let go of open files. The backend can still be used."""


_PART = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9._-]+"
_NAME = re.compile(rf"{_PART}(?:/{_PART}){{0,2}}")


OURS = frozenset(
    {"packs", "snapshots", "tmp", "locks", "store.json"}
)  # a store that was being made may consist of these


def check_name(name: str) -> str:
    """Return `name`, or raise ValueError if it breaks rule 1."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a name of something in a store: {name!r}")
    return name


def _missing(name: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)


def expect(backend: Backend, names: Iterable[str], *, whole: bool = False) -> None:
    """Say that these manifests or indexes will be read, from the beginning or whole: some backends fetch many at once.

    Nobody has to: a backend that is far away has a method of that name, and others have none.
    """
    fetch = getattr(backend, "expect", None)
    if fetch is not None:
        fetch(list(names), whole=whole)


def announce(backend: Backend, parts: Callable[[], Iterable[tuple[str, int, int]]]) -> None:
    """Say which parts of packs will be read (name, offset, length), in this order; see `expect`."""
    ahead = getattr(backend, "ahead", None)
    if ahead is not None:
        ahead(parts())


def anew(backend: Backend) -> None:
    """Have everything be read from where it really is from now on, and nothing from a copy nearer by."""
    bypass = getattr(backend, "bypass", None)
    if bypass is not None:
        bypass()


def is_far(backend: Backend) -> bool:
    """Tell whether a verb of this backend may take much longer than a moment, as one that goes over a network does."""
    return hasattr(backend, "withdraw")


def withdraw(backend: Backend, name: str) -> None:
    """Remove what was published a moment ago, or would be a moment later; nobody is made to wait for a network."""
    getattr(backend, "withdraw", backend.delete)(name)


def doubt(backend: Backend, name: str) -> None:
    """Say that something in a pack is not what it should be: a copy of it nearer by is not asked again."""
    drop = getattr(backend, "doubt", None)
    if drop is not None:
        drop(name)


def write_whole(backend: Backend, name: str, data: Bytes, *, last: bool = True) -> None:
    """Publish `data` under `name`, or leave nothing. `last`: nothing else is published into the same folder soon."""
    sink = backend.create(name)
    try:
        sink.write(data)
        sink.publish(last=last)
    except BaseException:
        sink.abandon()
        raise


def sentence(error: OSError, place: str, *, writing: bool) -> StoreError:
    """Return the error of ours that says in words what the system's means."""
    where = error.filename if isinstance(error.filename, str) else place
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"disk full: nothing more can be written to {place}")
    if writing and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ELOOP):
        cure = "; NBSNAP_STORE names another place" if error.errno in _FORBIDDEN else ""
        return StoreNotWritable(f"{where} cannot be written: {reason}{cure}")
    cure = _CURES.get(error.errno or 0, "")
    return StoreError(f"{where} cannot be {'written' if writing else 'read'}: {reason}{cure}")


_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_CURES = {
    errno.EIO: "; the disk may be failing: copy the store to another one",
    errno.EMFILE: "; close some, or allow more with ulimit -n",
    errno.ESTALE: "; is the disk still connected?",
    errno.ENOTCONN: "; is the disk still connected?",
}


# --- memory -------------------------------------------------------------------------------------------------


class MemoryBackend:
    """A store in a dict, for tests and for trying things out."""

    def __init__(self) -> None:
        self.place = "memory"
        self.files: dict[str, bytes] = {}
        self.holds: list[_MemoryHold] = []
        self._guard = threading.Lock()

    def describe(self, name: str) -> str:
        return f"memory:{name}"

    def prepare(self) -> None:
        pass

    def foreign(self) -> bool:
        return any(name.split("/")[0] not in OURS for name in self.files)

    def list(self, folder: str) -> list[str]:
        prefix = folder and folder.rstrip("/") + "/"
        return sorted(name for name in list(self.files) if name.startswith(prefix))

    def size(self, name: str) -> int:
        return len(self._get(name))

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        return self._get(name)[offset : None if length is None else offset + length]

    def read_into(self, name: str, offset: int, buffer: memoryview) -> int:
        data = self.read(name, offset, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def to_map(self, name: str) -> File | None:
        return None

    def create(self, name: str) -> Sink:
        return _MemorySink(self, check_name(name))

    def delete(self, name: str) -> None:
        self.files.pop(check_name(name), None)

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            self.delete(name)

    def usage(self) -> int:
        return sum(map(len, list(self.files.values())))

    def hold(self, *, alone: bool) -> Hold | None:
        with self._guard:
            if any(alone or other.alone for other in self.holds):
                return None
            made = _MemoryHold(self, alone)
            self.holds.append(made)
        return made

    def sweep(self) -> int:
        return 0

    def close(self) -> None:
        pass

    def _get(self, name: str) -> bytes:
        try:
            return self.files[check_name(name)]
        except KeyError:
            raise _missing(name) from None


class _MemoryHold:
    def __init__(self, backend: MemoryBackend, alone: bool) -> None:
        self.backend, self.alone = backend, alone

    def release(self) -> None:
        if self in self.backend.holds:
            self.backend.holds.remove(self)


class _MemorySink:
    def __init__(self, backend: MemoryBackend, name: str) -> None:
        self.backend, self.name, self.data = backend, name, bytearray()

    def write(self, data: Bytes) -> None:
        self.data += data

    def settle(self) -> None:
        pass

    def publish(self, *, last: bool = True) -> None:
        self.backend.files[self.name] = bytes(self.data)

    def abandon(self) -> None:
        self.data.clear()
