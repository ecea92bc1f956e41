"""Objects of Python itself that pickle refuses, or would copy where they are a view of something else."""

from __future__ import annotations

import array
import collections
import contextlib
import gc
import importlib
import pickle
import sys
import types
from typing import Any

from nbsnap import builders
from nbsnap.describe import is_a
from nbsnap.errors import CannotSave
from nbsnap.ordering import Unordered
from nbsnap.placeholder import Placeholder
from nbsnap.refused import OPEN, qualified
from nbsnap.sharing import VIEWS

from .common import REGION, SESSION, Plan


def _module(desk: Any, module: types.ModuleType) -> Any:
    name = module.__name__
    if sys.modules.get(name) is module and name != SESSION:
        desk.modules.add(name)
        return builders.module, (name,)
    if name == SESSION:
        return builders.module, (SESSION,)
    with contextlib.suppress(ImportError, ValueError):
        if getattr(module, "__spec__", None) is not None and importlib.import_module(name) is module:
            desk.modules.add(name)
            return builders.module, (name,)
    desk.claim(module)
    names = {key: value for key, value in vars(module).items() if key not in _MODULE_MACHINERY}
    return builders.new_module, (name, module.__doc__), names, None, None, builders.fill_module


_MODULE_MACHINERY = frozenset(["__builtins__", "__loader__", "__spec__", "__doc__", "__name__"])


def _mapping_proxy(desk: Any, proxy: Any) -> Any:
    desk.claim(proxy)
    (source,) = gc.get_referents(proxy)
    return types.MappingProxyType, (source,)


def _dict_view(kind: str) -> Plan:
    def plan(desk: Any, view: Any) -> Any:
        desk.claim(view)
        return builders.dict_view, (next(s for s in gc.get_referents(view) if is_a(s, dict)), kind)

    return plan


def _at_once(desk: Any, value: Any) -> Any:
    """What it holds is taken in one step, since another thread may change it while that is being pickled."""
    desk.claim(value)
    return tuple(list(part).__iter__() if hasattr(part, "__next__") else part for part in value.__reduce_ex__(5))


def _memory_view(desk: Any, view: memoryview) -> Any:
    """A view of all of a buffer stays one; of a part, only the bytes can be kept."""
    desk.claim(view)
    source = view.obj
    whole = view.contiguous and view.nbytes == memoryview(source).nbytes if source is not None else False
    if whole and (is_a(source, bytes, bytearray, array.array) or qualified(type(source)) == REGION):
        return builders.memory_view, (source, view.format, view.shape)
    desk.note("a memoryview comes back as a view of its own bytes")
    return memoryview, (view.tobytes() if view.readonly else bytearray(view.tobytes()),)


def _region(desk: Any, region: Any) -> Any:
    """Memory that a restore has made, and that something holds as it is: not only arrays can be upon it."""
    desk.claim(region)
    return builders.buffer, (pickle.PickleBuffer(region),)


def _placeholder(desk: Any, value: Any) -> Any:
    desk.met_placeholder(value)
    return NotImplemented


def _unordered(desk: Any, value: Unordered) -> Any:
    if value.kind is frozenset:
        return frozenset, (value.items,)
    return set, (), (value.items,), None, None, builders.fill_set


def _shell(desk: Any, value: Any) -> Any:
    return builders.shell, ()


def stream(desk: Any, value: Any) -> Any:
    for name in ("stdin", "stdout", "stderr"):
        if value is getattr(sys, name, None) or value is getattr(sys, f"__{name}__", None):
            return builders.standard_stream, (name,)
    raise CannotSave(OPEN, value)


PLANS: dict[type, Plan] = {
    types.ModuleType: _module,
    types.MappingProxyType: _mapping_proxy,
    memoryview: _memory_view,
    **{view: _dict_view(kind) for view, kind in VIEWS.items()},
    **dict.fromkeys([collections.deque, collections.OrderedDict, collections.defaultdict], _at_once),
    Placeholder: _placeholder,
    Unordered: _unordered,
}

#: For a class and its subclasses, by qualified name.
PLANS_BY_NAME: dict[str, Plan] = {
    "builtins.module": _module,
    REGION: _region,
    "IPython.core.interactiveshell.InteractiveShell": _shell,
    "ipykernel.iostream.OutStream": stream,
}
