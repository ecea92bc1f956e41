"""The main job in terminal IPython, typed at a pseudo-terminal, with SIGKILL in between."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pexpect = pytest.importorskip("pexpect")

PROMPT = r"(?:^|\n)In \[\d+\]: "  # at the start of a line: reports name cells in the same way
PLAIN = ("--simple-prompt", "--colors=NoColor")


class Terminal:
    """An IPython at a pseudo-terminal."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", "IPython", "--no-banner", "--no-confirm-exit", *flags],
            cwd=str(folder),
            encoding="utf-8",
            codec_errors="replace",
            timeout=60,
            dimensions=(50, 160),
            env=None,
        )
        self.child.delaybeforesend = None

    def prompt(self) -> str:
        """Wait for the next `In [n]:` and return what came before it. For the simple prompt, which is drawn once."""
        self.child.expect(PROMPT)
        return self.child.before.replace("\r", "")

    def type(self, line: str) -> str:
        """Type a line and return what was shown until the next prompt."""
        self.child.sendline(line)
        return self.prompt().removeprefix(line)

    def kill(self) -> None:
        """SIGKILL."""
        self.child.kill(signal.SIGKILL)
        self.child.wait()
        self.child.close()


@pytest.fixture
def terminals(own_folder: Path) -> Iterator[list[Terminal]]:
    """The terminals that a test opened; all are ended afterwards."""
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.child.close(force=True)


def test_the_main_job(terminals, own_folder):
    """Snapshot, SIGKILL, hint, restore: in a terminal as in a notebook."""
    first = Terminal(own_folder, *PLAIN)
    terminals.append(first)
    first.prompt()
    first.type("import math; FACTOR = 3; shared = [1]; owner = {'list': shared}; scale = lambda x: x * FACTOR")
    first.type("class Model: kind = 'linear'")
    first.type("model = Model(); rows = (i for i in range(3))")
    assert first.type("%load_ext nbsnap").strip() == ""
    said = first.type("%snapshot before-train")
    assert "Snapshot before-train" in said
    assert re.search(r"rows +generator .*In \[3\]", said)
    first.kill()

    second = Terminal(own_folder, *PLAIN)
    terminals.append(second)
    second.prompt()
    assert "nbsnap: 7 variables" in second.type("%load_ext nbsnap")
    said = second.type("%restore")
    assert "Restored before-train" in said
    assert re.search(r"rows +generator", said)
    assert "(True, True, 6, 'linear')" in second.type(
        "owner['list'] is shared, isinstance(model, Model), scale(2), model.kind"
    )
    second.type("FACTOR = 7")
    assert "14" in second.type("scale(2)")
    assert "UsageError" in second.type("%restore no-such-snapshot")


def test_with_the_full_prompt(terminals, own_folder):
    """The same at IPython's usual prompt, with its colours and completion; it is redrawn, so only results are read."""
    first = Terminal(own_folder)
    terminals.append(first)
    first.child.expect(r"In ")
    first.child.sendline("x = [1, 2, 3]; print('x', 'is', 'there')")
    first.child.expect("x is there")
    first.child.sendline("%load_ext nbsnap")
    first.child.sendline("%snapshot mine")
    first.child.expect("Snapshot mine .*1 variable")
    first.kill()
    second = Terminal(own_folder)
    terminals.append(second)
    second.child.expect(r"In ")
    second.child.sendline("%load_ext nbsnap")
    second.child.expect("nbsnap: 1 variable .*%restore")
    second.child.sendline("%restore")
    second.child.expect("Restored mine .*1 variable")
    second.child.sendline("print('sum', sum(x))")
    second.child.expect("sum 6")


def test_ctrl_c_at_the_terminal(terminals, own_folder):
    """Ctrl-C during a slow snapshot gives the prompt back, says KeyboardInterrupt, and leaves no snapshot."""
    terminal = Terminal(own_folder, *PLAIN)
    terminals.append(terminal)
    terminal.prompt()
    terminal.type("import time; slow = type('Slow', (), {'__reduce__': lambda self: time.sleep(60)})()")
    terminal.type("%load_ext nbsnap")
    terminal.child.sendline("print('now'); get_ipython().run_line_magic('snapshot', 'slow')")
    terminal.child.expect("\r\nnow")
    terminal.child.sendintr()
    assert "KeyboardInterrupt" in terminal.prompt()
    assert "no snapshot" in terminal.type("%restore")
    assert "Slow" in terminal.type("print(type(slow).__name__)")
