"""One pass of a sliding network over an image, and the same windows cropped in batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

import fcconv
from fcconv.graph.engines.compiling import Engine
from fcconv.scanning.engine import by_crops, one_pass
from fcconv.scanning.network import as_network
from fcconv.scanning.network_layout import NetworkLayout
from fcconv_bench import networks
from fcconv_bench.suite import Call

Array = npt.NDArray[Any]

BATCH = 256
"""Crops that are scored together at most."""


@dataclass(frozen=True)
class Scene:
    """A sliding network, and an image ``(C, H, W)`` to score."""

    sliding: fcconv.Sliding
    image: Array

    @property
    def cells(self) -> tuple[int, ...]:
        """Windows along each axis."""
        sizes = zip(self.image.shape[1:], self.sliding.window, self.sliding.stride, strict=True)
        return tuple((n - window) // stride + 1 for n, window, stride in sizes)

    @property
    def windows(self) -> int:
        """Windows in all."""
        return math.prod(self.cells)

    def corner(self, windows: int) -> Scene:
        """Return the part of the image with about as many windows, or all if it has fewer."""
        side = [min(math.isqrt(windows), n) for n in self.cells]
        sizes = zip(side, self.sliding.window, self.sliding.stride, strict=True)
        part = [slice(window + (n - 1) * stride) for n, window, stride in sizes]
        return Scene(self.sliding, self.image[:, *part])

    def one_pass(self, engine: str) -> Call:
        """Return the call that scores the image at once."""
        network = as_network(self.sliding)
        return partial(one_pass(network, network.stride, Engine(engine)), self.image)

    def crops(self, engine: str) -> Call:
        """Return the call that scores each window by itself."""
        network = as_network(self.sliding)
        score = by_crops(network, network.stride, Engine(engine), min(BATCH, self.windows))
        return partial(score, self.image)

    def one_pass_multiplications(self) -> int:
        """Count the multiplications of one pass."""
        return self._multiplications(self.sliding.model, self.image.shape[1:])

    def crops_multiplications(self) -> int:
        """Count the multiplications of all crops: those of the patch network, which skips more."""
        patch = self.sliding.patch or self.sliding.model
        return self.windows * self._multiplications(patch, self.sliding.window)

    def _multiplications(self, model: ir.Model, size: Sequence[int]) -> int:
        return networks.multiplications(model, NetworkLayout.of(self.sliding.model).shape(size))


def random_image(channels: int, side: int) -> Array:
    """Make a square image, the same at each call."""
    return np.random.default_rng(0).random((channels, side, side), np.float32)
