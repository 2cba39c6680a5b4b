"""Each dense layer of a network as a 1x1 convolution in its place; all else stays as it is."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes import common as passes

from fcconv.graph.engines import compiling
from fcconv.graph.files.load import Source, read
from fcconv.graph.files.shapes import infer_shapes
from fcconv.graph.node import Node, read_node
from fcconv.graph.rewriting.rewritten import Rewritten, times
from fcconv.graph.rules.layer import Layer
from fcconv.graph.rules.writer import Writer, names_in
from fcconv.graph.rules.writing import write_with_ints

MOST_AXES = 3
"""Spatial axes that engines convolve."""

FORM = "fcconv.form"
"""The metadata key under which a network says which form it has."""


@dataclass(frozen=True)
class Pointwise(Rewritten):
    """A network whose dense layers are 1x1 convolutions.

    Attributes
    ----------
    model : onnx_ir.Model
        The network; inputs and outputs are those of the original.
    layers : tuple of Layer
        The layers that were replaced.
    left : tuple of str
        The products that were left, and why.

    Examples
    --------
    >>> import numpy as np
    >>> import fcconv
    >>> from fcconv.demo.network import load_faces
    >>> network = fcconv.pointwise(load_faces())
    >>> print(network)
    dense1                      weight 64x800 became 64x800x1x1
    score                       weight 1x64 became 1x64x1x1
    >>> network(np.zeros((2, 1, 25, 25), np.float32)).shape
    (2, 1)
    """

    model: ir.Model
    layers: tuple[Layer, ...]
    left: tuple[str, ...]

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield what became of each product."""
        for layer in self.layers:
            yield layer.name, f"weight {times(layer.before)} became {times(layer.after)}"
        for line in self.left:
            yield "left as it is", line

    def __repr__(self) -> str:
        """Say how many layers were replaced."""
        return f"<Pointwise layers={len(self.layers)}, left={len(self.left)}>"

    def __call__(self, *inputs: Any) -> Any:
        """Compute on arrays, by the backend of the first one.

        Parameters
        ----------
        *inputs : array
            One array per input, of the shape and dtype that the network declares.

        Returns
        -------
        array or tuple of array
            The output, or one array per output.

        Raises
        ------
        ArgumentError
            If there is another number of inputs.
        ShapeError, DtypeError
            If an input has another shape or dtype.
        BackendError
            If an input is not an array of a known library.
        """
        return self._on_any_backend(*inputs)

    @functools.cached_property
    def _on_any_backend(self) -> compiling.ByArray:
        return compiling.ByArray(self.model)


def pointwise(source: Source, *, window: Sequence[int] | None = None) -> Pointwise:
    """Replace each dense layer of a network by a 1x1 convolution.

    The features of a dense layer become the channels of one pixel. Everything else stays,
    operators that fcconv does not know included; inputs and outputs keep their shapes.

    Parameters
    ----------
    source : path, onnx.ModelProto, onnx_ir.Model or torch.nn.Module
        The network; it is not changed.
    window : sequence of int, optional
        Shape of one input without the batch, for a PyTorch module.

    Returns
    -------
    Pointwise
        The new network, the layers that were replaced, and the products that were not, with the
        reasons.

    Raises
    ------
    ModelError
        If the source is not a valid network.
    UnsupportedError
        If it is of a version that is not known.

    Examples
    --------
    >>> from fcconv.demo.network import load_faces
    >>> [(layer.name, layer.before, layer.after) for layer in pointwise(load_faces()).layers]
    [('dense1', (64, 800), (64, 800, 1, 1)), ('score', (1, 64), (1, 64, 1, 1))]
    """
    model = read(source, window)
    passes.NameFixPass()(model)
    infer_shapes(model)
    model.metadata_props[FORM] = "pointwise"
    writer = Writer(
        model.graph.opset_imports.get("", 0),
        initializers=model.graph.initializers,
        names=names_in(model),
    )
    layers: list[Layer] = []
    left: list[str] = []
    for ir_node in list(model.graph):
        node = read_node(ir_node, model.graph.opset_imports)
        if node.op not in ("Gemm", "MatMul"):
            continue
        made = _dense_weight(node)
        if isinstance(made, str):
            left.append(f"{node}: {made}")
        else:
            layers.append(_replace(model.graph, writer, node, made))
    return Pointwise(model, tuple(layers), tuple(left))


def _dense_weight(node: Node) -> npt.NDArray[Any] | str:
    """Return the weight of a dense layer, (O, I), or why the node is none."""
    x, weight, *_ = node.ir.inputs
    tensor = None if weight is None else ir.convenience.get_const_tensor(weight)
    if x is None or tensor is None:
        return "its right operand is not a constant"
    array: npt.NDArray[Any] = tensor.numpy()
    if node.op == "Gemm":
        if node.attribute("transA", 0):
            return "its input is transposed"
        if array.ndim != 2:
            return f"its right operand of shape {array.shape} is not a matrix"
        return array if node.attribute("transB", 0) else array.T
    if x.shape is None:
        return "the number of axes of its input is not known"
    if not 2 <= len(x.shape) <= 2 + MOST_AXES:
        return f"its input has {len(x.shape)} axes"
    matrix = array[(0,) * (array.ndim - 2)]  # a stack of one matrix is that matrix
    if matrix.ndim != 2 or matrix.size != array.size or array.ndim > len(x.shape):
        return f"its right operand of shape {array.shape} is not one matrix for all rows"
    return cast("npt.NDArray[Any]", matrix.T)


def _replace(graph: ir.Graph, writer: Writer, node: Node, matrix: npt.NDArray[Any]) -> Layer:
    """Write the convolution in the place of a dense layer."""
    writer.nodes = []
    x, weight, bias = cast("list[Any]", [*node.ir.inputs, None][:3])
    alpha, beta = node.attribute("alpha", 1.0), node.attribute("beta", 1.0)
    rank = 2 if node.op == "Gemm" else len(x.shape)
    kernel = matrix.reshape(*matrix.shape, *(1,) * (2 if rank == 2 else rank - 2))
    operands = [writer.constant(kernel, f"{node.name}/kernel")]
    within = bias is not None and alpha == beta == 1 and bias.shape == (len(matrix),)
    if bias is not None and within:
        operands.append(bias)
    if rank == 2:
        axes = {"axes": [2, 3]}
        pixel = write_with_ints(writer, node, "Unsqueeze", x, 13, "/pixel", axes)
        scores = writer.emit(node, "Conv", [pixel, *operands])
        made = write_with_ints(writer, node, "Squeeze", scores, 13, "/features", axes)
    else:
        there, back = [0, rank - 1, *range(1, rank - 1)], [0, *range(2, rank), 1]
        first = writer.emit(node, "Transpose", [x], {"perm": there}, "/first")
        scores = writer.emit(node, "Conv", [first, *operands])
        made = writer.emit(node, "Transpose", [scores], {"perm": back}, "/last")
    made = _scaled(writer, node, made, alpha, matrix.dtype)
    if bias is not None and not within:
        addend = _scaled(writer, node, bias, beta, matrix.dtype)
        made = writer.emit(node, "Add", [made, addend], None, "/bias")
    (old,) = node.ir.outputs
    made.name, made.shape, made.type = old.name, old.shape, old.type
    ir.convenience.replace_nodes_and_values(graph, node.ir, [node.ir], writer.nodes, [old], [made])
    if not (weight.uses() or weight.is_graph_output()) and weight.name in graph.initializers:
        del graph.initializers[str(weight.name)]
        if weight in graph.inputs:  # as in models of IR version 3
            graph.inputs.remove(weight)
    return Layer(node.name, "1x1", tuple(weight.shape.numpy()), kernel.shape, "C")


def _scaled(
    writer: Writer, node: Node, value: ir.Value, factor: float, dtype: np.dtype[Any]
) -> ir.Value:
    if factor == 1:
        return value
    constant = writer.constant(np.array(factor, dtype), f"{node.name}/factor")
    return writer.emit(node, "Mul", [value, constant], None, "/scale")
