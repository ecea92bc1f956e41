"""The records of what `explain` says of an object; see `nbsnap.explaining`. No behaviour, no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from .model import Jsonable

__all__ = ["Culprit", "Explanation", "Part", "Shared"]


@dataclass(frozen=True, slots=True)
class Culprit(Jsonable):
    """A part that cannot be saved."""

    path: str  # "cfg['pool'][3].sock"
    type: str
    reason: str
    holders: tuple[tuple[str, str], ...]  # (path, type) of what holds it, from the variable down to its holder
    variables: tuple[str, ...]  # others that lead to it
    hint: str  # how to get around it


@dataclass(frozen=True, slots=True)
class Part(Jsonable):
    """A part that is saved, and what it takes."""

    path: str
    type: str
    summary: str
    depth: int  # 1 for what the object holds itself
    stream: int  # bytes in the stream
    buffers: int  # bytes in buffers of their own
    also: tuple[str, ...] = ()  # other variables that hold it

    @property
    def size(self) -> int:
        """All its bytes."""
        return self.stream + self.buffers


@dataclass(frozen=True, slots=True)
class Shared(Jsonable):
    """A variable that travels with this one, and one of the objects that they share."""

    name: str
    path: str  # where the object is in this one
    there: str  # where in the other
    type: str  # "memory" where arrays that are different objects look at the same


@dataclass(frozen=True, slots=True)
class Explanation(Jsonable):
    """Why an object can or cannot be saved, and what a snapshot of it is made of."""

    name: str  # the variable, or "obj" for what is none
    type: str
    summary: str
    result: str  # "saved", "partly" (placeholders stand for parts of it), "skipped"
    reason: str  # why it is skipped; "" if it is not
    engine: str  # "pickle", "cloudpickle", "dill", "flat", "batch"; "" if it is skipped
    stream: int  # bytes of the group's stream
    buffers: int  # bytes of the group's buffers
    culprits: tuple[Culprit, ...]
    parts: tuple[Part, ...]  # the largest, each before its own parts
    shared: tuple[Shared, ...]  # the variables that travel with it
    notes: tuple[str, ...]  # what comes back in another form
    classes: tuple[str, ...]  # of the session, that travel with it
    modules: tuple[str, ...]  # that a restore imports
    python: str  # "3.11": holds code compiled by this version, which others compile anew; "" for none
    unseen: tuple[str, ...]  # what was not looked at
    seconds: float
    bound: tuple[str, ...] = ()  # functions that no other Python can be given, as their text is not known

    @property
    def ok(self) -> bool:
        """True when all of it is saved."""
        return self.result == "saved"
