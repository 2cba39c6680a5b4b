"""The target that computes: what rules make of a network becomes arrays, on any backend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from fcconv.backend import Backend
from fcconv.graph.call import Call
from fcconv.graph.rules.target import data_input
from fcconv.graph.rules.values import Constant
from fcconv.graph.running.run import compute, operator_of


@dataclass(frozen=True, eq=False)
class Tensor:
    """What an operator makes, computed when it is asked for.

    Attributes
    ----------
    dtype : dtype
        Type of its numbers.
    function : callable, optional
        Makes it of the values of its inputs.
    inputs : tuple of (Tensor or None)
        What it is made of.
    array : array, optional
        Its numbers, if it is a constant.
    """

    dtype: np.dtype[Any]
    function: Callable[..., Any] | None = None
    inputs: tuple[Tensor | None, ...] = ()
    array: npt.NDArray[Any] | None = None


@dataclass
class Computing:
    """Takes operators, and computes those that are needed.

    Attributes
    ----------
    backend : Backend
        What computes.
    opset : int
        Version of ONNX's operators.
    tensors : list of Tensor
        What was taken so far, in order.
    """

    backend: Backend[Any]
    opset: int
    tensors: list[Tensor] = field(default_factory=list)

    def emit(
        self,
        call: Call,
        op: str,
        inputs: Sequence[Tensor | None],
        attributes: Mapping[str, Any] | None = None,
        suffix: str = "",
    ) -> Tensor:
        """Take an operator."""
        step = Call(op, call.name + suffix, self.opset, attributes or {})
        operator = operator_of(step)
        shaping = {
            k: x.array for k, x in enumerate(inputs) if x is not None and k in operator.structural
        }

        def function(*arguments: Any) -> Any:
            given = [shaping.get(k, argument) for k, argument in enumerate(arguments)]
            return compute(operator, self.backend, step, given)[0]

        data = inputs[data_input(op)]
        dtype = np.dtype(np.float32) if data is None else data.dtype
        if op == "Cast":
            dtype = ir.DataType(step.attribute("to")).numpy()
        return self.add(function, inputs, dtype)

    def add(
        self, function: Callable[..., Any], inputs: Sequence[Tensor | None], dtype: np.dtype[Any]
    ) -> Tensor:
        """Take a function of the backend's arrays."""
        self.tensors.append(Tensor(dtype, function, tuple(inputs)))
        return self.tensors[-1]

    def constant(self, array: npt.NDArray[Any], name: str) -> Tensor:
        """Take a constant; arrays need no name."""
        return Tensor(array.dtype, array=array)

    def keep(self, constant: Constant, call: Call) -> Tensor:
        """Take a constant as it is."""
        return self.constant(constant.array, call.name)

    def dtype(self, tensor: Tensor) -> np.dtype[Any]:
        """Return the type of a tensor's numbers."""
        return tensor.dtype

    def data(self, array: npt.NDArray[Any]) -> Any:
        """Give the numbers of a constant to the backend."""
        return self.backend.asarray(array)

    def computed(self, wanted: Iterable[Tensor], given: Mapping[Tensor, Any]) -> list[Any]:
        """Compute some tensors, and no others than they need, from arrays that are given."""
        wanted = list(wanted)
        values: dict[Tensor | None, Any] = {None: None}
        values.update(given.items())

        def value(tensor: Tensor | None) -> Any:
            if tensor not in values and tensor is not None and tensor.array is not None:
                values[tensor] = self.data(tensor.array)
            return values[tensor]

        for tensor in self._needed(wanted):
            if tensor.function is not None and tensor not in values:
                values[tensor] = tensor.function(*map(value, tensor.inputs))
        return list(map(value, wanted))

    def _needed(self, wanted: Sequence[Tensor]) -> list[Tensor]:
        """Keep what some tensors depend on, in order."""
        needed: set[Tensor | None] = {*wanted}
        kept = []
        for tensor in reversed(self.tensors):
            if tensor in needed:
                needed.update(tensor.inputs)
                kept.append(tensor)
        return kept[::-1]
