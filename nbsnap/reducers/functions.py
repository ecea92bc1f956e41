"""Functions: bound to the live namespace they came from.

Some libraries (attrs) compile the methods of a class in a copy of the namespace in which the class stands. Such a copy
would tie all variables together, and keep alive what they were bound to then. So of a copy only those names are saved
that the functions with these globals read or bind.
"""

from __future__ import annotations

import dis
import functools
import gc
import marshal
import sys
import types
from typing import Any

from nbsnap import builders, codes
from nbsnap.describe import is_a
from nbsnap.errors import CannotSave

from .common import SESSION, Plan, by_name


def function(desk: Any, function: types.FunctionType) -> Any:
    if by_name(function, function.__module__, function.__qualname__):
        desk.modules.add(function.__module__)
        return NotImplemented
    desk.claim(function)
    desk.needs_this_python()
    if why := desk.in_code(function):
        raise CannotSave(why, function)
    cells = function.__closure__
    if cells:
        desk.filled_by_function.update(map(id, cells))
    state: dict[str, Any] = {"cells": tuple(_contents(cell) for cell in cells or ())}
    for name, empty in _FUNCTION_STATE:
        value = getattr(function, name, empty)
        if value is not empty and not (name in ("__annotations__", "__type_params__") and not value):
            state[name] = sys.intern(value) if name == "__module__" and type(value) is str else value
    state["__qualname__"] = sys.intern(function.__qualname__)  # equal strings are one: the same bytes everywhere
    if function.__dict__:
        state["__dict__"] = dict(function.__dict__)
    names = _globals(desk, function)
    if type(names) is types.ModuleType:
        desk.homes.setdefault(id(function.__code__), names.__name__)
    arguments = (function.__code__, names, sys.intern(function.__name__), cells)
    return builders.function, arguments, state, None, None, builders.fill_function


_FUNCTION_STATE: tuple[tuple[str, Any], ...] = (
    ("__module__", None),
    ("__doc__", None),
    ("__defaults__", None),
    ("__kwdefaults__", None),
    ("__annotations__", None),
    ("__type_params__", ()),
)


def _globals(desk: Any, function: types.FunctionType) -> Any:
    names = function.__globals__
    if desk.live(names) is not None:
        return names  # persistent_id writes which live namespace it is
    module = sys.modules.get(names.get("__name__", ""))
    if module is not None and vars(module) is names:
        return module
    return desk.part_of_copy(names, _used) if names.get("__name__") == SESSION and "__builtins__" in names else names


def _used(copy: dict[str, Any]) -> dict[str, Any]:
    """Return what its functions need of a copy of the session's namespace, or all of it if somebody else holds it."""
    codes: list[types.CodeType] = []
    for holder in gc.get_referrers(copy):
        if type(holder) is types.FunctionType and holder.__globals__ is copy:
            codes.append(holder.__code__)
        elif type(holder) is not types.FrameType:
            return copy
    used = {"__name__", "__builtins__"}
    for code in codes:  # grows: functions within functions
        codes.extend(constant for constant in code.co_consts if type(constant) is types.CodeType)
        used.update(str(step.argval) for step in dis.get_instructions(code) if step.opname in _GLOBAL)
    return {name: value for name, value in copy.items() if name in used}


_GLOBAL = frozenset(dis.opname[code] for code in dis.hasname if "GLOBAL" in dis.opname[code]) | {"LOAD_NAME"}


def _contents(cell: types.CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def _cell(desk: Any, cell: types.CellType) -> Any:
    desk.claim(cell)
    if id(cell) in desk.filled_by_function:
        return builders.cell, ()
    return builders.cell, (), _contents(cell), None, None, builders.fill_cell


def _code(desk: Any, code: types.CodeType) -> Any:
    desk.needs_this_python()
    mark = desk.mark(code)
    if mark is not None and mark.kind == "text":  # from then on it names that text, and the line in it
        code = codes.placed(code, mark.place, code.co_firstlineno - mark.line)
    else:
        code = codes.placed(code, desk.file_name(code.co_filename))
    data = marshal.dumps(code, 2)
    return builders.code, (builders.PYTHON, data) if mark is None else (builders.PYTHON, data, codes.written(mark))


def _method(desk: Any, method: types.MethodType) -> Any:
    target, function = method.__self__, method.__func__
    owner: Any = target if is_a(target, type) else type(target)
    name = getattr(function, "__name__", "")
    for base in owner.__mro__:
        if name in vars(base):
            held = vars(base)[name]
            if getattr(held, "__func__", held) is function:
                return getattr, (target, name)
            break
    desk.claim(method)
    return types.MethodType, (function, target)


def _lru_cache(desk: Any, cached: Any) -> Any:
    if by_name(cached, cached.__module__, cached.__qualname__):
        return NotImplemented
    desk.claim(cached)
    desk.note("a cache comes back empty")
    options = cached.cache_parameters()
    arguments = (cached.__wrapped__, options["maxsize"], options["typed"])
    return builders.lru_cache, arguments, dict(vars(cached)), None, None, builders.fill_attributes


PLANS: dict[type, Plan] = {
    types.FunctionType: function,
    types.CellType: _cell,
    types.CodeType: _code,
    types.MethodType: _method,
    functools._lru_cache_wrapper: _lru_cache,
}
