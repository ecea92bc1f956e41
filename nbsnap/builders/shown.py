"""What streams call for drawings, widgets and fonts. These names stand in stored snapshots."""

from __future__ import annotations

import io
from typing import Any


def font(cls: Any, data: bytes, size: Any, index: int, encoding: str, layout: Any) -> object:
    """Return a font of Pillow from the bytes of its file."""
    return cls(io.BytesIO(data), size, index, encoding, layout)


def pen(cls: Any, image: Any, mode: str) -> object:
    """Return what draws on an image."""
    return cls(image, mode)


def fill_plainly(target: Any, attributes: dict[str, Any]) -> None:
    """Set attributes."""
    for name, value in attributes.items():
        setattr(target, name, value)


def bokeh_container(cls: Any) -> object:
    """Return an empty list, dict or set of Bokeh's."""
    return cls()


def fill_bokeh_container(target: Any, state: tuple[Any, list[Any]]) -> None:
    """Fill it without telling the owners, and let it know them."""
    items, owners = state
    if isinstance(target, dict):
        dict.update(target, items)
    elif isinstance(target, list):
        list.extend(target, items)
    else:
        set.update(target, items)
    target._owners = set(owners)


def bokeh_descriptor(cls: Any, name: str) -> object:
    """Return a property of a class of Bokeh's."""
    return vars(cls)[name]


def fill_widget(target: Any, state: tuple[dict[str, Any], dict[str, Any], str | None]) -> None:
    """Fill a widget, give it its callbacks again, and announce it to the front end."""
    held, notifiers, identity = state
    held["_trait_notifiers"], held["_trait_validators"] = {}, {}
    target.__setstate__(held)
    for name, kinds in notifiers.items():
        for kind, calls in kinds.items():
            known = target._trait_notifiers.setdefault(name, {}).setdefault(kind, [])
            known.extend(call for call in calls if call not in known)
    if identity is not None:
        target._model_id = identity
        target.open()
