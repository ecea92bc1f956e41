"""Secrets in the text of cells, masked: `token = "ghp_…"` is kept as `token = "•••"`.

The text of cells goes into the manifest (what `%snapshots show` says of a variable, `diff`, `--rerun`), so it passes
through the same sieve as the values. Three things are masked:

- what the sieve knows by its text, wherever it stands, in comments too;
- literals that are bound to the name of a secret: assigned, given as a keyword, a default or the value of a key, or
  compared with; and what follows such a name on a line of a shell or a magic (`%env TOKEN=…`, `!curl -H …`);
- the values of variables that are secrets by now, wherever they stand: `a = "…"; password = a`.

What only says where a secret comes from stays: `getpass("Password: ")`, `os.environ["TOKEN"]`, `open("token.txt")`.
A masked text has the lines of the original, and still is Python where that was. Nothing is run.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable, Iterator, Sequence

from .called import degree, holds_secrets, may_name, words_of
from .model import MASK
from .sieve import Sieve

__all__ = ["is_masked", "mask_cells", "mask_code"]

#: Cell magics whose body is Python.
_PYTHON_MAGICS = frozenset(["time", "timeit", "capture", "prun", "snapshot", "debug"])


def is_masked(code: str) -> bool:
    """Tell whether something in a text was masked: it cannot be run any more."""
    return MASK in code


def mask_cells(
    cells: Iterable[tuple[int, str]], sieve: Sieve, known: tuple[str, ...] = ()
) -> tuple[tuple[int, str], ...]:
    """Return cells (execution count, source) with their secrets masked."""
    return tuple((count, mask_code(source, sieve, known)) for count, source in cells)


def mask_code(source: str, sieve: Sieve, known: tuple[str, ...] = ()) -> str:
    """Return the text of a cell with its secrets masked; `known` are values that are secrets."""
    masked = _mask_code(source, sieve)
    return sieve.mask(masked, known) if known else masked


@functools.lru_cache(maxsize=8192)
def _mask_code(source: str, sieve: Sieve) -> str:
    if sieve.names or "-u" in source or may_name(source):
        source = _mask_named(source, sieve)
    return sieve.mask(source)


def _mask_named(source: str, sieve: Sieve) -> str:
    if "\r" in source.replace("\r\n", "\n"):  # a line ends there for Python, too
        return _mask_shell(source, sieve)
    lines = source.split("\n")
    first = next((line for line in lines if line.strip()), "")
    if first.startswith("%%") and first[2:].split(" ")[0].strip() not in _PYTHON_MAGICS:
        return _mask_shell(source, sieve)
    python = list(lines)
    foreign = [at for at, line in enumerate(lines) if _FOREIGN.match(line)]
    for at in foreign:
        indent = len(lines[at]) - len(lines[at].lstrip())
        python[at] = f"{lines[at][:indent]}0"
    try:
        tree = ast.parse("\n".join(python))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _mask_shell(source, sieve)
    for at in foreign:
        lines[at] = _mask_shell(lines[at], sieve)
    finder = _Finder("\n".join(python), sieve)
    try:
        finder.visit(tree)
    except RecursionError:
        return _mask_shell(source, sieve)
    starts = _starts(lines)
    text = "\n".join(lines)
    last = len(text)
    for node, replacement in sorted(finder.found, key=lambda one: _place(one[0]), reverse=True):
        begin, end = (
            _offset(lines, starts, node.lineno, node.col_offset),
            _offset(lines, starts, node.end_lineno or node.lineno, node.end_col_offset or 0),
        )
        if end <= last:
            breaks = text.count("\n", begin, end)
            new = replacement if not breaks else f'"""{MASK}' + "\n" * breaks + '"""'
            text, last = text[:begin] + new + text[end:], begin
    return text


#: Lines that are no Python: magics, shells, questions.
_FOREIGN = re.compile(r"\s*(?:[%!?]|[\w.,\[\]'\" ]+=\s*(?:!|%(?!=))|[\w.]+\?{1,2}\s*$)")


def _place(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _starts(lines: Sequence[str]) -> list[int]:
    starts, at = [], 0
    for line in lines:
        starts.append(at)
        at += len(line) + 1
    return starts


def _offset(lines: Sequence[str], starts: Sequence[int], line: int, column: int) -> int:
    """Return where in the text a place is that the parser tells, in bytes of its line."""
    text = lines[line - 1]
    return starts[line - 1] + (column if text.isascii() else len(text.encode()[:column].decode()))


_QUOTED = f'"{MASK}"'
#: What is called with a literal that it merely wraps.
_WRAPS = frozenset(
    [
        "str",
        "bytes",
        "bytearray",
        "SecretStr",
        "SecretBytes",
        "Secret",
        "b64decode",
        "b64encode",
        "fromhex",
        "unhexlify",
        "quote",
        "quote_plus",
        "dedent",
    ]
)
_SECRET_CLASSES = frozenset(
    {"SecretStr", "SecretBytes", "Secret", "AzureKeyCredential", "Fernet", "AzureSasCredential"}
)
_BASIC_AUTH = frozenset({"HTTPBasicAuth", "HTTPDigestAuth", "BasicAuth", "DigestAuth"})
_SHELLS = frozenset(
    [
        "run_line_magic",
        "run_cell_magic",
        "system",
        "getoutput",
        "system_raw",
        "run",
        "check_output",
        "check_call",
        "Popen",
        "call",
        "magic",
    ]
)
_ENVIRONMENT = frozenset({"environ", "putenv", "setenv", "set_env"})


class _Finder(ast.NodeVisitor):
    """Finds the literals to be masked."""

    def __init__(self, source: str, sieve: Sieve) -> None:
        self.source = source
        self.sieve = sieve
        self.found: list[tuple[ast.expr, str]] = []
        self.seen: set[int] = set()

    def mask(self, node: ast.expr, replacement: str = _QUOTED) -> None:
        if id(node) not in self.seen:
            self.seen.add(id(node))
            self.found.append((node, replacement))

    # --- where a name and a value meet ----------------------------------------------------------------------------

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self.bind(target, node.value)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.bind(node.target, node.value)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.bind(node.target, node.value)
        self.generic_visit(node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.bind(node.target, node.value)
        self.generic_visit(node)

    def visit_Dict(self, node: ast.Dict) -> None:
        for key, value in zip(node.keys, node.values, strict=True):
            if (name := _text(key)) is not None:
                self.judge(name, value)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        sides = [node.left, *node.comparators]
        for side in sides:
            if name := _name(side):
                for other in sides:
                    if isinstance(other, ast.Constant):
                        self.judge(name, other)
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        args = node.args
        named = [*args.posonlyargs, *args.args]
        for arg, default in zip(named[len(named) - len(args.defaults) :], args.defaults, strict=True):
            self.judge(arg.arg, default)
        for arg, only in zip(args.kwonlyargs, args.kw_defaults, strict=True):
            if only is not None:
                self.judge(arg.arg, only)
        self.generic_visit(node)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815
    visit_Lambda = visit_FunctionDef  # noqa: N815

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for keyword in node.keywords:
            if keyword.arg:
                self.judge(keyword.arg, keyword.value)
        sure = called in _ENVIRONMENT
        for before, value in zip(node.args, node.args[1:], strict=False):
            if (name := _text(before)) is not None:
                self.judge(name, value, sure=sure)
        if called in _SECRET_CLASSES:
            for argument in node.args[:1]:
                self.judge("password", argument)
        elif called in _BASIC_AUTH and len(node.args) > 1:
            self.judge("password", node.args[1])
        elif words_of(called)[:1] in (("set",), ("use",), ("login",)) and degree(called) and node.args:
            self.judge("password", node.args[-1])
        if called in _SHELLS:
            self.shell(node, called)
        self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Not looked into: places in there are not told before Python 3.12."""

    def shell(self, node: ast.Call, called: str) -> None:
        """Mask what is handed to a shell or a magic as a text."""
        python = called == "run_cell_magic" and bool(node.args) and _text(node.args[0]) in _PYTHON_MAGICS
        magic = _text(node.args[0]) if node.args and called.startswith("run_") and called != "run" else None
        for argument in ast.walk(node):
            text = _text(argument)
            if text is None or id(argument) in self.seen or not isinstance(argument, ast.Constant):
                continue
            if python:
                masked = mask_code(text, self.sieve)
            else:
                line = f"%{magic} {text}" if magic in ("env", "set_env") else text
                masked = _mask_shell(_mask_env(line, self.sieve), self.sieve)[len(line) - len(text) :]
            if masked != text:
                self.mask(argument, repr(masked))

    def bind(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple | ast.List):
            if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts):
                for one, held in zip(target.elts, value.elts, strict=True):
                    self.bind(one, held)
            return
        if name := _name(target):
            held_by = target.value if isinstance(target, ast.Subscript) else None
            self.judge(name, value, sure=held_by is not None and _name(held_by) in _ENVIRONMENT)

    # --- what of a value is a literal -----------------------------------------------------------------------------

    def judge(self, name: str, value: ast.expr, *, sure: bool = False) -> None:
        """Mask the literals of a value that goes by a name; `sure`: it is a variable of the environment."""
        if not degree(name) and not self.sieve.is_named(name):
            return
        literals = list(_literals(value))
        whole = "".join(text for _, text in literals)
        if sure and degree(name) == "weak" and not self.sieve.allows(name):
            name = "password"
        if len(literals) > 1 and self.sieve.by_name(name, whole):
            found = [node for node, text in literals if text.strip()]
        else:
            found = [node for node, text in literals if self.sieve.by_name(name, text)]
        if isinstance(value, ast.Tuple) and len(value.elts) == 2 and words_of(name)[-1:] == ("auth",):
            self.judge("password", value.elts[1])
        elif isinstance(value, ast.List | ast.Tuple | ast.Set | ast.Dict) and holds_secrets(name):
            held = value.values if isinstance(value, ast.Dict) else value.elts
            for node in held:
                found += [one for one, text in _literals(node) if self.sieve.by_shape(text)]
        for node in found:
            self.mask(node)


#: Shorter texts between the values of an f-string are no secrets: `f"sk-{key}"`.
_WRITTEN = 6


def _text(node: ast.AST | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _name(node: ast.expr) -> str:
    """Return the name by which a value is known: of a variable, an attribute, an item."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
        case ast.Starred(value=inner):
            return _name(inner)
    return ""


def _literals(node: ast.expr) -> Iterator[tuple[ast.expr, str]]:
    """Yield the literals that make up a value, with their texts."""
    match node:
        case ast.Constant(value=str(text)):
            yield node, text
        case ast.Constant(value=bytes(data)):
            yield node, data.decode("latin-1")
        case ast.JoinedStr(values=parts):
            text = "".join(str(part.value) for part in parts if isinstance(part, ast.Constant)).strip()
            if len(text) >= _WRITTEN:
                yield node, text
        case ast.BinOp(left=left, right=right):
            yield from _literals(left)
            yield from _literals(right)
        case ast.IfExp(body=first, orelse=second):
            yield from _literals(first)
            yield from _literals(second)
        case ast.BoolOp(values=values):
            for value in values:
                yield from _literals(value)
        case ast.Call(func=ast.Attribute(value=ast.Constant() as inner)):
            yield from _literals(inner)
        case ast.Call(func=func, args=[inner, *_]) if (
            func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
        ) in _WRAPS:
            yield from _literals(inner)
        case ast.Subscript(value=ast.Constant() as inner) | ast.Starred(value=inner) | ast.Await(value=inner):
            yield from _literals(inner)


# ---- lines that are no Python ----------------------------------------------------------------------------------------

_PAIR = re.compile(
    r"""(?P<name>[A-Za-z_][\w.-]*)["']?\]?
        (?P<between>\s*=\s*|\s*:\s*[A-Za-z_][\w.\[\] |]*=\s*(?=[rRbBuUfF]{0,2}["'])|\s*:\s+|:(?!//)|[ ]+)
        (?:[rRbBuUfF]{1,2}(?=["']))?
        (?P<value>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[^\s"'|&;()<>]+)""",
    re.VERBOSE,
)
_USER = re.compile(r"(?<=\s)(?:-u|--user)[ =]+[\"']?[^\s:\"']+:(?P<value>[^\s\"']+)")


_ENV = re.compile(r"(?P<before>\s*%(?:set_)?env\s+(?P<name>\w+)(?:=|[ ]+))(?P<value>.+)", re.DOTALL)


def _mask_env(text: str, sieve: Sieve) -> str:
    """Mask the value of a `%env` of a secret's name: all that stands behind it."""
    if (match := _ENV.fullmatch(text)) is None:
        return text
    name = match["name"] if sieve.allows(match["name"]) or not degree(match["name"]) else "password"
    return match["before"] + MASK if sieve.by_name(name, match["value"]) else text


def _mask_shell(text: str, sieve: Sieve) -> str:
    """Mask what stands behind the name of a secret in a text that is no Python."""
    text = sieve.mask(text)
    text = "\n".join([_mask_env(line, sieve) for line in text.split("\n")])
    out, at = [], 0
    while (match := _PAIR.search(text, at)) is not None:
        name, value = match["name"].lstrip("-"), match["value"]
        quoted = value[:1] in "\"'"
        inner = value[1:-1] if quoted else value
        meant = degree(name) or ("strong" if sieve.is_named(name) else "")
        spaced = not match["between"].strip()
        option = text[match.start("name") - 2 : match.start("name")].endswith("-")
        if not meant or (spaced and not option and not quoted):
            out.append(text[at : match.end("name")])
            at = match.end("name")
            continue
        judged = "password" if meant == "weak" and option and not sieve.allows(name) else name
        if sieve.by_name(judged, inner) is None or (not quoted and "(" in text[match.end() : match.end() + 1]):
            out.append(text[at : match.end("name")])
            at = match.end("name")
            continue
        mark = value[0] if quoted else ""
        out.append(text[at : match.start("value")] + mark + MASK + mark)
        at = match.end()
    out.append(text[at:])
    return _USER.sub(lambda match: match[0][: -len(match["value"])] + MASK, "".join(out))
