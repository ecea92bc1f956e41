"""What keepers are handed: the scene that they take from, and the turn in which they put back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbsnap.quiet import uninterrupted


@dataclass(frozen=True)
class Scene:
    """What a session consists of, for taking."""

    variables: Mapping[str, Any] = field(default_factory=dict)
    cells: Iterable[str] = ()  # the source of what the user has run


#: Takes back a part of an earlier turn, and says in its own how that is taken back.
Step = Callable[["Turn"], None]


@dataclass
class Turn:
    """One restore: what it has put back, and how to take that back."""

    snapshot: str = ""  # the id
    restored: Mapping[str, Any] = field(default_factory=dict)  # the variables that came back
    reload_extensions: bool = False
    in_session: bool = True  # the namespace is the running shell's, or `__main__`
    done: list[str] = field(default_factory=list)  # entries that were changed
    notes: list[str] = field(default_factory=list)  # lines for the user
    undoing: list[Callable[[], object]] = field(default_factory=list)  # appended before what it undoes is done
    later: list[Step] = field(default_factory=list)  # take it back when it has ended, in another turn
    ending: list[Callable[[], object]] = field(default_factory=list)  # for when all has gone well

    def undo(self, down_to: int = 0) -> None:
        """Take back what was done, the last first, until `down_to` steps are left."""
        with uninterrupted():
            while len(self.undoing) > down_to:
                step = self.undoing.pop()
                try:
                    step()
                except (Exception, SystemExit) as error:  # the other steps are worth more than this one's reason
                    self.notes.append(f"a step could not be taken back: {said(error)}")


def said(error: BaseException) -> str:
    """Return one line about an error."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__


def equal(one: Any, other: Any) -> bool:
    """Tell whether two values are the same or equal; what cannot be compared is neither."""
    try:
        return bool(one is other or (type(one) is type(other) and one == other))
    except Exception:
        return False
