"""How lists, differences and removals look: in a terminal of 80 columns, in a pipe, in a notebook."""

from __future__ import annotations

import dataclasses

import pytest
from fronts.test_render import EVIL, FRAME, HEAD, ID, NOW, NUMBER, ROWS, Tags

from nbsnap import layout, render_history, wording
from nbsnap.layout import to_html, to_text
from nbsnap.records import Change, CheckReport, DiffReport, Kept, ListReport, Problem, PruneReport

OTHER = dataclasses.replace(HEAD, id="77aa01b" + "1" * 57, name="", message="", skipped=0)
LISTED = ListReport(".nbsnap", "nb.ipynb", (HEAD, OTHER), 2, 1_300_000_000)
GREW = dataclasses.replace(FRAME, summary="1,800 × 64 float64", cell=7)
F = dataclasses.replace(NUMBER, name="f", type="function", summary="(x)")
CHANGES = (
    Change("new", "added", new=dataclasses.replace(NUMBER, name="new", cell=9, summary="3")),
    Change("old", "removed", old=dataclasses.replace(NUMBER, name="old", summary="2")),
    Change("df", "changed", ("shape",), (("shape", "1,797 × 64", "1,800 × 64"),), FRAME, GREW),
    Change("f", "changed", ("source",), (), F, F, source="@@ -1,2 +1,2 @@\n def f(x):\n-    return 1\n+    return 2"),
    Change("ax", "perhaps", (), (), NUMBER, NUMBER, shares=("fig",)),
)
DIFFERENT = DiffReport(
    ".nbsnap", "nb.ipynb", HEAD, dataclasses.replace(OTHER, id=""), CHANGES, 17, (ROWS,), 0.02, ("random generators",)
)
PRUNED = PruneReport(".nbsnap", "nb.ipynb", (OTHER,), (Kept(HEAD, ("named", "last")),), 84_000_000, 10**9, 0.2)
CHECKED = CheckReport(".nbsnap", 2, 3, 4, 5, 6, 0, True, (Problem("x.pack", "is damaged", ((ID, "one"),), ("df",)),))


def test_a_list() -> None:
    """Oldest first, a row each, and what the whole store takes; a message goes beneath where it has no room."""
    assert to_text(render_history.list_sheet(LISTED, now=NOW), 80).splitlines() == [
        "2 snapshots of nb.ipynb in .nbsnap · 1.3 GB on disk",
        "  id       when         name          vars    size    new  skips  message",
        "  3f9c21a  15:32 today  before-train    23  1.2 GB  84 MB      2  a note",
        "  77aa01b  15:32 today                  23  1.2 GB  84 MB",
    ]
    long = dataclasses.replace(LISTED, snapshots=(dataclasses.replace(HEAD, message="a longer note " * 6), OTHER))
    assert to_text(render_history.list_sheet(long, now=NOW), 80).splitlines() == [
        "2 snapshots of nb.ipynb in .nbsnap · 1.3 GB on disk",
        "  id       when         name          vars    size    new  skips",
        "  3f9c21a  15:32 today  before-train    23  1.2 GB  84 MB      2",
        "           a longer note a longer note a longer note a longer note a longer note",
        "           a longer note",
        "  77aa01b  15:32 today                  23  1.2 GB  84 MB",
    ]
    assert len(to_text(render_history.list_sheet(long, now=NOW)).splitlines()) == 4, "in a pipe a row is a line"


def test_what_was_taken_by_itself_says_so() -> None:
    """An autosnapshot has that for a message."""
    auto = dataclasses.replace(OTHER, kind="auto")
    lines = to_text(
        render_history.list_sheet(dataclasses.replace(LISTED, snapshots=(OTHER, auto)), now=NOW)
    ).splitlines()
    assert [line.endswith("  autosnapshot") for line in lines] == [False, False, False, True]


def test_columns_that_nobody_needs_are_left_out() -> None:
    """No column of names, skips or messages where there are none; the notebook only where there are several."""
    bare = dataclasses.replace(LISTED, snapshots=(OTHER,), total=1)
    assert to_text(render_history.list_sheet(bare, now=NOW)).splitlines()[1].split() == [
        "id", "when", "vars", "size", "new",
    ]  # fmt: skip
    whole = dataclasses.replace(bare, notebook="")
    assert "notebook" in to_text(render_history.list_sheet(whole, now=NOW)).splitlines()[1]
    none = dataclasses.replace(LISTED, snapshots=(), total=0)
    assert to_text(render_history.list_sheet(none)) == ("No snapshot of nb.ipynb in .nbsnap yet · %snapshot makes one")
    some = dataclasses.replace(LISTED, total=300, problems=("x.snap: not JSON",))
    lines = to_text(render_history.list_sheet(some, more="%snapshots list -v", now=NOW)).splitlines()
    assert lines[0].startswith("299 snapshots of")
    assert "1 cannot be read" in lines[0]
    assert lines[-2:] == ["  and 297 older: %snapshots list -v", "  x.snap: not JSON"]


def test_differences() -> None:
    """By kind, each with what it is and how it changed; sources below, line by line; what is not known says so."""
    assert to_text(render_history.diff_sheet(DIFFERENT, now=NOW), 80).splitlines() == [
        "Since before-train (3f9c21a) from 15:32 today · 1 added · 1 removed · 2 changed",
        "  · 1 perhaps changed · 17 as before · 0.02 s",
        "  added     new   int         3, 28 bytes; made in In [9]",
        "  removed   old   int         2, 28 bytes",
        "  changed   df    DataFrame   1,797 × 64 → 1,800 × 64; made in In [7]",
        "            f     function    source, 1 line added, 1 removed",
        "  perhaps   ax    int         shares objects with fig",
        "  f",
        "    @@ -1,2 +1,2 @@",
        "     def f(x):",
        "    -    return 1",
        "    +    return 2",
        "  not compared, as it cannot be saved: rows (generator)",
        "  changed, too, beside the variables: random generators",
    ]
    two = dataclasses.replace(DIFFERENT, new=OTHER, changes=(), not_compared=(), beside=())
    assert to_text(render_history.diff_sheet(two, now=NOW)) == (
        "From before-train (3f9c21a) to 77aa01b · nothing has changed · 17 as before · 0.02 s"
    )


def test_removals() -> None:
    """What went and what it freed; with -v what stays, and why; a dry run says that it is one."""
    assert to_text(render_history.prune_sheet(PRUNED, now=NOW)).splitlines() == [
        "1 of 2 snapshots removed from nb.ipynb in .nbsnap · 84 MB freed · 1.0 GB on disk · 0.20 s",
        "  removed   77aa01b   15:32 today      1.2 GB",
    ]
    assert to_text(render_history.prune_sheet(PRUNED, verbose=True, now=NOW)).splitlines()[-1] == (
        "  stays     3f9c21a   15:32 today   before-train   1.2 GB   named, last"
    )
    dry = dataclasses.replace(PRUNED, dry_run=True, kept=())
    assert to_text(render_history.prune_sheet(dry, deleted=True, now=NOW)).startswith(
        "Dry run: 1 snapshot would be deleted from nb.ipynb in .nbsnap · 84 MB would be freed"
    )


def every(evil: str) -> list[layout.Sheet]:
    """Each kind of sheet, with that text wherever a store may hold any."""
    head = dataclasses.replace(HEAD, id=evil, name=evil, time=evil, message=evil, notebook=evil)
    variable = dataclasses.replace(NUMBER, name=evil, type=evil, summary=evil, code=evil, notes=(evil,))
    skip = dataclasses.replace(ROWS, name=evil, type=evil, reason=evil)
    changes = (
        Change(evil, "added", new=variable),
        Change(evil, "removed", old=variable),
        Change(evil, "changed", (evil,), ((evil, evil, evil),), variable, dataclasses.replace(variable, code="")),
        Change(evil, "changed", ("content", "class"), (), variable, variable),
        Change(evil, "changed", ("source",), (), variable, variable, source=f"@@\n+{evil}\n-{evil}\n {evil}\t{evil}"),
        Change(evil, "perhaps", (), (), variable, variable, shares=(evil,)),
        Change(evil, "perhaps", (), (), variable, variable),
    )
    return [
        render_history.list_sheet(ListReport(evil, evil, (head,), 9, 1, (evil,)), more=evil),
        render_history.list_sheet(ListReport(evil, "", (head,), 1, 1)),
        render_history.diff_sheet(DiffReport(evil, evil, head, head, changes, 1, (skip,), 1.0, (evil,), (evil,))),
        render_history.prune_sheet(
            PruneReport(evil, evil, (head,), (Kept(head, (evil,)),), 1, 1, 1.0, notes=(evil,), problems=(evil,)),
            verbose=True,
        ),
        render_history.check_sheet(
            CheckReport(evil, 1, 1, 1, 1, 1, 0, True, (Problem(evil, evil, ((evil, evil),), (evil,)),))
        ),
    ]


def test_every_string_is_cleaned_and_escaped() -> None:
    """Whatever field a hostile string stands in, no form lets it through."""
    for sheet in every(EVIL):
        for width in (None, 80):
            said = to_text(sheet, width)
            assert all(char.isprintable() or char == "\n" for char in said)
        page = to_html(sheet)
        assert "<script" not in page
        assert page.isprintable()
        assert set(Tags(page).tags) <= {"div", "b", "span", "table", "tbody", "tr", "td"}


@pytest.mark.parametrize("width", [50, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Lines are folded at its edge, or cut where they are lines of a program."""
    for sheet in every("a rather long text, 模型, that goes on " * 5):
        for line in to_text(sheet, width).splitlines():
            assert wording.width_of(line) <= width, line


def test_html_says_the_same_as_the_text() -> None:
    """The same words in the same order; lines that came and went have the colours of the front end."""
    for sheet in (
        render_history.list_sheet(LISTED, now=NOW),
        render_history.diff_sheet(DIFFERENT, now=NOW),
        render_history.prune_sheet(PRUNED, verbose=True, now=NOW),
        render_history.check_sheet(CHECKED),
    ):
        page = Tags(to_html(sheet))
        plain = to_text(sheet).replace("(3f9c21a)", "3f9c21a")
        assert sorted(plain.split()) == sorted(page.said.replace("(3f9c21a)", "3f9c21a").split())
    assert "color:var(--jp-error-color1" in to_html(render_history.diff_sheet(DIFFERENT))


def test_a_thousand_changes() -> None:
    """A huge difference is a short report that says how to see the rest; -v is all of it."""
    many = tuple(dataclasses.replace(CHANGES[3], name=f"f{number}") for number in range(1000))
    report = dataclasses.replace(DIFFERENT, changes=many)
    lines = to_text(render_history.diff_sheet(report, more="nbsnap diff a b -v"), 80).splitlines()
    assert len(lines) < 80
    assert "  and 960 more: nbsnap diff a b -v" in lines
    assert "  and 995 sources more: nbsnap diff a b -v" in lines
    assert "f999" in to_text(render_history.diff_sheet(report, verbose=True))
    long = dataclasses.replace(CHANGES[3], source="\n".join(f"+line {number}" for number in range(500)))
    lines = to_text(render_history.diff_sheet(dataclasses.replace(DIFFERENT, changes=(long,)), more="…")).splitlines()
    assert len(lines) < 80
    assert "    and 440 lines more: …" in lines
