"""Rewrites a sliding network so that it scores a recording chunk by chunk.

What an operator reads of earlier chunks comes in as state, is put in front of what a chunk brings,
and its end goes out as the next state. All of it is standard operators, so that every engine
streams by one rule. Padding along time falls away: a recording has no ends here, and what pads is
refused unless its results are cut off again, as strips of exact windows do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from fcconv.errors import ArgumentError, UnsupportedError
from fcconv.graph import receptive
from fcconv.graph.call import Call
from fcconv.graph.rewriting.following import Following
from fcconv.graph.local import Along, Local
from fcconv.graph.node import Node, read_node
from fcconv.graph.operators import OPERATORS
from fcconv.graph.operators.padding import pad_pairs
from fcconv.graph.rewriting.sliding import SLIDING, STRIDE, WINDOW
from fcconv.graph.rules.writer import Writer, copied_initializers, put_together
from fcconv.graph.rules.writing import TO_THE_END, write_ints, write_with_ints
from fcconv.graph.running.run import data_inputs
from fcconv.streaming.moves import Move, cuts_of, inputs_of, move_of, place_of
from fcconv.streaming.states import States


@dataclass(frozen=True)
class Written:
    """A network that scores a recording chunk by chunk.

    Attributes
    ----------
    model : onnx_ir.Model
        The network: a chunk and the states in, the scores and the next states out.
    states : tuple of onnx_ir.Value
        The inputs that are states, of zeros at first.
    smallest : int
        Samples of the smallest chunk; all others are as long as several of it.
    warmup : int
        Cells at the beginning that are no scores.
    seen : int
        Samples that a cell depends on, from its window's first to the last.
    """

    model: ir.Model
    states: tuple[ir.Value, ...]
    smallest: int
    warmup: int
    seen: int


def write_stream(
    model: ir.Model, axis: int, sizes: Sequence[int], chunk: int | None = None
) -> Written:
    """Rewrite a sliding network.

    Parameters
    ----------
    model : onnx_ir.Model
        The network; it is not changed.
    axis : int
        The axis of its input along which time runs.
    sizes : sequence of int
        Shape of a window, or of as many as stand beside each other along the other axes.
    chunk : int, optional
        Samples of every chunk; free, if left out.

    Raises
    ------
    UnsupportedError
        If a node does not show how it moves along time, or pads along it.
    ArgumentError
        If a chunk is not as long as several of the smallest.
    """
    followed, smallest = _followed(model.graph, axis, sizes)
    if chunk is not None and chunk % smallest:
        raise ArgumentError(f"chunk needs a multiple of {smallest} samples, got {chunk}")
    (image,) = data_inputs(model.graph)
    taken = {image.name, *(v.name for v in model.graph.outputs), *model.graph.initializers}
    writer = Writer(
        model.graph.opset_imports.get("", 0),
        initializers=copied_initializers(model.graph),
        names={str(name) for name in taken},
    )
    samples = ir.Value(name=image.name, type=image.type)
    samples.shape = ir.Shape([*sizes[:axis], chunk or "chunk", *sizes[axis + 1 :]])
    rewriter = Rewriter(writer, followed, States(writer), samples, axis, chunk)
    rewriter.tensors[image], rewriter.delays[image] = samples, 0
    for ir_node in model.graph:
        rewriter.step(read_node(ir_node, model.graph.opset_imports))
    outputs, warmup, seen = rewriter.outputs(model.graph.outputs)
    states, after = rewriter.states.inputs(), rewriter.states.outputs()
    written = put_together(model, writer, [samples, *states], [*outputs, *after])
    for key in (WINDOW, STRIDE, SLIDING):  # of the network for a whole recording
        written.metadata_props.pop(key, None)
    return Written(written, tuple(states), smallest, warmup, seen)


def _followed(graph: ir.Graph, axis: int, sizes: Sequence[int]) -> tuple[Following, int]:
    """Follow recordings of as many lengths as tell all, and find the smallest chunk."""
    period, count = 1, 1
    while True:
        followed = Following(graph)
        (image,) = data_inputs(graph)
        along = Along(np.arange(sizes[axis], sizes[axis] + count), of=axis)
        followed.start(image, Local(len(sizes), {axis: along}), sizes)
        outside = followed.to_the_end()
        if outside is not None:
            raise outside.unsupported(
                "it does not show how it moves along time: score windows as crops instead"
            )
        period = math.lcm(1, *(a.jump for a in followed.lines()))
        if period == count:
            return followed, period
        count = period


@dataclass
class Rewriter:
    """Writes a sliding network for chunks, node by node.

    Attributes
    ----------
    writer : Writer
        What writes.
    followed : Following
        What is known of every value of the network.
    states : States
        What is kept from one chunk to the next.
    samples : onnx_ir.Value
        A chunk.
    axis : int
        Its axis along which time runs.
    chunk : int, optional
        How long it is, if that is fixed.
    tensors : dict of onnx_ir.Value to onnx_ir.Value
        What is written of each value.
    delays : dict of onnx_ir.Value to int
        How late each is, in entries of its own; nothing of what is the same at all times.
    """

    writer: Writer
    followed: Following
    states: States
    samples: ir.Value
    axis: int
    chunk: int | None
    tensors: dict[ir.Value, ir.Value] = field(default_factory=dict)
    delays: dict[ir.Value, int] = field(default_factory=dict)
    _read: dict[tuple[ir.Value, int, int], ir.Value] = field(default_factory=dict)

    def step(self, node: Node) -> None:
        """Write what a node becomes."""
        made = self.followed.values[node.ir.outputs[0]]
        if not isinstance(made, Local):
            return  # the same at all times, or a length: written where it is read
        move = move_of(node, self.followed.values)
        late = [self.delays[v] for v in node.ir.inputs if v in self.delays]
        delay = max(map(move.delay, late), default=0)
        tensors = [self._of_input(node, v, move, delay) for v in node.ir.inputs]
        written = self._written(node, tensors, made)
        for value, tensor in zip(node.ir.outputs, written, strict=True):
            self.tensors[value] = tensor
            if place_of(node, self.followed.values[value]) is not None:
                self.delays[value] = delay

    def _of_input(
        self, node: Node, value: ir.Value | None, move: Move, delay: int
    ) -> ir.Value | None:
        """Write the entries of an input that a node reads for those that it makes of a chunk."""
        if value is None:
            return None
        if value not in self.delays:
            return self._constant(node, value)
        count = delay * move.stride - move.start - self.delays[value]
        # what moves over entries leaves those that are left over; all else gets one for each
        moving = OPERATORS[node.op].spread is receptive.window or node.op == "Slice"
        return self.late(node, value, count, 0 if moving else count)

    def late(self, node: Call, value: ir.Value, count: int, rest: int) -> ir.Value:
        """Write what a chunk brings, behind entries of the chunks before, or without its first.

        Parameters
        ----------
        node : Call
            What reads it.
        value : onnx_ir.Value
            A value that has entries along time.
        count : int
            How many entries are put in front; below zero, how many are cut off there.
        rest : int
            How many are cut off at the end; below zero, how many are added, which nothing reads.
        """
        key = value, count, rest
        if key not in self._read:
            call = Call("Identity", f"{value.name}/{node.name}", self.writer.opset)
            self._read[key] = self._in_time(call, value, count, rest)
        return self._read[key]

    def _in_time(self, node: Call, value: ir.Value, count: int, rest: int) -> ir.Value:
        known, tensor = self.followed.values[value], self.tensors[value]
        place, dtype = place_of(node, known), self.followed.dtype(value)
        if (count, rest) == (0, 0):
            return tensor
        if place is None or dtype is None:
            raise node.unsupported("nothing tells the type of what it reads")
        sizes, axis, each = self._sizes(node, known), place.axis, place.each
        sizes[axis] = -1
        if place.before > 1:
            sizes.insert(axis, place.before)
            axis += 1
            tensor = self.states.reshaped(node, tensor, sizes, "/apart")
        if count > 0:
            tensor = self.states.before(node, tensor, dtype, sizes, axis, count * each)
        if count < 0 or rest > 0:
            ends = max(-count, 0) * each, max(rest, 0) * each
            tensor = self.states.cut(node, tensor, axis, *ends)
        if rest < 0:
            pads = [0] * 2 * len(sizes)
            pads[len(sizes) + axis] = -rest * each
            numbers = {"pads": pads}
            tensor = write_with_ints(self.writer, node, "Pad", tensor, 11, "/filled up", numbers)
        if place.before > 1:
            del sizes[place.axis]
            tensor = self.states.reshaped(node, tensor, sizes, "/together")
        return tensor

    def _constant(self, node: Call, value: ir.Value) -> ir.Value | None:
        """Write what is the same at all times."""
        known = self.followed.values[value]
        if value not in self.tensors and isinstance(known, np.ndarray):
            if value.name in self.writer.initializers and value.producer() is None:
                self.tensors[value] = self.writer.initializers[str(value.name)]
            elif known.dtype != object:
                self.tensors[value] = self.writer.constant(known, f"{node.name}/{value.name}")
        return self.tensors.get(value)  # none of lengths, which are told in another way

    # What becomes of a node -----------------------------------------------------------------------

    def _written(
        self, node: Node, tensors: Sequence[ir.Value | None], made: Local
    ) -> list[ir.Value]:
        place, inputs = place_of(node, made), inputs_of(node, self.followed.values)
        if OPERATORS[node.op].spread is receptive.window and place is not None:
            return self.writer.copy(node, tensors, **_unpadded(node, place.axis))
        if node.op == "Slice" and place is not None:
            return [self._sliced(node, inputs, tensors, place.axis)]
        if node.op == "Pad" and place is not None:
            return self._padded(node, inputs, tensors, place.axis)
        if node.op == "Reshape":
            return self._reshaped(node, tensors, made)
        if None in tensors and node.op in ("Expand", "Resize"):
            shape = self._shape(node, made)
            return self.writer.copy(node, [shape if t is None else t for t in tensors])
        return self.writer.copy(node, tensors)

    def _sliced(
        self, node: Node, inputs: Sequence[Any], tensors: Sequence[ir.Value | None], axis: int
    ) -> ir.Value:
        """Keep one in so many along time, where the first is cut off already."""
        x, tensor = inputs[0], tensors[0]
        assert tensor is not None
        cuts = [
            (0, TO_THE_END, a, step) if end is None or a == axis else (start, end.times, a, step)
            for a, (start, end, step) in cuts_of(node, inputs, x.rank).items()
            if (a, step) != (axis, 1)
        ]
        if not cuts:
            return tensor
        named = ("starts", "ends", "axes", "steps")
        numbers = dict(zip(named, map(list, zip(*cuts, strict=True)), strict=True))
        if set(numbers["steps"]) == {1}:
            del numbers["steps"]
        return write_with_ints(self.writer, node, "Slice", tensor, 10, numbers=numbers)

    def _padded(
        self, node: Node, inputs: Sequence[Any], tensors: Sequence[ir.Value | None], axis: int
    ) -> list[ir.Value]:
        """Leave out what is padded along time."""
        tensor = tensors[0]
        assert tensor is not None
        _, pads, _, axes = (*inputs, None, None, None)[:4]
        pairs = pad_pairs(node, np.empty((1,) * inputs[0].rank), pads, axes)
        pairs[axis] = 0, 0
        if not any(map(any, pairs)):
            return [tensor]
        ends = [n for same in zip(*pairs, strict=True) for n in same]
        if self.writer.opset < 11:
            return self.writer.copy(node, tensors, pads=ends)
        numbers = write_ints(self.writer, ends, node, "/pads")
        return self.writer.copy(node, [tensor, numbers, *tensors[2:3]])

    def _reshaped(
        self, node: Node, tensors: Sequence[ir.Value | None], made: Local
    ) -> list[ir.Value]:
        """Spell out the one shape that a value has in all chunks but for its length in time."""
        place, sizes = place_of(node, made), self._sizes(node, made)
        if place is not None:
            sizes[place.axis] = -1
        return self.writer.copy(node, [tensors[0], write_ints(self.writer, sizes, node, "/shape")])

    def _sizes(self, node: Call, made: Local) -> list[int]:
        if made.sizes is None:
            raise node.unsupported("nothing tells the shape of what it makes")
        return list(made.sizes)

    def _shape(self, node: Call, made: Local) -> ir.Value:
        """Write the shape of a value, its length in time among it."""
        place, sizes = place_of(node, made), self._sizes(node, made)
        if place is None or self.chunk is not None:
            if place is not None and self.chunk is not None:
                sizes[place.axis] = self.chunk // place.along.jump * place.each
            return write_ints(self.writer, sizes, node, "/shape")
        shape = self.writer.emit(node, "Shape", [self.samples], None, "/samples")
        numbers = {"starts": [self.axis], "ends": [self.axis + 1], "axes": [0]}
        length = write_with_ints(self.writer, node, "Slice", shape, 10, "/length", numbers)
        for op, number in (("Div", place.along.jump), ("Mul", place.each)):
            constant = write_ints(self.writer, [number], node, f"/{op}")
            length = self.writer.emit(node, op, [length, constant], None, f"/{op}")
        parts = (sizes[: place.axis], sizes[place.axis + 1 :])
        before, behind = (write_ints(self.writer, part, node, "/sizes") for part in parts)
        return self.writer.emit(node, "Concat", [before, length, behind], {"axis": 0}, "/shape")

    # Scores ---------------------------------------------------------------------------------------

    def outputs(self, values: Sequence[ir.Value]) -> tuple[list[ir.Value], int, int]:
        """Bring all outputs to one delay, and say how many cells that is, and what a cell sees.

        Raises
        ------
        UnsupportedError
            If padding along time has a part in a score.
        """
        warmup, seen = max(self.delays[value] for value in values), 0
        made = []
        for value in values:
            name = str(value.name)
            call = Call("Identity", name, self.writer.opset)
            known = self.followed.values[value]
            place = place_of(call, known)
            assert place is not None
            if place.along.before or place.along.after:
                raise UnsupportedError(
                    f"the output {name!r} reads padding along time, but a recording without end "
                    f"has none: what was trained with padding is another network without it"
                )
            seen = max(seen, place.along.last + 1)
            count = warmup - self.delays[value]
            tensor = self.late(call, value, count, count)
            if tensor is self.samples or any(tensor is other for other in made):
                tensor = self.writer.emit(call, "Identity", [tensor], None, "/scores")
            tensor.name, tensor.type = name, value.type
            cells = "cells" if self.chunk is None else self.chunk // place.along.jump
            sizes = self._sizes(call, known)
            tensor.shape = ir.Shape([*sizes[: place.axis], cells, *sizes[place.axis + 1 :]])
            made.append(tensor)
        return made, warmup, seen


def _unpadded(node: Node, axis: int) -> dict[str, list[int]]:
    """Return the padding of a window without that along an axis, if it has any."""
    pads = list(node.attribute("pads", ()))
    half, k = len(pads) // 2, axis - 2
    if not pads or k < 0:
        return {}
    pads[k] = pads[half + k] = 0
    return {"pads": pads}
