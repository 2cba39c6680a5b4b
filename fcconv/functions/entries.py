"""Functions entry by entry: traced on one shape, they compute on any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

CALLS = {
    "checkpoint": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "remat2": "jaxpr",
}
"""Primitives that call other equations, and the parameter that holds these."""

ENTRYWISE = frozenset(
    [
        "abs",
        "acos",
        "acosh",
        "add",
        "and",
        "asin",
        "asinh",
        "atan",
        "atan2",
        "atanh",
        "cbrt",
        "ceil",
        "clamp",
        "convert_element_type",
        "copy",
        "copy_p",
        "cos",
        "cosh",
        "digamma",
        "div",
        "eq",
        "erf",
        "erf_inv",
        "erfc",
        "exp",
        "exp2",
        "expm1",
        "floor",
        "ge",
        "gt",
        "integer_pow",
        "is_finite",
        "le",
        "lgamma",
        "log",
        "log1p",
        "logistic",
        "lt",
        "max",
        "min",
        "mul",
        "ne",
        "neg",
        "nextafter",
        "not",
        "or",
        "polygamma",
        "population_count",
        "pow",
        "reduce_precision",
        "rem",
        "round",
        "rsqrt",
        "select_n",
        "shift_left",
        "shift_right_arithmetic",
        "shift_right_logical",
        "sign",
        "sin",
        "sinh",
        "sqrt",
        "square",
        "stop_gradient",
        "sub",
        "tan",
        "tanh",
        "xor",
    ]
)


def called(eqn: Any) -> tuple[Any, Sequence[Any]] | None:
    """Return the equations that one calls, and their constants."""
    name = CALLS.get(eqn.primitive.name)
    return None if name is None else equations_of(eqn.params[name])


def equations_of(jaxpr: Any) -> tuple[Any, Sequence[Any]]:
    """Return a jaxpr, whether it is closed over constants or not, and these."""
    return getattr(jaxpr, "jaxpr", jaxpr), getattr(jaxpr, "consts", ())


def is_entrywise(eqn: Any) -> bool:
    """Say whether an equation works entry by entry, derivatives of its own included."""
    if eqn.primitive.name != "custom_jvp_call":
        return eqn.primitive.name in ENTRYWISE
    jaxpr, _ = equations_of(eqn.params["call_jaxpr"])
    return _is_by_entry(jaxpr) and _is_by_entry(_derivative(eqn).jaxpr)


def _is_by_entry(jaxpr: Any) -> bool:
    """Say whether equations work entry by entry, on numbers and on arrays of one shape."""
    shapes = {v.aval.shape for v in (*jaxpr.invars, *jaxpr.constvars) if v.aval.shape}
    return len(shapes) <= 1 and all(map(_is_step, jaxpr.eqns))


def _is_step(eqn: Any) -> bool:
    inner = called(eqn)
    if inner is not None:
        return _is_by_entry(inner[0])
    if eqn.primitive.name == "broadcast_in_dim":
        return not eqn.invars[0].aval.shape
    return str(eqn.primitive.name) in ENTRYWISE


def by_entry(eqn: Any) -> Callable[..., Any]:
    """Return the function of an equation, on arrays of any shape that broadcast."""
    if eqn.primitive.name != "custom_jvp_call":
        return lambda *arrays: _bound(eqn, arrays)
    function = jax.custom_jvp(lambda *arrays: _evaluated(eqn.params["call_jaxpr"], arrays)[0])
    derivative = _derivative(eqn)

    @function.defjvp
    def _(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        value, slope = _evaluated(derivative, [*primals, *tangents])
        return value, jnp.broadcast_to(slope, value.shape)

    return function


def _derivative(eqn: Any) -> Any:
    """Trace a function and its derivative in a direction."""

    def function(*arrays: Any) -> Any:
        return compute(eqn, arrays)[0]

    def derivative(*arrays: Any) -> Any:
        half = len(arrays) // 2
        return jax.jvp(function, arrays[:half], arrays[half:])

    given = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in eqn.invars]
    return jax.make_jaxpr(derivative)(*given, *given)


def compute(eqn: Any, arrays: Sequence[Any]) -> list[Any]:
    """Compute an equation on arrays of the shapes that it was traced with."""
    pairs = zip(eqn.invars, arrays, strict=True)
    given = {v: array for v, array in pairs if not isinstance(v, core.Literal)}
    info = core.DebugInfo("fcconv.slide", str(eqn.primitive), None, None)
    jaxpr = core.Jaxpr([], list(given), eqn.outvars, [eqn], debug_info=info)
    return list(core.jaxpr_as_fun(core.ClosedJaxpr(jaxpr, []))(*given.values()))


def _evaluated(closed: Any, arrays: Sequence[Any]) -> list[Any]:
    """Compute equations that work entry by entry."""
    jaxpr, consts = equations_of(closed)
    values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *arrays), strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    for eqn in jaxpr.eqns:
        given = list(map(read, eqn.invars))
        name = CALLS.get(eqn.primitive.name)
        if eqn.primitive.name == "broadcast_in_dim":  # of a number: any shape will do
            made = [jnp.reshape(given[0], ())]
        elif name is not None:
            made = _evaluated(eqn.params[name], given)
        else:
            made = [_bound(eqn, given)]
        values.update(zip(eqn.outvars, made, strict=True))
    return list(map(read, jaxpr.outvars))


def _bound(eqn: Any, arrays: Sequence[Any]) -> Any:
    """Compute a primitive, whose arrays need one shape."""
    shape = np.broadcast_shapes(*map(jnp.shape, arrays))
    wide = [jnp.broadcast_to(jnp.asarray(x, v.aval.dtype), shape)
            for x, v in zip(arrays, eqn.invars, strict=True)]  # fmt: skip
    return eqn.primitive.bind(*wide, **eqn.params)
