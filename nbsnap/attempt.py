"""`%%snapshot`: a snapshot, then the cell; and back to before it, if the cell fails.

The magic is called in the first line of the cell (`firstline`). It takes the snapshot and leaves an `Attempt`, which
IPython calls when the cell has ended, and which says how to go back, or goes. Where the snapshot fails, its error ends
the cell before the user's first line. A cell that does not compile is not run at all, so there is no snapshot either.

A rollback brings back what was saved, and removes names that the cell has added. **What the snapshot could not save, or
not wholly, is left alone**: it is still the live object; only where the cell has bound its name to something else, the
name gets the object back. It counts as one restore: `%restore --undo` brings back what the cell had made until it
failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nbsnap import background, undoing, wording
from nbsnap.errors import NbSnapError
from nbsnap.model import SnapshotReport
from nbsnap.namespace import user_names
from nbsnap.render import reference
from nbsnap.restoring import restore

__all__ = ["Attempt", "begin"]


@dataclass(eq=False, repr=False)
class Attempt:
    """One cell that runs after a snapshot."""

    shell: Any
    report: SnapshotReport | None  # None where there was nothing to save
    say: Callable[[str], None]
    latest: Callable[[], SnapshotReport | NbSnapError | None]  # what came of a snapshot in the background
    rollback: bool
    partly: bool  # the snapshot is of some variables only
    beside: Sequence[str]  # what to put back beside the variables
    restoring: Mapping[str, Any]  # more for `restore`
    result: Any = None  # the cell's, which IPython fills in
    names: frozenset[str] = frozenset()  # that were there
    held: dict[str, Any] = field(default_factory=dict)  # what cannot be had from the snapshot, or not wholly

    def ended(self, result: Any = None) -> None:
        """Say how to go back, or go back, if this cell has failed. IPython calls this at the end of every cell."""
        if result is not None and result is not self.result:
            return  # a cell within the cell
        self.disarm()
        if result is not None and result.success:
            return
        try:
            self.settle()
            self.say(f"nbsnap: the cell failed; {self.go_back() if self.rollback else self.way_back()}")
        except NbSnapError as error:
            self.say(f"nbsnap: the cell failed, and there is no way back: {error}")
        except KeyboardInterrupt:
            self.say(f"nbsnap: the cell failed, and going back was interrupted; {self.way_back()}")

    def silent_ended(self) -> None:
        """Do the same for a cell that runs silently, of which IPython tells nothing but its end."""
        if self.result.error_before_exec is None and self.result.error_in_exec is None:
            self.disarm()
        else:
            self.ended(self.result)

    def arm(self, result: Any) -> None:
        """Wait for the end of the cell that `result` is of; before all others who wait for it."""
        self.result = result
        callbacks = self.shell.events.callbacks
        for other in [*callbacks["post_run_cell"], *callbacks["post_execute"]]:
            if isinstance(attempt := getattr(other, "__self__", None), Attempt) and attempt.result is result:
                attempt.disarm()  # two in one cell: the later one counts
        if result.info.silent:
            callbacks["post_execute"].insert(0, self.silent_ended)
        else:
            callbacks["post_run_cell"].insert(0, self.ended)

    def disarm(self) -> None:
        """Wait no longer."""
        for event, waiting in (("post_run_cell", self.ended), ("post_execute", self.silent_ended)):
            if waiting in self.shell.events.callbacks[event]:
                self.shell.events.unregister(event, waiting)

    def way_back(self) -> str:
        """Return the words that tell how to go back."""
        if self.report is None:
            return "there was nothing to save before it"
        exact = "" if self.partly else " --exact"
        return f"%restore {reference(self.report.name, self.report.id)}{exact} goes back to before it"

    def settle(self) -> None:
        """Wait for the snapshot, if it is still being written."""
        if self.report is not None and self.report.background:
            background.wait()
            came = self.latest()
            if not isinstance(came, SnapshotReport):
                raise came or NbSnapError("what came of the snapshot before it is not known")
            self.report = came

    def go_back(self) -> str:
        """Go back to before the cell; return the words that tell what was done."""
        names = self.shell.user_ns
        said = []
        more: tuple[str, ...] = ()
        wanted = [variable.name for variable in self.report.variables] if self.report else []
        wanted = [name for name in wanted if name not in self.held]
        if self.report is not None and wanted:
            came = restore(self.report.id, names, only=wanted, beside=self.beside, **self.restoring)
            said.append(f"{wording.count(len(came.restored), 'variable')} put back")
            more = (*(f"{skip.name} is not: {skip.reason}" for skip in came.failed), *came.notes)
        bind = {name: value for name, value in self.held.items() if names.get(name) is not value}
        mine, _ = user_names(names, self.shell.user_ns_hidden)
        removed = undoing.add(names, bind, [name for name in mine if name not in self.names])
        if removed:
            said.append(f"removed: {wording.listed(removed)}")
        if bind:
            said.append(f"bound again to what was not saved: {wording.listed(list(bind))}")
        partly = [skip.name for skip in self.report.skipped if skip.kind == "partly"] if self.report else []
        if left := [name for name in dict.fromkeys(partly) if name in self.held and name not in bind]:
            said.append(f"left as it is, as not all of it was saved: {wording.listed(left)}")
        line = f"back to before it · {' · '.join(said)}" if said else "there is nothing to put back"
        return "\n  ".join((line, *more))


def begin(attempt: Attempt, cell: str) -> None:
    """Note what is there before the cell runs, and wait for its end; or run a `cell` that was handed over as a text."""
    names = attempt.shell.user_ns
    mine, _ = user_names(names, attempt.shell.user_ns_hidden)
    attempt.names = frozenset(mine)
    if attempt.rollback:
        saved = {variable.name for variable in attempt.report.variables} if attempt.report else set()
        saved -= {skip.name for skip in attempt.report.skipped} if attempt.report else set()
        attempt.held = {name: names[name] for name in mine if name not in saved}
    if cell.strip():
        attempt.result = attempt.shell.run_cell(cell)
        attempt.ended(attempt.result)
        attempt.result.raise_error()
    elif (result := attempt.shell.displayhook.exec_result) is not None:
        attempt.arm(result)
