"""How much memory a call took at its peak, beyond what the process had before it.

Linux tells the peak of the resident memory (`VmHWM`) and can be told to forget it (`/proc/self/clear_refs`, 5). Where
it cannot, `ru_maxrss` is the peak since the process began: the difference is then a lower bound, and 0 where the
process once had more. On Windows nothing is told.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def _told(field: str) -> int | None:
    try:
        for line in _STATUS.read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def _peak() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    told = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return told if sys.platform == "darwin" else told * 1024


def forget_peak() -> int | None:
    """Begin anew, and return what there is now."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
        peak, now = _told("VmHWM:"), _told("VmRSS:")
        if peak is not None and now is not None and peak - now < 1 << 20:
            return now
    return _peak()


def peak_since(before: int | None) -> int | None:
    """Return by how much the peak since `forget_peak` is above what it returned."""
    told = _told("VmHWM:")
    peak = told if told is not None else _peak()
    return None if before is None or peak is None else max(0, peak - before)
