"""A network as a callable on arrays, on a backend or in onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from fcconv.backend import backend as find_backend
from fcconv.backend import library
from fcconv.errors import BackendError
from fcconv.graph.load import Source, load
from fcconv.graph.run import Compiled, Program

if TYPE_CHECKING:
    from collections.abc import Callable


def compile(model: Source, backend: str = "numpy") -> Callable[..., Any]:  # noqa: A001 - fcconv.compile, as re.compile
    """Make a network callable on arrays.

    Parameters
    ----------
    model : path, onnx.ModelProto, onnx_ir.Model or torch.nn.Module
        The network.
    backend : {"numpy", "jax", "onnxruntime"}
        What computes.

    Returns
    -------
    callable
        Takes one array an input, in its declared shape with any batch, and returns the output, or a
        tuple of all outputs. For "numpy" and "jax" it has `params`, the floating point weights by
        name, and `apply(params, *inputs)`; under JAX a pure function of a pytree, which can be
        differentiated, compiled and sharded.

    Raises
    ------
    BackendError
        If the backend is unknown or not installed.
    UnsupportedError
        If an operator is not known.
    ModelError
        If the source is no valid network.
    """
    if backend == "onnxruntime":
        return _Session(load(model))
    return Compiled(Program(load(model)), find_backend(backend))


class ByArray:
    """A network on the backend of the arrays that it is called with."""

    def __init__(self, model: ir.Model) -> None:
        self._model = model
        self._compiled: dict[str, Callable[..., Any]] = {}

    def __call__(self, *inputs: Any) -> Any:
        """Compute on arrays of one library."""
        name = next((found for found in map(library, inputs) if found), "numpy")
        if name not in self._compiled:
            self._compiled[name] = compile(self._model, name)
        return self._compiled[name](*inputs)


class _Session:
    """A network in onnxruntime."""

    def __init__(self, model: ir.Model) -> None:
        try:
            import onnxruntime
        except ModuleNotFoundError:
            raise BackendError("onnxruntime is not installed: pip install onnxruntime") from None
        proto: Any = ir.to_proto(model)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._names = [value.name for value in self._session.get_inputs()]

    def __call__(self, *inputs: Any) -> Any:
        """Compute on NumPy arrays."""
        outputs = self._session.run(None, dict(zip(self._names, inputs, strict=True)))
        return outputs[0] if len(outputs) == 1 else tuple(outputs)
