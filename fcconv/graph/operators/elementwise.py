"""Operators that work entry by entry: arithmetic, activations, comparisons.

They slide unchanged. Where a constant operand varies along the spatial axes of the window, the
features of each window are gathered into channels first, and windows share them no longer.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from fcconv.backend import array_dtype, backend_of_namespace
from fcconv.errors import ShapeError
from fcconv.graph import receptive
from fcconv.graph.operator import Operator
from fcconv.graph.rules.align import align
from fcconv.graph.rules.values import Constant, SlidingValue
from fcconv.graph.rules.writing import copy

if TYPE_CHECKING:
    from fcconv.backend import Backend
    from fcconv.graph.call import Call
    from fcconv.graph.rules.context import Context
    from fcconv.graph.rules.values import T

SELU_ALPHA = 1.67326319217681884765625
SELU_GAMMA = 1.05070102214813232421875

OF_SMALL_FLOATS = ("saturate", "round_mode")
"""Attributes of Cast that matter to floats of a byte or less, which are not computed with here."""


def slide(
    context: Context[T], node: Call, *inputs: SlidingValue[T] | Constant | None
) -> SlidingValue[T]:
    """Apply the same operator to the shared tensors."""
    like, values = align(context, node, [x for x in inputs if x is not None])
    written = iter(values)
    arguments = [None if x is None else next(written) for x in inputs]
    return replace(like, tensor=copy(context.target, node, arguments))


def _arithmetic(name: str) -> Operator:
    """Make an operator of the field, for two or more arguments from left to right."""

    def compute(backend: Backend[Any], _node: Call, *xs: Any) -> Any:
        return functools.reduce(getattr(backend, name), xs)

    return Operator(compute, slide, entrywise=True, slides_by_any=True, spread=receptive.entrywise)


def _mean(backend: Backend[Any], _node: Call, *xs: Any) -> Any:
    total = functools.reduce(backend.add, xs)
    return backend.divide(total, backend.asarray(np.asarray(len(xs), array_dtype(total))))


def _neg(backend: Backend[Any], _node: Call, x: Any) -> Any:
    return backend.subtract(backend.namespace.zeros_like(x), x)


def _reciprocal(backend: Backend[Any], _node: Call, x: Any) -> Any:
    return backend.divide(backend.namespace.ones_like(x), x)


def _function(
    function: Callable[..., Any], *, slope: float | None = None, **defaults: float | str
) -> Operator:
    """Make an operator of ``function(xp, *xs, **attributes)``; attributes have `defaults`."""

    def compute(backend: Backend[Any], node: Call, *xs: Any) -> Any:
        options = {name: node.attribute(name, default) for name, default in defaults.items()}
        key = " ".join([node.op, *(f"{name}={value}" for name, value in options.items())])
        return backend.elementwise(key, rounded_once(functools.partial(function, **options)), *xs)

    known = tuple(defaults)
    return Operator(
        compute,
        slide,
        entrywise=True,
        attributes=known,
        slides_by_any=True,
        spread=receptive.entrywise,
        slope=slope,
    )


def rounded_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function of two-byte floats compute in float32, as the backends do."""

    def wide(xp: Any, *xs: Any) -> Any:
        dtypes = list(map(array_dtype, xs))
        floats = {dtype for dtype in dtypes if dtype.kind not in "iub"}
        if [dtype.itemsize for dtype in floats] != [2]:
            return function(xp, *xs)
        pairs = zip(xs, dtypes, strict=True)
        made = function(xp, *(xp.astype(x, np.float32) if d in floats else x for x, d in pairs))
        return xp.astype(made, *floats) if array_dtype(made) == np.float32 else made

    return wide


def _sigmoid(xp: Any, x: Any) -> Any:
    small = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _softplus(xp: Any, x: Any) -> Any:
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))


def _elu(xp: Any, x: Any, alpha: float) -> Any:
    return xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0)))


def _erf(xp: Any, x: Any) -> Any:
    return backend_of_namespace(xp).erf(x)


def _gelu(xp: Any, x: Any, approximate: str) -> Any:
    if approximate == "tanh":
        return 0.5 * x * (1 + xp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return 0.5 * x * (1 + _erf(xp, x / math.sqrt(2)))


def _power(xp: Any, x: Any, y: Any) -> Any:
    of_x, of_y = array_dtype(x), array_dtype(y)
    whole = of_y.kind in "iu" and of_x.kind not in "iu"
    common = of_x if whole else np.promote_types(of_x, of_y)
    return xp.astype(xp.power(xp.astype(x, common), xp.astype(y, common)), of_x)


def _modulo(xp: Any, x: Any, y: Any, fmod: int) -> Any:
    return xp.fmod(x, y) if fmod else xp.mod(x, y)


def _shifted(xp: Any, x: Any, y: Any, direction: str) -> Any:
    return xp.left_shift(x, y) if direction == "LEFT" else xp.right_shift(x, y)


def _is_infinite(xp: Any, x: Any, detect_negative: int, detect_positive: int) -> Any:
    return xp.isinf(x) & ((x < 0) & bool(detect_negative) | (x > 0) & bool(detect_positive))


def _shrunk(xp: Any, x: Any, lambd: float, bias: float) -> Any:
    beyond = xp.where(x < -lambd, x + bias, xp.where(x > lambd, x - bias, xp.zeros_like(x)))
    return xp.astype(beyond, x.dtype)


def _clip(backend: Backend[Any], node: Call, x: Any, low: Any = None, high: Any = None) -> Any:
    limits = []
    for name, given in (("min", low), ("max", high)):
        attribute = node.attribute(name)
        if given is None and attribute is not None:
            given = backend.asarray(np.asarray(attribute, array_dtype(x)))
        limits.append(given)
    present = "".join("." if limit is None else "x" for limit in limits)
    arguments = [limit for limit in limits if limit is not None]
    return backend.elementwise(
        f"Clip {present}", lambda xp, x, *ends: _clipped(xp, x, present, ends), x, *arguments
    )


def _clipped(xp: Any, x: Any, present: str, ends: tuple[Any, ...]) -> Any:
    limits = list(ends)
    if present[0] == "x":
        x = xp.maximum(x, limits.pop(0))
    return xp.minimum(x, limits.pop(0)) if present[1] == "x" else x


def _shaped_like_first(operator: Operator, *, by_numbers: bool = False) -> Operator:
    """Refuse inputs that would widen the first: ONNX gives the result the shape of that one.

    With `by_numbers`, those beside the first are single numbers.
    """

    def checked(rule: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(rule)
        def call(by: Any, node: Call, x: Any, *others: Any) -> Any:
            lengths = (1,) * len(x.shape) if by_numbers else x.shape
            for shape in (other.shape for other in others if other is not None):
                pairs = zip(shape[::-1], lengths[::-1], strict=False)
                if len(shape) > len(lengths) or not all(n in (1, m) for n, m in pairs):
                    wanted = "single numbers" if by_numbers else "what broadcasts to it"
                    said = f"beside its first input, of shape {x.shape}, it takes {wanted}"
                    raise ShapeError(f"{said}, got shape {shape}")
            return rule(by, node, x, *others)

        return call

    return replace(operator, compute=checked(operator.compute), slide=checked(operator.slide))


def _cast(backend: Backend[Any], node: Call, x: Any) -> Any:
    target = _numpy_dtype(node)
    return backend.elementwise(f"Cast {target}", lambda xp, x: xp.astype(x, target), x)


def _numpy_dtype(node: Call) -> np.dtype[Any]:
    try:
        target = ir.DataType(node.attribute("to"))
        dtype = target.numpy()
    except (TypeError, ValueError):
        raise node.unsupported(f"there is no such type as {node.attribute('to')}") from None
    if dtype.kind not in "iub" and (dtype.kind not in "fV" or dtype.itemsize == 1):
        raise node.unsupported(
            f"{target.name} is not computed with here: only booleans, integers of whole bytes, and "
            f"floats of two bytes or more are"
        )
    return dtype


OPERATORS = {
    "Add": _arithmetic("add"),
    "Sub": _arithmetic("subtract"),
    "Mul": _arithmetic("multiply"),
    "Div": _arithmetic("divide"),
    "Sum": _arithmetic("add"),
    "Mean": Operator(_mean, slide, slides_by_any=True, spread=receptive.entrywise),
    "Neg": Operator(_neg, slide, spread=receptive.entrywise),
    "Reciprocal": Operator(_reciprocal, slide, spread=receptive.entrywise),
    "Clip": _shaped_like_first(
        Operator(
            _clip,
            slide,
            entrywise=True,
            attributes=("min", "max"),
            spread=receptive.entrywise,
        ),
        by_numbers=True,
    ),
    "Cast": Operator(_cast, slide, attributes=("to", *OF_SMALL_FLOATS), spread=receptive.entrywise),
    "Abs": _function(lambda xp, x: xp.abs(x)),
    "Acos": _function(lambda xp, x: xp.arccos(x)),
    "Acosh": _function(lambda xp, x: xp.arccosh(x)),
    "And": _function(lambda xp, x, y: xp.logical_and(x, y)),
    "Asin": _function(lambda xp, x: xp.arcsin(x)),
    "Asinh": _function(lambda xp, x: xp.arcsinh(x)),
    "Atan": _function(lambda xp, x: xp.arctan(x)),
    "Atanh": _function(lambda xp, x: xp.arctanh(x)),
    "BitShift": _function(_shifted, direction="LEFT", slope=math.inf),
    "BitwiseAnd": _function(lambda _xp, x, y: x & y, slope=math.inf),
    "BitwiseNot": _function(lambda _xp, x: ~x, slope=math.inf),
    "BitwiseOr": _function(lambda _xp, x, y: x | y, slope=math.inf),
    "BitwiseXor": _function(lambda _xp, x, y: x ^ y, slope=math.inf),
    "Ceil": _function(lambda xp, x: xp.ceil(x)),
    "Celu": _function(
        lambda xp, x, alpha: xp.maximum(x, 0) + alpha * xp.expm1(xp.minimum(x, 0) / alpha),
        alpha=1.0,
    ),
    "Cos": _function(lambda xp, x: xp.cos(x), slope=1.0),
    "Cosh": _function(lambda xp, x: xp.cosh(x)),
    "Elu": _function(_elu, alpha=1.0),
    "Equal": _function(lambda _xp, x, y: x == y, slope=math.inf),
    "Erf": _function(_erf),
    "Exp": _function(lambda xp, x: xp.exp(x)),
    "Floor": _function(lambda xp, x: xp.floor(x)),
    "Gelu": _function(_gelu, approximate="none", slope=1.13),
    "Greater": _function(lambda _xp, x, y: x > y),
    "GreaterOrEqual": _function(lambda _xp, x, y: x >= y),
    "HardSigmoid": _function(
        lambda xp, x, alpha, beta: xp.clip(alpha * x + beta, 0, 1), alpha=0.2, beta=0.5
    ),
    "HardSwish": _function(lambda xp, x: x * xp.clip(x / 6 + 0.5, 0, 1), slope=1.5),
    "IsInf": _function(_is_infinite, detect_negative=1, detect_positive=1, slope=math.inf),
    "IsNaN": _function(lambda xp, x: xp.isnan(x), slope=math.inf),
    "LeakyRelu": _function(lambda xp, x, alpha: xp.where(x < 0, alpha * x, x), alpha=0.01),
    "Less": _function(lambda _xp, x, y: x < y),
    "LessOrEqual": _function(lambda _xp, x, y: x <= y),
    "Log": _function(lambda xp, x: xp.log(x)),
    "Max": _function(lambda xp, *xs: functools.reduce(xp.maximum, xs)),
    "Min": _function(lambda xp, *xs: functools.reduce(xp.minimum, xs)),
    "Mish": _function(lambda xp, x: x * xp.tanh(_softplus(xp, x)), slope=1.1),
    "Mod": _function(_modulo, fmod=0, slope=math.inf),
    "Not": _function(lambda xp, x: xp.logical_not(x)),
    "Or": _function(lambda xp, x, y: xp.logical_or(x, y)),
    "PRelu": _shaped_like_first(_function(lambda xp, x, slope: xp.where(x < 0, slope * x, x))),
    "Pow": _function(_power),
    "Relu": _function(lambda xp, x: xp.maximum(x, 0)),
    "Round": _function(lambda xp, x: xp.round(x)),
    "Selu": _function(
        lambda xp, x, alpha, gamma: gamma * _elu(xp, x, alpha), alpha=SELU_ALPHA, gamma=SELU_GAMMA
    ),
    "Shrink": _function(_shrunk, lambd=0.5, bias=0.0),
    "Sigmoid": _function(_sigmoid),
    "Sign": _function(lambda xp, x: xp.sign(x)),
    "Sin": _function(lambda xp, x: xp.sin(x), slope=1.0),
    "Sinh": _function(lambda xp, x: xp.sinh(x)),
    "Softplus": _function(_softplus),
    "Softsign": _function(lambda xp, x: x / (1 + xp.abs(x))),
    "Sqrt": _function(lambda xp, x: xp.sqrt(x)),
    "Swish": _function(lambda xp, x, alpha: x * _sigmoid(xp, alpha * x), alpha=1.0, slope=1.1),
    "Tan": _function(lambda xp, x: xp.tan(x), slope=math.inf),
    "Tanh": _function(lambda xp, x: xp.tanh(x)),
    "ThresholdedRelu": _function(
        lambda xp, x, alpha: xp.where(x > alpha, x, xp.zeros_like(x)), alpha=1.0
    ),
    "Where": _function(lambda xp, condition, x, y: xp.where(condition, x, y)),
    "Xor": _function(lambda xp, x, y: xp.logical_xor(x, y)),
}
