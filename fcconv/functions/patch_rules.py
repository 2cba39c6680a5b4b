"""Which primitives of JAX are operators of ONNX, and how a patch network has them.

A rule returns None where an equation is not such an operator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from fcconv.functions.primitives import (
    REDUCTIONS,
    conv_attributes,
    moving_axes,
    pool_attributes,
)

if TYPE_CHECKING:
    from fcconv.functions.patch import Patch
    from fcconv.functions.trace import Equation


def shape_of(value: ir.Value) -> tuple[int, ...]:
    """Return the shape of a value without the batch."""
    return () if value.shape is None else tuple(int(str(n)) for n in value.shape.dims[1:])


def _reshape(patch: Patch, equation: Equation) -> ir.Value:
    return patch.reshaped(patch.values[equation.inputs[0]], equation.shape)


def _transpose(patch: Patch, equation: Equation) -> ir.Value:
    order = equation.eqn.params["permutation"]
    return patch.transposed(patch.values[equation.inputs[0]], order)


def _slice(patch: Patch, equation: Equation) -> ir.Value:
    p, x = equation.eqn.params, patch.values[equation.inputs[0]]
    steps = p["strides"] or [1] * len(equation.shape)
    spans = list(zip(p["start_indices"], p["limit_indices"], steps, strict=True))
    return _cut(patch, x, spans, equation.shape)


def _cut(
    patch: Patch, x: ir.Value, spans: Sequence[tuple[int, int, int]], shape: Sequence[int]
) -> ir.Value:
    whole = [(0, n, 1) for n in shape_of(x)]
    along = [axis for axis, span in enumerate(spans) if tuple(span) != whole[axis]]
    if not along:
        return x
    starts, stops, steps = zip(*(spans[axis] for axis in along), strict=True)
    numbers = starts, stops, [1 + axis for axis in along], steps
    return patch.emit("Slice", [x, *map(patch.ints, numbers)], shape)


def _broadcast(patch: Patch, equation: Equation) -> ir.Value:
    x, shape = patch.values[equation.inputs[0]], equation.shape
    lengths = [1] * len(shape)
    for axis, n in zip(equation.eqn.params["broadcast_dimensions"], shape_of(x), strict=True):
        lengths[axis] = n
    made = patch.reshaped(x, lengths)
    if lengths == list(shape):
        return made
    times = [1 if n == m else m for n, m in zip(lengths, shape, strict=True)]
    return patch.emit("Expand", [made, patch.ints([1, *times])], shape)


def _pad(patch: Patch, equation: Equation) -> ir.Value | None:
    config = equation.eqn.params["padding_config"]
    number, value = equation.inputs
    if number in patch.known or value not in patch.known or any(n for _, _, n in config):
        return None
    x = patch.values[number]
    kept = [(max(-low, 0), n - max(-high, 0), 1)
            for (low, high, _), n in zip(config, shape_of(x), strict=True)]  # fmt: skip
    cut = _cut(patch, x, kept, [stop - start for start, stop, _ in kept])
    ends = [0, *(max(low, 0) for low, _, _ in config), 0, *(max(high, 0) for _, high, _ in config)]
    if not any(ends):
        return cut
    return patch.emit("Pad", [cut, patch.ints(ends), patch.weight(value)], equation.shape)


def _concatenate(patch: Patch, equation: Equation) -> ir.Value | None:
    if any(n in patch.known for n in equation.inputs):
        return None
    inputs = [patch.values[n] for n in equation.inputs]
    axis = 1 + equation.eqn.params["dimension"]
    return patch.emit("Concat", inputs, equation.shape, {"axis": axis})


def _conv(patch: Patch, equation: Equation) -> ir.Value | None:
    p, (number, kernel) = equation.eqn.params, equation.inputs
    lhs, rhs, out = p["dimension_numbers"]
    if number in patch.known or kernel not in patch.known:
        return None
    x = patch.values[number]
    plain = all(n == 1 for n in p["lhs_dilation"]) and p["batch_group_count"] == 1
    if not plain or shape_of(x)[lhs[0]] != 1:
        return None
    first = patch.transposed(x, lhs)
    image = patch.reshaped(first, shape_of(first)[1:])
    known = patch.known[kernel]
    weight = patch.numbers(patch.weights.numbered(known).transpose(rhs), known)
    lengths = [equation.shape[axis] for axis in out]
    made = patch.emit("Conv", [image, weight], lengths[1:], conv_attributes(equation))
    return patch.transposed(patch.reshaped(made, lengths), np.argsort(out).tolist())


def _dot(patch: Patch, equation: Equation) -> ir.Value | None:
    (of_left, of_right), batch = equation.eqn.params["dimension_numbers"]
    left, right = equation.inputs
    if any(batch) or (left in patch.values and right in patch.values):
        return None
    turned = left in patch.known
    if turned:
        left, right, of_left, of_right = right, left, of_right, of_left
    x, weight = patch.values[left], patch.known[right]
    rows = [axis for axis in range(len(shape_of(x))) if axis not in of_left]
    columns = [axis for axis in range(len(weight.shape)) if axis not in of_right]
    lengths = [shape_of(x)[axis] for axis in rows]
    widths = [weight.shape[axis] for axis in columns]
    terms = int(np.prod([shape_of(x)[axis] for axis in of_left], dtype=int))
    count = int(np.prod(widths, dtype=int))
    lines = patch.reshaped(patch.transposed(x, [*rows, *of_left]), [*lengths, terms])
    numbers = patch.weights.numbered(weight).transpose([*of_right, *columns])
    matrix = patch.numbers(numbers.reshape(terms, count), weight)
    product = patch.emit("MatMul", [lines, matrix], [*lengths, count])
    made = patch.reshaped(product, [*lengths, *widths])
    if not turned:
        return made
    return patch.transposed(made, [*range(len(rows), len(rows) + len(columns)), *range(len(rows))])


def _reduction(op: str) -> Callable[[Patch, Equation], ir.Value]:
    def rule(patch: Patch, equation: Equation) -> ir.Value:
        axes = patch.ints([1 + axis for axis in equation.eqn.params["axes"]])
        x = patch.values[equation.inputs[0]]
        return patch.emit(op, [x, axes], equation.shape, {"keepdims": 0})

    return rule


def _pool(patch: Patch, equation: Equation) -> ir.Value | None:
    """Move a window along the axes on which it moves; one other may hold channels."""
    p, x = equation.eqn.params, patch.values[equation.inputs[0]]
    along = moving_axes(equation) or [k for k, n in enumerate(shape_of(x)) if n > 1][:1]
    beside = [k for k in range(len(shape_of(x))) if k not in along]
    channels = [shape_of(x)[k] for k in beside if shape_of(x)[k] > 1]
    if any(n != 1 for n in p["base_dilation"]) or len(channels) > 1 or not 1 <= len(along) <= 3:
        return None
    first = patch.transposed(x, [*beside, *along])
    features = channels[0] if channels else 1
    image = patch.reshaped(first, [features, *(shape_of(x)[k] for k in along)])
    attributes = pool_attributes(equation, along)
    lengths = [equation.shape[k] for k in along]
    if equation.op == "reduce_window_max":
        made = patch.emit("MaxPool", [image], [features, *lengths], attributes)
    else:  # a sum over each window is a convolution of each channel with ones
        dtype = equation.eqn.outvars[0].aval.dtype
        ones = patch.constant(np.ones((features, 1, *attributes["kernel_shape"]), dtype))
        attributes["group"] = features
        made = patch.emit("Conv", [image, ones], [features, *lengths], attributes)
    wide = patch.reshaped(made, [*(shape_of(x)[k] for k in beside), *lengths])
    return patch.transposed(wide, np.argsort([*beside, *along]).tolist())


RULES: dict[str, Callable[[Patch, Equation], ir.Value | None]] = {
    "broadcast_in_dim": _broadcast,
    "concatenate": _concatenate,
    "conv_general_dilated": _conv,
    "dot_general": _dot,
    "expand_dims": _reshape,
    "pad": _pad,
    **{name: _reduction(op) for name, op in REDUCTIONS.items()},
    "reduce_window_max": _pool,
    "reduce_window_sum": _pool,
    "reshape": _reshape,
    "slice": _slice,
    "squeeze": _reshape,
    "transpose": _transpose,
}
"""The primitives that are operators of ONNX."""
