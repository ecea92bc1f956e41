"""The text of the cells that restored code came from, so that tracebacks and `inspect.getsource` can show it.

Code objects name the file that they were compiled from, and for a cell that name changes with every process. A capture
gives each cell a name made of its text, and keeps the text; a restore puts the texts into `linecache`.
"""

from __future__ import annotations

import hashlib
import linecache
import re
from collections.abc import Iterable

from .masking import mask_code
from .sieve import Sieve

#: File names that IPython, ipykernel and Python's own prompt give to what is typed.
_CELL_FILE = re.compile(r"<ipython-input-|ipykernel_\d+[/\\]|<python-input-|<stdin>")
_OURS = "<nbsnap-cell-"


class Cells:
    """The cells that the code of one capture came from."""

    def __init__(self, sieve: Sieve) -> None:
        self._sieve = sieve
        self._names: dict[str, str] = {}
        self._texts: dict[str, str] = {}

    def name(self, file: str) -> str:
        """Return a name for a code object's file that is the same in every process; keep the cell's text under it."""
        known = self._names.get(file)
        if known is None:
            known = self._names[file] = self._name(file)
        return known

    def _name(self, file: str) -> str:
        entry = linecache.cache.get(file)
        if entry is None or len(entry) != 4:
            return file
        text = "".join(entry[2])
        if file.startswith(_OURS):
            self._texts[file] = mask_code(text, self._sieve)
            return file
        return self.keep(text) if _CELL_FILE.search(file) else file

    def keep(self, text: str) -> str:
        """Keep the text of a cell, with its secrets masked; return the name that it goes by, which is made of that."""
        text = mask_code(text, self._sieve)
        name = f"{_OURS}{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}>"
        self._texts[name] = text
        return name

    def texts(self) -> tuple[tuple[str, str], ...]:
        """Return (name, text) of the cells met, sorted."""
        return tuple(sorted(self._texts.items()))


def is_kept(file: str) -> bool:
    """Tell whether a name that `Cells.name` has returned is that of a cell whose text is kept."""
    return file.startswith(_OURS)


def show(texts: Iterable[tuple[str, str]]) -> None:
    """Let tracebacks and `inspect.getsource` find the text of restored code."""
    for name, text in texts:
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
