"""Snapshots on their way to a bucket, while the session goes on.

A forked child must not talk to a bucket: what does the talking has threads, and they are not there (`remote`). So:

    the child          writes the snapshot into a store of its own on this machine, its spool, as it would into a folder
    then becomes       a fresh process of this module (exec: the same process number, the same pipe to the session)
    which              puts the snapshot into the bucket, tells the session, and removes the spool

It does not end with the session. Who restores on this machine meanwhile, in another kernel perhaps, waits for what is
on its way of the same notebook, and so does the next snapshot: else an older one would be the latest. What could not be
sent (no network, credentials that have expired) stays in its spool, for its owner alone, and goes before the next
snapshot that is sent to that place. A spool is locked (`flock`, which the child hands on to the process that it
becomes) as long as somebody sees to it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbsnap import owners, reports, signing
from nbsnap.digest import digest
from nbsnap.errors import DamageError, NbSnapError, SnapshotNotFound
from nbsnap.keep import Rules
from nbsnap.model import Content, Snapshot
from nbsnap.places import is_url
from nbsnap.store import Store
from nbsnap.tree import notebook_key
from nbsnap.wording import when

__all__ = ["clean", "hand_over", "is_possible", "main", "see_to", "spool", "store_in", "wait"]

ORDER, LOCK = "order.json", "lock"
YOUNG = 5.0  # seconds that a child takes at most to lock its spool
BEAT = 5.0  # seconds between two signs of life
OLD = 86400.0  # seconds after which a spool without an order is a dead child's


def is_possible(place: str) -> bool:
    """Tell whether snapshots go to a place in this way."""
    return is_url(place) and not place.startswith(("file:", "memory:")) and bool(sys.executable)


def _root(place: str, *, make: bool = True) -> Path:
    import platformdirs

    top = Path(platformdirs.user_data_dir("nbsnap", appauthor=False)) / "going"
    if not make:
        return top / digest(place.encode()).hex()[:24]
    top.parent.mkdir(parents=True, exist_ok=True)
    folder = top / digest(place.encode()).hex()[:24]
    for path in (top, folder):
        with contextlib.suppress(FileExistsError):
            owners.private_folder(str(path))
    return folder


def spool(place: str, notebook: str) -> str:
    """Return a new folder for a snapshot of a notebook that is to go to a place."""
    path = _root(place) / f"{notebook_key(notebook)}-{secrets.token_hex(8)}"
    owners.private_folder(str(path))
    return str(path)


def see_to(folder: str) -> None:
    """Lock a spool for this process, and for what it becomes. In the child, first of all."""
    fd = os.open(os.path.join(folder, LOCK), os.O_RDWR | os.O_CREAT, 0o600)
    _lock(fd)
    os.set_inheritable(fd, True)


def wait(place: str, notebook: str) -> tuple[str, ...]:
    """Wait for what is on its way to a place, of a notebook. Return lines about what could not be sent before."""
    while "going" in (states := {path: _state(path) for path in _spools(place, notebook)}).values():
        time.sleep(0.1)
    return tuple(
        f"a snapshot {_when(path)} could not be sent to {place}: it is kept in {path},"
        " and goes before the next one in the background"
        for path, state in states.items()
        if state == "left"
    )


def _when(path: Path) -> str:
    try:
        moment = datetime.fromtimestamp((path / ORDER).stat().st_mtime, UTC)
    except OSError:
        return "of a moment ago"
    return "of " + when(moment.isoformat(timespec="microseconds").replace("+00:00", "Z"))


def _spools(place: str, notebook: str) -> list[Path]:
    if not is_possible(place):
        return []
    try:
        return sorted(_root(place, make=False).glob(f"{notebook_key(notebook)}-*"))
    except OSError:
        return []


def _state(path: Path) -> str:
    """Return "going" while a process sees to a spool, "left" where it could not be sent, "" where there is nothing."""
    try:
        fd = os.open(path / LOCK, os.O_RDWR)
    except FileNotFoundError:  # a child that has just begun
        with contextlib.suppress(OSError):
            return "going" if time.time() - path.stat().st_mtime < YOUNG else ""
        return ""
    except OSError:
        return ""
    try:
        if not _lock(fd):
            return "going"
    finally:
        os.close(fd)
    return "left" if (path / ORDER).exists() else ""


def store_in(folder: str | os.PathLike[str]) -> str:
    """Return where the store is in a spool."""
    return os.path.join(folder, "store")


def clean(folder: str) -> None:
    """Remove a spool that was never written to its end."""
    if folder and not os.path.exists(os.path.join(folder, ORDER)):
        shutil.rmtree(folder, ignore_errors=True)


def hand_over(place: str, folder: str, told: Mapping[str, Any], keep: Rules) -> dict[str, Any]:
    """Write down what is to be done, and return the command that does it. In the child, when the spool is written."""
    fd = os.open(os.path.join(folder, ORDER), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(fd, "w", encoding="utf-8") as file:
        json.dump({"place": place, "told": dict(told), "keep": asdict(keep)}, file)
    program = "import sys; sys.path.append(sys.argv[1]); from nbsnap.going import main; main(sys.argv[2:])"
    return {"become": [sys.executable, "-P", "-c", program, str(Path(__file__).parent.parent), folder]}


def _lock(fd: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows, where nothing goes in this way
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


# --- the process ------------------------------------------------------------------------------------------------------


def main(arguments: list[str]) -> None:
    """Send one spool, and what was left of others before; the last argument is the pipe to the session."""
    folder, pipe = Path(arguments[0]), int(arguments[1])
    os.set_inheritable(pipe, False)
    threading.Thread(target=_live, args=(pipe,), name="nbsnap-alive", daemon=True).start()
    try:
        told = _deliver(folder)
    except NbSnapError as error:
        told = {"error": f"{error}. It is kept in {folder}, and is sent before the next snapshot in the background"}
    except BaseException as error:
        told = {"error": f"{type(error).__name__}: {error}"}
    with contextlib.suppress(OSError):  # nobody is there any more
        data = memoryview(json.dumps(told).encode())
        while data:
            data = data[os.write(pipe, data) :]


def _live(pipe: int) -> None:
    """Let the session see that this goes on, though it may wait for the network most of the time."""
    with contextlib.suppress(OSError):
        while True:
            time.sleep(BEAT)
            os.write(pipe, b"\n")


def _deliver(folder: Path) -> dict[str, Any]:
    order = json.loads((folder / ORDER).read_text(encoding="utf-8"))
    _wait_for_older(folder)
    with Store.open(order["place"], create=True) as store:
        with _left(folder) as others:
            for other in others:
                with contextlib.suppress(NbSnapError):  # it is there the next time
                    _send(store, other, json.loads((other / ORDER).read_text(encoding="utf-8")))
        return _send(store, folder, order)


def _wait_for_older(mine: Path) -> None:
    """Let those of the same notebook go first that were taken before."""
    since = (mine / LOCK).stat().st_mtime
    for path in mine.parent.glob(f"{mine.name.rpartition('-')[0]}-*"):
        with contextlib.suppress(OSError):
            while path != mine and (path / LOCK).stat().st_mtime < since and _state(path) == "going":
                time.sleep(0.1)


@contextlib.contextmanager
def _left(mine: Path) -> Iterator[list[Path]]:
    """Give the spools beside one that nobody sees to, the oldest first, and hold them meanwhile."""
    held: list[int] = []
    found: list[tuple[float, Path]] = []
    try:
        for path in mine.parent.iterdir():
            if path == mine:
                continue
            try:
                if not (path / ORDER).exists():
                    raise FileNotFoundError
                fd = os.open(path / LOCK, os.O_RDWR)
            except FileNotFoundError:
                with contextlib.suppress(OSError):
                    if time.time() - path.stat().st_mtime > OLD:
                        shutil.rmtree(path, ignore_errors=True)
                continue
            except OSError:
                continue
            held.append(fd)
            if _lock(fd):
                found.append(((path / ORDER).stat().st_mtime, path))
        yield [path for _, path in sorted(found)]
    finally:
        for fd in held:
            os.close(fd)


def _send(store: Store, folder: Path, order: Mapping[str, Any]) -> dict[str, Any]:
    """Put the snapshot of a spool into the store; return what the session is to be told."""
    told = dict(order["told"])
    with Store.open(store_in(folder)) as spooled:
        record = spooled.load(told["id"])
        head = record.head
        if head.kind == "auto" and (latest := _latest(store, head.notebook)) and reports.same(latest, record):
            told["nothing new since"] = latest.head.id
            del told["id"]
        else:
            told["id"] = _put(store, spooled, record)
            if head.kind == "auto":
                with contextlib.suppress(NbSnapError):  # those that may go can go another time
                    store.thin(head.notebook, Rules(**order["keep"]))
    shutil.rmtree(folder, ignore_errors=True)
    return told


def _latest(store: Store, notebook: str) -> Snapshot | None:
    with contextlib.suppress(NbSnapError, SnapshotNotFound):
        return store.find("latest", notebook)
    return None


def _put(store: Store, spooled: Store, record: Snapshot) -> str:
    size = sum(content.size for group in record.groups for content in group.buffers)
    reader = spooled.reader(size=size)
    with store.writer(sign=signing.sign) as writer:

        def put(content: Content, data: Any) -> None:
            if writer.put(data) != content:
                raise DamageError(f"what was written into {spooled.place} has changed since")

        for definition in record.definitions:
            put(definition.stream, bytes(reader.stream(definition.stream)))
        for group in record.groups:
            put(group.stream, bytes(reader.stream(group.stream)))
            for content, data in zip(group.buffers, reader.buffers(group), strict=True):
                put(content, data)
        return writer.commit(replace(record, head=replace(record.head, id="", parent=""))).head.id
