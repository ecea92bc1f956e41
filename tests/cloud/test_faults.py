"""What goes wrong on the way to a bucket is tried again, or told in one line; nothing hangs, and nothing is lost."""

from __future__ import annotations

import _thread
import contextlib
import os
import random
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cloud.clouds import Harm, Proxy, Server, denied, failing
from storage.making import assert_clean

import nbsnap
from nbsnap import remote
from nbsnap.errors import NbSnapError, SnapshotNotFound, StoreError
from nbsnap.store import Store

SLOW = pytest.mark.slow
SMALL = {"x": [1, 2, 3], "text": "t" * 2000, "numbers": list(range(3000))}
BIG = {"big": bytearray(random.Random(1).randbytes(40 << 20)), "rows": [[1], [2]]}


def save(url: str, names: dict[str, Any], **more: Any) -> Any:
    return nbsnap.snapshot(names, store=url, notebook="n", beside=(), **more)


def back(url: str, ref: str = "latest", **more: Any) -> dict[str, Any]:
    names: dict[str, Any] = {}
    assert nbsnap.restore(ref, names, store=url, notebook="n", **more).ok
    return names


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given up after a minute and more is given up after two seconds."""
    monkeypatch.setattr(remote, "RETRIES", 1)
    monkeypatch.setattr(remote.Client.do, "__kwdefaults__", {"limit": 2.0})
    monkeypatch.setattr(remote.Client.ask, "__kwdefaults__", {"limit": 2.0})


TROUBLE: dict[str, dict[str, Any]] = {
    "slow down": {"status": 503, "code": "SlowDown"},
    "failed within": {"status": 500, "code": "InternalError"},
    "cut before": {"cut_before": True},
    "answer lost": {"swallow": True},
}


@pytest.mark.parametrize(
    "kind", ["slow down", "answer lost", *(pytest.param(each, marks=SLOW) for each in ("failed within", "cut before"))]
)
def test_what_passes_is_tried_again(proxy: Proxy, s3: str, kind: str) -> None:
    """Every kind of request fails once: the snapshot is made, once, and comes back."""
    kinds = ("GET", "PUT", "LIST", "HEAD", "DELETE", "BEGIN", "PART", "COMPLETE")
    rules = [failing(each, **TROUBLE[kind]) for each in kinds if not (each == "COMPLETE" and kind == "answer lost")]
    proxy.rule = lambda asked: next((harm for rule in rules if (harm := rule(asked))), None)
    save(s3, BIG, name="one")
    rules[:] = [failing(each, **TROUBLE[kind]) for each in kinds]
    assert back(s3) == BIG
    proxy.rule = None
    with Store.open(s3) as store:
        assert [head.name for head in store.heads()] == ["one"]
        assert_clean(store)


@pytest.mark.parametrize("after", [1000, *(pytest.param(each, marks=SLOW) for each in (0, 3_000_000))])
def test_an_answer_that_is_cut_is_asked_for_again(proxy: Proxy, s3: str, after: int) -> None:
    """The connection breaks while a pack is read: the rest is fetched, and all of it is verified as ever."""
    save(s3, BIG)
    proxy.rule = failing("GET", times=2, where=".pack", cut_after=after)
    assert back(s3) == BIG


ALL = ("GET", "PUT", "LIST", "HEAD", "DELETE", "BEGIN", "PART", "COMPLETE")
LASTING = {
    "SlowDown": (503, "slow down"),
    "ExpiredToken": (400, "expired"),
    "AccessDenied": (403, "do not allow it"),
    "InvalidAccessKeyId": (403, "not known there"),
    "SignatureDoesNotMatch": (403, "secret key does not fit"),
    "RequestTimeTooSkewed": (403, "clock of this machine"),
    "PermanentRedirect": (301, "AWS_REGION"),
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("code", LASTING)
def test_what_lasts_is_told_in_a_line(proxy: Proxy, s3: str, code: str) -> None:
    """The place and the reason, with what to do, within bounded time; and nothing of the credentials."""
    save(s3, SMALL)
    status, words = LASTING[code]
    proxy.rule = denied(*ALL, status=status, code=code)
    for act in (lambda: save(s3, SMALL), lambda: back(s3)):
        began = time.monotonic()
        with pytest.raises(StoreError) as told:
            act()
        line = str(told.value)
        assert words in line
        assert s3 in line
        assert "\n" not in line
        assert len(line) < 300
        assert time.monotonic() - began < 10
        whole = "".join(traceback.format_exception(told.value))
        assert "NobodySeesThis" not in whole
        assert "NOBODYSEES" not in whole
        assert "127.0.0.1" not in line
    proxy.rule = None
    assert back(s3) == SMALL


@pytest.mark.usefixtures("impatient")
def test_nothing_answers(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network: a line, and not a minute of silence."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(StoreError, match=r"no answer|nothing answers"):
        back(s3)


def test_no_such_bucket(s3: str) -> None:
    """A bucket that is not there is no empty store."""
    for act in (save, lambda url, names: back(url)):
        with pytest.raises(StoreError, match=r"s3://nowhere/x cannot be (read|written): there is no such bucket"):
            act("s3://nowhere/x", SMALL)


def test_credentials_that_may_only_read(proxy: Proxy, s3: str) -> None:
    """Restoring, listing and checking work; a snapshot says that it may not write, and leaves nothing."""
    save(s3, SMALL)
    proxy.rule = denied("PUT", "BEGIN", "DELETE")
    assert back(s3) == SMALL
    with Store.open(s3) as store:
        assert len(store.list().snapshots) == 1
        assert_clean(store)
    with pytest.raises(StoreError, match=f"{s3} cannot be written: the credentials do not allow it"):
        save(s3, SMALL)


def test_credentials_expire_in_the_midst_of_an_upload(proxy: Proxy, s3: str) -> None:
    """The snapshot fails with a line, what was there is as it was, and with new ones the next is made."""
    save(s3, SMALL, name="before")
    proxy.rule = denied("PART", "COMPLETE", "ABORT", status=400, code="ExpiredToken")
    with pytest.raises(StoreError, match="the credentials have expired"):
        save(s3, BIG, name="after")
    proxy.rule = None
    with Store.open(s3) as store:
        assert [head.name for head in store.heads()] == ["before"]
        assert_clean(store)
    save(s3, BIG, name="again")
    assert back(s3, "again") == BIG


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_a_forked_process_is_told(s3: str, two_shells: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads that talk to the bucket are not there in it: it does not hang, and its parent goes on."""
    monkeypatch.setenv("NBSNAP_STORE", s3)
    done = two_shells.run(
        "import os, warnings, nbsnap\nwarnings.simplefilter('ignore'); x = 1; nbsnap.snapshot()\n"
        "if not os.fork():\n    try: nbsnap.restore()\n    except nbsnap.StoreError as e: print(e, flush=True)\n"
        "    os._exit(0)\nos.wait(); print(nbsnap.restore().ok)"
    )
    assert done.out == f"{s3} cannot be read: a forked process cannot use a bucket: start a new one (spawn)\nTrue\n"


def test_foreign_things_in_the_prefix(server: Server, s3: str) -> None:
    """No store is made among somebody else's objects; those beside a store are left alone."""
    path = s3.removeprefix("s3:/")
    server.ask("PUT", f"{path}/report.csv", b"1,2")
    with pytest.raises(StoreError, match="is not empty and not a store"):
        save(s3, SMALL)
    inside = f"{s3}/inside"
    save(inside, SMALL)
    server.ask("PUT", f"{path}/inside/packs/notes%20%C3%BC.txt", b"x")
    server.ask("PUT", f"{path}/inside/snapshots/a/b/c/d.snap", b"x")
    server.ask("PUT", f"{path}/inside/locks/somebody", b"x")
    save(inside, {"y": 1})
    assert back(inside) == {"y": 1}
    with Store.open(inside) as store:
        store.prune(last=1)
        assert_clean(store)
    assert server.ask("GET", f"{path}/inside/packs/notes%20%C3%BC.txt") == b"x"
    assert server.ask("GET", f"{path}/report.csv") == b"1,2"


@contextlib.contextmanager
def interrupted(seconds: float) -> Iterator[Callable[[], float]]:
    """Ctrl-C after so long; gives back how long it took from then to the end of the block."""
    times: list[float] = []

    def press() -> None:
        times.append(time.monotonic())
        _thread.interrupt_main()

    timer = threading.Timer(seconds, press)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        yield lambda: times[1] - times[0]
        timer.join()
        time.sleep(1)
    times.append(time.monotonic())


@pytest.mark.parametrize(
    "kind", ["PART", "GET", *(pytest.param(each, marks=SLOW) for each in ("PUT", "LIST", "COMPLETE"))]
)
def test_ctrl_c_waits_for_nobody(proxy: Proxy, server: Server, s3: str, kind: str) -> None:
    """A server that does not answer keeps nobody: the prompt is back at once, and no snapshot is left."""
    save(s3, SMALL, name="before")
    proxy.rule = lambda asked: Harm(wait=60) if asked.kind == kind else None
    with interrupted(0.7) as took:
        back(s3) if kind == "GET" else save(s3, BIG, name="after")
    assert took() < 0.5
    proxy.rule = None
    with Store.open(s3) as store:
        assert [head.name for head in store.heads()] == ["before"]
        assert_clean(store)


def test_ctrl_c_while_the_last_request_is_under_way(proxy: Proxy, s3: str) -> None:
    """The answer to the record's own request is missing: the prompt is back at once, and the snapshot is taken back."""
    save(s3, SMALL, name="before")
    proxy.rule = lambda asked: Harm(wait=2) if asked.kind == "PUT" and ".snap" in asked.path else None
    with interrupted(1.0) as took:
        save(s3, {"x": 2}, name="after")
    assert took() < 0.5
    proxy.rule = None
    with Store.open(s3) as store:
        until = time.monotonic() + 8
        while proxy.counts["DELETE"] < 5 and time.monotonic() < until:  # two of holds, three of the record
            time.sleep(0.1)
        assert proxy.counts["DELETE"] >= 5
        time.sleep(0.3)
        assert [head.name for head in store.heads()] == ["before"]
        assert_clean(store)


def test_a_server_that_knows_no_conditions(proxy: Proxy, s3: str) -> None:
    """It is asked once whether it does; the names, which nobody else gives, have to do."""
    refused = Harm(status=501, code="NotImplemented")
    proxy.rule = lambda asked: refused if b"if-none-match" in asked.head or b"if-match" in asked.head else None
    with Store.open(s3, create=True) as store:
        before = proxy.counts["PUT"]
        save(store, SMALL)  # type: ignore[arg-type]
        assert proxy.counts["PUT"] - before == 4
    assert back(s3) == SMALL


def test_a_folder_made_by_a_console(server: Server, s3: str) -> None:
    """An object of the prefix's own name, without content, is in nobody's way."""
    server.ask("PUT", f"{s3.removeprefix('s3:/')}/")
    save(s3, SMALL)
    assert back(s3) == SMALL


def test_an_upload_that_is_given_up_is_forgotten_by_the_bucket(proxy: Proxy, server: Server, s3: str) -> None:
    """Nothing stays that somebody pays for: the parts that went up are dropped."""
    save(s3, SMALL)
    with Store.open(s3) as store, store.writer() as writer:
        writer.put(random.Random(2).randbytes(40 << 20))
    until = time.monotonic() + 5
    mine = s3.removeprefix("s3://test/")
    while any(key.startswith(mine) for key in server.uploads()) and time.monotonic() < until:
        time.sleep(0.05)
    assert proxy.counts["BEGIN"] == proxy.counts["ABORT"] == 1
    assert not [key for key in server.uploads() if key.startswith(mine)]


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:password-abc@bucket/prefix",
        "s3://bucket/prefix?token=password-abc",
        "az://account/container#password-abc",
        "https://user:password-abc@host/x",
    ],
)
def test_a_url_with_a_secret_is_refused_and_not_repeated(url: str, tmp_path: Any) -> None:
    """Neither the line nor its traceback holds it."""
    with pytest.raises(NbSnapError) as told:
        Store.open(url)
    assert "password-abc" not in "".join(traceback.format_exception_only(told.value))


def test_the_store_shows_its_url_and_nothing_else(s3: str) -> None:
    """As text, in reports and in records: the place as it was given."""
    report = save(s3, SMALL)
    assert report.store == s3
    with Store.open(f"{s3}/") as store:
        assert repr(store) == f"Store({s3!r})"
        data = b"".join(store.backend.read(entry.file) for entry in store.entries())
        assert b"NobodySees" not in data
        assert "NobodySees" not in repr(vars(store.backend)) + str(vars(store.backend.client))  # type: ignore[attr-defined]
    with pytest.raises(SnapshotNotFound, match=f"no snapshot of n in {s3}-none yet"):
        back(f"{s3}-none")
