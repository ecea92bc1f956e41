"""Buckets: obstore's own in memory, and S3 as moto's server speaks it, started once for all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec

import pytest
from cloud.clouds import Proxy, Server, environment, prefix
from storage.conftest import nothing_runs_on, store  # noqa: F401
from storage.test_pruning import impatient  # noqa: F401

from nbsnap.backends import Backend
from nbsnap.bucket import BucketBackend
from nbsnap.places import backend_at
from nbsnap.remote import Client

if find_spec("obstore") is None or find_spec("moto") is None:  # they come with the extra `cloud-test`
    collect_ignore_glob = ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """By S3, the contract is tested each day; the suites of stores with the slow tests, and each day in memory."""
    for item in items:
        module = getattr(getattr(item, "function", None), "__module__", "")
        daily = module == "storage.test_backends"
        if "cloud/" in item.nodeid and module.startswith("storage.") and "[s3" in item.name and not daily:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Moto's server."""
    server = Server()
    yield server
    server.close()


@pytest.fixture
def s3(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a place of its own, with the environment that leads to it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in environment(server.port).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NBSNAP_CACHE_SIZE", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return prefix()


@pytest.fixture
def proxy(server: Server, s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy on the way to the bucket."""
    proxy = Proxy(server.port)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    yield proxy
    proxy.close()


def in_memory() -> BucketBackend:
    """A bucket in obstore's memory."""
    from obstore.store import MemoryStore

    kept = MemoryStore()
    return BucketBackend("s3://memory/test", Client(lambda uploading: kept))


@pytest.fixture(params=["memory", "s3"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """A new bucket of each kind."""
    made = in_memory() if request.param == "memory" else backend_at(request.getfixturevalue("s3"))
    yield made
    made.close()
