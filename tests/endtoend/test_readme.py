"""The README is true: its transcript is what a session shows, and its commands are there."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

PROMPT = re.compile(r"In \[\d+\]: (.*)")
MORE = re.compile(r"   \.\.\.: ?(.*)")


def transcript() -> list[list[tuple[str, str]]]:
    """The README's session: for each kernel its cells, as source and what is shown for it."""
    block = README.split("<!-- transcript -->")[1].split("```")[1].partition("\n")[2]
    kernels: list[list[tuple[str, str]]] = []
    for line in block.splitlines():
        if line.startswith("#"):
            kernels.append([])
        elif found := PROMPT.match(line):
            kernels[-1].append((found[1], ""))
        elif found := MORE.match(line):
            source, shown = kernels[-1][-1]
            kernels[-1][-1] = (f"{source}\n{found[1]}", shown)
        elif line.strip():
            source, shown = kernels[-1][-1]
            kernels[-1][-1] = (source, shown + re.sub(r"^Out\[\d+\]: ", "", line) + "\n")
    return kernels


def shape(text: str) -> list[str]:
    """A text without what differs from run to run: ids, figures and their units, times, the width of columns.

    What was written over (a progress bar, where it took a second) is not there any more.
    """
    text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    text = re.sub(r"\([0-9a-f]{7}\)", "(ID)", text)
    text = re.sub(r"today at \d+:\d+|\d+:\d+ today", "TIME", text)
    text = re.sub(r"[\d,.]+ (s|ms|B|kB|MB|GB)\b", "SIZE", text)
    return [re.sub(r"\s+", " ", line).strip() for line in text.splitlines() if line.strip()]


@pytest.mark.kernel
def test_the_transcript_is_what_a_session_shows(kernel_pair):
    """Typed into real kernels, one killed by its last cell, the README's session shows what the README says."""
    sessions = transcript()
    assert len(sessions) == 2
    for number, cells in enumerate(sessions):
        kernel = kernel_pair.start(load=False)
        assert cells
        for source, shown in cells:
            if "os.kill" in source:
                kernel.send(source)
                assert kernel.process.wait(timeout=60) == -signal.SIGKILL
                break
            assert shape(kernel.run(source).text) == shape(shown), source
        else:
            assert number == 1, "the first kernel must die"


def test_the_commands_and_links_of_the_readme_exist():
    """Every file that the README links to is there, and `dev.py` knows the commands it is said to know."""
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
    commands = set(re.findall(r"python3 dev\.py (\w+)", README))
    assert {"example", "test"} <= commands
    done = subprocess.run([sys.executable, ROOT / "dev.py", "--help"], capture_output=True, text=True, check=True)
    assert all(command in done.stdout for command in commands)


def test_the_settings_of_the_readme_exist():
    """Every `c.NbSnap.…` that the README names is a setting, and every command of `nbsnap` that it names is one."""
    from nbsnap import cli
    from nbsnap.magics import NbSnap

    named = set(re.findall(r"c\.NbSnap\.(\w+)", README))
    assert named
    assert named <= set(NbSnap.class_trait_names(config=True))
    words = set(re.findall(r"`nbsnap (\w+)", README))
    assert words
    help_text = cli.parser().format_help()
    assert all(re.search(rf"\b{word}\b", help_text) for word in words), help_text
