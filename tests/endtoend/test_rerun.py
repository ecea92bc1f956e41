"""What was not saved: IPython's NameError with one line more, and %restore --rerun; in real kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.kernel


def save(kernel_pair: Any) -> Any:
    """A session with a generator and a connection, saved; its kernel is killed."""
    kernel = kernel_pair.start()
    kernel.run("import sqlite3; table = [1, 2, 3]; calls = []")
    kernel.run("calls.append('slow'); db = sqlite3.connect('x.db', check_same_thread=False)\ndb.execute('select 1')")
    kernel.run("class Handle:\n    def __reduce__(self): raise TypeError('no')\nhandle, kept = Handle(), len(table)")
    kernel.run("rows = (2 * r for r in table)")
    kernel.run("%time last = (r for r in rows)")
    kernel.run("kept = 'changed since'")
    kernel.run("%snapshot")
    return kernel_pair.restart()


def test_a_lost_name_says_what_it_was(kernel_pair: Any) -> None:
    """The traceback is IPython's own; behind it one line says which cell made it, and how to have it again."""
    kernel = save(kernel_pair)
    assert "To make them again: %restore --rerun db handle rows last" in kernel.run("%restore").text
    failed = kernel.run("next(rows)", ok=False)
    assert failed.error == "NameError: name 'rows' is not defined"
    assert failed.text.rstrip().endswith(
        "nbsnap: rows, of type generator, made in In [5], was not saved: the state of running code cannot be saved;"
        " %restore --rerun rows makes it again"
    )
    assert "nbsnap" not in kernel.run("nothing_like_it", ok=False).text
    assert "nbsnap" in kernel.run("(lambda: last)()", ok=False).text
    kernel.run("rows = last = handle = 1")
    assert "nbsnap" not in kernel.run("rows + undefined", ok=False).text


def test_it_is_made_again_in_the_restored_session(kernel_pair: Any) -> None:
    """The statements are shown and run, in order; what the session has keeps its value; nothing else runs."""
    kernel = save(kernel_pair)
    kernel.run("%restore")
    dry = kernel.run("%restore --rerun last handle --dry-run").text
    assert dry == (
        "In [4]:\n    handle, kept = Handle(), len(table)\n    # kept: kept as in the session\n"
        "In [5]:\n    rows = (2 * r for r in table)\nIn [6]:\n    last = (r for r in rows)\nDry run: nothing was run\n"
    )
    assert kernel.run("last", ok=False).error
    kernel.run("table.append(50)")
    said = kernel.run("report = get_ipython().run_line_magic('restore', '--rerun last handle -o')").text
    assert "Made again: handle, rows, last · " in said
    assert kernel.value("list(last), kept, calls, type(handle) is Handle") == (
        [2, 4, 6, 100],
        "changed since",
        ["slow"],
        True,
    )
    assert kernel.value("report.ok, report.made, [step.cell for step in report.steps]") == (
        True, ("handle", "rows", "last"), [4, 5, 6],
    )  # fmt: skip
    assert "nbsnap" not in kernel.run("del rows\nrows", ok=False).text


def test_it_restores_first_where_nothing_was(kernel_pair: Any) -> None:
    """In a fresh kernel; in the one that has the session already nothing is replaced."""
    kernel = save(kernel_pair)
    assert "Restored " in kernel.run("%restore --rerun rows").text
    kernel.run("table = [7]")
    assert "Restored " not in kernel.run("%restore --rerun rows").text
    assert kernel.value("list(rows), table") == ([14], [7])


def test_what_goes_wrong_stops_it(kernel_pair: Any) -> None:
    """The error is shown as IPython shows it, what was made before stays; an unknown name is told."""
    kernel = save(kernel_pair)
    kernel.run("%restore")
    kernel.run("len = None")
    failed = kernel.run("%restore --rerun handle rows nothing", ok=False)
    assert "TypeError: 'NoneType' object is not callable" in failed.text
    assert "nbsnap: stopped there: TypeError: 'NoneType' object is not callable" in failed.text
    assert "nbsnap: no cell of the snapshot makes nothing" in failed.text
    assert kernel.value("'rows' in globals(), kept") == (False, "changed since")


def test_a_failed_restore_is_finished_after_an_install(kernel_pair: Any) -> None:
    """The line names the package and the command; once it is there, `%restore --only` brings the variable back."""
    Path("parcel.py").write_text("class Box:\n    def __init__(self, what): self.what = what\n")
    kernel_pair.start().run(
        "import sys; sys.path.insert(0, '.')\nimport parcel; box = parcel.Box([1]); n = 1\n%snapshot"
    )
    Path("parcel.py").rename("parcel.txt")
    kernel = kernel_pair.restart()
    assert "needs the module parcel" in kernel.run("%restore").text
    text = kernel.run("box", ok=False).text
    assert "nbsnap: box, of type parcel.Box, made in In [2], could not be loaded: needs the module parcel" in text
    assert "--only box tries again" in text
    command = text[text.rindex("%restore") : text.rindex(" tries again")]
    Path("parcel.txt").rename("parcel.py")
    kernel.run("n = 2")
    kernel.run(command)
    assert kernel.value("box.what, n") == ([1], 2)
