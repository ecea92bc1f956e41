"""What `nbsnap export`, `import` and `sync` take; `carrying` does them. Imports nothing of the package."""

from __future__ import annotations

import argparse

__all__ = ["COMMANDS", "add"]

_SNAPSHOT = "a name, the beginning of an id, latest, or latest~2: the second before it"

#: What each command is for. Only `sync` is told both stores; the others take `--store`.
COMMANDS = {
    "export": "Write snapshots into one file, with all that they need.",
    "import": "Bring the snapshots of such a file into a store. Nothing is loaded.",
    "sync": "Copy the snapshots of store A that store B lacks, and of their pieces only those that it lacks.",
}


def add(parser: argparse.ArgumentParser, command: str) -> None:
    """Give a parser the arguments of a command."""
    if command == "export":
        parser.add_argument(
            "words",
            metavar="[SNAPSHOT …] FILE",
            nargs="+",
            help=f"what to write ({_SNAPSHOT}; default: latest), and last the file",
        )
        parser.add_argument("--all", action="store_true", help="all snapshots of the store, or of --notebook")
        parser.add_argument("--force", action="store_true", help="replace FILE if it is there")
    else:
        for place, text in _PLACES[command]:
            parser.add_argument(place.lower(), metavar=place, help=text)
        parser.add_argument(
            "snapshots", metavar="SNAPSHOT", nargs="*", help=f"only these ({_SNAPSHOT}; default: all of them)"
        )
    if command == "sync":
        parser.add_argument("--both", action="store_true", help="then copy what A lacks from B, too")
    parser.add_argument("--dry-run", action="store_true", help="say what would be copied; write nothing")


_PLACES = {
    "import": (("FILE", "what nbsnap export has written; or another store"),),
    "sync": (
        ("A", "the store to copy from: a folder, a URL, or a file that nbsnap export has written"),
        ("B", "the store to copy into, which is made if it is not there"),
    ),
}
