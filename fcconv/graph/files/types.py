"""The types of values, as far as operators say them."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import onnx
import onnx_ir as ir

from fcconv.errors import ModelError
from fcconv.graph.node import Node, read_node

INTEGERS = {f"tensor({sign}int{bits})" for sign in ("", "u") for bits in (8, 16, 32, 64)}

FIXED = {f"tensor({dtype.name.lower()})": dtype for dtype in ir.DataType}
"""Types as ONNX writes them: those of outputs that have one type only, whatever a node reads."""


def check_types(graph: ir.Graph) -> None:
    """Check that each node reads types that its operator takes, and does not mix them.

    The graph is sorted. NumPy and JAX would compute with other types, too, and promote mixed ones,
    each by rules of its own; other engines refuse them.

    Raises
    ------
    ModelError
        If a node does.
    """
    known = {
        value: value.dtype if isinstance(value.type, ir.TensorType) else None
        for value in [*graph.inputs, *graph.initializers.values()]
    }
    for ir_node in graph:
        node = read_node(ir_node, graph.opset_imports)
        signature = _signature(ir_node.op_type, node.opset, ir_node.domain)
        bound = _bound(node, signature, known)
        for name, value in zip(signature.outputs, ir_node.outputs, strict=False):
            known[value] = bound.get(name, FIXED.get(name))
        if node.op == "Cast":
            known[ir_node.outputs[0]] = _cast_to(node)
        if node.op == "ConstantOfShape":
            filled = node.attribute("value")
            known[ir_node.outputs[0]] = ir.DataType.FLOAT if filled is None else filled.dtype


def _bound(
    node: Node, signature: _Signature, known: dict[ir.Value, ir.DataType | None]
) -> dict[str, ir.DataType]:
    """Return the type that each type parameter of an operator stands for."""
    bound: dict[str, ir.DataType] = {}
    for position, value in enumerate(node.ir.inputs):
        dtype = None if value is None else known.get(value)
        name = signature.of_input(position)
        if value is None or dtype is None or name is None:
            continue
        taken = signature.taken[name]
        if f"tensor({dtype.name.lower()})" not in taken:
            wanted = (
                "must hold integers"
                if taken <= INTEGERS
                else f"can't be read by {node.op} of opset {node.opset}"
            )
            raise ModelError(
                f"{node}: {value.name!r} {wanted}, its type is {dtype}: cast it to another type"
            )
        if name not in signature.parameters:
            continue
        if bound.setdefault(name, dtype) != dtype:
            raise ModelError(
                f"{node}: it mixes the types {bound[name]} and {dtype}: cast its inputs to one type"
            )
    return bound


def _cast_to(node: Node) -> ir.DataType:
    number = node.attribute("to")
    try:
        return ir.DataType(number)
    except ValueError:
        raise ModelError(f"{node}: there is no data type {number}") from None


@dataclass(frozen=True)
class _Signature:
    """The types of the inputs and outputs of an operator: fixed ones, and parameters such as "T".

    The last input of some operators stands for any number of them; `taken` are the types that the
    inputs may have.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    repeats: bool
    parameters: frozenset[str]
    taken: dict[str, set[str]]

    def of_input(self, position: int) -> str | None:
        if position >= len(self.inputs) and not self.repeats:
            return None
        return self.inputs[min(position, len(self.inputs) - 1)] if self.inputs else None


@functools.cache
def _signature(op_type: str, opset: int, domain: str) -> _Signature:
    try:
        schema = onnx.defs.get_schema(op_type, opset, domain)
    except (onnx.defs.SchemaError, TypeError):  # unknown, or of a version beyond 32 bits
        return _Signature((), (), False, frozenset(), {})
    last = schema.inputs[-1] if schema.inputs else None
    variadic = onnx.defs.OpSchema.FormalParameterOption.Variadic
    mixed = {x.type_str for x in schema.inputs if x.option == variadic and not x.is_homogeneous}
    allowed = {x.type_param_str: set(x.allowed_type_strs) for x in schema.type_constraints}
    only = {name: min(types) for name, types in allowed.items() if len(types) == 1}
    taken = {x.type_str: allowed.get(x.type_str, {x.type_str}) for x in schema.inputs}
    return _Signature(
        tuple(x.type_str for x in schema.inputs),
        tuple(only.get(x.type_str, x.type_str) for x in schema.outputs),
        last is not None and last.option == variadic,
        frozenset(allowed) - mixed,
        taken,
    )
