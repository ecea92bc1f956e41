"""Arrow, DuckDB and Polars, which write their objects down in ways of their own; LightGBM's and XGBoost's data."""

from __future__ import annotations

import contextlib
import pickle
import re
import threading
from collections.abc import Iterator
from typing import Any

from nbsnap import builders
from nbsnap.builders import tables
from nbsnap.errors import CannotSave

from .common import Plan, refuse


def _options(desk: Any, options: Any) -> Any:

    return tables.arrow_options, (options.serialize().to_pybytes(),)


def _tensor(desk: Any, tensor: Any) -> Any:

    desk.claim(tensor)
    return tables.arrow_tensor, (tensor.to_numpy(), tuple(tensor.dim_names))


def _duckdb_type(desk: Any, kind: Any) -> Any:

    return tables.duckdb_type, (str(kind),)


def _polars(desk: Any, value: Any) -> Any:
    """Polars pickles the functions in an expression by itself, which would give each a private copy of its globals.

    So while it does, it is handed tokens instead, and the functions go into the stream like all others.
    """

    desk.claim(value)
    met: list[Any] = []
    with _tokens_for(met):
        data: bytes = value.__getstate__()
    known: dict[bytes, Any] = {tables.token(number).encode(): item for number, item in enumerate(met)}
    functions: list[Any] = []
    for old in dict.fromkeys(_TOKEN.findall(data)):
        functions.append(known[old] if old in known else tables.functions_by_token[old.decode()])
        data = data.replace(old, b"nbsnap:%04d:%s" % (len(functions) - 1, b"-" * 24))
    data = data.replace(b"-" * 24, b"0" * 24)
    return builders.new_object, (type(value),), (data, functions), None, None, tables.fill_polars


_TOKEN = re.compile(rb"nbsnap:\d{4}:[0-9a-f]{24}")


class _Token:
    """Pickled where Polars would pickle a function."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __reduce__(self) -> Any:

        return tables.polars_function, (self.text,)


@contextlib.contextmanager
def _tokens_for(met: list[Any]) -> Iterator[None]:
    """Let this thread's calls of `pickle.dumps` collect what they are handed, and write a token for it."""

    real, here = pickle.dumps, threading.get_ident()

    def dumps(value: Any, *arguments: Any, **options: Any) -> bytes:
        if threading.get_ident() != here:
            return real(value, *arguments, **options)
        met.append(value)
        return real(_Token(tables.token(len(met) - 1)), 5)

    pickle.dumps = dumps  # type: ignore[assignment]
    try:
        yield
    finally:
        pickle.dumps = real


def _frame(desk: Any, value: Any) -> Any:
    """A frame or series of Polars, in its own bytes, which need not be copied into the stream."""
    desk.claim(value)
    return builders.new_object, (type(value),), pickle.PickleBuffer(value.__getstate__()), None, None, tables.fill_frame


def _booster(desk: Any, value: Any) -> Any:
    """A model of XGBoost: its bytes need not be copied into the stream."""
    desk.claim(value)
    state = value.__getstate__()
    if type(state.get("handle")) is bytearray:
        state["handle"] = pickle.PickleBuffer(state["handle"])
    return builders.new_object, (type(value),), state


def _dataset(desk: Any, value: Any) -> Any:
    desk.claim(value)
    if getattr(value, "_handle", None) is not None:
        raise CannotSave("lives in the memory of LightGBM: make it again from the data", value)
    return NotImplemented


PLANS_BY_NAME: dict[str, Plan] = {
    "pyarrow._compute.FunctionOptions": _options,
    "pyarrow.lib.Tensor": _tensor,
    "_duckdb._sqltypes.DuckDBPyType": _duckdb_type,
    "duckdb.typing.DuckDBPyType": _duckdb_type,
    "polars.dataframe.frame.DataFrame": _frame,
    "polars.series.series.Series": _frame,
    "polars.expr.expr.Expr": _polars,
    "polars.lazyframe.frame.LazyFrame": _polars,
    "lightgbm.basic.Dataset": _dataset,
    "xgboost.core.Booster": _booster,
    "xgboost.core.DMatrix": refuse("lives in the memory of XGBoost: make it again from the data"),
}
