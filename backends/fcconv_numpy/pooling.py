"""Pools, tile by tile: one axis after the other, so that no window is copied."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fcconv_numpy.columns import pixels_of
from fcconv_numpy.dtypes import Array, computed, native
from fcconv_numpy.plan import COST_PER_COPY, OutputTile, plan
from fcconv_numpy.threads import blas_threads, share

if TYPE_CHECKING:
    from fcconv.geometry import Window


LONG = 8
"""Windows that an entry is in from which on their maxima are made of those of shorter ones."""


def pool(reduce: np.ufunc, x: Array, window: Window, blank: float, count: Array | None) -> Array:
    """Reduce each window of ``x (N, C, *S)``, whose padding is blank, and divide by its count."""
    lengths = (*x.shape[:2], *window.output)
    y = np.empty(lengths, native(x.dtype))
    column, work = math.prod(window.stride) * x.itemsize, math.prod(window.kernel) * COST_PER_COPY
    chosen = plan(lengths, column, work, blas_threads())
    part = functools.partial(
        _pool_tiles, y, reduce, x[:, :, None], window, blank=blank, count=count
    )
    share(part, chosen.tiles(lengths), chosen.workers)
    return y


def _pool_tiles(
    y: Array,
    reduce: np.ufunc,
    x: Array,
    window: Window,
    tiles: Iterator[OutputTile],
    *,
    blank: float,
    count: Array | None,
) -> None:
    """Compute tiles of `y`, as many as there are left."""
    dtype = computed(x.dtype)
    for tile in tiles:
        pixels = pixels_of(x, window, tile, blank)[:, :, 0].astype(dtype, copy=False)
        for axis, (start, stop) in enumerate(tile.cells):
            pixels = _reduced(reduce, pixels, window, axis, stop - start)
        cells = tuple(slice(*cells) for cells in tile.cells)
        target = y[slice(*tile.images), slice(*tile.groups), *cells]
        if count is None:
            target[...] = pixels
        else:
            np.divide(pixels, count[cells].astype(dtype), out=target, casting="same_kind")


def _reduced(reduce: np.ufunc, x: Array, window: Window, axis: int, cells: int) -> Array:
    """Reduce the windows along one spatial axis."""
    kernel, stride, dilation = window.kernel[axis], window.stride[axis], window.dilation[axis]
    before = (slice(None),) * (2 + axis)
    if window.output[axis] == 1:  # as of a global pool
        samples = x[*before, : (kernel - 1) * dilation + 1 : dilation]
        only: Array = reduce.reduce(samples, axis=2 + axis, keepdims=True)
        return only
    span = (cells - 1) * stride + 1
    taps = list(range(0, kernel * dilation, dilation))
    if reduce is np.maximum and kernel >= LONG * stride:
        x, taps = _of_runs(x, taps, axis)
    first, *others = (x[*before, a : a + span : stride] for a in taps)
    if not others:
        return first
    total: Array = reduce(first, others[0])
    for tap in others[1:]:
        reduce(total, tap, out=total)
    return total


def _of_runs(x: Array, taps: Sequence[int], axis: int) -> tuple[Array, list[int]]:
    """Take maxima of runs of taps, each twice as long as before; two of them make a window.

    They may overlap: an entry counts once, however often it is in a maximum.
    """
    before, run = (slice(None),) * (2 + axis), 1
    while 2 * run < len(taps):
        x = np.maximum(x[*before, : -taps[run]], x[*before, taps[run] :])
        run *= 2
    return x, [0, taps[-run]]
