"""The working directory, and the entries of `sys.path` that the session has added.

Both are kept as seen from the start of the session, so that a project that was moved, or is restored by another Python,
is not led back to the old one: a directory below the one where the session began is looked for below the one where
the restoring session began; entries of the installation (the standard library, site-packages) are not kept.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Mapping
from typing import Any

from nbsnap import host

from .turn import Scene, Turn

# --- the working directory --------------------------------------------------------------------------------------------


def take_directory(_: Scene) -> dict[str, Any]:
    """Return where the session is, and where it began."""
    return {"": (os.getcwd(), host.began_in())}


def put_directory(values: Mapping[str, Any], turn: Turn) -> None:
    """Go where the session was."""
    was, began = values[""]
    target = _from_here(was, began)
    try:
        here = os.getcwd()
    except OSError:  # removed under us: a reason more to go elsewhere
        here = ""
    if not os.path.isdir(target):
        turn.notes.append(f"the working directory was {target}, which is not here: it stays {here}")
    elif not here or not os.path.samefile(target, here):
        _go(target, here, turn)


def _go(target: str, here: str, turn: Turn) -> None:
    if here:
        turn.undoing.append(lambda: os.chdir(here))
        turn.later.append(lambda later: _go(here, os.getcwd(), later))
    os.chdir(target)
    turn.done.append(f"directory:{target}")


def _from_here(was: str, began: str) -> str:
    """Return a place below the one where a session began as seen from where this one began, if it is there."""
    if os.path.isabs(was) and os.path.commonpath([was, began]) == began:
        moved = os.path.normpath(os.path.join(host.began_in(), os.path.relpath(was, began)))
        if os.path.exists(moved):
            return moved
    return was


# --- sys.path ---------------------------------------------------------------------------------------------------------


def take_path(_: Scene) -> dict[str, Any]:
    """Return `sys.path`, with "" for what Python puts in front and None for the installation, and the start."""
    first, installed = _starts(), _installation()
    found: list[str | None] = []
    added = False
    entries: list[Any] = sys.path  # anything may have been put there
    for entry in entries:
        if not isinstance(entry, str):
            continue
        if entry in first:
            found.append("")
        elif _is_installed(entry, installed):
            if None not in found:
                found.append(None)
        else:
            found.append(entry)
            added = True
    return {"": (tuple(found), host.began_in())} if added else {}


def added() -> list[str]:
    """Return the entries of `sys.path` that the session has added."""
    known = set(at_start())
    entries: list[Any] = sys.path
    return [entry for entry in entries if isinstance(entry, str) and entry not in known]


def at_start() -> list[str]:
    """Return `sys.path` without what the session has added."""
    first, installed = _starts(), _installation()
    entries: list[Any] = sys.path
    return [
        entry for entry in entries if isinstance(entry, str) and (entry in first or _is_installed(entry, installed))
    ]


def put_path(values: Mapping[str, Any], turn: Turn) -> None:
    """Add the entries that are missing: each behind what stood before it, if it exists."""
    present = list(sys.path)
    made: list[Any] = list(present)
    missing: list[str] = []
    first, installed = _starts(), _installation()
    at = 0
    entries, began = values[""]
    for entry in (each and _from_here(each, began) for each in entries):
        if entry is None:
            own = [place for place, one in enumerate(made) if isinstance(one, str) and _is_installed(one, installed)]
            at = max([at, *(place + 1 for place in own)])
        elif entry == "":
            at += 1 if at < len(made) and made[at] in first else 0
        elif entry in made:
            at = made.index(entry) + 1
        elif os.path.exists(entry):
            made.insert(at, entry)
            at += 1
        else:
            missing.append(entry)
    if missing:
        turn.notes.append(f"not added to sys.path, as it is not there: {', '.join(missing)}")
    if made != present:
        turn.undoing.append(lambda: _set_path(present))
        turn.later.append(lambda later: _path_back(present, made, later))
        _set_path(made)
        turn.done.append("path:")


def _path_back(entries: list[Any], since: list[Any], turn: Turn) -> None:
    """Make `sys.path` what it was before it became `since`; what was added later stays."""
    present = list(sys.path)
    made: list[Any] = [entry for entry in present if entry in entries or entry not in since]
    for at, entry in enumerate(entries):
        if entry not in made:
            made.insert(at, entry)
    turn.undoing.append(lambda: _set_path(present))
    turn.later.append(lambda later: _path_back(present, made, later))
    _set_path(made)
    turn.done.append("path:")


def _set_path(entries: list[str]) -> None:
    sys.path[:] = entries


def _starts() -> set[str]:
    """Return the entries that Python puts in front: the folder of the script, or the working directory."""
    found = {""}
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if isinstance(script, str):
        found.add(os.path.dirname(os.path.abspath(script)))
    return found


def _installation() -> tuple[set[str], tuple[str, ...]]:
    """Return single entries of the installation, and folders in which all belongs to it."""
    folders = {*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    single = {os.path.abspath(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry}
    sites = [entry for entry in {*site.getsitepackages(), site.getusersitepackages()} if os.path.isdir(entry)]
    for folder in sites:
        single.update(_from_pth(folder))
    return single, tuple(folder.rstrip(os.sep) + os.sep for folder in {*folders, *sites})


def _from_pth(folder: str) -> set[str]:
    """Return what the .pth files of a folder add to `sys.path`: checkouts that are installed as such."""
    found: set[str] = set()
    try:
        names = os.listdir(folder)
    except OSError:
        return found
    for name in names:
        if name.endswith(".pth"):
            try:
                with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                    lines = file.read().splitlines()
            except OSError:
                continue
            found.update(os.path.join(folder, line.strip()) for line in lines if _is_place(line))
    return found


def _is_place(line: str) -> bool:
    return bool(line.strip()) and not line.startswith(("#", "import ", "import\t"))


def _is_installed(entry: str, installation: tuple[set[str], tuple[str, ...]]) -> bool:
    single, folders = installation
    return entry in single or f"{entry.rstrip(os.sep)}{os.sep}".startswith(folders)
