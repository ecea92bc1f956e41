"""How a magic is declared: its arguments in a table, from which its parser, its usage and its help text are made."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from IPython.core.magic import line_magic
from IPython.core.magic_arguments import MagicHelpFormatter, magic_arguments
from IPython.core.magic_arguments import argument as magic_argument

from nbsnap.parts import BESIDE

__all__ = ["SHOW", "argument", "beside", "magic", "patterns"]

_F = TypeVar("_F", bound=Callable[..., Any])
_Argument = tuple[tuple[str, ...], dict[str, Any]]
_declare: Any = magic_arguments  # these two have no types
_declare_argument: Any = magic_argument


def argument(*flags: str, **meaning: Any) -> _Argument:
    return flags, meaning


def patterns(verb: str) -> tuple[_Argument, ...]:
    """`--only` and `--exclude`, which mean the same to both magics."""
    meaning: dict[str, Any] = {"metavar": "PATTERN", "nargs": "+", "action": "extend", "default": []}
    only = f"{verb} only the variables of these names or globs (df_*); several go with spaces or commas between."
    others = f"{verb} all but the variables of these names or globs."
    return argument("--only", **meaning, help=only), argument("--exclude", **meaning, help=others)


def beside(verb: str) -> _Argument:
    names = f"all, none, or some of {', '.join(BESIDE)}"
    text = f"{verb} these beside the variables: {names}. Without it, as the setting says."
    return argument("--beside", metavar="PART", nargs="+", action="extend", default=[], help=text)


SHOW = (
    argument("-q", "--quiet", action="store_true", help="Print nothing, unless something is amiss."),
    argument("-v", "--verbose", action="store_true", help="Show all rows, and every variable."),
    argument("-o", "--output", action="store_true", help="Return the report as an object, too."),
)


def magic(*arguments: _Argument, kind: Any = line_magic) -> Callable[[_F], _F]:
    """Make a method a magic that has these arguments; its help text is made from them.

    `magic_x` is the magic x of which there is a setting x, too.
    """

    def make(function: _F) -> _F:
        function = cast(_F, kind(function.__name__.removeprefix("magic_"))(function))
        for flags, meaning in reversed(arguments):
            function = _declare_argument(*flags, **meaning)(function)
        function = _declare()(function)
        parser = function.parser  # type: ignore[attr-defined]
        parser.allow_abbrev = False
        parser.usage = _usage(parser)
        parser.formatter_class = partial(MagicHelpFormatter, width=96)
        text = parser.format_help().replace("<PATTERN [PATTERN ...]>", "PATTERN…").replace("<NAME [NAME ...]>", "NAME…")
        function.__doc__ = text.replace("<PART [PART ...]>", "PART…")
        return function

    return make


def _usage(parser: Any) -> str:
    """Return the line of usage with the name first, where it has to stand."""
    words = []
    for action in sorted(parser._actions, key=lambda action: bool(action.option_strings)):
        value = "" if action.nargs == 0 else action.metavar + ("…" if action.nargs == "+" else "")
        words.append(f"[{' '.join(filter(None, (*action.option_strings[:1], value)))}]")
    return textwrap.fill(" ".join([parser.prog, *words]), 90, subsequent_indent=" " * 6, break_on_hyphens=False)
