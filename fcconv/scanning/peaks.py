"""Peaks: the windows that score highest around, with those that overlap a stronger one left out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fcconv.images.blocks import blocks
from fcconv.scanning.cached import cached
from fcconv.scanning.suppression import Flags, Numbers, non_max_suppression, strongest_first

BLOCK_SCORES = 2**20
"""Scores that are looked at together."""

Array: TypeAlias = npt.NDArray[Any]
Progress: TypeAlias = Callable[[float], None]
"""Is told which part is done, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Peak:
    """A window that scores highest around.

    Attributes
    ----------
    label : str
        What it is a window of.
    score : float
        Its score.
    box : tuple of (float, float)
        Where it lies in the picture: first pixel and one past the last, for each axis.
    cell : tuple of int
        Which cell of the map it is.
    """

    label: str
    score: float
    box: tuple[tuple[float, float], ...]
    cell: tuple[int, ...]


@dataclass(frozen=True)
class Criterion:
    """What makes a cell a peak.

    Attributes
    ----------
    window, stride : tuple of int
        Pixels of a window, and from one to the next.
    threshold : float
        Lowest score.
    overlap : float
        Largest intersection over union with a stronger peak of the same channel.
    """

    window: tuple[int, ...]
    stride: tuple[int, ...]
    threshold: float
    overlap: float

    def boxes(self, places: Numbers) -> npt.NDArray[np.float64]:
        """Return the pixels of windows, ``(n, axes, 2)``, by their cells, ``(n, axes)``."""
        first = places * np.array(self.stride)
        return np.stack([first, first + np.array(self.window)], axis=-1).astype(np.float64)


def find_peaks(
    scores: Any,
    lead: tuple[int, ...],
    channels: Sequence[int],
    criterion: Criterion,
    progress: Progress,
) -> tuple[Numbers, Array]:
    """Find the peaks of some channels of ``scores[lead]``, of which each is read once.

    Returns
    -------
    cells : array, shape (n, 1 + axes)
        Channel and cell of each peak, the strongest first.
    values : array, shape (n,)
        Their scores.
    """
    shape, listed = scores.shape[len(lead) :], sorted(set(channels))
    numbers, values = _maxima(
        scores, lead, listed, criterion.threshold, lambda part: progress(part / 2)
    )
    size = math.prod(shape[1:])
    ends = np.searchsorted(numbers, [[k * size, (k + 1) * size] for k in listed]).tolist()
    kept = []
    for start, end in ends:
        cells = np.unravel_index(numbers[start:end] % size, shape[1:])
        boxes = criterion.boxes(np.stack(cells, axis=-1))

        def told(settled: int, start: int = start) -> None:
            progress((1 + (start + settled) / len(numbers)) / 2)

        chosen = non_max_suppression(boxes, values[start:end], criterion.overlap, told)
        kept.append(start + chosen)
    found = np.concatenate(kept)
    found = found[strongest_first(values[found])]
    return np.stack(np.unravel_index(numbers[found], shape), axis=-1), values[found]


def merge_peaks(peaks: Sequence[Peak], overlap: float) -> list[Peak]:
    """Leave out the peaks that overlap a stronger one, of whatever scan; strongest first."""
    if not peaks:
        return []
    boxes = np.array([peak.box for peak in peaks])
    scores = np.array([peak.score for peak in peaks])
    return [peaks[k] for k in non_max_suppression(boxes, scores, overlap)]


def _maxima(
    scores: Any,
    lead: tuple[int, ...],
    channels: Sequence[int],
    threshold: float,
    progress: Progress,
) -> tuple[Numbers, Array]:
    """Find the cells that score highest of those beside them, and how much they score.

    Returns
    -------
    numbers : array of int64, shape (n,)
        Which cells they are, counted through all channels, in ascending order.
    values : array, shape (n,)
        Their scores.
    """
    shape, stored = scores.shape[len(lead) :], cached(scores)
    first, last = channels[0], channels[-1]  # read together: they may lie in the same chunk
    most = max(BLOCK_SCORES // (last + 1 - first), 1)
    cut = list(blocks(shape[1:], [1] * len(shape[1:]), most))
    numbers, values = [], []
    for done, block in enumerate(cut, 1):
        around = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in block)
        wide = np.asarray(stored[(*lead, slice(first, last + 1), *around)])
        if len(channels) < len(wide):
            wide = wide[np.array(channels) - first]
        own = tuple(
            slice(part.start - wider.start, part.stop - wider.start)
            for part, wider in zip(block, around, strict=True)
        )
        rows, *places = np.nonzero(_highest(wide, threshold)[:, *own])
        values.append(wide[:, *own][rows, *places])
        cells = (place + part.start for place, part in zip(places, block, strict=True))
        numbers.append(np.ravel_multi_index((np.array(channels)[rows], *cells), shape))
        progress(done / len(cut))
    unsorted = np.concatenate(numbers)
    order = np.argsort(unsorted)  # of equal scores the first wins, whatever the blocks
    return unsorted[order], np.concatenate(values)[order]


def _highest(scores: Array, threshold: float) -> Flags:
    """Say of each channel's cells whether they score highest of those beside them.

    Of equal ones beside each other the first is taken, so that a flat map has one and not all. A
    cell without a score, NaN, is none, and takes nothing from those beside it.
    """
    highest = np.asarray(scores >= threshold)
    if not highest.any():
        return highest
    still = (0,) * (scores.ndim - 1)
    for shift in itertools.product((-1, 0, 1), repeat=len(still)):
        own = (slice(None), *(slice(max(-s, 0), min(-s, 0) or None) for s in shift))
        other = (slice(None), *(slice(max(s, 0), min(s, 0) or None) for s in shift))
        if shift != still:
            beaten = np.greater_equal if shift < still else np.greater
            highest[own] &= ~beaten(scores[other], scores[own])
    return highest
