"""Random sessions over random object graphs: what comes back in another process is the same graph, identities included.

The machine types into a session what users type: it binds, aliases, nests, changes and deletes, it puts in objects that
cannot be saved, it takes snapshots. Each snapshot is restored in fresh processes, whole and in parts, and in the
session itself; what is there then is described (`sessions`), and compared with the description from before
(`isomorphism`).
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from core.isomorphism import Comparison
from core.sessions import PREAMBLE
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

TESTS = Path(__file__).resolve().parent.parent
ATOMS = ("1", "'text'", "2.5", "None", "b'x'", "10**30", "-0.0", "float('nan')", "()", "...", "math", "Color.BLUE",
         "Perm.R | Perm.W", "len", "Plain", "Pair")  # fmt: skip
HASHABLE = ("1", "'text'", "2.5", "None", "(1, 'a')", "frozenset({3})", "Color.RED", "Plain", "Value(1)", "Value(2)")

#: What a user types to make an object of parts: {a} and {b} are any objects, {h} has a hash, {i} an index of an array.
MAKES = {
    "list": "[{a}, {b}]",
    "tuple": "({a}, {b})",
    "dict": "{{'k': {a}, 'l': {b}}}",
    "keys": "{{{h}: {a}, 2: {b}}}",
    "set": "{{{h}, 7}}",
    "frozenset": "frozenset([{h}, 7])",
    "ordered": "collections.OrderedDict(k={a}, l={b})",
    "default": "collections.defaultdict(list, k={a}, l={b})",
    "deque": "collections.deque([{a}, {b}], maxlen=3)",
    "bytes": "bytearray(b'abc')",
    "plain": "Plain({a}, {b})",
    "slotted": "Slotted({a}, {b})",
    "both": "Both({a}, {b})",
    "data": "Data({a}, {b})",
    "frozen": "Frozen({a}, {b})",
    "own": "Own({a}, {b})",
    "items": "Items([{a}, {b}])",
    "table": "Table(k={a}, l={b})",
    "pair": "Pair({a}, {b})",
    "simple": "types.SimpleNamespace(x={a}, y={b})",
    "sentinel": "object()",
    "partial": "functools.partial(print, {a}, k={b})",
    "lambda": "lambda x={a}: (v0, x)",
    "loop": "loop({a})",
    "exception": "ValueError({a})",
    "module": "types.ModuleType('made')",
    "proxy": "types.MappingProxyType({{'k': {a}}})",
    "objects": "np.array([{a}, None], dtype=object)",
    "array": "np.arange(12.0)",
    "matrix": "np.arange(12).reshape(3, 4)",
    "large": "np.arange(6000.0)",
    "lock": "threading.Lock()",
}
#: What a user types about an object that is there already: by what it must be able to do.
OF_WAYS = {
    "method": ["{w}.m", "{w}.m.__func__"],
    "weak": ["weakref.ref({w})"],
    "dict": ["{w}.keys()", "types.MappingProxyType({w})", "{w}.values()"],
    "bytearray": ["memoryview({w})"],
    "array": ["{w}[::2]", "{w}[::-1]", "{w}.T", "{w}[1:3]", "{w}.reshape(-1)", "{w}.view('u1')", "{w}[...]", "{w}[:0]"],
    "class": ["type('Made', ({w},), {{'made': [{a}]}})", "{w}({a})"],
    "function": ["functools.partial({w}, {a})", "types.MethodType({w}, {a})"],
    "any": ["[{w}, {w}]", "({w}, {{'k': {w}}})", "Plain({w}, [{w}])"],
}
CHANGES = {
    "list": ["{w}.append({a})", "{w}[:] = [{a}]", "{w}.insert(0, {a})"],
    "dict": ["{w}['k'] = {a}", "{w}[{h}] = {a}", "{w}.pop('k', None)"],
    "set": ["{w}.add({h})"],
    "deque": ["{w}.append({a})"],
    "bytearray": ["{w}.extend(b'more')"],
    "attributes": ["{w}.x = {a}", "{w}.y = {a}"],
    "class": ["{w}.made = [{a}]", "{w}.extra = {a}"],
    "function": ["{w}.x = {a}", "{w}.__defaults__ = ({a},)"],
    "put": ["{w}({a})"],
    "array": ["{w}.flat = 5", "{w}.flags.writeable = False"],
    "objects": ["{w}[0] = {a}"],
}
BAD = ("running()", "open('log', 'a')", "Refuses()")

KINDS_OF_WORK = (
    "make",
    "make",
    "make_of",
    "make_of",
    "change",
    "change",
    "make_alias",
    "make_closures",
    "make_bad",
    "delete",
)
NAMES = st.sampled_from([f"v{i}" for i in range(6)])


class Session:
    """A process of its own that is told what to type."""

    def __init__(self, template: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(template)
        self.lines = self.socket.makefile("rw", encoding="utf-8")

    def __call__(self, verb: str, **arguments: Any) -> Any:
        self.lines.write(json.dumps([verb, arguments]) + "\n")
        self.lines.flush()
        answer = json.loads(self.lines.readline() or '{"failed": "the process died"}')
        if "failed" in answer:
            raise AssertionError(answer["failed"])
        return answer["done"]

    def close(self) -> None:
        self.lines.close()
        self.socket.close()


@pytest.fixture(scope="module")
def template() -> Iterator[str]:
    """The socket of a process from which sessions are forked."""
    folder = tempfile.mkdtemp(prefix="sessions-")
    path = f"{folder}/s"
    process = subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(TESTS)!r})\n"
         f"from core import sessions; sessions.template({path!r})"],
        cwd=folder, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        yield path
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        shutil.rmtree(folder)


class Machine(RuleBasedStateMachine):
    """One session, and the fresh ones in which its snapshots are restored."""

    path = ""  # of the template's socket; set by the test
    engine = "auto"

    def __init__(self) -> None:
        super().__init__()
        self.script: list[str] = []
        self.sessions: list[Session] = []
        self.store = tempfile.mkdtemp(prefix="graphs-")
        self.graph: dict[str, Any] | None = None  # of the latest snapshot
        self.skips: list[dict[str, Any]] = []
        self.classes: dict[str, int] = {}
        self.session = self.start()
        self.session("type", source=PREAMBLE)
        for source in ("v0 = [1]", "v1 = {'k': v0}", "v2 = Plain(v1, 2)"):
            self.type(source)

    def start(self) -> Session:
        self.sessions.append(Session(self.path))
        return self.sessions[-1]

    def teardown(self) -> None:
        try:
            self.save()
            self.restore_elsewhere([])
        finally:
            for session in self.sessions:
                session.close()
            shutil.rmtree(self.store)

    # --- what is typed ------------------------------------------------------------------------------------------------

    def type(self, source: str) -> None:
        """Type something; what raises (a frozen instance, a read-only array) has changed nothing that matters."""
        problem = self.session("type", source=source)
        self.script.append(source + (f"  # {problem}" if problem else ""))

    def ways(self, use: str) -> list[str]:
        return [way for way, uses in self.session("ways") if use in uses]

    def part(self, data: Any, use: str = "any") -> str:
        """Return what stands for an object as a part of another: something new, or a way to one that is there."""
        if data.draw(st.integers(0, 3)) == 0:
            return str(data.draw(st.sampled_from(ATOMS if use == "any" else HASHABLE)))
        return str(data.draw(st.sampled_from(self.ways(use))))

    def fill(self, data: Any, pattern: str, way: str = "") -> str:
        parts = {"w": way}
        for name, use in (("a", "any"), ("b", "any"), ("h", "hashable")):
            if "{" + name + "}" in pattern:
                parts[name] = self.part(data, use)
        return pattern.format(**parts)

    @rule(data=st.data(), kinds=st.lists(st.sampled_from(KINDS_OF_WORK), min_size=3, max_size=12))
    def work(self, data: Any, kinds: list[str]) -> None:
        """A cell of a few lines."""
        for kind in kinds:
            getattr(self, kind)(data)

    def make(self, data: Any) -> None:
        pattern = MAKES[data.draw(st.sampled_from(sorted(MAKES)))]
        self.type(f"{data.draw(NAMES)} = {self.fill(data, pattern)}")

    def make_of(self, data: Any) -> None:
        use = data.draw(st.sampled_from(sorted(OF_WAYS)))
        if ways := self.ways(use):
            pattern = data.draw(st.sampled_from(OF_WAYS[use]))
            self.type(f"{data.draw(NAMES)} = {self.fill(data, pattern, data.draw(st.sampled_from(ways)))}")

    def make_closures(self, data: Any) -> None:
        self.type(f"{data.draw(NAMES)}, {data.draw(NAMES)} = cells({self.part(data)})")

    def make_alias(self, data: Any) -> None:
        self.type(f"{data.draw(NAMES)} = {data.draw(st.sampled_from(self.ways('any')))}")

    def change(self, data: Any) -> None:
        use = data.draw(st.sampled_from(sorted(CHANGES)))
        if ways := self.ways(use):
            pattern = data.draw(st.sampled_from(CHANGES[use]))
            self.type(self.fill(data, pattern, data.draw(st.sampled_from(ways))))

    def make_bad(self, data: Any) -> None:
        around = data.draw(st.sampled_from(["{}", "[{}]", "Plain({})", "{{1: {}}}"]))
        self.type(f"{data.draw(NAMES)} = {around.format(data.draw(st.sampled_from(BAD)))}")

    def delete(self, data: Any) -> None:
        self.type(f"globals().pop('{data.draw(NAMES)}', None)")

    # --- snapshots ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: not self.script[-1].startswith(("%", "#")))
    @rule()
    def save(self) -> None:
        self.script.append("%snapshot")
        saved = self.session("save", store=self.store, notebook="n", engine=self.engine)
        self.graph, self.skips, self.classes = saved["graph"], saved["report"]["skipped"], saved["classes"]

    @precondition(lambda self: self.graph is not None and not self.script[-1].startswith("#"))
    @rule(data=st.data())
    def restore_parts_elsewhere(self, data: Any) -> None:
        """Some variables in a fresh process, then others: each is what it was, and no class is there twice."""
        names = sorted(self.graph["variables"])  # type: ignore[index]
        chosen = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=4, unique=True))
        self.restore_elsewhere(chosen)
        session = self.start()
        for name in chosen:
            done = self.load(session, [name])
            split = [name for name, count in done["classes"].items() if count > self.classes[name]]
            untold = [name for name in split if not any(name in note for note in done["report"]["notes"])]
            assert not untold, self.told([f"{untold} are there twice after %restore --only {name}"])

    @precondition(lambda self: self.graph is not None and self.script[-1] != "%restore")
    @rule()
    def restore_here(self) -> None:
        """Into the session that goes on."""
        self.script.append("%restore")
        self.load(self.session, [])

    def restore_elsewhere(self, only: list[str]) -> None:
        self.script.append(f"# elsewhere: %restore --only {' '.join(only)}" if only else "# elsewhere: %restore")
        self.load(self.start(), only)

    def load(self, session: Session, only: list[str]) -> Any:
        assert self.graph is not None
        done = session("load", store=self.store, notebook="n", only=only)
        wanted = only or sorted(self.graph["variables"])
        came = {variable["name"] for variable in done["report"]["restored"]}
        there = {name: ref for name, ref in done["graph"]["variables"].items() if name in came}
        problems = [f"{skip['name']} failed: {skip['reason']}" for skip in done["report"]["failed"]]
        after = {**done["graph"], "variables": there}
        problems = problems or Comparison(self.graph, after).run(wanted, self.skips)
        assert not problems, self.told(problems)
        return done

    def told(self, problems: list[str]) -> str:
        return "\n".join(["", *problems, "", *self.script])


def run(template: str, engine: str, examples: int, steps: int, **more: Any) -> None:
    machine = type("Machine", (Machine,), {"path": template, "engine": engine})
    options: dict[str, Any] = {"derandomize": True, "database": None, "phases": [Phase.generate], **more}
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            **options,
        ),
    )


@pytest.mark.parametrize(("engine", "examples"), [("auto", 15), ("cloudpickle", 5), ("dill", 5)])
def test_what_comes_back_is_the_same_graph(template: str, engine: str, examples: int) -> None:
    """Whatever is bound, nested, aliased and lost: what comes back is isomorphic to what was saved."""
    run(template, engine, examples, 6)


@pytest.mark.slow
def test_what_comes_back_of_longer_sessions_is_the_same_graph(template: str) -> None:
    """The same, with more sessions, and longer ones."""
    run(template, "auto", 50, 9)
