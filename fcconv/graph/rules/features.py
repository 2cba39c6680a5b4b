"""The features of pixels, or of whole windows, that a value holds, gathered into channels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import fcconv_numpy
from fcconv.errors import ShapeError
from fcconv.graph.call import Call, computing
from fcconv.graph.rules.context import Context
from fcconv.graph.rules.samples import Samples
from fcconv.graph.rules.values import (
    Constant,
    Numbers,
    SlidingValue,
    T,
    feature_numbers,
    find_layout,
    varies,
)
from fcconv.graph.rules.writing import crop, write_ints

MOST_SAMPLES = 4096
"""Samples of a window that are written one by one."""

LARGEST_BLOCK = 2**26
"""Most numbers that an intermediate value of one window may have."""

ELSEWHERE = "score crops in batches instead, or cut the network before it"
"""What to do where windows share nothing."""

ONE_IMAGE = "if it takes one image at a time, fix the batch of its input to 1"
"""What to do where a batch that is declared to be free is not."""


def whole_map(
    context: Context[T],
    tensor: T,
    channels: int,
    axes: tuple[Samples, ...],
    along: Sequence[int | None] | None = None,
    shape: tuple[int, ...] | None = None,
) -> SlidingValue[T]:
    """Return a value that is a whole map.

    Parameters
    ----------
    tensor : handle of the target
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
    shape = (context.batch, channels, *block) if shape is None else shape
    beside = () if context.batch == 1 else (0,)
    features = [a for a in range(len(shape)) if a not in (*beside, *along)]
    image = _line(context.batch, 0 if beside else None, len(shape))
    places = [_line(n, a, len(shape)) for n, a in zip(block, along, strict=True)]
    return SlidingValue(
        tensor, channels, axes, shape, (image, feature_numbers(shape, features), *places)
    )


def _line(count: int, axis: int | None, rank: int) -> Numbers:
    """Count along one axis; along none there is but one."""
    return np.arange(count).reshape([-1 if a == axis else 1 for a in range(rank)])


def move_entries(
    context: Context[T],
    node: Call,
    move: Callable[..., Any],
    x: SlidingValue[T],
    options: Sequence[Constant | None],
) -> tuple[SlidingValue[T], ...]:
    """Move the entries of the first input, by moving the arrays that say where each one lies."""
    given = [option.array if isinstance(option, Constant) else None for option in options]
    with computing(node):
        made = [
            move(fcconv_numpy, node, np.broadcast_to(where, x.shape), *given) for where in x.where
        ]
    parts = zip(*made, strict=True) if isinstance(made[0], tuple) else [made]
    return tuple(_placed(context, node, x, where) for where in parts)


def _placed(
    context: Context[T], node: Call, x: SlidingValue[T], where: Sequence[Numbers]
) -> SlidingValue[T]:
    made = x.varying(where[0].shape, where)
    if x.mixed or is_by_image(context, made):
        return made
    said = node.unsupported(
        f"it makes the shape {made.shape} of {x.shape}: the batch must stay the first axis, "
        f"{context.batch} images here, or come back to it before windows are scored; {ONE_IMAGE}; "
        f"else {ELSEWHERE}"
    )
    return replace(made, mixed=said)


def gather_features(
    context: Context[T], node: Call, x: SlidingValue[T], along: Sequence[int], own: bool = False
) -> SlidingValue[T] | None:
    """Let the channels of a tensor be the features along some axes of a value, in order.

    What windows share stays shared. Phases become channels, and samples that are not read are
    cut off. None if the axes hold no features of a pixel, or those of too many.

    Parameters
    ----------
    node : Call
        The operator that needs it so.
    x : SlidingValue
        The value.
    along : sequence of int
        Its axes.
    own : bool
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
    # of a single sample `every` is free: with one entry per window, phases, or the features that
    # each window has of its own, lie on one grid
    parts = [
        (count, s // axis.step or 1) if count == 1 and (own or np.ptp(begins)) else (count, every)
        for (count, every), axis, s, begins in zip(
            layout.parts, x.axes, context.stride, phases.T, strict=True
        )
    ]
    found = []  # one slice of the tensor for each phase
    for begins in phases.tolist():
        spec = [(a, *part) for a, part in zip(begins, parts, strict=True)]
        found.append(_slice(context, node, x.tensor, x.axes, spec))
    tensor = found[0][0]
    if len(found) > 1:
        tensor = context.target.emit(node, "Concat", [t for t, _ in found], {"axis": 1}, "/unfold")
    # the channels of each phase stand behind those of the phase before it
    picked = phase.ravel() * x.channels + layout.channels
    return replace(
        x,
        tensor=_pick(context, node, tensor, picked, len(found) * x.channels),
        channels=len(picked),
        axes=tuple(same[0].merged(same) for same in zip(*(a for _, a in found), strict=True)),
        where=(x.where[0], feature_numbers(x.shape, along), *layout.places),
    )


def apply_to_features(
    context: Context[T],
    node: Call,
    x: SlidingValue[T],
    along: Sequence[int],
    emit: Callable[[T], T],
    lengths: Sequence[int] | None = None,
) -> SlidingValue[T] | None:
    """Apply an operator to the features that a value holds along some axes, if it does.

    With `lengths`, it makes that many features along these axes, instead of as many.
    """
    y = gather_features(context, node, x, along)
    if y is None:
        return None
    made = dict(enumerate(x.shape)) | dict(zip(along, lengths or (), strict=False))
    shape = tuple(made.values())
    where = (y.where[0], feature_numbers(shape, along), *y.places)
    channels = math.prod(made[axis] for axis in along)
    return replace(y, tensor=emit(y.tensor), channels=channels, shape=shape, where=where)


def _pick(context: Context[T], node: Call, tensor: T, picked: Numbers, channels: int) -> T:
    if np.array_equal(picked, np.arange(channels)):
        return tensor
    index = write_ints(context.target, picked.tolist(), node, "/channels")
    return context.target.emit(node, "Gather", [tensor, index], {"axis": 1}, "/channels")


def _slice(
    context: Context[T],
    node: Call,
    tensor: T,
    axes: tuple[Samples, ...],
    parts: Sequence[tuple[int, int, int]],
) -> tuple[T, tuple[Samples, ...]]:
    if all(part == (0, axis.block, 1) for axis, part in zip(axes, parts, strict=True)):
        return tensor, axes
    sliced = [
        axis.sliced(stride, *part)
        for axis, stride, part in zip(axes, context.stride, parts, strict=True)
    ]
    cut = crop(context.target, node, tensor, [slide for _, slide in sliced], every=True)
    return cut, tuple(made for made, _ in sliced)


def crop_to_read(context: Context[T], node: Call, x: SlidingValue[T]) -> SlidingValue[T]:
    """Crop the block to the smallest box that the value uses."""
    parts = [(int(place.min()), int(np.ptp(place)) + 1, 1) for place in x.places]
    tensor, axes = _slice(context, node, x.tensor, x.axes, parts)
    places = [place - part[0] for place, part in zip(x.places, parts, strict=True)]
    return replace(x, tensor=tensor, axes=axes, where=(*x.where[:2], *places))


def is_by_image(context: Context[T], x: SlidingValue[T]) -> bool:
    """Say whether the first axis of a value is the batch, and no other depends on the image."""
    if context.batch == 1:
        return True
    image, *others = x.where
    batch = _line(context.batch, 0, len(x.shape))
    return np.array_equal(image, batch) and not any(varies(w, [0]) for w in others)


def check_by_image(context: Context[T], node: Call, x: SlidingValue[T]) -> None:
    """Refuse a value that does not keep the images of a batch apart."""
    if not is_by_image(context, x):
        raise x.mixed or node.unsupported(f"it mixes the images of a batch in {x.shape}")


def unfold(
    context: Context[T], node: Call, x: SlidingValue[T], shape: tuple[int, ...], why: str
) -> SlidingValue[T]:
    """Give each window its own features: a value, broadcast to `shape`, in the channels."""
    try:
        np.broadcast_shapes(x.shape, shape)
    except ValueError:
        raise node.unsupported(f"{x.shape} does not broadcast to {shape}") from None
    x = x.spread(shape)
    check_by_image(context, node, x)
    along = range(len(shape)) if context.batch == 1 else range(1, len(shape))
    unfolded = gather_features(context, node, x, along, own=True)
    if unfolded is None:
        count = math.prod(x.block)
        raise node.unsupported(
            f"{why}, so that each window would keep {count} samples of its own: pool first, "
            f"or cut the network before it"
        )
    # several samples became features of a window: neighbours have no map in common any more
    if any(place.size and np.ptp(place) for place in x.places):
        return replace(unfolded, unshared=x.unshared or f"{node} {why}")
    return unfolded
