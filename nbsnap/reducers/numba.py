"""numba: lists and dicts with a type, whose memory is not Python's."""

from __future__ import annotations

from typing import Any

from nbsnap.builders import numba

from .common import Plan


def _list(desk: Any, value: Any) -> Any:

    desk.claim(value)
    if not value._typed:
        return numba.typed_list, (None,)
    return numba.typed_list, (value._list_type.item_type,), None, iter(list(value))


def _dict(desk: Any, value: Any) -> Any:

    desk.claim(value)
    if not value._typed:
        return numba.typed_dict, (None, None)
    kind = value._dict_type
    return numba.typed_dict, (kind.key_type, kind.value_type), None, None, iter(list(value.items()))


PLANS_BY_NAME: dict[str, Plan] = {
    "numba.typed.typedlist.List": _list,
    "numba.typed.typeddict.Dict": _dict,
}
