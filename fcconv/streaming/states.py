"""What a stream keeps from one chunk to the next, packed into one tensor for each type."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from fcconv.graph.call import Call
from fcconv.graph.rules.writer import Writer, free_name
from fcconv.graph.rules.writing import TO_THE_END, write_ints, write_with_ints


@dataclass
class Packed:
    """The states of one type: the tensor that comes in, and what goes out in its place.

    Attributes
    ----------
    given : onnx_ir.Value
        The input, of shape ``(1, size)``.
    next : list of onnx_ir.Value
        The new states, each of shape ``(1, n)``.
    size : int
        Numbers in all of them.
    """

    given: ir.Value
    next: list[ir.Value] = field(default_factory=list)
    size: int = 0


@dataclass
class States:
    """Writes states.

    Attributes
    ----------
    writer : Writer
        What writes.
    packed : dict of onnx_ir.DataType to Packed
        What was written, by type: hardly ever more than that of the samples.
    """

    writer: Writer
    packed: dict[ir.DataType, Packed] = field(default_factory=dict)

    def before(
        self,
        node: Call,
        tensor: ir.Value,
        dtype: ir.DataType,
        sizes: Sequence[int],
        axis: int,
        count: int,
    ) -> ir.Value:
        """Put the last entries of earlier chunks before those of a chunk, and keep its last.

        Parameters
        ----------
        node : Call
            What reads them.
        tensor : onnx_ir.Value
            The entries of a chunk.
        dtype : onnx_ir.DataType
            Their type.
        sizes : sequence of int
            Shape of the tensor; that of `axis` counts for nothing.
        axis : int
            The axis along which they follow each other.
        count : int
            How many are kept.
        """
        packed = self._of(dtype)
        shape = [*sizes[:axis], count, *sizes[axis + 1 :]]
        begin, packed.size = packed.size, packed.size + math.prod(shape)
        part = self._cut(node, packed.given, 1, begin, packed.size, "/part")
        old = self.reshaped(node, part, shape, "/old")
        full = self.writer.emit(node, "Concat", [old, tensor], {"axis": axis}, "/with state")
        last = self._cut(node, full, axis, -count, TO_THE_END, "/last")
        packed.next.append(self.reshaped(node, last, [1, -1], "/next"))
        return full

    def cut(self, node: Call, tensor: ir.Value, axis: int, start: int, end: int) -> ir.Value:
        """Cut entries off at the beginning and at the end."""
        return self._cut(node, tensor, axis, start, -end or TO_THE_END, "/in time")

    def reshaped(self, node: Call, tensor: ir.Value, shape: Sequence[int], suffix: str) -> ir.Value:
        """Give a tensor another shape."""
        lengths = write_ints(self.writer, shape, node, f"{suffix} shape")
        return self.writer.emit(node, "Reshape", [tensor, lengths], None, suffix)

    def _of(self, dtype: ir.DataType) -> Packed:
        if dtype not in self.packed:
            name = "state" if not self.packed else f"state_{dtype.name.lower()}"
            name = free_name(name, self.writer.names)
            self.packed[dtype] = Packed(ir.Value(name=name, type=ir.TensorType(dtype)))
        return self.packed[dtype]

    def _cut(
        self, node: Call, tensor: ir.Value, axis: int, start: int, end: int, suffix: str
    ) -> ir.Value:
        numbers = {"starts": [start], "ends": [end], "axes": [axis]}
        return write_with_ints(self.writer, node, "Slice", tensor, 10, suffix, numbers)

    def inputs(self) -> list[ir.Value]:
        """Declare the tensors that come in."""
        for packed in self.packed.values():
            packed.given.shape = ir.Shape([1, packed.size])
        return [packed.given for packed in self.packed.values()]

    def outputs(self) -> list[ir.Value]:
        """Write the tensors that go out, in the order of :meth:`inputs`."""
        made = []
        for packed in self.packed.values():
            name = f"next_{packed.given.name}"
            call = Call("Identity", name, self.writer.opset)
            value = packed.next[0]
            if len(packed.next) > 1:
                value = self.writer.emit(call, "Concat", packed.next, {"axis": 1}, "/packed")
            value.name = free_name(name, self.writer.names)
            value.shape, value.type = ir.Shape([1, packed.size]), packed.given.type
            made.append(value)
        return made
