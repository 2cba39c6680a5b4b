"""A function of a patch as a network of ONNX's operators, its parameters given."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from jax.extend import core

from fcconv.errors import ArgumentError, UnsupportedError
from fcconv.functions.arguments import check_window
from fcconv.functions.composed import COMPOSED, OPERATORS
from fcconv.functions.entries import CALLS, equations_of
from fcconv.functions.known import Known
from fcconv.functions.patch import ENTRYWISE, Patch, written
from fcconv.functions.sharing import known_values
from fcconv.functions.trace import Equation, traced


def from_jax(
    f: Callable[..., Any], window: Sequence[int], *, dtype: npt.DTypeLike = "float32"
) -> ir.Model:
    """Write a JAX function of one patch as a patch network of ONNX's standard operators.

    What takes a network takes it then: :func:`convolutionize`, :func:`certify`, :func:`scan`,
    :func:`compile`; ``onnx_ir.save`` writes a file. To go on in JAX, with the caller's own
    parameters and gradients, use :func:`slide`.

    Parameters
    ----------
    f : callable
        Takes a patch and returns scores, an array or several in a pytree. Give it its parameters by
        ``functools.partial``: they become the weights of the network.
    window : sequence of int
        Shape of a patch, ``(64, 64, 3)`` or ``(3, 64, 64)``, say; no batch.
    dtype : data type
        Type of the pixels.

    Returns
    -------
    onnx_ir.Model
        The network, whose input ``patch`` has the shape ``(N, *window)`` and whose outputs are
        ``scores``, or ``scores_0`` and so on, in the order of the pytree's leaves.

    Raises
    ------
    ArgumentError
        If an argument does not fit.
    UnsupportedError
        If the function has an operation that ONNX does not; the error names it and the line.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import fcconv
    >>> def score(patch):
    ...     return jnp.tanh(patch).mean()
    >>> sliding = fcconv.convolutionize(from_jax(score, (3, 8, 8)), stride=4)
    >>> sliding.window, sliding.stride, sliding.exact
    ((8, 8), (4, 4), True)
    """
    if not callable(f):
        raise ArgumentError(f"f needs to be a function of a patch, got {f!r}")
    try:
        pixels = np.dtype(dtype)
    except TypeError:
        raise ArgumentError(
            f"dtype needs a type of numbers such as 'float32', got {dtype!r}"
        ) from None
    patch = jax.ShapeDtypeStruct(check_window(window), pixels)
    try:
        trace, _ = traced(f, [patch])
    except Exception as error:
        error.add_note(f"fcconv.from_jax called the function on a patch of shape {patch.shape}")
        raise
    if not trace.outputs:
        raise ArgumentError("f needs to return an array, or several in a pytree: it returns none")
    known = known_values(trace, {})
    (number,) = trace.inputs
    if any(output in known for output in trace.outputs):
        raise UnsupportedError(
            "a result of the function does not depend on the patch: leave it out"
        )
    model = written(Standard(known), trace, number, patch)
    names = {str(n): k for k, n in enumerate(dict.fromkeys(trace.outputs))}
    for value in model.graph.outputs:
        place = names[str(value.name)]
        value.name = "scores" if len(names) == 1 else f"scores_{place}"
    return model


@dataclass
class Standard(Patch):
    """Writes a function by ONNX's own operators, with the numbers of its weights."""

    def label(self, equation: Equation) -> str:
        """Name what an equation becomes, without the place on this machine that it comes from."""
        return equation.op

    def numbers(self, numbers: npt.NDArray[Any], known: Known) -> ir.Value:
        """Write entries of a weight."""
        entries = self.weights.gather(numbers)
        return self.constant(np.asarray(known.value if entries is None else entries))

    def own(self, op: str, equation: Equation) -> list[ir.Value]:
        """Write an equation that no rule of windows knows."""
        if op == ENTRYWISE:
            inputs = [self.values.get(n) or self.weight(n, True) for n in equation.inputs]
            return [self._entries(equation, equation.eqn, inputs, equation.shape)]
        rule = OTHERS.get(equation.op)
        made = None if rule is None else rule(self, equation)
        if made is None:
            raise equation.unsupported("is not an operator of ONNX, which a network is written in")
        return [made]

    def _entries(
        self, equation: Equation, eqn: Any, inputs: Sequence[ir.Value], shape: Sequence[int]
    ) -> ir.Value:
        """Write a function entry by entry."""
        name = str(eqn.primitive.name)
        dtype = np.dtype(eqn.outvars[0].aval.dtype)
        if name in OPERATORS:
            return self.emit(OPERATORS[name], inputs, shape, dtype=dtype)
        if name in COMPOSED:
            return COMPOSED[name](self, eqn, inputs, shape)
        if name not in CALLS:
            raise equation.unsupported(f"is not an operator of ONNX ({name})")
        jaxpr, consts = equations_of(eqn.params[CALLS[name]])
        values = dict(zip(jaxpr.invars, inputs, strict=True))
        values.update((v, self.constant(np.asarray(c)))
                      for v, c in zip(jaxpr.constvars, consts, strict=True))  # fmt: skip

        def read(atom: Any) -> ir.Value:
            if isinstance(atom, core.Literal):
                return self.constant(np.asarray(atom.val))
            made: ir.Value = values[atom]
            return made

        for inner in jaxpr.eqns:
            given = list(map(read, inner.invars))
            if inner.primitive.name == "broadcast_in_dim":  # of a number, which broadcasts anyway
                values[inner.outvars[0]] = given[0]
            else:
                values[inner.outvars[0]] = self._entries(equation, inner, given, shape)
        return read(jaxpr.outvars[0])


def _product(patch: Standard, equation: Equation) -> ir.Value | None:
    """Write a product of stacks of matrices, both of which may depend on the patch."""
    contracted, stacked = equation.eqn.params["dimension_numbers"]
    if len({v.aval.dtype for v in (*equation.eqn.invars, *equation.eqn.outvars)}) > 1:
        return None
    operands, lengths = [], []
    for k, number in enumerate(equation.inputs):
        shape = equation.eqn.invars[k].aval.shape
        along, stack = list(contracted[k]), list(stacked[k])
        free = [axis for axis in range(len(shape)) if axis not in (*along, *stack)]
        order = [*stack, *free, *along] if k == 0 else [*stack, *along, *free]
        sizes = [math.prod(shape[axis] for axis in axes) for axes in (free, along)]
        matrices = [*(shape[axis] for axis in stack), *(sizes if k == 0 else sizes[::-1])]
        lengths.append([shape[axis] for axis in free])
        if number in patch.values:
            turned = patch.transposed(patch.values[number], order)
            operands.append(patch.reshaped(turned, matrices))
        else:
            known = patch.known[number]
            numbers = patch.weights.numbered(known).transpose(order)
            operands.append(patch.numbers(numbers.reshape(matrices), known))
    stack_shape = equation.shape[: len(stacked[0])]
    sizes = [math.prod(n) for n in lengths]
    dtype = equation.eqn.outvars[0].aval.dtype
    made = patch.emit("MatMul", operands, [*stack_shape, *sizes], dtype=dtype)
    return patch.reshaped(made, equation.shape)


def _place_of_extreme(op: str) -> Callable[[Standard, Equation], ir.Value]:
    def rule(patch: Standard, equation: Equation) -> ir.Value:
        (axis,) = equation.eqn.params["axes"]
        x = patch.values[equation.inputs[0]]
        places = patch.emit(
            op, [x], equation.shape, {"axis": 1 + axis, "keepdims": 0}, dtype=np.int64
        )
        return patch.cast(places, equation.shape, equation.eqn.params["index_dtype"])

    return rule


OTHERS: dict[str, Callable[[Standard, Equation], ir.Value | None]] = {
    "argmax": _place_of_extreme("ArgMax"),
    "argmin": _place_of_extreme("ArgMin"),
    "dot_general": _product,
}
"""Primitives that are operators of ONNX, though windows do not share them."""
