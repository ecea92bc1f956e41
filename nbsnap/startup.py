"""The hint of a fresh session: that this notebook has a snapshot, and what brings it back.

Paid for by every start of a shell, so it imports neither the store nor the records: it lists one folder and reads the
first line of one file. What it finds is shown and nothing more; whoever restores, reads it again and checks it.
"""

from __future__ import annotations

import json
import os
import stat
from datetime import datetime
from pathlib import Path

from nbsnap.tree import SNAPSHOTS, notebook_key, parse_snapshot
from nbsnap.wording import clean, count, size, when

_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_FIRST_LINE = 1 << 16  # longer ones are passed over


def hint(place: str, notebook: str) -> str:
    """Return the line about the latest snapshot of a notebook in the store at `place`, a folder; "" if there is none.

    Raises OSError, ValueError, KeyError or TypeError where the store is damaged.
    """
    folder = f"{SNAPSHOTS}/{notebook_key(notebook)}"
    try:
        files = os.listdir(Path(place, folder))
    except FileNotFoundError:
        return ""
    entries = [entry for name in files if (entry := parse_snapshot(f"{folder}/{name}"))]
    if not entries:
        return ""
    fd = os.open(Path(place, max(entries).file), _READ)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ""
        head = json.loads(file.readline(_FIRST_LINE))
    return hint_line(int(head["variables"]), int(head["size"]), str(head["time"]))


def hint_line(variables: int, bytes: int, time: str, now: datetime | None = None) -> str:
    """Return the words of the hint."""
    were, it = ("was", "it") if variables == 1 else ("were", "them")
    moment = clean(when(time, now, sentence=True))
    what = f"{count(variables, 'variable')} ({size(bytes)})"
    return f"nbsnap: {what} {were} saved here {moment}. %restore brings {it} back."
