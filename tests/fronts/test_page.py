"""The page of a snapshot: one file that refers to nothing outside, and in which everything is text."""

from __future__ import annotations

import base64
import json
import os
import re
import stat
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from nbsnap.layout import to_html
from nbsnap.model import TABLE, Head, Preview, Skip, Snapshot, Variable
from nbsnap.page import page
from nbsnap.render import show_sheet
from nbsnap.store import Store

EVIL = "</pre></style><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\x1b[31m\u202e\x00\ud800"
PNG = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc0000003010100"
        "18dd8db00000000049454e44ae426082"
    )
).decode()
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """What a browser would make of a page: tags, attributes, texts; whether it is well nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.styles: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.styles if self.open[-1:] == ["style"] else self.texts).append(data)

    def values(self, wanted: str) -> list[str]:
        return [value for _, name, value in self.attributes if name == wanted]

    @property
    def text(self) -> str:
        return "".join(self.texts)


def snapshot(said: str = "x", previews: tuple[Preview, ...] = (), **more: Any) -> Snapshot:
    """A snapshot in which every text is `said`."""
    head = Head(said, said, said, said, said, said, 1, 1, 1, 1, 1.0, said, said, said)
    fields: dict[str, Any] = {
        "variables": (Variable(said, said, 1, said, "g0", 1, said, (said,)),),
        "skips": tuple(Skip(said, said, said + "x", said, kind, said, 1, said) for kind in ("skipped", "partly", said)),
        "packages": ((said, said),),
        "history": ((1, said), (2, f"'''{said}'''  # {said}")),
        "beside": (Variable(f"options:{said}", said, 1, said, "g0"), Variable(said, said, 1, said, "g0")),
        "cwd": said,
    }
    return Snapshot(head=head, groups=(), definitions=(), sources=(), previews=previews, **(fields | more))


def assert_safe(text: str) -> Page:
    """Nothing runs, nothing is loaded, nothing is sent."""
    shown = Page(text)
    assert not {"script", "iframe", "object", "embed", "link", "base", "form", "svg", "audio", "video"} & set(
        shown.tags
    )
    assert not [name for _, name, _ in shown.attributes if name.startswith("on")]
    assert "style" not in [name for _, name, _ in shown.attributes]
    for name in ("href", "src", "srcset", "action", "data"):
        assert all(
            re.match(r"#[\w-]+\Z|data:image/png;base64,[A-Za-z0-9+/]+=*\Z", value) for value in shown.values(name)
        )
    assert len(shown.styles) == 1
    assert not re.search(r"url\(|@import|expression|https?:", shown.styles[0])
    assert [value for value in shown.values("content") if "default-src 'none'" in value]
    assert text.index("Content-Security-Policy") < text.index("<style")
    assert all(char.isprintable() or char == "\n" for char in text)
    text.encode("utf-8")
    return shown


def test_everything_is_text() -> None:
    """Whatever stands where, the page runs nothing, refers to nothing outside, and shows it by its characters."""
    table = {"columns": [EVIL, EVIL], "dtypes": [EVIL, EVIL], "index": [EVIL], "rows": [[EVIL, EVIL]], "at": EVIL}
    previews = (
        Preview(EVIL, TABLE, json.dumps(table)),
        Preview(EVIL + "2", "text/plain", EVIL),
        Preview(EVIL + "3", "image/png", PNG),
        Preview(EVIL + "4", "image/png", f'{PNG}" onerror="alert(1)'),
        Preview(EVIL + "5", "text/html", EVIL),
    )
    more = tuple(Variable(EVIL + str(number), EVIL, 1, EVIL, "g0") for number in range(2, 6))
    whole = snapshot(EVIL, previews)
    shown = assert_safe(page(snapshot(EVIL, previews, variables=whole.variables + more)))
    assert shown.tags.count("img") == 1
    assert shown.text.count("<script>alert(1)</script>") > 10


_CODE = [
    *('"""', "'''" * 7, '"' * 5000, "r'" * 5000, "\\" * 5000, '"\\' * 5000, "x='" + "a" * 19_000),
    *("'''" + "''\\" * 5000, "1" * 19_000, "@" * 19_000, "\r\n\x85\u2028x"),
]


@pytest.mark.parametrize("code", _CODE, ids=range(len(_CODE)))
def test_code_of_any_kind(code: str) -> None:
    """Code that is no Python, or is meant to keep a reader of it busy, is shown as it is."""
    shown = assert_safe(page(snapshot(history=((1, code),))))
    assert "".join(code.split()).replace("\x85", "")[:50].replace("\\u2028", "") in "".join(shown.text.split())


def test_what_is_on_it() -> None:
    """Name, message, what was not saved and why, variables with previews and their cells, figures, packages."""
    table = {"columns": ["n"], "dtypes": ["int64"], "index": ["0"], "rows": [["41"]], "shape": [9, 1]}
    one = Variable("df", "DataFrame", 1234, "9 × 1", "g0", 2, "df = load()")
    whole = snapshot(
        "word",
        (Preview("df", TABLE, json.dumps(table)), Preview("fig", "image/png", PNG)),
        variables=(one, Variable("fig", "Figure", 5, "", "g1", 7)),
        history=((1, "import pandas as pd"), (2, "df = load()  # all\nfig = df.plot()")),
        packages=(("pandas", "3.1.1"),),
        beside=(Variable("random:python", "", 1, "", "g0"),),
    )
    shown = assert_safe(page(whole))
    expected = ["df", "1.2 kB", "9 × 1", "41", "int64", "… 8 rows more", "df = load()  # all\nfig = df.plot()"]
    for said in [*expected, "pandas", "3.1.1", "random generator", "Not saved"]:
        assert said in shown.text, said
    assert "#cell-1" in shown.values("href"), "In [2] leads to its cell"
    assert {"cell-0", "cell-1"} <= set(shown.values("id"))
    assert shown.values("src") == [f"data:image/png;base64,{PNG}"]
    assert set(re.findall(r"#([\w-]+)", " ".join(shown.values("href")))) <= set(shown.values("id"))


def test_an_empty_one() -> None:
    """A snapshot of an older nbsnap, without previews, cells or packages, has a page, too."""
    shown = assert_safe(page(snapshot("", variables=(), skips=(), packages=(), history=(), beside=(), cwd="")))
    assert "section" not in shown.tags


def test_many_variables() -> None:
    """Five thousand variables make a page that is well formed, and no cell is named twice."""
    variables = tuple(Variable(f"v{number}", "int", 1, "1", "g0", number % 100) for number in range(5_000))
    shown = assert_safe(page(snapshot(variables=variables, history=tuple((n % 50, f"x = {n}") for n in range(100)))))
    assert len(shown.values("id")) == len(set(shown.values("id")))


def test_from_the_command_line(two_shells: Any, cli: Callable[..., Any], own_folder: Path) -> None:
    """Saved in one process, written in another: for the user's eyes only, whole, and said where."""
    two_shells.save("x = [1, 2, 3]\ny = 'a <b> text'\nz = (n for n in x)", "nbsnap.snapshot(name='one')")
    done = cli("show", "one", "--html", "page.html")
    assert done.out == "page.html\n"
    file = own_folder / "page.html"
    shown = assert_safe(file.read_text(encoding="utf-8"))
    assert "[1, 2, 3]" in shown.text
    assert "a <b> text" in shown.text
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text("old")
    cli("show", "--html", "page.html")
    assert "[1, 2, 3]" in file.read_text(encoding="utf-8"), "an ordinary file is replaced"
    assert [path.name for path in own_folder.iterdir() if "page" in path.name] == ["page.html"]


@pytest.mark.skipif(os.name != "posix", reason="links and devices")
def test_what_is_not_replaced(two_shells: Any, cli: Callable[..., Any], own_folder: Path) -> None:
    """No link is followed, no folder or device replaced, and an error is one line."""
    two_shells.save("x = [1, 2, 3]")
    other = own_folder / "other"
    other.write_text("mine")
    (own_folder / "link").symlink_to(other)
    (own_folder / "folder").mkdir()
    os.mkfifo(own_folder / "pipe")
    for place in ("link", "folder", "pipe", "nowhere/page.html", "/dev/null"):
        done = cli("show", "--html", place, ok=False)
        assert (done.code, done.out) == (1, "")
        assert done.err.count("\n") == 1
        assert place in done.err
    assert other.read_text() == "mine"
    assert (own_folder / "link").is_symlink()


def test_show_in_a_notebook_and_in_a_terminal(two_shells: Any, cli: Callable[..., Any], own_folder: Path) -> None:
    """`show -v` prints what can be seen in lines; a notebook has tables, escaped, without asking for more."""
    pytest.importorskip("pandas")
    two_shells.save(
        "import pandas\nframe = pandas.DataFrame({'<b>': [1.5, 2.5], 'token': ['hunter2', 'x']})\nx = [1, 2]"
    )
    said = cli("show", "-v").out
    assert "<b>  token" in said
    assert "0  1.5  (withheld)" in said
    assert "[1, 2]" in said
    assert "hunter2" not in said
    assert "(withheld)" not in cli("show").out
    snapshot = Store.open(own_folder / ".nbsnap").find("latest")
    html = to_html(show_sheet(snapshot))
    assert ">&lt;b&gt;</td>" in html
    assert ">1.5</td>" in html
    assert "<b></td>" not in html
    assert "[1, 2]" not in html
    assert "[1, 2]" in to_html(show_sheet(snapshot, verbose=True))
