"""Snapshots that nobody has to ask for: when one is due, what came of it, and what is said about it.

The rules:

1. **After a cell, and never in one.** When a cell has ended and the interval has passed since the last look, one is
   taken, in the background where that is possible. Where the shell has a loop that runs between cells (a kernel), a
   cell that ended too early is looked at again when the interval is over: what was done last is saved, too, while
   nobody types.
2. **Only what changed.** A session without a change since the latest snapshot gets none.
3. **A bounded share of the user's time** (2 % by default). What one costs is what the prompt has waited for it. The
   next one waits until all of them together, with one that costs as much as the last, stay within the share.
4. **A failure is said once**, then tried again quietly at every turn, and said to be over when one succeeds.
   Whatever happens here, the user's cell has ended well and stays so.
5. **It does not outrank what is better.** After a restore that left variables out, none is taken until the session has
   them, or the user says %snapshot. A session that has not restored anything says once, with its first one, where the
   session before it is kept.

Knows neither IPython nor the store: `take` makes a snapshot and `say` prints a line.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from . import wording
from .errors import NbSnapError, NothingNew
from .model import SnapshotReport

__all__ = ["Autosave", "Outcome"]

Outcome = SnapshotReport | NbSnapError

#: The least seconds between two: a cell that is run again and again is not slowed down by each.
LEAST = 1.0


@dataclass
class _Last:
    """The last one that was made."""

    at: float  # by the clock of the machine
    new_bytes: int
    cost: float  # seconds that the prompt waited
    id: str


class Autosave:
    """The state of `%autosnapshot`.

    Args:
        take: makes a snapshot, or begins to: its report, with `background` true while it is being written. It calls its
            argument with what came of it then, in another thread. Raises what `saving.snapshot` raises.
        say: prints a line for the user.
        wait: why none may be taken now, or "".
        remark: what else there is to say about one that was made, or "".
        share: the most of the session's time that it may cost, 0 to 1.
    """

    def __init__(
        self,
        take: Callable[[Callable[[Outcome], None]], SnapshotReport],
        say: Callable[[str], None],
        *,
        wait: Callable[[], str] = lambda: "",
        remark: Callable[[SnapshotReport], str] = lambda report: "",
        share: float = 0.02,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.interval = 0.0
        self.share = share
        self.made = 0
        self.spent = 0.0
        self.last: _Last | None = None
        self.note = ""  # what else was said of one that was made
        self.failing = ""  # what the last failure was, as long as none has succeeded since
        self.why = "No cell has run since it was turned on"  # why there was none at the last look
        self._take, self._say, self._wait, self._remark, self._clock = take, say, wait, remark, clock
        self._since = self._looked = clock()
        self._cost = 0.0  # of the last that was tried
        self._ran = False  # a cell, since the last look
        self._writing = False
        self._lock = threading.Lock()

    # --- when ----------------------------------------------------------------------------------------------------

    def turn(self, interval: float) -> None:
        """Take one every `interval` seconds from now on; 0 turns it off."""
        if interval and not self.interval:
            self._since, self.spent, self.made = self._clock(), 0.0, 0
            self._looked, self.failing = self._since, ""
            self.why = "No cell has run since it was turned on"
        self.interval = max(LEAST, interval) if interval else 0.0

    def ran(self) -> None:
        """Note that a cell has ended."""
        self._ran = True

    def due_in(self) -> float | None:
        """Return in how many seconds one is due; None: not before another cell has run."""
        if not self.interval or not self._ran:
            return None
        now = self._clock()
        for_interval = self._looked + self.interval - now
        for_share = self._since + (self.spent + self._cost) / self.share - now if self.made or self._cost else 0.0
        if for_share > max(0.0, for_interval):
            self.why = (
                f"The last one took {wording.seconds(self._cost)}; the next comes at {_clock_in(for_share)} at the"
                f" earliest, to stay within {self.share:.0%} of your time"
            )
        return max(0.0, for_interval, for_share)

    def look(self) -> None:
        """Take one if it is due. Nothing gets out of here."""
        try:
            if self.due_in() == 0 and not self._writing:
                self._try()
        except KeyboardInterrupt:
            self.why = "It was interrupted"

    def saved(self, report: SnapshotReport) -> None:
        """Note that the user has taken a snapshot: the interval begins anew."""
        self._looked, self._ran = self._clock(), False
        self.why = "Nothing has run since your snapshot"

    def _try(self) -> None:
        if why := self._wait():
            self.why, self._looked = why, self._clock()
            return
        began = self._looked = self._clock()
        self._ran, self._writing = False, True
        self.why = "It is being written"
        came: Outcome | None
        try:
            report = self._take(self._ended)
            came = None if report.background else report
        except Exception as error:
            came = error if isinstance(error, NbSnapError) else NbSnapError(f"{type(error).__name__}: {error}")
        except BaseException:
            self._ran, self._writing = True, False
            raise
        finally:
            self._cost = self._clock() - began
            self.spent += self._cost
        if came is not None:
            self._ended(came)

    # --- what came of it -----------------------------------------------------------------------------------------

    def _ended(self, came: Outcome) -> None:
        """Take what came of one in the background. Called in another thread, perhaps before `_take` has returned."""
        with self._lock:
            self._writing = False
            if isinstance(came, SnapshotReport):
                self._succeeded(came)
            elif isinstance(came, NothingNew):
                self._nothing_new()
            else:
                self._failed(str(came))

    def _succeeded(self, report: SnapshotReport) -> None:
        self.made += 1
        self.last = _Last(time.time(), report.new_bytes, self._cost, report.id)
        self.why = "Nothing has run since"
        if self.failing:
            self._say("nbsnap: autosnapshots work again")
        self.failing = ""
        if remark := self._remark(report):
            self.note = f"nbsnap: {remark}"
            self._say(self.note)

    def _nothing_new(self) -> None:
        self.why = "Nothing has changed since the latest snapshot"
        self.failing = ""

    def _failed(self, reason: str) -> None:
        said = wording.clean(reason)
        if not self.failing:
            self._say(f"nbsnap: no autosnapshot: {said}. It goes on trying, quietly; %autosnapshot 0 turns it off")
        self.failing, self.why, self._ran = said, f"It fails, and goes on trying: {said}", True

    # --- what is said --------------------------------------------------------------------------------------------

    def status(self) -> str:
        """Return how it stands, for people."""
        if not self.interval:
            return "Autosnapshot is off; %autosnapshot 60 takes one after a cell, every 60 s at most"
        lines = [f"Autosnapshot every {_every(self.interval)}, after a cell, if something changed"]
        if last := self.last:
            new, cost = wording.size(last.new_bytes), wording.seconds(last.cost)
            lines.append(f"Autosaved {datetime.fromtimestamp(last.at):%H:%M}, {new} new, {cost} of your time")
        if self.made > 1 or (self.made and self.spent > (self.last.cost if self.last else 0.0)):
            share = self.spent / max(1e-9, self._clock() - self._since)
            lines.append(f"{self.made} since it was turned on, {share:.1%} of your time")
        self.due_in()
        lines += [self.why, *filter(None, [self.note])]
        return "\n".join(lines)


def _every(interval: float) -> str:
    return f"{interval:g} s"


def _clock_in(seconds: float) -> str:
    return f"{datetime.fromtimestamp(time.time() + seconds):%H:%M:%S}"
