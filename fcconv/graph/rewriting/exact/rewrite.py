"""Writes the network that scores every window exactly: shared in parts, then each by itself.

As long as operators say how far they see, values are written in parts. From the first node that
does not, or where sharing stops paying, windows stand in the batch, each with its whole value, and
the patch network's own nodes follow unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir

from fcconv.errors import UnsupportedError
from fcconv.graph.call import Call
from fcconv.graph.node import Node, constant_of, read_node
from fcconv.graph.operators.padding import pad_pairs
from fcconv.graph.operators.windows import DILATED_SINCE, pool
from fcconv.graph.rewriting.exact.batching import batching_of
from fcconv.graph.rewriting.exact.follow import STILL, Followed, axes_of, moves_of
from fcconv.graph.rewriting.exact.parts import Axis, Moves
from fcconv.graph.rewriting.exact.patch import sizes_of, spans
from fcconv.graph.rewriting.exact.strips import Key, Parts, Strips
from fcconv.graph.rules.samples import AxisWindow
from fcconv.graph.rules.writer import Writer
from fcconv.graph.rules.writing import TO_THE_END, write_ints, write_with_ints


@dataclass
class Rewriter:
    """Writes a patch network for windows, node by node.

    Attributes
    ----------
    writer : Writer
        What writes.
    strips : Strips
        What writes parts.
    followed : Followed
        Which values windows can share.
    shared : frozenset of onnx_ir.Node
        The nodes that are written in parts.
    parts : dict of onnx_ir.Value to Parts
        The values of the patch network that are written in parts.
    own : dict of onnx_ir.Value to onnx_ir.Value
        Those that are written with windows in the batch, and those that are the same for all.
    """

    writer: Writer
    strips: Strips
    followed: Followed
    shared: frozenset[ir.Node]
    parts: dict[ir.Value, Parts]
    own: dict[ir.Value, ir.Value] = field(default_factory=dict)

    def step(self, ir_node: ir.Node) -> None:
        """Write what a node of the patch network becomes."""
        node = read_node(ir_node, self.followed.opsets)
        if ir_node in self.shared:
            self._write_parts(node)
        elif node.op == "Shape" and ir_node.inputs[0] in self.parts:
            self._write_shape(node)
        else:
            self._copy_whole(node)

    # Windows that share ---------------------------------------------------------------------------

    def _write_parts(self, node: Node) -> None:
        made = self.followed.locals[node.ir.outputs[0]]
        moves = moves_of(made)
        if any(move != STILL for move in moves):
            (x,) = self._parts_among(node.ir.inputs)
            read = self.strips.read(node, x, axes_of(made), moves)
            written = {
                key: self._moved(node, tensor, told, x, key) for key, (tensor, told) in read.items()
            }
        else:
            tensors = {
                value: self._brought_to(node, self.parts[value], axes_of(made))
                for value in dict.fromkeys(node.ir.inputs)
                if value in self.parts
            }
            keys = next(iter(tensors.values()))
            written = {
                key: self.writer.copy(node, [tensors[v][key] if v in tensors else self._fixed(v)
                                      for v in node.ir.inputs], _suffix(key))
                for key in keys
            }  # fmt: skip
        for k, value in enumerate(node.ir.outputs):
            self.parts[value] = Parts(made, {key: outputs[k] for key, outputs in written.items()})

    def _parts_among(self, values: Iterable[ir.Value | None]) -> list[Parts]:
        return [self.parts[value] for value in values if value in self.parts]

    def _brought_to(self, node: Call, x: Parts, axes: Sequence[Axis]) -> Mapping[Key, ir.Value]:
        """Cut a value into the parts of another: the same samples shared, the same kept apart."""
        if [axis.spans for axis in x.axes] == [axis.spans for axis in axes]:
            return x.tensors
        read = self.strips.read(node, x, axes, [STILL] * len(axes))
        return {key: tensor for key, (tensor, _) in read.items()}

    def _moved(
        self, node: Node, tensor: ir.Value, told: Sequence[Moves], x: Parts, key: Key
    ) -> list[ir.Value]:
        """Write a node that moves a window, for a part: what it reads is cut out already."""
        moves = dict(zip(x.places, told, strict=True))
        if node.op == "Slice":
            return self._sliced(node, tensor, moves, x.local.rank, key)
        if node.op == "Pad":
            return self._padded(node, tensor, moves, key)
        rank = len(node.attribute("kernel_shape"))
        numbers = list(zip(*(moves.get(2 + k) or _as_it_is(node, k, rank) for k in range(rank)),
                           strict=True))  # fmt: skip
        kernel, strides, dilations, before, after = map(list, numbers)
        if (  # a dilated mean is a convolution where the operator set has no such pool
            node.op == "AveragePool"
            and max(dilations) > 1
            and self.writer.opset < DILATED_SINCE[node.op]
        ):
            slides = [AxisWindow(*each) for each in zip(*numbers, strict=True)]
            channels = (sizes_of(node.ir.inputs[0]) or (0,))[0]
            return [pool(self.writer, node, node.op, tensor, channels, slides, {})]
        changed: dict[str, Any] = {
            "kernel_shape": kernel,
            "strides": strides,
            "dilations": dilations,
            "pads": before + after,
        }
        if node.op != "Conv" and set(dilations) == {1}:
            del changed["dilations"]  # which pools of older operator sets don't have
        inputs = [tensor, *map(self._fixed, node.ir.inputs[1:])]
        return self.writer.copy(node, inputs, _suffix(key), **changed)

    def _sliced(
        self, node: Node, tensor: ir.Value, moves: Mapping[int, Moves], rank: int, key: Key
    ) -> list[ir.Value]:
        starts, ends, axes, steps = spans(node, rank)
        for axis, move in moves.items():
            if axis in axes and move.stride == 1:
                k = axes.index(axis)
                for numbers in (starts, ends, axes, steps):
                    del numbers[k]
            elif move.stride > 1:  # the ends are cut off, only the steps are left
                k = axes.index(axis)
                starts[k], ends[k], steps[k] = 0, TO_THE_END, move.stride
        if not axes:
            return [tensor]
        named = {"starts": starts, "ends": ends, "axes": axes, "steps": steps}
        return [write_with_ints(self.writer, node, "Slice", tensor, 10, _suffix(key), named)]

    def _padded(
        self, node: Node, tensor: ir.Value, moves: Mapping[int, Moves], key: Key
    ) -> list[ir.Value]:
        given = [*map(constant_of, node.ir.inputs[1:]), None, None, None]
        pairs = pad_pairs(node, node.ir.inputs[0], given[0], given[2])
        for axis, move in moves.items():
            pairs[axis] = move.before, move.after
        if not any(map(any, pairs)):
            return [tensor]
        pads = [n for same in zip(*pairs, strict=True) for n in same]
        ends = write_ints(self.writer, pads, node, "/pads")
        values = [self._fixed(value) for value in node.ir.inputs[2:3]]
        return self.writer.copy(node, [tensor, ends, *values], _suffix(key))

    # Windows by themselves ------------------------------------------------------------------------

    def whole(self, node: Call, value: ir.Value | None) -> ir.Value | None:
        """Let each window have all of a value, with windows in the batch."""
        if value is None or value not in self.parts or value in self.own:
            return self._fixed(value)
        x = self.parts[value]
        # where all samples are the head, every one of them is the window's own
        axes = [axis.parted(axis.block, 0) for axis in x.axes]
        reader = Call("Identity", f"{value.name}/whole", node.opset)
        (self.own[value],) = self._brought_to(reader, x, axes).values()
        return self.own[value]

    def _fixed(self, value: ir.Value | None) -> ir.Value | None:
        """Return what is written of a value already: windows in the batch, or a constant."""
        if value is None:
            return None
        return self.own.get(value) or self.writer.initializers[str(value.name)]

    def _write_shape(self, node: Node) -> None:
        """Write the shape that a value has with windows in the batch, without making it."""
        value = node.ir.inputs[0]
        sizes = sizes_of(value)
        if sizes is None:
            self._copy_whole(node)
            return
        whole = self.writer.emit(
            node, "Concat", [self.strips.batch(), write_ints(self.writer, sizes, node, "/sizes")],
            {"axis": 0}, "/whole",
        )  # fmt: skip
        start, end = node.attribute("start", 0), node.attribute("end", 1 + len(sizes))
        if (start, end) != (0, 1 + len(sizes)):
            numbers = {"starts": [start], "ends": [end], "axes": [0]}
            whole = write_with_ints(self.writer, node, "Slice", whole, 10, "/part", numbers)
        self.own[node.ir.outputs[0]] = whole

    def _copy_whole(self, node: Node) -> None:
        inputs = [self.whole(node, value) for value in node.ir.inputs]
        if self.followed.seen & {*node.ir.outputs}:
            inputs = self._as_many(node, inputs)
        self.own.update(zip(node.ir.outputs, self.writer.copy(node, inputs), strict=True))

    def _as_many(self, node: Node, inputs: list[ir.Value | None]) -> list[ir.Value | None]:
        """Repeat constants that stand for one image as often as there are windows."""
        beside = batching_of(node).beside
        if beside is None:
            return inputs
        (places, axis), made = beside(node), list(inputs)
        for k in places:
            value = node.ir.inputs[k]
            constant = None if value is None else value.const_value
            rank = 0 if constant is None else len(constant.shape)
            place = min(axis, rank - 1)
            if constant is None or not rank or constant.shape[place] != 1:
                continue
            around = place, rank - 1 - place
            before, behind = (write_ints(self.writer, [1] * n, node, "/ones") for n in around)
            lengths = [before, self.strips.batch(), behind]
            shape = self.writer.emit(node, "Concat", lengths, {"axis": 0}, "/shape")
            made[k] = self.writer.emit(node, "Expand", [inputs[k], shape], None, "/each")
        return made

    def output(self, value: ir.Value) -> ir.Value:
        """Put an output's features, in order, into the channels; one cell per window."""
        name = str(value.name)
        node = Call("Identity", name, self.writer.opset)
        if value not in self.followed.seen:
            raise UnsupportedError(f"the output {name!r} does not depend on the image")
        sizes = sizes_of(value)
        if sizes is None:
            raise UnsupportedError(f"nothing tells the shape of the output {name!r}")
        written, count = self.whole(node, value), math.prod(sizes)
        rank = len(self.strips.counts)
        shape = self.strips.cells(node, count)
        cells = self.writer.emit(node, "Reshape", [written, shape], None, "/cells")
        perm = [0, 1 + rank, *range(1, 1 + rank)]
        made = self.writer.emit(node, "Transpose", [cells], {"perm": perm}, "/scores")
        made.name = name
        made.shape = ir.Shape(["N", count, *(f"{name}_{k}" for k in range(rank))])
        made.type = value.type
        return made


def _as_it_is(node: Call, k: int, rank: int) -> Moves:
    """Read how a node moves along one of its axes."""
    ones, none = (1,) * rank, (0,) * 2 * rank
    pads = node.attribute("pads", none)
    return Moves(
        node.attribute("kernel_shape")[k],
        node.attribute("strides", ones)[k],
        node.attribute("dilations", ones)[k],
        pads[k],
        pads[rank + k],
    )


def _suffix(key: Key) -> str:
    return "/" + " ".join(key)
