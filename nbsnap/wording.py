"""Words, numbers and characters as people read them. Imports nothing of the package, so that a start of a shell can.

**Nothing from outside reaches the screen as it is.** Names, types, messages, summaries and code may come from a store
that somebody else wrote. `clean` shows every character that a terminal or a browser could take for a command (escape
sequences, line breaks, bidirectional controls, invisible ones, lone surrogates) by its number: `\\x1b`, `\\u202e`.

Sizes are in powers of 1000 (`1.2 GB`, `84 MB`), times of day in local time.
"""

from __future__ import annotations

import contextlib
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

__all__ = [
    "beside",
    "clean",
    "count",
    "cut",
    "encodable",
    "first_columns",
    "listed",
    "seconds",
    "short_id",
    "size",
    "to_stderr",
    "when",
    "when_short",
    "width_of",
]


# ---- characters ------------------------------------------------------------------------------------------------------

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_JOINERS = "\u200c\u200d"  # needed inside Persian words and emoji, harmless elsewhere


def clean(text: str) -> str:
    """Return `text` with every character that is not plainly visible shown by its number."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in _JOINERS else _numbered(char) for char in text)


def _numbered(char: str) -> str:
    if unicodedata.category(char) == "Zs":  # no-break space and its kin
        return " "
    code = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def width_of(text: str) -> int:
    """Return how many columns `text` takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, columns: int, *, middle: bool = False) -> str:
    """Return `text`, cleaned, in at most `columns` columns; an ellipsis stands for its lost end, or `middle`."""
    text = clean(text[: 8 * columns]) + ("…" if len(text) > 8 * columns else "")
    if width_of(text) <= columns and len(text) <= 4 * columns:
        return text
    if middle and text.isascii():
        tail = (columns - 1) // 2
        return text[: columns - 1 - tail] + "…" + text[len(text) - tail :]
    return first_columns(text, columns - 1).rstrip() + "…"


def first_columns(text: str, columns: int) -> str:
    taken = 0
    for at, char in enumerate(text):
        taken += _columns(char)
        if taken > columns or at >= 4 * columns:
            return text[:at]
    return text


def encodable(text: str, encoding: str | None) -> str:
    """Return `text` as a stream of that encoding can show it: own signs in ASCII, the rest by their numbers."""
    encoding = encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        for sign, ascii_sign in (("·", "-"), ("…", "..."), ("×", "x"), ("–", "-"), ("→", "->")):
            text = text.replace(sign, ascii_sign)
        return text.encode(encoding, "backslashreplace").decode(encoding)
    except LookupError:
        pass
    return text


def to_stderr(*lines: str) -> None:
    """Print lines on stderr, as far as it can show them. Where nobody is left to be told, that is no error."""
    stream = sys.stderr
    if stream is None:
        return
    with contextlib.suppress(OSError, ValueError):
        text = "\n".join(map(clean, lines))
        print(encodable(text, getattr(stream, "encoding", None)), file=stream, flush=True)


# ---- numbers ---------------------------------------------------------------------------------------------------------


def size(number: int) -> str:
    """Return a number of bytes for people: `0 bytes`, `512 bytes`, `84 MB`, `1.2 GB`."""
    if number < 1000:
        return "1 byte" if number == 1 else f"{number} bytes"
    value = float(number)
    for unit in ("kB", "MB", "GB", "TB", "PB", "EB"):
        value /= 1000
        if value < 9.95:
            return f"{value:.1f} {unit}"
        if value < 999.5:
            return f"{value:.0f} {unit}"
    return f"{value:,.0f} EB"


def seconds(duration: float) -> str:
    """Return a duration for people: `4 ms`, `0.41 s`, `12.3 s`, `2 min 5 s`."""
    if duration < 0.0095:
        return f"{max(1, round(duration * 1000))} ms"
    if duration < 9.995:
        return f"{duration:.2f} s"
    if duration < 59.95:
        return f"{duration:.1f} s"
    minutes, rest = divmod(round(duration), 60)
    return f"{minutes} min {rest} s"


def when(time: str, now: datetime | None = None, *, sentence: bool = False) -> str:
    """Return a moment for people in local time: `15:32 today`, `yesterday 09:10`, `2026-03-01 15:32`.

    With `sentence` as it reads in one: `today at 15:32`, `yesterday at 09:10`, `on 2026-03-01 at 15:32`.
    What is not a time is returned as it came.
    """
    try:
        moment = datetime.fromisoformat(time).astimezone()
    except (ValueError, OverflowError, OSError):
        return time
    today = (now or datetime.now()).astimezone().date()
    day, clock = moment.date(), f"{moment:%H:%M}"
    if day == today:
        return f"today at {clock}" if sentence else f"{clock} today"
    if day == today - timedelta(days=1):
        return f"yesterday at {clock}" if sentence else f"yesterday {clock}"
    return f"on {day} at {clock}" if sentence else f"{day} {clock}"


def when_short(time: str, now: datetime | None = None) -> str:
    """Return a moment in eleven columns: `15:32 today`, `03-01 15:32`, `2025-03-01`."""
    try:
        moment = datetime.fromisoformat(time).astimezone()
    except (ValueError, OverflowError, OSError):
        return time
    today = (now or datetime.now()).astimezone().date()
    if moment.date() == today:
        return f"{moment:%H:%M} today"
    return f"{moment:%m-%d %H:%M}" if moment.year == today.year else f"{moment:%Y-%m-%d}"


def count(number: int, noun: str) -> str:
    """Return `1 variable`, `5,000 variables`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


#: What a part beside the variables is called, one and many; {} is what its entries are about.
_BESIDE = {
    "random": ("random generator", "random generators"),
    "figures": ("figure {}", "figures {}"),
    "path": ("sys.path", "sys.path"),
    "directory": ("working directory {}", "working directory {}"),
    "submodules": ("submodules {}", "submodules {}"),
    "options": ("options of {}", "options of {}"),
    "warnings": ("warning filters", "warning filters"),
    "decimal": ("decimal context", "decimal context"),
    "extensions": ("extensions {}", "extensions {}"),
}
#: Entries that say something about the others of their part.
_SILENT = frozenset({"figures:current", "options:loaded"})


def beside(entries: Iterable[str]) -> tuple[str, ...]:
    """Return what lies beside the variables in words: `figures 1 and 2`, `options of pandas`, `random generators`."""
    parts: dict[str, list[str]] = {}
    for entry in entries:
        if entry not in _SILENT:
            part, _, item = entry.partition(":")
            parts.setdefault(part, []).append(clean(item))
    said = []
    for part, items in parts.items():
        if part not in _BESIDE:  # of a later nbsnap
            said.append(clean(part))
            continue
        one, many = _BESIDE[part]
        said.append((one if len(items) == 1 else many).format(listed(items)).strip())
    return tuple(said)


def listed(names: Sequence[str]) -> str:
    """Return names as they stand in a sentence: `a`, `a and b`, `a, b, c, d and 3 more`."""
    if len(names) > 4:
        return f"{', '.join(names[:4])} and {len(names) - 4} more"
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else "".join(names)


def short_id(id: str) -> str:
    """Return the seven digits by which people know a snapshot."""
    return id[:7]
