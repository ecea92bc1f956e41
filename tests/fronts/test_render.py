"""What a report says, how numbers read, and that nothing from a store reaches the screen as it is."""

from __future__ import annotations

import dataclasses
import html.parser
import json
import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsnap import layout, render, startup, wording
from nbsnap.model import TABLE, Head, Preview, RestoreReport, Skip, Snapshot, SnapshotReport, Variable

ID = "3f9c21a" + "0" * 57
NOW = datetime(2026, 11, 22, 15, 40).astimezone()
TAKEN = NOW.replace(minute=32).astimezone(UTC).isoformat().replace("+00:00", "Z")

ROWS = Skip("rows", "generator", "rows", "cannot be saved", cell=3, code="rows = (r for r in table)")
DB = Skip("db", "sqlite3.Connection", "db", "a live connection", cell=2, code='db = sqlite3.connect("x.db")')
CFG = Skip("cfg", "dict", "cfg['pool'][3].sock", "a socket: left out, a placeholder stands there", "partly")
CLF = Skip("clf", "Booster", "clf", "needs the package xgboost", "failed", "pip install xgboost")
FRAME = Variable("df", "DataFrame", 1_100_000_000, "1,797 × 64 float64", "g0", 2)
NUMBER = Variable("x", "int", 28, "", "g1", None)

SAVED = SnapshotReport(
    ID, "before-train", "a note", TAKEN, "nb.ipynb", ".nbsnap",
    (FRAME, NUMBER), (ROWS, CFG, DB), 1_200_000_000, 84_000_000, 0.41,
)  # fmt: skip
BACK = RestoreReport(
    ID, "before-train", TAKEN, "nb.ipynb", ".nbsnap", (FRAME, NUMBER), (CLF,), (ROWS, DB),
    ("a", "b"), (), 1_200_000_000, 0.05
)  # fmt: skip
HEAD = Head(ID, TAKEN, "nb.ipynb", "before-train", "a note", "", 23, 2, 1_200_000_000, 84_000_000, 0.41, "3.11.7", "linux-x86_64", "nbsnap 0.1.0")  # fmt: skip # noqa: E501
EVIL = "\x1b[31m<script>alert('x')</script>\u202e\u2066\r\n\x00\x9b&amp;\ud800\u200b"


def text(sheet: layout.Sheet, width: int | None = None) -> str:
    return layout.to_text(sheet, width)


class Tags(html.parser.HTMLParser):
    """The tags and the text of a piece of HTML."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.open: list[str] = []
        self.said = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        assert {name for name, _ in attrs} <= {"style", "class", "colspan"}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data + "\n"


# ---- the two forms ---------------------------------------------------------------------------------------------------


def test_a_snapshot_in_a_terminal() -> None:
    """Head, then aligned rows by kind, each with name, type, path, reason and cell."""
    assert text(render.snapshot_sheet(SAVED)).splitlines() == [
        "Snapshot before-train (3f9c21a) · 2 variables, 1.2 GB · 84 MB new on disk · 0.41 s",
        "  skipped   rows   generator            cannot be saved; made in In [3]",
        "            db     sqlite3.Connection   a live connection; made in In [2]",
        "  partly    cfg    dict                 cfg['pool'][3].sock: a socket: left out, a placeholder stands there",
    ]


def test_a_restore_in_a_terminal() -> None:
    """Head with the snapshot's time, what failed and what would help, what was not saved and the code of it."""
    assert text(render.restore_sheet(BACK, now=NOW)).splitlines() == [
        "Restored before-train (3f9c21a) from 15:32 today · 2 variables, 1.2 GB · 0.05 s",
        "  failed      clf    Booster:  needs the package xgboost; pip install xgboost",
        "  not saved   rows   generator, made in In [3]:  rows = (r for r in table)",
        '              db     sqlite3.Connection, made in In [2]:  db = sqlite3.connect("x.db")',
        "  To finish: pip install xgboost; then %restore before-train --only clf",
        "  To make them again: %restore --rerun rows db",
        "  2 variables that the snapshot does not have were kept (--exact removes them)",
    ]


def test_what_lies_beside_the_variables_is_one_line() -> None:
    """A restore says what it has put back, a snapshot only when asked for all; as it was, nothing is said."""
    entries = ["random:python", "random:numpy", "figures:1", "figures:2", "figures:current", "options:loaded"]
    words = wording.beside([*entries, "options:pandas", "directory:/data", "warnings:filters"])
    assert words == (
        "random generators",
        "figures 1 and 2",
        "options of pandas",
        "working directory /data",
        "warning filters",
    )
    assert wording.beside(f"figures:{n}" for n in range(1, 8)) == ("figures 1, 2, 3, 4 and 3 more",)
    assert wording.beside(["figures:current", "options:loaded"]) == ()
    back, saved = dataclasses.replace(BACK, beside=words[:2]), dataclasses.replace(SAVED, beside=words[:2])
    said = "put back, too: random generators; figures 1 and 2"
    assert said in text(render.restore_sheet(back))
    assert f"would be {said}" in text(render.restore_sheet(dataclasses.replace(back, dry_run=True)))
    assert "put back" not in text(render.restore_sheet(BACK))
    assert "beside" not in text(render.snapshot_sheet(saved))
    assert "beside the variables: random generators" in text(render.snapshot_sheet(saved, verbose=True))
    evil = wording.beside([f"{EVIL}{{0.x}}:{EVIL}", f"figures:{EVIL}{{0.x}}"])
    assert all(map(str.isprintable, evil))
    assert len(evil) == 2


def test_a_dry_run_lists_the_variables() -> None:
    """A dry run says that nothing was written, and shows each variable with its size, the largest first."""
    dry = dataclasses.replace(SAVED, id="", dry_run=True, variables=(NUMBER, FRAME), skipped=())
    assert text(render.snapshot_sheet(dry)).splitlines() == [
        "Dry run: snapshot before-train would hold 2 variables, 1.2 GB · nothing was written",
        "  variable  type           size  cell    summary",
        "  df        DataFrame    1.1 GB  In [2]  1,797 × 64 float64",
        "  x         int        28 bytes",
    ]
    assert "nothing was changed" in text(render.restore_sheet(dataclasses.replace(BACK, dry_run=True)))


def test_html_says_the_same_as_the_text() -> None:
    """The HTML form has the same words as the text, in a table, without script, style sheet or outside reference."""
    for sheet in (
        render.snapshot_sheet(SAVED, verbose=True),
        render.restore_sheet(BACK, verbose=True, now=NOW),
    ):
        page = Tags(layout.to_html(sheet))
        assert set(page.tags) <= {"div", "b", "span", "table", "tbody", "tr", "td"}
        assert "table" in page.tags
        assert not page.open
        plain = text(sheet).replace("(3f9c21a)", "3f9c21a")
        assert sorted(plain.split()) == sorted(page.said.split())


def test_shown_offers_both_forms() -> None:
    """What a front end displays has HTML and plain text."""
    shown = layout.Shown(render.snapshot_sheet(SAVED))
    assert shown._repr_html_().startswith('<div class="nbsnap"')
    assert repr(shown) == text(render.snapshot_sheet(SAVED))


def test_colours_come_from_the_front_end() -> None:
    """HTML sets no background of its own and takes colours from the theme, so that it reads in light and dark."""
    styles = " ".join(re.findall(r'style="([^"]*)"', layout.to_html(render.restore_sheet(BACK, verbose=True))))
    assert set(re.findall(r"background:([^;\"]+)", styles)) <= {"transparent"}
    for colour in re.findall(r"(?<![-\w])color:([^;\"]+)", styles):
        assert colour.startswith("var(--jp-") or colour == "inherit"
        assert "inherit" in colour or "currentColor" in colour, "where the front end has no variables"


def test_a_row_without_a_middle_has_its_room() -> None:
    """Where nothing stands between the kind of a row and its words, HTML gives these the columns in between."""
    rows = (("cannot be saved", "d['a']", "socket", "a live connection"), ("held by", "", "", "dict d"))
    page = layout.to_html(layout.Sheet("Explained", "d", "", (), tables=(layout.Table(rows, labels=True),)))
    assert page.count("<td") == 6
    assert page.count(' colspan="3"') == 1
    assert "dict d" in page.partition('colspan="3"')[2]


# ---- what comes from outside -----------------------------------------------------------------------------------------


@given(st.text())
def test_clean_leaves_nothing_that_is_not_visible(said: str) -> None:
    """Cleaned text is one line of printable characters; only the joiners of scripts and emoji pass besides."""
    assert all(char.isprintable() or char in "\u200c\u200d" for char in wording.clean(said))


def test_hostile_strings_are_shown_by_number() -> None:
    """Escape sequences, line ends, bidirectional controls, surrogates and invisible characters appear as numbers."""
    assert wording.clean(EVIL) == (
        "\\x1b[31m<script>alert('x')</script>\\u202e\\u2066\\r\\n\\x00\\x9b&amp;\\ud800\\u200b"
    )


def test_every_string_of_a_record_is_cleaned_and_escaped() -> None:
    """Whatever field a hostile string stands in, no form lets it through."""
    variable = Variable(EVIL, EVIL, 1, EVIL, EVIL, None, EVIL, (EVIL,))
    skips = tuple(
        Skip(EVIL, EVIL, EVIL + "x", EVIL, kind, EVIL, 1, EVIL) for kind in ("skipped", "partly", "failed", EVIL)
    )
    table = json.dumps({"columns": [EVIL], "dtypes": [EVIL], "index": [EVIL], "rows": [[EVIL]], "at": EVIL})
    previews = tuple(Preview(EVIL, mime, text) for mime, text in ((TABLE, table), ("text/plain", EVIL), (EVIL, EVIL)))
    head = Head(EVIL, EVIL, EVIL, EVIL, EVIL, EVIL, 1, 1, 1, 1, 1.0, EVIL, EVIL, EVIL)
    sheets = [
        render.snapshot_sheet(
            SnapshotReport(EVIL, EVIL, EVIL, EVIL, EVIL, EVIL, (variable,), skips, 1, 1, 1.0, notes=(EVIL,)),
            verbose=True,
        ),
        render.restore_sheet(
            RestoreReport(
                EVIL, EVIL, EVIL, EVIL, EVIL, (variable,), skips, skips, (EVIL,), (EVIL,), 1, 1.0, notes=(EVIL,)
            ),
            verbose=True,
        ),
        render.show_sheet(
            Snapshot(
                head,
                (variable,),
                (),
                (),
                skips,
                ((EVIL, EVIL),),
                ((1, EVIL),),
                ((EVIL, EVIL),),
                EVIL,
                previews=previews,
            ),
            verbose=True,
        ),
    ]
    for sheet in sheets:
        for width in (None, 80):
            assert all(char.isprintable() or char == "\n" for char in text(sheet, width))
        page = layout.to_html(sheet)
        assert "<script" not in page
        assert page.isprintable()
        assert "script" not in Tags(page).tags
    assert startup.hint_line(head.variables, head.size, head.time).isprintable()
    assert render.brief(SnapshotReport(EVIL, EVIL, "", "", "", "", (), skips, 1, 1, 1.0)).isprintable()


@given(st.text(max_size=300), st.integers(2, 60))
def test_cut_keeps_to_its_columns(said: str, columns: int) -> None:
    """A cut cell takes no more columns than it may, and no endless run of combining characters."""
    short = wording.cut(said, columns)
    assert wording.width_of(short) <= columns
    assert len(short) <= 4 * columns + 1


def test_cut_marks_what_is_gone() -> None:
    """An ellipsis stands at the end, or in the middle where the end matters; wide characters count twice."""
    assert wording.cut("abcdefghij", 5) == "abcd…"
    assert wording.cut("abcdefghij", 6, middle=True) == "abc…ij"
    assert wording.cut("模型数据", 5) == "模型…"
    assert wording.width_of("模型e\u0301") == 5


def test_columns_line_up_with_wide_characters() -> None:
    """Names in Chinese and with accents leave the next column where it is."""
    variables = (
        dataclasses.replace(NUMBER, name="模型"),
        dataclasses.replace(NUMBER, name="e\u0301"),
        dataclasses.replace(NUMBER, name="abcd"),
    )
    lines = text(render.snapshot_sheet(dataclasses.replace(SAVED, variables=variables, skipped=()), verbose=True))
    at = {wording.width_of(line[: line.index(" int ")]) for line in lines.splitlines() if " int " in line}
    assert len(at) == 1


# ---- sizes of reports ------------------------------------------------------------------------------------------------


def test_many_problems_are_counted() -> None:
    """Past twenty rows the rest is a number and the way to see it; -v shows all."""
    skips = tuple(dataclasses.replace(ROWS, name=f"g{number}") for number in range(32))
    many = dataclasses.replace(SAVED, skipped=skips)
    lines = text(render.snapshot_sheet(many)).splitlines()
    assert len(lines) == 22
    assert lines[-1] == "  and 12 more: %snapshot -v"
    assert "g31" in text(render.snapshot_sheet(many, verbose=True))
    assert "and 12 more: %restore -v" in text(
        render.restore_sheet(dataclasses.replace(BACK, failed=(), not_saved=skips))
    )


def test_five_thousand_variables() -> None:
    """A huge session gives a short report, a complete text under -v, and a page that stays a page; all in a moment."""
    variables = tuple(dataclasses.replace(NUMBER, name=f"variable_{number}") for number in range(5000))
    huge = dataclasses.replace(SAVED, variables=variables)
    started = time.perf_counter()
    dry = text(render.snapshot_sheet(dataclasses.replace(huge, dry_run=True)))
    assert len(dry.splitlines()) < 50
    assert "and 4,960 more" in dry
    assert text(render.snapshot_sheet(huge, verbose=True), 100).count("\n") > 5000
    page = layout.to_html(render.snapshot_sheet(huge, verbose=True))
    assert len(page) < 500_000
    assert "and 4,500 more" in page
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize("width", [50, 64, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """In a terminal, lines are folded at its edge, below their own column."""
    long = dataclasses.replace(CFG, name="n" * 200, type="t" * 200, reason="a long reason " * 20 + "w" * 300)
    report = dataclasses.replace(SAVED, skipped=(ROWS, long), notes=("a note " * 40,))
    for line in text(render.snapshot_sheet(report, verbose=True), width).splitlines():
        assert wording.width_of(line) <= width


def test_a_line_stays_a_line_in_a_pipe() -> None:
    """Without a terminal's width, each row is one line whatever its length."""
    long = dataclasses.replace(CFG, reason="a long reason " * 20)
    assert len(text(render.snapshot_sheet(dataclasses.replace(SAVED, skipped=(long,)))).splitlines()) == 2


# ---- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.0 kB"), (9_949, "9.9 kB"), (9_960, "10 kB"),
        (999_499, "999 kB"), (999_500, "1.0 MB"), (84_000_000, "84 MB"), (1_234_567_890, "1.2 GB"),
        (5 * 10**12, "5.0 TB"), (10**24, "1,000,000 EB"),
    ],
)  # fmt: skip
def test_sizes(number: int, said: str) -> None:
    """Sizes have two or three digits and a unit."""
    assert wording.size(number) == said


@pytest.mark.parametrize(
    ("duration", "said"),
    [(0, "1 ms"), (0.0042, "4 ms"), (0.05, "0.05 s"), (0.41, "0.41 s"), (12.34, "12.3 s"),
     (59.99, "1 min 0 s"), (125, "2 min 5 s")],
)  # fmt: skip
def test_durations(duration: float, said: str) -> None:
    """Durations have two or three digits and a unit."""
    assert wording.seconds(duration) == said


def test_times_are_local_and_near_ones_have_names() -> None:
    """Today and yesterday go by their names, other days by their date, in local time."""
    today = NOW.replace(hour=9, minute=10)

    def said(moment: datetime) -> tuple[str, str]:
        stamp = moment.astimezone(UTC).isoformat()
        return wording.when(stamp, NOW), wording.when(stamp, NOW, sentence=True)

    assert said(today) == ("09:10 today", "today at 09:10")
    assert said(today - timedelta(days=1)) == ("yesterday 09:10", "yesterday at 09:10")
    assert said(today - timedelta(days=30)) == ("2026-10-23 09:10", "on 2026-10-23 at 09:10")
    assert said(today + timedelta(days=1)) == ("2026-11-23 09:10", "on 2026-11-23 at 09:10")


@pytest.mark.parametrize("nonsense", ["", "tomorrow", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_is_none_is_shown_as_it_came(nonsense: str) -> None:
    """A manifest may hold anything where the time should be."""
    assert isinstance(wording.when(nonsense, NOW), str)


def test_the_hint() -> None:
    """The line at loading says how much was saved when, and the command."""
    assert startup.hint_line(HEAD.variables, HEAD.size, HEAD.time, NOW) == (
        "nbsnap: 23 variables (1.2 GB) were saved here today at 15:32. %restore brings them back."
    )
    one = dataclasses.replace(HEAD, variables=1)
    assert startup.hint_line(1, one.size, one.time, NOW) == (
        "nbsnap: 1 variable (1.2 GB) was saved here today at 15:32. %restore brings it back."
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8", None, "no-such-encoding"])
def test_any_stream_can_show_it(encoding: str | None) -> None:
    """Where the stream knows no such sign, ASCII or a number stands for it."""
    said = wording.encodable("Snapshot · 1,797 × 64 … 模型", encoding)
    if encoding in ("ascii", "latin-1", "cp1252"):
        said.encode(encoding)
        assert "\\u6a21" in said
    if encoding == "ascii":
        assert said.startswith("Snapshot - 1,797 x 64 ...")


def test_an_undo_says_what_was_put_back_and_what_was_removed():
    """One line of facts, then the names; a dry run lists the variables; much memory that is held is worth a line."""
    undone = dataclasses.replace(
        BACK, failed=(), not_saved=(), kept=(), removed=("tmp",), undo="undone", beside=("figure 1",), seconds=0.001
    )
    assert text(render.restore_sheet(undone)).splitlines() == [
        "Took back the restore of before-train (3f9c21a) · 2 variables put back · 1 removed · 1 ms",
        "  put back: df, x",
        "  removed: tmp",
        "  put back, too: figure 1",
    ]
    again = dataclasses.replace(undone, undo="redone", dry_run=True)
    said = text(render.restore_sheet(again))
    assert said.startswith("Dry run: take back the undo of the restore of before-train (3f9c21a) · 2 variables")
    assert "would be removed: tmp" in said
    assert "1,797 × 64 float64" in said
    assert "--undo" not in text(render.restore_sheet(dataclasses.replace(BACK, held=99_000_000)))
    held = text(render.restore_sheet(dataclasses.replace(BACK, held=2_100_000_000)))
    assert "what was replaced (about 2.1 GB) is kept for --undo, until the next %snapshot" in held
