"""Several values on one grid: for operators that work entry by entry, and for joining."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from fcconv.errors import ShapeError
from fcconv.graph.node import Node
from fcconv.graph.rules.slider import Slider
from fcconv.graph.rules.values import (
    Constant,
    Numbers,
    Slid,
    feature_numbers,
    first,
    opened,
    varies,
)

Inputs = Sequence["Slid | Constant"]
Aligned = tuple[Slid, list[ir.Value]]
"""What the result is like but for its tensor, and the tensors of the inputs."""


def align(slider: Slider, node: Node, inputs: Inputs) -> Aligned:
    """Bring values to one grid, for an operator that works entry by entry."""
    try:
        shape = np.broadcast_shapes(*(x.shape for x in inputs))
    except ValueError:
        shapes = ", ".join(str(x.shape) for x in inputs)
        raise node.unsupported(f"the shapes {shapes} do not broadcast") from None
    return (
        _as_they_lie(slider, node, inputs, shape)
        or _as_maps(slider, node, inputs, shape)
        or _as_features(slider, node, inputs, shape)
    )


def _as_they_lie(
    slider: Slider, node: Node, inputs: Inputs, shape: tuple[int, ...]
) -> Aligned | None:
    """Keep values that lie alike, in whatever order of entries."""
    slids = _slids(inputs)
    one = slids[0]
    alike = one.shape == shape and all(
        x.channels == one.channels and same_axes(x, one) and x.lies_like(one) for x in slids
    )
    return _with_constants(slider, node, inputs, slids, merge(slids)) if alike else None


def _as_maps(slider: Slider, node: Node, inputs: Inputs, shape: tuple[int, ...]) -> Aligned | None:
    """Gather the features of each pixel; a value of one feature stands for all."""
    rank = len(shape)
    slids = [x.spread((1,) * (rank - len(x.shape)) + x.shape) for x in _slids(inputs)]
    features = _feature_axes(slids)
    constants = (opened(_ranked(x.array, rank)) for x in inputs if isinstance(x, Constant))
    more = {a for k in constants for a, n in enumerate(k.shape) if n > 1}
    more |= {a for x in slids for a, n in enumerate(x.shape) if n == 1 < shape[a]}
    more -= features  # phases, perhaps
    if _consumes(slids, more):
        return None
    along = sorted(features | more)
    wide = [x if math.prod(x.shape[a] for a in along) == 1 else _widened(x, along, shape)
            for x in slids]  # fmt: skip
    whole = _on_one_grid(slider, node, wide, along)
    if whole is None:
        return None
    like = replace(
        merge(whole),
        channels=math.prod(shape[a] for a in along),
        shape=shape,
        where=(whole[0].where[0], feature_numbers(shape, along), *whole[0].places),
    )
    return _with_constants(slider, node, inputs, whole, like)


def _feature_axes(slids: Sequence[Slid]) -> set[int]:
    """Return the axes along which some value of one rank has several channels."""
    return {a for x in slids for a in range(len(x.shape)) if varies(x.where[1], [a])}


def _consumes(slids: Sequence[Slid], axes: Collection[int]) -> bool:
    """Say whether features along some axes would be all samples along an axis of the image."""
    others = set(range(len(slids[0].shape))) - {*axes}
    return any(varies(p, axes) and not varies(p, others) for x in slids for p in x.places)


def _widened(x: Slid, along: Sequence[int], shape: tuple[int, ...]) -> Slid:
    return x.spread(tuple(shape[a] if a in along else n for a, n in enumerate(x.shape)))


def _on_one_grid(
    slider: Slider, node: Node, slids: Sequence[Slid], along: Sequence[int]
) -> list[Slid] | None:
    """Gather the features of values whose pixels are the same; None if they are not."""
    whole = []
    for x in slids:
        y = slider.gathered(node, x, along)
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


def _as_features(slider: Slider, node: Node, inputs: Inputs, shape: tuple[int, ...]) -> Aligned:
    """Give each window its own features."""
    why = "does not treat all samples of a window alike"
    own = [slider.features(node, x, shape, why) for x in _slids(inputs)]
    aligned = _with_constants(slider, node, inputs, own, merge(own))
    if aligned is None:
        raise node.unsupported("a constant differs between the images of a batch")
    return aligned


def _with_constants(
    slider: Slider, node: Node, inputs: Inputs, slids: Sequence[Slid], like: Slid
) -> Aligned | None:
    """Write the constants for the channels of `like`; None if one differs between samples."""
    constants = [along_channels(slider, node, like, x) for x in inputs if isinstance(x, Constant)]
    if None in constants:
        return None
    tensors = iter([x.tensor for x in slids])
    written = iter(constants)
    values = [next(tensors) if isinstance(x, Slid) else next(written) for x in inputs]
    return like, [value for value in values if value is not None]


def along_channels(slider: Slider, node: Node, like: Slid, constant: Constant) -> ir.Value | None:
    """Write a constant for the channels of a tensor; None if it differs between samples."""
    if constant.array.size == 1 and constant.array.ndim <= 2 + len(like.axes):
        return slider.keep(constant, node)
    array = opened(_ranked(constant.array, len(like.shape)))
    channel, entries = np.broadcast_arrays(like.where[1], array)
    line = np.zeros(like.channels, array.dtype)
    line[channel] = entries
    if not np.array_equal(line[channel], entries, equal_nan=line.dtype.kind == "f"):
        return None
    return slider.constant(line.reshape(-1, *(1,) * len(like.axes)), f"{node.name}/constant")


def _ranked(array: npt.NDArray[Any], rank: int) -> npt.NDArray[Any]:
    return array.reshape((1,) * (rank - array.ndim) + array.shape)


def joined(slider: Slider, node: Node, inputs: Inputs, axis: int) -> Slid:
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
        or _joined_maps(slider, node, slids, axis)
        or _joined_features(slider, node, slids, axis)
    )


def _joined_parts(slids: Sequence[Slid], axis: int) -> Slid | None:
    """Join parts of one tensor: nothing is moved."""
    one = slids[0]
    if any(x.tensor is not one.tensor for x in slids):
        return None
    where = [
        _side_by_side(slids, same, axis) for same in zip(*(x.where for x in slids), strict=True)
    ]
    return one.varying(_joined_shape(slids, axis), where)


def _joined_maps(slider: Slider, node: Node, slids: Sequence[Slid], axis: int) -> Slid | None:
    """Join the features of the pixels of maps on one grid."""
    along = sorted({axis} | _feature_axes(slids))
    if _consumes(slids, [axis]):
        return None
    whole = _on_one_grid(slider, node, slids, along)
    return None if whole is None else _concatenated(slider, node, whole, axis)


def _joined_features(slider: Slider, node: Node, slids: Sequence[Slid], axis: int) -> Slid:
    """Give each window its own features, and join them."""
    own = [slider.features(node, x, x.shape, "joins what lies on different grids") for x in slids]
    return _concatenated(slider, node, own, axis)


def _concatenated(slider: Slider, node: Node, whole: Sequence[Slid], axis: int) -> Slid:
    """Put the channels of tensors on one grid beside each other."""
    starts = np.cumsum([0, *(x.channels for x in whole)]).tolist()
    numbers = [x.where[1] + start for x, start in zip(whole, starts, strict=False)]
    channel = _side_by_side(whole, numbers, axis)
    return replace(
        merge(whole),
        tensor=slider.emit(node, "Concat", [x.tensor for x in whole], {"axis": 1}),
        channels=starts[-1],
        shape=_joined_shape(whole, axis),
        where=(whole[0].where[0], channel, *whole[0].places),
    )


def _joined_shape(slids: Sequence[Slid], axis: int) -> tuple[int, ...]:
    lengths = list(slids[0].shape)
    lengths[axis] = sum(x.shape[axis] for x in slids)
    return tuple(lengths)


def _side_by_side(slids: Sequence[Slid], arrays: Sequence[Numbers], axis: int) -> Numbers:
    """Join arrays of `Slid.where`."""
    shape = list(np.broadcast_shapes(*(first(array, [axis]).shape for array in arrays)))
    wide = []
    for x, array in zip(slids, arrays, strict=True):
        shape[axis] = x.shape[axis]
        wide.append(np.broadcast_to(array, shape))
    return np.concatenate(wide, axis=axis)


def same_axes(x: Slid, y: Slid) -> bool:
    """Say whether the samples of two values lie on one grid."""
    return all(
        (a.block, a.step) == (b.block, b.step) and (a.apart == b.apart or a.block == 1)
        for a, b in zip(x.axes, y.axes, strict=True)
    )


def merge(slids: Sequence[Slid]) -> Slid:
    """Describe what an operator makes of values on one grid: it reads what any of them reads."""
    axes = tuple(same[0].merged(same) for same in zip(*(x.axes for x in slids), strict=True))
    unshared = next((x.unshared for x in slids if x.unshared), None)
    return replace(slids[0], axes=axes, unshared=unshared)


def _slids(inputs: Iterable[Slid | Constant]) -> list[Slid]:
    return [x for x in inputs if isinstance(x, Slid)]
