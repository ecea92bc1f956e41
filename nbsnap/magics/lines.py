"""The line of a magic: what it says, and how it ends when something goes wrong."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic_arguments import MagicArgumentParser

from nbsnap.arguments import COMMANDS, add, split
from nbsnap.errors import NbSnapError, VariableNotFound

__all__ = ["AS_THEY_WERE", "errors", "history_parser", "parsed", "parsed_history"]

AS_THEY_WERE = "store and variables are as they were"


def parsed(magic: Any, line: str) -> Any:
    """Parse the line by the magic's declared arguments."""
    return magic.parser.parse_args(_words(line))


def parsed_history(line: str) -> Any:
    """Parse a line of %snapshots."""
    words = _words(line)
    if not words or words[0].startswith("-"):
        words.insert(0, "list")
    if words[0] not in COMMANDS:
        raise UsageError(f"no %snapshots {words[0]}; there are {', '.join(COMMANDS)}")
    command = words.pop(0)
    return history_parser(command).parse_args(words, Namespace(command=command))


@cache
def history_parser(command: str) -> Any:
    """Return the parser of `%snapshots COMMAND`."""
    parser: Any = MagicArgumentParser(f"%snapshots {command}")  # type: ignore[no-untyped-call]
    parser.allow_abbrev = False
    add(parser, command, live=True)
    if command == "check":
        parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("-q", "--quiet", action="store_true")
    parser.add_argument("-o", "--output", action="store_true")
    return parser


def _words(line: str) -> list[str]:
    """Split the line as a shell does: quotes quote, `#` begins a comment."""
    try:
        return shlex.split(line.rstrip().rstrip(";"), comments=True)
    except ValueError as error:
        raise UsageError(f"{error} in: {line}") from None


@contextmanager
def errors(outcome: str, name: str | None, patterns: Sequence[str]) -> Iterator[None]:
    """Turn nbsnap's own errors into one line without a traceback, and say what Ctrl-C left behind."""
    try:
        yield
    except NbSnapError as error:
        from nbsnap.wording import clean, encodable

        said = clean(str(error)).replace("`nbsnap list`", "%snapshots")
        if isinstance(error, VariableNotFound) and name is None and len(split(patterns)) > 1:
            said += " (the name of a snapshot goes before --only and --exclude)"
        raise UsageError(encodable(said, sys.stderr.encoding)) from None
    except KeyboardInterrupt:
        print(f"nbsnap: interrupted; {outcome}", file=sys.stderr)
        raise KeyboardInterrupt from None
