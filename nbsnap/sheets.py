"""Sheets of what `--verify` and `--explain` say. Like `render`, reads records and does no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nbsnap.answers import Explanation, Shared
from nbsnap.layout import LAST, Sheet, Table
from nbsnap.model import Verified, VerifyReport
from nbsnap.wording import count, cut, listed, seconds, short_id, size

__all__ = ["brief", "explain_sheet", "verify_sheet"]

ROWS = 20
_CULPRITS = 5
_NAME, _TYPE, _PATH = 32, 36, 48
_ORDER = ("failed", "differs", "unknown", "equal", "identical")
_LABELS = {"failed": "does not load", "unknown": "not sure"}


def verify_sheet(report: VerifyReport, *, verbose: bool = False) -> Sheet:
    """Return what was found in a fresh process: what is not as it was, and with `verbose` every variable."""
    found = Counter(said.result for said in report.variables)
    facts = [f"{found['identical']:,} of {count(len(report.variables), 'variable')} identical"]
    for result, words in (
        ("equal", "equal"),
        ("differs", "not as they were"),
        ("failed", "do not load"),
        ("unknown", "not sure"),
    ):
        if found[result]:
            facts.append(f"{found[result]:,} {words}")
    lines = list(report.notes)
    rows = sorted(report.variables, key=lambda said: _ORDER.index(said.result))
    if report.problem:
        facts, lines = ["nothing is known"], [report.problem, *lines]
        rows = []
    shown = rows if verbose else [said for said in rows if said.result in _ORDER[:3]]
    more = ""
    if not verbose and len(shown) > ROWS:
        more = f"and {len(shown) - ROWS:,} more: %snapshot --verify -v"
        shown = shown[:ROWS]
    table = Table(tuple(map(_row, shown)), (), (), (14, _NAME, _TYPE, LAST), labels=True, more=more)
    facts.append(seconds(report.seconds))
    verb = "Verified in a fresh process"
    return Sheet(verb, "", "", tuple(facts), "", (table,) if table.rows else (), tuple(lines))


def _row(said: Verified) -> tuple[str, ...]:
    parts = [f"{cut(said.path, 100, middle=True)} {said.what}" if said.path != said.name else said.what, said.hint]
    if said.result in ("failed", "unknown") and said.path != said.name:
        parts[0] = f"{cut(said.path, 100, middle=True)}: {said.what}"
    return _LABELS.get(said.result, said.result), said.name, said.type, "; ".join(part for part in parts if part)


def brief(report: VerifyReport | Explanation) -> str:
    """Return a report in one line: what stands after `Out[3]:` where the report itself was shown already."""
    if isinstance(report, VerifyReport):
        wrong = f", {len(report.wrong):,} not as they were" if report.wrong else ""
        return f"<VerifyReport {short_id(report.id)}: {count(len(report.variables), 'variable')}{wrong}>"
    return f"<Explanation {cut(report.name, _NAME)}: {_RESULTS.get(report.result, report.result)}>"


_RESULTS = {
    "saved": "can be saved",
    "partly": "can be saved in part",
    "skipped": "cannot be saved",
}
_ENGINES = {
    "flat": "pickle, level by level, as it is deep",
    "batch": "pickle, among other small variables",
}


def explain_sheet(found: Explanation, *, verbose: bool = False) -> Sheet:
    """Return what there is to know of an object: why it is saved or not, and what it takes."""
    facts = [", ".join(part for part in (found.type, found.summary) if part), _RESULTS.get(found.result, found.result)]
    if found.engine:
        facts.append(f"engine: {_ENGINES.get(found.engine, found.engine)}")
        facts.append(f"{size(found.stream)} in the stream, {size(found.buffers)} in buffers")
    tables = [_culprits(found, verbose), _parts(found, verbose), _shared(found, verbose)]
    lines = [found.reason] if found.reason and not found.culprits else []
    if found.result == "partly":
        lines.append("placeholders stand for what cannot be saved, and say so when they are used")
    if found.notes:
        lines.append(f"comes back in another form: {'; '.join(found.notes)}")
    if found.classes:
        lines.append(f"classes of the session that travel with it: {_all(found.classes, verbose)}")
    if found.modules:
        lines.append(f"a restore imports: {_all(found.modules, verbose)}")
    if found.python:
        but = f", but for {_all(found.bound, verbose)}, whose text is not known" if found.bound else ""
        lines.append(f"holds code compiled by Python {found.python}: another compiles it anew from its text{but}")
    lines += [f"not looked at: {what}" for what in found.unseen]
    filled = tuple(table for table in tables if table.rows)
    return Sheet("Explained", found.name, "", tuple(facts), "", filled, tuple(lines))


def _all(names: tuple[str, ...], verbose: bool) -> str:
    return ", ".join(names) if verbose else listed(names)


def _culprits(found: Explanation, verbose: bool) -> Table:
    rows = []
    shown = found.culprits if verbose else found.culprits[:_CULPRITS]
    for culprit in shown:
        rows.append(("cannot be saved", culprit.path, culprit.type, culprit.reason))
        if culprit.holders:
            way = " → ".join(f"{kind} {path}" for path, kind in culprit.holders[-4:])
            rows.append(("held by", "", "", f"{'… → ' if len(culprit.holders) > 4 else ''}{way}"))
        if culprit.variables:
            rows.append(("also in", "", "", _all(culprit.variables, verbose)))
        if culprit.hint:
            rows.append(("way around", "", "", culprit.hint))
    rest = len(found.culprits) - len(shown)
    more = f"and {rest:,} more: -v shows them" if rest else ""
    return Table(tuple(rows), (), (), (16, _PATH, _TYPE, LAST), labels=True, more=more)


def _parts(found: Explanation, verbose: bool) -> Table:
    rows = []
    for part in found.parts:
        told = [part.summary, f"also in {listed(part.also)}" if part.also else ""]
        path = "  " * (part.depth - 1) + cut(part.path, _PATH - 2 * part.depth, middle=True)
        row = (path, part.type, size(part.stream), size(part.buffers) if part.buffers else "")
        rows.append((*row, "; ".join(words for words in told if words)))
    head = ("part", "type", "stream", "buffers", "")
    return _limited(rows, verbose, ROWS, (_PATH, _TYPE, 9, 9, LAST), head=head, right=(2, 3))


def _shared(found: Explanation, verbose: bool) -> Table:
    rows = [(shared.name, _because(shared)) for shared in found.shared]
    return _limited(rows, verbose, ROWS, (_NAME, LAST), head=("travels with", "because"))


def _because(shared: Shared) -> str:
    if not shared.path:
        return "by something in between"
    if shared.type == "memory":
        return f"{shared.path} and {shared.there} look at the same memory"
    return f"{shared.path} is {shared.there}, {'an' if shared.type[:1].lower() in 'aeio' else 'a'} {shared.type}"


def _limited(
    rows: Sequence[tuple[str, ...]],
    verbose: bool,
    limit: int,
    limits: tuple[int, ...],
    *,
    head: tuple[str, ...] = (),
    right: tuple[int, ...] = (),
) -> Table:
    more = ""
    if not verbose and len(rows) > limit:
        more, rows = f"and {len(rows) - limit:,} more: -v shows them", rows[:limit]
    return Table(tuple(rows), head, right, limits, more=more)
