"""Snapshots of plain bytes, and a backend that dies: what the tests of the storage half share."""

from __future__ import annotations

import functools
import os
import random
import threading
import time
from collections.abc import Iterable, Mapping

from nbsnap.backends import Backend, Hold, MemoryBackend, Sink
from nbsnap.digest import PIECE_SIZE, Bytes
from nbsnap.earlier import Place
from nbsnap.folder import FolderBackend
from nbsnap.maintenance import check
from nbsnap.model import Content, Group, Head, Skip, Snapshot, Variable
from nbsnap.store import Store

NOTEBOOK = "work/analysis.ipynb"
SIZES = (0, 1, 100, 5000, 65535, 65536, PIECE_SIZE - 1, PIECE_SIZE, PIECE_SIZE + 1, 3 * PIECE_SIZE + 70000)

State = Mapping[str, bytes]


@functools.lru_cache(100)
def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress."""
    return random.Random(f"{seed}-{size}").randbytes(size)


@functools.lru_cache(100)
def text(size: int, seed: int = 0) -> bytes:
    """Bytes that do."""
    line = f"{seed}: the quick brown fox jumps over the lazy dog, again and again and again\n".encode()
    return (line * (size // len(line) + 1))[:size]


@functools.lru_cache(100)
def drift(seed: int = 0) -> bytes:
    """Bytes that do not compress, most of which are the same for all seeds: what an array is that changes in places."""
    data = bytearray(noise(3 * PIECE_SIZE + 70000))
    for at in (random.Random(seed).randrange(len(data)) for _ in range(seed % 4)):
        data[at : at + 5000] = noise(min(5000, len(data) - at), seed)
    return bytes(data)


def mixed(seed: int = 0) -> dict[str, bytes]:
    """A state with every kind of content: empty, small, one piece, many; noise and text; equal ones twice; drifting."""
    state = {f"noise{size}": noise(size, seed) for size in SIZES}
    state |= {f"text{size}": text(size, seed) for size in SIZES}
    return state | {"twin": state[f"noise{PIECE_SIZE + 1}"], "drift": drift(seed)}


def threads(patience: float = 5.0) -> list[str]:
    """The threads of ours that are alive, and go on to be."""
    until = time.monotonic() + patience
    while time.monotonic() < until and _threads():  # one that is in the midst of a write ends right after it
        time.sleep(0.01)
    return _threads()


def _threads() -> list[str]:
    """The threads of ours that are alive now."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("nbsnap-")]


def record(contents: Mapping[str, Content], name: str = "", notebook: str = NOTEBOOK, **head: object) -> Snapshot:
    """A snapshot as the session would make it, with a group for each content."""
    fields: dict[str, object] = {
        "id": "",
        "time": "",
        "notebook": notebook,
        "name": name,
        "message": "a message, with ünïcode",
        "parent": "",
        "variables": len(contents),
        "skipped": 1,
        "size": sum(content.size for content in contents.values()),
        "new_bytes": 0,
        "seconds": 0.25,
        "python": "3.11.7",
        "platform": "linux-x86_64",
        "tool": "nbsnap 0.1.0",
    }
    return Snapshot(
        head=Head(**(fields | head)),  # type: ignore[arg-type]
        variables=tuple(
            Variable(name, "bytes", content.size, f"len {content.size}", f"g{number}", number, f"{name} = …")
            for number, (name, content) in enumerate(contents.items())
        ),
        groups=tuple(
            Group(f"g{number}", (name,), (), "pickle", Content(0), (content,), modules=("builtins",))
            for number, (name, content) in enumerate(contents.items())
        ),
        definitions=(),
        skips=(Skip("gen", "generator", "gen", "the state of running code cannot be saved", cell=3),),
        packages=(("numpy", "2.0"),),
        history=((1, "x = 1"), (2, "y = 'ä'")),
        sources=(("<ipython-input-1>", "x = 1\n"),),
        cwd="/somewhere",
    )


def save(store: Store, state: State, name: str = "", notebook: str = NOTEBOOK, **head: object) -> Head:
    """Take a snapshot of `state`."""
    with store.writer(notebook=notebook) as writer:
        contents = {key: writer.put(value, Place((key,), 0)) for key, value in state.items()}
        return writer.commit(record(contents, name, notebook, **head)).head


def restore(store: Store, ref: str = "latest", notebook: str | None = NOTEBOOK) -> dict[str, bytes]:
    """Return the state of a snapshot."""
    snapshot = store.load(store.resolve(ref, notebook).id)
    return {group.variables[0]: bytes(store.read(group.buffers[0])) for group in snapshot.groups}


def assert_clean(store: Store) -> None:
    """What is last in nearly every test: check finds nothing."""
    report = check(store)
    assert report.problems == (), report.to_json(1)
    assert report.ok


def make_backend(kind: str, folder: os.PathLike[str]) -> Backend:
    """A new backend of that kind."""
    return MemoryBackend() if kind == "memory" else FolderBackend(os.path.join(folder, "store"))


class Died(BaseException):
    """The process is no more."""


class DyingBackend:
    """A backend that dies at the k-th step that writes, half of it done, and does nothing any more.

    Steps are: creating a sink, each write (half of the bytes get through), publishing (before or after it took effect,
    as `late` says), deleting.
    """

    def __init__(self, inner: Backend, steps: int, *, late: bool = False) -> None:
        self.inner, self.left, self.late, self.steps = inner, steps, late, 0
        self.place = inner.place
        self.sinks: list[Sink] = []
        self.holds: list[Hold] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def step(self) -> bool:
        """Count a step; True if it is the last one."""
        if self.left < 0:
            raise Died
        self.steps += 1
        self.left -= 1
        return self.left < 0

    def prepare(self) -> None:
        if self.step():
            raise Died
        self.inner.prepare()

    def create(self, name: str) -> Sink:
        if self.step() and not self.late:
            raise Died
        sink = self.inner.create(name)
        self.sinks.append(sink)
        if self.left < 0:
            raise Died
        return _DyingSink(self, sink)

    def hold(self, *, alone: bool) -> Hold | None:
        if self.step():
            raise Died
        hold = self.inner.hold(alone=alone)
        if hold is None:
            return None
        self.holds.append(hold)
        return _DyingHold(self, hold)

    def bury(self) -> None:
        """Do what the system does for the dead: close their files."""
        for sink in self.sinks:
            getattr(sink, "_close", lambda: None)()
        for hold in self.holds:
            getattr(hold, "_close", hold.release)()

    def delete(self, name: str) -> None:
        if self.step():
            raise Died
        self.inner.delete(name)

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            last = self.step()
            if not last or self.late:
                self.inner.remove([name])
            if last:
                raise Died

    def sweep(self) -> int:
        if self.step():
            raise Died
        return self.inner.sweep()


class _DyingHold:
    def __init__(self, backend: DyingBackend, inner: Hold) -> None:
        self.backend, self.inner = backend, inner

    def release(self) -> None:
        if self.backend.left >= 0:
            self.inner.release()


class _DyingSink:
    def __init__(self, backend: DyingBackend, inner: Sink) -> None:
        self.backend, self.inner = backend, inner

    def write(self, data: Bytes) -> None:
        last = self.backend.step()
        self.inner.write(memoryview(data)[: len(data) // 2] if last else data)
        if last:
            raise Died

    def settle(self) -> None:
        last = self.backend.step()
        if not last or self.backend.late:
            self.inner.settle()
        if last:
            raise Died

    def publish(self, *, last: bool = True) -> None:
        died = self.backend.step()
        if not died or self.backend.late:
            self.inner.publish(last=last)
        if died:
            raise Died

    def abandon(self) -> None:
        if self.backend.left >= 0:
            self.inner.abandon()
