"""Dense layers: Gemm and MatMul. They slide as convolutions that cover the block they read."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fcconv.backend import array_dtype
from fcconv.errors import ShapeError
from fcconv.graph import receptive
from fcconv.graph.operator import Operator
from fcconv.graph.rules.align import constant_for_channels
from fcconv.graph.rules.features import (
    ELSEWHERE,
    apply_to_features,
    check_by_image,
    crop_to_read,
    unfold,
    whole_map,
)
from fcconv.graph.rules.layer import Layer
from fcconv.graph.rules.maps import cover_block
from fcconv.graph.rules.values import Constant, SlidingValue, flatten_order
from fcconv.graph.rules.writing import window_attributes

if TYPE_CHECKING:
    import numpy.typing as npt

    from fcconv.backend import Backend
    from fcconv.graph.call import Call
    from fcconv.graph.rules.context import Context
    from fcconv.graph.rules.values import T


LARGEST_KERNEL = 2**24
"""Most numbers of a kernel that repeats a weight."""


def _gemm(backend: Backend[Any], node: Call, a: Any, b: Any, c: Any = None) -> Any:
    xp = backend.namespace
    if a.ndim != 2 or b.ndim != 2:
        raise ShapeError(f"it multiplies matrices, got the shapes {a.shape} and {b.shape}")
    x = xp.transpose(a) if node.attribute("transA", 0) else a
    weight = b if node.attribute("transB", 0) else xp.transpose(b)
    if x.shape[1] != weight.shape[1]:
        raise ShapeError(f"an input of {x.shape[1]} features does not fit a weight of {b.shape}")
    product = _scaled(backend, backend.dense(x, weight, None), node.attribute("alpha", 1.0))
    if c is None:
        return product
    return backend.add(product, _scaled(backend, c, node.attribute("beta", 1.0)))


def _scaled(backend: Backend[Any], x: Any, factor: float) -> Any:
    if factor == 1:
        return x
    given = array_dtype(x)
    whole = float(factor).is_integer() or given.kind not in "iu"
    dtype = given if whole else np.float64
    return backend.multiply(x, backend.asarray(np.array(factor, dtype)))


def _matmul(backend: Backend[Any], _node: Call, a: Any, b: Any) -> Any:
    inner = b.shape[-2] if b.ndim > 1 else b.shape[0]
    if a.shape[-1] != inner:
        raise ShapeError(f"the shapes {a.shape} and {b.shape} do not fit")
    return backend.matmul(a, b)


def _slide_gemm(
    context: Context[T], node: Call, a: SlidingValue[T], b: Constant, c: Constant | None = None
) -> SlidingValue[T]:
    if node.attribute("transA", 0) or len(a.shape) != 2:
        raise node.unsupported(f"its input of shape {a.shape} must be one row per image")
    if len(b.shape) != 2:
        raise ShapeError(f"its weight of shape {b.shape} is not a matrix")
    matrix = b.array if node.attribute("transB", 0) else b.array.T
    if matrix.shape[1] != a.shape[1]:
        raise ShapeError(f"{a.shape[1]} features do not fit a weight of {b.shape}")
    alpha = node.attribute("alpha", 1.0)  # beta is folded into C by then
    if c is None:
        return _times(
            context, node, _write_rows(context, node, a, b.shape, matrix), alpha, "/alpha"
        )
    bias = _as_bias(c, len(matrix))
    if bias is None:
        raise node.unsupported(f"its C of shape {c.shape} is not a bias, one entry per output")
    if alpha == 1:
        return _write_rows(context, node, a, b.shape, matrix, bias)
    product = _write_rows(context, node, a, b.shape, matrix)
    scaled = _times(context, node, product, alpha, "/alpha")
    addend = constant_for_channels(context, node, scaled, bias)
    return replace(
        scaled, tensor=context.target.emit(node, "Add", [scaled.tensor, addend], None, "/add")
    )


def _as_bias(c: Constant, outputs: int) -> Constant | None:
    """Spread a Gemm's C over its outputs; keep it where it already has one entry per output."""
    if c.shape == (outputs,):
        return c
    if math.prod(c.shape) != 1 and c.shape != (1, outputs):
        return None
    return Constant(np.broadcast_to(c.array.ravel(), (outputs,)))


def _times(
    context: Context[T], node: Call, x: SlidingValue[T], factor: float, suffix: str
) -> SlidingValue[T]:
    if factor == 1:
        return x
    value = context.target.constant(
        np.array(factor, context.target.dtype(x.tensor)), node.name + suffix
    )
    return replace(x, tensor=context.target.emit(node, "Mul", [x.tensor, value], None, suffix))


def _slide_matmul(
    context: Context[T], node: Call, a: SlidingValue[T] | Constant, b: SlidingValue[T] | Constant
) -> SlidingValue[T]:
    if not isinstance(a, SlidingValue) or not isinstance(b, Constant):
        raise node.unsupported(
            "it multiplies two values that depend on the pixels, as attention does, or a weight "
            "from the left: windows can't share it; score crops in batches instead"
        )
    weight = b.array[(0,) * (len(b.shape) - 2)]  # (1, I, O), say, if it is longer than a matrix
    if len(b.shape) > max(len(a.shape), 2) or weight.ndim != 2 or weight.size != b.array.size:
        raise node.unsupported(f"its weight of shape {b.shape} is not one matrix for all rows")
    if a.shape[-1] != len(weight):
        raise ShapeError(f"the shapes {a.shape} and {b.shape} do not fit")
    return _write_rows(context, node, a, b.shape, weight.T)


def _write_rows(
    context: Context[T],
    node: Call,
    x: SlidingValue[T],
    shape: tuple[int, ...],
    matrix: npt.NDArray[Any],
    bias: Constant | None = None,
) -> SlidingValue[T]:
    """Write a dense layer over the last axis: over all of a block, pixel by pixel, or row by row.

    The parameters are those of :func:`write_dense`.
    """
    last, made = len(x.shape) - 1, (*x.shape[:-1], len(matrix))
    if math.prod(x.shape[:-1]) == context.batch:  # one row per image
        return write_dense(context, node, x, shape, matrix, bias).reshaped(made)

    def emit(tensor: T) -> T:
        return _write_pixelwise(context, node, tensor, shape, matrix, bias)

    pixels = apply_to_features(context, node, x, [last], emit, [len(matrix)])
    return pixels or _row_by_row(context, node, x, matrix, bias)


def _row_by_row(
    context: Context[T],
    node: Call,
    x: SlidingValue[T],
    matrix: npt.NDArray[Any],
    bias: Constant | None,
) -> SlidingValue[T]:
    """Apply a dense layer to each row of features, as groups of one 1x1 convolution."""
    rows = math.prod(x.shape[:-1]) // context.batch
    if rows * matrix.size > LARGEST_KERNEL:
        raise node.unsupported(
            f"its weight would be written {rows} times, once for each row of features that a "
            f"window has for itself; {ELSEWHERE}"
        )
    own = unfold(context, node, x, x.shape, "has rows that are not pixels")
    outputs, inputs = matrix.shape
    # a group reads the features of one row, as these are rows times inputs in row-major order
    kernel = np.tile(matrix, (rows, 1)).reshape(rows * outputs, inputs, *(1,) * len(x.axes))
    written = [own.tensor, context.target.constant(kernel, f"{node.name}/rows")]
    if bias is not None:
        written.append(context.target.constant(np.tile(bias.array, rows), f"{node.name}/bias"))
    tensor = context.target.emit(node, "Conv", written, {"group": rows})
    context.layers.append(Layer(node.name, "1x1", (inputs, outputs), kernel.shape, "C"))
    shape = (context.batch, rows * outputs)
    made = whole_map(context, tensor, rows * outputs, own.axes, [None] * len(own.axes), shape)
    return made.reshaped((*x.shape[:-1], outputs))


def write_dense(
    context: Context[T],
    node: Call,
    x: SlidingValue[T],
    shape: tuple[int, ...],
    matrix: npt.NDArray[Any],
    bias: Constant | None = None,
) -> SlidingValue[T]:
    """Write a dense layer over all entries of a block as a convolution that covers it.

    Parameters
    ----------
    context : Context
        Where it is written.
    node : Call
        The dense layer.
    x : SlidingValue
        Its input, features in any order.
    shape : tuple of int
        Shape of its weight.
    matrix : array, shape (O, I)
        The weight, one row per output feature.
    bias : Constant, optional
        Bias of shape (O,).
    """
    check_by_image(context, node, x)
    count = matrix.shape[1]  # entries of the first image of a batch
    # a kernel has one weight for each entry: one that is read twice becomes two channels
    if len(np.unique(x.numbers.ravel()[:count])) < count:
        x = unfold(context, node, x, x.shape, "reads an entry twice")
    x = crop_to_read(context, node, x)
    numbers = x.numbers.ravel()[:count]
    axes, slides = cover_block(context, x)
    kernel = matrix
    if not np.array_equal(numbers, np.arange(x.entries)):
        # features go where they lie in the block; entries that are not read get weights of 0
        kernel = np.zeros((len(matrix), x.entries), matrix.dtype)
        kernel[:, numbers] = matrix
    kernel = kernel.reshape(len(matrix), x.channels, *x.block)
    inputs = [x.tensor, context.target.constant(kernel, f"{node.name}/kernel")]
    inputs += [] if bias is None else [context.target.keep(bias, node)]
    tensor = context.target.emit(node, "Conv", inputs, window_attributes(slides))
    method = "kernel" if math.prod(x.block) > 1 else "1x1"
    order = flatten_order(numbers, x.channels, x.block) if method == "kernel" else "C"
    context.layers.append(Layer(node.name, method, shape, kernel.shape, order))
    shape = (context.batch, len(matrix))
    return whole_map(context, tensor, len(matrix), axes, [None] * len(axes), shape)


def _write_pixelwise(
    context: Context[T],
    node: Call,
    tensor: T,
    shape: tuple[int, ...],
    matrix: npt.NDArray[Any],
    bias: Constant | None,
) -> T:
    """Write a dense layer over the channels of each pixel of a map."""
    kernel = matrix.reshape(*matrix.shape, *(1,) * len(context.stride))
    inputs = [tensor, context.target.constant(kernel, f"{node.name}/kernel")]
    inputs += [] if bias is None else [context.target.keep(bias, node)]
    context.layers.append(Layer(node.name, "1x1", shape, kernel.shape, "C"))
    return context.target.emit(node, "Conv", inputs)


OPERATORS = {
    "Gemm": Operator(
        _gemm,
        _slide_gemm,
        attributes=("alpha", "beta", "transA", "transB"),
        spread=receptive.gemm,
    ),
    "MatMul": Operator(_matmul, _slide_matmul, slides_by_any=True, spread=receptive.matmul),
}
