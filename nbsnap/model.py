"""The records that the parts of nbsnap hand each other. No behaviour beyond views of their own fields, no I/O.

Sizes are in bytes, durations in seconds, times are ISO 8601 in UTC with microseconds
(`2026-11-22T15:32:07.123456Z`). Tuples throughout, so that a record can be hashed and never changes under a reader.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

__all__ = [
    "TABLE",
    "Content",
    "Definition",
    "Difference",
    "Distribution",
    "Group",
    "Head",
    "Jsonable",
    "LocalModule",
    "Preview",
    "RestoreReport",
    "Skip",
    "Snapshot",
    "SnapshotReport",
    "Variable",
    "Verified",
    "VerifyReport",
]


class Jsonable:
    """`to_dict` and `to_json` for the records that programs read."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain dicts, lists, strings and numbers."""
        return dataclasses.asdict(self)  # type: ignore[call-overload, no-any-return]

    def to_json(self, indent: int | None = None) -> str:
        """Return the record as JSON text (non-ASCII kept, keys in declared order)."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes kept in the store: their length and the ids of the pieces that they were cut into, in order.

    Every piece but the last is `digest.PIECE_SIZE` bytes long. Empty content has no pieces.
    """

    size: int
    pieces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Definition:
    """A class (or type variable) of the session: stored once, referred to by `key` from every group that needs it."""

    key: str  # "Point", "Point#2" for a second class of that qualified name
    stream: Content  # the skeleton: metaclass, name, bases, slots; no state
    group: str  # id of the group that carries its state (methods, attributes)
    needs: tuple[str, ...] = ()  # keys of the definitions that the skeleton refers to


@dataclass(frozen=True, slots=True)
class Group:
    """Variables and definitions that share mutable objects, pickled together; or a batch of small ones that do not."""

    id: str  # "g0", "g1", … unique within the snapshot
    variables: tuple[str, ...]  # and the reserved names of what lies beside them
    definitions: tuple[str, ...]  # keys of the definitions whose state is in here
    engine: str  # who took it apart: "pickle", "cloudpickle", "dill", "flat"; see `pickling`; or "batch"
    stream: Content
    buffers: tuple[Content, ...] = ()
    needs: tuple[str, ...] = ()  # keys of the definitions that it refers to
    modules: tuple[str, ...] = ()  # top-level modules that loading imports, sorted
    python: str = ""  # "3.11" where the stream holds bytecode, which another Python needs the text of; "" for none
    machine: tuple[str, ...] = ()  # what it holds that not every machine has: "cuda:0", "longdouble"
    bound: tuple[str, ...] = ()  # functions in it, by qualified name, that no other Python can be given: without a text


@dataclass(frozen=True, slots=True)
class Variable(Jsonable):
    """One name of the namespace that was saved."""

    name: str
    type: str  # as shown: "DataFrame", "sqlite3.Connection"
    size: int  # bytes of stream and buffers that are its own; a shared group is divided evenly
    summary: str  # "1,797 × 64 float64", "len 12"; "" where there is nothing short to say
    group: str  # id of its Group; "" in a dry run
    cell: int | None = None  # the execution count of the cell that bound it
    code: str = ""  # first line of the statement that bound it
    notes: tuple[str, ...] = ()  # what came along in another form: "holds a lock: comes back fresh"
    source: str = ""  # where its text is, of a function or class: "FILE:12", "FILE:12:Point"; FILE is in `sources`


@dataclass(frozen=True, slots=True)
class Skip(Jsonable):
    """One name that was not saved, or not restored, and why."""

    name: str
    type: str
    path: str  # "model.callbacks[2].sock": where inside it the culprit sits; equal to `name` if it is the culprit
    reason: str  # "a generator cannot be saved", "needs the package xgboost"
    kind: str = "skipped"  # "skipped" (not saved), "partly" (saved with a hole), "failed" (saved, did not load)
    hint: str = ""  # "pip install xgboost"
    cell: int | None = None
    code: str = ""
    secret: str = ""  # what kind of secret it looks like, if that is why: "github-token", "named-secret"; see `sieve`


#: What stands in a text where a secret stood.
MASK = "•••"
#: How `RerunReport.failed` begins where no step was run.
NOTHING_RUN = "nothing was run"

#: The MIME type of a preview that is a table; see `nbsnap.preview` for what it holds.
TABLE = "application/vnd.nbsnap.table+json"


@dataclass(frozen=True, slots=True)
class Preview(Jsonable):
    """What is shown of a value without loading it."""

    name: str  # of a variable, or the reserved name of what lies beside: "beside:figures:1"
    mime: str  # "text/plain", "image/png" or TABLE
    text: str  # a picture in base64


@dataclass(frozen=True, slots=True)
class Distribution(Jsonable):
    """An installed distribution of which the session had imported modules."""

    name: str  # as it is installed by: "scikit-learn"
    version: str
    modules: tuple[str, ...] = ()  # its top-level modules that were imported: "sklearn"
    how: str = ""  # "" from a package index; "conda", "editable", "vcs", "archive", "local"
    origin: str = ""  # the channel, or the address that it was installed from


@dataclass(frozen=True, slots=True)
class LocalModule(Jsonable):
    """A file of the project that the session had imported: it belongs to no distribution."""

    name: str  # "helpers", "project.models"
    path: str  # as seen from the notebook's folder: "src/helpers.py"
    size: int
    hash: str  # "" for a file that is very long


@dataclass(frozen=True, slots=True)
class Difference(Jsonable):
    """What is different where a snapshot is restored from where it was taken."""

    kind: str  # "python", "machine", "package", "module" (a file of the project)
    name: str  # "numpy", "byte order", "project.models"
    saved: str  # the version there; "" where there is nothing to say
    here: str  # the version here, "" for a package that is missing; of a module "changed" or "missing"
    degree: str  # "danger", "differs", "slightly"
    what: str  # "numpy 1.26.4 is here, it was saved under 2.4.6"
    reason: str = ""  # why that matters
    variables: tuple[str, ...] = ()  # that need it


@dataclass(frozen=True, slots=True)
class Head(Jsonable):
    """What a listing shows of a snapshot: read without reading the rest of it."""

    id: str  # 64 hexadecimal digits; see docs/format.md for what they are the hash of
    time: str
    notebook: str
    name: str  # "" for a snapshot without a name
    message: str
    parent: str  # id of the snapshot before it in this notebook; "" for the first
    variables: int
    skipped: int
    size: int  # bytes of all content it refers to, each group counted once
    new_bytes: int  # bytes that its making added to the packs
    seconds: float
    python: str  # "3.11.7"
    platform: str  # "linux-x86_64"
    tool: str  # "nbsnap 0.1.0"
    kind: str = ""  # "auto": taken by itself, and thinned out by itself
    session: str = ""  # 16 hexadecimal digits for the process that took it


@dataclass(frozen=True, slots=True)
class Snapshot(Jsonable):
    """One state of a namespace: everything but the bytes."""

    head: Head
    variables: tuple[Variable, ...]
    groups: tuple[Group, ...]
    definitions: tuple[Definition, ...]
    skips: tuple[Skip, ...]
    packages: tuple[tuple[str, str], ...]  # (distribution, version) of what was imported, sorted
    history: tuple[tuple[int, str], ...]  # (execution count, source) of the input cells
    sources: tuple[tuple[str, str], ...]  # (file name in code objects, text): what tracebacks of restored code show
    cwd: str
    signature: str = ""  # of the id, by one or more keys; see `signing`. "" is unsigned
    beside: tuple[Variable, ...] = ()  # the state beside the variables, by entry: "random:numpy", "figures:1"
    previews: tuple[Preview, ...] = ()  # of some of the variables; none in a snapshot made without
    distributions: tuple[Distribution, ...] = ()  # whose modules were imported, sorted
    local: tuple[LocalModule, ...] = ()  # files of the project that were imported, sorted
    bases: tuple[Content, ...] = ()  # pieces that others differ from, where those are deltas
    environment: tuple[tuple[str, str], ...] = ()  # facts about the machine and the environment; see docs/format.md


@dataclass(frozen=True, slots=True)
class Verified(Jsonable):
    """What a fresh process found of one variable."""

    name: str
    type: str
    result: str  # "identical" (the same pieces), "equal", "differs", "failed" (does not load), "unknown"
    path: str = ""  # where inside it, for all but the first two
    what: str = ""  # "has lost weights", "needs the package xgboost"
    hint: str = ""  # "pip install xgboost"


@dataclass(frozen=True, slots=True)
class VerifyReport(Jsonable):
    """What came back of a snapshot in a fresh process."""

    id: str
    name: str
    store: str
    variables: tuple[Verified, ...]
    seconds: float
    problem: str = ""  # why nothing could be said: it took too long, it crashed
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True when everything came back, and nothing is known to differ."""
        return not self.problem and not self.wrong

    @property
    def wrong(self) -> tuple[Verified, ...]:
        """The variables that do not load, and those that are not what they were."""
        return tuple(found for found in self.variables if found.result in ("failed", "differs"))


@dataclass(frozen=True, slots=True)
class SnapshotReport(Jsonable):
    """What `%snapshot` did, or with `dry_run` what it would do."""

    id: str  # "" in a dry run
    name: str
    message: str
    time: str
    notebook: str
    store: str  # the place, as the user would write it
    variables: tuple[Variable, ...]
    skipped: tuple[Skip, ...]  # kinds "skipped" and "partly"
    size: int
    new_bytes: int
    seconds: float
    dry_run: bool = False
    notes: tuple[str, ...] = ()  # lines for the user: the store's fallback place, …
    beside: tuple[str, ...] = ()  # what was kept beside the variables, in words: "random generators", "figure 1"
    background: bool = False  # another process is writing it: neither safe yet, nor with an id
    verified: VerifyReport | None = None  # with `verify`: what came back of it in a fresh process

    @property
    def ok(self) -> bool:
        """True when nothing was skipped."""
        return not self.skipped


@dataclass(frozen=True, slots=True)
class Step(Jsonable):
    """Statements of one cell that are run again."""

    cell: int  # the cell's execution count
    code: str
    makes: tuple[str, ...]  # the names that are made again by it
    rebinds: tuple[str, ...] = ()  # names that it binds besides: they keep the values that they have


@dataclass(frozen=True, slots=True)
class RerunReport(Jsonable):
    """What `%restore --rerun` did, or with `dry_run` what it would do."""

    id: str  # of the snapshot that knows the cells
    name: str
    time: str
    steps: tuple[Step, ...]
    made: tuple[str, ...]  # the names that are there now
    unknown: tuple[str, ...]  # names asked for that no cell makes
    failed: str  # the error that ended it: "OperationalError: no such table"; "" for none
    seconds: float
    dry_run: bool = False

    @property
    def ok(self) -> bool:
        """True when everything asked for is there again."""
        return not self.failed and not self.unknown


@dataclass(frozen=True, slots=True)
class RestoreReport(Jsonable):
    """What `%restore` did, or with `dry_run` what it would do."""

    id: str
    name: str
    time: str  # when the snapshot was taken
    notebook: str
    store: str
    restored: tuple[Variable, ...]
    failed: tuple[Skip, ...]  # kind "failed": in the snapshot, could not be loaded now
    not_saved: tuple[Skip, ...]  # the snapshot's own skips, among the names asked for
    kept: tuple[str, ...]  # names of the live namespace that the snapshot does not have, left alone
    removed: tuple[str, ...]  # the same, removed by `exact`
    size: int
    seconds: float
    dry_run: bool = False
    notes: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()  # what was put back beside the variables, in words
    undo: str = ""  # "undone": it took back the restore of this snapshot; "redone": it took back that
    held: int = 0  # bytes, about, of what was replaced: kept in memory for `--undo`
    trust: str = ""  # who has made the snapshot: "own", "imported", "session", "given"; see `trusting`
    differs: tuple[Difference, ...] = ()  # from the environment in which it was saved, the dangerous first
    partly: tuple[Skip, ...] = ()  # kind "partly": there again but for a part, for which this Python is another one

    @property
    def ok(self) -> bool:
        """True when every variable asked for is there again."""
        return not self.failed and not self.not_saved and not self.partly
