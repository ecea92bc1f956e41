"""How far a snapshot or a restore has come, and what it is at: the work sets it, and somebody else may look.

Nobody is called back: the work counts bytes, and `meter` looks now and then from a thread of its own. So counting costs
an addition for each MiB, and showing costs nothing where nobody looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Progress"]


@dataclass(slots=True)
class Progress:
    """What is being done, and how many of how many bytes of it are done; a `total` of 0 is unknown."""

    what: str = ""
    total: int = 0
    done: int = 0
    names: Sequence[str] = ()  # of what it is at
    importing: str = ""  # a module that is being imported for it

    def begin(self, what: str, total: int = 0) -> None:
        """Begin the next part of the work."""
        self.what, self.total, self.done, self.names = what, total, 0, ()
