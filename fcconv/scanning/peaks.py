"""Peaks: the windows that score highest around, with those that overlap a stronger one left out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

BLOCK = 1024
"""Cells along each axis that are looked at together, so that maps can be larger than memory."""


@dataclass(frozen=True)
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


def find_peaks(
    scores: Any,
    lead: tuple[int, ...],
    label: str,
    window: Sequence[int],
    stride: Sequence[int],
    threshold: float,
    overlap: float,
    scale: float,
) -> list[Peak]:
    """Find peaks in one map, ``scores[lead]``; see :meth:`fcconv.scanning.result.Scan.peaks`."""
    found = [_local_maxima(scores, lead, block, threshold) for block in _blocks(scores, lead)]
    cells = np.concatenate([cells for cells, _ in found])
    values = np.concatenate([values for _, values in found])
    starts = cells * np.array(stride)
    boxes = np.stack([starts, starts + np.array(window)], axis=-1) / scale
    return [
        Peak(
            label,
            float(values[k]),
            tuple((float(a), float(b)) for a, b in boxes[k]),
            tuple(map(int, cells[k])),
        )
        for k in strongest(boxes, values, overlap)
    ]


def merge_peaks(peaks: Sequence[Peak], overlap: float) -> list[Peak]:
    """Leave out the peaks that overlap a stronger one, of whatever scan; strongest first."""
    if not peaks:
        return []
    boxes = np.array([peak.box for peak in peaks])
    return [peaks[k] for k in strongest(boxes, np.array([p.score for p in peaks]), overlap)]


def strongest(
    boxes: npt.NDArray[np.float64], scores: npt.NDArray[Any], overlap: float
) -> Iterator[int]:
    """Yield the boxes that no stronger one of these overlaps too far, strongest first.

    Parameters
    ----------
    boxes : array, shape (n, axes, 2)
        First and one past the last pixel along each axis.
    scores : array, shape (n,)
        Their strengths; of equals the first goes first.
    overlap : float
        Largest part of the area covered by two boxes that they may share.
    """
    left = np.argsort(-scores, kind="stable")
    while len(left):
        yield int(left[0])
        left = left[1:][shared(boxes[left[1:]], boxes[left[0]]) <= overlap]


def shared(boxes: npt.NDArray[np.float64], box: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Compute the area that each box shares with one box, in parts of what the two cover."""
    inner = np.minimum(boxes[:, :, 1], box[:, 1]) - np.maximum(boxes[:, :, 0], box[:, 0])
    both = np.clip(inner, 0, None).prod(axis=1)
    areas = np.ptp(boxes, axis=2).prod(axis=1) + np.ptp(box, axis=1).prod()
    return np.asarray(both / (areas - both))


def _blocks(scores: Any, lead: tuple[int, ...]) -> Iterator[list[tuple[int, int]]]:
    cells = scores.shape[len(lead) :]
    starts = [[(a, min(a + BLOCK, n)) for a in range(0, n, BLOCK)] for n in cells]
    yield from map(list, itertools.product(*starts))


def _local_maxima(
    scores: Any, lead: tuple[int, ...], block: list[tuple[int, int]], threshold: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Find cells of a block that no cell beside them exceeds, ``(n, axes)``, and their scores."""
    around = tuple(slice(max(a - 1, 0), b + 1) for a, b in block)
    wide = np.asarray(scores[(*lead, *around)])
    highest = wide
    for axis in range(wide.ndim):  # the maximum over a box is that along one axis after the other
        ends = [(1, 1) if k == axis else (0, 0) for k in range(wide.ndim)]
        padded = np.pad(highest, ends, mode="edge")
        span = highest.shape[axis]
        parts = [padded.take(range(a, a + span), axis=axis) for a in range(3)]
        highest = np.maximum(np.maximum(parts[0], parts[1]), parts[2])
    own = tuple(slice(a - s.start, b - s.start) for (a, b), s in zip(block, around, strict=True))
    values = wide[own]
    cells = np.argwhere((values >= threshold) & (values == highest[own]))
    return cells + np.array([a for a, _ in block]), values[tuple(cells.T)]
