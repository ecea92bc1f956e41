"""Objects of real libraries come back whole and working; what cannot is told, with a reason that a user understands."""

from __future__ import annotations

from pathlib import Path

import pytest
from libraries.running import try_library
from libraries.table import all_libraries

pytestmark = pytest.mark.heavy

LIBRARIES = all_libraries()


@pytest.mark.parametrize("title", LIBRARIES)
def test_objects_of_a_library_come_back(title: str, own_folder: Path) -> None:
    """Saved in one process and restored in another, every object of the table is what it was and works as it did."""
    assert try_library(LIBRARIES[title], own_folder).wrong == {}
