"""The same image in another size, read by region, for windows that are to see larger things."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fcconv.errors import ImageError, UnsupportedError
from fcconv.images.image import Image
from fcconv.images.libraries import needed
from fcconv.images.missing import Mask, cleared

MAX_SCALE, MIN_SCALE = 16, 1 / 4096
"""Limits of a scale."""


def resized(image: Image, scale: float) -> Resized:
    """Return an image in another size.

    Parameters
    ----------
    image : Image
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
    if not MIN_SCALE <= scale <= MAX_SCALE:
        raise ImageError(f"a scale lies between {MIN_SCALE} and {MAX_SCALE}, got {scale}")
    if len(image.size) != 2:
        raise UnsupportedError(f"{image.name}: only images of two axes are resized; use scale 1")
    return Resized(image, scale)


@dataclass(frozen=True, eq=False)
class Resized:
    """An image in another size; each region is resized from what it covers, and its surroundings.

    Pillow holds places as float32, so that a pixel can differ by rounding from that of the whole
    image resized.

    Attributes
    ----------
    picture : Image
        The image, with two spatial axes.
    scale : float
        Its size, in parts of the image's.
    """

    picture: Image
    scale: float

    @property
    def name(self) -> str:
        """What errors call it."""
        return f"{self.picture.name} times {self.scale:g}"

    @property
    def size(self) -> tuple[int, ...]:
        """Pixels along each axis: pixel i is what lies from i / scale to (i + 1) / scale."""
        return tuple(max(math.floor(n * self.scale + 1e-9), 1) for n in self.picture.size)

    @property
    def channels(self) -> int:
        """Channels, without opacity."""
        return self.picture.channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the pixels."""
        return self.picture.dtype

    @property
    def bits(self) -> int | None:
        """How many bits of a pixel are in use, if the file says so."""
        return self.picture.bits

    @property
    def nodata(self) -> float | None:
        """The number that its file uses for pixels without a value."""
        return self.picture.nodata

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on the image."""
        return self.picture.notes

    @property
    def asked(self) -> Any:
        """See :class:`fcconv.images.image.Image`."""
        return self.picture.asked

    @property
    def other_channels(self) -> Any:
        """See :class:`fcconv.images.image.Image`."""
        return self.picture.other_channels

    def identity(self) -> str:
        """Return what tells this image from another."""
        return f"{self.picture.identity()}, times {self.scale!r}"

    def bytes(self, pixels: Sequence[int]) -> int:
        """Count the bytes that reading a region of so many pixels takes."""
        ratio = 1 / self.scale
        around = 2 * (math.ceil(max(ratio, 1)) + 1)
        covered = [math.ceil(n * ratio) + around for n in pixels]
        made = math.prod(covered) + math.prod(pixels)  # in float32; and what has no value
        return self.picture.bytes(covered) + (4 * self.channels + 1) * made

    def overview(self, most: int) -> np.ndarray:
        """Return the whole image before it is resized, in few pixels."""
        return self.picture.overview(most)

    def read_valid(
        self, region: tuple[slice, ...], nodata: float | None
    ) -> tuple[np.ndarray, Mask | None]:
        """Read a region ``(C, *region)``, bilinear, averaged over what a pixel covers.

        A pixel has no value if any pixel that it is averaged from has none.
        """
        places = [self._place(k, part) for k, part in enumerate(region)]
        covered, box = tuple(part for part, _ in places), [ends for _, ends in places]
        size = tuple(part.stop - part.start for part in region)
        source, missing = self.picture.read_valid(covered, nodata)
        made = np.stack([_resized(plane, size, box) for plane in source])
        if self.dtype.kind in "iu":
            limits = np.iinfo(self.dtype)
            made = np.clip(np.rint(made), limits.min, limits.max)
        if missing is not None:
            missing = _resized(missing, size, box) > 0
        return cleared(made.astype(self.dtype), missing)

    def _place(self, axis: int, part: slice) -> tuple[slice, tuple[float, float]]:
        """Find what a region covers along an axis: the pixels to read, and its place in them."""
        n, ratio = self.picture.size[axis], 1 / self.scale
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
