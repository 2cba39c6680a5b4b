"""The layers of two networks: which have changed, and what they read and make."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from fcconv.certificate.expression import content_of
from fcconv.errors import ModelError
from fcconv.graph.node import attribute_bytes, label, operator_name, read_node, values_read
from fcconv.graph.operators import OPERATORS

FREE_LENGTH = 3
"""Length of the axes that a layer leaves free, where it is compared."""


def changed_layers(original: ir.Model, rewritten: ir.Model) -> list[ir.Node]:
    """List the nodes that the rewritten network does not have, too.

    One that only computes a shape is compared with what reads that.
    """
    kept = {_signature(rewritten, node) for node in rewritten.graph}
    changed, shapes = [], set[ir.Value | None]()
    for node in original.graph:
        if _signature(original, node) not in kept or not shapes.isdisjoint(values_read(node)):
            if all(_is_of_shapes(v) and not v.is_graph_output() for v in node.outputs):
                shapes.update(node.outputs)
            else:
                changed.append(node)
    return changed


def _signature(model: ir.Model, node: ir.Node) -> tuple[Any, ...]:
    """Describe a node: operator and version, attributes by their bytes, what it reads and makes.

    That is values by their names, and constants by their bytes. Its own name and its documentation
    have no part in what it computes.
    """
    read = tuple("" if v is None else content_of(v) or v.name for v in values_read(node))
    made = tuple(value.name for value in node.outputs)
    version = model.graph.opset_imports.get(node.domain)
    return *node.op_identifier(), version, read, made, *attribute_bytes(node)


def ends(ir_node: ir.Node) -> tuple[list[ir.Value], list[str]]:
    """Return the inputs of a layer that are not constant, and the names of its outputs.

    Of a shape that the network computes, it reads the values whose shapes that is made of.
    """
    data = list(dict.fromkeys(source for v in ir_node.inputs for source in _sources(v)))
    outputs = [
        str(value.name) for value in ir_node.outputs if value.uses() or value.is_graph_output()
    ]
    return data, outputs


def _sources(value: ir.Value | None) -> list[ir.Value]:
    """Return a value that is not constant, or, of one made of shapes only, what they are of."""
    if value is None or value.const_value is not None:
        return []
    producer = value.producer()
    if producer is None or not _is_of_shapes(value):
        return [value]
    if _is_static(producer):
        return [v for v in producer.inputs if v is not None]
    return [source for v in producer.inputs for source in _sources(v)]


def _is_of_shapes(value: ir.Value) -> bool:
    producer = value.producer()
    if producer is None or _is_static(producer):
        return producer is not None
    data = [v for v in producer.inputs if v is not None and v.const_value is None]
    return bool(data) and all(map(_is_of_shapes, data))


def _is_static(producer: ir.Node) -> bool:
    operator = OPERATORS.get(operator_name(producer))
    return operator is not None and operator.static


def dtype_of(value: ir.Value) -> np.dtype[Any]:
    """Give the type of a value; where nothing tells it, that of most networks."""
    return np.dtype(np.float32 if value.dtype is None else value.dtype.numpy())


def small_shape(value: ir.Value, node: ir.Node) -> tuple[int, ...]:
    """Give an input of a layer a shape, with free lengths that are short."""
    return tuple(FREE_LENGTH if n is None else n for n in shape_of(value, node))


def shape_of(value: ir.Value, node: ir.Node) -> list[int | None]:
    """Return the shape of an input of a layer, features as the weight has them."""
    is_product = node.op_type in ("Gemm", "MatMul")
    shape: list[int | None] = [None, None]
    is_data = is_product and value is node.inputs[0]
    if value.shape is not None and (len(value.shape) or not is_data):
        shape = [n if isinstance(n, int) else None for n in value.shape.dims]
    elif node.op_type != "Gemm":
        raise ModelError(f"{label(node)}: the shape of {value.name!r} is not known")
    weight = node.inputs[1] if is_product else None
    if weight is not None and weight.const_value is not None and is_data:
        product = read_node(node, {})
        features = weight.const_value.shape.numpy()[-1 if product.attribute("transB", 0) else -2]
        shape[0 if product.attribute("transA", 0) else -1] = features
    return shape


def cut_out(model: ir.Model, inputs: list[str], outputs: list[str]) -> ir.Model:
    """Return what makes some values of others, by their names."""
    graph = ir.convenience.extract(model.graph, inputs, outputs)
    return ir.Model(graph, ir_version=model.ir_version)
