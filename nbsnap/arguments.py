"""What `%snapshots` and the command line take: the commands about the history, and the arguments of each.

Read at every start of a shell, so it imports nothing of the package; `history` answers.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

__all__ = ["COMMANDS", "add", "split"]

_Argument = tuple[tuple[str, ...], dict[str, Any]]


def _argument(*flags: str, **meaning: Any) -> _Argument:
    return flags, meaning


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


_count.__name__ = "number of 1 or more"  # as argparse says it

_SNAPSHOT = "a name, the beginning of an id, latest, or latest~2: the second before it"
_DRY = _argument("--dry-run", action="store_true", help="say what would be removed and freed; remove nothing")
_PATTERN: dict[str, Any] = {"metavar": "PATTERN", "nargs": "+", "action": "extend", "default": []}

#: What each command is for, and its arguments. `diff` takes the live session where that is at hand.
COMMANDS: dict[str, tuple[str, tuple[_Argument, ...]]] = {
    "list": (
        "List snapshots, oldest first.",
        (_argument("-n", "--number", metavar="N", type=_count, help="only the newest N"),),
    ),
    "show": (
        "Show what is in a snapshot, and what is not.",
        (
            _argument(
                "snapshot", metavar="SNAPSHOT", nargs="?", default="latest", help=f"{_SNAPSHOT} (default: latest)"
            ),
            _argument("--html", metavar="FILE", default="", help="write it as a page that any browser opens"),
        ),
    ),
    "diff": (
        "Say which variables were added, removed and changed from A to B, and how. Nothing is loaded.",
        (
            _argument("a", metavar="A", help=_SNAPSHOT),
            _argument("b", metavar="B", help="the same, for the later one"),
            _argument("--only", **_PATTERN, help="compare only the variables of these names or globs"),
            _argument("--exclude", **_PATTERN, help="compare all but these"),
        ),
    ),
    "delete": (
        "Remove snapshots, and free what no other needs.",
        (_argument("snapshots", metavar="SNAPSHOT", nargs="+", help=_SNAPSHOT), _DRY),
    ),
    "prune": (
        "Remove the snapshots that no rule keeps, and free what no other needs. The latest of a notebook stays,"
        " and so do those that have a name.",
        (
            _argument("--last", metavar="N", type=_count, default=0, help="keep the newest N"),
            _argument("--hourly", metavar="N", type=_count, default=0, help="keep one for each of the last N hours"),
            _argument("--daily", metavar="N", type=_count, default=0, help="keep one for each of the last N days"),
            _argument(
                "--max-size",
                metavar="SIZE",
                default="",
                help="then let the oldest go until the others need no more than SIZE: 500MB, 2GB",
            ),
            _argument("--named", action="store_true", help="let those with a name go, too"),
            _DRY,
        ),
    ),
    "trust": (
        "Sign snapshots with your own key, so that %restore loads them without --trust. Shows what is in them first;"
        " nothing is loaded.",
        (
            _argument("snapshots", metavar="SNAPSHOT", nargs="*", help=_SNAPSHOT),
            _argument("--all", action="store_true", help="all of them: a store that was made before nbsnap signed"),
        ),
    ),
    "check": (
        "Read everything in the store and say what is damaged.",
        (
            _argument("--quick", action="store_true", help="look at records and lengths only"),
            _argument(
                "--repair", action="store_true", help="keep what can be kept of what is damaged, and say what cannot"
            ),
        ),
    ),
}


_VERBOSE = {
    "show": "every variable, what can be seen of them, and the versions of packages",
    "prune": "all rows, and what stays and why",
}


def add(parser: argparse.ArgumentParser, command: str, *, live: bool = False) -> None:
    """Give a parser the arguments of a command; `live`: what `diff` is not told is the live session."""
    for flags, meaning in COMMANDS[command][1]:
        if live and flags == ("a",):
            meaning = meaning | {"nargs": "?", "default": "latest", "help": f"{_SNAPSHOT} (default: latest)"}
        elif live and flags == ("b",):
            meaning = meaning | {"nargs": "?", "help": "the same, for the later one (default: the live session)"}
        parser.add_argument(*flags, **meaning)
    if command != "check":
        parser.add_argument("-v", "--verbose", action="store_true", help=_VERBOSE.get(command, "all rows"))


def split(patterns: Sequence[str]) -> tuple[str, ...]:
    """Return the patterns of `--only a,b c`: a, b and c."""
    return tuple(part for pattern in patterns for part in pattern.split(",") if part)
