"""Whether a network is local, and how far its scores see."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from fcconv.graph.local import Along, Counts, Local
from fcconv.graph.node import Node
from fcconv.graph.rewriting.following import Following
from fcconv.graph.running.run import data_inputs

BATCH = np.array([2])
"""How many images are looked at together."""


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
        """Pixels at each end of the image within which scores are affected by padding, per axis."""
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


def images_meet_at(graph: ir.Graph) -> Node | None:
    """Return the first node of which nobody knows that it keeps the images of a batch apart."""
    followed = Following(graph)
    for image in data_inputs(graph):
        dims = () if image.shape is None else image.shape.dims
        along = {0: Along(BATCH, of=0)}
        followed.start(image, Local(len(dims), along), dims)
    return followed.to_the_end()


def keep_places(graph: ir.Graph, shapes: Sequence[Sequence[int | None]]) -> bool:
    """Say whether no entry sees beyond its own place along the axes of free length, None.

    What a network computes at one length of these axes, it then computes at any.
    """
    followed = Following(graph)
    for image, shape in zip(data_inputs(graph), shapes, strict=True):
        sizes = [n for n in shape if n is not None]
        whole = len(sizes) == len(shape)
        if whole and image.dtype is not None and image.dtype.is_floating_point():
            # any numbers: none of their places is along an axis of free length
            followed.add(image, np.zeros(sizes, image.dtype.numpy()))
            continue
        along = {axis: Along(BATCH, of=axis) for axis, n in enumerate(shape) if n is None}
        followed.start(image, Local(len(shape), along), shape)
    outside = followed.to_the_end()
    return outside is None and all(a.is_still(Along(BATCH, of=a.of)) for a in followed.lines())


def _followed(graph: ir.Graph, axes: Sequence[int], sizes: Sequence[Counts]) -> Locality:
    (image,) = data_inputs(graph)
    dims = () if image.shape is None else image.shape.dims
    along = {
        axis: Along(counts, of=axis)
        for axis, counts in zip((0, *axes), (BATCH, *sizes), strict=True)
    }
    followed = Following(graph)
    followed.start(image, Local(len(dims), along), dims)
    outside = followed.to_the_end()
    period = math.lcm(1, *(a.jump for a in followed.lines()))
    if outside is not None:
        return Locality((), str(outside), period)
    cells = []
    for value in graph.outputs:
        made = followed.values[value]
        places = (0, *range(2, 2 + len(axes)))
        found = [made.along.get(place) for place in places] if isinstance(made, Local) else []
        lines = [entries for entries in found if isinstance(entries, Along)]
        in_order = [entries.of for entries in lines] == [0, *axes]
        if not in_order or made.rank != 2 + len(axes) or not lines[0].is_still(along[0]):
            return Locality((), f"the output {value.name!r}", period)
        cells.append(tuple(lines[1:]))
    return Locality(tuple(cells), None, period)
