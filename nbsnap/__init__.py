"""Snapshots of a session's variables: `%snapshot` before a risky cell, `%restore` after the crash.

In IPython and Jupyter: `%load_ext nbsnap`, then `%snapshot` and `%restore`. Anywhere: `nbsnap.snapshot()` and
`nbsnap.restore()`, which act on `__main__`. `nbsnap --help` is the command line.

Everything here is imported on first use (PEP 562), so that `import nbsnap` and the extension's start cost next to
nothing, and so that the command line never loads a pickler.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbsnap.answers import Explanation
    from nbsnap.errors import (
        DamageError,
        MemoryShort,
        NbSnapError,
        SnapshotNotFound,
        StoreError,
        StoreNotFound,
        StoreNotWritable,
        StoreVersionError,
        StrictError,
        TrustError,
        VariableNotFound,
    )
    from nbsnap.explaining import explain
    from nbsnap.model import (
        RerunReport,
        RestoreReport,
        Skip,
        SnapshotReport,
        Variable,
        Verified,
        VerifyReport,
    )
    from nbsnap.placeholder import Placeholder, PlaceholderError
    from nbsnap.records import Change, DiffReport, Kept, ListReport, PruneReport
    from nbsnap.rerunning import rerun
    from nbsnap.restoring import restore, undo
    from nbsnap.saving import snapshot, verify, wait
    from nbsnap.since import diff
    from nbsnap.store import Store

__version__ = "0.1.0"

__all__ = [
    "Change",
    "DamageError",
    "DiffReport",
    "Explanation",
    "Kept",
    "ListReport",
    "MemoryShort",
    "NbSnapError",
    "Placeholder",
    "PlaceholderError",
    "PruneReport",
    "RerunReport",
    "RestoreReport",
    "Sieve",
    "Skip",
    "SnapshotNotFound",
    "SnapshotReport",
    "Store",
    "StoreError",
    "StoreNotFound",
    "StoreNotWritable",
    "StoreVersionError",
    "StrictError",
    "TrustError",
    "Variable",
    "VariableNotFound",
    "Verified",
    "VerifyReport",
    "__version__",
    "diff",
    "explain",
    "load_ipython_extension",
    "rerun",
    "restore",
    "snapshot",
    "undo",
    "unload_ipython_extension",
    "verify",
    "wait",
]

try:
    began_in_directory = os.getcwd()  # as long as nobody has changed it: all else here is imported on first use
except OSError:  # removed under us
    began_in_directory = ""

#: The state of `random` where we have loaded it and the session had not: nobody's, so it is not worth keeping.
fresh_random: object = None

_HOME = {
    "explain": "explaining",
    "Explanation": "answers",
    "snapshot": "saving",
    "rerun": "rerunning",
    "restore": "restoring",
    "undo": "restoring",
    "verify": "saving",
    "wait": "saving",
    "diff": "since",
    "Change": "records",
    "DiffReport": "records",
    "Kept": "records",
    "ListReport": "records",
    "PruneReport": "records",
    "Sieve": "sieve",
    "Store": "store",
    "SnapshotReport": "model",
    "RerunReport": "model",
    "RestoreReport": "model",
    "Skip": "model",
    "Variable": "model",
    "Verified": "model",
    "VerifyReport": "model",
    "Placeholder": "placeholder",
    "PlaceholderError": "placeholder",
    "DamageError": "errors",
    "MemoryShort": "errors",
    "NbSnapError": "errors",
    "SnapshotNotFound": "errors",
    "StoreError": "errors",
    "StoreNotFound": "errors",
    "StoreNotWritable": "errors",
    "StoreVersionError": "errors",
    "StrictError": "errors",
    "TrustError": "errors",
    "VariableNotFound": "errors",
}


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    had_random = "random" in sys.modules
    try:
        value = getattr(import_module(f"{__name__}.{home}"), name)
    except OSError as error:  # no open files are left, say
        errors = import_module(f"{__name__}.errors")
        raise errors.NbSnapError(f"nbsnap.{name} cannot be loaded: {error.strerror or error}") from error
    globals()[name] = value
    if not had_random and "random" in sys.modules:
        globals()["fresh_random"] = sys.modules["random"].getstate()
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: Any) -> None:
    """Register the magics: what `%load_ext nbsnap` calls."""
    from nbsnap.magics import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take the magics out again: what `%unload_ext nbsnap` calls."""
    from nbsnap.magics import unload

    unload(shell)
