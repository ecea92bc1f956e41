"""Which cell bound a name: read from the text of the cells when it is asked for, never tracked while they run.

A cell binds a name where its top level assigns, imports, defines, loops over or catches it. The last cell that does
counts. What a cell binds by other means (`exec`, `%run`, `globals()[…]`) is not seen, and then there is no answer.
What a restore brought back was made in a cell of an earlier session, as the snapshot tells, until a cell binds it anew.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from .model import Variable

#: Cell magics whose body is Python that runs in the user's namespace.
_PYTHON_MAGICS = frozenset(["time", "timeit", "capture", "prun", "snapshot"])


#: Name -> (the cell that restored it, the cell that had bound it, its line), in this process's session.
_restored: dict[str, tuple[int, int, str]] = {}
#: Name -> (the cell that restored it, where its text is: `Variable.source`).
_texts: dict[str, tuple[int, str]] = {}


def restored(variables: Sequence[Variable], history: Sequence[tuple[int, str]]) -> None:
    """Note what the cell that runs now, the last of `history`, has brought back into the session."""
    now = history[-1][0] if history else 0
    _restored.update((v.name, (now, v.cell, v.code)) for v in variables if v.cell is not None)
    _texts.update((v.name, (now, v.source)) for v in variables)


def class_text(name: str, history: Sequence[tuple[int, str]]) -> tuple[str, int] | str:
    """Return the cell with the class statement that bound `name`, and the line; or what a restore has told, or ""."""
    since, told = _texts.get(name, (-1, ""))
    for count, source in reversed(history):
        if count < since:
            break
        if bound := [line for other, line in _class_lines(source) if other == name]:
            return source, bound[-1]
        if any(other == name for other, _ in _bound(source)):
            return ""
    return told


Restored = dict[str, tuple[int, int, str]]


def known() -> Restored:
    """Return what is known now of what restores have brought, for `binders`."""
    return dict(_restored)


def put_back(made: Mapping[str, tuple[int, str]], history: Sequence[tuple[int, str]]) -> None:
    """Note where the values were made that the cell that runs now, the last of `history`, has put back."""
    now = history[-1][0] if history else 0
    _restored.update((name, (now, *origin)) for name, origin in made.items())


def binders(history: Iterable[tuple[int, str]], restored: Restored | None = None) -> dict[str, tuple[int, str]]:
    """Return, for each name that a cell of `history` (execution count, source) binds, its count and the line."""
    found: dict[str, tuple[int, str]] = {}
    for count, source in history:
        for name, line in _bound(source):
            found[name] = (count, line)
    for name, (since, count, line) in (_restored if restored is None else restored).items():
        if name not in found or found[name][0] < since:
            found[name] = (count, line)
    return found


@functools.lru_cache(maxsize=4096)
def _bound(source: str) -> tuple[tuple[str, str], ...]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    lines = source.split("\n")
    found: list[tuple[str, str]] = []
    for statement in tree.body:
        body = magic_body(statement)
        if body is not None:
            found.extend(_bound(body))
            continue
        line = _first_line(lines, statement)
        found.extend((name, line) for name in names_bound(statement))
    return tuple(found)


@functools.lru_cache(maxsize=256)
def _class_lines(source: str) -> tuple[tuple[str, int], ...]:
    if "class" not in source:
        return ()
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    return tuple((node.name, node.lineno) for node in body if isinstance(node, ast.ClassDef))


def _first_line(lines: list[str], statement: ast.stmt) -> str:
    """Return a statement's text as far as its first line goes, without what stands before or behind it."""
    if statement.lineno > len(lines):
        return ""
    line = lines[statement.lineno - 1].encode()
    end = statement.end_col_offset if statement.end_lineno == statement.lineno else None
    return line[statement.col_offset : end].decode().strip()


def magic_body(statement: ast.stmt) -> str | None:
    """Return the Python inside `get_ipython().run_cell_magic('time', '', body)`, as IPython writes a cell magic."""
    match statement:
        case ast.Expr(
            value=ast.Call(
                func=ast.Attribute(attr="run_cell_magic"),
                args=[ast.Constant(value=str(magic)), ast.Constant(), ast.Constant(value=str(body))],
            )
        ) if magic in _PYTHON_MAGICS:
            return body
        case ast.Expr(
            value=ast.Call(
                func=ast.Attribute(attr="run_line_magic"),
                args=[ast.Constant(value="time"), ast.Constant(value=str(body))],
            )
        ):
            return body
    return None


def names_bound(node: ast.AST) -> Iterator[str]:
    """Yield the names that a statement binds at the top level of its cell."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
            yield from _declared_global(node)
            return
        case ast.Lambda():
            return
        case ast.Name(id=name, ctx=ast.Store()):
            yield name
        case ast.Import(names=aliases):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in aliases)
        case ast.ImportFrom(names=aliases):
            yield from (alias.asname or alias.name for alias in aliases if alias.name != "*")
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            yield from (n.target.id for n in ast.walk(node) if isinstance(n, ast.NamedExpr))
            return
    for child in ast.iter_child_nodes(node):
        yield from names_bound(child)


def _declared_global(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Global):
            yield from inner.names
