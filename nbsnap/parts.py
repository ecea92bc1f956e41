"""The parts of a session's state that lie beside its variables, by name; see `nbsnap.beside`.

A module of its own, since the magics name them in their help when they are loaded, and need nothing else then.
"""

from __future__ import annotations

__all__ = ["BESIDE"]

BESIDE = ("random", "figures", "path", "directory", "submodules", "options", "warnings", "decimal", "extensions")
