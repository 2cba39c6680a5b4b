"""The sliding network as it is written; what the sliding rules of operators share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx_ir as ir

import fcconv_numpy
from fcconv.errors import ShapeError
from fcconv.graph.layer import Layer
from fcconv.graph.node import Node, computing
from fcconv.graph.samples import Samples, Slide
from fcconv.graph.values import (
    Constant,
    Layout,
    Numbers,
    Slid,
    Whole,
    find_layout,
)
from fcconv.graph.writer import Writer

MOST_SAMPLES = 4096
"""Samples of a window that are written one by one."""

LARGEST_BLOCK = 2**26
"""Most numbers that a window may have on the way."""

ELSEWHERE = "score crops in batches instead, or cut the network before it"
"""What to do where windows share nothing."""

Emit = Callable[[ir.Value], ir.Value]


@dataclass
class Slider(Writer):
    """Writes the sliding network.

    Attributes
    ----------
    stride : tuple of int
        Pixels from one window to the next, for each spatial axis.
    batch : int
        Images that the patch network computes at a time while its shapes are followed.
    layers : list of Layer
        The dense layers so far.
    padded : dict of str to str
        The nodes that read padding, and how much.
    """

    stride: tuple[int, ...] = ()
    batch: int = 1
    layers: list[Layer] = field(default_factory=list)
    padded: dict[str, str] = field(default_factory=dict)

    # What a value is ----------------------------------------------------------------------------

    def map(
        self,
        tensor: ir.Value,
        channels: int,
        axes: tuple[Samples, ...],
        order: tuple[int, ...] | None = None,
        channel_axis: int = 1,
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
        order : tuple of int, optional
            The tensor's spatial axis along which each one of the value runs.
        channel_axis : int
            Where the value has its channels.
        """
        order = tuple(range(len(axes))) if order is None else order
        if channels * math.prod(axis.block for axis in axes) > LARGEST_BLOCK:
            raise ShapeError(f"a window grows to more than {LARGEST_BLOCK} numbers: absurd")
        shape = [axes[k].block for k in order]
        shape.insert(channel_axis - 1, channels)
        whole = Whole(order, channel_axis)
        return Slid(tensor, channels, axes, (self.batch, *shape), whole)

    def reshaped(self, x: Slid, shape: tuple[int, ...]) -> Slid:
        """Give a value another shape."""
        return replace(x, shape=shape, arrangement=x.numbers.reshape(shape[1:]))

    def moved(
        self, node: Node, move: Callable[..., Any], x: Slid, options: Sequence[Constant | None]
    ) -> tuple[Slid, ...]:
        """Apply a move to the numbers of the entries of the first input."""
        given = [option.array if isinstance(option, Constant) else None for option in options]
        with computing(node):
            made = move(fcconv_numpy, node, self.numbered(x), *given)
        parts = made if isinstance(made, tuple) else (made,)
        return tuple(self.renumbered(node, x, part) for part in parts)

    def numbered(self, x: Slid) -> Numbers:
        """Return the numbers of the entries of a whole batch."""
        return x.numbers + _image_offsets(self.batch, len(x.shape) - 1, x.entries)

    def renumbered(self, node: Node, x: Slid, numbers: Numbers) -> Slid:
        """Take the numbers of one image out of those of a batch."""
        if numbers.ndim < 1 or numbers.shape[0] != self.batch:
            raise node.unsupported(
                f"it makes the shape {numbers.shape} of {x.shape}: the batch must "
                f"stay the first axis, {self.batch} images here; {ELSEWHERE}"
            )
        offsets = _image_offsets(self.batch, numbers.ndim - 1, x.entries)
        if not np.array_equal(numbers, numbers[:1] + offsets):
            raise node.unsupported("it mixes the images of a batch")
        return replace(x, shape=numbers.shape, arrangement=numbers[0])

    # Maps ---------------------------------------------------------------------------------------

    def try_map(self, node: Node, x: Slid, channel_axis: int = 1) -> tuple[Slid, Layout] | None:
        """Cut out the map that a value is, with one axis of it as the channels; None if it is none.

        Returns
        -------
        Slid, Layout
            A whole map in the tensor's order of axes, and how the value lies in it.
        """
        if x.unshared or not 1 <= channel_axis < len(x.shape):
            return None
        layout = find_layout(x, channel_axis)
        return None if layout is None else (self._cut_out(node, x, layout), layout)

    def whole_map(self, node: Node, x: Slid) -> tuple[Slid, tuple[int, ...]]:
        """Cut out the map that a value is, and say in which order its spatial axes run."""
        found = self.try_map(node, x)
        if found is None:
            reason = x.unshared or (
                f"its input of shape {x.shape[1:]} is no map of the image, channels first"
            )
            raise node.unsupported(f"windows share no map to slide over: {reason}; {ELSEWHERE}")
        return found[0], found[1].order

    def _cut_out(self, node: Node, x: Slid, layout: Layout) -> Slid:
        tensor = self._gathered(node, x, layout.channels, "/channels")
        tensor, axes = self._sliced(node, tensor, x.axes, layout.parts)
        return self.map(tensor, len(layout.channels), axes)

    def _gathered(self, node: Node, x: Slid, channels: Numbers, suffix: str) -> ir.Value:
        if np.array_equal(channels, np.arange(x.channels)):
            return x.tensor
        index = self.ints(channels.tolist(), node, suffix)
        return self.emit(node, "Gather", [x.tensor, index], {"axis": 1}, suffix)

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
        if isinstance(x.arrangement, Whole) or not x.numbers.size:
            return x
        channel, *places = np.unravel_index(x.numbers, (x.channels, *x.block))
        parts = [(int(place.min()), int(np.ptp(place)) + 1, 1) for place in places]
        tensor, axes = self._sliced(node, x.tensor, x.axes, parts)
        left = (x.channels, *(axis.block for axis in axes))
        inner = [place - part[0] for place, part in zip(places, parts, strict=True)]
        numbers = np.ravel_multi_index((channel, *inner), left)
        return replace(x, tensor=tensor, axes=axes, arrangement=numbers)

    def along_channels(
        self, node: Node, x: Slid, axis: int, emit: Emit, channels: int | None = None
    ) -> Slid | None:
        """Apply an operator along one axis of a value, if that axis is the channels of a map."""
        found = self.try_map(node, x, axis)
        if found is None:
            return None
        whole, layout = found
        made = whole.channels if channels is None else channels
        return self.map(emit(whole.tensor), made, whole.axes, layout.order, axis)

    # Windows that share nothing -----------------------------------------------------------------

    def settled(self, node: Node, x: Slid, why: str) -> Slid:
        """Give each window its own features: the entries of its block become channels."""
        if all(axis.is_settled(s) for axis, s in zip(x.axes, self.stride, strict=True)):
            return x
        x = self.as_read(node, x)
        count = math.prod(x.block)
        if count > MOST_SAMPLES:
            raise node.unsupported(
                f"{why}, so that each window would keep {count} samples of its own: pool first, "
                f"or cut the network before it"
            )
        every = [s // axis.step or 1 for axis, s in zip(x.axes, self.stride, strict=True)]
        samples = []  # moved, not multiplied: whatever their type, and beside infinities
        for place in np.ndindex(*x.block):
            parts = [(a, 1, r) for a, r in zip(place, every, strict=True)]
            samples.append(self._sliced(node, x.tensor, x.axes, parts)[0])
        tensor = samples[0]
        if count > 1:
            tensor = self.emit(node, "Concat", samples, {"axis": 1}, "/unfold")
        channel, sample = np.divmod(x.numbers, count)
        unshared = x.unshared or (f"{node} {why}" if count > 1 else None)
        return replace(
            x,
            tensor=tensor,
            channels=x.entries,
            axes=self.covered(x)[0],
            arrangement=sample * x.channels + channel,
            unshared=unshared,
        )

    def features(self, node: Node, x: Slid, shape: tuple[int, ...], why: str) -> Slid:
        """Settle a value, broadcast it to `shape`, and put its entries in order into channels."""
        x = self.settled(node, x, why)
        try:
            numbers = np.broadcast_to(self.numbered(x), shape)
        except ValueError:
            raise node.unsupported(f"{x.shape} does not broadcast to {shape}") from None
        wide = self.renumbered(node, x, numbers)
        order = wide.numbers.ravel()
        tensor = self._gathered(node, x, order, "/order")
        ordered = np.arange(len(order)).reshape(shape[1:])
        return replace(wide, tensor=tensor, channels=len(order), arrangement=ordered)

    # Windows ------------------------------------------------------------------------------------

    def windows(
        self,
        node: Node,
        x: Slid,
        order: tuple[int, ...],
        spec: Sequence[tuple[int, int, int, int, int]],
    ) -> tuple[ir.Value, tuple[Samples, ...], list[Slide]]:
        """Move windows over a map.

        Parameters
        ----------
        node : Node
            The operator.
        x : Slid
            A whole map.
        order : tuple of int
            The tensor's axis along which each spatial axis of the value runs.
        spec : sequence of (kernel, stride, dilation, before, after)
            For each spatial axis of the value.

        Returns
        -------
        onnx_ir.Value, tuple of Samples, list of Slide
            The tensor without what no window reads, the samples made, and how the operator slides.
        """
        made, slides = [], []
        for k, (axis, stride) in enumerate(zip(x.axes, self.stride, strict=True)):
            samples, slide = axis.windowed(stride, *spec[order.index(k)])
            if -slide.after >= axis.block * axis.scale:
                raise node.unsupported("all that it reads along an axis is padding")
            made.append(samples)
            slides.append(slide)
        padding = [slide.padding_only() for slide in slides]
        if any(slide.before or slide.after for slide in padding):
            told = ", ".join(
                f"{slide.before // axis.scale} before and {slide.after // axis.scale} after"
                for slide, axis in zip(padding, x.axes, strict=True)
            )
            self.padded.setdefault(str(node), f"reads padding ({told})")
        return self.cut(node, x.tensor, slides), tuple(made), padding

    def covered(self, x: Slid) -> tuple[tuple[Samples, ...], list[Slide]]:
        """Read the whole block of a value: the samples made, and the window that does so."""
        pairs = [axis.covered(stride) for axis, stride in zip(x.axes, self.stride, strict=True)]
        return tuple(made for made, _ in pairs), [slide for _, slide in pairs]


def window_attributes(slides: Sequence[Slide]) -> dict[str, Any]:
    """Give the attributes of a convolution."""
    return {
        "kernel_shape": [slide.kernel for slide in slides],
        "strides": [slide.stride for slide in slides],
        "dilations": [slide.dilation for slide in slides],
        "pads": [*(slide.before for slide in slides), *(slide.after for slide in slides)],
    }


def _image_offsets(batch: int, rank: int, entries: int) -> Numbers:
    return np.arange(batch).reshape(-1, *(1,) * rank) * entries
