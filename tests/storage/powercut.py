"""What a power cut leaves: the files of a store as a disk may have them when the machine stops at any moment.

A `Recorder` stands in for the module `os` in `nbsnap.folder` and `owners`, and writes down each call that changes
something. `cut` then makes a folder as POSIX allows it to be after so many of these calls: what was written to a file
after its last flush is there, is not, or is there in part (a page may be zeros); a name that was made, moved or removed
is as before or as after, each by itself and in any order, unless its folder was flushed since.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Recorder", "cut"]

PAGE = 4096


class Step(NamedTuple):
    """A call that was made."""

    kind: str  # "create", "write", "flush", "mkdir", "move", "remove"
    file: int  # the number of the file; 0 for folders
    name: str = ""
    other: str = ""
    data: bytes = b""


class Recorder:
    """Stands in for `os`: does what it is told, and writes it down."""

    def __init__(self, place: Path) -> None:
        self.place = os.fspath(place)
        self.steps: list[Step] = []
        self.open_files: dict[int, int] = {}
        self.folders: dict[int, str] = {}
        self.last = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def name(self, path: Any) -> str:
        return os.path.relpath(os.fspath(path), self.place)

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        fd = os.open(path, flags, mode)
        self.open_files.pop(fd, None)
        self.folders.pop(fd, None)
        if flags & os.O_CREAT:
            self.last += 1
            self.open_files[fd] = self.last
            self.steps.append(Step("create", self.last, self.name(path)))
        elif os.path.isdir(path):
            self.folders[fd] = self.name(path)
        return fd

    def write(self, fd: int, data: Any) -> int:
        count = os.write(fd, data)
        self.steps.append(Step("write", self.open_files[fd], data=bytes(memoryview(data)[:count])))
        return count

    def fsync(self, fd: int) -> None:
        os.fsync(fd)
        if fd in self.folders:
            self.steps.append(Step("flush", 0, self.folders[fd]))
        else:
            self.steps.append(Step("flush", self.open_files[fd]))

    def mkdir(self, path: Any, mode: int = 0o777) -> None:
        os.mkdir(path, mode)
        self.steps.append(Step("mkdir", 0, self.name(path)))

    def replace(self, old: Any, new: Any) -> None:
        os.replace(old, new)
        self.steps.append(Step("move", 0, self.name(old), self.name(new)))

    def unlink(self, path: Any) -> None:
        os.unlink(path)
        self.steps.append(Step("remove", 0, self.name(path)))


@dataclass
class File:
    """What is in a file: for sure, and in memory."""

    kept: bytes = b""
    now: bytearray = field(default_factory=bytearray)


class Entry(NamedTuple):
    """A change of a folder: a name that is a file from now on (or a folder, 0), or nothing (None)."""

    name: str
    file: int | None

    @property
    def folder(self) -> str:
        return os.path.dirname(self.name) or "."


def _changes(step: Step, live: dict[str, int]) -> list[Entry]:
    """Return what a step changes in folders; `live` is what the machine sees."""
    if step.kind == "move":
        file = live[step.other] = live.pop(step.name)
        return [Entry(step.other, file), Entry(step.name, None)]
    if step.kind == "remove":
        del live[step.name]
        return [Entry(step.name, None)]
    live[step.name] = step.file
    return [Entry(step.name, step.file)]


def cut(steps: Iterable[Step], target: Path, chance: random.Random, harm: Callable[[], float]) -> None:
    """Make in `target` what may be there after these steps; `harm()` is how much of what was not flushed is lost."""
    files: dict[int, File] = {}
    live: dict[str, int] = {}
    names: dict[str, int | None] = {}  # as they are on the disk for sure
    waiting: list[Entry] = []
    for step in steps:
        if step.kind == "write":
            files[step.file].now += step.data
        elif step.kind == "flush" and step.file:
            files[step.file].kept = bytes(files[step.file].now)
        elif step.kind == "flush":
            names.update((name, file) for name, file in waiting if Entry(name, file).folder == step.name)
            waiting = [entry for entry in waiting if entry.folder != step.name]
        else:
            if step.kind == "create":
                files[step.file] = File()
            waiting += _changes(step, live)
    names.update((name, file) for name, file in waiting if chance.random() >= harm())
    held = {number: _torn(file, chance, harm()) for number, file in files.items()}
    for name, number in sorted(names.items()):
        path = target / name
        if number == 0 and path.parent.is_dir():
            path.mkdir()
        elif number and path.parent.is_dir():
            path.write_bytes(held[number])


def _torn(file: File, chance: random.Random, harm: float) -> bytes:
    """Return what a file may hold: all that was flushed, and of the rest as the disk pleases."""
    rest = bytes(file.now[len(file.kept) :])
    if not rest or chance.random() >= harm:
        return bytes(file.now)
    length = chance.choice([0, len(rest), chance.randrange(len(rest) + 1)])
    torn = bytearray(rest[:length])
    for at in range(0, length, PAGE):
        if chance.random() < 0.3:
            torn[at : at + PAGE] = bytes(len(torn[at : at + PAGE]))
    return file.kept + bytes(torn)
