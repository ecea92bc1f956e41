"""Plain data, proved to be nobody else's and then written by the bare C pickler, without a hook for each object.

**The proof.** Built-in containers, atoms, and objects that are no more than their attributes can be shared with another
variable only if something else holds one of them. So it is enough that each container and each object has one holder:
its reference count says so. `survey` asks level by level, by iterators that run in C. A "no" costs time only: the
variable is then watched object by object (`pickling`). What cannot change (texts, tuples of atoms) may have any number
of holders.

**The stream.** What is nobody else's needs no memo either, and most of a pickler's time goes into its memo. So large
data is written in the pickler's fast mode, which has none; what occurs more than once all the same (keys of dicts,
texts, tuples, classes) is written before it, in a record of its own, and referred to. Sets, whose order changes from
process to process, are made empty before and filled in order. These records stand in front of the variable's:

    ("before",)   a value that does nothing but stay in the memo
    ("sets",)     a list of empty sets, in the memo too
    ("fill",)     (how many elements each of these sets has, the elements of all): they are put in
"""

from __future__ import annotations

import copyreg
import datetime
import gc
import io
import operator
import pickle
import sys
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import chain, compress, count, islice, repeat
from typing import Any

from . import builders
from .ordering import NUMBERS
from .quiet import Interruptible
from .sharing import LEAVES
from .texts import utf8

#: Most of what there is: not looked at twice.
_ATOMS: frozenset[type] = LEAVES - {complex}
#: Types without parts that are written as a call of their class.
CALLED = frozenset({complex, datetime.date, datetime.timedelta, datetime.time, datetime.datetime})
_ZONED = frozenset({datetime.time, datetime.datetime})
_ZONES = frozenset({type(None), datetime.timezone})
_SETS = frozenset({set, frozenset})
CONTAINERS = frozenset({list, dict, tuple, bytearray, *_SETS})
#: All types that are plain by themselves.
KINDS = LEAVES | CALLED | CONTAINERS

#: From so many objects on it pays to write without a memo.
_LARGE = 1_000
#: In so many places of a level, as many texts in a row are asked whether anything else holds them.
_PLACES, _RUN = 8, 40
#: Of about so many dicts the keys are looked at, to find those that many have.
_ROWS = 2_000

_NONE = {0}


class Survey:
    """What was met in plain data."""

    def __init__(self) -> None:
        self.objects = 0
        self.classes: dict[type, None] = {}  # of which there are objects, in the order in which they were met
        self.sets: list[set[Any]] = []  # that have to be put in order
        self.lengths: list[int] = []  # of each of them
        self.elements: list[Any] = []  # of all of them, in order
        self.texts: set[str] = set()  # keys, and elements of sets, that occur again and again
        self.held: Counter[Any] = Counter()  # how often texts and tuples were met that have several holders

    def shared(self) -> list[Any]:
        """Return what occurs more than once and cannot change."""
        again = (value for value, times in self.held.items() if times > 1 and value not in self.texts)
        return [*sorted(self.texts), *again]

    def add_texts(self, different: set[Any], number: int) -> None:
        """Take up keys or elements, if many of `number` ones are the same."""
        if 2 * len(different) <= number:
            self.texts.update(text for text in different if type(text) is str)

    def note(self, values: list[Any], alone: int) -> None:
        """Note those of the values that have more holders than one; `alone` is the count of those that have one."""
        self.held.update(compress(values, map(alone.__lt__, map(sys.getrefcount, values))))


class _Larger(dict[type, bool]):
    """Whether a type may have parts: everything but the atoms."""

    def __missing__(self, kind: type) -> bool:
        self[kind] = True
        return True


def survey(roots: list[Any], accepts: Callable[[type], bool] | None = None, limit: int = 0) -> Survey | None:
    """Look through values; None if they are not plain, if anything else holds a part of them, or for too many objects.

    `accepts` tells whether objects of a class are no more than their attributes. With a limit, only the proof is made,
    and what would have to be written in an order of its own is not plain.
    """
    found = Survey()
    larger = _Larger(dict.fromkeys(_ATOMS, False))
    level, is_root = roots, True
    while level:
        below: list[Any] = []
        kinds = list(dict.fromkeys(map(type, level)))
        for kind in kinds:
            items = level if len(kinds) == 1 else _of(kind, level)
            alone = is_root or set(map(sys.getrefcount, items)) == {_ALONE[items is level]}
            if kind not in CONTAINERS:
                if kind in _ATOMS:
                    continue
                if kind in CALLED or kind is getattr(sys.modules.get("decimal"), "Decimal", None):
                    if kind in _ZONED and not set(map(type, map(_zone, items))) <= _ZONES:
                        return None
                    found.classes[kind] = None
                    continue
                if accepts is None or not accepts(kind) or _shares_attributes(kind, items):
                    return None
                found.classes[kind] = None
            if not alone and kind is not tuple and kind is not frozenset:
                return None
            if kind is bytearray:
                continue
            if kind in _SETS:
                if set(map(weakref.getweakrefcount, items)) != _NONE:
                    return None
                if not (kinds_inside := set(map(type, chain.from_iterable(items)))) <= NUMBERS:
                    if limit or kind is frozenset or not _sort_out(items, kinds_inside, found):
                        return None
                    continue
            children = gc.get_referents(*items)
            found.objects += len(children)
            if limit and found.objects > limit:
                return None
            inner = _parts(children, larger)
            if kind not in CONTAINERS:
                if set(map(weakref.getweakrefcount, items)) != _NONE:
                    return None
                inner = list(compress(inner, map(operator.is_not, inner, repeat(kind))))
                if kind.__dictoffset__ and len(items) > 1 and not limit:
                    # from Python 3.13 on, the collector may be shown what is in an attribute dict, and not the dict
                    _add_keys(map(_attributes, _some(items)), found)
            if inner and not alone:
                return None
            if not limit:
                if not alone:
                    found.note(items, _ALONE[items is level])
                if kind is dict and len(items) > 1:
                    _add_keys(_some(items), found)
                if kind not in _SETS:
                    _add_texts(children, found)
            del children
            below = inner if not below else below + inner
            del inner, items
        level, is_root = below, False
        del below
    return found


def _parts(values: list[Any], larger: _Larger) -> list[Any]:
    """Return what may have parts; where none of the first has, the types are looked at alone, which is quicker."""
    if not any(map(larger.__getitem__, map(type, values[:64]))) and set(map(type, values)) <= _ATOMS:
        return []
    return list(compress(values, map(larger.__getitem__, map(type, values))))


def _of(kind: type, values: list[Any]) -> list[Any]:
    return list(compress(values, map(operator.is_, map(type, values), repeat(kind))))


_zone = operator.attrgetter("tzinfo")
_attributes = operator.attrgetter("__dict__")


def _shares_attributes(cls: type, objects: list[Any]) -> bool:
    """Tell whether anything but its object holds one of the attribute dicts."""
    return cls.__dictoffset__ != 0 and not set(map(sys.getrefcount, map(_attributes, objects))) <= _ATTRIBUTES_ALONE


def _sort_out(sets: list[Any], kinds: set[type], found: Survey) -> bool:
    """Note the sets that have to be put in order, and what is in them; False if there is no order for one."""
    if kinds not in _ORDERED:
        sets = [held for held in sets if not set(map(type, held)) <= NUMBERS]
        if any(set(map(type, held)) not in _ORDERED for held in sets):
            return False
    found.sets += sets
    in_order = list(map(sorted, sets))
    found.lengths += map(len, in_order)
    before = len(found.elements)
    found.elements += chain.from_iterable(in_order)
    number = len(found.elements) - before
    found.objects += number
    if len(sets) > 1:
        found.add_texts(set().union(*sets), number)
    return True


_ORDERED = ({str}, {bytes})


def _some(items: list[Any]) -> list[Any]:
    return items[:: len(items) // _ROWS + 1]


def _add_keys(dicts: Iterable[dict[Any, Any]], found: Survey) -> None:
    """Note the keys that many of some dicts have: the rows of a table, say."""
    keys = list(chain.from_iterable(dicts))
    if set(map(type, keys)) <= _ATOMS:  # to put others into a set would call the user's own __eq__
        found.add_texts(set(keys), len(keys))


def _add_texts(values: list[Any], found: Survey) -> None:
    """Note the texts that something else holds, too; of a long list only if there are such texts in samples."""
    step = len(values) // _PLACES
    if step > _RUN:
        places = chain.from_iterable(range(at * step, at * step + _RUN) for at in range(_PLACES))
        sample = [values[place] for place in places if type(values[place]) in _TEXTS]
        if max(map(sys.getrefcount, sample), default=0) <= _ALONE[False]:
            return
        del sample
    found.note(list(compress(values, map(_TEXTS.__contains__, map(type, values)))), _ALONE[False])


_TEXTS = frozenset({str, bytes})


# --- writing ----------------------------------------------------------------------------------------------------------


class _Call(tuple[Any, ...]):
    """A function and its arguments: written as the call, for what it returns when it is loaded."""


def write(record: tuple[str, ...], value: Any, found: Survey, calls: Mapping[type, tuple[Any, ...]]) -> bytes:
    """Return the stream of a plain value: the table, the records that stand before `record`, and the value's own.

    `calls` tells how the classes are written that cannot be found by their names, as a function and its arguments.
    """
    shared = found.shared() if found.objects >= _LARGE else []
    parts = (("before", found.classes), ("sets", found.sets), ("before", shared), ("fill", found.sets))
    file = Interruptible()
    file.write(pickle.dumps((*((kind,) for kind, things in parts if things), record), 5))
    writer = pickle.Pickler(file, protocol=5)
    memo: dict[int, tuple[int, Any]] = {}
    if found.classes:
        writer.dispatch_table = copyreg.dispatch_table | {_Call: tuple}
        standing = {cls: _Call(calls[cls]) if cls in calls else cls for cls in found.classes}
        writer.dump(tuple(standing.values()))
        memo = writer.memo.copy()
        for cls, stands in standing.items():
            memo[id(cls)] = (memo.pop(id(stands))[0], cls)
    if found.sets:
        file.write(_empty_sets(len(found.sets)))
        in_memo = chain([found.sets], found.sets)  # the list itself, too
        memo.update(enumerate(zip(count(len(memo)), in_memo)))  # a pickler looks at the values only
    if memo:
        writer.memo = memo
    if shared:
        writer.dump(tuple(shared))
    if found.objects >= _LARGE:
        writer.fast = True
    if found.sets:
        writer.dump((found.lengths, found.elements))
    writer.dump(value)
    return file.getvalue()


def write_long(record: tuple[str, ...], value: Any) -> tuple[bytes, list[pickle.PickleBuffer]]:
    """Return the stream of a long text, `bytes` or `bytearray`, and what it holds as a buffer.

    A pickler would copy it into the stream, which grows under it.
    """
    data = utf8(value) if type(value) is str else value
    buffers = [pickle.PickleBuffer(data)]
    file = io.BytesIO()
    writer = pickle.Pickler(file, protocol=5, buffer_callback=lambda buffer: None)
    writer.dispatch_table = {_Call: tuple}
    pickle.dump((record,), file, 5)
    writer.dump(_Call((builders.long, (type(value), buffers[0]))))
    return file.getvalue(), buffers


LONG = frozenset({str, bytes, bytearray})


def _empty_sets(number: int) -> bytes:
    """Return the pickle of a list of so many empty sets."""
    sets = (pickle.EMPTY_SET + pickle.MEMOIZE) * number
    code = pickle.EMPTY_LIST + pickle.MEMOIZE + pickle.MARK + sets + pickle.APPENDS + pickle.STOP
    return pickle.PROTO + b"\5" + pickle.FRAME + len(code).to_bytes(8, "little") + code


def fill(sets: list[set[Any]], lengths: list[int], elements: Iterable[Any]) -> None:
    """Put the elements into sets, as the records ("sets",) and ("fill",) have them."""
    rest = iter(elements)
    for target, number in zip(sets, lengths, strict=True):
        target.update(islice(rest, number))


# --- what reference counts mean ---------------------------------------------------------------------------------------


class _Sample:
    def __init__(self) -> None:
        self.attribute = None


def _alone() -> dict[bool, int]:
    """Return what `sys.getrefcount` says in `survey` of what has one holder: counted, not guessed."""
    holder: list[Any] = [[], {}]
    level = list(compress(holder, (True, True)))
    items = list(compress(level, (True, False)))
    (apart,) = set(map(sys.getrefcount, items))
    del level[0], items
    (together,) = set(map(sys.getrefcount, level))
    return {False: apart, True: together}


_ALONE = _alone()
_ATTRIBUTES_ALONE = set(map(sys.getrefcount, map(_attributes, [_Sample(), _Sample()])))
