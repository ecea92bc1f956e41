"""What `%restore` does."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from nbsnap.arguments import split
from nbsnap.errors import TrustError
from nbsnap.magics.lines import AS_THEY_WERE, errors, parsed
from nbsnap.magics.showing import say, screen, show

if TYPE_CHECKING:
    from nbsnap.magics.shell import NbSnap
    from nbsnap.model import Difference, RerunReport, RestoreReport

__all__ = ["run"]


def run(magics: NbSnap, line: str) -> RestoreReport | RerunReport | None:
    args = parsed(magics.restore, line)
    return _rerun(magics, args) if args.rerun else _restore(magics, args)


def _restore(magics: NbSnap, args: Any) -> RestoreReport | None:
    named = None if args.snapshot == "latest" else args.snapshot
    with errors(f"nothing was restored, {AS_THEY_WERE}", named, [*args.only, *args.exclude]), _shown(magics):
        from nbsnap import meter, render, restoring

        progress = meter.Progress()
        with meter.shown(progress, quiet=args.quiet, screen=screen(magics.ip)):
            report: RestoreReport = restoring.restore(
                args.snapshot,
                magics.ip.user_ns,
                only=split(args.only),
                exclude=split(args.exclude),
                ignore=magics.exclude,
                exact=args.exact,
                undo=args.undo,
                strict=args.strict,
                dry_run=args.dry_run,
                **_where(magics, args),
                beside=magics.parts(args, partly=bool(args.only or args.exclude)),
                reload_extensions=magics.reload_extensions,
                map=magics.map and not args.no_map,
                progress=progress,
                trust=args.trust,
                tell=lambda found: _tell(found, args),
            )
        _wake_figures()
        if not args.dry_run:
            magics.lost.note(report)
        if not args.quiet or not report.ok or report.notes:
            show(magics, report, render.restore_sheet(report, verbose=args.verbose, source=_source(args)))
    return report if args.output else None


def _where(magics: NbSnap, args: Any) -> dict[str, Any]:
    """Return the store and the notebook that are meant: those that are set, or what the line names."""
    if not args.source:
        return magics.where()
    from nbsnap.store import Store

    return {"store": Store.open(os.path.expanduser(args.source)), "notebook": None}


def _source(args: Any) -> str:
    """Return what goes behind a %restore that reads from the same place."""
    return f" --from {shlex.quote(args.source)}" if args.source else ""


def _tell(found: Sequence[Difference], args: Any) -> None:
    """Say what is different here from where it was saved; with `-q` only what is dangerous."""
    from nbsnap import elsewhere

    worth = [one for one in found if one.degree == "danger"] if args.quiet else found
    if text := elsewhere.text(worth, verbose=args.verbose):
        say(text)


@contextmanager
def _shown(magics: NbSnap) -> Iterator[None]:
    """Show what is in a snapshot that is not loaded, as this user did not make it."""
    try:
        yield
    except TrustError as error:
        from nbsnap.vouching import refused_sheet

        if (sheet := refused_sheet(error)) is not None:
            show(magics, error, sheet)
        raise


def _wake_figures() -> None:
    """Let a restored figure be shown as a picture, as if this kernel had drawn it.

    Matplotlib's inline backend tells IPython how when it is first used, and restoring a figure does not use it.
    """
    inline = "matplotlib_inline.backend_inline"
    if "matplotlib.figure" in sys.modules and os.environ.get("MPLBACKEND", "").endswith(("inline", inline)):
        with suppress(Exception):
            import_module(inline)


def _rerun(magics: NbSnap, args: Any) -> RerunReport | None:
    """Run again what had made the names; after a restore, if the session does not have the snapshot yet."""
    named = None if args.snapshot == "latest" else args.snapshot
    with errors("nothing more was run", named, []), _shown(magics):
        from nbsnap import render, rerunning, restoring

        if not (args.dry_run or restoring.is_here(args.snapshot, **_where(magics, args))):
            more = f"{_source(args)}{' -q' if args.quiet else ''}{' --trust' if args.trust else ''}"
            magics.restore(f"{shlex.quote(args.snapshot)}{more}")

        def run_code(code: str) -> str:
            error = magics.ip.run_cell(code, store_history=False).error_in_exec
            return "" if error is None else f"{type(error).__name__}: {error}"

        report: RerunReport = rerunning.rerun(
            split(args.rerun),
            named or "",
            magics.ip.user_ns,
            dry_run=args.dry_run,
            show=None if args.quiet else lambda step: say(render.step_text(step)),
            run=run_code,
            python=magics.ip.transform_cell,
            trust=args.trust,
            **_where(magics, args),
        )
        magics.lost.found(report.made)
        if text := render.rerun_text(report):
            say(text)
    return report if args.output else None
