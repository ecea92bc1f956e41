"""What can be asked about the history of a notebook, and the answers: the same for `%snapshots` and for `nbsnap`.

Nothing is loaded here, and no pickler is imported: `nbsnap` is safe on a store that nobody vouches for. Only `diff`
with the live session is not here, for that takes the session apart (`since`).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import NamedTuple

from nbsnap import outfile, trusting
from nbsnap.arguments import split
from nbsnap.differences import names_of
from nbsnap.errors import DamageError, SnapshotNotFound
from nbsnap.keep import Rules, parse_size
from nbsnap.layout import Sheet
from nbsnap.maintenance import check
from nbsnap.model import Jsonable
from nbsnap.namespace import wanted
from nbsnap.page import page
from nbsnap.records import DiffReport, ListReport
from nbsnap.render import show_sheet
from nbsnap.render_history import check_sheet, diff_sheet, list_sheet, prune_sheet
from nbsnap.render_repair import repair_sheet
from nbsnap.repairing import repair
from nbsnap.store import Store
from nbsnap.tree import PACKS
from nbsnap.vouching import vouch, vouched_sheet

__all__ = ["Answer", "Asked", "answer", "diff_answer", "nothing_yet"]

DIFFERENT = 8  # the exit code of `diff --exit-code`


class Answer(NamedTuple):
    """What is said, as a record for programs and as a sheet for people, and the exit code."""

    report: Jsonable
    sheet: Sheet
    code: int = 0


class Asked(NamedTuple):
    """What is asked, of which store."""

    args: argparse.Namespace
    store: Store
    notebook: str | None
    front: str  # "nbsnap" or "%snapshots", for the commands that are named in answers
    rules: Rules | None = None  # for `prune` where no rule is given


def rules_of(args: argparse.Namespace) -> Rules:
    """Return the rules that `prune` was given."""
    max_size = parse_size(args.max_size) if args.max_size else 0
    return Rules(args.last, args.hourly, args.daily, max_size, args.named)


def answer(command: str, asked: Asked) -> Answer:
    """Do what was asked."""
    return _ANSWERS[command](asked)


def nothing_yet(command: str, place: str, notebook: str) -> Answer:
    """Return the answer where there is no store: an empty list; whatever else is asked for is not there."""
    if command != "list":
        raise SnapshotNotFound(f"no snapshot of {notebook} in {place} yet: %snapshot makes one")
    report = ListReport(place, notebook, (), 0, 0)
    return Answer(report, list_sheet(report))


def _list(asked: Asked) -> Answer:
    limit = asked.args.number
    report = asked.store.list(asked.notebook, limit=limit)
    return Answer(report, list_sheet(report, more=_EVERY[asked.front], problems=asked.front != "nbsnap"))


_EVERY = {"nbsnap": "nbsnap list", "%snapshots": "%snapshots list -v"}


def _show(asked: Asked) -> Answer:
    snapshot = asked.store.find(asked.args.snapshot, asked.notebook)
    if asked.args.html:
        outfile.write(asked.args.html, page(snapshot))
        return Answer(snapshot, Sheet("", "", "", (), asked.args.html))
    sheet = show_sheet(snapshot, verbose=asked.args.verbose, command=f"{asked.front} show")
    line = f"trust: {trusting.words(snapshot, stranger=asked.store.stranger())}"
    return Answer(snapshot, sheet._replace(lines=(*sheet.lines, line)))


def _diff(asked: Asked) -> Answer:
    started, args, store = time.perf_counter(), asked.args, asked.store
    old, new = store.find(args.a, asked.notebook), store.find(args.b, asked.notebook)
    meant = wanted(names_of(old, new), split(args.only), split(args.exclude))
    return diff_answer(store.compared(old, new, asked.notebook or "", started, meant), asked.args, asked.front)


def diff_answer(report: DiffReport, args: argparse.Namespace, front: str) -> Answer:
    """Return the answer for differences that were found."""
    command = " ".join(word for word in (front, "diff", args.a, args.b, "-v") if word)
    code = DIFFERENT if report.changes and getattr(args, "exit_code", False) else 0
    return Answer(report, diff_sheet(report, verbose=args.verbose, more=command), code)


def _delete(asked: Asked) -> Answer:
    args = asked.args
    report = asked.store.delete(*args.snapshots, notebook=asked.notebook, dry_run=args.dry_run)
    sheet = prune_sheet(report, deleted=True, verbose=args.verbose, more=f"{asked.front} delete … -v")
    return Answer(report, sheet, 0 if report.ok else DamageError.exit_code)


def _prune(asked: Asked) -> Answer:
    args = asked.args
    rules = rules_of(args)
    if not rules and asked.rules is not None:
        rules = asked.rules
    report = asked.store.prune(
        asked.notebook,
        last=rules.last,
        hourly=rules.hourly,
        daily=rules.daily,
        max_size=rules.max_size,
        named=rules.named or args.named,
        dry_run=args.dry_run,
    )
    sheet = prune_sheet(report, verbose=args.verbose, more=f"{asked.front} prune … -v")
    if not rules:
        hint = "no rule was given, so every snapshot stays: --last N, --hourly N, --daily N, --max-size SIZE"
        sheet = sheet._replace(lines=(hint, *sheet.lines))
    return Answer(report, sheet, 0 if report.ok else DamageError.exit_code)


def _check(asked: Asked) -> Answer:
    if asked.args.repair:
        done = repair(asked.store)
        return Answer(done, repair_sheet(done, front=asked.front), 0 if done.ok else DamageError.exit_code)
    report = check(asked.store, read=not asked.args.quick)
    sheet = check_sheet(report)
    lost = asked.store.backend.describe(PACKS)  # stands where pieces are nowhere: there is nothing to repair in it
    if any(problem.file != lost for problem in report.problems):
        sheet = sheet._replace(lines=(*sheet.lines, f"{asked.front} check --repair keeps what can be kept"))
    return Answer(report, sheet, 0 if report.ok else DamageError.exit_code)


def _trust(asked: Asked) -> Answer:
    args = asked.args
    report, found = vouch(asked.store, asked.notebook, args.snapshots, every=args.all)
    return Answer(report, vouched_sheet(report, found, verbose=args.verbose, front=asked.front))


_ANSWERS: dict[str, Callable[[Asked], Answer]] = {
    "list": _list,
    "show": _show,
    "diff": _diff,
    "delete": _delete,
    "prune": _prune,
    "trust": _trust,
    "check": _check,
}
