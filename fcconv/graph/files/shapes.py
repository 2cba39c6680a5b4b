"""Shapes of the values of a network: inferred by ONNX, or seen in a run."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common as passes

import fcconv_numpy
from fcconv.errors import FcconvError
from fcconv.graph.node import Node, read_node
from fcconv.graph.operators.windows import window_of
from fcconv.graph.running.run import data_inputs, program_of

LARGEST_INPUT = 2**26
"""Most numbers in an input that a run is shown."""


def infer_shapes(model: ir.Model) -> None:
    """Write down the shapes of values, so that the rank of each product's input is known.

    Where ONNX's inference gives up, as it does on shapes that the network computes itself, a run on
    zeros shows them; with an operator that is not known here, they stay unknown. Shapes
    declared in the file count only where nothing else is known; outputs keep their declared sizes.
    """
    told = {
        value: _with_free_sizes(value.shape)
        for node in model.graph
        for value in node.outputs
        if value.shape is not None
    }
    for value, shape in told.items():
        producer = value.producer()
        value.shape = shape if producer is not None and producer.domain else None
    _infer(model)
    for value in (value for node in model.graph for value in node.outputs):
        value.shape = None if value.shape is None else _with_free_sizes(value.shape)
    products = [node for node in model.graph if node.op_type == "MatMul"]
    if any(node.inputs[0] is not None and node.inputs[0].shape is None for node in products):
        see_shapes(model)
    for value, shape in told.items():
        if value.shape is None:
            value.shape = shape
        elif value.is_graph_output() and len(shape) == len(value.shape):
            pairs = zip(shape, value.shape, strict=True)
            value.shape = ir.Shape([a if isinstance(a, int) else b for a, b in pairs])


def _infer(model: ir.Model) -> None:
    """Let ONNX infer shapes, of pools that may overhang with the padding which that comes to.

    It counts windows that start behind the input, which no engine computes.
    """
    infer = passes.ShapeInferencePass(check_type=False, strict_mode=False)
    infer(model)
    given = {n: dict(n.attributes) for n in model.graph if n.attributes.get_int("ceil_mode", 0)}
    for ir_node in given:
        (x, *_), node = ir_node.inputs, read_node(ir_node, model.graph.opset_imports)
        sizes = [] if x is None or x.shape is None else x.shape.dims[2:]
        kernel = node.attribute("kernel_shape")
        if not all(isinstance(n, int) for n in sizes):
            continue
        try:
            moved = window_of(node, [int(str(n)) for n in sizes], kernel)
        except FcconvError:  # not a valid node: running it will say why
            continue
        for name in ("auto_pad", "ceil_mode"):
            ir_node.attributes.pop(name, None)
        pads = [n for ends in zip(*moved.window.padding, strict=True) for n in ends]
        ir_node.attributes["pads"] = ir.AttrInt64s("pads", pads)
        for value in (value for node in model.graph for value in node.outputs):
            value.shape = None
        infer(model)
    for ir_node, attributes in given.items():
        ir_node.attributes.clear()
        ir_node.attributes.update(attributes)


def _is_known(shape: ir.Shape | None) -> bool:
    return shape is not None and all(isinstance(n, int) for n in shape.dims[1:])


def _with_free_sizes(shape: ir.Shape) -> ir.Shape:
    """Let sizes below 0, which some files tell, and which too large a window leaves, be free."""
    return ir.Shape([None if isinstance(n, int) and n < 0 else n for n in shape.dims])


def see_shapes(model: ir.Model) -> None:
    """Write down shapes that a run on zeros shows; the number of images stays free."""
    inputs = data_inputs(model.graph)
    shapes = [None if v.shape is None else v.shape.dims for v in inputs]
    if not all(s and all(isinstance(n, int) for n in s[1:]) for s in shapes):
        return
    sizes = [[n if isinstance(n, int) else 1 for n in s or ()] for s in shapes]
    too_large = any(math.prod(size) > LARGEST_INPUT for size in sizes)
    if too_large or any(v.dtype is None for v in inputs):
        return

    def write_down(node: Node, outputs: tuple[np.ndarray, ...]) -> None:
        for value, array in zip(node.ir.outputs, outputs, strict=False):
            if array.ndim and not _is_known(value.shape):
                value.shape = ir.Shape([None, *array.shape[1:]])

    zeros = [
        np.zeros(size, v.dtype.numpy())
        for v, size in zip(inputs, sizes, strict=True)
        if v.dtype is not None
    ]
    try:
        program = program_of(model)
        program.run(fcconv_numpy, program.parameters(fcconv_numpy), zeros, write_down)
    except FcconvError:
        return
