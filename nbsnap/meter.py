"""The progress bar of whatever takes more than a second: bytes, rate, what it is at.

A thread looks at a `Progress` five times a second, and draws when the first second is over: what is quicker shows
nothing and pays nothing. The bar goes away at the end.

- In a terminal it is tqdm's, which people know, on a line of stderr; tqdm is loaded only then. Nothing is shown where
  stderr is a pipe or a file.
- In a kernel it is a display that changes (`bar`). Text of another stream would be left there, red or empty: a display
  that is empty at the end takes no room. A front end that does not know such displays shows the first line only.
"""

from __future__ import annotations

import contextvars
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from nbsnap import bar
from nbsnap.progress import Progress
from nbsnap.quiet import begin

__all__ = ["Progress", "Screen", "shown"]

PATIENCE = 1.0  # seconds before a bar is shown
_STEP = 0.2  # seconds between two looks


#: Shows text and HTML in place of what it showed before.
Screen = Callable[[str, str], None]


@contextmanager
def shown(progress: Progress, *, quiet: bool, screen: Screen | None = None) -> Iterator[None]:
    """Show how far `progress` has come as long as the block runs, if there is somebody to see it.

    Args:
        progress: what the work counts in.
        quiet: nobody wants to see it.
        screen: where to draw; without one it is the terminal, if there is one.
    """
    if quiet or not (screen is not None or _on_terminal()):
        yield
        return
    over = threading.Event()
    show = partial(_show, progress, over) if screen is None else partial(_show_on, screen, progress, over)
    here = contextvars.copy_context()  # by which a kernel knows below which cell to show it
    thread = threading.Thread(target=here.run, args=(show,), name="nbsnap-progress", daemon=True)
    there = begin(thread)
    try:
        yield
    finally:
        over.set()
        if there:
            thread.join(1.0)


def _on_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # replaced by something else, or closed
        return False


def _show_on(screen: Screen, progress: Progress, over: threading.Event) -> None:
    if over.wait(PATIENCE):
        return
    pace = bar.Pace()
    with suppress(Exception):  # a bar is a courtesy: the work goes on without it
        try:
            while True:
                rate = pace.see(progress, time.monotonic())
                screen(bar.to_text(progress, rate), bar.to_html(progress, rate))
                if over.wait(_STEP):
                    break
        finally:
            screen("", "")


def _show(progress: Progress, over: threading.Event) -> None:
    if over.wait(PATIENCE):
        return
    with suppress(Exception):
        from tqdm.std import tqdm

        options: dict[str, Any] = {"unit": "B", "unit_scale": True, "leave": False, "dynamic_ncols": True}
        line = tqdm(desc=bar.said(progress), total=progress.total or None, initial=progress.done, **options)
        try:
            while not over.wait(_STEP):
                _update(line, progress)
        finally:
            line.close()


def _update(line: Any, progress: Progress) -> None:
    line.set_description_str(bar.said(progress), refresh=False)
    total, done = progress.total or None, progress.done
    if line.total != total:  # another part of the work: its rate has nothing to do with the one before
        line.reset(total)
        line.n = line.last_print_n = line.initial = done
    line.update(done - line.n)
    line.refresh()
