"""Classes of a snapshot that live already: what is the same goes on living, so that its instances stay its instances.

A restore that made every class anew would split it in two: `%restore --only x` in a session that has the class would
bring an `x` that is no instance of it. So before a class is made, the live one is looked for: the one that this process
saved or restored under the same content, else the one that goes by its name.

When the class itself is being restored, it has to be what it was, state included; else it is made anew. When only its
instances are, then a class of the same origin is right even if the user has changed it since, and a class of the same
name is right if it is equal. Equal means: taken apart now, it gives the stream that was saved. Streams are compared
without regard to which equal strings were one object, for that differs from process to process.
"""

from __future__ import annotations

import contextlib
import io
import pickletools
import weakref
from collections.abc import Callable, Collection, Mapping
from typing import Any

from . import codes
from .capture import take_apart
from .describe import is_a
from .errors import StoreError
from .model import Content, Definition, Group, Snapshot

_Origin = tuple[Any, ...]

_known: weakref.WeakValueDictionary[_Origin, type] = weakref.WeakValueDictionary()


#: By the origin of a class, its key in front: the live class that it is, or none.
Known = dict[_Origin, type | None]


def remember(record: Snapshot, classes: Mapping[str, type]) -> Known:
    """Note which live classes a snapshot's definitions are; return what was known of these before."""
    groups = {group.id: group for group in record.groups}
    return exchange(
        {
            _origin(spec, groups[spec.group]): classes[spec.key]
            for spec in record.definitions
            if classes.get(spec.key) is not None
        }
    )


def exchange(known: Known) -> Known:
    """Note which live classes these are; return what was known of them before."""
    before: Known = {}
    for origin, cls in known.items():
        before[origin] = _known.pop(origin, None)
        if cls is not None:
            _known[origin] = cls
    return before


def _origin(spec: Definition, group: Group) -> _Origin:
    return spec.key, spec.stream, group.stream, group.buffers


def classes(
    record: Snapshot, names: dict[str, Any], wanted: Collection[str], stream: Callable[[Content], bytes | bytearray]
) -> tuple[dict[str, type], tuple[str, ...]]:
    """Return, by key, the live classes to use for a snapshot's definitions, and lines about those that differ."""
    chosen = set(wanted)
    groups = {group.id: group for group in record.groups}
    needed = _needed(record, chosen)
    loading = {group.id for group in record.groups if chosen.intersection(group.variables)}
    by_origin: dict[str, type] = {}
    by_name: dict[str, type] = {}
    for spec in record.definitions:
        if spec.key not in needed or spec.group in loading:
            continue
        if (known := _known.get(_origin(spec, groups[spec.group]))) is not None:
            by_origin[spec.key] = known
        elif (found := _by_name(names, spec.key)) is not None:
            by_name[spec.key] = found
    home = {spec.key: spec.group for spec in record.definitions}
    restored = {  # these have to be what they were, as far as that can be asked
        key for key in by_origin if key.partition(".")[0] in chosen and not groups[home[key]].variables
    }
    check = {key: by_origin[key] for key in restored} | by_name
    judged = {home[key] for key in check}
    mates = {key: cls for key, cls in by_origin.items() if home[key] in judged}  # what shares objects is taken together
    equal = _equal(record, names, mates | check, stream, whole=restored) if check else set()
    use = {key: cls for key, cls in (by_origin | by_name).items() if key not in check or key in equal}
    use = {key: cls for key, cls in use.items() if all(k in use for k in groups[home[key]].definitions)}
    fallen = _drop_upon_new(record, names, use, chosen)
    shown = chosen.intersection(variable.name for variable in record.variables)
    anew = {
        spec.key: ", ".join(sorted(shown.intersection(groups[spec.group].variables)))
        for spec in record.definitions
        if spec.key not in chosen
        and shown.intersection(groups[spec.group].variables)
        and (_by_name(names, spec.key) or _known.get(_origin(spec, groups[spec.group]))) is not None
    }
    notes = tuple(f"{key} came anew with {others}, with which it shares objects" for key, others in anew.items())
    older = [key for key in by_name if key not in use and key not in fallen]
    older += [key for key in by_origin if key in use and _by_name(names, key) not in (None, use[key])]
    notes += tuple(
        f"{key} has changed since: what was restored is of the {key} that was saved"
        for key in older
        if key not in chosen
    )
    notes += tuple(
        f"{key} came anew with {other}, which it refers to" for key, other in fallen.items() if _by_name(names, key)
    )
    return use, notes


def _drop_upon_new(
    record: Snapshot, names: dict[str, Any], use: dict[str, type], chosen: Collection[str]
) -> dict[str, str]:
    """Take out of `use` what refers to a class that comes anew; return which, and to what they refer.

    A live class has the live one as its base, so its subclasses cannot stay where a base is made anew. What a class
    holds besides counts only where the class itself is restored, or has no name, and comes with what is restored.
    """
    groups = {group.id: group for group in record.groups}
    fallen: dict[str, str] = {}
    while True:
        found = {}
        for key in use:
            spec = _spec(record, key)
            whole = key.partition(".")[0] in chosen or _by_name(names, key) is not use[key]
            needs = (*spec.needs, *(groups[spec.group].needs if whole else ()))
            if missing := [other for other in needs if other not in use]:
                found[key] = missing[0]
        if not found:
            return fallen
        fallen |= found
        for key in found:
            del use[key]


def _spec(record: Snapshot, key: str) -> Definition:
    return next(spec for spec in record.definitions if spec.key == key)


def _needed(record: Snapshot, chosen: set[str]) -> set[str]:
    specs = {spec.key: spec for spec in record.definitions}
    groups = {group.id: group for group in record.groups}
    found: set[str] = set()
    todo = [key for group in record.groups if chosen.intersection(group.variables) for key in group.needs]
    while todo:
        key = todo.pop()
        if key not in found and key in specs:
            found.add(key)
            group = groups[specs[key].group]
            todo.extend((*specs[key].needs, *group.needs, *group.definitions))
    return found


def _by_name(names: Mapping[str, Any], key: str) -> type | None:
    """Return the class that `Outer.Inner` leads to in a namespace."""
    if "#" in key or "<locals>" in key:
        return None
    first, *rest = key.split(".")
    found = names.get(first)
    for name in rest:
        if not is_a(found, type):
            return None
        found = type.__dict__["__dict__"].__get__(found).get(name)
    return found if is_a(found, type) else None


def _equal(
    record: Snapshot,
    names: dict[str, Any],
    live: Mapping[str, type],
    stream: Callable[[Content], bytes | bytearray],
    *,
    whole: Collection[str],
) -> set[str]:
    """Return the keys of those live classes that, taken apart, give what was saved; those in `whole` without losses."""
    taken = take_apart(names, [], classes=live)
    streams: dict[str, bytes] = {}

    def keep(data: Any) -> Content:
        name = str(len(streams))
        streams[name] = bytes(data)
        return Content(len(streams[name]), (name,))

    groups, definitions = taken.write(keep)
    now = {spec.key: spec for spec in definitions}
    home = {key: group for group in groups for key in group.definitions}
    old = {group.id: group for group in record.groups}
    lossy = {home[skip.name] for skip in taken.skips if skip.name in home}
    same = set()
    for key in live:
        if key not in now or key not in home or (key in whole and home[key] in lossy):
            continue
        spec, group = _spec(record, key), old[_spec(record, key).group]
        if group.variables or len(group.buffers) != len(home[key].buffers):
            continue
        pairs = [(spec.stream, now[key].stream), (group.stream, home[key].stream)]
        buffers = zip(group.buffers, home[key].buffers, strict=True)
        with contextlib.suppress(StoreError):  # damaged: whoever loads it will say so
            if all(plain(stream(a)) == plain(streams[b.pieces[0]]) for a, b in pairs) and all(
                bytes(stream(a)) == streams[b.pieces[0]] for a, b in buffers
            ):
                same.add(key)
    return same


def plain(stream: bytes | bytearray) -> list[tuple[str, Any]]:
    """Return a stream's operations, with every string written out where it is used, and frames left out."""
    out: list[tuple[str, Any]] = []
    memo: list[tuple[str, Any]] = []
    objects = 0
    table = True
    file = io.BytesIO(stream)
    while file.tell() < len(stream):
        for code, argument, _ in pickletools.genops(file):
            if code.name in ("FRAME", "PROTO"):
                continue
            if code.name in _BYTES and codes.read(argument or b"") is not None:
                argument = b"mark"  # where a text is may change: the code tells
            if code.name == "MEMOIZE":
                is_string = out[-1][0] == "STRING"
                memo.append(out[-1] if is_string else ("OBJECT", objects))
                objects += not is_string
            elif code.name in ("BINGET", "LONG_BINGET"):
                out.append(memo[int(str(argument))])
            else:
                out.append(("STRING" if code.name in _STRINGS else code.name, argument))
        if table:  # the first pickle of a group's stream has a memo of its own
            memo, table = [], False
    return out


_BYTES = frozenset({"SHORT_BINBYTES", "BINBYTES"})
_STRINGS = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"})
