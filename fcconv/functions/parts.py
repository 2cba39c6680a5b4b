"""An axis of an image, cut into one part per device. Integers only, no arrays."""

from __future__ import annotations

from dataclasses import dataclass

from fcconv.errors import ShapeError


@dataclass(frozen=True)
class Parts:
    """An axis of an image, cut into even parts; a part has the windows that start in it.

    Attributes
    ----------
    size : int
        Pixels of the image.
    window, stride : int
        Pixels of a window, and from one to the next.
    devices : int
        How many parts there are.
    """

    size: int
    window: int
    stride: int
    devices: int

    @property
    def cells(self) -> int:
        """Windows of the image."""
        return (self.size - self.window) // self.stride + 1

    @property
    def starts(self) -> int:
        """Strides of a part, at each of which a window may start: as few as hold the image."""
        return -(-self.size // (self.devices * self.stride))

    @property
    def pixels(self) -> int:
        """Pixels of a part: whole strides, so that its windows lie in it as in the first part."""
        return self.starts * self.stride

    @property
    def halo(self) -> int:
        """Pixels of the next part that windows of a part read."""
        return max(self.window - self.stride, 0)

    @property
    def counts(self) -> list[int]:
        """Windows of the image that start in each part: fewer in the last, or last few."""
        left = (self.cells - k * self.starts for k in range(self.devices))
        return [min(max(count, 0), self.starts) for count in left]

    def check(self) -> None:
        """Check that the next part holds what windows read of it, and that windows go round."""
        if self._fit:
            return
        fewer = (Parts(self.size, self.window, self.stride, n) for n in range(1, self.devices))
        raise ShapeError(
            f"{self.devices} devices are too many for an image of {self.size} pixels: parts have "
            f"{self.pixels}, of which windows of {self.window} at stride {self.stride} read "
            f"{self.halo} from the part before, and there are {self.cells} windows along that "
            f"axis; at most {max(parts.devices for parts in fewer if parts._fit)} devices fit"
        )

    @property
    def _fit(self) -> bool:
        return self.devices == 1 or (self.halo <= self.pixels and self.devices <= self.cells)
