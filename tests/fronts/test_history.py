"""%snapshots in real shells: list, show, diff with the live session, delete, prune, check; settings and completion."""

from __future__ import annotations

import re

import pytest

import nbsnap

LOAD = "%load_ext nbsnap"
SESSION = "x = [1, 2]; y = x; text = 'abc'\ndef f(a):\n    return a + 1\nrows = (number for number in range(3))"


def test_the_list(shell):
    """This notebook's snapshots, oldest first; one line that says what to do where there is none."""
    said = shell(
        LOAD, "%snapshots", "x = 1", "%snapshot one -m 'a note' -q", "%snapshot -q", "%snapshots",
        "%snapshots list -n 1", "%config NbSnap.notebook = 'other.ipynb'", "%snapshots", "%snapshots show",
    )  # fmt: skip
    assert re.fullmatch(r"No snapshot of ipython in \S+ yet · %snapshot makes one", said[1])
    lines = said[5].splitlines()
    assert re.fullmatch(r"2 snapshots of ipython in \S+ · .* on disk", lines[0])
    assert lines[1].split() == ["id", "when", "name", "vars", "size", "new", "message"]
    assert "one" in lines[2]
    assert lines[2].endswith("a note")
    assert len(lines) == 4
    assert len(said[6].splitlines()) == 4
    assert said[6].endswith("and 1 older: %snapshots list -v")
    assert said[8].startswith("No snapshot of other.ipynb")
    assert said[9].startswith("UsageError: no snapshot of other.ipynb")
    assert "UsageError: no snapshot of ipython" in shell(LOAD, "%config NbSnap.store = 'none'", "%snapshots check")[2]


def test_a_long_history(shell):
    """The newest forty are listed, and the rest is a number with the command that shows it."""
    said = shell(
        LOAD, "x = 1", "for n in range(45):\n    %snapshot -q", "%snapshots", "%snapshots -v", "%snapshots list -n 3"
    )
    lines = said[3].splitlines()
    assert lines[0].startswith("45 snapshots")
    assert len(lines) == 43
    assert lines[-1] == "  and 5 older: %snapshots list -v"
    assert len(said[4].splitlines()) == 47
    assert len(said[5].splitlines()) == 6


def test_what_has_changed_in_the_session(shell, own_folder):
    """Against the latest by default, with the text of functions; it writes nothing, and loads nothing."""
    said = shell(
        LOAD, SESSION, "%snapshot one -q", "%snapshots diff",
        "x.append(3); text = 'abd'; new = 1\ndef f(a, b=1):\n    return a + b", "%snapshots diff",
        "%snapshots diff one --only f text", "%snapshot two -q", "%snapshots diff one two", "%snapshots diff two",
    )  # fmt: skip
    assert re.fullmatch(
        r"Since one \(\w{7}\) from .* today · nothing has changed · 4 as before · .*", said[3].splitlines()[0]
    )
    assert "not compared, as it cannot be saved: rows (generator)" in said[3]
    lines = said[5].splitlines()
    assert "1 added · 4 changed" in lines[0]
    for line in (
        "  added     new    int        1, 5 bytes; made in In [5]",
        "  changed   x      list       len 2 → 3",
        "            y      list       len 2 → 3",
        "            text   str        other content, len 3; made in In [5]",
        "            f      function   (a) → (a, b), source, 2 lines added, 2 removed; made in In [5]",
        "    -def f(a):",
        "    +def f(a, b=1):",
        "    -    return a + 1",
        "    +    return a + b",
    ):
        assert line in lines
    assert "2 changed · 0 as before" in said[6]
    assert "From one" in said[8]
    assert "4 changed" in said[8].splitlines()[0]
    assert "nothing has changed" in said[9]


def test_classes_are_compared_by_their_text(shell):
    """With and without methods, after a restore in another process too; instances change with their class."""
    classes = (
        "import dataclasses\nclass Model:\n    lr = 1\n    def fit(self): return {n}\n"
        "@dataclasses.dataclass\nclass Point:\n    x: int = {n}"
    )
    said = shell(LOAD, classes.format(n=1), "m, p = Model(), Point()", "%snapshot one -q", "%snapshots diff")
    assert "nothing has changed" in said[4]
    said = shell(LOAD, "%restore -q", "%snapshots diff", classes.format(n=2), "%snapshots diff")
    assert "nothing has changed" in said[2]
    lines = said[4].splitlines()
    for line in ("    -    def fit(self): return 1", "    +    def fit(self): return 2", "    -    x: int = 1",
                 "    +    x: int = 2", "     @dataclasses.dataclass"):  # fmt: skip
        assert line in lines
    assert "m       Model  " in said[4]
    assert "its class, Model, was changed or defined again" in said[4]
    same = shell(
        LOAD, "%restore -q", "1\n" + classes.format(n=1), "del m, p; m, p = Model(), Point()", "%snapshots diff"
    )
    assert "nothing has changed" in same[4], "the same text further down in another cell is the same"


def test_show_delete_prune_check(shell, own_folder):
    """Each says what it did; dry runs do nothing; a name that is not there lists close ones."""
    said = shell(
        LOAD, "x = 1", "%snapshot before-train -q", "x = 2", "%snapshot -q", "%snapshot -q",
        "%snapshots show before-train", "%snapshots delete latest~1 --dry-run", "%snapshots delete latest~1",
        "%snapshots prune --last 1 -v", "%snapshots prune --last 1 --named", "%snapshots", "%snapshots check",
        "%snapshots delete befor", "%snapshots shwo", "%snapshots prune --last none",
    )  # fmt: skip
    assert said[6].startswith("Snapshot before-train (")
    assert "x         int" in said[6]
    assert said[7].startswith("Dry run: 1 snapshot would be deleted from ipython in ")
    assert said[8].startswith("1 snapshot deleted from ipython in ")
    assert said[9].startswith("0 of 2 snapshots removed")
    assert "named" in said[9]
    assert said[10].startswith("1 of 2 snapshots removed")
    assert said[11].startswith("1 snapshot of ipython")
    assert "all is well" in said[12]
    assert said[13].startswith("UsageError: no snapshot 'befor'")
    assert said[14] == "UsageError: no %snapshots shwo; there are list, show, diff, delete, prune, trust, check"
    assert said[15].startswith("UsageError: argument --last: ")
    assert len(nbsnap.Store.open(own_folder / ".nbsnap").heads()) == 1


def test_the_reports_as_objects(shell):
    """-o returns each, and it shows itself; -q prints nothing."""
    said = shell(
        LOAD, "x = 1", "%snapshot one -q", "x = 2", "l = %snapshots list -o -q",
        "type(l).__name__, l.snapshots[0].name", "d = %snapshots diff -o -q",
        "[(c.name, c.what, c.facts) for c in d.changes if c.name == 'x']",
        "r = %snapshots prune -o -q\nr.removed, r.ok", "s = %snapshots show -o -q\ns.head.name",
        "%snapshots diff -o", "d", "c = %snapshots check -q -o\nc.ok",
    )  # fmt: skip
    assert said[4] == ""
    assert "('ListReport', 'one')" in said[5]
    assert "[('x', ('value',), (('value', '1', '2'),))]" in said[7]
    assert "((), True)" in said[8]
    assert "'one'" in said[9]
    assert said[10].count("Since one") == 1
    assert "<DiffReport>" in said[10]
    assert "Since one" in said[11], "a report that nobody has printed is shown in full"
    assert "True" in said[12]


def test_settings(shell):
    """`keep` and `max_size` are what prune goes by when it is given no rule; nonsense is refused when it is set."""
    said = shell(
        LOAD, "x = 1", "for n in range(4):\n    %snapshot -q", "%snapshots prune",
        "%config NbSnap.keep = {'last': 2}", "%snapshots prune --dry-run --last 3", "%snapshots prune",
        "%config NbSnap.max_size = '1 kB'", "%snapshots prune", "%config NbSnap.keep = {'weekly': 2}",
        "%config NbSnap.max_size = 'lots'",
    )  # fmt: skip
    assert "no rule was given" in said[3]
    assert said[5].startswith("Dry run: 1 of 4 snapshots")
    assert said[6].startswith("2 of 4 snapshots removed")
    assert said[8].startswith("1 of 2 snapshots removed")
    assert "weekly" in said[9]
    assert "500 MB" in said[10]


def test_what_is_excluded_is_not_compared(shell):
    """The setting `exclude` holds for what an older snapshot still has, too."""
    said = shell(
        LOAD, "x = secret = 1", "%snapshot -q", "%config NbSnap.exclude = ['secret']", "secret = 2", "%snapshots diff"
    )
    assert "nothing has changed · 1 as before" in said[5]


def test_completion(shell):
    """Commands first, then options, or the snapshots of this notebook."""
    ask = "get_ipython().Completer.complete(line_buffer={!r})[1]"
    said = shell(
        LOAD, "x = 1", "%snapshot one -q", ask.format("%snapshots d"), ask.format("%snapshots diff o"),
        ask.format("%snapshots prune --ma"), ask.format("%snapshots diff --only "),
    )  # fmt: skip
    assert "['diff', 'delete']" in said[3]
    assert "'one'" in said[4]
    assert "'--max-size'" in said[5]
    assert "'x'" in said[6]


def test_in_a_terminal(terminal):
    """At a prompt of eighty columns nothing is wider, and the help names every command."""
    ipython = terminal(columns=80)
    ipython.run(LOAD)
    ipython.run("import collections; data = {n: str(n) for n in range(100)}; model = collections.Counter('abc')")
    ipython.run("%snapshot before-train -m 'a message that is longer than what is left of the line at the right'")
    ipython.run("data[7] = 8; model.update('c'); extra = [1]")
    for line in ("%snapshots", "%snapshots diff", "%snapshots show", "%snapshots prune --last 1 -v"):
        said = ipython.run(line)
        assert "before-train" in said
        assert max(map(len, said.splitlines())) <= 80
    said = ipython.run("%snapshots?")
    for command in ("show", "diff", "delete", "prune", "check", "--max-size", "--named"):
        assert command in said


@pytest.mark.parametrize("command", ["delete", "prune"])
def test_interrupted(shell, command):
    """Ctrl-C says what is left behind, and the store is sound."""
    said = shell(
        LOAD, "x = 1", "%snapshot one -q", "%snapshot two -q",
        "import nbsnap.pruning as p, os, signal\n"
        "def stop(*a, **k): os.kill(os.getpid(), signal.SIGINT)\np._remove_packs = stop",
        f"%snapshots {command} {'one' if command == 'delete' else '--last 1 --named'}", "%snapshots check",
    )  # fmt: skip
    assert "nbsnap: interrupted; what is removed stays removed, and the store is sound" in said[5]
    assert "all is well" in said[6]
