"""Tables of records as JSON: of each field, the values of all records. And what was made before is not made again.

The form is canonical, as a manifest asks for it: sorted keys, no spaces, and a field that has its default everywhere is
left out. The text of a table is put together of those of its runs, of RUN records each. A record never changes, so a
run of the very same records has the text that it had in the table of that name before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from operator import attrgetter
from typing import Any, NamedTuple

from nbsnap.identity import same

__all__ = ["RUN", "Field", "canonical", "object_of", "table"]

RUN = 64
_MOST = 256  # runs of a table that are remembered: of 16,384 records


class Field(NamedTuple):
    """One field of the records of a table."""

    name: str
    default: Any
    put: Callable[[Any], Any] | None = None  # makes a value of JSON of its value; then it is never left out


class _Run(NamedTuple):
    records: tuple[Any, ...]
    texts: tuple[str, ...]  # of each field, without the brackets; "" where all records have the default


_runs: dict[tuple[str, int], _Run] = {}  # by the name of the table and the number of the run

_CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
canonical = _CANONICAL.encode


def object_of(texts: Mapping[str, str]) -> str:
    """Return the text of an object of its names and the texts of its values."""
    return f"{{{','.join([f'{canonical(name)}:{text}' for name, text in sorted(texts.items())])}}}"


def table(name: str, records: tuple[Any, ...], fields: Sequence[Field]) -> str:
    """Return the text of a table, which is remembered by its name."""
    runs = [_run(name, start // RUN, records[start : start + RUN], fields) for start in range(0, len(records), RUN)]
    columns = {}
    for at, field in enumerate(fields):
        texts = [run.texts[at] for run in runs]
        if any(texts):
            columns[field.name] = f"[{','.join(texts if all(texts) else _filled(texts, runs, field))}]"
    return object_of(columns)


def _filled(texts: list[str], runs: list[_Run], field: Field) -> list[str]:
    """Return the texts of a field with the default where it is all that there is."""
    default = canonical(field.default)
    return [text or ",".join(repeat(default, len(run.records))) for text, run in zip(texts, runs, strict=True)]


def _run(name: str, number: int, records: tuple[Any, ...], fields: Sequence[Field]) -> _Run:
    before = _runs.get((name, number))
    if before is not None and same([before.records], [records])[0]:
        return before
    rows = records if type(records[0]) is tuple else map(attrgetter(*[field.name for field in fields]), records)
    made = _Run(records, tuple(map(_text, fields, zip(*rows, strict=True))))
    if number < _MOST:
        _runs[name, number] = made
    return made


def _text(field: Field, column: tuple[Any, ...]) -> str:
    if field.put is not None:
        return canonical(list(map(field.put, column)))[1:-1]
    return canonical(column)[1:-1] if column.count(field.default) < len(column) else ""
