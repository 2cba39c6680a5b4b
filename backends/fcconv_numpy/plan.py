"""Which windows of a convolution are gathered at a time, and by whom. Integers in, plan out.

What is compared is moving and multiplying. The windows of a convolution, gathered as the columns
of a matrix, take prod(K) times the memory of its input, and one matrix product does the rest.

- Gathered whole, they are multiplied once, on all threads of BLAS. One thread gathers, which is
  little beside the product as long as the layer is small or has many outputs.
- Gathered in tiles that stay in the cache, on several threads with BLAS on one thread each, large
  maps take half the time: gathering is divided, too, and no column goes to memory and back. A
  small layer ends before its second thread has woken.

Left out because they gained less than they took: products by kernel offset (a pass over the result
for each) and the row-lowered form (Cho & Brand, *MEC: memory-efficient convolution*, 2017), which
gathers prod(K[1:]) times the input and adds K[0] products.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

WHOLE = 2**23
"""Bytes of columns that are gathered at a time for one product on all threads of BLAS."""

TILE = 2**21
"""Bytes of columns that a thread gathers at a time where it multiplies them by itself."""

LARGE = 2**25
"""Bytes of columns, in all, from which several threads are worth waking."""

FEW_OUTPUTS = 16
"""Rows below which a product takes no longer than gathering, and BLAS uses one thread anyway."""

Range: TypeAlias = tuple[int, int]
"""The first, and one past the last."""


@dataclass(frozen=True)
class Tile:
    """Some windows of some images.

    Attributes
    ----------
    images : (int, int)
        Range of images.
    cells : tuple of (int, int)
        Range of windows along each axis. They lie in one piece: an axis is whole wherever one
        before it has more than one.
    """

    images: Range
    cells: tuple[Range, ...]


@dataclass(frozen=True)
class Plan:
    """How the windows of a batch are cut into tiles.

    Attributes
    ----------
    images : int
        Images of a tile at most.
    cells : tuple of int
        Windows of a tile along each axis at most.
    workers : int
        Threads that gather and multiply tiles; one leaves BLAS its own threads.
    """

    images: int
    cells: tuple[int, ...]
    workers: int

    def tiles(self, batch: int, output: Sequence[int]) -> Iterator[Tile]:
        """Cut the windows, `output` of each image, into tiles of nearly equal size."""
        lengths = (batch, *output)
        cuts = [_cut(n, most) for n, most in zip(lengths, (self.images, *self.cells), strict=True)]
        for images, *cells in itertools.product(*cuts):
            yield Tile(images, tuple(cells))


@functools.lru_cache(maxsize=1024)
def plan(batch: int, outputs: int, column: int, output: tuple[int, ...], threads: int) -> Plan:
    """Choose how a convolution is cut.

    Parameters
    ----------
    batch : int
        Images.
    outputs : int
        Output channels of a group.
    column : int
        Bytes of a gathered window, of all channels.
    output : tuple of int
        Windows of an image along each axis.
    threads : int
        Threads that there are.
    """
    total = batch * math.prod(output) * column
    several = threads > 1 and total >= LARGE
    small = several or outputs < FEW_OUTPUTS
    windows = (TILE if small else WHOLE) // max(column, 1)
    images, cells = _fitting(batch, output, windows)
    return Plan(images, cells, threads if several else 1)


def _fitting(batch: int, output: Sequence[int], windows: int) -> tuple[int, tuple[int, ...]]:
    """Take at most so many windows in one piece: of several images, or of part of one."""
    cells = list(output)
    for axis, n in enumerate(output):
        inner = math.prod(output[axis + 1 :])
        cells[axis] = min(n, max(windows // inner, 1))
    if cells == list(output):
        return max(min(batch, windows // math.prod(output)), 1), tuple(cells)
    return 1, tuple(cells)


def _cut(length: int, most: int) -> list[Range]:
    """Cut a length into as few ranges of at most `most` as there can be, nearly equal ones."""
    count = max(-(-length // most), 1)
    edges = [length * i // count for i in range(count + 1)]
    return list(itertools.pairwise(edges))
