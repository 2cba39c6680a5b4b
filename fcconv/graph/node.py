"""A node of an ONNX graph as rules read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt
import onnx_ir as ir

from fcconv.errors import UnsupportedError
from fcconv.graph.call import Call

MOST_NAMES = 8
"""Values up to which an error names them all."""


@dataclass(frozen=True, eq=False)
class Node(Call):
    """A call that is a node of a graph.

    Attributes
    ----------
    ir : onnx_ir.Node
        The node.
    """

    ir: ir.Node = field(kw_only=True)

    def unsupported(self, reason: str) -> UnsupportedError:
        """Make the error that refuses this node; a note says how to do without it."""
        error = super().unsupported(reason)
        graph = self.ir.graph
        inputs = [] if graph is None else [v for v in graph.inputs if v.const_value is None]
        read = {v: None for v in self.ir.inputs if v is not None and v.const_value is None}
        if 1 <= len(read) <= MOST_NAMES and read.keys().isdisjoint(inputs):
            error.add_note(f"{extraction(inputs, read)} writes what comes before it")
        return error


def read_node(node: ir.Node, opsets: Mapping[str, int]) -> Node:
    """Read a node of a graph that imports such operator sets.

    Examples
    --------
    >>> node = ir.node("Gemm", [], {"transB": 1}, name="dense")
    >>> str(read_node(node, {"": 17})), read_node(node, {"": 17}).attribute("transB")
    ('dense (Gemm)', 1)
    """
    return Node(
        op=operator_name(node),
        name=node_name(node),
        opset=opsets.get(node.domain, 0),
        attributes=node.attributes,
        asked=tuple(bool(v.name and (v.uses() or v.is_graph_output())) for v in node.outputs),
        ir=node,
    )


def operator_name(node: ir.Node) -> str:
    """Return the type of a node's operator, with its domain if that is not ONNX's own."""
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


def node_name(node: ir.Node) -> str:
    """Return the name of a node, or of its first output where it has none."""
    first = next((value.name for value in node.outputs), None)
    return node.name or first or operator_name(node)


def label(node: ir.Node) -> str:
    """Say the name and the type of a node, for errors and reports."""
    return f"{node_name(node)} ({operator_name(node)})"


def extraction(inputs: Iterable[ir.Value], outputs: Iterable[ir.Value]) -> str:
    """Write the call that cuts a part out of the file of a network."""
    first, last = ([str(value.name) for value in values] for values in (inputs, outputs))
    return f"onnx.utils.extract_model(path, 'cut.onnx', {first}, {last})"


def constant_of(value: ir.Value | None) -> npt.NDArray[Any] | None:
    """Return the array of a constant; None for any other value."""
    return None if value is None or value.const_value is None else value.const_value.numpy()


def attribute_bytes(node: ir.Node) -> list[bytes]:
    """Return all bytes of each attribute, tables and inner graphs among them, in a fixed order."""
    protos = [ir.to_proto(attribute) for attribute in node.attributes.values()]
    return sorted(proto.SerializeToString(deterministic=True) for proto in protos)


def values_read(node: ir.Node) -> list[ir.Value | None]:
    """List the inputs of a node, and behind them what its inner graphs read from outside."""
    made: set[ir.Value | None] = {None}
    read: list[ir.Value | None] = []
    for graph in _inner_graphs(node):
        made.update(graph.inputs, graph.initializers.values())
        for inner in graph:
            read.extend(values_read(inner))
            made.update(inner.outputs)
        read.extend(graph.outputs)
    return [*node.inputs, *(value for value in dict.fromkeys(read) if value not in made)]


def _inner_graphs(node: ir.Node) -> Iterator[ir.Graph]:
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()
        elif attribute.type == ir.AttributeType.GRAPHS:
            yield from attribute.as_graphs()
