"""The command line: `nbsnap list | show | diff | delete | prune | trust | check | env | export | import | sync | …`.

Nothing here unpickles anything, so that it is safe on a store of unknown origin; and it starts without IPython, numpy
or pickle. Each command is a function from its arguments to an exit code; what it says goes to stdout (text, or with
`--json` one JSON document), and what went wrong to stderr in one line.

    0   done
    1   something else went wrong
    2   the command was not understood
    3   no such snapshot
    4   no such store, or it cannot be read
    5   made by a later nbsnap
    6   damage was found, or could not be repaired
    8   there are differences (diff --exit-code)
    9   a snapshot that you did not make, as far as can be told
    130 stopped by Ctrl-C
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import difflib
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from nbsnap import __version__, carryline, keyline, recreating
from nbsnap.arguments import COMMANDS, add
from nbsnap.errors import NbSnapError, SnapshotNotFound

if TYPE_CHECKING:
    from nbsnap.layout import Sheet
    from nbsnap.model import Jsonable
    from nbsnap.profile import Change
    from nbsnap.store import Store

__all__ = ["main", "parser"]

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        args = parser().parse_args(arguments)
        command: Command = args.run
        code = command(args)
        sys.stdout.flush()
        return code
    except NbSnapError as error:
        return _failed(str(error), error.exit_code)
    except BrokenPipeError:  # the reader (`| head`) has seen enough; spare Python's own complaint at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _failed(f"{error.filename or ''}: {error.strerror or error}".lstrip(": "), 1)
    except KeyboardInterrupt as stop:
        return _failed(f"interrupted{stop}", 130)


def entry() -> NoReturn:
    """Run the command of this process, and end it."""
    code = main()
    if "nbsnap.remote" in sys.modules:  # threads of Rust, which abort a process when they come back too late
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def _failed(message: str, code: int) -> int:
    from nbsnap.wording import to_stderr

    to_stderr(f"nbsnap: {message}")
    return code


# ---- arguments -------------------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    """Return the parser that says all that can be asked."""
    top = argparse.ArgumentParser(
        "nbsnap",
        description="Look after the snapshots that %snapshot made. Nothing here loads what they hold.",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"nbsnap {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    for name, (text, _) in COMMANDS.items():
        one = _command(commands, name, _history, text, store=True, notebook=name != "check")
        add(one, name)
        if name == "diff":
            one.add_argument("--exit-code", action="store_true", help="exit with 8 if anything is different")
        one.set_defaults(command=name)

    for name, text in carryline.COMMANDS.items():
        one = _command(commands, name, _carry, text, store=name != "sync", notebook=True)
        carryline.add(one, name)
        one.set_defaults(command=name)
    text = "Write a requirements file, or one for conda, that makes the environment of a snapshot again."
    one = _command(commands, "env", _env, text, store=True, notebook=True)
    recreating.add(one)

    text = "Let every IPython and kernel of a profile load nbsnap when it starts."
    one = _command(commands, "enable", _enable, text)
    one.add_argument("--profile", metavar="NAME", default="default", help="the IPython profile (default: default)")

    one = _command(commands, "key", _key, "Show the id of the key that signs your snapshots, or move it to a machine.")
    keyline.add(one)

    one = _command(commands, "disable", _disable, "Take out of the profile what enable put in.")
    one.add_argument("--profile", metavar="NAME", default="default", help="the IPython profile (default: default)")
    return top


def _command(
    commands: Any, name: str, run: Command, text: str, *, store: bool = False, notebook: bool = False
) -> argparse.ArgumentParser:
    help_text = text[0].lower() + text[1:].rstrip(".")
    one: argparse.ArgumentParser = commands.add_parser(name, help=help_text, description=text, allow_abbrev=False)
    one.set_defaults(run=run)
    if store:
        one.add_argument(
            "--store", metavar="PLACE", help="the store, a folder or a URL (default: $NBSNAP_STORE, else ./.nbsnap)"
        )
    if notebook:
        one.add_argument("--notebook", metavar="NAME", help="only the snapshots of this notebook (default: of all)")
    one.add_argument("--json", action="store_true", help="print JSON, for programs")
    return one


# ---- commands --------------------------------------------------------------------------------------------------------


def _history(args: argparse.Namespace) -> int:
    from nbsnap.history import Asked, answer

    store = _opened(args)
    notebook = _notebook(store, args.notebook) if args.command != "check" else None
    report, sheet, code = answer(args.command, Asked(args, store, notebook, "nbsnap"))
    if args.json:
        _print_json(_record(args.command, report, store))
    else:
        _print(sheet)
    if args.command == "list":
        for problem in store.problems:
            _failed(problem, 0)
    return code


def _record(command: str, report: Jsonable, store: Store) -> dict[str, Any]:
    from nbsnap import trusting
    from nbsnap.model import Snapshot

    record = report.to_dict()
    if isinstance(report, Snapshot):  # the rest is how it is kept
        trust = {"trust": trusting.judge(report, stranger=store.stranger()), "signature": report.signature}
        return {key: record[key] for key in _SHOWN} | trust
    ok = getattr(report, "ok", None)
    return record if ok is None else {"ok": ok, **record}


def _carry(args: argparse.Namespace) -> int:
    from nbsnap.carrying import run

    record, sheets, code = run(args, _notebook)
    if args.json:
        _print_json(record)
    else:
        for sheet in sheets:
            _print(sheet)
    return code


_SHOWN = (
    "head", "variables", "skips", "packages", "history", "cwd", "distributions", "local", "environment",
)  # fmt: skip


def _env(args: argparse.Namespace) -> int:
    store = _opened(args)
    text = recreating.run(args, store, _notebook(store, args.notebook))
    if text:
        _say(text.rstrip("\n"))
    return 0


def _key(args: argparse.Namespace) -> int:
    record, lines = keyline.run(args)
    if args.json:
        _print_json(record)
    else:
        _say("\n".join(lines))
    return 0


def _enable(args: argparse.Namespace) -> int:
    from nbsnap.profile import enable

    return _changed(enable(args.profile), args)


def _disable(args: argparse.Namespace) -> int:
    from nbsnap.profile import disable

    return _changed(disable(args.profile), args)


def _changed(change: Change, args: argparse.Namespace) -> int:
    if args.json:
        _print_json(change.to_dict())
        return 0
    from nbsnap.wording import clean

    loads = "loads nbsnap" if change.enabled else "does not load nbsnap"
    if change.changed:
        loads = "now loads nbsnap" if change.enabled else "no longer loads nbsnap"
    what = change.what if change.changed else "nothing to change"
    _say(clean(f"{change.file}: {what}; IPython's profile {change.profile} {loads}"))
    return 0


# ---- shared ----------------------------------------------------------------------------------------------------------


def _opened(args: argparse.Namespace) -> Store:
    from nbsnap import host
    from nbsnap.store import Store

    place = args.store or host.default_store(reading=True)[0]
    if getattr(args, "repair", False):
        from nbsnap.repairing import opened

        return opened(place)
    return Store.open(place)


def _notebook(store: Store, asked: str | None) -> str | None:
    """Return the notebook as the store knows it: the whole name as it was asked for, else the only one that ends so."""
    if asked is None:
        return None
    known = sorted({head.notebook for head in store.notebooks()})
    if asked in known:
        return asked
    ends = [name for name in known if name.endswith((f"/{asked}", f"/{asked}.ipynb"))]
    ends += [name for name in known if name == f"{asked}.ipynb"]
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise SnapshotNotFound(f"{asked!r} may be {' or '.join(ends[:5])}")
    close = difflib.get_close_matches(asked, known, n=3)
    help_line = f"did you mean {' or '.join(close)}?" if close else "nbsnap list shows what there is"
    raise SnapshotNotFound(f"no snapshot of notebook {asked!r} in {store.place}; {help_line}")


def _print(sheet: Sheet) -> None:
    from nbsnap.layout import to_text

    width = max(50, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None
    _say(to_text(sheet, width))


def _say(text: str) -> None:
    from nbsnap.wording import encodable

    print(encodable(text, sys.stdout.encoding))


def _print_json(record: Any) -> None:
    print(json.dumps(record, ensure_ascii=True, indent=2))
