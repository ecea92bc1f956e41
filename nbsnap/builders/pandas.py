"""Frames, series and indexes of pandas, as streams make them: `nbsnap.builders.pandas.NAME`."""

from __future__ import annotations

from typing import Any

import pandas
from pandas._libs import internals

from nbsnap.errors import CannotLoad


def record() -> object:
    """Return a record of who shares a memory, without entries; None where pandas has no such thing (before 2.0)."""
    make = getattr(internals, "BlockValuesRefs", None)
    return make() if make is not None else None


def share(target: Any, state: tuple[str, Any]) -> None:
    """Enter a block or an index into the record of those that share its memory."""
    attribute, record = state
    if record is None or not hasattr(target, attribute):
        return
    setattr(target, attribute, record)
    if attribute == "refs":
        record.add_reference(target)
    else:
        record.add_index_reference(target)


def fill_single(target: Any, state: tuple[Any, Any]) -> None:
    """Fill what holds the one block of a series, and enter that block into the record."""
    held, record = state
    target.__setstate__(held)
    share(target.blocks[0], ("refs", record))


def string_dtype(storage: str, is_nan: bool) -> object:
    """Return the type of texts; `is_nan`: what is missing is NaN and not `pandas.NA`, as is usual in pandas 3."""
    if not is_nan:
        return pandas.StringDtype(storage)
    try:
        return pandas.StringDtype(storage, float("nan"))
    except TypeError:  # pandas 2.1 and 2.2 have it by this name, and not for texts of Python's own
        if storage in ("pyarrow", "pyarrow_numpy"):
            return pandas.StringDtype("pyarrow_numpy")
        text = f"holds texts of a type that pandas {pandas.__version__} does not have"
        raise CannotLoad(text, "pip install 'pandas>=3'") from None
