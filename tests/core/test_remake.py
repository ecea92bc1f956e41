"""Which statements make again what was not saved: told from the text of the cells."""

from __future__ import annotations

from nbsnap.remake import plan

CELLS = [
    (1, "import sqlite3\nimport os, json as j"),
    (2, "table = list(range(10)); path = 'x.db'\n"
        "db = sqlite3.connect(path); db.execute('create table t (a)')\nlong = sum(table)"),
    (3, "rows = (r for r in table)"),
    (5, "cur = db.cursor()\n# a comment\nif table:\n    cur.execute(\n        'select 1')"),
    (6, "x, more = 5, (r for r in cur)"),
    (7, "rows = (r + 1 for r in table)"),
]  # fmt: skip
SAVED = {"sqlite3", "os", "j", "table", "path", "long", "x"}


def code(wanted: str, there: set[str] = SAVED) -> list[tuple[int, str]]:
    return [(step.cell, step.code) for step in plan(CELLS, wanted.split(), there).steps]


def test_the_last_cell_that_binds_a_name_counts() -> None:
    """And of it only what has to do with the name: nothing is computed again that is there."""
    assert code("rows") == [(7, "rows = (r + 1 for r in table)")]
    assert code("db") == [(2, "db = sqlite3.connect(path)\ndb.execute('create table t (a)')")]


def test_what_it_needs_and_is_not_there_is_made_before() -> None:
    """In the order in which it was run at first, once."""
    cursor = (5, "cur = db.cursor()\nif table:\n    cur.execute(\n        'select 1')")
    assert code("cur") == [(2, "db = sqlite3.connect(path)\ndb.execute('create table t (a)')"), cursor]
    assert [cell for cell, _ in code("more rows cur")] == [2, 5, 6, 7]
    assert code("cur", SAVED | {"db"}) == [cursor]
    everything = code("cur", set())
    assert everything[0] == (1, "import sqlite3")
    assert everything[1] == (
        2, "table = list(range(10))\npath = 'x.db'\ndb = sqlite3.connect(path)\ndb.execute('create table t (a)')\n"
        "long = sum(table)",
    )  # fmt: skip


def test_what_is_there_and_bound_besides_is_told() -> None:
    """The session keeps its value."""
    (*_, last) = plan(CELLS, ["more"], SAVED).steps
    assert (last.makes, last.rebinds) == (("more",), ("x",))


def test_a_name_that_no_cell_binds() -> None:
    """It is told; the others are made all the same."""
    found = plan(CELLS, ["nothing", "rows"], SAVED)
    assert (found.unknown, found.makes) == (("nothing",), ("rows",))


def test_functions_classes_and_magics() -> None:
    """Decorators belong to a function, what its body reads too; the body of %%time is a cell; loops of names end."""
    cells = [
        (1, "get_ipython().run_cell_magic('time', '', 'con = connect()\\n')"),
        (2, "@wraps(con)\n@again\ndef use(x, y=lambda: con):\n    z = x\n    return [con for q in z]"),
        (3, "class A:\n    made = use"),
        (4, "a = A(); b = a if 'b' in globals() else b"),
        (5, "def even(n): return odd(n)\ndef odd(n): return even(n)"),
        (6, "not python ("),
    ]
    there = {"connect", "wraps", "again"}
    assert [(step.cell, step.code) for step in plan(cells, ["a"], there).steps] == [
        (1, "con = connect()"), (2, cells[1][1]), (3, cells[2][1]), (4, "a = A()\nb = a if 'b' in globals() else b"),
    ]  # fmt: skip
    assert plan(cells, ["even"], there).makes == ("even", "odd")


def test_a_name_before_it_was_bound_anew() -> None:
    """`con = wrap(con)` needs the connection of the cell before."""
    cells = [(1, "con = connect()"), (2, "con = wrap(con)"), (3, "con.go()")]
    assert [step.cell for step in plan(cells, ["con"], {"connect", "wrap"}).steps] == [1, 2]
