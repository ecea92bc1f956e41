"""Fixtures of the storage half's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from storage.making import make_backend, threads

from nbsnap.backends import Backend
from nbsnap.store import Store

KINDS = ("memory", "folder")


@pytest.fixture(autouse=True)
def nothing_runs_on() -> Iterator[None]:
    """No test leaves a thread of ours behind, whatever it did to a writer."""
    yield
    assert threads() == []


@pytest.fixture(params=KINDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """A new backend of each kind."""
    backend = make_backend(request.param, tmp_path)
    yield backend
    backend.close()


@pytest.fixture
def store(backend: Backend) -> Store:
    """A new, empty store upon each kind of backend."""
    return Store.open(backend, create=True)


@pytest.fixture
def folder_store(tmp_path: Path) -> Iterator[Store]:
    """A new, empty store in a folder."""
    with Store.open(tmp_path / "store", create=True) as store:
        yield store
