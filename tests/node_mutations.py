"""Mutations of nodes: their attributes, inputs, outputs and operators."""

from __future__ import annotations

import onnx
from onnx import AttributeProto, helper

from fcconv.graph.operators import OPERATORS
from mutation_choices import (
    ATTRIBUTES,
    DOMAINS,
    FLOATS,
    NUMBERS,
    WORDS,
    Draw,
    Mutation,
    a_changed_row,
    a_name,
    a_node,
    a_value,
    an_attribute,
    attributes_of,
    set_attribute,
)


def attribute_removed(draw: Draw, model: onnx.ModelProto) -> None:
    node, attribute = an_attribute(draw, model)
    node.attribute.remove(attribute)


def attribute_retyped(draw: Draw, model: onnx.ModelProto) -> None:
    node, attribute = an_attribute(draw, model)
    set_attribute(node, attribute.name, a_value(draw))


def attribute_mislabelled(draw: Draw, model: onnx.ModelProto) -> None:
    _, attribute = an_attribute(draw, model)
    attribute.type = draw.randrange(15)  # type: ignore[assignment]


def attribute_changed(draw: Draw, model: onnx.ModelProto) -> None:
    """Give an attribute another value of its type."""
    node, attribute = an_attribute(draw, model)
    old = helper.get_attribute_value(attribute)
    if isinstance(old, float):
        set_attribute(node, attribute.name, draw.choice(FLOATS))
    elif isinstance(old, int):
        set_attribute(node, attribute.name, draw.choice(NUMBERS))
    elif isinstance(old, bytes):
        set_attribute(node, attribute.name, draw.choice(WORDS))
    elif attribute.type == AttributeProto.INTS:
        set_attribute(node, attribute.name, a_changed_row(draw, list(attribute.ints)))


def attribute_added(draw: Draw, model: onnx.ModelProto) -> None:
    """Add an attribute that the operator has in some version, or another one."""
    node = a_node(draw, model)
    kinds = attributes_of(node.op_type)
    if not kinds or draw.random() < 0.2:
        set_attribute(node, draw.choice(ATTRIBUTES), a_value(draw))
        return
    name = draw.choice(list(kinds))
    fitting = {
        "INT": draw.choice(NUMBERS),
        "FLOAT": draw.choice(FLOATS),
        "STRING": draw.choice(WORDS),
        "INTS": [draw.choice(NUMBERS) for _ in range(draw.randrange(5))],
    }
    set_attribute(node, name, fitting.get(kinds[name], a_value(draw)))


def attribute_doubled(draw: Draw, model: onnx.ModelProto) -> None:
    node, attribute = an_attribute(draw, model)
    node.attribute.append(attribute)


def attribute_referred(draw: Draw, model: onnx.ModelProto) -> None:
    _, attribute = an_attribute(draw, model)
    attribute.ref_attr_name = draw.choice(WORDS)


def input_removed(draw: Draw, model: onnx.ModelProto) -> None:
    inputs = a_node(draw, model).input
    del inputs[draw.randrange(len(inputs))]


def input_left_out(draw: Draw, model: onnx.ModelProto) -> None:
    inputs = a_node(draw, model).input
    inputs[draw.randrange(len(inputs))] = ""


def input_added(draw: Draw, model: onnx.ModelProto) -> None:
    a_node(draw, model).input.append(a_name(draw, model))


def inputs_exchanged(draw: Draw, model: onnx.ModelProto) -> None:
    inputs = a_node(draw, model).input
    shuffled = draw.sample(list(inputs), len(inputs))
    inputs[:] = shuffled


def input_redirected(draw: Draw, model: onnx.ModelProto) -> None:
    inputs = a_node(draw, model).input
    inputs[draw.randrange(len(inputs))] = a_name(draw, model)


def output_removed(draw: Draw, model: onnx.ModelProto) -> None:
    a_node(draw, model).output.pop()


def outputs_added(draw: Draw, model: onnx.ModelProto) -> None:
    """Add outputs that the operator has in some version, or more."""
    node = a_node(draw, model)
    schemas = onnx.defs.get_all_schemas_with_history()
    most = max((s.max_output for s in schemas if s.name == node.op_type), default=1)
    for _ in range(draw.choice((1, min(most, 5) - len(node.output)))):
        node.output.append(draw.choice(["", f"more{len(node.output)}", a_name(draw, model)]))


def output_renamed(draw: Draw, model: onnx.ModelProto) -> None:
    a_node(draw, model).output[0] = a_name(draw, model)


def operator_exchanged(draw: Draw, model: onnx.ModelProto) -> None:
    a_node(draw, model).op_type = draw.choice([*OPERATORS, "If", "LSTM", "Einsum", "Resize", ""])


def node_renamed(draw: Draw, model: onnx.ModelProto) -> None:
    node = a_node(draw, model)
    node.name = draw.choice([a_name(draw, model), a_node(draw, model).name, f"{node.name}/kernel"])


def domain_changed(draw: Draw, model: onnx.ModelProto) -> None:
    a_node(draw, model).domain = draw.choice(DOMAINS)


def opset_changed(draw: Draw, model: onnx.ModelProto) -> None:
    model.opset_import[0].version = draw.choice([*range(5, 41), -1, 2**40])


def opset_named(draw: Draw, model: onnx.ModelProto) -> None:
    entry = model.opset_import[0]
    entry.domain = draw.choice(DOMAINS)
    if draw.random() < 0.3:
        model.opset_import.add(domain=draw.choice(DOMAINS), version=draw.randrange(1, 30))


def version_changed(draw: Draw, model: onnx.ModelProto) -> None:
    model.ir_version = draw.choice((0, 1, 3, 4, 7, 8, 9, 10, 11, 12, 13, 99, -1))


MUTATIONS: list[Mutation] = [
    attribute_removed,
    attribute_retyped,
    attribute_mislabelled,
    attribute_changed,
    attribute_added,
    attribute_doubled,
    attribute_referred,
    input_removed,
    input_left_out,
    input_added,
    inputs_exchanged,
    input_redirected,
    output_removed,
    outputs_added,
    output_renamed,
    operator_exchanged,
    node_renamed,
    domain_changed,
    opset_changed,
    opset_named,
    version_changed,
]
