"""Fronts under test: real shells in processes of their own, a real terminal, the real command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import nbsnap

PACKAGE_HOME = str(Path(nbsnap.__file__).resolve().parent.parent)

SHELL = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance(colors="NoColor")
for cell in json.loads(sys.argv[1]):
    print("\\n@@@", flush=True)
    sys.stderr.flush()
    shell.run_cell(cell, store_history=True)
    print(flush=True, end="")
"""


PROMPT = r"(?:^|\n)In \[\d+\]: "  # at the start of a line: reports name cells in the same way


@dataclass
class Done:
    """A process that came to its end."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


def run(*words: str, folder: Path, env: dict[str, str] | None = None, ok: bool = True) -> Done:
    """Run a program to its end."""
    done = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": PACKAGE_HOME, **(env or {})},
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=120,
        check=False,
    )
    assert not ok or done.returncode == 0, done.stdout + done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def cli(own_folder: Path) -> Callable[..., Done]:
    """Run `nbsnap WORDS…` in the test's folder."""

    def call(*words: str, ok: bool = True, env: dict[str, str] | None = None) -> Done:
        return run(sys.executable, "-m", "nbsnap", *words, folder=own_folder, env=env, ok=ok)

    return call


@pytest.fixture
def shell(own_folder: Path) -> Callable[..., list[str]]:
    """Run cells in a real InteractiveShell in a fresh process; return what each printed, errors included."""

    def call(*cells: str, env: dict[str, str] | None = None) -> list[str]:
        merged = SHELL.replace("import json, sys", "import json, sys\nsys.stderr = sys.stdout")
        done = run(sys.executable, "-c", merged, json.dumps(cells), folder=own_folder, env=env)
        return [part.strip("\n") for part in done.out.split("\n@@@\n")[1:]]

    return call


@pytest.fixture
def terminal(own_folder: Path) -> Iterator[Callable[..., Any]]:
    """Start IPython in a pseudo-terminal; the child knows how to run a line and return what was shown."""
    pexpect = pytest.importorskip("pexpect")
    started = []

    def start(*words: str, columns: int = 100, env: dict[str, str] | None = None) -> Any:
        child = pexpect.spawn(
            sys.executable,
            ["-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor", *words],
            cwd=str(own_folder),
            env={**os.environ, "PYTHONPATH": PACKAGE_HOME, "COLUMNS": str(columns), **(env or {})},
            encoding="utf-8",
            dimensions=(50, columns),
            timeout=60,
            echo=False,
        )
        started.append(child)
        child.expect(PROMPT)
        child.first = child.before

        def line(text: str) -> str:
            child.sendline(text)
            child.expect(PROMPT)
            return child.before.replace("\r", "").strip()

        child.run = line
        return child

    yield start
    for child in started:
        child.close(force=True)
