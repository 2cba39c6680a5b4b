"""A network in onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from fcconv.backend import ONNXRUNTIME, to_numpy
from fcconv.errors import UnsupportedError
from fcconv.graph.engines.compiled import Compiled, check_inputs, check_params, described
from fcconv.graph.engines.providers import CPU, in_words, load_onnxruntime
from fcconv.graph.running.run import data_inputs, in_batches

MIN_EXTERNAL_BYTES = 2**20
"""Bytes from which on a weight is handed over to onnxruntime as it lies in memory."""


@dataclass(eq=False, repr=False)
class Session(Compiled):
    """A network in onnxruntime; :func:`open_session` makes it.

    Attributes
    ----------
    params, trainable : dict, frozenset
        Empty: onnxruntime keeps the weights to itself.
    asked, providers : tuple of str
        The providers that were asked for, none for the CPU's alone, and those that it could start:
        each computes the nodes that the ones before it can't.
    """

    engine: str
    params: dict[str, Any]
    trainable: frozenset[str]
    inputs: Sequence[ir.Value]
    asked: tuple[str, ...]
    providers: tuple[str, ...]
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

    def __repr__(self) -> str:
        """Say by which providers it computes, where they were chosen, and what is taken."""
        return described(in_words(self.engine, self.asked and self.providers), self.inputs)

    def _run(self, arrays: Sequence[Any]) -> list[Any]:
        feed = {str(v.name): array for v, array in zip(self.inputs, arrays, strict=True)}
        with _named_errors():
            return list(self._session.run(None, feed))


def open_session(
    model: ir.Model, providers: tuple[str, ...] = (), *, layouts: bool = True
) -> Session:
    """Bring a network into onnxruntime.

    Parameters
    ----------
    model : onnx_ir.Model
        The network.
    providers : tuple of str
        What computes, as :func:`~fcconv.graph.engines.providers.find_providers` names it; the CPU,
        if left out.
    layouts : bool, default: True
        Whether onnxruntime may copy weights into other layouts, which compute faster.

    Raises
    ------
    BackendError
        If onnxruntime is not installed.
    UnsupportedError
        If it refuses the network.
    """
    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = _threads()
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
        session = onnxruntime.InferenceSession(
            written,
            options,
            providers=providers or (CPU,),
            enable_fallback=0,  # which would print what fails, and go on with the CPU
        )
    got = tuple(session.get_providers())
    return Session(ONNXRUNTIME, {}, frozenset(), data_inputs(model.graph), providers, got, session)


def _threads() -> int:
    """Count the threads that a user wants, as BLAS and PyTorch do; 0 for one for each core.

    Processes that compute parts side by side have one each, or they would wait for each other.
    """
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return int(wanted) if wanted.isdecimal() else 0


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
