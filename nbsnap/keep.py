"""Which snapshots stay when a history is thinned. Pure: records in, ids out.

**By time.** `last` keeps the newest N; `hourly` the newest one of each of the newest N hours in which there are any;
`daily` the same by days. Hours and days are those of local time. A snapshot stays if any rule keeps it, and where there
is no rule all stay.

**By size.** `max_size` lets the oldest go, one after the other, until what the others need is no more than that. What
several need counts once, so a snapshot that shares all with its neighbours frees nothing, and goes all the same.

**What always stays**: the latest of a notebook; and a snapshot that has a name, unless `named` gives the names up. A
name that was used again belongs to the newest that has it; those before it count as having none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from nbsnap.errors import NbSnapError
from nbsnap.model import Head

__all__ = ["AUTOMATIC", "Rules", "parse_size", "protected", "rules_of", "staying", "too_many"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What is to stay; 0 is no rule."""

    last: int = 0
    hourly: int = 0
    daily: int = 0
    max_size: int = 0  # bytes
    named: bool = False  # snapshots with a name may go, too

    def __post_init__(self) -> None:
        for rule in ("last", "hourly", "daily", "max_size"):
            value = getattr(self, rule)
            if type(value) is not int or value < 0:
                raise NbSnapError(f"{rule}: a number of 1 or more is meant, not {value!r}")

    def __bool__(self) -> bool:
        """Tell whether anything may have to go."""
        return bool(self.by_time or self.max_size)

    @property
    def by_time(self) -> bool:
        """Tell whether there is a rule of time."""
        return bool(self.last or self.hourly or self.daily)


#: Which autosnapshots stay where no setting says anything else.
AUTOMATIC = Rules(last=10, hourly=24, daily=7)


def rules_of(keep: Mapping[str, int], max_size: str | int = 0, *, named: bool = False) -> Rules:
    """Return the rules of the settings `keep` ({"last": 10, "hourly": 24, "daily": 7}) and `max_size` ("10 GB")."""
    if unknown := sorted(set(keep) - {"last", "hourly", "daily"}):
        raise NbSnapError(f"keep: there is no {unknown[0]!r}; there are last, hourly and daily")
    return Rules(**keep, max_size=parse_size(max_size) if max_size else 0, named=named)


def parse_size(text: str | int) -> int:
    """Return the bytes that "500 MB", "1.5GiB" or "20000" are: powers of 1000, and of 1024 with an `i`."""
    if isinstance(text, int):
        return text
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise NbSnapError(f"{text!r} is no size: 500 MB, 1.5 GB, 20 GiB")
    number, unit, binary = found.groups()
    size = int(float(number) * (1024 if binary else 1000) ** ("kmgt".index(unit.lower()) + 1 if unit else 0))
    if size < 1:
        raise NbSnapError(f"{text!r} is less than a byte")
    return size


_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*(?:([kmgt])(i)?)?(?:b|bytes?)?", re.ASCII | re.IGNORECASE)


# --- by time ----------------------------------------------------------------------------------------------------------


def staying(heads: Sequence[Head], rules: Rules, zone: tzinfo | None = None) -> dict[str, tuple[str, ...]]:
    """Return by id those that stay of one notebook's snapshots, oldest first, and what keeps each."""
    kept: dict[str, list[str]] = {}
    for head in protected(heads, rules):
        kept.setdefault(head.id, []).append("latest" if head is heads[-1] else "named")
    newest = list(reversed(heads))
    if not rules.by_time:
        for head in heads:
            kept.setdefault(head.id, ["no rule"])
    for head in newest[: rules.last]:
        kept.setdefault(head.id, []).append("last")
    for rule, period in _PERIODS.items():
        for head in _first_of_each(newest, getattr(rules, rule), period, zone):
            kept.setdefault(head.id, []).append(rule)
    return {head.id: tuple(kept[head.id]) for head in heads if head.id in kept}


def protected(heads: Sequence[Head], rules: Rules) -> list[Head]:
    """Return those of one notebook's snapshots, oldest first, that stay whatever the rules: the latest, the named."""
    taken: dict[str, Head] = {}
    if not rules.named:
        taken = {head.name: head for head in heads if head.name}  # the newest that has it
    holders = {id(head) for head in taken.values()} | {id(head) for head in heads[-1:]}
    return [head for head in heads if id(head) in holders]


def _first_of_each(
    newest: Iterable[Head], number: int, period: Callable[[datetime], str], zone: tzinfo | None
) -> Iterable[Head]:
    """Yield the first snapshot of each of the first `number` periods in which there are any."""
    met: set[str] = set()
    for head in newest:
        moment = _local(head.time, zone)
        if moment is None or (now := period(moment)) in met:
            continue
        if len(met) == number:
            return
        met.add(now)
        yield head


_PERIODS: dict[str, Callable[[datetime], str]] = {
    "hourly": lambda moment: f"{moment:%Y-%m-%d %H %z}",  # with the offset: an hour that comes twice is two
    "daily": lambda moment: f"{moment:%Y-%m-%d}",
}


def _local(time: str, zone: tzinfo | None) -> datetime | None:
    try:
        return datetime.fromisoformat(time).astimezone(zone)
    except (ValueError, OverflowError, OSError):  # of a store that somebody else wrote
        return None


# --- by size ----------------------------------------------------------------------------------------------------------


def too_many(
    ids: Sequence[str], limit: int, needs: Mapping[str, Collection[bytes]], sizes: Mapping[bytes, int],
    stay: Collection[str] = (),
) -> tuple[list[str], int]:  # fmt: skip
    """Return which of the snapshots `ids`, oldest first, have to go, and how many bytes the others need.

    `needs` are the pieces of each, `sizes` what each piece takes in the store; those in `stay` stay.
    """
    users = Counter(piece for id in ids for piece in set(needs[id]))
    total = sum(sizes.get(piece, 0) for piece in users)
    gone = []
    for id in ids:
        if total <= limit:
            break
        if id in stay:
            continue
        gone.append(id)
        for piece in set(needs[id]):
            users[piece] -= 1
            if not users[piece]:
                total -= sizes.get(piece, 0)
    return gone, total
