"""Networks as expressions: what an output is made of, whatever its parts are called."""

from __future__ import annotations

import hashlib

import numpy as np
import onnx_ir as ir

from fcconv.graph.node import attribute_bytes, values_read
from fcconv.graph.running.run import data_inputs


def same_expression(first: ir.Model, second: ir.Model) -> bool:
    """Say whether two networks apply the same operators to the same numbers, output by output.

    Names, the order of independent nodes, where a constant lies, and nodes that change nothing have
    no part in it.
    """
    return _expressions(first) == _expressions(second)


def content_of(value: ir.Value) -> bytes | None:
    """Hash a constant: its type, its shape, and all of its bytes; None of other values."""
    if value.const_value is None:
        return None
    array = value.const_value.numpy()
    held = hashlib.blake2b(f"{value.dtype} {array.shape}".encode())
    held.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return held.digest()


def _expressions(model: ir.Model) -> list[bytes]:
    """Hash each output: its operator, all bytes of its attributes, and the hashes of its inputs."""
    graph = model.graph
    found: dict[ir.Value | None, bytes] = {None: b"left out"}
    for number, value in enumerate(data_inputs(graph)):
        found[value] = f"input {number} {value.dtype}".encode()
    for value in graph.initializers.values():
        found[value] = content_of(value) or b""
    for node in graph:
        if node.op_identifier() == ("", "Identity", ""):
            found[node.outputs[0]] = found[node.inputs[0]]
            continue
        version = graph.opset_imports.get(node.domain)
        inputs = [found[value] for value in values_read(node)]
        described = (*node.op_identifier(), version, attribute_bytes(node), inputs)
        said = hashlib.blake2b(repr(described).encode())
        for number, value in enumerate(node.outputs):
            found[value] = said.digest() + bytes([number % 256])
    return [found[value] for value in graph.outputs]
