"""The text that code came from: for tracebacks and `inspect.getsource`, and for another Python to compile it anew.

Code objects name the file that they were compiled from, and for a cell that name changes with every process. A capture
gives each cell a name made of its text, and keeps the text; a restore puts the texts into `linecache`.

Of other files (a script, what a library has generated) the statement that the code stands in is kept, by a name of the
same form, which the code then names, too. What is not a cell may have changed since, the body of a `%%time`
goes by a name that says nothing, and secrets are masked in all texts: so unless it is the very text of a cell, it is
compiled to see whether it gives this very code (`codes.Text`).
"""

from __future__ import annotations

import hashlib
import linecache
import os
import re
import types
from collections.abc import Callable, Iterable

from . import codes
from .masking import is_masked

#: File names that IPython, ipykernel and Python's own prompt give to what is typed.
_CELL_FILE = re.compile(r"<ipython-input-|ipykernel_\d+[/\\]|<python-input-|<stdin>")
_OURS = "<nbsnap-cell-"
#: What IPython calls the body of a `%%time`.
_TIMED_FILE, _TIMED = "<timed exec>", re.compile(r"%%time\b[^\n]*\n")
_LONGEST = 1 << 22  # characters of a file that is looked into


class Cells:
    """The cells that the code of one capture came from.

    `mask` masks the secrets in a text; `typed` returns what the user has typed, cell by cell. A text is masked before
    code is marked by its place in it: what is masked is of another length.
    """

    def __init__(self, mask: Callable[[str], str], typed: Callable[[], Iterable[str]] = tuple) -> None:
        self._mask = mask
        self._typed = typed
        self._names: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._masked: set[str] = set()  # the names of texts in which something is
        self._files: dict[str, list[codes.Text]] = {}  # what may be the text of a file that is no cell

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
            self._keep(file, self._mask(text))
            return file
        return self.keep(text) if _CELL_FILE.search(file) else file

    def _keep(self, name: str, text: str) -> None:
        self._texts[name] = text
        if is_masked(text):
            self._masked.add(name)

    def keep(self, text: str) -> str:
        """Keep the text of a cell, with its secrets masked; return the name that it goes by, which is made of that."""
        text = self._mask(text)
        name = f"{_OURS}{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}>"
        self._keep(name, text)
        return name

    def mark(self, code: types.CodeType, module: str = "") -> codes.Mark:
        """Return what a code object is known by, and keep its text; `module` is that of a function not the user's."""
        name = self.name(code.co_filename)
        if is_kept(name):
            there = codes.Text(self._texts[name]).find(code) if name in self._masked else code
            return codes.mark(there or code, "text" if there else "", name if there else "masked")
        if module:
            return codes.mark(code, "module", module)
        return self._in_file(code)

    def _in_file(self, code: types.CodeType) -> codes.Mark:
        """Return what code is known by that is in no cell; what is kept of its text begins with its statement."""
        if (texts := self._files.get(code.co_filename)) is None:
            texts = self._files[code.co_filename] = list(map(codes.Text, self._lines(code.co_filename)))
        for text in texts:
            if text.find(code) is not None:
                alone, before = text.statement(code.co_firstlineno)
                masked = self._mask(alone)
                moved = codes.placed(code, code.co_filename, before)
                there = codes.Text(masked).find(moved) if masked != alone else moved
                if there is None:
                    return codes.mark(code, "", "masked")
                return codes.mark(there, "text", self.keep(alone))
        return codes.mark(code, "", "changed" if texts else "")

    def _lines(self, file: str) -> Iterable[str]:
        if file == _TIMED_FILE:
            for cell in self._typed():
                if begin := _TIMED.match(cell):
                    yield cell[begin.end() :]
        elif file in linecache.cache or (os.path.isfile(file) and os.path.getsize(file) < _LONGEST):  # no device
            text = "".join(linecache.getlines(file))
            yield from [text] if 0 < len(text) < _LONGEST else []

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
