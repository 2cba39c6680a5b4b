"""A small patch classifier as a list of layers, and the same with its dense layers as convolutions.

The functions take arrays of any backend.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

import fcconv
from fcconv import geometry

WINDOW = 25
"""Rows and columns of the windows that the face classifier scores."""

SHAPE = (1, WINDOW, WINDOW)
"""Shape of a window, channels first."""


@dataclass(frozen=True)
class Conv:
    """A convolution, ``weight (O, C, KH, KW)``, and perhaps a ReLU."""

    name: str
    weight: Any
    bias: Any
    relu: bool = True

    def __call__(self, x: Any) -> Any:
        """Map ``x (N, C, H, W)`` to ``(N, O, H', W')``."""
        y = fcconv.conv(x, self.weight, self.bias)
        return y.clip(0) if self.relu else y


@dataclass(frozen=True)
class MaxPool:
    """A max pool whose stride is its kernel."""

    name: str
    kernel: int

    def __call__(self, x: Any) -> Any:
        """Map ``x (N, C, H, W)`` to ``(N, C, H', W')``."""
        return fcconv.max_pool(x, self.kernel)


@dataclass(frozen=True)
class Dense:
    """A dense layer, ``weight (O, I)``, that flattens its input, and perhaps a ReLU."""

    name: str
    weight: Any
    bias: Any
    relu: bool = True

    def __call__(self, x: Any) -> Any:
        """Map ``x (N, ...)`` to ``(N, O)``."""
        y = fcconv.dense(x.reshape(len(x), math.prod(x.shape[1:])), self.weight, self.bias)
        return y.clip(0) if self.relu else y


Layer: TypeAlias = Conv | MaxPool | Dense
Network: TypeAlias = tuple[Layer, ...]


def run(network: Iterable[Layer], x: Any) -> Any:
    """Apply the layers in turn."""
    for layer in network:
        x = layer(x)
    return x


def face_network(arrays: Mapping[str, Any]) -> Network:
    """Build the face classifier from its named arrays: a window's score is positive for a face."""

    def parameters(name: str) -> tuple[Any, Any]:
        return arrays[f"{name}.weight"], arrays[f"{name}.bias"]

    return (
        Conv("conv1", *parameters("conv1")),
        MaxPool("pool1", 3),
        Conv("conv2", *parameters("conv2")),
        Dense("dense1", *parameters("dense1")),
        Dense("dense2", *parameters("dense2"), relu=False),
    )


def load_faces() -> Network:
    """Load the trained face classifier that comes with the package, as float32 NumPy arrays."""
    stored = resources.files("fcconv.demo").joinpath("faces.npz").read_bytes()
    with np.load(io.BytesIO(stored)) as arrays:
        return face_network(dict(arrays))


def with_weights(network: Network, change: Callable[[Any], Any]) -> Network:
    """Apply `change` to each weight and bias."""
    return tuple(
        layer
        if isinstance(layer, MaxPool)
        else replace(layer, weight=change(layer.weight), bias=change(layer.bias))
        for layer in network
    )


def convolutionize(network: Network) -> tuple[Conv | MaxPool, ...]:
    """Rewrite the dense layers as convolutions, so that one pass scores every window.

    A dense layer reads a block of the map before it, and becomes a convolution with that block as
    kernel. After the first one the block is a single pixel, and so is the kernel.

    Parameters
    ----------
    network : sequence of layers
        Scores windows ``(N, *SHAPE)`` as ``(N, K)``.

    Returns
    -------
    sequence of layers
        Scores images ``(N, C, H', W')`` as ``(N, K, rows, columns)``: each cell has the score of
        its own window; windows stand :func:`stride` pixels apart.
    """
    sliding: list[Conv | MaxPool] = []
    block: tuple[int, ...] = SHAPE
    for layer in network:
        if isinstance(layer, Dense):
            kernel = fcconv.dense_to_conv(layer.weight, block)
            layer = Conv(layer.name, kernel, layer.bias, layer.relu)
        sliding.append(layer)
        block = block_after(layer, block)
    return tuple(sliding)


def block_after(layer: Conv | MaxPool, block: tuple[int, ...]) -> tuple[int, ...]:
    """Shape ``(C, H, W)`` of what a layer makes of a block."""
    if isinstance(layer, MaxPool):
        return block[0], *geometry.window(block[1:], layer.kernel, layer.kernel).output
    return layer.weight.shape[0], *geometry.window(block[1:], layer.weight.shape[2:]).output


def stride(network: Network) -> int:
    """Pixels from one window of the rewritten network to the next: the product of the strides."""
    return math.prod(layer.kernel for layer in network if isinstance(layer, MaxPool))


def crops(image: npt.NDArray[Any], step: int) -> npt.NDArray[Any]:
    """View every window of a grey image ``(H, W)`` as ``(rows, columns, *SHAPE)``."""
    return sliding_window_view(image, (WINDOW, WINDOW))[::step, ::step, None]
