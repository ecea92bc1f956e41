"""What a group's stream says, read as text is read: nothing is loaded, and no pickler is imported.

A stream is a row of pickles, and a pickle a row of operations, each a byte and its argument (docs/format.md). Two
states of a variable are compared operation by operation, because bytes alone say too much:

- A reference says "number 57 of the memo", so one object more in a variable changes the bytes of all that follow in its
  group. Here a reference names the variable in which the object was met first, and its number in there.
- Whether two equal values that cannot change (texts, tuples of them, dates, dtypes) are one object differs from process
  to process. Here a value is the same at each use, whether it was met before or not.
- Code names the cell that it stood in, by a hash of the cell's text. Here all cells go by one name.
- A buffer is the next one in a row. Here it is its content's ids.

What is not understood (older protocols, engines that write level by level, garbage) is ValueError."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nbsnap.model import Content, Group
from nbsnap.quiet import unhurried

__all__ = ["LONGEST", "Part", "Ref", "class_unit", "parts", "text"]

LONGEST = 1 << 20  # of a longer stream nobody wants to wait for the answer: this one takes half a second

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


_WHERE = "__firstlineno__"  # of a class, from Python 3.13 on: no content


@unhurried()
def parts(group: Group, stream: bytes | bytearray, rename: Mapping[bytes, bytes] | None = None) -> dict[str, Part]:
    """Return what a group's stream says of each variable, and of each class (`class_unit`).

    `rename` leads from texts, as `text` writes them, to those that are read in their place.
    """
    if group.engine == "flat":
        raise ValueError("written level by level")
    reader = _Reader(bytes(stream), group.buffers, rename or {})
    try:
        records, reader.at = _table(reader.data)
        found: dict[str, Part] = {}
        before: list[Item] = []
        alone = group.engine == "batch"
        for place, record in enumerate(records):
            kind, *names = record
            unit = names[0] if kind == "var" else class_unit(names[0]) if names else _next(records, place)
            if alone:
                reader.clear()
            items = reader.pickle(unit)
            if not names:  # what stands before plain data, and belongs to it
                before += items
                continue
            if names[1:] != [_WHERE]:
                found.setdefault(unit, Part([])).items.extend([*before, *items])
            before = []
    except (IndexError, KeyError, struct.error, UnicodeError) as error:
        raise ValueError(f"not understood: {type(error).__name__}") from None
    if reader.at != len(reader.data):
        raise ValueError("there is more than its table says")
    return found


def _next(records: Sequence[tuple[str, ...]], place: int) -> str:
    return next(record[1] for record in records[place:] if len(record) > 1)


def _table(data: bytes) -> tuple[list[tuple[str, ...]], int]:
    """Return the records that a stream's first pickle lists, and where it ends."""
    stack: list[object] = []
    memo: list[object] = []
    at = 0
    while data[at] != _STOP:
        code = data[at]
        kind, size = _OPERATIONS[code]
        end = at + 1 + size
        number = int.from_bytes(data[at + 1 : end], "little")
        if kind == _COUNTED_VALUE and code in b"\x8cX":
            stack.append(data[end : end + number].decode("utf-8", "surrogatepass"))
            end += number
        elif kind == _MEMOIZE:
            memo.append(stack[-1])
        elif kind == _GET:
            stack.append(memo[number])
        elif code == _MARK:
            stack.append(None)
        elif code in b")\x85\x86\x87":
            count = code - 0x84 if code > 0x80 else 0
            stack[len(stack) - count :] = [tuple(stack[len(stack) - count :])]
        elif code == _TUPLE:
            mark = len(stack) - 1 - stack[::-1].index(None)
            stack[mark:] = [tuple(stack[mark + 1 :])]
        elif kind != _SKIPPED:
            raise ValueError("the table is not one")
        at = end
    records = stack[0]
    if not (
        isinstance(records, tuple)
        and all(isinstance(record, tuple) and record for record in records)
        and all(isinstance(word, str) for record in records for word in record)
    ):
        raise ValueError("the table is not one")
    return list(records), at + 1


class _Reader:
    """Reads pickles one behind the other, and keeps track of what makes what, as the machine that loads them would."""

    def __init__(self, data: bytes, buffers: Sequence[Content], rename: Mapping[bytes, bytes]) -> None:
        self.data = data
        self.at = 0
        self.buffers = iter(buffers)
        self.rename = rename
        self.clear()

    def clear(self) -> None:
        """Begin with an empty memo."""
        self.memo: list[tuple[Item, str | None]] = []
        self.met: dict[str, int] = {}  # unit -> objects of it in the memo

    def pickle(self, unit: str) -> list[Item]:
        """Return the items of the next pickle, which belongs to a unit."""
        data, at, memo, rename = self.data, self.at, self.memo, self.rename
        items: list[Item] = []
        # The stack: of each entry the first item that made it, and its kind. None: an object of its own; "": a value;
        # "(": a mark; else the name of a global.
        starts: list[int] = []
        kinds: list[str | None] = []
        marks: list[int] = []  # where they stand
        places: dict[int, int] = {}  # where in the memo a value is, by its first item
        while True:
            code = data[at]
            action, size = _OPERATIONS[code]
            end = at + 1 + size
            if action <= _COUNTED_VALUE:  # nearly always
                if action == _COUNTED_VALUE:
                    end += int.from_bytes(data[at + 1 : end], "little")
                    if end > len(data):
                        raise ValueError("cut short")
                starts.append(len(items))
                kinds.append("" if action else None)
                item: Item = data[at:end]
                if rename:
                    item = rename.get(data[at:end], item)
                if code in _BYTES and b"<nbsnap-cell-" in item:  # type: ignore[operator]
                    kinds[-1] = None  # what differs only in this is to be seen as such
                    item = Code(_CELL.sub(b"<cell>", data[at + 1 + size : end]))
                elif code == _BYTEARRAY:
                    kinds[-1] = None
                items.append(item)
            elif action == _MEMOIZE:
                start, kind = starts[-1], kinds[-1]
                if kind is None:
                    number = self.met[unit] = self.met.get(unit, -1) + 1
                    memo.append((Ref(unit, number), None))
                else:
                    if len(items) - start > 1:
                        items[start:] = [_value(items[start:])]
                    places[start] = len(memo)
                    memo.append((items[start], kind))
            elif action == _GET:
                item, kind = memo[int.from_bytes(data[at + 1 : end], "little")]
                starts.append(len(items))
                kinds.append(kind)
                items.append(item)
            elif action == _TAKES:
                count, makes = _COUNTS[code]
                if count > len(kinds):
                    raise ValueError("not understood: nothing is left on the stack")
                if makes:
                    kind = _made(code, kinds[-count:], items, starts[-count:])
                    del starts[len(starts) - count + 1 :], kinds[len(kinds) - count :]
                    kinds.append(kind)
                else:
                    del starts[len(starts) - count :], kinds[len(kinds) - count :]
                items.append(data[at:end])
                if code == _BUILD and kinds[-1] == "" and starts[-1] in places:
                    memo[places[starts[-1]]] = (_value(items[starts[-1] :]), "")
                elif code == _STOP:
                    self.at = end
                    return items
            elif action == _TO_MARK:
                mark = marks.pop()
                kind = "" if code in _VALUES_TO_MARK and None not in kinds[mark:] else None
                del starts[mark + (code in _MADE_TO_MARK) :], kinds[mark:]
                if code in _MADE_TO_MARK:
                    kinds.append(kind)
                items.append(data[at:end])
            elif action == _PUSH:
                if code == _MARK:
                    marks.append(len(kinds))
                starts.append(len(items))
                kinds.append("(" if code == _MARK else None)
                items.append(next(self.buffers, Content(0)) if code == _NEXT_BUFFER else data[at:end])
            if end > len(data):
                raise ValueError("cut short")
            at = end


def _made(code: int, taken: list[str | None], items: list[Item], starts: list[int]) -> str | None:
    """Return of what kind is what an operation makes: a value is made of values, by what makes values."""
    if None in taken:
        return None
    if code == _GLOBAL:
        return "".join(_global(items[start]) for start in starts)
    if code in (_REDUCE, _NEWOBJ):
        return "" if taken[0] in _VALUE_TYPES else None
    return "" if code in _TUPLES else None


def _global(item: Item) -> str:
    if type(item) is not bytes or item[:1] != b"\x8c":
        return "?"
    return "." + item[2:].decode("utf-8", "replace")


def _value(items: list[Item]) -> bytes:
    """Return one item for the items of a value, so that it is the same wherever it stands, met before or not."""
    return b"=" + hashlib.blake2b(repr(items).encode(), digest_size=16).digest()


#: What an operation does to the stack. The first three put one thing there.
_OBJECT, _VALUE, _COUNTED_VALUE, _PUSH, _TAKES, _TO_MARK, _GET, _MEMOIZE, _SKIPPED = range(9)
_STOP, _MARK, _BUILD, _REDUCE, _NEWOBJ, _GLOBAL, _TUPLE, _NEXT_BUFFER, _BYTEARRAY = b".(bR\x81\x93t\x97\x96"
_TUPLES = frozenset(b"\x85\x86\x87")
_BYTES = frozenset(b"CB\x8e")
#: How many an operation takes off the stack, and whether it then puts one there.
_COUNTS = {
    _STOP: (1, False),
    **dict(zip(b"0abs", ((1, False), (1, False), (1, False), (2, False)), strict=True)),
    **dict(zip(b"QR\x81\x92\x93", ((1, True), (2, True), (2, True), (3, True), (2, True)), strict=True)),
    **dict(zip(b"\x85\x86\x87", ((1, True), (2, True), (3, True)), strict=True)),
}
_MADE_TO_MARK = frozenset(b"dlt\x91")
_VALUES_TO_MARK = frozenset(b"t\x91")
#: What makes values that cannot change: two equal ones are one, wherever they are met.
_VALUE_TYPES = frozenset(
    """
    .builtins.slice .builtins.complex .builtins.range .numpy.dtype .datetime.date .datetime.time .datetime.datetime
    .datetime.timedelta .datetime.timezone .decimal.Decimal .fractions.Fraction .uuid.UUID
    .numpy._core.multiarray.scalar .numpy.core.multiarray.scalar .pandas._libs.tslibs.timestamps._unpickle_timestamp
    """.split()  # noqa: SIM905
)

#: Code of an operation -> what it does, and how long its argument, or the count before it, is. Of protocols 2 to 5,
#: those that the picklers write; PUT is left out, as there is MEMOIZE.
_OPERATIONS: dict[int, tuple[int, int]] = {
    **dict.fromkeys(b"]}\x8f", (_OBJECT, 0)),
    **dict.fromkeys(b"N)\x88\x89", (_VALUE, 0)),
    **dict.fromkeys(b"K", (_VALUE, 1)),
    **dict.fromkeys(b"M", (_VALUE, 2)),
    **dict.fromkeys(b"J", (_VALUE, 4)),
    **dict.fromkeys(b"G", (_VALUE, 8)),
    **dict.fromkeys(b"U\x8aC\x8c", (_COUNTED_VALUE, 1)),
    **dict.fromkeys(b"TXB\x8b", (_COUNTED_VALUE, 4)),
    **dict.fromkeys(b"\x8d\x8e\x96", (_COUNTED_VALUE, 8)),
    **dict.fromkeys(b"(\x97", (_PUSH, 0)),
    **dict.fromkeys(_COUNTS, (_TAKES, 0)),
    **dict.fromkeys(b"1eudlt\x90\x91", (_TO_MARK, 0)),
    ord("h"): (_GET, 1),
    ord("j"): (_GET, 4),
    0x94: (_MEMOIZE, 0),
    0x80: (_SKIPPED, 1),
    0x95: (_SKIPPED, 8),
    0x98: (_SKIPPED, 0),
}
