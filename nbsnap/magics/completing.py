"""What may stand at the cursor of a magic's line: its options, names of snapshots, names of variables."""

from __future__ import annotations

import glob
import os
import shlex
from typing import TYPE_CHECKING, Any

from nbsnap.arguments import COMMANDS
from nbsnap.magics.lines import history_parser
from nbsnap.parts import BESIDE

if TYPE_CHECKING:
    from nbsnap.magics.shell import NbSnap

__all__ = ["complete"]


def complete(magics: NbSnap, event: Any) -> list[str]:
    """Return what may stand at the cursor of a line of any of the magics."""
    magic = event.command.lstrip("%")
    if magic == "snapshots":
        return _complete_history(magics, event)
    words = event.text_until_cursor.split()[1:]
    typed = event.symbol
    before = words[:-1] if words and not event.text_until_cursor[-1].isspace() else words
    parser = (getattr(magics, f"magic_{magic}", None) or getattr(magics, magic)).parser
    if magic == "autosnapshot":
        return ["0", "60", "300"] if not before else []
    if typed.startswith("-"):
        return sorted(parser._option_string_actions)
    option = next((word for word in reversed(before) if word.startswith("-")), "")
    if option == "--from":
        return _paths(typed)
    if option == "--beside":
        return ["all", "none", *BESIDE]
    if option in ("--only", "--exclude", "--explain"):
        return _variable_names(magics, magic, before[0] if before and not before[0].startswith("-") else "latest")
    return _snapshot_names(magics) if not before else sorted(parser._option_string_actions)


def _complete_history(magics: NbSnap, event: Any) -> list[str]:
    """Return what may stand at the cursor of a %snapshots line: a command, then its options and snapshots."""
    words = event.text_until_cursor.split()[1:]
    before = words[:-1] if words and not event.text_until_cursor[-1].isspace() else words
    if not before or before[0] not in COMMANDS:
        return [*COMMANDS]
    if event.symbol.startswith("-"):
        return sorted(history_parser(before[0])._option_string_actions)
    if next((word for word in reversed(before) if word.startswith("-")), "") in ("--only", "--exclude"):
        return _variable_names(magics, "snapshots", "latest")
    return _snapshot_names(magics) if before[0] in ("show", "diff", "delete", "trust") else []


def _paths(typed: str) -> list[str]:
    """Return files and folders that begin so, as far as they need no quotes."""
    begin = os.path.expanduser(typed)
    found = [path for path in sorted(glob.glob(f"{glob.escape(begin)}*")) if _one_word(path)]
    return [typed + path[len(begin) :] + (os.sep if os.path.isdir(path) else "") for path in found]


def _variable_names(magics: NbSnap, magic: str, reference: str) -> list[str]:
    if magic == "snapshot":
        from nbsnap.namespace import user_names

        return user_names(magics.ip.user_ns, magics.ip.user_ns_hidden)[0]
    try:
        store, notebook = _opened(magics)
        snapshot = store.load(store.resolve(reference, notebook).id)
        return [variable.name for variable in snapshot.variables]
    except Exception:
        return []


def _snapshot_names(magics: NbSnap) -> list[str]:
    try:
        store, notebook = _opened(magics)
        names = [head.name for head in reversed(store.heads(notebook)) if _one_word(head.name)]
        return list(dict.fromkeys([*names, "latest"]))
    except Exception:
        return []


def _opened(magics: NbSnap) -> tuple[Any, str]:
    from nbsnap.store import Store

    place, notebook = magics.at()
    return Store.open(place), notebook


def _one_word(name: str) -> bool:
    return bool(name) and shlex.quote(name) == name
