"""Dense layers: Gemm and MatMul. They slide as convolutions that cover the block they read."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fcconv.errors import ShapeError
from fcconv.graph import receptive
from fcconv.graph.layer import Layer
from fcconv.graph.operator import Operator
from fcconv.graph.slider import window_attributes
from fcconv.graph.values import Constant, Slid, flatten_order
from fcconv.graph.writer import dtype_of

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx_ir as ir

    from fcconv.backend import Backend
    from fcconv.graph.node import Node
    from fcconv.graph.slider import Slider


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
    whole = float(factor).is_integer() or x.dtype.kind not in "iu"
    dtype = x.dtype if whole else np.float64
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
        raise node.unsupported(f"its input of shape {a.shape} must be one row an image")
    if len(b.shape) != 2:
        raise ShapeError(f"its weight of shape {b.shape} is not a matrix")
    matrix = b.array if node.attribute("transB", 0) else b.array.T
    if matrix.shape[1] != a.shape[1]:
        raise node.unsupported(f"{a.shape[1]} features do not fit a weight of {b.shape}")
    alpha = node.attribute("alpha", 1.0)  # beta is folded into C by then
    if c is None:
        return _times(slider, node, write_dense(slider, node, a, b.shape, matrix), alpha, "/alpha")
    bias = _as_bias(c, len(matrix))
    if bias is None:
        raise node.unsupported(f"its C of shape {c.shape} is no bias, one entry an output")
    if alpha == 1:
        return write_dense(slider, node, a, b.shape, matrix, slider.keep(bias, node))
    product = write_dense(slider, node, a, b.shape, matrix)
    scaled = _times(slider, node, product, alpha, "/alpha")
    column = bias.array.reshape(-1, *(1,) * len(a.axes))
    addend = slider.constant(column, f"{node.name}/bias")
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
    if len(b.shape) > len(a.shape) or weight.ndim != 2 or weight.size != b.array.size:
        raise node.unsupported(f"its weight of shape {b.shape} is not one matrix for all rows")
    if a.shape[-1] != len(weight):
        raise node.unsupported(f"the shapes {a.shape} and {b.shape} do not fit")
    outputs = weight.shape[1]
    if math.prod(a.shape[1:-1]) == 1:  # one row an image
        made = write_dense(slider, node, a, b.shape, weight.T)
        return slider.reshaped(made, (*a.shape[:-1], outputs))
    found = slider.try_map(node, a, len(a.shape) - 1)
    if found is None:
        return _row_by_row(slider, node, a, weight)
    whole, layout = found  # channels last: every pixel goes through the layer
    tensor = write_pixelwise(slider, node, whole, b.shape, weight.T)
    return slider.map(tensor, outputs, whole.axes, layout.order, len(a.shape) - 1)


def _row_by_row(slider: Slider, node: Node, a: Slid, weight: npt.NDArray[Any]) -> Slid:
    """Apply a dense layer to each row of features, as groups of one 1x1 convolution."""
    rows = math.prod(a.shape[1:-1])
    own = slider.features(node, a, a.shape, "has rows that are no pixels")
    inputs, outputs = weight.shape
    kernel = np.tile(weight.T, (rows, 1)).reshape(rows * outputs, inputs, *(1,) * len(a.axes))
    stacked = slider.constant(kernel, f"{node.name}/rows")
    tensor = slider.emit(node, "Conv", [own.tensor, stacked], {"group": rows})
    slider.layers.append(Layer(node.name, "1x1", weight.shape, kernel.shape, "C"))
    made = slider.map(tensor, rows * outputs, own.axes)
    return slider.reshaped(made, (*a.shape[:-1], outputs))


def write_dense(
    slider: Slider,
    node: Node,
    x: Slid,
    shape: tuple[int, ...],
    matrix: npt.NDArray[Any],
    bias: ir.Value | None = None,
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
        The weight, one row an output feature.
    bias : onnx_ir.Value, optional
        Bias of shape (O,).
    """
    numbers = x.numbers.ravel()
    if len(np.unique(numbers)) < len(numbers):  # an entry that is read twice: as two features
        x = slider.features(node, x, x.shape, "reads an entry twice")
    x = slider.as_read(node, x)
    numbers = x.numbers.ravel()
    axes, slides = slider.covered(x)
    kernel = matrix
    if not np.array_equal(numbers, np.arange(x.entries)):
        kernel = np.zeros((len(matrix), x.entries), matrix.dtype)
        kernel[:, numbers] = matrix
    kernel = kernel.reshape(len(matrix), x.channels, *x.block)
    inputs = [x.tensor, slider.constant(kernel, f"{node.name}/kernel")]
    inputs += [] if bias is None else [bias]
    tensor = slider.emit(node, "Conv", inputs, window_attributes(slides))
    method = "kernel" if math.prod(x.block) > 1 else "1x1"
    order = flatten_order(numbers, x.channels, x.block) if method == "kernel" else "C"
    slider.layers.append(Layer(node.name, method, shape, kernel.shape, order))
    return slider.reshaped(slider.map(tensor, len(matrix), axes), (slider.batch, len(matrix)))


def write_pixelwise(
    slider: Slider, node: Node, x: Slid, shape: tuple[int, ...], matrix: npt.NDArray[Any]
) -> ir.Value:
    """Write a dense layer over the channels of each pixel of a map."""
    kernel = matrix.reshape(*matrix.shape, *(1,) * len(x.axes))
    weight = slider.constant(kernel, f"{node.name}/kernel")
    slider.layers.append(Layer(node.name, "1x1", shape, kernel.shape, "C"))
    return slider.emit(node, "Conv", [x.tensor, weight])


OPERATORS = {
    "Gemm": Operator(_gemm, _slide_gemm, attributes=("alpha", "beta", "transA", "transB")),
    "MatMul": Operator(_matmul, _slide_matmul, slides_by_any=True, spread=receptive.matmul),
}
