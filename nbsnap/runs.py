"""Numbers in a row, which are done with at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ["runs"]


def runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield (first, behind the last) of runs in ascending numbers."""
    first = behind = -1
    for number in numbers:
        if number != behind:
            if behind > 0:
                yield first, behind
            first = number
        behind = number + 1
    if behind > 0:
        yield first, behind
