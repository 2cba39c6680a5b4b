"""A function of a patch as a patch network: a graph of ONNX's operators, and of JAX's where not.

Each value has the shape that it has in the function, behind a batch. An equation that is an
operator of ONNX becomes one, so that all that is known of networks holds of functions, too; one
that works entry by entry stays JAX's own, with its own derivative; any other one goes on for each
patch of the batch by itself, under ``vmap``. Weights are numbers of their entries
(:mod:`fcconv.functions.known`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from fcconv.functions.entries import by_entry
from fcconv.functions.known import Known, Weights
from fcconv.functions.primitives import OPSET, pads_of
from fcconv.functions.trace import Equation, Trace
from fcconv.graph import receptive
from fcconv.graph.call import Call
from fcconv.graph.operator import Operator
from fcconv.graph.operators import OPERATORS, elementwise
from fcconv.graph.rules.values import opened
from fcconv.graph.rules.writer import add_initializer, free_name

DOMAIN = "fcconv.jax"
"""Whose operators are equations of JAX."""

ENTRYWISE, FOR_EACH = "Entrywise", "ForEach"
"""Equations that work entry by entry, and those that each patch of a batch computes by itself."""


def _entrywise(_backend: Any, call: Call, *inputs: Any) -> Any:
    return by_entry(call.attribute("equation").eqn)(*inputs)


def _for_each(_backend: Any, call: Call, *inputs: Any) -> tuple[Any, ...]:
    in_axes = [0 if batched else None for batched in call.attribute("batched")]
    return tuple(jax.vmap(call.attribute("equation").compute, in_axes)(*inputs))


OPERATORS[f"{DOMAIN}.{ENTRYWISE}"] = Operator(
    _entrywise, elementwise.slide, slides_by_any=True, spread=receptive.entrywise
)
OPERATORS[f"{DOMAIN}.{FOR_EACH}"] = Operator(_for_each, elementwise.slide)


@dataclass
class Patch:
    """The patch network of a function, as it is written.

    Attributes
    ----------
    known : mapping of int to Known
        The values of the function that do not depend on the patch, by number.
    weights : Weights
        The entries of weights, by their numbers.
    values : dict of int to onnx_ir.Value
        The values that depend on the patch.
    nodes : list of onnx_ir.Node
        The nodes, in order.
    constants : dict of str to onnx_ir.Value
        The initialisers, by name.
    names : set of str
        Names that are taken.
    source : str
        The equation that is written, and the line of the user's code that it comes from.
    """

    known: Mapping[int, Known]
    weights: Weights = field(default_factory=Weights)
    values: dict[int, ir.Value] = field(default_factory=dict)
    nodes: list[ir.Node] = field(default_factory=list)
    constants: dict[str, ir.Value] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    source: str = "output"

    def write(self, equation: Equation) -> None:
        """Write an equation that depends on the patch."""
        self.source = self.label(equation)
        rule = RULES.get(equation.op)
        made = None
        if equation.is_entrywise:
            made = self.own(ENTRYWISE, equation)
        elif rule is not None and not _changes_types(equation):
            one = rule(self, equation)
            made = None if one is None else [one]
        if made is None:
            made = self.own(FOR_EACH, equation)
        self.values.update(zip(equation.outputs, made, strict=True))

    def label(self, equation: Equation) -> str:
        """Name what an equation becomes."""
        return str(equation)

    def own(self, op: str, equation: Equation) -> list[ir.Value]:
        """Write an equation as it is."""
        inputs = [self.values.get(n) or self.weight(n, op == ENTRYWISE) for n in equation.inputs]
        kept = {"equation": equation, "batched": [n in self.values for n in equation.inputs]}
        attributes = [ir.Attr(k, ir.AttributeType.UNDEFINED, v) for k, v in kept.items()]
        name = free_name(self.source, self.names)
        node = ir.Node(DOMAIN, op, inputs, attributes, num_outputs=len(equation.outputs), name=name)
        self.nodes.append(node)
        for value, variable in zip(node.outputs, equation.eqn.outvars, strict=True):
            value.name = free_name(name, self.names)
            describe(value, variable.aval.shape, variable.aval.dtype)
        return list(node.outputs)

    def emit(
        self,
        op: str,
        inputs: Sequence[ir.Value],
        shape: Sequence[int],
        attributes: Mapping[str, Any] | None = None,
        dtype: npt.DTypeLike | None = None,
    ) -> ir.Value:
        """Write an operator of ONNX that makes a value of a shape, without the batch.

        Its type is that of the first input, if no other is said.
        """
        name = free_name(self.source, self.names)
        node = ir.node(op, inputs, attributes, name=name)
        self.nodes.append(node)
        (made,) = node.outputs
        made.name = free_name(name, self.names)
        of_first = inputs[0].dtype
        found = np.float32 if of_first is None else of_first.numpy()
        describe(made, shape, found if dtype is None else dtype)
        return made

    def weight(self, number: int, broadcasts: bool = False) -> ir.Value:
        """Write a value that does not depend on the patch, as numbers of its entries.

        One that `broadcasts` has length 1 along axes along which it is the same.
        """
        known = self.known[number]
        numbers = self.weights.numbered(known)
        return self.numbers(opened(numbers) if broadcasts else numbers, known)

    def numbers(self, numbers: npt.NDArray[Any], known: Known) -> ir.Value:
        """Write numbers of entries, which stand for numbers of the type of a value."""
        made = self.constant(numbers)
        dtype = np.dtype(jnp.result_type(known.value))
        made.type = ir.TensorType(ir.DataType.from_numpy(dtype))
        return made

    def ints(self, numbers: Sequence[int]) -> ir.Value:
        """Write integers that an operator takes as an input."""
        return self.constant(np.array(numbers, np.int64))

    def number(self, value: Any, dtype: npt.DTypeLike) -> ir.Value:
        """Write one number of a type."""
        return self.constant(np.array(value, dtype))

    def constant(self, array: npt.NDArray[Any]) -> ir.Value:
        """Write a constant."""
        return add_initializer(self.constants, free_name("constant", self.names), array)

    # What moves entries -------------------------------------------------------------------------

    def transposed(self, x: ir.Value, order: Sequence[int]) -> ir.Value:
        """Put the axes behind the batch in another order."""
        if list(order) == list(range(len(order))):
            return x
        shape = shape_of(x)
        perm = [0, *(1 + axis for axis in order)]
        return self.emit("Transpose", [x], [shape[axis] for axis in order], {"perm": perm})

    def reshaped(self, x: ir.Value, shape: Sequence[int]) -> ir.Value:
        """Give the axes behind the batch another shape.

        Axes of length 1 come and go by name, and lengths that stay are copied, so that what is done
        to an axis of the image holds of any length.
        """
        old, new = list(shape_of(x)), list(shape)
        if old == new:
            return x
        if [n for n in old if n > 1] == [n for n in new if n > 1]:
            return self._with_other_ones(x, old, new)
        same = next(k for k in range(len(new) + 1) if old[: k + 1] != new[: k + 1])
        rest = [-1] if len(new) == same + 1 else new[same:]
        return self.emit("Reshape", [x, self.ints([0] * (1 + same) + rest)], new)

    def _with_other_ones(self, x: ir.Value, old: list[int], new: list[int]) -> ir.Value:
        gone = [1 + axis for axis, n in enumerate(old) if n == 1]
        there = [1 + axis for axis, n in enumerate(new) if n == 1]
        if gone == there:
            return x
        made = x
        if gone:
            kept = [n for n in old if n > 1]
            made = self.emit("Squeeze", [made, self.ints(gone)], kept)
        return self.emit("Unsqueeze", [made, self.ints(there)], new) if there else made


def describe(value: ir.Value, shape: Sequence[int], dtype: npt.DTypeLike) -> None:
    """Note the shape of a value without the batch, and its type."""
    value.shape = ir.Shape(["N", *map(int, shape)])
    value.type = ir.TensorType(ir.DataType.from_numpy(np.dtype(dtype)))


def shape_of(value: ir.Value) -> tuple[int, ...]:
    """Return the shape of a value without the batch."""
    return () if value.shape is None else tuple(int(str(n)) for n in value.shape.dims[1:])


def patch_network(
    trace: Trace, known: Mapping[int, Known], number: int, patch: jax.ShapeDtypeStruct
) -> tuple[ir.Model, Weights]:
    """Write a function of a patch as a patch network.

    Parameters
    ----------
    trace : Trace
        The function.
    known : mapping of int to Known
        What does not depend on the patch.
    number : int
        The value that is the patch.
    patch : jax.ShapeDtypeStruct
        Its shape and type.

    Returns
    -------
    onnx_ir.Model, Weights
        The network, whose outputs are named by the numbers of the values that they are, and whose
        weights are the numbers of entries; and the entries.
    """
    made = Patch(known)
    return written(made, trace, number, patch), made.weights


def written(made: Patch, trace: Trace, number: int, patch: jax.ShapeDtypeStruct) -> ir.Model:
    """Write the equations of a function that depend on the patch, and put them together."""
    image = ir.Value(name="patch")
    describe(image, patch.shape, patch.dtype)
    made.names.add("patch")
    made.values[number] = image
    for equation in trace.equations:
        if equation.outputs[0] not in made.known:
            made.write(equation)
    outputs, made.source = [], "output"
    for output in dict.fromkeys(trace.outputs):
        if output not in made.known:
            value = made.values[output]
            outputs.append(made.emit("Identity", [value], shape_of(value)))
            outputs[-1].name = str(output)
    domains = {node.domain for node in made.nodes}
    graph = ir.Graph(
        [image],
        outputs,
        nodes=made.nodes,
        initializers=list(made.constants.values()),
        opset_imports={"": OPSET} | ({DOMAIN: 1} if DOMAIN in domains else {}),
        name="function",
    )
    return ir.Model(graph, ir_version=9)


def _changes_types(equation: Equation) -> bool:
    """Say whether an equation has numbers of several types, or such as no rule takes."""
    values = [v.aval for v in (*equation.eqn.invars, *equation.eqn.outvars)]
    return len({v.dtype for v in values}) > 1 or any(
        0 in v.shape or np.dtype(v.dtype).kind == "c" for v in values
    )


# Rules: None where an equation is not one of ONNX -----------------------------------------------


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
    attributes = {
        "strides": list(p["window_strides"]),
        "dilations": list(p["rhs_dilation"]),
        "pads": pads_of(p["padding"]),
        "group": p["feature_group_count"],
    }
    lengths = [equation.shape[axis] for axis in out]
    made = patch.emit("Conv", [image, weight], lengths[1:], attributes)
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
    moves = list(zip(p["window_dimensions"], p["window_strides"], p["window_dilation"],
                     p["padding"], strict=True))  # fmt: skip
    along = [k for k, move in enumerate(moves) if move != (1, 1, move[2], (0, 0))]
    along = along or [k for k, n in enumerate(shape_of(x)) if n > 1][:1]
    beside = [k for k in range(len(moves)) if k not in along]
    channels = [shape_of(x)[k] for k in beside if shape_of(x)[k] > 1]
    if any(n != 1 for n in p["base_dilation"]) or len(channels) > 1 or not 1 <= len(along) <= 3:
        return None
    first = patch.transposed(x, [*beside, *along])
    features = channels[0] if channels else 1
    image = patch.reshaped(first, [features, *(shape_of(x)[k] for k in along)])
    attributes: dict[str, Any] = {
        "kernel_shape": [moves[k][0] for k in along],
        "strides": [moves[k][1] for k in along],
        "dilations": [moves[k][2] for k in along],
        "pads": pads_of([moves[k][3] for k in along]),
    }
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
    "reduce_max": _reduction("ReduceMax"),
    "reduce_min": _reduction("ReduceMin"),
    "reduce_prod": _reduction("ReduceProd"),
    "reduce_sum": _reduction("ReduceSum"),
    "reduce_window_max": _pool,
    "reduce_window_sum": _pool,
    "reshape": _reshape,
    "slice": _slice,
    "squeeze": _reshape,
    "transpose": _transpose,
}
"""The primitives that are operators of ONNX."""
