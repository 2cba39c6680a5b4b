"""Writes what the parts of a value are: slices of what windows share, and windows in the batch.

All of it is standard operators, with sizes that stay free: only how many windows there are is read
from the image's shape, and feeds nothing but Reshape, Expand and the slice that cuts the image.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

import numpy as np
import onnx_ir as ir

from fcconv.graph.call import Call
from fcconv.graph.local import Local
from fcconv.graph.rewriting.exact.follow import axes_of
from fcconv.graph.rewriting.exact.parts import BODY, Axis, Moves, ceil_div
from fcconv.graph.rules.writer import Writer
from fcconv.graph.rules.writing import TO_THE_END, write_ints, write_with_ints

Key: TypeAlias = tuple[str, ...]
"""Which part along each axis of the image."""


@dataclass(frozen=True, eq=False)
class Parts:
    """A value of every window, in parts.

    Attributes
    ----------
    local : Local
        Its axes: the batch first, and where the axes of the image lie.
    tensors : mapping of Key to onnx_ir.Value
        One tensor for each part, its axes in the order of the value's. Windows stand in the batch,
        behind the images, along each axis whose part is not the body.
    """

    local: Local
    tensors: Mapping[Key, ir.Value]

    @property
    def places(self) -> list[int]:
        """The value's axes that are the image's."""
        return list(self.local.along)[1:]

    @property
    def axes(self) -> list[Axis]:
        """The samples along each of them."""
        return axes_of(self.local)


@dataclass(frozen=True, eq=False)
class Cut:
    """A part of a tensor, which is written as one slice when it is needed.

    Attributes
    ----------
    tensor : onnx_ir.Value
        The tensor.
    ends : mapping of int to (int, int, int)
        Entries to cut off at the beginning and at the end of an axis, and which of the rest to
        keep: one in so many.
    """

    tensor: ir.Value
    ends: Mapping[int, tuple[int, int, int]] = field(default_factory=dict)

    def along(self, axis: int, start: int, end: int, step: int = 1) -> Cut:
        """Cut along an axis that is whole."""
        cut = start, end, step
        return self if cut == (0, 0, 1) else replace(self, ends={**self.ends, axis: cut})


class Place(NamedTuple):
    """An axis of a tensor of some rank, and the image's axes whose windows follow in the batch."""

    axis: int
    rank: int
    inner: Sequence[int]


@dataclass
class Strips:
    """Writes parts.

    Attributes
    ----------
    writer : Writer
        What writes.
    images : onnx_ir.Value
        How many images there are, as a list of one integer.
    counts : tuple of onnx_ir.Value
        How many windows there are along each axis of the image, each as a list of one integer.
    """

    writer: Writer
    images: ir.Value
    counts: tuple[ir.Value, ...]
    _once: dict[str, ir.Value] = field(default_factory=dict)

    def read(
        self, node: Call, x: Parts, made: Sequence[Axis], moves: Sequence[Moves]
    ) -> dict[Key, tuple[ir.Value, tuple[Moves, ...]]]:
        """Write what an operator reads to make each part, and tell how it moves there.

        Parameters
        ----------
        node : Call
            The operator.
        x : Parts
            What it reads.
        made : sequence of Axis
            The samples that it makes.
        moves : sequence of Moves
            The window that it moves, along each axis of the image.
        """
        state = {key: (Cut(tensor), ()) for key, tensor in x.tensors.items()}
        read: dict[Key, tuple[Cut, tuple[Moves, ...]]] = dict(state)
        # one axis at a time: up to it the keys are parts of what is made, behind it those of `x`
        for k, (old, new) in enumerate(zip(x.axes, made, strict=True)):
            before, read = read, {}
            for part in new.spans:
                reading = old.reading(new, part, moves[k])
                for rest in dict.fromkeys((key[:k], key[k + 1 :]) for key in before):
                    # along earlier axes the window moves alike, whatever the part along this one
                    told = before[_with(rest, next(iter(old.spans)))][1]
                    along = {p: before[_with(rest, p)][0] for p in old.spans}
                    if part == BODY:
                        cut = along[BODY].along(x.places[k], *reading[:2])
                    else:
                        inner = [j for j, p in enumerate(rest[1], k + 1) if p != BODY]
                        where = Place(x.places[k], x.local.rank, inner)
                        cut = Cut(self._samples(node, along, old, reading[:2], where))
                    read[_with(rest, part)] = cut, (*told, reading.moves)
        return {key: (self._written(node, cut), told) for key, (cut, told) in read.items()}

    def _written(self, node: Call, cut: Cut) -> ir.Value:
        """Write a slice, of all axes at once."""
        if not cut.ends:
            return cut.tensor
        numbers = {
            "starts": [start for start, _, _ in cut.ends.values()],
            "ends": [-end or TO_THE_END for _, end, _ in cut.ends.values()],
            "axes": list(cut.ends),
        }
        if any(step > 1 for _, _, step in cut.ends.values()):
            numbers["steps"] = [step for _, _, step in cut.ends.values()]
        return write_with_ints(self.writer, node, "Slice", cut.tensor, 10, "/cut", numbers)

    def _samples(
        self,
        node: Call,
        along: Mapping[str, Cut],
        axis: Axis,
        span: tuple[int, int],
        where: Place,
    ) -> ir.Value:
        """Put samples of each window side by side, whatever parts they lie in."""
        pieces = []
        for part, (first, last) in axis.spans.items():
            start, stop = max(span[0], first), min(span[1], last)
            if start < stop and part == BODY:
                taken = self._windows(node, along[part], axis, (start, stop), where)
                pieces += [self._into_batch(node, tensor, where) for tensor in taken]
            elif start < stop:
                cut = along[part].along(where.axis, start - first, last - stop)
                pieces.append(self._written(node, cut))
        if len(pieces) == 1:
            return pieces[0]
        return self.writer.emit(node, "Concat", pieces, {"axis": where.axis}, "/samples")

    def _windows(
        self, node: Call, body: Cut, axis: Axis, span: tuple[int, int], where: Place
    ) -> Iterator[ir.Value]:
        """Yield samples of each window out of what windows share: windows, and samples behind them.

        The shared entries are cut into one run per window, each as long as the distance between
        windows, so that all samples in one run are taken by one slice.
        """
        run, apart = axis.stride // axis.step, axis.apart // axis.step
        length = axis.entries(axis.body - 1) + 1  # of the last window
        start, stop = (axis.entries(sample - axis.head) for sample in span)
        while start < stop:
            first = max(min(start, length - run), 0)  # a run that needs no padding, if there is one
            # as many of the samples as lie in this run
            count = min(ceil_div(first + run - start, apart), (stop - start) // apart)
            runs = self._runs(node, body, where, first, length - first - run)
            offset = start - first
            taken = Cut(self._split(node, runs, where, run)).along(
                where.axis + 1, offset, run - offset - (count - 1) * apart - 1, apart
            )
            yield self._written(node, taken)
            start += count * apart

    def _runs(self, node: Call, body: Cut, where: Place, first: int, left: int) -> ir.Value:
        """Cut what is not read off both ends; beyond the last entry there are zeros."""
        tensor = self._written(node, body.along(where.axis, first, max(left, 0)))
        if left >= 0:
            return tensor
        pads = [0] * 2 * where.rank
        pads[where.rank + where.axis] = -left
        return write_with_ints(self.writer, node, "Pad", tensor, 11, "/run", {"pads": pads})

    def _split(self, node: Call, tensor: ir.Value, where: Place, run: int) -> ir.Value:
        """Split an axis into windows and what lies in each one's run."""
        # in a Reshape, 0 keeps the length of an axis
        shape = [write_ints(self.writer, [0] * where.axis + [-1, run], node, "/runs")]
        if where.axis < where.rank - 1:
            shape.append(self._lengths(node, tensor, where.axis + 1))
        return self._reshaped(node, tensor, shape, "/split")

    def _into_batch(self, node: Call, tensor: ir.Value, where: Place) -> ir.Value:
        """Move the windows along an axis into the batch, before those along later axes."""
        rank, front = where.rank + 1, [0, where.axis]
        if where.inner:  # windows along later axes are in the batch already: these go before them
            shape = [self._minus_one(), self._product(where.inner), self._lengths(node, tensor, 1)]
            tensor = self._reshaped(node, tensor, shape, "/apart")
            rank, front = rank + 1, [0, where.axis + 1, 1]
        perm = [*front, *(axis for axis in range(rank) if axis not in front)]
        turned = self.writer.emit(node, "Transpose", [tensor], {"perm": perm}, "/turned")
        lengths = self._lengths(node, turned, len(front))
        return self._reshaped(node, turned, [self._minus_one(), lengths], "/batch")

    def _reshaped(
        self, node: Call, tensor: ir.Value, shape: Sequence[ir.Value], suffix: str
    ) -> ir.Value:
        lengths = shape[0]
        if len(shape) > 1:
            lengths = self.writer.emit(node, "Concat", shape, {"axis": 0}, f"{suffix} shape")
        return self.writer.emit(node, "Reshape", [tensor, lengths], None, suffix)

    def _lengths(self, node: Call, tensor: ir.Value, first: int) -> ir.Value:
        """Read the lengths of a tensor from one axis on."""
        shape = self.writer.emit(node, "Shape", [tensor], None, "/shape")
        numbers = {"starts": [first], "ends": [TO_THE_END], "axes": [0]}
        return write_with_ints(self.writer, node, "Slice", shape, 10, "/lengths", numbers)

    def batch(self) -> ir.Value:
        """Count the windows of all images, as a list of one integer."""
        return self._written_once(
            "all windows", lambda: self._multiplied("all windows", [self.images, *self.counts])
        )

    def cells(self, node: Call, channels: int) -> ir.Value:
        """Write the shape of scores, window by window: images, windows, channels."""
        last = write_ints(self.writer, [channels], node, "/channels")
        shape = [self._minus_one(), *self.counts, last]
        return self.writer.emit(node, "Concat", shape, {"axis": 0}, "/windows")

    def _minus_one(self) -> ir.Value:
        return self._written_once("rest", lambda: self.writer.constant(np.array([-1]), "rest"))

    def _product(self, axes: Sequence[int]) -> ir.Value:
        """Count the windows along several axes."""
        name = "windows " + " ".join(map(str, axes))
        factors = [self.counts[axis] for axis in axes]
        return self._written_once(name, lambda: self._multiplied(name, factors))

    def _multiplied(self, name: str, factors: Sequence[ir.Value]) -> ir.Value:
        def multiply(a: ir.Value, b: ir.Value) -> ir.Value:
            return self.writer.emit(helper(name), "Mul", [a, b], None, "/product")

        return functools.reduce(multiply, factors)

    def _written_once(self, name: str, write: Callable[[], ir.Value]) -> ir.Value:
        if name not in self._once:
            self._once[name] = write()
        return self._once[name]


def helper(name: str) -> Call:
    """Make a node that gives what is written for no operator its name."""
    return Call("Identity", name, 0)


def _with(rest: tuple[Key, Key], part: str) -> Key:
    return (*rest[0], part, *rest[1])
