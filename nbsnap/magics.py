"""The magics: parse, call, show. The only module that imports IPython.

`load` and `unload` are what `%load_ext` and `%unload_ext` come to. Loading imports no pickler, no compressor and no
array library: those wait for the first `%snapshot` or `%restore`.

The hint ("23 variables were saved here today …") is printed while loading where a user can see that: in a cell, or in a
terminal. A kernel that loads the extension from its profile has nobody listening yet, so there the hint waits for the
first cell. It is only a hint: whatever goes wrong on its way is passed over.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import textwrap
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, cast

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class
from IPython.core.magic_arguments import MagicArgumentParser, MagicHelpFormatter, argument, magic_arguments
from traitlets import Bool, Dict, Enum, Float, List, TraitError, Unicode, observe, validate

from nbsnap import host
from nbsnap.arguments import COMMANDS, add
from nbsnap.arguments import split as _split
from nbsnap.errors import NbSnapError, StoreNotFound, TrustError, VariableNotFound
from nbsnap.firstline import written_out
from nbsnap.model import BESIDE

if TYPE_CHECKING:
    from nbsnap.answers import Explanation
    from nbsnap.automatic import Automatic
    from nbsnap.layout import Sheet
    from nbsnap.lost import Lost
    from nbsnap.model import RerunReport, RestoreReport, SnapshotReport

__all__ = ["NbSnap", "load", "unload"]

_MAGICS = ("snapshot", "restore", "snapshots", "autosnapshot")
_REPORTS = (
    ("model", "SnapshotReport"),
    ("model", "RestoreReport"),
    ("model", "Snapshot"),
    ("records", "ListReport"),
    ("records", "DiffReport"),
    ("records", "PruneReport"),
    ("records", "CheckReport"),
    ("model", "VerifyReport"),
    ("answers", "Explanation"),
)
_AS_THEY_WERE = "store and variables are as they were"

_ROWS = 40  # snapshots that are listed, unless more are asked for

_F = TypeVar("_F", bound=Callable[..., Any])
_Argument = tuple[tuple[str, ...], dict[str, Any]]
_declare: Any = magic_arguments  # these two have no types
_declare_argument: Any = argument


def _argument(*flags: str, **meaning: Any) -> _Argument:
    return flags, meaning


def _patterns(verb: str) -> tuple[_Argument, ...]:
    """`--only` and `--exclude`, which mean the same to both magics."""
    meaning: dict[str, Any] = {"metavar": "PATTERN", "nargs": "+", "action": "extend", "default": []}
    only = f"{verb} only the variables of these names or globs (df_*); several go with spaces or commas between."
    others = f"{verb} all but the variables of these names or globs."
    return _argument("--only", **meaning, help=only), _argument("--exclude", **meaning, help=others)


def _beside(verb: str) -> _Argument:
    names = f"all, none, or some of {', '.join(BESIDE)}"
    text = f"{verb} these beside the variables: {names}. Without it, as the setting says."
    return _argument("--beside", metavar="PART", nargs="+", action="extend", default=[], help=text)


_SHOW = (
    _argument("-q", "--quiet", action="store_true", help="Print nothing, unless something is amiss."),
    _argument("-v", "--verbose", action="store_true", help="Show all rows, and every variable."),
    _argument("-o", "--output", action="store_true", help="Return the report as an object, too."),
)


def _magic(*arguments: _Argument, kind: Any = line_magic) -> Callable[[_F], _F]:
    """Make a method a magic that has these arguments; its help text is made from them.

    `magic_x` is the magic x of which there is a setting x, too.
    """

    def make(function: _F) -> _F:
        function = cast(_F, kind(function.__name__.removeprefix("magic_"))(function))
        for flags, meaning in reversed(arguments):
            function = _declare_argument(*flags, **meaning)(function)
        function = _declare()(function)
        parser = function.parser  # type: ignore[attr-defined]
        parser.allow_abbrev = False
        parser.usage = _usage(parser)
        parser.formatter_class = partial(MagicHelpFormatter, width=96)
        text = parser.format_help().replace("<PATTERN [PATTERN ...]>", "PATTERN…").replace("<NAME [NAME ...]>", "NAME…")
        function.__doc__ = text.replace("<PART [PART ...]>", "PART…")
        return function

    return make


def _usage(parser: Any) -> str:
    """Return the line of usage with the name first, where it has to stand."""
    words = []
    for action in sorted(parser._actions, key=lambda action: bool(action.option_strings)):
        value = "" if action.nargs == 0 else action.metavar + ("…" if action.nargs == "+" else "")
        words.append(f"[{' '.join(filter(None, (*action.option_strings[:1], value)))}]")
    return textwrap.fill(" ".join([parser.prog, *words]), 90, subsequent_indent=" " * 6, break_on_hyphens=False)


@magics_class
class NbSnap(Magics):
    """Snapshots of the session's variables: %snapshot, %restore and %snapshots.

    The settings are `c.NbSnap.…` in ipython_config.py, or `%config NbSnap.… = …` in a session.
    """

    store = Unicode(
        "", help="Where snapshots are kept; empty: .nbsnap beside the notebook. NBSNAP_STORE overrides it."
    ).tag(config=True)
    notebook = Unicode("", help="The notebook that snapshots belong to; empty: as the front end tells.").tag(
        config=True
    )
    exclude = List(Unicode(), help="Names and globs of variables that are never saved.").tag(config=True)
    engine = Enum(
        ["auto", "dill", "cloudpickle"],
        default_value="auto",
        help="The pickler: auto (the fast one, dill where only dill can), or dill or cloudpickle for everything.",
    ).tag(config=True)

    previews = Bool(
        True, help="Keep the first rows of frames, small figures and the like, to be shown without loading anything."
    ).tag(config=True)

    beside = List(
        Enum(BESIDE),
        default_value=list(BESIDE),
        help="What is kept and put back beside the variables.",
    ).tag(config=True)
    reload_extensions = Bool(
        False, help="Let %restore load the extensions of IPython that the session had, and choose its %matplotlib mode."
    ).tag(config=True)

    map = Bool(
        True,
        help="Let %restore map big arrays from the store's files, where that is safe, instead of reading them.",
    ).tag(config=True)

    verify_timeout = Float(120.0, help="Seconds that the fresh process of %snapshot --verify is given.").tag(
        config=True
    )
    autosnapshot = Float(
        0, min=0, help="Seconds between snapshots that are taken by themselves, after cells; 0 for none."
    ).tag(config=True)
    autosnapshot_share = Float(
        0.02, min=0.0001, max=1, help="How much of the session's time autosnapshots may take at most."
    ).tag(config=True)
    snapshot_on_exit = Bool(
        False, help="Take a snapshot when the kernel or the shell ends, in the time that Jupyter grants (2 seconds)."
    ).tag(config=True)
    autorestore = Enum(
        ["ask", "never", "always"],
        default_value="ask",
        help="What a session does that begins where there is a snapshot: say so, nothing, or restore it.",
    ).tag(config=True)

    taken: SnapshotReport | None = None  # the snapshot before the cell that runs: what `%%snapshot -o` returns
    came: SnapshotReport | NbSnapError | None = None  # of the latest snapshot in the background

    keep = Dict(
        help="What stays when the history is thinned: {'last': 10, 'hourly': 24, 'daily': 7}; empty: all of it.",
    ).tag(config=True)
    max_size = Unicode("", help="How large the history of a notebook may grow: '10 GB'; empty: any size.").tag(
        config=True
    )

    @validate("keep", "max_size")
    def _valid_rules(self, proposal: Any) -> Any:
        from nbsnap.keep import rules_of

        name, value = proposal["trait"].name, proposal["value"]
        try:
            rules_of(**{"keep": {}, name: value})
        except (NbSnapError, TypeError) as error:
            raise TraitError(f"NbSnap.{name}: {error}") from None
        return value

    shown: object = None  # the report that was printed last: not to be printed in full again as Out[…]

    @_magic(
        _argument(
            "name", metavar="NAME", nargs="?", help="A name for the snapshot; used again, it moves to the new one."
        ),
        _argument("-m", "--message", metavar="TEXT", default="", help="A note to keep with it, in quotes."),
        *_patterns("Save"),
        _beside("Keep"),
        _argument("--strict", action="store_true", help="If anything would be lost, fail and write nothing."),
        _argument("--dry-run", action="store_true", help="Say what would be saved, with sizes; write nothing."),
        _argument("--background", action="store_true", help="Return at once; a later line says when it is safe."),
        _argument("--rollback", action="store_true", help="With a cell: if it raises, go back to before it."),
        _argument("--verify", action="store_true", help="Let a fresh process restore it, and say what came back."),
        _argument("--explain", metavar="VARIABLE", help="Only say why this can or cannot be saved, and what it takes."),
        *_SHOW,
        kind=line_cell_magic,
    )
    def snapshot(self, line: str, cell: str | None = None) -> SnapshotReport | Explanation | None:
        """Save the variables of this session, to have them back with %restore.

        All of the user's variables are saved: what %who lists, and _private names too. What cannot
        be saved is named, with the reason, and costs nothing else. A second snapshot writes only
        what changed.

        NAME goes before --only and --exclude, which take all words up to the next option.

            %snapshot                          everything
            %snapshot before-train -m "lr 0.1"
            %snapshot --only df model_*
            %snapshot --explain df             saves nothing

        %%snapshot before a cell takes a snapshot and runs the cell. If that raises, a line says how to
        go back; with --rollback it goes back by itself.
        """
        args = self._parse(self.snapshot, line)
        if args.explain is not None:
            return self._explain(args, cell)
        if cell is not None or args.rollback:
            self._before_cell(args, cell)
            return None
        return self._snapshot(args)

    def _snapshot(self, args: Any) -> SnapshotReport | None:
        with self._errors(f"nothing was saved, {_AS_THEY_WERE}", args.name, [*args.only, *args.exclude]):
            from nbsnap import meter, render, session

            progress = meter.Progress()
            with meter.shown(progress, in_kernel=_in_kernel(self._ip), quiet=args.quiet):
                report: SnapshotReport = session.snapshot(
                    self._ip.user_ns,
                    name=args.name,
                    message=args.message,
                    only=_split(args.only),
                    exclude=_split(args.exclude),
                    strict=args.strict,
                    dry_run=args.dry_run,
                    **{**self._saving_options(), "beside": self._parts(args, partly=bool(args.only))},
                    background=args.background,
                    ended=partial(self._tell, quiet=args.quiet),
                    progress=progress,
                    verify=args.verify,
                    verify_timeout=self.verify_timeout,
                )
            if self._automatic is not None and not args.dry_run:
                self._automatic.saving.saved(report)
            if not args.quiet or report.skipped or report.notes:
                self._show(report, render.snapshot_sheet(report, verbose=args.verbose))
            if (verified := report.verified) is not None and not (args.quiet and verified.ok):
                from nbsnap import sheets

                self._show(verified, sheets.verify_sheet(verified, verbose=args.verbose))
                self.shown = report
        return report if args.output else None

    def _explain(self, args: Any, cell: str | None) -> Explanation | None:
        """Print what there is to know of a variable; save nothing."""
        if cell is not None or args.name:
            raise UsageError("--explain saves nothing: it goes with no name of a snapshot, and before no cell")
        with self._errors("nothing was saved", None, []):
            from nbsnap import explaining, sheets

            found = explaining.explain(namespace=self._ip.user_ns, name=args.explain, engine=self.engine)
            self._show(found, sheets.explain_sheet(found, verbose=args.verbose))
        return found if args.output else None

    def _before_cell(self, args: Any, cell: str | None) -> None:
        """Take a snapshot before a cell, and let an `Attempt` wait for how the cell ends."""
        from nbsnap import attempt
        from nbsnap.namespace import user_names

        if cell is None or args.dry_run:
            raise UsageError("--rollback is for cells: %%snapshot" if cell is None else "no --dry-run before a cell")
        quiet, args.output, self.taken = args.quiet, True, None
        if user_names(self._ip.user_ns, self._ip.user_ns_hidden)[0]:
            try:
                self.taken = self._snapshot(args)
            except UsageError as error:
                raise UsageError(f"{error}; the cell was not run") from None
        elif not quiet:
            _print("nbsnap: there is nothing to save yet, so there is no snapshot before this cell")
        back = {"store": self._place(), "notebook": self.notebook or None, "map": self.map}
        attempt.begin(
            attempt.Attempt(
                self._ip, self.taken, _print, lambda: self.came, args.rollback, bool(args.only or args.exclude),
                self._parts(args, partly=bool(args.only)), back,
            ),
            cell,
        )  # fmt: skip

    @_magic(
        _argument(
            "snapshot",
            metavar="SNAPSHOT",
            nargs="?",
            default="latest",
            help="A name, the beginning of an id, latest (the default), or latest~2: the second before it.",
        ),
        *_patterns("Restore"),
        _beside("Put back"),
        _argument("--exact", action="store_true", help="Also remove the variables that the snapshot does not have."),
        _argument("--strict", action="store_true", help="If anything cannot be restored, fail and change nothing."),
        _argument("--dry-run", action="store_true", help="Say what would be restored, with sizes; change nothing."),
        _argument("--undo", action="store_true", help="Take the last restore back; once more: do it again."),
        _argument(
            "--rerun",
            metavar="NAME",
            nargs="+",
            action="extend",
            default=[],
            help="Make these again, which were not saved: show and run the statements that had made them.",
        ),
        _argument(
            "--trust", action="store_true", help="Load it even if it was not made by you, as far as can be told."
        ),
        _argument("--no-map", action="store_true", help="Read and verify all of it now; map no array from a file."),
        *_SHOW,
    )
    def restore(self, line: str) -> RestoreReport | None:
        """Bring the variables of a snapshot back, by default those of this notebook's latest.

        Variables of the session that the snapshot does not have stay, unless --exact is given. What
        cannot be restored is named, with what would help; its bytes stay in the store for another try.

        A snapshot is made of pickles, which run code when they are loaded. So one that you did not make,
        as far as its signature tells, is shown and not loaded; --trust loads it all the same.

        SNAPSHOT goes before --only and --exclude, which take all words up to the next option.

            %restore                           the latest
            %restore before-train --only df
            %restore latest~1 --dry-run
            %restore --undo                    as it was before the last %restore
            %restore --rerun rows db
        """
        args = self._parse(self.restore, line)
        if args.rerun:
            return self._rerun(args)  # type: ignore[return-value]
        named = None if args.snapshot == "latest" else args.snapshot
        with self._errors(f"nothing was restored, {_AS_THEY_WERE}", named, [*args.only, *args.exclude]):
            from nbsnap import meter, render, session

            progress = meter.Progress()
            with meter.shown(progress, in_kernel=_in_kernel(self._ip), quiet=args.quiet):
                report: RestoreReport = session.restore(
                    args.snapshot,
                    self._ip.user_ns,
                    only=_split(args.only),
                    exclude=_split(args.exclude),
                    ignore=self.exclude,
                    exact=args.exact,
                    undo=args.undo,
                    strict=args.strict,
                    dry_run=args.dry_run,
                    store=self._place(),
                    notebook=self.notebook or None,
                    beside=self._parts(args, partly=bool(args.only or args.exclude)),
                    reload_extensions=self.reload_extensions,
                    map=self.map and not args.no_map,
                    trust=args.trust,
                    progress=progress,
                )
            _wake_figures(self._ip)
            if not args.dry_run:
                self.lost.note(report)
            if not args.quiet or report.failed or report.not_saved or report.notes:
                self._show(report, render.restore_sheet(report, verbose=args.verbose))
        return report if args.output else None

    def _rerun(self, args: Any) -> RerunReport | None:
        """Run again what had made the names; after a restore, if the session does not have the snapshot yet."""
        named = None if args.snapshot == "latest" else args.snapshot
        where: dict[str, Any] = {"store": self._place(), "notebook": self.notebook or None}
        with self._errors("nothing more was run", named, []):
            from nbsnap import render, session

            if not (args.dry_run or session.is_here(args.snapshot, **where)):
                more = f"{' -q' if args.quiet else ''}{' --trust' if args.trust else ''}"
                self.restore(f"{shlex.quote(args.snapshot)}{more}")
            report: RerunReport = session.rerun(
                _split(args.rerun),
                named or "",
                self._ip.user_ns,
                dry_run=args.dry_run,
                show=None if args.quiet else lambda step: _print(render.step_text(step)),
                run=self._run_code,
                python=self._ip.transform_cell,
                trust=args.trust,
                **where,
            )
            self.lost.found(report.made)
            if text := render.rerun_text(report):
                _print(text)
        return report if args.output else None

    def _run_code(self, code: str) -> str:
        error = self._ip.run_cell(code, store_history=False).error_in_exec
        return "" if error is None else f"{type(error).__name__}: {error}"

    @property
    def lost(self) -> Lost:
        """The names that a restore did not bring back."""
        if self._lost is None:
            from nbsnap.lost import Lost

            self._lost = Lost(self._ip, _print)
        return self._lost

    _lost: Lost | None = None

    @_magic(_argument("seconds", metavar="SECONDS", nargs="?", type=float, help="The interval; 0 turns it off."))
    def magic_autosnapshot(self, line: str) -> None:
        """Take a snapshot by itself after a cell, in the background, when something has changed.

        Without SECONDS it says how it stands: when the last one was taken, what it cost, and why there was none since.
        To have it in every session, put c.NbSnap.autosnapshot = 60 into ipython_config.py.

            %autosnapshot 60
            %autosnapshot 0
            %autosnapshot
        """
        args = self._parse(self.magic_autosnapshot, line)
        if args.seconds is not None:
            try:
                self.autosnapshot = args.seconds
            except TraitError:
                raise UsageError(f"an interval is a number of seconds, or 0, not {args.seconds:g}") from None
        _print(self.automatic.saving.status())

    @property
    def automatic(self) -> Automatic:
        """What is done without being asked."""
        if self._automatic is None:
            from nbsnap.automatic import Automatic

            self._automatic = Automatic(self._ip, self._automatic_options, _print)
        return self._automatic

    _automatic: Automatic | None = None

    @observe("autosnapshot", "autosnapshot_share", "snapshot_on_exit")
    def _follow_settings(self, change: Any) -> None:
        if self._following:
            self.automatic.saving.share = self.autosnapshot_share
            self.automatic.turn(self.autosnapshot)
            self.automatic.on_exit(self.snapshot_on_exit)

    _following = False

    def follow_settings(self) -> None:
        """From now on, do as the settings say."""
        self._following = True
        if self.autosnapshot or self.snapshot_on_exit:
            self._follow_settings(None)

    def stop_following(self) -> None:
        """Do nothing without being asked any more."""
        self._following = False
        if self._automatic is not None:
            self._automatic.close()
        if self._lost is not None:
            self._lost.close()

    def _automatic_options(self) -> dict[str, Any]:
        """Return what the settings say about snapshots that nobody asks for."""
        from nbsnap.keep import AUTOMATIC, rules_of

        return {**self._saving_options(), "keep": rules_of(self.keep, self.max_size) or AUTOMATIC}

    def _saving_options(self) -> dict[str, Any]:
        """Return what the settings say about every snapshot."""
        return {
            "ignore": self.exclude,
            "store": self._place(),
            "notebook": self.notebook or None,
            "engine": self.engine,
            "beside": self.beside,
            "previews": self.previews,
        }

    @line_magic
    def snapshots(self, line: str) -> Any:
        """The history of this notebook: its snapshots, what has changed since, and what may go.

            %snapshots                         the snapshots of this notebook, oldest first; -n N: the newest N
            %snapshots show [SNAPSHOT]         what is in one (the latest), and what is not; --html FILE writes a page
            %snapshots diff [A] [B]            what has changed since A (the latest), up to B or in the session now;
                                               --only PATTERN… and --exclude PATTERN… choose variables
            %snapshots delete SNAPSHOT…        remove some, and free what no other needs; --dry-run says how much
            %snapshots prune [rules]           remove all that no rule keeps: --last N, --hourly N, --daily N,
                                               --max-size SIZE (2GB); else the settings keep and max_size. Those with
                                               a name stay, unless --named is given. --dry-run says what would go
            %snapshots trust SNAPSHOT…         sign some with your own key, so that %restore loads them without --trust
            %snapshots check [--quick]         read everything in the store, and say what is damaged

        SNAPSHOT, A and B are a name, the beginning of an id, latest, or latest~2. Nothing is loaded. With each of them
        -v shows all rows, -q prints nothing unless something is amiss, and -o returns the report as an object.
        """
        args = self._parse_history(line)
        changes = args.command in ("delete", "prune") and not args.dry_run
        outcome = "what is removed stays removed, and the store is sound" if changes else _AS_THEY_WERE
        with self._errors(outcome, None, []):
            from nbsnap import background

            if args.command in ("delete", "prune", "diff", "trust"):
                background.wait()
            told = self._diff_live(args) if args.command == "diff" and args.b is None else self._answered(args)
            if not args.quiet or told.code or getattr(told.report, "problems", ()):
                self._show(told.report, told.sheet)
        return told.report if args.output else None

    def _parse_history(self, line: str) -> Any:
        words = self._words(line)
        if not words or words[0].startswith("-"):
            words.insert(0, "list")
        if words[0] not in COMMANDS:
            raise UsageError(f"no %snapshots {words[0]}; there are {', '.join(COMMANDS)}")
        command = words.pop(0)
        return _history_parser(command).parse_args(words, Namespace(command=command))

    def _answered(self, args: Any) -> Any:
        """Ask the store what %snapshots was asked."""
        from nbsnap.history import Asked, answer, nothing_yet
        from nbsnap.keep import rules_of

        if args.command == "list" and args.number is None and not args.verbose:
            args.number = _ROWS
        place, notebook = self._at()
        try:
            store = self._open(place)
        except StoreNotFound:
            return nothing_yet(args.command, place, notebook)
        return answer(args.command, Asked(args, store, notebook, "%snapshots", rules_of(self.keep, self.max_size)))

    def _diff_live(self, args: Any) -> Any:
        """Compare a snapshot with the session as it is now."""
        from nbsnap import meter
        from nbsnap.history import diff_answer
        from nbsnap.since import diff

        progress = meter.Progress()
        with meter.shown(progress, in_kernel=_in_kernel(self._ip), quiet=args.quiet):
            report = diff(
                args.a,
                None,
                self._ip.user_ns,
                only=_split(args.only),
                exclude=_split(args.exclude),
                ignore=self.exclude,
                store=self._place(),
                notebook=self.notebook or None,
                engine=self.engine,
                beside=self.beside,
                progress=progress,
            )
        return diff_answer(report, args, "%snapshots")

    # ---- the way in ----

    @property
    def _ip(self) -> Any:
        return self.shell

    def _parse(self, magic: Any, line: str) -> Any:
        """Parse the line by the magic's declared arguments."""
        return magic.parser.parse_args(self._words(line))

    def _words(self, line: str) -> list[str]:
        """Split the line as a shell does: quotes quote, `#` begins a comment."""
        try:
            return shlex.split(line.rstrip().rstrip(";"), comments=True)
        except ValueError as error:
            raise UsageError(f"{error} in: {line}") from None

    def _parts(self, args: Any, *, partly: bool) -> Sequence[str]:
        """Return what is meant beside the variables: what is asked for, else the setting, for a session as a whole."""
        return _split(args.beside) or ([] if partly else self.beside)

    def _place(self) -> str | None:
        if os.environ.get("NBSNAP_STORE") or not self.store:
            return None  # host knows
        return host.at(self.store)

    @contextmanager
    def _errors(self, outcome: str, name: str | None, patterns: Sequence[str]) -> Iterator[None]:
        """Turn nbsnap's own errors into one line without a traceback, and say what Ctrl-C left behind."""
        try:
            yield
        except NbSnapError as error:
            from nbsnap.wording import clean, encodable

            if isinstance(error, TrustError):
                from nbsnap.vouching import refused_sheet

                if (sheet := refused_sheet(error)) is not None:
                    self._show(error, sheet)
            said = clean(str(error))
            if isinstance(error, VariableNotFound) and name is None and len(_split(patterns)) > 1:
                said += " (the name of a snapshot goes before --only and --exclude)"
            raise UsageError(encodable(said, sys.stderr.encoding)) from None
        except KeyboardInterrupt:
            print(f"nbsnap: interrupted; {outcome}", file=sys.stderr)
            raise KeyboardInterrupt from None

    # ---- the way out ----

    def _show(self, report: object, sheet: Sheet) -> None:
        from nbsnap.layout import Shown

        self.shown = report
        if _in_kernel(self._ip):
            from IPython.display import display

            display(Shown(sheet))  # type: ignore[no-untyped-call]
        else:
            _print(str(Shown(sheet, _width())))

    def _tell(self, came: SnapshotReport | NbSnapError, *, quiet: bool) -> None:
        """Say that a snapshot that was written in the background is safe, or that it failed. Called in a thread."""
        from nbsnap import render
        from nbsnap.wording import clean

        self.came = came
        if isinstance(came, NbSnapError):
            _print(f"nbsnap: {clean(str(came))}")
        elif not quiet:
            _print(render.saved_line(came))

    def _sheet(self, report: Any) -> Sheet:
        from nbsnap import render, render_history, sheets

        how: dict[str, Callable[[Any], Sheet]] = {
            "Snapshot": render.show_sheet,
            "SnapshotReport": render.snapshot_sheet,
            "RestoreReport": render.restore_sheet,
            "VerifyReport": sheets.verify_sheet,
            "Explanation": sheets.explain_sheet,
        }
        name = type(report).__name__
        if name in how:
            return how[name](report)
        sheet: Sheet = getattr(render_history, f"{name.removesuffix('Report').lower()}_sheet")(report)
        return sheet

    def _report_text(self, report: Any, printer: Any, cycle: bool) -> None:
        """Show a report that stands at the end of a cell: in full, unless the magic has printed it just now."""
        from nbsnap import render, sheets
        from nbsnap.layout import to_text

        if report is self.shown or cycle:
            name = type(report).__name__
            if name in ("SnapshotReport", "RestoreReport"):
                printer.text(render.brief(report))
            else:
                printer.text(sheets.brief(report) if name in ("VerifyReport", "Explanation") else f"<{name}>")
        else:
            printer.text(to_text(self._sheet(report)))

    def _report_html(self, report: Any) -> str | None:
        from nbsnap.layout import to_html

        return None if report is self.shown else to_html(self._sheet(report))

    # ---- the hint ----

    def hint(self) -> str:
        """Return the line for a session with nothing in it whose notebook has a snapshot; "" for any other."""
        try:
            from nbsnap.namespace import user_names

            names, _ = user_names(self._ip.user_ns, self._ip.user_ns_hidden)
            if names:
                return ""
            place = self._place() or host.default_store(reading=True)[0]
            if not os.path.isdir(place):
                return ""
            from nbsnap import startup

            return startup.hint(place, self.notebook or host.default_notebook())
        except Exception:
            return ""  # a broken store is told about by whoever uses it, not by every start of a shell

    def greet(self) -> None:
        """Print the hint, if there is one, or do what it would tell, as the setting says."""
        line = self.hint() if self.autorestore != "never" else ""
        if not line:
            return
        if self.autorestore == "always":
            try:
                self.restore("")
            except UsageError as error:
                _print(f"nbsnap: not restored: {error}")
        else:
            _print(line)

    def greet_before_cell(self, info: Any) -> None:
        """Do so before the first cell of a kernel, unless that cell restores already; then never again."""
        self._ip.events.unregister("pre_run_cell", self.greet_before_cell)
        if "restore" not in str(getattr(info, "raw_cell", "")):
            self.greet()

    # ---- completion ----

    def complete_line(self, _: Any, event: Any) -> list[str]:
        """Return what may stand at the cursor of a %snapshot or %restore line."""
        magic = event.command.lstrip("%")
        if magic == "snapshots":
            return self._complete_history(event)
        words = event.text_until_cursor.split()[1:]
        typed = event.symbol
        before = words[:-1] if words and not event.text_until_cursor[-1].isspace() else words
        parser = _line_magic(self, magic).parser
        if magic == "autosnapshot":
            return ["0", "60", "300"] if not before else []
        if typed.startswith("-"):
            return sorted(parser._option_string_actions)
        option = next((word for word in reversed(before) if word.startswith("-")), "")
        if option == "--beside":
            return ["all", "none", *BESIDE]
        if option in ("--only", "--exclude", "--explain"):
            return self._variable_names(magic, before[0] if before and not before[0].startswith("-") else "latest")
        return self._snapshot_names() if not before else sorted(parser._option_string_actions)

    def _complete_history(self, event: Any) -> list[str]:
        """Return what may stand at the cursor of a %snapshots line: a command, then its options and snapshots."""
        words = event.text_until_cursor.split()[1:]
        before = words[:-1] if words and not event.text_until_cursor[-1].isspace() else words
        if not before or before[0] not in COMMANDS:
            return [*COMMANDS]
        if event.symbol.startswith("-"):
            return sorted(_history_parser(before[0])._option_string_actions)
        if next((word for word in reversed(before) if word.startswith("-")), "") in ("--only", "--exclude"):
            return self._variable_names("snapshots", "latest")
        return self._snapshot_names() if before[0] in ("show", "diff", "delete", "trust") else []

    def _variable_names(self, magic: str, reference: str) -> list[str]:
        if magic == "snapshot":
            from nbsnap.namespace import user_names

            return user_names(self._ip.user_ns, self._ip.user_ns_hidden)[0]
        try:
            store, notebook = self._opened()
            snapshot = store.load(store.resolve(reference, notebook).id)
            return [variable.name for variable in snapshot.variables]
        except Exception:
            return []

    def _snapshot_names(self) -> list[str]:
        try:
            store, notebook = self._opened()
            names = [head.name for head in reversed(store.heads(notebook)) if _one_word(head.name)]
            return list(dict.fromkeys([*names, "latest"]))
        except Exception:
            return []

    def _opened(self) -> tuple[Any, str]:
        place, notebook = self._at()
        return self._open(place), notebook

    def _at(self) -> tuple[str, str]:
        """Return where the snapshots are, and which notebook's."""
        return self._place() or host.default_store(reading=True)[0], self.notebook or host.default_notebook()

    def _open(self, place: str) -> Any:
        from nbsnap.store import Store

        return Store.open(place)


def _line_magic(magics: NbSnap, name: str) -> Any:
    return getattr(magics, f"magic_{name}", None) or getattr(magics, name)


def _wake_figures(shell: Any) -> None:
    """Let a restored figure be shown as a picture, as if this kernel had drawn it.

    Matplotlib's inline backend tells IPython how when it is first used, and restoring a figure does not use it.
    """
    inline = "matplotlib_inline.backend_inline"
    if "matplotlib.figure" in sys.modules and os.environ.get("MPLBACKEND", "").endswith(("inline", inline)):
        with suppress(Exception):
            import_module(inline)


@cache
def _history_parser(command: str) -> Any:
    """Return the parser of `%snapshots COMMAND`."""
    parser: Any = MagicArgumentParser(f"%snapshots {command}")  # type: ignore[no-untyped-call]
    parser.allow_abbrev = False
    add(parser, command, live=True)
    if command == "check":
        parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("-q", "--quiet", action="store_true")
    parser.add_argument("-o", "--output", action="store_true")
    return parser


def _one_word(name: str) -> bool:
    return bool(name) and shlex.quote(name) == name


def _in_kernel(shell: Any) -> bool:
    return getattr(shell, "kernel", None) is not None


def _width() -> int | None:
    if not sys.stdout.isatty():
        return None
    return max(50, shutil.get_terminal_size().columns)


def _print(text: str) -> None:
    from nbsnap.wording import encodable

    print(encodable(text, sys.stdout.encoding), flush=True)


def _heard(shell: Any) -> bool:
    """Tell whether somebody sees what is printed now: not in a kernel that has not been asked for anything yet."""
    return not _in_kernel(shell) or bool(getattr(shell, "parent_header", None))


def load(shell: Any) -> None:
    """Register magics, settings, completion and the display of reports; show the hint."""
    if isinstance(shell.magics_manager.registry.get("NbSnap"), NbSnap):
        return
    try:
        magics = NbSnap(shell=shell)
    except TraitError as error:  # a setting of the user's: one line, and no traceback at every start
        print(f"nbsnap: not loaded: {error}", file=sys.stderr)
        return
    shell.register_magics(magics)
    for name in (*_MAGICS, "%snapshot"):
        shell.set_hook("complete_command", magics.complete_line, str_key=f"%{name}")
    shell.input_transformers_cleanup.append(written_out)
    formatters = shell.display_formatter.formatters
    for module, report in _REPORTS:
        formatters["text/plain"].for_type_by_name(f"nbsnap.{module}", report, magics._report_text)
        formatters["text/html"].for_type_by_name(f"nbsnap.{module}", report, magics._report_html)
    if _heard(shell):
        magics.greet()
    else:
        shell.events.register("pre_run_cell", magics.greet_before_cell)
    magics.follow_settings()


def unload(shell: Any) -> None:
    """Take out everything that `load` put in."""
    magics = shell.magics_manager.registry.pop("NbSnap", None)
    if magics is None:
        return
    for name in (*_MAGICS, "%snapshot"):
        for known in shell.magics_manager.magics.values():
            if getattr(known.get(name), "__self__", None) is magics:
                del known[name]
        shell.strdispatchers["complete_command"].strs.pop(f"%{name}", None)
    if written_out in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(written_out)
    if magics in shell.configurables:
        shell.configurables.remove(magics)
    for module, report in _REPORTS:
        for kind in ("text/plain", "text/html"):
            shell.display_formatter.formatters[kind].pop(f"nbsnap.{module}.{report}", None)
    if magics.greet_before_cell in shell.events.callbacks["pre_run_cell"]:
        shell.events.unregister("pre_run_cell", magics.greet_before_cell)
    magics.stop_following()
