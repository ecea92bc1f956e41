"""IPython's extensions and `%matplotlib` mode: told where they are missing, and loaded again only if that is asked for.

An extension is a program that may do anything, so by default the user decides.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from nbsnap import host

from .figures import backend, backend_of
from .turn import Scene, Turn, said

#: What `%matplotlib` calls a backend, where it is another name.
_MODES = {
    "module://ipympl.backend_nbagg": "widget",
    "ipympl": "widget",
    "nbagg": "notebook",
    "qtagg": "qt",
    "qt5agg": "qt5",
    "tkagg": "tk",
    "gtk3agg": "gtk3",
    "gtk4agg": "gtk4",
    "wxagg": "wx",
    "macosx": "osx",
}


#: How a cell chooses a backend; without it, matplotlib has chosen one that works here.
_CHOOSING = re.compile(r"run_line_magic\('(matplotlib|pylab)'|\bswitch_backend\(|\b(matplotlib|mpl)\.use\(")


def take(scene: Scene) -> dict[str, Any]:
    """Return the extensions that the user has loaded, and the mode of matplotlib if the user has chosen one."""
    if not host.has_extensions():
        return {}
    extensions, mode = host.extensions(), _mode() if _chose(scene.cells) else ""
    return {"": (extensions, mode)} if extensions or mode else {}


def put(values: Mapping[str, Any], turn: Turn) -> None:
    """Tell what is missing, or load it."""
    if not host.has_extensions() or not turn.in_session:
        return
    saved, mode = values[""]
    missing = [name for name in saved if name not in host.extensions()]
    if mode == _mode():
        mode = ""
    if not turn.reload_extensions:
        lines = [f"%load_ext {name}" for name in missing] + ([f"%matplotlib {mode}"] if mode else [])
        if lines:
            turn.notes.append(f"the session had {', '.join(lines)}")
        return
    for name in missing:
        turn.undoing.append(lambda name=name: host.unload_extension(name))  # type: ignore[misc]
        try:
            host.load_extension(name)
        except (Exception, SystemExit) as error:
            turn.undoing.pop()
            turn.notes.append(f"%load_ext {name} failed: {said(error)}")
        else:
            turn.later.append(lambda later, name=name: _unload(name, later))  # type: ignore[misc]
            turn.done.append(f"extensions:{name}")
    if mode:
        try:
            host.magic("matplotlib", mode)
        except (Exception, SystemExit) as error:
            turn.notes.append(f"%matplotlib {mode} failed: {said(error)}")
        else:
            turn.done.append(f"extensions:%matplotlib {mode}")


def _unload(name: str, turn: Turn) -> None:
    if name in host.extensions():
        host.unload_extension(name)
        turn.later.append(lambda later: _load(name, later))
        turn.done.append(f"extensions:{name}")


def _load(name: str, turn: Turn) -> None:
    host.load_extension(name)
    turn.later.append(lambda later: _unload(name, later))
    turn.done.append(f"extensions:{name}")


def _chose(cells: Iterable[str]) -> bool:
    return any(map(_chooses, cells))


@functools.lru_cache(maxsize=4096)
def _chooses(cell: str) -> bool:
    return _CHOOSING.search(cell) is not None


def _mode() -> str:
    """Return what `%matplotlib` calls the backend in use; "" where that is the one that the process began with."""
    name = backend()
    return "" if name == backend_of(os.environ.get("MPLBACKEND", "")) else _MODES.get(name, name)
