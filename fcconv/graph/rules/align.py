"""Several values on one grid: for operators that work entry by entry, and for joining."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fcconv.errors import ShapeError
from fcconv.graph.call import Call
from fcconv.graph.rules.context import Context
from fcconv.graph.rules.features import gather_features, unfold
from fcconv.graph.rules.values import (
    Constant,
    Numbers,
    SlidingValue,
    T,
    feature_numbers,
    first,
    opened,
    varies,
)

Inputs: TypeAlias = Sequence["SlidingValue[Any] | Constant"]
Aligned: TypeAlias = tuple[SlidingValue[T], list[T]]
"""The result, whose tensor is not written yet, and the tensors of the inputs."""


def align(context: Context[T], node: Call, inputs: Inputs) -> Aligned[T]:
    """Bring values to one grid, for an operator that works entry by entry."""
    try:
        shape = np.broadcast_shapes(*(x.shape for x in inputs))
    except ValueError:
        shapes = ", ".join(str(x.shape) for x in inputs)
        raise node.unsupported(f"the shapes {shapes} do not broadcast") from None
    return (
        _as_they_lie(context, node, inputs, shape)
        or _as_maps(context, node, inputs, shape)
        or _as_features(context, node, inputs, shape)
    )


def _as_they_lie(
    context: Context[T], node: Call, inputs: Inputs, shape: tuple[int, ...]
) -> Aligned[T] | None:
    """Keep values that lie alike, in whatever order of entries."""
    slids = _slids(inputs)
    one = slids[0]
    alike = one.shape == shape and all(
        x.channels == one.channels and same_axes(x, one) and x.lies_like(one) for x in slids
    )
    return _with_constants(context, node, inputs, slids, merge(slids)) if alike else None


def _as_maps(
    context: Context[T], node: Call, inputs: Inputs, shape: tuple[int, ...]
) -> Aligned[T] | None:
    """Gather the features of each pixel; a value of one feature stands for all."""
    rank = len(shape)
    slids = [x.spread((1,) * (rank - len(x.shape)) + x.shape) for x in _slids(inputs)]
    features = _feature_axes(slids)
    constants = (opened(_ranked(x.array, rank)) for x in inputs if isinstance(x, Constant))
    more = {a for k in constants for a, n in enumerate(k.shape) if n > 1}
    more |= {a for x in slids for a, n in enumerate(x.shape) if n == 1 < shape[a]}
    more -= features  # along these, places may vary as phases: that uses up no axis of the image
    if _consumes(slids, more):
        return None
    along = sorted(features | more)
    # a value of one feature keeps its one channel, which broadcasts to all
    wide = [x if math.prod(x.shape[a] for a in along) == 1 else _widened(x, along, shape)
            for x in slids]  # fmt: skip
    whole = _on_one_grid(context, node, wide, along)
    if whole is None:
        return None
    like = replace(
        merge(whole),
        channels=math.prod(shape[a] for a in along),
        shape=shape,
        where=(whole[0].where[0], feature_numbers(shape, along), *whole[0].places),
    )
    return _with_constants(context, node, inputs, whole, like)


def _feature_axes(slids: Sequence[SlidingValue[T]]) -> set[int]:
    """Return the axes along which some value of one rank has several channels."""
    return {a for x in slids for a in range(len(x.shape)) if varies(x.where[1], [a])}


def _consumes(slids: Sequence[SlidingValue[T]], axes: Collection[int]) -> bool:
    """Say whether features along some axes would use up all samples of an axis of the image."""
    others = set(range(len(slids[0].shape))) - {*axes}
    return any(varies(p, axes) and not varies(p, others) for x in slids for p in x.places)


def _widened(x: SlidingValue[T], along: Sequence[int], shape: tuple[int, ...]) -> SlidingValue[T]:
    return x.spread(tuple(shape[a] if a in along else n for a, n in enumerate(x.shape)))


def _on_one_grid(
    context: Context[T], node: Call, slids: Sequence[SlidingValue[T]], along: Sequence[int]
) -> list[SlidingValue[T]] | None:
    """Gather the features of values whose pixels are the same; None if they are not."""
    whole = []
    for x in slids:
        y = gather_features(context, node, x, along)
        if y is None:
            return None
        whole.append(y)
    one = whole[0]
    pixels = one.where[0], *one.places
    alike = all(
        same_axes(x, one) and all(map(np.array_equal, (x.where[0], *x.places), pixels))
        for x in whole
    )
    return whole if alike else None


def _as_features(
    context: Context[T], node: Call, inputs: Inputs, shape: tuple[int, ...]
) -> Aligned[T]:
    """Give each window its own features."""
    why = "does not treat all samples of a window alike"
    own = [unfold(context, node, x, shape, why) for x in _slids(inputs)]
    aligned = _with_constants(context, node, inputs, own, merge(own))
    if aligned is None:
        raise node.unsupported("a constant differs between the images of a batch")
    return aligned


def _with_constants(
    context: Context[T],
    node: Call,
    inputs: Inputs,
    slids: Sequence[SlidingValue[T]],
    like: SlidingValue[T],
) -> Aligned[T] | None:
    """Write the constants for the channels of `like`; None if one differs between samples."""
    constants = [
        constant_for_channels(context, node, like, x) for x in inputs if isinstance(x, Constant)
    ]
    if None in constants:
        return None
    tensors = iter([x.tensor for x in slids])
    written = iter(constants)
    values = [next(tensors) if isinstance(x, SlidingValue) else next(written) for x in inputs]
    return like, [value for value in values if value is not None]


def constant_for_channels(
    context: Context[T], node: Call, like: SlidingValue[T], constant: Constant
) -> T | None:
    """Write a constant for the channels of a tensor; None if it differs between samples."""
    if constant.array.size == 1 and constant.array.ndim <= 2 + len(like.axes):
        return context.target.keep(constant, node)
    array = opened(_ranked(constant.array, len(like.shape)))
    channel, entries = np.broadcast_arrays(like.where[1], array)
    line = np.zeros(like.channels, array.dtype)
    line[channel] = entries  # of several samples in one channel, the last one's number stays
    if not np.array_equal(line[channel], entries, equal_nan=line.dtype.kind == "f"):
        return None
    return context.target.constant(
        line.reshape(-1, *(1,) * len(like.axes)), f"{node.name}/constant"
    )


def _ranked(array: npt.NDArray[Any], rank: int) -> npt.NDArray[Any]:
    return array.reshape((1,) * (rank - array.ndim) + array.shape)


def joined(context: Context[T], node: Call, inputs: Inputs, axis: int) -> SlidingValue[T]:
    """Join values along an axis."""
    slids = _slids(inputs)
    if len(slids) < len(inputs):
        raise node.unsupported("it joins a constant to what depends on the pixels")
    beside = {x.shape[:axis] + x.shape[axis + 1 :] for x in slids}
    if len(beside) > 1:
        shapes = ", ".join(str(x.shape) for x in slids)
        raise ShapeError(f"the shapes {shapes} do not fit beside each other along axis {axis}")
    if any(varies(x.where[0], [axis]) for x in slids):
        raise node.unsupported("it joins along the batch")
    return (
        _joined_parts(slids, axis)
        or _joined_maps(context, node, slids, axis)
        or _joined_features(context, node, slids, axis)
    )


def _joined_parts(slids: Sequence[SlidingValue[T]], axis: int) -> SlidingValue[T] | None:
    """Join parts of one tensor: nothing is moved."""
    one = slids[0]
    if any(x.tensor is not one.tensor for x in slids):
        return None
    where = [
        _side_by_side(slids, same, axis) for same in zip(*(x.where for x in slids), strict=True)
    ]
    return one.varying(_joined_shape(slids, axis), where)


def _joined_maps(
    context: Context[T], node: Call, slids: Sequence[SlidingValue[T]], axis: int
) -> SlidingValue[T] | None:
    """Join the features of the pixels of maps on one grid."""
    along = sorted({axis} | _feature_axes(slids))
    if _consumes(slids, [axis]):
        return None
    whole = _on_one_grid(context, node, slids, along)
    return None if whole is None else _concatenated(context, node, whole, axis)


def _joined_features(
    context: Context[T], node: Call, slids: Sequence[SlidingValue[T]], axis: int
) -> SlidingValue[T]:
    """Give each window its own features, and join them."""
    own = [unfold(context, node, x, x.shape, "joins what lies on different grids") for x in slids]
    return _concatenated(context, node, own, axis)


def _concatenated(
    context: Context[T], node: Call, whole: Sequence[SlidingValue[T]], axis: int
) -> SlidingValue[T]:
    """Put the channels of tensors on one grid beside each other."""
    starts = np.cumsum([0, *(x.channels for x in whole)]).tolist()
    # the last start is the sum of all channels, and begins none
    numbers = [x.where[1] + start for x, start in zip(whole, starts, strict=False)]
    channel = _side_by_side(whole, numbers, axis)
    return replace(
        merge(whole),
        tensor=context.target.emit(node, "Concat", [x.tensor for x in whole], {"axis": 1}),
        channels=starts[-1],
        shape=_joined_shape(whole, axis),
        where=(whole[0].where[0], channel, *whole[0].places),
    )


def _joined_shape(slids: Sequence[SlidingValue[T]], axis: int) -> tuple[int, ...]:
    lengths = list(slids[0].shape)
    lengths[axis] = sum(x.shape[axis] for x in slids)
    return tuple(lengths)


def _side_by_side(
    slids: Sequence[SlidingValue[T]], arrays: Sequence[Numbers], axis: int
) -> Numbers:
    """Join arrays of `SlidingValue.where`."""
    shape = list(np.broadcast_shapes(*(first(array, [axis]).shape for array in arrays)))
    wide = []
    for x, array in zip(slids, arrays, strict=True):
        shape[axis] = x.shape[axis]
        wide.append(np.broadcast_to(array, shape))
    return np.concatenate(wide, axis=axis)


def same_axes(x: SlidingValue[T], y: SlidingValue[T]) -> bool:
    """Say whether the samples of two values lie on one grid."""
    # one sample has no next: its jump says nothing
    return all(
        (a.block, a.step) == (b.block, b.step) and (a.jump == b.jump or a.block == 1)
        for a, b in zip(x.axes, y.axes, strict=True)
    )


def merge(slids: Sequence[SlidingValue[T]]) -> SlidingValue[T]:
    """Describe what is made of values on one grid: it reads all pixels that any of them reads."""
    axes = tuple(same[0].merged(same) for same in zip(*(x.axes for x in slids), strict=True))
    unshared = next((x.unshared for x in slids if x.unshared), None)
    return replace(slids[0], axes=axes, unshared=unshared)


def _slids(inputs: Iterable[SlidingValue[T] | Constant]) -> list[SlidingValue[T]]:
    return [x for x in inputs if isinstance(x, SlidingValue)]
