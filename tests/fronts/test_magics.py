"""The magics in real shells: an InteractiveShell in a process of its own, and IPython at a pseudo-terminal."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import nbsnap

LOAD = "%load_ext nbsnap"
LOST = "rows = (number for number in range(3))"


# ---- saving and restoring --------------------------------------------------------------------------------------------


def test_there_and_back(shell):
    """What one process saves, another has after %restore; both say what they did, and nothing else."""
    said = shell(LOAD, "x = [1, 2]; y = x", '%snapshot first -m "a note"')
    assert said[:2] == ["", ""]
    assert re.fullmatch(r"Snapshot first \([0-9a-f]{7}\) · 2 variables, .* new on disk · .* m?s", said[2])
    said = shell(LOAD, "%restore", "x is y, x")
    assert re.fullmatch(
        r"nbsnap: 2 variables \(.*\) were saved here today at \d\d:\d\d\. %restore brings them back\.", said[0]
    )
    first, second = said[1].splitlines()
    assert re.fullmatch(r"Restored first \([0-9a-f]{7}\) from \d\d:\d\d today · 2 variables, .* m?s", first)
    assert second == "  put back, too: random generator"
    assert said[2].endswith("(True, [1, 2])")


def test_a_magic_prints_wherever_it_stands(shell):
    """In the middle of a cell, in a loop and as the last line alike."""
    said = shell(LOAD, "x = 1\n%snapshot one\nfor _ in range(2):\n    %snapshot two\n'end'")
    assert said[1].count("Snapshot two") == 2
    assert "Snapshot one" in said[1]
    assert "end" in said[1]


def test_quiet_tells_only_what_is_amiss(shell):
    """-q prints nothing when all is well, and the report when something is not."""
    said = shell(LOAD, "x = 1", "%snapshot -q", "%restore -q", LOST, "%snapshot -q", "%restore -q")
    assert said[2:4] == ["", ""]
    assert "skipped   rows   generator" in said[5]
    assert "not saved   rows   generator, made in In [5]:  rows = (number" in said[6]


def test_the_report_as_an_object(shell):
    """-o returns it; at the end of a cell, what was printed already is not shown in full again."""
    said = shell(
        LOAD, f"x = 1; {LOST}", "r = %snapshot -o -q", "type(r).__name__, r.ok, r.skipped[0].name",
        "%snapshot -o", "%restore -o", "%snapshot", "import nbsnap; nbsnap.snapshot()",
    )  # fmt: skip
    assert "('SnapshotReport', False, 'rows')" in said[3]
    assert said[4].count("skipped   rows") == 1
    assert re.search(r"Out\[5\]: <SnapshotReport [0-9a-f]{7}: 2 variables, 1 not or not wholly>", said[4])
    assert "Out[6]: <RestoreReport" in said[5]
    assert "Out[" not in said[6]
    assert "skipped   rows" in said[7], "a report that nobody has printed is shown in full"


def test_verbose_and_dry_run(shell, own_folder):
    """--dry-run lists the variables and writes nothing; -v lists them beside the usual."""
    said = shell(
        LOAD, "small = 1; big = 'x' * 5000", "%snapshot --dry-run", "%snapshot -v", "%restore --dry-run", "%restore -v"
    )
    assert not (own_folder / ".nbsnap").exists() or "Dry run" in said[2]
    assert said[2].startswith("Dry run: snapshot would hold 2 variables")
    assert said[2].index("big ") < said[2].index("small ")
    assert "big " in said[3]
    assert "nothing was changed" in said[4]
    assert "big " in said[5]


def test_patterns(shell):
    """Names and globs, with spaces or commas between, or the option again; quotes are taken off."""
    said = shell(
        LOAD, "df_a = df_b = other = name = 1",
        "r = %snapshot one --only df_* other -o -q\n[v.name for v in r.variables]",
        "r = %snapshot one --only df_a,df_b --only 'name' -o -q\n[v.name for v in r.variables]",
        'r = %snapshot one --exclude "df_*" name -o -q\n[v.name for v in r.variables if v.name != "r"]',
        "r = %restore one --only other -o -q\n[v.name for v in r.restored]",
    )  # fmt: skip
    assert "['df_a', 'df_b', 'other']" in said[2]
    assert "['df_a', 'df_b', 'name']" in said[3]
    assert "['other']" in said[4]
    assert "['other']" in said[5]


def test_settings(shell, own_folder):
    """c.NbSnap and %config settle store, notebook, engine and what is never saved; NBSNAP_STORE wins over store."""
    cells = [
        LOAD, "x = secret = 1", "%config NbSnap.store = 'here'", "%config NbSnap.notebook = 'other.ipynb'",
        "%config NbSnap.exclude = ['secret', 'nothing_of_the_kind']", "%config NbSnap.engine = 'dill'",
        "r = %snapshot -o -q\nr.notebook, [v.name for v in r.variables]", "%config NbSnap.engine = 'marshal'",
    ]  # fmt: skip
    said = shell(*cells)
    assert "('other.ipynb', ['x'])" in said[6]
    assert "auto" in said[7]
    assert (own_folder / "here" / "store.json").exists()
    assert "store.json" in str(nbsnap.Store.open("here").backend.describe("store.json"))
    shell(*cells, env={"NBSNAP_STORE": "there"})
    assert (own_folder / "there" / "store.json").exists()
    snapshot = nbsnap.Store.open("here").load(nbsnap.Store.open("here").resolve("latest").id)
    assert {group.engine for group in snapshot.groups} == {"dill"}
    assert "NbSnap.exclude" in shell(LOAD, "%config NbSnap")[1]


# ---- what goes wrong -------------------------------------------------------------------------------------------------


WRONG = [
    ("%snapshot --onyl x", "unrecognized arguments: --onyl"),
    ("%snapshot --dry", "unrecognized arguments: --dry"),
    ("%snapshot --only", "--only: expected at least one argument"),
    ("%snapshot -m don't", "No closing quotation"),
    ("%snapshot one two", "unrecognized arguments: two"),
    ("%snapshot --only numbr", "did you mean number?"),
    ("%snapshot --only number one", "(the name of a snapshot goes before --only and --exclude)"),
    ("%snapshot latest", "latest"),
    ("%restore frist", "first"),
    ("%restore latest~9", "latest~"),
    ("%restore --only numbr", "did you mean number?"),
    ("%restore first --strict", "rows"),
    ("%snapshot --strict", "rows"),
]


def test_one_line_and_no_traceback(shell):
    """What the user got wrong costs one line that says what is meant; the session goes on."""
    told = shell(LOAD, f"number = 1; {LOST}", "%snapshot first -q", *(cell for cell, _ in WRONG), "number")
    for (cell, said), answer in zip(WRONG, told[3:], strict=False):
        assert answer.startswith("UsageError: "), (cell, answer)
        assert said in answer, (cell, answer)
        assert len(answer.splitlines()) == 1, (cell, answer)
    assert told[-1].endswith("1")


def test_nothing_to_restore_yet(shell):
    """The first %restore of all says how to make a snapshot."""
    assert shell(LOAD, "%restore")[1].startswith("UsageError: no snapshot of ipython")
    assert "%snapshot makes one" in shell(LOAD, "%restore")[1]


def test_a_broken_store_is_no_reason_to_fail_at_loading(shell, own_folder):
    """The hint keeps quiet about a store that it cannot read; the magics themselves say what is wrong."""
    shell(LOAD, "x = 1", "%snapshot")
    for file in (own_folder / ".nbsnap" / "snapshots").rglob("*.snap"):
        file.write_bytes(b"\0" * 100)
    assert shell(LOAD)[0] == ""
    assert "UsageError" in shell(LOAD, "%restore")[1]
    (own_folder / ".nbsnap" / "store.json").write_text("[]")
    assert shell(LOAD)[0] == ""
    (own_folder / ".nbsnap" / "store.json").write_text('{"format":99}')
    assert shell(LOAD)[0] == ""
    (own_folder / "file").write_text("")
    assert shell(LOAD, env={"NBSNAP_STORE": "file"})[0] == ""


def test_the_hint_is_for_an_empty_session(shell):
    """With a variable of the user's in the session, loading prints nothing."""
    shell(LOAD, "x = 1", "%snapshot")
    assert shell("_mine = 1", LOAD)[1] == ""
    assert shell("from this import d", LOAD)[1] == ""
    assert "was saved here" in shell("import this", LOAD)[1], "modules are no work to be lost"
    assert shell("'a value without a name'", LOAD)[1].startswith("nbsnap: 1 variable")


# ---- loading and unloading -------------------------------------------------------------------------------------------


def test_load_and_unload(shell):
    """Loading twice is loading once; unloading takes out magics, settings, completion, display and hooks."""
    looks = (
        "ip = get_ipython(); [ip.find_line_magic('snapshot') is not None, ip.find_line_magic('restore') is not None, "
        "sum(type(c).__name__ == 'NbSnap' for c in ip.configurables), "
        "'%snapshot' in ip.strdispatchers['complete_command'].strs, "
        "any('nbsnap' in str(k) for f in ip.display_formatter.formatters.values() for k in f.deferred_printers), "
        "any('nbsnap' in repr(h) for hooks in ip.events.callbacks.values() for h in hooks), "
        "sum(getattr(t, '__name__', '') == 'written_out' for t in ip.input_transformers_cleanup), "
        "ip.find_cell_magic('snapshot') is not None]"
    )
    there = "[True, True, 1, True, True, False, 1, True]"
    gone = "[False, False, 0, False, False, False, 0, False]"
    said = shell(
        LOAD, looks, "import nbsnap; nbsnap.load_ipython_extension(ip)", looks, "%unload_ext nbsnap", looks,
        "nbsnap.unload_ipython_extension(ip)", LOAD, looks, "%reload_ext nbsnap", looks, "%snapshot",
    )  # fmt: skip
    for at, expected in ((1, there), (3, there), (5, gone), (8, there), (10, there)):
        assert said[at].endswith(expected), (at, said[at])
    assert said[11].startswith("Snapshot")


def test_loading_imports_nothing_that_takes_time(shell):
    """Neither pickler nor compressor nor array library comes with %load_ext in a folder without a store."""
    heavy = {"dill", "cloudpickle", "zstandard", "blake3", "numpy", "pandas"}
    heavy |= {"nbsnap.saving", "nbsnap.restoring", "nbsnap.store"}
    said = shell(LOAD, f"import sys; sorted({heavy} & set(sys.modules))")
    assert said[1].endswith("[]")


def test_importing_nbsnap_imports_nothing():
    """`import nbsnap` alone loads none of its modules; each public name comes at its first use."""
    program = (
        "import sys, nbsnap\n"
        "early = {m for m in sys.modules if m.startswith('nbsnap') or m.split('.')[0] in "
        "('IPython', 'dill', 'numpy', 'cloudpickle', 'pickle', 'traitlets')}\n"
        "assert early == {'nbsnap'}, early\n"
        "assert set(nbsnap.__all__) <= set(dir(nbsnap))\n"
        "for name in nbsnap.__all__: assert getattr(nbsnap, name) is not None\n"
        "assert 'IPython' not in sys.modules\n"
        "try: nbsnap.nonsense\n"
        "except AttributeError as error: assert 'nonsense' in str(error)\n"
        "else: raise AssertionError\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, cwd=Path(nbsnap.__file__).parent.parent)


# ---- help and completion ---------------------------------------------------------------------------------------------


def test_help_names_every_argument(shell):
    """%snapshot? and %restore? are made from the declared arguments, with the name where it has to stand."""
    for magic in ("snapshot", "restore"):
        ask = f"m = get_ipython().find_line_magic('{magic}').__self__\nprint(type(m).{magic}.__doc__)"
        said = shell(LOAD, ask, env={"COLUMNS": "200"})[1]
        name = "[NAME]" if magic == "snapshot" else "[SNAPSHOT]"
        assert f"%{magic} {name} " in said
        for option in ("--only", "--exclude", "--strict", "--dry-run", "--quiet", "--verbose", "--output"):
            assert option in said
        assert max(len(line) for line in said.splitlines()) <= 100


def test_the_manual_names_every_option():
    """docs/usage.md knows every option of the magics, and none that is not there."""
    pytest.importorskip("IPython")
    from nbsnap.magics import NbSnap

    manual = Path(__file__).resolve().parents[2] / "docs" / "usage.md"
    if not manual.exists():
        pytest.skip("the documentation is not part of this installation")
    text = manual.read_text(encoding="utf-8")
    for magic in ("snapshot", "restore"):
        section = re.split(r"^## ", text, flags=re.M)
        section = next(part for part in section if part.startswith(f"%{magic}"))
        declared = set(getattr(NbSnap, magic).parser._option_string_actions)
        assert declared == set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", section.split("### ")[0])) & declared
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", section)) <= declared
    for setting in NbSnap.class_trait_names(config=True):
        assert f"`{setting}`" in text


def test_completion(shell):
    """Names of snapshots after %restore, variables after --only, options after a dash."""
    ask = "get_ipython().Completer.complete(line_buffer={!r})[1]"
    said = shell(
        LOAD,
        "alpha = beta = 1",
        "%snapshot first",
        "%snapshot second --only alpha",
        ask.format("%restore "),
        ask.format("%restore fi"),
        ask.format("%restore second --only "),
        ask.format("%snapshot --only b"),
        ask.format("%restore --ex"),
        ask.format("%restore --beside ran"),
        ask.format("%%snapshot --rol"),
        ask.format("%restore --un"),
        "open('some.nbsnap', 'w').close()",
        ask.format("%restore --from so"),
        ask.format("%restore --fr"),
    )
    assert "['second', 'first', 'latest']" in said[4]
    assert "['first']" in said[5]
    assert "['alpha']" in said[6]
    assert "['beta']" in said[7]
    assert "['--exact', '--exclude']" in said[8]
    assert "['random']" in said[9]
    assert "['--rollback']" in said[10]
    assert "['--undo']" in said[11]
    assert "['some.nbsnap']" in said[13]
    assert "['--from']" in said[14]


# ---- at a terminal ---------------------------------------------------------------------------------------------------


def test_in_a_terminal(terminal):
    """Load, save, look at the help, restore in a second terminal: each answer is text that fits the terminal."""
    first = terminal(columns=90)
    assert first.run(LOAD) == ""
    first.run(f"x = 1; {LOST}")
    said = first.run("%snapshot first")
    assert said.startswith("Snapshot first (")
    assert "skipped   rows   generator" in said
    assert all(len(line) <= 90 for line in said.splitlines())
    assert "%snapshot [NAME] [-m TEXT]" in first.run("print(get_ipython().find_line_magic('snapshot').__doc__)")
    second = terminal("--ext=nbsnap")
    assert "nbsnap: 1 variable" in second.first
    assert second.run("%restore").startswith("Restored first (")
    assert second.run("x").endswith("Out[2]: 1")


def test_ctrl_c_in_a_terminal(terminal, own_folder):
    """Ctrl-C stops a snapshot at once with a line; there is no new snapshot, and the session goes on."""
    child = terminal("--ext=nbsnap")
    child.run("import time")
    child.run("exec('class Slow:\\n def __reduce__(self):\\n  print(chr(64), flush=True); time.sleep(60)')")
    child.run("slow = Slow()")
    child.sendline("%snapshot")
    child.expect("@")
    child.sendintr()
    child.expect("nbsnap: interrupted; nothing was saved, store and variables are as they were")
    child.expect("KeyboardInterrupt")
    child.expect(r"In \[\d+\]: ")
    assert child.run("2 + 2").endswith("4")
    assert "no snapshot" in child.run("%restore")


def test_a_setting_that_makes_no_sense_is_one_line(tmp_path):
    """The extension is not loaded and says why; the shell starts as ever."""
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--NbSnap.engine=zip", "-c", "%load_ext nbsnap\nprint('on')"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == "on"
    assert [line for line in done.stderr.splitlines() if line.startswith("nbsnap: not loaded: The 'engine' trait")]
    assert "Traceback" not in done.stdout + done.stderr


def test_remarks_and_semicolons_are_no_arguments(shell):
    """What people write behind a line of code is not the name of a snapshot."""
    said = shell(LOAD, "x = 1", "%snapshot one;", "%snapshot two  # before it", "%restore one  # again")
    assert "Snapshot one (" in said[2]
    assert "Snapshot two (" in said[3]
    assert "Restored one (" in said[4]
