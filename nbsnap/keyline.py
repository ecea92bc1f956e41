"""`nbsnap key`: the keys that sign (`keys`), as the command line shows and moves them. The secret is never shown."""

from __future__ import annotations

import argparse
from typing import Any

from nbsnap import keys

__all__ = ["add", "run"]


def add(parser: argparse.ArgumentParser) -> None:
    """Give the parser of `nbsnap key` its actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    text = "Show the id of your key, where it lies, and which others are known here."
    _json(actions.add_parser("show-id", help=text, description=text, allow_abbrev=False))
    text = "Write your key into a new file, to take it to another machine of yours. Who has it can sign as you."
    one = _json(actions.add_parser("export", help=text, description=text, allow_abbrev=False))
    one.add_argument("file", metavar="FILE")
    text = "Trust what was signed with an exported key as your own."
    one = _json(actions.add_parser("import", help=text, description=text, allow_abbrev=False))
    one.add_argument("file", metavar="FILE")
    one.add_argument("--own", action="store_true", help="sign with it from now on; the key before it stays known")


def _json(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    return parser


def run(args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Do what was asked; return it as a record and as lines."""
    return _ACTIONS[args.action](args)


def _show(args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    found = keys.known()
    own = next((key for key in found if key.own), None)
    record = {
        "id": own.id if own else "",
        "file": own.file if own else "",
        "known": [{"id": key.id, "file": key.file, "own": key.own} for key in found],
        "problems": list(keys.problems),
    }
    lines = [f"{own.id}  {own.file}" if own else f"there is no key yet: the first %snapshot makes one in {keys.home()}"]
    lines += [f"{key.id}  {key.file}  (known, does not sign)" for key in found if not key.own]
    return record, lines + keys.problems


def _export(args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    key = keys.export(args.file)
    line = f"{args.file}: your key {key.id}. Take it to your other machine, `nbsnap key import` it there, remove it."
    return {"id": key.id, "file": args.file}, [line]


def _import(args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    key, new = keys.import_(args.file, sign=args.own)
    what = "signs from now on" if key.own else "is known now: what it has signed counts as yours"
    if not new and not args.own:
        what = "is your own" if key.own else "was known already"
    return {"id": key.id, "file": key.file, "own": key.own, "new": new}, [f"the key {key.id} {what} ({key.file})"]


_ACTIONS = {"show-id": _show, "export": _export, "import": _import}
