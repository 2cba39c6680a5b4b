"""The backend protocol, and the way from a name or an array to a backend. Imports lazily."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import numpy as np

from fcconv.errors import BackendError

if TYPE_CHECKING:
    import numpy.typing as npt

    from fcconv.geometry import Window


class Array(Protocol):
    """What the doors ask of an array of any library."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        ...

    @property
    def dtype(self) -> Any:
        """Data type of the elements."""
        ...


ArrayT = TypeVar("ArrayT", bound=Array)
"""An array of any supported library; a function returns the kind that it was given."""


class Backend(Protocol[ArrayT]):
    """What a backend module offers. The doors have checked every argument before they call it.

    Arrays are channels first, ``x (N, C, *S)`` and ``weight (O, C/groups, *K)``, of one dtype,
    which is also the result's (in native byte order).
    """

    def asarray(self, values: npt.ArrayLike) -> ArrayT:
        """Make an array of this library."""
        ...

    def dense(self, x: ArrayT, weight: ArrayT, bias: ArrayT | None) -> ArrayT:
        """Multiply ``x (..., I)`` with ``weight (O, I)`` and add ``bias (O,)``."""
        ...

    def im2col(self, x: ArrayT, window: Window) -> ArrayT:
        """Gather the windows as columns, ``(N, C*prod(K), prod(S'))``."""
        ...

    def conv(
        self, x: ArrayT, weight: ArrayT, bias: ArrayT | None, window: Window, groups: int
    ) -> ArrayT:
        """Convolve, ``(N, O, *S')``."""
        ...

    def conv1x1(self, x: ArrayT, weight: ArrayT, bias: ArrayT | None) -> ArrayT:
        """Mix channels with ``weight (O, C)``, ``(N, O, *S)``."""
        ...

    def max_pool(self, x: ArrayT, window: Window) -> ArrayT:
        """Take the maximum of each window; padding never wins."""
        ...

    def avg_pool(self, x: ArrayT, window: Window, count: npt.NDArray[np.int64]) -> ArrayT:
        """Divide the sum of each window by ``count (*S')``."""
        ...

    def running_network(self) -> AbstractContextManager[None]:
        """Give the context in which the layers of a network are computed, one after the other."""
        ...

    @property
    def namespace(self) -> Any:
        """The module whose functions only move entries: reshape, transpose, concatenate, take."""
        ...

    def matmul(self, a: ArrayT, b: ArrayT) -> ArrayT:
        """Multiply stacks of matrices, as ``numpy.matmul`` does."""
        ...

    def add(self, a: ArrayT, b: ArrayT) -> ArrayT:
        """Add, with broadcasting."""
        ...

    def subtract(self, a: ArrayT, b: ArrayT) -> ArrayT:
        """Subtract, with broadcasting."""
        ...

    def multiply(self, a: ArrayT, b: ArrayT) -> ArrayT:
        """Multiply entry by entry, with broadcasting."""
        ...

    def divide(self, a: ArrayT, b: ArrayT) -> ArrayT:
        """Divide, with broadcasting; integers towards zero."""
        ...

    def elementwise(self, key: str, function: Callable[..., ArrayT], /, *xs: ArrayT) -> ArrayT:
        """Apply ``function(namespace, *xs)``, with broadcasting; `key` names it and its options."""
        ...

    def along(self, key: str, function: Callable[..., ArrayT], x: ArrayT, axis: int, /) -> ArrayT:
        """Apply ``function(namespace, x)``, which makes one entry of all along `axis`."""
        ...

    def reduce_sum(self, x: ArrayT, axes: Sequence[int]) -> ArrayT:
        """Sum over axes, which stay with length 1."""
        ...

    def reduce_max(self, x: ArrayT, axes: Sequence[int]) -> ArrayT:
        """Take the maximum over axes, which stay with length 1."""
        ...


_NAMES = ("numpy", "jax")
"""Each backend has the name of its library, its package that of fcconv_<name>."""


def backends() -> tuple[str, ...]:
    """Name the backends whose library is installed.

    Returns
    -------
    tuple of str
        Names that :func:`backend` accepts here, the reference first.

    Examples
    --------
    >>> "numpy" in backends()
    True
    """
    return tuple(name for name in _NAMES if importlib.util.find_spec(name))


def backend(name_or_array: object) -> Backend[Any]:
    """Find a backend by its name, or the one that computes with an array.

    Parameters
    ----------
    name_or_array : str or array
        "numpy", "jax", or an array of one of these libraries (a tracer included).

    Returns
    -------
    Backend
        The backend module.

    Raises
    ------
    BackendError
        If the name is unknown, its library is not installed, or it is no array of a known library.

    Examples
    --------
    >>> backend("numpy").__name__
    'fcconv_numpy'
    """
    name = name_or_array if isinstance(name_or_array, str) else library(name_or_array)
    known = " or ".join(map(repr, _NAMES))
    if name is None:
        raise BackendError(
            f"needs the name of a backend ({known}) or an array, got {_named(type(name_or_array))}"
        )
    if name not in _NAMES:
        raise BackendError(f"unknown backend {name!r}: use {known}")
    if importlib.util.find_spec(name) is None:
        raise BackendError(
            f"the backend {name!r} needs {name}, which is not installed: "
            f"pip install 'fcconv[{name}]'"
        )
    return _module(name)


def library(array: object) -> str | None:
    """Name the backend that computes with `array`; None if it is no array of a known library."""
    return _library_of(type(array))


def _library_of(kind: type) -> str | None:
    """Name the backend of a type; masked arrays and matrices would be wrong as plain arrays."""
    if issubclass(kind, np.ndarray):
        return None if issubclass(kind, np.ma.MaskedArray | np.matrix) else "numpy"
    jax = sys.modules.get("jax")  # an array of JAX can't exist before JAX is imported
    known = jax is not None and issubclass(kind, jax.Array | jax.core.Tracer)
    return "jax" if known else None


def check_alive(name: str, array: object) -> None:
    """Check that an array still has its numbers; those of JAX can be deleted.

    Raises
    ------
    BackendError
        If it has not.
    """
    jax = sys.modules.get("jax")
    if isinstance(array, np.ndarray) or jax is None or isinstance(array, jax.core.Tracer):
        return
    is_deleted = getattr(array, "is_deleted", None)
    if is_deleted is not None and is_deleted():
        raise BackendError(
            f"{name} was deleted, or given away as an argument that is donated (donate_argnums): "
            f"make it again, or give away a copy"
        )


@functools.lru_cache
def backend_of_types(names: tuple[str, ...], types: tuple[type, ...]) -> Backend[Any]:
    """Find the one backend of the types of several named arguments.

    Raises
    ------
    BackendError
        If a type is that of no array, or two are of different libraries.
    """
    libraries = {name: _library_of(kind) for name, kind in zip(names, types, strict=True)}
    for name, kind in zip(names, types, strict=True):
        if libraries[name] is None:
            raise BackendError(
                f"{name} is {_named(kind)}, which is no array of a known library: "
                f"pass a plain NumPy or JAX array (numpy.asarray, jax.numpy.asarray)"
            )
    first, *others = libraries.values()
    if any(other != first for other in others):
        which = ", ".join(f"{name} is of {found}" for name, found in libraries.items())
        raise BackendError(f"{which}: convert all of them to one library")
    return _module(str(first))


def _module(name: str) -> Backend[Any]:
    return cast("Backend[Any]", importlib.import_module(f"fcconv_{name}"))


def _named(kind: type) -> str:
    return f"a {kind.__module__}.{kind.__qualname__}".replace("builtins.", "")
