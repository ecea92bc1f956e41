"""What may go wrong where another version is installed: a table, distribution → when, and why.

    older major    the first number is lower here than it was where the snapshot was taken
    other major    it is another one
    older minor    the first or second number is lower here
    other minor    one of them is another one

A row of the table is a *danger*: what was pickled may not load, or not be what it was. It stands on what a library
says of its own pickles, or on what was tried (`tests/endtoend/test_elsewhere.py`). What is not in the table *differs*
where the first number is another one, or behind a 0 the second (2.3 and 3.0, 0.4 and 0.5), which is told behind the
dangers. All else is a slight difference, and not worth a line.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["DANGERS", "Danger", "degree", "release"]


class Danger(NamedTuple):
    """One row: when it is met, why that is a danger."""

    when: str
    reason: str


#: By the name of the distribution, in lower case.
DANGERS: dict[str, Danger] = {
    "numpy": Danger("older major", "NumPy 1 does not know all the types of NumPy 2"),
    "pandas": Danger("older major", "it does not know the types of a newer pandas: texts, dates with a time zone"),
    "scikit-learn": Danger("other minor", "it promises to load models under the same version only"),
    "matplotlib": Danger("older minor", "it promises to load figures under the same version only"),
    "polars": Danger("older minor", "its plans and expressions are in a form of each version"),
    "spacy": Danger("other minor", "it promises to load pipelines under the same minor version only"),
    "statsmodels": Danger("older minor", "its results are saved by their attributes, which change"),
    "torch": Danger("older major", "an older PyTorch does not know the modules of a newer one"),
    "transformers": Danger("other major", "its models are saved by their attributes, which change"),
    "xgboost": Danger("older minor", "it promises to load models of older versions, not of newer ones"),
    "lightgbm": Danger("older major", "it promises to load models of older versions, not of newer ones"),
    "catboost": Danger("older major", "it promises to load models of older versions, not of newer ones"),
    "dask": Danger("older minor", "graphs name functions of Dask's own, which move"),
}

#: Data that is brought up to date by being replaced: the number is a date.
_DATED = frozenset({"certifi", "pytz", "tzdata"})

_RELEASE = re.compile(r"v?(?:\d+!)?(\d+(?:\.\d+)*)", re.ASCII)


def release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, (2, 4, 6); an empty tuple where there are none."""
    found = _RELEASE.match(version)
    return tuple(int(number[:9]) for number in found[1].split(".")) if found else ()


def degree(name: str, saved: str, here: str) -> tuple[str, str]:
    """Return how much two versions differ, "danger", "differs", "slightly" or "" for not at all, and why it is bad."""
    if saved == here:
        return "", ""
    old, new = _two(release(saved)), _two(release(here))
    danger = DANGERS.get(name.lower())
    if danger is not None and _is_met(danger.when, old, new):
        return "danger", danger.reason
    which = 0 if old[0] or new[0] else 1
    return ("differs" if old[which] != new[which] and name.lower() not in _DATED else "slightly"), ""


def _two(numbers: tuple[int, ...]) -> tuple[int, int]:
    first, second, *_ = (*numbers, 0, 0)
    return first, second


def _is_met(when: str, old: tuple[int, int], new: tuple[int, int]) -> bool:
    if when.endswith("major"):
        old, new = (old[0], 0), (new[0], 0)
    return new < old if when.startswith("older") else new != old
