"""A snapshot's record to bytes and back. JSON only: nothing that is read here can run.

A manifest is one line, then a compressed body:

    {"body":"<blake3>","body_size":…,"format":1,"id":"<blake3>",…}\\n<zstd frame>

The line is the head: everything a listing shows. Its canonical form is JSON with sorted keys, no spaces, UTF-8 (a
lone surrogate, which UTF-8 has no bytes for, stays the JSON escape that it is), and **only** that form is accepted.
The id is the hash of the line without `id` and `signature`; the line holds the hash of the body; the body holds the
hashes of the pieces. So an id stands for every byte of a snapshot.

Rules of reading: an unknown `format` is refused before anything else is looked at; keys that are not known are
ignored; a key that is absent means its default; a value of the wrong type, a size that lies, an id that does not
fit is DamageError. No length is believed before it is bounded."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice, repeat
from operator import attrgetter
from typing import Any, NamedTuple, NoReturn

import zstandard

from nbsnap.digest import PIECE_SIZE, piece_id
from nbsnap.errors import DamageError, StoreError, StoreVersionError
from nbsnap.model import Content, Definition, Distribution, Group, Head, LocalModule, Preview, Skip, Snapshot, Variable

__all__ = [
    "FORMAT",
    "MAX_BODY",
    "MAX_FILE",
    "MAX_HEAD",
    "Manifest",
    "buffers",
    "contents",
    "decode",
    "decode_head",
    "encode",
    "parse",
    "pieces",
    "resigned",
]

FORMAT = 1
MAX_HEAD = 1 << 20
MAX_BODY = 1 << 28  # pieces of about 4 TB, or a million variables
MAX_FILE = MAX_HEAD + MAX_BODY + (1 << 20)  # what does not compress gets a little longer

Value = Any  # whatever json.loads returns


class Manifest(NamedTuple):
    """A decoded manifest: the snapshot, and the packs that held its pieces when it was written (a hint, no more)."""

    snapshot: Snapshot
    packs: tuple[str, ...]


# --- values: JSON -> ours, or DamageError ------------------------------------------------------------------------


def _wrong(what: str) -> NoReturn:
    raise DamageError(f"the manifest is malformed: {what}")


def _text(value: Value) -> str:
    return value if type(value) is str else _wrong("text expected")


def _number(value: Value) -> int:
    return value if type(value) is int and 0 <= value < 1 << 63 else _wrong("a number expected")


def _seconds(value: Value) -> float:
    return value if type(value) is float and math.isfinite(value) else _wrong("a duration expected")


def _list(value: Value) -> list[Value]:
    return value if type(value) is list else _wrong("a list expected")


def _ids(ids: list[Value], digits: int) -> list[str]:
    if not (set(map(type, ids)) <= {str} and set(map(len, ids)) <= {digits} and _is_hex("".join(ids))):
        _wrong(f"ids of {digits} hexadecimal digits expected")
    return ids


def _is_hex(text: str) -> bool:
    """Tell whether a text is lowercase hexadecimal digits, two by two."""
    try:
        return bytes.fromhex(text).hex() == text  # eight times as fast as looking at the set of its characters
    except ValueError:
        return False


# --- columns: of one field, the values of all records ------------------------------------------------------------


def _text_column(column: list[Value]) -> list[str]:
    return column if set(map(type, column)) <= {str} else _wrong("texts expected")


def _number_column(column: list[Value]) -> list[int]:
    if not set(map(type, column)) <= {int} or min(column, default=0) < 0 or max(column, default=0) >= 1 << 63:
        _wrong("numbers expected")
    return column


def _cell_column(column: list[Value]) -> list[int | None]:
    _number_column([value for value in column if value is not None])
    return column


def _texts_column(column: list[Value]) -> list[tuple[str, ...]]:
    if not set(map(type, column)) <= {list}:
        _wrong("lists expected")
    _text_column(list(chain.from_iterable(column)))
    return list(map(tuple, column))


def _content_column(column: list[Value]) -> list[Content]:
    """A content is [size, piece, piece, ...]."""
    if not set(map(type, column)) <= {list} or not all(column):
        _wrong("contents expected")
    sizes = _number_column([value[0] for value in column])
    pieces = [tuple(value[1:]) for value in column]
    _ids(list(chain.from_iterable(pieces)), 64)
    if list(map(len, pieces)) != [-(-size // PIECE_SIZE) for size in sizes]:
        _wrong("a content does not have as many pieces as its size asks for")
    return list(map(Content, sizes, pieces))


def _contents_column(column: list[Value]) -> list[tuple[Content, ...]]:
    if not set(map(type, column)) <= {list}:
        _wrong("lists expected")
    flat = iter(_content_column(list(chain.from_iterable(column))))
    return [tuple(islice(flat, len(value))) for value in column]


def _put_content(content: Content) -> Value:
    return [content.size, *content.pieces]


def _put_contents(contents: tuple[Content, ...]) -> Value:
    return [[content.size, *content.pieces] for content in contents]


# --- the records, field by field: name, reader, default (REQUIRED: there is none) --------------------------------

REQUIRED: Any = object()
Fields = tuple[tuple[str, Callable[[Value], Any], Any], ...]

_HEAD: Fields = (
    ("id", _text, REQUIRED),
    ("time", _text, REQUIRED),
    ("notebook", _text, REQUIRED),
    ("name", _text, ""),
    ("message", _text, ""),
    ("parent", _text, ""),
    ("variables", _number, 0),
    ("skipped", _number, 0),
    ("size", _number, 0),
    ("new_bytes", _number, 0),
    ("seconds", _seconds, 0.0),
    ("python", _text, ""),
    ("platform", _text, ""),
    ("tool", _text, ""),
    ("kind", _text, ""),
    ("session", _text, ""),
)
#: Of the head: left out where it is empty.
_LATER = frozenset({"kind", "session"})
_VARIABLE: Fields = (
    ("name", _text_column, REQUIRED),
    ("type", _text_column, ""),
    ("size", _number_column, 0),
    ("summary", _text_column, ""),
    ("group", _text_column, ""),
    ("cell", _cell_column, None),
    ("code", _text_column, ""),
    ("notes", _texts_column, ()),
    ("source", _text_column, ""),
)
_GROUP: Fields = (
    ("id", _text_column, REQUIRED),
    ("variables", _texts_column, ()),
    ("definitions", _texts_column, ()),
    ("engine", _text_column, ""),
    ("stream", _content_column, Content(0)),
    ("buffers", _contents_column, ()),
    ("needs", _texts_column, ()),
    ("modules", _texts_column, ()),
    ("python", _text_column, ""),
    ("machine", _texts_column, ()),
    ("bound", _texts_column, ()),
)
_DEFINITION: Fields = (
    ("key", _text_column, REQUIRED),
    ("stream", _content_column, Content(0)),
    ("group", _text_column, ""),
    ("needs", _texts_column, ()),
)
_SKIP: Fields = (
    ("name", _text_column, REQUIRED),
    ("type", _text_column, ""),
    ("path", _text_column, ""),
    ("reason", _text_column, ""),
    ("kind", _text_column, "skipped"),
    ("hint", _text_column, ""),
    ("cell", _cell_column, None),
    ("code", _text_column, ""),
    ("secret", _text_column, ""),
)
_PACKAGE: Fields = (("name", _text_column, REQUIRED), ("version", _text_column, ""))
_DISTRIBUTION: Fields = (
    ("name", _text_column, REQUIRED),
    ("version", _text_column, ""),
    ("modules", _texts_column, ()),
    ("how", _text_column, ""),
    ("origin", _text_column, ""),
)
_LOCAL: Fields = (
    ("name", _text_column, REQUIRED),
    ("path", _text_column, ""),
    ("size", _number_column, 0),
    ("hash", _text_column, ""),
)
_FACT: Fields = (("name", _text_column, REQUIRED), ("value", _text_column, ""))
_CELL: Fields = (("number", _number_column, REQUIRED), ("source", _text_column, ""))
_PREVIEW: Fields = (("name", _text_column, REQUIRED), ("mime", _text_column, ""), ("text", _text_column, ""))
_SOURCE: Fields = (("file", _text_column, REQUIRED), ("text", _text_column, ""))

#: The id and the engine of a group of no variable, the last one: its buffers are bases of deltas. So whoever asks what
#: a snapshot needs is told of them as of any other content.
_BASES = "bases"

# the parts of the body: each a table
_TABLES: tuple[tuple[str, Callable[..., Any], Fields], ...] = (
    ("variables", Variable, _VARIABLE),
    ("beside", Variable, _VARIABLE),
    ("groups", Group, _GROUP),
    ("definitions", Definition, _DEFINITION),
    ("skips", Skip, _SKIP),
    ("packages", lambda *pair: pair, _PACKAGE),
    ("history", lambda *pair: pair, _CELL),
    ("sources", lambda *pair: pair, _SOURCE),
    ("previews", Preview, _PREVIEW),
    ("distributions", Distribution, _DISTRIBUTION),
    ("local", LocalModule, _LOCAL),
    ("environment", lambda *pair: pair, _FACT),
)
_WRITERS: dict[Callable[[Value], Any], Callable[[Any], Value]] = {
    _content_column: _put_content,
    _contents_column: _put_contents,
}


def _put_table(records: tuple[Any, ...], fields: Fields) -> Value:
    """Return {field: the values of all records}; a field that has its default everywhere is left out."""
    first = records[0]
    rows = records if type(first) is tuple else map(attrgetter(*[name for name, _, _ in fields]), records)
    table = {}
    for (name, reader, default), column in zip(fields, zip(*rows, strict=True), strict=True):
        writer = _WRITERS.get(reader)
        if writer is not None or column.count(default) < len(column):
            table[name] = column if writer is None else list(map(writer, column))
    return table


def _table(value: Value, kind: Callable[..., Any], fields: Fields) -> tuple[Any, ...]:
    if type(value) is not dict:
        _wrong("a table expected")
    count = len(_list(value.get(fields[0][0])))
    columns: list[Iterable[Any]] = []
    for name, reader, default in fields:
        column = value.get(name, REQUIRED)
        if column is REQUIRED:
            columns.append(repeat(default, count))
        elif len(_list(column)) == count:
            columns.append(reader(column))
        else:
            _wrong("the columns of a table differ in length")
    return tuple(map(kind, *columns))


# --- JSON ---------------------------------------------------------------------------------------------------


_CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _dumps(value: Value) -> bytes:
    text = _CANONICAL.encode(value)
    return text.encode("utf-8", "backslashreplace")  # needed by lone surrogates alone: \ud800, as JSON writes them


def _no_constant(text: str) -> NoReturn:
    _wrong(f"{text} is no number")


def _loads(data: bytes) -> dict[str, Value]:
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        _wrong("not JSON")
    return value if type(value) is dict else _wrong("an object expected")


def _joined(text: str) -> str:
    """Return `text` with surrogates that stand in pairs made one character, as reading them from JSON would."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _id_of(line: dict[str, Value]) -> str:
    return piece_id(_dumps({key: value for key, value in line.items() if key not in ("id", "signature")}))


def _fits(data: bytes, line: dict[str, Value]) -> bool:
    """Tell whether a canonical line has the id that it should have. `id` and `signature` are cut out of it for that."""
    id = line.get("id")
    rest, times = _NOT_HASHED.subn(b"", data)
    quickly = times == ("id" in line) + ("signature" in line)  # and none of them in an object of a later format
    return (piece_id(rest) if quickly else _id_of(line)) == id


_NOT_HASHED = re.compile(rb',"(?:id|signature)":"[0-9a-z:,-]*"')  # matches nothing within a text, where " is \\"


# --- the pair -----------------------------------------------------------------------------------------------


def encode(
    snapshot: Snapshot, packs: Iterable[str] = (), *, sign: Callable[[str], str] | None = None
) -> tuple[Snapshot, bytes]:
    """Return the snapshot with its id filled in, and the bytes of its manifest; `sign` makes a signature of the id."""
    body: dict[str, Value] = {"cwd": snapshot.cwd, "packs": sorted(packs)}
    for part, _, fields in _TABLES:
        records = getattr(snapshot, part)
        if part == "groups" and snapshot.bases:
            records += (Group(_BASES, (), (), _BASES, Content(0), snapshot.bases),)
        if records:
            body[part] = _put_table(records, fields)
    plain = _dumps(body)
    if len(plain) > MAX_BODY:
        raise StoreError(f"the record of this snapshot is too long ({len(plain):,} bytes; the limit is {MAX_BODY:,})")
    line = {name: value for name, _, _ in _HEAD if (value := getattr(snapshot.head, name)) or name not in _LATER}
    line = {name: _joined(value) if type(value) is str else value for name, value in line.items()}
    line |= {"format": FORMAT, "body": piece_id(plain), "body_size": len(plain), "seconds": float(line["seconds"])}
    line["id"] = _id_of(line)
    snapshot = snapshot if sign is None else replace(snapshot, signature=sign(line["id"]))
    line["signature"] = snapshot.signature
    first = _dumps(line) + b"\n"
    if len(first) > MAX_HEAD:
        raise StoreError("the name, message or notebook of this snapshot is too long (the limit is 1 MiB)")
    compressed = zstandard.ZstdCompressor(level=1).compress(plain)
    if _swells(len(plain), len(compressed)):
        raise StoreError("the record of this snapshot is too long for how little it says")
    return replace(snapshot, head=_head(line)), first + compressed


def resigned(data: bytes, sign: Callable[[str, str], str]) -> bytes:
    """Return a manifest, every byte of which is verified, with what `sign` makes of its signature and its id."""
    line, _ = _verified(data)
    signature = sign(_text(line.get("signature", "")), _text(line.get("id")))
    first = _dumps(line | {"signature": signature}) + b"\n"
    if len(first) > MAX_HEAD:
        raise StoreError("the first line of the manifest is too long to be signed (the limit is 1 MiB)")
    return first + data[data.index(b"\n") + 1 :]


def decode_head(data: bytes) -> Head:
    """Return the head from a manifest's first bytes, which must reach beyond the first line's end."""
    return _head(_head_line(data)[0])


def decode(data: bytes) -> Snapshot:
    """Return the snapshot whose manifest is `data`: every byte of it verified against its id."""
    return parse(data).snapshot


def parse(data: bytes) -> Manifest:
    """Return all that a manifest holds."""
    line, body = _verified(data)
    packs = _ids(_list(body.get("packs", [])), 32)
    parts: dict[str, Any] = {
        part: _table(body[part], kind, fields) if part in body else () for part, kind, fields in _TABLES
    }
    bases: tuple[Content, ...] = ()
    if (groups := parts["groups"]) and groups[-1].engine == _BASES and not groups[-1].variables:
        parts["groups"], bases = groups[:-1], groups[-1].buffers
    cwd, signature = _text(body.get("cwd", "")), _text(line.get("signature", ""))
    return Manifest(Snapshot(head=_head(line), cwd=cwd, signature=signature, bases=bases, **parts), tuple(packs))


def pieces(data: bytes) -> tuple[Head, set[bytes]]:
    """Return the head of a manifest and the ids of all pieces that it names, in a tenth of the time of `parse`."""
    line, body = _verified(data)
    found: list[Value] = []
    for part in ("groups", "definitions"):
        table = body.get(part, {})
        if type(table) is not dict:
            _wrong("a table expected")
        found += _list(table.get("stream", []))
        found += chain.from_iterable(map(_list, _list(table.get("buffers", []))))
    return _head(line), {bytes.fromhex(id) for content in _content_column(found) for id in content.pieces}


def buffers(data: bytes) -> dict[str, list[list[str]]]:
    """Return the ids of the pieces of the buffers of each variable that has any; variables of a group have the same."""
    _, body = _verified(data)
    table = body.get("groups", {})
    if type(table) is not dict:
        _wrong("a table expected")
    found: dict[str, list[list[str]]] = {}
    for names, contents in zip(_list(table.get("variables", [])), _list(table.get("buffers", [])), strict=False):
        if contents:
            ids = [list(content.pieces) for content in _content_column(_list(contents))]
            found.update(dict.fromkeys(_text_column(_list(names)), ids))
    return found


def _verified(data: bytes) -> tuple[dict[str, Value], dict[str, Value]]:
    """Return a manifest's line and body, of which every byte was verified."""
    line, end = _head_line(data)
    size, body_id = _number(line.get("body_size")), line.get("body")
    stored = memoryview(data)[end:]
    if size > MAX_BODY or _swells(size, len(stored)):
        _wrong("it claims to be larger than any manifest")
    try:
        if zstandard.frame_content_size(stored) != size:
            _wrong("its body is not of the size that it says")
        plain = zstandard.ZstdDecompressor().decompress(stored, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError:
        _wrong("its body is altered or cut short")
    if len(plain) != size or piece_id(plain) != body_id:
        _wrong("its body is altered: the hash is wrong")
    return line, _loads(plain)


def _swells(size: int, stored: int) -> bool:
    """Tell whether so few bytes are not to become so many: a few kB could ask for some GB of memory."""
    return size > _CALM and size > stored * _MOST


_CALM, _MOST = 1 << 25, 200  # pieces of 500 GB, all alike; others come down to a half


def _head(line: dict[str, Value]) -> Head:
    fields = []
    for name, reader, default in _HEAD:
        value = line.get(name, default)
        if value is REQUIRED:
            _wrong(f"{name} is missing")
        fields.append(reader(value))
    return Head(*fields)


def _head_line(data: bytes) -> tuple[dict[str, Value], int]:
    end = data.find(b"\n", 0, MAX_HEAD)
    if end < 0:
        _wrong("its first line is cut short")
    line = _loads(data[:end])
    if type(line.get("format")) is not int:
        _wrong("it has no format")
    if line["format"] != FORMAT:
        raise StoreVersionError(f"the snapshot is of format {line['format']}; this nbsnap knows {FORMAT}: upgrade it")
    try:
        sound = _dumps(line) == data[:end] and _fits(data[:end], line)
    except RecursionError:  # what can just be read may be too deep to be written
        sound = False
    if not sound:
        _wrong("its first line is altered: the hash is wrong")
    return line, end + 1


def contents(snapshot: Snapshot) -> Iterator[Content]:
    """Yield every content that a snapshot refers to, and the bases of deltas of it."""
    for group in snapshot.groups:
        yield group.stream
        yield from group.buffers
    for definition in snapshot.definitions:
        yield definition.stream
    yield from snapshot.bases
