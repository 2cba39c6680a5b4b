"""The works of the suite of peers: an image, an hour of sound, and dense layers at every pixel."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from fcconv_bench.layered import LARGEST_PIXEL, Conv, Dense, Layered, Pool, onnx_model

Array = npt.NDArray[Any]

RATE = 16_000


@dataclass(frozen=True)
class Work:
    """A network whose windows are to be scored over an image or a recording.

    Attributes
    ----------
    group : str
        What it is.
    network : Layered
        The network.
    size : tuple of int
        Pixels along each axis.
    stride : int
        Pixels from one window to the next.
    cropped : int, optional
        Windows along the first axis on which crops are timed; that of all is in proportion.
    """

    group: str
    network: Layered
    size: tuple[int, ...]
    stride: int
    cropped: int | None = None

    @property
    def name(self) -> str:
        """What it is, and its size."""
        return f"{self.group}, stride {self.stride}, {'x'.join(map(str, self.size))}"

    @property
    def cells(self) -> tuple[int, ...]:
        """Windows along each axis."""
        sizes = zip(self.size, self.network.window, strict=True)
        return tuple((n - window) // self.stride + 1 for n, window in sizes)

    @property
    def windows(self) -> int:
        """Windows in all."""
        return math.prod(self.cells)

    def small(self) -> Work:
        """Leave two or three windows along each axis, and of the layers the smallest."""
        return replace(
            self,
            network=SMALL[self.group],
            size=(16, 20)[: len(self.size)],
            stride=min(self.stride, 4),
        )

    def part(self) -> Work:
        """Return the part on which crops are timed: its rows are whole, as they are batches."""
        if self.cropped is None:
            return self
        length = self.network.window[0] + (min(self.cropped, self.cells[0]) - 1) * self.stride
        return replace(self, size=(length, *self.size[1:]))

    def image(self) -> Array:
        """Draw whole numbers ``(channels, *size)``; those of a part are its own."""
        pixels = np.random.default_rng(0).integers(
            0, LARGEST_PIXEL, (self.network.channels, *self.size), np.uint8, endpoint=True
        )
        return pixels.astype(np.float32)

    def saved(self) -> str:
        """Write the network into a file, as a user has one."""
        path = Path(tempfile.gettempdir()) / f"{self.name}.onnx"
        onnx.save(onnx_model(self.network), path)
        return str(path)


IMAGE, SOUND, PIXELS = "VGG-like 64x64", "one second of sound", "MLP 15x15"


def works() -> tuple[Work, ...]:
    """Return what is to be scored."""
    return (
        Work(IMAGE, Layered(3, (64, 64), VGG_LIKE), (1024, 1024), 8, cropped=8),
        Work(SOUND, Layered(1, (RATE,), VOICE), (3600 * RATE,), 256, cropped=1024),
        Work(PIXELS, Layered(1, (15, 15), MLP), (512, 512), 1),
    )


VGG_LIKE = (
    *(Conv(3, 32, padding=1), Conv(3, 32, padding=1), Pool(2)),
    *(Conv(3, 64, padding=1), Conv(3, 64, padding=1), Pool(2)),
    *(Conv(3, 128, padding=1), Conv(3, 128, padding=1), Pool(2)),
    *(Dense(256), Dense(10)),
)
VOICE = (
    *(Conv(64, 64, stride=4), Pool(4), Conv(9, 128), Pool(4), Conv(9, 256), Pool(4)),
    *(Conv(9, 256), Dense(12)),
)
MLP = (Dense(64), Dense(4))

SMALL = {
    IMAGE: Layered(3, (8, 8), (Conv(3, 4, padding=1), Pool(2), Dense(8), Dense(3))),
    SOUND: Layered(1, (8,), (Conv(3, 4, stride=2), Pool(2), Dense(3))),
    PIXELS: Layered(1, (8, 8), (Dense(4), Dense(2))),
}
"""In their place where a work is made small; windows of 8 pixels."""
