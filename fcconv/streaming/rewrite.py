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

import numpy as np
import onnx_ir as ir

from fcconv.errors import ArgumentError, UnsupportedError
from fcconv.graph import receptive
from fcconv.graph.call import Call
from fcconv.graph.local import Along, Local
from fcconv.graph.node import Node, read_node
from fcconv.graph.operators import OPERATORS
from fcconv.graph.rewriting.following import Following
from fcconv.graph.rewriting.sliding import SLIDING, STRIDE, WINDOW
from fcconv.graph.rules.writer import Writer, copied_initializers, put_together
from fcconv.graph.rules.writing import write_with_ints
from fcconv.graph.running.run import data_inputs
from fcconv.streaming.moves import Move, inputs_of, move_of, place_of
from fcconv.streaming.nodes import Nodes, known_sizes
from fcconv.streaming.states import States
from fcconv.streaming.written import Written


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
    rewriter = Rewriter(writer, followed, States(writer), Nodes(writer, samples, axis, chunk))
    rewriter.tensors[image], rewriter.delays[image] = samples, 0
    for ir_node in model.graph:
        rewriter.step(read_node(ir_node, model.graph.opset_imports))
    outputs, warmup, seen = rewriter.outputs(model.graph.outputs)
    states, after = rewriter.states.inputs(), rewriter.states.outputs()
    written = put_together(model, writer, [samples, *states], [*outputs, *after])
    for key in (WINDOW, STRIDE, SLIDING):  # of the network for a whole recording
        written.metadata_props.pop(key, None)
    return Written(
        written, samples, tuple(outputs), tuple(states), tuple(after), smallest, warmup, seen
    )


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
    nodes : Nodes
        What writes nodes.
    tensors : dict of onnx_ir.Value to onnx_ir.Value
        What is written of each value.
    delays : dict of onnx_ir.Value to int
        How late each is, in entries of its own; nothing of what is the same at all times.
    """

    writer: Writer
    followed: Following
    states: States
    nodes: Nodes
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
        written = self.nodes.write(node, inputs_of(node, self.followed.values), tensors, made)
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
        sizes, axis, each = known_sizes(node, known), place.axis, place.each
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

    # Scores ---------------------------------------------------------------------------------------

    def outputs(self, values: Sequence[ir.Value]) -> tuple[list[ir.Value], int, int]:
        """Bring all outputs to one delay, and say how many cells that is, and what a cell sees.

        Raises
        ------
        UnsupportedError
            If padding along time has a part in a score.
        """
        warmup, seen = max(self.delays[value] for value in values), 0
        made: list[ir.Value] = []
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
            if tensor is self.nodes.samples or any(tensor is other for other in made):
                tensor = self.writer.emit(call, "Identity", [tensor], None, "/scores")
            tensor.name, tensor.type = name, value.type
            chunk = self.nodes.chunk
            cells = "cells" if chunk is None else chunk // place.along.jump
            sizes = known_sizes(call, known)
            tensor.shape = ir.Shape([*sizes[: place.axis], cells, *sizes[place.axis + 1 :]])
            made.append(tensor)
        return made, warmup, seen
