"""The global random generators: each stream goes on where it was. States are kept as plain numbers and bytes.

Where only nbsnap has loaded `random`, its state is nobody's, and is kept as no more than that. States of CUDA devices
are kept only where CUDA is in use.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

import nbsnap

from .turn import Scene, Turn, equal


def take(_: Scene) -> dict[str, Any]:
    """Return the states of the generators whose modules are loaded."""
    found: dict[str, Any] = {}
    if (random := sys.modules.get("random")) is not None and hasattr(random, "getstate"):
        state = random.getstate()
        found["python"] = () if equal(state, nbsnap.fresh_random) else state
    if (numpy := sys.modules.get("numpy.random")) is not None and hasattr(numpy, "get_state"):
        found["numpy"] = _plain(numpy.get_state(legacy=False))
    if (torch := sys.modules.get("torch")) is not None and hasattr(torch, "get_rng_state"):
        found["torch"] = bytes(torch.get_rng_state().tolist())
        if torch.cuda.is_initialized():  # nobody wakes CUDA only to look
            found["cuda"] = tuple(bytes(state.tolist()) for state in torch.cuda.get_rng_state_all())
    return found


def put(values: Mapping[str, Any], turn: Turn) -> None:
    """Set the states. A library that is missing costs a line."""
    present = take(Scene())
    for name, value in values.items():
        if equal(present.get(name), value):
            continue
        try:
            _PUT[name](value, turn)
        except ImportError as error:
            turn.notes.append(f"random: the state of {name} was not put back: {error}")
        else:
            if equal(take(Scene()).get(name), value):
                turn.done.append(f"random:{name}")


def _plain(value: Any) -> Any:
    """Return a generator's state without arrays."""
    if type(value) is dict:
        return {key: _plain(inner) for key, inner in value.items()}
    return tuple(value.tolist()) if hasattr(value, "tolist") and getattr(value, "ndim", False) else value


def _put_python(state: Any, _: Turn) -> None:
    if state := state or nbsnap.fresh_random:
        importlib.import_module("random").setstate(state)


def _put_numpy(state: dict[str, Any], _: Turn) -> None:
    numpy = importlib.import_module("numpy.random")
    kind = state["bit_generator"]
    if numpy.get_state(legacy=False)["bit_generator"] != kind:
        numpy.set_bit_generator(getattr(numpy, kind)())
    if kind == "MT19937":
        key = importlib.import_module("numpy").array(state["state"]["key"], "uint32")
        state = {**state, "state": {**state["state"], "key": key}}
    numpy.set_state(state)


def _put_torch(state: bytes, _: Turn) -> None:
    importlib.import_module("torch").set_rng_state(_tensor(state))


def _put_cuda(states: tuple[bytes, ...], turn: Turn) -> None:
    """Set the states; where CUDA has not begun yet, they are set when it does."""
    torch = importlib.import_module("torch")
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for device, state in enumerate(states[:there]):
        torch.cuda.set_rng_state(_tensor(state), device)
    if there < len(states):
        were, here = f"{len(states)} GPU" + "s" * (len(states) > 1), f"{there} of them" if there else "no CUDA"
        turn.notes.append(f"random: CUDA's generators were in use on {were}, and there is {here} here")
    elif not torch.cuda.is_initialized():
        turn.done.append("random:cuda")


def _tensor(state: bytes) -> Any:
    torch = importlib.import_module("torch")
    return torch.tensor(list(state), dtype=torch.uint8, device="cpu")


_PUT: dict[str, Any] = {"python": _put_python, "numpy": _put_numpy, "torch": _put_torch, "cuda": _put_cuda}
