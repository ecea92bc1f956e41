"""A look at values for people: the head of a frame, the corners of an array, the first items of a dict, a small figure.

Taken when a snapshot is made and kept in its manifest, so that nothing has to be loaded to show it. Three rules:

- **No code of the user's runs**: only exact types of Python, NumPy, pandas, polars and matplotlib are looked into, and
  what lies inside them is shown by its type's name unless it is an atom of theirs. Nothing is imported, formatted by a
  library's settings, drawn, or computed over all elements.
- **It is bounded**: a few rows, items and characters each; in all `LIMIT` characters and `SECONDS` of the processor's
  time. Frames, figures, arrays and the rest take turns, so that thousands of one kind leave room for the others.
- **Nothing that is called a secret**: neither a variable of such a name, nor a column, a row or an item; and what looks
  like one is masked (`sieve`).

A preview has a MIME type: `text/plain`; `image/png`, in base64; or `TABLE`, which is JSON, all cells texts:
`{"columns": […], "dtypes": […], "index": […], "rows": [[…], …], "shape": [rows, columns], "at": "[0, 0]"}`. `dtypes`,
`index` and `at` (the place in an array of more dimensions) may be absent; a column or row "…" stands for those between.
"""

from __future__ import annotations

import collections
import datetime
import functools
import itertools
import json
import operator
import pathlib
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from . import beside
from .called import names_secret
from .describe import module_of, type_name
from .model import TABLE, Preview
from .sieve import DEFAULT, Sieve
from .taken import Taken
from .thumbnail import figure_of, thumbnail
from .unchanged import Known

__all__ = ["LIMIT", "SECONDS", "of_taken", "preview", "previews"]

LIMIT = 64_000  # characters in one snapshot
LEAST = 200  # where there is room for fewer, no more are made
SECONDS = 0.015
ROWS, COLUMNS, CELL = 5, 8, 40
CORNER = 3  # elements at either end of an array's axis
ITEMS, INNER, DEPTH = 10, 4, 2
TEXT, INNER_TEXT = 200, 60
BETWEEN, WITHHELD = "…", "(withheld)"

Found = tuple[str, str] | None
_Look = Callable[[Any], Found]


def previews(
    values: Iterable[tuple[str, object]],
    sieve: Sieve = DEFAULT,
    secrets: Sequence[str] = (),
    same: Mapping[str, Known] | None = None,
) -> tuple[Preview, ...]:
    """Return the previews of named values, in their order: as many as the budgets allow, and no secrets in them.

    `same` is what is known of small ones: the preview, too, if it was made before.
    """
    small = {} if same is None or secrets else same
    named = list(values)
    looks = _looks()
    turn_of = {cls: turn for cls, (turn, _) in looks.items()}
    dealt = list(map(turn_of.get, map(type, map(operator.itemgetter(1), named))))
    turns: list[list[int]] = [[], [], [], []]
    for place, turn in enumerate(dealt):
        if turn is not None:
            turns[turn].append(place)
    # a figure before its axes, which look alike
    turns[1].sort(key=lambda place: "canvas" not in vars(named[place][1]))
    busy, late = time.thread_time() + SECONDS, time.perf_counter() + 10 * SECONDS
    room = LIMIT
    made: dict[int, Preview] = {}
    written: dict[int, Known | None] = {}
    drawn: set[int] = set()
    for place in itertools.chain.from_iterable(itertools.zip_longest(*turns)):
        if place is None:
            continue
        name, value = named[place]
        if room < LEAST:
            break
        before = small.get(name)
        if before is not None and (shown := before.shown(sieve)) is not None:
            if len(shown.text) <= room:
                room -= len(shown.text)
                made[place] = shown
            continue
        if time.thread_time() > busy or time.perf_counter() > late:
            break
        _, look = looks[type(value)]
        if names_secret(name) or sieve.is_named(name):
            continue
        if look is _picture:
            if (figure := id(figure_of(value))) in drawn:
                continue
            drawn.add(figure)
        if (found := _safely(look, value)) is not None and len(found[1]) <= room:
            room -= len(found[1])
            made[place] = Preview(name, *found)
            if look is not _picture:
                written[place] = before
    if secrets or sieve.one_may([made[place].text for place in written]):
        made.update((place, _masked(made[place], sieve, secrets)) for place in written)
    for place, known in written.items():
        if known is not None:
            known.preview = sieve, made[place]
    return tuple(made[place] for place in sorted(made))


def _masked(preview: Preview, sieve: Sieve, secrets: Sequence[str]) -> Preview:
    return replace(preview, text=sieve.mask(preview.text, secrets))


def of_taken(
    names: Mapping[str, Any],
    taken: Taken,
    kept: Mapping[str, Any],
    sieve: Sieve = DEFAULT,
    secrets: Sequence[str] = (),
    same: Mapping[str, Known] | None = None,
) -> tuple[Preview, ...]:
    """Return the previews of what was taken: of the variables, and of the figures that were kept beside them."""
    mine = list(filter(names.__contains__, map(operator.attrgetter("name"), taken.variables)))
    found: list[tuple[str, object]] = list(zip(mine, map(names.__getitem__, mine), strict=True))
    figures = [one.name for one in taken.beside if beside.part_of(one.name) == "figures" and one.name in kept]
    return previews([*found, *((beside.name_of(entry), kept[entry]) for entry in figures)], sieve, secrets, same)


def preview(value: object) -> Found:
    """Return the MIME type and the text of a value's preview, or None where there is nothing to see."""
    kind = _looks().get(type(value))
    return None if kind is None else _safely(kind[1], value)


def _safely(look: _Look, value: object) -> Found:
    try:
        return look(value)
    except Exception:  # a courtesy: what answers strangely, or is changed by another thread meanwhile, goes without
        return None


def _looks() -> dict[type, tuple[int, _Look]]:
    """Return how to look at which type: its turn, and the function. Of libraries, those that are loaded."""
    looks = dict(_PLAIN)
    for module, name, turn, look in _OF_LIBRARIES:
        if (loaded := sys.modules.get(module)) is not None and isinstance(cls := vars(loaded).get(name), type):
            looks[cls] = (turn, look)
    return looks


# ---- atoms and containers --------------------------------------------------------------------------------------------


def _text(value: str) -> Found:
    return ("text/plain", value if len(value) <= TEXT else value[:TEXT] + BETWEEN) if value else None


def _container(value: Any) -> Found:
    return ("text/plain", _inside(value, ITEMS, DEPTH)) if len(value) else None


def _inside(value: Any, most: int, depth: int) -> str:
    """Return the first items of a container."""
    cls = type(value)
    if cls in _DICTS:
        shown = [
            f"{_short(key, 0)}: {WITHHELD if _is_secret(key) else _short(held, depth)}"
            for key, held in itertools.islice(cls.items(value), most)
        ]
    else:
        shown = [_short(held, depth) for held in itertools.islice(value, most)]
    if (rest := len(value) - len(shown)) > 0:
        shown.append(f"{BETWEEN} {rest:,} more")
    opening, closing = _BRACKETS.get(cls, ("[", "]"))
    return opening + (",\n " if most == ITEMS and cls in _DICTS else ", ").join(shown) + closing


def _short(value: Any, depth: int) -> str:
    """Return an item in few words: an atom as Python writes it, anything else by its type."""
    cls = type(value)
    if cls is str:
        return repr(value) if len(value) <= INNER_TEXT else repr(value[:INNER_TEXT]) + BETWEEN
    if cls is bytes:
        return repr(value) if len(value) <= INNER else f"{value[:INNER]!r}{BETWEEN}"
    if (atom := _atom(value)) is not None:
        return atom if len(atom) <= INNER_TEXT else atom[:INNER_TEXT] + BETWEEN
    if cls in _CONTAINERS:
        if not value or depth > 1:
            return _inside(value, INNER, depth - 1)
        return f"<{type_name(value)}, len {len(value):,}>"
    return f"<{type_name(value)}>"


def _is_secret(key: object) -> bool:
    return type(key) is str and names_secret(key)


def _atom(value: Any) -> str | None:
    """Return how a number, a date or the like is written; None for what is none of them. Texts are the caller's."""
    cls = type(value)
    if cls is float:
        return f"{value:.6g}"
    if cls is int:
        return repr(value) if value.bit_length() <= 200 else f"<int of {value.bit_length():,} bits>"
    if cls in _WRITTEN:
        return str(value)
    if cls in _CONTAINERS:
        return None
    if cls is getattr(sys.modules.get("decimal"), "Decimal", None):
        return str(value)
    if cls in _TIMES:
        return str(value) if getattr(value, "tzinfo", None) in (None, datetime.UTC) else None
    package = module_of(cls).partition(".")[0]
    if package == "numpy" and vars(sys.modules["numpy"]).get(cls.__name__) is cls:
        if cls.__name__ in _AS_TEXT:
            return str(value)
        return None if cls.__name__ in ("ndarray", "void", "object_") else _atom(value.item())
    if package == "pandas" and cls.__name__ in _OF_PANDAS:
        zone = getattr(value, "tzinfo", None)
        known = zone is None or module_of(type(zone)).partition(".")[0] in ("datetime", "zoneinfo", "pytz", "dateutil")
        return str(value).removesuffix(" 00:00:00") if known else None
    return None


_WRITTEN = frozenset({type(None), bool, complex, uuid.UUID, pathlib.PosixPath, pathlib.WindowsPath})
_AS_TEXT = frozenset({"datetime64", "timedelta64", "str_", "bytes_", "longdouble", "clongdouble"})
_OF_PANDAS = frozenset({"Timestamp", "Timedelta", "NaTType", "NAType", "Period", "Interval"})
_TIMES = frozenset({datetime.date, datetime.datetime, datetime.time, datetime.timedelta})
_DICTS = frozenset({dict, collections.OrderedDict, collections.defaultdict, collections.Counter})
_CONTAINERS = _DICTS | {list, tuple, set, frozenset, collections.deque}
_BRACKETS: dict[type, tuple[str, str]] = {
    **dict.fromkeys(_DICTS | {set, frozenset}, ("{", "}")),
    tuple: ("(", ")"),
}


# ---- frames ----------------------------------------------------------------------------------------------------------


def _cell(value: Any) -> str:
    if type(value) is str:
        return value if len(value) <= CELL else value[: CELL - 1] + BETWEEN
    if type(value) is float:
        return f"{value:.6g}"
    if (atom := _atom(value)) is None:
        atom = f"<{type_name(value)}, len {len(value):,}>" if type(value) in _CONTAINERS else f"<{type_name(value)}>"
    return atom if len(atom) <= CELL else atom[: CELL - 1] + BETWEEN


def _label(value: Any) -> str:
    if type(value) is tuple:
        return _cell(", ".join(map(_cell, value[:INNER])))
    return _cell(value)


def _table(
    columns: Sequence[object],
    cells: Sequence[Sequence[str]],
    shape: tuple[int, ...],
    *,
    index: Sequence[object] | None = None,
    **more: object,
) -> Found:
    """Return a table of what is in the columns, less what goes by the name of a secret."""
    hidden = [_names_secret(label) for label in columns]
    rows = [
        [WITHHELD if hide or (index is not None and _names_secret(index[at])) else cell
         for hide, cell in zip(hidden, row, strict=True)]
        for at, row in enumerate(zip(*cells, strict=True))
    ]  # fmt: skip
    record: dict[str, object] = {"columns": list(map(_label, columns)), "rows": rows, "shape": list(shape), **more}
    if index is not None:
        record["index"] = list(map(_label, index))
    return TABLE, json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def _names_secret(label: object) -> bool:
    return any(map(_is_secret, label)) if type(label) is tuple else _is_secret(label)


def _of_pandas(part: object) -> bool:
    return module_of(type(part)).partition(".")[0] in ("pandas", "numpy")


def _pandas_cells(column: Any) -> list[str]:
    """Return the first cells of a column of pandas' own; one that another library keeps is not asked."""
    dtype = column.dtype
    if module_of(type(dtype)).startswith("numpy") and dtype.kind in "biuf":
        return list(map(_cell, column.to_numpy()[:ROWS].tolist()))
    return list(map(_cell, column.array[:ROWS].tolist())) if _of_pandas(dtype) else [BETWEEN] * min(len(column), ROWS)


def _pandas_labels(index: Any, most: int) -> list[object] | None:
    return list(index[:most]) if _of_pandas(index) and _of_pandas(index.dtype) else None


def _pandas_dtype(column: Any) -> str:
    dtype = column.dtype
    if module_of(type(dtype)).startswith("numpy"):
        return _numpy_name(dtype)
    return str(dtype)[:CELL] if _of_pandas(dtype) else type_name(dtype)


_numpy_name = functools.lru_cache(maxsize=64)(str)


def _pandas_frame(frame: Any) -> Found:
    labels = _pandas_labels(frame.columns, COLUMNS)
    if not labels:
        return None
    column_at = getattr(frame, "_ixs", None)  # what iloc comes to, in half the time
    columns = [frame.iloc[:, at] if column_at is None else column_at(at, axis=1) for at in range(len(labels))]
    cells, index = list(map(_pandas_cells, columns)), _pandas_labels(frame.index, ROWS)
    return _table(labels, cells, frame.shape, index=index, dtypes=list(map(_pandas_dtype, columns)))


def _pandas_series(series: Any) -> Found:
    label = series.name if type(series.name) in (str, int, tuple) else ""
    index = _pandas_labels(series.index, ROWS)
    return _table([label], [_pandas_cells(series)], (len(series), 1), index=index, dtypes=[_pandas_dtype(series)])


def _pandas_index(index: Any) -> Found:
    labels = _pandas_labels(index, ITEMS)
    return _listed(list(map(_label, labels)), len(index)) if labels else None


def _listed(cells: list[str], total: int) -> Found:
    rest = [f"{BETWEEN} {total - len(cells):,} more"] if total > len(cells) else []
    return "text/plain", ", ".join(cells + rest)


def _polars_cells(column: Any) -> list[str]:
    head = column.head(ROWS)
    kind = type(head.dtype).__name__ if not isinstance(head.dtype, type) else head.dtype.__name__
    if kind in ("String", "Utf8"):
        return list(map(_cell, head.str.slice(0, CELL + 1).to_list()))
    return [BETWEEN] * len(head) if kind in _POLARS_WHOLE else list(map(_cell, head.to_list()))


_POLARS_WHOLE = frozenset({"List", "Array", "Struct", "Binary", "Object", "Unknown"})  # of any size


def _polars_frame(frame: Any) -> Found:
    columns = frame.get_columns()[:COLUMNS]
    dtypes = [str(column.dtype)[:CELL] for column in columns]
    names = [column.name for column in columns]
    return _table(names, list(map(_polars_cells, columns)), frame.shape, dtypes=dtypes) if columns else None


def _polars_series(series: Any) -> Found:
    return _table([series.name], [_polars_cells(series)], (len(series), 1), dtypes=[str(series.dtype)[:CELL]])


# ---- arrays ----------------------------------------------------------------------------------------------------------


def _array(array: Any) -> Found:
    """Return the ends of an array of one dimension, the corners of one of two, or of the first such part of any other.

    Nothing is computed over all of it: a minimum would read every page of an array that is mapped from a file.
    """
    if array.dtype.kind not in "biufcSUMmO" or module_of(array.dtype.type) != "numpy" or 0 in array.shape:
        return None
    if array.ndim == 0:
        return "text/plain", _cell(array[()])
    if array.ndim == 1:
        return "text/plain", f"[{', '.join(_elements(array, _ends(len(array))))}]"
    place = (0,) * (array.ndim - 2)
    part = array[place]
    down, across = _ends(part.shape[0]), _ends(part.shape[1])
    rows = [[BETWEEN] * len(across) if at is None else _elements(part[at], across) for at in down]
    more = {"at": f"[{', '.join(map(str, place))}]"} if place else {}
    columns, index = ([BETWEEN if at is None else at for at in ends] for ends in (across, down))
    return _table(columns, list(zip(*rows, strict=True)), array.shape, index=index, **more)


def _ends(length: int) -> list[int | None]:
    """Return the first and the last places of an axis, with None between them."""
    if length <= 2 * CORNER + 1:
        return list(range(length))
    return [*range(CORNER), None, *range(length - CORNER, length)]


def _elements(row: Any, places: Iterable[int | None]) -> list[str]:
    plain = row.dtype.kind in "biufc" and row.dtype.char not in "gG"  # written as Python writes its own
    return [BETWEEN if at is None else _cell(row.item(at) if plain else row[at]) for at in places]


# ---- the tables ------------------------------------------------------------------------------------------------------


def _picture(value: Any) -> Found:
    found = thumbnail(value)
    return None if found is None else ("image/png", found)


_PLAIN: dict[type, tuple[int, _Look]] = {**dict.fromkeys(_CONTAINERS, (3, _container)), str: (3, _text)}
_INDEXES = ("Index", "RangeIndex", "DatetimeIndex", "MultiIndex", "CategoricalIndex")
_OF_LIBRARIES: tuple[tuple[str, str, int, _Look], ...] = (
    ("pandas", "DataFrame", 0, _pandas_frame),
    ("pandas", "Series", 0, _pandas_series),
    *(("pandas", name, 2, _pandas_index) for name in _INDEXES),
    ("polars", "DataFrame", 0, _polars_frame),
    ("polars", "Series", 0, _polars_series),
    ("numpy", "ndarray", 2, _array),
    ("matplotlib.figure", "Figure", 1, _picture),
    ("matplotlib.axes", "Axes", 1, _picture),
)
