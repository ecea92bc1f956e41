"""What happens without being asked: autosnapshots after cells, one at the end of the session, a restore at its start.

The part between a shell and `autosave`: it listens to the shell's events while there is something to do, and to none
otherwise. Imports no IPython, and no pickler before the first snapshot.

At the end of a session Jupyter waits 2.5 seconds before it ends the kernel, so `at_exit` gives up after two, with what
was there before untouched. Where the process may still fork then (Linux, before Python 3.12), another one goes on.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import importlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .autosave import Autosave, Outcome
from .quiet import begin

if TYPE_CHECKING:
    from .model import SnapshotReport

__all__ = ["GRANTED", "Automatic"]

#: Seconds that a snapshot at the end of a session may take.
GRANTED = 2.0


class Automatic:
    """Autosnapshots of one shell.

    Args:
        shell: the running IPython shell.
        options: returns the arguments of `saving.snapshot` that the settings make.
        say: prints a line.
    """

    def __init__(self, shell: Any, options: Callable[[], dict[str, Any]], say: Callable[[str], None]) -> None:
        self.saving = Autosave(self._take, say, wait=self._wait, remark=self._remark)
        self._shell, self._options, self._say = shell, options, say
        self._in_cell = False
        self._timer: asyncio.TimerHandle | None = None
        self._remarked = False
        self._at_exit = False

    def turn(self, interval: float) -> None:
        """Take one every `interval` seconds; 0 turns it off."""
        on = bool(interval)
        if on != bool(self.saving.interval):
            for name, callback in (("pre_run_cell", self._begins), ("post_run_cell", self._ends)):
                (self._shell.events.register if on else self._shell.events.unregister)(name, callback)
        self.saving.turn(interval)
        if on and "nbsnap.saving" not in sys.modules:  # the first one is not to wait for that
            begin(threading.Thread(target=_import_picklers, name="nbsnap-import", daemon=True))
        if not on:
            self._forget_timer()

    def on_exit(self, wanted: bool) -> None:
        """Take one when the session ends, or not."""
        if wanted == self._at_exit:
            return
        self._at_exit = wanted
        if not wanted:
            atexit.unregister(self._exit)
            vars(self._shell).pop("_atexit_once", None)
            return
        atexit.register(self._exit)
        if (
            ends := getattr(self._shell, "_atexit_once", None)
        ) is not None:  # a terminal's empties the namespace before
            self._shell._atexit_once = _one_after_the_other(self._exit, ends)

    def close(self) -> None:
        """Listen to nothing any more."""
        self.turn(0)
        self.on_exit(False)

    # --- the shell's events --------------------------------------------------------------------------------------

    def _begins(self, info: Any) -> None:
        self._in_cell = True
        self._forget_timer()

    def _ends(self, result: Any) -> None:
        self._in_cell = False
        self.saving.ran()
        self._look()

    def _look(self) -> None:
        self._timer = None
        if self._in_cell:  # it awaits something: afterwards
            return
        self.saving.look()
        due = self.saving.due_in()
        if due:
            with contextlib.suppress(RuntimeError):  # a terminal has no loop that runs between cells
                self._timer = asyncio.get_running_loop().call_later(due, self._look)

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- taking one ----------------------------------------------------------------------------------------------

    def _take(self, ended: Callable[[Outcome], None]) -> SnapshotReport:
        from . import saving

        return saving.snapshot(self._shell.user_ns, automatic=True, background=True, ended=ended, **self._options())

    def _wait(self) -> str:
        from . import background

        if jobs := background.under_way():
            return f"The {jobs[0]} is still being written"
        return self._incomplete()

    def _incomplete(self) -> str:
        """Return what is missing since the last restore: what was saved before it is better then."""
        undoing = sys.modules.get("nbsnap.undoing")
        missing = undoing.incomplete() if undoing is not None else None
        return f"None while {missing}; %snapshot takes one all the same" if missing else ""

    def _remark(self, report: SnapshotReport) -> str:
        """Say once, where nothing was restored, that the snapshot of the session before is another one."""
        if self._remarked:
            return ""
        self._remarked = True
        from . import saving
        from .wording import count, when

        before = saving.left_behind(report)
        if before is None:
            return ""
        moment = when(before.time, sentence=True)
        return (
            f"this session did not restore what was saved {moment} ({count(before.variables, 'variable')});"
            f" %restore {before.id[:7]} brings it back"
        )

    # --- the end of the session ----------------------------------------------------------------------------------

    def _exit(self) -> None:
        """Take one, if something has changed, in the time that there is. Nothing gets out of here."""
        self.on_exit(False)
        if self._incomplete():
            return
        try:
            from . import background, saving
            from .errors import NothingNew

            fork = sys.version_info < (3, 12)  # later ones do not fork any more when they are about to end
            with _limited(GRANTED), contextlib.suppress(NothingNew):
                background.wait(GRANTED)
                saving.snapshot(self._shell.user_ns, automatic=True, background=fork, **self._options())
        except KeyboardInterrupt:
            self._say(f"nbsnap: no snapshot at the end: it would have taken more than {GRANTED:g} s")
        except Exception as error:
            from .wording import clean

            self._say(f"nbsnap: no snapshot at the end: {clean(str(error) or type(error).__name__)}")


def _one_after_the_other(*calls: Callable[[], None]) -> Callable[[], None]:
    def both() -> None:
        for call in calls:
            call()

    return both


def _import_picklers() -> None:
    with contextlib.suppress(Exception):  # whoever takes the first one is told
        importlib.import_module("nbsnap.saving")


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Interrupt what takes longer, as Ctrl-C would; where there are no such alarms, or not in this thread, do not."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
