"""NumPy beyond plain arrays: subclasses, arrays of objects, rows of records; what shares memory goes on sharing it."""

from __future__ import annotations

import operator
import sys
from typing import Any

import pytest

ROWS: list[tuple[str, str, list[str]]] = [
    (
        "subclasses",
        "import numpy as np\nmatrix = np.matrix([[1, 2], [3, 4]]); base = np.arange(10.0); over = base[:4].reshape(2, 2).view(np.matrix)\n"
        "records = np.rec.array([(1, 2.0), (3, 4.0)], dtype=[('a', int), ('b', float)]); later = records[1:]\n"
        "masked = np.ma.array([1, 2, 3], mask=[0, 1, 0], fill_value=9); rest = masked[1:]; upon = np.ma.array(base, copy=False)\n"
        "hard = np.ma.array([1.0, 2.0], mask=[1, 0], hard_mask=True); texts = np.char.array(['a', 'bb'])\n"
        "class Info(np.ndarray):\n    def __new__(cls, values, info=None):\n        made = np.asarray(values).view(cls); made.info = info; return made\n"
        "    def __array_finalize__(self, source):\n        if source is not None: self.info = getattr(source, 'info', None)\n"
        "info = Info([1, 2, 3], 'hi'); tail = info[1:]\n"
        "def remade(values): return np.array(values).view(Own)\n"
        "class Own(np.ndarray):\n    def __reduce__(self): return (remade, (self.tolist(),))\nown = np.array([1, 2]).view(Own)",
        [
            "type(matrix) is np.matrix and (matrix * matrix)[0, 0] == 7 and type(over) is np.matrix",
            "np.shares_memory(over, base) and np.shares_memory(records, later) and type(records) is np.recarray",
            "later.__setitem__(0, (7, 8.0)) is None and records.a[1] == 7 and records[1].b == 8.0",
            "masked.tolist() == [1, None, 3] and masked.fill_value == 9 and np.shares_memory(masked.data, rest.data)",
            "np.shares_memory(upon.data, base) and hard.hardmask and hard.sum() == 2 and texts[1] == 'bb'",
            "masked.__setitem__(0, np.ma.masked) is None and masked.mask.tolist() == [True, True, False]",
            "type(info) is Info and info.info == tail.info == 'hi' and np.shares_memory(info, tail)",
            "type(own) is Own and own.tolist() == [1, 2]",
        ],
    ),
    (
        "memory maps",
        "np.arange(6, dtype='f4').tofile('map.bin'); mapped = np.memmap('map.bin', dtype='f4', mode='r+'); middle = mapped[2:4]",
        [
            "type(mapped) is np.ndarray and mapped.tolist() == [0, 1, 2, 3, 4, 5] and np.shares_memory(mapped, middle)",
            "mapped.__setitem__(0, 9) is None and np.fromfile('map.bin', dtype='f4')[0] == 0",
        ],
    ),
    (
        "arrays of objects",
        "part = [1]; things = np.array([part, None, 'a', {'k': part}], dtype=object); some = things[1:]; back = things[::-1]\n"
        "grid = np.empty((2, 3), dtype=object); grid[0, 0] = things; turned = grid.T; column = grid[:, 1]\n"
        "ring = np.empty(1, dtype=object); ring[0] = ring; mixed = np.array([(1, part)], dtype=[('n', int), ('o', object)])\n"
        "fixed = things[:2]; fixed.flags.writeable = False",
        [
            "things[0] is part and things[3]['k'] is part and mixed['o'][0] is part and ring[0] is ring",
            "some.__setitem__(0, 5) is None and things[1] == 5 and back[2] == 5 and not fixed.flags.writeable and fixed[1] == 5",
            "grid[0, 0] is things and turned.__setitem__((1, 1), 7) is None and grid[1, 1] == 7 and column[1] == 7",
        ],
    ),
    (
        "rows of records",
        "table = np.zeros(3, dtype=[('x', 'i4'), ('y', 'f8')]); row = table[1]; field = table['y']\n"
        "alone = np.array((1, 2.0), dtype=[('x', 'i4'), ('y', 'f8')])[()]",
        [
            "type(row) is np.void and row.__setitem__('x', 9) is None and table['x'][1] == 9",
            "field.__setitem__(2, 4.5) is None and table['y'][2] == 4.5 and alone['x'] == 1",
        ],
    ),
    (
        "memory of other objects",
        "import array\nraw = bytearray(b'12345678'); shown = np.frombuffer(raw, 'u1'); words = np.frombuffer(raw, '<u2', 2, 2)[::-1]\n"
        "numbers = array.array('d', [1, 2, 3]); doubles = np.asarray(numbers); fixed_bytes = np.frombuffer(b'abc', 'u1')",
        [
            "raw.__setitem__(slice(4, 6), b'\\x01\\x02') is None and shown[4] == 1 and words[0] == 513 and shown.size == 8",
            "doubles.__setitem__(1, 7) is None and numbers[1] == 7 and fixed_bytes.tolist() == [97, 98, 99]",
            "shown.flags.writeable and words.flags.writeable",
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize("engine", ["auto", "dill", "cloudpickle"])
def test_every_row_comes_back(two_shells: Any, engine: str) -> None:
    """What one process saved holds in another, every row, whichever engine goes first."""
    two_shells.holds(ROWS, engine)


def test_frames_that_share_memory_copy_before_they_write(two_shells: Any) -> None:
    """pandas' copy-on-write holds after a restore: writing into one object does not show in another, either way."""
    pytest.importorskip("pandas", "3")
    report = two_shells.save(
        "import pandas as pd\nframe = pd.DataFrame({'a': [1.0, 2, 3], 'b': [4.0, 5, 6]}); column = frame['a']\n"
        "index = pd.Index(column); head = frame.head(2); renamed = {'in': [frame.rename(columns=str.upper)]}\n"
        "upon = frame.set_index('b', drop=False); values = frame['b'].values; alone = pd.Series([1, 2]); like = alone[:]"
    )
    assert report["skipped"] == []
    restored, wrong = two_shells.restore(
        {
            "one memory": "__import__('numpy').shares_memory(frame['a'].values, column.values)",
            "frame written": "frame.iloc.__setitem__((0, 0), 77) is None",
            "frame": "frame.iloc[0, 0] == 77 and column[0] == 1 and index[0] == 1 and head.iloc[0, 0] == 1",
            "deep": "renamed['in'][0].iloc[0, 0] == 1 and upon.iloc[0, 0] == 1",
            "series written": "like.__setitem__(0, 9) is None and like[0] == 9 and alone[0] == 1",
            "values": "not values.flags.writeable and upon.index[0] == 4",
        }
    )
    assert restored["failed"] == []
    assert wrong == {}


def test_a_row_stays_a_row_through_generations(two_shells: Any) -> None:
    """What a restore has made is saved like what a cell has made: a row of a structured array still shows its array."""
    two_shells.save(
        "import numpy as np\ntable = np.zeros(3, dtype=[('x', 'i4'), ('y', 'f8')]); row = table[1]; last = table[::2][1]"
    )
    done = two_shells.run("import nbsnap\nnbsnap.restore(); nbsnap.snapshot()")
    assert done.out == ""
    restored, wrong = two_shells.restore(
        {
            "row": "row.__setitem__('x', 9) is None and table['x'][1] == 9",
            "of a view": "last.__setitem__('y', 8) is None and table['y'][2] == 8",
        }
    )
    assert restored["failed"] == []
    assert wrong == {}


def test_dates_and_durations_go_out_of_band_too(two_shells: Any) -> None:
    """NumPy has no buffers for them, and would copy them into the stream; flags, order and sharing come back."""
    from nbsnap.capture import take_apart

    two_shells.save(
        "import numpy as np\nd = np.arange('2000-01-01', '2030-01-01', dtype='M8[D]').repeat(2); late = d[5:]\n"
        "t = np.arange(6000, dtype='m8[s]').reshape(60, 100).T; fixed = np.arange(9000).astype('M8[ns]')\n"
        "fixed.flags.writeable = False; few = np.array(['2020-01-01', 'NaT'], dtype='M8[D]')"
    )
    _, wrong = two_shells.restore(
        {
            "dates": "d.dtype == 'M8[D]' and d[-1] == np.datetime64('2029-12-31') and late.base is d",
            "durations": "t.shape == (100, 60) and t.flags.f_contiguous and t[3, 2] == np.timedelta64(203, 's')",
            "read-only": "not fixed.flags.writeable and str(fixed.dtype) == 'datetime64[ns]' and d.flags.writeable",
            "few": "str(few[0]) == '2020-01-01' and np.isnat(few[1])",
        }
    )
    assert wrong == {}
    import numpy as np

    taken = take_apart({"d": np.arange(100_000).astype("M8[s]")}, ["d"])
    ((_, stream, buffers),) = taken._groups
    assert len(stream) < 500
    assert [buffer.raw().nbytes for buffer in buffers] == [800_000]


def test_few_objects_in_many_places(two_shells: Any) -> None:
    """A column of texts that occur again and again: each is one object again, whatever the layout of the array."""
    two_shells.save(
        "import numpy as np\nkinds = np.array(['new', 'paid', None, 2.5, b'x'], dtype=object)\n"
        "column = kinds[np.arange(9000) % 5]; column[8000] = 'rare'; column[8001] = ''.join(['ra', 're']); view = column[10:]\n"
        "turned = np.asfortranarray(column[:6000].reshape(60, 100)); fixed = column.copy(); fixed.flags.writeable = False\n"
        "blank = np.empty(5000, dtype=object); odd = column[::2]; late = np.array(['a'] * 9000, dtype=object)\n"
        "for k in range(200): late[-k - 1] = f'late {k}'\n"
        "many = np.array([f'm{k % 300}' for k in range(9000)], dtype=object); lists = np.array([[1], None] * 3000, dtype=object)\n"
        "part = lists[0]; whole = np.array([1, 2, 3] * 1000, dtype=object)"
    )
    _, wrong = two_shells.restore(
        {
            "values": "column[:5].tolist() == ['new', 'paid', None, 2.5, b'x'] and column[8000] == column[8001] == 'rare'",
            "one object": "column[0] is column[5] is column[8995] and column[8000] is not column[8001]",
            "view": "view.__setitem__(0, 'w') is None and column[10] == 'w' and len(view) == 8990",
            "turned": "turned.flags.f_contiguous and turned[1, 0] == 'new' and turned[0, 1:4].tolist() == ['paid', None, 2.5]",
            "read-only": "not fixed.flags.writeable and column.flags.writeable and fixed[8000] == 'rare'",
            "blank": "blank.tolist() == [None] * 5000 and odd[:3].tolist() == ['new', None, b'x']",
            "late": "late[0] == 'a' and late[-200:].tolist() == [f'late {k}' for k in reversed(range(200))]",
            "many": "many.tolist() == [f'm{k % 300}' for k in range(9000)] and whole.sum() == 6000",
            "lists": "lists[0] is part is lists[2] and lists[1] is None",
        }
    )
    assert wrong == {}


@pytest.mark.parametrize("number", [1, 2, 3, 4, 8, 9, 64, 256])
def test_codes_come_back_as_what_they_stand_for(number: int) -> None:
    """Whether neighbours are taken together or not: each place has its object, held once more, and owns its memory."""
    import numpy as np

    from nbsnap.builders.numpy import coded

    items = [f"item {k}" for k in range(number)]
    held = [*map(sys.getrefcount, items)]
    for size in (1000, 1001, 65_539, 131_075):
        codes = np.random.default_rng(size).integers(0, number, size).astype("u1")
        made: Any = coded(items, codes, (size,), "C", True)
        assert all(map(operator.is_, made, map(items.__getitem__, codes)))
        assert made.base is None
        times = np.bincount(codes, minlength=number)
        assert [*map(sys.getrefcount, items)] == [before + more for before, more in zip(held, times, strict=True)]
        del made
    turned: Any = coded(items, codes[:120_000], (600, 200), "F", False)
    assert (turned.flags.f_contiguous, turned.flags.writeable) == (True, False)
    assert turned[:, 1].tolist() == [items[code] for code in codes[600:1200]]


def test_codes_that_are_too_high_harm_nothing() -> None:
    """They lie in memory that may be damaged, and be verified later: until then some object stands there."""
    import numpy as np

    from nbsnap.builders.numpy import coded

    for size in (1000, 131_075):
        for number in (1, 2, 4, 30, 256):
            items = [*range(number)]
            made: Any = coded(items, np.full(size, 255, "u1"), (size,), "C", True)
            assert set(made) <= set(items)


def test_codes_depend_on_the_content_alone() -> None:
    """Equal arrays are saved as equal bytes, wherever in memory their objects lie; few bytes, and out of band."""
    import numpy as np

    from nbsnap.capture import take_apart

    def saved() -> tuple[bytes, list[bytes]]:
        texts = [f"{k} of some" for k in range(100)]
        np.random.default_rng().shuffle(texts)  # what was made first lies first
        texts = sorted("".join(text) for text in texts)
        texts = [text.encode().decode() for text in np.random.default_rng().permutation(texts)]
        array = np.array(sorted(texts), dtype=object)[np.random.default_rng(7).integers(0, 100, 50_000)]
        ((_, stream, buffers),) = take_apart({"a": array}, ["a"])._groups
        return stream, [bytes(buffer.raw()) for buffer in buffers]

    first, second = saved(), saved()
    assert first == second
    assert [len(data) for data in first[1]] == [50_000]


def test_rows_of_a_frame_stay_a_view_of_it(two_shells: Any) -> None:
    """pandas copies them where it pickles them: they are stored once, share memory, and copy before they are written."""
    pytest.importorskip("pandas", "3")
    from nbsnap.capture import take_apart

    make = (
        "import numpy as np, pandas as pd\nframe = pd.DataFrame({c: np.arange(20_000.0) for c in 'abcd'})\n"
        "train, test = frame.iloc[:16_000], frame.iloc[16_000:]; rows = frame.iloc[::3]"
    )
    two_shells.save(make)
    _, wrong = two_shells.restore(
        {
            "shared": "all(np.shares_memory(frame['b'].values, part['b'].values) for part in (train, test, rows))",
            "values": "train['d'].sum() == sum(range(16_000)) and test.index[0] == 16_000 and rows['a'].iloc[1] == 3",
            "written": "train.iloc.__setitem__((0, 0), 77.0) is None and frame.iloc[0, 0] == 0 and rows.iloc[0, 0] == 0",
            "back": "frame.iloc.__setitem__((19_999, 3), -1.0) is None and test.iloc[-1, 3] == 19_999",
        }
    )
    assert wrong == {}
    names: dict[str, Any] = {}
    exec(make, names)
    groups = take_apart(names, ["frame", "train", "test", "rows"])._groups
    assert sum(buffer.raw().nbytes for _, _, buffers in groups for buffer in buffers) < 700_000
    assert sum(len(stream) for _, stream, _ in groups) < 20_000


def test_arrays_with_gaps_go_out_of_band(two_shells: Any) -> None:
    """NumPy would copy them into the stream; they come back without the gaps, as ever."""
    import numpy as np

    from nbsnap.capture import take_apart

    two_shells.save(
        "import numpy as np\nhalf = np.arange(40_000)[::2].copy()[::2]; block = np.arange(90_000.0).reshape(300, 300)[:, :100]\n"
        "turned = np.arange(60_000.0).reshape(20, 30, 100).transpose(1, 0, 2); fixed = np.arange(40_000)[::3]; fixed.flags.writeable = False"
    )
    _, wrong = two_shells.restore(
        {
            "half": "half.tolist() == list(range(0, 40_000, 4)) and half.flags.writeable",
            "block": "block.shape == (300, 100) and block[1].tolist() == list(range(300, 400)) and block.flags.c_contiguous",
            "turned": "turned.shape == (30, 20, 100) and turned[2, 1, 3] == 3203",
            "fixed": "fixed[-1] == 39_999 and not fixed.flags.writeable",
        }
    )
    assert wrong == {}
    ((_, stream, buffers),) = take_apart({"x": np.arange(100_000).reshape(100, -1)[:, :500]}, ["x"])._groups
    assert len(stream) < 500
    assert [buffer.raw().nbytes for buffer in buffers] == [400_000]


def test_seeds_of_a_class_of_the_session_go_their_own_way(two_shells: Any) -> None:
    """What NumPy's own are written as is for these alone; a subclass keeps its class, and what it adds."""
    report = two_shells.save(
        "import numpy as np\nclass Tagged(np.random.SeedSequence):\n"
        "    def __init__(self, seed, tag): super().__init__(seed); self.tag = tag\n"
        "    def __reduce__(self): return Tagged, (self.entropy, self.tag)\n"
        "seeds, plain = Tagged(5, 'a'), np.random.SeedSequence(5)"
    )
    assert report["skipped"] == []
    restored, wrong = two_shells.restore(
        {
            "class": "type(seeds) is Tagged and seeds.tag == 'a'",
            "same": "seeds.generate_state(2).tolist() == plain.generate_state(2).tolist()",
        }
    )
    assert (restored["failed"], wrong) == ([], {})
