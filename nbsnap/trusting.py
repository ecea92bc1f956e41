"""Whether a snapshot may be loaded: what this user has made may be, everything else only on the user's word.

Loading a snapshot runs code that it holds. So before a byte of one is unpickled, or a statement of one is run again,
`check` asks who has made it (`signing`). Four answers let it through:

    own, imported    it is signed with this user's key, or with one that was imported
    session          it was taken in this process, or let through in it before
    given            the user says so now: `--trust`, `trust=True`

and four do not: `unsigned`, `unknown` (signed with a key that is not known here), `wrong` (the signature does not fit),
`foreign` (the store, or a folder in it, belongs to another user). Whatever the answer, it is about the id, which is the
hash of all that is loaded: what was let through once and is altered afterwards is another snapshot."""

from __future__ import annotations

import shlex

from nbsnap import host, keys, signing
from nbsnap.errors import TrustError
from nbsnap.model import Snapshot
from nbsnap.wording import short_id

__all__ = ["GOOD", "check", "judge", "remember", "unsigned", "words"]

GOOD = frozenset({"own", "imported", "session", "given"})

#: The ids of snapshots that were taken in this process, or let through in it by the user.
_let_through: set[str] = set()


def remember(id: str) -> None:
    """Note that a snapshot was taken in this process."""
    _let_through.add(id)


def judge(snapshot: Snapshot, *, stranger: str = "") -> str:
    """Return who has made a snapshot, in one word of those above; `stranger` is whose its store is, if another's."""
    if snapshot.head.id in _let_through:
        return "session"
    return "foreign" if stranger else signing.signed(snapshot.head.id, snapshot.signature).state


def words(snapshot: Snapshot, *, stranger: str = "") -> str:
    """Return the same as a clause."""
    if stranger and snapshot.head.id not in _let_through:
        return stranger
    found = signing.signed(snapshot.head.id, snapshot.signature)
    key = f" ({found.key})" if found.key else ""
    said = {
        "own": f"signed with your own key{key}",
        "imported": f"signed with a key that you have imported{key}",
        "unsigned": "it is not signed, as those of older versions are not",
        "unknown": f"it is signed with a key that is not known here{key}: by another user, or on another machine",
        "wrong": f"its signature{key} does not fit: it was altered, or forged",
    }[found.state]
    if found.state in ("unknown", "wrong") and keys.problems:  # for these, all keys were looked at just now
        said += f" ({'; '.join(keys.problems[:2])})"
    return said


def check(snapshot: Snapshot, *, given: bool = False, stranger: str = "", file: str = "") -> str:
    """Return who has made a snapshot that is about to be loaded, or raise TrustError; `file` is what it is in."""
    found = judge(snapshot, stranger=stranger)
    if found in GOOD:
        return found
    if given:
        remember(snapshot.head.id)
        return "given"
    raise TrustError(refusal(snapshot, stranger=stranger, file=file), snapshot, found)


def refusal(snapshot: Snapshot, *, stranger: str = "", file: str = "") -> str:
    """Return the line that says why a snapshot is not loaded, and what would let it through."""
    head = snapshot.head
    label = f"{head.name} ({short_id(head.id)})" if head.name else short_id(head.id)
    place = f" --from {shlex.quote(file)}" if file else ""
    magic = f"%restore {short_id(head.id)}{place} --trust"
    once = magic if host.running_shell() is not None else "restore(…, trust=True)"
    always = "" if stranger or file else f", and `nbsnap trust {short_id(head.id)}` signs it as yours"
    return (
        f"{label} was not made by you, as far as can be told: {words(snapshot, stranger=stranger)}."
        f" Loading it runs code that it holds, so nothing was loaded. If you trust it, {once} loads it{always}"
    )


def unsigned() -> tuple[str, ...]:
    """Return the line about a snapshot that was taken and could not be signed."""
    why = signing.why_not() or "the key could not be used"
    return (f"it is not signed, so other sessions will ask for --trust: {why}",)
