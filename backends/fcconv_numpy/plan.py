"""How many windows are gathered at a time, and on how many threads. Integers in, plan out.

The windows of a convolution, gathered as the columns of a matrix, take prod(K) times the memory of
its input, and a matrix product does the rest.

- Columns are gathered a tile at a time, which keeps memory bounded and most of a tile in the cache.
- Several threads take tiles in turn, with BLAS on one thread each: gathering is divided, too.
  A small layer ends before its second thread has woken.

Left out because they gained less than they took: products by kernel offset (a pass over the result
for each), and the row-lowered form (Cho & Brand, *MEC: memory-efficient convolution*, 2017), which
gathers prod(K[1:]) times the input only, but needs the weights in another order at each call.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

TILE_BYTES = 2**22
"""Bytes of columns that are gathered at a time."""

MIN_WINDOWS = 128
"""Fewest windows of a tile, even beyond TILE_BYTES: smaller products read weights too often."""

MAX_TILE_BYTES = 3 * TILE_BYTES
"""Most bytes of columns in a tile, unless a single window has more."""

COST_PER_COPY = 32
"""Multiplications that take as long as moving an entry."""

MIN_PARALLEL_MULTIPLICATIONS = 2**26
"""Multiplications from which threads are worth waking, which takes a tenth of a millisecond."""

Range: TypeAlias = tuple[int, int]
"""The first, and one past the last."""


@dataclass(frozen=True)
class OutputTile:
    """The windows in a range of images, of groups, and of every axis of an image.

    They are contiguous: behind a range of more than one, all ranges are whole.
    """

    images: Range
    groups: Range
    cells: tuple[Range, ...]


@dataclass(frozen=True)
class Tiling:
    """How the windows of a batch are cut into tiles.

    Attributes
    ----------
    parts : tuple of int
        Ranges that images, groups, and the windows along each axis are cut into.
    workers : int
        Threads that take tiles in turn.
    """

    parts: tuple[int, ...]
    workers: int

    def tiles(self, lengths: Sequence[int]) -> Iterator[OutputTile]:
        """Cut images, groups, and the windows along each axis, into tiles of nearly equal size."""
        ranges = [cut(n, parts) for n, parts in zip(lengths, self.parts, strict=True)]
        for images, groups, *cells in itertools.product(*ranges):
            yield OutputTile(images, groups, tuple(cells))


@functools.lru_cache(maxsize=1024)
def plan(lengths: tuple[int, ...], column: int, work: int, threads: int) -> Tiling:
    """Choose how a convolution or a pool is cut.

    Parameters
    ----------
    lengths : tuple of int
        Images, groups, and windows along each axis.
    column : int
        Bytes of a gathered window of one group, and of what is computed from it.
    work : int
        Multiplications that a window of one group takes, with `COST_PER_COPY` for each entry moved.
    threads : int
        Threads available.
    """
    column = max(column, 1)
    parts = _fitting(lengths, min(max(TILE_BYTES, MIN_WINDOWS * column), MAX_TILE_BYTES) // column)
    if math.prod(lengths) * work < MIN_PARALLEL_MULTIPLICATIONS:
        return Tiling(tuple(parts), 1)
    # a multiple of the threads, so that none idles while others compute their last tile
    tiles = math.prod(parts)
    parts = _at_least(lengths, parts, tiles + -tiles % threads)
    return Tiling(tuple(parts), min(threads, math.prod(parts)))


def _fitting(lengths: Sequence[int], most: int) -> list[int]:
    """Cut the first lengths, so that a tile is contiguous and has at most so many windows."""
    parts = []
    for axis, n in enumerate(lengths):
        behind = math.prod(lengths[axis + 1 :])
        size = max(min(n, most // max(behind, 1)), 1)
        parts.append(max(-(-n // size), 1))
    return parts


def _at_least(lengths: Sequence[int], parts: Sequence[int], tiles: int) -> list[int]:
    """Cut further, the first lengths first, into at least so many tiles."""
    more = list(parts)
    for axis, n in enumerate(lengths):
        others = math.prod(more) // more[axis]
        more[axis] = min(-(-tiles // others), n)
        if more[axis] < n:  # what comes after stays whole, so that tiles lie in one piece
            break
    return more


def cut(length: int, parts: int) -> list[Range]:
    """Cut a length into ranges of nearly equal size."""
    edges = [-(-length * i // parts) for i in range(parts + 1)]
    return list(itertools.pairwise(edges))
