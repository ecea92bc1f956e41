"""`nbsnap env`: a `requirements.txt` or an `environment.yml` that makes the environment of a snapshot again.

Made of the manifest alone, so nothing is loaded. But what is written here is going to be run by pip or conda, which
install what stands in it, and a manifest may be anybody's. So:

- A line is written only of what is a name and a version by the standards (PEP 508, PEP 440), each matched as a whole.
  Whatever is not becomes a comment, escaped, and a comment has no line break in it. So no text of a manifest can become
  an option, a second line, or a path.
- An address is written only if it is made of the characters of addresses and begins with a scheme that pip knows, and
  only of a snapshot that is signed by this user: for any other, what was not installed by name is a comment, and the
  first lines say that whoever made the snapshot has chosen what is installed.

What was installed by name is pinned (`==`). A local build (`2.4.0+cu121`) is pinned without what is behind the plus,
which no index has, and a comment says so. What came from a folder (editable or not) cannot be made again elsewhere, and
is a comment, as files of the project are.

Without `--all` it is what the variables need to be loaded, and nbsnap; with it, all distributions of which the session
had imported modules: IPython, the kernel and what they need, too.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nbsnap.model import Distribution, Snapshot
from nbsnap.standards import is_name, is_version
from nbsnap.wording import clean, short_id

if TYPE_CHECKING:
    from nbsnap.store import Store

__all__ = ["FORMATS", "add", "conda", "record", "requirements", "run"]

FORMATS = ("requirements", "conda", "json")

_ADDRESS = re.compile(
    r"(?:https?|(?:git|hg|svn|bzr)\+(?:https?|ssh))://[A-Za-z0-9][A-Za-z0-9.:_-]{0,200}/[A-Za-z0-9._~%/+@-]{0,900}"
    r"(?:#subdirectory=[A-Za-z0-9._/-]{1,200})?",
    re.ASCII,
)
_CHANNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}", re.ASCII)

#: Distributions that conda knows by another name.
_CONDA_NAMES = {"torch": "pytorch", "opencv-python": "opencv", "tables": "pytables"}


def add(parser: argparse.ArgumentParser) -> None:
    """Give the parser of `nbsnap env` its arguments."""
    parser.add_argument(
        "snapshot", metavar="SNAPSHOT", nargs="?", default="latest",
        help="a name, the beginning of an id, latest, or latest~2: the second before it (default: latest)",
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=FORMATS, help="default: conda for a FILE that ends in .yml or .yaml, else requirements"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="", help="write it to a file (default: to the terminal)"
    )
    parser.add_argument(
        "--all", action="store_true", help="all that the session had imported, not only what variables need"
    )


def run(args: argparse.Namespace, store: Store, notebook: str | None) -> str:
    """Return the text that was asked for, or write it and return ""."""
    from nbsnap import outfile, trusting

    snapshot = store.find(args.snapshot, notebook)
    own = trusting.judge(snapshot, stranger=store.stranger()) in trusting.GOOD
    kind = "json" if args.json else args.format
    kind = kind or ("conda" if args.output.endswith((".yml", ".yaml")) else "requirements")
    write = {"requirements": requirements, "conda": conda, "json": _json}[kind]
    text = write(snapshot, every=args.all, own=own)
    if not args.output:
        return text
    outfile.write(args.output, text)
    return ""


# --- what is meant ----------------------------------------------------------------------------------------------------


def chosen(snapshot: Snapshot, *, every: bool = False) -> tuple[Distribution, ...]:
    """Return the distributions that the variables need, or all."""
    if not snapshot.distributions:  # of before they were kept
        from nbsnap.installed import distribution

        return tuple(Distribution(distribution(name), version) for name, version in snapshot.packages)
    if every:
        return snapshot.distributions
    needed = {"nbsnap", *(module for group in snapshot.groups for module in group.modules)}
    return tuple(one for one in snapshot.distributions if not needed.isdisjoint(one.modules))


def _lines(found: tuple[Distribution, ...], *, own: bool) -> Iterator[str]:
    """Yield a line of a requirements file for each distribution: a requirement, or a comment."""
    for one in found:
        if not is_name(one.name):
            yield _comment(f"left out, as it is no name of a distribution: {one.name!r}")
        elif one.how in ("", "conda"):
            yield _pinned(one)
        elif one.how in ("vcs", "archive") and own and _ADDRESS.fullmatch(one.origin):
            yield f"{one.name} @ {one.origin}"
        else:
            how = {"editable": "was installed in editable mode", "local": "was installed from a file or folder"}
            said = how.get(one.how, "was installed from an address")
            yield _comment(f"{one.name} {one.version} {said}: {one.origin}")


def _pinned(one: Distribution) -> str:
    if not is_version(one.version):
        return _comment(f"{one.name}: its version is none that can be asked for: {one.version!r}")
    version, plus, _ = one.version.partition("+")
    more = f"  {_comment(f'was {one.version}, a build that indexes do not have')}" if plus else ""
    return f"{one.name}=={version}{more}"


def _comment(text: str) -> str:
    """Return a comment, in which nothing can end the line, nor make the next one part of it."""
    return "# " + clean(text.encode("ascii", "backslashreplace").decode("ascii"))[:300].rstrip("\\")


def _heading(snapshot: Snapshot, *, own: bool, every: bool) -> list[str]:
    head = snapshot.head
    label = f"{head.name} ({short_id(head.id)})" if head.name else short_id(head.id)
    what = "What the session had imported" if every else "What the variables need"
    lines = [f"{what}, of the snapshot {label} of {head.time}: Python {head.python}, {head.platform}"]
    if not own:
        lines += [
            "THIS SNAPSHOT WAS NOT MADE BY YOU, as far as can be told: whoever made it has chosen what is installed.",
            "Read it before you install it.",
        ]
    return [_comment(line) for line in lines]


def _ending(snapshot: Snapshot) -> list[str]:
    paths = [_comment(f"  {module.path}: {module.name}") for module in snapshot.local[:200]]
    return [_comment("Files of the project, which no index has:"), *paths] if paths else []


# --- and how it is written --------------------------------------------------------------------------------------------


def requirements(snapshot: Snapshot, *, every: bool = False, own: bool = True) -> str:
    """Return a requirements file for pip."""
    body = list(_lines(chosen(snapshot, every=every), own=own))
    python = _python(snapshot)
    hint = [_comment(f"python{python} -m venv .venv; .venv/bin/pip install -r requirements.txt")] if python else []
    lines = [*_heading(snapshot, own=own, every=every), *hint, *body, *_ending(snapshot)]
    return "\n".join(lines) + "\n"


#: Channels that anybody may name: packages come from where a file says, those of other channels too.
_USUAL = frozenset({"bioconda", "conda-forge", "defaults", "main", "msys2", "nvidia", "pytorch", "r"})


def conda(snapshot: Snapshot, *, every: bool = False, own: bool = True) -> str:
    """Return an environment file for conda: what conda had installed by itself, all else by pip."""
    found = chosen(snapshot, every=every)
    by_conda = tuple(one for one in found if one.how == "conda" and is_version(one.version) and is_name(one.name))
    named = dict.fromkeys(one.origin for one in by_conda if _CHANNEL.fullmatch(one.origin))
    channels = [channel for channel in named if own or channel in _USUAL]
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", snapshot.head.name, flags=re.ASCII).strip("-")[:60] or "nbsnap-environment"
    lines = [*_heading(snapshot, own=own, every=every), f'name: "{name}"', "channels:"]
    lines += [f'  - "{channel}"' for channel in channels or ("conda-forge",)]
    lines += [f'  # - "{channel}"' for channel in named if channel not in channels]
    python = f"={_python(snapshot)}" if _python(snapshot) else ""
    lines += ["dependencies:", f'  - "python{python}"', "  - pip"]
    for one in by_conda:
        called = _CONDA_NAMES.get(one.name.lower(), one.name.lower())
        lines.append(f'  - "{called}=={one.version.partition("+")[0]}"')
    rest = list(_lines(tuple(one for one in found if one not in by_conda), own=own))
    if any(not line.startswith("#") for line in rest):
        lines.append("  - pip:")
    for line in rest:
        asked, _, more = line.partition("  # ")
        lines.append(f"    {line}" if line.startswith("#") else f'    - "{asked}"{f"  # {more}" if more else ""}')
    return "\n".join([*lines, *_ending(snapshot)]) + "\n"


def record(snapshot: Snapshot, *, every: bool = False) -> dict[str, Any]:
    """Return the same as a record for programs."""
    return {
        "id": snapshot.head.id,
        "python": snapshot.head.python,
        "platform": snapshot.head.platform,
        "distributions": [one.to_dict() for one in chosen(snapshot, every=every)],
        "local": [one.to_dict() for one in snapshot.local],
        "environment": [list(pair) for pair in snapshot.environment],
    }


def _json(snapshot: Snapshot, *, every: bool = False, own: bool = True) -> str:
    return json.dumps({**record(snapshot, every=every), "own": own}, ensure_ascii=True, indent=2) + "\n"


def _python(snapshot: Snapshot) -> str:
    """Return "3.11", "" where the manifest does not say so."""
    found = re.match(r"[0-9]{1,3}\.[0-9]{1,3}(?![0-9])", snapshot.head.python, re.ASCII)
    return found[0] if found else ""
