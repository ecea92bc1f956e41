"""What a session ran on: Python, platform, and the versions of the packages it has imported."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import re
import sys

from .rebuild import distribution


def python() -> str:
    """Return the version of Python, "3.11.7"."""
    return platform.python_version()


def machine() -> str:
    """Return system and processor, "linux-x86_64"."""
    return f"{sys.platform}-{platform.machine().lower()}"


def packages() -> tuple[tuple[str, str], ...]:
    """Return (distribution, version) of the top-level packages that are imported and not part of Python, sorted."""
    names = {name for name in list(sys.modules) if "." not in name}
    found = (_version(name) for name in names - sys.stdlib_module_names if not name.startswith("_"))
    return tuple(sorted(item for item in found if item is not None))


@functools.lru_cache(maxsize=4096)
def _version(name: str) -> tuple[str, str] | None:
    package = distribution(name)
    try:
        found = importlib.metadata.distribution(package)
        # not `found.version`: that parses all of the text, which ends with the package's README
        said = _VERSION.search(found.read_text("METADATA") or found.read_text("PKG-INFO") or "")
        return (package, said[1].strip()) if said else (package, found.version)
    except (importlib.metadata.PackageNotFoundError, ValueError, OSError):
        version = getattr(sys.modules.get(name), "__version__", None)
        return (package, version) if isinstance(version, str) else None


_VERSION = re.compile(r"^Version:(.+)$", re.MULTILINE)
