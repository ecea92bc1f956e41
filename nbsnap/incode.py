"""Secrets among the constants of a function: `def login(): password = "…"`.

A function is saved with its code, and code cannot have a placeholder in it. So it is asked for texts that are secrets
by themselves, and for those that it binds to the name of one: in an assignment, as a keyword, as the value of a key.
"""

from __future__ import annotations

import dis
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .describe import is_a
from .sieve import LONGEST, Found, Sieve

__all__ = ["as_text", "find"]


def find(code: types.CodeType, sieve: Sieve, within: Callable[[str], Found | None]) -> Found | None:
    """Return a secret among the constants of some code, and of the functions in it; `within` knows texts that are."""
    for one in _codes(code):
        texts = [text for constant in _constants(one.co_consts) if (text := as_text(constant)) is not None]
        for text in texts:
            if found := sieve.in_text(text) or within(text):
                return found
        names = [*one.co_names, *one.co_varnames, *one.co_cellvars, *one.co_freevars, *texts]
        if texts and sieve.meant(names) and (found := _bound(one, sieve)):
            return found
    return None


def as_text(value: Any) -> str | None:
    """Return a text, or bytes as a text of Latin-1; None for anything else."""
    if type(value) is str:
        return value
    for kind in (bytes, bytearray):
        if is_a(value, kind):  # past the methods of the user's class
            return kind.__getitem__(value, slice(LONGEST + 1)).decode("latin-1")
    return str.__str__(value) if is_a(value, str) else None


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if type(constant) is types.CodeType:
            yield from _codes(constant)


def _constants(constants: Iterable[Any]) -> Iterator[Any]:
    for constant in constants:
        if type(constant) in (tuple, frozenset):
            yield from _constants(constant)
        else:
            yield constant


def _bound(code: types.CodeType, sieve: Sieve) -> Found | None:
    """Return a constant that the code binds to the name of a secret."""
    steps = [step for step in dis.get_instructions(code) if step.opname not in ("EXTENDED_ARG", "PRECALL", "NOP")]
    for at in range(1, len(steps)):
        for name, step in _meetings(steps, at):
            text = as_text(step.argval) if step.opname == "LOAD_CONST" else None
            if type(name) is str and text is not None and (found := sieve.by_name(name, text)):
                return found
    return None


def _meetings(steps: list[dis.Instruction], at: int) -> Iterator[tuple[Any, dis.Instruction]]:
    """Yield the names that an instruction gives, each with the one that may have loaded the value."""
    step = steps[at]
    told = step.argval
    if step.opname == "STORE_SUBSCR" and at > 2:
        yield steps[at - 1].argval, steps[at - 3]
    elif step.opname.startswith("STORE_"):
        yield (told[0] if type(told) is tuple and told else told), steps[at - 1]
    elif step.opname == "BUILD_MAP" and at > 1:
        yield steps[at - 2].argval, steps[at - 1]
    elif type(told) is tuple and step.opname in ("KW_NAMES", "LOAD_CONST"):  # of keywords, of the keys of a dict
        for back, name in enumerate(reversed(told), 1):
            if back > at or steps[at - back].opname != "LOAD_CONST":
                break
            yield name, steps[at - back]
