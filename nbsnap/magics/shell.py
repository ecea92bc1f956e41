"""The four magics as a shell has them: declared here, done elsewhere, and what lasts from one to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import line_cell_magic, line_magic, magics_class
from traitlets import TraitError, observe

from nbsnap.magics.declare import SHOW, argument, beside, magic, patterns
from nbsnap.magics.greeting import greet
from nbsnap.magics.settings import Settings
from nbsnap.magics.showing import say

if TYPE_CHECKING:
    from nbsnap.answers import Explanation
    from nbsnap.automatic import Automatic
    from nbsnap.errors import NbSnapError
    from nbsnap.lost import Lost
    from nbsnap.model import RerunReport, RestoreReport, SnapshotReport

__all__ = ["NbSnap"]


@magics_class
class NbSnap(Settings):
    """Snapshots of the session's variables: %snapshot, %restore and %snapshots.

    The settings are `c.NbSnap.…` in ipython_config.py, or `%config NbSnap.… = …` in a session.
    """

    shown: object = None  # the report that was printed last: not to be printed in full again as Out[…]
    taken: SnapshotReport | None = None  # the snapshot before the cell that runs: what `%%snapshot -o` returns
    came: SnapshotReport | NbSnapError | None = None  # of the latest snapshot in the background

    @magic(
        argument(
            "name", metavar="NAME", nargs="?", help="A name for the snapshot; used again, it moves to the new one."
        ),
        argument("-m", "--message", metavar="TEXT", default="", help="A note to keep with it, in quotes."),
        *patterns("Save"),
        beside("Keep"),
        argument("--strict", action="store_true", help="If anything would be lost, fail and write nothing."),
        argument("--dry-run", action="store_true", help="Say what would be saved, with sizes; write nothing."),
        argument("--background", action="store_true", help="Return at once; a later line says when it is safe."),
        argument("--rollback", action="store_true", help="With a cell: if it raises, go back to before it."),
        argument("--verify", action="store_true", help="Let a fresh process restore it, and say what came back."),
        argument("--include-secrets", action="store_true", help="Save what looks like a password, token or key, too."),
        argument("--explain", metavar="VARIABLE", help="Only say why this can or cannot be saved, and what it takes."),
        *SHOW,
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
        from nbsnap.magics import saving

        return saving.run(self, line, cell)

    @magic(
        argument(
            "snapshot",
            metavar="SNAPSHOT",
            nargs="?",
            default="latest",
            help="A name, the beginning of an id, latest (the default), or latest~2: the second before it.",
        ),
        *patterns("Restore"),
        beside("Put back"),
        argument("--exact", action="store_true", help="Also remove the variables that the snapshot does not have."),
        argument("--strict", action="store_true", help="If anything cannot be restored, fail and change nothing."),
        argument("--dry-run", action="store_true", help="Say what would be restored, with sizes; change nothing."),
        argument("--undo", action="store_true", help="Take the last restore back; once more: do it again."),
        argument(
            "--rerun",
            metavar="NAME",
            nargs="+",
            action="extend",
            default=[],
            help="Make these again, which were not saved: show and run the statements that had made them.",
        ),
        argument(
            "--from",
            dest="source",
            metavar="FILE",
            help="Read it from a file that nbsnap export has written, or from another store.",
        ),
        argument("--trust", action="store_true", help="Load it even if it is not signed as made by you."),
        argument("--no-map", action="store_true", help="Read and verify all of it now; map no array from a file."),
        *SHOW,
    )
    def restore(self, line: str) -> RestoreReport | RerunReport | None:
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
            %restore --from before-train.nbsnap
        """
        from nbsnap.magics import restoring

        return restoring.run(self, line)

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
            %snapshots check [--quick]         read everything in the store, and say what is damaged; --repair keeps
                                               what can be kept, and says what cannot

        SNAPSHOT, A and B are a name, the beginning of an id, latest, or latest~2. Nothing is loaded. With each of them
        -v shows all rows, -q prints nothing unless something is amiss, and -o returns the report as an object.
        """
        from nbsnap.magics import history

        return history.run(self, line)

    @magic(argument("seconds", metavar="SECONDS", nargs="?", type=float, help="The interval; 0 turns it off."))
    def magic_autosnapshot(self, line: str) -> None:
        """Take a snapshot by itself after a cell, in the background, when something has changed.

        Without SECONDS it says how it stands: when the last one was taken, what it cost, and why there was none since.
        To have it in every session, put c.NbSnap.autosnapshot = 60 into ipython_config.py.

            %autosnapshot 60
            %autosnapshot 0
            %autosnapshot
        """
        from nbsnap.magics.lines import parsed

        args = parsed(self.magic_autosnapshot, line)
        if args.seconds is not None:
            try:
                self.autosnapshot = args.seconds
            except TraitError:
                raise UsageError(f"an interval is a number of seconds, or 0, not {args.seconds:g}") from None
        say(self.automatic.saving.status())

    # ---- what lasts ----

    @property
    def automatic(self) -> Automatic:
        """What is done without being asked."""
        if self._automatic is None:
            from nbsnap.automatic import Automatic

            self._automatic = Automatic(self.ip, self.automatic_options, say)
        return self._automatic

    _automatic: Automatic | None = None

    def saved(self, report: SnapshotReport) -> None:
        """Let the next autosnapshot count from one that was asked for."""
        if self._automatic is not None:
            self._automatic.saving.saved(report)

    @property
    def lost(self) -> Lost:
        """The names that a restore did not bring back."""
        if self._lost is None:
            from nbsnap.lost import Lost

            self._lost = Lost(self.ip, say)
        return self._lost

    _lost: Lost | None = None

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

    # ---- what IPython calls ----

    def greet_before_cell(self, info: Any) -> None:
        """Greet before the first cell of a kernel, unless that cell restores already; then never again."""
        self.ip.events.unregister("pre_run_cell", self.greet_before_cell)
        if "restore" not in str(getattr(info, "raw_cell", "")):
            greet(self)

    def complete_line(self, _: Any, event: Any) -> list[str]:
        """Return what may stand at the cursor of a line of any of the magics."""
        from nbsnap.magics import completing

        return completing.complete(self, event)
