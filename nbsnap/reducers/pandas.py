"""Frames, series and indexes that share memory: they know of each other, and the first to be written to copies.

Under copy-on-write (always since pandas 3) two objects over one memory are not seen to be: whoever is written to looks
whether others refer to the same `BlockValuesRefs`, and copies first. Pickle leaves that record out, so what came back
sharing memory would be written through to all. Here it is one more object that blocks and indexes refer to.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from nbsnap.builders import pandas
from nbsnap.errors import CannotSave

from .common import Plan


def _block(desk: Any, block: Any) -> Any:
    """Rows cut from a frame would be copied by pandas where it takes them apart; here they stay a view of the frame."""
    values, record = block.values, getattr(block, "refs", None)  # not before pandas 2
    make = getattr(sys.modules["pandas._libs.internals"], "_unpickle_block", None)
    if type(values) is not sys.modules["numpy"].ndarray or values.flags.c_contiguous or make is None:
        return _with_record(desk, block, "refs", record)
    desk.claim(block)
    arguments = values, block.mgr_locs.indexer, block.ndim
    return make, arguments, *([("refs", record), None, None, pandas.share] if record is not None else [])


def _index(desk: Any, index: Any) -> Any:
    return _with_record(desk, index, "_references", vars(index).get("_references"))  # a property in a RangeIndex


def _manager(desk: Any, manager: Any) -> Any:
    """What holds the blocks of a frame: as many columns as there are names, though another thread may add one now."""
    desk.claim(manager)
    for _ in range(100):
        make, arguments, *rest = manager.__reduce_ex__(5)
        if rest or len(arguments) != 2 or type(arguments[0]) is not tuple:
            return NotImplemented
        blocks, axes = arguments[0], list(arguments[1])
        if sum(len(block.mgr_locs) for block in blocks) == len(axes[0]):
            return make, (blocks, axes)
        time.sleep(0.001)
    raise CannotSave("another thread adds or removes columns all the time", manager)


def _single(desk: Any, manager: Any) -> Any:
    """What holds the one block of a series takes it apart itself."""
    desk.claim(manager)
    record = getattr(manager.blocks[0], "refs", None)
    reduction: Any = manager.__reduce_ex__(5)
    if record is None or len(reduction) < 3 or reduction[2] is None:
        return NotImplemented
    make, arguments, state = reduction[:3]

    return make, arguments, (state, record), None, None, pandas.fill_single


def _with_record(desk: Any, value: Any, attribute: str, record: Any) -> Any:
    desk.claim(value)
    if record is None:
        return NotImplemented
    make, arguments, *rest = value.__reduce_ex__(5)
    if any(part is not None for part in rest):
        return make, arguments, *rest

    return make, arguments, (attribute, record), None, None, pandas.share


def _record(desk: Any, value: Any) -> Any:

    return pandas.record, ()


def _string_dtype(desk: Any, dtype: Any) -> Any:
    """The type of texts has got another argument in pandas 3, and does without a part of itself if it is not given."""
    if type(dtype).__name__ != "StringDtype":
        return NotImplemented
    missing = getattr(dtype, "na_value", None)
    return pandas.string_dtype, (dtype.storage, type(missing) is float)


#: For a class and its subclasses, by qualified name.
PLANS_BY_NAME: dict[str, Plan] = {
    "pandas._libs.internals.BlockValuesRefs": _record,
    "pandas._libs.internals.Block": _block,
    "pandas._libs.internals.SharedBlock": _block,
    "pandas.core.internals.managers.BlockManager": _manager,
    "pandas.core.internals.managers.SingleBlockManager": _single,
    "pandas.Index": _index,
    "pandas.StringDtype": _string_dtype,
    "pandas.core.arrays.string_.StringDtype": _string_dtype,
    "pandas.core.indexes.base.Index": _index,
}
