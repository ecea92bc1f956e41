"""One file that is a store, for reading: a ZIP in which nothing is compressed (`zipform`; `archiver` makes one).

1. **Names stay names.** They are looked up, and no file is ever made of one. What members hold is verified as in any
   store.
2. **It is only read.** Whatever would change it is an error (EROFS). A file that is changed or exchanged while it is in
   use is one, too (ESTALE): where members lie was read at the beginning.
"""

from __future__ import annotations

import bisect
import errno
import os
import threading
from collections.abc import Callable, Iterable

from nbsnap import owners, zipform
from nbsnap.backends import Hold, Sink, check_name, sentence
from nbsnap.errors import DamageError
from nbsnap.folder import OpenFile
from nbsnap.mapping import PAGE, is_safe
from nbsnap.zipform import Member

__all__ = ["Archive", "ArchiveBackend", "is_archive"]

_READ_ONLY = "it is one file, which is only read; `nbsnap import` brings what it holds into a store"


class Part:
    """A member as a file that may be mapped."""

    def __init__(self, file: OpenFile, member: Member) -> None:
        self.file, self.fd = file, file.fd
        self.start, self.size = member.start, member.size

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset` on; return how many bytes there were."""
        return self.file.read_into(self.start + offset, buffer[: max(0, self.size - offset)])


def is_archive(place: str | os.PathLike[str]) -> bool:
    """Tell whether a place is a file that begins or ends as an archive does."""
    try:
        if not os.path.isfile(place):
            return False
        return zipform.is_one(OpenFile(os.path.realpath(place)))
    except OSError:
        return False


class Archive:
    """What reading and writing have in common: named members of an open file."""

    def __init__(self, place: str | os.PathLike[str], may_map: Callable[[int], bool] = is_safe) -> None:
        self.place = os.path.abspath(os.fspath(place))
        self._members: dict[str, Member] = {}
        self._names: list[str] = []  # sorted
        self._may_map = may_map
        self._safe: bool | None = None
        self._guard = threading.Lock()

    def _file(self) -> OpenFile:
        raise NotImplementedError

    def _take(self, members: dict[str, Member]) -> None:
        self._members, self._names = members, sorted(members)

    def describe(self, name: str) -> str:
        return os.path.join(self.place, *name.split("/"))

    def foreign(self) -> bool:
        return False

    def list(self, folder: str) -> list[str]:
        if not folder:
            return list(self._names)
        prefix = folder.rstrip("/")
        return self._names[bisect.bisect(self._names, prefix + "/") : bisect.bisect(self._names, prefix + "0")]

    def size(self, name: str) -> int:
        return self._member(name).size

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        rest = max(0, self._member(name).size - offset)
        data = bytearray(rest if length is None else min(rest, length))
        return bytes(memoryview(data)[: self.read_into(name, offset, memoryview(data))])

    def read_into(self, name: str, offset: int, buffer: memoryview) -> int:
        return self._part(name).read_into(offset, buffer)

    def to_map(self, name: str) -> Part | None:
        part = self._part(name)
        if self._safe is None:
            self._safe = self._may_map(part.fd)
        return part if self._safe and not part.start % PAGE and not owners.foreign_file(part.fd) else None

    def usage(self) -> int:
        try:
            return os.stat(self.place).st_size
        except OSError:  # a figure is nothing to fail for
            return 0

    def sweep(self) -> int:
        return 0

    def _member(self, name: str) -> Member:
        try:
            return self._members[check_name(name)]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.describe(name)) from None

    def _part(self, name: str) -> Part:
        file, member = self._file(), self._member(name)
        if member.start < 0:
            start = zipform.start_of(file, name, member)
            if start < 0 or start + member.size > member.limit:
                raise OSError(errno.EINVAL, "what stands there is not what the directory says", self.describe(name))
            member = self._members[name] = member._replace(start=start)
        return Part(file, member)


class ArchiveBackend(Archive):
    """A store in one file, for reading.

    With `salvage`, what is whole is there even if the file is cut short; `cut` says why not all of it is.
    """

    def __init__(
        self,
        place: str | os.PathLike[str],
        *,
        may_map: Callable[[int], bool] = is_safe,
        salvage: bool = False,
    ) -> None:
        super().__init__(place, may_map)
        self.cut = ""
        self._open: OpenFile | None = None
        self._was: tuple[int, ...] = ()
        try:
            file = self._file()
            try:
                self._take(zipform.by_directory(file))
            except DamageError as error:
                said = f"{self.place} is damaged: {error}"
                if not salvage:
                    raise DamageError(f"{said}; `nbsnap import` takes what is whole") from None
                self.cut = said
                self._take(zipform.by_headers(file)[0])
        except OSError as error:
            raise sentence(error, self.place, writing=False) from error

    def _file(self) -> OpenFile:
        with self._guard:
            if self._open is None:
                file = OpenFile(os.path.realpath(self.place))  # the file's own place may be a link, as a folder's may
                found = os.fstat(file.fd)
                now = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
                if self._was and self._was != now:
                    raise OSError(errno.ESTALE, "it is another file by now", self.place)
                self._open, self._was = file, now
            return self._open

    def stranger(self) -> str:
        """Return a clause that says to whom the file belongs, if to another user; else ""."""
        return owners.stranger(self.place)

    def prepare(self) -> None:
        raise self._refusal()

    def create(self, name: str) -> Sink:
        raise self._refusal()

    def delete(self, name: str) -> None:
        raise self._refusal()

    def remove(self, names: Iterable[str]) -> None:
        if list(names):
            raise self._refusal()

    def hold(self, *, alone: bool) -> Hold | None:
        raise self._refusal()

    def _refusal(self) -> OSError:
        return OSError(errno.ENOTSUP, _READ_ONLY, self.place)

    def close(self) -> None:
        with self._guard:
            self._open = None
