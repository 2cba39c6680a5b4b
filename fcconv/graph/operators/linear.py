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
from fcconv.graph.rules.features import ELSEWHERE
from fcconv.graph.rules.join import along_channels
from fcconv.graph.rules.layer import Layer
from fcconv.graph.rules.slider import window_attributes
from fcconv.graph.rules.values import Constant, Slid, flatten_order
from fcconv.graph.rules.writer import dtype_of

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx_ir as ir

    from fcconv.backend import Backend
    from fcconv.graph.node import Node
    from fcconv.graph.rules.slider import Slider


LARGEST_KERNEL = 2**24
"""Most numbers of a kernel that repeats a weight."""


def _gemm(backend: Backend[Any], node: Node, a: Any, b: Any, c: Any = None) -> Any:
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


def _matmul(backend: Backend[Any], _node: Node, a: Any, b: Any) -> Any:
    inner = b.shape[-2] if b.ndim > 1 else b.shape[0]
    if a.shape[-1] != inner:
        raise ShapeError(f"the shapes {a.shape} and {b.shape} do not fit")
    return backend.matmul(a, b)


def _slide_gemm(
    slider: Slider, node: Node, a: Slid, b: Constant, c: Constant | None = None
) -> Slid:
    if node.attribute("transA", 0) or len(a.shape) != 2:
        raise node.unsupported(f"its input of shape {a.shape} must be one row per image")
    if len(b.shape) != 2:
        raise ShapeError(f"its weight of shape {b.shape} is not a matrix")
    matrix = b.array if node.attribute("transB", 0) else b.array.T
    if matrix.shape[1] != a.shape[1]:
        raise ShapeError(f"{a.shape[1]} features do not fit a weight of {b.shape}")
    alpha = node.attribute("alpha", 1.0)  # beta is folded into C by then
    if c is None:
        return _times(slider, node, _write_rows(slider, node, a, b.shape, matrix), alpha, "/alpha")
    bias = _as_bias(c, len(matrix))
    if bias is None:
        raise node.unsupported(f"its C of shape {c.shape} is not a bias, one entry per output")
    if alpha == 1:
        return _write_rows(slider, node, a, b.shape, matrix, bias)
    product = _write_rows(slider, node, a, b.shape, matrix)
    scaled = _times(slider, node, product, alpha, "/alpha")
    addend = along_channels(slider, node, scaled, bias)
    return replace(scaled, tensor=slider.emit(node, "Add", [scaled.tensor, addend], None, "/add"))


def _as_bias(c: Constant, outputs: int) -> Constant | None:
    """Spread a Gemm's C over its outputs; keep it where it already is one entry an output."""
    if c.shape == (outputs,):
        return c
    if math.prod(c.shape) != 1 and c.shape != (1, outputs):
        return None
    return Constant(np.broadcast_to(c.array.ravel(), (outputs,)))


def _times(slider: Slider, node: Node, x: Slid, factor: float, suffix: str) -> Slid:
    if factor == 1:
        return x
    value = slider.constant(np.array(factor, dtype_of(x.tensor)), node.name + suffix)
    return replace(x, tensor=slider.emit(node, "Mul", [x.tensor, value], None, suffix))


def _slide_matmul(slider: Slider, node: Node, a: Slid | Constant, b: Slid | Constant) -> Slid:
    if not isinstance(a, Slid) or not isinstance(b, Constant):
        raise node.unsupported(
            "it multiplies two values that depend on the pixels, as attention does, or a weight "
            "from the left: windows can't share it; score crops in batches instead"
        )
    weight = b.array[(0,) * (len(b.shape) - 2)]  # (1, I, O), say, if it is longer than a matrix
    if len(b.shape) > max(len(a.shape), 2) or weight.ndim != 2 or weight.size != b.array.size:
        raise node.unsupported(f"its weight of shape {b.shape} is not one matrix for all rows")
    if a.shape[-1] != len(weight):
        raise ShapeError(f"the shapes {a.shape} and {b.shape} do not fit")
    return _write_rows(slider, node, a, b.shape, weight.T)


def _write_rows(
    slider: Slider,
    node: Node,
    x: Slid,
    shape: tuple[int, ...],
    matrix: npt.NDArray[Any],
    bias: Constant | None = None,
) -> Slid:
    """Write a dense layer over the last axis: over all of a block, pixel by pixel, or row by row.

    The parameters are those of :func:`write_dense`.
    """
    last, made = len(x.shape) - 1, (*x.shape[:-1], len(matrix))
    if math.prod(x.shape[:-1]) == slider.batch:  # one row per image
        return slider.reshaped(write_dense(slider, node, x, shape, matrix, bias), made)

    def emit(tensor: ir.Value) -> ir.Value:
        return _write_pixelwise(slider, node, tensor, shape, matrix, bias)

    pixels = slider.along_channels(node, x, [last], emit, [len(matrix)])
    return pixels or _row_by_row(slider, node, x, matrix, bias)


def _row_by_row(
    slider: Slider, node: Node, x: Slid, matrix: npt.NDArray[Any], bias: Constant | None
) -> Slid:
    """Apply a dense layer to each row of features, as groups of one 1x1 convolution."""
    rows = math.prod(x.shape[:-1]) // slider.batch
    if rows * matrix.size > LARGEST_KERNEL:
        raise node.unsupported(
            f"its weight would be written {rows} times, once for each row of features that a "
            f"window has for itself; {ELSEWHERE}"
        )
    own = slider.features(node, x, x.shape, "has rows that are not pixels")
    outputs, inputs = matrix.shape
    kernel = np.tile(matrix, (rows, 1)).reshape(rows * outputs, inputs, *(1,) * len(x.axes))
    written = [own.tensor, slider.constant(kernel, f"{node.name}/rows")]
    if bias is not None:
        written.append(slider.constant(np.tile(bias.array, rows), f"{node.name}/bias"))
    tensor = slider.emit(node, "Conv", written, {"group": rows})
    slider.layers.append(Layer(node.name, "1x1", (inputs, outputs), kernel.shape, "C"))
    shape = (slider.batch, rows * outputs)
    made = slider.map(tensor, rows * outputs, own.axes, [None] * len(own.axes), shape)
    return slider.reshaped(made, (*x.shape[:-1], outputs))


def write_dense(
    slider: Slider,
    node: Node,
    x: Slid,
    shape: tuple[int, ...],
    matrix: npt.NDArray[Any],
    bias: Constant | None = None,
) -> Slid:
    """Write a dense layer over all entries of a block as a convolution that covers it.

    Parameters
    ----------
    slider : Slider
        What writes it.
    node : Node
        The dense layer.
    x : Slid
        Its input, features in any order.
    shape : tuple of int
        Shape of its weight.
    matrix : array, shape (O, I)
        The weight, one row per output feature.
    bias : Constant, optional
        Bias of shape (O,).
    """
    slider.check_by_image(node, x)
    count = matrix.shape[1]  # entries of the first image of a batch
    if len(np.unique(x.numbers.ravel()[:count])) < count:  # one is read twice: as two features
        x = slider.features(node, x, x.shape, "reads an entry twice")
    x = slider.as_read(node, x)
    numbers = x.numbers.ravel()[:count]
    axes, slides = slider.covered(x)
    kernel = matrix
    if not np.array_equal(numbers, np.arange(x.entries)):
        kernel = np.zeros((len(matrix), x.entries), matrix.dtype)
        kernel[:, numbers] = matrix
    kernel = kernel.reshape(len(matrix), x.channels, *x.block)
    inputs = [x.tensor, slider.constant(kernel, f"{node.name}/kernel")]
    inputs += [] if bias is None else [slider.keep(bias, node)]
    tensor = slider.emit(node, "Conv", inputs, window_attributes(slides))
    method = "kernel" if math.prod(x.block) > 1 else "1x1"
    order = flatten_order(numbers, x.channels, x.block) if method == "kernel" else "C"
    slider.layers.append(Layer(node.name, method, shape, kernel.shape, order))
    shape = (slider.batch, len(matrix))
    return slider.map(tensor, len(matrix), axes, [None] * len(axes), shape)


def _write_pixelwise(
    slider: Slider,
    node: Node,
    tensor: ir.Value,
    shape: tuple[int, ...],
    matrix: npt.NDArray[Any],
    bias: Constant | None,
) -> ir.Value:
    """Write a dense layer over the channels of each pixel of a map."""
    kernel = matrix.reshape(*matrix.shape, *(1,) * len(slider.stride))
    inputs = [tensor, slider.constant(kernel, f"{node.name}/kernel")]
    inputs += [] if bias is None else [slider.keep(bias, node)]
    slider.layers.append(Layer(node.name, "1x1", shape, kernel.shape, "C"))
    return slider.emit(node, "Conv", inputs)


OPERATORS = {
    "Gemm": Operator(
        _gemm,
        _slide_gemm,
        attributes=("alpha", "beta", "transA", "transB"),
        spread=receptive.gemm,
    ),
    "MatMul": Operator(_matmul, _slide_matmul, slides_by_any=True, spread=receptive.matmul),
}
