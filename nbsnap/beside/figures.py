"""Figures that are open in pyplot: opened again under their numbers, the current one current.

A figure that is open is one that a later cell can reach without a variable (`plt.gcf()`, `plt.figure(1)`). Each is an
entry of its own, so that figures do not tie each other. The inline backend closes all figures after each cell, so there
is nothing to keep there, unless it was told not to.

Whose number is taken: a restored figure replaces the one that it was saved from, and one that an earlier restore has
opened. Any other is the user's own, and stays; the restored one then gets the next free number, which is said.
"""

from __future__ import annotations

import importlib
import os
import sys
import weakref
from collections.abc import Mapping
from typing import Any

from .turn import Scene, Turn

INLINE = "matplotlib_inline.backend_inline"

_saved: weakref.WeakValueDictionary[tuple[str, str], Any] = weakref.WeakValueDictionary()  # (snapshot, entry)
_opened: weakref.WeakSet[Any] = weakref.WeakSet()  # by restores


def take(_: Scene) -> dict[str, Any]:
    """Return the open figures by their numbers, and under "current" their order, the current one last."""
    managers = _managers()
    if not managers or (backend() == "inline" and _closes_figures()):
        return {}
    found: dict[str, Any] = {str(number): managers[number].canvas.figure for number in sorted(managers, key=_order)}
    return {**found, "current": tuple(managers)}


def put(values: Mapping[str, Any], turn: Turn) -> None:
    """Open the figures again."""
    order = [number for number in values.get("current", ()) if str(number) in values]
    if not order:
        return
    pyplot = importlib.import_module("matplotlib.pyplot")
    settle()
    module = pyplot._get_backend_mod()
    pylab = sys.modules["matplotlib._pylab_helpers"].Gcf
    before = dict(pylab.figs)
    opened: list[Any] = []
    now: dict[Any, Any] = {}
    turn.undoing.append(lambda: _put_managers(pylab, before))
    for number in order:
        figure = values[str(number)]
        holder = pylab.figs.get(number)
        free = number
        if holder is not None and not _may_replace(holder.canvas.figure, turn.snapshot, number):
            free = max(key for key in [*pylab.figs, *order] if isinstance(key, int)) + 1
            turn.notes.append(f"figure {number} is one of this session's own: the restored one is figure {free}")
        elif holder is not None:
            turn.ending.append(lambda holder=holder: pylab.destroy(holder))  # type: ignore[misc]
            del pylab.figs[number]
        pylab._set_new_active_manager(module.new_figure_manager_given_figure(free, figure))
        turn.ending.append(lambda figure=figure: _opened.add(figure))  # type: ignore[misc]
        opened.append(free)
        now[free] = figure
    was = {number: manager.canvas.figure for number, manager in before.items()}
    turn.later.append(lambda later: _exchange(was, now, later))
    turn.done.extend(f"figures:{number}" for number in sorted(opened, key=_order))
    turn.ending.append(pyplot.draw_if_interactive)


def _exchange(was: dict[Any, Any], now: dict[Any, Any], turn: Turn) -> None:
    """Close the figures `now` that a restore has opened, and open those again that were open; by their numbers.

    What else is open is the user's own since, and stays. Where figures are closed after each cell, there is nothing
    to take back.
    """
    if backend() == "inline" and _closes_figures():
        return
    pyplot = importlib.import_module("matplotlib.pyplot")
    module = pyplot._get_backend_mod()
    pylab = sys.modules["matplotlib._pylab_helpers"].Gcf
    before = dict(pylab.figs)
    present = {number: manager.canvas.figure for number, manager in before.items()}
    turn.undoing.append(lambda: _put_managers(pylab, before))
    for number, figure in now.items():
        if present.get(number) is figure and was.get(number) is not figure:
            turn.ending.append(lambda manager=before[number]: pylab.destroy(manager))  # type: ignore[misc]
            del pylab.figs[number]
    for number, figure in was.items():
        if any(manager.canvas.figure is figure for manager in pylab.figs.values()):
            continue
        if number in pylab.figs:
            turn.notes.append(f"figure {number} is another one by now: the one of before was not opened again")
            continue
        pylab._set_new_active_manager(module.new_figure_manager_given_figure(number, figure))
        turn.done.append(f"figures:{number}")
    for number in [*was]:  # the current one is the last
        if number in pylab.figs:
            pylab.figs.move_to_end(number)
    turn.later.append(lambda later: _exchange(present, was, later))


def remember(snapshot: str, taken: Mapping[str, Any]) -> None:
    """Note which figures of this process a snapshot has saved."""
    for entry, figure in taken.items():
        if entry.startswith("figures:") and entry != "figures:current":
            _saved[snapshot, entry.partition(":")[2]] = figure


def backend() -> str:
    """Return the backend in use, "inline" or "tkagg", or "" where matplotlib has not chosen one yet."""
    matplotlib = sys.modules.get("matplotlib")
    chosen = dict.get(getattr(matplotlib, "rcParams", {}), "backend")
    return backend_of(chosen if isinstance(chosen, str) else os.environ.get("MPLBACKEND", ""))


def backend_of(name: str) -> str:
    """Return a backend's name in the one form that is compared here."""
    return "inline" if name.removeprefix("module://") == INLINE else name.lower()


def settle() -> None:
    """Let the inline backend set up IPython now, where it is the one: later it would undo what is put back."""
    if backend() == "inline" and "matplotlib" in sys.modules:
        importlib.import_module(INLINE)


def _order(number: Any) -> tuple[int, str]:
    return len(str(number)), str(number)


def _managers() -> dict[Any, Any]:
    pylab = sys.modules.get("matplotlib._pylab_helpers")
    return dict(pylab.Gcf.figs) if pylab is not None else {}


def _closes_figures() -> bool:
    config = sys.modules.get("matplotlib_inline.config")
    return config is None or bool(config.InlineBackend.instance().close_figures)


def _may_replace(figure: Any, snapshot: str, number: Any) -> bool:
    return figure in _opened or _saved.get((snapshot, str(number))) is figure


def _put_managers(pylab: Any, before: dict[Any, Any]) -> None:
    """Make pyplot's figures those of before, and let go of the others."""
    new = [manager for manager in pylab.figs.values() if manager not in before.values()]
    pylab.figs.clear()
    pylab.figs.update(before)
    for manager in new:
        manager.destroy()
