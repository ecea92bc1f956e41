"""Which snapshots stay: the rules against a plain restatement of them, over random histories."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from storage.making import record

from nbsnap.errors import NbSnapError
from nbsnap.keep import Rules, parse_size, protected, rules_of, staying, too_many
from nbsnap.model import Head

ZONES = [UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))]


def history(steps: list[tuple[int, str]]) -> list[Head]:
    """Heads whose times lie so many minutes apart, each with that name."""
    moment = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    heads = []
    for number, (minutes, name) in enumerate(steps):
        moment += timedelta(minutes=minutes)
        time = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        heads.append(record({}, name, id=f"{number:064x}", time=time).head)
    return heads


STEPS = st.lists(
    st.tuples(st.sampled_from([0, 1, 20, 59, 61, 300, 1440, 5000]), st.sampled_from(["", "", "", "a", "b"])),
    max_size=40,
)
RULES = st.builds(Rules, st.integers(0, 6), st.integers(0, 6), st.integers(0, 6), st.just(0), st.booleans())


@given(STEPS, RULES, st.sampled_from(ZONES))
def test_a_snapshot_stays_if_a_rule_keeps_it(steps: list[tuple[int, str]], rules: Rules, zone: timezone) -> None:
    """The newest N; the newest of each of the newest N hours and days that have any; named ones; and the latest."""
    heads = history(steps)
    kept = staying(heads, rules, zone)
    local = {head.id: datetime.fromisoformat(head.time).astimezone(zone) for head in heads}
    for at, head in enumerate(heads):
        newer = heads[at + 1 :]
        hours = {f"{local[other.id]:%Y %j %H}" for other in newer}
        days = {f"{local[other.id]:%Y %j}" for other in newer}
        expected = set()
        if not newer:
            expected.add("latest")
        elif head.name and not rules.named and all(other.name != head.name for other in newer):
            expected.add("named")
        if len(newer) < rules.last:
            expected.add("last")
        if f"{local[head.id]:%Y %j %H}" not in hours and len(hours) < rules.hourly:
            expected.add("hourly")
        if f"{local[head.id]:%Y %j}" not in days and len(days) < rules.daily:
            expected.add("daily")
        if not rules.by_time:
            assert head.id in kept
        else:
            assert set(kept.get(head.id, ())) == expected


@given(STEPS, RULES)
def test_thinning_twice_is_thinning_once(steps: list[tuple[int, str]], rules: Rules) -> None:
    """What stays is what stays of it."""
    heads = history(steps)
    kept = staying(heads, rules, UTC)
    left = [head for head in heads if head.id in kept]
    assert list(staying(left, rules, UTC)) == [head.id for head in left]


def test_a_name_belongs_to_the_newest_that_has_it() -> None:
    """A snapshot whose name was used again is like one without a name."""
    heads = history([(1, "a"), (1, "a"), (1, "b"), (1, "")])
    assert [head.id[-1] for head in protected(heads, Rules(last=1))] == ["1", "2", "3"]
    assert [head.id[-1] for head in protected(heads, Rules(last=1, named=True))] == ["3"]
    assert protected([], Rules()) == []


def test_a_time_that_is_none_keeps_nothing_by_hour() -> None:
    """A record of somebody else's with a time that cannot be read is no reason to stop."""
    heads = [record({}, id=str(at), time=time).head for at, time in enumerate(["yesterday", "", "9" * 40, "x"])]
    assert staying(heads, Rules(hourly=3), UTC) == {"3": ("latest",)}


PIECES = st.lists(st.sets(st.integers(0, 12), max_size=6), min_size=1, max_size=12)


@given(PIECES, st.integers(0, 120), st.sets(st.integers(0, 11)), st.lists(st.integers(1, 20), min_size=13, max_size=13))
def test_the_oldest_go_until_it_fits(
    needs: list[set[int]], limit: int, stay: set[int], weights: list[int]
) -> None:  # fmt: skip
    """Only as many as needed, the oldest first, none that is protected; shared pieces count once."""
    ids = [str(at) for at in range(len(needs))]
    pieces = {id: {bytes([piece]) for piece in needs[int(id)]} for id in ids}
    sizes = {bytes([piece]): weight for piece, weight in enumerate(weights)}
    held = {str(at) for at in stay}
    gone, total = too_many(ids, limit, pieces, sizes, held)

    def size(left: list[str]) -> int:
        return sum(weights[piece] for piece in set().union(*(needs[int(id)] for id in left)))

    free = [id for id in ids if id not in held]
    assert gone == free[: len(gone)]
    assert total == size([id for id in ids if id not in gone])
    assert total <= limit or gone == free
    if gone:
        assert size([id for id in ids if id not in gone[:-1]]) > limit


@pytest.mark.parametrize(
    ("text", "bytes"),
    [("1", 1), ("20000", 20000), ("500 MB", 500_000_000), ("1.5GB", 1_500_000_000), ("2 GiB", 2 << 30), ("3k", 3000),
     ("1 tb", 10**12), ("10 bytes", 10), (7, 7)],
)  # fmt: skip
def test_sizes(text: str | int, bytes: int) -> None:
    """Sizes are read as people write them."""
    assert parse_size(text) == bytes


@pytest.mark.parametrize("text", ["", "MB", "-5 MB", "1e9", "1.2.3 GB", "5 PB", "١ MB", "1 MB\n2"])
def test_what_is_no_size(text: str) -> None:
    """Anything else is an error that shows how."""
    with pytest.raises(NbSnapError, match="500 MB"):
        parse_size(text)
    with pytest.raises(NbSnapError, match="less than a byte"):
        parse_size("0.0001")


def test_the_form_of_the_settings() -> None:
    """`keep` is a dict of last, hourly and daily; `max_size` a size; empty means no rule."""
    assert not rules_of({}, "")
    assert rules_of({"last": 10, "daily": 7}, "10 GB") == Rules(10, 0, 7, 10**10)
    for wrong in ({"weekly": 3}, {"last": -1}, {"last": "3"}, {"hourly": True}):
        with pytest.raises(NbSnapError, match=r"weekly|last|hourly"):
            rules_of(wrong)  # type: ignore[arg-type]
