"""What loading a snapshot would refer to: the functions and classes that its pickles name, found without loading them.

A pickle is a small program; what it can reach are the things that it names (`GLOBAL`, `STACK_GLOBAL`, `INST`). Here the
program is read operation by operation, and of its values only the texts are followed, which is what names are made of.
A name that it computes is told as such, and so is a pickle that cannot be read to its end.

This is a help for who has to decide whether to trust a snapshot, **and no judgement**: much that is harmless looks like
much that is not, and code of the session (functions, classes) can do anything. Hostile input costs bounded time: `read`
stops after `SECONDS`, and says how many streams it has not looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from nbsnap.model import Content, Snapshot

__all__ = ["Calls", "names", "read", "summary"]

SECONDS = 2.0
LONGEST = 8 << 20  # bytes of a stream that is read at all
_SHOWN = 12  # names of a module that a line shows
_MODULES = 24

#: Modules that reach the system, or what calls anything by its name: they stand first.
_FIRST = frozenset(
    """
    os posix nt subprocess sys shutil socket importlib runpy pty ctypes _ctypes operator _operator functools _functools
    types marshal code codeop pickle _pickle builtins webbrowser urllib http ftplib smtplib ssl asyncio multiprocessing
    signal pdb timeit cProfile profile tempfile pathlib io _io nbsnap
    """.split()  # noqa: SIM905
)


@dataclass
class Calls:
    """What is named: module -> names; and how much could not be read."""

    found: dict[str, set[str]] = field(default_factory=dict)
    unread: int = 0  # streams that were too long, damaged, or not looked at for want of time
    odd: int = 0  # streams that are no pickles that this reads to the end, or that compute a name


def read(snapshot: Snapshot, stream: Callable[[Content], bytes | bytearray], *, seconds: float = SECONDS) -> Calls:
    """Return what the streams of a snapshot name; `stream` reads one, and verifies it."""
    calls = Calls()
    until = time.monotonic() + seconds
    alone = dict(_contents(snapshot))
    for content in sorted(alone, key=lambda content: content.size):
        if content.size > LONGEST or time.monotonic() > until:
            calls.unread += 1
            continue
        try:
            data = bytes(stream(content))
        except Exception:  # damaged, or gone: whoever loads it is told
            calls.unread += 1
            continue
        try:
            for module, name in names(data, until, alone=alone[content]):
                calls.found.setdefault(module, set()).add(name)
        except TimeoutError:
            calls.unread += 1
        except (ValueError, IndexError, KeyError):
            calls.odd += 1
    return calls


def _contents(snapshot: Snapshot) -> Iterator[tuple[Content, int]]:
    """Yield the streams, and how many of the pickles in each have a memo of their own: the table, or all of a batch."""
    for definition in snapshot.definitions:
        yield definition.stream, 0
    for group in snapshot.groups:
        yield group.stream, LONGEST if group.engine == "batch" else 1


def summary(calls: Calls) -> tuple[str, ...]:
    """Return lines that say what is named, what reaches the system first."""
    lines = []
    for module in sorted(calls.found, key=lambda name: (name.partition(".")[0] not in _FIRST, name))[:_MODULES]:
        some = sorted(calls.found[module])
        rest = f" and {len(some) - _SHOWN} more" if len(some) > _SHOWN else ""
        lines.append(f"loading it refers to {module}: {', '.join(some[:_SHOWN])}{rest}")
    if len(calls.found) > _MODULES:
        lines.append(f"and to {len(calls.found) - _MODULES} more modules")
    if calls.odd:
        lines.append(f"in {calls.odd} of its streams there is what could not be made out")
    if calls.unread:
        lines.append(f"{calls.unread} of its streams were not looked at: too long, or damaged")
    return tuple(lines)


# --- one stream -----------------------------------------------------------------------------------------------------

_MARK = object()
_LINE = -1
#: Code of an operation -> bytes of its argument (or of the count in front of it; `_LINE`: up to a line break), whether
#: there is a count, how many values it takes (`None`: all down to the mark), and how many it leaves.
_OPERATIONS: dict[int, tuple[int, bool, int | None, int]] = {
    **dict.fromkeys(b"N\x88\x89])}\x8f\x97", (0, False, 0, 1)),
    **dict.fromkeys(b"K", (1, False, 0, 1)),
    **dict.fromkeys(b"M", (2, False, 0, 1)),
    **dict.fromkeys(b"J", (4, False, 0, 1)),
    **dict.fromkeys(b"G", (8, False, 0, 1)),
    **dict.fromkeys(b"FILP", (_LINE, False, 0, 1)),
    **dict.fromkeys(b"\x8aC", (1, True, 0, 1)),
    **dict.fromkeys(b"\x8bB", (4, True, 0, 1)),
    **dict.fromkeys(b"\x8e\x96", (8, True, 0, 1)),
    **dict.fromkeys(b"ab", (0, False, 1, 0)),
    **dict.fromkeys(b"s", (0, False, 2, 0)),
    **dict.fromkeys(b"1eu\x90", (0, False, None, 0)),
    **dict.fromkeys(b"dlto\x91", (0, False, None, 1)),
    **dict.fromkeys(b"Q\x85", (0, False, 1, 1)),
    **dict.fromkeys(b"R\x81\x86", (0, False, 2, 1)),
    **dict.fromkeys(b"\x87\x92", (0, False, 3, 1)),
    0x80: (1, False, 0, 0),
    0x95: (8, False, 0, 0),
    0x98: (0, False, 0, 0),
}
#: Those that write texts: bytes of the count, or `_LINE`.
_TEXTS = {**dict.fromkeys(b"SV", _LINE), **dict.fromkeys(b"U\x8c", 1), **dict.fromkeys(b"TX", 4), 0x8D: 8}


def names(data: bytes, until: float = float("inf"), *, alone: int = 0) -> Iterable[tuple[str, str]]:
    """Yield the module and name of what a row of pickles names. ValueError where it is none, or computes a name.

    They share a memo, but for the first ones, so many as `alone` says.
    """
    at, end = 0, len(data)
    memo: dict[int, object] = {}
    stack: list[object] = []
    steps = 0
    computed = False

    def line() -> bytes:
        nonlocal at
        stop = data.index(b"\n", at)
        found, at = data[at:stop], stop + 1
        return found

    def take(size: int) -> bytes:
        nonlocal at
        if at + size > end:
            raise ValueError("cut short")
        found, at = data[at : at + size], at + size
        return found

    def to_mark() -> None:
        while stack.pop() is not _MARK:
            pass

    while at < end:
        steps += 1
        if not steps & 0xFFF and time.monotonic() > until:
            raise TimeoutError
        code = take(1)[0]
        if (size := _TEXTS.get(code)) is not None:
            raw = line() if size == _LINE else take(int.from_bytes(take(size), "little"))
            stack.append(_text(code, raw))
        elif (rule := _OPERATIONS.get(code)) is not None:
            size, counted, takes, leaves = rule
            if size == _LINE:
                line()
            elif counted:
                take(int.from_bytes(take(size), "little"))
            else:
                take(size)
            if takes is None:
                to_mark()
            elif takes > len(stack):
                raise ValueError("nothing is left on the stack")
            elif takes:
                del stack[-takes:]
            stack.extend([None] * leaves)
        elif code == 0x28:  # MARK
            stack.append(_MARK)
        elif code == 0x2E:  # STOP: another pickle may follow
            stack.clear()
            alone -= 1
            if alone >= 0:
                memo.clear()
        elif code == 0x30:  # POP
            stack.pop()
        elif code == 0x32:  # DUP
            stack.append(stack[-1])
        elif code in b"hjg":
            stack.append(memo[_index(code, line, take)])
        elif code in b"qrp":
            memo[_index(code, line, take)] = stack[-1]
        elif code == 0x94:  # MEMOIZE
            memo[len(memo)] = stack[-1]
        elif code in b"ci":  # GLOBAL, INST
            module, name = line().decode("utf-8", "replace"), line().decode("utf-8", "replace")
            if code == 0x69:
                to_mark()
            stack.append(None)
            yield module, name
        elif code == 0x93:  # STACK_GLOBAL
            given, within = stack.pop(), stack.pop()
            stack.append(None)
            if isinstance(given, str) and isinstance(within, str):
                yield within, given
            else:
                computed = True
        elif code in b"\x82\x83\x84":
            number = int.from_bytes(take(1 << (code - 0x82)), "little")
            stack.append(None)
            yield "copyreg", f"extension {number}"
        else:
            raise ValueError(f"no operation {code:#x}")
    if computed:
        raise ValueError("a name is computed")


def _text(code: int, raw: bytes) -> str:
    if code == 0x53:  # STRING: in quotes, with escapes; only what is plain is a name
        raw = raw.strip()[1:-1]
    return raw.decode("utf-8", "replace")


def _index(code: int, line: Callable[[], bytes], take: Callable[[int], bytes]) -> int:
    if code in b"gp":
        return int(line())
    return int.from_bytes(take(1 if code in b"hq" else 4), "little")
