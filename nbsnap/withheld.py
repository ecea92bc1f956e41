"""Which variables, and which parts of variables, are secrets: found before anything is taken apart.

It is a look at the surface, and bounded: `DEPTH` steps down, containers of `WIDTH` items or fewer, `OBJECTS` objects
and `TEXTS` characters in all. A million items are data and not walked. Level by level, by iterators that run in C; the
sieve is asked once for all names and all texts of a level, and only where it says "perhaps", one by one.

What is found is told to the capture by identity: a pickler that meets one of these objects refuses it, wherever it
sits, so it costs a placeholder or its variable, as any other part that cannot be saved (`holes`).

What the look has missed is found afterwards, if it is a value that was found anywhere: `leaks` asks the streams for the
very bytes, and `inside` finds the objects, for the variables in question to be taken apart once more.
"""

from __future__ import annotations

import collections
import itertools
import re
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from . import incode, paths
from .describe import is_a, made_in_python, module_of
from .incode import as_text
from .refused import qualified
from .sieve import DEFAULT, LONGEST, Found, Sieve, holds_secrets, words_of

__all__ = ["Withheld", "inside", "search"]

DEPTH = 4
WIDTH = 1_000
OBJECTS = 50_000
TEXTS = 500_000  # characters
SHORTEST = 8  # characters of a text that may be a secret by itself
LONG_KEY = 16  # characters of a key that may be one
#: More secrets by name in one variable, and it is a table of them: data.
MANY = 20
_LOOKED_INSIDE = 200_000  # objects, where a value is known to be in there

#: Objects that are secrets as a whole, with their subclasses.
OBJECTS_KNOWN: dict[str, str] = {
    "pydantic.types.SecretStr": "a SecretStr",
    "pydantic.types.SecretBytes": "a SecretBytes",
    "pydantic.types.Secret": "a Secret of pydantic",
    "pydantic.v1.types.SecretStr": "a SecretStr",
    "pydantic.v1.types.SecretBytes": "a SecretBytes",
    "starlette.datastructures.Secret": "a Secret of starlette",
    "google.auth.credentials.Credentials": "Google credentials",
    "botocore.credentials.Credentials": "AWS credentials",
    "botocore.credentials.ReadOnlyCredentials": "AWS credentials",
    "azure.core.credentials.AzureKeyCredential": "an Azure key",
    "azure.core.credentials.AzureSasCredential": "an Azure key",
    "azure.core.credentials.AccessToken": "an Azure token",
    "cryptography.fernet.Fernet": "a private key",
    "cryptography.fernet.MultiFernet": "a private key",
    "Crypto.PublicKey.RSA.RsaKey": "a private key",
    "paramiko.pkey.PKey": "a private key",
    "requests.auth.HTTPBasicAuth": "a user's password",
    "httpx._auth.BasicAuth": "a user's password",
    "aiohttp.helpers.BasicAuth": "a user's password",
}
_KEY_PACKAGES = frozenset({"cryptography", "nacl", "ecdsa", "rsa", "Crypto", "Cryptodome"})


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
        return next((Found("known-secret", "the value of another one", one) for one in self.known if one in text), None)


# ---- the look --------------------------------------------------------------------------------------------------------

_NOTHING, _TEXT, _DICT, _ROW, _OBJECT, _FUNCTION, _CLASS, _SECRET = range(8)
_ATOMS = frozenset({int, float, bool, complex, type(None), types.ModuleType, types.CodeType, types.BuiltinFunctionType})


class _Kinds(dict[type, int]):
    """How objects of a class are looked into."""

    def __missing__(self, cls: type) -> int:
        self[cls] = kind = _kind(cls)
        return kind


def _kind(cls: type) -> int:
    if cls in _ATOMS:
        return _NOTHING
    if issubclass(cls, str | bytes | bytearray):
        return _TEXT
    if _object_words(cls):
        return _SECRET
    if issubclass(cls, dict):
        return _DICT
    if issubclass(cls, list | tuple | set | frozenset | collections.deque):
        return _ROW
    if cls is types.FunctionType:
        return _FUNCTION
    if issubclass(cls, type):
        return _CLASS
    return _OBJECT if made_in_python(cls) else _NOTHING


def _object_words(cls: type) -> str:
    for base in cls.__mro__:
        if base is object:
            break
        if words := OBJECTS_KNOWN.get(qualified(base)):
            return words
        package = module_of(base).partition(".")[0]
        if package in _KEY_PACKAGES and base.__name__.endswith(("PrivateKey", "SigningKey")):
            return "a private key"
    return ""


_kinds = _Kinds()
_INNER = frozenset({_DICT, _ROW})


def search(values: Mapping[str, Any], sieve: Sieve, closed: Collection[int] = ()) -> Withheld:
    """Return what of these variables is a secret. Objects whose ids are in `closed` are not looked into."""
    found = Withheld(sieve=sieve)
    look = _Look(found, sieve, set(closed))
    look.top(values)
    for _ in range(DEPTH):
        if not look.level or look.left <= 0:
            break
        look.down()
    for root in look.crowded():
        found.watched.discard(root)
    if found.watched:  # and all that goes by another name, too
        objects = {id(values[name]) for name in found.watched}
        found.watched.update(name for name, value in values.items() if id(value) in objects)
    found.known = tuple(dict.fromkeys(text for text in look.texts if _tells(text)))
    return found


_Entry = TypeVar("_Entry", bound=tuple[Any, ...])


class _Look:
    def __init__(self, found: Withheld, sieve: Sieve, seen: set[int]) -> None:
        self.found = found
        self.sieve = sieve
        self.seen = seen
        #: An object, its kind, the variable that leads to it, what it is called.
        self.level: list[tuple[Any, int, str, str]] = []
        self.texts: list[str] = []
        self.left = OBJECTS
        self.room = TEXTS
        self.named: collections.Counter[str] = collections.Counter()
        self.of: dict[str, list[int]] = {}

    def top(self, values: Mapping[str, Any]) -> None:
        """Look at the variables themselves."""
        meant = self.sieve.meant(values)
        kinds = map(_kinds.__getitem__, map(type, values.values()))
        allows = self.sieve.allows if self.sieve.allowed else None
        texts: list[tuple[str, str]] = []
        for name, value, kind in zip(values, values.values(), kinds, strict=True):
            if not kind or (allows is not None and allows(name)):
                continue
            if kind != _TEXT and kind != _SECRET:
                self.level.append((value, kind, name, name if name in meant and holds_secrets(name) else ""))
            elif kind == _SECRET:
                self.whole(name, self.known_object(value))
            elif (text := value if type(value) is str else as_text(value)) is None:
                continue
            elif name in meant and (found := self.by_name(name, text)) is not None:
                self.whole(name, found)
            elif len(text) >= SHORTEST:
                texts.append((name, text))
        for (name, _), found in self.by_text(texts):
            self.whole(name, found)

    def by_name(self, name: str, text: str) -> Found | None:
        """Judge a text by its name, and tell of what kind it is, if that can be seen."""
        found = self.sieve.by_name(name, text)
        kind = self.sieve.in_text(text) if found is not None else None
        return found if kind is None or found is None else found._replace(kind=kind.kind, words=kind.words)

    def whole(self, name: str, found: Found) -> None:
        self.found.whole[name] = found
        self.texts.append(found.text)

    def part(self, root: str, part: object, found: Found) -> None:
        self.found.add(root, part, found)
        self.texts.append(found.text)
        self.of.setdefault(root, []).append(id(part))
        if found.kind == "named-secret":
            self.named[root] += 1

    def known_object(self, value: Any) -> Found:
        text = next((held for key, held in paths.attributes(value) if key == "_secret_value"), "")
        return Found("secret-object", _object_words(type(value)), as_text(text) or "")

    def by_text(self, texts: list[tuple[Any, str]]) -> Iterator[tuple[tuple[Any, str], Found]]:
        """Yield those texts that hold a secret, and what it is."""
        some = []
        for one in texts:
            if (length := len(one[1])) <= LONGEST and length <= self.room:
                self.room -= length
                some.append(one)
        if some and self.sieve.may_hold("\n".join([text for _, text in some])):
            for one in some:
                if (found := self.sieve.in_text(one[1])) is not None:
                    yield one, found

    def crowded(self) -> list[str]:
        """Let those variables be that hold many secrets by name, and return them: a table of passwords is data."""
        roots = [root for root, number in self.named.items() if number > MANY]
        for root in roots:
            known = False
            for key in self.of[root]:
                if self.found.parts.get(key, _NO).kind == "named-secret":
                    del self.found.parts[key]
                else:
                    known = known or key in self.found.parts
            if known:
                roots.remove(root)
        return roots

    # --- one step down --------------------------------------------------------------------------------------------

    def down(self) -> None:
        """Look at what the objects of this level hold."""
        level, self.level = self.level, []
        seen = self.seen
        rows: list[tuple[Any, str, str]] = []
        pairs: list[tuple[list[Any], list[Any], str, str]] = []
        for value, kind, root, called in level:
            if (key := id(value)) in seen:
                continue
            seen.add(key)
            if kind == _ROW:
                if len(value) <= WIDTH:
                    rows.append((value, root, called))
                continue
            if kind == _OBJECT and module_of(type(value)) == "__main__":
                self.level.append((type(value), _CLASS, root, ""))
            if (held := _held(value, kind)) is not None and len(held[0]) <= WIDTH:
                pairs.append((*held, root, called))
        self.pairs(self.affordable(pairs))
        self.rows(self.affordable(rows))

    def affordable(self, found: list[_Entry]) -> list[_Entry]:
        """Return as many of these, the shortest first, as the budget allows."""
        total = sum([len(one[0]) for one in found])
        if total > self.left:
            found.sort(key=lambda one: len(one[0]))
            sizes = itertools.accumulate(len(one[0]) for one in found)
            found = [one for one, size in zip(found, sizes, strict=True) if size <= self.left]
            total = sum([len(one[0]) for one in found])
        self.left -= total
        return found

    def rows(self, rows: list[tuple[Any, str, str]]) -> None:
        """Look at what stands in lists and the like."""
        items = list(itertools.chain.from_iterable([_row(row) for row, _, _ in rows]))
        kinds = list(map(_kinds.__getitem__, map(type, items)))
        lengths = [len(row) for row, _, _ in rows]
        origins = itertools.chain.from_iterable(map(itertools.repeat, rows, lengths))
        asked = [
            kind and (kind != _TEXT or len(item) >= SHORTEST) for item, kind in zip(items, kinds, strict=True)
        ]  # a shorter one can be told by its own name only
        texts: list[tuple[tuple[str, object], str]] = []
        for item, kind, (_, root, called) in itertools.compress(zip(items, kinds, origins, strict=True), asked):
            self.one(item, kind, root, called, "", texts)
        for row, root, called in rows:
            if called and type(row) is tuple and len(row) == 2 and words_of(called)[-1:] == ("auth",):
                self.one(row[1], _kinds[type(row[1])], root, "", "password", texts)
        self.settle(texts)

    def pairs(self, pairs: list[tuple[list[Any], list[Any], str, str]]) -> None:
        """Look at what stands in dicts, and at attributes."""
        meant = self.sieve.meant({_key(key) for keys, _, _, _ in pairs for key in keys})
        allows = self.sieve.allows if self.sieve.allowed else None
        texts: list[tuple[tuple[str, object], str]] = []
        for keys, values, root, called in pairs:
            for key, value in zip(keys, values, strict=True):
                if not (kind := _kinds[type(value)]) or (allows is not None and allows(_key(key))):
                    continue
                self.one(value, kind, root, called, name if meant and (name := _key(key)) in meant else "", texts)
            texts += [((root, key), key) for key in keys if type(key) is str and len(key) >= LONG_KEY]
        self.settle(texts)

    def one(
        self, value: Any, kind: int, root: str, called: str, name: str, texts: list[tuple[tuple[str, object], str]]
    ) -> None:
        """Look at one thing: `name` is what it goes by itself, `called` what the container does that it is in."""
        if kind == _TEXT:
            if (text := value if type(value) is str else as_text(value)) is None:
                return
            found = self.by_name(name, text) if name else self.sieve.by_shape(text) if called else None
            if found is not None:
                self.part(root, value, found)
            elif len(text) >= SHORTEST:
                texts.append(((root, value), text))
        elif kind == _SECRET:
            self.part(root, value, self.known_object(value))
        else:
            called = name if name and holds_secrets(name) else called if kind in _INNER else ""
            self.level.append((value, kind, root, called))

    def settle(self, texts: list[tuple[tuple[str, object], str]]) -> None:
        for ((root, value), _), found in self.by_text(texts):
            self.part(root, value, found)


_NO = Found("", "", "")


def _key(key: Any) -> str:
    """Return the name that a key of a dict is."""
    return key if type(key) is str else (as_text(key) or "") if type(key) is bytes else ""


def _row(value: Any) -> Any:
    """Return the items of a list, a tuple, a set or a deque, past the methods of the user's class."""
    cls = type(value)
    if cls in (list, tuple, set, frozenset):
        return value
    kinds: tuple[Any, ...] = (list, tuple, set, frozenset, collections.deque)
    for kind in kinds:
        if is_a(value, kind):
            return list(kind.__iter__(value))
    return ()


def _held(value: Any, kind: int) -> tuple[list[Any], list[Any]] | None:
    """Return names and values of what an object holds, without asking it."""
    if kind == _DICT:
        if dict.__len__(value) > WIDTH:
            return None
        items = list(dict.items(value))
        return [key for key, _ in items], [held for _, held in items]
    if kind == _FUNCTION:
        code = value.__code__
        names = list(code.co_varnames[: code.co_argcount])
        defaults = value.__defaults__ or ()
        more = value.__kwdefaults__ or {}
        free = [
            (name, cell.cell_contents)
            for name, cell in zip(code.co_freevars, value.__closure__ or (), strict=False)
            if not _is_empty(cell)
        ]
        keys = [*names[len(names) - len(defaults) :], *more, *(name for name, _ in free)]
        return keys, [*defaults, *more.values(), *(held for _, held in free)]
    if kind == _CLASS:
        if module_of(value) != "__main__":
            return None
        own = type.__dict__["__dict__"].__get__(value)
        pairs = [(key, held) for key, held in own.items() if not key.startswith("__")]
        return [key for key, _ in pairs], [held for _, held in pairs]
    pairs = list(paths.attributes(value))
    return [key for key, _ in pairs], [held for _, held in pairs]


def _is_empty(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return True
    return False


def _tells(text: str) -> bool:
    """Tell whether a text is found nowhere by chance."""
    if len(text) < 6 or "\n" in text[:1]:
        return False
    return len(text) >= 12 or (re.search(r"\d", text) is not None and re.search(r"[^\W\d]", text) is not None)


# ---- what the look has missed ----------------------------------------------------------------------------------------


def inside(withheld: Withheld, values: Mapping[str, Any], names: Iterable[str]) -> bool:
    """Find the texts in these variables that hold a known secret; tell whether there are new ones."""
    before = len(withheld.parts), len(withheld.whole), len(withheld.watched)
    for name in names:
        value = values.get(name)
        text = as_text(value) if _kinds[type(value)] == _TEXT else None
        if text is not None:
            if (found := withheld.within(text)) is not None:
                withheld.whole[name] = found
            continue
        for part, found in _texts_in(value, withheld.within):
            withheld.add(name, part, found)
    return (len(withheld.parts), len(withheld.whole), len(withheld.watched)) != before


def _texts_in(value: object, within: Callable[[str], Found | None]) -> Iterator[tuple[object, Found]]:
    for _, _, child in paths.walk(value, leaves=True, limit=_LOOKED_INSIDE):
        text = as_text(child) if _kinds[type(child)] == _TEXT else None
        if text is not None and (found := within(text)) is not None:
            yield child, found
