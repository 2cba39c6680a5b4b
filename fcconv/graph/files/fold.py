"""What is constant in a network is computed once, when it is loaded."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes import common as passes

import fcconv_numpy
from fcconv.errors import UnsupportedError
from fcconv.graph.check import unfamiliar
from fcconv.graph.files.reference import by_reference
from fcconv.graph.node import Node, read_node
from fcconv.graph.operators import OPERATORS
from fcconv.graph.rules.writer import add_initializer, free_name, names_in
from fcconv.graph.running.run import compute

Array = npt.NDArray[Any]


def fold(model: ir.Model) -> None:
    """Compute what is constant, and take the branch of each If whose condition is.

    Operators that are not known here are computed by ONNX's reference, loops and random numbers
    aside. Lengths that the network reads off its own shapes are constants, too, if a condition
    depends on them.
    """
    _fold(model)
    if any(ir_node.op_type == "If" for ir_node in model.graph):
        _infer_shapes(model)
        _fold(model, with_shapes=True)


def _fold(model: ir.Model, with_shapes: bool = False) -> None:
    graph, names = model.graph, names_in(model)
    pending = deque(graph)
    while pending:
        ir_node = pending.popleft()
        node = read_node(ir_node, graph.opset_imports)
        if node.op == "If":
            pending.extendleft(reversed(_take_branch(graph, ir_node, names)))
            continue
        made = _known_lengths(node) if with_shapes else None
        made = _computed(node) if made is None else made
        if made is None:
            _fold_beta(graph, node, names)
            continue
        for output, array in zip(ir_node.outputs, made, strict=False):
            if array is not None:
                _replace(graph, output, np.asarray(array), names)
        if not any(output.uses() or output.is_graph_output() for output in ir_node.outputs):
            graph.remove(ir_node, safe=True)
    passes.NameFixPass()(model)


def _computed(node: Node) -> Sequence[Array | None] | None:
    """Compute a node whose inputs are all constant; None if it can't be done in advance."""
    if any(value is not None and value.const_value is None for value in node.ir.inputs):
        return None
    arrays = [_array(value) for value in node.ir.inputs]
    operator = OPERATORS.get(node.op)
    if operator is not None and not unfamiliar(node, operator.attributes):
        try:
            return compute(operator, fcconv_numpy, node, arrays)
        except UnsupportedError:  # the statistics of a constant, say, are a constant
            pass
    return by_reference(node, arrays)


def _array(value: ir.Value | None) -> Array | None:
    return None if value is None or value.const_value is None else value.const_value.numpy()


def _known_lengths(node: Node) -> Sequence[Array | None] | None:
    """Compute a Shape, or what is picked out of one, as far as it reads no length that is free."""
    if node.op == "Shape":
        return _known(_lengths(node))
    first, *options = node.ir.inputs or [None]
    shape = None if first is None else first.producer()
    arrays = [_array(value) for value in options]
    if node.op not in ("Gather", "Slice") or shape is None or shape.op_type != "Shape":
        return None
    lengths = _lengths(read_node(shape, {"": node.opset}))
    if not lengths.size or any(array is None for array in arrays):
        return None
    places = np.arange(len(lengths))
    return _known(lengths[compute(OPERATORS[node.op], fcconv_numpy, node, [places, *arrays])[0]])


def _lengths(node: Node) -> npt.NDArray[np.object_]:
    """Return what a Shape makes, None for a free length; nothing where even the rank is free."""
    (x,) = node.ir.inputs
    dims = [] if x is None or x.shape is None else x.shape.dims
    lengths = [n if isinstance(n, int) else None for n in dims]
    return np.array(lengths[node.attribute("start", 0) : node.attribute("end")], object)


def _known(lengths: npt.NDArray[np.object_]) -> list[Array | None] | None:
    is_known = np.size(lengths) > 0 and None not in np.ravel(lengths).tolist()
    return [np.asarray(lengths, np.int64)] if is_known else None


def _infer_shapes(model: ir.Model) -> None:
    """Infer the shapes of values from those of the inputs; what is declared may be wrong."""
    for ir_node in model.graph:
        for value in ir_node.outputs:
            if not value.is_graph_output():
                value.shape = None
    passes.ShapeInferencePass(check_type=False, strict_mode=False)(model)


def _take_branch(graph: ir.Graph, ir_node: ir.Node, names: set[str]) -> list[ir.Node]:
    """Put the nodes of a branch in the place of an If whose condition is constant."""
    condition = _array(ir_node.inputs[0])
    if condition is None or condition.size != 1:
        return []
    branch = ir_node.attributes["then_branch" if condition.item() else "else_branch"].as_graph()
    for value in list(branch.initializers.values()):
        array = _array(value)
        if array is not None:
            name = free_name(str(value.name), names)
            held = add_initializer(graph.initializers, name, array)
            value.replace_all_uses_with(held, replace_graph_outputs=True)
    nodes = list(branch)
    made = [ir.node("Identity", [value], name=f"{ir_node.name}/{k}")
            for k, value in enumerate(branch.outputs)]  # fmt: skip
    branch.remove(nodes)
    nodes += made
    ir.convenience.replace_nodes_and_values(
        graph, ir_node, [ir_node], nodes, ir_node.outputs, [node.outputs[0] for node in made]
    )
    return nodes


def _fold_beta(graph: ir.Graph, node: Node, names: set[str]) -> None:
    """Multiply the constant C of a Gemm by its beta."""
    c = node.ir.inputs[2] if node.op == "Gemm" and len(node.ir.inputs) > 2 else None
    beta = node.attribute("beta", 1.0)
    if beta == 1 or c is None or c.const_value is None:
        return
    array = c.const_value.numpy()
    scaled = np.asarray(array * np.array(beta, array.dtype))
    name = free_name(f"{node.name}/beta", names)
    node.ir.replace_input_with(2, add_initializer(graph.initializers, name, scaled))
    node.ir.attributes["beta"] = ir.AttrFloat32("beta", 1.0)


def _replace(graph: ir.Graph, output: ir.Value, array: Array, names: set[str]) -> None:
    """Let an initialiser stand for a value."""
    if output.is_graph_output() or not output.uses():
        return  # a graph's output must come from a node
    name = str(output.name)
    output.name = free_name(f"{name}/folded", names)
    output.replace_all_uses_with(add_initializer(graph.initializers, name, array))
