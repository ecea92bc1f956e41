"""Code objects, told apart by what they were compiled from, so that another Python can compile the same one anew.

Bytecode belongs to one version of Python; everything else about a function is data. So beside its bytecode, a stream
has a **mark** of each code object: where its text is, and what is in that text to be found by the qualified name and
the line. No code of the user is run for it: a text is compiled, and the code object taken out of the constants of the
result, however deep it sits; the function is then made of it as it would be of the bytecode.

Never a wrong one: what is found has the same arguments and free variables and speaks of the same names as the one that
was marked (`digest`), or it is not taken. The marks are those of any version: 3.12 compiles a comprehension into what
is around it, so it has no part in a qualified name, and the names within count for what holds it; 3.13 has names in the
body of a class that are its own.
"""

from __future__ import annotations
import __future__

import ast
import bisect
import dis
import functools
import types
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

__all__ = ["Mark", "Text", "around", "choose", "compiled", "mark", "placed", "read", "table", "written"]

#: What a cell may be, and a file may not: IPython compiles cells with it. It changes nothing of what is in functions.
_CELL = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_FUTURES = functools.reduce(
    int.__or__, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)
_VARARGS, _VARKEYWORDS = 0x4, 0x8
_ITERABLE_COROUTINE = 0x100  # `types.coroutine` adds it to a code object
_KIND = _VARARGS | _VARKEYWORDS | 0x20 | 0x80 | 0x200  # generator, coroutine, generator of such


class Mark(NamedTuple):
    """What a code object is known by."""

    kind: str  # "text": compiled from a text that the snapshot keeps; "module": from that of a module; "": not known
    place: str  # the name of the text; the module; why there is none: "masked", "changed", ""
    line: int
    column: int  # of a lambda, for several may stand in a line: where its first instruction comes from
    flags: int  # `from __future__ import …`
    digest: int  # of arguments, kind, free variables, and of the names that it speaks of; of a constant, if it is one
    qualname: str


def mark(code: types.CodeType, kind: str, place: str) -> Mark:
    """Return the mark of a code object whose text is at a place."""
    column = _column(code) if code.co_name == "<lambda>" else 0
    flags = code.co_flags & (_FUTURES | _ITERABLE_COROUTINE)
    return Mark(kind, place, code.co_firstlineno, column, flags, digest(code, kind), code.co_qualname)


def written(mark: Mark) -> bytes:
    """Return a mark as it stands in streams: a line for each field."""
    kind, place, line, column, flags, digest, qualname = mark
    return f"{_MAGIC}{kind}\n{place}\n{line}\n{column}\n{flags}\n{digest}\n{qualname}".encode("utf-8", "surrogatepass")


def read(data: bytes) -> Mark | None:
    """Return the mark that was written, as far as it is understood."""
    if not data.startswith(_MAGIC.encode()):
        return None
    try:
        kind, place, *numbers, qualname = data.decode("utf-8", "surrogatepass")[len(_MAGIC) :].split("\n", 6)
        line, column, flags, digest = map(int, numbers)
    except ValueError:  # of Unicode, too
        return None
    return Mark(kind, place, line, column, flags, digest, qualname)


_MAGIC = "nbsnap-code 1\n"


def is_generated(code: types.CodeType) -> bool:
    """Tell whether code without a text is what the standard library makes for a class, and makes again (`remade`)."""
    of_named_tuple = code.co_qualname == "<lambda>" and code.co_varnames[:1] == ("_cls",)
    return code.co_filename == "<string>" and (of_named_tuple or code.co_qualname.startswith(_OF_DATACLASS))


#: What `dataclasses` calls the function around a method that it makes, in all versions.
_OF_DATACLASS = "__create_fn__.<locals>."


def digest(code: types.CodeType, kind: str = "text") -> int:
    """Return a checksum of what is the same in all versions; of a module's code, which may differ, the signature."""
    first, only, flags = code.co_argcount, code.co_kwonlyargcount, code.co_flags & _KIND
    count = first + only + bool(flags & _VARARGS) + bool(flags & _VARKEYWORDS)
    told = [f"{first} {code.co_posonlyargcount} {only} {flags}", *code.co_varnames[:count], "", *code.co_freevars, ""]
    if kind == "text":
        told += sorted(_names(code))
        if code.co_name == "<lambda>" and _is_constant(code):
            told += ["", repr(_returned(code))]
    return zlib.crc32("\n".join(told).encode("utf-8", "surrogatepass"))


def _is_constant(code: types.CodeType) -> bool:
    """Tell whether code does nothing but return a constant: Python 3.12 does not tell where in a line that stood."""
    return _ONLY_RETURN.issuperset(code.co_code[::2])


_ONLY_RETURN = frozenset(
    dis.opmap[name] for name in ("RESUME", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE") if name in dis.opmap
)
_CONSTANT = frozenset(dis.opmap[name] for name in ("LOAD_CONST", "RETURN_CONST") if name in dis.opmap)


def _returned(code: types.CodeType) -> object:
    steps = zip(code.co_code[::2], code.co_code[1::2], strict=True)
    return next((code.co_consts[argument] for step, argument in steps if step in _CONSTANT), None)


def _names(code: types.CodeType) -> set[str]:
    found = {*code.co_names, *code.co_varnames, *code.co_cellvars}
    waiting = [constant for constant in code.co_consts if type(constant) is types.CodeType]
    for one in waiting:  # grows
        found.update(one.co_names, one.co_varnames, one.co_cellvars, one.co_freevars)
        waiting += [constant for constant in one.co_consts if type(constant) is types.CodeType]
    return found - _OF_A_VERSION


_OF_A_VERSION = frozenset(
    """
    __static_attributes__ __firstlineno__ __classdict__ __classdictcell__ __type_params__ __class__
    .0 .type_params .generic_base .defaults .kwdefaults .format
    """.split()  # noqa: SIM905
)


def _column(code: types.CodeType) -> int:
    places = [
        (line, column)
        for line, last, column, end in code.co_positions()
        if line is not None and column is not None and (line, column) != (last, end)
    ]
    line, column = min(places, default=(code.co_firstlineno, -1))
    return (line - code.co_firstlineno) * 10_000 + column


Table = dict[tuple[str, int], list[types.CodeType]]


@functools.lru_cache(maxsize=64)
def compiled(text: str, name: str, flags: int) -> Table:
    """Return the code objects of a text by qualified name and line; raises what `compile` does."""
    module = compile(text, name, "exec", flags & _FUTURES | _CELL, dont_inherit=True)
    return table([module])


def table(codes: Iterable[types.CodeType]) -> Table:
    """Return some code objects and all in them, by qualified name and line."""
    found: Table = {}
    for code in _within(codes):
        found.setdefault((_qualname(code.co_qualname), code.co_firstlineno), []).append(code)
    return found


def _within(codes: Iterable[types.CodeType]) -> Iterator[types.CodeType]:
    waiting = list(codes)
    for code in waiting:  # grows
        yield code
        waiting += [constant for constant in code.co_consts if type(constant) is types.CodeType]


def _qualname(name: str) -> str:
    for inlined in ("<listcomp>.", "<dictcomp>.", "<setcomp>."):
        if inlined in name:
            name = name.replace(f"{inlined}<locals>.", "").replace(inlined, "")
    return name


def _bare(code: types.CodeType) -> types.CodeType:
    """Return code that does not know where in the lines it stood."""
    constants = tuple(_bare(one) if type(one) is types.CodeType else one for one in code.co_consts)
    return code.replace(co_consts=constants, co_linetable=b"")


def _same(one: types.CodeType, code: types.CodeType) -> bool:
    return one == code or (
        bool(code.co_flags & _ITERABLE_COROUTINE)
        and one.replace(co_flags=one.co_flags | (code.co_flags & _ITERABLE_COROUTINE)) == code
    )


def choose(codes: Table, wanted: Mark) -> types.CodeType | None:
    """Return the code object that a mark is of, or None where it is not there, or cannot be told from others."""
    name = _qualname(wanted.qualname)
    if wanted.kind == "text":
        some = codes.get((name, wanted.line), [])
    else:
        some = [code for (other, _), held in codes.items() if other == name for code in held]
    fits = [code for code in some if digest(code, wanted.kind) == wanted.digest]
    if len(fits) > 1 and wanted.kind == "text":
        there = [code for code in fits if _column(code) == wanted.column]
        fits = there or ([fits[0]] if all(map(_is_constant, fits)) else [])  # these do the same
    if len(fits) != 1:
        return None
    (found,) = fits
    return found.replace(co_flags=found.co_flags | (wanted.flags & _ITERABLE_COROUTINE))


@functools.lru_cache(maxsize=8)
def _statements(text: str) -> tuple[list[int], list[str]]:
    """Return of each statement at the top level of a file its first line, and its text."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [], []
    lines = _lines(text)
    firsts, texts = [], []
    for node in body:
        first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
        firsts.append(first)
        texts.append("".join(lines[first - 1 : node.end_lineno or node.lineno]))
    return firsts, texts


class Text:
    """A text that code may have been compiled from, by this Python."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tables: dict[int, Table] = {}
        self._statements: tuple[list[int], list[str]] | None = None

    def find(self, code: types.CodeType) -> types.CodeType | None:
        """Return this code object as the text gives it, which may be elsewhere in its line; None if it does not.

        IPython compiles each statement of a cell by itself, a file is compiled as one: that a name was imported in the
        same text, Python knows in the latter case only, and calls its functions in another way.
        """
        if (found := self._given(code)) is not None:
            return found
        alone, before = self.statement(code.co_firstlineno)
        return Text("\n" * before + alone)._given(code) if alone and alone != self._text else None

    def _given(self, code: types.CodeType) -> types.CodeType | None:
        flags = code.co_flags & _FUTURES
        if (found := self._tables.get(flags)) is None:
            try:
                found = compiled(self._text, "<text>", flags)
            except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
                found = {}
            self._tables[flags] = found
        some = found.get((_qualname(code.co_qualname), code.co_firstlineno), ())
        exact = (one for one in some if _same(one, code))
        return next(exact, None) or next((one for one in some if _same(_bare(one), _bare(code))), None)

    def statement(self, line: int) -> tuple[str, int]:
        """Return the statement that has a line, and how many lines there are before it; ("", 0) for none."""
        self._statements = self._statements or _statements(self._text)
        firsts, texts = self._statements
        at = bisect.bisect_right(firsts, line) - 1
        return (texts[at], firsts[at] - 1) if at >= 0 else ("", 0)


def placed(code: types.CodeType, file: str, up: int = 0) -> types.CodeType:
    """Return the code as it would be in another file, and some lines further up."""
    constants = tuple(placed(one, file, up) if type(one) is types.CodeType else one for one in code.co_consts)
    return code.replace(co_consts=constants, co_filename=file, co_firstlineno=code.co_firstlineno - up)


def around(text: str, line: int) -> str:
    """Return the statement in its line, of a text that this Python cannot parse, as far as its indentation tells."""
    lines = _lines(text)
    if not 0 < line <= len(lines):
        return ""
    first = line
    while first > 1 and not (_begins(lines[first - 1]) and not _decorates(lines, first - 2)):
        first -= 1
    last = line
    while last < len(lines) and not (_begins(lines[last]) and not _decorates(lines, last - 1)):
        last += 1
    return "\n" * (first - 1) + "".join(lines[first - 1 : last])


def _decorates(lines: list[str], at: int) -> bool:
    """Tell whether the statement that ends in a line, as far as can be seen, is a decorator."""
    while at > 0 and not _begins(lines[at]):
        at -= 1
    return at >= 0 and lines[at].startswith("@")


def _begins(line: str) -> bool:
    """Tell whether a statement may begin with a line."""
    return line[:1] not in ("", " ", "\t", "\n", "\r", "#", ")", "]", "}") and not line.startswith(_GOES_ON)


_GOES_ON = ("else", "elif", "except", "finally")


def _lines(text: str) -> list[str]:
    """Return the lines as Python counts them: a form feed ends none."""
    return [f"{line}\n" for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
