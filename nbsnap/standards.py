"""What is a name of a distribution, and what is a version, by the standards (PEP 508, PEP 440).

A manifest may be anybody's, and what it says is shown in commands that people copy, and written into files that pip
runs. So it is matched as a whole before, in ASCII, and with a limit to its length.
"""

from __future__ import annotations

import re

__all__ = ["is_name", "is_version", "pip_install"]

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?", re.ASCII)
_VERSION = re.compile(
    r"(?:[0-9]{1,9}!)?[0-9]{1,19}(?:\.[0-9]{1,19}){0,9}"
    r"(?:(?:a|b|rc)[0-9]{1,19})?(?:\.post[0-9]{1,19})?(?:\.dev[0-9]{1,19})?"
    r"(?:\+[A-Za-z0-9]{1,60}(?:[._-][A-Za-z0-9]{1,60}){0,9})?",
    re.ASCII,
)


def pip_install(name: str, version: str = "") -> str:
    """Return the command that installs a distribution, at a version without its local part; "" for what is no name."""
    if not is_name(name) or (version and not is_version(version)):
        return ""
    return f"pip install {name}" + (f"=={version.partition('+')[0]}" if version else "")


def is_name(text: str) -> bool:
    """Tell whether a text is the name of a distribution."""
    return _NAME.fullmatch(text) is not None


def is_version(text: str) -> bool:
    """Tell whether a text is a version."""
    return _VERSION.fullmatch(text) is not None
