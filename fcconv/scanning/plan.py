"""The scan planner: which pixels a tile reads and which cells it keeps, integers only.

Cell ``i`` along an axis is the window that starts at pixel ``i * stride``. A tile starts at the
first pixel of a cell, since every step of a sliding network divides the stride: its tensors then
lie on the grid of the whole image's. Where the network pads, a tile scores some cells more than it
keeps, so that padding at its ends, where the image goes on, affects none of those it keeps
(:attr:`fcconv.graph.rewriting.sliding.Sliding.margins`); at the ends of the image the padding is
the image's own. All tiles read equally many pixels: the last one starts earlier, and scores some
cells again.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from fcconv.errors import ImageError
from fcconv.images.layouts import unit

T = TypeVar("T")

Part: TypeAlias = tuple[int, int]
"""Which part it is, from 1 on, and of how many."""


@dataclass(frozen=True)
class AxisTile:
    """A tile along one axis.

    Attributes
    ----------
    pixels : slice
        What it reads of the image.
    cells : slice
        What it keeps, in the map of the whole image.
    inner : slice
        The same cells in the tile's own map.
    """

    pixels: slice
    cells: slice
    inner: slice


@dataclass(frozen=True)
class AxisTiles:
    """Tiles along one axis.

    Attributes
    ----------
    size, window, stride : int
        Pixels of the image, of a window, and from one window to the next.
    before, after : int
        Cells that a tile needs around those that it keeps.
    kept : int
        Most cells that a tile keeps.
    """

    size: int
    window: int
    stride: int
    before: int = 0
    after: int = 0
    kept: int = 1

    @property
    def cells(self) -> int:
        """Cells of the image."""
        return (self.size - self.window) // self.stride + 1

    @property
    def tiles(self) -> int:
        """Tiles that keep all cells."""
        return -(-self.cells // self.kept)

    @property
    def scored(self) -> int:
        """Cells that a pass over a tile scores."""
        return min(self.before + self.kept + self.after, self.cells)

    @property
    def pixels(self) -> int:
        """Pixels that a tile reads; with the image's own remainder, so that the last one fits."""
        remainder = (self.size - self.window) % self.stride
        return self.window + (self.scored - 1) * self.stride + remainder

    def split(self) -> AxisTiles:
        """Return the axis in more tiles, about an eighth more, evenly."""
        more = self.tiles + 1 + self.tiles // 8
        return replace(self, kept=min(-(-self.cells // more), self.kept - 1))

    def part(self, tile: int) -> AxisTile:
        """Return one tile.

        Examples
        --------
        >>> AxisTiles(size=100, window=20, stride=10, before=1, after=1, kept=4).part(1)
        AxisTile(pixels=slice(30, 100, None), cells=slice(4, 8, None), inner=slice(1, 5, None))
        """
        first = tile * self.kept
        last = min(first + self.kept, self.cells)
        start = min(max(first - self.before, 0), self.cells - self.scored)
        pixel = start * self.stride
        return AxisTile(
            slice(pixel, pixel + self.pixels),
            slice(first, last),
            slice(first - start, last - start),
        )


@dataclass(frozen=True)
class Tile:
    """A part of an image that is scored at once; see :class:`AxisTile`.

    Attributes
    ----------
    index : tuple of int
        Which tile it is along each axis.
    pixels, cells, inner : tuple of slice
        What it reads, what it keeps, and where that lies in its own map.
    """

    index: tuple[int, ...]
    pixels: tuple[slice, ...]
    cells: tuple[slice, ...]
    inner: tuple[slice, ...]

    @property
    def windows(self) -> int:
        """Windows whose scores it keeps."""
        return math.prod(part.stop - part.start for part in self.cells)


@dataclass(frozen=True)
class Plan:
    """The tiles of an image, equally large.

    Attributes
    ----------
    axes : tuple of AxisTiles
        The tiles along each axis.
    """

    axes: tuple[AxisTiles, ...]

    @property
    def pixels(self) -> tuple[int, ...]:
        """Pixels of a tile."""
        return tuple(axis.pixels for axis in self.axes)

    @property
    def cells(self) -> tuple[int, ...]:
        """Cells of the image."""
        return tuple(axis.cells for axis in self.axes)

    @property
    def kept(self) -> tuple[int, ...]:
        """Most cells that a tile keeps."""
        return tuple(axis.kept for axis in self.axes)

    @property
    def scored(self) -> tuple[int, ...]:
        """Cells that a pass over a tile scores."""
        return tuple(axis.scored for axis in self.axes)

    @property
    def repeated(self) -> float:
        """Pixels that tiles read, in parts of the image's."""
        return math.prod(axis.pixels * axis.tiles / axis.size for axis in self.axes)

    def __len__(self) -> int:
        """Count the tiles."""
        return math.prod(axis.tiles for axis in self.axes)

    def __iter__(self) -> Iterator[Tile]:
        """Yield the tiles, row by row."""
        for index in itertools.product(*(range(axis.tiles) for axis in self.axes)):
            parts = [axis.part(tile) for axis, tile in zip(self.axes, index, strict=True)]
            yield Tile(
                index,
                tuple(part.pixels for part in parts),
                tuple(part.cells for part in parts),
                tuple(part.inner for part in parts),
            )


def check_size(size: Sequence[int], window: Sequence[int]) -> None:
    """Check that a window fits into an image.

    Raises
    ------
    ImageError
        If it does not.
    """
    if any(n < k for n, k in zip(size, window, strict=True)):
        last = ""
        if size[-1] <= 4 and all(n >= k for n, k in zip(size[:-1], window, strict=False)):
            last = " (are its channels last? then give layout, such as HWC or NHWC)"
        raise ImageError(
            f"the image of {tuple(size)} {unit(len(size))} is smaller than the window "
            f"{tuple(window)}{last}"
        )


def plans(
    size: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int],
    margins: Sequence[tuple[int, int]],
) -> Iterator[Plan]:
    """Yield ways to cut an image, from one tile to a tile a cell.

    Parameters
    ----------
    size, window, stride : sequence of int
        Pixels of the image, of a window, and from one window to the next, for each axis.
    margins : sequence of (int, int)
        Pixels at each end of a tile within which scores are affected by padding.

    Raises
    ------
    ImageError
        If the image is smaller than a window.

    Examples
    --------
    >>> cuts = plans((100, 100), (20, 20), (10, 10), [(0, 0)] * 2)
    >>> cut = next(cut for cut in cuts if max(cut.pixels) < 60)
    >>> len(cut), cut.pixels
    (9, (40, 40))
    """
    check_size(size, window)
    axes = [
        AxisTiles(n, k, s, -(-before // s), -(-after // s), kept=(n - k) // s + 1)
        for n, k, s, (before, after) in zip(size, window, stride, margins, strict=True)
    ]
    yield Plan(tuple(axes))
    while any(axis.kept > 1 for axis in axes):
        longest = max(axes, key=lambda axis: (axis.kept > 1, axis.pixels))
        axes[axes.index(longest)] = longest.split()
        yield Plan(tuple(axes))


def share(items: Sequence[T], part: Part) -> Sequence[T]:
    """Return the items of a part: as many as of any other, or one more, following each other.

    Examples
    --------
    >>> [share("abcde", (k, 3)) for k in (1, 2, 3)]
    ['a', 'bc', 'de']
    """
    number, parts = part
    return items[(number - 1) * len(items) // parts : number * len(items) // parts]
