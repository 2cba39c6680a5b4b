"""A convolution to time, and its operands."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fcconv import geometry

Array = npt.NDArray[Any]

ITEMSIZE = 4
"""Bytes of a float32."""


@dataclass(frozen=True)
class Case:
    """A convolution in float32; sizes are those of one axis of a square image.

    Attributes
    ----------
    name, group : str
        Short name, unique in its suite; what the summary tells apart.
    channels, size : int
        Shape of the input, ``(batch, channels, size, size)``.
    outputs, kernel : int
        Shape of the weight, ``(outputs, channels / groups, kernel, kernel)``.
    batch, stride, padding, groups : int
        As in :func:`fcconv.conv`.
    has_bias : bool
        Whether the layer adds a bias; where a normalisation follows, none does.
    """

    name: str
    group: str
    channels: int
    size: int
    outputs: int
    kernel: int
    batch: int = 1
    stride: int = 1
    padding: int = 0
    groups: int = 1
    has_bias: bool = True

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of :func:`fcconv.conv`."""
        return {"stride": self.stride, "padding": self.padding, "groups": self.groups}

    @property
    def input(self) -> tuple[int, int, int, int]:
        """Shape of the input."""
        return self.batch, self.channels, self.size, self.size

    @property
    def output(self) -> tuple[int, ...]:
        """Shape of the result."""
        window = geometry.window([self.size] * 2, self.kernel, self.stride, self.padding)
        return self.batch, self.outputs, *window.output

    @property
    def product(self) -> tuple[int, int, int]:
        """Rows, terms and columns of the matrix product, all groups together."""
        columns = self.batch * math.prod(self.output[2:])
        return self.outputs, self.channels // self.groups * self.kernel**2, columns

    @property
    def multiplications(self) -> int:
        """Multiplications of the definition, those with padding counted."""
        return math.prod(self.product)

    @property
    def output_bytes(self) -> int:
        """Size of the result."""
        return ITEMSIZE * math.prod(self.output)

    @property
    def moved_bytes(self) -> int:
        """Bytes of the input, which is read, and of the result, which is written."""
        return ITEMSIZE * math.prod(self.input) + self.output_bytes

    @property
    def is_native(self) -> bool:
        """Whether the kernel covers the whole input, as that of a dense layer does."""
        return self.kernel == self.size and not self.padding

    def arrays(self) -> tuple[Array, ...]:
        """Make input, weight and the bias, if there is one, the same at each call."""
        weight = (self.outputs, self.channels // self.groups, self.kernel, self.kernel)
        bias = [(self.outputs,)] if self.has_bias else []
        return tuple(map(_normal, [self.input, weight, *bias]))

    def matrices(self) -> tuple[Array, Array]:
        """Make the operands of the matrix product, the same at each call."""
        rows, terms, columns = self.product
        return _normal((rows, terms)), _normal((terms, columns))

    def small(self) -> Case:
        """Shrink the case so that it runs in no time and still means the same."""
        size = self.size if self.is_native else min(self.size, 16 + self.kernel)
        channels, outputs, groups = (min(n, 4) for n in (self.channels, self.outputs, self.groups))
        return replace(
            self,
            batch=min(self.batch, 2),
            channels=channels,
            outputs=outputs,
            groups=groups,
            size=size,
        )


def _normal(shape: tuple[int, ...]) -> Array:
    """Draw normal values; large arrays repeat them, as drawing takes longer than the layer."""
    rng = np.random.default_rng(math.prod(shape))
    return np.resize(rng.standard_normal(min(math.prod(shape), 2**20), np.float32), shape)
