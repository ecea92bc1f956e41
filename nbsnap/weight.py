"""How much memory values take, about, without running any of the user's code; and how much there is.

Arrays, frames and tensors tell their size. Containers and instances of the session's classes are looked into, the
outermost first, up to a number of objects: what is big lies near the surface, and what lies deep counts for nothing.
"""

from __future__ import annotations

import gc
import itertools
import sys
from collections import deque
from collections.abc import Iterable
from typing import Any

from . import background
from .describe import made_in_python, module_of

__all__ = ["free", "weigh"]

_LOOKED_AT = 10_000  # objects


def free(place: str) -> float:
    """Return how many bytes of memory are free: of the machine, or of its current GPU."""
    free = background.free_memory() if place == "cpu" else sys.modules["torch"].cuda.mem_get_info()[0]
    return float("inf") if free is None else free


def weigh(values: Iterable[Any]) -> dict[str, int]:
    """Return how many bytes of each memory some values take, about: what is big counts, what is small is guessed."""
    tensor = getattr(sys.modules.get("torch"), "Tensor", ())
    seen: set[int] = set()
    total = {"cpu": 0, "cuda": 0}
    todo = deque(values)
    while todo and len(seen) < _LOOKED_AT:
        value = todo.popleft()
        if id(value) in seen:
            continue
        seen.add(id(value))
        cls = type(value)
        if cls in _BUILT_IN:
            total["cpu"] += sys.getsizeof(value)
            if cls is dict:
                todo.extend(itertools.islice(value.values(), _LOOKED_AT))
            elif cls in _HOLDING:
                todo.extend(itertools.islice(value, _LOOKED_AT))
            continue
        total["cuda" if issubclass(cls, tensor) and value.is_cuda else "cpu"] += _bytes(value, cls)
        if made_in_python(cls) and not issubclass(cls, type):
            held = gc.get_referents(value)  # which makes no attribute dict where Python has not made one
            todo.extend(inner for inner in itertools.islice(held, _LOOKED_AT) if inner is not cls)
    return {place: size for place, size in total.items() if size}


_HOLDING = frozenset({list, tuple, set, frozenset})
_BUILT_IN = _HOLDING | {str, bytes, bytearray, dict, int, float, complex}


def _bytes(value: Any, cls: type) -> int:
    try:
        match module_of(cls).partition(".")[0]:
            case "numpy" | "pyarrow" | "torch" | "xarray":
                return int(value.nbytes)
            case "pandas":
                told = value.memory_usage(deep=False)
                return int(told if isinstance(told, int) else told.sum())
            case "polars":
                return int(value.estimated_size())
    except Exception:  # not every object of theirs can be asked
        pass
    return 64
