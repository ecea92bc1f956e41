"""Names that a restore did not bring back: what to say when a cell uses one.

IPython shows its NameError as ever; then comes one line: what the name was, which cell had made it, and the command
that makes it again. As long as nothing is lost, no event of the shell is listened to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .model import MASK, RestoreReport, Skip
from .wording import clean, short_id

__all__ = ["Lost", "line"]


def line(skip: Skip, id: str) -> str:
    """Return what is said about a name that is not there; `id` is that of the snapshot that does not bring it."""
    name, kind = clean(skip.name), clean(skip.type)
    made = f", made in In [{skip.cell}]" if skip.cell is not None else ""
    if skip.kind == "failed":
        help = f"{clean(skip.hint)}, then " if skip.hint else ""
        return (
            f"nbsnap: {name}, of type {kind}{made}, could not be loaded: {clean(skip.reason)};"
            f" {help}%restore {short_id(id)} --only {name} tries again"
        )
    again = f"; %restore --rerun {name} makes it again" if skip.cell is not None else ""
    if MASK in skip.code:  # and the secret with it
        again = f":  {clean(skip.code)}"
    return f"nbsnap: {name}, of type {kind}{made}, was not saved: {clean(skip.reason)}{again}"


class Lost:
    """The names that the last restore left out, and the shell in which they may be missed."""

    def __init__(self, shell: Any, say: Callable[[str], None]) -> None:
        self._shell, self._say = shell, say
        self._names: dict[str, tuple[Skip, str]] = {}
        self._listening = False

    def note(self, report: RestoreReport) -> None:
        """Note what a restore did not bring back, and what it did."""
        for variable in report.restored:
            self._names.pop(variable.name, None)
        for skip in (*report.not_saved, *report.failed):
            if skip.kind != "partly":
                self._names[skip.name] = (skip, report.id)
        self._listen(bool(self._names))

    def found(self, names: Iterable[str]) -> None:
        """Note that names are there again."""
        for name in names:
            self._names.pop(name, None)
        self._listen(bool(self._names))

    def close(self) -> None:
        """Forget all of it."""
        self._names.clear()
        self._listen(False)

    def _listen(self, wanted: bool) -> None:
        if wanted != self._listening:
            (self._shell.events.register if wanted else self._shell.events.unregister)("post_run_cell", self._ended)
            self._listening = wanted

    def _ended(self, result: Any) -> None:
        error = getattr(result, "error_in_exec", None)
        name = error.name if isinstance(error, NameError) else None
        if name in self._names and name not in self._shell.user_ns:
            self._say(line(*self._names[name]))
