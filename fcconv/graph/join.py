"""Several values on one grid: for operators that work entry by entry, and for joining."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from fcconv.errors import ShapeError
from fcconv.graph.node import Node
from fcconv.graph.slider import Slider
from fcconv.graph.values import Constant, Slid, Whole

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
    first = slids[0]
    alike = all(
        x.shape == shape
        and x.channels == first.channels
        and same_axes(x, first)
        and x.lies_like(first)
        for x in slids
    )
    return _with_constants(slider, node, inputs, slids, merge(slids)) if alike else None


def _as_maps(slider: Slider, node: Node, inputs: Inputs, shape: tuple[int, ...]) -> Aligned | None:
    """Cut out maps of one grid; one channel may stand for all."""
    found = [slider.try_map(node, x) for x in _slids(inputs)]
    maps = [x for x in found if x is not None]
    if len(maps) < len(found) or len({layout.order for _, layout in maps}) > 1:
        return None
    whole = [x for x, _ in maps]
    channels = max(x.channels for x in whole)
    if not all(same_axes(x, whole[0]) and x.channels in (1, channels) for x in whole):
        return None
    like = slider.map(whole[0].tensor, channels, merge(whole).axes, maps[0][1].order)
    return _with_constants(slider, node, inputs, whole, like) if like.shape == shape else None


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
    lengths = [1] * (len(like.shape) - constant.array.ndim) + list(constant.shape)
    if isinstance(like.arrangement, Whole):
        wanted = [1] * len(like.shape)
        wanted[like.arrangement.channel_axis] = like.channels
        if lengths == wanted:  # one entry a channel, whatever the size of the map
            return _lined_up(slider, node, like, constant.array.ravel())
    try:
        spread = np.broadcast_to(constant.array, like.shape)
    except ValueError:
        return None
    if not _equal(spread, np.broadcast_to(spread[:1], spread.shape)):
        return None
    channel, entries = like.numbers.ravel() // math.prod(like.block), spread[0].ravel()
    line = np.zeros(like.channels, spread.dtype)
    line[channel] = entries
    if not _equal(line[channel], entries):
        return None
    return _lined_up(slider, node, like, line)


def _lined_up(slider: Slider, node: Node, like: Slid, line: npt.NDArray[Any]) -> ir.Value:
    return slider.constant(line.reshape(-1, *(1,) * len(like.axes)), f"{node.name}/constant")


def _equal(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> bool:
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def joined(slider: Slider, node: Node, inputs: Inputs, axis: int) -> Slid:
    """Join values along an axis."""
    slids = _slids(inputs)
    if len(slids) < len(inputs):
        raise node.unsupported("it joins a constant to what depends on the pixels")
    if axis == 0:
        raise node.unsupported("it joins along the batch")
    beside = {x.shape[:axis] + x.shape[axis + 1 :] for x in slids}
    if len(beside) > 1:
        shapes = ", ".join(str(x.shape) for x in slids)
        raise ShapeError(f"the shapes {shapes} do not fit beside each other along axis {axis}")
    return (
        _joined_maps(slider, node, slids, axis)
        or _joined_parts(slider, node, slids, axis)
        or _joined_features(slider, node, slids, axis)
    )


def _joined_maps(slider: Slider, node: Node, slids: Sequence[Slid], axis: int) -> Slid | None:
    """Join the channels of maps on one grid."""
    found = [slider.try_map(node, x, axis) for x in slids]
    maps = [x for x in found if x is not None]
    if len(maps) < len(found) or len({layout.order for _, layout in maps}) > 1:
        return None
    whole = [x for x, _ in maps]
    if not all(same_axes(x, whole[0]) for x in whole):
        return None
    tensor = slider.emit(node, "Concat", [x.tensor for x in whole], {"axis": 1})
    channels = sum(x.channels for x in whole)
    return slider.map(tensor, channels, merge(whole).axes, maps[0][1].order, axis)


def _joined_parts(slider: Slider, node: Node, slids: Sequence[Slid], axis: int) -> Slid | None:
    """Join parts of one tensor: nothing is moved."""
    first = slids[0]
    if any(x.tensor is not first.tensor for x in slids):
        return None
    numbers = np.concatenate([slider.numbered(x) for x in slids], axis=axis)
    return slider.renumbered(node, first, numbers)


def _joined_features(slider: Slider, node: Node, slids: Sequence[Slid], axis: int) -> Slid:
    """Give each window its own features, and join them."""
    own = [slider.features(node, x, x.shape, "joins what lies on different grids") for x in slids]
    starts = np.cumsum([0, *(x.channels for x in own)]).tolist()
    numbers = np.concatenate(
        [x.numbers + start for x, start in zip(own, starts, strict=False)], axis=axis - 1
    )
    tensor = slider.emit(node, "Concat", [x.tensor for x in own], {"axis": 1})
    shape = (slider.batch, *numbers.shape)
    return replace(merge(own), tensor=tensor, channels=starts[-1], shape=shape, arrangement=numbers)


def same_axes(x: Slid, y: Slid) -> bool:
    """Say whether the samples of two values lie on one grid."""
    return all(
        (a.block, a.step) == (b.block, b.step) and (a.apart == b.apart or a.block == 1)
        for a, b in zip(x.axes, y.axes, strict=True)
    )


def merge(slids: Sequence[Slid]) -> Slid:
    """Describe what an operator makes of values on one grid: it reads what any of them reads."""
    axes = tuple(
        replace(
            same[0],
            first=min(a.first for a in same),
            last=max(a.last for a in same),
            soiled=(max(a.soiled[0] for a in same), max(a.soiled[1] for a in same)),
        )
        for same in zip(*(x.axes for x in slids), strict=True)
    )
    unshared = next((x.unshared for x in slids if x.unshared), None)
    return replace(slids[0], axes=axes, unshared=unshared)


def _slids(inputs: Iterable[Slid | Constant]) -> list[Slid]:
    return [x for x in inputs if isinstance(x, Slid)]
