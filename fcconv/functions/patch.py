"""A function of a patch as a patch network: a graph of ONNX's operators, and of JAX's where not.

Each value has the shape that it has in the function, behind a batch. An equation that is an
operator of ONNX becomes one, so that all that is known of networks holds of functions, too; one
that works entry by entry stays JAX's own, with its own derivative; any other one goes on for each
patch of the batch by itself, under ``vmap``. Weights are numbers of their entries
(:mod:`fcconv.functions.known`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from fcconv.functions.entries import by_entry
from fcconv.functions.known import Known, Weights
from fcconv.functions.patch_rules import RULES, shape_of
from fcconv.functions.primitives import OPSET
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

    def cast(self, x: ir.Value, shape: Sequence[int], dtype: npt.DTypeLike) -> ir.Value:
        """Write a conversion to a type."""
        to = ir.DataType.from_numpy(np.dtype(dtype)).value
        return self.emit("Cast", [x], shape, {"to": to}, dtype=dtype)

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
