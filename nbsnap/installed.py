"""The distributions that are installed here: to which one a module belongs, its version, and where it came from.

Nothing is imported to find out: the files that an installer has written beside the modules tell it (METADATA,
INSTALLER, direct_url.json). What is not found costs nothing but its line: this is for
telling people, and never stands in the way of a snapshot.

A distribution usually goes by the name of its module. `NAMES` knows many of those that do not; for the rest the lists
of files are read, which takes a quarter of a second for a hundred distributions, so only for modules that are needed.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import re
import site
import sys
import sysconfig
import types
from collections.abc import Collection, Iterable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from nbsnap.model import Distribution

__all__ = ["NAMES", "distribution", "file_of", "folders", "named", "names_of", "of_modules", "places_of", "version"]

#: Packages that are imported by another name than they are installed by.
NAMES = {
    "_duckdb": "duckdb",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "fitz": "PyMuPDF",
    "google": "google-api-python-client",
    "ibis": "ibis-framework",
    "jose": "python-jose",
    "mpl_toolkits": "matplotlib",
    "PIL": "pillow",
    "pkg_resources": "setuptools",
    "pylab": "matplotlib",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "umap": "umap-learn",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
}


def distribution(package: str) -> str:
    """Return what to install for an imported package, as far as it is known."""
    return NAMES.get(package, package)


def version(name: str) -> str:
    """Return the version of a distribution that is installed here now; "" if it is not."""
    found = _read(name)
    return found.version if found is not None else ""


#: What was found; not what was not, for it may be installed meanwhile.
_known: dict[str, Distribution] = {}


def named(name: str) -> Distribution | None:
    """Return a distribution that is installed here, without its modules, as it was when it was first asked for."""
    if (found := _known.get(name) or _read(name)) is not None:
        _known[name] = found
    return found


def _read(name: str) -> Distribution | None:
    try:
        found = importlib.metadata.distribution(name)
        text = found.read_text("METADATA") or found.read_text("PKG-INFO") or ""
        # not `found.version`: that parses all of the text, which ends with the package's README
        head = text.partition("\n\n")[0]
        said = {key: _field(key, head) for key in ("Name", "Version")}
        if not said["Version"]:
            return None
        how, origin = _origin(found, said["Name"] or name, said["Version"])
    except (importlib.metadata.PackageNotFoundError, ValueError, OSError, TypeError):
        return None
    return Distribution(said["Name"] or name, said["Version"], (), how, origin)


def _field(key: str, text: str) -> str:
    found = re.search(rf"^{key}:(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def of_modules(names: Iterable[str], needed: Collection[str] = ()) -> tuple[Distribution, ...]:
    """Return the distributions to which top-level modules belong, sorted, each with those modules.

    What belongs to none is left out. For a module in `needed` it is looked for harder.
    """
    modules: dict[Distribution, list[str]] = {}
    for name in sorted(names):
        if name in _unowned and name not in needed:
            continue
        found = named(distribution(name))
        if found is None and name in needed and _lies_installed(name) and _by_files().get(name):
            found = named(_by_files()[name])
        if found is not None:
            modules.setdefault(found, []).append(name)
        elif name in sys.modules:
            _unowned.add(name)
    made = (Distribution(one.name, one.version, tuple(its), one.how, one.origin) for one, its in modules.items())
    return tuple(sorted(made, key=lambda one: (one.name.lower(), one.name)))


#: Modules that were imported, and for which no distribution was found by its name.
_unowned: set[str] = set()


def _lies_installed(name: str) -> bool:
    """Tell whether a module that is imported lies in a folder of installed packages."""
    module = sys.modules.get(name)
    return any(place.startswith(folders()) for place in (file_of(module), *places_of(module)))


def file_of(module: object) -> str:
    """Return the file of a module, without asking the module: some are loaded when they are asked."""
    file = names_of(module).get("__file__")
    return os.path.abspath(file) if type(file) is str else ""


def places_of(module: object) -> list[str]:
    """Return the folders in which the parts of a package are."""
    return [place for place in names_of(module).get("__path__") or () if type(place) is str]


def names_of(module: object) -> dict[str, Any]:
    """Return the names of a module, without asking the module; none of what is no module."""
    if not issubclass(type(module), types.ModuleType):
        return {}
    found: dict[str, Any] = object.__getattribute__(module, "__dict__")
    return found


def folders() -> tuple[str, ...]:
    """Return the folders in which all that lies is installed."""
    paths = sysconfig.get_paths()
    found = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    found.update([*site.getsitepackages(), site.getusersitepackages()])
    return tuple(folder.rstrip(os.sep) + os.sep for folder in found)


@functools.lru_cache(maxsize=1)
def _by_files() -> dict[str, str]:
    """Return module → distribution, from the lists of files of all that is installed."""
    try:
        return {name: found[0] for name, found in importlib.metadata.packages_distributions().items() if found}
    except (ValueError, OSError, TypeError, KeyError):  # a broken installation
        return {}


# --- where it came from -----------------------------------------------------------------------------------------------


def _origin(found: importlib.metadata.Distribution, name: str, version: str) -> tuple[str, str]:
    """Return how a distribution was installed, and from where; two empty texts for a package index."""
    if (told := found.read_text("direct_url.json")) is not None:
        return _direct(told)
    if (found.read_text("INSTALLER") or "").strip() == "conda":
        return "conda", _channel(name, version)
    return "", ""


def _direct(told: str) -> tuple[str, str]:
    """Return what `direct_url.json` says (PEP 610), without what may be a password."""
    record = json.loads(told)
    if not isinstance(record, dict) or not isinstance(record.get("url"), str):
        return "", ""
    url = _without_secrets(record["url"])
    where = record.get("subdirectory")
    part = f"#subdirectory={where}" if isinstance(where, str) and where else ""
    if isinstance(vcs := record.get("vcs_info"), dict):
        return "vcs", f"{vcs.get('vcs', 'git')}+{url}@{vcs.get('commit_id', '')}{part}"
    if isinstance(folder := record.get("dir_info"), dict):
        return ("editable" if folder.get("editable") is True else "local"), url
    return ("local" if url.startswith("file:") else "archive"), url + part


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _channel(name: str, version: str) -> str:
    """Return the name of the channel from which conda has installed a package, "" if that is not known."""
    records = os.path.join(sys.prefix, "conda-meta")
    begins = f"{name}-{version}-".lower()
    try:
        file = next(file for file in os.listdir(records) if file.lower().startswith(begins) and file.endswith(".json"))
        with open(os.path.join(records, file), encoding="utf-8", errors="replace") as text:
            said = re.search(r'"channel":\s*"([^"]+)"', text.read(4096))
    except (OSError, StopIteration):
        return ""
    channel = said[1].rstrip("/").removesuffix("/noarch") if said else ""
    channel = re.sub(r"/(?:linux|osx|win)-[a-z0-9_]+$", "", channel)
    return channel.rpartition("/")[2]
