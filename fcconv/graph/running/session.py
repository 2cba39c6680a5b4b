"""A network in onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from fcconv.backend import ONNXRUNTIME, to_numpy
from fcconv.errors import BackendError, UnsupportedError
from fcconv.graph.running.compiled import Compiled, check_inputs, check_params
from fcconv.graph.running.run import data_inputs, in_batches

MIN_EXTERNAL_BYTES = 2**20
"""Bytes from which on a weight is handed over to onnxruntime as it lies in memory."""


@dataclass(eq=False, repr=False)
class Session(Compiled):
    """A network in onnxruntime, on the CPU; :func:`open_session` makes it.

    Attributes
    ----------
    params, trainable : dict, frozenset
        Empty: onnxruntime keeps the weights to itself.
    """

    engine: str
    params: dict[str, Any]
    trainable: frozenset[str]
    inputs: Sequence[ir.Value]
    _session: Any

    def apply(self, params: Mapping[str, Any], *inputs: Any) -> Any:
        """Compute on arrays; `params` is to be empty, see :meth:`Compiled.apply`."""
        check_params(self.params, params)
        return self(*inputs)

    def __call__(self, *inputs: Any) -> Any:
        """Compute on arrays; the results are NumPy's."""
        check_inputs(self.inputs, inputs)
        outputs = in_batches(self._run, self.inputs, list(map(to_numpy, inputs)), np.concatenate)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _run(self, arrays: Sequence[Any]) -> list[Any]:
        feed = {str(v.name): array for v, array in zip(self.inputs, arrays, strict=True)}
        with _named_errors():
            return list(self._session.run(None, feed))


def open_session(model: ir.Model, *, layouts: bool = True) -> Session:
    """Bring a network into onnxruntime.

    Parameters
    ----------
    model : onnx_ir.Model
        The network.
    layouts : bool, default: True
        Whether onnxruntime may copy weights into other layouts, which compute faster.

    Raises
    ------
    BackendError
        If onnxruntime is not installed.
    UnsupportedError
        If it refuses the network.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise BackendError("onnxruntime is not installed: pip install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # in the order of the network, in which what strips are cut from is soon read; the engine's
    # own makes first what windows share, and keeps all of it
    options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED
    options.enable_mem_pattern = False  # takes up to twice the memory, and as long
    if not layouts:
        level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.graph_optimization_level = level
        options.add_session_config_entry("session.disable_prepacking", "1")
    written, weights = _without_weights(model)
    with _named_errors():
        held = [onnxruntime.OrtValue.ortvalue_from_numpy(w) for w in weights.values()]
        options.add_external_initializers(list(weights), held)
        session = onnxruntime.InferenceSession(written, options, providers=["CPUExecutionProvider"])
    return Session(ONNXRUNTIME, {}, frozenset(), data_inputs(model.graph), session)


def _without_weights(model: ir.Model) -> tuple[bytes, dict[str, Any]]:
    """Write a model without its large weights, and return these beside it: nothing is copied."""
    small, weights = model.clone(), {}
    for name, value in small.graph.initializers.items():
        tensor = value.const_value
        if tensor is None or tensor.nbytes < MIN_EXTERNAL_BYTES or tensor.dtype.numpy().kind != "f":
            continue
        weights[name] = np.ascontiguousarray(tensor.numpy())
        value.const_value = ir.ExternalTensor(
            "weights",
            0,
            tensor.nbytes,
            tensor.dtype,
            shape=ir.Shape(tensor.shape.numpy()),
            name=name,
        )
    proto: Any = ir.to_proto(small)
    return proto.SerializeToString(), weights


@contextmanager
def _named_errors() -> Iterator[None]:
    """Turn the errors of onnxruntime, which have no common class, into one that names it."""
    try:
        yield
    except Exception as error:
        raise UnsupportedError(f"onnxruntime: {error}") from error
