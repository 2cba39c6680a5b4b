"""Which windows of a convolution are gathered at a time, and by whom. Integers in, plan out.

What is compared is moving and multiplying. The windows of a convolution, gathered as the columns
of a matrix, take prod(K) times the memory of its input, and a matrix product does the rest.

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

TILE = 2**22
"""Bytes of columns that are gathered at a time."""

FEWEST = 128
"""Windows that are gathered at a time all the same: a product of fewer reads weights too often."""

MOST = 3 * TILE
"""Bytes of columns that are never exceeded, unless one window does."""

MOVED = 32
"""Multiplications that take as long as moving an entry."""

WORTH = 2**26
"""Multiplications from which threads are worth waking, which takes a tenth of a millisecond."""

Range: TypeAlias = tuple[int, int]
"""The first, and one past the last."""


@dataclass(frozen=True)
class Tile:
    """Some windows: those in one range of each of images, groups, and every axis of an image.

    They lie in one piece: a range is whole wherever one before it has more than one.
    """

    images: Range
    groups: Range
    cells: tuple[Range, ...]


@dataclass(frozen=True)
class Plan:
    """How the windows of a batch are cut into tiles.

    Attributes
    ----------
    sizes : tuple of int
        Images, groups, and windows along each axis that a tile has at most.
    workers : int
        Threads that gather and multiply tiles; one leaves BLAS its own threads.
    """

    sizes: tuple[int, ...]
    workers: int

    def tiles(self, lengths: Sequence[int]) -> Iterator[Tile]:
        """Cut images, groups, and the windows along each axis, into tiles of nearly equal size."""
        cuts = [cut(n, -(-n // most)) for n, most in zip(lengths, self.sizes, strict=True)]
        for images, groups, *cells in itertools.product(*cuts):
            yield Tile(images, groups, tuple(cells))


@functools.lru_cache(maxsize=1024)
def plan(lengths: tuple[int, ...], column: int, work: int, threads: int) -> Plan:
    """Choose how a convolution is cut.

    Parameters
    ----------
    lengths : tuple of int
        Images, groups, and windows along each axis.
    column : int
        Bytes of a gathered window of one group, and of what is computed from it.
    work : int
        Multiplications that it takes, `MOVED` for each entry that is moved among them.
    threads : int
        Threads that there are.
    """
    column = max(column, 1)
    sizes = _fitting(lengths, min(max(TILE, FEWEST * column), MOST) // column)
    if math.prod(lengths) * work < WORTH:
        return Plan(sizes, 1)
    return Plan(_even(lengths, sizes, threads), threads)


def _even(lengths: Sequence[int], sizes: tuple[int, ...], threads: int) -> tuple[int, ...]:
    """Make tiles smaller until each thread has as many as the others."""
    long = [axis for axis, n in enumerate(lengths) if n > 1]
    axis = next((axis for axis in long if sizes[axis] < lengths[axis]), long[0] if long else 0)
    n, before = lengths[axis], math.prod(lengths[:axis])
    tiles = -(-n // sizes[axis]) * before
    tiles += -tiles % threads
    return *sizes[:axis], -(-n // -(-tiles // before)), *sizes[axis + 1 :]


def _fitting(lengths: Sequence[int], most: int) -> tuple[int, ...]:
    """Take at most so many windows in one piece: the first length that has to be is cut."""
    inner = [math.prod(lengths[axis + 1 :]) for axis in range(len(lengths))]
    return tuple(
        max(min(n, most // max(behind, 1)), 1) for n, behind in zip(lengths, inner, strict=True)
    )


def cut(length: int, count: int) -> list[Range]:
    """Cut a length into ranges of nearly equal size, the larger ones first."""
    edges = [-(-length * i // max(count, 1)) for i in range(count + 1)]
    return list(itertools.pairwise(edges))
