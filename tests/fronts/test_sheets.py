"""What `--verify` and `--explain` say, as text and as HTML."""

from __future__ import annotations

from nbsnap.answers import Culprit, Explanation, Part, Shared
from nbsnap.layout import to_html, to_text
from nbsnap.model import Verified, VerifyReport
from nbsnap.sheets import brief, explain_sheet, verify_sheet

FOUND = VerifyReport(
    id="3f9c21a" + "0" * 57,
    name="",
    store=".nbsnap",
    variables=(
        Verified("df", "pandas.DataFrame", "identical"),
        Verified("fig", "matplotlib.Figure", "equal"),
        Verified("model", "Model", "differs", "model.layers[0]", "has lost <weights>"),
        Verified("clf", "Booster", "failed", "clf", "needs the package xgboost", "pip install xgboost"),
        Verified("odd", "set", "unknown", "odd", "has elements that are too much alike to be told apart"),
    ),
    seconds=2.5,
)

EXPLAINED = Explanation(
    name="cfg",
    type="dict",
    summary="len 3",
    result="partly",
    reason="",
    engine="pickle",
    stream=389,
    buffers=800_000,
    culprits=(
        Culprit(
            "cfg['pool'][3].sock",
            "socket.socket",
            "a live connection",
            (("cfg", "dict"), ("cfg['pool']", "list"), ("cfg['pool'][3]", "Conn")),
            ("other",),
            "del cfg['pool'][3].sock",
        ),
    ),
    parts=(Part("cfg['data']", "numpy.ndarray", "100,000 float64", 1, 121, 800_000, ("df",)),),
    shared=(
        Shared("other", "cfg['pool'][3]", "other[0]", "Conn"),
        Shared("df", "cfg['data']", "df", "memory"),
        Shared("z", "", "", ""),
    ),
    notes=("a lock comes back fresh",),
    classes=("Conn",),
    modules=("numpy",),
    python="3.11",
    unseen=("the sizes of 3 of the 5 parts of cfg",),
    seconds=0.1,
)


def test_verify_says_what_is_not_right() -> None:
    """Counts in the first line, rows for what is not as it was; all rows with `verbose`."""
    assert to_text(verify_sheet(FOUND)) == (
        "Verified in a fresh process · 1 of 5 variables identical · 1 equal · 1 not as they were · 1 do not load"
        " · 1 not sure · 2.50 s\n"
        "  does not load   clf     Booster   needs the package xgboost; pip install xgboost\n"
        "  differs         model   Model     model.layers[0] has lost <weights>\n"
        "  not sure        odd     set       has elements that are too much alike to be told apart"
    )
    assert "  identical       df" in to_text(verify_sheet(FOUND, verbose=True))
    assert "has lost &lt;weights&gt;" in to_html(verify_sheet(FOUND))
    assert not FOUND.ok
    assert [said.name for said in FOUND.wrong] == ["model", "clf"]


def test_verify_says_why_nothing_is_known() -> None:
    """A process that took too long or crashed: one line, and no rows."""
    failed = VerifyReport("3f9c", "", "", FOUND.variables[:1], 8.0, problem="the fresh process took longer than 8 s")
    assert to_text(verify_sheet(failed)) == (
        "Verified in a fresh process · nothing is known · 8.00 s\n  the fresh process took longer than 8 s"
    )
    assert not failed.ok


def test_explain_says_it_all() -> None:
    """What refuses, who holds it, what it takes, what it travels with, and what was not looked at."""
    text = to_text(explain_sheet(EXPLAINED))
    assert text.startswith(
        "Explained cfg · dict, len 3 · can be saved in part · engine: pickle · 389 bytes in the stream, 800 kB in"
    )
    for line in (
        "cannot be saved   cfg['pool'][3].sock   socket.socket   a live connection",
        "dict cfg → list cfg['pool'] → Conn cfg['pool'][3]",
        "way around",
        "cfg['data']  numpy.ndarray  121 bytes   800 kB  100,000 float64; also in df",
        "other         cfg['pool'][3] is other[0], a Conn",
        "df            cfg['data'] and df look at the same memory",
        "z             by something in between",
        "comes back in another form: a lock comes back fresh",
        "holds code compiled by Python 3.11: another compiles it anew from its text",
        "not looked at: the sizes of 3 of the 5 parts of cfg",
    ):
        assert line in text
    assert "cfg[&#x27;data&#x27;]" in to_html(explain_sheet(EXPLAINED))


def test_in_one_line() -> None:
    """What stands after Out[3]: where it was shown already."""
    assert brief(FOUND) == "<VerifyReport 3f9c21a: 5 variables, 2 not as they were>"
    assert brief(EXPLAINED) == "<Explanation cfg: can be saved in part>"
