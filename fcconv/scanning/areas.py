"""Where in an image windows are wanted: what a picture marks, polygons hold, or tissue covers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fcconv.errors import ImageError, UnsupportedError
from fcconv.images.image import Image
from fcconv.images.layouts import axes_in_words
from fcconv.images.libraries import needed
from fcconv.images.missing import Mask
from fcconv.images.opening import open_images
from fcconv.scanning.polygons import Points, digest, part_of, read_polygons

TISSUE = "tissue"
"""The mask that is found in the image itself."""

POLYGONS = (".geojson", ".json")
"""Suffixes of files that hold polygons."""

MAX_MASK_SIDE = 8192
"""Pixels of a picture along an axis, at most; of a larger one every n-th is read."""

TISSUE_SIDE, MEDIAN_SIDE = 1024, 5
"""Pixels along an axis in which tissue is looked for, and the side of what the median is of."""


class Area(Protocol):
    """A part of an image."""

    @property
    def note(self) -> str:
        """What it is, in words."""
        ...

    def identity(self) -> str:
        """Return what tells it from another."""
        ...

    def holds(self, rows: Points, columns: Points) -> Mask:
        """Say which points of a grid lie in it, ``(rows, columns)``."""
        ...


@dataclass(frozen=True, eq=False)
class Marked:
    """What the pixels of a picture mark, which covers the whole image, in any resolution.

    Attributes
    ----------
    marks : array of bool, shape (h, w)
        The picture.
    size : tuple of int
        Pixels of the image.
    name : str
        What it is called.
    """

    marks: Mask
    size: tuple[int, ...]
    name: str

    @property
    def note(self) -> str:
        """What it is, in words."""
        height, width = self.marks.shape
        return f"{self.name}, {height:,} x {width:,} pixels: {part_of(self.marks.mean())}"

    def identity(self) -> str:
        """Return a digest of all pixels."""
        return digest(repr(self.marks.shape).encode() + np.packbits(self.marks).tobytes())

    def holds(self, rows: Points, columns: Points) -> Mask:
        """Look up each point; see :class:`Area`."""
        y, x = (
            np.minimum((points * (n / pixels)).astype(np.intp), n - 1)
            for points, n, pixels in zip((rows, columns), self.marks.shape, self.size, strict=True)
        )
        if not self.marks[y[0] : y[-1] + 1, x[0] : x[-1] + 1].any():
            return np.zeros((len(rows), len(columns)), bool)
        return self.marks[np.ix_(y, x)]


def open_area(mask: Any, image: Image) -> Area:
    """Open what says where windows are wanted.

    Parameters
    ----------
    mask : path, array or "tissue"
        A picture, in which 0 and NaN mark nothing and all else does; polygons of a ``.geojson``, in
        longitude and latitude where the image lies on the ground, else in its pixels; or the tissue
        of the image, see :func:`find_tissue`.
    image : Image
        The image.

    Raises
    ------
    ImageError
        If it can't be read, or does not cover the image.
    UnsupportedError
        If the image has not two axes, or no colours to tell tissue by.
    BackendError
        If a library is not installed.
    """
    if len(image.size) != 2:
        raise UnsupportedError(
            f"mask (--mask) lies over the two axes of a picture, {image.name} has "
            f"{axes_in_words(len(image.size))}: leave it out; region (--region) takes any axes"
        )
    if isinstance(mask, str) and mask == TISSUE:
        return find_tissue(image)
    if isinstance(mask, str | os.PathLike) and Path(mask).suffix.lower() in POLYGONS:
        return read_polygons(Path(mask), image)
    return _read_marks(mask, image)


def _read_marks(mask: Any, image: Image) -> Marked:
    """Read a picture whose pixels mark something, which must have the proportions of the image."""
    try:
        opened, batched = open_images(mask, 2)
    except ImageError as error:
        raise error.about("mask (--mask)") from None
    (height, width), (rows, columns) = opened[0].size, image.size
    # a size may be rounded by up to a pixel, along each axis
    if batched or abs(height / rows - width / columns) > 1 / rows + 1 / columns:
        raise ImageError(
            f"mask (--mask): {opened[0].name} of {height} x {width} pixels has not the proportions "
            f"of the image of {rows} x {columns}: give one that covers the whole image, in any size"
        )
    pixels = opened[0].overview(MAX_MASK_SIDE)
    marks = ((pixels != 0) & (pixels == pixels)).any(axis=0)
    return Marked(marks, image.size, f"mask {opened[0].name}")


def find_tissue(image: Image) -> Marked:
    """Find tissue by its colours: what is more saturated than Otsu's threshold.

    In at most 1,024 pixels along an axis, of which each has the median saturation ``(max - min) /
    max`` of 5 x 5 of them. Of a pyramid a small level is read, else the whole image.

    Parameters
    ----------
    image : Image
        With red, green and blue.

    Raises
    ------
    UnsupportedError
        If it has other channels.
    BackendError
        If scikit-image is not installed.
    """
    filters, ranks = needed("skimage.filters", "mask"), needed("skimage.filters.rank", "mask")
    if image.channels != 3:
        raise UnsupportedError(
            f"mask 'tissue' (--mask tissue) tells tissue by its colours, but {image.name} has "
            f"{image.channels} channel{'s' * (image.channels != 1)}, not red, green and blue: give "
            f"the file of a mask"
        )
    pixels = np.nan_to_num(image.overview(TISSUE_SIDE).astype(np.float32))
    high, low = pixels.max(axis=0), pixels.min(axis=0)
    saturation = np.divide(high - low, high, out=np.zeros_like(high), where=high > 0)
    levels = ranks.median(
        np.rint(255 * saturation).astype(np.uint8), np.ones((MEDIAN_SIDE, MEDIAN_SIDE), np.uint8)
    )
    threshold = int(filters.threshold_otsu(levels))
    name = f"tissue: saturation above {threshold / 255:.2f} (Otsu's threshold)"
    return Marked(levels > threshold, image.size, name)
