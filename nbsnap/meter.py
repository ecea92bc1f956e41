"""The progress bar of whatever takes more than a second: bytes, rate, what it is at. By tqdm, which people know.

A thread looks at a `Progress` five times a second, and loads tqdm when the first second is over: what is quicker shows
nothing and pays nothing. The bar goes away at the end. In a notebook it is tqdm's own (a line of text where there is no
ipywidgets), in a terminal a line on stderr; nothing is shown where stderr is a pipe or a file.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any

from nbsnap.progress import Progress
from nbsnap.quiet import begin
from nbsnap.wording import clean, listed

__all__ = ["Progress", "shown"]

PATIENCE = 1.0  # seconds before a bar is shown
_STEP = 0.2  # seconds between two looks


@contextmanager
def shown(progress: Progress, *, in_kernel: bool, quiet: bool) -> Iterator[None]:
    """Show how far `progress` has come as long as the block runs, if there is somebody to see it."""
    if quiet or not (in_kernel or _on_terminal()):
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_show, args=(progress, over, in_kernel), name="nbsnap-progress", daemon=True)
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


def _show(progress: Progress, over: threading.Event, in_kernel: bool) -> None:
    if over.wait(PATIENCE):
        return
    with suppress(Exception):  # a bar is a courtesy: the work goes on without it
        bar = _bar(in_kernel, progress)
        try:
            while not over.wait(_STEP):
                _update(bar, progress)
        finally:
            bar.close()


def _bar(in_kernel: bool, progress: Progress) -> Any:
    if in_kernel and find_spec("ipywidgets") is not None:
        from tqdm.notebook import tqdm
    else:
        from tqdm.std import tqdm
    options: dict[str, Any] = {"unit": "B", "unit_scale": True, "leave": False, "dynamic_ncols": not in_kernel}
    return tqdm(desc=_said(progress), total=progress.total or None, initial=progress.done, **options)


def _said(progress: Progress) -> str:
    said = f"nbsnap: {progress.what}"
    if names := [name for name in progress.names if ":" not in name]:  # no names of what lies beside the variables
        said += f" {listed([clean(name) for name in names])}"
    if progress.importing:
        said += f" (importing {clean(progress.importing.partition('.')[0])})"
    return said


def _update(bar: Any, progress: Progress) -> None:
    bar.set_description_str(_said(progress), refresh=False)
    total, done = progress.total or None, progress.done
    if bar.total != total:  # another part of the work: its rate has nothing to do with the one before
        bar.reset(total)
        bar.n = bar.last_print_n = bar.initial = done
    bar.update(done - bar.n)
    bar.refresh()
