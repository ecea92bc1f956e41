"""Weak references, weak dictionaries and weak sets: what they refer to comes back if something else holds it.

A weak container that holds nothing strongly would lose its contents while it is being rebuilt, so what it refers to is
part of its stream, and lives on as long as anything else that was restored holds it.
"""

from __future__ import annotations

import weakref
from typing import Any

from nbsnap import builders
from nbsnap.builders import weak
from nbsnap.errors import CannotSave

from .common import Plan, inherits, slots_of


def _reference(desk: Any, reference: Any) -> Any:
    desk.claim(reference)
    target = reference()
    if target is None:
        return builders.dead_reference, (weakref.ref,)
    callback = reference.__callback__
    return builders.reference, (target,) if callback is None else (target, callback)


def _keyed_reference(desk: Any, reference: Any) -> Any:
    """A subclass of `weakref.ref`: of the session's, or a library's of its own. Its callback is its maker's affair."""
    if inherits(type(reference), "__reduce__"):
        return NotImplemented
    desk.claim(reference)
    target = weakref.ref.__call__(reference)
    if target is None:
        return builders.dead_reference, (weakref.ref,)
    if type(reference) is weakref.KeyedRef:
        return weakref.KeyedRef, (target, None, reference.key)
    state = (dict(getattr(reference, "__dict__", {})), slots_of(reference))
    return weak.derived_reference, (type(reference), target), state, None, None, builders.set_state


def _method(desk: Any, reference: Any) -> Any:
    desk.claim(reference)
    method = reference()
    if method is None:
        return builders.dead_reference, (weakref.ref,)
    return weakref.WeakMethod, (method,)


def _proxy(desk: Any, proxy: Any) -> Any:
    desk.claim(proxy)
    try:
        target = proxy.__repr__.__self__  # what a proxy answers is its target's; its own type has nothing to ask
    except ReferenceError as error:
        raise CannotSave("what it refers to is gone", proxy) from error
    if any(reference is proxy for reference in weakref.getweakrefs(target)):
        return weakref.proxy, (target,)
    raise CannotSave("what it refers to cannot be found", proxy)


def _dictionary(desk: Any, value: Any) -> Any:
    desk.claim(value)
    attributes = {name: part for name, part in vars(value).items() if name not in _MACHINERY}
    pairs = tuple(type(value).items(value))
    return weak.dictionary, (type(value),), (pairs, attributes), None, None, weak.fill_dictionary


def _set(desk: Any, value: Any) -> Any:
    desk.claim(value)
    attributes = {name: part for name, part in vars(value).items() if name not in _MACHINERY}
    return weak.set_, (type(value),), (tuple(value), attributes), None, None, weak.fill_set


_MACHINERY = frozenset(
    ["data", "_remove", "_pending_removals", "_iterating", "_dirty_len", "_commit_removals", "__weakref__"]
)


def _finalizer(desk: Any, value: Any) -> Any:
    desk.claim(value)
    found = value.peek()
    if found is None:
        return weak.dead_finalizer, ()
    target, function, arguments, keywords = found
    return weak.finalizer, (target, function, arguments, keywords, value.atexit)


PLANS: dict[type, Plan] = {
    weakref.ref: _reference,
    weakref.ProxyType: _proxy,
    weakref.CallableProxyType: _proxy,
    weakref.finalize: _finalizer,
}

#: For a class and its subclasses, by qualified name.
PLANS_BY_NAME: dict[str, Plan] = {
    "weakref.WeakMethod": _method,
    "weakref.ReferenceType": _keyed_reference,
    "weakref.KeyedRef": _keyed_reference,
    "weakref.WeakValueDictionary": _dictionary,
    "weakref.WeakKeyDictionary": _dictionary,
    "_weakrefset.WeakSet": _set,
}
