"""Drawings, widgets and terminals: Pillow, Bokeh, ipywidgets, rich."""

from __future__ import annotations

from typing import Any

from nbsnap import builders
from nbsnap.builders import shown
from nbsnap.errors import CannotSave

from .common import Plan

# --- Pillow -----------------------------------------------------------------------------------------------------------


def _font(desk: Any, font: Any) -> Any:
    """A font that was read from a file in memory has its bytes; one that was read from a path has the path."""

    desk.claim(font)
    data = getattr(font, "font_bytes", None)
    if data is None:
        return NotImplemented
    return shown.font, (type(font), bytes(data), font.size, font.index, font.encoding, font.layout_engine)


def _pen(desk: Any, pen: Any) -> Any:

    desk.claim(pen)
    image = getattr(pen, "_image", None)
    if image is None or image.im is not pen.im:
        raise CannotSave("draws on an image that it does not know any more", pen)
    state = {name: value for name, value in vars(pen).items() if name in ("ink", "fontmode", "fill", "font")}
    return shown.pen, (type(pen), image, pen.mode), state, None, None, shown.fill_plainly


# --- Bokeh ------------------------------------------------------------------------------------------------------------


def _bokeh_container(desk: Any, value: Any) -> Any:
    """Who owns it has to be there before its items are put in, since each of them tells the owners."""

    desk.claim(value)
    plain = dict(value) if isinstance(value, dict) else list(value) if isinstance(value, list) else set(value)
    return shown.bokeh_container, (type(value),), (plain, list(value._owners)), None, None, shown.fill_bokeh_container


def _bokeh_descriptor(desk: Any, value: Any) -> Any:
    """A property is known by its name in its class."""
    owner = getattr(value, "owner", None)
    for cls in owner.__mro__ if owner is not None else ():
        if value.name in vars(cls) and vars(cls)[value.name] is value and cls.__module__.startswith("bokeh."):
            return shown.bokeh_descriptor, (cls, value.name)
    desk.claim(value)
    return NotImplemented


# --- ipywidgets -------------------------------------------------------------------------------------------------------


def _widget(desk: Any, widget: Any) -> Any:
    """Its callbacks come along, which traitlets leaves out; it is announced to the front end under its old id."""

    desk.claim(widget)
    held = dict(vars(widget))
    values = dict(held.get("_trait_values", {}))
    channel = values.pop("comm", None)
    held["_trait_values"] = values
    notifiers = {
        name: {kind: [call for call in calls if _is_of_user(call)] for kind, calls in kinds.items()}
        for name, kinds in held.pop("_trait_notifiers", {}).items()
    }
    held.pop("_trait_validators", None)
    held.pop("_repr_mimebundle_", None)
    for name in ("_states_to_send", "_property_lock"):
        if name in held:
            held[name] = type(held[name])()
    identity = widget.model_id if channel is not None else None
    state = (held, notifiers, identity)
    return builders.new_object, (type(widget),), state, None, None, shown.fill_widget


def _is_of_user(call: Any) -> bool:
    """Tell whether a callback was registered by somebody, and not by the class, which registers its own again."""
    return not type(call).__module__.startswith("traitlets.")


# --- rich -------------------------------------------------------------------------------------------------------------


def _console_local(desk: Any, value: Any) -> Any:
    desk.claim(value)
    return type(value), (value.theme_stack,)


PLANS_BY_NAME: dict[str, Plan] = {
    "PIL.ImageFont.FreeTypeFont": _font,
    "PIL.ImageDraw.ImageDraw": _pen,
    "bokeh.core.property.wrappers.PropertyValueContainer": _bokeh_container,
    "bokeh.core.property.descriptors.PropertyDescriptor": _bokeh_descriptor,
    "ipywidgets.widgets.widget.Widget": _widget,
    "rich.console.ConsoleThreadLocals": _console_local,
}
