"""What rules wrote, computed by JAX: the shared part of a function of the image."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

import jax
import onnx_ir as ir

import fcconv_jax
from fcconv.functions.entries import by_entry
from fcconv.functions.primitives import ENTRYWISE, OPSET, Reader
from fcconv.graph.node import Node
from fcconv.graph.running.run import compute, operator_of


def computed(
    reader: Reader, image: ir.Value, array: Any, wanted: Iterable[ir.Value]
) -> dict[ir.Value, Any]:
    """Compute tensors of the sliding network from the image, and no others.

    Parameters
    ----------
    reader : Reader
        What was read and written.
    image : onnx_ir.Value
        The tensor that is the image.
    array : array, shape (1, C, *S)
        The image.
    wanted : iterable of onnx_ir.Value
        The tensors.
    """
    values: dict[ir.Value | None, Any] = {image: array, None: None}
    wanted = list(wanted)
    for node in _needed(reader.slider.nodes, wanted):
        arguments = [_value(reader, values, value) for value in node.inputs]
        if node.op_type == ENTRYWISE:
            equation = reader.entrywise[node.attributes["equation"].as_int()]
            values[node.outputs[0]] = by_entry(equation.eqn)(*arguments)
        else:
            step, asked = Node(node, OPSET), reader.precisions.get(str(node.name))
            with jax.default_matmul_precision(asked) if asked else nullcontext():
                values[node.outputs[0]] = compute(operator_of(step), fcconv_jax, step, arguments)[0]
    return {value: values[value] for value in wanted}


def _needed(nodes: Iterable[ir.Node], wanted: Iterable[ir.Value]) -> list[ir.Node]:
    """Keep the nodes that some tensors depend on, in order."""
    needed, kept = set(wanted), []
    for node in reversed(list(nodes)):
        if node.outputs[0] in needed:
            needed.update(value for value in node.inputs if value is not None)
            kept.append(node)
    return kept[::-1]


def _value(reader: Reader, values: dict[ir.Value | None, Any], value: ir.Value | None) -> Any:
    if value in values or value is None or value.const_value is None:
        return values[value]
    array = value.const_value.numpy()
    entries = reader.weights.gather(array)
    if entries is not None:
        values[value] = entries  # a weight that two layers share is gathered once
    return array if entries is None else entries
