"""What rules write to: a target takes operators, and returns handles of their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fcconv.graph.call import Call
from fcconv.graph.rules.values import Constant, T


def data_input(op: str) -> int:
    """Return which input of an operator has the type of what it makes, unless that is a Cast."""
    return 1 if op == "Where" else 0  # the first input of Where is its condition


class Target(Protocol[T]):
    """Takes operators of ONNX, in order; a tensor is known by a handle of type `T`.

    :class:`fcconv.graph.rules.writer.Writer` writes nodes, whose handles are values of a graph;
    :class:`fcconv.graph.running.computing.Computing` computes, on arrays of any backend.
    """

    @property
    def opset(self) -> int:
        """Version of the operators that it takes."""
        ...

    def emit(
        self,
        call: Call,
        op: str,
        inputs: Sequence[T | None],
        attributes: Mapping[str, Any] | None = None,
        suffix: str = "",
    ) -> T:
        """Take the operator that `call` becomes or, with a suffix, a helper beside it."""
        ...

    def constant(self, array: npt.NDArray[Any], name: str) -> T:
        """Take a constant."""
        ...

    def keep(self, constant: Constant, call: Call) -> T:
        """Take a constant as it is; one of the patch network's own may be there already."""
        ...

    def dtype(self, tensor: T) -> np.dtype[Any]:
        """Return the type of a tensor's numbers."""
        ...
