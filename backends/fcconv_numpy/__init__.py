"""The reference backend: dense layers, convolutions and pools from scratch, with NumPy alone.

Every function trusts its arguments, see :class:`fcconv.backend.Backend` for what they mean.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

if TYPE_CHECKING:
    from fcconv.backend import Backend
    from fcconv.geometry import Window

Array: TypeAlias = npt.NDArray[Any]

namespace = np


def asarray(values: npt.ArrayLike) -> Array:
    """Make an array."""
    return np.asarray(values)


def dense(x: Array, weight: Array, bias: Array | None) -> Array:
    """Multiply ``x (..., I)`` with ``weight (O, I)`` and add the bias."""
    rows = _wide(x).reshape(math.prod(x.shape[:-1]), 1, x.shape[-1], 1)
    y = _product(_wide(weight)[None], rows)
    return _finish(y.reshape(*x.shape[:-1], len(weight)), bias, x.dtype)


def im2col(x: Array, window: Window) -> Array:
    """Gather the windows as columns, ``(N, C*prod(K), prod(S'))``."""
    n, c = x.shape[:2]
    columns = np.array(_windows(x, window), dtype=_native(x.dtype), order="C")
    return columns.reshape(n, c * math.prod(window.kernel), math.prod(window.output))


def conv(x: Array, weight: Array, bias: Array | None, window: Window, groups: int) -> Array:
    """Gather the windows as columns and multiply, ``(N, O, *S')``."""
    n, outputs, positions = len(x), len(weight), math.prod(window.output)
    terms = math.prod(weight.shape[1:])
    # reshape copies only where windows overlap or strides skip: a kernel that covers the whole
    # input, or one pixel, multiplies x where it lies
    columns = _windows(_wide(x), window).reshape(n, groups, terms, positions)
    y = _product(_wide(weight).reshape(groups, outputs // groups, terms), columns)
    return _finish(y.reshape(n, outputs, *window.output), bias, x.dtype, channel=1)


def conv1x1(x: Array, weight: Array, bias: Array | None) -> Array:
    """Mix channels with ``weight (O, C)``, ``(N, O, *S)``."""
    n, c, *size = x.shape
    pixels = _wide(x).reshape(n, 1, c, math.prod(size))
    y = _product(_wide(weight)[None], pixels)
    return _finish(y.reshape(n, len(weight), *size), bias, x.dtype, channel=1)


def max_pool(x: Array, window: Window) -> Array:
    """Take the maximum of each window; padding never wins."""
    lowest = np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf
    return _finish(_pool(np.maximum, _pad(_wide(x), window, lowest), window), None, x.dtype)


def avg_pool(x: Array, window: Window, count: npt.NDArray[np.int64]) -> Array:
    """Divide the sum of each window by its count."""
    total = _pool(np.add, _pad(_wide(x), window, 0), window)
    return _finish(np.divide(total, count.astype(total.dtype), out=total), None, x.dtype)


def matmul(a: Array, b: Array) -> Array:
    """Multiply stacks of matrices."""
    product: Array = _wide(a) @ _wide(b)
    return product.astype(_native(a.dtype), copy=False)


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
    total: Array = _wide(x).sum(axis=tuple(axes), keepdims=True)
    return total.astype(_native(x.dtype), copy=False)


def reduce_max(x: Array, axes: Sequence[int]) -> Array:
    """Take the maximum over axes, which stay with length 1."""
    highest: Array = x.max(axis=tuple(axes), keepdims=True)
    return highest


def _native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype.newbyteorder("=")


def _wide(x: Array) -> Array:
    """Convert to the dtype to compute in: native byte order, and float32 for two-byte floats."""
    narrow = x.dtype.itemsize == 2 and x.dtype.kind not in "iu"
    return x.astype(np.float32 if narrow else _native(x.dtype), copy=False)


def _finish(y: Array, bias: Array | None, dtype: np.dtype[Any], channel: int = -1) -> Array:
    """Add the bias along the axis `channel` of `y`, in place, and convert to the result's dtype."""
    if bias is not None:
        y += _wide(bias).reshape(-1, *(1,) * (y.ndim - 1 - channel % y.ndim))
    return y.astype(_native(dtype), copy=False)


def _pad(x: Array, window: Window, value: float) -> Array:
    if not any(map(any, window.padding)):
        return x
    return np.pad(x, [(0, 0), (0, 0), *window.padding], constant_values=value)


def _windows(x: Array, window: Window) -> Array:
    """View the padded input as ``(N, C, *K, *S')``."""
    rank = len(window.kernel)
    padded = _pad(x, window, 0)
    view = sliding_window_view(padded, window.extent, axis=tuple(range(2, 2 + rank)))
    steps = [slice(None, None, step) for step in (*window.stride, *window.dilation)]
    strided = view[:, :, *steps]
    return strided.transpose(0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank))


def _product(weight: Array, columns: Array) -> Array:
    """Multiply ``weight (G, O/G, I)`` with ``columns (N, G, I, P)``, ``(N, G, O/G, P)``."""
    if columns.shape[-1] == 1:  # one position: the batch takes its place, so that each product
        # reads the weight once and not once an image; rows @ weight.T can be several times slower
        products: Array = weight @ columns[..., 0].transpose(1, 2, 0)
        return products.transpose(2, 0, 1)[..., None]
    return weight @ columns


def _pool(reduce: Callable[..., Array], x: Array, window: Window) -> Array:
    """Reduce each window, one axis after the other: sum(K) passes instead of prod(K)."""
    for axis, kernel in enumerate(window.kernel):
        stride, dilation = window.stride[axis], window.dilation[axis]
        span = (window.output[axis] - 1) * stride + 1
        taps = (
            x[(slice(None),) * (2 + axis) + (slice(a, a + span, stride),)]
            for a in range(0, kernel * dilation, dilation)
        )
        first = next(taps).copy()
        x = functools.reduce(lambda total, tap: reduce(total, tap, out=total), taps, first)
    return x


if TYPE_CHECKING:
    import fcconv_numpy

    _: Backend[Array] = fcconv_numpy
