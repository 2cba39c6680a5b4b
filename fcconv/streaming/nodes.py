"""Writes the nodes of a sliding network for chunks; what they read is brought to them before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from fcconv.graph import receptive
from fcconv.graph.call import Call
from fcconv.graph.local import Local
from fcconv.graph.node import Node
from fcconv.graph.operators import OPERATORS
from fcconv.graph.operators.padding import pad_pairs
from fcconv.graph.rules.writer import Writer
from fcconv.graph.rules.writing import TO_THE_END, write_ints, write_with_ints
from fcconv.streaming.moves import Place, cuts_of, place_of

Tensors = Sequence[ir.Value | None]


@dataclass(frozen=True)
class Nodes:
    """Writes nodes: without what they pad or cut off along time, and with shapes of a chunk.

    Attributes
    ----------
    writer : Writer
        What writes.
    samples : onnx_ir.Value
        A chunk.
    axis : int
        Its axis along which time runs.
    chunk : int, optional
        How long it is, if that is fixed.
    """

    writer: Writer
    samples: ir.Value
    axis: int
    chunk: int | None

    def write(
        self, node: Node, inputs: Sequence[Any], tensors: Tensors, made: Local
    ) -> list[ir.Value]:
        """Write what a node becomes.

        Parameters
        ----------
        node : Node
            The node.
        inputs : sequence of (Local, array or None)
            What is known of its inputs.
        tensors : sequence of (onnx_ir.Value or None)
            What is written of them; nothing of lengths.
        made : Local
            What is known of what it makes.
        """
        place = place_of(node, made)
        if node.op == "Reshape":
            return self._reshaped(node, tensors, made, place)
        if place is None:
            return self.writer.copy(node, tensors)
        if OPERATORS[node.op].spread is receptive.window:
            return self.writer.copy(node, tensors, **_unpadded(node, place.axis))
        if node.op == "Slice":
            return self._sliced(node, inputs, tensors, place.axis)
        if node.op == "Pad":
            return self._padded(node, inputs, tensors, place.axis)
        return self.writer.copy(node, self._with_shape(node, inputs, tensors, made, place))

    def _reshaped(
        self, node: Node, tensors: Tensors, made: Local, place: Place | None
    ) -> list[ir.Value]:
        """Spell out the one shape that a value has in all chunks, but for its length in time."""
        sizes = known_sizes(node, made)
        if place is not None:
            sizes[place.axis] = -1
        return self.writer.copy(node, [tensors[0], write_ints(self.writer, sizes, node, "/shape")])

    def _sliced(
        self, node: Node, inputs: Sequence[Any], tensors: Tensors, axis: int
    ) -> list[ir.Value]:
        """Keep one in so many along time, where the first is cut off already."""
        cuts = [
            (0, TO_THE_END, a, step) if end is None or a == axis else (start, end.times, a, step)
            for a, (start, end, step) in cuts_of(node, inputs, inputs[0].rank).items()
            if (a, step) != (axis, 1)
        ]
        tensor: Any = tensors[0]
        if not cuts:
            return [tensor]
        starts, ends, axes, steps = zip(*cuts, strict=True)
        numbers = {"starts": starts, "ends": ends, "axes": axes, "steps": steps}
        if set(numbers["steps"]) == {1}:  # which older operator sets don't have
            del numbers["steps"]
        return [write_with_ints(self.writer, node, "Slice", tensor, 10, numbers=numbers)]

    def _padded(
        self, node: Node, inputs: Sequence[Any], tensors: Tensors, axis: int
    ) -> list[ir.Value]:
        """Leave out what is padded along time."""
        _, pads, _, axes = (*inputs, None, None, None)[:4]
        pairs = pad_pairs(node, np.empty((1,) * inputs[0].rank), pads, axes)
        pairs[axis] = 0, 0
        tensor: Any = tensors[0]
        if not any(map(any, pairs)):
            return [tensor]
        ends = [n for same in zip(*pairs, strict=True) for n in same]
        if self.writer.opset < 11:
            return self.writer.copy(node, tensors, pads=ends)
        numbers = write_ints(self.writer, ends, node, "/pads")
        return self.writer.copy(node, [tensor, numbers, *tensors[2:3]])

    def _with_shape(
        self, node: Node, inputs: Sequence[Any], tensors: Tensors, made: Local, place: Place
    ) -> Tensors:
        """Let the shape that a node is to make be that of a chunk, if one is told to it."""
        given = list(tensors)
        for k, known in enumerate(inputs):
            if isinstance(known, np.ndarray) and known.dtype == object:
                given[k] = self._shape(node, known_sizes(node, made), place)
        return given

    def _shape(self, node: Call, sizes: list[int], place: Place) -> ir.Value:
        """Write the shape of a value, its length in time among it."""
        jump, times = place.along.jump, place.before * place.each
        if self.chunk is not None:
            sizes[place.axis] = self.chunk // jump * times
            return write_ints(self.writer, sizes, node, "/shape")
        shape = self.writer.emit(node, "Shape", [self.samples], None, "/samples")
        numbers = {"starts": [self.axis], "ends": [self.axis + 1], "axes": [0]}
        length = write_with_ints(self.writer, node, "Slice", shape, 10, "/length", numbers)
        for op, number in (("Div", jump), ("Mul", times)):
            constant = write_ints(self.writer, [number], node, f"/{op}")
            length = self.writer.emit(node, op, [length, constant], None, f"/{op}")
        parts = sizes[: place.axis], sizes[place.axis + 1 :]
        before, behind = (write_ints(self.writer, part, node, "/sizes") for part in parts)
        return self.writer.emit(node, "Concat", [before, length, behind], {"axis": 0}, "/shape")


def known_sizes(node: Call, known: Local) -> list[int]:
    """Return the shape of a value, whose length in time counts for nothing.

    Raises
    ------
    UnsupportedError
        If nothing tells it.
    """
    if known.sizes is None:
        raise node.unsupported("nothing tells the shape of a value that a stream keeps")
    return list(known.sizes)


def _unpadded(node: Node, axis: int) -> dict[str, Any]:
    """Return the padding of a window without that along an axis, if it has any."""
    pads = list(node.attribute("pads", ()))
    half, k = len(pads) // 2, axis - 2
    if not pads or k < 0:
        return {}
    pads[k] = pads[half + k] = 0
    return {"pads": pads}
