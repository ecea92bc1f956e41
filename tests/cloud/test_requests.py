"""What is asked of a bucket, counted at the server: the table in docs/elsewhere.md. And what waits, waits together."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import obstore
import pytest
from cloud.clouds import Proxy
from storage.making import noise, save

import nbsnap
from nbsnap import pieces
from nbsnap.ahead import GAP, RANGE, ranges
from nbsnap.maintenance import check
from nbsnap.store import Store

DOCS = Path(__file__).parents[2] / "docs" / "elsewhere.md"
SESSION: dict[str, Any] = {f"small{number}": list(range(number)) for number in range(100)}


@pytest.fixture
def count(proxy: Proxy) -> Callable[[Callable[[], Any]], Counter[str]]:
    """Counts what something asks, in a process that knows nothing yet."""

    def counted(act: Callable[[], Any]) -> Counter[str]:
        pieces._READ.clear()  # as in a new process
        proxy.reset()
        act()
        time.sleep(0.15)  # the hold is let go of in the background
        return Counter(proxy.counts)

    return counted


def rows() -> dict[str, str]:
    """The table of the docs."""
    found = re.findall(
        r"^\| ([^|]+?) +\| ([^|]+?) +\|",
        DOCS.read_text().partition("\n## A bucket\n")[2].partition("### Requests")[2].partition("\n### ")[0],
        re.M,
    )
    return {what: told for what, told in found if what not in ("", "what") and "-" * 3 not in what}


def told(counts: Counter[str]) -> str:
    order = ("LIST", "GET", "HEAD", "PUT", "BEGIN", "PART", "COMPLETE", "DELETE")
    return ", ".join(f"{counts[kind]} {kind}" for kind in order if counts[kind])


def test_the_table_of_requests(proxy: Proxy, s3: str, count: Callable[[Callable[[], Any]], Counter[str]]) -> None:
    """Each row of docs/elsewhere.md is what the server counts."""
    names = {**SESSION, "x": random.Random(1).randbytes(300_000)}

    def snapshot() -> None:
        nbsnap.snapshot(names, store=s3, notebook="n", beside=())

    def restore(**more: Any) -> None:
        back: dict[str, Any] = {}
        assert nbsnap.restore("latest", back, store=s3, notebook="n", **more).ok
        assert all(names[name] == value for name, value in back.items())

    def big() -> None:
        nbsnap.snapshot({**names, "big": random.Random(2).randbytes(40 << 20)}, store=s3, notebook="n", beside=())

    found = {"the first snapshot": told(count(snapshot)), "a snapshot, nothing changed": told(count(snapshot))}
    names["small3"] = [1]
    found["a snapshot, something changed"] = told(count(snapshot))
    found["a restore"] = told(count(restore))
    found["a restore of one variable"] = told(count(lambda: restore(only=["small3"])))
    found["a snapshot with 40 MB of new data"] = told(count(big))
    names["big"] = random.Random(2).randbytes(40 << 20)
    found["its restore"] = told(count(restore))
    found["nbsnap list, 4 snapshots"] = told(count(lambda: Store.open(s3).list()))
    found["nbsnap check --quick"] = told(count(lambda: check(Store.open(s3), read=False)))
    found["nbsnap check"] = told(count(lambda: check(Store.open(s3))))
    found["nbsnap prune --last 1"] = told(count(lambda: Store.open(s3).prune(last=1)))
    assert found == rows()


def test_one_variable_out_of_many_fetches_its_pieces_only(proxy: Proxy, s3: str) -> None:
    """Little more than the bytes of the variable comes over the wire, and neighbours come in one request."""
    names = {f"array{number}": random.Random(number).randbytes(6 << 20) for number in range(5)}
    nbsnap.snapshot(names, store=s3, notebook="n", beside=())
    proxy.reset()
    back: dict[str, Any] = {}
    assert nbsnap.restore("latest", back, store=s3, notebook="n", only=["array3"]).ok
    assert back["array3"] == names["array3"]
    assert proxy.fetched < (6 << 20) + (1 << 20)
    assert sum(asked.kind == "GET" and ".pack" in asked.path for asked in proxy.asked) == 1


def test_three_hundred_snapshots_are_listed_at_once(proxy: Proxy, s3: str) -> None:
    """At 50 ms for each answer, a list takes no more than a few of them, and `latest` none of the records."""
    with Store.open(s3, create=True) as store:
        first = save(store, {"x": noise(5000)})
        source = store.entries()[0]
        data = store.backend.read(source.file)
        names = [f"snapshots/other-{number:016x}/{source.stamp}-{first.id}.snap" for number in range(300)]

        async def copies(bucket: Any) -> None:
            await asyncio.gather(*(obstore.put_async(bucket, name, data) for name in names))

        store.backend.client.do(copies)  # type: ignore[attr-defined]
    proxy.latency = 0.05
    proxy.reset()
    began = time.monotonic()
    with Store.open(s3) as store:
        store.heads()
    took = time.monotonic() - began
    assert took < 6, "one after the other, they would take 15 s"
    assert proxy.counts == {"GET": 302, "LIST": 1}
    proxy.reset()
    with Store.open(s3) as store:
        store.find("latest", first.notebook)
    assert proxy.counts == {"GET": 2, "LIST": 1}


def test_neighbours_become_one_range() -> None:
    """Parts that lie near each other are fetched together, in the order of what is needed first."""
    assert ranges([("a", 0, 10), ("a", 10, 10), ("a", 30, 5)]) == [("a", 0, 35, 25)]
    assert ranges([("b", 0, 10), ("a", 0, 10)]) == [("b", 0, 10, 10), ("a", 0, 10, 10)]
    assert ranges([("a", 100 + GAP, 10), ("a", 0, 10)]) == [("a", 100 + GAP, 110 + GAP, 10), ("a", 0, 10, 10)]
    assert ranges([("a", 0, 10), ("a", 0, 10)]) == [("a", 0, 10, 20)]
    long = [("a", at << 20, 1 << 20) for at in range(20)]
    assert [end - start for _, start, end, _ in ranges(long)] == [RANGE, RANGE, 4 << 20]


def test_what_is_fetched_ahead_is_bounded(s3: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading in any order gives the same, also where little fits into the window."""
    from nbsnap import ahead

    monkeypatch.setattr(ahead, "WINDOW", 3 << 20)
    monkeypatch.setattr(ahead, "HELD", 6 << 20)
    monkeypatch.setattr(ahead, "RANGE", 2 << 20)
    names = {f"a{number}": random.Random(number).randbytes(3 << 20) for number in range(6)}
    nbsnap.snapshot(names, store=s3, notebook="n", beside=())
    with Store.open(s3) as store:
        snapshot = store.find("latest", "n")
        for order in (1, -1):
            reader = store.reader()
            reader.expect(snapshot, list(names))
            for group in list(snapshot.groups)[::order]:
                reader.stream(group.stream)
                for got in reader.buffers(group):
                    assert bytes(got) in names.values()
            held = store.backend._ahead._begun  # type: ignore[attr-defined]
            assert sum(each.size for each in held.values()) <= 8 << 20
