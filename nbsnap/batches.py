"""Small variables of plain data, many to a stream: thousands of numbers and short lists are not thousands of groups.

A short NumPy array of numbers is one too, where nothing but its name holds it: then nobody looks at its memory.

Each is pickled by itself, in a pickle with a memo of its own, so that its bytes depend on its value only; a batch is a
row of these. Which variables are in one batch depends on their names and sizes, not on what there is besides: in the
order of the names, a batch ends behind a name whose checksum says so, and the larger a variable, the likelier. So a
variable that comes, goes or changes costs the batch that it is in, now and then that beside it, and no other.

What is `known` to be as it was (`unchanged`) is not pickled again; what it must not be shared with is asked each time.
"""

from __future__ import annotations

import functools
import operator
import pickle
import sys
import weakref
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import compress, count, filterfalse
from typing import Any

from . import plain
from .sharing import LEAVES
from .unchanged import Known, cannot_change, keep, private

#: A variable whose pickle is longer is no small one: it has a stream of its own.
LONGEST = 16 * 1024
#: A batch has about so many bytes before it ends, where each variable counts as so many more.
_BYTES, _EACH = 32 * 1024, 256
_STEP = (1 << 32) // _BYTES

#: Texts from this length on are one object again where two names are bound to one.
_TEXT = 64
_TOGETHER = 64  # so many are looked through at once,
_MOST = 64 * 1024  # up to so many objects; of an object there is a byte or more in a pickle
_MAY_HOLD = plain.KINDS - LEAVES


def take(values: Mapping[str, Any], apart: set[int], known: dict[str, Known]) -> tuple[dict[str, bytes], set[str]]:
    """Return the pickles of the small plain variables among `values`, leaving out those that are of the ids `apart`.

    And which of them are arrays.

    `known` are those that are as they were; what is known of the others is added.
    """
    bound = Counter(map(id, values.values()))
    several = apart.union(key for key, times in bound.items() if times > 1) if len(bound) < len(values) else apart
    shared = several.intersection(bound)
    kinds = plain.KINDS
    found = {name: one.data for name, one in known.items() if one.kind in kinds}
    for name in found.keys() - values.keys():
        del found[name]
    for name in [name for name in found if id(values[name]) in shared] if shared else ():
        del found[name]
    atoms: list[str] = []
    others: list[str] = []
    arrays: list[str] = []
    ndarray = getattr(sys.modules.get("numpy"), "ndarray", None)
    for name in filterfalse(found.__contains__, values):
        value = values[name]
        kind = type(value)
        if kind in LEAVES:
            is_text = kind is str or kind is bytes
            if not is_text or len(value) < _TEXT or (len(value) < LONGEST and bound[id(value)] == 1):
                atoms.append(name)
        elif kind in plain.CALLED or (
            kind in plain.CONTAINERS and len(value) < LONGEST and bound[id(value)] == 1 and id(value) not in apart
        ):
            others.append(name)
        elif kind is ndarray and bound[id(value)] == 1:
            arrays.append(name)
    value = None  # a holder
    arrays = [
        name
        for name in arrays
        if (name in known or _is_short(values[name]))  # what is known is as it was, how it lies in memory, too
        and not weakref.getweakrefcount(values[name])
        and is_alone(values, name)
    ]
    atoms += arrays
    nested = []
    for name in (*atoms, *others):
        if (same := known.get(name)) is not None:
            found[name] = same.data
            continue
        made, number = private(values[name])
        if type(made) in _MAY_HOLD and not cannot_change(made, _MOST):
            nested.append(name)
        elif (data := _pickled(made)) is not None:
            found[name] = data
            if (kept := keep(name, made, number, data)) is not None:
                known[name] = kept
    made = None  # a holder
    # nobody asks whose a tuple is, so of one that others hold, too, they would have other parts
    nested = [name for name in nested if type(values[name]) is not tuple or is_alone(values, name)]
    found.update((name, data) for name in _proved(values, nested) if (data := _pickled(values[name])) is not None)
    return found, found.keys() & arrays


def _pickled(value: Any) -> bytes | None:
    """Return the pickle of a value, if it is short and can be made: another thread may change it meanwhile."""
    try:
        data = pickle.dumps(value, 5)
    except (RecursionError, MemoryError, RuntimeError):
        return None
    return data if len(data) <= LONGEST else None


def _is_short(array: Any) -> bool:
    """Tell whether an array is numbers in a row in a memory of its own, and not many."""
    dtype, flags = array.dtype, array.flags
    own = flags.owndata and (flags.c_contiguous or flags.f_contiguous)
    return own and dtype.kind in "biufc" and dtype.char not in "gG" and dtype.isbuiltin == 1 and array.nbytes < LONGEST


def is_alone(values: Mapping[str, Any], name: str) -> bool:
    """Tell whether only its name holds a value; `values` is a copy of the namespace, and nobody else may hold it."""
    return _holders(values, name) == _ALONE


def _holders(values: Mapping[str, Any], name: str) -> int:
    return sys.getrefcount(values[name])


def _proved(values: Mapping[str, Any], names: list[str]) -> Iterator[str]:
    """Yield the names of what is plain data, looked through together, and one by one where that fails."""
    for start in range(0, len(names), _TOGETHER):
        some = names[start : start + _TOGETHER]
        if plain.survey([values[name] for name in some], limit=_MOST) is not None:
            yield from some
        else:
            yield from (name for name in some if plain.survey([values[name]], limit=LONGEST) is not None)


def _alone() -> int:
    """Return what `_holders` says of what only the namespace holds, and the copy of it that is gone through."""
    namespace = {"name": object()}
    return _holders(dict(namespace), "name")


_ALONE = _alone()


def cut(taken: Mapping[str, bytes], arrays: set[str]) -> list[tuple[list[str], tuple[str, ...]]]:
    """Return the names, batch by batch, and what loading a batch imports: where that is missing, the others load."""
    global _cut
    sizes = dict(zip(taken, map(len, taken.values()), strict=True))
    before, its_arrays, order, batches = _cut
    if its_arrays != arrays or before.keys() != sizes.keys():
        order = sorted(filterfalse(arrays.__contains__, sizes)), sorted(arrays.intersection(sizes))
    elif before == sizes:
        return batches
    batches = [(names, ()) for names in _ended(order[0], sizes)]
    batches += [(names, ("numpy",)) for names in _ended(order[1], sizes)]
    _cut = sizes, arrays, order, batches
    return batches


_Cut = list[tuple[list[str], tuple[str, ...]]]
_Order = tuple[list[str], list[str]]  # the names that are not of arrays, and those that are
_cut: tuple[Mapping[str, int], set[str], _Order, _Cut] = {}, set(), ([], []), []  # what was cut last, and how


def _ended(names: list[str], sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Yield names, batch by batch."""
    ends = map(operator.lt, map(_shorter, names), map(sizes.__getitem__, names))
    start = 0
    for end in (*compress(count(1), ends), len(names)):
        if start < end:
            yield names[start:end]
        start = end


@functools.lru_cache(maxsize=16_384)
def _shorter(name: str) -> int:
    """Return how long a pickle may be at most for its batch to go on behind it."""
    return zlib.crc32(name.encode("utf-8", "surrogatepass")) // _STEP - _EACH
