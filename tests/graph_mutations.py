"""Mutations of graphs: what is declared, and how nodes hang together."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from fcconv.graph.operators import OPERATORS
from mutation_choices import (
    ATTRIBUTES,
    DTYPES,
    SIZES,
    WORDS,
    Draw,
    Mutation,
    a_name,
    a_node,
    a_shape,
    a_value,
    set_attribute,
)


def size_changed(draw: Draw, model: onnx.ModelProto) -> None:
    size = draw.choice(a_shape(draw, model).shape.dim)
    if draw.random() < 0.2:
        size.Clear()
    elif draw.random() < 0.3:
        size.dim_param = draw.choice(WORDS)
    else:
        size.dim_value = draw.choice(SIZES)


def rank_changed(draw: Draw, model: onnx.ModelProto) -> None:
    shape = a_shape(draw, model).shape
    if draw.random() < 0.5 and shape.dim:
        del shape.dim[draw.randrange(len(shape.dim))]
    else:
        shape.dim.add(dim_value=draw.choice(SIZES))


def shape_left_out(draw: Draw, model: onnx.ModelProto) -> None:
    tensor = a_shape(draw, model)
    tensor.ClearField(draw.choice(["shape", "shape", "elem_type"]))


def value_type(draw: Draw, model: onnx.ModelProto) -> None:
    a_shape(draw, model).elem_type = draw.choice(DTYPES)


def cast_before(draw: Draw, model: onnx.ModelProto) -> None:
    """Take pixels of another type, and cast them."""
    value = model.graph.input[0]
    for node in model.graph.node:
        node.input[:] = ["cast" if n == value.name else n for n in node.input]
    made = helper.make_node("Cast", [value.name], ["cast"], to=value.type.tensor_type.elem_type)
    model.graph.node.insert(0, made)
    value.type.tensor_type.elem_type = draw.choice((2, 3, 5, 6, 7, 9, 10, 11, 16))


def shuffled(draw: Draw, model: onnx.ModelProto) -> None:
    nodes = draw.sample(list(model.graph.node), len(model.graph.node))
    model.graph.ClearField("node")
    model.graph.node.extend(nodes)


def node_dropped(draw: Draw, model: onnx.ModelProto) -> None:
    del model.graph.node[draw.randrange(len(model.graph.node))]


def node_bypassed(draw: Draw, model: onnx.ModelProto) -> None:
    """Drop a node; what read its output reads its input."""
    node = draw.choice(model.graph.node)
    old, new = node.output[0], node.input[0]
    model.graph.node.remove(node)
    for other in model.graph.node:
        other.input[:] = [new if n == old else n for n in other.input]


def node_doubled(draw: Draw, model: onnx.ModelProto) -> None:
    node = onnx.NodeProto()
    node.CopyFrom(draw.choice(model.graph.node))
    if draw.random() < 0.7:
        node.output[:] = [f"{name}, too" for name in node.output]
        target = a_node(draw, model)
        target.input[draw.randrange(len(target.input))] = node.output[0]
    model.graph.node.append(node)


def node_inserted(draw: Draw, model: onnx.ModelProto) -> None:
    """Put a node of one input between two others."""
    target = draw.choice([node for node in model.graph.node if node.input])
    place = draw.randrange(len(target.input))
    operator = draw.choice(list(OPERATORS))
    others = [a_name(draw, model)] if draw.random() < 0.3 else []
    made = helper.make_node(operator, [target.input[place], *others], ["inserted"], name="new")
    if draw.random() < 0.3:
        set_attribute(made, draw.choice(ATTRIBUTES), a_value(draw))
    target.input[place] = "inserted"
    model.graph.node.append(made)


def put_into_if(draw: Draw, model: onnx.ModelProto) -> None:
    """Put a node into both branches of an If."""
    node = draw.choice(model.graph.node)
    value = helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)
    inner = helper.make_graph([node], "inner", [], [value])
    inner.node[0].output[:] = [f"{name} inside" for name in node.output]
    inner.output[0].name = inner.node[0].output[0]
    branches: Any = {"then_branch": inner, "else_branch": inner}
    made = helper.make_node("If", ["yes"], [node.output[0]], "if", None, None, None, **branches)
    place = list(model.graph.node).index(node)
    del model.graph.node[place]
    model.graph.node.insert(place, made)
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))


def nested(draw: Draw, model: onnx.ModelProto) -> None:
    """Put graphs into graphs."""
    graph = onnx.GraphProto()
    for _ in range(draw.choice((2, 10, 25))):
        outer = onnx.GraphProto()
        outer.node.add(op_type="If").attribute.add(name="g", g=graph, type=AttributeProto.GRAPH)
        graph = outer
    set_attribute(a_node(draw, model), draw.choice(["then_branch", "body"]), graph)


def put_into_function(draw: Draw, model: onnx.ModelProto) -> None:
    """Put a node into a local function, which may call itself."""
    node = draw.choice(model.graph.node)
    given = [name for name in dict.fromkeys(node.input) if name]
    body = onnx.NodeProto()
    body.CopyFrom(node)
    if draw.random() < 0.2:
        body.domain, body.op_type = "own", "Part"
    opsets = [*model.opset_import, helper.make_opsetid("own", 1)]
    made = helper.make_function("own", "Part", given, list(node.output), [body], opsets)
    model.functions.append(made)
    model.opset_import.add(domain="own", version=1)
    node.CopyFrom(helper.make_node("Part", given, list(node.output), node.name, domain="own"))


def graph_input_added(draw: Draw, model: onnx.ModelProto) -> None:
    made = helper.make_tensor_value_info(a_name(draw, model), TensorProto.FLOAT, ["N", 3])
    model.graph.input.append(made)


def graph_input_dropped(draw: Draw, model: onnx.ModelProto) -> None:
    del model.graph.input[draw.randrange(len(model.graph.input))]


def graph_output_added(draw: Draw, model: onnx.ModelProto) -> None:
    dtype, name = draw.choice((1, 1, 7, 0)), a_name(draw, model)
    model.graph.output.append(helper.make_tensor_value_info(name, dtype, None))


def graph_output_exchanged(draw: Draw, model: onnx.ModelProto) -> None:
    draw.choice(model.graph.output).name = a_name(draw, model)


def graph_output_dropped(draw: Draw, model: onnx.ModelProto) -> None:
    del model.graph.output[draw.randrange(len(model.graph.output))]


def value_renamed(draw: Draw, model: onnx.ModelProto) -> None:
    """Rename a value everywhere."""
    graph = model.graph
    old, new = a_name(draw, model), draw.choice([a_name(draw, model), *WORDS])
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    named: list[Any] = [*graph.input, *graph.output, *graph.initializer]
    for value in named:
        value.name = new if value.name == old else value.name


def shape_told(draw: Draw, model: onnx.ModelProto) -> None:
    """Say something about the shape of a value on the way."""
    sizes = [draw.choice((*SIZES, "N", None)) for _ in range(draw.randrange(6))]
    made = helper.make_tensor_value_info(a_name(draw, model), draw.choice((1, 1, 7)), sizes)
    model.graph.value_info.append(made)


def metadata_told(draw: Draw, model: onnx.ModelProto) -> None:
    name = draw.choice(["fcconv.window", "fcconv.stride", "fcconv.sliding", "fcconv.form", ""])
    told = ["", "6 5", "2 2", "0 0", "-1", "9" * 5000, "{}", "[" * 5000, "²", "NaN", "pointwise"]
    model.metadata_props.add(key=name, value=draw.choice(told))


MUTATIONS: list[Mutation] = [
    size_changed,
    rank_changed,
    shape_left_out,
    value_type,
    cast_before,
    shuffled,
    node_dropped,
    node_bypassed,
    node_doubled,
    node_inserted,
    put_into_if,
    nested,
    put_into_function,
    graph_input_added,
    graph_input_dropped,
    graph_output_added,
    graph_output_exchanged,
    graph_output_dropped,
    value_renamed,
    shape_told,
    metadata_told,
]
