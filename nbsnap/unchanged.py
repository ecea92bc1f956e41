"""Small variables that are known to be as they were when they were last taken, so that nobody need look at them again.

Thousands of short lists, dicts, texts and arrays are pickled, looked through for secrets and shown again with each
snapshot, and hardly one of them has changed. Of each that was taken, this process remembers what it held:

    a text, a number, a tuple     the object itself. It cannot change, nor can what a tuple of such objects holds
    a list, a dict                a copy of it, if all that it holds cannot change; it is as it was if it holds the same
                                  objects (`is`), in the same order; a dict also if nobody has changed it (`versions`)
    an array of numbers           its bytes, its shape and how it lies in memory

and with it what was made of it: the pickle, the preview, and that no secret was found in it, by which sieve; and of the
batches of the snapshot before, the streams and the records. The copy is what was pickled, so that no other thread can
come in between the two.

**No object of the user's is kept alive** that could be missed: the containers and arrays themselves are not held, and
what their copies hold is texts and numbers. Names that are gone are forgotten; all together never take more than MOST.
"""

from __future__ import annotations

import operator
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, compress, repeat
from typing import Any

from .identity import same, same_in_lists
from .model import Group, Preview, Variable
from .sharing import LEAVES
from .versions import version

__all__ = [
    "Batch",
    "Known",
    "Looked",
    "as_they_were",
    "cannot_change",
    "drop",
    "judged",
    "keep",
    "left_aside",
    "passed_over",
    "private",
    "remember",
    "same_batch",
]

MOST = 32 << 20  # bytes, about
_OVERHEAD = 500  # bytes for each


class Known:
    """A small variable, and what was made of it."""

    __slots__ = ("data", "kind", "layout", "made", "passed", "preview", "sieve", "size", "version")

    def __init__(self, kind: type, made: Any, layout: Any, data: bytes, version: int = 0) -> None:
        self.kind = kind
        self.version = version  # of the dict that held this; 0: nobody can tell
        self.made = made  # the object; of a list or dict, what it held; of an array, its bytes
        self.layout = layout  # of an array
        self.data = data  # the pickle
        self.size = _OVERHEAD + 2 * len(data) + sys.getsizeof(made)  # how much memory it takes, about
        self.sieve: object = None  # no secret was found in it by this one
        self.passed: object = None  # it was passed over by this one, which had no time for it
        self.preview: tuple[object, Preview] | None = None  # and the sieve that it was made by

    def shown(self, sieve: object) -> Preview | None:
        """Return the preview, if this sieve has made it."""
        if self.preview is None:
            return None
        by, preview = self.preview
        return preview if by is sieve or by == sieve else None


@dataclass(frozen=True)
class Batch:
    """A batch of small variables: of what it was made, and what was made of it."""

    names: list[str]
    parts: list[Known | None]
    places: list[tuple[int, str] | None]  # the cells and lines that had bound them
    stream: bytes
    record: Group
    variables: tuple[Variable, ...]


_known: dict[str, Known] = {}
_batches: dict[str, Batch] = {}  # of the snapshot before, by their first names
_size = 0
_turn = 0  # how many had their turn that there had been no time for
_AT_ONCE = 32 * 1024  # bytes of their pickles: that many are looked through in a millisecond
_ALL = 3 << 19  # bytes, as `MOST` counts them: if those that wait are no more, none has to wait any longer


def as_they_were(namespace: dict[str, Any]) -> dict[str, Known]:
    """Return what is known of those variables of a namespace that are as they were, and forget the others."""
    for name in list(_others(namespace, _known)):
        drop(name)
    return _known.copy()


def left_aside(known: Mapping[str, Known], sieve: object) -> set[str]:
    """Return the names of what this sieve need not look at now: what it found no secret in, and what has to wait.

    What it had no time for has its turn by and by, some with each snapshot.
    """
    global _turn
    aside: set[str] = set()
    late: list[str] = []
    for name, one in known.items():
        if (by := one.sieve) is sieve or (by and by == sieve):
            aside.add(name)
        elif (by := one.passed) is sieve or (by and by == sieve):
            late.append(name)
    if sum(known[name].size for name in late) > _ALL:
        start, room = _turn % len(late), _AT_ONCE
        late = late[start:] + late[:start]
        turn = next((at for at, name in enumerate(late, 1) if (room := room - len(known[name].data)) < 0), len(late))
        aside.update(late[turn:])
        _turn += turn
    return aside


def passed_over(names: Iterable[str], sieve: object) -> None:
    """Note that the sieve had no time for some variables."""
    for name in names:
        if name in _known:
            _known[name].passed = sieve


def judged(namespace: dict[str, Any], some: Iterable[str], sieve: object) -> None:
    """Note that the sieve found no secret in some known variables, if they are still what is known of them."""
    known = {name: _known[name] for name in some if name in _known}
    for name in list(_others(namespace, known)):
        del known[name]
    for one in known.values():
        one.sieve = sieve


class Looked:
    """What a look for secrets is given to see: what is kept later is the very same, if it can be told from here.

    Of lists and tuples that cannot be told; they are compared when the next snapshot has looked at them (`judged`).
    """

    def __init__(self, values: Mapping[str, Any], names: Iterable[str], longest: int) -> None:
        """Note how these variables are before the look, which goes into no list of more than `longest` items."""
        self.names = list(names)
        self.longest = longest
        every = [(name, values.get(name)) for name in self.names]  # once: another thread may bind a name anew
        # nothing but atoms is held: what else has one holder more would not look like a variable's own any more
        self.atoms = {name: value for name, value in every if type(value) in LEAVES}
        self.versions = {name: version(value) for name, value in every if type(value) is dict}

    def found_clean(self, sieve: object, passed: Collection[str]) -> None:
        """Note that the sieve found no secret in these but those passed over, as far as they are what was looked at."""
        for name in self.names:
            known = _known.get(name)
            if known is None or name in passed:
                continue
            if known.kind in LEAVES:
                right = self.atoms.get(name, _GONE) is known.made
            elif known.kind is dict:
                right = 0 != known.version == self.versions.get(name)
            elif known.kind is list:
                right = len(known.made) > self.longest
            else:
                right = known.kind not in _KINDS  # an array of numbers
            if right:
                known.sieve = sieve


def drop(name: str) -> None:
    """Forget a variable."""
    global _size
    known = _known.pop(name, None)
    if known is not None:
        _size -= known.size


def same_batch(names: list[str], parts: list[Known | None], places: list[tuple[int, str] | None]) -> Batch | None:
    """Return the batch of the snapshot before that was made of the very same, if there is one."""
    found = _batches.get(names[0])
    if found is None or (found.names, found.places) != (names, places):
        return None
    return found if found.parts == parts else None  # each is equal to itself alone


def remember(batches: dict[str, Batch]) -> None:
    """Remember the batches of a snapshot, in place of those of the one before."""
    global _batches
    _batches = {name: batch for name, batch in batches.items() if None not in batch.parts}


def private(value: Any) -> tuple[Any, int]:
    """Return what is pickled in place of a small value, and kept: a copy of it, made in one step, if it can change.

    And of a dict, its version at that moment; 0 where nobody can tell.
    """
    kind = type(value)
    if kind is dict:
        before = version(value)
        made = value.copy()
        return made, before if version(value) == before else 0
    if kind is list:
        return value.copy(), 0
    if kind in _KINDS or not hasattr(value, "tobytes"):
        return value, 0
    made = value.copy(order="K")
    made.flags.writeable = value.flags.writeable
    return made, 0


def keep(name: str, made: Any, number: int, data: bytes) -> Known | None:
    """Remember that `data` is the pickle of what `private` has `made` of a variable's value, if there is room for it.

    It is an atom, a container of which `cannot_change` is true, or an array of numbers. `number` is its version.
    """
    global _size
    kind = type(made)
    layout = None
    if kind in _COPIED:
        made = (*made, *made.values()) if kind is dict else tuple(made)
    elif kind not in _KINDS:
        made, layout = made.tobytes(), _layout(made)
    known = Known(kind, made, layout, data, number)
    if _size + known.size > MOST:
        return None
    drop(name)
    _size += known.size
    _known[name] = known
    return known


def cannot_change(container: Any, limit: int) -> bool:
    """Tell whether all that a list, dict or tuple holds is texts, numbers and tuples of such, and not too many."""
    parts: Any = container
    if type(container) is dict:
        parts = (*container, *container.values())
    elif type(container) not in _KINDS:
        return False
    while not (kinds := set(map(type, parts))) <= LEAVES:
        if not kinds <= _FIXED:
            return False
        tuples = [part for part in parts if type(part) is tuple]
        limit -= sum(map(len, tuples))
        if limit < 0:
            return False
        parts = list(chain.from_iterable(tuples))
    return True


_GONE: Any = object()  # stands for what is bound to a name that is gone
_COPIED = frozenset({list, dict})
_FIXED = LEAVES | {tuple}
_KINDS = _FIXED | _COPIED


def _others(namespace: dict[str, Any], known: Mapping[str, Known]) -> Iterator[str]:
    """Yield the names of those that are not what is known of them, kind by kind."""
    kinds: defaultdict[type, list[str]] = defaultdict(list)
    for name, one in known.items():
        kinds[one.kind].append(name)
    for kind, names in kinds.items():
        values = list(map(dict.get, repeat(namespace), names, repeat(_GONE)))
        right = list(map(operator.is_, map(type, values), repeat(kind)))
        yield from compress(names, map(operator.not_, right))
        names = list(compress(names, right))
        are_same = _are_same(kind, list(compress(values, right)), list(map(known.__getitem__, names)))
        yield from compress(names, map(operator.not_, are_same))


def _are_same(kind: type, values: list[Any], known: list[Known]) -> list[bool]:
    """Tell of each value, which are all of one kind, whether it is what is known of it."""
    made = [one.made for one in known]
    if kind in _FIXED:
        return list(map(operator.is_, values, made))
    if kind is list:
        return same_in_lists(values, made)
    if kind is dict:
        return _are_same_dicts(values, known)
    return [
        bool(_layout(value) == one.layout and value.tobytes() == one.made)
        for value, one in zip(values, known, strict=True)
    ]


def _are_same_dicts(values: list[dict[Any, Any]], known: list[Known]) -> list[bool]:
    right = [bool(number) and number == one.version for number, one in zip(map(version, values), known, strict=True)]
    rest = list(map(operator.not_, right))
    copies = map(dict.copy, compress(values, rest))  # each is made in one step
    compared = iter(same(((*copy, *copy.values()) for copy in copies), [one.made for one in compress(known, rest)]))
    return [it_is or next(compared) for it_is in right]


def _layout(array: Any) -> tuple[Any, ...]:
    dtype = array.dtype  # one with metadata is equal to one without
    return dtype, dtype.isbuiltin, array.shape, array.strides, array.flags.num
