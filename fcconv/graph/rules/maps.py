"""Values as maps of the image, over which windows move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic

import numpy as np

from fcconv.errors import UnsupportedError
from fcconv.graph.call import Call
from fcconv.graph.rules.context import Context
from fcconv.graph.rules.features import ELSEWHERE, check_by_image, gather_features, is_by_image
from fcconv.graph.rules.samples import AxisWindow, Samples
from fcconv.graph.rules.values import SlidingValue, T, is_progression, varies
from fcconv.graph.rules.writing import crop

Moves = tuple[int, int, int, int, int]
"""Kernel, stride, dilation, padding before and after."""


@dataclass(frozen=True)
class Map(Generic[T]):
    """A value as a map, channels first.

    Attributes
    ----------
    whole : SlidingValue
        The value, its tensor cropped to the entries it uses, whose channels are the features
        along the second axis and those in `beside`.
    along : tuple of (int or None)
        The value's axis along which each spatial axis of the tensor runs, if any does.
    beside : tuple of int
        The axes behind the second that are not of the image.
    """

    whole: SlidingValue[T]
    along: tuple[int | None, ...]
    beside: tuple[int, ...]

    def of_tensor(self, values: Sequence[Any], default: Any) -> list[Any]:
        """Sort what is known of the value's axes behind the second by those of the tensor."""
        return [default if axis is None else values[axis - 2] for axis in self.along]

    def shape(self, channels: int, lengths: Sequence[int]) -> tuple[int, ...]:
        """Return the shape that the value has with other lengths along the tensor's axes."""
        shape = [self.whole.shape[0], channels, *self.whole.shape[2:]]
        for axis, n in zip(self.along, lengths, strict=True):
            if axis is not None:
                shape[axis] = n
        return tuple(shape)


def as_map(context: Context[T], node: Call, x: SlidingValue[T]) -> Map[T]:
    """Cut out the map that a value is, channels first."""
    rank = len(x.shape)
    along = _running(x)
    beside = tuple(axis for axis in range(2, rank) if axis not in along)
    features, whole = [1, *beside], None
    others = [axis for axis in range(rank) if axis not in features]
    # what is nothing but features is not an axis of the image any more
    runs = not any(varies(p, features) and not varies(p, others) for p in x.places)
    if rank > 1 and runs and is_by_image(context, x):
        whole = gather_features(context, node, x, features)
    if whole is None or not all(map(is_progression, whole.places, along)):
        check_by_image(context, node, x)
        raise not_a_map(node, x)
    return Map(whole, along, beside)


def not_a_map(node: Call, x: SlidingValue[T]) -> UnsupportedError:
    """Make the error that refuses to move a window over a value."""
    reason = x.unshared or (
        f"its input of shape {x.shape[1:]} is not a map of the image, channels first{_disorder(x)}"
    )
    return node.unsupported(f"windows share no map to slide over: {reason}; {ELSEWHERE}")


def move_windows(
    context: Context[T], node: Call, x: SlidingValue[T], spec: Sequence[Moves]
) -> tuple[T, tuple[Samples, ...], list[AxisWindow]]:
    """Move windows over a map.

    Parameters
    ----------
    node : Call
        The operator.
    x : SlidingValue
        A whole map.
    spec : sequence of (kernel, stride, dilation, before, after)
        For each spatial axis of the tensor.

    Returns
    -------
    handle of the target, tuple of Samples, list of AxisWindow
        The tensor without what no window reads, the samples made, and how the operator slides.
    """
    made, slides = [], []
    for axis, stride, moves in zip(x.axes, context.stride, spec, strict=True):
        samples, slide = axis.windowed(stride, *moves)
        # what no window reads is cut off at the end: here that would be every entry
        if -slide.after >= axis.block * axis.scale:
            raise node.unsupported("all that it reads along an axis is padding")
        made.append(samples)
        slides.append(slide)
    padding = [slide.padding_only() for slide in slides]
    # where the image is as long as the window, a crop reads the same padding
    reads = [
        (slide.before // axis.scale, slide.after // axis.scale)
        for slide, axis, stride in zip(padding, x.axes, context.stride, strict=True)
        if stride
    ]
    if any(map(any, reads)):
        told = ", ".join(f"{before} before and {after} after" for before, after in reads)
        context.padded.setdefault(str(node), f"reads padding ({told})")
    return crop(context.target, node, x.tensor, slides), tuple(made), padding


def cover_block(
    context: Context[T], x: SlidingValue[T]
) -> tuple[tuple[Samples, ...], list[AxisWindow]]:
    """Read the whole block of a value: the samples made, and the window that does so."""
    pairs = [axis.covered(stride) for axis, stride in zip(x.axes, context.stride, strict=True)]
    return tuple(made for made, _ in pairs), [slide for _, slide in pairs]


def _disorder(x: SlidingValue[T]) -> str:
    """Say along which axis behind the second a value is not the image, where that is plain."""
    _, channel, *places = x.where
    for axis in range(2, len(x.shape)):
        if varies(channel, [axis]):
            return f": neighbours along axis {axis} are of different channels"
        if any((np.diff(place, axis=axis) < 0).any() for place in places):
            return f": along axis {axis} pixels do not come in their order, as after a flip"
    return ""


def _running(x: SlidingValue[T]) -> tuple[int | None, ...]:
    """Find the axis of a value, behind the second, along which each one of the image runs.

    Where a window has one sample left, any axis of length 1 may be it.
    """
    found = [_runs_along(x, k) for k in range(len(x.axes))]
    free = iter([axis for axis in range(2, len(x.shape)) if x.shape[axis] == 1])
    return tuple(next(free, None) if axis is None else axis for axis in found)


def _runs_along(x: SlidingValue[T], k: int) -> int | None:
    """Find an axis along which the place on axis `k` of the image varies, and nothing else."""
    others = [where for j, where in enumerate(x.where) if j != 2 + k]
    found = [axis for axis in range(2, len(x.shape)) if varies(x.places[k], [axis])
             and not any(varies(where, [axis]) for where in others)]  # fmt: skip
    return max(found, key=lambda axis: x.shape[axis], default=None)
