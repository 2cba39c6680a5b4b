"""Pools: the maximum or the mean of each window, in the layout of the convolutions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fcconv import geometry
from fcconv.backend import ArrayT, array_dtype
from fcconv.checks import (
    Shape,
    annotate_errors,
    cache_by_shape,
    check_arrays,
    check_flag,
    check_spatial,
    shape_of,
)
from fcconv.errors import DtypeError, ShapeError
from fcconv.geometry import Ints, Padding, Window


@annotate_errors
def max_pool(
    x: ArrayT,
    kernel: Ints,
    *,
    stride: Ints | None = None,
    padding: Padding = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
) -> ArrayT:
    """Take the maximum of each window; padding never wins, NaN always does.

    Parameters
    ----------
    x : array, shape (N, C, *S)
        Input, channels first; an image without a batch would be read as a batch of lines.
    kernel : int or sequence of int
        Samples that the window reads, for all axes or per axis.
    stride : int or sequence of int, optional
        Input pixels from one window to the next; the kernel, if left out.
    padding, dilation
        As in :func:`fcconv.conv`.
    ceil_mode : bool
        Whether a last window may overhang the padded input, if it starts inside the input or the
        padding before it.

    Returns
    -------
    array, shape (N, C, *S')
        In the dtype of `x`.

    Raises
    ------
    ShapeError
        If the kernel exceeds the padded input, or a window reads padding only.
    ArgumentError
        If another argument is out of range, or of a wrong type.
    DtypeError
        If the dtype is neither integer nor real floating point.
    BackendError
        If `x` is not an array of a backend's library.

    Examples
    --------
    >>> import numpy as np
    >>> max_pool(np.array([[[1, 4, 2, 8, 5]]]), 2, ceil_mode=True)
    array([[[4, 8, 5]]])
    """
    backend = check_arrays(x=x)
    check_spatial(shape_of(x))
    check_flag("ceil_mode", ceil_mode)
    window, _ = _moves(
        shape_of(x)[2:],
        kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
        count_include_pad=False,
    )
    return backend.max_pool(x, window)


@annotate_errors
def avg_pool(
    x: ArrayT,
    kernel: Ints,
    *,
    stride: Ints | None = None,
    padding: Padding = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
) -> ArrayT:
    """Take the mean of each window.

    Parameters
    ----------
    x : array, shape (N, C, *S)
        Input, channels first, of a floating point dtype; an image without a batch would be read
        as a batch of lines.
    kernel : int or sequence of int
        Samples that the window reads, for all axes or per axis.
    stride : int or sequence of int, optional
        Input pixels from one window to the next; the kernel, if left out.
    padding, dilation
        As in :func:`fcconv.conv`.
    ceil_mode : bool
        Whether a last window may overhang the padded input, if it starts inside the input or the
        padding before it. The overhang is never counted.
    count_include_pad : bool
        Whether the mean counts the zeros of `padding`.

    Returns
    -------
    array, shape (N, C, *S')
        In the dtype of `x`.

    Raises
    ------
    ShapeError
        If the kernel exceeds the padded input, or a window has nothing to count.
    ArgumentError
        If another argument is out of range, or of a wrong type.
    DtypeError
        If the dtype is not real floating point: the mean of integers is not an integer.
    BackendError
        If `x` is not an array of a backend's library.

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool(np.array([[[1.0, 3.0, 5.0]]]), 2, stride=1, padding=(1,))
    array([[[1., 2., 4., 5.]]])
    """
    backend = check_arrays(x=x)
    if array_dtype(x).kind in "iu":
        raise DtypeError(
            "the mean of integers is not an integer: convert x to a floating point dtype"
        )
    check_spatial(shape_of(x))
    check_flag("ceil_mode", ceil_mode)
    check_flag("count_include_pad", count_include_pad)
    window, counts = _moves(
        shape_of(x)[2:],
        kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
    )
    return backend.avg_pool(x, window, _outer(counts))


@cache_by_shape
def _moves(
    size: Shape,
    kernel: Ints,
    *,
    stride: Ints | None,
    padding: Padding,
    dilation: Ints,
    ceil_mode: bool,
    count_include_pad: bool,
) -> tuple[Window, list[list[int]]]:
    """Work out how a pool moves, and what its windows count along each axis."""
    stride = kernel if stride is None else stride
    window = geometry.window(size, kernel, stride, padding, dilation, ceil_mode=ceil_mode)
    counted = [(0, n) for n in size]
    if count_include_pad:  # the padding that was asked for, without the overhang
        pads = geometry.window(size, kernel, stride, padding, dilation).padding
        counted = [(-before, n + after) for n, (before, after) in zip(size, pads, strict=True)]
    return window, _tap_counts(window, counted)


def count_samples(window: Window, counted: list[tuple[int, int]]) -> npt.NDArray[np.int64]:
    """Count the samples of each window between ``(start, stop)`` an axis, ``(*S')``.

    Raises
    ------
    ShapeError
        If a window has none.
    """
    return _outer(_tap_counts(window, counted))


def _tap_counts(window: Window, counted: list[tuple[int, int]]) -> list[list[int]]:
    axes = [geometry.tap_counts(window, axis, *span) for axis, span in enumerate(counted)]
    for axis, taps in enumerate(axes):
        if 0 in taps:
            raise ShapeError(
                f"window {taps.index(0)} of spatial axis {axis} reads padding only: take less "
                f"padding or dilation than {window.padding[axis]} and {window.dilation[axis]}"
            )
    return axes


def _outer(counts: list[list[int]]) -> npt.NDArray[np.int64]:
    product = np.ones((), np.int64)
    for taps in counts:
        product = product[..., None] * np.array(taps, np.int64)
    return product
