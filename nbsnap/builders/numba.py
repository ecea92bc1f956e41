"""What streams call for objects of numba. These names stand in stored snapshots."""

from __future__ import annotations

from typing import Any


def typed_list(kind: Any) -> object:
    """Return an empty list of that type, or one that takes the type of its first item."""
    from numba.typed import List

    return List() if kind is None else List.empty_list(kind)


def typed_dict(key: Any, value: Any) -> object:
    """Return an empty dict of these types."""
    from numba.typed import Dict

    return Dict() if key is None else Dict.empty(key, value)
