"""The reference backend: dense layers, convolutions and pools from scratch, with NumPy alone.

Every function trusts its arguments, see :class:`fcconv.backend.Backend` for what they mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fcconv_numpy.columns import gather
from fcconv_numpy.convolution import convolve, moves_nothing
from fcconv_numpy.dtypes import Array, native, wide
from fcconv_numpy.plan import MAX_TILE_BYTES, OutputTile
from fcconv_numpy.pooling import pool
from fcconv_numpy.products import matrix_product, product
from fcconv_numpy.threads import blas_threads, single_threaded_blas

if TYPE_CHECKING:
    from fcconv.backend import ArrayBackend
    from fcconv.geometry import Window

namespace = np

compiles = False


def asarray(values: npt.ArrayLike) -> Array:
    """Make an array."""
    return np.asarray(values)


def running_network() -> AbstractContextManager[None]:
    """Hold BLAS to one thread: its idle ones would spin on the cores of worker threads."""
    return single_threaded_blas()


def dense(x: Array, weight: Array, bias: Array | None) -> Array:
    """Multiply ``x (..., I)`` with ``weight (O, I)`` and add the bias."""
    outputs, terms = weight.shape
    rows = wide(x).reshape(math.prod(x.shape[:-1]), 1, terms, 1)
    y = product(wide(weight)[None], rows, _column(bias, 1), native(x.dtype))
    return y.reshape(*x.shape[:-1], outputs)


def im2col(x: Array, window: Window) -> Array:
    """Gather the windows as columns, ``(N, C*prod(K), prod(S'))``."""
    n, c = x.shape[:2]
    columns = np.empty((n, c, *window.kernel, *window.output), native(x.dtype))
    every = tuple((0, count) for count in window.output)
    for image in range(n):  # gather puts the images of a tile side by side, so one at a time
        target = columns[image].reshape(1, c, *window.kernel, 1, *window.output)
        gather(target, x[:, None], window, OutputTile((image, image + 1), (0, 1), every))
    return columns.reshape(n, c * math.prod(window.kernel), math.prod(window.output))


def conv(x: Array, weight: Array, bias: Array | None, window: Window, groups: int) -> Array:
    """Convolve, ``(N, O, *S')``, as one product on `x` where it lies, or by gathering windows."""
    n, outputs, terms = len(x), len(weight), math.prod(weight.shape[1:])
    rows, shift = wide(weight).reshape(groups, outputs // groups, terms), _column(bias, groups)
    if moves_nothing(window, x.shape[2:]):
        columns = wide(x).reshape(n, groups, terms, math.prod(window.output))
        y = product(rows, columns, shift, native(x.dtype))
    else:
        channels = x.reshape(n, groups, x.shape[1] // groups, *x.shape[2:])
        y = convolve(channels, rows, shift, window)
    return y.reshape(n, outputs, *window.output)


def conv1x1(x: Array, weight: Array, bias: Array | None) -> Array:
    """Mix channels with ``weight (O, C)``, ``(N, O, *S)``."""
    n, c, *size = x.shape
    pixels = wide(x).reshape(n, 1, c, math.prod(size))
    y = product(wide(weight)[None], pixels, _column(bias, 1), native(x.dtype))
    return y.reshape(n, len(weight), *size)


def max_pool(x: Array, window: Window) -> Array:
    """Take the maximum of each window; padding never wins."""
    lowest = np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf
    return pool(np.maximum, x, window, lowest, None)


def avg_pool(x: Array, window: Window, count: npt.NDArray[np.int64]) -> Array:
    """Divide the sum of each window by its count."""
    return pool(np.add, x, window, 0, count)


def matmul(a: Array, b: Array) -> Array:
    """Multiply stacks of matrices."""
    return matrix_product(wide(a), wide(b)).astype(native(a.dtype), copy=False)


def add(a: Array, b: Array) -> Array:
    """Add, with broadcasting."""
    return np.add(a, b)


def subtract(a: Array, b: Array) -> Array:
    """Subtract, with broadcasting."""
    return np.subtract(a, b)


def multiply(a: Array, b: Array) -> Array:
    """Multiply entry by entry, with broadcasting."""
    return np.multiply(a, b)


def divide(a: Array, b: Array) -> Array:
    """Divide, with broadcasting; integers towards zero."""
    if a.dtype.kind not in "iu":
        return np.divide(a, b)
    quotient: Array = np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))
    return quotient


def elementwise(_key: str, function: Callable[..., Array], *xs: Array) -> Array:
    """Apply ``function(numpy, *xs)``."""
    return function(np, *xs)


def along(_key: str, function: Callable[..., Array], x: Array, _axis: int) -> Array:
    """Apply ``function(numpy, x)``."""
    return function(np, x)


def reduce_sum(x: Array, axes: Sequence[int]) -> Array:
    """Sum over axes, which stay with length 1."""
    total: Array = wide(x).sum(axis=tuple(axes), keepdims=True)
    return total.astype(native(x.dtype), copy=False)


def reduce_max(x: Array, axes: Sequence[int]) -> Array:
    """Take the maximum over axes, which stay with length 1."""
    highest: Array = x.max(axis=tuple(axes), keepdims=True)
    return highest


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function: it is computed call by call."""
    return function


def as_library(network: Any) -> Any:
    """Return the network."""
    return network


def copy(array: Array) -> Array:
    """Copy an array into native byte order, in C order."""
    return array.astype(native(array.dtype), order="C")


def dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype."""
    return dtype


def owns(kind: type) -> bool:
    """Say whether arrays of a type are NumPy's; masked ones and matrices would be wrong as such."""
    return issubclass(kind, np.ndarray) and not issubclass(kind, np.ma.MaskedArray | np.matrix)


def device(_array: Array) -> str:
    """Return nothing: there is only the CPU."""
    return ""


def on_device(_name: str) -> AbstractContextManager[None]:
    """Change nothing."""
    return nullcontext()


def is_deleted(_array: Array) -> bool:
    """Say no: an array keeps its numbers."""
    return False


def to_numpy(array: Array) -> Array:
    """Return the array."""
    return array


def missing_dtype(_dtype: np.dtype[Any]) -> str:
    """Say nothing: every dtype is there."""
    return ""


def double_precision() -> AbstractContextManager[None]:
    """Change nothing: arrays can always be float64."""
    return nullcontext()


def without_gradients() -> AbstractContextManager[None]:
    """Change nothing: there are no gradients."""
    return nullcontext()


def column_bytes() -> int | None:
    """Return the bytes of the columns that all threads gather, and of the pixels beside them."""
    return 2 * MAX_TILE_BYTES * blas_threads()


def erf(x: Array) -> Array:
    """Apply the error function."""
    values: Array = np.vectorize(math.erf, otypes=[x.dtype])(x)
    return values


def _column(bias: Array | None, groups: int) -> Array | None:
    """Arrange a bias ``(O,)`` beside a product, ``(G, O/G, 1)``."""
    return None if bias is None else wide(bias).reshape(groups, len(bias) // groups, 1)


if TYPE_CHECKING:
    import fcconv_numpy

    _: ArrayBackend[Array] = fcconv_numpy
