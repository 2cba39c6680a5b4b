"""Normalisations over a whole window: put together from simpler operators, computed and slid so."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import fcconv_numpy
from fcconv.backend import array_dtype
from fcconv.errors import FcconvError, ShapeError
from fcconv.graph import receptive
from fcconv.graph.call import Call
from fcconv.graph.operator import Operator
from fcconv.graph.operators import elementwise, moves, reductions
from fcconv.graph.rules.features import unfold
from fcconv.graph.rules.values import Constant, SlidingValue

if TYPE_CHECKING:
    from fcconv.backend import Backend
    from fcconv.graph.rules.context import Context
    from fcconv.graph.rules.values import T

PARTS = {**elementwise.OPERATORS, **moves.OPERATORS, **reductions.OPERATORS}
"""The operators that others are put together from."""

Do: TypeAlias = Callable[..., Any]
"""``do(op, *inputs, **attributes)`` does a part; numbers have the type of the first input."""

Body: TypeAlias = Callable[..., Any]
"""``body(do, node, *inputs)`` does the parts one after the other."""


def _composed(body: Body, *attributes: str) -> Operator:
    """Make an operator of a body: its parts are computed, or written one by one."""

    def compute(backend: Backend[Any], node: Call, *inputs: Any) -> Any:
        def do(op: str, *inputs: Any, **attributes: Any) -> Any:
            dtype = array_dtype(inputs[0])
            kind = dtype if dtype.kind not in "iu" else np.float64
            given = [backend.asarray(np.array(x, kind)) if isinstance(x, float) else x
                     for x in inputs]  # fmt: skip
            return PARTS[op].compute(backend, _part(node, op, attributes), *given)

        return body(do, node, *inputs)

    def slide(
        context: Context[T], node: Call, x: SlidingValue[T], *parameters: Constant
    ) -> SlidingValue[T]:
        def do(op: str, *inputs: Any, **attributes: Any) -> Any:
            part = _part(node, op, attributes)
            if isinstance(inputs[0], Constant):
                array, *options = inputs
                return Constant(PARTS[op].compute(fcconv_numpy, part, array.array, *options))
            kind = context.target.dtype(inputs[0].tensor)
            given = [x if isinstance(x, SlidingValue | Constant)
                     else Constant(np.array(x, kind) if isinstance(x, float) else x)
                     for x in inputs]  # fmt: skip
            try:
                made = PARTS[op].slide(context, part, *given)
            except FcconvError as error:  # nobody knows the names of parts
                raise type(error)(error.reason) from None
            return made[0] if isinstance(made, tuple) else made

        own = unfold(context, node, x, x.shape, "normalises over a whole window")
        made: SlidingValue[T] = body(do, node, own, *parameters)
        return made

    return Operator(compute, slide, attributes=attributes, spread=receptive.by_image)


def _part(node: Call, op: str, attributes: dict[str, Any]) -> Call:
    return Call(op, f"{node.name}/{op}", node.opset, attributes)


def _instance_norm(do: Do, node: Call, x: Any, scale: Any, bias: Any) -> Any:
    return _normalised(do, node, x, x.shape[1], scale, bias)


def _group_norm(do: Do, node: Call, x: Any, scale: Any, bias: Any) -> Any:
    channels, groups = x.shape[1], node.attribute("num_groups")
    if groups < 1 or channels % groups:
        raise ShapeError(f"{channels} channels can't be divided into {groups} groups")
    if node.opset < 21:  # from then on there is one entry per channel, before one per group
        each = (groups, channels // groups)
        scale, bias = (
            do("Expand", do("Reshape", p, _ints(groups, 1)), _ints(*each)) for p in (scale, bias)
        )
    return _normalised(do, node, x, groups, scale, bias)


def _normalised(do: Do, node: Call, x: Any, groups: int, scale: Any, bias: Any) -> Any:
    """Give the entries of each group of channels mean 0 and deviation 1; scale and shift them."""
    # attributes are float32, though those of a model in memory may hold more digits
    epsilon = float(np.float32(node.attribute("epsilon", 1e-5)))
    rows = do("Reshape", x, _ints(0, groups, -1))
    centred = do("Sub", rows, do("ReduceMean", rows, _ints(2)))
    variance = do("ReduceMean", do("Mul", centred, centred), _ints(2))
    spread = do("Sqrt", do("Add", variance, epsilon))
    normal = do("Reshape", do("Div", centred, spread), _ints(0, *x.shape[1:]))
    column = _ints(-1, *(1,) * (len(x.shape) - 2))
    scaled = do("Mul", normal, do("Reshape", scale, column))
    return do("Add", scaled, do("Reshape", bias, column))


def _ints(*numbers: int) -> np.ndarray[Any, Any]:
    return np.array(numbers, np.int64)


OPERATORS = {
    "GroupNormalization": _composed(_group_norm, "num_groups", "epsilon"),
    "InstanceNormalization": _composed(_instance_norm, "epsilon"),
}
