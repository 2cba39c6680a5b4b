"""A network as a callable on arrays, on a backend or in onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx_ir as ir

from fcconv.backend import Backend, check_alive, library
from fcconv.backend import backend as find_backend
from fcconv.errors import ArgumentError, BackendError, DtypeError, ShapeError, UnsupportedError
from fcconv.graph.load import Source, load
from fcconv.graph.run import Program, data_inputs, in_batches

LARGE_WEIGHT = 2**20
"""Bytes from which on a weight is handed over to onnxruntime as it lies in memory."""


def compile(  # noqa: A001 - fcconv.compile, as re.compile
    model: Source, backend: str = "numpy", *, window: Sequence[int] | None = None
) -> Callable[..., Any]:
    """Make a network callable on arrays.

    Parameters
    ----------
    model : path, onnx.ModelProto, onnx_ir.Model, Sliding, Pointwise or torch.nn.Module
        The network.
    backend : {"numpy", "jax", "onnxruntime"}
        What computes; without "jax" nothing is compiled ahead, "numpy" computes node by node.
    window : sequence of int, optional
        Shape of one input without the batch, for a PyTorch module.

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

    Examples
    --------
    >>> import numpy as np
    >>> from fcconv.demo.network import load_faces
    >>> network = compile(load_faces())
    >>> network(np.zeros((5, 1, 25, 25), np.float32)).shape
    (5, 1)
    """
    if backend == "onnxruntime":
        return _Session(load(model, window))
    if backend not in ("numpy", "jax"):
        raise BackendError(f"unknown backend {backend!r}: use 'numpy', 'jax' or 'onnxruntime'")
    return Compiled(Program(load(model, window)), find_backend(backend))


class _Callable:
    """A network that is called on arrays, as it prints; it is compiled again in each process."""

    _inputs: Sequence[ir.Value]
    _engine: str

    def __repr__(self) -> str:
        """Say what computes, and what is taken."""
        taken = ", ".join(f"{v.name}: {v.dtype} {v.shape}" for v in self._inputs)
        return f"<network on {self._engine}, {taken}>"

    def __reduce__(self) -> Any:
        """Refuse to be pickled."""
        raise UnsupportedError(
            "a compiled network can't be pickled or copied: pickle the network that it was made "
            "of, and compile that again"
        )


class Compiled(_Callable):
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
        self._inputs = program.inputs
        self._backend = backend
        self._engine = "jax" if backend.namespace.__name__ == "jax.numpy" else "numpy"
        self.params = program.parameters(backend)
        self._call: Callable[..., Any] = self.apply
        if self._engine == "jax":
            import jax

            _check_bits(program.inputs, backend)
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
        _check_inputs(self._inputs, inputs)
        _check_params(self.params, params)
        outputs = self._program.run_batches(self._backend, params, inputs)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def __call__(self, *inputs: Any) -> Any:
        """Compute on arrays; see :meth:`apply`."""
        _check_inputs(self._inputs, inputs)
        return self._call(self.params, *map(self._backend.asarray, inputs))


def _check_bits(declared: Sequence[ir.Value], backend: Backend[Any]) -> None:
    """Check that JAX, which has 64 bits only where these are asked for, holds the inputs."""
    for value in declared:
        if value.dtype == ir.DataType.DOUBLE and backend.asarray(np.zeros(1)).itemsize < 8:
            raise DtypeError(
                f"input {value.name!r} needs dtype float64, for which JAX is to be started with "
                f'JAX_ENABLE_X64=1, or jax.config.update("jax_enable_x64", True)'
            )


def _check_params(known: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Check that weights have the names and shapes of the network's own."""
    for name in {*known} ^ {*given}:
        what = "needs the weight" if name in known else "has no weight"
        raise ArgumentError(f"the network {what} {name!r}: its weights are those of params")
    for name, weight in known.items():
        if weight.shape != given[name].shape:
            raise ShapeError(f"{name!r} needs the shape {weight.shape}, got {given[name].shape}")
        check_alive(f"the weight {name!r}", given[name])


def _check_inputs(declared: Sequence[ir.Value], inputs: Sequence[Any]) -> None:
    """Check the inputs against what the network declares."""
    if len(inputs) != len(declared):
        names = ", ".join(str(value.name) for value in declared)
        raise ArgumentError(f"the network needs {names}, got {len(inputs)} arrays")
    for value, array in zip(declared, inputs, strict=True):
        _check_input(value, array)


def _check_input(value: ir.Value, array: Any) -> None:
    if library(array) is None:
        raise BackendError(
            f"input {value.name!r} is a {type(array).__module__}.{type(array).__qualname__}: pass "
            f"a NumPy or JAX array"
        )
    check_alive(f"input {value.name!r}", array)
    if value.dtype is not None and np.dtype(array.dtype) != value.dtype.numpy():
        raise DtypeError(
            f"input {value.name!r} needs dtype {value.dtype.numpy()}, got {array.dtype}: "
            f"convert it with .astype"
        )
    if value.shape is None:
        return
    declared = value.shape.dims
    fits = len(declared) == len(array.shape) and all(
        not isinstance(n, int) or n == m for n, m in zip(declared[1:], array.shape[1:], strict=True)
    )
    if not fits:
        hint = ": add the batch, x[None]" if len(array.shape) == len(declared) - 1 else ""
        raise ShapeError(
            f"input {value.name!r} needs the shape {value.shape}, got {array.shape}{hint}"
        )


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


class _Session(_Callable):
    """A network in onnxruntime."""

    _engine = "onnxruntime"

    def __init__(self, model: ir.Model) -> None:
        try:
            import onnxruntime
        except ModuleNotFoundError:
            raise BackendError("onnxruntime is not installed: pip install onnxruntime") from None
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        written, weights = _without_weights(model)
        with _named_errors():
            held = [onnxruntime.OrtValue.ortvalue_from_numpy(w) for w in weights.values()]
            options.add_external_initializers(list(weights), held)
            self._session = onnxruntime.InferenceSession(
                written, options, providers=["CPUExecutionProvider"]
            )
        self._inputs = data_inputs(model.graph)

    def __call__(self, *inputs: Any) -> Any:
        """Compute on NumPy arrays."""
        _check_inputs(self._inputs, inputs)
        arrays = [np.asarray(array) for array in inputs]
        outputs = in_batches(self._run, self._inputs, arrays, np.concatenate)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _run(self, arrays: Sequence[Any]) -> list[Any]:
        feed = {str(v.name): array for v, array in zip(self._inputs, arrays, strict=True)}
        with _named_errors():
            return list(self._session.run(None, feed))


def _without_weights(model: ir.Model) -> tuple[bytes, dict[str, Any]]:
    """Write a model without its large weights, and return these beside it: nothing is copied."""
    small, weights = model.clone(), {}
    for name, value in small.graph.initializers.items():
        tensor = value.const_value
        if tensor is None or tensor.nbytes < LARGE_WEIGHT or tensor.dtype.numpy().kind != "f":
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
