"""A fuzzer that follows coverage: what makes the package run lines in an order not seen before is kept and changed on.

    python fuzzing.py record 600       ten minutes; it ends at the first thing that is no error of ours

`record` changes the bodies and heads of manifests, which get their right hashes again; `bytes` the bytes of any file
of a store; `index` the records of an index, which gets its hash again, too. Then the store is asked everything."""

from __future__ import annotations

import copy
import itertools
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import nbsnap
from nbsnap import manifest
from nbsnap.digest import digest
from nbsnap.errors import NbSnapError
from nbsnap.layout import to_html, to_text
from nbsnap.maintenance import check
from nbsnap.page import page
from nbsnap.render import show_sheet
from nbsnap.render_history import check_sheet, diff_sheet, list_sheet, prune_sheet
from nbsnap.render_repair import repair_sheet
from nbsnap.repairing import repair
from nbsnap.store import Store

TARGETS = ("record", "bytes", "index")
HOME = str(Path(nbsnap.__file__).parent)
MEMORY = 2 << 30
ODD = (None, True, -1, 0, 1, 1 << 62, 1 << 63, 10**40, 0.5, 1e300, "", "a", "g0", "../x", "\ud800", "\x1b[2J", [], {},
       [[]], [1], ["a"], {"a": 1}, [0, "0" * 64], [1, "0" * 64], "0" * 64, "0" * 32, "beside:figures:1", "figures:1"
)  # fmt: skip


def put(record: Any, value: Any, choose: Callable[[int], int]) -> None:
    """Put a value somewhere into a record: in place of one, beside one, or away with one."""
    here = record
    while True:
        keys: list[Any] = sorted(here) if type(here) is dict else list(range(len(here)))
        if not keys:
            break
        key = keys[choose(len(keys))]
        if type(here[key]) in (dict, list) and here[key] and choose(4):
            here = here[key]
            continue
        if choose(6) == 0:
            del here[key]
        else:
            here[key] = value
        return
    if type(here) is list:
        here.append(value)


def ask(store: Store) -> None:
    """Ask a store everything; only errors of ours may come of it."""
    sheets = []
    for entry in store.entries():
        try:
            snapshot = store.load_entry(entry)
        except NbSnapError:
            continue
        sheets.append(show_sheet(snapshot, verbose=True, command="show"))
        page(snapshot)
        snapshot.to_json()
    ids = [entry.id for entry in store.entries()]
    for one, other in itertools.pairwise(ids):
        try:
            sheets.append(diff_sheet(store.diff(one, other), verbose=True))
        except NbSnapError:
            continue
    asked: list[Callable[[], Any]] = [
        lambda: list_sheet(store.list()),
        lambda: check_sheet(check(store)),
        lambda: prune_sheet(store.prune(last=1, max_size="10 kB", dry_run=True), verbose=True),
        lambda: repair_sheet(repair(store)),
        lambda: check_sheet(check(store)),
        lambda: prune_sheet(store.prune(last=1, named=True)),
    ]
    for one in asked:
        try:
            sheets.append(one())
        except NbSnapError as error:
            assert "\n" not in str(error), error
    for sheet in sheets:
        assert "\x1b" not in to_text(sheet, 100) + to_html(sheet)


# --- coverage ---------------------------------------------------------------------------------------------------------


class Coverage:
    """Which line was run behind which, as numbers, while `with` it."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.last = 0

    def line(self, code: Any, number: int) -> Any:
        now = hash((code.co_name, number))
        self.seen.add(self.last ^ now)
        self.last = now >> 1

    def trace(self, frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.startswith(HOME):
            return None
        if event == "line":
            self.line(frame.f_code, frame.f_lineno)
        return self.trace

    def __enter__(self) -> Coverage:
        self.seen, self.last = set(), 0
        sys.settrace(self.trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)


def files_of(store_files: dict[str, bytes], target: str, case: Any) -> dict[str, bytes]:
    """Return the files of a store with one case put into it."""
    from storage.hostile import craft

    if target == "record":
        line, body = case
        if type(line.get("notebook")) is not str:
            line = line | {"notebook": "n"}
        with tempfile.TemporaryDirectory(prefix="nbsnap-fuzz-") as folder:
            path = craft(Path(folder), body, **line)
            return store_files | {path.relative_to(folder).as_posix(): path.read_bytes()}
    name, data = case
    if target == "index":
        data = data[:-32] + digest(data[:-32])
    return store_files | {name: data}


def change(target: str, case: Any, chance: random.Random) -> Any:
    """Return a case that is a little different."""
    if target == "record":
        made = json.loads(json.dumps(case))
        for _ in range(chance.choice((1, 1, 2, 5))):
            put(made[chance.randrange(2)], copy.deepcopy(chance.choice(ODD)), chance.randrange)
        return made
    name, data = case
    data = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        at = chance.randrange(len(data) + 1)
        what = chance.randrange(5)
        if what == 0:
            data[at : at + 1] = bytes([chance.randrange(256)])
        elif what == 1:
            data[at : at + 4] = chance.choice((b"\0" * 4, b"\xff" * 4, b"\0\0\0\1", b"\1\0\0\0"))
        elif what == 2:
            del data[at : at + chance.randrange(1, 60)]
        elif what == 3:
            data[at:at] = data[chance.randrange(len(data) + 1) :][: chance.randrange(80)]
        else:
            data[at : at + 8] = chance.choice((len(data), 1 << 40, (1 << 64) - 1, 52, 40)).to_bytes(8, "little")
    return name, bytes(data)


def main(target: str, seconds: str, seed: str = "0") -> int:
    """Go on for so long; print figures."""
    import resource

    from storage.test_fuzz import FILES, NAMES, store_of

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    chance = random.Random(seed)
    if target == "record":
        lines = [manifest._verified(FILES[name]) for name in NAMES["snap"]]
        corpus: list[Any] = [
            ({key: value for key, value in line.items() if key not in ("id", "signature", "body", "body_size")}, body)
            for line, body in lines
        ]
    else:
        kinds = ("index",) if target == "index" else ("snap", "index", "pack", "json")
        corpus = [(name, FILES[name]) for kind in kinds for name in NAMES[kind]]
    met: set[int] = set()
    until, rounds, coverage = time.monotonic() + float(seconds), 0, Coverage()
    slowest = 0.0
    while time.monotonic() < until:
        case = change(target, chance.choice(corpus[-50:] if chance.random() < 0.5 else corpus), chance)
        began = time.monotonic()
        try:
            with coverage:
                try:
                    ask(store_of(files_of(FILES, target, case)))
                except NbSnapError as error:
                    assert "\n" not in str(error), error
        except BaseException:
            print(repr(case))
            raise
        slowest = max(slowest, time.monotonic() - began)
        rounds += 1
        if coverage.seen - met:
            met |= coverage.seen
            corpus.append(case)
    print(json.dumps({"target": target, "rounds": rounds, "kept": len(corpus), "edges": len(met), "slowest": slowest}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
