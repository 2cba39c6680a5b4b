"""One node on constants, by ONNX's own reference: for operators that are not known here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from fcconv.graph.node import Node

Array = npt.NDArray[Any]

MAX_ENTRIES = 2**26
"""Most entries of inputs and outputs that are computed in advance."""

LARGEST_IN_LOOPS = 2**14
"""The same for operators that the reference computes entry by entry, in Python."""

IN_LOOPS = frozenset(
    ["Col2Im", "ConvTranspose", "DeformConv", "GridSample", "Resize", "RoiAlign",
     "Scatter", "ScatterElements", "Upsample"]
)  # fmt: skip

RANDOM = frozenset(
    ["Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
     "RandomUniformLike"]
)  # fmt: skip

SMALL = 64
"""Entries up to which a constant may be a shape or sizes, which the shapes of outputs depend on."""


def by_reference(node: Node, arrays: Sequence[Array | None]) -> tuple[Array | None, ...] | None:
    """Compute a node of ONNX's own operators by ``onnx.reference``.

    Parameters
    ----------
    node : Node
        The node; of its outputs those that have no name are not computed.
    arrays : sequence of array
        Its inputs; None stands for one that is left out.

    Returns
    -------
    tuple of array, or None
        An array for each output. None if the reference can't compute the node, or would take too
        long, or if the result is random or not an array of numbers.
    """
    if not _is_pure(node):
        return None
    model = _model(node, arrays)
    given = {
        value.name: array for value, array in zip(model.graph.input, _present(arrays), strict=True)
    }
    try:
        if _entries(model, given) > (LARGEST_IN_LOOPS if node.op in IN_LOOPS else MAX_ENTRIES):
            return None
        with np.errstate(all="ignore"):
            made = ReferenceEvaluator(model).run(None, given)
    except Exception:
        return None
    if not all(isinstance(array, np.ndarray | np.generic) for array in made):
        return None
    results = iter([np.asarray(array) for array in made])
    outputs = tuple(next(results) if value.name else None for value in node.ir.outputs)
    return None if any(o is not None and o.dtype.kind in "OSUT" for o in outputs) else outputs


def _is_pure(node: Node) -> bool:
    """Say whether a node's results depend on nothing but its inputs."""
    graphs = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    has_graph = any(attribute.type in graphs for attribute in node.ir.attributes.values())
    return not node.ir.domain and not has_graph and node.op not in RANDOM


def _present(arrays: Sequence[Array | None]) -> list[Array]:
    return [array for array in arrays if array is not None]


def _model(node: Node, arrays: Sequence[Array | None]) -> onnx.ModelProto:
    """Make a network of one node."""
    inputs = [
        None
        if array is None
        else ir.Value(
            name=f"input_{k}",
            shape=ir.Shape(array.shape),
            type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
        )
        for k, array in enumerate(arrays)
    ]
    outputs = [ir.Value(name=value.name) for value in node.ir.outputs]
    copied = ir.Node("", node.ir.op_type, inputs, node.ir.attributes.values(), outputs=outputs)
    graph = ir.Graph(
        [value for value in inputs if value is not None],
        [value for value in outputs if value.name],
        nodes=[copied],
        opset_imports={"": node.opset},
        name="node",
    )
    model: onnx.ModelProto = ir.to_proto(ir.Model(graph, ir_version=onnx.IR_VERSION))
    return model


def _entries(model: onnx.ModelProto, given: dict[str, Array]) -> int:
    """Count the entries of inputs and outputs, as far as ONNX infers the shapes of the latter."""
    known = onnx.ModelProto()
    known.CopyFrom(model)
    known.graph.initializer.extend(
        onnx.numpy_helper.from_array(array, name)
        for name, array in given.items()
        if array.size <= SMALL
    )
    inferred = onnx.shape_inference.infer_shapes(known, data_prop=True)
    sizes = [
        math.prod(n.dim_value for n in value.type.tensor_type.shape.dim)
        for value in inferred.graph.output
    ]
    return sum(sizes) + sum(array.size for array in given.values())
