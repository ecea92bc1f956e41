"""Files of the project: modules that the session has imported, and that belong to no installed distribution.

A snapshot refers to them by name, as it does to packages, but nobody can install them elsewhere, and no version number
tells that one has changed. So each is kept with its path, seen from the notebook's folder, and the hash of what was in
the file at the time of the snapshot (which may have been edited after it was imported: nobody knows the difference).

What counts: a module with a `.py` file that lies neither in the standard library nor in a folder of installed packages,
and whose package goes by the name of no distribution. A package that was installed in editable mode counts too, for its
version does not tell what is in it; nbsnap does not.

Costs: a module is looked at once in a process, a file is read again when its size or its time has changed. Where a
module is found here is asked of Python's own finders, by the name of its top-level package, which imports nothing; a
path that stands in a snapshot is never opened.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import itertools
import os
import sys
import types
from collections.abc import Iterable, Sequence

from nbsnap import host, installed
from nbsnap.digest import piece_id
from nbsnap.model import LocalModule

__all__ = ["LONGEST", "can_be_found", "changes", "imported"]

#: A longer file is kept without a hash: no one has written it.
LONGEST = 8 << 20
#: So many files at most: a project that is larger is kept in part.
MOST = 2_000

#: Modules that were looked at and are none of these; and top-level ones with all that is below them.
_without: set[str] = set()
_foreign: set[str] = set()
#: The hash of a file, and the size and time that it had.
_hashes: dict[str, tuple[int, int, str]] = {}


def imported() -> tuple[LocalModule, ...]:
    """Return the files of the project that are imported, sorted by the names of the modules."""
    if not _foreign:
        _foreign.update(sys.builtin_module_names, sys.stdlib_module_names, _OWN)
    folders = installed.folders()
    found: list[LocalModule] = []
    for name in sorted({name for name in list(sys.modules) if type(name) is str} - _without):
        top = name.partition(".")[0]
        file = "" if top in _foreign else _source(sys.modules.get(name))
        if not file or file.startswith(folders) or _is_installed(top):
            _without.add(name)
            if file:
                _foreign.add(top)
        elif (seen := _looked_at(file)) is not None and len(found) < MOST:
            found.append(LocalModule(name, _seen_from_here(file), *seen))
    return tuple(found)


_OWN = frozenset({"__main__", "__mp_main__", "nbsnap"})


def _source(module: object) -> str:
    """Return the file of a module that is Python's text, "" for others."""
    file = installed.file_of(module)
    return file if file.endswith(".py") else ""


def _is_installed(top: str) -> bool:
    """Tell whether a package outside of the folders of installed ones is of one all the same, as its version tells."""
    found = installed.named(installed.distribution(top))
    return found is not None and found.how != "editable"


def _looked_at(file: str) -> tuple[int, str] | None:
    """Return the size of a file and the hash of what is in it, None if it cannot be read."""
    try:
        found = os.stat(file)
        known = _hashes.get(file)
        if known is not None and known[:2] == (found.st_size, found.st_mtime_ns):
            return known[0], known[2]
        hash = ""
        if found.st_size <= LONGEST:
            with open(file, "rb") as data:
                hash = piece_id(data.read(LONGEST))
    except OSError:
        return None
    _hashes[file] = (found.st_size, found.st_mtime_ns, hash)
    return found.st_size, hash


def _seen_from_here(file: str) -> str:
    for base in (str(host.folder()), host.began_in()):
        start = os.path.abspath(base).rstrip(os.sep) + os.sep
        if file.startswith(start):
            return file[len(start) :].replace(os.sep, "/")
    return file


# --- and elsewhere ----------------------------------------------------------------------------------------------------


def changes(modules: Iterable[LocalModule], places: Sequence[str]) -> dict[str, str]:
    """Return the names of modules that are not what they were: "changed" or "missing".

    `places` are folders that are going to be in `sys.path`, and are not yet.
    """
    found: dict[str, str] = {}
    tops: dict[str, tuple[str, list[str]]] = {}
    for module in itertools.islice(modules, MOST):
        top, *rest = module.name.split(".")
        if top not in tops and top.isidentifier():
            tops[top] = _top(top, places)
        named = all(part.isidentifier() for part in (top, *rest))
        file = _part(*tops[top], rest) if named else ""
        if not file:
            found[module.name] = "missing"
        elif not _is_same(file, module):
            found[module.name] = "changed"
    return found


def _top(name: str, places: Sequence[str]) -> tuple[str, list[str]]:
    """Return the file of a top-level module that an import would give here, and the folders of its parts."""
    module = sys.modules.get(name)
    if issubclass(type(module), types.ModuleType):
        return _source(module), installed.places_of(module)
    try:
        spec = importlib.util.find_spec(name) or importlib.machinery.PathFinder.find_spec(name, list(places))
    except (ImportError, ValueError, AttributeError, OSError):
        return "", []
    if spec is None:
        return "", []
    file = spec.origin if spec.has_location and spec.origin else ""
    return file, list(spec.submodule_search_locations or ())


def can_be_found(name: str) -> bool:
    """Tell whether a top-level module can be imported here; nothing is."""
    try:
        return name in sys.modules or (name.isidentifier() and importlib.util.find_spec(name) is not None)
    except (ImportError, ValueError, AttributeError, OSError):
        return False


def _part(file: str, folders: list[str], rest: list[str]) -> str:
    """Return the file of a module within its top-level package, "" if it is not there."""
    if not rest:
        return file if file and os.path.isfile(file) else ""
    for folder in folders:
        base = os.path.join(folder, *rest)
        for candidate in (os.path.join(base, "__init__.py"), f"{base}.py"):
            if os.path.isfile(candidate):
                return candidate
    return ""


def _is_same(file: str, module: LocalModule) -> bool:
    """Tell whether a file is what it was; a look at its length is often enough to see that it is not."""
    try:
        if os.stat(file).st_size != module.size:
            return False
    except OSError:
        return False
    seen = _looked_at(file)
    return seen is not None and seen == (module.size, module.hash)
