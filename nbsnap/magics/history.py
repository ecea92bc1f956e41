"""What `%snapshots` does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbsnap.arguments import split
from nbsnap.errors import StoreNotFound
from nbsnap.magics.lines import AS_THEY_WERE, errors, parsed_history
from nbsnap.magics.showing import screen, show

if TYPE_CHECKING:
    from nbsnap.magics.shell import NbSnap

__all__ = ["run"]

_ROWS = 40  # snapshots that are listed, unless more are asked for


def run(magics: NbSnap, line: str) -> Any:
    args = parsed_history(line)
    repairs = getattr(args, "repair", False)
    changes = args.command in ("delete", "prune") and not args.dry_run
    outcome = "what is removed stays removed, and the store is sound" if changes else AS_THEY_WERE
    with errors(outcome, None, []):
        from nbsnap import background

        if repairs or args.command in ("delete", "prune", "diff", "trust"):
            background.wait()
        live = args.command == "diff" and args.b is None
        told = _diff_live(magics, args) if live else _answered(magics, args)
        if not args.quiet or told.code or getattr(told.report, "problems", ()):
            show(magics, told.report, told.sheet)
    return told.report if args.output else None


def _answered(magics: NbSnap, args: Any) -> Any:
    """Ask the store what %snapshots was asked."""
    from nbsnap.history import Asked, answer, nothing_yet
    from nbsnap.keep import rules_of
    from nbsnap.store import Store

    if args.command == "list" and args.number is None and not args.verbose:
        args.number = _ROWS
    place, notebook = magics.at()
    try:
        if getattr(args, "repair", False):
            from nbsnap.repairing import opened

            store = opened(place)
        else:
            store = Store.open(place)
    except StoreNotFound:
        return nothing_yet(args.command, place, notebook)
    return answer(args.command, Asked(args, store, notebook, "%snapshots", rules_of(magics.keep, magics.max_size)))


def _diff_live(magics: NbSnap, args: Any) -> Any:
    """Compare a snapshot with the session as it is now."""
    from nbsnap import meter
    from nbsnap.history import diff_answer
    from nbsnap.since import diff

    progress = meter.Progress()
    with meter.shown(progress, quiet=args.quiet, screen=screen(magics.ip)):
        report = diff(
            args.a,
            None,
            magics.ip.user_ns,
            only=split(args.only),
            exclude=split(args.exclude),
            ignore=magics.exclude,
            **magics.where(),
            engine=magics.engine,
            beside=magics.beside,
            **magics.secrecy(),
            progress=progress,
        )
    return diff_answer(report, args, "%snapshots")
