"""Pad: zeros or other pixels around a map. It slides as a 1x1 window with padding."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fcconv.backend import array_dtype
from fcconv.errors import ModelError, ShapeError
from fcconv.graph import receptive
from fcconv.graph.operator import Operator
from fcconv.graph.operators.windows import STILL
from fcconv.graph.rules.features import whole_map
from fcconv.graph.rules.maps import as_map, move_windows, not_a_map
from fcconv.graph.rules.values import Constant, SlidingValue
from fcconv.graph.rules.writing import write_ints

if TYPE_CHECKING:
    from fcconv.backend import Backend
    from fcconv.graph.call import Call
    from fcconv.graph.rules.context import Context
    from fcconv.graph.rules.values import T

MODES = ("constant", "edge", "reflect", "wrap")


def _pad(
    backend: Backend[Any], node: Call, x: Any, pads: Any = None, value: Any = None, axes: Any = None
) -> Any:
    xp = backend.namespace
    pairs = pad_pairs(node, x, pads, axes)
    cut = x[
        tuple(slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(x.shape, pairs, strict=True))
    ]
    wide = [(max(b, 0), max(a, 0)) for b, a in pairs]
    mode = _mode(node)
    if mode != "constant":
        return xp.pad(cut, wide, mode=mode)
    if value is None:
        value = backend.asarray(np.array(node.attribute("value", 0), array_dtype(x)))
    return xp.pad(cut, wide, constant_values=xp.reshape(value, ()))


def pad_pairs(node: Call, x: Any, pads: Any, axes: Any) -> list[tuple[int, int]]:
    """Read the padding before and after, for each axis of `x`."""
    rank = len(x.shape)
    along = node.axes(node.ints("axes", axes, tuple(range(rank))), rank)
    numbers = node.ints("pads", pads)
    if len(numbers) != 2 * len(along):
        raise ShapeError(f"{len(along)} axes need {2 * len(along)} pads, got {len(numbers)}")
    pairs = [(0, 0)] * rank
    for axis, *pair in zip(along, numbers[: len(along)], numbers[len(along) :], strict=True):
        pairs[axis] = (pair[0], pair[1])
    return pairs


def _mode(node: Call) -> str:
    mode: str = node.attribute("mode", "constant")
    if mode not in MODES:
        raise ModelError(f"needs a mode of {', '.join(MODES)}, got {mode!r}")
    return mode


def _slide_pad(
    context: Context[T],
    node: Call,
    x: SlidingValue[T],
    pads: Constant | None = None,
    value: Constant | None = None,
    axes: Constant | None = None,
) -> SlidingValue[T]:
    given = [None if c is None else c.array for c in (pads, axes)]
    pairs = pad_pairs(node, x, *given)
    found = as_map(context, node, x)
    if pairs[0] != (0, 0):
        raise node.unsupported("it pads the batch")
    if any(pairs[axis] != (0, 0) for axis in found.beside):
        raise not_a_map(node, x)
    whole, rows = found.whole, math.prod(x.shape[axis] for axis in found.beside)
    spec = found.of_tensor([(1, 1, 1, before, after) for before, after in pairs[2:]], STILL)
    tensor, made, slides = move_windows(context, node, whole, spec)
    below, above = (n * rows for n in pairs[1])
    mode = _mode(node)
    if mode != "constant" and any(axis.scale > 1 for axis in whole.axes):
        raise node.unsupported(f"at this stride it can't pad by {mode}: take the default stride")
    ends = [0, below, *(s.before for s in slides), 0, above, *(s.after for s in slides)]
    if context.target.opset < 11:
        attributes = {"mode": mode, "pads": ends, "value": node.attribute("value", 0.0)}
        tensor = context.target.emit(node, "Pad", [tensor], attributes)
    else:
        inputs = [tensor, write_ints(context.target, ends, node, "/pads")]
        inputs += [] if value is None else [context.target.keep(value, node)]
        tensor = context.target.emit(node, "Pad", inputs, {"mode": mode})
    shape = found.shape(x.shape[1] + sum(pairs[1]), [axis.block for axis in made])
    return whole_map(context, tensor, whole.channels + below + above, made, found.along, shape)


OPERATORS = {
    "Pad": Operator(
        _pad,
        _slide_pad,
        frozenset([1, 3]),
        attributes=("mode", "pads", "value"),
        spread=receptive.pad,
    )
}
