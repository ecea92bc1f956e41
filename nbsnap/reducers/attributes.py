"""Objects whose attribute dict has another holder: several that share one (`self.__dict__ = self._shared`), `vars(x)`.

Pickle fills the object's own dict from the one it saved, which cuts the two apart. So where a dict has more than one
holder, it is put in the object's place for it. A reference count tells; an extra holder that is not saved does no harm.
"""

from __future__ import annotations

import abc
import copyreg
import sys
from types import GetSetDescriptorType
from typing import Any

from nbsnap import builders
from nbsnap.describe import OWN_WAYS, is_a, made_in_python

from .common import inherits


class _Sample:
    def __init__(self) -> None:
        self.attribute = None


#: What `sys.getrefcount` says of an attribute dict that only its object holds: counted, not guessed.
_ALONE = sys.getrefcount(_Sample().__dict__)
_WAYS = frozenset({"__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getattribute__"})


def has_plain_dict(cls: type) -> bool:
    """Tell whether objects of a class are saved as their attribute dict, with no code of the class taking part."""
    if cls.__dictoffset__ == 0 or not all(map(made_in_python, cls.__mro__[:-1])):
        return False
    if cls in copyreg.dispatch_table or any(inherits(cls, name) for name in _WAYS):
        return False
    return is_a(next(vars(base)["__dict__"] for base in cls.__mro__ if "__dict__" in vars(base)), GetSetDescriptorType)


def has_no_more(cls: type) -> bool:
    """Tell whether attributes, in a dict or in slots, are all that is saved of an object, by no code of its class."""
    return (
        all(map(made_in_python, cls.__mro__[:-1]))
        and type(cls) in (type, abc.ABCMeta)
        and cls not in copyreg.dispatch_table
        and not any(inherits(cls, name) for name in (*OWN_WAYS, "__getattribute__"))
        and (cls.__dictoffset__ == 0 or has_plain_dict(cls))
    )


def instance(desk: Any, value: Any) -> Any:
    """The plan for them: left to pickle, unless the dict is shared."""
    desk.claim(value)
    if not is_shared(value):
        return NotImplemented
    reduction: Any = value.__reduce_ex__(5)  # object's own: copyreg.__newobj__, (class,), state, None, None
    return *reduction[:2], with_dict(value, reduction[2]), None, None, builders.share_attributes


def is_shared(value: Any) -> bool:
    """Tell whether something else holds the attribute dict of an object whose class `has_plain_dict`."""
    return sys.getrefcount(value.__dict__) > _ALONE


def with_dict(value: Any, state: Any) -> Any:
    """Return the state that pickle takes with the dict itself in it, also where pickle leaves an empty one out."""
    return (value.__dict__, state[1]) if type(state) is tuple else value.__dict__
