"""An image with a few more pixels at its ends, so that windows reach its last ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from fcconv.arguments import either
from fcconv.errors import ArgumentError
from fcconv.images.derived import Derived
from fcconv.images.image import Image
from fcconv.images.missing import Mask
from fcconv.images.scales import Resized

PADS = ("edge", "reflect", "constant")
"""Pixels that are new at the end of an image: the last one again, those before it mirrored, or 0,
as in numpy.pad."""


def padded(
    image: Image | Resized, window: Sequence[int], stride: Sequence[int], pad: Any
) -> Padded:
    """Return an image that windows cover as a whole.

    Parameters
    ----------
    image : Image or Resized
        The original.
    window, stride : sequence of int
        Pixels of a window, and from one window to the next, along each axis.
    pad : {"edge", "reflect", "constant"}
        What the new pixels are, at the end of each axis; 0 is before anything is done to pixels.

    Raises
    ------
    ArgumentError
        If `pad` is none of these.
    """
    if pad not in PADS:
        raise ArgumentError(f"pad is {either([*map(repr, PADS), 'None'])}, got {pad!r}")
    axes = zip(image.size, window, stride, strict=True)
    return Padded(image, tuple(k + max(-(-(n - k) // s), 0) * s for n, k, s in axes), pad)


@dataclass(frozen=True, eq=False)
class Padded(Derived):
    """An image with more pixels at its ends, each region padded where it goes beyond the original.

    Attributes
    ----------
    image : Image or Resized
        The original.
    size : tuple of int
        Pixels along each axis, with the new ones.
    pad : {"edge", "reflect", "constant"}
        What these are.
    """

    image: Image | Resized
    size: tuple[int, ...]
    pad: str

    @property
    def scale(self) -> float:
        """Its size, in parts of the picture's."""
        return self.image.scale

    @property
    def notes(self) -> tuple[str, ...]:
        """What was decided about the file, and how many pixels are new."""
        if not any(self.padding):
            return self.image.notes
        more = " x ".join(map(str, self.padding))
        said = f"padded ({self.pad}) by {more} at the ends of the axes"
        return (*self.image.notes, said)

    @property
    def padding(self) -> tuple[int, ...]:
        """Pixels that are new at the end of each axis."""
        return tuple(n - m for n, m in zip(self.size, self.image.size, strict=True))

    def identity(self) -> str:
        """Return what tells this image from another."""
        return f"{self.image.identity()}, padded to {self.size}, {self.pad}"

    def bytes(self, pixels: Sequence[int]) -> int:
        """Count the bytes that reading a region of so many pixels takes."""
        return self.image.bytes(pixels) + math.prod(pixels) * self.channels * self.dtype.itemsize

    def overview(self, most: int) -> np.ndarray:
        """Return the whole image in few pixels, with its new ones."""
        small = self.image.overview(most)
        sizes = zip(self.size, self.image.size, small.shape[1:], strict=True)
        more = [round(m * n / before) - m for n, before, m in sizes]
        return self._padded(small, more)

    def read_valid(
        self, region: tuple[slice, ...], nodata: float | None
    ) -> tuple[np.ndarray, Mask | None]:
        """Read a region; see :meth:`fcconv.images.source.Source.read_valid`.

        The new pixels have a value where those have one that they are made of.
        """
        read, own, more = [], [], []
        for part, n in zip(region, self.image.size, strict=True):
            beyond = max(part.stop - n, 0)
            # what is mirrored may lie before the region
            first = max(min(part.start, n - 1 - beyond), 0) if beyond else part.start
            read.append(slice(first, part.stop - beyond))
            own.append(slice(part.start - first, part.stop - first))
            more.append(beyond)
        pixels, missing = self.image.read_valid(tuple(read), nodata)
        if missing is not None:
            missing = self._padded(missing[np.newaxis], more)[0][tuple(own)]
        return self._padded(pixels, more)[:, *own], missing

    def _padded(self, pixels: np.ndarray, more: Sequence[int]) -> np.ndarray:
        """Add pixels at the end of the axes of ``(C, *S)``."""
        if not any(more):
            return pixels
        mode: Any = self.pad
        return np.pad(pixels, [(0, 0), *((0, n) for n in more)], mode)


Opened: TypeAlias = Image | Resized | Padded
"""An image that can be scanned."""
