"""What `%snapshot` and `%%snapshot` do."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from nbsnap.arguments import split
from nbsnap.errors import NbSnapError
from nbsnap.magics.lines import AS_THEY_WERE, errors, parsed
from nbsnap.magics.showing import say, screen, show

if TYPE_CHECKING:
    from nbsnap.answers import Explanation
    from nbsnap.magics.shell import NbSnap
    from nbsnap.model import SnapshotReport

__all__ = ["run"]


def run(magics: NbSnap, line: str, cell: str | None) -> SnapshotReport | Explanation | None:
    args = parsed(magics.snapshot, line)
    if args.explain is not None:
        return _explain(magics, args, cell)
    if cell is not None or args.rollback:
        _before_cell(magics, args, cell)
        return None
    return _snapshot(magics, args)


def _snapshot(magics: NbSnap, args: Any) -> SnapshotReport | None:
    with errors(f"nothing was saved, {AS_THEY_WERE}", args.name, [*args.only, *args.exclude]):
        from nbsnap import meter, render, saving

        options = {**magics.saving_options(), "beside": magics.parts(args, partly=bool(args.only))}
        options["include_secrets"] |= args.include_secrets
        progress = meter.Progress()
        with meter.shown(progress, quiet=args.quiet, screen=screen(magics.ip)):
            report: SnapshotReport = saving.snapshot(
                magics.ip.user_ns,
                name=args.name,
                message=args.message,
                only=split(args.only),
                exclude=split(args.exclude),
                strict=args.strict,
                dry_run=args.dry_run,
                **options,
                background=args.background,
                ended=partial(_tell, magics, quiet=args.quiet),
                progress=progress,
                verify=args.verify,
                verify_timeout=magics.verify_timeout,
            )
        if not args.dry_run:
            magics.saved(report)
        if not args.quiet or report.skipped or report.notes:
            show(magics, report, render.snapshot_sheet(report, verbose=args.verbose))
        if (verified := report.verified) is not None and not (args.quiet and verified.ok):
            from nbsnap import sheets

            show(magics, verified, sheets.verify_sheet(verified, verbose=args.verbose))
            magics.shown = report
    return report if args.output else None


def _tell(magics: NbSnap, came: SnapshotReport | NbSnapError, *, quiet: bool) -> None:
    """Say that a snapshot that was written in the background is safe, or that it failed. Called in a thread."""
    from nbsnap import render
    from nbsnap.wording import clean

    magics.came = came
    if isinstance(came, NbSnapError):
        say(f"nbsnap: {clean(str(came))}")
    elif not quiet:
        say(render.saved_line(came))


def _explain(magics: NbSnap, args: Any, cell: str | None) -> Explanation | None:
    """Print what there is to know of a variable; save nothing."""
    if cell is not None or args.name:
        raise UsageError("--explain saves nothing: it goes with no name of a snapshot, and before no cell")
    with errors("nothing was saved", None, []):
        from nbsnap import explaining, sheets

        secrecy = magics.secrecy()
        secrecy["include_secrets"] |= args.include_secrets
        found = explaining.explain(namespace=magics.ip.user_ns, name=args.explain, engine=magics.engine, **secrecy)
        show(magics, found, sheets.explain_sheet(found, verbose=args.verbose))
    return found if args.output else None


def _before_cell(magics: NbSnap, args: Any, cell: str | None) -> None:
    """Take a snapshot before a cell, and let an `Attempt` wait for how the cell ends."""
    from nbsnap import attempt
    from nbsnap.namespace import user_names

    if cell is None or args.dry_run:
        raise UsageError("--rollback is for cells: %%snapshot" if cell is None else "no --dry-run before a cell")
    quiet, args.output, magics.taken = args.quiet, True, None
    if user_names(magics.ip.user_ns, magics.ip.user_ns_hidden)[0]:
        try:
            magics.taken = _snapshot(magics, args)
        except UsageError as error:
            raise UsageError(f"{error}; the cell was not run") from None
    elif not quiet:
        say("nbsnap: there is nothing to save yet, so there is no snapshot before this cell")
    back = {**magics.where(), "map": magics.map}
    attempt.begin(
        attempt.Attempt(
            magics.ip, magics.taken, say, lambda: magics.came, args.rollback, bool(args.only or args.exclude),
            magics.parts(args, partly=bool(args.only)), back,
        ),
        cell,
    )  # fmt: skip
