"""Previews: what is shown of values without loading them is cheap, bounded, safe, and tells no secret."""

from __future__ import annotations

import base64
import collections
import datetime
import decimal
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from nbsnap.called import names_secret
from nbsnap.glance import Grid, Picture, lines, read
from nbsnap.model import TABLE, Preview
from nbsnap.preview import LIMIT, preview, previews
from nbsnap.store import Store


class Loud:
    """An object that must not be asked anything."""

    def _asked(self, *_: object) -> Any:
        raise AssertionError("the user's code was run")

    __repr__ = __str__ = __len__ = __iter__ = __hash__ = __bool__ = __eq__ = __getitem__ = __format__ = _asked  # type: ignore[assignment]


class LoudText(str):
    """A text that must not be asked anything."""

    __slots__ = ()
    __repr__ = __str__ = __getitem__ = Loud._asked  # type: ignore[assignment]


class LoudDict(dict[str, Any]):
    """A dict that must not be asked anything."""

    __repr__ = __iter__ = __len__ = items = Loud._asked  # type: ignore[assignment]


def seen(value: object) -> str:
    found = preview(value)
    assert found is not None
    assert found[0] == "text/plain"
    return found[1]


def table(value: object) -> dict[str, Any]:
    found = preview(value)
    assert found is not None
    assert found[0] == TABLE
    record: dict[str, Any] = json.loads(found[1])
    return record


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([1, 2.5, "a", None, True], "[1, 2.5, 'a', None, True]"),
        (("x",), "('x')"),
        (list(range(100)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … 90 more]"),
        ({"lr": 0.1, "layers": [64, 64]}, "{'lr': 0.1,\n 'layers': [64, 64]}"),
        ({"a": {"b": {"c": 1}}}, "{'a': {'b': <dict, len 1>}}"),
        ({7}, "{7}"),
        (collections.deque([1, 2]), "[1, 2]"),
        (collections.OrderedDict(a=1), "{'a': 1}"),
        ([b"\0" * 50, 2**300, decimal.Decimal("1.50")], "[b'\\x00\\x00\\x00\\x00'…, <int of 301 bits>, 1.50]"),
        ([datetime.date(2025, 1, 2), object()], "[2025-01-02, <object>]"),
        ("short", "short"),
        ("x" * 201, "x" * 200 + "…"),
    ],
)
def test_plain_values(value: object, text: str) -> None:
    """Containers show their first items as Python writes them, texts their beginning."""
    assert seen(value) == text


@pytest.mark.parametrize(
    "value",
    [1, None, "", [], {}, len, int, json, Loud(), LoudText("x"), LoudDict(a=1), iter([])],
    ids=lambda value: type(value).__name__,
)
def test_nothing_to_see(value: object) -> None:
    """Numbers are in the summary; empty things, code and objects of unknown types have no preview."""
    assert preview(value) is None


def test_no_code_of_the_users_runs() -> None:
    """What lies inside is shown by its type, whatever it does when it is asked."""
    values = [Loud(), LoudText("x"), LoudDict(a=1)]
    package = __name__.partition(".")[0]
    assert seen(values) == f"[<{package}.Loud>, <{package}.LoudText>, <{package}.LoudDict>]"
    assert seen({"a": Loud(), "b": [Loud()]}).count("Loud>") == 2
    zone = type("Zone", (datetime.tzinfo,), {"utcoffset": Loud._asked, "__repr__": Loud._asked})()
    assert seen([datetime.datetime(2025, 1, 1, tzinfo=zone)]) == "[<datetime.datetime>]"


_SECRETS = "password DB_PASSWD api_key ApiKey api-key hf_token auth Authorization private_key aws_secret_access_key"


@pytest.mark.parametrize("name", _SECRETS.split())
def test_secrets_are_withheld(name: str) -> None:
    """Neither a variable of such a name, nor an item or a nested one, is shown."""
    assert previews([(name, "hunter2"), ("x", "visible")]) == (Preview("x", "text/plain", "visible"),)
    for value in ({name: "hunter2"}, {"a": {name: "hunter2"}}, [{name: ["hunter2"]}]):
        assert "hunter2" not in seen(value)
        assert name in seen(value)


@pytest.mark.parametrize("name", ["author", "authors", "author_id", "keyboard", "passenger"])
def test_what_is_no_secret(name: str) -> None:
    """Everyday names that look a little like it are shown."""
    assert not names_secret(name)


def test_bounds() -> None:
    """However much there is, a snapshot keeps a bounded number of characters, and a value some thousand."""
    deep: list[Any] = ["x" * 10_000] * 1000
    for _ in range(50):
        deep = [deep] * 1000
    wide = {"k" * 5_000 + str(number): ["v" * 5_000] * 100 for number in range(50)}
    for value in (deep, wide):
        assert len(seen(value)) < 8_000
    found = previews((f"v{number}", {"a": "x" * 500, "b": "y" * 500}) for number in range(20_000))
    assert sum(len(one.text) for one in found) <= LIMIT
    assert found


def test_it_stops_in_time() -> None:
    """Of a hundred thousand values only as many are looked at as there is time for."""
    values = [(f"v{number}", {"a": [number] * 9}) for number in range(100_000)]
    started = time.thread_time()
    previews(values)
    assert time.thread_time() - started < 0.5  # building the table of turns takes some of it


def test_kinds_take_turns() -> None:
    """A thousand lists leave room for the frame behind them."""
    pandas = pytest.importorskip("pandas")
    values: list[tuple[str, object]] = [(f"v{number}", [number] * 100) for number in range(50_000)]
    found = previews([*values, ("frame", pandas.DataFrame({"a": [1]}))])
    assert found[-1].name == "frame"


# ---- libraries -------------------------------------------------------------------------------------------------------


def test_arrays() -> None:
    """An array shows its ends, or its corners."""
    numpy = pytest.importorskip("numpy")
    assert seen(numpy.arange(5)) == "[0, 1, 2, 3, 4]"
    assert seen(numpy.arange(1000) / 8) == "[0, 0.125, 0.25, …, 124.625, 124.75, 124.875]"
    assert seen(numpy.array(["a", Loud()], dtype=object)).startswith("[a, <")
    assert seen(numpy.array(["2025-01-02"], dtype="M8[D]")) == "[2025-01-02]"
    assert seen(numpy.array(7)) == "7"
    assert preview(numpy.empty((3, 0))) is None
    assert preview(numpy.zeros(3, dtype=[("password", "i4")])) is None
    corners = table(numpy.arange(200).reshape(20, 10))
    assert corners["columns"] == ["0", "1", "2", "…", "7", "8", "9"]
    assert corners["index"] == ["0", "1", "2", "…", "17", "18", "19"]
    assert corners["rows"][0] == ["0", "1", "2", "…", "7", "8", "9"]
    assert corners["rows"][-1][-1] == "199"
    inner = table(numpy.arange(24).reshape(2, 3, 4))
    assert inner["at"] == "[0]"
    assert inner["rows"][2] == ["8", "9", "10", "11"]


def test_frames_of_pandas() -> None:
    """A frame shows its first rows and columns as plain cells, and what is called a secret stays out of it."""
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "n": numpy.arange(100),
            "x": numpy.arange(100) / 3,
            "when": pandas.date_range("2025-01-01", periods=100),
            "kind": pandas.Categorical(["a", "b"] * 50),
            "text": ["t" * 1000] * 100,
            "api_token": ["hunter2"] * 100,
            "any": [Loud()] * 100,
            "list": [[1, 2]] * 100,
            "ninth": 9,
        }
    )
    found = table(frame)
    assert found["columns"] == ["n", "x", "when", "kind", "text", "api_token", "any", "list"]
    assert found["shape"] == [100, 9]
    assert found["index"] == ["0", "1", "2", "3", "4"]
    assert found["dtypes"][:2] == ["int64", "float64"]
    first = found["rows"][1]
    assert first[:4] == ["1", "0.333333", "2025-01-02", "b"]
    assert len(first[4]) == 40
    assert first[5] == "(withheld)"
    assert "Loud" in first[6]
    assert first[7] == "<list, len 2>"
    settings = table(pandas.Series({"rate": "0.1", "password": "hunter2"}, name="settings"))
    assert settings["rows"] == [["0.1"], ["(withheld)"]]
    nested = table(frame[["n", "x"]].set_index([["a"] * 100, numpy.arange(100)]))
    assert nested["index"][1] == "a, 1"
    missing = table(pandas.Series([pandas.NaT, pandas.Timestamp("2025-01-01 10:00", tz="UTC")]))
    assert missing["rows"] == [["NaT"], ["2025-01-01 10:00:00+00:00"]]
    assert preview(type("Mine", (pandas.DataFrame,), {})(frame)) is None
    assert preview(pandas.DataFrame()) is None


def test_a_frame_is_not_changed_by_looking() -> None:
    """Looking at a frame leaves it as it was, attribute by attribute."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
    before = {name: id(value) for name, value in vars(frame).items()}
    cached = dict(getattr(frame, "_item_cache", {}))
    table(frame)
    assert {name: id(value) for name, value in vars(frame).items()} == before
    assert dict(getattr(frame, "_item_cache", {})).keys() == cached.keys()


def test_columns_that_another_library_keeps_are_not_asked() -> None:
    """An extension array of the user's own is not sliced: its dtype's name has to do."""
    pandas = pytest.importorskip("pandas")
    from pandas.api.extensions import ExtensionArray, ExtensionDtype

    asked: list[object] = []

    class Dtype(ExtensionDtype):
        name, type = "mine", int

        def __str__(self) -> str:
            asked.append("dtype")
            return "mine"

    class Array(ExtensionArray):
        dtype = Dtype()
        nbytes = 0

        def copy(self) -> Any:
            return self

        def __len__(self) -> int:
            return 2

        def __getitem__(self, item: Any) -> Any:
            asked.append(item)
            return self

    frame = pandas.DataFrame({"a": [1, 2], "b": pandas.Series(Array())})
    asked.clear()
    found = table(frame)
    assert found["rows"] == [["1", "…"], ["2", "…"]]
    assert "Dtype" in found["dtypes"][1]
    assert asked == []


def test_frames_of_polars() -> None:
    """The same of a frame of polars; of nested values only that they are there."""
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"n": range(10), "s": ["x" * 100] * 10, "l": [[1, 2]] * 10, "secret": ["hunter2"] * 10})
    found = table(frame)
    assert found["columns"] == ["n", "s", "l", "secret"]
    assert found["rows"][4] == ["4", "x" * 39 + "…", "…", "(withheld)"]
    assert found["shape"] == [10, 4]
    assert table(polars.Series("v", [1.5, None]))["rows"] == [["1.5"], ["None"]]


@pytest.fixture
def pyplot() -> Iterator[Any]:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def decoded(figure: Any) -> Any:
    """The pixels of a preview, by a reader of PNGs that is not ours."""
    from matplotlib import image

    found = preview(figure)
    assert found is not None
    assert found[0] == "image/png"
    return image.imread(io.BytesIO(base64.b64decode(found[1])))


def test_figures(pyplot: Any) -> None:
    """A figure that was drawn is kept in small, white where it is white and coloured where it is coloured."""
    figure, axes = pyplot.subplots(facecolor="white")
    axes.set_axis_off()
    axes.add_patch(pyplot.Rectangle((0, 0), 1, 1, color="red"))
    assert preview(figure) is None, "not drawn yet, and nobody draws it for this"
    figure.canvas.get_renderer()
    assert preview(figure) is None, "asked for, but not drawn"
    figure.canvas.draw()
    pixels = decoded(figure)
    assert pixels.shape == (240, 320, 3)
    assert pixels[0, 0].tolist() == [1, 1, 1]
    assert pixels[120, 160].tolist() == [1, 0, 0]
    assert preview(axes) == preview(figure)
    both = previews([("axes", axes), ("figure", figure)])
    assert [one.name for one in both] == ["figure"], "a picture is kept once"


def test_a_figure_that_is_too_rich_becomes_smaller(pyplot: Any) -> None:
    """Noise compresses badly, so there is less of it."""
    numpy = pytest.importorskip("numpy")
    figure = pyplot.figure(figsize=(9, 9))
    figure.figimage(numpy.random.default_rng(1).random((900, 900, 3)))
    figure.canvas.draw()
    found = preview(figure)
    assert found is not None
    assert len(found[1]) < 30_000
    assert 40 < decoded(figure).shape[1] < 320


def test_closed_by_the_inline_backend() -> None:
    """A figure that a notebook has shown and closed after its cell has a picture all the same."""
    pytest.importorskip("matplotlib_inline")
    program = """if True:
        import os
        os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
        from IPython.core.interactiveshell import InteractiveShell
        shell = InteractiveShell.instance()
        shell.run_cell("import matplotlib.pyplot as plt")
        shell.run_cell("fig, ax = plt.subplots(); ax.plot([1, 2]);")
        from nbsnap.preview import preview
        assert not shell.user_ns["plt"].get_fignums()
        print(preview(shell.user_ns["fig"])[0])
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.splitlines()[-1:] == ["image/png"], done.stderr


# ---- kept and shown --------------------------------------------------------------------------------------------------


def test_kept_in_the_manifest(two_shells: Any, own_folder: Any) -> None:
    """Another process finds the previews in the record, none where they were not wanted, and the values are whole."""
    two_shells.save("x = list(range(50))\npassword = 'hunter2'", "nbsnap.snapshot(name='with', include_secrets=True)")
    two_shells.save("x = list(range(50))", "nbsnap.snapshot(name='without', previews=False)")
    store = Store.open(own_folder / ".nbsnap")
    kept = store.find("with").previews
    assert [(one.name, one.mime) for one in kept] == [("x", "text/plain")]
    assert kept[0].text.endswith("… 40 more]")
    assert store.find("without").previews == ()
    report, wrong = two_shells.restore(
        {"x": "x == list(range(50))", "it": "password == 'hunter2'"}, "nbsnap.restore('with')"
    )
    assert report["failed"] == []
    assert wrong == {}


def test_read_as_the_work_of_a_stranger() -> None:
    """What is no table, no picture and no text is nothing; what is too much is cut."""
    malformed = ["", "{", "[]", "7", "[" * 100_000, json.dumps({"columns": ["c" * 300_000], "rows": []})]
    malformed += ['{"columns":7,"rows":[]}', '{"columns":["a"],"rows":[["b","c"]]}']
    malformed += ['{"columns":["a"],"rows":[["b"]],"index":["x","y"]}']
    for text in malformed:
        assert read(Preview("x", TABLE, text)) is None
    for data in ("", "aGVsbG8=", "\u00e4", "iVBORw0KGgo", 'x" onerror="alert(1)'):
        assert read(Preview("x", "image/png", data)) is None
    assert read(Preview("x", "text/html", "<b>")) is None
    huge = {"columns": ["c"] * 30, "rows": [["v" * 100] * 30] * 30, "shape": [10**6, 10**6]}
    grid = read(Preview("x", TABLE, json.dumps(huge)))
    assert isinstance(grid, Grid)
    assert len(grid.columns) * len(grid.rows) < 200
    assert max(map(len, grid.rows[0])) <= 60
    assert read(Preview("x", TABLE, json.dumps({"columns": ["a", 1], "rows": [[{}, None]]}))) is not None


def test_lines_for_a_terminal() -> None:
    """A table stands in columns, numbers to the right; a text keeps its first lines; a picture has none."""
    record: dict[str, Any] = {"columns": ["n", "name"], "dtypes": ["int64", "str"], "index": ["0", "1"]}
    record |= {"rows": [["1", "a"], ["20", "b\x1b[1m"]], "shape": [7, 3]}
    assert lines(Preview("x", TABLE, json.dumps(record))) == (
        "    n  name",
        "0   1  a",
        "1  20  b\\x1b[1m",
        "… 5 rows and 1 column more",
    )
    assert lines(Preview("x", "text/plain", "a\nb\x1b")) == ("a", "b\\x1b")
    assert len(lines(Preview("x", "text/plain", "a\n" * 500))) < 20
    png = base64.b64encode(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\0\0\0\1" * 2).decode()
    assert isinstance(read(Preview("x", "image/png", png)), Picture)
    assert lines(Preview("x", "image/png", png)) == ()
