"""`%load_ext nbsnap` and `%unload_ext nbsnap`: magics, settings, completion, and the display of reports."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from traitlets import TraitError

from nbsnap.firstline import written_out
from nbsnap.magics.greeting import greet, heard
from nbsnap.magics.shell import NbSnap
from nbsnap.magics.showing import REPORTS, report_html, report_text

__all__ = ["load", "unload"]

_MAGICS = ("snapshot", "restore", "snapshots", "autosnapshot")


def load(shell: Any) -> None:
    """Register magics, settings, completion and the display of reports; show the hint."""
    if isinstance(shell.magics_manager.registry.get("NbSnap"), NbSnap):
        return
    try:
        magics = NbSnap(shell=shell)
    except TraitError as error:  # a setting of the user's: one line, and no traceback at every start
        print(f"nbsnap: not loaded: {error}", file=sys.stderr)
        return
    shell.register_magics(magics)
    for name in (*_MAGICS, "%snapshot"):
        shell.set_hook("complete_command", magics.complete_line, str_key=f"%{name}")
    shell.input_transformers_cleanup.append(written_out)
    formatters = shell.display_formatter.formatters
    for module, report in REPORTS:
        formatters["text/plain"].for_type_by_name(f"nbsnap.{module}", report, partial(report_text, magics))
        formatters["text/html"].for_type_by_name(f"nbsnap.{module}", report, partial(report_html, magics))
    if heard(shell):
        greet(magics)
    else:
        shell.events.register("pre_run_cell", magics.greet_before_cell)
    magics.follow_settings()


def unload(shell: Any) -> None:
    """Take out everything that `load` put in."""
    magics = shell.magics_manager.registry.pop("NbSnap", None)
    if magics is None:
        return
    for name in (*_MAGICS, "%snapshot"):
        for known in shell.magics_manager.magics.values():
            if getattr(known.get(name), "__self__", None) is magics:
                del known[name]
        shell.strdispatchers["complete_command"].strs.pop(f"%{name}", None)
    if written_out in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(written_out)
    if magics in shell.configurables:
        shell.configurables.remove(magics)
    for module, report in REPORTS:
        for kind in ("text/plain", "text/html"):
            shell.display_formatter.formatters[kind].pop(f"nbsnap.{module}.{report}", None)
    if magics.greet_before_cell in shell.events.callbacks["pre_run_cell"]:
        shell.events.unregister("pre_run_cell", magics.greet_before_cell)
    magics.stop_following()
