"""Code of a snapshot that another Python has made: compiled anew from its text, and never run as it is.

Bytecode is of one version, and so are some classes and functions of the standard library; the rest of a stream is data.
So where the Python that loads is another one, the names that streams call (`builders`) and that need bytecode or syntax
are answered here. A code object is looked for in the text that its mark leads to (`codes`), which the snapshot keeps
or a module of this Python has. What surrounds it (defaults, closures, attributes, decorators that have long been
applied) comes from the stream, as ever, and no code of the user runs.

What cannot be had is **lost**: a placeholder stands for it and says why, and whatever holds it comes back with that. A
placeholder cannot be filled, so who fills functions is answered here, too. Methods that the standard library makes for
a class (`dataclasses`, `namedtuple`) are lost at first and made again when the class is there (`remade`).
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import marshal
import pickle
import sys
import threading
import types
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from . import builders, codes
from .builders import PYTHON
from .codes import Mark, Table
from .errors import CannotLoad
from .model import MASK, Group, Snapshot
from .placeholder import ELSEWHERE, Placeholder

__all__ = ["Anew", "foretold"]


def _version(snapshot: Snapshot) -> str:
    """Return "3.11"."""
    told = {group.python for group in snapshot.groups if group.python}
    return min(told) if told else ".".join(snapshot.head.python.split(".")[:2])


def _help(python: str) -> str:
    """Return what helps where code cannot be had: the Python that has made it runs it as it is."""
    return f"start Python {python}"


def foretold(snapshot: Snapshot, wanted: Iterable[str]) -> tuple[str, ...]:
    """Return lines about what a restore under this Python will do with the code of a snapshot of another."""
    names = set(wanted)
    version = _version(snapshot)
    groups = leading_to(snapshot, names) if version != PYTHON else []
    if not any(group.python for group in groups):
        return ()
    bound = sorted({name for group in groups for name in group.bound})
    but = f"; not those whose text is not known: {', '.join(bound)}" if bound else ""
    return (f"saved by Python {version}: functions and classes will be compiled anew from their text{but}",)


def leading_to(snapshot: Snapshot, names: Collection[str]) -> list[Group]:
    """Return the groups that variables need: their own, and those of the classes that are referred to there."""
    homes = {spec.key: spec.group for spec in snapshot.definitions}
    groups = {group.id: group for group in snapshot.groups}
    todo = [group.id for group in snapshot.groups if not set(group.variables).isdisjoint(names)]
    found: dict[str, Group] = {}
    while todo:
        if (group := groups.get(todo.pop())) is not None and group.id not in found:
            found[group.id] = group
            todo += [homes[key] for key in (*group.needs, *group.definitions) if key in homes]
    return list(found.values())


class Anew:
    """Compiles the code of one snapshot, and notes what is lost. Without `active` it does nothing at all."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.python = _version(snapshot)
        self.help = _help(self.python)
        self.active = self.python != PYTHON
        self.lost: dict[int, Placeholder] = {}
        self.unknown = _UNKNOWN.get(PYTHON, frozenset()) if self.active else frozenset()
        self.made = 0  # code objects that were compiled
        self._texts: Mapping[str, str] = dict(snapshot.sources) if self.active else {}
        self._tables: dict[tuple[str, int], Table | SyntaxError] = {}
        self._modules: dict[str, Table | None] = {}
        self.answers: dict[str, Callable[..., Any]] = {}
        if self.active:
            self.answers = {
                "code": self.code,
                "function": self.function,
                "fill_function": _unless_lost(builders.fill_function),
                "fill_attributes": _unless_lost(builders.fill_attributes),
                "fill_alias": _unless_lost(builders.fill_alias),
                "type_alias": self.needing("3.12", "type alias", builders.type_alias),
                "generic_alias": self.needing("3.12", "type alias", builders.generic_alias),
            }

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Let what another Python made in its own way pass without a warning that this is no longer done."""
        if not self.active:
            yield
            return
        with warnings.catch_warnings(), _refusing(self.python):
            warnings.simplefilter("ignore", DeprecationWarning)
            yield

    def lose(self, path: str, kind: str, why: str) -> Placeholder:
        """Return a placeholder for what cannot be had, and note it."""
        lost = Placeholder(path, kind, why, "")
        self.lost[id(lost)] = lost
        return lost

    def needing(self, version: str, kind: str, make: Callable[..., Any]) -> Callable[..., Any]:
        """Return a maker of what only later versions have."""

        def make_or_lose(name: str, *arguments: Any) -> Any:
            if _number(PYTHON) < _number(version):
                return self.lose(name, kind, f"{ELSEWHERE} {self.python}, and needs Python {version}")
            return make(name, *arguments)

        return make_or_lose

    # --- functions ------------------------------------------------------------------------------------------------

    def function(self, code: Any, globals: Any, name: str, closure: Any) -> Any:
        """Return a function of code that may be lost."""
        if not isinstance(code, Placeholder):
            return builders.function(code, globals, name, closure)
        known = vars(code)
        self.lost.pop(id(code), None)
        return self.lose(known["path"] or name, "function", known["reason"])

    def code(self, python: str, data: bytes, mark: bytes = b"") -> Any:
        """Return code that was compiled by another Python, made anew; or a placeholder."""
        if python == PYTHON:
            return builders.code(python, data)
        wanted = codes.read(mark)
        if wanted is None:
            why = "was saved without its text, by an earlier nbsnap"
            return self.lose("", "code object", f"{ELSEWHERE} {python}, and {why}")
        with _refusing(""):  # to set a flag of code makes new code
            found = self._from_module(wanted) if wanted.kind == "module" else self._from_text(wanted, python)
        if isinstance(found, str):
            return self.lose(wanted.qualname, "code object", f"{ELSEWHERE} {python}, and {found}")
        self.made += 1
        return found

    def _from_text(self, wanted: Mark, python: str) -> types.CodeType | str:
        """Return the code that a mark is of, compiled from its text, or why there is none."""
        text = self._texts.get(wanted.place) if wanted.kind == "text" else None
        if text is None:
            return _NO_TEXT.get(wanted.place, "its text is not known")
        table = self._table(wanted.place, text, wanted.flags)
        if isinstance(table, SyntaxError):  # of something else in this cell, perhaps
            alone = codes.around(text, wanted.line)
            table = self._table(f"{wanted.place}:{wanted.line}", alone, wanted.flags, name=wanted.place)
        if isinstance(table, SyntaxError):
            if _number(python) < _number(PYTHON):
                return f"its text is no Python {PYTHON} any more: {_first_line(table)}"
            after = f"{PYTHON.partition('.')[0]}.{_number(PYTHON)[1] + 1}"
            later = python if python == after else f"{after} or {python}"
            return f"its text needs Python {later}: {_first_line(table)}"
        found = codes.choose(table, wanted)
        if found is None:
            return "what its text gives here is not what it was"
        return found if not _is_masked(found) else _NO_TEXT["masked"]

    def _table(self, key: str, text: str, flags: int, name: str = "") -> Table | SyntaxError:
        found = self._tables.get((key, flags))
        if found is None:
            try:
                found = codes.compiled.__wrapped__(text, name or key, flags)
            except SyntaxError as error:
                found = error
            except (ValueError, OverflowError, RecursionError, MemoryError) as error:
                found = SyntaxError(str(error))
            self._tables[key, flags] = found
        return found

    def _from_module(self, wanted: Mark) -> types.CodeType | str:
        """Return the code of the same function of a module as this Python has it."""
        if wanted.place not in self._modules:
            self._modules[wanted.place] = _module_table(wanted.place)
        table = self._modules[wanted.place]
        if table is None:
            return f"the source of the module {wanted.place} is not here"
        return codes.choose(table, wanted) or f"is another function in the {wanted.place} that is here"

    # --- names ----------------------------------------------------------------------------------------------------

    def find(self, module: str, name: str, find: Callable[[str, str], Any]) -> Any:
        """Return what a stream calls by a name, guarded where bytecode may be in it; it may be lost, or have moved."""
        if (module, name) in _BYTECODE:
            what = f"holds functions that {module.partition('.')[0]} has pickled for Python {self.python}"
            raise CannotLoad(what, self.help)
        try:
            found = find(module, name)
        except (AttributeError, ModuleNotFoundError):
            if module.partition(".")[0] not in sys.stdlib_module_names or module not in sys.modules:
                raise
            what = f"{module}.{name}"
            return self.lose(what, "object", f"{ELSEWHERE} {self.python}, and Python {PYTHON} has no {what}")
        loads = (module, name) in _LOADS or any(found is one for one in (pickle.loads, marshal.loads))
        if (module, name) == _REBUILDS:
            return lambda made: made if isinstance(made, Placeholder) else found(made)
        return self.watched(found) if loads else found

    def watched(self, loads: Callable[..., Any]) -> Callable[..., Any]:
        """Return what loads a pickle, unless there is bytecode in it."""

        def loads_data(*arguments: Any, **options: Any) -> Any:
            for data in arguments:
                if isinstance(data, bytes | bytearray | memoryview) and any(word in bytes(data) for word in _WITHIN):
                    why = "holds bytecode in a pickle of its own"
                    return self.lose("a pickled function", "object", f"{ELSEWHERE} {self.python}, and {why}")
            return loads(*arguments, **options)

        return loads_data


# --- whoever makes code of bytecode -----------------------------------------------------------------------------------
#
# Libraries bring copies of cloudpickle along, and load pickles within pickles in their own ways. What all of them come
# to is the making of a code object, which Python tells its auditors of; `compile` is not that. An auditor stays for the
# life of the process, so there is one from the first restore on that needs it, and it looks at one event only.

_guarded = threading.local()


@contextlib.contextmanager
def _refusing(python: str) -> Iterator[None]:
    """Let nobody in this thread make code of the bytecode of another Python; "": let them."""
    _watch()
    before = getattr(_guarded, "python", "")
    _guarded.python = python
    try:
        yield
    finally:
        _guarded.python = before


@functools.cache
def _watch() -> None:
    sys.addaudithook(_audit)


def _audit(event: str, _: object) -> None:
    if event == "code.__new__" and (python := getattr(_guarded, "python", "")) and not _is_pythons_own():
        raise CannotLoad(f"holds bytecode of Python {python}, which Python {PYTHON} cannot run", _help(python))


def _is_pythons_own() -> bool:
    """Tell whether code is only given another flag, by `types.coroutine`, or a module is being imported."""
    frame = sys._getframe(2)
    if frame.f_globals.get("__name__") == "types":
        return True
    while frame is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back  # type: ignore[assignment]
    return frame is not None


def _unless_lost(fill: Callable[..., Any]) -> Callable[..., Any]:
    """Return a setter that passes over what is a placeholder."""

    def fill_unless(target: Any, state: Any) -> None:
        if not isinstance(target, Placeholder):
            fill(target, state)

    return fill_unless


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _first_line(error: SyntaxError) -> str:
    return str(error.msg or "its syntax is newer").partition("\n")[0]


_NO_TEXT = {
    "masked": "its text holds what was masked, as a secret",
    "changed": "its file had changed since it was run",
}


def _is_masked(code: types.CodeType) -> bool:
    """Tell whether what was masked in a text would be run."""
    return any(
        _is_masked(one) if type(one) is types.CodeType else _has_mask(one) for one in code.co_consts if one is not None
    )


def _has_mask(constant: object) -> bool:
    if isinstance(constant, tuple | frozenset):
        return any(map(_has_mask, constant))
    return (isinstance(constant, str) and MASK in constant) or (
        isinstance(constant, bytes) and MASK.encode() in constant
    )


def _module_table(name: str) -> Table | None:
    """Return the code of a module, read from its file or the cache beside that; it is imported, if need be."""
    try:
        module = importlib.import_module(name)
        spec = module.__spec__
        get: Any = getattr(spec.loader if spec is not None else None, "get_code", None)
        code = get(spec.name) if get is not None and spec is not None else None
    except (Exception, SystemExit):
        return None
    return codes.table([code]) if isinstance(code, types.CodeType) else None


_SINCE_3_13 = frozenset({"__static_attributes__", "__firstlineno__", "__non_callable_proto_members__"})
#: What other versions leave in a class, and this one would take for a part of it: in a protocol, for a member.
_UNKNOWN = {
    "3.13": frozenset({"__callable_proto_members_only__"}),
    "3.11": _SINCE_3_13 | {"__protocol_attrs__", "__callable_proto_members_only__", "__type_params__"},
    "3.12": _SINCE_3_13,
}

#: What makes functions of bytecode, in pickles of cloudpickle and dill.
_BYTECODE = frozenset(
    {
        ("cloudpickle.cloudpickle", "_make_function"),
        ("cloudpickle.cloudpickle_fast", "_function_setstate"),
        ("cloudpickle.cloudpickle", "_function_setstate"),
        ("dill._dill", "_create_code"),
        ("dill._dill", "_create_function"),
        ("marshal", "loads"),
    }
)
#: What loads a pickle that lies in a pickle as mere bytes, beside `pickle.loads`; there it is looked for these.
_LOADS = frozenset({("numba.core.serialize", "_numba_unpickle"), ("numba.core.serialize", "_unpickle__CustomPickled")})
#: What makes an object of what these have loaded.
_REBUILDS = ("numba.core.serialize", "custom_rebuild")
_WITHIN = (b"_make_function", b"_create_code", b"CodeType", b"nbsnap.builders")
