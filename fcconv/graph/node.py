"""A node of an ONNX graph as the operators read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from fcconv.errors import FcconvError, ModelError, UnsupportedError

MOST_NAMES = 8
"""Values up to which an error names them all."""


@dataclass(frozen=True)
class Node:
    """A node with the version of its operator set.

    Attributes
    ----------
    ir : onnx_ir.Node
        The node.
    opset : int
        Version of the operator set that gives it its meaning.
    """

    ir: ir.Node
    opset: int

    @property
    def op(self) -> str:
        """Type of the operator, with its domain if that is not ONNX's own."""
        return f"{self.ir.domain}.{self.ir.op_type}" if self.ir.domain else self.ir.op_type

    @property
    def name(self) -> str:
        """Name of the node, or of its first output where it has none."""
        first = next((value.name for value in self.ir.outputs), None)
        return self.ir.name or first or self.op

    def __str__(self) -> str:
        """Name the node and its type, for errors and reports."""
        return f"{self.name} ({self.op})"

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return the value of an attribute; sequences are tuples.

        A default is in float32, as attributes are; in float64 it would be another number.
        """
        attribute = self.ir.attributes.get(name)
        if attribute is None:
            return float(np.float32(default)) if isinstance(default, float) else default
        return (
            attribute.as_tensor()
            if attribute.type == ir.AttributeType.TENSOR
            else _plain(attribute.value)
        )

    def ints(
        self, name: str, given: npt.NDArray[Any] | None, default: Any = None
    ) -> tuple[int, ...]:
        """Return integers that older operator sets keep in an attribute, newer ones in an input."""
        if given is not None:
            return tuple(int(n) for n in np.ravel(given))
        found: tuple[int, ...] = self.attribute(name, default)
        return found

    def axes(self, given: Sequence[int], rank: int) -> tuple[int, ...]:
        """Check axes of a value of `rank` axes, and count them from 0 on.

        Raises
        ------
        ModelError
            If the value has no such axis.
        """
        for axis in given:
            if not -rank <= axis < rank:
                said = (
                    f"axis {axis} is out of range: a value of {rank} axes has those from {-rank} "
                    f"to {rank - 1}; export the network again"
                )
                raise _about(self, ModelError(said))
        return tuple(axis % rank for axis in given)

    def has_output(self, index: int) -> bool:
        """Say whether the optional output at `index` is asked for."""
        outputs = self.ir.outputs
        return index < len(outputs) and bool(
            outputs[index].name and (outputs[index].uses() or outputs[index].is_graph_output())
        )

    def unsupported(self, reason: str) -> UnsupportedError:
        """Make the error that refuses this node; a note says how to do without it."""
        error = _about(self, UnsupportedError(reason))
        graph = self.ir.graph
        inputs = [] if graph is None else [v for v in graph.inputs if v.const_value is None]
        read = {v: None for v in self.ir.inputs if v is not None and v.const_value is None}
        if 1 <= len(read) <= MOST_NAMES and read.keys().isdisjoint(inputs):
            error.add_note(f"{extraction(inputs, read)} writes what comes before it")
        return error


def extraction(inputs: Iterable[ir.Value], outputs: Iterable[ir.Value]) -> str:
    """Write the call that cuts a part out of the file of a network."""
    first, last = ([str(value.name) for value in values] for values in (inputs, outputs))
    return f"onnx.utils.extract_model(path, 'cut.onnx', {first}, {last})"


def constant_of(value: ir.Value | None) -> npt.NDArray[Any] | None:
    """Return the array of a constant; None for any other value."""
    return None if value is None or value.const_value is None else value.const_value.numpy()


def attribute_bytes(node: ir.Node) -> list[bytes]:
    """Return all bytes of each attribute, tables and inner graphs among them, in a fixed order."""
    protos = [ir.to_proto(attribute) for attribute in node.attributes.values()]
    return sorted(proto.SerializeToString(deterministic=True) for proto in protos)


def values_read(node: ir.Node) -> list[ir.Value | None]:
    """List the inputs of a node, and behind them what its inner graphs read from outside."""
    made: set[ir.Value | None] = {None}
    read: list[ir.Value | None] = []
    for graph in _inner_graphs(node):
        made.update(graph.inputs, graph.initializers.values())
        for inner in graph:
            read.extend(values_read(inner))
            made.update(inner.outputs)
        read.extend(graph.outputs)
    return [*node.inputs, *(value for value in dict.fromkeys(read) if value not in made)]


def _inner_graphs(node: ir.Node) -> Iterator[ir.Graph]:
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()
        elif attribute.type == ir.AttributeType.GRAPHS:
            yield from attribute.as_graphs()


Error = TypeVar("Error", bound=FcconvError)

UNFIT = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
"""What libraries raise on arguments that do not fit."""


@contextmanager
def named(node: Node) -> Iterator[None]:
    """Let errors of ours begin with the node; any other one is a mistake of ours, and stays."""
    try:
        yield
    except FcconvError as error:
        raise (error if error.node else _about(node, error)) from None


@contextmanager
def computing(node: Node) -> Iterator[None]:
    """Let what a library raises on the arguments that a model gives it become a ModelError."""
    try:
        with named(node):
            yield
    except FcconvError:
        raise
    except UNFIT as error:
        said = ModelError(str(error) or type(error).__name__)
        raise _about(node, said) from error


def _about(node: Node, error: Error) -> Error:
    """Let an error begin with the node."""
    made = error.about(str(node))
    made.node = str(node)
    return made


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else value
