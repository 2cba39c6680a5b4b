"""Maps of scores of any size in small: read block by block, the strongest window of each kept."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fcconv.images.blocks import blocks
from fcconv.scanning.cached import cached

SCORES_PER_READ = 1 << 22
"""Scores that are read at a time, so that maps can be larger than memory."""

LONGEST = 6
"""Most times that anything is drawn as long as wide: a longer one is drawn wider than it is."""

Scores: TypeAlias = npt.NDArray[np.float32]

Ends: TypeAlias = npt.NDArray[Any]
"""A float for each channel."""


def block_factors(cells: Sequence[int], side: int) -> tuple[int, ...]:
    """Return the cells of a block along each axis: equal sides, but of a strip fewer across.

    Parameters
    ----------
    cells : sequence of int
        Cells of the map.
    side : int
        Cells of a block along the longest axis.

    Examples
    --------
    >>> block_factors((400, 300), 4), block_factors((27, 360_000), 360)
    ((4, 4), (1, 360))
    """
    longest = max(cells)
    return tuple(max(1, min(side, side * LONGEST * n // longest)) for n in cells)


def ranges(scores: Any, lead: tuple[int, ...]) -> tuple[Scores, Scores]:
    """Find the lowest and the highest finite score of each channel.

    Parameters
    ----------
    scores : array, shape (K, *cells) or (N, K, *cells)
        In memory or read by region.
    lead : tuple of int
        The image of a batch, or nothing.

    Returns
    -------
    low, high : array, shape (K,)
        Infinity and its negative where a channel has no finite score.
    """
    stored = cached(scores)
    channels, *cells = stored.shape[len(lead) :]
    low, high = np.full(channels, np.inf, np.float32), np.full(channels, -np.inf, np.float32)
    for piece in blocks(cells, [1] * len(cells), SCORES_PER_READ // channels):
        part = _read(stored, (*lead, slice(0, channels), *piece))
        low, high = widened(low, high, part)
    return low, high


def widened(low: Ends, high: Ends, part: npt.NDArray[Any]) -> tuple[Ends, Ends]:
    """Return the lowest and the highest finite score of each channel, with a part ``(K, *S)``."""
    axes, finite = tuple(range(1, part.ndim)), np.isfinite(part)
    return (
        np.minimum(low, part.min(axis=axes, where=finite, initial=np.inf)),
        np.maximum(high, part.max(axis=axes, where=finite, initial=-np.inf)),
    )


def maxima(
    scores: Any, lead: tuple[int, ...], channels: Sequence[int], factor: Sequence[int]
) -> tuple[Scores, npt.NDArray[np.uint32]]:
    """Find the strongest cell of each block of a map.

    Parameters
    ----------
    scores : array, shape (K, *cells) or (N, K, *cells)
        In memory or read by region.
    lead : tuple of int
        The image of a batch, or nothing.
    channels : sequence of int
        Which of the `K` channels.
    factor : sequence of int
        Cells of a block along each axis; the last blocks may have fewer.

    Returns
    -------
    values : array, shape (channels, *blocks)
        The highest score; not a number only where no cell of a block has one.
    offsets : array, shape (channels, *blocks)
        Which cell of its block has it, counted row by row of a whole block.
    """
    stored = cached(scores)
    cells = stored.shape[len(lead) + 1 :]
    counts = tuple(-(-n // f) for n, f in zip(cells, factor, strict=True))
    values = np.empty((len(channels), *counts), np.float32)
    offsets = np.empty(values.shape, np.uint32)
    first, last = min(channels), max(channels)  # read together: they may lie in the same chunk
    for piece in blocks(cells, factor, SCORES_PER_READ // (last + 1 - first)):
        part = _read(stored, (*lead, slice(first, last + 1), *piece))
        place = tuple(
            slice(p.start // f, -(-p.stop // f)) for p, f in zip(piece, factor, strict=True)
        )
        chosen = part[[channel - first for channel in channels]]
        values[:, *place], offsets[:, *place] = _strongest(chosen, factor)
    return values, offsets


def _read(scores: Any, index: tuple[Any, ...]) -> Scores:
    with np.errstate(over="ignore"):  # what is too large for float32 is infinite
        return np.asarray(scores[index]).astype(np.float32, copy=False)


def _strongest(part: Scores, factor: Sequence[int]) -> tuple[Scores, npt.NDArray[np.intp]]:
    channels, *cells = part.shape
    ends = [(0, 0), *((0, -n % f) for n, f in zip(cells, factor, strict=True))]
    padded = np.pad(part, ends, constant_values=np.nan)
    split = [(n // f, f) for n, f in zip(padded.shape[1:], factor, strict=True)]
    axes = range(1, 2 * len(split), 2)
    sorted_out = padded.reshape(channels, *itertools.chain(*split)).transpose(
        0, *axes, *(axis + 1 for axis in axes)
    )
    inside = sorted_out.reshape(channels, *(count for count, _ in split), math.prod(factor))
    best = np.where(np.isnan(inside), -np.inf, inside).argmax(axis=-1)
    return np.take_along_axis(inside, best[..., None], axis=-1)[..., 0], best
