"""Everything that nbsnap raises on purpose.

    NbSnapError                      exit code 1
    ├── SnapshotNotFound             3   also a LookupError
    ├── VariableNotFound             3   also a LookupError
    ├── StoreError                   4   the place where snapshots are kept
    │   ├── StoreNotFound            4   nothing there
    │   ├── StoreNotWritable         4   also a PermissionError's meaning: it can be read, not written
    │   ├── StoreVersionError        5   made by a later nbsnap
    │   └── DamageError              6   bytes that are not what their name says
    ├── StrictError                  7   --strict, and something would be lost
    ├── TrustError                   9   a snapshot that this user did not make, as far as can be told
    ├── MemoryShort                  1   also a MemoryError
    ├── CannotSave                   1   one object refuses; becomes a Skip, never reaches the user as itself
    └── CannotLoad                   1   one group refuses; the same

Each carries `exit_code`, which the command line returns, and a message of one line that says what to do next.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

__all__ = [
    "CannotLoad",
    "CannotSave",
    "DamageError",
    "MemoryShort",
    "NbSnapError",
    "SnapshotNotFound",
    "StoreError",
    "StoreNotFound",
    "StoreNotWritable",
    "StoreVersionError",
    "StrictError",
    "TrustError",
    "VariableNotFound",
    "short_of_memory",
]


class NbSnapError(Exception):
    """Base of all errors of nbsnap."""

    exit_code = 1


class SnapshotNotFound(NbSnapError, LookupError):
    """No snapshot goes by that name or id, or more than one id begins so."""

    exit_code = 3


class VariableNotFound(NbSnapError, LookupError):
    """A name or pattern that matches no variable."""

    exit_code = 3


class StoreError(NbSnapError):
    """The store cannot do what was asked."""

    exit_code = 4


class StoreNotFound(StoreError):
    """There is no store at that place."""


class StoreNotWritable(StoreError):
    """The store's place cannot be written."""


class StoreVersionError(StoreError):
    """The store or a snapshot is of a format that this nbsnap does not know."""

    exit_code = 5


class DamageError(StoreError):
    """A file of the store is missing, cut short or altered."""

    exit_code = 6


class StrictError(NbSnapError):
    """`strict` was asked for, and at least one variable could not be saved or restored."""

    exit_code = 7


class TrustError(NbSnapError):
    """The snapshot was not made by this user, as far as can be told, so nothing of it was loaded.

    `snapshot` is its record, which may be looked at, and `refers` lines about what loading it would refer to; `trust`
    tells who has made it: "unsigned", "unknown" (signed with a key that is not known here), "wrong" (the signature does
    not fit) or "foreign" (another user's store).
    """

    exit_code = 9

    def __init__(self, message: str, snapshot: object = None, trust: str = "") -> None:
        super().__init__(message)
        self.snapshot = snapshot
        self.trust = trust
        self.refers: tuple[str, ...] = ()


class MemoryShort(NbSnapError, MemoryError):
    """The memory that a snapshot or a restore needs besides is not to be had."""


@contextlib.contextmanager
def short_of_memory(otherwise: str) -> Iterator[None]:
    """Make one line of it where the memory is too short, saying what is so `otherwise`."""
    try:
        yield
    except MemoryShort:
        raise
    except MemoryError as error:
        raise MemoryShort(f"there is not enough memory, so {otherwise}") from error


class NothingNew(NbSnapError):
    """Nothing has changed since the latest snapshot, so that none was made."""

    def __init__(self, id: str) -> None:
        super().__init__(f"nothing has changed since snapshot {id[:7]}")
        self.id = id


class CannotSave(NbSnapError):
    """An object that cannot be taken apart; `culprit` is that object, `reason` is for the report."""

    def __init__(self, reason: str, culprit: object = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.culprit = culprit


class CannotLoad(NbSnapError):
    """A group that cannot be rebuilt; `reason` is for the report, `hint` says what would help."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
