"""Which names are the user's, patterns, and changes that can be taken back."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import pytest

from nbsnap.errors import VariableNotFound
from nbsnap.namespace import Journal, select, user_names
from nbsnap.provenance import binders
from nbsnap.quiet import uninterrupted


def test_python_s_own_names_are_not_the_user_s() -> None:
    """Module dunders are left out, private names and own dunders are not; without a shell nothing is hidden."""
    names = {"__name__": 1, "__builtins__": 1, "x": 1, "_private": 1, "__version__": "1", "In": 1, "_": 1}
    assert user_names(names) == (["x", "_private", "__version__", "In", "_"], [])


def test_the_shell_s_names_are_its_own_while_it_binds_them() -> None:
    """By identity; what the user bound anew is the user's, but for the names that a shell cannot do without."""
    own: Any = object()
    hidden = {"In": own, "exit": own, "tool": own, "_i1": "x"}
    names = {"In": own, "exit": "mine", "tool": "mine", "_i1": "x", "_i2": "mine", "_": 3}
    assert user_names(names, hidden) == (["tool", "_i2"], ["exit"])


def test_patterns_choose() -> None:
    """Names and globs, in the order of the namespace; exclusion wins; case counts."""
    names = ["df_a", "df_b", "DF_c", "x", "[odd]"]
    assert select(names, ["x", "df_*"]) == ["df_a", "df_b", "x"]
    assert select(names, [], ["df_?"]) == ["DF_c", "x", "[odd]"]
    assert select(names, ["df_*"], ["df_b"]) == ["df_a"]
    assert select(names, ["[odd]"]) == ["[odd]"]


def test_an_unknown_name_is_an_error_with_the_closest() -> None:
    """Never a silent nothing, for `only` as for `exclude`."""
    with pytest.raises(VariableNotFound, match=r"no variable 'mdoel'; did you mean model"):
        select(["model", "x"], ["mdoel"])
    with pytest.raises(VariableNotFound, match=r"no variable 'q\*'; there are 2 variables"):
        select(["model", "x"], [], ["q*"])


def test_a_journal_takes_everything_back() -> None:
    """Bound, replaced and removed names are as they were, whatever happened in between."""
    names = {"a": 1, "b": 2}
    journal = Journal(names)
    journal.bind({"a": 10, "c": 30})
    journal.remove(["b", "nothing"])
    journal.bind({"b": 20, "a": 100})
    assert names == {"a": 100, "c": 30, "b": 20}
    journal.undo()
    assert names == {"a": 1, "b": 2}


def test_ctrl_c_waits_and_then_arrives() -> None:
    """The block runs to its end; the interrupt comes right after it."""
    reached = False
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.01)
        reached = True
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_are_left_alone() -> None:
    """Signal handlers can only be set in the main thread; elsewhere the block just runs."""
    done: list[int] = []

    def run() -> None:
        with uninterrupted():
            done.append(os.getpid())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert done == [os.getpid()]


def test_the_binding_cell_is_read_from_the_text() -> None:
    """Assignments of every form, imports, definitions, loops, `with`, walrus, match, cell magics; the last one wins."""
    history = [
        (1, "import numpy as np, os.path\nfrom m import a as b, c"),
        (2, "x, (y, *z) = 1, (2, 3)\nx += 1"),
        (3, "for i in range(3):\n    inside = i\nwith open('f') as handle: pass"),
        (4, "def f():\n    local = 1\n    global made\n    made = 2\nclass K:\n    attr = 1"),
        (5, "get_ipython().run_cell_magic('time', '', 'timed = 1\\n')\n"),
        (6, "print(w := 5, [comp for comp in ()], (lambda p: p))"),
        (7, "this is not python"),
        (8, "match x:\n    case {'k': v, **rest}: pass\n    case [first, *others]: pass"),
        (9, "x: int = 5"),
        (10, "try:\n    pass\nexcept E as caught:\n    bound = 1"),
    ]
    found = binders(history)
    assert {name: count for name, (count, _) in found.items()} == {
        "np": 1, "os": 1, "b": 1, "c": 1, "y": 2, "z": 2, "i": 3, "inside": 3, "handle": 3, "f": 4, "made": 4, "K": 4,
        "timed": 5, "w": 6, "v": 8, "rest": 8, "first": 8, "others": 8, "x": 9, "caught": 10, "bound": 10,
    }  # fmt: skip
    assert found["y"][1] == "x, (y, *z) = 1, (2, 3)"
