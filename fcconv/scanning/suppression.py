"""Non-maximum suppression: of boxes that overlap too far, the strongest is kept.

The greedy definition goes through the boxes from the strongest on, and keeps each that no kept one
overlaps too far. Here the strongest that are left are settled together (Blelloch, Fineman & Shun,
*Greedy sequential maximal independent set and matching are parallel on average*, 2012), and a grid
tells which boxes can overlap at all; what is kept is the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

MAX_PAIRS = 2**19
"""Pairs of boxes that are compared at a time, unless one box has more."""

FIRST_PREFIX = 2**10
"""Boxes that are settled together at first; then twice as many as fitted into `MAX_PAIRS`."""

MAX_AXIS_TILES = 2**20
"""Most tiles of the grid along an axis, so that three axes are numbered in 64 bits."""

Boxes = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def non_max_suppression(
    boxes: Boxes,
    scores: npt.NDArray[Any],
    overlap: float,
    progress: Callable[[int], None] = lambda settled: None,
) -> Numbers:
    """Find the boxes that no stronger one of these overlaps too far, strongest first.

    Parameters
    ----------
    boxes : array, shape (n, axes, 2)
        First and one past the last pixel along each axis.
    scores : array, shape (n,)
        Their strengths; of equal ones the first is the stronger.
    overlap : float
        Largest intersection over union that two of them may have.
    progress : callable, optional
        Is told how many boxes are settled.

    Returns
    -------
    array of int64, shape (kept,)
        Which boxes are kept.

    Examples
    --------
    >>> boxes = np.array([[[0, 4]], [[1, 5]], [[9, 13]]], np.float64)
    >>> non_max_suppression(boxes, np.array([1, 3, 2]), 0.3)
    array([1, 2])
    """
    order = strongest_first(scores)
    if not len(order) or overlap >= 1:  # no overlap is larger
        return order
    grid = _grid_of(boxes[order], overlap)
    left, kept, length = np.arange(len(order)), [], FIRST_PREFIX
    by_tile = grid.by_tile(left)
    while len(left):
        settled, strongest, gone = _settle(grid, left[:length], by_tile)
        kept.append(strongest)
        left, by_tile = left[~gone[left]], by_tile[~gone[by_tile]]
        length = 2 * settled
        progress(len(order) - len(left))
    return order[np.concatenate(kept)]


def iou(boxes: Boxes, others: Boxes) -> npt.NDArray[np.float64]:
    """Compute the intersection over union of each box with another, or of all with one."""
    both, area, other = 1.0, 1.0, 1.0
    for axis in range(boxes.shape[-2]):  # reductions along so short an axis take ten times as long
        (a, b), (c, d) = (x[..., axis, :].T for x in (boxes, others))
        both = both * np.maximum(np.minimum(b, d) - np.maximum(a, c), 0)
        area, other = area * (b - a), other * (d - c)
    return np.asarray(both / (area + other - both))


class Near(NamedTuple):
    """Boxes that lie around each of some: runs of a list.

    Attributes
    ----------
    listed : array, shape (n,)
        Boxes, sorted by tile.
    first, length : array, shape (m, runs)
        Where the runs of each of `m` boxes begin in it, and how long they are.
    """

    listed: Numbers
    first: Numbers
    length: Numbers

    def fitting(self) -> int:
        """Count the first boxes whose runs hold no more pairs than are compared at a time."""
        return max(1, int(np.searchsorted(np.cumsum(self.length.sum(axis=1)), MAX_PAIRS, "right")))

    def of(self, most: int) -> Near:
        """Leave out all but the first boxes."""
        return Near(self.listed, self.first[:most], self.length[:most])

    def pairs(self, boxes: Numbers) -> tuple[Numbers, Numbers]:
        """List each of the boxes with each that lies around it, whichever of them is stronger."""
        many = self.length.ravel()
        before = np.cumsum(many) - many
        places = np.arange(many.sum()) - np.repeat(before - self.first.ravel(), many)
        return np.repeat(boxes, self.length.sum(axis=1)), self.listed[places]


@dataclass(frozen=True, eq=False)
class BoxGrid:
    """Boxes, and a grid in whose tiles their centres lie.

    Two boxes that overlap too far have their centres in the same tile or in neighbouring ones.

    Attributes
    ----------
    boxes : array, shape (n, axes, 2)
        The boxes, strongest first.
    overlap : float
        Largest intersection over union that two of them may have, below 1.
    tiles : array, shape (n,)
        The tile of each box.
    rows : array, shape (3 ** (axes - 1),)
        What leads from a tile to the same place in its own row and in those beside it.
    """

    boxes: Boxes
    overlap: float
    tiles: Numbers
    rows: Numbers

    def by_tile(self, boxes: Numbers) -> Numbers:
        """Sort some of the boxes by their tiles."""
        return boxes[np.argsort(self.tiles[boxes], kind="stable")]

    def near(self, boxes: Numbers, listed: Numbers) -> Near:
        """Find which of a list, sorted by tile, lie around each of some boxes."""
        tiles, listed_tiles = self.tiles[boxes][:, None] + self.rows, self.tiles[listed]
        first = np.searchsorted(listed_tiles, tiles - 1)
        return Near(listed, first, np.searchsorted(listed_tiles, tiles + 1, "right") - first)

    def suppressed(self, boxes: Numbers, near: Near) -> Flags:
        """Say of all boxes which are suppressed by some, given strongest first."""
        stronger, weaker = near.pairs(boxes)
        later = weaker > stronger
        stronger, weaker = stronger[later], weaker[later]
        over = iou(self.boxes[stronger], self.boxes[weaker]) > self.overlap
        stronger, weaker = stronger[over], weaker[over]
        gone = np.zeros(len(self.boxes), np.bool_)
        starts = np.flatnonzero(np.diff(stronger, prepend=-1)).tolist()
        for start, end in itertools.pairwise([*starts, len(stronger)]):
            if not gone[stronger[start]]:
                gone[weaker[start:end]] = True
        return gone


def _settle(grid: BoxGrid, prefix: Numbers, by_tile: Numbers) -> tuple[int, Numbers, Flags]:
    """Settle the strongest of the boxes that are left, as many of a prefix as fit.

    Returns
    -------
    settled : int
        How many.
    kept : array
        Those of them that are kept.
    gone : array of bool, shape (n,)
        Which of all boxes are no longer left: those, and whatever the kept ones suppress.
    """
    near = grid.near(prefix, grid.by_tile(prefix))
    while near.fitting() < len(prefix):
        prefix = prefix[: len(prefix) // 2]
        near = grid.near(prefix, grid.by_tile(prefix))
    kept = prefix[~grid.suppressed(prefix, near)[prefix]]
    near = grid.near(kept, by_tile)
    fitting = near.fitting()
    if fitting < len(kept):  # the others are kept another time
        prefix, kept = prefix[prefix < kept[fitting]], kept[:fitting]
    gone = grid.suppressed(kept, near.of(fitting))
    gone[prefix] = True
    return len(prefix), kept, gone


def _grid_of(boxes: Boxes, overlap: float) -> BoxGrid:
    """Lay a grid whose tiles are numbered row by row."""
    centres, sizes = boxes.mean(axis=-1), boxes[..., 1] - boxes[..., 0]
    # The IoU of boxes is at most that of their sides along an axis. For sides a and b whose centres
    # are d apart that is at most (m - d) / (m + d) with m = (a + b) / 2, and more than t only where
    # d < m (1 - t) / (1 + t). A little is added, as all of this is rounded.
    reach = sizes.max(axis=0) * ((1 - overlap) / (1 + overlap) + 1e-9)
    places = centres - centres.min(axis=0)
    side = np.maximum(reach, places.max(axis=0) / MAX_AXIS_TILES)
    tiles = np.floor(places / side).astype(np.int64)
    lengths = tiles.max(axis=0) + 2  # an empty tile at the end of a row parts it from the next
    strides = np.append(np.cumprod(lengths[:0:-1])[::-1], 1)
    steps = itertools.product((-1, 0, 1), repeat=len(strides) - 1)
    rows = np.array([np.dot(step, strides[:-1]) for step in steps], np.int64)
    return BoxGrid(boxes, overlap, tiles @ strides, rows)


def strongest_first(scores: npt.NDArray[Any]) -> Numbers:
    """Sort from the highest to the lowest, the first of equal ones first."""
    backwards = np.argsort(scores[::-1], kind="stable")[::-1]  # -scores would wrap for integers
    return np.asarray(len(scores) - 1 - backwards, np.int64)
