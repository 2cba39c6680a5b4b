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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fcconv.graph import receptive
from fcconv.graph.local import Along, Local, Together
from fcconv.graph.node import Node
from fcconv.graph.operators import OPERATORS


Ints = tuple[int, ...]


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
        >>> Move(extent=3, stride=2).delay(0), Move(extent=3, stride=2).state(0)
        (1, 2)
        """
        return (delay + self.start + self.extent - 1) // self.stride

    def state(self, delay: int) -> int:
        """Count the entries that it needs in front of a chunk; below zero, those to cut off."""
        return self.delay(delay) * self.stride - self.start - delay


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
    """

    axis: int
    along: Along
    each: int = 1


def place_of(node: Node, x: Local) -> Place | None:
    """Find the axis of a value along which time runs; None if it is the same at all times.

    Raises
    ------
    UnsupportedError
        If there are several, or windows along other axes come first.
    """
    if not x.along:
        return None
    if len(x.along) > 1:
        raise node.unsupported("it makes a value of which two axes run along time")
    ((axis, entries),) = x.along.items()
    if isinstance(entries, Along):
        return Place(axis, entries)
    along, each = _apart(entries)
    if along is None:
        raise node.unsupported(
            "it puts windows along another axis before those along time: let time be the first of "
            "the axes that slide"
        )
    return Place(axis, along, each)


def _apart(entries: Together) -> tuple[Along | None, int]:
    """Find time as the first part of an axis, and how many entries of the axis one of it is."""
    first, *others = (part for part in entries.parts if part != 1)
    each = 1
    for part in others:
        if not isinstance(part, int):
            return None, 0
        each *= part
    return (first, each) if isinstance(first, Along) else (None, 0)


def move_of(node: Node, inputs: Sequence[Any], made: Local) -> Move:
    """Say which entries along time a node reads of its inputs to make one.

    Parameters
    ----------
    node : Node
        The node.
    inputs : sequence of (Local, array or None)
        What is known of its inputs.
    made : Local
        What is known of its result.
    """
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
    return Move(stride, stride)  # runs of entries become one, if any do


def _kept(node: Node, inputs: Sequence[Any], axis: int, rank: int) -> Move:
    """Read which entries a slice keeps along an axis."""
    starts, axes, steps = slice_numbers(node, inputs, rank)
    if axis not in axes:
        return STILL
    k = axes.index(axis)
    return Move(1, steps[k], starts[k])


def slice_numbers(node: Node, inputs: Sequence[Any], rank: int) -> tuple[Ints, Ints, Ints]:
    """Read the starts, axes and steps of a slice."""
    _, begin, _, along, every = (*inputs, None, None, None, None)[:5]
    starts = node.ints("starts", begin)
    axes = node.axes(node.ints("axes", along, tuple(range(len(starts)))), rank)
    return starts, axes, node.ints("steps", every, (1,) * len(starts))
