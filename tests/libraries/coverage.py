"""Writes docs/coverage.md from the table and a real run: `python tests/libraries/coverage.py`.

It needs the libraries: `pip install -e .[test,libraries]`.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

if __name__ == "__main__":
    here = str(Path(__file__).parent)
    sys.path[:] = [str(Path(__file__).parents[1]), *(place for place in sys.path if place != here)]

from libraries.running import Found, try_library
from libraries.table import Library, Row, all_libraries

PAGE = Path(__file__).parents[2] / "docs" / "coverage.md"

HEAD = """# Which objects of which libraries come back

This page is written by `tests/libraries/coverage.py` from the table that the tests run over. Every object in it is
saved in one process, restored in another, and looked at in both: values, types, which objects are one, what shares
memory, and that it goes on as it would have: the next random number, the next prediction, one more step of training,
the bytes of a drawing. "Yes" means: as if nothing had happened. What is left out costs a line in the report, with the
reason given here. What needs no library is told in [fidelity.md](fidelity.md).
"""


def page(found: Mapping[str, Found]) -> str:
    """Return the page, given what a run of each library found."""
    return HEAD + "".join(section(library, found[title]) for title, library in all_libraries().items())


def section(library: Library, found: Found) -> str:
    """Return a library's part of the page."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in library.packages)
    rows = "".join(f"| {row.what} | {_told(row, found)} |\n" for row in library.rows)
    return f"\n## {library.title}\n\nTested with {versions}.\n\n| objects | come back |\n|---|---|\n{rows}"


def _told(row: Row, found: Found) -> str:
    words = ["yes"] if row.holds or row.same else []
    if row.remark:
        words.append(row.remark)
    reasons: dict[str, list[str]] = {}
    for name in row.skipped:
        kind, reason = found.kinds[name], found.reasons[name]
        reasons.setdefault(_general(name, reason), []).append(f"`{kind}`")
    words += [f"not {', '.join(dict.fromkeys(kinds))}: {reason}" for reason, kinds in reasons.items()]
    if row.skipped and words[0] == "yes":
        words = [*words[1:], "the rest: yes"]
    return "; ".join(words).replace("|", "\\|")


def _general(name: str, reason: str) -> str:
    """Return a reason without the name that the variable happens to have in the table."""
    return re.sub(rf"^{re.escape(name)}\b(\S* is )", r"its part \1", reason).replace("its part  is ", "it is ")


def without_versions(text: str) -> str:
    """Return the page as it would be with any other versions of the libraries."""
    return re.sub(r"^Tested with .*$", "Tested with", text, flags=re.MULTILINE)


def main() -> None:
    """Run every library and write the page."""
    found = {}
    for title, library in all_libraries().items():
        with tempfile.TemporaryDirectory() as folder:
            found[title] = try_library(library, Path(folder))
        for what, wrong in found[title].wrong.items():
            print(f"{title}: {what}: {wrong}")
        print(title, flush=True)
    PAGE.write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
