"""Operators that reduce axes or work along one: means, maxima, softmax, argmax.

Over channels they slide as they are; over space they become a pool over the block.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fcconv.backend import array_dtype
from fcconv.graph import receptive
from fcconv.graph.operator import Operator
from fcconv.graph.operators.windows import power, root, slide_over_block
from fcconv.graph.rules.features import apply_to_features, gather_features, unfold
from fcconv.graph.rules.values import Constant, SlidingValue, varies
from fcconv.graph.rules.writing import along_last_axis, reduce_channels, reduce_groups

if TYPE_CHECKING:
    from fcconv.backend import Backend
    from fcconv.graph.call import Call
    from fcconv.graph.rules.context import Context
    from fcconv.graph.rules.values import T

OF_EXTREMES = ("axis", "keepdims", "select_last_index")

POOLS: dict[str, tuple[str, dict[str, Any]]] = {
    "ReduceMean": ("AveragePool", {}),
    "ReduceMax": ("MaxPool", {}),
    "ReduceSum": ("Sum", {}),
    "ReduceL1": ("LpPool", {"p": 1}),
    "ReduceL2": ("LpPool", {"p": 2}),
}
"""The pool over the block that a reduction over space becomes, and its attributes."""


def _reduction(reduce: Callable[[Backend[Any], Any, tuple[int, ...]], Any]) -> Operator:
    def compute(backend: Backend[Any], node: Call, x: Any, axes: Any = None) -> Any:
        along = _axes(node, x, axes)
        if not along:
            return x if node.attribute("noop_with_empty_axes", 0) else reduce(backend, x, ())
        made = reduce(backend, x, along)
        return made if node.attribute("keepdims", 1) else backend.namespace.squeeze(made, along)

    known = ("axes", "keepdims", "noop_with_empty_axes")
    return Operator(
        compute, _slide_reduction, frozenset([1]), attributes=known, spread=receptive.reduction
    )


def _axes(node: Call, x: Any, given: Any) -> tuple[int, ...]:
    """Return the axes that a node reduces, from 0 on; none given means all."""
    rank = len(x.shape)
    axes = node.ints("axes", given)
    if axes is None or not axes:
        return () if node.attribute("noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(sorted(set(node.axes(axes, rank))))


def _mean(backend: Backend[Any], x: Any, axes: tuple[int, ...]) -> Any:
    count = np.array(math.prod(x.shape[axis] for axis in axes), array_dtype(x))
    return backend.divide(backend.reduce_sum(x, axes), backend.asarray(count))


def _maximum(backend: Backend[Any], x: Any, axes: tuple[int, ...]) -> Any:
    if all(x.shape[axis] for axis in axes):
        return backend.reduce_max(x, axes)
    dtype = array_dtype(x)
    lowest = np.iinfo(dtype).min if dtype.kind in "iu" else False if dtype.kind == "b" else -np.inf
    shape = [1 if axis in axes else n for axis, n in enumerate(x.shape)]
    return backend.asarray(np.full(shape, lowest, dtype))


def _minimum(backend: Backend[Any], x: Any, axes: tuple[int, ...]) -> Any:
    def flip(_xp: Any, x: Any) -> Any:
        return ~x if array_dtype(x).kind in "iub" else -x

    highest = _maximum(backend, backend.elementwise("flip", flip, x), axes)
    return backend.elementwise("flip", flip, highest)


def _norm(p: int) -> Callable[[Backend[Any], Any, tuple[int, ...]], Any]:
    return lambda backend, x, axes: root(backend, p, backend.reduce_sum(power(backend, p, x), axes))


def _sum_of_squares(backend: Backend[Any], x: Any, axes: tuple[int, ...]) -> Any:
    return backend.reduce_sum(backend.multiply(x, x), axes)


def _log_of_sum(backend: Backend[Any], x: Any, axes: tuple[int, ...]) -> Any:
    return _log(backend, backend.reduce_sum(x, axes))


def _log_of_sum_of_powers(backend: Backend[Any], x: Any, axes: tuple[int, ...]) -> Any:
    """Shift by the maximum, so that no power is too large; an infinite one needs no shift."""
    highest = backend.elementwise(
        "finite", lambda xp, x: xp.where(xp.isfinite(x), x, xp.zeros_like(x)),
        _maximum(backend, x, axes),
    )  # fmt: skip
    powers = _exp(backend, backend.subtract(x, highest))
    return backend.add(_log(backend, backend.reduce_sum(powers, axes)), highest)


def _product(backend: Backend[Any], x: Any, axes: tuple[int, ...]) -> Any:
    """Multiply halves with each other until one entry is left."""
    for axis in axes:
        while x.shape[axis] > 1:
            half = x.shape[axis] // 2
            first, second, odd = backend.namespace.split(x, (half, 2 * half), axis=axis)
            product = backend.multiply(first, second)
            x = backend.namespace.concatenate([product, odd], axis=axis)
        if not x.shape[axis]:
            shape = [1 if a == axis else n for a, n in enumerate(x.shape)]
            x = backend.asarray(np.ones(shape, array_dtype(x)))
    return x


def _slide_reduction(
    context: Context[T], node: Call, x: SlidingValue[T], axes: Constant | None = None
) -> SlidingValue[T]:
    along = _axes(node, x, None if axes is None else axes.array)
    if not along:
        return x
    if varies(x.where[0], along):
        raise node.unsupported("it reduces the batch")
    made = _reduced_over_space(context, node, x, along) or _reduced_features(
        context, node, x, along
    )
    kept = [n for axis, n in enumerate(made.shape) if axis not in along]
    return made if node.attribute("keepdims", 1) else made.reshaped(tuple(kept))


def _reduced_features(
    context: Context[T], node: Call, x: SlidingValue[T], along: tuple[int, ...]
) -> SlidingValue[T]:
    """Reduce features of each pixel, or of each window, those that go together side by side."""
    made = _reduced_groups(context, node, x, along)
    if made is None:
        own = unfold(context, node, x, x.shape, "reduces a whole window, or a part of it")
        made = _reduced_groups(context, node, own, along)
    if made is None:
        raise node.unsupported(f"the axes {along} of shape {x.shape} hold no features of a pixel")
    return made


def _reduced_groups(
    context: Context[T], node: Call, x: SlidingValue[T], along: tuple[int, ...]
) -> SlidingValue[T] | None:
    others = [axis for axis in range(len(x.shape)) if axis not in along]
    kept = [axis for axis in others if varies(x.where[1], [axis])]
    lengths = [x.shape[axis] for axis in kept]
    groups = math.prod(lengths)

    def emit(tensor: Any) -> Any:
        if groups == 1:
            return reduce_channels(context.target, node, tensor)
        return reduce_groups(context.target, node, tensor, groups, len(x.axes))

    return apply_to_features(
        context, node, x, [*kept, *along], emit, [*lengths, *(1 for _ in along)]
    )


def _reduced_over_space(
    context: Context[T], node: Call, x: SlidingValue[T], along: tuple[int, ...]
) -> SlidingValue[T] | None:
    """Pool the block along the spatial axes of a map that run along some axes of a value."""
    others = [axis for axis in range(len(x.shape)) if axis not in along]
    over = [k for k, place in enumerate(x.places) if varies(place, along)]
    features = [axis for axis in others if varies(x.where[1], [axis])]
    if node.op not in POOLS or not over or any(varies(x.places[k], others) for k in over):
        return None
    whole = gather_features(context, node, x, features)
    if whole is None or not _is_each_once(whole, over, along):
        return None
    return slide_over_block(context, node, *POOLS[node.op], whole, over, along)


def _is_each_once(x: SlidingValue[T], over: list[int], along: tuple[int, ...]) -> bool:
    """Say whether some axes of a value have each sample along axes of the image once."""
    block = [x.block[k] for k in over]
    places = np.broadcast_arrays(*(x.places[k] for k in over))
    numbers = np.ravel_multi_index(tuple(places), block)
    wide = [n if axis in along else 1 for axis, n in enumerate(x.shape)]
    return np.array_equal(
        np.sort(np.broadcast_to(numbers, wide), axis=None), np.arange(math.prod(block))
    )


def _softmax(backend: Backend[Any], node: Call, x: Any) -> Any:
    return _along(backend, node, x, _softmax_over)


def _log_softmax(backend: Backend[Any], node: Call, x: Any) -> Any:
    def over(backend: Backend[Any], x: Any, axes: tuple[int, ...]) -> Any:
        shifted = backend.subtract(x, backend.reduce_max(x, axes))
        total = backend.reduce_sum(_exp(backend, shifted), axes)
        return backend.subtract(shifted, _log(backend, total))

    return _along(backend, node, x, over)


def _softmax_over(backend: Backend[Any], x: Any, axes: tuple[int, ...]) -> Any:
    powers = _exp(backend, backend.subtract(x, backend.reduce_max(x, axes)))
    return backend.divide(powers, backend.reduce_sum(powers, axes))


def _exp(backend: Backend[Any], x: Any) -> Any:
    return backend.elementwise("Exp", lambda xp, x: xp.exp(x), x)


def _log(backend: Backend[Any], x: Any) -> Any:
    return backend.elementwise("Log", lambda xp, x: xp.log(x), x)


def _along(
    backend: Backend[Any],
    node: Call,
    x: Any,
    over: Callable[[Backend[Any], Any, tuple[int, ...]], Any],
) -> Any:
    return over(backend, x, softmax_axes(node, x))


def softmax_axes(node: Call, x: Any) -> tuple[int, ...]:
    """Return the axes of one softmax: a single one, or before opset 13 all from `axis` on."""
    rank = len(x.shape)
    (axis,) = node.axes([node.attribute("axis", -1 if node.opset >= 13 else 1)], rank)
    return (axis,) if node.opset >= 13 else tuple(range(axis, rank))


def slide_softmax(context: Context[T], node: Call, x: SlidingValue[T]) -> SlidingValue[T]:
    """Write a Softmax, or another operator that had the same change of axes in opset 13."""

    def emit(tensor: Any) -> Any:
        if context.target.opset >= 13:
            return context.target.emit(node, node.op, [tensor], {"axis": 1})
        # before opset 13 it normalises over all axes from `axis` on: channels must be the last
        rank = len(context.stride)
        return along_last_axis(context.target, node, tensor, rank, {"axis": 1 + rank})

    return slide_along(context, node, x, softmax_axes(node, x), emit)


def slide_along(
    context: Context[T],
    node: Call,
    x: SlidingValue[T],
    along: tuple[int, ...],
    emit: Callable[[T], T],
) -> SlidingValue[T]:
    """Write an operator that works along axes, and keeps their lengths, along the channels."""
    if varies(x.where[0], along):
        raise node.unsupported("it works along the batch")
    long = [axis for axis in along if x.shape[axis] > 1] or [along[0]]
    made = apply_to_features(context, node, x, long, emit)
    if made is not None:
        return made
    if any(n > 1 for axis, n in enumerate(x.shape) if axis and axis not in along):
        raise node.unsupported(f"the axes {along} of shape {x.shape} are not the channels of a map")
    own = unfold(context, node, x, x.shape, "works along a whole window")
    return replace(own, tensor=emit(own.tensor))


def _arg_max(backend: Backend[Any], node: Call, x: Any) -> Any:
    """Give the place of the largest entry along an axis, or for ArgMin of the smallest."""
    name = node.op.lower()
    (axis,) = node.axes([node.attribute("axis", 0)], x.ndim)
    last = bool(node.attribute("select_last_index", 0))

    def places(xp: Any, x: Any) -> Any:
        size = x.shape[axis]
        if last:
            return size - 1 - getattr(xp, name)(xp.flip(x, axis), axis=axis, keepdims=True)
        return getattr(xp, name)(x, axis=axis, keepdims=True)

    made = backend.along(f"{node.op} {last}", places, x, axis)
    return made if node.attribute("keepdims", 1) else backend.namespace.squeeze(made, axis)


def _slide_arg_max(context: Context[T], node: Call, x: SlidingValue[T]) -> SlidingValue[T]:
    (axis,) = node.axes([node.attribute("axis", 0)], len(x.shape))
    options = {"axis": 1, "keepdims": 1}
    if node.attribute("select_last_index", 0):
        options["select_last_index"] = 1
    made = apply_to_features(
        context, node, x, [axis], lambda t: context.target.emit(node, node.op, [t], options), [1]
    )
    if made is None:
        raise node.unsupported(f"axis {axis} of shape {x.shape} is not the channels of a map")
    kept = tuple(n for a, n in enumerate(made.shape) if a != axis)
    return made if node.attribute("keepdims", 1) else made.reshaped(kept)


OPERATORS = {
    "ReduceMean": _reduction(_mean),
    "ReduceMax": _reduction(_maximum),
    "ReduceMin": _reduction(_minimum),
    "ReduceSum": _reduction(lambda backend, x, axes: backend.reduce_sum(x, axes)),
    "ReduceL1": _reduction(_norm(1)),
    "ReduceL2": _reduction(_norm(2)),
    "ReduceLogSum": _reduction(_log_of_sum),
    "ReduceLogSumExp": _reduction(_log_of_sum_of_powers),
    "ReduceProd": _reduction(_product),
    "ReduceSumSquare": _reduction(_sum_of_squares),
    "Softmax": Operator(_softmax, slide_softmax, attributes=("axis",), spread=receptive.softmax),
    "LogSoftmax": Operator(
        _log_softmax, slide_softmax, attributes=("axis",), spread=receptive.softmax
    ),
    "ArgMax": Operator(
        _arg_max, _slide_arg_max, attributes=OF_EXTREMES, spread=receptive.place_of_extreme
    ),
    "ArgMin": Operator(
        _arg_max, _slide_arg_max, attributes=OF_EXTREMES, spread=receptive.place_of_extreme
    ),
}
