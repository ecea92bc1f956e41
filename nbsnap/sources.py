"""The text of a function or class of a snapshot, found in the cells that it keeps: no code is parsed or run for it."""

from __future__ import annotations

import difflib
import inspect
import re
import tokenize
from collections.abc import Mapping

from nbsnap.model import Snapshot, Variable

__all__ = ["difference", "source"]

LONGEST = 5_000  # lines of a source that are compared

_PLACE = re.compile(r"(<nbsnap-cell-[0-9a-f]{16}>):(\d{1,7})(?::(.+))?", re.DOTALL)


def source(snapshot: Snapshot, variable: Variable) -> str | None:
    """Return the text of the function or class that a variable is; None if it is neither, or the text is not kept."""
    if (found := _PLACE.fullmatch(variable.source)) is None:
        return None
    texts: Mapping[str, str] = dict(snapshot.sources)
    lines = texts.get(found[1], "").splitlines(keepends=True)
    start = int(found[2]) - 1
    if not 0 <= start < len(lines):
        return None
    if found[3]:
        start = _class_line(lines, start, found[3])
    try:
        block = inspect.getblock(lines[start:])
    except (SyntaxError, tokenize.TokenError, IndexError):  # it does not end, or is no Python
        return None
    return "".join(_dedented(block)).rstrip() + "\n"


def _class_line(lines: list[str], inside: int, name: str) -> int:
    """Return where the class begins that has a line, with its decorators."""
    head = re.compile(rf"\s*class\s+{re.escape(name.rpartition('.')[2])}\b")
    start = next((at for at in range(inside, -1, -1) if head.match(lines[at])), inside)
    while start and lines[start - 1].lstrip().startswith("@"):
        start -= 1
    return start


def _dedented(block: list[str]) -> list[str]:
    indent = len(block[0]) - len(block[0].lstrip()) if block else 0
    return [line[indent:] if not line[:indent].strip() else line for line in block]


def difference(old: str, new: str) -> str:
    """Return a unified diff of two texts, without the lines that name files."""
    before, after = old.splitlines(), new.splitlines()
    if len(before) > LONGEST or len(after) > LONGEST:
        return ""
    return "\n".join(list(difflib.unified_diff(before, after, lineterm="", n=3))[2:])
