"""Secrets that a snapshot does not hold, and the session has: a restore in the same session leaves them where they are.

Where a variable comes back with a placeholder for a secret, and the variable that it replaces has that secret at the
very same place, it is put in. So `config` of before the risky cell is whole again, and no secret was ever written.

That it is the same one is known by its print, which the process keeps of each snapshot that it takes: a hash that
means nothing in any other process. What has moved since (`users.sort()`), or was changed, is not put in. The places are
told by the snapshot, as `config['api_key']` or `client.auth[1]`; they are followed by items and attributes alone, and
none of the user's code is run."""

from __future__ import annotations

import ast
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from .describe import is_a
from .digest import quick
from .incode import as_text
from .model import Skip
from .paths import attributes, put_attribute
from .placeholder import Placeholder

__all__ = ["Prints", "prints", "refill", "remember"]

_Step = tuple[bool, Any]  # an item (True) or an attribute, and its key

Prints = Mapping[tuple[str, str], bytes]  # variable, path -> print of the secret there

_KEPT = 64  # snapshots
_known: OrderedDict[str, Prints] = OrderedDict()


def prints(holes: Iterable[Skip], names: Mapping[str, Any]) -> Prints:
    """Return the prints of the secrets that a snapshot leaves out of variables."""
    found = {}
    for hole in holes:
        if hole.secret and hole.name in names and (way := _steps(hole.path, hole.name)):
            value = names[hole.name]
            for step in way:
                value = _held(value, step)
            if (mark := _print(value)) is not None:
                found[hole.name, hole.path] = mark
    return found


def remember(id: str, found: Prints) -> None:
    """Keep the prints of a snapshot."""
    if found:
        _known[id] = found
        while len(_known) > _KEPT:
            _known.popitem(last=False)


def refill(id: str, holes: Iterable[Skip], former: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[Skip, ...]:
    """Put into restored `values` what stood in their place; return those of the `holes` that are filled now."""
    known = _known.get(id, {})
    return tuple(
        hole
        for hole in holes
        if (mark := known.get((hole.name, hole.path))) and hole.name in former and hole.name in values
        if _fill(values[hole.name], former[hole.name], _steps(hole.path, hole.name), mark)
    )


def _print(value: Any) -> bytes | None:
    """Return what tells a text from others in this process; None for what is none, and does not hold one."""
    text = as_text(value)
    if text is None:
        text = as_text(next((held for key, held in attributes(value) if key == "_secret_value"), None))
    return None if text is None else quick(f"{type(value)} {text}".encode("utf-8", "surrogatepass"))


def _steps(path: str, name: str) -> list[_Step]:
    """Return the steps that lead from a variable to a place in it; none, if they cannot be told."""
    try:
        node: ast.expr = ast.parse(path, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    steps: list[_Step] = []
    while True:
        match node:
            case ast.Subscript(value=inner, slice=ast.Constant(value=key)) if type(key) in (str, int):
                steps.append((True, key))
            case ast.Attribute(value=inner, attr=key):
                steps.append((False, key))
            case ast.Name(id=root):
                return steps[::-1] if root == name else []
            case _:
                return []
        node = inner


def _fill(value: Any, former: Any, way: list[_Step], mark: bytes) -> bool:
    for step in way[:-1]:
        value, former = _held(value, step), _held(former, step)
    held, secret = _held(value, way[-1]), _held(former, way[-1])
    if _print(secret) != mark:
        return False
    if held is secret:  # by way of another name of the same object
        return True
    return type(held) is Placeholder and _put(value, way[-1], secret)


def _held(value: Any, step: _Step) -> Any:
    """Return what is held at a step; None where there is nothing."""
    is_item, key = step
    if not is_item:
        return dict(attributes(value)).get(key)
    if is_a(value, dict):
        return dict.get(value, key)
    kind: Any = list if is_a(value, list) else tuple if is_a(value, tuple) else None
    return kind.__getitem__(value, key) if kind and type(key) is int and -1 < key < kind.__len__(value) else None


def _put(value: Any, step: _Step, secret: Any) -> bool:
    is_item, key = step
    if is_item and is_a(value, dict):
        dict.__setitem__(value, key, secret)
    elif is_item and is_a(value, list):
        list.__setitem__(value, key, secret)
    elif not is_item:
        return put_attribute(value, key, secret)
    else:
        return False
    return True
