"""Frees the batch of a network that was exported for one image.

Its reshapes name the length 1 of the batch, or leave another length open. So the axis of the batch
is followed from node to node, by the operators' records, and the length that a reshape leaves open
becomes that of the batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from fcconv.errors import FcconvError
from fcconv.graph.local import Local
from fcconv.graph.node import Node, read_node
from fcconv.graph.operators import OPERATORS
from fcconv.graph.rewriting.exact.batching import batching_of
from fcconv.graph.rewriting.exact.parts import Axis
from fcconv.graph.rewriting.following import spread_of
from fcconv.graph.rules.writer import Writer
from fcconv.graph.rules.writing import write_ints


def free_batch(graph: ir.Graph, image: ir.Value, writer: Writer) -> None:
    """Let reshapes take any number of images, where the batch of one is told from other axes.

    Parameters
    ----------
    graph : onnx_ir.Graph
        The network; the shapes of its values are known.
    image : onnx_ir.Value
        Its input.
    writer : Writer
        What writes its initialisers.
    """
    places: dict[ir.Value, int] = {image: 0}
    for ir_node in graph:
        node = read_node(ir_node, graph.opset_imports)
        read = next((v for v in ir_node.inputs if v in places), None)
        operator = OPERATORS.get(node.op)
        if read is None or (operator is not None and operator.static):
            continue
        if node.op == "Reshape" and read is ir_node.inputs[0]:
            place = _reshape(node, places[read], writer)
            places[ir_node.outputs[0]] = place
            continue
        made = batching_of(node).results or [_followed(node, read, places)] * len(ir_node.outputs)
        places.update(zip(ir_node.outputs, made, strict=False))


def _followed(node: Node, read: ir.Value, places: dict[ir.Value, int]) -> int:
    """Say which axis is the batch of what a node makes; where nobody knows, the same as before."""
    known = {v: _images(v, places[v]) for v in node.ir.inputs if v is not None and v in places}
    try:
        made = spread_of(node, known)
    except FcconvError:
        made = None
    if made is not None:
        return next(iter(made.along))
    shapes = read.shape, node.ir.outputs[0].shape
    return places[read] if len({len(shape or ()) for shape in shapes}) == 1 else 0


def _images(value: ir.Value, place: int) -> Local | None:
    along: dict[int, Any] = {place: Axis(0, 1, head=1)}
    return None if value.shape is None else Local(len(value.shape), along)


def _reshape(node: Node, place: int, writer: Writer) -> int:
    """Let a reshape make the batch what is left; return the axis that it becomes."""
    given, made = (_lengths(value) for value in (node.ir.inputs[0], node.ir.outputs[0]))
    if given is None or made is None:
        return 0
    before = math.prod(given[:place])
    found = [k for k in range(len(made)) if math.prod(made[:k]) == before]
    if not found:
        return 0
    place = next((k for k in found if made[k] == 1), found[-1])
    numbers = [-1 if k == place else n for k, n in enumerate(made)]
    node.ir.replace_input_with(1, write_ints(writer, numbers, node, "/shape"))
    return place


def _lengths(value: ir.Value | None) -> Sequence[int] | None:
    """Return the lengths of a value of one image."""
    if value is None or value.shape is None:
        return None
    lengths = [
        1 if k == 0 and not isinstance(n, int) else n for k, n in enumerate(value.shape.dims)
    ]
    known = [n for n in lengths if isinstance(n, int)]
    return known if len(known) == len(lengths) else None
