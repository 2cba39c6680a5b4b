"""Peaks that go into a file, with what all classes score where they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fcconv.images.coordinates import Coordinates
from fcconv.scanning.peaks import Criterion, Peak
from fcconv.scanning.result import Scan

MOST_SCORES = 2**24
"""Scores of peaks that are looked up, at most."""

SCORES_AT_A_TIME = 2**22
"""Scores that are read together, where a map is not stored in chunks."""


@dataclass(frozen=True)
class Listed:
    """Peaks, and what else may go into their file.

    Attributes
    ----------
    peaks : sequence of Peak
        In the order to write them.
    rank : int
        Axes that they have.
    coordinates : Coordinates or None
        Where in the world the pixels of the picture lie.
    crs : {"lonlat", "file"}
        What places on the ground are in.
    classes : sequence of str
        Names of the classes.
    scores : array, shape (n, K), or None
        What they score where the peaks are; None where that is not known.
    """

    peaks: Sequence[Peak]
    rank: int
    coordinates: Coordinates | None = None
    crs: str = "lonlat"
    classes: Sequence[str] = ()
    scores: npt.NDArray[np.float64] | None = None


def scores_at(scan: Scan, peaks: Sequence[Peak]) -> npt.NDArray[np.float64] | None:
    """Look up what all classes score in the windows of peaks.

    Each part of the map is read once, whatever the order of the peaks.

    Returns
    -------
    array, shape (n, K), or None
        None where peaks are of a batch or of another scan, or scores are more than 16 million.
    """
    count = len(scan.labels)
    if not peaks or scan.lead() or len(peaks) * count > MOST_SCORES:
        return None
    cells = np.array([peak.cell for peak in peaks])
    boxes = Criterion(scan.window, scan.stride, 0, 0).boxes(cells) / scan.scale
    if not np.array_equal(boxes, [peak.box for peak in peaks]):
        return None
    found = np.empty((len(peaks), count))
    for chosen in _together(scan, cells):
        first, last = cells[chosen].min(axis=0), cells[chosen].max(axis=0) + 1
        part = tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
        scores = np.asarray(scan.scores[(slice(0, count), *part)])
        found[chosen] = scores[:, *(cells[chosen] - first).T].T
    return found


def _together(scan: Scan, cells: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """Yield which of some cells lie in one part of the map, part by part."""
    rank = len(scan.size)
    side = max(int((SCORES_AT_A_TIME / len(scan.labels)) ** (1 / rank)), 1)
    parts = cells // (getattr(scan.scores, "chunks", None) or [side] * rank)[-rank:]
    order = np.lexsort(parts.T)
    ends = np.flatnonzero(np.any(np.diff(parts[order], axis=0), axis=1)) + 1
    yield from np.split(order, ends)
