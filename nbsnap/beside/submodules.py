"""Submodules that came with a package: `import matplotlib.pyplot` binds `matplotlib` only, and pickles as no more.

Kept are those that the user's own cells import, and the public ones right below a package that a variable names, as
far as they are loaded. Put back are those of packages that came back.
"""

from __future__ import annotations

import ast
import functools
import importlib
import re
import sys
import types
from collections.abc import Iterable, Mapping
from typing import Any

from .turn import Scene, Turn, said

_put_back: set[str] = set()  # by restores: imported by cells that this session has not run

_DOTTED = re.compile(r"^[^#\n]*\bimport\s[^#\n]*\.", re.MULTILINE)


def take(scene: Scene) -> dict[str, Any]:
    """Return the submodules of the packages that variables name."""
    packages = _packages(scene.variables)
    if not packages:
        return {}
    found = {
        name
        for name in _imported(scene.cells) | _put_back
        if name.partition(".")[0] in packages and name in sys.modules
    }
    for package in packages:
        inside = vars(sys.modules[package])
        found.update(
            full
            for name, value in list(inside.items())
            if type(value) is types.ModuleType
            and not name.startswith("_")
            and sys.modules.get(full := f"{package}.{name}") is value
        )
    return {"": tuple(sorted(found))} if found else {}


def put(values: Mapping[str, Any], turn: Turn) -> None:
    """Import what is missing of the packages that came back."""
    packages = _packages(turn.restored)
    for name in values[""]:
        if not any(name.startswith(f"{package}.") for package in packages):
            continue
        _put_back.add(name)
        if name in sys.modules:
            continue
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as error:
            turn.notes.append(f"{name} was imported, and could not be now: {said(error)}")
        else:
            turn.done.append(f"submodules:{name}")


def _packages(variables: Mapping[str, Any]) -> set[str]:
    """Return the names of the packages that are variables."""
    return {
        name
        for value in variables.values()
        if type(value) is types.ModuleType
        and isinstance(name := vars(value).get("__name__"), str)
        and "__path__" in vars(value)
        and sys.modules.get(name) is value
        and name != "nbsnap"  # what it has loaded by now is its own affair
    }


def _imported(cells: Iterable[str]) -> set[str]:
    """Return the dotted names that the user's code imports by `import a.b`."""
    return {name for names in map(_dotted_names, cells) for name in names}


@functools.lru_cache(maxsize=4096)
def _dotted_names(source: str) -> tuple[str, ...]:
    if not _DOTTED.search(source):
        return ()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    return tuple(
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if "." in alias.name
    )
