"""The layers that are timed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fcconv import geometry


@dataclass(frozen=True)
class Case:
    """A convolution in float32; sizes are those of one axis of a square image.

    Attributes
    ----------
    name : str
        Short name, unique.
    batch, channels, size : int
        Shape of the input, ``(batch, channels, size, size)``.
    outputs, kernel : int
        Shape of the weight, ``(outputs, channels, kernel, kernel)``.
    stride, padding, dilation : int
        As in :func:`fcconv.conv`.
    """

    name: str
    batch: int
    channels: int
    size: int
    outputs: int
    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of :func:`fcconv.conv`."""
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}

    @property
    def output(self) -> tuple[int, ...]:
        """Shape of the result."""
        window = geometry.window([self.size] * 2, self.kernel, **self.arguments)
        return self.batch, self.outputs, *window.output

    @property
    def product(self) -> tuple[int, int, int]:
        """Sizes of the matrix product that computes the layer: rows, terms, columns."""
        columns = self.batch * math.prod(self.output[2:])
        return self.outputs, self.channels * self.kernel**2, columns

    @property
    def is_native(self) -> bool:
        """Whether the kernel covers the whole input, as that of a dense layer does."""
        return self.kernel == self.size and not self.padding

    def arrays(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """Make input, weight and bias, the same at each call."""
        rng = np.random.default_rng(0)
        x = (self.batch, self.channels, self.size, self.size)
        weight = (self.outputs, self.channels, self.kernel, self.kernel)
        return (
            rng.standard_normal(x, np.float32),
            rng.standard_normal(weight, np.float32),
            rng.standard_normal(self.outputs, np.float32),
        )

    def matrices(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Make the operands of the matrix product, the same at each call."""
        rng = np.random.default_rng(0)
        rows, terms, columns = self.product
        return (
            rng.standard_normal((rows, terms), np.float32),
            rng.standard_normal((terms, columns), np.float32),
        )

    def small(self) -> Case:
        """Shrink the case so that it runs in no time and still means the same."""
        size = self.size if self.is_native else min(self.size, 16 + self.dilation * self.kernel)
        channels, outputs = (min(n, 4) for n in (self.channels, self.outputs))
        return replace(
            self, batch=min(self.batch, 2), channels=channels, outputs=outputs, size=size
        )


CASES = (
    Case("seed 1x2x2 to 2", 1, 1, 2, 2, 2),
    Case("dense 512x7x7 to 4096", 1, 512, 7, 4096, 7),
    Case("dense 512x7x7 to 4096, batch 32", 32, 512, 7, 4096, 7),
    Case("512x7x7 to 1024 on 16x16", 1, 512, 22, 1024, 7),
    Case("3x3, 64 to 64, 224x224", 1, 64, 224, 64, 3, padding=1),
    Case("3x3, 128 to 128, 112x112", 1, 128, 112, 128, 3, padding=1),
    Case("3x3, 256 to 256, 56x56", 1, 256, 56, 256, 3, padding=1),
    Case("3x3, 512 to 512, 14x14", 1, 512, 14, 512, 3, padding=1),
    Case("7x7 stride 2, 3 to 64, 224x224", 1, 3, 224, 64, 7, stride=2, padding=3),
    Case("1x1, 256 to 128, 56x56", 1, 256, 56, 128, 1),
    Case("3x3 dilation 4, 32 to 64, 260x260", 1, 32, 260, 64, 3, dilation=4),
)
