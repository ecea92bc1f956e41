"""Who runs us: a notebook's kernel, IPython in a terminal, or plain Python. Finds out without importing IPython.

A notebook goes by its path as seen from the folder of its store, so that a project that is moved keeps its snapshots.
Where the front end does not tell the path, the kind of host is the name: `ipython`, `kernel`, `python`, or the script.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from . import began_in_directory, owners
from .errors import StoreNotWritable

STORE_NAME = ".nbsnap"

_started_in = began_in_directory or os.getcwd()

#: What this process's snapshots have in common: which of them came before a restart is told by it.
SESSION = os.urandom(8).hex()


@dataclass(frozen=True)
class Host:
    """What a host has beside the namespace."""

    hidden: Mapping[str, Any] | None  # what the shell calls its own (name → object); None outside of a shell
    history: tuple[tuple[int, str], ...]  # (execution count, source as it was typed)
    code: tuple[tuple[int, str], ...]  # the same as Python, with magics written out as calls


def look(namespace: Mapping[str, Any]) -> Host:
    """Return the host of a namespace: the running shell, if the namespace is its own."""
    shell = running_shell()
    if shell is None or shell.user_ns is not namespace:
        return Host(None, (), ())
    history = shell.history_manager
    raw = tuple((n, text) for n, text in enumerate(getattr(history, "input_hist_raw", ())) if text)
    code = tuple((n, text) for n, text in enumerate(getattr(history, "input_hist_parsed", ())) if text)
    return Host(shell.user_ns_hidden, raw, code)


def running_shell() -> Any:
    """Return the running IPython shell, or None."""
    ipython = sys.modules.get("IPython")
    get = getattr(ipython, "get_ipython", None)
    return get() if get is not None else None


def is_session(namespace: Mapping[str, Any]) -> bool:
    """Tell whether a namespace is the running session's own, and not a dict that somebody has made."""
    shell = running_shell()
    return namespace is (vars(sys.modules["__main__"]) if shell is None else shell.user_ns)


def cells(found: Host) -> tuple[str, ...]:
    """Return the Python that the user has run: the cells, or outside of a shell the script, if it can be read."""
    if found.hidden is not None:
        return tuple(text for _, text in found.code)
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    try:
        return (Path(script).read_text(encoding="utf-8"),) if isinstance(script, str) else ()
    except (OSError, UnicodeError):
        return ()


def began_in() -> str:
    """Return the working directory when the session began: before nbsnap was loaded, if the shell knows."""
    told = getattr(running_shell(), "starting_dir", None)
    return told if isinstance(told, str) else _started_in


#: What every IPython has loaded, and we.
_OWN_EXTENSIONS = frozenset({"storemagic", "nbsnap"})


def has_extensions() -> bool:
    """Tell whether there is a shell that knows extensions."""
    return hasattr(running_shell(), "extension_manager")


def extensions() -> tuple[str, ...]:
    """Return the names of the extensions that the user has loaded."""
    manager = getattr(running_shell(), "extension_manager", None)
    names = {name.removeprefix("IPython.extensions.") for name in getattr(manager, "loaded", ())}
    return tuple(sorted(names - _OWN_EXTENSIONS))


def load_extension(name: str) -> None:
    """Load an extension of IPython."""
    running_shell().extension_manager.load_extension(name)


def unload_extension(name: str) -> None:
    """Unload an extension of IPython."""
    running_shell().extension_manager.unload_extension(name)


def magic(name: str, line: str) -> None:
    """Run a line magic."""
    running_shell().run_line_magic(name, line)


def _notebook_path() -> PurePath | None:
    shell = running_shell()
    names = shell.user_ns if shell is not None else {}
    for told in (names.get("__vsc_ipynb_file__"), os.environ.get("JPY_SESSION_NAME")):
        if isinstance(told, str) and told:
            return PurePath(told)
    return None


def folder() -> Path:
    """Return the folder of the default store: the notebook's, or the working directory when nbsnap was loaded."""
    told = _notebook_path()
    if told is not None and told.is_absolute() and os.path.isdir(told.parent):
        return Path(told.parent)
    return Path(_started_in)


def default_notebook() -> str:
    """Return what the snapshots of this session belong to."""
    if told := os.environ.get("NBSNAP_NOTEBOOK"):
        return told
    path = _notebook_path()
    if path is not None:
        return _seen_from(path, folder())
    shell = running_shell()
    if shell is not None:
        return "kernel" if hasattr(shell, "kernel") else "ipython"
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    return _seen_from(PurePath(os.path.abspath(script)), folder()) if isinstance(script, str) else "python"


def _seen_from(path: PurePath, base: Path) -> str:
    if not path.is_absolute():
        return path.as_posix()
    try:
        return path.relative_to(base).as_posix()
    except ValueError:
        return path.as_posix()


def at(place: str) -> str:
    """Return a setting's place as a path: `~` is the home folder, and a relative one does not follow `os.chdir`."""
    return place if "://" in place else os.path.join(_started_in, os.path.expanduser(place))


def default_store(*, reading: bool = False) -> tuple[str, tuple[str, ...]]:
    """Return the place of the default store, and lines for the user about it.

    For reading, a store that cannot be written is as good, unless snapshots have been kept elsewhere meanwhile.
    """
    if told := os.environ.get("NBSNAP_STORE"):
        return at(told), ()
    beside = folder() / STORE_NAME
    if _can_write(beside):
        return str(beside), ()
    spare = _spare(folder())
    if reading and beside.is_dir() and not spare.is_dir():
        return str(beside), ()
    why = owners.stranger(str(beside)) or f"{beside} cannot be written"
    return str(spare), (f"{why}, so snapshots are kept in {spare}",)


def _can_write(place: Path) -> bool:
    """Tell whether a store can be made or used at a place, without leaving a trace."""
    if place.is_dir():
        return os.access(place, os.W_OK | os.X_OK) and not owners.stranger(str(place))
    return place.parent.is_dir() and os.access(place.parent, os.W_OK | os.X_OK) and not place.exists()


def _spare(base: Path) -> Path:
    import platformdirs

    key = hashlib.sha256(str(base).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    try:
        return Path(platformdirs.user_data_dir("nbsnap", appauthor=False)) / "stores" / f"{base.name or 'root'}-{key}"
    except OSError as error:  # no home folder at all
        raise StoreNotWritable(f"{base / STORE_NAME} cannot be written: {error}") from error
