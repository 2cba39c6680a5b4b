"""A network on a backend: a callable on arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

import fcconv_numpy
from fcconv.backend import Backend
from fcconv.errors import DtypeError, ShapeError, UnsupportedError
from fcconv.graph.node import Node, named
from fcconv.graph.operator import Operator
from fcconv.graph.operators import OPERATORS

Visit: TypeAlias = Callable[[Node, tuple[Any, ...]], None]


@dataclass(frozen=True)
class Step:
    """One node of a program, with the values that are needed no more after it."""

    node: Node
    operator: Operator
    spent: tuple[ir.Value, ...]


class Program:
    """The nodes of a model in order, each with its operator.

    Parameters
    ----------
    model : onnx_ir.Model
        A checked model, see :mod:`fcconv.graph.load`.

    Raises
    ------
    UnsupportedError
        If a node's operator is not known.
    """

    def __init__(self, model: ir.Model) -> None:
        self.graph = model.graph
        self.constants = {value: value.const_value for value in self.graph.initializers.values()}
        self.inputs = [value for value in self.graph.inputs if value not in self.constants]
        self.steps = list(_steps(self.graph))

    def parameters(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the floating point weights by name, as they lie in the model."""
        return {
            str(value.name): tensor.numpy()
            for value, tensor in self.constants.items()
            if tensor is not None and tensor.dtype.is_floating_point()
        }

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
            One array an input of the network.
        visit : callable, optional
            Is shown each node and its outputs.
        """
        values: dict[ir.Value | None, Any] = dict(zip(self.inputs, inputs, strict=True))
        static: dict[ir.Value | None, Any] = {
            value: tensor.numpy() for value, tensor in self.constants.items() if tensor is not None
        }

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
                made = compute(operator, backend, node, arguments)
                target = static if operator.static else values
                target.update(zip(node.ir.outputs, made, strict=False))
                if visit is not None and not operator.static:
                    visit(node, made)
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
        results = [
            self.run(backend, parameters, part, visit) for part in _batches(self.inputs, inputs)
        ]
        return [
            parts[0] if len(parts) == 1 else backend.namespace.concatenate(parts)
            for parts in zip(*results, strict=True)
        ]


def compute(
    operator: Operator, backend: Backend[Any], node: Node, arguments: Sequence[Any]
) -> tuple[Any, ...]:
    """Compute one node; errors begin with its name."""
    structural = [
        np.asarray(argument)
        if position in operator.structural and argument is not None
        else argument
        for position, argument in enumerate(arguments)
    ]
    with named(node):
        made = operator.compute(backend, node, *structural)
    return made if isinstance(made, tuple) else (made,)


def _steps(graph: ir.Graph) -> Iterator[Step]:
    nodes = list(graph)
    last_use = {value: node for node in nodes for value in node.inputs if value is not None}
    kept = set(graph.outputs)
    spent: dict[ir.Node, list[ir.Value]] = {}
    for value, user in last_use.items():
        if value not in kept:
            spent.setdefault(user, []).append(value)
    for ir_node in nodes:
        node = Node(ir_node, graph.opset_imports.get(ir_node.domain, 0))
        yield Step(node, operator_of(node), tuple(spent.get(ir_node, ())))


def operator_of(node: Node) -> Operator:
    """Look up the operator of a node.

    Raises
    ------
    UnsupportedError
        If it is not known.
    """
    operator = OPERATORS.get(node.op)
    if operator is None:
        raise UnsupportedError(
            f"{node}: this operator is not known here; remove it from the network, or cut the "
            f"network before it"
        )
    return operator


class Compiled:
    """A network that computes on one backend.

    Parameters
    ----------
    program : Program
        The network.
    backend : Backend
        What computes.

    Attributes
    ----------
    params : dict of str to array
        The floating point weights by name: a pytree for JAX.
    """

    def __init__(self, program: Program, backend: Backend[Any]) -> None:
        self._program = program
        self._backend = backend
        self.params: dict[str, Any] = {
            name: backend.asarray(weight) for name, weight in program.parameters().items()
        }
        self._call: Callable[..., Any] = self.apply
        if backend.namespace.__name__ == "jax.numpy":
            import jax

            self._call = jax.jit(self.apply)

    def apply(self, params: Mapping[str, Any], *inputs: Any) -> Any:
        """Compute with other weights; under JAX this is a pure function that can be traced.

        Parameters
        ----------
        params : mapping of str to array
            The weights, as in `params`.
        *inputs : array
            One array an input, of the shape that the network declares; the batch is free.

        Returns
        -------
        array or tuple of array
            The output, or one array an output.
        """
        arrays = [
            _checked(value, array)
            for value, array in zip(self._program.inputs, inputs, strict=True)
        ]
        outputs = self._program.run_batches(self._backend, params, arrays)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def __call__(self, *inputs: Any) -> Any:
        """Compute on arrays; see :meth:`apply`."""
        if len(inputs) != len(self._program.inputs):
            names = ", ".join(str(value.name) for value in self._program.inputs)
            raise ShapeError(f"the network needs {names}, got {len(inputs)} arrays")
        return self._call(self.params, *(_plain(array, self._backend) for array in inputs))


def _plain(array: Any, backend: Backend[Any]) -> Any:
    return backend.asarray(array) if isinstance(array, np.ndarray) else array


def _checked(value: ir.Value, array: Any) -> Any:
    """Check an input against what the network declares."""
    if value.dtype is not None and np.dtype(array.dtype) != value.dtype.numpy():
        raise DtypeError(
            f"input {value.name!r} needs dtype {value.dtype.numpy()}, got {array.dtype}: "
            f"convert it with .astype"
        )
    if value.shape is None:
        return array
    declared = value.shape.dims
    fits = len(declared) == len(array.shape) and all(
        not isinstance(n, int) or n == m for n, m in zip(declared[1:], array.shape[1:], strict=True)
    )
    if not fits:
        raise ShapeError(f"input {value.name!r} needs the shape {value.shape}, got {array.shape}")
    return array


def _batches(inputs: Sequence[ir.Value], arrays: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Cut a batch into those of the size that the network is fixed to, if it is."""
    fixed = {
        value.shape.dims[0] for value in inputs if value.shape is not None and value.shape.dims
    }
    size = fixed.pop() if len(fixed) == 1 else None
    batch = arrays[0].shape[0] if arrays and arrays[0].shape else None
    if not isinstance(size, int) or batch in (None, size):
        yield arrays
        return
    if batch % size or not batch:
        raise ShapeError(f"the network computes {size} images at a time, got a batch of {batch}")
    for start in range(0, batch, size):
        yield [array[start : start + size] for array in arrays]
