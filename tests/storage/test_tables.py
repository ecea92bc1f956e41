"""Tables as JSON: what is put together of texts made before is what would be made anew."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from nbsnap import manifest, tables
from nbsnap.model import Content, Group, Variable


@pytest.fixture(autouse=True)
def anew() -> None:
    tables._runs.clear()


def plainly(part: str, records: tuple[Any, ...]) -> str:
    """The text of a table as one call of `json` makes it."""
    columns = {}
    for name, default, put in manifest._COLUMNS[part]:
        column = [getattr(record, name) for record in records]
        if put is not None or any(value != default for value in column):
            columns[name] = column if put is None else list(map(put, column))
    return json.dumps(columns, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def text(part: str, records: tuple[Any, ...]) -> str:
    return tables.table(part, records, manifest._COLUMNS[part])


def variable(rng: random.Random) -> Variable:
    name = rng.choice(["a", "\u00e9", '"', "\\", "\ud800", "\U0001f600", "\n"]) + str(rng.randrange(10_000))
    if rng.random() < 0.6:
        return Variable(name, "int", 5, "", "g0")
    notes = rng.choice([(), ("a note",)])
    return Variable(
        name, "list", rng.randrange(1 << 40), "len 3", "g1", rng.choice([None, 0, 7]), "x = 1", notes, "f:1"
    )


def test_it_is_what_json_says_whatever_was_made_before() -> None:
    """Records are changed, added, taken away and moved, in tables of all lengths; the text is that of a fresh one."""
    rng = random.Random(5)
    records: list[Variable] = []
    for turn in range(150):
        match rng.randrange(5):
            case 0:
                records += [variable(rng) for _ in range(rng.choice([1, 2, tables.RUN, 3 * tables.RUN]))]
            case 1 if records:
                place = rng.randrange(len(records))
                records[place] = replace(records[place], size=rng.randrange(100))
            case 2 if records:
                del records[rng.randrange(len(records))]
            case 3 if records:
                records.insert(0, records.pop())
            case _:
                records[rng.randrange(len(records) + 1) :] = []
        if records:
            some = tuple(records)
            assert text("variables", some) == plainly("variables", some), turn


def test_a_field_that_has_its_default_in_some_runs() -> None:
    """It is left out where all records have the default, and written out in full where one has not."""
    records = [Variable(f"v{k}", "int", 5, "", "g0") for k in range(3 * tables.RUN)]
    assert set(json.loads(text("variables", tuple(records)))) == {"name", "type", "size", "group"}
    records[tables.RUN + 1] = replace(records[0], cell=7, notes=("a note",))
    found = text("variables", tuple(records))
    assert found == plainly("variables", tuple(records))
    cells = json.loads(found)["cell"]
    assert (len(cells), [cell for cell in cells if cell is not None]) == (3 * tables.RUN, [7])


def test_equal_records_are_not_taken_for_the_same() -> None:
    """A text is used again for the very records that it was made of, not for records that are equal to them."""
    some = (Variable("x", "int", 1, "", "g0"),)
    other = (Variable("x", "int", True, "", "g0"),)
    assert some == other
    assert '"size":[1]' in text("variables", some)
    assert '"size":[true]' in text("variables", other)


def test_only_what_is_new_is_made() -> None:
    """Of 5,000 variables one of which is another, one run is made anew."""
    records = [Variable(f"v{k}", "int", 5, "", "g0") for k in range(5_000)]
    text("variables", tuple(records))
    before = dict(tables._runs)
    text("variables", tuple(records))
    assert tables._runs == before
    records[1_000] = replace(records[1_000], size=6)
    text("variables", tuple(records))
    assert [key for key, run in tables._runs.items() if run is not before[key]] == [("variables", 1_000 // tables.RUN)]


def test_what_is_remembered_is_bounded() -> None:
    """Of a table of 100,000 records the first 16,384 are remembered."""
    records = tuple(Variable(f"v{k}", "int", 5, "", "g0") for k in range(100_000))
    assert text("variables", records) == text("variables", records) == plainly("variables", records)
    assert sum(len(run.records) for run in tables._runs.values()) == 16_384


def test_groups_with_content() -> None:
    """What is written in a form of its own is always there."""
    ids = ("0" * 64, "1" * 64)
    groups = (Group("g0", ("a",), (), "pickle", Content(5, ids[:1]), (Content(0), Content(3, ids[1:]))),)
    many = groups * (tables.RUN + 1)
    for some in (groups, many, groups, many):
        assert text("groups", some) == plainly("groups", some)
    assert json.loads(text("groups", groups))["stream"] == [[5, ids[0]]]
