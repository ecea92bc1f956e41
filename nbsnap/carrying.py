"""`nbsnap export`, `nbsnap import` and `nbsnap sync`: which stores and snapshots are meant, and what is said of it.

Whoever imports wants to load it next. So what is said ends with the command that does it: a name where that means this
snapshot in every notebook, the beginning of the id where it does not, and `--trust` where it will be asked for."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from nbsnap import host, meter, trusting
from nbsnap.archive import ArchiveBackend, is_archive
from nbsnap.backends import MemoryBackend
from nbsnap.errors import DamageError, NbSnapError, SnapshotNotFound, StoreError, StoreNotFound
from nbsnap.layout import Sheet
from nbsnap.model import Head
from nbsnap.places import is_url, shown
from nbsnap.records import CopyReport
from nbsnap.render import reference
from nbsnap.render_copy import copy_sheet
from nbsnap.store import Store
from nbsnap.transfer import chosen, copy, export
from nbsnap.tree import STORE_FILE, Entry
from nbsnap.wording import listed, short_id

__all__ = ["run"]

#: Finds the notebook of a store that is meant by what was typed.
Notebook = Callable[[Store, str | None], str | None]

#: What was done, as a record for programs, what is said of it, and the exit code.
Told = tuple[dict[str, Any], list[Sheet], int]


def run(args: argparse.Namespace, notebook: Notebook) -> Told:
    """Do what was asked."""
    progress = meter.Progress()
    with meter.shown(progress, quiet=args.json):
        try:
            return _COMMANDS[args.command](args, notebook, progress)
        except KeyboardInterrupt:
            stays = "" if args.dry_run else "; what was copied stays, and the same command goes on from there"
            raise KeyboardInterrupt(stays) from None


def _export(args: argparse.Namespace, notebook: Notebook, progress: meter.Progress) -> Told:
    *refs, file = args.words
    store = Store.open(args.store or host.default_store(reading=True)[0])
    book = notebook(store, args.notebook)
    if args.all and refs:
        raise NbSnapError(f"either --all, or {refs[0]}")
    if not refs and not args.all and os.sep not in file and _means(store, file, book):
        raise NbSnapError(f"{file} is a snapshot: say into which file, as in: nbsnap export {file} {file}.nbsnap")
    entries = chosen(store, refs or ["latest"], book, every=args.all)
    report = export(store, entries, file, force=args.force, dry_run=args.dry_run, progress=progress)
    lines: tuple[str, ...] = ()
    if not args.dry_run:
        name = shlex.quote(file)
        lines = (f"%restore --from {name} loads it from there; nbsnap import {name} brings it into a store",)
    return _told(report, copy_sheet(report, "Exported", lines))


def _means(store: Store, ref: str, book: str | None) -> bool:
    try:
        return bool(store.entry(ref, book))
    except NbSnapError:
        return False


def _import(args: argparse.Namespace, notebook: Notebook, progress: meter.Progress) -> Told:
    source, cut = _carried(args.file)
    target = _target(args.store or host.default_store()[0], dry_run=args.dry_run)
    entries = _meant(source, args, notebook)
    report = copy(source, target, entries, dry_run=args.dry_run, progress=progress)
    if cut:
        report = replace(report, problems=(f"{cut}: what is whole in it was taken", *report.problems))
    lines = () if args.dry_run else _next(report, source, target)
    return _told(report, copy_sheet(report, "Imported", lines))


def _sync(args: argparse.Namespace, notebook: Notebook, progress: meter.Progress) -> Told:
    if _settled(args.a) == _settled(args.b):
        raise NbSnapError(f"{args.a} and {args.b} are the same place")
    source = _source(args.a)
    target = _target(args.b, dry_run=args.dry_run)
    ways = [(source, target), (target, source)] if args.both else [(source, target)]
    meant: list[list[Entry] | SnapshotNotFound] = []
    for one, _ in ways:
        try:
            meant.append(_meant(one, args, notebook))
        except SnapshotNotFound as error:
            meant.append(error)
    if isinstance(meant[0], SnapshotNotFound) and isinstance(meant[-1], SnapshotNotFound):
        raise meant[0]
    told = []
    for (one, other), entries in zip(ways, meant, strict=True):
        found = [] if isinstance(entries, SnapshotNotFound) else entries  # it is in the other one
        report = copy(one, other, found, dry_run=args.dry_run, progress=progress)
        told.append(_told(report, copy_sheet(report, "Copied")))
    record, sheets, code = told[0]
    for back, more, second in told[1:]:
        record |= {"ok": record["ok"] and back["ok"], "back": back}
        sheets, code = [*sheets, *more], code or second
    return record, sheets, code


_COMMANDS: dict[str, Callable[[argparse.Namespace, Notebook, meter.Progress], Told]] = {
    "export": _export,
    "import": _import,
    "sync": _sync,
}


def _meant(source: Store, args: argparse.Namespace, notebook: Notebook) -> list[Entry]:
    """Return the snapshots that are to be copied: those that are named, else all, of the notebook or of any."""
    return chosen(source, args.snapshots, notebook(source, args.notebook), every=not args.snapshots)


def _told(report: CopyReport, sheet: Sheet) -> Told:
    return {"ok": report.ok, **report.to_dict()}, [sheet], 0 if report.ok else DamageError.exit_code


# --- stores -----------------------------------------------------------------------------------------------------------


def _carried(file: str) -> tuple[Store, str]:
    """Return the store that a file is, and what is wrong with it if it is cut short."""
    if is_archive(file):
        backend = ArchiveBackend(file, salvage=True)
        try:
            return Store(backend), backend.cut
        except StoreNotFound:
            raise DamageError(backend.cut or f"{file} holds no store: nbsnap export writes files that do") from None
    if os.path.isfile(file):
        raise StoreError(f"{file} is not a file that nbsnap export has written, or its beginning and end are gone")
    return _source(file), ""


def _settled(place: str) -> str:
    return shown(place) if is_url(place) else os.path.realpath(place)


def _source(place: str) -> Store:
    """Return the store at a place."""
    try:
        return Store.open(place)
    except StoreNotFound as error:
        inside = os.path.join(place, host.STORE_NAME)
        if os.path.exists(os.path.join(inside, STORE_FILE)):
            raise StoreNotFound(f"{error}: did you mean {inside}?") from None
        raise


def _target(place: str, *, dry_run: bool) -> Store:
    """Return the store to copy into. A dry run makes none."""
    if not dry_run:
        return Store.open(place, create=True)
    try:
        return Store.open(place)
    except StoreNotFound:
        nothing = MemoryBackend()
        nothing.place = place if "://" in place else os.path.abspath(place)
        return Store(nothing, create=True)


# --- what to do next --------------------------------------------------------------------------------------------------


def _next(report: CopyReport, source: Store, target: Store) -> Sequence[str]:
    """Return lines that say how to restore what came, and what it has changed for notebooks that are there."""
    there = {entry.id for entry in target.entries()}
    last = next(iter(report.copied[-1:]), None)
    if last is None:  # all of it was there
        last = next((head for head in reversed(source.heads()) if head.id in there), None)
    if last is None:
        return ()
    lines = []
    came = {head.id for head in report.copied}
    for book in dict.fromkeys(head.notebook for head in report.copied):
        mine = [head for head in target.heads(book) if head.id not in came]
        newest = target.entries(book)[-1].id
        if mine and newest in came:
            before = short_id(mine[-1].id)
            lines.append(f"the latest of {book} is one of these now, {short_id(newest)}; before it was {before}")
        names = {head.name for head in report.copied if head.notebook == book and head.name}
        if both := sorted(names & {head.name for head in mine}):
            lines.append(f"{listed(both)} is the name of another one in {book}, too: it means the newest of them")
    try:
        trust = trusting.judge(target.load(last.id)) in trusting.GOOD
    except NbSnapError:
        trust = True
    if not trust:
        lines.append(f"not made by you, as far as can be told; what is in it: nbsnap show {_reference(target, last)}")
    them = "it" if len(report.copied) + report.already == 1 else "the newest"
    lines.append(f"Restore {them} with: %restore {_reference(target, last)}{'' if trust else ' --trust'}")
    return lines


def _reference(store: Store, head: Head) -> str:
    """Return what means a snapshot in every notebook of a store: its name, or as many digits of its id as it takes."""
    name = reference(head.name, "")
    if name and all(other in ("", head.id) for other in _called(store, name)):
        return name
    for length in range(len(short_id(head.id)), len(head.id) + 1):
        try:
            if store.entry(head.id[:length]).id == head.id:
                return head.id[:length]
        except SnapshotNotFound:
            continue
    return head.id


def _called(store: Store, name: str) -> Iterator[str]:
    """Yield what a name means in each notebook that knows it, and in the store as a whole."""
    for book in (None, *(head.notebook for head in store.notebooks())):
        try:
            yield store.entry(name, book).id
        except SnapshotNotFound:
            continue
