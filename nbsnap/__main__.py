"""`python -m nbsnap`: the command line."""

from __future__ import annotations

from nbsnap.cli import entry

if __name__ == "__main__":
    entry()
