"""Plain data, which goes without hooks: how much of it is written, how it comes back, and what is not plain."""

from __future__ import annotations

import copy
import datetime
import decimal
import io
import json
import pickle
import tracemalloc
import weakref
from typing import Any

import numpy as np
import pytest

from nbsnap.capture import take_apart
from nbsnap.model import Content, Group
from nbsnap.plain import survey, write
from nbsnap.quiet import Reading
from nbsnap.rebuild import rebuild


class Point:
    def __init__(self, x: Any, label: Any) -> None:
        self.x = x
        self.label = label


class Slotted:
    __slots__ = ("left", "right")

    def __init__(self, left: Any, right: Any) -> None:
        self.left = left
        self.right = right


class Own:
    def __init__(self) -> None:
        self.x = 1

    def __getstate__(self) -> Any:
        return {"x": 2}


class Zone(datetime.tzinfo):
    pass


def streams(names: dict[str, Any]) -> dict[tuple[str, ...], bytes]:
    """The streams of a namespace, by the variables in each."""
    kept: list[bytes] = []

    def keep(data: Any) -> Content:
        kept.append(bytes(data))
        return Content(len(kept), (str(len(kept) - 1),))

    groups, _ = take_apart(names, list(names)).write(keep)
    return {group.variables: kept[int(group.stream.pieces[0])] for group in groups}


def small(number: int) -> dict[str, Any]:
    """So many variables, each like one of those that sessions are full of."""
    kinds = [lambda i: i * 1000, lambda i: f"text {i}", lambda i: i / 7, lambda i: [i, [i]], lambda i: {"a": i}]
    return {f"v{i}": kinds[i % len(kinds)](i) for i in range(number)}


def again(value: Any) -> Any:
    """What comes back of a value that `survey` finds plain."""
    found = survey([value], lambda cls: cls in (Point, Slotted))
    assert found is not None
    file = io.BytesIO(write(("var", "x"), value, found, {}))
    *records, record = pickle.load(file)
    assert record == ("var", "x")
    reader = pickle.Unpickler(file)
    sets: list[set[Any]] = []
    for (kind,) in records:
        made = reader.load()
        if kind == "sets":
            sets = made
        elif kind == "fill":
            rest = iter(made[1])
            for target, length in zip(sets, made[0], strict=True):
                target.update(next(rest) for _ in range(length))
    back = reader.load()
    assert file.read() == b""
    return back


# --- batches ----------------------------------------------------------------------------------------------------------


def test_thousands_of_small_variables_are_few_streams() -> None:
    """5,000 variables make some dozens of streams, each variable in one, with the size that is its own."""
    names = small(5_000)
    made = streams(names)
    assert len(made) < 100
    assert sorted(name for batch in made for name in batch) == sorted(names)
    taken = take_apart(names, list(names))
    sizes = {variable.name: variable.size for variable in taken.variables}
    assert sizes["v0"] < sizes["v4999"] < 60
    assert sum(sizes.values()) < taken.size < sum(sizes.values()) + 30 * len(names)
    for batch, stream in made.items():  # the table, and then pickles of these sizes
        at = len(stream) - sum(sizes[name] for name in batch)
        assert pickle.loads(stream[:at]) == tuple(("var", name) for name in batch)
        for name in batch:
            assert pickle.loads(stream[at : at + sizes[name]]) == names[name]
            at += sizes[name]


@pytest.mark.parametrize("change", ["change", "add", "remove", "grow"])
def test_a_small_change_writes_a_batch_or_two(change: str) -> None:
    """Whatever happens to one variable: all but its batch, and at times the one beside it, stay as they are."""
    for number in range(0, 2_000, 97):
        names = small(2_000)
        before = set(streams(names).values())
        name = f"v{number}"
        if change == "change":
            names[name] = "other"
        elif change == "grow":
            names[name] = "x" * 10_000
        elif change == "add":
            names[f"new_{number}"] = 5
        else:
            del names[name]
        assert len(set(streams(names).values()) - before) <= 2


def test_a_second_snapshot_in_another_order_writes_nothing() -> None:
    """Batches do not depend on when a name was bound, nor on which equal texts are one object."""
    names = small(300) | {"a": "some text", "b": "some text", "c": ["some text"]}
    other = {name: copy.deepcopy(names[name]) for name in reversed(names)}
    other["b"] = "".join(["some", " text"])
    assert set(streams(names).values()) == set(streams(other).values())


def test_one_small_variable_is_one_stream_to_read(tmp_path: Any) -> None:
    """`--only` reads the batch, and nothing else."""
    from nbsnap import Store, restore, snapshot

    names = small(2_000)
    with Store.open(tmp_path / "store", create=True) as store:
        snapshot(names, store=store, notebook="n")
        record = store.load(store.resolve("latest", "n").id)
        read: list[Content] = []

        class Counting:
            """The store's reader, which is asked for what is counted here."""

            def __init__(self) -> None:
                self.reader = store.reader()

            def stream(self, content: Content) -> bytes | bytearray:
                read.append(content)
                return self.reader.stream(content)

            def parts(self, content: Content) -> Any:
                read.append(content)
                return self.reader.parts(content)

            def buffers(self, group: Group) -> Any:
                read.extend(group.buffers)
                return self.reader.buffers(group)

        built = rebuild(record, ["v703"], Counting(), {}, stand=lambda values: None)
        assert built.values == {"v703": names["v703"]}
        assert len(read) == 1
        assert read[0].size < 100_000
        back: dict[str, Any] = {}
        assert restore(namespace=back, store=store, notebook="n").ok
    assert back == names


def test_what_is_shared_is_in_no_batch() -> None:
    """Small lists that are one object, or part of another variable, or one long text, travel together."""
    one = [1]
    text = "t" * 100
    names: dict[str, Any] = {"a": one, "b": one, "c": [2], "d": 5, "e": text, "f": text}
    names |= {"whole": [names["c"], object()], "lone": [3], "tuple": (1, 2), "alias": (3, 4)}
    names["same"] = names["alias"]
    groups = set(streams(names))
    assert {("a", "b"), ("c", "whole"), ("e", "f"), ("alias", "same")} < groups
    (batch,) = groups - {("a", "b"), ("c", "whole"), ("e", "f"), ("alias", "same")}
    assert batch == ("d", "lone", "tuple")


def test_short_arrays_are_small_variables() -> None:
    """Short arrays of numbers share streams; not those that a view, a list, a weak reference or another name holds."""
    names: dict[str, Any] = {f"a{n}": np.arange(n) for n in range(2, 30)}
    names |= {"f": np.asfortranarray(np.ones((3, 4))), "scalar": np.array(1.5), "x": 1, "y": 2}
    viewed, held, referred, twice = np.zeros(5), np.ones(4), np.ones(3), np.ones(2)
    small = set(names)
    names |= {"viewed": viewed, "view": viewed[1:], "held": held, "list": [held], "referred": referred}
    names |= {"weak": weakref.ref(referred), "one": twice, "two": twice, "objects": np.array([[1], None], object)}
    names |= {"long": np.zeros(10_000), "texts": np.array(["a", "b"]), "gaps": np.arange(9)[::2]}
    del viewed, held, referred, twice
    taken = take_apart(names, list(names))
    batches = [group for group, _, _ in taken._groups if group.engine == "batch"]
    assert {name for group in batches for name in group.variables} == small
    assert {group.modules: {*group.variables} & {"f", "x"} for group in batches if {*group.variables} & {"f", "x"}} == {
        (): {"x"},
        ("numpy",): {"f"},
    }


def test_short_arrays_come_back(two_shells: Any) -> None:
    """Values, dtypes, order and whether they can be written; and where NumPy is missing, the other variables do."""
    two_shells.save(
        "import numpy as np\na = np.arange(5, dtype='i2'); f = np.asfortranarray(np.ones((3, 4))); s = np.array(1.5)\n"
        "fixed = np.ones(3); fixed.flags.writeable = False; empty = np.zeros((0, 3)); z = np.ones(2, complex); n = 5"
    )
    report, wrong = two_shells.restore(
        {
            "values": "a.tolist() == [0, 1, 2, 3, 4] and a.dtype == 'i2' and z.tolist() == [1, 1] and n == 5",
            "forms": "f.flags.f_contiguous and f.shape == (3, 4) and s.shape == () and empty.shape == (0, 3)",
            "writing": "a.flags.writeable and not fixed.flags.writeable",
        }
    )
    assert report["failed"] == []
    assert wrong == {}
    hidden = "import sys\nsys.modules['numpy'] = None\n"
    done = two_shells.run(hidden + "import nbsnap\nprint(nbsnap.restore().to_json())\nassert n == 5", ok=False)
    assert done.code == 0, done.err
    assert {failed["name"] for failed in json.loads(done.out)["failed"]} >= {"a", "f", "s", "z"}


def test_large_ones_stand_alone() -> None:
    """A text or a list of some size has a stream of its own, which a change of its neighbours leaves alone."""
    names = {"long": "x" * 50_000, "rows": list(range(50_000)), "n": 1, "m": 2}
    assert set(streams(names)) == {("long",), ("rows",), ("m", "n")}


def test_batches_are_there_before_what_looks_at_them(two_shells: Any) -> None:
    """A `__setstate__` that reads small globals finds them."""
    two_shells.save(
        "class Reader:\n    def __init__(self): self.x = 1\n"
        "    def __setstate__(self, state): self.x = limit + rate[0]\n"
        "reader = Reader(); limit = 5; rate = [7]"
    )
    report, wrong = two_shells.restore({"read": "reader.x == 12"})
    assert report["failed"] == []
    assert wrong == {}


# --- the proof --------------------------------------------------------------------------------------------------------


def plain(value: Any) -> bool:
    return survey([value], lambda cls: cls in (Point, Slotted)) is not None


def test_objects_that_are_their_attributes_are_plain() -> None:
    """Instances with a dict or with slots, in and around containers, dates and decimals."""
    values: list[Any] = [  # not in the assertion, which would hold their parts
        [Point(1, [2]), Slotted({"k": 1}, None)],
        Point([Point(1, 2)], {"a": Slotted(1, (2, 3))}),
        [datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), datetime.date(2026, 1, 1), decimal.Decimal("1.5")],
        {(1, "a"): [1], "b": 2j, frozenset({1}): {1, 2}, None: bytearray(b"x")},
        [{"a", "b"}, {b"x"}, set(), {1, 2}],
    ]
    while values:
        value = values.pop()
        assert plain(value)


def test_what_something_else_holds_is_not_plain() -> None:
    """An object, its attribute dict, a set by a weak reference: whoever holds it may be a variable."""
    point = Point(1, 2)
    assert not plain([point])
    points = [Point(1, 2)]
    assert plain(points)
    attributes = vars(points[0])
    assert not plain(points)
    del attributes
    assert plain(points)
    reference = weakref.ref(points[0])
    assert not plain(points)
    assert reference() is points[0]
    sets = [{1}, {"a"}]
    reference_to_set = weakref.ref(sets[0])
    assert not plain(sets)
    assert reference_to_set() is sets[0]
    held = [bytearray(b"x")]
    inner = held[0]
    assert not plain(held)
    assert inner == b"x"


def test_what_a_tuple_shares_with_others_stays_shared(two_shells: Any) -> None:
    """A tuple of lists, small or large, that another variable holds, too: by itself, inside of something, by a part."""
    two_shells.save(
        "small = 1, [2, 3]; beside = [b'bytes', small]\n"
        "part = 1, {'a': [1]}; inner = part[1]\n"
        "class Holder: pass\n"
        "held = 'x', [1], 2; holder = Holder(); holder.held = held\n"
        "large = tuple([k] for k in range(50_000)); row = {'large': large, 'cls': Holder}\n"
        "atoms = 1, 'two', (3.0,); other = Holder(); other.atoms = atoms\n"
    )
    _, wrong = two_shells.restore(
        {
            "small": "beside[1][1] is small[1]",
            "part": "inner is part[1]",
            "held": "holder.held[1] is held[1]",
            "large": "row['large'][49_999] is large[49_999]",
            "atoms": "other.atoms == atoms == (1, 'two', (3.0,))",
        }
    )
    assert wrong == {}


def test_what_runs_code_or_has_no_order_is_not_plain() -> None:
    """Classes with a say in pickling, classes, zones of the session, sets of several kinds, frozen sets of texts."""
    others = (Own(), Point, {1, "a"}, frozenset({"a"}), datetime.datetime(2026, 1, 1, tzinfo=Zone()), len, object())
    for value in others:
        assert not plain([copy.copy(value) if isinstance(value, set) else value])


# --- the stream -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [7, 3_000])
def test_it_comes_back_as_it_was(number: int) -> None:
    """Small and large, in which what cannot change is one object again where it was."""
    pair, text, tags = (1, "x"), "some text " * 3, [f"t{i}" for i in range(7)]
    value: dict[str, Any] = {"points": [Point(i, [f"p{i}", {"k", f"{i}"}]) for i in range(number)]}
    value["rows"] = [
        {"id": i, "name": f"n{i}", "pair": pair, "text": text, "tags": {tags[i % 7], "u"}} for i in range(number)
    ]
    value["slots"] = Slotted(1, 2)
    back = again(value)
    assert back["rows"] == value["rows"]
    assert [(p.x, p.label) for p in back["points"]] == [(p.x, p.label) for p in value["points"]]
    assert {type(p) for p in back["points"]} == {Point}
    assert back["slots"].right == 2
    for key in ("pair", "text"):
        assert len({id(row[key]) for row in back["rows"]}) == 1
    assert len({id(key) for row in back["rows"] for key in row}) == 5
    assert len({id(tag) for row in back["rows"] for tag in row["tags"]}) == 8


def test_large_plain_data_has_no_memo() -> None:
    """A hundred thousand lists and texts leave no marks in the stream, and keys are written once."""
    rows = [{"identifier": i, "values": [i], "text": f"text {i}"} for i in range(20_000)]
    found = survey([rows])
    assert found is not None
    pickles = write(("var", "rows"), rows, found, {})
    assert pickles.count(b"identifier") == 1
    assert pickles.count(pickle.MEMOIZE) < 2_000  # a byte that may also be part of a number
    assert len(pickles) < len(pickle.dumps(rows, 5))


def test_deep_plain_data_comes_back() -> None:
    """Nesting beyond what the pickler can follow goes the slow way, and arrives."""
    deep: list[Any] = []
    for _ in range(30_000):
        deep = [deep]
    names = {"deep": deep, "wide": [[i] for i in range(5_000)]}
    taken = take_apart(names, list(names))
    assert taken.skips == ()
    engines: dict[tuple[str, ...], str] = {}

    def note(group: Group) -> None:
        engines[group.variables] = group.engine

    for group in taken.write(lambda data: Content(0))[0]:
        note(group)
    assert engines == {("deep",): "flat", ("wide",): "pickle"}


def test_an_object_of_a_compiled_class_is_looked_at_by_itself(two_shells: Any) -> None:
    """A plain object that holds one which refuses costs that part, not the snapshot."""
    report = two_shells.save(
        "import zstandard, lzma\nclass Holder:\n    def __init__(self, part): self.part, self.x = part, 1\n"
        "many = [Holder(lzma.LZMADecompressor()) for _ in range(3)]; one = Holder(zstandard.ZstdCompressor())"
    )
    assert {(skip["kind"], skip["name"]) for skip in report["skipped"]} == {("partly", "many"), ("partly", "one")}
    _, wrong = two_shells.restore({"the rest": "[h.x for h in many] == [1, 1, 1] and one.x == 1"})
    assert wrong == {}


def test_long_texts_go_out_of_band(two_shells: Any) -> None:
    """They are not copied into the stream, which would grow under them; texts of every kind come back."""
    two_shells.save(
        "ascii = 'x' * 100_000; text = 'äö€😀' * 20_000; odd = 'a\\ud800' * 30_000; data = bytes(range(256)) * 400\n"
        "room = bytearray(data); same = room; again = ascii; short = 'x' * 30_000\n"
        "class Text(str): pass\nmine = Text(ascii)"
    )
    _, wrong = two_shells.restore(
        {
            "texts": "ascii == 'x' * 100_000 and text == 'äö€😀' * 20_000 and short in ascii",
            "surrogates": "odd == 'a\\ud800' * 30_000",
            "bytes": "type(data) is bytes and data == bytes(range(256)) * 400 and type(mine) is Text and mine == ascii",
            "one": "same is room and type(room) is bytearray and room == data and again is ascii",
            "room": "room.extend(b'!') is None and len(same) == 102_401",
        }
    )
    assert wrong == {}


def test_a_long_text_is_saved_without_a_copy_of_it() -> None:
    """An ASCII text is UTF-8 in memory already; what is taken keeps it alive."""
    text = "x" * 10_000_000
    tracemalloc.start()
    taken = take_apart({"text": text}, ["text"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    del text
    ((_, stream, (buffer,)),) = taken._groups
    assert len(stream) < 300
    assert bytes(buffer.raw()) == b"x" * 10_000_000


def test_a_stream_is_read_in_parts_wherever_it_is_cut() -> None:
    """Frames, long texts and pickles one behind the other may lie across parts, of which some are empty."""
    values = [{k: f"value {k}" for k in range(9000)}, "x" * 100_000, bytearray(b"y" * 70_000), 1]
    stream = b"".join(pickle.dumps(value, 5) for value in values)
    for step in (1, 999, 65_536, len(stream)):
        cuts = [stream[at : at + step] for at in range(0, len(stream), step)]
        file = Reading([b"", *cuts, bytearray()])
        assert [pickle.Unpickler(file).load() for _ in values] == values
        assert file.read(1) == b""
    old = Reading([pickle.dumps((values, "a\n"), 0), b"left"])
    assert pickle.Unpickler(old).load() == (values, "a\n")
    assert old.read(9) == b"left"
    with pytest.raises((EOFError, pickle.UnpicklingError)):
        pickle.Unpickler(Reading([stream[:5000], stream[5000:70_000]])).load()


def test_the_parts_of_a_stream_are_let_go_of_when_they_are_read() -> None:
    """So a stream and all that is made of it are never in memory together."""

    class Part(bytearray):
        pass

    parts = [Part(100_000) for _ in range(5)]
    there = [weakref.ref(part) for part in parts]
    file = Reading(parts)
    del parts
    file.read(250_000)
    assert [held() is not None for held in there] == [False, False, True, True, True]
