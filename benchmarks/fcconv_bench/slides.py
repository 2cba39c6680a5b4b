"""The suite of JAX functions: `fcconv.slide` against `vmap` over windows that are cut out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import fcconv
from fcconv_bench.suite import Call, Facts, Prepared, Suite
from fcconv_bench.ways import ways

CROPS = "vmap over crops"
SLIDE = "fcconv.slide"
NETWORK = "from_jax, compiled"

FORWARD, GRADIENT = "forward", "gradient"

Parameters = Sequence[Any]


@dataclass(frozen=True)
class Function:
    """A function of a patch that slides over an image.

    Attributes
    ----------
    build : callable
        Returns the function, which takes parameters and a patch, and the parameters.
    window, channels, side, stride : int
        Pixels of a window along an axis; the image, ``(side, side, channels)``; pixels from window
        to window.
    group : str
        Whether the scores are computed, or the gradient of their sum to the parameters.
    """

    build: Callable[[int, int], tuple[Callable[..., Any], Parameters]]
    window: int
    channels: int
    side: int
    stride: int
    group: str

    @property
    def name(self) -> str:
        """The function, its stride, and what is computed."""
        size = f"{self.window}x{self.window}"
        return f"{self.build.__name__} {size}, stride {self.stride}, {self.group}"

    def small(self) -> Function:
        """Slide the smallest function over two windows each way: XLA compiles for seconds."""
        return replace(self, build=mnist_like, window=12, channels=1, side=16, stride=4)

    def can(self, way: str, engine: str) -> bool:
        """Whether it is measured so: in JAX, and networks have no gradient to the parameters."""
        return engine == "jax" and (way != NETWORK or self.group == FORWARD)

    def prepare(self, way: str, _engine: str) -> Prepared:
        """Draw image and parameters, and compile."""
        f, parameters = self.build(self.window, self.channels)
        shape = self.window, self.window, self.channels
        noise = np.random.default_rng(0).random((self.side, self.side, self.channels), np.float32)
        image = jnp.asarray(noise)
        slid = fcconv.slide(f, shape, stride=self.stride, spatial_axes=(0, 1))
        begin = time.perf_counter()
        if way == NETWORK:
            call = self._network(f, parameters, image)
        else:
            of_image = self._crops(f) if way == CROPS else slid
            call = _ready(self._asked(of_image), parameters, image)
        call()
        seconds = time.perf_counter() - begin
        cost = slid.describe(parameters, image).cost
        times = 3 if self.group == GRADIENT else 1  # a product forward, and two backward
        each = None if cost is None else cost.crops if way == CROPS else cost.exact
        count = None if each is None else times * each * self._windows() ** 2
        return Prepared(call, Facts(count, compile_seconds=seconds))

    def _asked(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """Return what is computed of a function of the image."""
        if self.group == FORWARD:
            return f
        return jax.grad(lambda parameters, image: f(parameters, image).sum())

    def _windows(self) -> int:
        return (self.side - self.window) // self.stride + 1

    def _crops(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function of the image that cuts every window out."""
        shape = self.window, self.window, self.channels
        starts = jnp.arange(self._windows()) * self.stride

        def of_image(parameters: Parameters, image: Any) -> Any:
            def one(y: Any, x: Any) -> Any:
                return f(parameters, lax.dynamic_slice(image, (y, x, 0), shape))

            return jax.vmap(jax.vmap(one, (None, 0)), (0, None))(starts, starts)

        return of_image

    def _network(self, f: Callable[..., Any], parameters: Parameters, image: Any) -> Call:
        """Return the call of the same network through ONNX."""
        shape = self.window, self.window, self.channels
        patch = fcconv.from_jax(partial(f, parameters), shape)
        sliding = fcconv.convolutionize(
            patch, stride=self.stride, spatial_axes=(1, 2), windows="exact"
        )
        network = fcconv.compile(sliding, "jax")
        return lambda: jax.block_until_ready(network(image[None]))


def _ready(f: Callable[..., Any], parameters: Parameters, image: Any) -> Call:
    compiled = jax.jit(f)
    return lambda: jax.block_until_ready(compiled(parameters, image))


def suite() -> Suite[Function]:
    """Return functions that pad, at two strides, forward and backward."""
    sizes = ((mnist_like, 28, 1, 160), (vgg_like, 64, 3, 192), (resnet18, 224, 3, 256))
    functions = tuple(
        Function(build, window, channels, side, stride, group)
        for build, window, channels, side in sizes
        for stride in (4, 8)
        for group in (FORWARD, GRADIENT)
    )
    contenders = partial(ways, (CROPS, SLIDE, NETWORK))
    title = "JAX functions slid against vmap over crops"
    return Suite("slide", title, CROPS, (SLIDE,), functions, contenders)


def mnist_like(window: int, channels: int) -> tuple[Callable[..., Any], Parameters]:
    """Build two padded convolutions and pools, and two dense layers."""
    cells = (window // 4) ** 2
    shapes = [(3, 3, channels, 16), (3, 3, 16, 32), (cells * 32, 64), (64, 10)]
    return partial(_chain, 2), _drawn(shapes)


def vgg_like(window: int, channels: int) -> tuple[Callable[..., Any], Parameters]:
    """Build six padded convolutions, three pools, and two dense layers."""
    widths = [channels, 32, 32, 64, 64, 128, 128]
    shapes: list[tuple[int, ...]] = [(3, 3, a, b) for a, b in pairwise(widths)]
    cells = (window // 8) ** 2
    return partial(_chain, 6), _drawn([*shapes, (cells * 128, 256), (256, 10)])


def _chain(convolutions: int, parameters: Parameters, x: Any) -> Any:
    """Convolve, and pool after each convolution of two, or of one where there are but two."""
    for k, kernel in enumerate(parameters[:convolutions]):
        x = jax.nn.relu(_conv(x, kernel))
        if convolutions == 2 or k % 2:
            x = _pool(x)
    hidden, last = parameters[convolutions:]
    return jax.nn.relu(x.reshape(-1) @ hidden) @ last


def resnet18(_window: int, channels: int) -> tuple[Callable[..., Any], Parameters]:
    """Build ResNet-18 (He, Zhang, Ren & Sun, *Deep residual learning*, 2016, table 1)."""
    shapes: list[tuple[int, ...]] = [(7, 7, channels, 64)]
    width = 64
    for outputs in (64, 64, 128, 128, 256, 256, 512, 512):
        shapes += [(3, 3, width, outputs), (3, 3, outputs, outputs), (1, 1, width, outputs)]
        width = outputs
    return _residual, _drawn([*shapes, (512, 1000)])


def _residual(parameters: Parameters, x: Any) -> Any:
    x = _pool(jax.nn.relu(_conv(x, parameters[0], 2)), 3, "SAME")
    for k in range(1, len(parameters) - 1, 3):
        first, second, beside = parameters[k : k + 3]
        stride = 2 if first.shape[2] != first.shape[3] else 1
        made = _conv(jax.nn.relu(_conv(x, first, stride)), second)
        x = jax.nn.relu(made + (x if stride == 1 else _conv(x, beside, stride)))
    return x.mean((0, 1)) @ parameters[-1]


def _conv(x: Any, kernel: Any, stride: int = 1) -> Any:
    layout = ("NHWC", "HWIO", "NHWC")
    strides = (stride, stride)
    return lax.conv_general_dilated(x[None], kernel, strides, "SAME", dimension_numbers=layout)[0]


def _pool(x: Any, kernel: int = 2, padding: str = "VALID") -> Any:
    window = (kernel, kernel, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, (2, 2, 1), padding)


def _drawn(shapes: Sequence[tuple[int, ...]]) -> Parameters:
    """Draw weights that keep the size of what they read."""
    draw = np.random.default_rng(0)
    return [
        jnp.asarray(draw.standard_normal(s, np.float32) * math.sqrt(2 / math.prod(s[:-1])))
        for s in shapes
    ]
