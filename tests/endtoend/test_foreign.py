"""Notebooks that others wrote, cut after every cell: what each cell shows is what it shows in one uninterrupted run.

The notebooks ship inside the source distributions of packages on the index (`sdists`); nothing of them is kept here.
A notebook is first run in one kernel, from top to bottom. Then each of its cells is run in a kernel of its own:
restore, the cell, snapshot, SIGKILL. Text, HTML, errors and pictures of every cell must be the same, and whatever the
reports say was not saved must be listed here.

What a kernel's front end sets up is not a variable, and is typed again after each restore, as a start-up file would:
the line magics `%matplotlib`, `%config`, `%precision`, `%load_ext` of the cells so far. Warnings are not compared:
Python shows each once in a process, so a new process shows it again.

The archives are kept in the folder that NBSNAP_TEST_SDISTS names, else in pytest's cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest
from endtoend import sdists
from kernels import Kernel, Output

pytestmark = [pytest.mark.foreign, pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(600)]

MOST_CELLS = 25
#: Pictures in the notebook; and sets of strings in one order, for it is a process's own and some notebooks show it.
ENVIRONMENT = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "PYTHONHASHSEED": "0"}
SET_UP = re.compile(r"^%(matplotlib|config|precision|load_ext)\b.*$", re.MULTILINE)
STATSMODELS = ("statsmodels==0.14.6", "examples/notebooks/")
IPYTHON = ("ipython==8.18.1", "examples/IPython Kernel/")
CORNER = ("corner==2.3.0", "docs/pages/")
SEABORN = ("seaborn==0.13.2", "doc/_docstrings/")
FORMULAIC = ("formulaic==1.2.2", "docsite/docs/guides/")


@dataclass(frozen=True)
class Notebook:
    """One notebook of a source distribution; `lost` names the variables that cannot be saved, by the reports."""

    package: str
    path: str
    lost: frozenset[str] = field(default_factory=frozenset)
    different: frozenset[int] = field(default_factory=frozenset)  # cells that need what was lost, counted from 0

    def __str__(self) -> str:
        return f"{self.package.partition('=')[0]}-{Path(self.path).stem.replace(' ', '_')}"


def of(place: tuple[str, str], name: str, **more: Any) -> Notebook:
    return Notebook(place[0], place[1] + name + ".ipynb", **more)


NOTEBOOKS = [
    of(STATSMODELS, "gls"),
    of(IPYTHON, "Trapezoid Rule"),
    of(CORNER, "custom"),
    of(CORNER, "quickstart"),
    of(FORMULAIC, "quickstart"),
    of(FORMULAIC, "missing_data"),
    of(STATSMODELS, "glm_formula"),
    of(SEABORN, "objects.Plot.layout"),
    of(STATSMODELS, "quasibinomial"),
    of(FORMULAIC, "transforms"),
    of(STATSMODELS, "quantile_regression"),
    of(CORNER, "sigmas"),
    of(SEABORN, "objects.Plot.limit"),
    of(IPYTHON, "Capturing Output"),
    of(STATSMODELS, "distributed_estimation"),
    of(FORMULAIC, "model_specs"),
]


@pytest.fixture(scope="session")
def archives(pytestconfig: pytest.Config) -> Path:
    """The folder of the source distributions, which are fetched once."""
    named = os.environ.get("NBSNAP_TEST_SDISTS")
    assert pytestconfig.cache is not None
    folder = Path(named) if named else pytestconfig.cache.mkdir("sdists")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def cells_of(text: str) -> list[str]:
    """Return the code cells of a notebook, in any version of the format."""
    cells = nbformat.reads(text, as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == "code" and cell.source.strip()][:MOST_CELLS]


def shown(output: Output) -> dict[str, Any]:
    """What a reader sees of a cell, less what differs from run to run."""
    kinds = ("text/plain", "text/html", "text/latex", "text/markdown", "image/svg+xml", "application/json")
    bundles = [{kind: plain(bundle[kind]) for kind in kinds if kind in bundle} for bundle in output.displays]
    return {
        "stdout": plain(output.stdout),
        "displays": bundles,
        "error": plain(output.error or ""),
        "pictures": [hashlib.sha256(picture).hexdigest() for picture in output.images],
    }


def plain(text: Any) -> str:
    """Return text without addresses, times of day and durations."""
    text = re.sub(r"\b0x[0-9a-f]{6,}\b", "0x…", text if isinstance(text, str) else json.dumps(text))
    text = re.sub(r"\b\d\d:\d\d:\d\d\b", "hh:mm:ss", text)
    text = re.sub(r"\b[\d.]+ (?:s|ms|µs|us|ns)\b(?: ± [\d.]+ (?:s|ms|µs|us|ns))?", "… s", text)
    return re.sub(r"\bid=\"[^\"]*\"|\bid='[^']*'|#T_\w+|sk-[\w-]+", "id", text)


def uninterrupted(cells: list[str], folder: Path) -> list[dict[str, Any]]:
    with Kernel(folder, env=ENVIRONMENT) as kernel:
        return [shown(kernel.run(cell, ok=False)) for cell in cells]


def cut(cells: list[str], folder: Path) -> tuple[list[dict[str, Any]], set[str]]:
    """Run each cell in a kernel of its own; return what they showed, and the names of what was not saved."""
    seen, lost = [], set()
    for i, cell in enumerate(cells):
        with Kernel(folder, notebook=str(folder / "n.ipynb"), env=ENVIRONMENT) as kernel:
            kernel.run("%load_ext nbsnap")
            if i and (folder / ".nbsnap").exists():
                lost |= names_in(kernel.run(asking("restore"), timeout=60).stdout)
            for again in SET_UP.finditer("\n".join(cells[:i])):
                kernel.run(again.group())
            seen.append(shown(kernel.run(cell, ok=False)))
            told = kernel.run(asking("snapshot"), timeout=60)
            if "there is no variable to save" not in told.stderr:
                lost |= names_in(told.stdout)
            kernel.kill()
    return seen, lost


def asking(verb: str) -> str:
    """Return a cell that runs a magic and prints its report, and binds no name."""
    return f"print(get_ipython().run_line_magic({verb!r}, '-q -o').to_json())"


def names_in(report: str) -> set[str]:
    """Return the names that a report says were not saved, or not restored."""
    told = json.loads(report[report.index("{") :])
    return {skip["name"] for key in ("skipped", "failed", "not_saved") for skip in told.get(key, ())}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=str)
def test_a_foreign_notebook_cut_after_every_cell(notebook: Notebook, archives: Path, own_folder: Path) -> None:
    """Every cell shows the same in a kernel that was restored as in one that has run all cells before it."""
    cells = cells_of(sdists.read(sdists.fetch(notebook.package, archives), notebook.path))
    whole, parts = own_folder / "whole", own_folder / "cut"
    whole.mkdir()
    parts.mkdir()
    expected = uninterrupted(cells, whole)
    seen, lost = cut(cells, parts)
    wrong = {i for i, (one, other) in enumerate(zip(expected, seen, strict=True)) if one != other}
    first = min(wrong - notebook.different, default=-1)
    assert wrong == notebook.different, f"In the cell\n{cells[first]}\nshown {expected[first]}\nand then {seen[first]}"
    assert lost == notebook.lost
