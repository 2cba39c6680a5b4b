"""Images made of another one, from which they have all but their pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fcconv.images.image import Image
from fcconv.images.reading import Reading


@dataclass(frozen=True, eq=False)
class Derived:
    """An image made of another.

    Attributes
    ----------
    image : Image or Derived
        The other.
    """

    image: Image | Derived

    @property
    def name(self) -> str:
        """What errors call it."""
        return self.image.name

    @property
    def picture(self) -> Image:
        """The picture that it is a size of."""
        return self.image.picture

    @property
    def channels(self) -> int:
        """Channels, without opacity."""
        return self.image.channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the pixels that are read."""
        return self.image.dtype

    @property
    def bits(self) -> int | None:
        """Bits of a pixel that are in use; None where that is not known."""
        return self.image.bits

    @property
    def nodata(self) -> float | None:
        """The number that its file uses for pixels without a value."""
        return self.image.nodata

    @property
    def notes(self) -> tuple[str, ...]:
        """What was decided about the file, or found, that changes what the pixels mean."""
        return self.image.notes

    @property
    def asked(self) -> Reading:
        """How it was to be opened."""
        return self.image.asked

    def other_channels(self, needed: int) -> str:
        """Say how the same image could have as many channels as are needed; "" if it can't."""
        return self.image.other_channels(needed)
