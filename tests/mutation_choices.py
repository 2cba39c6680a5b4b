"""What a mutation of a network chooses from: values, nodes, tensors, shapes."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

Draw: TypeAlias = random.Random
Mutation: TypeAlias = Callable[[Draw, onnx.ModelProto], object]

NUMBERS = (0, 1, -1, 2, -2, 3, 9, 2**31, -(2**31), 2**62, -(2**62), 2**63 - 1)
FLOATS = (0.0, 1.0, -1.0, 0.5, 1e38, -1e-38, float("nan"), float("inf"), -float("inf"))
WORDS = (
    "",
    "é",
    "/a/b",
    "val_0",
    "x",
    "NOTSET",
    "SAME_UPPER",
    "VALID",
    "edge",
    "CRD",
    "\0",
    "n" * 999,
)
SIZES = (0, -1, 1, 2, 3, 7, 2**20, 2**31, 2**62)
DTYPES = tuple(range(25))
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "own", "é")
ATTRIBUTES = (
    "axis",
    "axes",
    "auto_pad",
    "broadcast",
    "is_test",
    "kernel_shape",
    "pads",
    "value",
    "é",
)


def a_node(draw: Draw, model: onnx.ModelProto) -> onnx.NodeProto:
    node: onnx.NodeProto = draw.choice(draw.choice([row for row in _rows(model) if row]))
    return node


def _rows(model: onnx.ModelProto) -> list[Any]:
    """List the nodes of the graph, of graphs in it, and of functions."""
    inner = [a.g.node for node in model.graph.node for a in node.attribute if a.HasField("g")]
    return [model.graph.node] * 3 + inner + [function.node for function in model.functions]


def a_name(draw: Draw, model: onnx.ModelProto) -> str:
    """Choose a name of a value, or another one."""
    known = [name for node in model.graph.node for name in [*node.input, *node.output]]
    known += [value.name for value in [*model.graph.input, *model.graph.output]]
    return draw.choice(known) if draw.random() < 0.7 else draw.choice(WORDS)


def a_value(draw: Draw) -> Any:
    """Choose what an attribute may hold."""
    row = [draw.choice(NUMBERS) for _ in range(draw.randrange(6))]
    return draw.choice(
        [
            draw.choice(NUMBERS),
            draw.choice(FLOATS),
            draw.choice(WORDS),
            row,
            [float(n) for n in row],
            [draw.choice(WORDS) for _ in range(draw.randrange(1, 3))],
            numpy_helper.from_array(np.array(row, np.int64)),
            numpy_helper.from_array(np.array([draw.choice(FLOATS)], np.float32)),
            onnx.GraphProto(),
        ]
    )


def an_attribute(draw: Draw, model: onnx.ModelProto) -> tuple[onnx.NodeProto, AttributeProto]:
    nodes = [node for row in _rows(model) for node in row if node.attribute]
    node = draw.choice(nodes)
    return node, draw.choice(node.attribute)


def a_tensor(draw: Draw, model: onnx.ModelProto) -> TensorProto:
    held = [a.t for node in model.graph.node for a in node.attribute if a.HasField("t")]
    return draw.choice([*model.graph.initializer, *held])


def a_shape(draw: Draw, model: onnx.ModelProto) -> Any:
    graph = model.graph
    values = [*[graph.input[0]] * 3, *graph.input, *graph.output, *graph.value_info]
    return draw.choice(values).type.tensor_type


def set_attribute(node: onnx.NodeProto, name: str, value: Any) -> None:
    kept = [a for a in node.attribute if a.name != name]
    made = (
        AttributeProto(name=name, type=AttributeProto.INTS)
        if value == []
        else helper.make_attribute(name, value)
    )
    del node.attribute[:]
    node.attribute.extend([*kept, made])


def a_changed_row(draw: Draw, row: list[int]) -> list[int]:
    place = draw.randrange(len(row) + 1)
    if draw.random() < 0.5 and row:
        return [draw.choice(NUMBERS) if k == place % len(row) else n for k, n in enumerate(row)]
    return draw.choice([row[:place], [*row, draw.choice(NUMBERS)], row[::-1], []])


@functools.cache
def attributes_of(op_type: str) -> dict[str, str]:
    """Return the attributes that any version of an operator has, each with its type."""
    return {
        name: str(attribute.type).rpartition(".")[2]
        for schema in onnx.defs.get_all_schemas_with_history()
        if schema.name == op_type and not schema.domain
        for name, attribute in schema.attributes.items()
    }
