"""Dense layers and convolutions: checked here, then handed to the backend of the arrays.

Layout is channels first: ``x (N, C, *S)`` with a batch, channels and one to three spatial axes.
Convolution means cross-correlation (the kernel is not flipped), as in every deep learning library.

Computation follows the library of the arrays; results stay in it, on their device, in their dtype
(in native byte order). Integers are computed exactly, modulo 2**bits as in NumPy; float16 and
bfloat16 are accumulated in float32 and rounded once.
"""

from __future__ import annotations

from typing import Any, cast

from fcconv import geometry
from fcconv.backend import Array, ArrayT
from fcconv.checks import (
    Shape,
    annotate_errors,
    cache_by_shape,
    check_arrays,
    check_bias,
    check_channels,
    check_ndim,
    check_spatial,
    shape_of,
)
from fcconv.errors import ShapeError
from fcconv.geometry import Ints, Padding, Window


@annotate_errors
def dense(x: ArrayT, weight: ArrayT, bias: ArrayT | None = None) -> ArrayT:
    """Apply a dense (fully connected) layer to the last axis.

    Parameters
    ----------
    x : array, shape (..., I)
        Input features; at least one axis.
    weight : array, shape (O, I)
        One row per output feature; same library and dtype as `x`.
    bias : array, shape (O,), optional
        Added to each output feature; same library and dtype as `x`.

    Returns
    -------
    array, shape (..., O)
        ``x @ weight.T + bias``, in the dtype of `x`.

    Raises
    ------
    ShapeError
        If shapes do not fit each other.
    DtypeError
        If a dtype is neither integer nor real floating point, or the dtypes differ.
    BackendError
        If an argument is not an array of a backend's library, or two are of different ones.

    Examples
    --------
    >>> import numpy as np
    >>> dense(np.array([1, 2]), np.array([[3, 4], [5, 6], [7, 8]]), np.array([0, 0, 1]))
    array([11, 17, 24])
    """
    backend = check_arrays(x=x, weight=weight, bias=bias)
    _check_dense(shape_of(x), shape_of(weight), _shape(bias))
    return backend.dense(x, weight, bias)


@cache_by_shape
def _check_dense(x: Shape, weight: Shape, bias: Shape | None) -> None:
    check_ndim("x", x, "(..., I)", at_least=1)
    check_ndim("weight", weight, "(O, I)", exactly=2)
    if x[-1] != weight[1]:
        raise ShapeError(f"x has {x[-1]} features in its last axis, but weight reads {weight[1]}")
    check_bias(bias, weight[0])


@annotate_errors
def conv(
    x: ArrayT,
    weight: ArrayT,
    bias: ArrayT | None = None,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> ArrayT:
    """Convolve in one to three spatial axes.

    Parameters
    ----------
    x : array, shape (N, C, *S)
        Input, channels first.
    weight : array, shape (O, C / groups, *K)
        One kernel per output channel; same library and dtype as `x`.
    bias : array, shape (O,), optional
        Added to each output channel; same library and dtype as `x`.
    stride : int or sequence of int
        Input pixels from one window to the next, for all axes or per axis.
    padding : int, sequence of int or of (int, int), "valid" or "same"
        Zeros around the input: for all axes, per axis, or ``(before, after)`` per axis. "same"
        gives ``ceil(S / stride)`` windows, an odd pixel goes after the input.
    dilation : int or sequence of int
        Input pixels from one sample of a window to the next, for all axes or per axis.
    groups : int
        Parts of the channels that are convolved apart; divides C and O.

    Returns
    -------
    array, shape (N, O, *S')
        With ``S' = floor((S + before + after - dilation * (K - 1) - 1) / stride) + 1``, where
        before and after are the padding of the axis.

    Raises
    ------
    ShapeError
        If shapes do not fit each other, or the kernel exceeds the padded input.
    ArgumentError
        If another argument is out of range, or of a wrong type.
    DtypeError
        If a dtype is neither integer nor real floating point, or the dtypes differ.
    BackendError
        If an argument is not an array of a backend's library, or two are of different ones.

    Notes
    -----
    The NumPy backend gathers windows as columns and multiplies (Chellapilla, Puri & Simard,
    *High performance convolutional neural networks for document processing*, 2006, section 3.1);
    the JAX backend calls ``lax.conv_general_dilated``, or on a CPU a product or shifted sums where
    they were measured to be faster; the PyTorch backend calls ``torch.nn.functional.conv2d``, or a
    product where the kernel covers the input. Under JAX and PyTorch float32 means float32, unless
    ``jax.default_matmul_precision`` or ``torch.set_float32_matmul_precision`` say otherwise.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(9).reshape(1, 1, 3, 3)
    >>> conv(x, np.array([[[[1, 0], [0, 1]]]]))
    array([[[[ 4,  6],
             [10, 12]]]])
    >>> conv(x, np.ones((1, 1, 3, 3), int), padding="same", stride=2).shape
    (1, 1, 2, 2)
    """
    backend = check_arrays(x=x, weight=weight, bias=bias)
    shapes = shape_of(x), shape_of(weight), _shape(bias)
    window, groups = _conv_window(
        *shapes, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    return backend.conv(x, weight, bias, window, groups)


@cache_by_shape
def _conv_window(
    x: Shape,
    weight: Shape,
    bias: Shape | None,
    *,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    groups: int,
) -> tuple[Window, int]:
    check_spatial(x)
    check_ndim("weight", weight, "(O, C/groups, *K) for x (N, C, *S)", exactly=len(x))
    groups = check_channels("x", x[1], weight, groups)
    check_bias(bias, weight[0])
    return geometry.window(x[2:], weight[2:], stride, padding, dilation), groups


@annotate_errors
def conv1x1(x: ArrayT, weight: ArrayT, bias: ArrayT | None = None) -> ArrayT:
    """Mix the channels of each pixel: a convolution whose kernel is one pixel.

    Parameters
    ----------
    x : array, shape (N, C, *S)
        Input, channels first.
    weight : array, shape (O, C) or (O, C, 1, ...)
        One row per output channel, with or without the axes of the kernel; same library and dtype
        as `x`.
    bias : array, shape (O,), optional
        Added to each output channel; same library and dtype as `x`.

    Returns
    -------
    array, shape (N, O, *S)
        In the dtype of `x`.

    Raises
    ------
    ShapeError
        If shapes do not fit each other, or the kernel is larger than one pixel.
    DtypeError
        If a dtype is neither integer nor real floating point, or the dtypes differ.
    BackendError
        If an argument is not an array of a backend's library, or two are of different ones.

    Examples
    --------
    >>> import numpy as np
    >>> conv1x1(np.array([[[1, 2], [3, 4]]]), np.array([[1, 10]]))
    array([[[31, 42]]])
    """
    backend = check_arrays(x=x, weight=weight, bias=bias)
    _check_conv1x1(shape_of(x), shape_of(weight), _shape(bias))
    matrix = cast("Any", weight).reshape(weight.shape[:2])
    return backend.conv1x1(x, matrix, bias)


@cache_by_shape
def _check_conv1x1(x: Shape, weight: Shape, bias: Shape | None) -> None:
    check_spatial(x)
    ones = (1,) * (len(x) - 2)
    if len(weight) < 2 or weight[2:] not in ((), ones):
        needed = ", ".join(("O", "C", *map(str, ones)))
        raise ShapeError(f"weight needs the shape (O, C) or ({needed}), got {weight}")
    check_channels("x", x[1], weight)
    check_bias(bias, weight[0])


@annotate_errors
def im2col(
    x: ArrayT,
    kernel: Ints,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
) -> ArrayT:
    """Gather the windows of a convolution as the columns of a matrix.

    A convolution is then the matrix product of ``weight.reshape(O, C*prod(K))`` and the columns.

    Parameters
    ----------
    x : array, shape (N, C, *S)
        Input, channels first.
    kernel : int or sequence of int
        Samples that the window reads, for all axes or per axis.
    stride, padding, dilation
        As in :func:`conv`.

    Returns
    -------
    array, shape (N, C * prod(K), prod(S'))
        A new array in the dtype of `x`, rows and columns in the order of
        ``torch.nn.functional.unfold``: channel first, then the kernel's axes; windows row by row.

    Raises
    ------
    ShapeError
        If shapes do not fit each other, or the kernel exceeds the padded input.
    ArgumentError
        If another argument is out of range, or of a wrong type.
    DtypeError
        If the dtype is neither integer nor real floating point.
    BackendError
        If `x` is not an array of a backend's library.

    Examples
    --------
    >>> import numpy as np
    >>> im2col(np.arange(4).reshape(1, 1, 4), 2)
    array([[[0, 1, 2],
            [1, 2, 3]]])
    """
    backend = check_arrays(x=x)
    shape = shape_of(x)
    check_spatial(shape)
    window = geometry.window(shape[2:], kernel, stride, padding, dilation)
    return backend.im2col(x, window)


def _shape(bias: Array | None) -> Shape | None:
    return None if bias is None else shape_of(bias)
