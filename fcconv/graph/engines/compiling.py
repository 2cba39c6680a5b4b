"""A network as a callable on arrays, on a backend or in onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from fcconv.backend import BACKENDS, ONNXRUNTIME, ArrayBackend, either, engines, library, on_device
from fcconv.backend import backend as find_backend
from fcconv.errors import ArgumentError, BackendError, DtypeError
from fcconv.graph.engines.compiled import Compiled, check_inputs, check_params
from fcconv.graph.engines.providers import find_providers
from fcconv.graph.engines.session import open_session
from fcconv.graph.files.load import Source, load
from fcconv.graph.running.run import Program, program_of


def compile(  # noqa: A001 - fcconv.compile, as re.compile
    model: Source,
    backend: str = "numpy",
    *,
    window: Sequence[int] | None = None,
    providers: Sequence[str] | None = None,
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
    providers : sequence of str, optional
        What onnxruntime computes by, the first that can: "cuda", "tensorrt", "coreml", "directml",
        "cpu", or a name of its own, such as "OpenVINOExecutionProvider". What none of them can
        compute, the CPU does, as it does everything if they are left out.

    Returns
    -------
    Compiled
        Takes one array per input, in its declared shape with any batch, and returns the output, or
        a tuple of all outputs. It has `params`, the floating point weights by name, and
        ``apply(params, *inputs)``; under JAX a pure function of a pytree, which can be
        differentiated, compiled and sharded. On "torch" it is a ``torch.nn.Module``, whose
        parameters these are, to be moved, trained, compiled and exported as any other. On
        onnxruntime `params` is empty, and what is printed of it says by which providers it
        computes, if they were chosen.

    Raises
    ------
    BackendError
        If the backend or a provider is unknown or not installed, or providers are not for
        onnxruntime.
    UnsupportedError
        If an operator is not known.
    ArgumentError
        If `providers` is no list of names.
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
    return known_engine(backend, providers).compile(model, window)


@dataclass(frozen=True)
class Engine:
    """What computes a network, and on what.

    Attributes
    ----------
    name : str
        A backend, or "onnxruntime".
    providers : tuple of str
        What onnxruntime computes by; the CPU, if empty.
    device : str
        Where a backend computes; where its library does by itself, if empty.
    """

    name: str
    providers: tuple[str, ...] = ()
    device: str = ""

    def compile(self, model: Source, window: Sequence[int] | None = None) -> Compiled:
        """Make a network callable; see :func:`compile`."""
        loaded = load(model, window)
        if self.name == ONNXRUNTIME:
            return open_session(loaded, self.providers)
        with self.on_device():
            network: Compiled = find_backend(self.name).as_library(
                on_backend(program_of(loaded), self.name)
            )
        return network

    def on_device(self) -> AbstractContextManager[Any]:
        """Give a context in which a network is made and computed on the device."""
        return on_device(self.name, self.device)


def known_engine(name: str, providers: Sequence[str] | None = None) -> Engine:
    """Find an engine, if there is one of this name; see :func:`find_engine`."""
    if name not in engines():
        known = either(map(repr, engines()))
        raise BackendError(f"unknown backend {name!r}: use {known}")
    return find_engine(name, providers)


def find_engine(name: str, providers: Any = None, device: Any = None) -> Engine:
    """Find an engine by its name, and what it is to compute on.

    Raises
    ------
    ArgumentError
        If providers or a device are no names.
    BackendError
        If they are not there, or of another engine.
    """
    if providers is not None and name != ONNXRUNTIME:
        raise BackendError(
            f"providers (--providers) are those of {ONNXRUNTIME!r}, not of {name!r}: name it as "
            f"the engine (--engine)"
        )
    found = () if providers is None else find_providers(providers)
    if device is None:
        return Engine(name, found)
    if not isinstance(device, str) or not device:
        raise ArgumentError(f"device needs a name such as 'cuda:0', got {device!r}")
    if name not in BACKENDS:
        raise BackendError(
            f"device (--device) {device!r} is one of 'jax' or 'torch', not of {name!r}: "
            + ("give providers (--providers)" if name == ONNXRUNTIME else "name one (--engine)")
        )
    find_backend(name).check_device(device)
    return Engine(name, found, device)


@dataclass(eq=False, repr=False)
class OnBackend(Compiled):
    """A network that computes on a backend; :func:`on_backend` makes it."""

    engine: str
    params: dict[str, Any]
    trainable: frozenset[str]
    inputs: Sequence[ir.Value]
    _backend: ArrayBackend[Any]
    _apply: Callable[..., Any]
    _call: Callable[..., Any]

    def apply(self, params: Mapping[str, Any], *inputs: Any) -> Any:
        """Compute with other weights; see :meth:`Compiled.apply`."""
        return self._apply(params, *inputs)

    def __call__(self, *inputs: Any) -> Any:
        """Compute on arrays; see :meth:`Compiled.apply`."""
        check_inputs(self.inputs, inputs)
        return self._call(self.params, *map(self._backend.asarray, inputs))


def on_backend(program: Program, name: str) -> OnBackend:
    """Compile a network for a backend.

    Raises
    ------
    DtypeError
        If the backend has no arrays of the dtype of an input.
    """
    backend = find_backend(name)
    _check_dtypes(program.inputs, backend)
    known = program.parameters(backend)

    def apply(params: Mapping[str, Any], *inputs: Any) -> Any:
        check_inputs(program.inputs, inputs)
        check_params(known, params)
        outputs = program.run_batches(backend, params, list(map(backend.asarray, inputs)))
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    call = backend.jit(apply)
    return OnBackend(name, known, program.trainable(), program.inputs, backend, apply, call)


def _check_dtypes(declared: Sequence[ir.Value], backend: ArrayBackend[Any]) -> None:
    """Check that a backend has arrays of the dtypes of the inputs."""
    for value in declared:
        dtype = None if value.dtype is None else value.dtype.numpy()
        hint = "" if dtype is None else backend.missing_dtype(dtype)
        if hint:
            raise DtypeError(f"input {value.name!r} needs dtype {dtype}, for which {hint}")


@dataclass(eq=False)
class ByArray:
    """A network on the backend of the arrays that it is called with, and on their device."""

    model: ir.Model
    _compiled: dict[tuple[str, str], Compiled] = field(default_factory=dict)

    def __call__(self, *inputs: Any) -> Any:
        """Compute on arrays of one library."""
        array = next(filter(library, inputs), np.empty(0))
        name = str(library(array))
        backend = find_backend(name)
        key = name, backend.device(array)
        with backend.on_device(key[1]):
            if key not in self._compiled:
                self._compiled[key] = on_backend(program_of(load(self.model)), name)
            return self._compiled[key](*inputs)
