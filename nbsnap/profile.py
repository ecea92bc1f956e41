"""The startup profile: one line in `ipython_config.py` makes every IPython and kernel of that profile load nbsnap.

    get_config().InteractiveShellApp.extensions.append("nbsnap")  # nbsnap enable

Rules:

- Everything else in the file is the user's and stays as it is, byte for byte: encoding, line ends, a last line without
  one. `disable` takes out that line and nothing else, and the file itself where `enable` had made it.
- The line stands at the end, on its own feet: it asks for the configuration itself, as the user's text need not call
  it `c`, and it appends, so that the user's own list of extensions stays.
- The file is replaced in one go, never rewritten in place; a link to it stays a link.
- The profile is found as IPython finds it (`IPYTHONDIR`, `~/.ipython`, `profile_NAME`), without importing IPython.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import secrets
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nbsnap.errors import NbSnapError
from nbsnap.model import Jsonable

__all__ = ["Change", "config_file", "disable", "enable"]

LINE = b'get_config().InteractiveShellApp.extensions.append("nbsnap")  # nbsnap enable'
MADE = b"# IPython's configuration for this profile, made by nbsnap enable.\nc = get_config()\n\n"


@dataclass(frozen=True, slots=True)
class Change(Jsonable):
    """What `enable` or `disable` did."""

    file: str
    profile: str
    enabled: bool  # how it stands now
    changed: bool
    what: str  # "changed", "made", "removed", "as it was"


def enable(profile: str = "default") -> Change:
    """Let IPython and kernels of `profile` load nbsnap."""
    file = config_file(profile)
    _refuse_json(file.with_suffix(".json"))
    before = _read(file)
    if before is not None and _at(before) is not None:
        return Change(str(file), profile, True, False, "as it was")
    after = _added(MADE if before is None else before)
    _check_syntax(file, before, after)
    _replace(file, after)
    return Change(str(file), profile, True, True, "made" if before is None else "changed")


def disable(profile: str = "default") -> Change:
    """Take out what `enable` put in."""
    file = config_file(profile)
    before = _read(file)
    after = before
    while after is not None and (at := _at(after)) is not None:
        after = _taken_out(after, at)
    if before == after or after is None:
        return Change(str(file), profile, False, False, "as it was")
    if after == MADE:
        with _told(file):
            os.unlink(file)
        return Change(str(file), profile, False, True, "removed")
    _replace(file, after)
    return Change(str(file), profile, False, True, "changed")


# ---- where -----------------------------------------------------------------------------------------------------------


def config_file(profile: str) -> Path:
    """Return the configuration file of a profile. The default profile is made where it is missing, as IPython does."""
    if not profile or profile in (".", "..") or any(char in profile for char in "/\\\0"):
        raise NbSnapError(f"{profile!r} cannot be the name of a profile")
    base = _ipython_dir()
    folder = base / f"profile_{profile}"
    if profile != "default" and not folder.is_dir():
        known = sorted(path.name.removeprefix("profile_") for path in base.glob("profile_*") if path.is_dir())
        close = difflib.get_close_matches(profile, known, n=3)
        help_line = f"did you mean {' or '.join(close)}?" if close else f"`ipython profile create {profile}` makes one"
        raise NbSnapError(f"no IPython profile {profile!r} in {base}; {help_line}")
    return folder / "ipython_config.py"


def _ipython_dir() -> Path:
    told = os.environ.get("IPYTHONDIR")
    if told is not None:
        return Path(os.path.normpath(os.path.expanduser(told)))
    usual = Path.home() / ".ipython"
    if os.name == "posix" and not usual.exists():
        old = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "ipython"
        if old.is_dir() and not old.is_symlink() and os.access(old, os.W_OK):
            return old
    return usual


def _refuse_json(file: Path) -> None:
    """Say so where a JSON file settles the extensions: IPython lets it win over the Python file."""
    try:
        settings = json.loads(file.read_bytes())
        extensions = settings["InteractiveShellApp"]["extensions"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if not isinstance(extensions, list) or "nbsnap" not in extensions:
        raise NbSnapError(
            f'{file} sets InteractiveShellApp.extensions and wins over ipython_config.py: add "nbsnap" to it there'
        )


# ---- the text --------------------------------------------------------------------------------------------------------


def _added(text: bytes) -> bytes:
    """Return `text` with our line at its end, in its own kind of line ends; a missing last one stays missing."""
    line_end = b"\r\n" if b"\r\n" in text else b"\n"
    if not text or text.endswith((b"\n", b"\r")):
        return text + LINE + line_end
    return text + line_end + LINE


def _at(text: bytes) -> int | None:
    """Return where our line begins, if it stands in `text` as a whole line."""
    at = text.find(LINE)
    while at >= 0:
        begins = at == 0 or text[at - 1 : at] in (b"\n", b"\r")
        if begins and text[at + len(LINE) : at + len(LINE) + 1] in (b"", b"\n", b"\r"):
            return at
        at = text.find(LINE, at + 1)
    return None


def _taken_out(text: bytes, at: int) -> bytes:
    before, after = text[:at], text[at + len(LINE) :]
    for line_end in (b"\r\n", b"\n", b"\r"):
        if after.startswith(line_end):
            return before + after[len(line_end) :]
    for line_end in (b"\r\n", b"\n", b"\r"):  # our line was the last and had no end: the one before it is ours
        if before.endswith(line_end):
            return before[: -len(line_end)]
    return before


def _check_syntax(file: Path, before: bytes | None, after: bytes) -> None:
    """Refuse to add a line to a file that Python cannot read: IPython would pass over all of it, ours too."""
    for text in (before, after):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                compile(text or b"", str(file), "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            where = f" (line {error.lineno})" if isinstance(error, SyntaxError) and error.lineno else ""
            raise NbSnapError(f"{file} is not valid Python{where}, so IPython does not read it: not changed") from None


# ---- the file --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _told(file: Path) -> Iterator[None]:
    """Turn an OSError into one line that names the file."""
    try:
        yield
    except OSError as error:
        raise NbSnapError(f"cannot change {file}: {error.strerror or error}") from error


def _read(file: Path) -> bytes | None:
    with _told(file):
        try:
            return file.read_bytes()
        except FileNotFoundError:
            return None


def _replace(file: Path, text: bytes) -> None:
    target = Path(os.path.realpath(file))
    with _told(file):
        target.parent.mkdir(parents=True, exist_ok=True)
        spare = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            with open(spare, "xb") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            with contextlib.suppress(FileNotFoundError):
                os.chmod(spare, stat.S_IMODE(target.stat().st_mode))
            os.replace(spare, target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(spare)
