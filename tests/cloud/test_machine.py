"""A store in a bucket against a model of it, as in a folder."""

from __future__ import annotations

import tempfile

import pytest
from cloud.clouds import prefix
from cloud.conftest import in_memory
from hypothesis import HealthCheck, settings
from hypothesis.stateful import initialize, run_state_machine_as_test
from storage.test_machine import StoreMachine

from nbsnap.places import backend_at
from nbsnap.store import Store


class BucketMachine(StoreMachine):
    """The same upon a bucket."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="nbsnap-test-")
        self.backend = in_memory() if self.kind == "memory" else backend_at(prefix())
        self.store = Store.open(self.backend, create=True)
        self.taken = []
        self.open = []


class ServerMachine(BucketMachine):
    """The same upon moto's server."""

    kind = "s3"


def agree(machine: type[BucketMachine], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_a_bucket_in_memory_agrees_with_a_dict() -> None:
    """Over any sequence of saves, deaths, abandonments and reads the store gives back what a dict would."""
    agree(BucketMachine, 10, 15)


@pytest.mark.usefixtures("s3")
def test_a_bucket_agrees_with_a_dict() -> None:
    """The same, by S3."""
    agree(ServerMachine, 3, 12)


@pytest.mark.slow
@pytest.mark.usefixtures("s3")
def test_a_bucket_agrees_with_a_dict_for_longer() -> None:
    """The same, many times."""
    agree(ServerMachine, 10, 16)
