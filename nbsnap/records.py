"""The records of a notebook's history: what was listed, compared, removed, checked. See `model`."""

from __future__ import annotations

from dataclasses import dataclass

from nbsnap.model import Head, Jsonable, Skip, Variable

__all__ = [
    "Change",
    "CheckReport",
    "CopyReport",
    "DiffReport",
    "Kept",
    "ListReport",
    "Lost",
    "Problem",
    "PruneReport",
    "RepairReport",
]


@dataclass(frozen=True, slots=True)
class ListReport(Jsonable):
    """The snapshots of a notebook, or of a store."""

    store: str
    notebook: str  # "" for all
    snapshots: tuple[Head, ...]  # oldest first; of a long history the newest ones, if no more were asked for
    total: int  # how many there are
    size: int  # bytes of the whole store on disk
    problems: tuple[str, ...] = ()  # a line for each record that could not be read


@dataclass(frozen=True, slots=True)
class Kept(Jsonable):
    """A snapshot that stays."""

    snapshot: Head
    why: tuple[str, ...]  # "latest", "named", "last", "hourly", "daily", "no rule"


@dataclass(frozen=True, slots=True)
class PruneReport(Jsonable):
    """What `prune` or `delete` did, or with `dry_run` would do."""

    store: str
    notebook: str  # "" for all
    removed: tuple[Head, ...]
    kept: tuple[Kept, ...]  # by `prune`, of what it looked at
    freed: int  # bytes on disk
    size: int  # bytes of the whole store on disk, afterwards
    seconds: float
    dry_run: bool = False
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()  # damage, because of which less was freed than could be

    @property
    def ok(self) -> bool:
        """True when nothing was in the way."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class Change(Jsonable):
    """What became of one variable between two states. `old` and `new` say what it was, as far as that is known."""

    name: str
    change: str  # "added", "removed", "changed", "perhaps": it shares objects with others that changed, or is not known
    what: tuple[str, ...] = ()  # names of facts, and "source", "class"; "code" or "content" where nothing else differs
    facts: tuple[tuple[str, str, str], ...] = ()  # ("rows", "1,797", "1,500"): what differs, before and after
    old: Variable | None = None
    new: Variable | None = None
    shares: tuple[str, ...] = ()  # variables that changed, or may have, and with which it shares objects
    source: str = ""  # a unified diff


@dataclass(frozen=True, slots=True)
class DiffReport(Jsonable):
    """What is different between two snapshots, or a snapshot and the live session."""

    store: str
    notebook: str
    old: Head
    new: Head  # with the id "" it is the live session
    changes: tuple[Change, ...]  # in the order of the namespaces
    same: int  # variables that are as they were
    not_compared: tuple[Skip, ...]  # what could not be saved in one of the states, if nothing else is known of it
    seconds: float
    beside: tuple[str, ...] = ()  # what lies beside the variables and changed, in words
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem(Jsonable):
    """One thing in a store that is not as it should be."""

    file: str  # as a person would find it; the manifest where pieces are nowhere
    what: str
    snapshots: tuple[tuple[str, str], ...] = ()  # (id, name) of those that it hurts; none: it can be done without
    variables: tuple[str, ...] = ()  # names of the variables that it hurts, over all those snapshots


@dataclass(frozen=True, slots=True)
class CheckReport(Jsonable):
    """What `check` found."""

    store: str
    snapshots: int  # whole or not
    packs: int
    pieces: int  # in all packs
    size: int  # bytes of all packs
    unused: int  # bytes of pieces that no snapshot refers to
    unindexed: int  # packs without an index beside them: the writer died just then; the copy inside serves
    read: bool  # every piece was read and hashed
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """True when nothing is wrong."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class Lost(Jsonable):
    """What `repair` could not keep of one snapshot."""

    id: str
    name: str
    notebook: str
    variables: tuple[str, ...]  # those that need bytes that are nowhere; the others restore
    whole: bool = False  # its record cannot be read, so that all of it is lost


@dataclass(frozen=True, slots=True)
class RepairReport(Jsonable):
    """What `check --repair` did, and what it could not keep."""

    store: str
    snapshots: int  # of which the record is sound
    rebuilt: tuple[str, ...]  # indexes that were written again
    rewritten: int  # packs of which the sound pieces were copied into a new one
    found: int  # pieces that were found in packs without an index
    dropped: tuple[str, ...]  # files in which nothing sound was left
    renamed: tuple[str, ...]  # records that got their own names back
    aside: tuple[str, ...]  # where records that cannot be read were moved to
    pieces: int  # that snapshots need, and that are nowhere
    lost: tuple[Lost, ...]
    seconds: float
    problems: tuple[str, ...] = ()  # what was left as it is, and why

    @property
    def ok(self) -> bool:
        """True when nothing is lost."""
        return not self.lost and not self.problems


@dataclass(frozen=True, slots=True)
class CopyReport(Jsonable):
    """What `export`, `import` or `sync` copied, or with `dry_run` would copy."""

    source: str
    target: str
    copied: tuple[Head, ...]  # oldest first
    already: int  # snapshots that were asked for and are in the target already
    pieces: int
    bytes: int  # of these pieces, as they are coded; of an export that was done, of the file
    seconds: float
    dry_run: bool = False
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()  # a line for each snapshot that was not copied, and why

    @property
    def ok(self) -> bool:
        """True when all that was asked for is in the target."""
        return not self.problems
