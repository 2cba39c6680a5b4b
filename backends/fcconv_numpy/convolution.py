"""Convolutions: windows gathered as columns, tile by tile, and multiplied."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fcconv_numpy.columns import WORKSPACE, gather
from fcconv_numpy.dtypes import Array, native
from fcconv_numpy.plan import COST_PER_COPY, OutputTile, plan
from fcconv_numpy.products import matrix_product
from fcconv_numpy.threads import blas_threads, share

if TYPE_CHECKING:
    from fcconv.geometry import Window


def moves_nothing(window: Window, size: tuple[int, ...]) -> bool:
    """Say whether the columns are the input where it lies.

    They are for a kernel that covers the input, or one pixel.
    """
    if window.covers(size):
        return True
    pixel = max(window.kernel) == 1 and window.output == size
    return pixel and not any(map(any, window.padding))


def convolve(x: Array, weight: Array, bias: Array | None, window: Window) -> Array:
    """Convolve ``x (N, G, C/G, *S)`` with ``weight (G, O/G, I)``, ``(N, G, O/G, prod(S'))``.

    Weight and bias ``(G, O/G, 1)`` have the dtype to compute in, the result has that of `x`.
    """
    groups, outputs, terms = weight.shape
    lengths = (len(x), groups, *window.output)
    y = np.empty((len(x), groups, outputs, math.prod(window.output)), native(x.dtype))
    # a window, and its results, which go through memory of their own where there are several images
    column, work = (terms + outputs) * weight.itemsize, terms * (outputs + COST_PER_COPY)
    # each thread reads all weights: with fewer windows than outputs, only products are divided
    threads = blas_threads() if len(x) * math.prod(window.output) >= outputs else 1
    chosen = plan(lengths, column, work, threads)
    part = functools.partial(_convolve_tiles, y, x, weight, bias, window)
    share(part, chosen.tiles(lengths), chosen.workers)
    return y


def _convolve_tiles(
    y: Array,
    x: Array,
    weight: Array,
    bias: Array | None,
    window: Window,
    tiles: Iterator[OutputTile],
) -> None:
    """Compute tiles of `y`, as many as there are left."""
    for tile in tiles:
        group, cells = slice(*tile.groups), [stop - start for start, stop in tile.cells]
        rows, shift = weight[group], None if bias is None else bias[group]
        part = _part(y, window, tile)
        images, groups, outputs, windows = part.shape
        shape = (groups, x.shape[2], *window.kernel, images, *cells)
        columns = WORKSPACE.take("columns", shape, weight.dtype)
        gather(columns, x, window, tile)
        columns = columns.reshape(groups, rows.shape[-1], images * windows)
        if images == 1 and y.dtype == weight.dtype:
            matrix_product(rows, columns, shift, part[0])
        else:
            made = WORKSPACE.take("made", (groups, outputs, images * windows), weight.dtype)
            matrix_product(rows, columns, shift, made)
            image_by_image = made.reshape(groups, outputs, images, windows).transpose(2, 0, 1, 3)
            np.copyto(part, image_by_image, casting="same_kind")


def _part(y: Array, window: Window, tile: OutputTile) -> Array:
    """Return the part of `y` that a tile computes; its cells lie in one piece."""
    first = 0
    for (start, _), n in zip(tile.cells, window.output, strict=True):
        first = first * n + start
    count = math.prod(stop - start for start, stop in tile.cells)
    return y[slice(*tile.images), slice(*tile.groups), :, first : first + count]
