"""A figure of matplotlib as a small PNG: from what was drawn of it already, never by drawing.

A canvas of Agg (what the inline backend and `savefig` use) keeps the picture that it drew last; where pyplot has closed
the figure and taken its canvas away, as the inline backend lets it after each cell, the titles still hold the renderer.
The picture is scaled down by a whole number, laid on white, and written as a PNG by zlib alone. One that is too rich in
detail becomes smaller still.
"""

from __future__ import annotations

import base64
import math
import struct
import sys
import zlib
from typing import Any

__all__ = ["figure_of", "thumbnail"]

WIDTH, HEIGHT = 320, 400
LARGEST = 20_000  # bytes


def thumbnail(value: Any) -> str | None:
    """Return the picture of a figure, or of the figure of axes, as PNG in base64; None where none was drawn."""
    pixels = _drawn(value)
    if pixels is None:
        return None
    height, width = pixels.shape[:2]
    step = max(1, -(-width // WIDTH), -(-height // HEIGHT))
    for _ in range(2):
        if step > min(width, height):
            return None
        small = _averaged(pixels, step)
        if not small[..., 3].any():  # a canvas that was asked for, but never drawn
            return None
        data = png(_on_white(small))
        if len(data) <= LARGEST:
            return base64.b64encode(data).decode("ascii")
        step = math.ceil(step * math.sqrt(len(data) / LARGEST) * 1.1)
    return None


def figure_of(value: Any) -> Any:
    """Return the figure that is meant: the value, or the one that the axes are in."""
    held = vars(value)
    return value if "canvas" in held else held.get("_parent_figure", held.get("figure"))


def png(pixels: Any) -> bytes:
    """Return an array of height × width × 3 bytes as a PNG."""
    numpy = sys.modules["numpy"]
    height, width = pixels.shape[:2]
    lines = numpy.zeros((height, 1 + 3 * width), numpy.uint8)  # each begins with its filter: 0 is none
    lines[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 2)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def _drawn(value: Any) -> Any:
    """Return what was drawn of a figure last, or None. Asking its canvas for a renderer would make one."""
    agg, numpy = sys.modules.get("matplotlib.backends.backend_agg"), sys.modules.get("numpy")
    if agg is None or numpy is None:
        return None
    figure = figure_of(value)
    for holder in (vars(figure)["canvas"], *(vars(axes)["title"] for axes in figure.axes)):
        renderer: Any = vars(holder).get("renderer") or vars(holder).get("_renderer")
        if type(renderer) is agg.RendererAgg:
            pixels = numpy.asarray(renderer.buffer_rgba())
            return pixels if pixels.ndim == 3 and pixels.shape[2] == 4 and pixels.dtype == numpy.uint8 else None
    return None


def _averaged(pixels: Any, step: int) -> Any:
    """Return every `step` × `step` pixels as one, the mean of four of them."""
    if step == 1:
        return pixels
    numpy = sys.modules["numpy"]
    height, width = pixels.shape[0] // step, pixels.shape[1] // step
    words = numpy.ascontiguousarray(pixels).view(numpy.uint32)[..., 0]
    half = step // 2
    a, b, c, d = (
        words[down : height * step : step, across : width * step : step] for down in (0, half) for across in (0, half)
    )
    mean = _mean(numpy.uint32, _mean(numpy.uint32, a, b), _mean(numpy.uint32, c, d))
    return mean.view(numpy.uint8).reshape(height, width, 4)


def _mean(word: Any, left: Any, right: Any) -> Any:
    """Return the means of four bytes in each word at once: what both have, and half of what one has."""
    return (left & right) + (((left ^ right) & word(0xFEFEFEFE)) >> word(1))


def _on_white(pixels: Any) -> Any:
    alpha = pixels[..., 3:]
    if alpha.min() == 255:
        return pixels[..., :3]
    numpy = sys.modules["numpy"]
    weight = alpha.astype(numpy.uint16)
    return ((pixels[..., :3] * weight + 255 * (255 - weight)) // 255).astype(numpy.uint8)
