"""The same image in another size, read by region, for windows that are to see larger things."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fcconv.errors import ImageError, UnsupportedError
from fcconv.images.derived import Derived
from fcconv.images.image import Image
from fcconv.images.levels import ROUNDING, downsample, level_for
from fcconv.images.libraries import needed
from fcconv.images.missing import Mask, cleared

MAX_SCALE, MIN_SCALE = 16, 1 / 4096
"""Limits of a scale."""

BAND_PIXELS, FEWEST_ROWS = 2**19, 8
"""Pixels that are resampled together, about, so that what that takes stays in caches; and the rows
that they become, at least, as each band reads a row or two beyond its ends."""


def resized(image: Image | Resized, scale: float) -> Resized:
    """Return an image in another size.

    It is read from the coarsest level of a pyramid that has at least the pixels wanted; what is
    left is resampled, and nothing where the level has this very size.

    Parameters
    ----------
    image : Image or Resized
        The image, with two spatial axes.
    scale : float
        The new size, as a factor of the image's.

    Raises
    ------
    ImageError
        If the scale makes no sense.
    UnsupportedError
        If the image has another number of axes.
    """
    picture, total = image.picture, scale * image.scale
    if not MIN_SCALE <= total <= MAX_SCALE:
        raise ImageError(f"a scale lies between {MIN_SCALE} and {MAX_SCALE}, got {total}")
    if len(picture.size) != 2:
        raise UnsupportedError(f"{picture.name}: only images of two axes are resized; use scale 1")
    factors = factors_of(picture)
    level = level_for(total, factors)
    remarks = image.remarks if isinstance(image, Resized) else ()
    return Resized(picture, total, level, factors[level] or 1.0, remarks)


def factors_of(image: Image) -> list[float | None]:
    """Return how many pixels of an image one of each of its levels stands for, along each axis."""
    return [downsample(image.size, size) for size in image.level_sizes]


@dataclass(frozen=True, eq=False)
class Resized(Derived):
    """An image in another size; each region is resized from what it covers, and its surroundings.

    Pillow holds places as float32, so that a pixel can differ by rounding from that of the whole
    image resized.

    Attributes
    ----------
    image : Image
        The image, with two spatial axes.
    scale : float
        Its size, in parts of the image's.
    level : int
        Which level of its pyramid is read.
    factor : float
        How many pixels of the image one of the level stands for, along each axis.
    remarks : tuple of str
        Why it has this size.
    """

    image: Image
    scale: float
    level: int = 0
    factor: float = 1.0
    remarks: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What errors call it."""
        return self.image.name + ("" if self.scale == 1 else f" times {self.scale:g}")

    @property
    def size(self) -> tuple[int, ...]:
        """Pixels along each axis: pixel i is what lies from i / scale to (i + 1) / scale."""
        return tuple(max(math.floor(n * self.scale + 1e-9), 1) for n in self.image.size)

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on the image, and on what is read of it."""
        if not self.level:
            return (*self.image.notes, *self.remarks)
        left = "" if self.is_plain else f", and resampled by {self.left:.4g}"
        said = f"read from level {self.level} of the file, {self.factor:.4g} times smaller{left}"
        return (*self.image.notes, *self.remarks, said)

    @property
    def left(self) -> float:
        """Its size, in parts of the level's."""
        return self.scale * self.factor

    @property
    def is_plain(self) -> bool:
        """Whether its pixels are those of the level."""
        return abs(self.left - 1) <= ROUNDING

    def identity(self) -> str:
        """Return what tells this image from another."""
        read = f" of level {self.level}" if self.level else ""
        return f"{self.image.identity()}, times {self.scale!r}{read}"

    def bytes(self, pixels: Sequence[int]) -> int:
        """Count the bytes that reading a region of so many pixels takes."""
        if self.is_plain:
            return self.image.bytes(pixels)
        (high, wide), ratio = pixels, 1 / self.left
        around = 2 * (math.ceil(max(ratio, 1)) + 1)
        covered = [math.ceil(n * ratio) + around for n in pixels]
        rows = min(high, self._rows_of_a_band(wide))
        read = math.ceil(rows * ratio) + around
        # of a plane in float32: what is read, again in Pillow, resampled along rows, and along both
        band = 8 * read * covered[1] + 4 * read * wide + 8 * rows * wide
        made = high * wide * (self.channels * self.dtype.itemsize + 1)
        return self.image.bytes(covered) + math.prod(covered) + band + made

    def overview(self, most: int) -> np.ndarray:
        """Return the whole image before it is resized, in few pixels."""
        return self.image.overview(most)

    def read_valid(
        self, region: tuple[slice, ...], nodata: float | None
    ) -> tuple[np.ndarray, Mask | None]:
        """Read a region ``(C, *region)``, bilinear, averaged over what a pixel covers.

        A pixel has no value if any pixel of the level that it is averaged from has none.
        """
        if self.is_plain:
            return self.image.read_valid(region, nodata, self.level)
        (down, _), (across, along) = (self._place(k, part) for k, part in enumerate(region))
        size = tuple(part.stop - part.start for part in region)
        source, missing = self.image.read_valid((down, across), nodata, self.level)
        made = np.empty((self.channels, *size), self.dtype)
        without = None if missing is None else np.empty(size, bool)
        for band in self._bands(*region):
            part, ends = self._place(0, band)
            here = slice(part.start - down.start, part.stop - down.start)
            there = slice(band.start - region[0].start, band.stop - region[0].start)
            box = (ends, along)
            for plane, target in zip(source, made, strict=True):
                target[there] = self._rounded(_resized(plane[here], target[there].shape, box))
            if missing is not None and without is not None:
                without[there] = _resized(missing[here], without[there].shape, box) > 0
        return cleared(made, without)

    def _bands(self, rows: slice, columns: slice) -> Iterator[slice]:
        """Cut rows into bands that are resampled together."""
        count = self._rows_of_a_band(columns.stop - columns.start)
        for start in range(rows.start, rows.stop, count):
            yield slice(start, min(start + count, rows.stop))

    def _rows_of_a_band(self, columns: int) -> int:
        return max(int(BAND_PIXELS * min(self.left, 1) ** 2 / max(columns, 1)), FEWEST_ROWS)

    def _rounded(self, pixels: np.ndarray) -> np.ndarray:
        """Return pixels that fit the data type."""
        if self.dtype.kind not in "iu":
            return pixels
        limits = np.iinfo(self.dtype)
        made: np.ndarray = np.clip(np.rint(pixels), limits.min, limits.max)
        return made

    def _place(self, axis: int, part: slice) -> tuple[slice, tuple[float, float]]:
        """Find what a region covers along an axis: the pixels to read, and its place in them."""
        n, ratio = self.image.level_sizes[self.level][axis], 1 / self.left
        around = math.ceil(max(ratio, 1)) + 1  # what the filter reaches to
        first = max(math.floor(part.start * ratio) - around, 0)
        last = min(math.ceil(part.stop * ratio) + around, n)
        start, stop = (min(end * ratio, n) - first for end in (part.start, part.stop))
        return slice(first, last), (start, stop)


def _resized(
    plane: np.ndarray, size: tuple[int, ...], box: Sequence[tuple[float, float]]
) -> np.ndarray:
    """Bring what lies in a box of a plane ``(H, W)`` to a size, as float32."""
    pillow = needed("PIL.Image")
    (height, width), ((top, bottom), (left, right)) = size, box
    picture = pillow.fromarray(plane.astype(np.float32))
    resized = picture.resize(
        (width, height), pillow.Resampling.BILINEAR, (left, top, right, bottom)
    )
    return np.asarray(resized)
