"""What is different here from where a snapshot was taken, as far as it matters to the variables that are restored.

It is told **before anything is unpickled**: what goes wrong then may end the process. Only the manifest is read, and
the files that installers have left; nothing is imported, and nothing of the snapshot is loaded.

Three degrees:

    danger      what was pickled may not load, or not be what it was (see `dangers`), a package or module is missing
    differs     another major version, another system, a file of the project that was changed since
    slightly    all else; told on request only (`-v`)

`--strict` refuses where there is a danger or a difference. A package counts only if a variable that is restored needs
it: `Group.modules` says which modules loading imports. Of the project's own files all count once a variable needs one
of them, for they import each other.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from nbsnap import anew, environment, host, installed, local
from nbsnap.dangers import degree, release
from nbsnap.machine import long_double, order_of, readable
from nbsnap.model import Difference, Distribution, Group, Snapshot
from nbsnap.standards import pip_install
from nbsnap.wording import clean, listed, to_stderr

__all__ = ["differences", "lines", "refusal", "say", "text", "told"]

_MOST = 8  # lines
_ORDER = ("danger", "differs", "slightly")


def differences(record: Snapshot, names: Collection[str], *, trusted: bool) -> tuple[Difference, ...]:
    """Return what differs for these variables, the dangerous first.

    In folders that the record names is only looked where it is `trusted`: that opens files there.
    """
    wanted = set(names)
    needed = list(_needed(record, wanted))
    users = _users(needed)
    found = [
        *_python(record, needed),
        *_machine(record, needed),
        *_packages(record, users),
        *_files(record, users, list(_places(record)) if trusted else []),
    ]
    return tuple(sorted(found, key=lambda one: _ORDER.index(one.degree)))


def told(found: Iterable[Difference]) -> tuple[Difference, ...]:
    """Return those that are worth a line."""
    return tuple(one for one in found if one.degree != "slightly")


def lines(found: Sequence[Difference], *, verbose: bool = False) -> tuple[str, ...]:
    """Return what is said of them, a line each; nothing where all are slight, unless `verbose`."""
    shown = tuple(found) if verbose else told(found)
    if not shown:
        return ()
    said = [_line(one) for one in (shown if verbose else shown[:_MOST])]
    rest = len(found) - len(said)
    if rest:
        slight = sum(one.degree == "slightly" for one in found)
        what = f"{rest} more, {slight} of them slight" if slight and slight != rest else f"{rest} more"
        said.append(f"and {what}{' (slight)' if slight == rest else ''}: %restore -v tells all")
    return tuple(said)


def refusal(found: Sequence[Difference]) -> str:
    """Return why nothing is restored under `strict`; "" where nothing is in the way."""
    worth = told(found)
    if not worth:
        return ""
    said = [*map(_line, worth[:_MOST]), *([f"and {len(worth) - _MOST} more"] if len(worth) > _MOST else [])]
    return f"nothing was restored, because it was saved in another environment: {'; '.join(said)}"


def _line(one: Difference) -> str:
    whose = f" ({listed(one.variables)})" if one.variables else ""
    return clean(f"{one.what}{f': {one.reason}' if one.reason else ''}{whose}")


def text(found: Sequence[Difference], *, verbose: bool = False) -> str:
    """Return these lines below a heading; "" where there are none."""
    if not (shown := lines(found, verbose=verbose)):
        return ""
    return "\n".join(("nbsnap: this was saved in another environment:", *(f"  {line}" for line in shown)))


def say(found: Sequence[Difference]) -> None:
    """Say on stderr what is worth a line."""
    if said := text(found):
        to_stderr(*said.split("\n"))


Needed = Sequence[tuple[Group, list[str]]]
Users = Mapping[str, list[str]]


def _needed(record: Snapshot, wanted: Collection[str]) -> Iterator[tuple[Group, list[str]]]:
    """Yield the groups that variables need, each with those that do."""
    for own in record.groups:
        if names := [name for name in own.variables if name in wanted]:
            groups = anew.leading_to(record, names) if own.needs or own.definitions else [own]
            yield from ((group, names) for group in groups)


def _users(needed: Needed) -> Users:
    """Return the variables that need a module, by its name."""
    users: dict[str, list[str]] = {}
    for group, names in needed:
        for module in group.modules:
            users.setdefault(module, []).extend(names)
    return users


def _of(users: Users, modules: Iterable[str]) -> tuple[str, ...]:
    """Return the variables that need one of these modules."""
    return tuple(dict.fromkeys(name for module in modules for name in users.get(module, ())))


# --- what may differ --------------------------------------------------------------------------------------------------


def _python(record: Snapshot, needed: Needed) -> Iterator[Difference]:
    saved, here = record.head.python, environment.python()
    if not saved or saved == here:
        return
    bound = _all(names for group, names in needed if group.bound)
    minor = release(saved)[:2] != release(here)[:2]
    grade = "danger" if minor and bound else "slightly"
    reason = "functions without a text, of which it could make them, are left out" if grade == "danger" else ""
    what = f"Python {here} is here, it was saved under {saved}"
    yield Difference("python", "Python", saved, here, grade, what, reason, bound if grade == "danger" else ())


def _all(names: Iterable[list[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(itertools.chain.from_iterable(names)))


def _machine(record: Snapshot, needed: Needed) -> Iterator[Difference]:
    facts = dict(record.environment)
    order = order_of(facts)
    if order != sys.byteorder:
        types = {variable.name: variable.type for variable in record.variables}
        own = ((group, names, [types.get(name, "") for name in group.variables]) for group, names in needed)
        raw = _all(names for group, names, kinds in own if not readable(order, group.modules, kinds))
        what = f"this machine is {sys.byteorder}-endian, it was saved on one that is {order}-endian"
        reason = "the memory of other libraries than NumPy cannot be read" if raw else ""
        yield Difference(
            "machine", "byte order", order, sys.byteorder, "danger" if raw else "differs", what, reason, raw
        )
    saved, here = facts.get("longdouble", ""), long_double()
    long = _all(names for group, names in needed if "longdouble" in group.machine)
    if long and saved != here:
        what = f"long doubles have {here} here, they had {saved or 'another form'}"
        yield Difference("machine", "longdouble", saved, here, "danger", what, "they cannot be read", long)
    saved, here = record.head.platform, environment.machine()
    if saved and saved != here:
        what = f"this is {here}, it was saved on {saved}"
        yield Difference("machine", "platform", saved, here, "differs", what)


def _packages(record: Snapshot, users: Users) -> Iterator[Difference]:
    for one in _distributions(record):
        if not (who := _of(users, one.modules)):
            continue
        here = _version_here(one)
        if not here:
            what = f"{one.name} {one.version}".strip() + " is not installed here"
            by_name = one.how in ("", "conda") and one.version
            reason = pip_install(one.name, one.version) if by_name else ""
            yield Difference("package", one.name, one.version, "", "danger", what, reason, who)
        elif one.version:
            grade, why = degree(one.name, one.version, here)
            if grade:
                what = f"{one.name} {here} is here, it was saved under {one.version}"
                yield Difference("package", one.name, one.version, here, grade, what, why, who)


def _distributions(record: Snapshot) -> Iterator[Distribution]:
    """Yield the distributions of a snapshot; of one from before they were kept, what its packages tell."""
    if record.distributions:
        yield from record.distributions
        return
    modules: dict[str, list[str]] = {}
    for name in {name for group in record.groups for name in group.modules}:
        modules.setdefault(installed.distribution(name), []).append(name)
    for name, version in record.packages:
        yield Distribution(name, version, tuple(modules.get(name, ())))


def _version_here(one: Distribution) -> str:
    """Return the version that is here: of what is imported already, else of what is installed; "" for none."""
    if here := installed.version(one.name):
        return here
    for name in one.modules:  # no metadata: a checkout in sys.path, or installed under another name
        if name in sys.modules:
            version = installed.names_of(sys.modules[name]).get("__version__")
            return version if type(version) is str and version else one.version
        if local.can_be_found(name):
            return one.version
    return ""


def _files(record: Snapshot, users: Users, places: Sequence[str]) -> Iterator[Difference]:
    if not any(users.get(module.name.partition(".")[0]) for module in record.local):
        return
    changes = local.changes(record.local, places)
    paths = {module.name: module.path for module in record.local}
    for state, grade, said in (
        ("missing", "danger", "cannot be found here"),
        ("changed", "differs", "is not what it was"),
    ):
        for name in sorted(name for name, found in changes.items() if found == state):
            own = _of(users, [name.partition(".")[0]])
            reason = f"the module {name}" if state == "missing" else "what comes back uses it as it is now"
            yield Difference("module", name, "", state, grade, f"{paths[name]} {said}", reason, own)


def _places(record: Snapshot) -> Iterator[str]:
    """Yield the folders in which modules of the session were found, as seen from here: those that exist."""
    began = next((value for name, value in record.environment if name == "began"), "")
    added = [value for name, value in record.environment if name == "sys.path"]
    for place in (*added, record.cwd if "" in sys.path else ""):
        if not place:
            continue
        if began and place.startswith(began.rstrip(os.sep) + os.sep):
            moved = os.path.join(host.began_in(), os.path.relpath(place, began))
            if os.path.isdir(moved):
                yield moved
                continue
        if os.path.isdir(place):
            yield place
