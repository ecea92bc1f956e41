"""The command line by real processes: what it says, its JSON, its exit codes, and what it never imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import nbsnap
from nbsnap.cli import parser


@pytest.fixture
def saved(own_folder: Path) -> list[nbsnap.SnapshotReport]:
    """Three snapshots of two notebooks in the default store."""
    rows = (number for number in range(3))
    return [
        nbsnap.snapshot({"x": 1, "data": b"x" * 5000}, name="one", notebook="work/a.ipynb", store=".nbsnap"),
        nbsnap.snapshot({"x": 2, "rows": rows}, name="two", message="a note", notebook="work/a.ipynb", store=".nbsnap"),
        nbsnap.snapshot({"y": 3}, notebook="b.ipynb", store=".nbsnap"),
    ]


def test_list(cli, saved):
    """All notebooks of the store, oldest first, one line each; or those of one notebook."""
    lines = cli("list").out.splitlines()
    assert lines[0].startswith("3 snapshots in ")
    assert [line.split()[0] for line in lines[2:]] == [report.id[:7] for report in saved]
    assert "a note" in lines[3]
    assert "b.ipynb" in lines[4]
    assert len(cli("list", "--notebook", "work/a.ipynb").out.splitlines()) == 4
    assert len(cli("list", "--notebook", "a").out.splitlines()) == 4, "the end of its path will do"
    assert " on disk" in lines[0]
    lines = cli("list", "-n", "2").out.splitlines()
    assert [line.split()[0] for line in lines[2:4]] == [report.id[:7] for report in saved[1:]]
    assert lines[4:] == ["  and 1 older: nbsnap list"]
    record = cli("list", "--json").json
    assert record["total"] == 3
    assert record["size"] == sum(file.stat().st_size for file in Path(".nbsnap").rglob("*") if file.is_file())
    assert [head["id"] for head in record["snapshots"]] == [report.id for report in saved]
    assert record["problems"] == []


def test_show(cli, saved):
    """The variables of a snapshot with type and size, what it does not have and why; by name, id or latest."""
    said = cli("show", "two").out
    assert f"Snapshot two ({saved[1].id[:7]}) · 1 variable" in said
    assert "skipped   rows   generator" in said
    assert "a note" in said
    assert cli("show", saved[1].id[:9]).out == said
    assert cli("show", "latest", "--notebook", "a.ipynb").out == said
    assert saved[2].id in cli("show").out, "the latest of all notebooks"
    record = cli("show", "one", "--json").json
    assert record["head"]["id"] == saved[0].id
    assert [variable["name"] for variable in record["variables"]] == ["x", "data"]
    assert "groups" not in record


def test_diff(cli, saved):
    """What changed from one snapshot to another, by name, id or latest; with --exit-code for programs to ask."""
    said = cli("diff", "one", "two").out.splitlines()
    assert said[0].startswith(f"From one ({saved[0].id[:7]}) to two ({saved[1].id[:7]}) · 1 added · 1 removed · 1 ch")
    assert "  changed   x      int         1 → 2" in said
    assert "  removed   data   bytes       len 5,000, 5.0 kB" in said
    record = cli("diff", saved[0].id[:8], "latest~1", "--json").json
    assert [(change["name"], change["change"], change["facts"]) for change in record["changes"]] == [
        ("data", "removed", []), ("x", "changed", [["value", "1", "2"]]), ("rows", "added", []),
    ]  # fmt: skip
    assert record["changes"][0]["old"]["type"] == "bytes"
    assert cli("diff", "one", "two", "--exit-code", ok=False).code == 8
    assert cli("diff", "one", "two", "--exit-code", "--only", "x", ok=False).code == 8
    same = cli("diff", "one", "one", "--exit-code")
    assert "nothing has changed" in same.out


def test_delete(cli, saved, own_folder):
    """Snapshots go, and what they alone needed is freed; a dry run says the same and removes nothing."""
    dry = cli("delete", "one", "--dry-run", "--json").json
    assert len(cli("list", "--json").json["snapshots"]) == 3
    before = cli("list", "--json").json["size"]
    record = cli("delete", "one", "--json").json
    assert record["ok"] is True
    assert record["freed"] == dry["freed"] == before - cli("list", "--json").json["size"] > 500
    assert [head["name"] for head in record["removed"]] == ["one"]
    said = cli("delete", saved[1].id[:7], "--notebook", "a").out
    assert said.startswith("1 snapshot deleted from work/a.ipynb in ")
    assert "two" in said
    assert [head["notebook"] for head in cli("list", "--json").json["snapshots"]] == ["b.ipynb"]
    assert cli("check").code == 0


def test_prune(cli, saved):
    """Rules say what stays, named ones do anyway; without a rule nothing is removed, and a line says so."""
    said = cli("prune").out
    assert said.startswith("0 of 3 snapshots removed from ")
    assert "no rule was given, so every snapshot stays: --last N" in said
    dry = cli("prune", "--last", "1", "--named", "--dry-run", "-v").out
    assert dry.startswith("Dry run: 1 of 3 snapshots would be removed from ")
    assert "latest, last" in dry
    assert cli("prune", "--last", "1", "--json").json["removed"] == []
    record = cli("prune", "--max-size", "1kB", "--named", "--json").json
    assert [head["name"] for head in record["removed"]] == ["one"]
    assert [kept["why"] for kept in record["kept"]] == [["latest"]] * 2
    assert "--named" not in record["notes"]


def test_damage_when_pruning(cli, saved, own_folder):
    """What cannot be read keeps all packs, and is exit code 6; deleting it by its id makes room again."""
    file = next((own_folder / ".nbsnap" / "snapshots").rglob(f"*{saved[0].id}*"))
    file.write_bytes(file.read_bytes()[:-1])
    done = cli("prune", ok=False)
    assert done.code == 6
    assert file.name in done.out
    assert cli("delete", "two", "--json", ok=False).json["ok"] is False
    assert cli("delete", saved[0].id[:9]).code == 0
    assert len(list((own_folder / ".nbsnap" / "packs").glob("*.pack"))) == 1


def test_check(cli, saved, own_folder):
    """A sound store: exit code 0. One changed byte: exit code 6, the file, and what it hurts."""
    assert "all is well" in cli("check").out
    assert cli("check", "--json").json["ok"] is True
    pack = max((own_folder / ".nbsnap" / "packs").glob("*.pack"), key=lambda file: file.stat().st_size)
    data = bytearray(pack.read_bytes())
    data[3] ^= 1
    pack.write_bytes(data)
    done = cli("check", ok=False)
    assert done.code == 6
    assert pack.name in done.out
    assert f"one ({saved[0].id[:7]})" in done.out
    record = json.loads(cli("check", "--json", ok=False).out)
    assert record["ok"] is False
    assert len(record["problems"]) == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["show", "on"], 3, "one"),
        (["show", "latest~7"], 3, "latest"),
        (["diff", "one", "twoo"], 3, "two"),
        (["diff", "one", "two", "--only", "z"], 3, "no variable 'z'"),
        (["diff", "one"], 2, "B"),
        (["delete", "one", "tow"], 3, "close: two"),
        (["delete", "b"], 3, "no snapshot 'b'"),
        (["delete"], 2, "SNAPSHOT"),
        (["prune", "--last", "0"], 2, "number of 1 or more"),
        (["prune", "--max-size", "lots"], 1, "500 MB"),
        (["prune", "--store", "nowhere"], 4, "nowhere"),
        (["list", "--notebook", "c.ipynb"], 3, "b.ipynb"),
        (["list", "--store", "nowhere"], 4, "nowhere"),
        (["show", "--store", "\x1b[2J"], 4, "\\x1b[2J"),
        ([], 2, "COMMAND"),
        (["lst"], 2, "lst"),
        (["list", "--jso"], 2, "--jso"),
        (["enable", "--profile", "nobody"], 1, "ipython profile create nobody"),
        (["enable", "--profile", "../x"], 1, "cannot be the name"),
    ],
)
def test_errors(cli, saved, words, code, said):
    """What is wrong stands in one line on stderr, with what would help; the exit code tells its kind."""
    done = cli(*words, ok=False)
    assert done.code == code
    assert said in done.err
    assert done.out == ""
    assert "Traceback" not in done.err
    assert done.err.splitlines()[-1].startswith("nbsnap")
    if code != 2:
        assert len(done.err.splitlines()) == 1


def test_a_store_of_a_later_version(cli, saved, own_folder):
    """A format that this nbsnap does not know is refused: exit code 5."""
    (own_folder / ".nbsnap" / "store.json").write_text('{"format":99}\n')
    assert cli("list", ok=False).code == 5


def test_damaged_manifest_in_a_list(cli, saved, own_folder):
    """One unreadable snapshot costs a line on stderr, not the list."""
    file = next((own_folder / ".nbsnap" / "snapshots").rglob(f"*{saved[0].id}*"))
    file.write_bytes(b"{}" + file.read_bytes()[2:])
    done = cli("list")
    assert done.out.startswith("2 snapshots")
    assert file.name in done.err
    assert cli("show", "one", ok=False).code in (3, 6)


def test_the_store_of_the_environment(cli, saved, own_folder):
    """NBSNAP_STORE stands for --store; --store wins."""
    (own_folder / ".nbsnap").rename(own_folder / "moved")
    assert cli("list", ok=False).code == 4
    assert cli("list", env={"NBSNAP_STORE": "moved"}).out.startswith("3 snapshots")
    assert cli("list", "--store", "moved", env={"NBSNAP_STORE": "nowhere"}).out.startswith("3 snapshots")


def test_version_and_help(cli):
    """--version and --help work without a store, and each command explains its own options."""
    assert cli("--version").out.strip() == f"nbsnap {nbsnap.__version__}"
    for command in ("list", "show", "diff", "delete", "prune", "check", "export", "import", "sync", "enable"):
        assert command in cli("--help").out
        assert "--json" in cli(command, "--help").out


def test_a_reader_that_goes_away(saved, own_folder):
    """`nbsnap list | true` ends without a traceback."""
    package = str(Path(nbsnap.__file__).resolve().parent.parent)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "nbsnap", "list", "--json"],
        stdout=writer,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": package},
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert done.stderr == b""


def test_a_stream_that_knows_only_ascii(cli, saved):
    """Where the terminal cannot show a sign, something else stands there."""
    out = cli("list", env={"PYTHONIOENCODING": "ascii"}).out + cli("show", env={"PYTHONIOENCODING": "ascii"}).out
    assert out.isascii()


def test_it_never_loads_what_could_run_code(saved, own_folder):
    """No command imports a pickler, IPython, or an array library."""
    program = (
        "import sys, nbsnap.cli\n"
        "for words in (['list'], ['show'], ['diff', 'one', 'two'], ['check'], ['list', '--json'], ['enable'],\n"
        "    ['disable'], ['export', 'one', 'x'], ['import', 'x', '--store', 'a'], ['sync', 'a', 'b'],\n"
        "    ['delete', 'one'], ['prune', '--last', '1', '--max-size', '1GB']):\n"
        "    assert nbsnap.cli.main(words) == 0, words\n"
        "print('LOADED', *sorted(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(Path(nbsnap.__file__).resolve().parent.parent)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = set(done.stdout.rpartition("LOADED ")[2].split())
    assert "nbsnap.maintenance" in loaded
    assert not loaded & {
        "pickle",
        "_pickle",
        "dill",
        "cloudpickle",
        "IPython",
        "traitlets",
        "numpy",
        "pandas",
        "shelve",
    }
    assert not loaded & {"nbsnap.saving", "nbsnap.restoring"}


def test_the_manual_names_every_option():
    """docs/usage.md has the help text of each command as it is."""
    manual = Path(__file__).resolve().parents[2] / "docs" / "usage.md"
    if not manual.exists():
        pytest.skip("the documentation is not part of this installation")
    text = manual.read_text(encoding="utf-8")
    commands = next(action for action in parser()._actions if action.choices and not action.option_strings).choices
    for name, command in commands.items():
        assert f"`nbsnap {name}" in text
        for action in command._actions:
            for option in action.option_strings:
                assert option in ("-h", "--help") or option in text, f"nbsnap {name} {option}"
