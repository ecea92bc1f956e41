"""Matplotlib: a figure comes back as itself, and does not open itself in pyplot.

A figure that is open when it is pickled asks to be opened whenever it is loaded, under any number. Which figures are
open is kept apart, beside the variables (`nbsnap.beside.figures`), so that wish is left out.
"""

from __future__ import annotations

from typing import Any

from .common import Plan


def _figure(desk: Any, figure: Any) -> Any:
    desk.claim(figure)
    reduction = figure.__reduce_ex__(5)
    if type(reduction) is tuple and len(reduction) > 2 and type(reduction[2]) is dict:
        reduction[2].pop("_restore_to_pylab", None)  # a copy that was made for this
    return reduction


#: For a class and its subclasses, by qualified name.
PLANS_BY_NAME: dict[str, Plan] = {"matplotlib.figure.Figure": _figure}
