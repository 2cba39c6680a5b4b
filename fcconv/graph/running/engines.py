"""A network as a callable on arrays, on a backend or in onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from fcconv.backend import BACKENDS, ONNXRUNTIME, ArrayBackend, either, engines, library
from fcconv.backend import backend as find_backend
from fcconv.errors import BackendError, DtypeError
from fcconv.graph.files.load import Source, load
from fcconv.graph.running.compiled import Compiled, check_inputs, check_params
from fcconv.graph.running.run import Program
from fcconv.graph.running.session import Session


def compile(  # noqa: A001 - fcconv.compile, as re.compile
    model: Source, backend: str = "numpy", *, window: Sequence[int] | None = None
) -> Compiled:
    """Make a network callable on arrays.

    Parameters
    ----------
    model : path, onnx.ModelProto, onnx_ir.Model, Sliding, Pointwise or torch.nn.Module
        The network.
    backend : str
        What computes: a backend, "numpy", "jax" or "torch", or "onnxruntime". Without "jax" nothing
        is compiled ahead, "numpy" and "torch" compute node by node.
    window : sequence of int, optional
        Shape of one input without the batch, for a PyTorch module.

    Returns
    -------
    Compiled
        Takes one array per input, in its declared shape with any batch, and returns the output, or
        a tuple of all outputs. It has `params`, the floating point weights by name, and
        ``apply(params, *inputs)``; under JAX a pure function of a pytree, which can be
        differentiated, compiled and sharded. On "torch" it is a ``torch.nn.Module``, whose
        parameters these are, to be moved, trained, compiled and exported as any other. On
        onnxruntime `params` is empty.

    Raises
    ------
    BackendError
        If the backend is unknown or not installed.
    UnsupportedError
        If an operator is not known.
    ModelError
        If the source is not a valid network.

    Examples
    --------
    >>> import numpy as np
    >>> from fcconv.demo.network import load_faces
    >>> network = compile(load_faces())
    >>> network(np.zeros((5, 1, 25, 25), np.float32)).shape
    (5, 1)
    """
    if backend == ONNXRUNTIME:
        return Session(load(model, window))
    if backend not in BACKENDS:
        known = either(map(repr, engines()))
        raise BackendError(f"unknown backend {backend!r}: use {known}")
    network: Compiled = find_backend(backend).as_library(
        OnBackend(Program(load(model, window)), backend)
    )
    return network


class OnBackend(Compiled):
    """A network that computes on a backend.

    Parameters
    ----------
    program : Program
        The network.
    name : str
        The backend.

    Raises
    ------
    DtypeError
        If the backend has no arrays of the dtype of an input.
    """

    def __init__(self, program: Program, name: str) -> None:
        backend = find_backend(name)
        _check_dtypes(program.inputs, backend)
        self.engine = name
        self.inputs = program.inputs
        self.params = program.parameters(backend)
        self._program, self._backend = program, backend
        self._call = backend.jit(self.apply)

    def apply(self, params: Mapping[str, Any], *inputs: Any) -> Any:
        """Compute with other weights; see :meth:`Compiled.apply`."""
        check_inputs(self.inputs, inputs)
        check_params(self.params, params)
        arrays = list(map(self._backend.asarray, inputs))
        outputs = self._program.run_batches(self._backend, params, arrays)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def __call__(self, *inputs: Any) -> Any:
        """Compute on arrays; see :meth:`Compiled.apply`."""
        check_inputs(self.inputs, inputs)
        return self._call(self.params, *map(self._backend.asarray, inputs))


def _check_dtypes(declared: Sequence[ir.Value], backend: ArrayBackend[Any]) -> None:
    """Check that a backend has arrays of the dtypes of the inputs."""
    for value in declared:
        dtype = None if value.dtype is None else value.dtype.numpy()
        hint = "" if dtype is None else backend.missing_dtype(dtype)
        if hint:
            raise DtypeError(f"input {value.name!r} needs dtype {dtype}, for which {hint}")


class ByArray:
    """A network on the backend of the arrays that it is called with, and on their device."""

    def __init__(self, model: ir.Model) -> None:
        self._model = model
        self._compiled: dict[tuple[str, str], Compiled] = {}

    def __call__(self, *inputs: Any) -> Any:
        """Compute on arrays of one library."""
        array = next(filter(library, inputs), np.empty(0))
        name = str(library(array))
        backend = find_backend(name)
        key = name, backend.device(array)
        with backend.on_device(key[1]):
            if key not in self._compiled:
                self._compiled[key] = OnBackend(Program(load(self._model)), name)
            return self._compiled[key](*inputs)
