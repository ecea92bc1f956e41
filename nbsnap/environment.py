"""What a session ran on: Python, platform, the packages and files that it has imported, and a few facts beside.

Of the environment variables only those in `_VARIABLES` are ever looked at, and what is kept goes through the sieve.
"""

from __future__ import annotations

import functools
import os
import platform
import sys
from collections.abc import Collection, Iterable
from dataclasses import replace

from . import host, installed
from . import machine as machine_
from .beside import places
from .model import Distribution
from .sieve import Sieve


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
    package = installed.distribution(name)
    if (found := installed.named(package)) is not None:
        return package, found.version
    version = getattr(sys.modules.get(name), "__version__", None)
    return (package, version) if isinstance(version, str) else None


def distributions(needed: Collection[str], sieve: Sieve, known: tuple[str, ...]) -> tuple[Distribution, ...]:
    """Return the distributions whose modules are imported; those of the modules `needed` are looked for harder."""
    names = {name for name in list(sys.modules) if "." not in name} | set(needed)
    found = installed.of_modules((name for name in names - sys.stdlib_module_names if name.isidentifier()), needed)
    return tuple(replace(one, origin=sieve.mask(one.origin, known)) if one.origin else one for one in found)


_VARIABLES = ("CONDA_DEFAULT_ENV", "CONDA_PREFIX", "VIRTUAL_ENV")


def facts(devices: Iterable[str], sieve: Sieve, known: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return what else there is to say, as pairs: see docs/format.md. `devices` are those on which objects lie."""
    found = [
        ("byteorder", sys.byteorder),
        ("implementation", sys.implementation.name),
        ("longdouble", machine_.long_double()),
    ]
    found += [(name, os.environ[name]) for name in _VARIABLES if os.environ.get(name)]
    added = places.added()
    if added:
        found.append(("began", host.began_in()))
    found += [("sys.path", entry) for entry in added]
    found += [(device, name) for device in sorted(devices) if (name := _device(device))]
    return tuple((name, sieve.mask(value, known)) for name, value in found)


def _device(device: str) -> str:
    """Return the name of a device of PyTorch, "NVIDIA H100 80GB HBM3"."""
    torch = sys.modules.get("torch")
    kind, _, index = device.partition(":")
    if torch is None or kind != "cuda":
        return ""
    try:
        return str(torch.cuda.get_device_name(int(index or 0)))
    except Exception:  # a device that does not answer any more
        return ""
