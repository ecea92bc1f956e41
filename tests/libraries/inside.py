"""What runs inside the two sessions of a library: the rows' code in `__main__`, the snapshot or restore, the checks.

It writes what it found to a file as JSON, because libraries print. Nothing of it stays in the session's namespace.
"""

from __future__ import annotations

import ast
import json
import linecache
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .table import Row, all_libraries


def save(title: str, answer: str, chosen: Sequence[int] = ()) -> None:
    """Run the rows, take a snapshot, look at everything, and write all of it down."""
    import nbsnap

    session = _session()
    names: list[list[str]] = []
    rows = _rows(title, chosen)
    for number, row in enumerate(rows):
        before = dict(session)
        _run(row.code, f"<{title} {number}>", session)
        names.append([name for name, value in session.items() if name not in before or before[name] is not value])
    report = nbsnap.snapshot(include_secrets=True)  # a session of requests has a password
    found = {"report": report.to_dict(), "names": names, "looks": [_look(row, session) for row in rows]}
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


def restore(title: str, answer: str, chosen: Sequence[int] = ()) -> None:
    """Restore into an empty session, look at everything, and write all of it down."""
    import nbsnap

    session = _session()
    report = nbsnap.restore()
    found = {"report": report.to_dict(), "looks": [_look(row, session) for row in _rows(title, chosen)]}
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


def _session() -> dict[str, Any]:
    return vars(sys.modules["__main__"])


def _rows(title: str, chosen: Sequence[int]) -> list[Row]:
    rows = all_libraries()[title].rows
    return [rows[number] for number in chosen] if chosen else list(rows)


def _run(source: str, name: str, session: dict[str, Any]) -> None:
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    exec(compile(source, name, "exec"), session)


def _look(row: Row, session: dict[str, Any]) -> dict[str, str]:
    """Return for each check what came out: "True" for what holds, the repr for what must be the same, or an error."""
    looks = {}
    for check in row.holds:
        looks[check] = _value(check, session, lambda value: str(bool(value)))
    for check in row.same:
        looks[check] = _value(check, session, repr)
    return looks


def _value(source: str, session: dict[str, Any], shown: Any) -> str:
    """Run a check's statements and return what its last line, an expression, gives."""
    tree = ast.parse(source)
    last = tree.body.pop()
    assert isinstance(last, ast.Expr), f"not an expression: {source}"
    names = dict.fromkeys(session)
    try:
        exec(compile(tree, "<check>", "exec"), session)
        return str(shown(eval(compile(ast.Expression(last.value), "<check>", "eval"), session)))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        for name in set(session) - set(names):
            del session[name]
