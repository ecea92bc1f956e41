"""Which names are the user's, and how a namespace is changed as a whole or not at all.

Works on any dict with names for keys; has never heard of IPython. What a shell calls its own is handed in as `hidden`
(name → object): a name is the shell's while it is still bound to that very object. The names in `SHELL` stay the
shell's even when the user rebinds them, because a restore that bound them would break the shell that it runs in.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import filterfalse
from typing import Any

from .errors import VariableNotFound
from .quiet import uninterrupted

#: What Python itself keeps in the namespace of a module.
MODULE = frozenset(
    [
        "__name__",
        "__doc__",
        "__package__",
        "__loader__",
        "__spec__",
        "__builtins__",
        "__builtin__",
        "__file__",
        "__cached__",
        "__annotations__",
        "__annotate__",
        "__conditional_annotations__",
        "__warningregistry__",
        "__nonzero__",
        "__session__",
        "__vsc_ipynb_file__",
    ]
)
#: What VS Code puts there: the wrapper of its cells, its variable viewer, its data viewer.
FRONT_END = ("_VSCODE_", "__VSCODE_", "__DW_")
#: IPython's own.
SHELL = frozenset(
    [
        "In",
        "Out",
        "get_ipython",
        "exit",
        "quit",
        "_",
        "__",
        "___",
        "_i",
        "_ii",
        "_iii",
        "_ih",
        "_oh",
        "_dh",
        "_exit_code",
    ]
)
#: Of these, what holds values that nobody wants (`for _ in …`, `!command`): left out without a word.
THROWAWAY = frozenset(["_", "__", "___", "_exit_code"])


def user_names(namespace: Mapping[Any, Any], hidden: Mapping[str, Any] | None = None) -> tuple[list[str], list[str]]:
    """Return the user's names in the order of binding, and the shell's names that the user has bound to something else.

    `hidden` is None outside of a shell: then the shell's names are names like any other.
    """
    every = dict(namespace)  # in one step, whatever other threads do
    names = [name for name in every if type(name) is str and (name[:1] != "_" or not _is_pythons(name))]
    if hidden is None:
        return names, []
    if hers := [name for name in names if name in hidden and hidden[name] is every[name]]:
        names = list(filterfalse(set(hers).__contains__, names))
    lost = [name for name in names if name in SHELL and name not in THROWAWAY]
    return list(filterfalse(SHELL.__contains__, names)), lost


def _is_pythons(name: str) -> bool:
    """Tell whether a name is Python's or the front end's, all of which begin with an underscore."""
    return name in MODULE or name.startswith(FRONT_END)


def select(names: Sequence[str], only: Iterable[str] = (), exclude: Iterable[str] = ()) -> list[str]:
    """Return the `names` that match a pattern of `only` (all, if there is none) and none of `exclude`, in their order.

    A pattern is a name or a shell glob. Raises VariableNotFound for a pattern that matches nothing.
    """
    only, exclude = tuple(only), tuple(exclude)
    if not only and not exclude:
        return list(names)
    wanted = _matches(names, only) if only else set(names)
    unwanted = _matches(names, exclude)
    return [name for name in names if name in wanted and name not in unwanted]


def wanted(
    names: Iterable[str], only: Sequence[str] = (), exclude: Sequence[str] = (), ignore: Sequence[str] = ()
) -> Callable[[str], bool]:
    """Return what tells of a name whether it is meant, among `names`; `ignore` is no error where it matches nothing."""
    chosen = set(select(list(dict.fromkeys(names)), only, exclude))
    return lambda name: name in chosen and (name in only or not matches_any(name, ignore))


def _matches(names: Sequence[str], patterns: Iterable[str]) -> set[str]:
    known = set(names)
    found: set[str] = set()
    for given in patterns:
        for pattern in _spellings(given):
            globbed = pattern not in known and re.search(r"[*?\[]", pattern) is not None
            hits = {name for name in names if fnmatch.fnmatchcase(name, pattern)} if globbed else known & {pattern}
            if hits:
                found |= hits
                break
        else:
            raise VariableNotFound(unknown(given, names))
    return found


def _spellings(name: str) -> tuple[str, ...]:
    """Return a name as it was given, and as Python takes it: `é` may be typed as two characters, and is one."""
    return (name,) if name.isascii() else tuple(dict.fromkeys((name, unicodedata.normalize("NFKC", name))))


def matches_any(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether a name is, or is matched by, one of the patterns."""
    spelled = (spelling for pattern in patterns for spelling in _spellings(pattern))
    return any(name == pattern or fnmatch.fnmatchcase(name, pattern) for pattern in spelled)


def unknown(name: str, names: Sequence[str]) -> str:
    """Return the message for a name that is not there, with its closest matches."""
    close = difflib.get_close_matches(name, names, n=3)
    if close:
        return f"no variable {name!r}; did you mean {' or '.join(close)}?"
    return f"no variable {name!r}; there {_are(len(names))}"


def _are(count: int) -> str:
    return "are none" if count == 0 else "is 1 variable" if count == 1 else f"are {count} variables"


#: What a name is bound to that is not there.
ABSENT: Any = object()


class Journal:
    """A namespace being changed: every change can be taken back, together.

    `bind` and `remove` first remember what is there and then act; `undo` puts it back, wherever they were interrupted.
    While it does, Ctrl-C waits.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self._before: dict[str, Any] = {}

    def bind(self, values: Mapping[str, Any]) -> None:
        """Bind all of `values`."""
        for name in values:
            self._before.setdefault(name, self.namespace.get(name, ABSENT))
        self.namespace.update(values)

    def remove(self, names: Iterable[str]) -> None:
        """Remove the names that are there."""
        for name in names:
            self._before.setdefault(name, self.namespace.get(name, ABSENT))
            self.namespace.pop(name, None)

    def replaced(self) -> dict[str, Any]:
        """Return what the names were bound to before that are bound to something else now; `ABSENT` for nothing."""
        now = self.namespace
        return {name: value for name, value in self._before.items() if now.get(name, ABSENT) is not value}

    def undo(self) -> None:
        """Put everything back as it was."""
        with uninterrupted():
            for name, value in self._before.items():
                if value is ABSENT:
                    self.namespace.pop(name, None)
                else:
                    self.namespace[name] = value
            self._before.clear()


def put_in_order(namespace: dict[str, Any], order: Sequence[str], names: Iterable[str]) -> None:
    """Let `names` stand in a namespace as in `order`, and those that are not in there behind them, as they stand."""
    wanted = set(names)
    present = [name for name in namespace if name in wanted]
    known = set(order)
    target = [name for name in order if name in wanted and name in namespace]
    target += [name for name in present if name not in known]
    first = next((at for at, (one, other) in enumerate(zip(present, target, strict=True)) if one != other), len(target))
    for name in target[first:]:
        namespace[name] = namespace.pop(name)
