"""NumPy beyond plain arrays: subclasses, arrays of objects, rows of records; what shares memory goes on sharing it."""

from __future__ import annotations

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
