"""A crowd at one bucket: the same as at a folder."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
from storage.making import assert_clean
from storage.test_crowd import crowd

import nbsnap
from nbsnap import claims
from nbsnap.store import Store


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_crowd_at_a_bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For some seconds: no snapshot is lost, nobody waits for ever; what the dead held is had again when it is old."""
    did = crowd(s3, 9, random.Random(1))  # type: ignore[arg-type]
    assert min(*did["rounds"], *did["pruned"], did["killed"]) > 0
    monkeypatch.setattr(claims, "EXPIRY", 2.0)
    with Store.open(s3) as store:
        store.prune(last=2)
        assert_clean(store)
        heads = store.heads()
        assert heads
        for head in heads:
            back: dict[str, Any] = {}
            assert nbsnap.restore(head.id, back, store=store, notebook=head.notebook).ok
            assert back["own"] == random.Random(back["turn"]).randbytes(300_000)
            assert back["rows"] == [back["turn"]] * 50
