"""What a capture loses, and how the report tells it: whole variables, and parts with a placeholder in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from . import describe, holes, paths
from .errors import CannotSave
from .model import Skip
from .pickling import Desk, Hole, diagnose, reason

_LINES = 3  # about what was left out of one variable, before they are counted only
_ROUNDS = 25  # of finding parts to leave out, before a variable is given up


class Losses:
    """The losses of one capture. `made` tells which cell bound a name; `look` makes a desk that only looks.

    `secret` tells what kind of secret an object is, or "".
    """

    def __init__(
        self,
        made: Mapping[str, tuple[int, str]],
        look: Callable[[dict[int, Hole] | None], Desk],
        secret: Callable[[object], str] = lambda part: "",
    ) -> None:
        self.holes: dict[int, Hole] = {}
        self._parts: dict[int, object] = {}  # what is left out, kept alive as long as its id counts
        self._rounds: dict[str, int] = {}
        self._made = made
        self._look = look
        self._secret = secret
        self._secrets: dict[int, str] = {}  # a part that is left out -> the kind of secret in it

    def skip(self, name: str, value: object, cause: BaseException, path: str = "", kind: str = "skipped") -> Skip:
        found = cause if isinstance(cause, CannotSave) else None
        if found is None and not isinstance(cause, RecursionError | MemoryError):
            found = next(iter(diagnose(self._look(None), value)), None)
        where = path or name
        why = reason(found or cause)
        if found is not None and found.culprit is not None and found.culprit is not value:
            where = paths.find(where, value, found.culprit)
            why = f"{where} is {describe.with_article(describe.type_name(found.culprit))}: {why}"
        count, line = self._made.get(name, (None, ""))
        secret = self._secret(found.culprit) if found is not None else ""
        return Skip(name, describe.type_name(value), where, why, kind, cell=count, code=line, secret=secret)

    def leave_holes(self, name: str, value: object) -> bool:
        """Decide on placeholders for the parts of a variable that cannot be saved; False if it has to go as a whole."""
        self._rounds[name] = self._rounds.get(name, 0) + 1
        if self._rounds[name] > _ROUNDS:
            return False
        desk = self._look(self.holes)
        found = {id(error.culprit): error for error in diagnose(desk, value)}
        for part in self.misplaced(value, self._parts):
            found[id(part)] = CannotSave(self.holes[id(part)][2], part)
        places = holes.holes(name, value, [error.culprit for error in found.values()], {*desk.live_ids, *self.holes})
        new = [place for place in places if id(place.part) not in self.holes]
        count, line = self._made.get(name, (None, ""))
        made = f"{name} was made in In [{count}]: {line}" if count is not None else ""
        for place in new:
            why = found[id(place.culprit)].reason
            if place.culprit is not place.part:
                why = f"{place.culprit_path} is {describe.with_article(describe.type_name(place.culprit))}: {why}"
            self.holes[id(place.part)] = (place.path, describe.type_name(place.part), why, made)
            self._parts[id(place.part)] = place.part
            self._secrets[id(place.part)] = self._secret(place.culprit)
        return bool(new)

    def misplaced(self, value: object, left_out: Iterable[int]) -> list[object]:
        """Return those parts for which a placeholder must not stand in this value, though it may in another."""
        parts = [self._parts[key] for key in left_out if key in self._parts]
        return holes.misplaced(value, parts, self._look(None).live_ids) if parts else []

    def within(self, value: object, left_out: Iterable[int]) -> list[int]:
        """Return the ids of those parts that a value leads to, in the order in which one meets them."""
        wanted = set(left_out)
        met = [id(child) for _, _, child in paths.walk(value, {*self._look(None).live_ids, *wanted})]
        return [key for key in dict.fromkeys(met) if key in wanted]

    def partly_lines(self, name: str, value: object, left_out: Iterable[int]) -> list[Skip]:
        """Return the lines about what was left out of a variable, as many as one wants to read."""
        count, line = self._made.get(name, (None, ""))
        lines = []
        parts = list(left_out)
        for key in parts[: _LINES if len(parts) > _LINES + 1 else None]:
            path, kind, why, _ = self.holes[key]
            if not paths.leads_from(name, path):  # it was first met in another variable
                path = paths.find_id(name, value, key)
            said = f"{path} is {describe.with_article(kind)}: {why}; left out, a placeholder stands there"
            secret = self._secrets.get(key, "")
            lines.append(Skip(name, describe.type_name(value), path, said, "partly", "", count, line, secret))
        if len(lines) < len(parts):
            rest = f"{len(parts) - len(lines):,} more parts like that are left out, placeholders stand there"
            lines.append(replace(lines[-1], path=name, reason=rest))
        return lines
