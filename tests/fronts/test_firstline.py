"""`%%snapshot` written out: what IPython compiles in the place of the cell as it was typed."""

from __future__ import annotations

import ast

import pytest

from nbsnap.firstline import written_out

CALL = "get_ipython().run_cell_magic('snapshot', {!r}, '\\n')\n"
LAST = "get_ipython().find_cell_magic('snapshot').__self__.taken\n"


def cell(*lines: str) -> list[str]:
    return [f"{line}\n" for line in lines]


def test_the_first_line_becomes_a_call_and_the_rest_stays():
    """Line for line, so that tracebacks name the lines that the user has typed."""
    assert written_out(cell("%%snapshot", "x = 1", "", "await y")) == [CALL.format(""), *cell("x = 1", "", "await y")]
    assert written_out(cell("%%snapshot  a -m 'b c'  ", "x")) == [CALL.format("a -m 'b c'"), "x\n"]
    assert written_out(["%%snapshot a\n", "x"]) == [CALL.format("a"), "x\n"]


def test_a_second_cell_magic_gets_the_rest():
    """`%%time` below `%%snapshot` takes the lines below it, as if it were the first."""
    out = written_out(cell("%%snapshot", "", "%%time -n", "x = 'a'", "y"))
    rest = "x = 'a'\ny\n"
    assert out == [CALL.format(""), "\n", f"get_ipython().run_cell_magic('time', '-n', {rest!r})\n"]
    ast.parse("".join(out))


@pytest.mark.parametrize("words", ["-o", "a -qo", "--output", "-q -o a"])
def test_output_makes_the_report_the_value_of_the_cell(words):
    """-o, in whatever company, adds a last line."""
    assert written_out([f"%%snapshot {words}\n", "x"]) == [CALL.format(words), "x\n", LAST]


@pytest.mark.parametrize("words", ["-m '-o no'", "only", "-m --o", "a'b", "--only x"])
def test_other_words_do_not(words):
    """What only looks like it is no -o."""
    assert written_out([f"%%snapshot {words}\n", "x\n"]) == [CALL.format(words), "x\n"]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["x = 1\n"],
        ["%%snapshot\n"],
        ["%%snapshot a\n", "\n", "  \n"],
        ["%%snapshot?\n", "x\n"],
        ["%%snapshots\n", "x\n"],
        [" %%snapshot\n", "x\n"],
        ["x\n", "%%snapshot\n"],
        ["%snapshot a\n", "x\n"],
        ["%%snapshot\n", "from __future__ import annotations\n"],
    ],
)
def test_all_else_is_left_to_ipython(lines):
    """Other cells, help, a cell without lines, and one that has to begin with its imports."""
    before = list(lines)
    assert written_out(lines) == before
    assert lines == before


def test_a_cell_that_is_typed_is_complete_at_a_blank_line(shell):
    """IPython goes on asking for lines of the cell, as it does for every cell magic."""
    ask = "get_ipython().check_complete({!r})[0]"
    said = shell(
        "%load_ext nbsnap", *(ask.format(text) for text in ("%%snapshot", "%%snapshot a\nx = 1\n", "%%snapshot\nx\n\n"))
    )
    assert [line.split()[-1] for line in said[1:]] == ["'incomplete'", "'incomplete'", "'complete'"]
