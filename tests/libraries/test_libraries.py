"""Objects of real libraries come back whole and working; what cannot is told, with a reason that a user understands."""

from __future__ import annotations

import functools
import re
import tempfile
import tomllib
from pathlib import Path

import pytest
from libraries.coverage import PAGE, page, without_versions
from libraries.running import Found, try_library
from libraries.table import all_libraries

LIBRARIES = all_libraries()
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


@functools.cache
def found_in(title: str) -> Found:
    """What the two sessions of a library told; run once, whichever test asks first."""
    with tempfile.TemporaryDirectory() as folder:
        return try_library(LIBRARIES[title], Path(folder))


@pytest.mark.heavy
@pytest.mark.parametrize("title", LIBRARIES)
def test_objects_of_a_library_come_back(title: str) -> None:
    """Saved in one process and restored in another, every object of the table is what it was and works as it did."""
    assert found_in(title).wrong == {}


@pytest.mark.heavy
@pytest.mark.timeout(1800)
def test_the_page_says_what_the_table_and_a_run_say() -> None:
    """docs/coverage.md is what `coverage.py` writes, the versions of the libraries apart."""
    written = page({title: found_in(title) for title in LIBRARIES})
    assert without_versions(PAGE.read_text(encoding="utf-8")) == without_versions(written)


def test_every_library_of_the_table_is_installed_for_it() -> None:
    """The extra `libraries` names every package that the table tells of, so that a continuous run has them."""
    extras = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = {re.split(r"[^\w.-]", line, maxsplit=1)[0].lower() for line in extras["libraries"]}
    assert {package.lower() for library in LIBRARIES.values() for package in library.packages} <= named


def test_every_skip_is_checked_for_its_reason() -> None:
    """No row takes any reason whatever for an answer."""
    assert [row.what for library in LIBRARIES.values() for row in library.rows if "" in row.skipped.values()] == []
