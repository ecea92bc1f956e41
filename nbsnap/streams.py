"""What a group's stream says, read as text is read: nothing is loaded, and no pickler is imported.

A stream is a row of pickles, and a pickle a row of operations, each a byte and its argument (docs/format.md). Two
states of a variable are compared operation by operation, because bytes alone say too much:

- A reference says "number 57 of the memo", so one object more in a variable changes the bytes of all that follow in its
  group. Here a reference names the variable in which the object was met first, and its number in there.
- Whether two equal texts are one object differs from process to process. Here a text is written out at each use.
- Code names the cell that it stood in, by a hash of the cell's text. Here all cells go by one name.
- A buffer is the next one in a row. Here it is its content's ids.

What is not understood (older protocols, engines that write level by level, garbage) is ValueError."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nbsnap.model import Content, Group

__all__ = ["LONGEST", "Part", "Ref", "class_unit", "parts", "text"]

LONGEST = 8 << 20  # of a longer stream nobody wants to wait for the answer: a megabyte takes half a second

_CELL = re.compile(rb"<nbsnap-cell-[0-9a-f]{16}>")


class Ref(NamedTuple):
    """An object that was met before, in the same variable or another of the group."""

    unit: str
    number: int


class Code(NamedTuple):
    """Bytecode, with the names of cells made equal. Its line numbers change when the cell above it is edited."""

    data: bytes


Item = bytes | Ref | Code | Content


class Part(NamedTuple):
    """What a stream says of one variable or class."""

    items: list[Item]

    def refs(self, unit: str) -> list[Ref]:
        """Return the references to objects of others."""
        return [item for item in self.items if type(item) is Ref and item.unit != unit]

    def without_code(self) -> list[Item]:
        """Return the items with all code made equal."""
        return [b"code" if type(item) is Code else item for item in self.items]


def class_unit(key: str) -> str:
    """Return under which name the state of a class stands among the parts: no variable can be called so."""
    return f"class {key}"


def text(said: str) -> bytes:
    """Return the operation that writes a short text."""
    data = said.encode("utf-8", "surrogatepass")
    return b"\x8c" + bytes([len(data)]) + data if len(data) < 256 else b"X" + struct.pack("<I", len(data)) + data


def parts(group: Group, stream: bytes | bytearray) -> dict[str, Part]:
    """Return what a group's stream says of each variable, and of each class (`class_unit`)."""
    if group.engine == "flat":
        raise ValueError("written level by level")
    reader = _Reader(bytes(stream), group.buffers)
    try:
        records = _table(list(reader.pickle("")))
        found: dict[str, Part] = {}
        before: list[Item] = []
        alone = group.engine == "batch"
        reader.clear()
        for place, record in enumerate(records):
            kind, *names = record
            unit = names[0] if kind == "var" else class_unit(names[0]) if names else _next(records, place)
            if alone:
                reader.clear()
            items = list(reader.pickle(unit))
            if not names:  # what stands before plain data, and belongs to it
                before += items
                continue
            found.setdefault(unit, Part([])).items.extend([*before, *items])
            before = []
    except (IndexError, KeyError, struct.error, UnicodeError) as error:
        raise ValueError(f"not understood: {type(error).__name__}") from None
    if reader.at != len(reader.data):
        raise ValueError("there is more than its table says")
    return found


def _next(records: Sequence[tuple[str, ...]], place: int) -> str:
    return next(record[1] for record in records[place:] if len(record) > 1)


def _table(items: list[Item]) -> list[tuple[str, ...]]:
    """Return the records that a stream's first pickle lists."""
    stack: list[object] = []
    for item in items[:-1]:
        if not isinstance(item, bytes):
            raise ValueError("the table is not one")
        code = item[:1]
        if code in (b"\x8c", b"X"):
            stack.append(item[2 if code == b"\x8c" else 5 :].decode("utf-8", "surrogatepass"))
        elif code == b"(":
            stack.append(None)
        elif code == b")":
            stack.append(())
        elif code in (b"\x85", b"\x86", b"\x87"):
            size = code[0] - 0x84
            stack[-size:] = [tuple(stack[-size:])]
        elif code == b"t":
            mark = len(stack) - 1 - stack[::-1].index(None)
            stack[mark:] = [tuple(stack[mark + 1 :])]
        else:
            raise ValueError("the table is not one")
    records = stack[0]
    if not (
        isinstance(records, tuple)
        and all(isinstance(record, tuple) and record for record in records)
        and all(isinstance(word, str) for record in records for word in record)
    ):
        raise ValueError("the table is not one")
    return list(records)


class _Reader:
    """Reads pickles one behind the other."""

    def __init__(self, data: bytes, buffers: Sequence[Content]) -> None:
        self.data = data
        self.at = 0
        self.buffers = iter(buffers)
        self.clear()

    def clear(self) -> None:
        """Begin with an empty memo."""
        self.memo: list[bytes | Ref] = []
        self.met: dict[str, int] = {}  # unit -> objects of it in the memo

    def pickle(self, unit: str) -> Iterator[Item]:
        """Yield the items of the next pickle, which belongs to a unit."""
        data, memo, at = self.data, self.memo, self.at
        last = b""
        while True:
            code = data[at]
            kind, size = _OPERATIONS[code]
            end = at + 1 + size
            if kind == _COUNTED:
                end += int.from_bytes(data[at + 1 : end], "little")
            if end > len(data):
                raise ValueError("cut short")
            if kind == _SKIPPED:
                pass
            elif kind == _MEMOIZE:
                if last[:1] in _TEXTS:
                    memo.append(last)
                else:
                    number = self.met[unit] = self.met.get(unit, -1) + 1
                    memo.append(Ref(unit, number))
            elif kind == _GET:
                found = memo[int.from_bytes(data[at + 1 : end], "little")]
                last = found if type(found) is bytes else b""
                yield found
            elif code == _NEXT_BUFFER:
                last = b""
                yield next(self.buffers, Content(0))
            else:
                last = data[at:end]
                if code in _BYTES and _CELL.search(last):
                    last = b""
                    yield Code(_CELL.sub(b"<cell>", data[at + 1 + size : end]))
                else:
                    yield last
            at = self.at = end
            if code == _STOP:
                return


_PLAIN, _COUNTED, _GET, _MEMOIZE, _SKIPPED = range(5)
_STOP, _NEXT_BUFFER = 0x2E, 0x97
_TEXTS = frozenset({b"\x8c", b"X", b"\x8d"})
_BYTES = frozenset({0x43, 0x42, 0x8E})  # SHORT_BINBYTES, BINBYTES, BINBYTES8

#: Code of an operation -> what kind it is, and how long its argument, or the count before it, is. Of protocols 2 to 5,
#: those that the picklers write; PUT is left out, as there is MEMOIZE.
_OPERATIONS: dict[int, tuple[int, int]] = {
    **dict.fromkeys(b"(.012NQR)]}abdelostu", (_PLAIN, 0)),
    **dict.fromkeys(b"\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x97\x98", (_PLAIN, 0)),
    **dict.fromkeys(b"K", (_PLAIN, 1)),
    **dict.fromkeys(b"M", (_PLAIN, 2)),
    **dict.fromkeys(b"J", (_PLAIN, 4)),
    **dict.fromkeys(b"G", (_PLAIN, 8)),
    **dict.fromkeys(b"U\x8aC\x8c", (_COUNTED, 1)),
    **dict.fromkeys(b"TXB\x8b", (_COUNTED, 4)),
    **dict.fromkeys(b"\x8d\x8e\x96", (_COUNTED, 8)),
    ord("h"): (_GET, 1),
    ord("j"): (_GET, 4),
    0x94: (_MEMOIZE, 0),
    0x80: (_SKIPPED, 1),
    0x95: (_SKIPPED, 8),
}
