"""Matplotlib: a figure comes back as itself, and does not open itself in pyplot.

A figure that is open when it is pickled asks to be opened whenever it is loaded, under any number. Which figures are
open is kept apart, beside the variables (`nbsnap.beside.figures`), so that wish is left out.
"""

from __future__ import annotations

import itertools
from typing import Any

from nbsnap import builders

from .common import Plan


def _figure(desk: Any, figure: Any) -> Any:
    desk.claim(figure)
    reduction = figure.__reduce_ex__(5)
    if type(reduction) is tuple and len(reduction) > 2 and type(reduction[2]) is dict:
        reduction[2].pop("_restore_to_pylab", None)  # a copy that was made for this
    return reduction


def _callbacks(desk: Any, registry: Any) -> Any:
    """Asking a registry of callbacks for its state uses up one of the numbers that it gives out: it gets that back."""
    desk.claim(registry)
    state = registry.__getstate__()
    if type(number := state.get("_cid_gen")) is int:
        registry._cid_gen = itertools.count(number)
    return builders.new_object, (type(registry),), state


#: For a class and its subclasses, by qualified name.
PLANS_BY_NAME: dict[str, Plan] = {
    "matplotlib.cbook.CallbackRegistry": _callbacks,
    "matplotlib.figure.Figure": _figure,
}
