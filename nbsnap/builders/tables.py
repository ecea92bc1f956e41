"""What streams call for objects of Arrow, DuckDB and Polars. These names stand in stored snapshots."""

from __future__ import annotations

import importlib
import uuid
from typing import Any

from . import make_sound

#: The functions in restored expressions of Polars, by the tokens that stand for them in Polars' own bytes. Polars asks
#: for a function each time it needs it, so they stay.
functions_by_token: dict[str, Any] = {}


def token(number: int, unique: str = "0" * 24) -> str:
    """Return what stands for a function in bytes of Polars: always of one length, so that it can be replaced there."""
    return f"nbsnap:{number:04d}:{unique}"


def polars_function(token: str) -> object:
    """Return the function that a token stands for. Called by Polars."""
    return functions_by_token[token]


def fill_polars(target: Any, state: tuple[bytes, list[Any]]) -> None:
    """Fill it from Polars' own bytes, in which tokens stand for functions."""
    data, functions = state
    unique = uuid.uuid4().hex[:24]
    for number, function in enumerate(functions):
        functions_by_token[token(number, unique)] = function
        data = data.replace(token(number).encode(), token(number, unique).encode())
    target.__setstate__(data)


def fill_frame(target: Any, data: Any) -> None:
    """Fill a frame or series of Polars from its own bytes."""
    make_sound(data)
    target.__setstate__(bytes(data))


def arrow_options(data: bytes) -> object:
    """Return the options of a function of `pyarrow.compute`."""
    buffer = importlib.import_module("pyarrow").py_buffer(data)
    return importlib.import_module("pyarrow.compute").FunctionOptions.deserialize(buffer)


def arrow_tensor(array: Any, names: tuple[Any, ...]) -> object:
    """Return a tensor over an array."""
    return importlib.import_module("pyarrow").Tensor.from_numpy(array, dim_names=names or None)


def duckdb_type(text: str) -> object:
    """Return a type of DuckDB's by the way it is written."""
    return importlib.import_module("duckdb").type(text)
