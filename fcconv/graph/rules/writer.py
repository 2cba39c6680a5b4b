"""The target that writes a network: its nodes and initialisers."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes import common as passes

from fcconv.graph.call import Call
from fcconv.graph.node import Node
from fcconv.graph.rules.target import data_input
from fcconv.graph.rules.values import Constant


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
        call: Call,
        op: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any] | None = None,
        suffix: str = "",
    ) -> ir.Value:
        """Write a node, named as `call`; a helper node has a suffix behind that name."""
        name = free_name(call.name + suffix, self.names) if suffix else call.name
        return self._written(ir.node(op, inputs, attributes, name=name))

    def _written(self, written: ir.Node) -> ir.Value:
        """Keep a node; its result has the dtype of its data, unless it is there to change it."""
        made = written.outputs[0]
        made.name = free_name(str(written.name), self.names)
        if written.op_type == "Cast":
            made.meta["dtype"] = ir.DataType(written.attributes["to"].as_int())
        else:
            data = written.inputs[data_input(written.op_type)]
            made.meta["dtype"] = None if data is None else data.meta.get("dtype", data.dtype)
        self.nodes.append(written)
        return made

    def copy(
        self,
        node: Node,
        inputs: Sequence[ir.Value | None],
        suffix: str = "",
        **changed: Sequence[int],
    ) -> list[ir.Value]:
        """Write a node of another network with other inputs, and some lists of integers changed."""
        given = node.ir
        written = ir.Node(
            given.domain, given.op_type, inputs, overload=given.overload,
            num_outputs=len(given.outputs), name=free_name(node.name + suffix, self.names),
        )  # fmt: skip
        for name, attribute in given.attributes.items():
            if name not in changed:
                written.attributes[name] = attribute
        for name, numbers in changed.items():
            written.attributes[name] = ir.AttrInt64s(name, numbers)
        for made, value in zip(written.outputs, given.outputs, strict=True):
            if value.name:
                made.name = free_name(value.name + suffix, self.names)
                made.type = value.type
            else:
                made.name = ""
        self.nodes.append(written)
        return list(written.outputs)

    def constant(self, array: npt.NDArray[Any], name: str) -> ir.Value:
        """Write an initialiser."""
        return add_initializer(self.initializers, free_name(name, self.names), array)

    def keep(self, constant: Constant, call: Call) -> ir.Value:
        """Write a constant as it is; an initialiser of the patch network is there already."""
        if constant.source is None:
            return self.constant(constant.array, f"{call.name}/constant")
        return self.initializers[constant.source]

    def dtype(self, tensor: ir.Value) -> np.dtype[Any]:
        """Return the dtype of a written tensor."""
        dtype = tensor.meta.get("dtype", tensor.dtype)
        return np.dtype(np.float32) if dtype is None else dtype.numpy()


def put_together(
    model: ir.Model, writer: Writer, inputs: Sequence[ir.Value], outputs: Sequence[ir.Value]
) -> ir.Model:
    """Make a network of the nodes that are written, with the name and metadata of `model`."""
    graph = ir.Graph(
        inputs,
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
    # ascontiguousarray gives a number an axis; reshape takes that away again
    tensor = ir.Tensor(np.ascontiguousarray(array).reshape(array.shape), name=name)
    initializers[name] = ir.Value(
        name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
    )
    return initializers[name]


def free_name(name: str, taken: set[str]) -> str:
    """Take a name that begins with `name` and is not taken yet; thousands may begin so."""
    free = name
    if name in taken:  # double until a number is free, then halve: counting up is quadratic
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
