"""Objects of real libraries come back whole and working; what cannot is told, with a reason that a user understands."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from libraries.coverage import HEAD, PAGE, section, without_versions
from libraries.running import try_library
from libraries.table import all_libraries

LIBRARIES = all_libraries()
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.mark.heavy
@pytest.mark.parametrize("title", LIBRARIES)
def test_objects_of_a_library_come_back(title: str, tmp_path: Path) -> None:
    """Restored in another process, every object is what it was and works as it did; what is not, the page says."""
    found = try_library(LIBRARIES[title], tmp_path)
    assert found.wrong == {}
    assert without_versions(section(LIBRARIES[title], found)) in without_versions(PAGE.read_text(encoding="utf-8"))


def test_the_page_tells_of_each_library_once() -> None:
    """docs/coverage.md has the sections that `coverage.py` writes, in the order of the table, and no others."""
    written = PAGE.read_text(encoding="utf-8")
    assert written.startswith(HEAD)
    assert re.findall(r"(?m)^## (.*)$", written) == list(LIBRARIES)


def test_every_library_of_the_table_is_installed_for_it() -> None:
    """The extra `libraries` names every package that the table tells of, so that a continuous run has them."""
    extras = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = {re.split(r"[^\w.-]", line, maxsplit=1)[0].lower() for line in extras["libraries"]}
    assert {package.lower() for library in LIBRARIES.values() for package in library.packages} <= named


def test_every_skip_is_checked_for_its_reason() -> None:
    """No row takes any reason whatever for an answer."""
    assert [row.what for library in LIBRARIES.values() for row in library.rows if "" in row.skipped.values()] == []
