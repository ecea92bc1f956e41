"""The examples run, and what they claim holds."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


@pytest.mark.kernel
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_killed_and_restored_notebook_goes_on_as_if_nothing_had_happened(notebook):
    """Killed with SIGKILL in the risky cell and restored, every later cell shows what it shows uninterrupted."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / "run.py", notebook], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    cells, of_them = re.search(r"(\d+) of (\d+) cells gave the same output", done.stdout).groups()
    assert cells == of_them
    assert "SIGKILL" in done.stdout
    assert "Restored before-" in done.stdout
    assert re.search(r"not saved .*generator", done.stdout)
    assert "sqlite3.Connection" in done.stdout


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_example_notebooks_are_clean(notebook):
    """An example is a valid notebook without outputs, with one risky cell and text between the code."""
    book = nbformat.read(notebook, as_version=4)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [None] * len(code)
    assert all(cell.outputs == [] for cell in code)
    assert sum("risky" in cell.metadata.get("tags", ()) for cell in code) == 1
    assert any("%snapshot" in cell.source for cell in code)
    assert sum(cell.cell_type == "markdown" for cell in book.cells) >= 5


@pytest.mark.kernel
def test_a_difference_is_found(tmp_path):
    """The comparison can fail: a notebook whose later cells differ from run to run ends with exit code 1."""
    cells = [("x = 1", []), ("%load_ext nbsnap\n%snapshot", []), ("import os; print(os.getpid())", ["risky"])]
    book = nbformat.v4.new_notebook()
    for source, tags in cells:
        book.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": tags}))
    notebook = tmp_path / "differs.ipynb"
    nbformat.write(book, notebook)
    done = subprocess.run(
        [sys.executable, EXAMPLES / "run.py", notebook], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert "DIFFERENT" in done.stdout
    assert "0 of 1 cells" in done.stdout
