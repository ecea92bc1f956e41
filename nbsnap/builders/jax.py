"""What streams call for objects of JAX. These names stand in stored snapshots."""

from __future__ import annotations

from typing import Any

import jax

from nbsnap.remarks import remark


def array(numbers: Any, dtype: Any, where: tuple[Any, ...]) -> object:
    """Return an array of these numbers, on that device if it is here, else where JAX puts arrays."""
    made = jax.device_put(numbers.view(dtype) if numbers.dtype != dtype else numbers, device(*where) if where else None)
    if made.dtype != dtype:
        remark(f"came back as {made.dtype}, not {dtype}: jax_enable_x64 is off here")
    return made


def device(platform: str, number: int) -> Any:
    """Return a device, or one that is here in its place."""
    try:
        devices = {device.id: device for device in jax.local_devices(backend=platform)}
    except RuntimeError:  # no such platform
        remark(f"came back on the CPU: JAX has no {platform} here")
        return jax.local_devices(backend="cpu")[0]
    if number not in devices:
        remark(f"came back on the first {platform}: there is no number {number} here")
    return devices.get(number, next(iter(devices.values())))
