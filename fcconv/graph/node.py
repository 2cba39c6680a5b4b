"""A node of an ONNX graph as the operators read it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from fcconv.errors import FcconvError, ModelError, UnsupportedError


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
        """Return the value of an attribute; sequences are tuples."""
        attribute = self.ir.attributes.get(name)
        if attribute is None:
            return default
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

    def has_output(self, index: int) -> bool:
        """Say whether the optional output at `index` is asked for."""
        outputs = self.ir.outputs
        return index < len(outputs) and bool(
            outputs[index].name and (outputs[index].uses() or outputs[index].is_graph_output())
        )

    def unsupported(self, reason: str) -> UnsupportedError:
        """Make the error that refuses this node."""
        return UnsupportedError(f"{self}: {reason}")


UNFIT = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
"""What libraries raise on arguments that do not fit."""


@contextmanager
def named(node: Node) -> Iterator[None]:
    """Let every error begin with the node; what a library raises becomes a ModelError."""
    try:
        yield
    except FcconvError as error:
        if str(error).startswith(str(node)):
            raise
        raise type(error)(f"{node}: {error}") from None
    except UNFIT as error:
        raise ModelError(f"{node}: {str(error) or type(error).__name__}") from error


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else value
