"""QuantizeLinear and DequantizeLinear: entry by entry, with one scale or one per channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from fcconv.backend import array_dtype
from fcconv.errors import ShapeError
from fcconv.graph import receptive
from fcconv.graph.operator import Operator
from fcconv.graph.operators import elementwise
from fcconv.graph.operators.elementwise import rounded_once
from fcconv.graph.rules.features import apply_to_features
from fcconv.graph.rules.values import Constant, SlidingValue
from fcconv.graph.rules.writing import copy

if TYPE_CHECKING:
    from fcconv.backend import Backend
    from fcconv.graph.call import Call
    from fcconv.graph.rules.context import Context
    from fcconv.graph.rules.values import T

TYPES = tuple(np.dtype(name) for name in ("int8", "uint8", "int16", "uint16"))
"""What numbers are rounded to."""


def _quantize(backend: Backend[Any], node: Call, x: Any, scale: Any, zero: Any = None) -> Any:
    named = ir.DataType(node.attribute("output_dtype", 0) or ir.DataType.UINT8)
    target = np.dtype(named.numpy() if zero is None else zero.dtype)
    if target not in TYPES:
        raise node.unsupported(f"it rounds to {target.name}: only 8 and 16 bits are computed")
    limits = np.iinfo(target)

    def function(xp: Any, x: Any, scale: Any, zero: Any) -> Any:
        places = xp.round(x / scale) + xp.astype(zero, scale.dtype)
        return xp.astype(xp.clip(places, limits.min, limits.max), target)

    zero = backend.asarray(np.zeros((), target) if zero is None else zero)
    columns = [_column(backend, node, x, p) for p in (scale, zero)]
    return backend.elementwise(f"QuantizeLinear {target}", rounded_once(function), x, *columns)


def _dequantize(backend: Backend[Any], node: Call, x: Any, scale: Any, zero: Any = None) -> Any:
    if array_dtype(x).kind not in "iu" or node.attribute("output_dtype", 0):
        raise node.unsupported("only whole numbers are computed, and into the type of the scale")

    def function(xp: Any, x: Any, scale: Any, zero: Any) -> Any:
        difference = xp.astype(x, np.int32) - xp.astype(zero, np.int32)
        return xp.astype(difference, scale.dtype) * scale

    zero = backend.asarray(np.zeros((), np.int8)) if zero is None else zero
    columns = [_column(backend, node, x, p) for p in (scale, zero)]
    return backend.elementwise("DequantizeLinear", rounded_once(function), x, *columns)


def _column(backend: Backend[Any], node: Call, x: Any, parameter: Any) -> Any:
    """Let a parameter, one number or one per entry of an axis, broadcast over the input."""
    if len(parameter.shape) > 1:
        raise node.unsupported("it scales block by block, which is not computed")
    if parameter.shape in ((), (1,)):
        return backend.namespace.reshape(parameter, ())
    axis = node.attribute("axis", 1)
    if not -x.ndim <= axis < x.ndim or x.shape[axis] != parameter.shape[0]:
        raise ShapeError(f"{parameter.shape[0]} scales do not fit axis {axis} of {x.shape}")
    return backend.namespace.reshape(parameter, (-1, *(1,) * (x.ndim - 1 - axis % x.ndim)))


def _slide(
    context: Context[T], node: Call, x: SlidingValue[T], *parameters: Constant | None
) -> SlidingValue[T]:
    if all(p is None or p.array.size == 1 for p in parameters):
        return elementwise.slide(context, node, x, *parameters)
    written = [None if p is None else context.target.keep(p, node) for p in parameters]
    (axis,) = node.axes([node.attribute("axis", 1)], len(x.shape))
    made = apply_to_features(
        context,
        node,
        x,
        [axis],
        lambda tensor: copy(context.target, node, [tensor, *written], axis=1),
    )
    if made is None:
        raise node.unsupported(
            f"it has a scale for each entry of axis {axis} of shape {x.shape}, which is not the "
            f"channels of a map"
        )
    return made


OPERATORS = {
    "DequantizeLinear": Operator(
        _dequantize, _slide, spread=receptive.mixing(1), attributes=("axis", "output_dtype")
    ),
    "QuantizeLinear": Operator(
        _quantize,
        _slide,
        frozenset([2]),
        spread=receptive.mixing(1),
        attributes=("axis", "output_dtype", "saturate"),
    ),
}
