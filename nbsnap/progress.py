"""How far a snapshot or a restore has come: three numbers that the work sets, and that somebody else may look at.

Nobody is called back: the work counts bytes, and `meter` looks now and then from a thread of its own. So counting costs
an addition for each MiB, and showing costs nothing where nobody looks.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Progress"]


@dataclass(slots=True)
class Progress:
    """What is being done, and how many of how many bytes of it are done; a `total` of 0 is unknown."""

    what: str = ""
    total: int = 0
    done: int = 0

    def begin(self, what: str, total: int = 0) -> None:
        """Begin the next part of the work."""
        self.what, self.total, self.done = what, total, 0
