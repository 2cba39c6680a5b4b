"""What a pass over a tile needs of memory, from the shapes that a small run shows."""

from __future__ import annotations

import itertools
import math
import re
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

import fcconv_numpy
from fcconv.backend import BACKENDS, ONNXRUNTIME, backend
from fcconv.errors import ArgumentError, ModelError, UnsupportedError
from fcconv.graph.engines.compiling import compile as compiled
from fcconv.graph.node import Node, operator_name
from fcconv.graph.operators import OPERATORS
from fcconv.graph.running.run import data_inputs, program_of, spent_after

UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
BINARY = {"KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


def parse_bytes(memory: int | str) -> int:
    """Read an amount of memory.

    Raises
    ------
    ArgumentError
        If it is none, or nothing.

    Examples
    --------
    >>> parse_bytes("512MB"), parse_bytes("1.5 GiB"), parse_bytes(1000)
    (512000000, 1610612736, 1000)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]I?)?B?", str(memory).strip().upper())
    size = 0.0
    if found is not None:
        size = float(found[1]) * {**UNITS, **BINARY}[found[2] or ""]
    if not 1 <= size < math.inf:
        raise ArgumentError(f"memory needs an amount such as 512MB or 2GiB, got {memory!r}")
    return int(size)


@dataclass(frozen=True)
class Extent:
    """The bytes of a value, for a tile of any size.

    Along each axis of the image it grows evenly, stride by stride: by its length where windows
    share it, by windows in the batch where each has its own. So its sizes for a window and for a
    stride more, along each axis and in every combination, tell any other.

    Attributes
    ----------
    shapes : tuple of tuple of int
        Its shape for each image of :func:`corners`; one, if it is as large for every tile.
    itemsize : int
        Bytes of an entry.
    most : int, optional
        Bytes that are there at a time.
    """

    shapes: tuple[tuple[int, ...], ...]
    itemsize: int
    most: int | None = None

    def bytes(self, strides: Sequence[int]) -> int:
        """Count its bytes, for a tile so many strides larger along each axis that grows."""
        entries = [math.prod(shape) for shape in self.shapes]
        for n in strides:  # the first half is for a window along this axis, the second for more
            halves = entries[: len(entries) // 2], entries[len(entries) // 2 :]
            entries = [a + (b - a) * n for a, b in zip(*halves, strict=True)]
        whole = self.itemsize * entries[0]
        return whole if self.most is None else min(whole, self.most)


def corners(
    size: Sequence[int], window: Sequence[int], stride: Sequence[int]
) -> list[tuple[int, ...]]:
    """List the smallest tiles of an image: a window or a stride more along each axis that grows.

    Along an axis on which the image has one window, a tile is as large as the image.

    Examples
    --------
    >>> corners((99, 99), (10, 20), (1, 2))
    [(10, 20), (10, 22), (11, 20), (11, 22)]
    >>> corners((99, 21), (10, 20), (1, 2))
    [(10, 21), (11, 21)]
    """
    lengths = (
        (k, k + s) if k + s <= n else (n,) for n, k, s in zip(size, window, stride, strict=True)
    )
    return list(itertools.product(*lengths))


@dataclass(frozen=True)
class Stage:
    """What one node of a pass makes, works in, and sets free; `Extent` for each value."""

    made: tuple[Extent, ...]
    workspace: tuple[Extent, ...]
    spent: tuple[Extent, ...]


@dataclass(frozen=True)
class Footprint:
    """The memory that a pass over a tile takes, beside the weights.

    Attributes
    ----------
    image : Extent
        What the network reads.
    stages : tuple of Stage
        What its nodes take, in order.
    """

    image: Extent
    stages: tuple[Stage, ...]

    def bytes(self, strides: Sequence[int]) -> int:
        """Return the peak, for a tile so many strides larger along each axis that grows."""

        def total(extents: Sequence[Extent]) -> int:
            return sum(extent.bytes(strides) for extent in extents)

        live = peak = total([self.image])
        for stage in self.stages:
            live += total(stage.made)
            peak = max(peak, live + total(stage.workspace))
            live -= total(stage.spent)
        return peak


def footprint_of(model: ir.Model, shapes: Sequence[tuple[int, ...]], engine: str) -> Footprint:
    """Find the memory that a pass takes.

    Each value of a sliding network grows by one entry every so many pixels, which divide the stride
    (:mod:`fcconv.graph.rules.samples`), so that runs on the smallest images tell it for any tile.

    Parameters
    ----------
    model : onnx_ir.Model
        The network.
    shapes : sequence of tuple of int
        Shape of its input for each image of :func:`corners`; one, if each window is cut out.
    engine : str
        What computes.

    Raises
    ------
    ModelError
        If it does not slide as its metadata say.
    """
    extents = extents_of(model, shapes, engine)
    for value in model.graph.outputs if len(shapes) > 1 else ():
        _check_cells(extents[value])
    stages = [
        Stage(
            tuple(extents[v] for v in node.outputs if v in extents),
            tuple(_workspace(node, extents, engine)),
            # a part that nothing reads may lie in the memory of one that is read
            tuple(extents[v] for v in spent if v in extents and v not in node.outputs),
        )
        for node, spent in zip(model.graph, spent_after(model.graph), strict=True)
    ]
    return Footprint(extents[data_inputs(model.graph)[0]], tuple(stages))


def _check_cells(output: Extent) -> None:
    """Check that a window has one cell, and a tile larger by a stride two along each such axis."""
    cells, growing = [shape[2:] for shape in output.shapes], len(output.shapes).bit_length() - 1
    if {*cells[0]} != {1} or sorted(cells[-1]) != [1] * (len(cells[0]) - growing) + [2] * growing:
        raise ModelError(
            f"the network has {cells[0]} cells for a window and {cells[-1]} for one stride more, "
            f"which does not fit its metadata: convert it again"
        )


def extents_of(
    model: ir.Model, shapes: Sequence[tuple[int, ...]], engine: str
) -> dict[ir.Value, Extent]:
    """Describe each value by its shapes for some shapes of the input."""
    runs = [seen(model, shape, engine) for shape in shapes]
    return {
        value: Extent(tuple(run[value][0] for run in runs), dtype.itemsize)
        for value, (_, dtype) in runs[0].items()
    }


Seen: TypeAlias = dict[ir.Value, tuple[tuple[int, ...], np.dtype[Any]]]
"""The shape and the type of each value."""

_SEEN: weakref.WeakKeyDictionary[ir.Model, dict[tuple[int, ...], Seen]] = (
    weakref.WeakKeyDictionary()
)
"""What was seen of networks that are still there: a run takes as long as scoring a small image."""


def seen(model: ir.Model, shape: tuple[int, ...], engine: str) -> Seen:
    """Run a network on zeros, once for each shape, and note what each value is.

    Raises
    ------
    UnsupportedError
        If an operator is not known here, unless the engine is onnxruntime, which may know it.
    """
    known = _SEEN.setdefault(model, {})
    if shape not in known:
        try:
            known[shape] = _seen_here(model, shape)
        except UnsupportedError:
            if engine != ONNXRUNTIME:
                raise
            known[shape] = _seen_by_onnxruntime(model, shape)
    return known[shape]


def _seen_here(model: ir.Model, shape: tuple[int, ...]) -> Seen:
    program = program_of(model)
    zeros = _zeros(model, shape)
    found = {program.inputs[0]: (shape, zeros.dtype)}

    def note(node: Node, outputs: tuple[Any, ...]) -> None:
        for value, array in zip(node.ir.outputs, outputs, strict=False):
            found[value] = (array.shape, array.dtype)

    with fcconv_numpy.running_network():  # threads of BLAS that idle would slow what comes next
        program.run(fcconv_numpy, program.parameters(fcconv_numpy), [zeros], note)
    return found


def _seen_by_onnxruntime(model: ir.Model, shape: tuple[int, ...]) -> Seen:
    """Do the same by a copy of the network of which each value is an output."""
    values = [value for node in model.graph for value in node.outputs if value.name]
    copied = model.clone()
    copies = {v.name: v for node in copied.graph for v in node.outputs}
    copied.graph.outputs[:] = [copies[value.name] for value in values]
    zeros = _zeros(model, shape)
    made = compiled(copied, ONNXRUNTIME)(zeros)
    arrays = made if isinstance(made, tuple) else (made,)
    return {
        data_inputs(model.graph)[0]: (shape, zeros.dtype),
        **{v: (y.shape, y.dtype) for v, y in zip(values, arrays, strict=True)},
    }


def _zeros(model: ir.Model, shape: tuple[int, ...]) -> np.ndarray:
    (given,) = data_inputs(model.graph)
    return np.zeros(shape, np.float32 if given.dtype is None else given.dtype.numpy())


def _workspace(node: ir.Node, extents: dict[ir.Value, Extent], engine: str) -> list[Extent]:
    """Estimate what a node works in: tiles of columns or padded copies, and temporaries."""
    read = [extents[v] for v in node.inputs if v in extents]
    made = [extents[v] for v in node.outputs if v in extents]
    most = backend(engine).column_bytes() if engine in BACKENDS else None
    if most is None:
        return [*read, *made]  # copies in the layout that the library prefers
    operator = OPERATORS.get(operator_name(node))
    workspace = "copies" if operator is None else operator.workspace
    if workspace == "columns":
        weight = node.inputs[1]
        kernel = () if weight is None or weight.shape is None else weight.shape.numpy()[2:]
        taps = math.prod(kernel)
        return [_columns(made[0], read[0], taps, most)] if taps > 1 and made and read else []
    if workspace == "tiles":
        return [replace(extent, most=most) for extent in read[:1]]
    return [*read[:1], *made]


def _columns(made: Extent, read: Extent, taps: int, most: int) -> Extent:
    """Describe the columns of a convolution: `taps` samples of each channel for each position."""
    shapes = tuple(
        # and the pixels that they are gathered from
        (batch, channels * (taps + 1), *cells)
        for (batch, channels, *_), (_, _, *cells) in zip(read.shapes, made.shapes, strict=True)
    )
    return Extent(shapes, made.itemsize, most)
