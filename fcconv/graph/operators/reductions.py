"""Operators that reduce axes or work along one: means, maxima, softmax, argmax.

Over channels they slide as they are; over space they become a pool over the block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fcconv.graph.operator import Operator
from fcconv.graph.operators.windows import slide_over_block
from fcconv.graph.values import Constant, Slid

if TYPE_CHECKING:
    from fcconv.backend import Backend
    from fcconv.graph.node import Node
    from fcconv.graph.slider import Slider

POOLS = {"ReduceMean": "AveragePool", "ReduceMax": "MaxPool", "ReduceSum": "Sum"}
"""The pool over the block that a reduction over space becomes."""


def _reduction(reduce: Callable[[Backend[Any], Any, tuple[int, ...]], Any]) -> Operator:
    def compute(backend: Backend[Any], node: Node, x: Any, axes: Any = None) -> Any:
        along = _axes(node, x, axes)
        if not along:
            return x if node.attribute("noop_with_empty_axes", 0) else reduce(backend, x, ())
        made = reduce(backend, x, along)
        return made if node.attribute("keepdims", 1) else backend.namespace.squeeze(made, along)

    known = ("axes", "keepdims", "noop_with_empty_axes")
    return Operator(compute, _slide_reduction, frozenset([1]), attributes=known)


def _axes(node: Node, x: Any, given: Any) -> tuple[int, ...]:
    """Return the axes that a node reduces, from 0 on; none given means all."""
    rank = len(x.shape)
    axes = node.ints("axes", given)
    if axes is None or not axes:
        return () if node.attribute("noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(sorted(set(node.axes(axes, rank))))


def _mean(backend: Backend[Any], x: Any, axes: tuple[int, ...]) -> Any:
    count = np.prod([x.shape[axis] for axis in axes], dtype=np.int64)
    return backend.divide(backend.reduce_sum(x, axes), backend.asarray(count.astype(x.dtype)))


def _maximum(backend: Backend[Any], x: Any, axes: tuple[int, ...]) -> Any:
    if all(x.shape[axis] for axis in axes):
        return backend.reduce_max(x, axes)
    kind = x.dtype.kind
    lowest = np.iinfo(x.dtype).min if kind in "iu" else False if kind == "b" else -np.inf
    shape = [1 if axis in axes else n for axis, n in enumerate(x.shape)]
    return backend.asarray(np.full(shape, lowest, x.dtype))


def _minimum(backend: Backend[Any], x: Any, axes: tuple[int, ...]) -> Any:
    if x.dtype.kind == "b":
        negated = backend.namespace.logical_not(x)
        return backend.namespace.logical_not(_maximum(backend, negated, axes))
    flipped = backend.elementwise("flip", lambda _xp, x: ~x if x.dtype.kind in "iu" else -x, x)
    highest = _maximum(backend, flipped, axes)
    return backend.elementwise("flip", lambda _xp, x: ~x if x.dtype.kind in "iu" else -x, highest)


def _slide_reduction(slider: Slider, node: Node, x: Slid, axes: Constant | None = None) -> Slid:
    along = _axes(node, x, None if axes is None else axes.array)
    if not along:
        return x
    if 0 in along:
        raise node.unsupported("it reduces the batch")
    made = _reduced_over_space(slider, node, x, along)
    if made is None and len(along) == 1:
        made = slider.along_channels(
            node, x, along[0], lambda tensor: slider.reduce_channels(node, tensor), channels=1
        )
    if made is None:
        if len(along) < len(x.shape) - 1:
            raise node.unsupported(
                f"the axes {along} of shape {x.shape} are neither the channels nor spatial axes "
                f"of a map"
            )
        own = slider.features(node, x, x.shape, "reduces a whole window")
        made = slider.map(slider.reduce_channels(node, own.tensor), 1, own.axes)
        made = slider.reshaped(made, (x.shape[0], *(1,) * len(along)))
    kept = [n for axis, n in enumerate(made.shape) if axis not in along]
    return made if node.attribute("keepdims", 1) else slider.reshaped(made, tuple(kept))


def _reduced_over_space(slider: Slider, node: Node, x: Slid, along: tuple[int, ...]) -> Slid | None:
    """Pool the block along spatial axes of a map, whichever axis is the channels."""
    pool = POOLS.get(node.op)
    rank = len(slider.stride)
    others = [axis for axis in range(1, len(x.shape)) if axis not in along]
    extra = len(x.shape) - (rank + 2)
    ones = [axis for axis in along if x.shape[axis] == 1]
    if 0 < extra <= len(ones):  # PyTorch pools a line as an image of one row
        kept = [axis for axis in range(len(x.shape)) if axis not in ones[:extra]]
        line = slider.reshaped(x, tuple(x.shape[axis] for axis in kept))
        left = tuple(kept.index(axis) for axis in along if axis in kept)
        made = _reduced_over_space(slider, node, line, left)
        shape = tuple(1 if axis in along else n for axis, n in enumerate(x.shape))
        return None if made is None else slider.reshaped(made, shape)
    if pool is None or extra or not others:
        return None
    for channel_axis in others:
        found = slider.try_map(node, x, channel_axis)
        if found is None:
            continue
        whole, layout = found
        spatial = [axis for axis in range(1, len(x.shape)) if axis != channel_axis]
        over = [layout.order[spatial.index(axis)] for axis in along]
        return slide_over_block(slider, node, pool, whole, over, layout.order, channel_axis)
    return None


def _softmax(backend: Backend[Any], node: Node, x: Any) -> Any:
    return _along(backend, node, x, _softmax_over)


def _log_softmax(backend: Backend[Any], node: Node, x: Any) -> Any:
    def over(backend: Backend[Any], x: Any, axes: tuple[int, ...]) -> Any:
        shifted = backend.subtract(x, backend.reduce_max(x, axes))
        total = backend.reduce_sum(_exp(backend, shifted), axes)
        log = backend.elementwise("Log", lambda xp, x: xp.log(x), total)
        return backend.subtract(shifted, log)

    return _along(backend, node, x, over)


def _softmax_over(backend: Backend[Any], x: Any, axes: tuple[int, ...]) -> Any:
    powers = _exp(backend, backend.subtract(x, backend.reduce_max(x, axes)))
    return backend.divide(powers, backend.reduce_sum(powers, axes))


def _exp(backend: Backend[Any], x: Any) -> Any:
    return backend.elementwise("Exp", lambda xp, x: xp.exp(x), x)


def _along(
    backend: Backend[Any],
    node: Node,
    x: Any,
    over: Callable[[Backend[Any], Any, tuple[int, ...]], Any],
) -> Any:
    return over(backend, x, _softmax_axes(node, x))


def _softmax_axes(node: Node, x: Any) -> tuple[int, ...]:
    """Return the axes of one softmax: a single one, or before opset 13 all from `axis` on."""
    rank = len(x.shape)
    (axis,) = node.axes([node.attribute("axis", -1 if node.opset >= 13 else 1)], rank)
    return (axis,) if node.opset >= 13 else tuple(range(axis, rank))


def _slide_softmax(slider: Slider, node: Node, x: Slid) -> Slid:
    along = _softmax_axes(node, x)
    if 0 in along:
        raise node.unsupported("it normalises over the batch")
    long = [axis for axis in along if x.shape[axis] > 1] or [along[0]]

    def emit(tensor: Any) -> Any:
        if slider.opset >= 13:
            return slider.emit(node, node.op, [tensor], {"axis": 1})
        # before opset 13 it normalises over all axes from `axis` on: channels must be the last
        rank = len(slider.stride)
        return slider.channels_last(node, tensor, rank, {"axis": 1 + rank})

    if len(long) == 1:
        made = slider.along_channels(node, x, long[0], emit)
        if made is not None:
            return made
    if any(n > 1 for axis, n in enumerate(x.shape) if axis and axis not in along):
        raise node.unsupported(f"the axes {along} of shape {x.shape} are not the channels of a map")
    own = slider.features(node, x, x.shape, "normalises over a whole window")
    return replace(own, tensor=emit(own.tensor))


def _arg_max(backend: Backend[Any], node: Node, x: Any) -> Any:
    (axis,) = node.axes([node.attribute("axis", 0)], x.ndim)
    last = bool(node.attribute("select_last_index", 0))

    def places(xp: Any, x: Any) -> Any:
        size = x.shape[axis]
        if last:
            return size - 1 - xp.argmax(xp.flip(x, axis), axis=axis, keepdims=True)
        return xp.argmax(x, axis=axis, keepdims=True)

    made = backend.along(f"ArgMax {last}", places, x, axis)
    return made if node.attribute("keepdims", 1) else backend.namespace.squeeze(made, axis)


def _slide_arg_max(slider: Slider, node: Node, x: Slid) -> Slid:
    (axis,) = node.axes([node.attribute("axis", 0)], len(x.shape))
    options = {"axis": 1, "keepdims": 1}
    if node.attribute("select_last_index", 0):
        options["select_last_index"] = 1
    made = slider.along_channels(
        node, x, axis, lambda t: slider.emit(node, node.op, [t], options), channels=1
    )
    if made is None and axis > 0 and max(x.shape[1:]) == x.shape[axis] == np.prod(x.shape[1:]):
        own = slider.features(node, x, x.shape, "compares the entries of a whole window")
        made = slider.map(slider.emit(node, node.op, [own.tensor], options), 1, own.axes)
        made = slider.reshaped(made, (x.shape[0], *(1,) * (len(x.shape) - 1)))
    if made is None:
        raise node.unsupported(f"axis {axis} of shape {x.shape} is not the channels of a map")
    kept = tuple(n for a, n in enumerate(made.shape) if a != axis)
    return made if node.attribute("keepdims", 1) else slider.reshaped(made, kept)


OPERATORS = {
    "ReduceMean": _reduction(_mean),
    "ReduceMax": _reduction(_maximum),
    "ReduceMin": _reduction(_minimum),
    "ReduceSum": _reduction(lambda backend, x, axes: backend.reduce_sum(x, axes)),
    "Softmax": Operator(_softmax, _slide_softmax, attributes=("axis",)),
    "LogSoftmax": Operator(_log_softmax, _slide_softmax, attributes=("axis",)),
    "ArgMax": Operator(
        _arg_max, _slide_arg_max, attributes=("axis", "keepdims", "select_last_index")
    ),
}
