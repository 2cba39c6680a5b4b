"""The nodes of a network, computed in order on any backend."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

import fcconv_numpy
from fcconv.backend import Backend, to_numpy
from fcconv.errors import ShapeError
from fcconv.graph.call import Call, computing
from fcconv.graph.check import unfamiliar
from fcconv.graph.node import Node, read_node
from fcconv.graph.operator import Operator
from fcconv.graph.operators import OPERATORS
from fcconv.graph.running.entrywise import fits, in_blocks, is_unshared

NOT_COMPUTED = {"c": "complex numbers", "O": "text"}
"""Kinds of arrays that no operator takes."""

LARGEST_BATCH, LARGEST_IMAGES = 2**16, 2**27
"""Most images, and numbers in them, of a network whose shapes are followed."""

Visit: TypeAlias = Callable[[Node, tuple[Any, ...]], None]


@dataclass(frozen=True)
class Step:
    """One node of a program, with the values that are needed no more after it."""

    node: Node
    operator: Operator
    spent: tuple[ir.Value, ...]


@dataclass(frozen=True, eq=False)
class Program:
    """The nodes of a model in order, each with its operator; :func:`program_of` lists them.

    Attributes
    ----------
    graph : onnx_ir.Graph
        The network.
    constants : dict of onnx_ir.Value to array
        Its weights, and what else is the same for all images.
    inputs : list of onnx_ir.Value
        What it reads.
    steps : list of Step
        Its nodes.
    """

    graph: ir.Graph
    constants: dict[ir.Value | None, npt.NDArray[Any]]
    inputs: list[ir.Value]
    steps: list[Step]

    def parameters(
        self, backend: Backend[Any], dtype: npt.DTypeLike | None = None
    ) -> dict[str, Any]:
        """Return the floating point weights by name, as arrays of a backend, or of a `dtype`."""
        return {
            str(value.name): backend.asarray(array if dtype is None else array.astype(dtype))
            for value, array in self.constants.items()
            if value is not None
            and value.const_value is not None
            and value.const_value.dtype.is_floating_point()
        }

    def trainable(self) -> frozenset[str]:
        """Name the floating point weights that training changes.

        These are not the statistics that a normalisation keeps, nor numbers without axes, such as
        the count that a sum is divided by.
        """
        fixed = {
            value
            for step in self.steps
            for k in step.operator.statistics | step.operator.structural
            for value in step.node.ir.inputs[k : k + 1]
        }
        return frozenset(
            str(value.name)
            for value, array in self.constants.items()
            if value is not None and value not in fixed and array.ndim
            and value.const_value is not None and value.const_value.dtype.is_floating_point()
        )  # fmt: skip

    def run(
        self,
        backend: Backend[Any],
        parameters: Mapping[str, Any],
        inputs: Sequence[Any],
        visit: Visit | None = None,
    ) -> list[Any]:
        """Compute the outputs.

        Parameters
        ----------
        backend : Backend
            What computes.
        parameters : mapping of str to array
            The floating point weights, as arrays of the backend.
        inputs : sequence of array
            One array per input of the network.
        visit : callable, optional
            Is shown each node and its outputs.
        """
        values: dict[ir.Value | None, Any] = dict(zip(self.inputs, inputs, strict=True))
        static: dict[ir.Value | None, Any] = dict(self.constants)

        def data(value: ir.Value | None) -> Any:
            if value is None or value in values:
                return values.get(value)
            given = parameters.get(str(value.name)) if value in self.constants else None
            return backend.asarray(static[value]) if given is None else given

        for step in self.steps:
            node, operator = step.node, step.operator
            if all(value is None or value in static for value in node.ir.inputs):
                arguments = [static.get(value) for value in node.ir.inputs]
                made = compute(operator, fcconv_numpy, node, arguments)
                static.update(zip(node.ir.outputs, made, strict=False))
            else:
                arguments = [
                    static.get(value)
                    if position in operator.structural and value in static
                    else data(value)
                    for position, value in enumerate(node.ir.inputs)
                ]
                if operator.entrywise and backend is fcconv_numpy and fits(arguments):
                    kept = None if visit else chain(inputs, parameters.values(), static.values())
                    made = (_in_blocks(step, arguments, values, kept),)
                else:
                    made = compute(operator, backend, node, arguments)
                target = static if operator.static else values
                target.update(zip(node.ir.outputs, made, strict=False))
                if visit is not None and not operator.static:
                    visit(node, made)
            del arguments, made  # so that nothing else holds what is spent
            for value in step.spent:
                values.pop(value, None)
        return [data(value) for value in self.graph.outputs]

    def run_batches(
        self,
        backend: Backend[Any],
        parameters: Mapping[str, Any],
        inputs: Sequence[Any],
        visit: Visit | None = None,
    ) -> list[Any]:
        """Compute the outputs for any batch: in parts, where the network fixes its size."""
        with backend.running_network():
            return in_batches(
                lambda part: self.run(backend, parameters, part, visit),
                self.inputs,
                inputs,
                backend.namespace.concatenate,
            )


def program_of(model: ir.Model) -> Program:
    """List the nodes of a model in order, each with its operator.

    Parameters
    ----------
    model : onnx_ir.Model
        A checked model, see :mod:`fcconv.graph.files.load`.

    Raises
    ------
    UnsupportedError
        If a node's operator is not known.
    """
    graph = model.graph
    constants: dict[ir.Value | None, npt.NDArray[Any]] = {
        value: value.const_value.numpy()
        for value in graph.initializers.values()
        if value.const_value is not None
    }
    return Program(graph, constants, data_inputs(graph), list(_steps(graph)))


def _in_blocks(
    step: Step,
    arguments: Sequence[Any],
    values: Mapping[ir.Value | None, Any],
    kept: Iterable[Any] | None,
) -> Any:
    """Compute a node that works entry by entry on a large array, on NumPy.

    In place, if its first argument is needed no more and shares no memory with other values, or
    with what is kept; None keeps all.
    """

    def function(*block: Any) -> Any:
        return compute(step.operator, fcconv_numpy, step.node, block)[0]

    first = step.node.ir.inputs[0]
    x, *numbers = arguments
    others = (array for value, array in values.items() if value != first)
    is_spent = kept is not None and first in step.spent
    overwrite = is_spent and is_unshared(x, chain(kept or (), others))
    return in_blocks(function, x, numbers, overwrite)


def compute(
    operator: Operator, backend: Backend[Any], node: Call, arguments: Sequence[Any]
) -> tuple[Any, ...]:
    """Compute one node; errors begin with its name."""
    structural = [
        to_numpy(argument) if position in operator.structural and argument is not None else argument
        for position, argument in enumerate(arguments)
    ]
    for argument in arguments:
        kind = getattr(getattr(argument, "dtype", None), "kind", "")
        if kind in NOT_COMPUTED:
            raise node.unsupported(
                f"it reads {NOT_COMPUTED[kind]}: only real numbers and booleans are computed here"
            )
    with computing(node), np.errstate(all="ignore"):  # infinities and NaNs are what ONNX asks for
        made = operator.compute(backend, node, *structural)
    return made if isinstance(made, tuple) else (made,)


def _steps(graph: ir.Graph) -> Iterator[Step]:
    for ir_node, spent in zip(graph, spent_after(graph), strict=True):
        node = read_node(ir_node, graph.opset_imports)
        yield Step(node, operator_of(node), spent)


def spent_after(graph: ir.Graph) -> list[tuple[ir.Value, ...]]:
    """List, for each node in order, the values that are needed no more after it."""
    nodes = list(graph)
    last_use = {value: node for node in nodes for value in node.outputs}  # if nothing reads it
    last_use |= {value: node for node in nodes for value in node.inputs if value is not None}
    kept = set(graph.outputs)
    spent: dict[ir.Node, list[ir.Value]] = {}
    for value, user in last_use.items():
        if value not in kept:
            spent.setdefault(user, []).append(value)
    return [tuple(spent.get(node, ())) for node in nodes]


def operator_of(node: Call) -> Operator:
    """Look up the operator of a node.

    Raises
    ------
    UnsupportedError
        If it is not known, or has an attribute that is not.
    """
    operator = OPERATORS.get(node.op)
    if operator is None:
        raise node.unsupported(
            "this operator is not known here; remove it from the network, or cut the network "
            "before it"
        )
    unknown = unfamiliar(node, operator.attributes)
    if unknown is not None:
        raise node.unsupported(f"{unknown}: export the network for a newer opset")
    return operator


def data_inputs(graph: ir.Graph) -> list[ir.Value]:
    """Return the inputs that are not weights, which old models list among them."""
    return [value for value in graph.inputs if value.name not in graph.initializers]


def in_batches(
    call: Callable[[Sequence[Any]], Sequence[Any]],
    inputs: Sequence[ir.Value],
    arrays: Sequence[Any],
    concatenate: Callable[[Sequence[Any]], Any],
) -> list[Any]:
    """Call a network of such inputs on any batch: in parts, where it fixes its size."""
    results = [call(part) for part in _batches(inputs, arrays)]
    if len(results) == 1:
        return list(results[0])
    if fixed_batch(inputs) == 1:
        results = [by_image(outputs) for outputs in results]
    return [concatenate(parts) for parts in zip(*results, strict=True)]


def by_image(outputs: Sequence[Any]) -> list[Any]:
    """Give outputs of one image the batch, where the network has dropped it."""
    return [output if output.shape[:1] == (1,) else output[None] for output in outputs]


def _batches(inputs: Sequence[ir.Value], arrays: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Cut a batch into those of the size that the network is fixed to, if it is."""
    size = fixed_batch(inputs)
    batch = arrays[0].shape[0] if arrays and arrays[0].shape else None
    if size is None or batch in (None, size):
        yield arrays
        return
    if batch % size or not batch:
        raise ShapeError(f"the network computes {size} images at a time, got a batch of {batch}")
    for start in range(0, batch, size):
        yield [array[start : start + size] for array in arrays]


def fixed_batch(inputs: Sequence[ir.Value]) -> int | None:
    """Return the number of images that a network computes at a time; None if that is free."""
    sizes = {
        value.shape.dims[0] for value in inputs if value.shape is not None and value.shape.dims
    }
    size = sizes.pop() if len(sizes) == 1 else None
    return size if isinstance(size, int) else None


def of_one_image(model: ir.Model) -> ir.Model:
    """Copy a network, with a batch of one."""
    copy = model.clone()
    for value in data_inputs(copy.graph):
        if value.shape is not None and value.shape.dims:
            value.shape = ir.Shape([1, *value.shape.dims[1:]])
    return copy


def check_batch(inputs: Sequence[ir.Value]) -> None:
    """Check that a network does not compute more windows at a time than can be followed.

    Raises
    ------
    ShapeError
        If it does.
    """
    batch = fixed_batch(inputs) or 1
    windows = [[n for n in v.shape.dims[1:] if isinstance(n, int)] for v in inputs if v.shape]
    if batch > LARGEST_BATCH or batch * sum(map(math.prod, windows)) > LARGEST_IMAGES:
        raise ShapeError(
            f"the network computes {batch} images at a time, too many for its shapes to be "
            f"followed: export it with a batch that is free, or 1"
        )
