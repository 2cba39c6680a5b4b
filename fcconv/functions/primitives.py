"""How the primitives of JAX slide: as the operators of ONNX that they are, on numbered weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from jax import lax

from fcconv.functions.entries import by_entry
from fcconv.functions.known import Known
from fcconv.functions.target import Jax
from fcconv.functions.trace import Equation
from fcconv.graph.call import Call
from fcconv.graph.operators import OPERATORS
from fcconv.graph.rules.align import align, joined
from fcconv.graph.rules.context import Context
from fcconv.graph.rules.values import Constant, SlidingValue, varies
from fcconv.graph.running.computing import Tensor

OPSET = 20
"""The version of ONNX's operators that rules write: it has all that they ask for."""

Move = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
Value = Known | SlidingValue[Tensor]


@dataclass
class Reader:
    """Reads equations of JAX, and lets the rules of sliding write what they become.

    Attributes
    ----------
    target : Jax
        What computes.
    stride : tuple of int
        Pixels from one window to the next, for each spatial axis.
    """

    target: Jax
    stride: tuple[int, ...]

    @property
    def context(self) -> Context[Tensor]:
        """What rules are handed."""
        return Context(self.target, self.stride)

    def slide(self, equation: Equation, inputs: Sequence[Value]) -> list[SlidingValue[Tensor]]:
        """Slide an equation that depends on the image.

        Raises
        ------
        UnsupportedError
            If it has no rule, or its rule refuses what it reads.
        """
        name = f"{equation.op} {equation.outputs[0]}"
        values = [v.aval for v in (*equation.eqn.invars, *equation.eqn.outvars)]
        if any(0 in v.shape for v in values):
            raise equation.unsupported("reads or makes values without entries")
        if equation.is_entrywise:
            return [self._entrywise(equation, name, inputs)]
        move = move_of(equation)
        if move is not None and isinstance(inputs[0], SlidingValue):
            return [_moved(inputs[0], move, equation.shape)]
        rule = RULES.get(equation.op)
        if rule is None:
            raise equation.unsupported("has no rule")
        if any(np.dtype(v.dtype).kind == "c" for v in values):
            raise equation.unsupported("computes with complex numbers")
        self.target.precision = precision_of([equation])
        try:
            return [rule(self, equation, name, *inputs)]
        finally:
            self.target.precision = None

    def constant(self, known: Known) -> Constant:
        """Show a value to rules."""
        return Constant(self.target.weights.numbered(known))

    def apply(
        self, op: str, name: str, *inputs: SlidingValue[Tensor] | Constant, **attributes: Any
    ) -> SlidingValue[Tensor]:
        """Slide an operator of ONNX."""
        call = self.call(op, name, attributes)
        made = OPERATORS[op].slide(self.context, call, *inputs)
        assert isinstance(made, SlidingValue)
        return made

    def call(self, op: str, name: str, attributes: dict[str, Any] | None = None) -> Call:
        """Make a node for a rule to read."""
        return Call(op, name, OPSET, attributes or {})

    def _entrywise(
        self, equation: Equation, name: str, inputs: Sequence[Value]
    ) -> SlidingValue[Tensor]:
        given = [self.constant(x) if isinstance(x, Known) else x for x in inputs]
        like, tensors = align(self.context, self.call(equation.op, name), given)
        dtype = np.dtype(equation.eqn.outvars[0].aval.dtype)
        return replace(like, tensor=self.target.add(by_entry(equation.eqn), tensors, dtype))


def precision_of(equations: Iterable[Equation]) -> str | None:
    """Return the precision that the products of equations are asked to have.

    Raises
    ------
    UnsupportedError
        If that is not one precision.
    """
    found: set[Any] = set()
    for equation in equations:
        if "precision" in equation.eqn.params:
            asked = equation.eqn.params["precision"]
            found.update(asked if isinstance(asked, tuple) else [asked])
            if len(found) > 1 or not all(p is None or isinstance(p, lax.Precision) for p in found):
                raise equation.unsupported("asks for a precision of its own kind")
    one = next(iter(found), None)
    return None if one is None else str(one.name.lower())


def _moved(x: SlidingValue[Tensor], move: Move, shape: tuple[int, ...]) -> SlidingValue[Tensor]:
    return x.varying(shape, [move(np.broadcast_to(where, x.shape)) for where in x.where])


# Moves ------------------------------------------------------------------------------------------


def move_of(equation: Equation) -> Move | None:
    """Return what an equation does to an array of entries that it only moves."""
    p, shape = equation.eqn.params, equation.shape
    if equation.op in ("reshape", "squeeze", "expand_dims"):
        return lambda a: a.reshape(shape)
    if equation.op == "transpose":
        return lambda a: a.transpose(p["permutation"])
    if equation.op == "rev":
        return lambda a: np.flip(a, p["dimensions"])
    if equation.op == "slice":
        steps = p["strides"] or [1] * len(shape)
        part = tuple(map(slice, p["start_indices"], p["limit_indices"], steps))
        return lambda a: a[part]
    if equation.op == "broadcast_in_dim":
        return lambda a: _broadcast(a, shape, p["broadcast_dimensions"])
    if equation.op == "pad":
        return _cropped(p["padding_config"])
    return None


def _broadcast(
    array: npt.NDArray[Any], shape: tuple[int, ...], axes: Sequence[int]
) -> npt.NDArray[Any]:
    lengths = [1] * len(shape)
    for axis, n in zip(axes, array.shape, strict=True):
        lengths[axis] = n
    return np.broadcast_to(array.reshape(lengths), shape)


def _cropped(config: Sequence[tuple[int, int, int]]) -> Move | None:
    """Read padding that only cuts off."""
    if any(low > 0 or high > 0 or inner for low, high, inner in config):
        return None
    part = tuple(slice(-low, high or None) for low, high, _ in config)
    return lambda a: a[part]


# Operators --------------------------------------------------------------------------------------


def _conv(
    reader: Reader, equation: Equation, name: str, x: Value, weight: Value
) -> SlidingValue[Tensor]:
    p, eqn = equation.eqn.params, equation.eqn
    if not isinstance(x, SlidingValue) or not isinstance(weight, Known):
        raise equation.unsupported("has a kernel that depends on the image")
    lhs, rhs, out = p["dimension_numbers"]
    kept = {v.aval.dtype for v in (*eqn.invars, *eqn.outvars)}
    plain = all(n == 1 for n in p["lhs_dilation"]) and p["batch_group_count"] == 1
    if x.shape[lhs[0]] != 1 or not plain or len(kept) > 1:
        raise equation.unsupported("convolves several pictures, dilates its input or changes types")
    image = _moved(x, lambda a: a.transpose(lhs), tuple(x.shape[axis] for axis in lhs))
    kernel = Constant(reader.constant(weight).array.transpose(rhs))
    made = reader.apply(
        "Conv",
        name,
        image,
        kernel,
        **conv_attributes(equation),
    )
    back = np.argsort(out)
    return _moved(made, lambda a: a.transpose(back), equation.shape)


def conv_attributes(equation: Equation) -> dict[str, Any]:
    """Read how a convolution moves, as ONNX says it."""
    p = equation.eqn.params
    return {
        "strides": list(p["window_strides"]),
        "dilations": list(p["rhs_dilation"]),
        "pads": _pads(p["padding"]),
        "group": p["feature_group_count"],
    }


def moving_axes(equation: Equation) -> list[int]:
    """List the axes along which a pool moves its window."""
    p = equation.eqn.params
    moves = zip(p["window_dimensions"], p["window_strides"], p["padding"], strict=True)
    return [k for k, move in enumerate(moves) if move != (1, 1, (0, 0))]


def pool_attributes(equation: Equation, along: Sequence[int]) -> dict[str, Any]:
    """Read how a pool moves along some axes, as ONNX says it."""
    p = equation.eqn.params
    return {
        "kernel_shape": [p["window_dimensions"][k] for k in along],
        "strides": [p["window_strides"][k] for k in along],
        "dilations": [p["window_dilation"][k] for k in along],
        "pads": _pads([p["padding"][k] for k in along]),
    }


def _pads(padding: Sequence[tuple[int, int]]) -> list[int]:
    """Write padding as ONNX does: before each axis, then after each."""
    return [before for before, _ in padding] + [after for _, after in padding]


def _dot(
    reader: Reader, equation: Equation, name: str, left: Value, right: Value
) -> SlidingValue[Tensor]:
    (of_left, of_right), batch = equation.eqn.params["dimension_numbers"]
    if any(batch) or (isinstance(left, SlidingValue) and isinstance(right, SlidingValue)):
        raise equation.unsupported(
            "multiplies values that both depend on the image, or many matrices"
        )
    kept = {v.aval.dtype for v in (*equation.eqn.invars, *equation.eqn.outvars)}
    if len(kept) > 1:
        raise equation.unsupported("changes types")
    x, along, weight, over = (
        (left, of_left, right, of_right) if isinstance(left, SlidingValue) else
        (right, of_right, left, of_left)
    )  # fmt: skip
    assert isinstance(x, SlidingValue)
    assert isinstance(weight, Known)
    rows = [axis for axis in range(len(x.shape)) if axis not in along]
    columns = [axis for axis in range(len(weight.shape)) if axis not in over]
    lengths = [x.shape[axis] for axis in rows], [weight.shape[axis] for axis in columns]
    terms = math.prod(x.shape[axis] for axis in along)
    lines = _moved(
        x,
        lambda a: a.transpose([*rows, *along]).reshape(*lengths[0], 1, terms),
        (*lengths[0], 1, terms),
    )
    if math.prod(lengths[0]) == 1 and not _is_whole(lines):
        # a kernel over its block would have zeros elsewhere, and zero times NaN is NaN
        raise equation.unsupported("reads some places of a window, and not those between them")
    matrix = reader.constant(weight).array.transpose([*over, *columns]).reshape(terms, -1)
    made = reader.apply("MatMul", name, lines, Constant(matrix))
    wide = _moved(made, lambda a: a.reshape(*lengths[0], *lengths[1]), (*lengths[0], *lengths[1]))
    if isinstance(left, SlidingValue):
        return wide
    order = [*range(len(rows), len(wide.shape)), *range(len(rows))]
    return _moved(wide, lambda a: a.transpose(order), equation.shape)


def _is_whole(x: SlidingValue[Tensor]) -> bool:
    """Say whether a value has every entry of the block from its first to its last sample."""
    lengths = [int(np.ptp(place)) + 1 for place in x.places]
    return len(np.unique(x.numbers)) == x.channels * math.prod(lengths)


def _reduction(op: str) -> Callable[..., SlidingValue[Tensor]]:
    def rule(
        reader: Reader, equation: Equation, name: str, x: SlidingValue[Tensor]
    ) -> SlidingValue[Tensor]:
        axes = list(equation.eqn.params["axes"])
        if op != "ReduceSum" and any(varies(place, axes) for place in x.places):
            # as a pool, an extreme would hand its derivative to one of several equal entries
            raise equation.unsupported("takes an extreme over places")
        return reader.apply(op, name, x, Constant(np.array(axes, np.int64)), keepdims=0)

    return rule


def _pool(
    reader: Reader, equation: Equation, name: str, x: SlidingValue[Tensor]
) -> SlidingValue[Tensor]:
    """Move a window along the axes on which it does move; the others hold channels."""
    p = equation.eqn.params
    if any(n != 1 for n in p["base_dilation"]):
        raise equation.unsupported("dilates its input")
    along = moving_axes(equation)
    attributes = pool_attributes(equation, along)

    def pool(flat: SlidingValue[Tensor]) -> SlidingValue[Tensor]:
        if equation.op == "reduce_window_max":
            return reader.apply("MaxPool", name, flat, **attributes)
        # a sum over each window is a convolution of each channel with ones
        ones = np.ones(
            (flat.shape[1], 1, *attributes["kernel_shape"]),
            flat.tensor.dtype,
        )
        return reader.apply("Conv", name, flat, Constant(ones), **attributes, group=len(ones))

    return _over(x, along, pool, equation.shape)


def _over(
    x: SlidingValue[Tensor],
    along: Sequence[int],
    operator: Callable[[SlidingValue[Tensor]], SlidingValue[Tensor]],
    shape: tuple[int, ...],
) -> SlidingValue[Tensor]:
    """Apply an operator of channels first along some axes; the others hold the channels."""
    beside = [k for k in range(len(x.shape)) if k not in along]
    order, features = [*beside, *along], math.prod(x.shape[k] for k in beside)
    image = (1, features, *(x.shape[k] for k in along))
    made = operator(_moved(x, lambda a: a.transpose(order).reshape(image), image))
    lengths = [x.shape[k] for k in beside] + list(made.shape[2:])
    back = np.argsort(order)
    return _moved(made, lambda a: a.reshape(lengths).transpose(back), shape)


def _pad(
    reader: Reader, equation: Equation, name: str, x: Value, value: Value
) -> SlidingValue[Tensor]:
    config = equation.eqn.params["padding_config"]
    if (
        not isinstance(x, SlidingValue)
        or not isinstance(value, Known)
        or any(n for _, _, n in config)
    ):
        raise equation.unsupported("pads between entries, or by what depends on the image")
    along = [k for k, (low, high, _) in enumerate(config) if (low, high) != (0, 0)]
    pads = [0, 0, *(config[k][0] for k in along), 0, 0, *(config[k][1] for k in along)]

    def pad(flat: SlidingValue[Tensor]) -> SlidingValue[Tensor]:
        ends = Constant(np.array(pads, np.int64))
        return reader.apply("Pad", name, flat, ends, reader.constant(value))

    return _over(x, along, pad, equation.shape)


def _concatenate(
    reader: Reader, equation: Equation, name: str, *inputs: Value
) -> SlidingValue[Tensor]:
    given = [reader.constant(x) if isinstance(x, Known) else x for x in inputs]
    axis = equation.eqn.params["dimension"]
    return joined(reader.context, reader.call("Concat", name), given, axis)


REDUCTIONS = {
    "reduce_max": "ReduceMax",
    "reduce_min": "ReduceMin",
    "reduce_prod": "ReduceProd",
    "reduce_sum": "ReduceSum",
}
"""The primitives that reduce axes, and the operators of ONNX that they are."""

RULES: dict[str, Callable[..., SlidingValue[Tensor]]] = {
    "concatenate": _concatenate,
    "conv_general_dilated": _conv,
    "dot_general": _dot,
    "pad": _pad,
    **{name: _reduction(op) for name, op in REDUCTIONS.items()},
    "reduce_window_max": _pool,
    "reduce_window_sum": _pool,
}
"""The primitives that are operators of ONNX."""


def known_result(equation: Equation, inputs: Sequence[Known]) -> list[Known]:
    """Compute an equation that does not depend on the image, and keep how its entries came."""
    made = equation.compute(*(known.value for known in inputs))
    move = move_of(equation)
    if move is not None:
        return [Known(made[0], inputs[:1], move)]
    parents = inputs if equation.is_entrywise else ()
    return [Known(value, parents) for value in made]
