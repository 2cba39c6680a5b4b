"""Peaks: the windows that score highest around, with those that overlap a stronger one left out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fcconv.scanning.blocks import blocks

BLOCK = 2**20
"""Cells that are looked at together."""


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
    cut = blocks(scores.shape[len(lead) :], [1] * len(window), BLOCK)
    found = [_local_maxima(scores, lead, block, threshold) for block in cut]
    cells = np.concatenate([cells for cells, _ in found])
    values = np.concatenate([values for _, values in found])
    rows = np.lexsort(cells.T[::-1])  # of equal scores the first wins, whatever the blocks
    cells, values = cells[rows], values[rows]
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


def _local_maxima(
    scores: Any, lead: tuple[int, ...], block: tuple[slice, ...], threshold: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Find cells of a block that score highest of those beside them, ``(n, axes)``, and how much.

    Of equal ones beside each other the first is taken, so that a flat map has one and not all.
    """
    around = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in block)
    wide = np.asarray(scores[(*lead, *around)])
    padded = np.pad(wide, 1, constant_values=-np.inf if wide.dtype.kind == "f" else 0)
    highest = wide >= threshold
    for shift in itertools.product((-1, 0, 1), repeat=wide.ndim):
        beside = padded[
            tuple(slice(1 + s, 1 + s + n) for s, n in zip(shift, wide.shape, strict=True))
        ]
        first = (0,) * wide.ndim
        if shift != first:
            highest &= wide > beside if shift < first else wide >= beside
    own = tuple(
        slice(part.start - wider.start, part.stop - wider.start)
        for part, wider in zip(block, around, strict=True)
    )
    cells = np.argwhere(highest[own])
    return cells + np.array([part.start for part in block]), wide[own][tuple(cells.T)]
