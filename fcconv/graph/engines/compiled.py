"""The interface of a compiled network on every engine, and the checks before it computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Protocol, runtime_checkable

import onnx_ir as ir

from fcconv.backend import array_dtype, check_alive, library, plain_arrays
from fcconv.errors import ArgumentError, BackendError, DtypeError, ShapeError, UnsupportedError


@runtime_checkable
class Compiled(Protocol):
    """A network as a callable on arrays; :func:`fcconv.compile` makes it.

    Attributes
    ----------
    engine : str
        What computes: the name of a backend, or "onnxruntime".
    params : dict of str to array
        The floating point weights by name, as arrays of the backend: a pytree for JAX. Empty on
        onnxruntime, which keeps the weights to itself.
    trainable : frozenset of str
        Names of the weights that training changes: not the statistics that a BatchNormalization
        keeps, nor numbers without axes.

    Examples
    --------
    >>> import numpy as np
    >>> import fcconv
    >>> from fcconv.demo.network import load_faces
    >>> network = fcconv.compile(load_faces())
    >>> windows = np.ones((2, 1, 25, 25), np.float32)
    >>> halved = {name: weight / 2 for name, weight in network.params.items()}
    >>> network(windows).shape, network.apply(halved, windows).shape
    ((2, 1), (2, 1))
    """

    engine: str
    params: dict[str, Any]
    trainable: frozenset[str]
    inputs: Sequence[ir.Value]

    def apply(self, params: Mapping[str, Any], *inputs: Any) -> Any:
        """Compute with other weights; under JAX this is a pure function that can be traced.

        Parameters
        ----------
        params : mapping of str to array
            The weights, as in `params`.
        *inputs : array
            One array per input, of the shape that the network declares; the batch is free.

        Returns
        -------
        array or tuple of array
            The output, or one array per output.

        Raises
        ------
        ArgumentError
            If there is another number of inputs, or weights have other names than in `params`.
        ShapeError
            If an input or a weight has another shape.
        DtypeError
            If an input has another dtype than the network declares.
        BackendError
            If an input is not an array of a known library, or was deleted.

        Examples
        --------
        >>> import jax, jax.numpy as jnp
        >>> import fcconv
        >>> from fcconv.demo.network import load_faces
        >>> network = fcconv.compile(load_faces(), "jax")
        >>> loss = lambda params, windows: network.apply(params, windows).mean()
        >>> gradients = jax.grad(loss)(network.params, jnp.ones((2, 1, 25, 25), jnp.float32))
        >>> gradients["score.weight"].shape
        (1, 64)
        """

    def __call__(self, *inputs: Any) -> Any:
        """Compute on arrays, with the weights in `params`.

        Parameters
        ----------
        *inputs : array
            One array per input, of the shape and dtype that it declares; the batch is free.

        Returns
        -------
        array or tuple of array
            The output, or one array per output.

        Raises
        ------
        ArgumentError, ShapeError, DtypeError, BackendError
            As of :meth:`apply`.
        """

    def __repr__(self) -> str:
        """Name the engine and the inputs."""
        return described(self.engine, self.inputs)

    def __reduce__(self) -> Any:
        """Refuse to be pickled: it is compiled again in each process."""
        return _refuse_to_pickle()


def described(computed_by: str, inputs: Sequence[ir.Value]) -> str:
    """Say what computes a network, and what that takes."""
    taken = ", ".join(f"{v.name}: {v.dtype} {v.shape}" for v in inputs)
    return f"<network on {computed_by}, {taken}>"


def _refuse_to_pickle() -> NoReturn:
    raise UnsupportedError(
        "a compiled network can't be pickled or copied: pickle the network that it was made of, "
        "and compile that again"
    )


def check_params(known: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Check that weights have the names and shapes of the network's own."""
    for name in {*known} ^ {*given}:
        what = "needs the weight" if name in known else "has no weight"
        raise ArgumentError(f"the network {what} {name!r}: its weights are those of params")
    for name, weight in known.items():
        if weight.shape != given[name].shape:
            raise ShapeError(f"{name!r} needs the shape {weight.shape}, got {given[name].shape}")
        check_alive(f"the weight {name!r}", given[name])


def check_inputs(declared: Sequence[ir.Value], inputs: Sequence[Any]) -> None:
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
            f"a {plain_arrays()}"
        )
    check_alive(f"input {value.name!r}", array)
    if value.dtype is not None and array_dtype(array) != value.dtype.numpy():
        raise DtypeError(
            f"input {value.name!r} needs dtype {value.dtype.numpy()}, got {array_dtype(array)}: "
            f"convert it"
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
