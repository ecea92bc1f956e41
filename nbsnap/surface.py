"""What can be seen of an object without asking it: what it holds, and by which names. None of the user's code is run.

A class tells the kind of its objects (`KINDS`); the methods of a subclass are passed by."""

from __future__ import annotations

import collections
import functools
import types
from typing import Any

from . import paths
from .describe import is_a, made_in_python, module_of, qualname_of
from .incode import as_text
from .refused import qualified

WIDTH = 1_000  # items of a dict, attributes of an object: what has more is not opened

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


NOTHING, TEXT, ROW, DICT, OBJECT, FUNCTION, CLASS, WRAPPER, CODE, SECRET = range(10)
_ATOMS = frozenset({int, float, bool, complex, type(None), types.ModuleType, types.BuiltinFunctionType})


#: What is around something else -> the names by which it holds that.
_WRAPPERS: dict[type, tuple[str, ...]] = {
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    property: ("fget", "fset", "fdel"),
    functools.partial: ("func", "args", "keywords"),
    types.MethodType: ("__func__", "__self__"),
}


class _Kinds(dict[type, int]):
    """How objects of a class are looked into."""

    def __missing__(self, cls: type) -> int:
        self[cls] = kind = _kind(cls)
        return kind


def _kind(cls: type) -> int:
    if cls in _ATOMS:
        return NOTHING
    if issubclass(cls, str | bytes | bytearray):
        return TEXT
    if object_words(cls):
        return SECRET
    if issubclass(cls, dict):
        return DICT
    if issubclass(cls, list | tuple | set | frozenset | collections.deque):
        return ROW
    if cls is types.FunctionType:
        return FUNCTION
    if issubclass(cls, type):
        return CLASS
    if cls is types.CodeType:
        return CODE
    if issubclass(cls, tuple(_WRAPPERS)):
        return WRAPPER
    return OBJECT if made_in_python(cls) else NOTHING


def object_words(cls: type) -> str:
    for base in type.__dict__["__mro__"].__get__(cls):
        if base is object:
            break
        if words := OBJECTS_KNOWN.get(qualified(base)):
            return words
        package = module_of(base).partition(".")[0]
        if package in _KEY_PACKAGES and qualname_of(base).endswith(("PrivateKey", "SigningKey")):
            return "a private key"
    return ""


KINDS = _Kinds()
INNER = frozenset({DICT, ROW})


class _Deeper(dict[type, bool]):
    """Whether objects of a class are looked into, or are secrets as a whole."""

    def __missing__(self, cls: type) -> bool:
        self[cls] = found = KINDS[cls] > TEXT
        return found


DEEPER = _Deeper()


def name_in(key: Any) -> str:
    """Return the name that a key of a dict is."""
    return key if type(key) is str else (as_text(key) or "") if type(key) is bytes else ""


EXACT = frozenset({list, tuple, set, frozenset})
FLAT = _ATOMS | {str}
PLAIN = FLAT | EXACT | {dict}
OTHER_TEXTS = frozenset({bytes, bytearray})


def row_of(value: Any) -> Any:
    """Return the items of a list, a tuple, a set or a deque, past the methods of the user's class."""
    kinds: tuple[Any, ...] = (list, tuple, set, frozenset, collections.deque)
    for kind in kinds:
        if is_a(value, kind):
            return list(kind.__iter__(value))
    return ()


def held_by(value: Any, kind: int) -> tuple[list[Any], list[Any]] | None:
    """Return names and values of what an object holds, without asking it."""
    if kind == DICT:
        if dict.__len__(value) > WIDTH:
            return None
        items = list(dict.items(value))
        return [key for key, _ in items], [held for _, held in items]
    if kind == FUNCTION:
        code = value.__code__
        defaults = value.__defaults__ or ()
        names = ["" for _ in defaults] + list(code.co_varnames[: code.co_argcount])  # there may be more defaults
        more = list((value.__kwdefaults__ or {}).items())
        free = [
            (name, cell.cell_contents)
            for name, cell in zip(code.co_freevars, value.__closure__ or (), strict=False)
            if not _is_empty(cell)
        ]
        given = [*vars(value).items(), ("__doc__", value.__doc__)]
        pairs = [*zip(names[len(names) - len(defaults) :], defaults, strict=True), *more, *free, *given]
        return [key for key, _ in pairs], [held for _, held in pairs]
    if kind == CLASS:
        if module_of(value) != "__main__":
            return None
        own = type.__dict__["__dict__"].__get__(value)
        pairs = [(key, _unwrapped(held)) for key, held in list(own.items()) if key not in _OF_EVERY_CLASS]
        return [key for key, _ in pairs], [held for _, held in pairs]
    pairs = list(paths.attributes(value))
    if kind == WRAPPER:
        cls = next(cls for cls in _WRAPPERS if is_a(value, cls))
        pairs += [(name, vars(cls)[name].__get__(value)) for name in _WRAPPERS[cls]]
    return [key for key, _ in pairs], [held for _, held in pairs]


_OF_EVERY_CLASS = frozenset({"__dict__", "__weakref__", "__module__", "__qualname__"})


def _unwrapped(held: Any) -> Any:
    return held.__func__ if type(held) in (staticmethod, classmethod) else held


def _is_empty(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return True
    return False


def forget() -> None:
    """Let go of the classes that were met."""
    KINDS.clear()
    DEEPER.clear()
