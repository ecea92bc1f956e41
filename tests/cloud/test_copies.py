"""Snapshots go from a folder into a bucket and back, and from a bucket into one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cloud.test_fronts import line
from storage.making import NOTEBOOK, noise, restore, save

from nbsnap.maintenance import check
from nbsnap.store import Store


def run(*words: str) -> dict[str, Any]:
    """What the command line says to a program."""
    done = line(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_sync_and_export(s3: str, own_folder: Path) -> None:
    """Each copies what is missing and no more, either way; the pieces and the records are the same at the end."""
    with Store.open("here", create=True) as here:
        data = noise(5 << 20)
        first = save(here, {"data": data, "small": b"x" * 100}, name="first")
        told = run("sync", "here", s3)
        assert [head["name"] for head in told["copied"]] == ["first"]
        second = save(here, {"data": data[:-1] + b"!", "small": b"x" * 100}, name="second")
        told = run("sync", "here", s3 + "/")
        assert [head["name"] for head in told["copied"]] == ["second"]
        assert (told["already"], told["pieces"] <= 2) == (1, True)
    assert [head["name"] for head in run("sync", s3, "there")["copied"]] == ["first", "second"]
    run("export", "--all", "--store", s3, "both.nbsnap")
    for place in (s3, "there", "both.nbsnap"):
        with Store.open(place) as store:
            assert [head.id for head in store.heads()] == [first.id, second.id]
            assert store.load(second.id).head == second
            assert check(store).ok
    done = line("sync", s3, s3 + "/")
    assert done.returncode != 0
    assert "the same place" in done.stderr


@pytest.mark.kernel
def test_restore_from_a_bucket(s3: str, kernel_pair: Any) -> None:
    """`%restore --from` takes a URL; what this user has made asks for nothing."""
    kernel = kernel_pair.start()
    kernel.run("table = {'rows': list(range(1000))}")
    kernel.run("%snapshot before-train")
    assert line("sync", str(Path(kernel_pair.folder) / ".nbsnap"), s3).returncode == 0
    kernel = kernel_pair.restart()
    assert "Restored before-train" in kernel.run(f"%restore before-train --from {s3}").text
    assert kernel.value("table['rows'][-1]") == 999


def test_deltas_in_a_bucket(s3: str, own_folder: Path) -> None:
    """Copied as they are, there and back; what is saved there counts on them, and pruning keeps their bases."""
    states = {f"s{number}": {"data": bytes(number) + noise(3 << 20)[number:]} for number in range(1, 4)}
    states["far"] = {"data": states["s2"]["data"][:-1] + b"!"}
    with Store.open("here", create=True) as here:
        for name in ("s1", "s2", "s3"):
            save(here, states[name], name)
        size = run("sync", "here", s3)["bytes"]
    assert size < (3 << 20) + 20_000
    with Store.open(s3) as store:
        assert all(restore(store, name) == states[name] for name in ("s1", "s2", "s3"))
        assert save(store, states["far"], "far").new_bytes > 1 << 20  # written whole
        assert save(store, states["s3"]).new_bytes == 0
        assert store.delete("s1", "s3", notebook=NOTEBOOK).problems == ()
    run("sync", s3, "there")
    for place in (s3, "there"):
        with Store.open(place) as store:
            assert restore(store, "s2") == states["s2"]
            assert restore(store, "far") == states["far"]
            assert restore(store, "latest") == states["s3"]
            assert check(store).ok
