"""`nbsnap export`, `import` and `sync`: what they say, their JSON, their exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fronts.conftest import PACKAGE_HOME, Done

import nbsnap
from nbsnap.cli import main
from nbsnap.store import Store


@pytest.fixture
def saved(own_folder: Path) -> list[nbsnap.SnapshotReport]:
    """Three snapshots of two notebooks in the default store."""
    return [
        nbsnap.snapshot({"x": 1, "data": b"x" * 5000}, name="one", notebook="work/a.ipynb", store=".nbsnap"),
        nbsnap.snapshot({"x": 2}, name="two", message="a note", notebook="work/a.ipynb", store=".nbsnap"),
        nbsnap.snapshot({"y": 3}, notebook="b.ipynb", store=".nbsnap"),
    ]


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], own_folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Run `nbsnap WORDS…` in this process, which is quicker, as if it had begun in the test's folder."""
    monkeypatch.setenv("NBSNAP_STORE", str(own_folder / ".nbsnap"))

    def call(*words: str, ok: bool = True) -> Done:
        capsys.readouterr()
        try:
            code = main(words)
        except SystemExit as stop:
            code = int(str(stop.code))
        said = capsys.readouterr()
        assert not ok or code == 0, said
        return Done(code, said.out, said.err)

    return call


def ids(cli, *words: str) -> list[str]:
    return [head["id"] for head in cli("list", "--json", *words).json["snapshots"]]


def test_there_and_back(cli, saved):
    """One snapshot in a file, from there into another store, which then has it and says how to restore it."""
    done = cli("export", "one", "one.nbsnap")
    assert re.match(rf"Exported one \({saved[0].id[:7]}\) from .*/.nbsnap to .*/one.nbsnap · 2 variables · ", done.out)
    assert "%restore --from one.nbsnap" in done.out
    assert ids(cli, "--store", "one.nbsnap") == [saved[0].id]
    assert "all is well" in cli("check", "--store", "one.nbsnap").out
    assert cli("show", "--store", "one.nbsnap").out.startswith("Snapshot one")
    done = cli("import", "one.nbsnap", "--store", "other")
    assert done.out.startswith(f"Imported one ({saved[0].id[:7]}) from ")
    assert done.out.splitlines()[-1] == "  Restore it with: %restore one"
    assert ids(cli, "--store", "other") == [saved[0].id]
    done = cli("import", "one.nbsnap", "--store", "other")
    assert "1 was there already" in done.out
    assert done.out.splitlines()[-1] == "  Restore it with: %restore one"
    names: dict[str, object] = {}
    assert nbsnap.restore("one", names, store="other", notebook="any.ipynb").ok
    assert names == {"x": 1, "data": b"x" * 5000}


def test_which_ones(here, saved):
    """The latest, those that are named, those of a notebook, or all."""
    here("export", "l.nbsnap")
    assert ids(here, "--store", "l.nbsnap") == [saved[2].id]
    here("export", "--notebook", "a", "n.nbsnap")
    assert ids(here, "--store", "n.nbsnap") == [saved[1].id]
    here("export", saved[0].id[:8], "latest~1", "s.nbsnap")
    assert ids(here, "--store", "s.nbsnap") == [saved[0].id, saved[1].id]
    here("export", "--all", "--notebook", "a", "x.nbsnap")
    assert ids(here, "--store", "x.nbsnap") == [saved[0].id, saved[1].id]
    record = here("export", "--all", "all.nbsnap", "--json").json
    assert record["ok"] is True
    assert (
        [head["id"] for head in record["copied"]]
        == [report.id for report in saved]
        == ids(here, "--store", "all.nbsnap")
    )
    assert record["bytes"] == Path("all.nbsnap").stat().st_size
    assert here("import", "all.nbsnap", "one", "--store", "other").out.startswith("Imported one")
    record = here("import", "all.nbsnap", "--notebook", "b.ipynb", "--store", "other", "--dry-run", "--json").json
    assert [head["id"] for head in record["copied"]] == [saved[2].id]
    assert ids(here, "--store", "other") == [saved[0].id]


def test_sync(here, saved):
    """What B lacks, and with --both what A lacks; a dry run makes no store."""
    done = here("sync", ".nbsnap", "b", "--dry-run")
    assert done.out.startswith("Dry run: copied 3 snapshots from ")
    assert not Path("b").exists()
    assert here("sync", ".nbsnap", "b").out.startswith("Copied 3 snapshots from ")
    extra = nbsnap.snapshot({"z": 4}, name="extra", notebook="c.ipynb", store="b")
    record = here("sync", ".nbsnap", "b", "--both", "--json").json
    assert (record["ok"], record["copied"], record["already"]) == (True, [], 3)
    assert [head["id"] for head in record["back"]["copied"]] == [extra.id]
    assert ids(here) == ids(here, "--store", "b")
    here("export", "--all", "all.nbsnap")
    assert here("sync", "all.nbsnap", "c", "extra").out.startswith("Copied extra")
    assert "Copied extra" in here("sync", "c", "d", "extra", "--both").out
    other = nbsnap.snapshot({"o": 1}, name="other", notebook="c.ipynb", store="d")
    assert [line.split()[1] for line in here("sync", "c", "d", "other", "--both").out.splitlines()] == ["0", "other"]
    assert here("sync", "c", "d", "nope", "--both", ok=False).code == 3
    assert other.id in ids(here, "--store", "c")
    for place in (".nbsnap", "b", "c", "d"):
        assert here("check", "--store", place).code == 0


def test_what_an_import_changes(here, saved):
    """Where the notebook has the same name, the latest may be another one, and so may what a name means: it is told."""
    here("export", "two", "two.nbsnap")
    nbsnap.snapshot({"mine": 1}, name="two", notebook="work/a.ipynb", store="other")
    here("delete", "two", "--store", "other")
    mine = nbsnap.snapshot({"mine": 1}, name="two", notebook="work/a.ipynb", store="other")
    said = here("import", "two.nbsnap", "--store", "other").out
    assert f"Restore it with: %restore {saved[1].id[:7]}" in said, "the name means the newer one"
    assert "two is the name of another one in work/a.ipynb, too" in said
    newer = nbsnap.snapshot({"x": 5}, name="newer", notebook="work/a.ipynb", store=".nbsnap")
    here("export", "newer", "newer.nbsnap")
    said = here("import", "newer.nbsnap", "--store", "other").out
    assert f"the latest of work/a.ipynb is one of these now, {newer.id[:7]}; before it was {mine.id[:7]}" in said
    assert "Restore it with: %restore newer" in said


def test_a_file_that_was_cut(here, saved):
    """What is whole is taken, what is not is named: exit code 6."""
    here("export", "--all", "all.nbsnap")
    data = Path("all.nbsnap").read_bytes()
    Path("cut.nbsnap").write_bytes(data[:-100])
    done = here("list", "--store", "cut.nbsnap", ok=False)
    assert done.code == 6
    assert "`nbsnap import` takes what is whole" in done.err
    done = here("import", "cut.nbsnap", "--store", "other", ok=False)
    assert done.code == 6
    assert done.out.startswith("Imported 3 snapshots")
    assert "cut short, or something was added: what is whole in it was taken" in done.out
    assert here("check", "--store", "other").code == 0
    Path("cut.nbsnap").write_bytes(data[:500])
    done = here("import", "cut.nbsnap", "--store", "third", ok=False)
    assert done.code == 6
    assert "0 snapshots" in done.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["export", "one"], 1, "one is a snapshot: say into which file, as in: nbsnap export one one.nbsnap"),
        (["export", "onee", "x.nbsnap"], 3, "close: one"),
        (["export", "--all", "one", "x.nbsnap"], 1, "either --all, or one"),
        (["export", "one", "none/x.nbsnap"], 1, "there is no such folder"),
        (["export", "one", "there"], 1, "is there already: --force replaces it"),
        (["export", "one", "."], 1, "not an ordinary file"),
        (["export"], 2, "FILE"),
        (["import", "nope.nbsnap"], 4, "nope.nbsnap: there is no such file\n"),
        (["import", "nope"], 4, "nope: there is no such file or folder"),
        (["import", "there"], 4, "is not a file that nbsnap export has written"),
        (["import", ".nbsnap", "nope", "--store", "other"], 3, "no snapshot 'nope'"),
        (["import", "one.nbsnap", "--store", "."], 4, "is not empty and not a store"),
        (["sync", "nope", "b"], 4, "there is no store at"),
        (["list", "--store", "."], 4, "there is no store at"),
        (["sync", ".", "b"], 4, "did you mean ./.nbsnap?"),
        (["sync", ".nbsnap", ".nbsnap"], 1, "are the same place"),
        (["sync", ".nbsnap", "one.nbsnap"], 4, "it is one file, which is only read"),
        (["sync", ".nbsnap"], 2, "B"),
        (["delete", "one", "--store", "one.nbsnap"], 4, "it is one file, which is only read"),
        (["check", "--repair", "--store", "one.nbsnap"], 4, "it is one file, which is only read"),
    ],
)
def test_errors(here, saved, words, code, said):
    """What is wrong stands in one line on stderr, with what would help."""
    here("export", "one", "one.nbsnap")
    Path("there").write_text("mine")
    done = here(*words, ok=False)
    assert done.code == code
    assert said in done.err
    assert done.out == ""
    assert code == 2 or len(done.err.splitlines()) == 1
    assert Path("there").read_text() == "mine"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_interrupted(here, own_folder, how):
    """Ctrl-C is one line; killed or interrupted, the store is sound, and the same command goes on and completes it."""
    for number in range(4):
        nbsnap.snapshot({"a": os.urandom(20 << 20), "n": number}, name=f"s{number}", notebook="n", store=".nbsnap")
    program = "import nbsnap.transfer, nbsnap.cli, sys; nbsnap.transfer.FULL = 8 << 20; sys.exit(nbsnap.cli.main())"
    words = [sys.executable, "-c", program]
    for arguments, place in ((["sync", ".nbsnap", "b"], "b"), (["export", "--all", "x.nbsnap"], "x.nbsnap")):
        began = subprocess.Popen(
            [*words, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": PACKAGE_HOME},
        )  # fmt: skip
        until = time.monotonic() + 30
        while time.monotonic() < until and began.poll() is None:
            if (place == "b" and len(list(Path("b", "packs").glob("*.index"))) > 2) or Path("x.nbsnap.part").exists():
                began.send_signal(how)
                break
            time.sleep(0.002)
        _, err = began.communicate(timeout=60)
        assert began.returncode in (0, 130, -signal.SIGKILL if os.name == "posix" else 0), err
        if began.returncode and how == signal.SIGINT:
            assert err.splitlines() == [
                "nbsnap: interrupted; what was copied stays, and the same command goes on from there"
            ]
        if place == "b" and Path("b", "store.json").exists():
            assert here("check", "--store", "b").code == 0
        done = here(*arguments, ok=False)
        assert done.code == 0 or (began.returncode == 0 and "is there already" in done.err), done.err
        assert len(Store(place).entries()) == 4
        assert here("check", "--store", place).code == 0
    assert not Path("x.nbsnap.part").exists()


def test_json_is_one_document(here, saved):
    """Also where something is wrong."""
    file = next(Path(".nbsnap", "snapshots").rglob(f"*{saved[0].id}*"))
    file.write_bytes(file.read_bytes()[:-1])
    done = here("sync", ".nbsnap", "b", "--json", ok=False)
    assert done.code == 6
    record = json.loads(done.out)
    assert record["ok"] is False
    assert len(record["problems"]) == 1
    assert len(record["copied"]) == 2
