"""What must hold of a network before it is followed or computed."""

from __future__ import annotations

import functools
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import onnx
import onnx_ir as ir

from fcconv.errors import ModelError, UnsupportedError
from fcconv.graph.call import Call
from fcconv.graph.node import Node, label

OLDEST_OPSET = 7

INTERNAL = "__"
"""How the names of attributes begin that ONNX lets tools add."""

FLAGS = ("keepdims", "noop_with_empty_axes")
"""Attributes that are 0 or 1; of another number engines have different opinions."""

AUTO_PAD = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


def check_version(model: ir.Model) -> None:
    """Check that the operator set is known."""
    opset = model.opset_imports.get("", model.opset_imports.get("ai.onnx", 0))
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= opset <= newest:
        raise UnsupportedError(
            f"the model is of opset {opset}; {OLDEST_OPSET} to {newest} are known here: "
            f"{'upgrade onnx' if opset > newest else 'convert it with onnx.version_converter'}"
        )


def check_values(graph: ir.Graph, outer: frozenset[ir.Value] = frozenset()) -> None:
    """Check that every value that is read comes from somewhere."""
    known = outer.union(graph.inputs, graph.initializers.values())
    if not graph.outputs:
        raise ModelError("the graph has no output: it computes nothing")
    for output in graph.outputs:
        if output.producer() is None and output not in known:
            raise ModelError(f"{output.name!r} is an output, but nothing makes it")
    for ir_node in graph:
        for value in ir_node.inputs:
            if value is not None and value.producer() is None and value not in known:
                raise ModelError(
                    f"{label(ir_node)} reads {value.name!r}, which no node makes and no "
                    f"initialiser holds"
                )
        for attribute in ir_node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                check_values(attribute.as_graph(), known)
            elif attribute.type == ir.AttributeType.GRAPHS:
                for inner in attribute.as_graphs():
                    check_values(inner, known)


def check_node(node: Node) -> None:
    """Check the inputs, outputs and attributes of a node, if ONNX has an operator of its type."""
    schema = find_schema(node)
    if schema is None:
        return
    for what, given, least, most in (
        ("inputs", node.ir.inputs, schema.min_input, schema.max_input),
        ("outputs", node.ir.outputs, schema.min_output, schema.max_output),
    ):
        if not least <= len(given) <= most:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            raise ModelError(f"{node} needs {wanted} {what}, got {len(given)}")
    for name, needed, value in zip(schema.names, schema.needed, node.ir.inputs, strict=False):
        if value is None and needed:
            raise ModelError(f"{node} needs its input {name}, which is left out")
    unknown = [name for name in node.ir.attributes if name not in schema.attributes]
    for name in unknown:
        if not name.startswith(INTERNAL):
            raise ModelError(
                f"{node} has the attribute {name}, which {node.ir.op_type} of opset {node.opset} "
                f"has not: export the model again, for an opset that has it"
            )
    for name, kind in schema.attributes.items():
        attribute = node.ir.attributes.get(name)
        if attribute is None and name in schema.required:
            raise ModelError(f"{node} needs the attribute {name}, which is left out")
        if attribute is not None and (attribute.type.name != kind or attribute.is_ref()):
            raise ModelError(f"{node} needs {name} as {kind}, got {attribute.type.name}")
        if attribute is not None and name in FLAGS and attribute.value not in (0, 1):
            raise ModelError(f"{node} needs {name} of 0 or 1, got {attribute.value}")
    if "auto_pad" in schema.attributes:
        _check_window(node)


def unfamiliar(node: Call, known: Collection[str]) -> str | None:
    """Say what a node asks for beyond the attributes that are known of its operator, if anything.

    An attribute that has its default value asks for nothing.
    """
    schema = find_schema(node)
    if schema is None and "." in node.op:
        return None  # an operator of our own, which is as it was written
    if schema is None:
        return f"opset {node.opset} has no operator of this type"
    for name in node.attributes:
        value = node.attribute(name)
        if not (name in known or name.startswith(INTERNAL) or value == schema.defaults.get(name)):
            return f"what it computes with {name}={value} is not known here"
    return None


def find_schema(node: Call) -> Schema | None:
    """Return what ONNX says about the operator of a node; None if it has none of its type."""
    domain, _, op = node.op.rpartition(".")
    try:
        return _schema(op, node.opset, domain)
    except (onnx.defs.SchemaError, TypeError):  # unknown, or of a version beyond 32 bits
        return None


def _check_window(node: Node) -> None:
    """Check the attributes of a convolution or a pool."""
    if node.attribute("auto_pad", "NOTSET") != "NOTSET" and any(node.attribute("pads", ())):
        raise ModelError(
            f"{node} has both auto_pad and pads, which exclude each other: take one of them out"
        )
    kernel = node.attribute("kernel_shape")
    if node.op == "Conv":
        weight = node.ir.inputs[1]
        tensor = None if weight is None else weight.const_value
        if tensor is not None:
            sizes = tuple(tensor.shape.numpy()[2:])
            if kernel is not None and kernel != sizes:
                raise ModelError(f"{node}: kernel_shape is {kernel}, its weight has {sizes}")
            kernel = sizes
    if kernel is None:
        return
    rank = len(kernel)
    for name, length, least in (
        ("kernel_shape", rank, 1),
        ("strides", rank, 1),
        ("dilations", rank, 1),
        ("pads", 2 * rank, 0),
    ):
        numbers = node.attribute(name)
        if numbers is not None and (len(numbers) != length or min(numbers, default=1) < least):
            raise ModelError(f"{node} needs {length} {name} of at least {least}, got {numbers}")
    group, auto_pad = node.attribute("group", 1), node.attribute("auto_pad", "NOTSET")
    if group < 1:
        raise ModelError(f"{node} needs a group of at least 1, got {group}")
    if auto_pad not in AUTO_PAD:
        raise ModelError(f"{node} needs an auto_pad of {', '.join(AUTO_PAD)}, got {auto_pad!r}")


@dataclass(frozen=True)
class Schema:
    """What ONNX says about an operator: how much it takes, and of which name, kind and default."""

    min_input: int
    max_input: int
    min_output: int
    max_output: int
    names: tuple[str, ...]
    needed: tuple[bool, ...]
    attributes: dict[str, str]
    required: frozenset[str]
    defaults: dict[str, Any]


@functools.cache
def _schema(op_type: str, opset: int, domain: str) -> Schema:
    schema = onnx.defs.get_schema(op_type, opset, domain)
    single = onnx.defs.OpSchema.FormalParameterOption.Single
    return Schema(
        schema.min_input,
        schema.max_input,
        schema.min_output,
        schema.max_output,
        tuple(x.name for x in schema.inputs),
        tuple(x.option == single for x in schema.inputs),
        {name: str(a.type).rpartition(".")[2] for name, a in schema.attributes.items()},
        frozenset(name for name, a in schema.attributes.items() if a.required),
        {
            name: ir.from_proto(a.default_value).value
            for name, a in schema.attributes.items()
            if a.default_value.name
        },
    )
