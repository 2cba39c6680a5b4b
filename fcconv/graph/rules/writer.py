"""Writes the nodes and initialisers of a network, in the form that its operator set asks for."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes import common as passes

from fcconv.graph.node import Node
from fcconv.graph.rules.samples import Slide
from fcconv.graph.rules.values import Constant

TO_THE_END = np.iinfo(np.int64).max


@dataclass
class Writer:
    """What is written so far.

    Attributes
    ----------
    opset : int
        Version of ONNX's operators.
    nodes : list of onnx_ir.Node
        The nodes, in order.
    initializers : dict of str to onnx_ir.Value
        The constants, by name.
    names : set of str
        The names that are taken, of nodes and of values alike.
    """

    opset: int
    nodes: list[ir.Node] = field(default_factory=list)
    initializers: MutableMapping[str, ir.Value] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    def emit(
        self,
        node: Node,
        op: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any] | None = None,
        suffix: str = "",
    ) -> ir.Value:
        """Write a node; its name is that of `node`, with a suffix if it only helps."""
        name = free_name(node.name + suffix, self.names) if suffix else node.name
        return self._written(ir.node(op, inputs, attributes, name=name))

    def copy(self, node: Node, inputs: Sequence[ir.Value | None], **changed: Any) -> ir.Value:
        """Write the same node with other inputs, and some attributes changed."""
        kept = [a for a in node.ir.attributes.values() if a.name not in changed]
        written = ir.node(node.ir.op_type, inputs, changed, name=node.name)
        for attribute in kept:
            written.attributes[attribute.name] = attribute
        return self._written(written)

    def _written(self, written: ir.Node) -> ir.Value:
        """Keep a node; its result has the dtype of its data, unless it is there to change it."""
        made = written.outputs[0]
        made.name = free_name(str(written.name), self.names)
        if written.op_type == "Cast":
            made.meta["dtype"] = ir.DataType(written.attributes["to"].as_int())
        else:
            data = written.inputs[1 if written.op_type == "Where" else 0]
            made.meta["dtype"] = None if data is None else data.meta.get("dtype", data.dtype)
        self.nodes.append(written)
        return made

    def constant(self, array: npt.NDArray[Any], name: str) -> ir.Value:
        """Write an initialiser."""
        return add_initializer(self.initializers, free_name(name, self.names), array)

    def keep(self, constant: Constant, node: Node) -> ir.Value:
        """Write a constant as it is; an initialiser of the patch network is there already."""
        if constant.source is None:
            return self.constant(constant.array, f"{node.name}/constant")
        return self.initializers[constant.source]

    def ints(self, numbers: Sequence[int], node: Node, suffix: str) -> ir.Value:
        """Write integers that an operator takes as an input."""
        return self.constant(np.array(numbers, np.int64), node.name + suffix)

    def with_ints(
        self,
        node: Node,
        op: str,
        tensor: ir.Value,
        since: int,
        suffix: str = "",
        numbers: Mapping[str, Sequence[int]] | None = None,
        **attributes: Any,
    ) -> ir.Value:
        """Write a node whose integers are inputs from the operator set `since` on."""
        numbers = numbers or {}
        if self.opset < since:
            return self.emit(node, op, [tensor], {**attributes, **numbers}, suffix)
        inputs = [self.ints(n, node, f"{suffix}/{name}") for name, n in numbers.items()]
        return self.emit(node, op, [tensor, *inputs], attributes, suffix)

    def reduce_channels(self, node: Node, tensor: ir.Value) -> ir.Value:
        """Write the reduction of `node` over the channels, which stay with length 1."""
        return self._reduced(node, tensor, 1, keepdims=1)

    def reduce_groups(self, node: Node, tensor: ir.Value, groups: int, rank: int) -> ir.Value:
        """Write the reduction of `node` over the channels of each group; a group leaves one."""
        there, back = [0, *range(2, 2 + rank), 1], [0, 1 + rank, *range(1, 1 + rank)]
        last = self.emit(node, "Transpose", [tensor], {"perm": there}, "/last")
        shape = self.ints([*[0] * (1 + rank), groups, -1], node, "/groups")
        grouped = self.emit(node, "Reshape", [last, shape], None, "/grouped")
        made = self._reduced(node, grouped, 2 + rank, keepdims=0)
        return self.emit(node, "Transpose", [made], {"perm": back}, "/first")

    def _reduced(self, node: Node, tensor: ir.Value, axis: int, keepdims: int) -> ir.Value:
        since = 13 if node.op == "ReduceSum" else 18
        numbers = {"axes": [axis]}
        return self.with_ints(node, node.op, tensor, since, numbers=numbers, keepdims=keepdims)

    def pad(self, node: Node, tensor: ir.Value, pads: Sequence[tuple[int, int]]) -> ir.Value:
        """Write zeros around the spatial axes."""
        ends = [0, 0, *(b for b, _ in pads), 0, 0, *(a for _, a in pads)]
        return self.with_ints(node, "Pad", tensor, 11, "/pad", {"pads": ends})

    def channels_last(
        self,
        node: Node,
        tensor: ir.Value,
        rank: int,
        attributes: Mapping[str, Any],
        parameters: Sequence[ir.Value] = (),
    ) -> ir.Value:
        """Write an operator that works along the last axis, between two transpositions."""
        there = [0, *range(2, 2 + rank), 1]
        back = [0, 1 + rank, *range(1, 1 + rank)]
        last = self.emit(node, "Transpose", [tensor], {"perm": there}, "/last")
        made = self.emit(node, node.op, [last, *parameters], attributes)
        return self.emit(node, "Transpose", [made], {"perm": back}, "/first")

    def cut(
        self, node: Node, tensor: ir.Value, slides: Sequence[Slide], every: bool = False
    ) -> ir.Value:
        """Cut off what negative padding says; with `every`, keep one entry in each stride."""
        steps = [s.stride if every else 1 for s in slides]
        cuts = [(max(-s.before, 0), max(-s.after, 0)) for s in slides]
        along = [k for k, cut in enumerate(cuts) if (*cut, steps[k]) != (0, 0, 1)]
        if not along:
            return tensor
        numbers = {
            "starts": [cuts[k][0] for k in along],
            "ends": [-cuts[k][1] or TO_THE_END for k in along],
            "axes": [2 + k for k in along],
        }
        if any(steps[k] > 1 for k in along):
            if self.opset < 10:
                raise node.unsupported("a slice with steps needs opset 10: convert the model to it")
            numbers["steps"] = [steps[k] for k in along]
        return self.with_ints(node, "Slice", tensor, 10, "/slice", numbers)


def put_together(
    model: ir.Model, writer: Writer, image: ir.Value, outputs: Sequence[ir.Value]
) -> ir.Model:
    """Put what is written together as a network that tells of itself what another one does."""
    graph = ir.Graph(
        [image],
        outputs,
        nodes=writer.nodes,
        initializers=list(writer.initializers.values()),
        opset_imports=dict(model.graph.opset_imports),
        name=model.graph.name,
        doc_string=model.graph.doc_string,
        metadata_props=dict(model.graph.metadata_props),
    )
    written = ir.Model(
        graph,
        ir_version=max(model.ir_version, 4),  # from 4 on weights need not be inputs
        producer_name=model.producer_name,
        producer_version=model.producer_version,
        domain=model.domain,
        model_version=model.model_version,
        doc_string=model.doc_string,
        metadata_props=dict(model.metadata_props),
    )
    passes.RemoveUnusedNodesPass()(written)
    passes.NameFixPass()(written)
    return written


def copied_initializers(graph: ir.Graph) -> dict[str, ir.Value]:
    """Return values of their own for the initialisers of a network, which hold the same numbers."""
    return {
        name: ir.Value(name=name, shape=v.shape, type=v.type, const_value=v.const_value)
        for name, v in graph.initializers.items()
    }


def free_input(value: ir.Value, axes: Sequence[int]) -> ir.Value:
    """Declare the image: batch and spatial sizes free."""
    dims: list[Any] = ["N", *(() if value.shape is None else value.shape.dims[1:])]
    for k, axis in enumerate(axes):
        dims[axis] = f"size_{k}"
    return ir.Value(name=value.name, shape=ir.Shape(dims), type=value.type)


def add_initializer(
    initializers: MutableMapping[str, ir.Value], name: str, array: npt.NDArray[Any]
) -> ir.Value:
    """Add a constant by a name that is free."""
    tensor = ir.Tensor(np.ascontiguousarray(array).reshape(array.shape), name=name)
    initializers[name] = ir.Value(
        name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
    )
    return initializers[name]


def free_name(name: str, taken: set[str]) -> str:
    """Take a name that begins with `name` and is not taken yet; thousands may begin so."""
    free = name
    if name in taken:
        used, end = 0, 1
        while f"{name}_{end}" in taken:
            used, end = end, 2 * end
        while end - used > 1:
            middle = (used + end) // 2
            used, end = (middle, end) if f"{name}_{middle}" in taken else (used, middle)
        free = f"{name}_{end}"
    taken.add(free)
    return free


def names_in(model: ir.Model) -> set[str]:
    """Return the names of all nodes and values of a model, those of inner graphs included."""
    graphs = list(model.graphs())
    nodes = [node for graph in graphs for node in graph]
    values = [value for graph in graphs for value in (*graph.inputs, *graph.initializers.values())]
    values += [value for node in nodes for value in node.outputs]
    return {str(node.name) for node in nodes} | {str(value.name) for value in values}


def dtype_of(tensor: ir.Value) -> np.dtype[Any]:
    """Return the dtype of a written tensor."""
    dtype = tensor.meta.get("dtype", tensor.dtype)
    return np.dtype(np.float32) if dtype is None else dtype.numpy()
