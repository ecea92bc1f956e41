"""What the kernel that the tests run on tells about memory."""

from __future__ import annotations

import sys

import pytest

from nbsnap import pagemap, pages


def _offers() -> tuple[bool, bool]:
    try:
        kernel = pages._Kernel(tracks=True)
    except (OSError, AttributeError):
        return False, False
    try:
        return True, kernel.open() and not pagemap.pinning()
    finally:
        kernel.close()


#: Whether this system can tell about mapped files, and about plain memory.
MAPS, TRACKS = _offers() if sys.platform == "linux" else (False, False)
needs_maps = pytest.mark.skipif(not MAPS, reason="needs PAGEMAP_SCAN (Linux 6.7)")
needs_tracks = pytest.mark.skipif(not TRACKS, reason="needs userfaultfd with asynchronous write protection")
