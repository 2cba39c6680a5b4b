"""What a rule asks of an operator that is applied: whoever reads a network hands these out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from fcconv.errors import FcconvError, ModelError, UnsupportedError

UNFIT = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
"""What libraries raise on arguments that do not fit."""


@dataclass(frozen=True, eq=False)
class Call:
    """An operator of ONNX with its attributes, of whatever network: inputs are handed on apart.

    Attributes
    ----------
    op : str
        Type of the operator, with its domain if that is not ONNX's own.
    name : str
        A name for what it makes.
    opset : int
        Version of the operator set that gives it its meaning.
    attributes : mapping of str to value or onnx_ir.Attr
        Its attributes.
    asked : tuple of bool
        For each of its results, whether anything reads it.
    """

    op: str
    name: str
    opset: int
    attributes: Mapping[str, Any] = field(default_factory=dict)
    asked: tuple[bool, ...] = (True,)

    def __str__(self) -> str:
        """Say its name and type, for errors and reports."""
        return f"{self.name} ({self.op})"

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return the value of an attribute; sequences are tuples.

        A default is in float32, as attributes are; in float64 it would be another number.
        """
        found = self.attributes.get(name)
        if found is None:
            return float(np.float32(default)) if isinstance(default, float) else default
        value = found
        if isinstance(found, ir.Attr):
            is_tensor = found.type == ir.AttributeType.TENSOR
            value = found.as_tensor() if is_tensor else found.value
        return tuple(value) if isinstance(value, list | tuple) else value

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
                raise about(self, ModelError(said))
        return tuple(axis % rank for axis in given)

    def has_output(self, index: int) -> bool:
        """Say whether the optional output at `index` is asked for."""
        return index < len(self.asked) and self.asked[index]

    def unsupported(self, reason: str) -> UnsupportedError:
        """Make the error that refuses it."""
        return about(self, UnsupportedError(reason))


@contextmanager
def named(call: Call) -> Iterator[None]:
    """Let errors of ours begin with the call; any other one is a mistake of ours, and stays."""
    try:
        yield
    except FcconvError as error:
        raise (error if error.node else about(call, error)) from None


@contextmanager
def computing(call: Call) -> Iterator[None]:
    """Let what a library raises on the arguments that a model gives it become a ModelError."""
    try:
        with named(call):
            yield
    except FcconvError:
        raise
    except UNFIT as error:
        said = ModelError(str(error) or type(error).__name__)
        raise about(call, said) from error


Error = TypeVar("Error", bound=FcconvError)


def about(call: Call, error: Error) -> Error:
    """Let an error begin with the call."""
    made = error.about(str(call))
    made.node = str(call)
    return made
