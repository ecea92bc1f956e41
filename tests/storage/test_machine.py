"""A store against a model of it: whatever is done in whatever order, it gives back what a dict would."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from storage.conftest import KINDS
from storage.making import Died, DyingBackend, assert_clean, make_backend, noise, record, restore, save, text

from nbsnap.digest import PIECE_SIZE
from nbsnap.errors import SnapshotNotFound
from nbsnap.maintenance import check
from nbsnap.store import Store

sizes = st.sampled_from([0, 1, 200, 65535, 65536, PIECE_SIZE, PIECE_SIZE + 1, 2 * PIECE_SIZE + 5]) | st.integers(
    0, 3000
)
values = st.builds(lambda make, size, seed: make(size, seed), st.sampled_from([noise, text]), sizes, st.integers(0, 2))
states = st.dictionaries(st.sampled_from("abcd"), values, max_size=3)
names = st.sampled_from(["", "", "one", "two"])
notebooks = st.sampled_from(["a.ipynb", "b/a.ipynb"])


class StoreMachine(RuleBasedStateMachine):
    """Snapshots are taken, abandoned, cut short by death and read, from several store objects."""

    kind = "memory"
    writers = Bundle("writers")

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="nbsnap-test-")
        self.backend = make_backend(self.kind, self.folder)  # type: ignore[arg-type]
        self.store = Store.open(self.backend, create=True)
        self.taken: list[tuple[str, str, str, dict[str, bytes]]] = []  # notebook, name, id, state
        self.open: list[Any] = []  # writers

    def teardown(self) -> None:
        if hasattr(self, "store"):
            try:
                assert_clean(self.store)
            finally:
                for writer in self.open:
                    writer.__exit__(None, None, None)
                self.backend.close()
                shutil.rmtree(self.folder)

    @rule(state=states, name=names, notebook=notebooks)
    def take(self, state: dict[str, bytes], name: str, notebook: str) -> None:
        before = [entry for entry in self.taken if entry[0] == notebook]
        head = save(self.store, state, name, notebook)
        assert head.parent == (before[-1][2] if before else "")
        self.taken.append((notebook, name, head.id, state))

    @rule(notebook=notebooks)
    def take_the_same_again(self, notebook: str) -> None:
        if self.taken:
            state = self.taken[-1][3]
            head = save(self.store, state, "", notebook)
            assert head.new_bytes == 0
            self.taken.append((notebook, "", head.id, state))

    @rule(state=states)
    def abandon(self, state: dict[str, bytes]) -> None:
        before = self.backend.list("")
        with self.store.writer() as writer:
            for value in state.values():
                writer.put(value)
        assert self.backend.list("") == before

    @rule(state=states, steps=st.integers(0, 12), late=st.booleans())
    def die(self, state: dict[str, bytes], steps: int, late: bool) -> None:
        dying = DyingBackend(self.backend, steps, late=late)
        with contextlib.suppress(Died):
            save(Store.open(dying), state, "dying", "died.ipynb")
        dying.bury()

    @rule(target=writers, state=states)
    def begin_writer(self, state: dict[str, bytes]) -> Any:
        writer = Store.open(self.backend).writer()
        writer.__enter__()
        self.open.append(writer)
        return writer, {key: writer.put(value) for key, value in state.items()}, state

    @rule(entry=consumes(writers), notebook=notebooks)
    def end_writer(self, entry: Any, notebook: str) -> None:
        writer, contents, state = entry
        head = writer.commit(record(contents, "", notebook)).head
        writer.__exit__(None, None, None)
        self.open.remove(writer)
        self.taken.append((notebook, "", head.id, state))

    @rule()
    def reopen(self) -> None:
        self.store = Store.open(self.backend)

    @rule(notebook=notebooks, name=st.sampled_from(["one", "two", "none"]))
    def find_by_name(self, notebook: str, name: str) -> None:
        found = [entry for entry in self.taken if entry[:2] == (notebook, name)]
        if found:
            assert self.store.resolve(name, notebook).id == found[-1][2]
            assert restore(self.store, name, notebook) == found[-1][3]
        elif len({entry[0] for entry in self.taken if entry[1] == name}) == 1:  # one other notebook knows it
            assert self.store.resolve(name, notebook).id == [entry for entry in self.taken if entry[1] == name][-1][2]
        else:
            with pytest.raises(SnapshotNotFound):
                self.store.resolve(name, notebook)

    @rule(notebook=notebooks, back=st.integers(0, 4))
    def find_by_order(self, notebook: str, back: int) -> None:
        found = [entry for entry in self.taken if entry[0] == notebook]
        if back < len(found):
            assert restore(self.store, f"latest~{back}", notebook) == found[-1 - back][3]
        else:
            with pytest.raises(SnapshotNotFound):
                self.store.resolve(f"latest~{back}", notebook)

    @rule(data=st.data())
    def find_by_id(self, data: st.DataObject) -> None:
        if self.taken:
            _, _, id, state = data.draw(st.sampled_from(self.taken))
            assert restore(self.store, id[:20], None) == state

    @invariant()
    def listing_agrees(self) -> None:
        if hasattr(self, "store"):
            for notebook in ("a.ipynb", "b/a.ipynb"):
                heads = [(head.notebook, head.name, head.id) for head in self.store.heads(notebook)]
                assert heads == [entry[:3] for entry in self.taken if entry[0] == notebook]
            assert not self.store.problems

    @rule()
    def check_is_clean(self) -> None:
        report = check(self.store)
        assert report.ok


class FolderMachine(StoreMachine):
    """The same upon a folder."""

    kind = "folder"


@pytest.mark.parametrize("kind", KINDS)
def test_store_agrees_with_a_dict(kind: str) -> None:
    """Over any sequence of saves, deaths, abandonments and reads the store gives back what a dict would."""
    machine = StoreMachine if kind == "memory" else FolderMachine
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40 if kind == "memory" else 25,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
