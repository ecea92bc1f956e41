"""What the look for secrets has missed, where it is the value of one that was found elsewhere.

`taking` asks the streams for the very bytes of what is known; `inside` finds the objects, wherever in the variables in
question they are, for these to be taken apart once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from . import paths
from .incode import as_text
from .sieve import Found
from .withheld import Withheld, unsearched

__all__ = ["inside"]

_MOST = 200_000  # objects, where a value is known to be in there


def inside(withheld: Withheld, values: Mapping[str, Any], names: Iterable[str]) -> bool:
    """Find the texts in these variables that hold a known secret; tell whether there are new ones."""
    before = len(withheld.parts), len(withheld.whole), len(withheld.watched)
    for name in names:
        value = values.get(name)
        text = as_text(value)
        if text is not None:
            if (found := withheld.within(text)) is not None:
                withheld.whole[name] = found
            continue
        try:
            for part, found in _texts_in(value, withheld.within):
                withheld.add(name, part, withheld.parts.get(id(part), found))
        except Exception as failure:  # as in `_looked_through`
            withheld.whole[name] = unsearched(failure)
    return (len(withheld.parts), len(withheld.whole), len(withheld.watched)) != before


def _texts_in(value: object, within: Callable[[str], Found | None]) -> Iterator[tuple[object, Found]]:
    for _, _, child in paths.walk(value, leaves=True, limit=_MOST):
        text = as_text(child)
        if text is not None and (found := within(text)) is not None:
            yield child, found
