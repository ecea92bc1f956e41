"""Disks that go away: where a hosted notebook may write, and what of it is still there tomorrow.

A store beside the notebook is no help where the machine is taken away together with its disk. Known by the environment
variables that the services set; what they promise was read up (docs/fronts.md), and said once in a session.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

__all__ = ["note", "once"]


class _Service(NamedTuple):
    signs: tuple[str, ...]  # one of these environment variables is set there
    kept: str  # the folder that outlives the machine; "" if there is none
    gone: str  # what to say of any other place


_SERVICES = (
    _Service(
        ("COLAB_RELEASE_TAG", "COLAB_BACKEND_VERSION"),
        "/content/drive",
        "Colab takes this disk away with the runtime; to keep snapshots on Drive: from google.colab import drive;"
        " drive.mount('/content/drive'); %config NbSnap.store = '/content/drive/MyDrive/nbsnap'",
    ),
    _Service(
        ("KAGGLE_KERNEL_RUN_TYPE",),
        "/kaggle/working",
        "Kaggle takes this disk away with the session; only /kaggle/working can be kept:"
        " %config NbSnap.store = '/kaggle/working/.nbsnap'",
    ),
    _Service(
        ("BINDER_LAUNCH_HOST", "BINDER_REPO_URL"),
        "",
        "Binder takes this disk away with the session: download what you want to keep",
    ),
)
_KAGGLE = (
    "Kaggle keeps /kaggle/working only with Persistence of files (in the notebook's settings), and no more than 20 GB:"
    " %config NbSnap.max_size = '10 GB'"
)
_KAGGLE_BATCH = (
    "what lies in /kaggle/working becomes the output of this version, snapshots too: whoever may see it can have them"
)


def note(place: str, environment: Mapping[str, str]) -> str:
    """Return the line about the disk that a store is on; "" where it stays, or nobody knows better."""
    if "://" in place:
        return ""
    for service in _SERVICES:
        if any(sign in environment for sign in service.signs):
            if not service.kept or not PurePosixPath(place).is_relative_to(service.kept):
                return service.gone
            if kind := environment.get("KAGGLE_KERNEL_RUN_TYPE"):
                return _KAGGLE_BATCH if kind == "Batch" else _KAGGLE
    return ""


_said = False


def once(place: str) -> tuple[str, ...]:
    """Return that line as notes for the user, the first time that there is one."""
    global _said
    line = "" if _said else note(os.path.abspath(place) if "://" not in place else place, os.environ)
    _said = _said or bool(line)
    return (line,) if line else ()
