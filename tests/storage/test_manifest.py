"""A snapshot's record to bytes and back: exact, inert, and distrustful of what it reads."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from storage.making import record

from nbsnap import manifest
from nbsnap.digest import PIECE_SIZE, piece_id
from nbsnap.errors import DamageError, StoreError, StoreVersionError
from nbsnap.model import Content, Definition, Group, Head, Skip, Snapshot, Variable

NOW = "2026-11-22T15:32:07.123456Z"
texts = st.text(st.characters(), max_size=12)  # every code point, lone surrogates too
plain = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
numbers = st.integers(0, 2**63 - 1)
ids = st.binary(min_size=32, max_size=32).map(bytes.hex)
few: dict[str, Any] = {"max_size": 3}


def tuples(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, max_size=3).map(tuple)


contents = tuples(ids).flatmap(
    lambda pieces: st.integers(max(0, len(pieces) - 1) * PIECE_SIZE + bool(pieces), len(pieces) * PIECE_SIZE).map(
        lambda size: Content(size, pieces)
    )
)
cells = st.none() | numbers
snapshots = st.builds(
    Snapshot,
    head=st.builds(
        Head,
        id=st.just(""),
        time=st.just(NOW),
        notebook=texts,
        name=texts,
        message=texts,
        parent=st.just("") | ids,
        variables=numbers,
        skipped=numbers,
        size=numbers,
        new_bytes=numbers,
        seconds=st.floats(0, 1e9),
        python=plain,
        platform=plain,
        tool=plain,
    ),
    variables=tuples(st.builds(Variable, texts, texts, numbers, texts, texts, cells, texts, tuples(texts))),
    groups=tuples(
        st.builds(
            Group,
            texts,
            tuples(texts),
            tuples(texts),
            texts,
            contents,
            tuples(contents),
            tuples(texts),
            tuples(texts),
            texts,
        )
    ),
    definitions=tuples(st.builds(Definition, texts, contents, texts, tuples(texts))),
    skips=tuples(st.builds(Skip, texts, texts, texts, texts, texts, texts, cells, texts)),
    packages=tuples(st.tuples(texts, texts)),
    history=tuples(st.tuples(numbers, texts)),
    sources=tuples(st.tuples(texts, texts)),
    cwd=texts,
)


def joined(value: Any) -> Any:
    """What JSON makes of it: surrogates that stand in a pair become the character that they mean."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    if isinstance(value, tuple):
        return tuple(map(joined, value))
    if hasattr(value, "__dataclass_fields__"):
        return type(value)(*(joined(getattr(value, name)) for name in value.__dataclass_fields__))
    return value


@settings(deadline=None)
@given(snapshot=snapshots, packs=st.sets(st.binary(min_size=16, max_size=16).map(bytes.hex), max_size=3))
def test_round_trip(snapshot: Snapshot, packs: set[str]) -> None:
    """What is encoded is decoded to the same record, lone surrogates included."""
    encoded, data = manifest.encode(snapshot, packs)
    assert encoded.head.id
    assert replace(joined(encoded), head=replace(encoded.head, id="")) == joined(snapshot)
    decoded = manifest.parse(data)
    assert decoded.snapshot == joined(encoded)
    assert decoded.packs == tuple(sorted(packs))
    assert manifest.decode(data) == decoded.snapshot
    assert manifest.decode_head(data[: data.index(b"\n") + 1]) == encoded.head


def sample() -> Snapshot:
    snapshot = record({"x": Content(10, ("ab" * 32,)), "y": Content(PIECE_SIZE + 1, ("cd" * 32, "ef" * 32))}, "name")
    return replace(snapshot, head=replace(snapshot.head, time=NOW))


def test_the_id_is_what_the_format_says() -> None:
    """The id is the hash of the first line without id and signature, which standard tools can cut out."""
    snapshot, data = manifest.encode(sample())
    line = json.loads(data.partition(b"\n")[0])
    assert line["id"] == snapshot.head.id
    del line["id"], line["signature"]
    canonical = json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert piece_id(canonical) == snapshot.head.id
    body = zstandard.ZstdDecompressor().decompress(data.partition(b"\n")[2])
    assert piece_id(body) == line["body"]
    assert len(body) == line["body_size"]


def test_encoding_is_deterministic() -> None:
    """The same record gives the same bytes."""
    assert manifest.encode(sample(), ["a" * 32]) == manifest.encode(sample(), ["a" * 32])


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_no_altered_byte_goes_unseen(data: st.DataObject) -> None:
    """A flipped, missing or added byte anywhere is a named error, or changes nothing; never another snapshot."""
    good = manifest.encode(sample(), ["a" * 32])[1]
    place = data.draw(st.integers(0, len(good) - 1))
    how = data.draw(st.sampled_from(["flip", "cut", "drop", "insert", "append"]))
    bad = bytearray(good)
    if how == "flip":
        bad[place] ^= data.draw(st.integers(1, 255))
    elif how == "cut":
        del bad[place:]
    elif how == "drop":
        del bad[place]
    elif how == "insert":
        bad.insert(place, data.draw(st.integers(0, 255)))
    else:
        bad += data.draw(st.binary(min_size=1, max_size=20))
    try:
        decoded = manifest.decode(bytes(bad))
    except StoreError:
        return
    assert place > good.index(b"\n")  # a zstd frame may have bits that mean nothing; the body is what it was
    assert decoded == manifest.decode(good)


@settings(deadline=None, max_examples=300)
@given(data=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace") + b"\n"))
def test_garbage_is_refused(data: bytes) -> None:
    """Bytes that are no manifest are refused with a named error."""
    with pytest.raises(StoreError):
        manifest.decode(data)
    with pytest.raises(StoreError):
        manifest.decode_head(data)


def forge(line: dict[str, Any] | None = None, body: Any = None) -> bytes:
    """A manifest with other fields, whose hashes are right: what an attacker would write."""
    data = manifest.encode(sample(), ["a" * 32])[1]
    first, _, rest = data.partition(b"\n")
    fields = json.loads(first)
    content = zstandard.ZstdDecompressor().decompress(rest)
    if body is not None:
        value = json.loads(content)
        if callable(body):
            body(value)
        else:
            value = body
        content = json.dumps(value).encode()
    fields |= {"body": piece_id(content), "body_size": len(content)}
    fields |= line or {}
    return seal(fields) + b"\n" + zstandard.ZstdCompressor().compress(content)


def seal(fields: dict[str, Any]) -> bytes:
    del fields["id"]
    signature = fields.pop("signature", None)

    def dumps(value: dict[str, Any]) -> bytes:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    fields["id"] = piece_id(dumps(fields))
    if signature is not None:
        fields["signature"] = signature
    return dumps(fields)


def test_unknown_keys_are_ignored() -> None:
    """Keys that this version does not know do no harm, in the head, the body and the tables."""

    def body(value: dict[str, Any]) -> None:
        value["later"] = {"a": 1}
        value["variables"]["later"] = [1, 2]

    forged = manifest.decode(forge({"later": [1]}, body))
    assert forged.variables == sample().variables
    assert forged.head.name == "name"


@pytest.mark.parametrize("version", [0, 2, 99])
def test_unknown_formats_are_refused(version: int) -> None:
    """A manifest of another format is refused as such, with a hint to upgrade."""
    for decode in (manifest.decode, manifest.decode_head):
        with pytest.raises(StoreVersionError, match=f"of format {version}; .* upgrade"):
            decode(forge({"format": version}))


WRONG_HEADS: list[dict[str, Any]] = [
    {"format": "1"},
    {"format": True},
    {"variables": -1},
    {"variables": True},
    {"variables": 1 << 70},
    {"variables": 1.0},
    {"name": None},
    {"name": ["x"]},
    {"seconds": "1"},
    {"seconds": 1},
    {"body_size": 5},
    {"body_size": -1},
    {"body_size": 1 << 40},
    {"body_size": None},
    {"body": 7},
    {"body": "00"},
    {"signature": 7},
    {"time": 3},
]


@pytest.mark.parametrize("line", WRONG_HEADS, ids=str)
def test_wrong_heads_are_damage(line: dict[str, Any]) -> None:
    """A head with values of the wrong type or size is DamageError, though its hash is right."""
    with pytest.raises(DamageError):
        manifest.decode(forge(line))


def broken(part: str, column: str, value: Any) -> Any:
    def change(body: dict[str, Any]) -> None:
        body[part][column] = value

    return change


HEX = "ab" * 32
WRONG_BODIES: list[Any] = [
    [],
    {"variables": []},
    {"variables": {}},
    {"packs": 1},
    {"packs": ["../../etc"]},
    {"packs": ["A" * 32]},
    {"cwd": 1},
    broken("variables", "name", "xy"),
    broken("variables", "name", ["x"]),
    broken("variables", "name", [1, 2]),
    broken("variables", "size", [1, -2]),
    broken("variables", "size", [1, True]),
    broken("variables", "cell", ["1", 2]),
    broken("variables", "notes", [["a"], [1]]),
    broken("groups", "buffers", [[[10, HEX]], [[10, "../x"]]]),
    broken("groups", "buffers", [[[10, HEX]], [[10, HEX.upper()]]]),
    broken("groups", "buffers", [[[10, HEX]], [[10]]]),
    broken("groups", "buffers", [[[10, HEX]], [[10, HEX, HEX]]]),
    broken("groups", "buffers", [[[10, HEX]], [[1 << 62, HEX]]]),
    broken("groups", "buffers", [[[10, HEX]], [[]]]),
    broken("groups", "buffers", [[[10, HEX]], [10]]),
    broken("groups", "stream", [[-1], [0]]),
    broken("groups", "stream", [{}, [0]]),
    broken("packages", "name", {"a": 1}),
    broken("history", "number", [1, "2"]),
]


@pytest.mark.parametrize("body", WRONG_BODIES, ids=range(len(WRONG_BODIES)))
def test_wrong_bodies_are_damage(body: Any) -> None:
    """A body with values of the wrong type, or contents that cannot be, is DamageError, though its hash is right."""
    with pytest.raises(DamageError):
        manifest.decode(forge(body=body))


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"cwd": NaN}', b'{"a":' + b"9" * 10_000 + b"}", b"\xff\xfe", b""])
def test_hostile_json(body: bytes) -> None:
    """Deep nesting, numbers of any length and bytes that are no text are DamageError."""
    fields = json.loads(manifest.encode(sample())[1].partition(b"\n")[0])
    fields |= {"body": piece_id(body), "body_size": len(body)}
    with pytest.raises(DamageError):
        manifest.decode(seal(fields) + b"\n" + zstandard.ZstdCompressor().compress(body))
    with pytest.raises(DamageError):
        manifest.decode(body + b"\n")


def test_a_bomb_is_refused_before_it_unpacks() -> None:
    """A body that would unpack to more than the head says, or than any manifest may have, is refused unread."""
    bomb = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1 << 24))
    bomb_told = zstandard.ZstdCompressor().compress(bytes(1 << 24))
    fields = json.loads(manifest.encode(sample())[1].partition(b"\n")[0])
    for size in (100, 1 << 24, 1 << 40):
        for frame in (bomb, bomb_told):
            with pytest.raises(DamageError):
                manifest.decode(seal(dict(fields, body_size=size)) + b"\n" + frame)


def test_a_line_in_another_form_is_refused() -> None:
    """Only the canonical form of the first line is accepted: one id, one line."""
    first, _, rest = manifest.encode(sample())[1].partition(b"\n")
    for other in (first.replace(b'","', b'", "', 1), b" " + first, first[:-1] + b',"name":"name"}'):
        with pytest.raises(DamageError):
            manifest.decode(other + b"\n" + rest)


def test_too_long_a_message_is_an_error() -> None:
    """A head that no reader would accept is not written."""
    snapshot = sample()
    with pytest.raises(StoreError, match="too long"):
        manifest.encode(replace(snapshot, head=replace(snapshot.head, message="x" * (1 << 20))))
