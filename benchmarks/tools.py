"""The ways to save and to load a session: nbsnap's, and what people do without it.

Each tool saves all variables that the user made, and is told to do it as well as it can: cloudpickle and dill with the
newest protocol, joblib without compression (so that it may map). Durable means the same for all: file and folder are
flushed when `save` returns. nbsnap does that by itself, the others are helped.

| tool | saves | loads |
|---|---|---|
| nbsnap | `nbsnap.snapshot(store=…)` | `nbsnap.restore(store=…)` |
| cloudpickle | one dict of all variables, `cloudpickle.dump(names, file)` | `pickle.load` |
| dill | `dill.dump_module`, its own way for sessions | `dill.load_module` |
| joblib | `joblib.dump` of one dict of all variables but modules, which it cannot save | `joblib.load` |
| joblib, mapped | the same | `joblib.load` with `mmap_mode="c"` |
"""

from __future__ import annotations

import contextlib
import inspect
import os
import pickle
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

NOTEBOOK = "bench"


class Lost(Exception):
    """A tool did not save or load everything."""


@dataclass(frozen=True)
class Tool:
    """Saves the session that is `__main__` into a folder, and loads it from there into `__main__`."""

    save: Callable[[Path, int], None]  # the folder, and the how manieth save it is
    load: Callable[[Path, str, str], None]  # the folder, the only variable (or ""), and the load's name
    again: bool = False  # a second save goes into the same files


def session() -> dict[str, Any]:
    """Return the namespace of the session."""
    return vars(sys.modules["__main__"])


def user_variables() -> dict[str, Any]:
    """Return what the user has made."""
    return {name: value for name, value in session().items() if not name.startswith("__")}


def flush(file: Path) -> None:
    """Put a file, and its name, on the disk."""
    for place in (file, file.parent):
        with contextlib.suppress(PermissionError):  # a folder cannot be opened on Windows
            number = os.open(place, os.O_RDONLY if place.is_dir() else os.O_RDWR)
            try:
                os.fsync(number)
            finally:
                os.close(number)


def saved(folder: Path) -> list[Path]:
    """Return the files of a tool that writes a new one for each save, oldest first."""
    return sorted(folder.glob("save-*"))


def _new(folder: Path, number: int) -> Path:
    return folder / f"save-{number:05}"


# --- nbsnap -----------------------------------------------------------------------------------------------------------


def features() -> set[str]:
    """Return the arguments that `nbsnap.snapshot` knows: what is there to be measured."""
    import nbsnap

    return set(inspect.signature(nbsnap.snapshot).parameters)


def _nbsnap_save(folder: Path, number: int, **more: Any) -> None:
    import nbsnap

    report = nbsnap.snapshot(store=folder, notebook=NOTEBOOK, **more)
    if report.skipped:
        raise Lost(f"not saved: {', '.join(f'{skip.name} ({skip.reason})' for skip in report.skipped)}")


def save_in_background(folder: Path) -> Callable[[], None]:
    """Start a save with nbsnap; return how to wait until the snapshot counts, which is seen in the store itself."""
    _nbsnap_save(folder, 0, background=True)

    def wait() -> None:
        end = time.monotonic() + 600
        while not list(folder.glob("snapshots/*/*.snap")):
            if time.monotonic() > end:
                raise Lost("the snapshot in the background never came")
            time.sleep(0.005)

    return wait


def _nbsnap_load(folder: Path, only: str, _: str) -> None:
    import nbsnap

    report = nbsnap.restore(store=folder, notebook=NOTEBOOK, only=[only] if only else ())
    if report.failed:
        raise Lost(f"not loaded: {', '.join(f'{skip.name} ({skip.reason})' for skip in report.failed)}")


def listing(folder: Path) -> int:
    """List the snapshots of a store as `nbsnap list` does, reading them anew; return how many there are."""
    import nbsnap

    with nbsnap.Store.open(folder) as store:
        return len(store.heads(NOTEBOOK))


# --- the others -------------------------------------------------------------------------------------------------------


def _cloudpickle_save(folder: Path, number: int) -> None:
    import cloudpickle

    with open(_new(folder, number), "wb") as file:
        cloudpickle.dump(user_variables(), file)
    flush(_new(folder, number))


def _cloudpickle_load(folder: Path, only: str, _: str) -> None:
    with open(saved(folder)[-1], "rb") as file:
        _take(pickle.load(file), only)


def _dill_save(folder: Path, number: int) -> None:
    import dill

    dill.settings["protocol"] = pickle.HIGHEST_PROTOCOL  # 4 by default; `dump_module` takes it from here alone
    dill.dump_module(_new(folder, number))
    flush(_new(folder, number))


def _dill_load(folder: Path, only: str, _: str) -> None:
    import dill

    dill.load_module(saved(folder)[-1])


def _joblib_save(folder: Path, number: int) -> None:
    import joblib

    names = {name: value for name, value in user_variables().items() if not isinstance(value, ModuleType)}
    joblib.dump(names, _new(folder, number), protocol=pickle.HIGHEST_PROTOCOL)
    flush(_new(folder, number))


def _joblib_load(folder: Path, only: str, name: str) -> None:
    import joblib

    _take(joblib.load(saved(folder)[-1], mmap_mode="c" if name == "mapped" else None), only)


def _take(values: dict[str, Any], only: str) -> None:
    session().update({only: values[only]} if only else values)


def _nothing(*_: Any) -> None:
    """IPython alone, which the cost of a cell is compared with."""


TOOLS = {
    "nbsnap": Tool(_nbsnap_save, _nbsnap_load, again=True),
    "cloudpickle": Tool(_cloudpickle_save, _cloudpickle_load),
    "dill": Tool(_dill_save, _dill_load),
    "joblib": Tool(_joblib_save, _joblib_load),
    "bare": Tool(_nothing, _nothing),
}
