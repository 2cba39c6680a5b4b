"""From dense weights to kernels and back: weights are moved, never recomputed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fcconv import geometry
from fcconv.backend import ArrayT
from fcconv.checks import annotate_errors, check_arrays, check_channels, check_ndim, shape_of
from fcconv.errors import ArgumentError, ShapeError
from fcconv.geometry import Ints, Padding, Window

_LAYOUTS = {1: "CW", 2: "CHW", 3: "CDHW"}


@annotate_errors
def dense_to_conv(weight: ArrayT, shape: Sequence[int], order: str = "CHW") -> ArrayT:
    """Turn the weight of a dense layer into a kernel that covers the layer's whole input.

    Parameters
    ----------
    weight : array, shape (O, prod(shape))
        Weight of a dense layer that reads a flattened block.
    shape : sequence of int, (C, *S)
        Shape of the block, channels first, with one to three spatial axes, whatever the order in
        which it was flattened.
    order : str
        How the block was flattened: its axes from the slowest to the fastest, any permutation of
        "CW", "CHW" or "CDHW". "CHW" is that of PyTorch and ONNX, "HWC" that of Keras; in one and
        three axes the default stands for "CW" and "CDHW".

    Returns
    -------
    array, shape (O, C, *S)
        A new array with the same weights. ``conv(x, kernel)`` equals
        ``dense(flattened x, weight)`` for every ``x (N, C, *S)``.

    Raises
    ------
    ShapeError
        If `shape` does not fit the weight.
    ArgumentError
        If `order` is not an order of its axes.
    DtypeError
        If the dtype is neither integer nor real floating point.
    BackendError
        If `weight` is not an array of a backend's library.

    Examples
    --------
    >>> import numpy as np
    >>> dense_to_conv(np.array([[1, 2, 3, 4]]), (2, 1, 2), order="HWC")
    array([[[[1, 3]],
    <BLANKLINE>
            [[2, 4]]]])
    """
    backend = check_arrays(weight=weight)
    check_ndim("weight", weight.shape, "(O, I)", exactly=2)
    shape = _block(shape)
    layout = _LAYOUTS[len(shape) - 1]
    if not isinstance(order, str):
        raise ArgumentError(f"order needs a string such as {layout!r}, got {order!r}")
    if order == "CHW":  # the default: channels first in any number of axes
        order = layout
    if sorted(order) != sorted(layout):
        raise ArgumentError(f"order needs each letter of {layout!r} once, got {order!r}")
    if weight.shape[1] != math.prod(shape):
        raise ShapeError(
            f"weight reads {weight.shape[1]} features, but a block of shape {shape} has "
            f"{math.prod(shape)}"
        )
    flattened = [shape[layout.index(axis)] for axis in order]
    back = [1 + order.index(axis) for axis in layout]
    xp = backend.namespace
    block = xp.reshape(weight, (weight.shape[0], *flattened))
    return backend.copy(xp.transpose(block, (0, *back)))


@annotate_errors
def dense_to_conv1x1(weight: ArrayT, rank: int = 2) -> ArrayT:
    """Turn the weight of a dense layer into a 1x1 kernel: its features become channels.

    Parameters
    ----------
    weight : array, shape (O, I)
        Weight of a dense layer.
    rank : int
        Number of spatial axes, 1 to 3.

    Returns
    -------
    array, shape (O, I, 1, ...)
        A new array with the same weights and `rank` axes of one pixel.

    Raises
    ------
    ShapeError
        If `weight` has not two axes.
    ArgumentError
        If `rank` is out of range.
    DtypeError
        If the dtype is neither integer nor real floating point.
    BackendError
        If `weight` is not an array of a backend's library.

    Examples
    --------
    >>> import numpy as np
    >>> dense_to_conv1x1(np.ones((10, 64))).shape
    (10, 64, 1, 1)
    """
    backend = check_arrays(weight=weight)
    check_ndim("weight", weight.shape, "(O, I)", exactly=2)
    rank = geometry.integer(rank, "rank", 1)
    if rank > 3:
        raise ArgumentError(f"rank needs 1, 2 or 3 spatial axes, got {rank}")
    return backend.copy(backend.namespace.reshape(weight, (*weight.shape, *(1,) * rank)))


@annotate_errors
def conv_to_dense(
    weight: ArrayT,
    shape: Sequence[int],
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> ArrayT:
    """Write a convolution as the matrix of a dense layer.

    Parameters
    ----------
    weight : array, shape (O, C / groups, *K)
        Kernel of the convolution.
    shape : sequence of int, (C, *S)
        Shape of the convolution's input, without the batch.
    stride, padding, dilation, groups
        As in :func:`fcconv.conv`.

    Returns
    -------
    array, shape (O * prod(S'), C * prod(S))
        Weights and zeros; ``dense(x.reshape(N, -1), matrix)`` equals ``conv(x, weight, ...)``,
        flattened channels first. It is sparse but stored whole, and while it is made it takes
        some 16 bytes an entry more.

    Raises
    ------
    ShapeError
        If shapes do not fit each other, or the kernel exceeds the padded input.
    ArgumentError
        If another argument is out of range, or of a wrong type.
    DtypeError
        If the dtype is neither integer nor real floating point.
    BackendError
        If `weight` is not an array of a backend's library.

    Examples
    --------
    >>> import numpy as np
    >>> conv_to_dense(np.array([[[1, 2]]]), (1, 4), stride=2)
    array([[1, 2, 0, 0],
           [0, 0, 1, 2]])
    """
    backend = check_arrays(weight=weight)
    shape = _block(shape)
    check_ndim(
        "weight", weight.shape, "(O, C/groups, *K) for shape (C, *S)", exactly=len(shape) + 1
    )
    groups = check_channels("shape", shape[0], weight.shape, groups)
    window = geometry.window(shape[1:], weight.shape[2:], stride, padding, dilation)
    index = _matrix_index(shape_of(weight), shape, window, groups)
    xp = backend.namespace
    flat = xp.reshape(backend.copy(weight), (math.prod(weight.shape),))
    matrix: ArrayT = xp.take(xp.pad(flat, [(0, 1)]), index, axis=0)
    return matrix


def _block(shape: Sequence[int]) -> tuple[int, ...]:
    """Check the shape ``(C, *S)`` of a block."""
    if isinstance(shape, str) or not isinstance(shape, Sequence) or not 2 <= len(shape) <= 4:
        raise ShapeError(f"shape needs (C, *S) with one to three spatial axes, got {shape!r}")
    return tuple(geometry.integer(n, "shape", 1) for n in shape)


def _matrix_index(
    weight_shape: tuple[int, ...], shape: tuple[int, ...], window: Window, groups: int
) -> npt.NDArray[np.intp]:
    """Say which weight stands at each entry of the matrix; ``weight.size`` where none does."""
    outputs, per_group = weight_shape[:2]
    channel = np.arange(shape[0])
    group = np.arange(outputs) // (outputs // groups)
    row = np.arange(outputs)[:, None] * per_group + channel % per_group
    index = np.where(group[:, None] == channel // per_group, row, -1)  # (O, C)
    for axis, size in enumerate(shape[1:]):
        kernel, dilation = window.kernel[axis], window.dilation[axis]
        first = np.arange(window.output[axis]) * window.stride[axis] - window.padding[axis][0]
        tap, rest = np.divmod(np.arange(size) - first[:, None], dilation)  # (S', S)
        read = (rest == 0) & (tap >= 0) & (tap < kernel)
        outer = index[:, None, :, None]
        index = np.where((outer >= 0) & read[:, None, :], outer * kernel + tap[:, None, :], -1)
        rows, cells, columns, _ = index.shape
        index = index.reshape(rows * cells, columns * size)
    return np.where(index < 0, math.prod(weight_shape), index)
