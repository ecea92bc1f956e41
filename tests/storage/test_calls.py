"""What loading pickles would refer to: all protocols, hand-made ones, and hostile input in bounded time."""

from __future__ import annotations

import collections
import datetime
import json
import pickle
import pickletools
import random
import time
from pathlib import Path
from typing import Any

import pytest

from nbsnap import calls
from nbsnap.model import Content


class Runs:
    """Calls the system when it is loaded."""

    def __reduce__(self) -> Any:
        import os

        return os.getcwd, ()


VALUES = [
    None,
    [1, 2.5, "text", b"bytes", {"a": (1, 2, 3, 4)}, {1, 2}, frozenset([3]), 1 << 80, True],
    collections.OrderedDict(a=[datetime.datetime(2026, 1, 1), datetime.date(2026, 1, 1)] * 3),
    [Runs(), Path("x"), Path("x"), collections.deque([1])],
    "x" * 70_000,
]


def meant(data: bytes) -> set[tuple[str, str]]:
    """What the standard library's own reader finds named, by another way: the unpickler asked for each name."""
    found: set[tuple[str, str]] = set()

    class Asks(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            found.add((module, name))
            return super().find_class(module, name)

    import io

    Asks(io.BytesIO(data)).load()
    return found


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_all_that_is_named_is_found(value: object, protocol: int) -> None:
    """The same names as the unpickler asks for, in every protocol, also in what was made smaller."""
    for data in (pickle.dumps(value, protocol), pickletools.optimize(pickle.dumps(value, protocol))):
        assert set(calls.names(data)) == meant(data)


def test_a_row_of_pickles_shares_a_memo() -> None:
    """As streams are: several pickles of one pickler, one behind the other."""
    import io

    file = io.BytesIO()
    pickler = pickle.Pickler(file, 5)
    pickler.dump((("var", "x"), ("var", "y")))
    pickler.dump(Path("x"))
    pickler.dump([Path("y"), Runs()])
    found = set(calls.names(file.getvalue()))
    assert {name for _, name in found} >= {"getcwd"}
    assert len(found) >= 2


def test_the_streams_of_a_session(two_shells: Any) -> None:
    """Of a whole session's snapshot, by all the ways in which streams are written: what its own unpickler asks for."""
    program = (
        "import json, collections, datetime, decimal, nbsnap\n"
        "from nbsnap import calls, pickling\n"
        "class P:\n    def __init__(self): self.x = [1]\n"
        "def f(x): return x + 1\n"
        "p, q, o = P(), collections.Counter('abc'), collections.OrderedDict(a=f)\n"
        "few = {f'v{i}': decimal.Decimal(i) for i in range(20)}\nglobals().update(few)\n"
        "day = datetime.date(2026, 1, 1); deep = []\n"
        "for _ in range(20_000): deep = [deep]\n"
        "many = [P() for _ in range(2000)]; words = ['x' * 9] * 2000\n"
        "assert nbsnap.snapshot().ok\n"
        "found = set()\n"
        "find = pickling.Unpickler.find_class\n"
        "def asks(self, module, name):\n    found.add((module, name)); return find(self, module, name)\n"
        "pickling.Unpickler.find_class = asks\n"
        "assert nbsnap.restore(namespace={}, beside='all').ok\n"
        "with nbsnap.Store('.nbsnap') as store:\n"
        "    told = calls.read(store.find(), store.read)\n"
        "named = {(module, name) for module, names in told.found.items() for name in names}\n"
        "print('TOLD' + json.dumps([sorted(found - named), sorted(named - found), told.odd, told.unread]))\n"
    )
    missing, more, odd, unread = json.loads(two_shells.run(program).out.partition("TOLD")[2])
    assert missing == []
    assert all(module.startswith(("nbsnap.", "builtins", "_", "copyreg")) for module, _ in more), more
    assert (odd, unread) == (0, 0)


def test_names_that_are_hidden() -> None:
    """By the old operations, by the memo, by a copy of the top of the stack; a computed one is told as such."""
    assert set(calls.names(b"cos\nsystem\n(S'ls'\ntR.")) == {("os", "system")}
    assert set(calls.names(b"(S'ls'\nios\nsystem\n.")) == {("os", "system")}
    assert set(calls.names(b"\x8c\x06system\x94\x8c\x02os\x94h\x01h\x00\x93.")) == {("os", "system")}
    assert set(calls.names(b"\x8c\x02os2\x93.")) == {("os", "os")}
    assert set(calls.names(b"X\x02\x00\x00\x00osV\x73ystem\n\x93.")) == {("os", "system")}
    assert set(calls.names(b"\x82\x05.")) == {("copyreg", "extension 5")}
    with pytest.raises(ValueError, match="computed"):
        list(calls.names(b"\x8c\x02os\x8c\x03sys\x8c\x03tem\x86\x93."))


class One:
    """As much of a snapshot as is asked for."""

    def __init__(self, *streams: bytes) -> None:
        self.streams = {Content(len(data), (str(at),)): data for at, data in enumerate(streams)}
        self.groups = [type("Group", (), {"stream": content, "engine": "pickle"}) for content in self.streams]
        self.definitions: list[Any] = []


def test_what_reaches_the_system_stands_first() -> None:
    """Lines by module; what could not be read is counted, and said."""
    one = One(pickle.dumps([Path("x"), Runs(), collections.deque()]), b"\xff\xff", b"\x8c")
    found = calls.read(one, lambda content: one.streams[content])  # type: ignore[arg-type]
    lines = calls.summary(found)
    first = [line for line in lines if "getcwd" in line]
    assert first
    assert lines.index(first[0]) < next(at for at, line in enumerate(lines) if "collections" in line)
    assert lines[-1] == "in 2 of its streams there is what could not be made out"


def test_hostile_streams_cost_bounded_time() -> None:
    """Noise, lengths that lie, stacks that grow: an answer, soon, and never an error."""
    noise = random.Random(0)
    streams = [noise.randbytes(200) for _ in range(500)]
    streams += [
        b"\x8e" + b"\xff" * 8,
        b"h\x00",
        b"g99999999999999999999\n",
        b"0",
        b"2",
        b"1",
        b"R",
        b"\x93",
        b"(" * 1000,
    ]
    streams += [b"(" + b"2" * 1_000_000, b"I" + b"1" * 1_000_000 + b"\n.", b"N\x94" * 400_000]
    one = One(*streams)
    began = time.monotonic()
    calls.summary(calls.read(one, lambda content: one.streams[content], seconds=0.5))  # type: ignore[arg-type]
    assert time.monotonic() - began < 10


def test_what_is_damaged_is_counted() -> None:
    """A stream that cannot be read says so, and the others are read."""

    def broken(content: Content) -> bytes:
        raise OSError("gone")

    assert calls.read(One(b"N."), broken).unread == 1  # type: ignore[arg-type]
