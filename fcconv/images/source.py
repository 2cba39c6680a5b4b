"""What a scan reads by region: an image, one in another size, or one without its gaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from fcconv.images.missing import Mask


class Source(Protocol):
    """Pixels that are read by region; threads may read at the same time."""

    @property
    def name(self) -> str:
        """What errors call it."""
        ...

    @property
    def size(self) -> tuple[int, ...]:
        """Pixels along each spatial axis."""
        ...

    @property
    def channels(self) -> int:
        """Channels, without opacity."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the pixels that are read."""
        ...

    @property
    def nodata(self) -> float | None:
        """The number that its file uses for pixels without a value."""
        ...

    def identity(self) -> str:
        """Return what tells this image from another."""
        ...

    def bytes(self, pixels: Sequence[int]) -> int:
        """Count the bytes that reading a region of so many pixels takes."""
        ...

    def read_valid(
        self, region: tuple[slice, ...], nodata: float | None
    ) -> tuple[np.ndarray, Mask | None]:
        """Read a region, ``(C, *region)``, and say which of its pixels have no value.

        Those are zeros; see :func:`fcconv.images.missing.without_value`.
        """
        ...


class Pictured(Protocol):
    """An image of any size that can be looked at."""

    def overview(self, most: int) -> np.ndarray:
        """Return the whole image, ``(C, *small)``, in so many pixels along an axis, at most."""
        ...
