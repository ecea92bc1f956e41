"""Whether a snapshot comes back: a fresh process restores it, takes it apart again, and compares.

Two things are asked of each variable. Does what came back give the same pieces as are in the store (`fresh`)? And is it
what the session had: a portrait, taken when the snapshot was, is compared with what came back (`portrait`). The second
finds what the first cannot: what was lost while the snapshot was made.

The process begins as the session did: the same Python, `sys.path` without what the session added, the directory where
it began, and its environment; no profile, no IPython. It has no part of the session's terminal, and a limit of time.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

from . import host
from .beside import places
from .model import Snapshot, Variable, Verified, VerifyReport
from .places import settled
from .portrait import Portrait, take

TIMEOUT = 120.0

_PROGRAM = "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); from nbsnap.fresh import main; main()"


_WITHOUT = "compared with itself, saved and loaded once more; %snapshot --verify compares with the session, too"


def picture(variables: Iterable[Variable], names: dict[str, Any]) -> Portrait:
    """Return the portrait of the variables of a snapshot, the smallest first, before anything of it is written."""
    order = [variable.name for variable in sorted(variables, key=lambda variable: variable.size)]
    return take({name: names[name] for name in order}, names, order)


def in_fresh_process(
    record: Snapshot, place: str, portrait: Portrait | None, engine: str, timeout: float
) -> VerifyReport:
    """Let a fresh process restore a snapshot of a store in a folder, and return what it says of each variable."""
    started = time.perf_counter()
    order = {
        "store": settled(place),
        "id": record.head.id,
        "notebook": record.head.notebook,
        "engine": engine,
        "portrait": portrait,
        "seconds": timeout,
    }
    told = _ask(order, timeout)
    problem = told.get("problem", "")
    said = {entry["name"]: Verified(**entry) for entry in told.get("variables", ())}
    notes = tuple(told.get("notes", ()))
    if portrait is None and not problem:
        notes += (_WITHOUT,)
    missing = problem or "nothing was said of it"
    return VerifyReport(
        id=record.head.id,
        name=record.head.name,
        store=place,
        variables=tuple(
            said.get(variable.name) or Verified(variable.name, variable.type, "unknown", variable.name, missing)
            for variable in record.variables
        ),
        seconds=time.perf_counter() - started,
        problem=problem,
        notes=notes,
    )


def _ask(order: Mapping[str, Any], timeout: float) -> dict[str, Any]:
    """Return what the process says at its end; `problem` tells why it says nothing."""
    directory = host.began_in()
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, json.dumps(places.at_start())],
        cwd=directory if os.path.isdir(directory) else None,
        env={**os.environ, "MPLBACKEND": "Agg"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is ours: it is ended, and says nothing
    )
    try:
        out, errors = process.communicate(json.dumps(order).encode(), timeout)
    except subprocess.TimeoutExpired:
        return {"problem": f"the fresh process took longer than {timeout:g} s and was ended"}
    finally:
        if process.poll() is None:
            _end(process)
    with contextlib.suppress(ValueError):
        told = json.loads(out)
        if isinstance(told, dict):
            return told
    return {"problem": _why(process.returncode, errors)}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process with all that it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (AttributeError, OSError):  # no such thing here, or it has just ended
        process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):  # of what nobody has read
                pipe.close()


def _why(code: int, errors: bytes) -> str:
    lines = [line.strip() for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
    said = f": {lines[-1][:200]}" if lines else ""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"the fresh process was ended by {signal.Signals(-code).name}{said}"
    return f"the fresh process ended with exit code {code}{said}"
