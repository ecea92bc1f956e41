"""What streams call for objects of NumPy. These names stand in stored snapshots."""

from __future__ import annotations

from typing import Any

import numpy


def ufunc(function: Any, inputs: int, outputs: int) -> object:
    """Return a function of the session as a function of arrays."""
    return numpy.frompyfunc(function, inputs, outputs)
