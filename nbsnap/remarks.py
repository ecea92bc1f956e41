"""What there is to say of objects while they are loaded: that one came back in another form than it was saved in.

Streams call functions that know nothing of reports. What these say goes to whoever loads the stream (`heard`), and
nowhere if nobody listens.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

__all__ = ["heard", "remark"]

_lines: ContextVar[dict[str, None] | None] = ContextVar("nbsnap_remarks", default=None)


def remark(text: str) -> None:
    """Say something of the variable that is being loaded, as a sentence without its subject."""
    if (lines := _lines.get()) is not None:
        lines[text] = None


@contextlib.contextmanager
def heard() -> Iterator[dict[str, None]]:
    """Listen: what is said in the block are the keys of the dict that it is handed, in their order."""
    lines: dict[str, None] = {}
    token = _lines.set(lines)
    try:
        yield lines
    finally:
        _lines.reset(token)
