"""How what was not saved is made again: which statements of which cells, and what running them may change.

A cell often does more than make the one name that is missing: it reads a table for a minute and opens a connection
besides. So statements are chosen, not cells:

- of the last cell that binds a wanted name, those statements that bind or read it;
- what these read and the session does not have (another connection, say) is wanted, too, from the last cell that binds
  it, that one or one before;
- so on, until nothing is missing; then in the order in which they were run at first.

Names that the session has are left as they are: a chosen statement that binds one of them, too
(`table, db = open_all()`), runs, and the name gets its value back. What a cell does by other means (`exec`, `%run`)
is not seen, nor what a later cell did to the object.

Reads text and namespaces, runs nothing by itself.
"""

from __future__ import annotations

import ast
import builtins
import functools
import symtable
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from . import provenance
from .model import Step

__all__ = ["Plan", "plan"]


@dataclass(frozen=True)
class _Statement:
    text: str
    binds: frozenset[str]
    reads: frozenset[str]


@dataclass(frozen=True)
class Plan:
    """What has to be run.

    `makes` are the names that it makes, in the order in which they are made; `unknown` those wanted that no cell binds.
    """

    steps: tuple[Step, ...]
    makes: tuple[str, ...]
    unknown: tuple[str, ...]


def plan(cells: Sequence[tuple[int, str]], wanted: Iterable[str], there: Collection[str]) -> Plan:
    """Return how `wanted` names are made again in a session that has the names `there`.

    `cells` are (execution count, Python source), in the order in which they were run.
    """
    statements = [(count, _statements(source)) for count, source in cells]
    homes: dict[int, set[str]] = {}  # place of a cell -> the names that are to be made by it
    unknown: list[str] = []
    todo = [(name, len(cells)) for name in dict.fromkeys(wanted)]
    done: set[tuple[str, int]] = set()
    while todo:
        name, before = todo.pop(0)
        if (name, before) in done:
            continue
        done.add((name, before))
        home = next((at for at in reversed(range(before)) if any(name in s.binds for s in statements[at][1])), None)
        if home is not None:
            homes.setdefault(home, set()).add(name)
            for at, names in homes.items():
                todo += _missing(_chosen(statements[at][1], names), at, there)
        elif before == len(cells):
            unknown.append(name)
    steps = []
    for at, here in sorted(homes.items()):
        chosen = _chosen(statements[at][1], here)
        code = "\n".join(statement.text for statement in chosen)
        binds = frozenset[str]().union(*(statement.binds for statement in chosen))
        steps.append(Step(statements[at][0], code, tuple(sorted(binds & here)), tuple(sorted(binds - here))))
    return Plan(tuple(steps), tuple(dict.fromkeys(name for step in steps for name in step.makes)), tuple(unknown))


def _missing(chosen: Sequence[_Statement], at: int, there: Collection[str]) -> list[tuple[str, int]]:
    """Return what statements of the cell at that place read and nothing gives them, and before which cell to look."""
    found: list[tuple[str, int]] = []
    bound: set[str] = set()
    for statement in chosen:
        missing = sorted(statement.reads - set(there) - _BUILTIN - bound)
        found += [(name, place) for name in missing for place in (at, at + 1)]  # `con = wrap(con)`; a function below
        bound |= statement.binds
    return found


def _chosen(statements: Sequence[_Statement], names: Collection[str]) -> list[_Statement]:
    """Return the statements of a cell that bind one of the names, or do something with it."""
    return [s for s in statements if not s.binds.isdisjoint(names) or not s.reads.isdisjoint(names)]


@functools.lru_cache(maxsize=4096)
def _statements(source: str) -> tuple[_Statement, ...]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    found: list[_Statement] = []
    for node in tree.body:
        if (body := provenance.magic_body(node)) is not None:
            found.extend(_statements(body))
            continue
        text = _text(source, node)
        binds = frozenset(provenance.names_bound(node))
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.append(_Statement(text, binds, frozenset()))
        elif not isinstance(node, ast.Delete):
            found.append(_Statement(text, binds, _reads(text)))
    return tuple(found)


def _text(source: str, node: ast.stmt) -> str:
    """Return a statement as it was typed, decorators and all."""
    begin = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
    lines = source.split("\n")[begin - 1 : node.end_lineno]
    whole = "\n".join(lines)
    if begin == node.lineno and (node.col_offset or ";" in lines[-1]):  # one of several in a line
        return ast.get_source_segment(source, node) or whole
    return whole


def _reads(text: str) -> frozenset[str]:
    """Return the names of the session that a statement reads, in functions and comprehensions too."""
    try:
        table = symtable.symtable(text, "<cell>", "exec")
    except (SyntaxError, ValueError, RecursionError):
        return frozenset()
    found = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced()}
    todo = list(table.get_children())
    while todo:
        inner = todo.pop()
        found.update(s.get_name() for s in inner.get_symbols() if s.is_global() and s.is_referenced())
        todo.extend(inner.get_children())
    return frozenset(found)


_BUILTIN = frozenset(dir(builtins)) | {"get_ipython", "display"}
