"""`%%snapshot` as the first line of a cell, written out as a call; all the rest of the cell is left as it is.

The cell has to run as if the line were not there: with `await`, magics, the value of the last line, a traceback of the
user's own frames, and an error that programs see. So it is not handed to the magic as a text. A transformer of
IPython's input puts the call of the magic in the place of the first line, and the rest is the same cell as ever:

    get_ipython().run_cell_magic('snapshot', 'before-train --rollback', '\\n')
    the user's lines
"""

from __future__ import annotations

import re
import shlex

__all__ = ["written_out"]

_FIRST = re.compile(r"%%snapshot(?![\w?])[ \t]*(.*)")
_OTHER = re.compile(r"%%(\w+)(?!\?)[ \t]*(.*)")
_FUTURE = re.compile(r"\s*from\s+__future__\s+import\b")


def written_out(lines: list[str]) -> list[str]:
    """Return a cell with its first line, `%%snapshot …`, written out as a call, and the rest as it is."""
    found = _FIRST.match(lines[0]) if lines else None
    body = lines[1:]
    if found is None or not "".join(body).strip() or any(_FUTURE.match(line) for line in body):
        return lines  # left to IPython, which has its own words for an empty cell
    words = found[1].strip()
    first = next(at for at, line in enumerate(body) if line.strip())
    if other := _OTHER.match(body[first]):  # another cell magic for the rest
        called = f"get_ipython().run_cell_magic({other[1]!r}, {other[2].strip()!r}, {''.join(body[first + 1 :])!r})\n"
        body = [*body[:first], called]
    if not body[-1].endswith("\n"):
        body[-1] += "\n"
    if any(re.fullmatch("--output|-[qv]*o[qvo]*", word) for word in _words(words)):
        body.append("get_ipython().find_cell_magic('snapshot').__self__.taken\n")
    return [f"get_ipython().run_cell_magic('snapshot', {words!r}, '\\n')\n", *body]


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # the magic will say so
        return []


#: IPython asks whether a cell that is being typed is complete: that has to see the cell as it is.
written_out.has_side_effects = True  # type: ignore[attr-defined]
