"""What a value and its class are, and how reports name them, without running any of the user's code.

Only exact types that are known here are asked anything (a length, a shape); for all others the type's name has to do.
Text values are never shown here, only their length: a report must not become the place where a secret leaks. What is
shown of values on request is `preview`'s business.
"""

from __future__ import annotations

import array
import collections
import datetime
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


def is_changed_meanwhile(error: BaseException) -> bool:
    """Tell whether a container was changed while it was gone through, by another thread as a rule."""
    return type(error) is RuntimeError and str(error).endswith(_CHANGED)


_CHANGED = ("changed size during iteration", "keys changed during iteration", "mutated during iteration")


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
    if cls in _DATES:
        return str(value) if getattr(value, "tzinfo", None) in (None, datetime.UTC) else ""
    if cls is types.ModuleType:
        version = vars(value).get("__version__")
        return version if isinstance(version, str) and len(version) < 40 else ""
    if cls is types.FunctionType:
        return _signature(value)
    if issubclass(cls, type):
        bases = ", ".join(qualname_of(base) for base in type.__dict__["__bases__"].__get__(value) if base is not object)
        return f"({bases})" if 0 < len(bases) < 60 else ""
    try:
        return _of_library(value, cls, module_of(cls).partition(".")[0])
    except Exception:  # a summary is a courtesy: an object that answers strangely goes without
        return ""


_NUMBERS = frozenset({int, float, bool, complex})
_DATES = frozenset({datetime.date, datetime.datetime, datetime.timedelta})
_SIZED = frozenset(
    {str, bytes, bytearray, list, tuple, dict, set, frozenset, range, array.array}
    | {collections.deque, collections.OrderedDict, collections.defaultdict, collections.Counter}
)


def _of_library(value: Any, cls: type, package: str) -> str:
    if package in _SHAPED and package in sys.modules:
        if cls.__name__ in ("DataFrame", "Table"):
            return _frame(value)
        text = _shape(value)
        if package == "pandas" and cls.__name__ == "Series":
            return text.replace(" ", f" {_plural(len(value), 'row')}, ", 1)
        if package == "scipy" and text and cls.__name__[:3] in ("csr", "csc", "coo"):
            return f"{text}, {int(value.nnz):,} stored"
        if text:
            return text
    if (torch := sys.modules.get("torch.nn")) is not None and is_a(value, torch.Module):
        return f"{_parameters(value):,} parameters"
    if (sklearn := sys.modules.get("sklearn.base")) is not None and is_a(value, sklearn.BaseEstimator):
        learned = _attributes(value)
        features = learned.get("n_features_in_")
        if type(features) is int:
            return f"fitted, {features:,} {_plural(features, 'feature')}"
        return "fitted" if any(name[-1:] == "_" and name[:1] != "_" for name in learned) else "not fitted"
    return ""


def _attributes(value: Any) -> dict[str, Any]:
    """Return what an object holds by itself, without asking its class."""
    found = object.__getattribute__(value, "__dict__")
    return found if type(found) is dict else {}


def _parameters(module: Any) -> int:
    """Return how many numbers a network has learned, by the dicts in which torch keeps its parts."""
    met: set[int] = set()
    todo, total = [module], 0
    while todo:
        held = _attributes(todo.pop())
        for parameter in held["_parameters"].values():
            if parameter is not None and id(parameter) not in met:
                met.add(id(parameter))
                total += parameter.numel()
        todo.extend(part for part in held["_modules"].values() if part is not None and id(part) not in met)
        met.update(map(id, held["_modules"].values()))
    return total


def _plural(number: int, noun: str) -> str:
    return noun if number == 1 else f"{noun}s"


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
    shape = tuple(int(n) for n in value.shape)
    dtype = getattr(value, "dtype", None)
    text = " × ".join(f"{n:,}" for n in shape) or "scalar"
    kind = "" if dtype is None else _dtype(dtype)
    text = f"{text} {kind}" if dtype is not None and len(kind) < 40 else text
    return text + _on_device(value)


def _dtype(dtype: Any) -> str:
    """Return the name of a dtype, which takes NumPy 10 µs to tell."""
    if module_of(type(dtype)) != "numpy.dtypes":
        return str(dtype).removeprefix("torch.")
    if (name := _dtypes.get(dtype)) is None:
        name = _dtypes[dtype] = str(dtype)
        if len(_dtypes) > _COLUMNS:
            _dtypes.clear()
    return name


_dtypes: dict[Any, str] = {}


def _on_device(value: Any) -> str:
    """Return " on cuda:0" of a tensor that is not in main memory."""
    if module_of(type(value)).partition(".")[0] != "torch":
        return ""
    device = str(value.device)
    return f" on {device}" if device != "cpu" and len(device) < 20 else ""


def _frame(value: Any) -> str:
    """Return rows, columns, and how many columns there are of each dtype."""
    rows, columns = (int(n) for n in value.shape)
    text = f"{rows:,} {_plural(rows, 'row')} × {columns:,} {_plural(columns, 'column')}"
    if not 0 < columns <= _COLUMNS:
        return text
    dtypes = value.dtypes if hasattr(value, "dtypes") else value.schema.types
    counted = collections.Counter(map(str, dtypes)).most_common()
    kinds = [f"{number:,} {kind}" if len(kind) < 24 else f"{number:,} {kind[:23]}…" for kind, number in counted]
    if len(kinds) > _KINDS:
        rest = sum(number for _, number in counted[_KINDS - 1 :])
        kinds[_KINDS - 1 :] = [f"{rest:,} others"]
    return f"{text}, {', '.join(kinds)}" if len(counted) > 1 else f"{text}, {counted[0][0][:40]}"


_COLUMNS, _KINDS = 1_000, 3
