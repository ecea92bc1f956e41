"""What stands where a part of a saved object could not be saved: it says what was there, and refuses to be used.

A placeholder is only put where it is held and nothing more (an item of a dict, list, tuple or set, an attribute of a
plain object, a closure's variable), never where code would take it apart while the object is rebuilt.
"""

from __future__ import annotations

from typing import Any

from .errors import NbSnapError

__all__ = ["ELSEWHERE", "Placeholder", "PlaceholderError"]

#: How the reason begins where it was saved, and could not be loaded by another Python: "… 3.11, and needs …".
ELSEWHERE = "it was made under Python"


class PlaceholderError(NbSnapError, AttributeError, TypeError):
    """A placeholder was used as if it were what it stands for."""


class Placeholder:
    """Stands for an object that could not be saved.

    `vars()` of it tells `path`, where it was; `type`, what it was; `reason`; `made`, how the variable was made.
    """

    def __init__(self, path: str, type: str, reason: str, made: str) -> None:
        vars(self).update(path=path, type=type, reason=reason, made=made)

    def __repr__(self) -> str:
        known = vars(self)
        made = f"; {known['made']}" if known["made"] else ""
        lost = f"{_a(known['type'])} that {_gone(known['reason'])} ({known['reason']})"
        return f"<placeholder for {known['path']}, {lost}{made}>"

    def __reduce__(self) -> tuple[Any, ...]:
        known = vars(self)
        return Placeholder, (known["path"], known["type"], known["reason"], known["made"])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # what front ends, copy and pickle ask everything for
            raise AttributeError(name)
        raise PlaceholderError(_sentence(self))

    def __setattr__(self, name: str, value: object) -> None:
        raise PlaceholderError(_sentence(self))


def _sentence(placeholder: Placeholder) -> str:
    known = vars(placeholder)
    made = f" ({known['made']})" if known["made"] else ""
    lost = f"{_a(known['type'])} and {_gone(known['reason'])}: {known['reason']}"
    return f"{known['path']} was {lost}. Make it again{made}."


def _gone(reason: str) -> str:
    return "could not be loaded" if reason.startswith(ELSEWHERE) else "was not saved"


def _a(type: str) -> str:
    return f"{'an' if type[:1].lower() in 'aeio' else 'a'} {type}"


def _refuse(self: Placeholder, *args: object, **more: object) -> Any:
    raise PlaceholderError(_sentence(self))


_USES = """
    call bool len iter next contains getitem setitem delitem enter exit await aiter anext int float complex index neg
    pos abs invert lt le gt ge add sub mul matmul truediv floordiv mod divmod pow lshift rshift and or xor radd rsub
    rmul rmatmul rtruediv rfloordiv rmod rdivmod rpow rlshift rrshift rand ror rxor round
"""
for _name in _USES.split():
    setattr(Placeholder, f"__{_name}__", _refuse)
