"""Values of the sliding network, and the features of pixels or windows that they hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

import fcconv_numpy
from fcconv.errors import ShapeError
from fcconv.graph.node import Node, computing
from fcconv.graph.rules.samples import Samples
from fcconv.graph.rules.values import (
    Constant,
    Numbers,
    Slid,
    feature_numbers,
    find_layout,
    varies,
)
from fcconv.graph.rules.writer import Writer

MOST_SAMPLES = 4096
"""Samples of a window that are written one by one."""

LARGEST_BLOCK = 2**26
"""Most numbers that a window may have on the way."""

ELSEWHERE = "score crops in batches instead, or cut the network before it"
"""What to do where windows share nothing."""

ONE_IMAGE = "if it takes one image at a time, fix the batch of its input to 1"
"""What to do where a batch that is declared to be free is not."""

Emit = Callable[[ir.Value], ir.Value]


@dataclass
class Values(Writer):
    """Writes values of the sliding network.

    Attributes
    ----------
    stride : tuple of int
        Pixels from one window to the next, for each spatial axis; 0 where there is but one window.
    batch : int
        Images that the patch network computes at a time while its shapes are followed.
    """

    stride: tuple[int, ...] = ()
    batch: int = 1

    # What a value is ----------------------------------------------------------------------------

    def map(
        self,
        tensor: ir.Value,
        channels: int,
        axes: tuple[Samples, ...],
        along: Sequence[int | None] | None = None,
        shape: tuple[int, ...] | None = None,
    ) -> Slid:
        """Return a value that is a whole map.

        Parameters
        ----------
        tensor : onnx_ir.Value
            The tensor, ``(N, C, *S)``.
        channels : int
            Its channels.
        axes : tuple of Samples
            Its spatial axes.
        along : sequence of int or None, optional
            The value's axis along which each of them runs, if any does; left out, all do, in order,
            behind the batch and the channels.
        shape : tuple of int, optional
            Shape of the value, whose other axes hold the channels; left out, that of the tensor.
        """
        block = tuple(axis.block for axis in axes)
        if channels * math.prod(block) > LARGEST_BLOCK:
            raise ShapeError(f"a window grows to more than {LARGEST_BLOCK} numbers: absurd")
        along = range(2, 2 + len(axes)) if along is None else along
        shape = (self.batch, channels, *block) if shape is None else shape
        beside = () if self.batch == 1 else (0,)
        features = [a for a in range(len(shape)) if a not in (*beside, *along)]
        image = self._line(self.batch, 0 if beside else None, len(shape))
        places = [self._line(n, a, len(shape)) for n, a in zip(block, along, strict=True)]
        return Slid(
            tensor, channels, axes, shape, (image, feature_numbers(shape, features), *places)
        )

    def _line(self, count: int, axis: int | None, rank: int) -> Numbers:
        """Count along one axis; along none there is but one."""
        return np.arange(count).reshape([-1 if a == axis else 1 for a in range(rank)])

    def reshaped(self, x: Slid, shape: tuple[int, ...]) -> Slid:
        """Give a value another shape."""
        if shape == x.shape:
            return x
        return x.varying(shape, [np.broadcast_to(w, x.shape).reshape(shape) for w in x.where])

    def moved(
        self, node: Node, move: Callable[..., Any], x: Slid, options: Sequence[Constant | None]
    ) -> tuple[Slid, ...]:
        """Apply a move to where the entries of the first input lie."""
        given = [option.array if isinstance(option, Constant) else None for option in options]
        with computing(node):
            made = [
                move(fcconv_numpy, node, np.broadcast_to(where, x.shape), *given)
                for where in x.where
            ]
        parts = zip(*made, strict=True) if isinstance(made[0], tuple) else [made]
        return tuple(self._placed(node, x, where) for where in parts)

    def _placed(self, node: Node, x: Slid, where: Sequence[Numbers]) -> Slid:
        made = x.varying(where[0].shape, where)
        if x.mixed or self.is_by_image(made):
            return made
        said = node.unsupported(
            f"it makes the shape {made.shape} of {x.shape}: the batch must stay the first axis, "
            f"{self.batch} images here, or come back to it before windows are scored; {ONE_IMAGE}; "
            f"else {ELSEWHERE}"
        )
        return replace(made, mixed=said)

    # Features of pixels -------------------------------------------------------------------------

    def gathered(
        self, node: Node, x: Slid, along: Sequence[int], settled: bool = False
    ) -> Slid | None:
        """Let the channels of a tensor be the features along some axes of a value, in order.

        What windows share stays shared. Phases become channels, and samples that are not read are
        cut off. None if the axes hold no features of a pixel, or those of too many.

        Parameters
        ----------
        node : Node
            The operator that needs it so.
        x : Slid
            The value.
        along : sequence of int
            Its axes.
        settled : bool
            Whether each window is to have its own sample where one is left.
        """
        layout = find_layout(x, along)
        if layout is None:
            return None
        phases, phase = np.unique(layout.starts, axis=0, return_inverse=True)
        if len(phases) > MOST_SAMPLES:
            return None
        if not len(phases):  # a layer of no outputs
            phases = np.zeros((1, len(x.axes)), int)
        parts = [
            (count, s // axis.step or 1)
            if count == 1 and (settled or np.ptp(begins))
            else (count, every)
            for (count, every), axis, s, begins in zip(
                layout.parts, x.axes, self.stride, phases.T, strict=True
            )
        ]
        found = []
        for begins in phases.tolist():
            spec = [(a, *part) for a, part in zip(begins, parts, strict=True)]
            found.append(self._sliced(node, x.tensor, x.axes, spec))
        tensor = found[0][0]
        if len(found) > 1:
            tensor = self.emit(node, "Concat", [t for t, _ in found], {"axis": 1}, "/unfold")
        picked = phase.ravel() * x.channels + layout.channels
        return replace(
            x,
            tensor=self._picked(node, tensor, picked, len(found) * x.channels),
            channels=len(picked),
            axes=tuple(same[0].merged(same) for same in zip(*(a for _, a in found), strict=True)),
            where=(x.where[0], feature_numbers(x.shape, along), *layout.places),
        )

    def along_channels(
        self,
        node: Node,
        x: Slid,
        along: Sequence[int],
        emit: Emit,
        lengths: Sequence[int] | None = None,
    ) -> Slid | None:
        """Apply an operator to the features that a value holds along some axes, if it does.

        With `lengths`, it makes that many features along these axes, instead of as many.
        """
        y = self.gathered(node, x, along)
        if y is None:
            return None
        made = dict(enumerate(x.shape)) | dict(zip(along, lengths or (), strict=False))
        shape = tuple(made.values())
        where = (y.where[0], feature_numbers(shape, along), *y.places)
        channels = math.prod(made[axis] for axis in along)
        return replace(y, tensor=emit(y.tensor), channels=channels, shape=shape, where=where)

    def _picked(self, node: Node, tensor: ir.Value, picked: Numbers, channels: int) -> ir.Value:
        if np.array_equal(picked, np.arange(channels)):
            return tensor
        index = self.ints(picked.tolist(), node, "/channels")
        return self.emit(node, "Gather", [tensor, index], {"axis": 1}, "/channels")

    def _sliced(
        self,
        node: Node,
        tensor: ir.Value,
        axes: tuple[Samples, ...],
        parts: Sequence[tuple[int, int, int]],
    ) -> tuple[ir.Value, tuple[Samples, ...]]:
        if all(part == (0, axis.block, 1) for axis, part in zip(axes, parts, strict=True)):
            return tensor, axes
        sliced = [
            axis.sliced(stride, *part)
            for axis, stride, part in zip(axes, self.stride, parts, strict=True)
        ]
        cut = self.cut(node, tensor, [slide for _, slide in sliced], every=True)
        return cut, tuple(made for made, _ in sliced)

    def as_read(self, node: Node, x: Slid) -> Slid:
        """Cut off the ends of a block that a value has no entry of."""
        parts = [(int(place.min()), int(np.ptp(place)) + 1, 1) for place in x.places]
        tensor, axes = self._sliced(node, x.tensor, x.axes, parts)
        places = [place - part[0] for place, part in zip(x.places, parts, strict=True)]
        return replace(x, tensor=tensor, axes=axes, where=(*x.where[:2], *places))

    # Windows that share nothing -----------------------------------------------------------------

    def is_by_image(self, x: Slid) -> bool:
        """Say whether the first axis of a value is the batch, and no other has a part in it."""
        if self.batch == 1:
            return True
        image, *others = x.where
        batch = self._line(self.batch, 0, len(x.shape))
        return np.array_equal(image, batch) and not any(varies(w, [0]) for w in others)

    def check_by_image(self, node: Node, x: Slid) -> None:
        """Refuse a value that does not keep the images of a batch apart."""
        if not self.is_by_image(x):
            raise x.mixed or node.unsupported(f"it mixes the images of a batch in {x.shape}")

    def features(self, node: Node, x: Slid, shape: tuple[int, ...], why: str) -> Slid:
        """Give each window its own features: a value, broadcast to `shape`, in the channels."""
        try:
            np.broadcast_shapes(x.shape, shape)
        except ValueError:
            raise node.unsupported(f"{x.shape} does not broadcast to {shape}") from None
        x = x.spread(shape)
        self.check_by_image(node, x)
        along = range(len(shape)) if self.batch == 1 else range(1, len(shape))
        own = self.gathered(node, x, along, settled=True)
        if own is None:
            count = math.prod(x.block)
            raise node.unsupported(
                f"{why}, so that each window would keep {count} samples of its own: pool first, "
                f"or cut the network before it"
            )
        if any(place.size and np.ptp(place) for place in x.places):
            own = replace(own, unshared=x.unshared or f"{node} {why}")
        return own
