"""How far behind the samples a value of a stream is: integers only.

Along time, entry ``i`` of a value of the whole recording is entry ``i + delay`` of its stream. An
operator that makes entry ``i`` of the entries ``i * stride + start`` to ``i * stride + start +
extent - 1`` of the value before it makes it as soon as the last one is there, so that

    delay' = floor((delay + start + extent - 1) / stride)

and needs, in front of what comes with a chunk, the last ``delay' * stride - start - delay`` entries
of what came before: at stride 1 these are ``extent - 1``. Where that is below zero, so many entries
in front are of no entry that it makes. No two entries are ever further apart than they have to be:
each value is as late as its own last sample, and branches of different delay meet by the later one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import onnx_ir as ir

from fcconv.graph import receptive
from fcconv.graph.call import Call
from fcconv.graph.lengths import Length, Parts, lengths
from fcconv.graph.local import Along, Local, Together
from fcconv.graph.node import Node, read_node
from fcconv.graph.operators import OPERATORS

Known: TypeAlias = Mapping[ir.Value, Any]
"""What is known of each value: a Local, or the array that it is at all times."""


@dataclass(frozen=True)
class Move:
    """Which entries along time an operator reads to make one.

    Attributes
    ----------
    extent : int
        From the first to the last that it reads.
    stride : int
        From the first that one entry reads to the first that the next one reads.
    start : int
        The first that entry 0 reads: below zero where it pads.
    """

    extent: int = 1
    stride: int = 1
    start: int = 0

    def delay(self, delay: int) -> int:
        """Say how late what it makes is, in entries of its own.

        Examples
        --------
        >>> Move(extent=3, stride=2).delay(0)
        1
        """
        return (delay + self.start + self.extent - 1) // self.stride


STILL = Move()
"""Each entry is made of the one in its place."""


@dataclass(frozen=True)
class Place:
    """Where time runs in a value.

    Attributes
    ----------
    axis : int
        The axis.
    along : Along
        Its entries along time.
    each : int
        Entries of the axis for each of them: windows along other axes may stand behind.
    before : int
        How many times all of them stand one after the other, for windows along axes before.
    """

    axis: int
    along: Along
    each: int = 1
    before: int = 1


def place_of(node: Call, x: Local) -> Place | None:
    """Find the axis of a value along which time runs; None if it is the same at all times.

    Raises
    ------
    UnsupportedError
        If there are several.
    """
    found = [(axis, part, k) for axis, entries in x.along.items()
             for k, part in enumerate(_parts(entries)) if isinstance(part, Along)]  # fmt: skip
    if not found:
        return None
    if len(found) > 1:
        raise node.unsupported("it makes a value of which two axes run along time")
    ((axis, along, k),) = found
    sizes = [part if isinstance(part, int) else 1 for part in _parts(x.along[axis])]
    return Place(axis, along, math.prod(sizes[k:]), math.prod(sizes[:k]))


def _parts(entries: Along | Together) -> Parts:
    return entries.parts if isinstance(entries, Together) else (entries,)


def move_of(node: Node, known: Known) -> Move:
    """Say which entries along time a node reads of its inputs to make one.

    Parameters
    ----------
    node : Node
        The node.
    known : mapping of onnx_ir.Value to (Local or array)
        What is known of the values of the network.
    """
    inputs, made = inputs_of(node, known), known[node.ir.outputs[0]]
    x = next((x for x in inputs if isinstance(x, Local) and x.along), None)
    old, new = None if x is None else place_of(node, x), place_of(node, made)
    if x is None or old is None or new is None:
        return STILL
    if node.op == "Slice":
        return _kept(node, inputs, old.axis, x.rank)
    jump, stride = old.along.jump, new.along.jump // old.along.jump
    if OPERATORS[node.op].spread in (receptive.window, receptive.pad):
        start = (new.along.first - old.along.first) // jump
        last = (new.along.last - old.along.last) // jump
        return Move(last - start + 1, stride, start)
    if stride == 1:
        return STILL
    return Move(_read_of_runs(node, known, stride), stride)


def inputs_of(node: Node, known: Known) -> list[Any]:
    """List what is known of a node's inputs."""
    return [None if value is None else known[value] for value in node.ir.inputs]


def cuts_of(
    node: Node, inputs: Sequence[Any], rank: int
) -> dict[int, tuple[int, Length | None, int]]:
    """Read where a slice begins and ends along each axis, and which of the entries it keeps."""
    _, begin, end, along, every = (*inputs, None, None, None, None)[:5]
    starts = node.ints("starts", begin)
    ends = lengths(node.attribute("ends") if end is None else end)
    axes = node.axes(node.ints("axes", along, tuple(range(len(starts)))), rank)
    steps = node.ints("steps", every, (1,) * len(starts))
    return dict(zip(axes, zip(starts, ends, steps, strict=True), strict=True))


def _kept(node: Node, inputs: Sequence[Any], axis: int, rank: int) -> Move:
    """Say which entries a slice keeps along an axis."""
    start, _, step = cuts_of(node, inputs, rank).get(axis, (0, None, 1))
    return Move(1, step, start)


def _read_of_runs(node: Node, known: Known, length: int) -> int:
    """Say up to which entry the runs that a node makes are read: no other one is waited for."""
    (value,) = node.ir.outputs
    users = [read_node(use.node, {"": node.opset}) for use in value.uses()]
    read = [_read_of_run(user, known, known[value], length) for user in users]
    return length if value.is_graph_output() else max(read, default=length)


def _read_of_run(user: Node, known: Known, made: Local, length: int) -> int:
    if user.op != "Slice":
        return length
    for axis, (start, end, step) in cuts_of(user, inputs_of(user, known), made.rank).items():
        if axis in made.runs and end is not None and end.fixed:
            return max(range(length)[start : end.times : step], default=0) + 1
    return length
