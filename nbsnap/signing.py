"""The signature of a snapshot: who has made it, as far as that can be told.

    hmac-sha256:<id of the key, 16 digits>:<64 digits>

is HMAC-SHA-256, under a key of the user's own (`keys`), of the line `nbsnap snapshot <id>`. The id is the hash of the
manifest's head, which holds the hash of its body, which holds the hashes of all pieces: so it signs every byte of a
snapshot, at the price of hashing eighty. Several signatures stand one behind the other with commas between: who trusts
a snapshot that another key has signed adds one, and takes none away.

HMAC-SHA-256, and not keyed BLAKE3 or BLAKE2, because it is what Jupyter signs notebooks with, it is in every Python's
standard library and in OpenSSL (docs/trust.md has the command), and speed means nothing at eighty bytes. A secret key
shared by all of a user's machines, and not a pair of keys: the question is not "who of many" but "was it me"."""

from __future__ import annotations

import hmac
import re
from typing import Literal, NamedTuple

from nbsnap import keys
from nbsnap.errors import NbSnapError
from nbsnap.keys import Key

__all__ = ["Signed", "add", "seal", "sign", "signed", "why_not"]

_ONE = re.compile(r"hmac-sha256:([0-9a-f]{16}):([0-9a-f]{64})")
_MOST = 64  # signatures that are looked at

State = Literal["own", "imported", "unsigned", "unknown", "wrong"]


class Signed(NamedTuple):
    """What a signature tells: `own` and `imported` are good ones, by a key that is known here."""

    state: State
    key: str = ""  # the id of the key; of an unknown one what is claimed


def seal(key: Key, id: str) -> str:
    """Return the signature of the snapshot `id` under a key."""
    code = hmac.digest(key.secret, b"nbsnap snapshot " + id.encode("ascii"), "sha256").hex()
    return f"hmac-sha256:{key.id}:{code}"


def sign(id: str) -> str:
    """Return the signature of the snapshot `id` under the user's own key, which is made if need be; "" for none.

    A snapshot is not to fail for want of a key: `why_not` says what was amiss.
    """
    try:
        return seal(keys.own(), id)
    except NbSnapError:
        return ""


def why_not() -> str:
    """Return why nothing can be signed just now; "" where it can."""
    try:
        keys.own()
    except NbSnapError as error:
        return str(error)
    return ""


def add(signature: str, id: str) -> str:
    """Return a signature with one of the user's own key in front, and without an older one of that key."""
    mine = seal(keys.own(), id)
    prefix = mine.rpartition(":")[0]
    rest = [one for one in signature.split(",")[: _MOST - 1] if one and not one.startswith(prefix)]
    return ",".join([mine, *rest])


def signed(id: str, signature: str) -> Signed:
    """Return what the signature of the snapshot `id` tells, by the keys that are known here."""
    found = [match for one in signature.split(",")[:_MOST] if (match := _ONE.fullmatch(one))]
    if not found:
        return Signed("unknown" if signature else "unsigned")
    by_id = {key.id: key for key in keys.known()}
    wrong = ""
    for match in found:
        key = by_id.get(match[1])
        if key is None:
            continue
        if hmac.compare_digest(seal(key, id), match[0]):
            return Signed("own" if key.own else "imported", key.id)
        wrong = key.id
    return Signed("wrong", wrong) if wrong else Signed("unknown", found[0][1])
