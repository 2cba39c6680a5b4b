"""Windows gathered as the columns of a matrix (im2col), tile by tile."""

from __future__ import annotations

import itertools
import math
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from fcconv_numpy.dtypes import Array
from fcconv_numpy.plan import OutputTile

if TYPE_CHECKING:
    from fcconv.geometry import Window


MAX_KEPT_BYTES = 2**24
"""Most bytes of an array that is kept for the next call; larger ones are rare, and freed."""


class Workspace(threading.local):
    """Memory of a thread that tiles use one after the other: fresh pages cost more than a copy."""

    def __init__(self) -> None:
        self._held: dict[str, Array] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return an array of any content, which is overwritten when its name is taken again."""
        size = math.prod(shape) * dtype.itemsize
        if size > MAX_KEPT_BYTES:
            return np.empty(shape, dtype)
        held = self._held.get(name)
        if held is None or len(held) < size:
            held = self._held[name] = np.empty(size, np.uint8)
        return held[:size].view(dtype).reshape(shape)


WORKSPACE = Workspace()


def gather(columns: Array, x: Array, window: Window, tile: OutputTile) -> None:
    """Write the windows of a tile of `x (N, G, C/G, *S)` into `columns (g, C/G, *K, n, *cells)`."""
    pixels = pixels_of(x, window, tile, 0)
    images, groups, channels, *steps = pixels.strides
    taps = (step * e for step, e in zip(steps, window.dilation, strict=True))
    cells = (step * r for step, r in zip(steps, window.stride, strict=True))
    # windows overlap in this view of the pixels: it may be read, never written
    np.copyto(columns, as_strided(pixels, columns.shape, (groups, channels, *taps, images, *cells)))


def pixels_of(x: Array, window: Window, tile: OutputTile, blank: float) -> Array:
    """Return what a tile of `x (N, G, C/G, *S)` reads, ``(n, g, C/G, *s)``, with blank padding."""
    spans = [window.span(axis, *cells) for axis, cells in enumerate(tile.cells)]
    starts = [max(start, 0) for start, _ in spans]
    # a span may lie in the padding as a whole: then it holds no pixel, and not less than none
    stops = [max(min(b, n), a) for (_, b), n, a in zip(spans, x.shape[3:], starts, strict=True)]
    held = list(zip(starts, stops, strict=True))
    inside = x[slice(*tile.images), slice(*tile.groups), :, *itertools.starmap(slice, held)]
    if held == spans:
        return inside
    shape = (*inside.shape[:3], *(stop - start for start, stop in spans))
    padded = WORKSPACE.take("padded", shape, x.dtype)
    padded.fill(blank)
    target = (slice(a - first, b - first) for (a, b), (first, _) in zip(held, spans, strict=True))
    padded[:, :, :, *target] = inside
    return padded
