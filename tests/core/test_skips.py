"""What cannot be saved costs its own variable and one line that says where and why; nothing is ever opened again."""

from __future__ import annotations

import asyncio
import mmap
import multiprocessing.pool
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

import nbsnap
from nbsnap.capture import take_apart
from nbsnap.model import Skip
from nbsnap.taken import Taken


def saved(**names: Any) -> Taken:
    return take_apart(names, list(names))


def skip_of(value: Any, **others: Any) -> Skip:
    taken = saved(v=value, good=[1], **others)
    assert "good" in [variable.name for variable in taken.variables]
    (skip,) = taken.skips
    assert skip.name == "v"
    return skip


def a_generator() -> Any:
    return (x for x in range(3))


class Refuses:
    def __reduce__(self) -> Any:
        raise ValueError("I will not")


class Exits:
    def __reduce__(self) -> Any:
        raise SystemExit(3)


class Lies:
    def __reduce__(self) -> Any:
        return 42  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("value", "kind", "reason"),
    [
        (a_generator(), "generator", "running code"),
        (sys._getframe(), "frame", "running code"),
        (Refuses(), "test_skips.Refuses", "ValueError: I will not"),
        (Exits(), "test_skips.Exits", "SystemExit"),
        (Lies(), "test_skips.Lies", "pickle does not understand"),
        (threading.current_thread(), "threading._MainThread", "process or thread"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_object_that_cannot_be_saved_is_named(value: Any, kind: str, reason: str) -> None:
    """The line tells the type and the reason; the other variables are saved."""
    skip = skip_of(value)
    assert skip.type.endswith(kind.partition(".")[2] or kind)
    assert reason in skip.reason
    assert skip.path == "v"


def test_handles_are_refused_wherever_they_sit(tmp_path: Path) -> None:
    """Files (open or closed, read or write), sockets, connections, processes, pools: each by its type, however deep."""
    closed = (tmp_path / "closed").open("w")
    closed.close()
    (tmp_path / "map").write_bytes(b"x" * 10)
    loop = asyncio.new_event_loop()
    with (
        (tmp_path / "w").open("w") as text,
        (tmp_path / "w").open("rb") as binary,
        (tmp_path / "w").open("rb", buffering=0) as raw,
        socket.socket() as sock,
        tempfile.NamedTemporaryFile() as temporary,
        zipfile.ZipFile(tmp_path / "z", "w") as archive,
        multiprocessing.pool.ThreadPool(1) as pool,
        subprocess.Popen([sys.executable, "-c", ""]) as process,
        (tmp_path / "map").open("rb") as mapped,
        mmap.mmap(mapped.fileno(), 0, access=mmap.ACCESS_READ) as memory,
        os.scandir(tmp_path) as listing,
    ):
        database = sqlite3.connect(tmp_path / "base.db")
        try:
            for handle in (
                closed, text, binary, raw, sock, temporary, archive, pool, process, memory, listing, loop,
                database, database.cursor(),
            ):  # fmt: skip
                skip = skip_of({"deep": [handle]})
                assert (skip.kind, skip.path) == ("partly", "v['deep'][0]"), handle
                assert skip.reason.startswith(("v['deep'][0] is a ", "v['deep'][0] is an ")), handle
                alone = take_apart({"v": handle}, ["v"])
                assert [skip.kind for skip in alone.skips] == ["skipped"], handle
                assert alone.variables == (), handle
        finally:
            database.close()
            loop.close()


@pytest.mark.parametrize("engine", ["auto", "dill", "cloudpickle"])
def test_a_file_that_was_open_for_writing_keeps_its_text(two_shells: Any, engine: str) -> None:
    """No engine opens it again on restore, neither alone nor inside other objects."""
    report = two_shells.save(
        "f = open('out.txt', 'w'); f.write('keep'); f.flush(); g = {'log': [f]}\nclosed = open('c.txt', 'w')\n"
        "closed.write('keep'); closed.close(); kept = 1",
        f"nbsnap.snapshot(engine={engine!r})",
    )
    assert sorted(skip["name"] for skip in report["skipped"]) == ["closed", "f", "g"]
    _, wrong = two_shells.restore({"text": "open('out.txt').read() == open('c.txt').read() == 'keep' and kept == 1"})
    assert wrong == {}


class Holder:
    pass


def test_the_path_leads_to_the_culprit() -> None:
    """Attributes, items, closures, partials and instances in instances are written as the user would write them."""
    holder, inner = Holder(), Holder()
    inner.sock = a_generator()  # type: ignore[attr-defined]
    holder.callbacks = [1, 2, inner]  # type: ignore[attr-defined]
    assert skip_of(holder).path == "v.callbacks[2].sock"
    assert skip_of({"pool": (0, {3: a_generator()})}).path == "v['pool'][1][3]"


def test_paths_run_no_code_of_the_user() -> None:
    """Objects that lie about everything are looked through by their true type."""

    class Hostile:
        def __init__(self) -> None:
            object.__setattr__(self, "bad", a_generator())

        def fail(self, *args: Any) -> Any:
            raise RuntimeError("called")

        __repr__ = __str__ = __eq__ = __bool__ = __len__ = __iter__ = __format__ = __setattr__ = fail  # type: ignore[assignment]
        __hash__ = fail  # type: ignore[assignment]
        __class__ = property(fail)  # type: ignore[assignment]

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("called")

    skip = skip_of(Hostile())
    assert skip.path == "v.bad"


def test_hostile_objects_are_saved_when_they_can_be(two_shells: Any) -> None:
    """Raising or lying `__eq__`, `__bool__`, `__len__`, `__repr__`, `__class__`, `__getattr__` stop nothing."""
    report = two_shells.save(
        "class H:\n    def __init__(self): self.__dict__['v'] = 1\n    def no(self, *a): raise RuntimeError('called')\n"
        "    __eq__ = __bool__ = __len__ = __repr__ = __str__ = __iter__ = no\n    __hash__ = no\n"
        "    __class__ = property(no)\n"
        "    def __getattr__(self, name): raise RuntimeError('called')\n"
        "h = H(); held = {'in': [h]}; kept = 1"
    )
    names = {variable["name"] for variable in report["variables"]}
    assert {"H", "kept"} <= names
    assert {"h", "held"} <= names
    _, wrong = two_shells.restore({"same": "held['in'][0] is h and h.__dict__['v'] == 1 and kept == 1"})
    assert wrong == {}


def test_one_bad_member_leaves_its_team_and_the_rest_stays_together() -> None:
    """Variables tied by a shared list are saved without the one that cannot be."""
    shared = [1]
    taken = saved(a=[shared], bad=[shared, a_generator()], b={"k": shared})
    assert [skip.name for skip in taken.skips] == ["bad"]
    groups = {variable.name: variable.group for variable in taken.variables}
    assert groups["a"] == groups["b"]


def test_a_class_attribute_that_cannot_be_saved_costs_only_itself(two_shells: Any) -> None:
    """The class and its instances come back, and the line says which attribute is gone."""
    report = two_shells.save("class A:\n    x = 1\n    g = (i for i in ())\na = A()")
    (skip,) = report["skipped"]
    assert (skip["kind"], skip["path"], skip["name"]) == ("partly", "A.g", "A")
    _, wrong = two_shells.restore({"rest": "a.x == 1 and type(a) is A and not hasattr(A, 'g')"})
    assert wrong == {}


def test_strict_raises_and_writes_nothing(tmp_path: Path) -> None:
    """No store appears, and the message names what stood in the way."""
    with pytest.raises(
        nbsnap.StrictError, match=r"nothing was saved, because of g \(generator\): the state of running"
    ):
        nbsnap.snapshot({"g": a_generator(), "x": 1}, strict=True, store=tmp_path / "s", notebook="n")
    assert not (tmp_path / "s").exists()


def test_dry_run_tells_and_writes_nothing(tmp_path: Path) -> None:
    """Variables with sizes and skips, and no store."""
    report = nbsnap.snapshot({"g": a_generator(), "x": [1]}, dry_run=True, store=tmp_path / "s", notebook="n")
    assert report.dry_run
    assert [variable.name for variable in report.variables] == ["x"]
    assert report.variables[0].size > 0
    assert [skip.name for skip in report.skipped] == ["g"]
    assert not (tmp_path / "s").exists()


def test_dill_takes_over_what_the_fast_pickler_cannot(two_shells: Any) -> None:
    """The group says which engine carried it, and the others stay with the fast one."""
    source = "import datetime\ncapsule = datetime.datetime_CAPI; beside = {'c': [capsule]}; plain = [1]"
    report = two_shells.save(source)
    assert report["skipped"] == []
    store = nbsnap.Store.open(two_shells.folder / ".nbsnap")
    record = store.load(report["id"])
    engines = {name: group.engine for group in record.groups for name in group.variables}
    assert engines["capsule"] == engines["beside"] == "dill"
    assert engines["plain"] == "batch"
    _, wrong = two_shells.restore({"capsule": "beside['c'][0] is capsule and type(capsule).__name__ == 'PyCapsule'"})
    assert wrong == {}


def test_nothing_to_save_makes_no_snapshot(tmp_path: Path) -> None:
    """An empty namespace, or one of which nothing can be saved, never becomes the latest."""
    nbsnap.snapshot({"x": 1}, store=tmp_path / "s", notebook="n")
    with pytest.raises(nbsnap.NbSnapError, match="there is no variable to save"):
        nbsnap.snapshot({}, store=tmp_path / "s", notebook="n")
    with pytest.raises(nbsnap.NbSnapError, match=r"nothing was saved, because of g \(generator\)"):
        nbsnap.snapshot({"g": a_generator()}, store=tmp_path / "s", notebook="n")
    with pytest.raises(nbsnap.NbSnapError, match="a namespace is a dict"):
        nbsnap.snapshot([1], store=tmp_path / "s", notebook="n")  # type: ignore[arg-type]
    target: dict[str, Any] = {}
    nbsnap.restore(namespace=target, store=tmp_path / "s", notebook="n")
    assert target == {"x": 1}


def test_what_is_always_left_out_comes_when_it_is_asked_for(tmp_path: Path) -> None:
    """`ignore` (the setting `exclude`) gives way to a name after `only`."""
    names = {"df": [1], "x": 1}
    report = nbsnap.snapshot(names, ignore=["d*", "nothing"], store=tmp_path / "s", notebook="n")
    assert [variable.name for variable in report.variables] == ["x"]
    report = nbsnap.snapshot(names, only=["df"], ignore=["d*"], store=tmp_path / "s", notebook="n")
    assert [variable.name for variable in report.variables] == ["df"]
