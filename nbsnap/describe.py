"""What a value and its class are, and how reports name them, without running any of the user's code.

Only exact types that are known here are asked anything (a length, a shape); for all others the type's name has to do.
Text values are never shown, only their length: a report or a manifest must not become the place where a secret leaks.
"""

from __future__ import annotations

import sys
import types
from typing import Any

#: Libraries whose objects may be asked for `shape` and `dtype`: attributes there are cheap and have no side effects.
_SHAPED = frozenset(["cupy", "jaxlib", "numpy", "pandas", "polars", "scipy", "torch", "xarray", "pyarrow"])


#: By these a class says itself how its objects are pickled.
OWN_WAYS = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getnewargs__", "__getnewargs_ex__")


def made_in_python(cls: type) -> bool:
    """Tell whether a class was made while the program runs, by a class statement for one, and not in C."""
    return bool(cls.__flags__ & (1 << 9))  # Py_TPFLAGS_HEAPTYPE


def is_a(value: object, *classes: type) -> bool:
    """Tell whether a value is an instance, by its true type: `isinstance` would ask the value's own `__class__`."""
    return issubclass(type(value), classes)


def type_name(value: object) -> str:
    """Return the name of the type as a report shows it: "list", "sqlite3.Connection", "Point"."""
    return class_name(type(value))


def with_article(name: str) -> str:
    """Return "a generator", "an io.TextIOWrapper"."""
    return f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}"


def class_name(cls: type) -> str:
    """Return a class's name with the package it comes from, unless that is Python itself or the session."""
    name = qualname_of(cls)
    module = module_of(cls)
    package = module.partition(".")[0].lstrip("_")
    return name if package in ("builtins", "main__", "") else f"{package}.{name}"


def qualname_of(cls: type) -> str:
    """Return the name of a class as it was defined, "Outer.Inner"."""
    return str(type.__dict__["__qualname__"].__get__(cls))


def module_of(cls: type) -> str:
    """Return the name of the module that a class says it comes from, or ""."""
    try:
        module = type.__dict__["__module__"].__get__(cls)
    except AttributeError:
        return ""
    return module if type(module) is str else ""


def summary(value: Any) -> str:
    """Return what can be said shortly and safely of a value: "1,797 × 64 float64", "len 12", or ""."""
    cls = type(value)
    if cls in _SIZED:
        return f"len {len(value):,}"
    if cls in _NUMBERS:
        text = repr(value) if cls is not int or abs(value) < 10**20 else "a large integer"
        return text if len(text) <= 40 else text[:39] + "…"
    if cls is types.ModuleType:
        version = vars(value).get("__version__")
        return version if isinstance(version, str) and len(version) < 40 else ""
    if cls is types.FunctionType:
        return _signature(value)
    if module_of(cls).partition(".")[0] in _SHAPED and module_of(cls).partition(".")[0] in sys.modules:
        return _shape(value)
    return ""


_NUMBERS = frozenset({int, float, bool, complex})
_SIZED = frozenset({str, bytes, bytearray, list, tuple, dict, set, frozenset})


def _signature(function: types.FunctionType) -> str:
    code = function.__code__
    count = code.co_argcount + code.co_kwonlyargcount
    names = [*code.co_varnames[:count]]
    at = count
    if code.co_flags & 0x04:  # CO_VARARGS
        names.append("*" + code.co_varnames[at])
        at += 1
    if code.co_flags & 0x08:  # CO_VARKEYWORDS
        names.append("**" + code.co_varnames[at])
    text = f"({', '.join(names)})"
    return text if len(text) <= 60 else text[:59] + "…"


def _shape(value: Any) -> str:
    try:
        shape = tuple(int(n) for n in value.shape)
        dtype = getattr(value, "dtype", None)
        text = " × ".join(f"{n:,}" for n in shape) or "scalar"
        kind = "" if dtype is None else str(dtype)
        text = f"{text} {kind}" if dtype is not None and len(kind) < 40 else text
        return text + _on_device(value)
    except Exception:  # a summary is a courtesy: an object that answers strangely goes without
        return ""


def _on_device(value: Any) -> str:
    """Return " on cuda:0" of a tensor that is not in main memory."""
    if module_of(type(value)).partition(".")[0] != "torch":
        return ""
    device = str(value.device)
    return f" on {device}" if device != "cpu" and len(device) < 20 else ""
