"""The fresh process in which a snapshot is verified; see `verifying`, which starts it.

It restores the snapshot into a `__main__` of its own, as any new session would, takes what came back apart again, and
compares: the pieces with those in the store, and the values with the portrait that it is handed. Where there is none,
what came back is compared with what comes back of it when it is saved and loaded once more.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import types
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from . import beside, living, portrait
from .capture import take_apart
from .digest import PIECE_SIZE, piece_id
from .errors import DamageError
from .model import Content, Group, Snapshot, Verified
from .parts import BESIDE
from .rebuild import rebuild
from .restoring import restore
from .store import Store
from .taken import Taken

_GRACE = 30  # seconds that the process lives longer than whoever waits for it
_SMALL = 1 << 22  # bytes of a stream that is compared operation by operation


def main() -> None:
    """Read an order from stdin, and write to stdout what came of it. What the user's code prints goes to stderr."""
    order = json.load(sys.stdin.buffer)
    if hasattr(signal, "alarm"):
        signal.alarm(int(order["seconds"]) + _GRACE)  # should nobody wait for us any more
    out = os.dup(1)
    os.dup2(2, 1)
    sys.modules["__main__"] = types.ModuleType("__main__")
    names = vars(sys.modules["__main__"])
    names["__builtins__"] = __builtins__
    sys.argv[:] = [""]
    try:
        told = verify(order, names)
    except Exception as error:
        told = {"problem": f"{type(error).__name__}: {' '.join(str(error).split())}"}
    data = memoryview(json.dumps(told).encode())
    while data:
        data = data[os.write(out, data) :]
    sys.stderr.flush()
    os._exit(0)  # threads and exit handlers of the user's may never end


def verify(order: Mapping[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    """Restore the snapshot of an order into a namespace, and return what is to be said of each variable."""
    parts = [part for part in BESIDE if part != "extensions"]  # of a shell, which is not here
    report = restore(
        order["id"], names, store=order["store"], notebook=order["notebook"], beside=parts, verify="before",
        trust=True,  # whoever started us has asked: `saving.verify`
    )  # fmt: skip
    failed = {skip.name: skip for skip in report.failed}
    there = {variable.name: names[variable.name] for variable in report.restored if variable.name in names}
    with Store.open(order["store"]) as store:
        record = store.load(order["id"])
        parts = [part for part in BESIDE if part in {beside.part_of(entry.name) for entry in record.beside}]
        kept, _ = beside.take(parts, beside.Scene(there, [text for _, text in record.history]))
        taken = take_apart(names, list(there), engine=order["engine"], beside=kept)
        pieces, same = _compare_pieces(record, taken, store)
    pictured = order["portrait"]
    if pictured is not None:
        found = portrait.compare(pictured, there, names)
    else:
        found = _second_time(record, taken, there, names, set(there) - pieces)
    variables = []
    for variable in record.variables:
        name = variable.name
        if (skip := failed.get(name)) is not None:
            said = Verified(name, variable.type, "failed", skip.path, skip.reason, skip.hint)
        elif name not in there:
            said = Verified(name, variable.type, "unknown", name, "was not restored")
        else:
            said = _verdict(name, variable.type, found.get(name), name in pieces, name in same)
        variables.append(asdict(said))
    return {"variables": variables, "notes": list(report.notes)}


def _verdict(name: str, kind: str, found: portrait.Found | None, pieces: bool, same: bool) -> Verified:
    """Return what is to be said of a variable that came back."""
    if found is not None and found.differs:
        path, what = found.differs[0]
        rest = len(found.differs) - 1
        return Verified(name, kind, "differs", path, what + (f"; and {rest:,} more" if rest else ""))
    if pieces:
        return Verified(name, kind, "identical")
    if found is not None and (same or not found.unsure):
        return Verified(name, kind, "equal")
    if found is None:
        return Verified(name, kind, "unknown", name, "it cannot be compared")
    path, what = found.unsure[0]
    return Verified(name, kind, "unknown", path, what)


# --- pieces -----------------------------------------------------------------------------------------------------------


class _Memory:
    """Content that is kept in memory: a sink, and the source that gives it back."""

    def __init__(self, longest: int | None = None) -> None:
        self.held: dict[Content, bytes] = {}
        self._longest = longest  # of longer ones only the ids are kept

    def put(self, data: Any) -> Content:
        """Keep some bytes."""
        with memoryview(data) as view:
            flat = view.cast("B") if view.nbytes else view
            cuts = range(0, view.nbytes, PIECE_SIZE)
            content = Content(view.nbytes, tuple(piece_id(flat[at : at + PIECE_SIZE]) for at in cuts))
            if content not in self.held and (self._longest is None or view.nbytes <= self._longest):
                self.held[content] = bytes(view)
        return content

    def stream(self, content: Content) -> bytes:
        """Return the bytes of a stream."""
        return self.held[content]

    def parts(self, content: Content) -> tuple[bytes]:
        """Return them as one part."""
        return (self.held[content],)

    def buffers(self, group: Group) -> list[bytearray]:
        """Return memory of its own for each buffer of a group."""
        return [bytearray(self.held[content]) for content in group.buffers]


def _compare_pieces(record: Snapshot, taken: Taken, store: Store) -> tuple[set[str], set[str]]:
    """Return the variables that give the same pieces again, and those that do but for which texts were one object."""
    memory = _Memory(_SMALL)
    groups, _ = taken.write(memory.put)
    before = {frozenset(group.variables): group for group in record.groups}
    reader = store.reader()
    identical: set[str] = set()
    same: set[str] = set()
    for group in groups:
        old = before.get(frozenset(group.variables))
        if old is None or old.buffers != group.buffers:
            continue
        if old.stream == group.stream:
            identical.update(group.variables)
        elif max(old.stream.size, group.stream.size) <= _SMALL and old.engine == group.engine:
            with contextlib.suppress(DamageError, ValueError, IndexError):
                if living.plain(reader.stream(old.stream)) == living.plain(memory.stream(group.stream)):
                    same.update(group.variables)
    return identical, same


# --- once more --------------------------------------------------------------------------------------------------------


def _second_time(
    record: Snapshot, taken: Taken, there: Mapping[str, Any], names: dict[str, Any], wanted: Iterable[str]
) -> dict[str, portrait.Found]:
    """Return how variables differ from what comes back of them, saved and loaded once more."""
    chosen = [name for name in there if name in set(wanted)]
    if not chosen:
        return {}
    pictured = portrait.take({name: there[name] for name in chosen}, names, chosen)
    memory = _Memory()
    groups, definitions = taken.at_home(taken.left_behind()[0]).write(memory.put)
    again = replace(record, variables=taken.variables, groups=groups, definitions=definitions, beside=taken.beside)
    namespace: dict[str, Any] = {"__builtins__": __builtins__}
    built = rebuild(again, chosen, memory, namespace, stand=namespace.update)
    found = portrait.compare(pictured, built.values, namespace)
    for name, error in built.failed.items():
        found[name] = portrait.Found(differs=[(name, f"does not load when it is saved once more: {error.reason}")])
    return found
