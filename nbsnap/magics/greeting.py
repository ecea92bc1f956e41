"""What a session is told when it begins: that its notebook has a snapshot.

The hint ("23 variables were saved here today …") is printed while loading where a user can see that: in a cell, or in a
terminal. A kernel that loads the extension from its profile has nobody listening yet, so there the hint waits for the
first cell. It is only a hint: whatever goes wrong on its way is passed over.
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from nbsnap.magics.showing import in_kernel, say

if TYPE_CHECKING:
    from nbsnap.magics.shell import NbSnap

__all__ = ["greet", "heard"]


def heard(shell: Any) -> bool:
    """Tell whether somebody sees what is printed now: not in a kernel that has not been asked for anything yet."""
    return not in_kernel(shell) or bool(getattr(shell, "parent_header", None))


def greet(magics: NbSnap) -> None:
    """Print the hint, if there is one, or do what it would tell, as the setting says."""
    line = _hint(magics) if magics.autorestore != "never" else ""
    if not line:
        return
    if magics.autorestore == "always":
        try:
            magics.restore("")
        except UsageError as error:
            say(f"nbsnap: not restored: {error}")
    else:
        say(line)


def _hint(magics: NbSnap) -> str:
    """Return the line for a session with nothing in it whose notebook has a snapshot; "" for any other."""
    try:
        from nbsnap.namespace import user_names

        names, _ = user_names(magics.ip.user_ns, magics.ip.user_ns_hidden)
        if any(type(magics.ip.user_ns[name]) is not ModuleType for name in names):  # modules are no work to be lost
            return ""
        place, notebook = magics.at()
        if not os.path.isdir(place):
            return ""
        from nbsnap import startup

        return startup.hint(place, notebook)
    except Exception:
        return ""  # a broken store is told about by whoever uses it, not by every start of a shell
