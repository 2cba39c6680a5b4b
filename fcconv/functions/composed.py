"""Functions entry by entry as ONNX's operators: one, or several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import onnx_ir as ir
from jax import lax

from fcconv.errors import UnsupportedError
from fcconv.functions.patch import Patch

OPERATORS = {
    "abs": "Abs", "acos": "Acos", "acosh": "Acosh", "add": "Add", "and": "And", "asin": "Asin",
    "asinh": "Asinh", "atan": "Atan", "atanh": "Atanh", "ceil": "Ceil", "copy": "Identity",
    "copy_p": "Identity", "cos": "Cos", "cosh": "Cosh", "div": "Div", "eq": "Equal", "erf": "Erf",
    "exp": "Exp", "floor": "Floor", "ge": "GreaterOrEqual", "gt": "Greater",
    "le": "LessOrEqual", "log": "Log", "logistic": "Sigmoid", "lt": "Less", "max": "Max",
    "min": "Min", "mul": "Mul", "neg": "Neg", "not": "Not", "or": "Or", "pow": "Pow",
    "sign": "Sign", "sin": "Sin", "sinh": "Sinh", "sqrt": "Sqrt", "stop_gradient": "Identity",
    "sub": "Sub", "tan": "Tan", "tanh": "Tanh", "xor": "Xor",
}  # fmt: skip
"""The operators that primitives are, entry by entry; `COMPOSED` has those that take several."""

Composed = Callable[[Patch, Any, Sequence[ir.Value], Sequence[int]], ir.Value]


def _with_one(op: str, before: str, first: bool = False) -> Composed:
    """Make a rule: an operator of the input and 1, or of 1 and the input, after another one."""

    def rule(patch: Patch, eqn: Any, inputs: Sequence[ir.Value], shape: Sequence[int]) -> ir.Value:
        dtype = eqn.outvars[0].aval.dtype
        x = patch.emit(before, inputs, shape)
        pair = [patch.number(1, dtype), x] if first else [x, patch.number(1, dtype)]
        return patch.emit(op, pair, shape, dtype=dtype)

    return rule


def _chain(*operators: str) -> Composed:
    """Make a rule: one operator after another."""

    def rule(patch: Patch, eqn: Any, inputs: Sequence[ir.Value], shape: Sequence[int]) -> ir.Value:
        made = patch.emit(operators[0], inputs, shape, dtype=eqn.outvars[0].aval.dtype)
        for op in operators[1:]:
            made = patch.emit(op, [made], shape)
        return made

    return rule


def _log1p(patch: Patch, eqn: Any, inputs: Sequence[ir.Value], shape: Sequence[int]) -> ir.Value:
    one = patch.number(1, eqn.outvars[0].aval.dtype)
    return patch.emit("Log", [patch.emit("Add", [*inputs, one], shape)], shape)


def _integer_pow(
    patch: Patch, eqn: Any, inputs: Sequence[ir.Value], shape: Sequence[int]
) -> ir.Value:
    power = patch.number(eqn.params["y"], eqn.outvars[0].aval.dtype)
    return patch.emit("Pow", [*inputs, power], shape)


def _clamp(patch: Patch, _eqn: Any, inputs: Sequence[ir.Value], shape: Sequence[int]) -> ir.Value:
    low, x, high = inputs
    return patch.emit("Min", [patch.emit("Max", [x, low], shape), high], shape)


def _select(patch: Patch, eqn: Any, inputs: Sequence[ir.Value], shape: Sequence[int]) -> ir.Value:
    which, *cases = inputs
    if len(cases) != 2 or eqn.invars[0].aval.dtype != bool:
        raise UnsupportedError(f"select_n needs two cases to be written as ONNX, got {len(cases)}")
    return patch.emit("Where", [which, *cases[::-1]], shape, dtype=eqn.outvars[0].aval.dtype)


def _is_finite(
    patch: Patch, _eqn: Any, inputs: Sequence[ir.Value], shape: Sequence[int]
) -> ir.Value:
    either = [patch.emit(op, inputs, shape, dtype=bool) for op in ("IsInf", "IsNaN")]
    return patch.emit("Not", [patch.emit("Or", either, shape)], shape)


def _cast(patch: Patch, eqn: Any, inputs: Sequence[ir.Value], shape: Sequence[int]) -> ir.Value:
    (x,) = inputs
    return patch.cast(x, shape, eqn.params["new_dtype"])


def _square(patch: Patch, _eqn: Any, inputs: Sequence[ir.Value], shape: Sequence[int]) -> ir.Value:
    return patch.emit("Mul", [*inputs, *inputs], shape)


def _round(patch: Patch, eqn: Any, inputs: Sequence[ir.Value], shape: Sequence[int]) -> ir.Value:
    if eqn.params["rounding_method"] != lax.RoundingMethod.TO_NEAREST_EVEN:
        raise UnsupportedError("ONNX rounds halves to even numbers only: use jnp.round")
    return patch.emit("Round", inputs, shape)


COMPOSED: dict[str, Composed] = {
    "clamp": _clamp,
    "convert_element_type": _cast,
    "erfc": _with_one("Sub", "Erf", first=True),
    "expm1": _with_one("Sub", "Exp"),
    "integer_pow": _integer_pow,
    "is_finite": _is_finite,
    "log1p": _log1p,
    "ne": _chain("Equal", "Not"),
    "round": _round,
    "rsqrt": _chain("Sqrt", "Reciprocal"),
    "select_n": _select,
    "square": _square,
}
