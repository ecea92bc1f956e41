"""`nbsnap trust` and `%snapshots trust`: the user vouches for snapshots, by signing them. Nothing is loaded.

A signature of the user's own key is put in front of those that are there; the id of the snapshot does not change, and
other users' signatures stay good. Every byte of the record is verified before it is signed; the content need not be:
the record names it by its hashes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nbsnap import keys, signing
from nbsnap.calls import read, summary
from nbsnap.errors import NbSnapError, TrustError
from nbsnap.layout import Sheet, Table
from nbsnap.model import Head, Jsonable, Skip, Snapshot, Variable
from nbsnap.render import show_sheet
from nbsnap.store import Store
from nbsnap.wording import count, short_id, when

__all__ = ["TrustReport", "Vouched", "refused_sheet", "vouch", "vouched_sheet"]


@dataclass(frozen=True, slots=True)
class Vouched(Jsonable):
    """One snapshot that is signed now, and what is in it."""

    head: Head
    was: str  # who had made it, as `trusting` tells: "unsigned", "unknown", …; "own": it was signed already
    variables: tuple[Variable, ...]
    skips: tuple[Skip, ...]


@dataclass(frozen=True, slots=True)
class TrustReport(Jsonable):
    """What `nbsnap trust` did."""

    store: str
    key: str  # the id of the key that signed
    snapshots: tuple[Vouched, ...]
    refers: tuple[str, ...] = ()  # of a single one: lines about what loading it would refer to
    problems: tuple[str, ...] = ()  # of `--all`: a line for each record that cannot be read


def vouch(
    store: Store, notebook: str | None, refs: Iterable[str], *, every: bool = False
) -> tuple[TrustReport, tuple[Snapshot, ...]]:
    """Sign these snapshots, or `every` one of the notebook (None: of the store); return what was signed.

    Raises:
        NbSnapError: neither or both were asked for, or there can be no key.
        SnapshotNotFound: there is no such snapshot; then none was signed.
        StoreNotWritable: the store cannot be written, or is another user's.
    """
    refs = tuple(refs)
    if every == bool(refs):
        raise NbSnapError("say which snapshots are to be trusted, or --all" if not refs else "either some, or --all")
    problems: list[str] = []
    found: dict[str, Snapshot] = {}
    entries = store.entries(notebook) if every else [store.entry(ref, notebook) for ref in refs]
    for entry in dict.fromkeys(entries):
        try:
            found[entry.file] = store.load_entry(entry)
        except NbSnapError as error:
            if not every:
                raise
            problems.append(str(error))
    key = keys.own()
    signed = []
    for entry in dict.fromkeys(entries):
        if (snapshot := found.get(entry.file)) is None:
            continue
        was = signing.signed(snapshot.head.id, snapshot.signature).state
        if was != "own":
            store.sign(entry, signing.add)
        signed.append(Vouched(snapshot.head, was, snapshot.variables, snapshot.skips))
    refers = summary(read(next(iter(found.values())), store.read)) if len(found) == 1 else ()
    return TrustReport(store.place, key.id, tuple(signed), refers, tuple(problems)), tuple(found.values())


def vouched_sheet(report: TrustReport, found: Iterable[Snapshot], *, verbose: bool = False, front: str) -> Sheet:
    """Return what is said: of one snapshot all that is in it, of several a row for each."""
    found = tuple(found)
    stays = f"signed with your key ({report.key})"
    if len(found) == 1:
        sheet = show_sheet(found[0], verbose=verbose, command=f"{front} show")
        was = report.snapshots[0].was
        line = f"it was {stays} before" if was == "own" else f"{stays} from now on; until now: {_WAS[was]}"
        return sheet._replace(verb="Trusted", lines=(*sheet.lines, *report.refers, line, *report.problems))
    rows = tuple(
        (
            short_id(one.head.id),
            one.head.name,
            when(one.head.time),
            f"{len(one.variables):,}",
            _WAS[one.was],
        )
        for one in report.snapshots
    )
    table = Table(rows, ("id", "name", "time", "variables", "until now"))
    facts = (count(len(rows), "snapshot"), f"signed with your key ({report.key})")
    return Sheet("Trusted", "", "", facts, "", (table,) if rows else (), report.problems)


def refused_sheet(error: TrustError, *, front: str = "%snapshots") -> Sheet | None:
    """Return what is in a snapshot that was not loaded."""
    if not isinstance(error.snapshot, Snapshot):
        return None
    sheet = show_sheet(error.snapshot, command=f"{front} show")
    return sheet._replace(verb="Not loaded: snapshot", lines=(*sheet.lines, *error.refers))


_WAS = {
    "own": "signed by you",
    "imported": "signed with a key that you have imported",
    "unsigned": "not signed",
    "unknown": "signed with a key that is not known here",
    "wrong": "with a signature that does not fit",
}
