"""Which variables must travel together because they share mutable objects (the literature calls them co-variables).

The partition is found while pickling, not before it. Every mutable object that a pickler meets is *claimed* for the
team (the group in the making) that is being pickled. Meeting an object that another team has claimed raises `Touch`,
and links the two. A pickler that touches does not descend there, and goes on to find all that its team touches; when
every team had its turn, those that are linked become one and are pickled again, together, so that one memo sees all and
aliases survive. So an object is visited twice, however many variables share it. Teams that never touch stand alone, and
one bad object cannot hurt another.

Not counted are objects that only a library holds for all its users (a list in the dict of pandas' DataFrame class, a
module's registry): they would tie all frames together for nothing.
"""

from __future__ import annotations

import gc
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from .describe import module_of


class Team:
    """Variables and definitions pickled together, while it is not yet sure that they stay so."""

    __slots__ = ("claimed", "definitions", "memory", "variables")

    def __init__(self, variables: list[str], definitions: list[str], memory: dict[int, Any] | None = None) -> None:
        self.variables = variables
        self.definitions = definitions
        self.memory = memory or {}  # what its parts were seen to share, if it was made of parts: `memory.Carriers`
        self.claimed: list[int] = []

    def __repr__(self) -> str:
        return f"<Team {[*self.definitions, *self.variables]}>"


class Touch(BaseException):
    """Another team's object was met. Not an Exception, so that no user code swallows it."""

    def __init__(self, keep: object = None) -> None:
        super().__init__()
        self.keep = keep  # what holds the temporaries that were claimed, as long as their ids count


class Ownership:
    """Whose each mutable object is, by identity. The objects must be alive while they are owned."""

    def __init__(self, session_modules: frozenset[str] = frozenset({"__main__"})) -> None:
        self._owner: dict[int, Team | str] = {}  # a name: of a variable that is alone so far, and has no team yet
        self._common: dict[int, object] = {}
        self._tying: set[int] = set()  # what was found not to be common; of a mistaken id, teams would be only coarser
        self._session_modules = session_modules
        self._scans = 0  # of the heap
        self._library: set[int] | None = None  # what modules and classes hold, if that was needed
        self._links: dict[Team, Team] = {}  # team -> one nearer to the root of those that it is linked with
        self.copies: dict[int, dict[str, Any]] = {}  # id of a copy of the namespace -> what functions need of it
        self.once: dict[int, tuple[object, Any]] = {}  # id of an object -> it, and what was made of it
        self.places: dict[int, object] = {}  # address -> what stands for the memory there when it is claimed

    def claimer(self, team: Team) -> Callable[[object], None]:
        """Return the function that claims an object for a team. It raises Touch if another team has the object.

        Whether only a library holds the object is not asked where the two teams are linked already.
        """
        own, note = self._owner.setdefault, team.claimed.append

        def claim(value: object) -> None:
            key = id(value)
            owner = own(key, team)
            if owner is team:
                note(key)
            elif key not in self._common:
                other = self._team(key, owner)
                if key in self._tying or self._root(other) is self._root(team):
                    self._link(team, other)
                    raise Touch
                if not self._held_by_library(value):
                    self._tying.add(key)
                    self._link(team, other)
                    raise Touch
                self._common[key] = value

        return claim

    def claim(self, value: object, team: Team) -> None:
        """Claim one object for a team. Raises Touch if another team has it."""
        self.claimer(team)(value)

    def claim_alone(self, names: Iterable[str], values: Iterable[object]) -> None:
        """Claim objects that nobody has claimed yet, each for the variable alone that is bound to it."""
        self._owner.update(zip(map(id, values), names, strict=True))

    def _team(self, key: int, owner: Team | str) -> Team:
        """Return the team of an owner, made now for a variable that was alone."""
        if isinstance(owner, str):
            owner = Team([owner], [])
            owner.claimed.append(key)
            self._owner[key] = owner
        return owner

    def _root(self, team: Team) -> Team:
        while (nearer := self._links.get(team, team)) is not team:
            team = nearer
        return team

    def _link(self, team: Team, other: Team) -> None:
        first, second = self._root(team), self._root(other)
        self._links.setdefault(first, first)
        self._links[second] = first

    def linked(self) -> list[list[Team]]:
        """Return the teams that are linked with each other, set by set, and forget the links."""
        sets: dict[Team, list[Team]] = {}
        for team in self._links:
            sets.setdefault(self._root(team), []).append(team)
        self._links = {}
        return list(sets.values())

    def release(self, team: Team) -> None:
        """Forget a team's claims: it is going to be pickled again, or not at all."""
        for key in team.claimed:
            if self._owner.get(key) is team:
                del self._owner[key]
        team.claimed.clear()

    def _held_by_library(self, value: object) -> bool:
        """Tell whether a library's module or class holds this object. Scans the heap: asked only when teams touch.

        Asked more often, all that such may hold is gathered once, and the heap is scanned for that alone.
        """
        if module_of(type(value)).startswith(_DATA):
            return False
        if self._scans >= _SCANS:
            self._library = _held_by_name() if self._library is None else self._library
            if id(value) not in self._library:
                return False
        self._scans += 1
        return any(type(holder) is dict and self._is_library_dict(holder) for holder in gc.get_referrers(value))

    def _is_library_dict(self, names: dict[Any, Any]) -> bool:
        module = names.get("__name__")
        if type(module) is str and module not in self._session_modules:
            found = sys.modules.get(module)
            if found is not None and getattr(found, "__dict__", None) is names:
                return True
        owner = names.get("__module__")
        if type(owner) is str and owner not in self._session_modules and owner in sys.modules and "__doc__" in names:
            return any(isinstance(holder, type) for holder in gc.get_referrers(names))
        return False


def _held_by_name() -> set[int]:
    """Return the ids of all objects that the dict of a module or of a class holds."""
    held: set[int] = set()
    for module in list(sys.modules.values()):
        if type(names := getattr(module, "__dict__", None)) is dict:
            held.update(map(id, names.values()))
    found = {id(object)}  # not the classes: a metaclass may forbid that they stand in a set
    todo: list[type] = [object]
    while todo:
        cls = todo.pop()
        held.update(map(id, _class_dict(cls).values()))
        subclasses: list[type] = type.__subclasses__(cls)
        new = {id(below): below for below in subclasses if id(below) not in found}
        found.update(new)
        todo += new.values()
    return held


_class_dict = type.__dict__["__dict__"].__get__
#: So many scans of the heap take as long as gathering what modules and classes hold.
_SCANS = 3
#: Where the types of data are at home, which libraries do not keep for all their users.
_DATA = ("numpy", "pandas")
#: Types without parts that could be shared.
LEAVES: frozenset[type] = frozenset({str, int, float, bool, bytes, complex, type(None)})
#: Exact types that hold other objects and can change: the C pickler shows them to `persistent_id` only.
PLAIN = frozenset({list, dict, set, bytearray})
#: Exact types that cannot change, or hold nothing that can: most of what a pickler meets.
ATOMS = frozenset(
    {str, int, float, bool, bytes, complex, type(None), tuple, frozenset, range, slice, type(...), type(NotImplemented)}
)
_DICTS: tuple[dict[str, str], ...] = ({}, OrderedDict())
#: Views of dicts, and the method that gives them.
VIEWS = {type(getattr(made, kind)()): kind for made in _DICTS for kind in ("keys", "values", "items")}
#: Types that C code keeps by value: sharing them is not seen by anyone.
VALUES: tuple[type, ...] = (types.BuiltinFunctionType, types.GenericAlias, types.UnionType, types.CodeType)
