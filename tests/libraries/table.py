"""One table of what people make with libraries: each object is saved in one process, restored and used in another.

A row is what a user types, and what must be true of it. All rows of a library live in one session (`inside.py` runs
it), so each also stands beside all the others. Everything is looked at twice, in the session that saved, after it
saved, and in the one that restored:

- `holds`: expressions that must be true in both;
- `same`: expressions whose values, compared by `repr`, must be the same in both: the next draw of a generator, a
  prediction, one more step of training, the bytes of a drawing.

Statements may stand before the expression. `skipped` names the variables that cannot be saved, each with a word of the
reason that the report must give; every other variable has to come back. A `remark` says in what other form something
comes back; without one, the report must have no note about it either. `docs/coverage.md` is written from this table.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """Objects of one kind: what they are in words, how they are made, what must hold."""

    what: str
    code: str
    holds: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)
    remark: str = ""


@dataclass(frozen=True)
class Library:
    """A library and its rows. `title` is what people call it, `packages` what is installed for it."""

    title: str
    packages: tuple[str, ...]
    rows: tuple[Row, ...]


def all_libraries() -> dict[str, Library]:
    """Return the whole table, by the names that tests and pages use."""
    from . import rows_arrays, rows_drawing, rows_frames, rows_learning, rows_models, rows_networks, rows_text

    parts = (rows_arrays, rows_frames, rows_learning, rows_networks, rows_drawing, rows_models, rows_text)
    return {library.title: library for part in parts for library in part.LIBRARIES}
