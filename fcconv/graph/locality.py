"""Whether a network is local, and how far its scores see."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from fcconv.graph.node import Node, computing
from fcconv.graph.operators import OPERATORS
from fcconv.graph.receptive import Along, Counts, Local
from fcconv.graph.run import data_inputs


@dataclass(frozen=True)
class Locality:
    """What is known of a network without running it.

    Attributes
    ----------
    outputs : tuple of tuple of Along
        For each output, its cells along each axis of the image; empty where an operator is not
        local.
    outside : str, optional
        The first node that is not local, or of which nobody knows whether it is.
    period : int
        Sizes of an image after which everything comes again.
    """

    outputs: tuple[tuple[Along, ...], ...]
    outside: str | None
    period: int

    @property
    def stride(self) -> tuple[int, ...]:
        """Pixels from one cell to the next, the most of any output, along each axis."""
        return tuple(max(a.jump for a in same) for same in zip(*self.outputs, strict=True))

    @property
    def reach(self) -> tuple[tuple[int, int], ...]:
        """The pixels that cell 0 depends on, to one past the last, along each axis."""
        return tuple(
            (min(a.first for a in same), max(a.last for a in same) + 1)
            for same in zip(*self.outputs, strict=True)
        )

    @property
    def margins(self) -> tuple[tuple[int, int], ...]:
        """Pixels at both ends of the image within which padding has a part, along each axis."""
        return tuple(
            (max(a.before for a in same), max(a.after for a in same))
            for same in zip(*self.outputs, strict=True)
        )

    def has_cells(self, stride: Sequence[int]) -> bool:
        """Say whether every output has a cell for each window, at every size of the image."""
        return self.outside is None and all(
            along.jump == s and np.array_equal(along.counts, np.arange(len(along.counts)) // s + 1)
            for cells in self.outputs
            for along, s in zip(cells, stride, strict=True)
        )


def find_locality(graph: ir.Graph, axes: Sequence[int], window: Sequence[int]) -> Locality:
    """Follow how far entries see through a network.

    Parameters
    ----------
    graph : onnx_ir.Graph
        The network, whose one input is an image of free size.
    axes : sequence of int
        The axes of the input that slide.
    window : sequence of int
        The smallest image. As many sizes from there on are looked at as it takes to know all.
    """
    period = _followed(graph, axes, [np.array([n]) for n in window]).period
    return _followed(graph, axes, [np.arange(n, n + period) for n in window])


def keep_places(graph: ir.Graph, shapes: Sequence[Sequence[int | None]]) -> bool:
    """Say whether no entry sees beyond its own place along the axes of free length, None.

    What a network computes at one length of these axes, it then computes at any.
    """
    one = Along(np.array([2]))
    values = {
        image: Local(len(shape), {axis: one for axis, n in enumerate(shape) if n is None})
        for image, shape in zip(data_inputs(graph), shapes, strict=True)
    }
    made, outside = _follow(graph, values)
    kept = all(_is_kept(a, one) for local in made for a in local.along.values())
    return outside is None and kept


def _is_kept(along: Along, before: Along) -> bool:
    """Say whether each entry depends on that of its own place alone."""
    numbers = along.jump, along.first, along.last, along.before, along.after
    return numbers == (1, 0, 0, 0, 0) and np.array_equal(along.counts, before.counts)


def _followed(graph: ir.Graph, axes: Sequence[int], sizes: Sequence[Counts]) -> Locality:
    (image,) = data_inputs(graph)
    rank = 0 if image.shape is None else len(image.shape)
    along = {axis: Along(counts) for axis, counts in zip(axes, sizes, strict=True)}
    images = Along(np.array([2]))
    values: dict[ir.Value, Any] = {image: Local(rank, {0: images, **along})}
    made, outside = _follow(graph, values)
    jumps = [1, *(a.jump for local in made for a in local.along.values())]
    if outside is not None:
        return Locality((), outside, math.lcm(*jumps))
    outputs = [values[value] for value in graph.outputs]
    for value, made in zip(graph.outputs, outputs, strict=True):
        if not isinstance(made, Local) or list(made.along) != [0, *range(2, made.rank)]:
            return Locality((), f"the output {value.name!r}", math.lcm(*jumps))
        if not _is_kept(made.along[0], images):
            return Locality((), f"the output {value.name!r}, of several images", math.lcm(*jumps))
    cells = tuple(tuple(made.along.values())[1:] for made in outputs)
    return Locality(cells, None, math.lcm(*jumps))


def _follow(graph: ir.Graph, values: dict[ir.Value, Any]) -> tuple[list[Local], str | None]:
    """Add what is known of the values that nodes make; and name the first that is not local."""
    for value in graph.initializers.values():
        values[value] = None if value.const_value is None else value.const_value.numpy()
    known: list[Local] = []
    for ir_node in graph:
        node = Node(ir_node, graph.opset_imports.get(ir_node.domain, 0))
        made = _made(node, values)
        if made is None:
            return known, str(node)
        values.update((value, made) for value in ir_node.outputs)
        known.append(made)
    return known, None


def _made(node: Node, values: dict[ir.Value, Any]) -> Local | None:
    """Say how a node's results depend on the image; None if they are not local."""
    operator = OPERATORS.get(node.op)
    known = all(value is None or value in values for value in node.ir.inputs)
    if operator is None or operator.static or operator.spread is None or not known:
        return None
    inputs = [None if value is None else values[value] for value in node.ir.inputs]
    if any(isinstance(inputs[k], Local) for k in operator.structural if k < len(inputs)):
        return None
    if not any(isinstance(x, Local) for x in inputs):
        return None
    with computing(node):  # whatever a network that others wrote holds
        made = operator.spread(node, *inputs)
    if made is None or any((along.counts < 1).any() for along in made.along.values()):
        return None
    return made
