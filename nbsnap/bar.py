"""The progress bar of a notebook: what it is at, how much of how much, how fast, how long still; as text and as HTML.

The HTML is `<div>`s with styles of their own: no script, and no widget, for which server and page need an extension.
"""

from __future__ import annotations

from collections import deque

from nbsnap import theme
from nbsnap.layout import BOX, escape
from nbsnap.progress import Progress
from nbsnap.wording import clean, listed, seconds, size

__all__ = ["Pace", "said", "to_html", "to_text"]

_SPAN = 5.0  # seconds over which the rate is taken


class Pace:
    """How fast it goes, as seen at a few moments. Another part of the work has another pace."""

    def __init__(self) -> None:
        self._part = ("", 0)
        self._seen: deque[tuple[float, int]] = deque()

    def see(self, progress: Progress, now: float) -> float:
        """Return the bytes per second of the last moments; 0 where there is nothing to tell from."""
        done, part = progress.done, (progress.what, progress.total)
        if part != self._part or (self._seen and done < self._seen[-1][1]):
            self._part = part
            self._seen.clear()
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] < now - _SPAN:
            self._seen.popleft()
        (then, before), (_, after) = self._seen[0], self._seen[-1]
        return (after - before) / (now - then) if now > then else 0.0


def said(progress: Progress) -> str:
    """Return what it is at: `nbsnap: loading model (importing torch)`."""
    said = f"nbsnap: {progress.what}"
    if names := [name for name in progress.names if ":" not in name]:  # no names of what lies beside the variables
        said += f" {listed([clean(name) for name in names])}"
    if progress.importing:
        said += f" (importing {clean(progress.importing.partition('.')[0])})"
    return said


def to_text(progress: Progress, rate: float) -> str:
    """Return all of it in a line."""
    return " · ".join([said(progress), *_facts(progress, rate)])


def _facts(progress: Progress, rate: float) -> list[str]:
    total, done = progress.total, min(progress.done, progress.total)
    if not total:
        return []
    facts = [f"{100 * done // total}% of {size(total)}"]
    if rate > 0:
        facts.append(f"{size(int(rate))}/s")
        left = (total - done) / rate
        if 1 <= left < 360_000:
            facts.append(f"{seconds(round(left)) if left >= 60 else f'{left:.0f} s'} left")
    return facts


def to_html(progress: Progress, rate: float) -> str:
    """Return it with a bar as far as it has come; where nobody knows how far that is, without."""
    facts = _facts(progress, rate)
    parts = [f'<div class="nbsnap" style="{BOX}"><div>{escape(said(progress))}']
    parts += [f' <span style="{theme.DIM}">· {escape(fact)}</span>' for fact in facts]
    parts.append("</div>")
    if progress.total:
        share = 100 * min(progress.done, progress.total) / progress.total
        parts.append(
            '<div style="height:5px;max-width:30em;margin:3px 0 2px;border-radius:3px;overflow:hidden;'
            'background:rgba(128,128,128,.25)">'
            f'<div style="height:100%;width:{share:.1f}%;background:{theme.FILLED}"></div></div>'
        )
    return "".join([*parts, "</div>"])
