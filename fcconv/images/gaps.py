"""An image without the pixels that lie between windows, which no window reads."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fcconv.images.derived import Derived
from fcconv.images.missing import Mask
from fcconv.images.padded import Opened


@dataclass(frozen=True, eq=False)
class Gapless(Derived):
    """An image of windows side by side, where they stand further apart in the original.

    Along an axis whose stride is larger than the window, cell ``i`` reads pixels ``i * window`` to
    ``(i + 1) * window``; along the others nothing changes. A region must begin and end with a
    window there, as those of tiles do.

    Attributes
    ----------
    image : Image, Resized or Padded
        The original.
    window, stride : tuple of int
        Pixels of a window, and from one window to the next in the original, along each axis.
    """

    image: Opened
    window: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def size(self) -> tuple[int, ...]:
        """Pixels along each spatial axis."""
        return tuple(
            n if s <= k else ((n - k) // s + 1) * k
            for n, k, s in zip(self.image.size, self.window, self.stride, strict=True)
        )

    def identity(self) -> str:
        """Return what tells the original from another."""
        return self.image.identity()

    def bytes(self, pixels: Sequence[int]) -> int:
        """Count the bytes that reading a region of so many pixels takes."""
        return self.image.bytes(pixels)

    def read_valid(
        self, region: tuple[slice, ...], nodata: float | None
    ) -> tuple[np.ndarray, Mask | None]:
        """Read a region run by run; see :meth:`Source.read_valid`."""
        runs = [self._runs(axis, part) for axis, part in enumerate(region)]
        if all(len(of_axis) == 1 for of_axis in runs):
            return self.image.read_valid(tuple(source for ((_, source),) in runs), nodata)
        shape = tuple(part.stop - part.start for part in region)
        pixels = np.empty((self.channels, *shape), self.dtype)
        missing: Mask | None = None
        for places in itertools.product(*runs):
            target, source = zip(*places, strict=True)
            pixels[:, *target], without = self.image.read_valid(source, nodata)
            if without is not None:
                missing = np.zeros(shape, bool) if missing is None else missing
                missing[target] = without
        return pixels, missing

    def _runs(self, axis: int, part: slice) -> list[tuple[slice, slice]]:
        """List where the runs of a region lie along an axis, in it and in the original."""
        window, stride = self.window[axis], self.stride[axis]
        if stride <= window:
            return [(slice(0, part.stop - part.start), part)]
        starts = range(part.start // window, part.stop // window)
        return [
            (slice(k * window, (k + 1) * window), slice(cell * stride, cell * stride + window))
            for k, cell in enumerate(starts)
        ]
