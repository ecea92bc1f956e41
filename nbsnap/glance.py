"""Previews as they were kept, made fit to be shown: read as the work of a stranger, and bounded.

`read` returns a `Grid`, a `Picture` or a text, or None for what is none of them, or of a later nbsnap. Nothing in these
is escaped yet. `lines` is what a terminal shows of them, and `markup` what a notebook does.
"""

from __future__ import annotations

import binascii
import json
import re
from typing import Any, NamedTuple

from nbsnap import theme
from nbsnap.model import TABLE, Preview
from nbsnap.wording import clean, count, cut, width_of

__all__ = ["ENTITIES", "Grid", "Picture", "escape", "lines", "markup", "read"]

COLUMNS, ROWS, WIDEST, LINES, TEXT = 12, 12, 60, 12, 4_000
LONGEST = 200_000  # characters
SIDE = 4096  # pixels
_SIGNATURE = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_NUMERIC = re.compile(r"u?int|float|decimal|complex|duration|timedelta", re.IGNORECASE)
_BETWEEN = "…"


class Grid(NamedTuple):
    """The head of a frame, or a part of an array."""

    columns: tuple[str, ...]
    dtypes: tuple[str, ...]  # "" for each where there are none
    names: tuple[str, ...]  # of the rows: empty where rows have no names
    rows: tuple[tuple[str, ...], ...]
    right: tuple[bool, ...]  # which columns are numbers
    rest: str  # "and 995 more rows", "at [0, 0]"


class Picture(NamedTuple):
    """A PNG, in base64 and no more than that."""

    data: str
    width: int
    height: int


def read(preview: Preview) -> Grid | Picture | str | None:
    """Return what a preview shows."""
    if len(preview.text) > LONGEST:
        return None
    if preview.mime == TABLE:
        return _grid(preview.text)
    if preview.mime == "image/png":
        return _picture(preview.text)
    if preview.mime != "text/plain" or not preview.text.strip():
        return None
    return preview.text if len(preview.text) <= TEXT else preview.text[:TEXT] + _BETWEEN


def lines(preview: Preview) -> tuple[str, ...]:
    """Return a preview in a few lines of text: for a terminal. A picture has none."""
    match read(preview):
        case Grid() as grid:
            return _drawn(grid)
        case str() as text:
            found = text.splitlines()
            return tuple(map(clean, found[:LINES])) + ((_BETWEEN,) if len(found) > LINES else ())
        case _:
            return ()


ENTITIES = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord('"'): "&quot;", ord("'"): "&#x27;"}


def escape(text: str) -> str:
    """Return a text as HTML, on one line, with all that is not plainly visible shown by its number."""
    return clean(text).translate(ENTITIES)


_BOX = "overflow-x:auto;max-width:100%;font-size:var(--jp-code-font-size,12px)"
_TABLE = "border-collapse:collapse;border:0;margin:0;font-size:inherit;color:inherit;background:transparent"
_ROW = "background:transparent;border:0"
_CELL = f"padding:0 10px 0 0;border:0;white-space:nowrap;font-family:{theme.CODE}"


def markup(preview: Preview) -> str:
    """Return a table or a picture as HTML with its styles; "" for any other."""
    match read(preview):
        case Picture(data, width, height):
            style = "max-width:100%;height:auto;background:#fff"
            return f'<img src="data:image/png;base64,{data}" width="{width}" height="{height}" alt="" style="{style}">'
        case Grid() as grid:
            return _html(grid)
        case _:
            return ""


def _html(grid: Grid) -> str:
    rows = []
    names = grid.names or ("",) * len(grid.rows)
    body = [("", *grid.columns), *((name, *row) for name, row in zip(names, grid.rows, strict=True))]
    for at, row in enumerate(body):
        cells = ""
        for place, (cell, right) in enumerate(zip(row, (False, *grid.right), strict=True)):
            align = "right" if right else "left"
            dim = f";{theme.DIM}" if not at or not place else ""
            cells += f'<td style="{_CELL};text-align:{align}{dim}">{escape(cell)}</td>' if place or grid.names else ""
        rows.append(f'<tr style="{_ROW}">{cells}</tr>')
    rest = f'<div style="{theme.DIM}">{escape(grid.rest)}</div>' if grid.rest else ""
    return f'<div style="{_BOX}"><table style="{_TABLE}"><tbody>{"".join(rows)}</tbody></table>{rest}</div>'


def _drawn(grid: Grid) -> tuple[str, ...]:
    index = grid.names or ("",) * len(grid.rows)
    body = [("", *grid.columns), *((name, *row) for name, row in zip(index, grid.rows, strict=True))]
    body = [tuple(cut(cell, 24) for cell in row) for row in body]
    if not grid.names:
        body = [row[1:] for row in body]
    right = grid.right if not grid.names else (False, *grid.right)
    widths = [max(map(width_of, column)) for column in zip(*body, strict=True)]
    found = []
    for row in body:
        parts = [(" " * (width - width_of(cell)), cell) for cell, width in zip(row, widths, strict=True)]
        found.append("  ".join(pad + cell if to else cell + pad for (pad, cell), to in zip(parts, right, strict=True)))
    return (*(line.rstrip() for line in found), *((grid.rest,) if grid.rest else ()))


def _grid(text: str) -> Grid | None:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if type(record) is not dict:
        return None
    columns, dtypes, index = (_texts(record.get(key)) for key in ("columns", "dtypes", "index"))
    rows = record.get("rows")
    rows = [_texts(row)[:COLUMNS] for row in rows[:ROWS]] if type(rows) is list else []
    columns, index = columns[:COLUMNS], index[:ROWS]
    dtypes = (dtypes + ("",) * COLUMNS)[: len(columns)]
    if not columns or any(len(row) != len(columns) for row in rows) or len(index) not in (0, len(rows)):
        return None
    right = tuple(
        bool(_NUMERIC.match(dtype)) or (not dtype and all(map(_is_number, column)))
        for dtype, column in zip(dtypes, zip(*rows, strict=True) if rows else [()] * len(columns), strict=True)
    )
    return Grid(columns, dtypes, index, tuple(rows), right, _rest(record, len(rows), columns))


def _rest(record: dict[str, Any], rows: int, columns: tuple[str, ...]) -> str:
    """Return what is not shown, in words."""
    at, shape = record.get("at"), record.get("shape")
    if type(at) is str:
        return f"at {at[:WIDEST]}"
    if type(shape) is not list or len(shape) != 2 or not all(type(one) is int and one >= 0 for one in shape):
        return ""
    more = []
    if _BETWEEN not in _texts(record.get("index")) and shape[0] > rows:
        more.append(count(shape[0] - rows, "row"))
    if _BETWEEN not in columns and shape[1] > len(columns):
        more.append(count(shape[1] - len(columns), "column"))
    return f"{_BETWEEN} {' and '.join(more)} more" if more else ""


def _texts(value: Any) -> tuple[str, ...]:
    if type(value) is not list:
        return ()
    return tuple(cut(one, WIDEST) if type(one) is str else "" for one in value[: max(COLUMNS, ROWS)])


def _is_number(text: str) -> bool:
    return text == _BETWEEN or text[-1:].isdigit()


def _picture(text: str) -> Picture | None:
    if not text.isascii():
        return None
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return None
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if not data.startswith(_SIGNATURE) or not (0 < width <= SIDE and 0 < height <= SIDE):
        return None
    return Picture(binascii.b2a_base64(data, newline=False).decode("ascii"), width, height)
