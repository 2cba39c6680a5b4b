"""Operators that make as many entries of those along an axis: Hardmax, LpNormalization, CumSum.

They slide along channels as they are, and along the features of a whole window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fcconv.backend import array_dtype
from fcconv.graph import receptive
from fcconv.graph.operator import Operator
from fcconv.graph.operators.elementwise import rounded_once
from fcconv.graph.operators.reductions import slide_along, slide_softmax, softmax_axes
from fcconv.graph.operators.windows import power, root
from fcconv.graph.rules.values import Constant, SlidingValue
from fcconv.graph.rules.writing import copy

if TYPE_CHECKING:
    from fcconv.backend import Backend
    from fcconv.graph.call import Call
    from fcconv.graph.rules.context import Context
    from fcconv.graph.rules.values import T


def _lp_normalization(backend: Backend[Any], node: Call, x: Any) -> Any:
    p = node.attribute("p", 2)
    (axis,) = node.axes([node.attribute("axis", -1)], x.ndim)
    norm = root(backend, p, backend.reduce_sum(power(backend, p, x), [axis]))

    def function(xp: Any, x: Any, norm: Any) -> Any:
        return xp.where(norm == 0, xp.zeros_like(x), x / norm)

    return backend.elementwise("quotient, or 0", rounded_once(function), x, norm)


def _slide_lp_normalization(context: Context[T], node: Call, x: SlidingValue[T]) -> SlidingValue[T]:
    (axis,) = node.axes([node.attribute("axis", -1)], len(x.shape))
    return slide_along(context, node, x, (axis,), lambda t: copy(context.target, node, [t], axis=1))


def _hardmax(backend: Backend[Any], node: Call, x: Any) -> Any:
    xp, (axis, *others) = backend.namespace, softmax_axes(node, x)
    rows = xp.reshape(x, (*x.shape[:axis], -1)) if others else x
    place = backend.along(
        "ArgMax False", lambda xp, x: xp.argmax(x, axis=axis, keepdims=True), rows, axis
    )
    numbers = np.arange(rows.shape[axis]).reshape(-1, *(1,) * (rows.ndim - 1 - axis))

    def function(xp: Any, number: Any, place: Any) -> Any:
        return xp.astype(number == place, array_dtype(x))

    ones = backend.elementwise("Hardmax", function, backend.asarray(numbers), place)
    return xp.reshape(ones, x.shape)


def _cumulative_sum(backend: Backend[Any], node: Call, x: Any, given: Any) -> Any:
    """Add each entry to the one that lies 1, then 2, 4, ... places behind it."""
    xp = backend.namespace
    (axis,) = node.axes(node.ints("axis", given), x.ndim)
    size = x.shape[axis]
    turned = xp.flip(x, axis) if node.attribute("reverse", 0) else x

    def delayed(x: Any, places: int) -> Any:
        first, rest = xp.split(x, (size - places,), axis=axis)
        return xp.concatenate([xp.zeros_like(rest), first], axis=axis)

    places = 1
    while places < size:
        turned = backend.add(turned, delayed(turned, places))
        places *= 2
    if node.attribute("exclusive", 0) and size:
        turned = delayed(turned, 1)
    return xp.flip(turned, axis) if node.attribute("reverse", 0) else turned


def _slide_cumulative_sum(
    context: Context[T], node: Call, x: SlidingValue[T], given: Constant
) -> SlidingValue[T]:
    (axis,) = node.axes(node.ints("axis", given.array), len(x.shape))

    def emit(tensor: Any) -> Any:
        first = context.target.constant(np.array(1, np.int64), f"{node.name}/axis")
        return copy(context.target, node, [tensor, first])

    return slide_along(context, node, x, (axis,), emit)


OPERATORS = {
    "CumSum": Operator(
        _cumulative_sum,
        _slide_cumulative_sum,
        frozenset([1]),
        spread=receptive.along_axis,
        attributes=("exclusive", "reverse"),
    ),
    "Hardmax": Operator(_hardmax, slide_softmax, spread=receptive.softmax, attributes=("axis",)),
    "LpNormalization": Operator(
        _lp_normalization,
        _slide_lp_normalization,
        spread=receptive.mixing(-1),
        attributes=("axis", "p"),
    ),
}
