"""Which variables, and which parts of variables, are secrets: found before anything is taken apart.

It is a look at the surface, and bounded: `DEPTH` steps down, dicts and objects of `WIDTH` items or fewer, lists and
other rows of `LENGTH` or fewer, `OBJECTS` objects and `TEXTS` characters in all. What is longer is data, and not
walked. It goes level by level, by iterators that run in C; the sieve is asked once for all names and all texts of a
level, and only where it says "perhaps", one by one.

What is found is told to the capture by identity: a pickler that meets one of these objects refuses it, wherever it
sits, so it costs a placeholder or its variable, as any other part that cannot be saved (`holes`).

What the look has missed is found afterwards, if it is a value that was found anywhere: see `missed`.
"""

from __future__ import annotations

import collections
import itertools
import operator
import re
import types
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, TypeVar

from . import incode, paths
from .called import holds_secrets, words_of
from .describe import is_a, is_changed_meanwhile, module_of
from .incode import as_text
from .sieve import DEFAULT, KNOWN, LONGEST, NAMED, UNSEARCHED, Found, Sieve
from .surface import (
    CLASS,
    CODE,
    DEEPER,
    EXACT,
    FLAT,
    INNER,
    KINDS,
    OBJECT,
    OTHER_TEXTS,
    PLAIN,
    ROW,
    SECRET,
    TEXT,
    WIDTH,
    forget,
    held_by,
    name_in,
    object_words,
    row_of,
)

__all__ = ["Withheld", "search", "unsearched"]

DEPTH = 4
LENGTH = 100
OBJECTS = 10_000
TEXTS = 500_000  # characters
SHORTEST = 8  # characters of a text that may be a secret by itself
LONG_KEY = 16  # characters of a key that may be one
#: More secrets by name in one variable, and it is a table of them: data.
MANY = 20


@dataclass
class Withheld:
    """What is not to be saved."""

    whole: dict[str, Found] = field(default_factory=dict)  # variables
    parts: dict[int, Found] = field(default_factory=dict)  # id -> what is a secret inside of a variable
    watched: set[str] = field(default_factory=set)  # the variables that hold such parts
    kept: list[object] = field(default_factory=list)  # the parts, alive as long as their ids count
    code: set[int] = field(default_factory=set)  # those parts that are functions
    known: tuple[str, ...] = ()  # texts that are secrets, and would be told apart anywhere
    sieve: Sieve = DEFAULT
    passed: set[str] = field(default_factory=set)  # the variables of which something was passed over: see `OBJECTS`

    def reasons(self) -> dict[int, str]:
        """Return why each of these parts is not saved."""
        return {key: self._reason(key) for key in self.parts}

    def _reason(self, key: int) -> str:
        why = self.parts[key].reason
        return why.replace("looks", "its code holds what looks") if key in self.code else why

    def in_code(self, function: types.FunctionType) -> str:
        """Return why a function is not saved: its code holds a secret. Else return ""."""
        found = self.parts.get(id(function)) or incode.find(function.__code__, self.sieve, self.within)
        if found is None:
            return ""
        if id(function) not in self.parts:
            self.parts[id(function)] = found
            self.kept.append(function)
            self.code.add(id(function))
        return self._reason(id(function))

    def add(self, root: str, part: object, found: Found) -> None:
        """Note a part of a variable."""
        self.parts[id(part)] = found
        self.watched.add(root)
        self.kept.append(part)

    def within(self, text: str) -> Found | None:
        """Return the secret that a text holds, of those that are known."""
        return next((KNOWN._replace(text=one) for one in self.known if one in text), None)


# ---- the look --------------------------------------------------------------------------------------------------------


def search(
    values: Mapping[str, Any], sieve: Sieve, closed: Collection[int] = (), clean: Set[str] = frozenset()
) -> Withheld:
    """Return what of these variables is a secret. Objects whose ids are in `closed` are not looked into.

    `clean` are small variables that are as they were, in which this sieve found nothing or that have to wait.
    """
    rest = {name: values[name] for name in itertools.filterfalse(clean.__contains__, values)} if clean else values
    dicts = {name: value for name, value in values.items() if type(value) is dict and name in clean} if rest else {}
    mine = set(map(id, rest.values()))  # what goes by another name, too, is looked at for that one
    known = {name: value for name, value in dicts.items() if id(value) not in mine}
    try:
        look = _looked_through(rest, sieve, closed, known)
    finally:
        forget()
    found = Withheld(whole=look.whole, sieve=sieve, passed=look.passed)
    parts = look.parts()
    for root, part, what in parts:
        found.add(root, part, what)
    found.watched |= _by_other_names(found.watched, values)
    found.passed |= _by_other_names(found.passed, values)
    texts = [what.text for what in (*look.whole.values(), *(what for _, _, what in parts))]
    # the longest first: one may be the beginning of another
    found.known = tuple(sorted(dict.fromkeys(filter(_tells, texts)), key=len, reverse=True))
    for name, value in values.items() if found.known else ():
        if name not in found.whole and (why := _in_long(value, found)) is not None:
            found.whole[name] = why
    return found


def _by_other_names(names: Set[str], values: Mapping[str, Any]) -> set[str]:
    """Return all names of what goes by these."""
    objects = {id(values[name]) for name in names}
    return {name for name, value in values.items() if id(value) in objects} if objects else set()


def _looked_through(
    values: Mapping[str, Any], sieve: Sieve, closed: Collection[int], known: Mapping[str, Any]
) -> _Look:
    """Return what the look has found: in all of the variables at once or, where that fails, in each by itself.

    What can still not be looked through is left out as a whole. None of the user's code runs in here; so what fails is
    odd, or is changed by another thread all the time. What is `known` is not looked into where others hold it.
    """
    found, failure = _attempt(values, sieve, closed, known)
    if found is None:
        found = _Look(sieve, set(), careful=True)
        for name, value in values.items():
            one, failure = _attempt({name: value}, sieve, closed, known)
            if one is not None:
                found.whole.update(one.whole)
                found.found += one.found
                found.passed |= one.passed
            elif not sieve.allows(name):
                found.whole[name] = unsearched(failure)
    return found


def _attempt(
    values: Mapping[str, Any], sieve: Sieve, closed: Collection[int], known: Mapping[str, Any]
) -> tuple[_Look | None, BaseException | None]:
    """Return what a look has found, or why there was none; what is changed meanwhile is looked at again."""
    failure: BaseException | None = None
    for careful in (False, True, True, True):
        look = _Look(sieve, {*closed, *map(operator.neg, closed)}, careful=careful)
        try:
            look.pass_over(known)
            look.top(values)
            for _ in range(DEPTH):
                if not look.level or look.left <= 0:
                    look.passed.update(root for _, _, root, _ in look.level)
                    break
                look.down()
        except Exception as error:  # of whatever kind: see above
            failure = error
            if not (type(error) is _ChangedMeanwhile or is_changed_meanwhile(error)):
                break
        else:
            return look, None
    return None, failure


def unsearched(failure: BaseException | None) -> Found:
    """Return what is said of a variable that could not be looked through."""
    changed = failure is not None and (type(failure) is _ChangedMeanwhile or is_changed_meanwhile(failure))
    why = "another thread changes it all the time" if changed else type(failure).__name__
    return Found(UNSEARCHED, why, "")


class _ChangedMeanwhile(Exception):
    """Names and values of a container do not go together."""


def _side_by_side(*columns: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """Yield what stands side by side in columns that another thread may make longer or shorter."""
    try:
        yield from zip(*columns, strict=True)
    except ValueError:
        raise _ChangedMeanwhile from None


_Entry = TypeVar("_Entry", bound=tuple[Any, ...])


def _in_long(value: Any, withheld: Withheld) -> Found | None:
    """Return the known secret that a text holds which was too long to be looked through."""
    if is_a(value, str):
        text = str.__str__(value)
        return withheld.within(text) if len(text) > LONGEST else None
    for kind in (bytes, bytearray):
        if is_a(value, kind) and kind.__len__(value) > LONGEST:
            return next((KNOWN._replace(text=one) for one in withheld.known if _stands_in(one, value, kind)), None)
    return None


def _stands_in(text: str, value: Any, kind: Any) -> bool:
    return any(kind.__contains__(value, text.encode(how, "replace")) for how in ("utf-8", "latin-1"))


_TOGETHER = 64  # texts that the sieve is asked for at once


class _Look:
    """One look; `whole` and `found` are what it finds, variables and parts of variables."""

    def __init__(self, sieve: Sieve, seen: set[int], *, careful: bool) -> None:
        self.whole: dict[str, Found] = {}
        self.found: list[tuple[str, object, Found]] = []
        self.noted: set[tuple[str, int]] = set()
        self.careful = careful  # containers are copied, each in one step
        self.sieve = sieve
        self.seen = seen
        #: An object, its kind, the variable that leads to it, what it is called.
        self.level: list[tuple[Any, int, str, str]] = []
        self.left = OBJECTS
        self.room = TEXTS
        self.passed: set[str] = set()  # the variables for which there was no time

    def pass_over(self, known: Mapping[str, Any]) -> None:
        """Take these variables, dicts, for looked at: what others hold of them is not theirs to be counted."""
        telling = set(filter(holds_secrets, self.sieve.meant(known)))
        self.seen.update(-id(value) if name in telling else id(value) for name, value in known.items())

    def top(self, values: Mapping[str, Any]) -> None:
        """Look at the variables themselves."""
        if self.sieve.allowed:
            values = {name: value for name, value in values.items() if not self.sieve.allows(name)}
        meant = self.sieve.meant(values)
        types = list(map(type, values.values()))
        kinds = list(map(KINDS.__getitem__, types))
        for name in sorted(meant):
            text = as_text(values[name])
            if text is not None and (found := self.by_name(name, text)) is not None:
                self.whole[name] = found
        whole = self.whole
        rest = [None if name in whole else value for name, value in values.items()] if whole else values.values()
        if self.perhaps(rest, list(map(type, rest)) if whole else types):
            some = itertools.compress(values.items(), map(operator.eq, kinds, itertools.repeat(TEXT)))
            texts = [(name, text) for name, value in some if (text := _long_text(value)) is not None]
            for (name, _), found in self.by_text(texts):
                self.whole.setdefault(name, found)
        rows = list(itertools.compress(values.values(), map(operator.eq, kinds, itertools.repeat(ROW))))
        if self.careful:
            rows = list(map(row_of, rows))
        deeper = map(DEEPER.__getitem__, types)
        if self.are_harmless(rows) and not any(KINDS[type(values[name])] == ROW for name in meant):
            deeper = map(operator.gt, kinds, itertools.repeat(ROW))
        telling = {name: name for name in meant if holds_secrets(name)}
        called = map(telling.get, values, itertools.repeat(""))
        self.level = list(itertools.compress(zip(values.values(), kinds, values, called, strict=True), deeper))
        if SECRET in kinds:
            for value, kind, name, _ in self.level:
                if kind == SECRET:
                    self.whole[name] = self.known_object(value)

    def are_harmless(self, rows: list[Any]) -> bool:
        """Tell whether lists and the like hold nothing but atoms and texts that are no secrets."""
        if not set(map(type, rows)) <= EXACT:
            return False
        if max(map(len, rows), default=0) > LENGTH:
            rows = [row for row in rows if len(row) <= LENGTH]
        if sum(map(len, rows)) > self.left:
            return False
        items = list(itertools.chain.from_iterable(rows))
        types = list(map(type, items))
        return set(types) <= FLAT and not self.perhaps(items, types)

    def perhaps(self, values: Iterable[Any], types: list[type]) -> bool:
        """Tell whether one of many values may be a text that is a secret; quick, and right when it says no."""
        if not OTHER_TEXTS.isdisjoint(kinds := set(types)) or any(KINDS[kind] == TEXT for kind in kinds - PLAIN):
            return True
        texts = list(itertools.compress(values, map(operator.is_, types, itertools.repeat(str))))
        lengths = list(map(len, texts))
        if max(lengths, default=0) > LONGEST:  # those are not looked through
            texts = [text for text in texts if len(text) <= LONGEST]
            lengths = list(map(len, texts))
        if sum(lengths) > self.room:
            return True
        return self.sieve.one_may(texts)

    def by_name(self, name: str, text: str) -> Found | None:
        """Judge a text by its name, and tell of what kind it is, if that can be seen."""
        found = self.sieve.by_name(name, text)
        kind = self.sieve.in_text(text) if found is not None else None
        return found if kind is None or found is None else found._replace(kind=kind.kind, words=kind.words)

    def part(self, root: str, part: object, found: Found) -> None:
        self.found.append((root, part, found))
        self.noted.add((root, id(part)))

    def parts(self) -> list[tuple[str, object, Found]]:
        """Return the parts, but for those that are many by name in one variable: a table of passwords is data."""
        named = collections.Counter(root for root, _, found in self.found if found.kind == NAMED)
        return [one for one in self.found if one[2].kind != NAMED or named[one[0]] <= MANY]

    def known_object(self, value: Any) -> Found:
        text = next((held for key, held in paths.attributes(value) if key == "_secret_value"), "")
        return Found("secret-object", object_words(type(value)), as_text(text) or "")

    def by_text(self, texts: list[tuple[Any, str]]) -> Iterator[tuple[tuple[Any, str], Found]]:
        """Yield those texts that hold a secret, and what it is."""
        some = texts
        lengths = [len(text) for _, text in texts]
        if sum(lengths) > self.room or max(lengths, default=0) > LONGEST:
            some = []
            for one, length in sorted(zip(texts, lengths, strict=True), key=operator.itemgetter(1)):
                if length > LONGEST:
                    break
                if length <= self.room:
                    self.room -= length
                    some.append(one)
                else:  # nor is one that comes later any shorter
                    self.passed.add(one[0] if type(one[0]) is str else one[0][0])
        else:
            self.room -= sum(lengths)
        for start in range(0, len(some), _TOGETHER):
            together = some[start : start + _TOGETHER]
            if self.sieve.one_may([text for _, text in together]):
                for one in together:
                    if (found := self.sieve.in_text(one[1])) is not None:
                        yield one, found

    # --- one step down --------------------------------------------------------------------------------------------

    def down(self) -> None:
        """Look at what the objects of this level hold."""
        level, self.level = self.level, []
        seen = self.seen
        pairs: list[tuple[Iterable[Any], Iterable[Any], str, str]] = []
        rows: list[tuple[Any, str, str]] = []
        for value, kind, root, called in level:
            if kind == ROW:
                row = value if type(value) in EXACT and not self.careful else row_of(value)
                if len(row) <= LENGTH:
                    rows.append((row, root, called))
                continue
            key = -id(value) if called else id(value)  # what no telling name led to was looked at with other eyes
            if kind == SECRET or key in seen or -id(value) in seen:
                continue
            seen.add(key)
            if kind == CODE:
                if (found := incode.find(value, self.sieve, _unknown)) is not None:
                    self.part(root, value, found)
                continue
            if kind == OBJECT and module_of(type(value)) == "__main__":
                self.level.append((type(value), CLASS, root, ""))
            if type(value) is dict and not self.careful:
                if len(value) <= WIDTH:
                    pairs.append((value, value.values(), root, called))
            elif (held := held_by(value, kind)) is not None and len(held[0]) <= WIDTH:
                pairs.append((*held, root, called))
        affordable = self.affordable([*pairs, *rows])
        self.pairs(list(itertools.compress(pairs, affordable)))
        self.rows(list(itertools.compress(rows, affordable[len(pairs) :])))

    def affordable(self, found: Sequence[tuple[Any, ...]]) -> list[bool]:
        """Tell of each of these whether the budget allows it: it is spent on the shortest first."""
        sizes = [len(one[0]) for one in found]
        told = [True] * len(sizes)
        if sum(sizes) <= self.left:
            self.left -= sum(sizes)
            return told
        for at in sorted(range(len(sizes)), key=sizes.__getitem__):
            if sizes[at] <= self.left:
                self.left -= sizes[at]
            else:
                told[at] = False
                self.passed.add(found[at][-2])
        return told

    def rows(self, rows: list[tuple[Any, str, str]]) -> None:
        """Look at what stands in lists and the like."""
        items = list(itertools.chain.from_iterable([row for row, _, _ in rows]))
        self.items(items, rows)
        for row, root, called in rows:
            if called:
                for item in row:
                    self.shaped(item, root)
                if type(row) in (tuple, list) and len(row) == 2 and words_of(called)[-1:] == ("auth",):
                    self.of_name(row[1], root, "password")

    def pairs(self, pairs: list[tuple[Iterable[Any], Iterable[Any], str, str]]) -> None:
        """Look at what stands in dicts, and at attributes."""
        keys = list(itertools.chain.from_iterable([keys for keys, _, _, _ in pairs]))
        values = list(itertools.chain.from_iterable([values for _, values, _, _ in pairs]))
        every = set(keys) if set(map(type, keys)) <= {str} else {key for key in map(name_in, keys) if key}
        if self.sieve.allowed and any(map(self.sieve.allows, every)):
            both = _side_by_side(keys, values)
            values = [None if self.sieve.allows(name_in(key)) else value for key, value in both]
        if meant := self.sieve.meant(every):
            origins = self.origins(pairs)
            for key, value, (its_keys, its_values, root, _) in _side_by_side(keys, values, origins):
                if (name := name_in(key)) in meant:
                    beside = zip(its_keys, its_values, strict=False)
                    self.of_name(value, root, name, (held for key, held in beside if name_in(key) not in meant))
                    if KINDS[type(value)] in INNER and holds_secrets(name):
                        self.level.append((value, KINDS[type(value)], root, name))
        self.items(values, pairs)
        if self.perhaps(long := [key for key in every if len(key) >= LONG_KEY], [str] * len(long)):
            self.settle([((one[-2], key), key) for one in pairs for key in one[0] if len(name_in(key)) >= LONG_KEY])
        for _, held, root, called in pairs:
            if called:
                for value in held:
                    self.shaped(value, root)

    def origins(self, holders: Sequence[_Entry]) -> Iterator[_Entry]:
        """Return for each thing in some containers what is known of its container."""
        return itertools.chain.from_iterable(map(itertools.repeat, holders, [len(one[0]) for one in holders]))

    def items(self, items: list[Any], holders: Sequence[tuple[Any, ...]]) -> None:
        """Look at what stands in containers, whatever its name."""
        types = list(map(type, items))
        if not set(types) <= FLAT:
            deeper = map(DEEPER.__getitem__, types)
            for item, (*_, root, called) in itertools.compress(_side_by_side(items, self.origins(holders)), deeper):
                if (kind := KINDS[type(item)]) == SECRET:
                    self.part(root, item, self.known_object(item))
                else:
                    self.level.append((item, kind, root, called if kind in INNER else ""))
        if self.perhaps(items, types):
            held = _side_by_side(items, self.origins(holders))
            self.settle(
                [((root, item), text) for item, (*_, root, _) in held if (text := _long_text(item)) is not None]
            )

    def of_name(self, value: Any, root: str, name: str, others: Iterable[Any] = ()) -> None:
        """Look at what goes by the name of a secret, and what stands beside it by other names.

        A plain word that stands there too (`user="postgres", password="postgres"`) is nobody's secret, and would be one
        object with the other one.
        """
        text = as_text(value)
        if text is not None and (found := self.by_name(name, text)) is not None:
            alike = not _tells(text) and any(type(other) is str and other == text for other in others)
            if not alike or self.sieve.is_named(name):
                self.part(root, value, found)

    def shaped(self, value: Any, root: str) -> None:
        """Look at what stands in something of a secret's name."""
        if (text := _long_text(value)) is not None and (found := self.sieve.by_shape(text)) is not None:
            self.part(root, value, found)

    def settle(self, texts: list[tuple[tuple[str, object], str]]) -> None:
        """Judge texts by themselves."""
        for ((root, value), _), found in self.by_text(texts):
            if (root, id(value)) not in self.noted:
                self.part(root, value, found)


def _long_text(value: Any) -> str | None:
    """Return a text that may be a secret by itself."""
    text = as_text(value) if KINDS[type(value)] == TEXT else None  # the kind first: it is asked of thousands
    return text if text is not None and len(text) >= SHORTEST else None


def _unknown(text: str) -> None:
    """Know no text that is a secret: so far there is none."""


def _tells(text: str) -> bool:
    """Tell whether a text is found nowhere by chance."""
    if len(text) < 6 or "\n" in text[:1]:
        return False
    return len(text) >= 12 or (re.search(r"\d", text) is not None and re.search(r"[^\W\d]", text) is not None)
