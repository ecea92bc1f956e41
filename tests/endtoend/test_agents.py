"""docs/agents.md is a program that runs as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "agents.md"


@pytest.mark.kernel
def test_the_ten_lines_do_what_they_say(own_folder: Path) -> None:
    """The second attempt starts from the first state, what could not be saved stays, and the better one comes back."""
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    program += (
        "print(json.dumps([lost, ask('rows'), ask('next(source)'), ask('len(nbsnap.Store(\".nbsnap\").heads())')]))\n"
        "kernel.stop_channels()\nmanager.shutdown_kernel(now=True)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(PAGE.parents[1]), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == (
        '[[["source", "the state of running code cannot be saved", "source = (row for row in rows)"]], [1, 2, 3], 3, 3]'
    )
