"""Options of libraries, as far as they differ from their defaults: matplotlib, numpy, pandas, scikit-learn, torch.

Which libraries had been loaded is kept, too: what is set otherwise in them since is put to its default again.
"""

from __future__ import annotations

import copy
import importlib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from .figures import backend, settle
from .turn import Scene, Turn, equal


class _Library(NamedTuple):
    take: Callable[[Any], dict[str, Any]]  # what differs from the defaults
    put: Callable[[Any, dict[str, Any]], str | None]  # make it so, and all else the default; say what cannot be


#: The item that names the libraries whose options were looked at, and says whether there is an item for each.
_LOADED = "loaded"


def take(_: Scene) -> dict[str, Any]:
    """Return by library what differs from its defaults, and under "loaded" which were looked at."""
    found: dict[str, Any] = {}
    for name, library in _LIBRARIES.items():
        module = sys.modules.get(name)
        if module is None or getattr(getattr(module, "__spec__", None), "_initializing", False):
            continue
        if options := library.take(module):
            found[name] = options
        found[_LOADED] = (*found.get(_LOADED, ()), (name, bool(options)))
    return found


def put(values: Mapping[str, Any], turn: Turn) -> None:
    """Set the options of each library that the session had loaded."""
    for name, differed in values.get(_LOADED, ()):
        wanted = values.get(name, {})
        if name not in _LIBRARIES or (differed and not wanted) or not (wanted or name in sys.modules):
            continue
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            turn.notes.append(f"options: those of {name} were not put back: {error}")
            continue
        library = _LIBRARIES[name]
        if not equal(library.take(module), wanted):
            if note := library.put(module, wanted):
                turn.notes.append(f"options: {note}")
            turn.done.append(f"options:{name}")


def _differing(now: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of what differs. A library's own lists are not to be shared with variables."""
    return {
        key: copy.copy(value)
        for key, value in sorted(now.items())
        if not (key in defaults and equal(value, defaults[key]))
    }


@contextmanager
def _silence() -> Iterator[None]:
    """Let deprecated options pass: what was set is set again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# --- matplotlib -------------------------------------------------------------------------------------------------------

#: Not the session's, but the front end's or the process's.
_NOT_KEPT = frozenset({"backend", "backend_fallback", "interactive", "date.epoch"})


def _take_matplotlib(matplotlib: Any) -> dict[str, Any]:
    now, defaults = dict(dict.items(matplotlib.rcParams)), dict(dict.items(matplotlib.rcParamsDefault))
    found = {key: value for key, value in _differing(now, defaults).items() if key not in _NOT_KEPT}
    if now.get("interactive") and (name := backend()):
        found["interactive"] = name  # it means something to that backend only
    return found


def _put_matplotlib(matplotlib: Any, options: dict[str, Any]) -> None:
    settle()
    now, defaults = matplotlib.rcParams, dict(dict.items(matplotlib.rcParamsDefault))
    with _silence():
        for key in dict.keys(now):
            if key not in _NOT_KEPT and key in defaults:
                value = options.get(key, defaults[key])
                if not equal(dict.__getitem__(now, key), value):
                    now[key] = copy.copy(value)
    if options.get("interactive", backend()) == backend() and backend():
        matplotlib.interactive("interactive" in options)


# --- numpy ------------------------------------------------------------------------------------------------------------

_NUMPY_PRINT: dict[str, Any] = {
    "edgeitems": 3,
    "threshold": 1000,
    "floatmode": "maxprec",
    "precision": 8,
    "suppress": False,
    "linewidth": 75,
    "nanstr": "nan",
    "infstr": "inf",
    "sign": "-",
    "formatter": None,
    "legacy": False,
    "override_repr": None,
}
_NUMPY_ERRORS: dict[str, Any] = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}


def _take_numpy(numpy: Any) -> dict[str, Any]:
    found = {f"print.{key}": value for key, value in _differing(numpy.get_printoptions(), _NUMPY_PRINT).items()}
    found.update((f"error.{key}", value) for key, value in _differing(numpy.geterr(), _NUMPY_ERRORS).items())
    if (call := numpy.geterrcall()) is not None:
        found["errcall"] = call
    return found


def _put_numpy(numpy: Any, options: dict[str, Any]) -> None:
    known = numpy.get_printoptions()
    printing = _NUMPY_PRINT | _below("print.", options)
    numpy.set_printoptions(**{key: value for key, value in printing.items() if key in known})
    numpy.seterr(**_NUMPY_ERRORS | _below("error.", options))
    numpy.seterrcall(options.get("errcall"))


def _below(prefix: str, options: dict[str, Any]) -> dict[str, Any]:
    return {key.removeprefix(prefix): value for key, value in options.items() if key.startswith(prefix)}


# --- pandas -----------------------------------------------------------------------------------------------------------


def _pandas_options() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return all options of pandas as they are, and their defaults; read past the warnings about deprecated ones."""
    config = sys.modules["pandas._config.config"]
    now, defaults = {}, {}
    for key, registered in vars(config)["_registered_options"].items():
        place, last = vars(config)["_get_root"](key)
        now[key], defaults[key] = place[last], registered.defval
    return now, defaults


def _take_pandas(_: Any) -> dict[str, Any]:
    return _differing(*_pandas_options())


def _put_pandas(pandas: Any, options: dict[str, Any]) -> None:
    now, defaults = _pandas_options()
    with _silence():
        for key, value in now.items():
            wanted = options.get(key, defaults[key])
            if not equal(value, wanted):
                pandas.set_option(key, wanted)


# --- scikit-learn -----------------------------------------------------------------------------------------------------


def _sklearn_defaults() -> dict[str, Any]:
    return dict(vars(sys.modules["sklearn._config"])["_global_config"])


def _take_sklearn(sklearn: Any) -> dict[str, Any]:
    return _differing(sklearn.get_config(), _sklearn_defaults())


def _put_sklearn(sklearn: Any, options: dict[str, Any]) -> None:
    known = sklearn.get_config()
    wanted = _sklearn_defaults() | options
    sklearn.set_config(**{key: value for key, value in wanted.items() if key in known})


# --- torch ------------------------------------------------------------------------------------------------------------

_TORCH_PRINT: dict[str, Any] = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None}
_TORCH: dict[str, Any] = {
    "dtype": "float32",
    "grad": True,
    "deterministic": False,
    "deterministic.warn_only": False,
    "matmul": "highest",
    "device": "cpu",
    "cudnn.benchmark": False,
    "cudnn.deterministic": False,
    "cuda.device": 0,
}


def _torch_options(torch: Any) -> dict[str, Any]:
    now = {
        "dtype": str(torch.get_default_dtype()).removeprefix("torch."),
        "grad": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "deterministic.warn_only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "matmul": torch.get_float32_matmul_precision(),
        "cudnn.benchmark": torch.backends.cudnn.benchmark,
        "cudnn.deterministic": torch.backends.cudnn.deterministic,
    }
    # `get_default_device` would start CUDA to find out which one "cuda" is
    context = getattr(getattr(torch, "_GLOBAL_DEVICE_CONTEXT", None), "device_context", None)
    now["device"] = "cpu" if context is None else str(context.device)
    if torch.cuda.is_initialized():
        now["cuda.device"] = torch.cuda.current_device()
    return now


def _take_torch(torch: Any) -> dict[str, Any]:
    printing = vars(torch._tensor_str.PRINT_OPTS)
    found = {f"print.{key}": value for key, value in _differing(printing, _TORCH_PRINT).items() if key in _TORCH_PRINT}
    return found | _differing(_torch_options(torch), _TORCH)


def _put_torch(torch: Any, options: dict[str, Any]) -> str | None:
    wanted = _TORCH | options
    torch.set_printoptions(**_TORCH_PRINT | _below("print.", options))
    torch.set_default_dtype(getattr(torch, wanted["dtype"]))
    torch.set_grad_enabled(wanted["grad"])
    torch.use_deterministic_algorithms(wanted["deterministic"], warn_only=wanted["deterministic.warn_only"])
    torch.set_float32_matmul_precision(wanted["matmul"])
    torch.backends.cudnn.benchmark = wanted["cudnn.benchmark"]
    torch.backends.cudnn.deterministic = wanted["cudnn.deterministic"]
    now, gone = _TORCH | _torch_options(torch), []
    if (device := wanted["device"]) != now["device"]:
        if _is_there(torch, device):
            torch.set_default_device(None if device == "cpu" else device)
        else:
            gone.append(device)
    if (index := wanted["cuda.device"]) != now["cuda.device"]:
        if _is_there(torch, f"cuda:{index}"):
            torch.cuda.set_device(index)
        else:
            gone.append(f"cuda:{index}")
    return f"torch does not make new tensors on {gone[0]}, as it did: that is not here" if gone else None


def _is_there(torch: Any, device: str) -> bool:
    kind, _, index = device.partition(":")
    if kind != "cuda":
        return True
    with _silence():
        return bool(torch.cuda.is_available() and int(index or 0) < torch.cuda.device_count())


_LIBRARIES = {
    "matplotlib": _Library(_take_matplotlib, _put_matplotlib),
    "numpy": _Library(_take_numpy, _put_numpy),
    "pandas": _Library(_take_pandas, _put_pandas),
    "sklearn": _Library(_take_sklearn, _put_sklearn),
    "torch": _Library(_take_torch, _put_torch),
}
