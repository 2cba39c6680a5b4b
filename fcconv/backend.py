"""What a backend is, and the table of them: the way from a name or an array to a backend.

A library is imported when it is asked for, or has been imported already: until then there are no
arrays of it.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import numpy as np

from fcconv.errors import BackendError

if TYPE_CHECKING:
    import numpy.typing as npt

    from fcconv.geometry import Window


class Array(Protocol):
    """What public functions ask of an array of any library."""

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
    """What a backend module offers. Whoever calls it has checked every argument.

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
        """The module of NumPy's functions, of which networks ask for those that move entries.

        Functions of entries (:meth:`elementwise`, :meth:`along`) ask for others.
        """
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


class ArrayBackend(Backend[ArrayT], Protocol[ArrayT]):
    """A backend that computes on the arrays of a library: one that a name or an array leads to."""

    @property
    def compiles(self) -> bool:
        """Whether :meth:`jit` compiles, which takes time for each new shape."""
        ...

    def jit(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Compile a function of arrays for the shapes that it is called with, or return it."""
        ...

    def as_library(self, network: Any) -> Any:
        """Give a compiled network the form that networks have in this library."""
        ...

    def copy(self, array: ArrayT) -> ArrayT:
        """Make a new array of the same numbers, in native byte order."""
        ...

    def dtype(self, dtype: Any) -> np.dtype[Any]:
        """Name a dtype of this library in the terms of NumPy, or of ``ml_dtypes``."""
        ...

    def owns(self, kind: type) -> bool:
        """Say whether this backend computes on arrays of a type."""
        ...

    def device(self, array: ArrayT, /) -> str:
        """Name the device where other arrays must lie, too; nothing if they may lie anywhere."""
        ...

    def on_device(self, name: str, /) -> AbstractContextManager[Any]:
        """Give a context in which arrays are made on a device that :meth:`device` names.

        The same holds for a name that :meth:`check_device` lets pass.
        """
        ...

    def check_device(self, name: str, /) -> None:
        """Check that there is a device of this name, which a user chose, to compute on.

        Raises
        ------
        BackendError
            If there is none.
        """
        ...

    def is_deleted(self, array: ArrayT, /) -> bool:
        """Say whether an array has lost its numbers."""
        ...

    def to_numpy(self, array: ArrayT) -> npt.NDArray[Any]:
        """Make a NumPy array of one of this library."""
        ...

    def missing_dtype(self, dtype: np.dtype[Any], /) -> str:
        """Say what lets arrays have a dtype; nothing where they can have it as it is."""
        ...

    def double_precision(self) -> AbstractContextManager[None]:
        """Give a context in which arrays can be float64."""
        ...

    def without_gradients(self) -> AbstractContextManager[Any]:
        """Give a context in which nothing is kept for gradients."""
        ...

    def column_bytes(self) -> int | None:
        """Return the bytes of a convolution's columns at a time; None if nothing bounds them."""
        ...

    def erf(self, x: ArrayT) -> ArrayT:
        """Apply the error function, which no array namespace has."""
        ...


@dataclass(frozen=True)
class Row:
    """Where a backend is found.

    Attributes
    ----------
    title : str
        The library as its users write it.
    library : str
        The module of the library; the backend is there if this is installed.
    package : str
        The module with the functions of :class:`ArrayBackend`.
    maker : str
        What makes an array of anything, for errors.
    """

    title: str
    library: str
    package: str
    maker: str

    @property
    def is_imported(self) -> bool:
        """Whether there can be arrays of the library."""
        return sys.modules.get(self.library) is not None


BACKENDS = {
    "numpy": Row("NumPy", "numpy", "fcconv_numpy", "numpy.asarray"),
    "jax": Row("JAX", "jax", "fcconv_jax", "jax.numpy.asarray"),
    "torch": Row("PyTorch", "torch", "fcconv_torch", "torch.asarray"),
}
"""The backends by name, the reference first."""

ONNXRUNTIME = "onnxruntime"
"""The engine that computes whole networks without a backend."""


def engines() -> tuple[str, ...]:
    """Name what can compute a whole network: every backend, and onnxruntime."""
    return (*BACKENDS, ONNXRUNTIME)


def is_installed(engine: str) -> bool:
    """Say whether the library of an engine is there."""
    library = BACKENDS[engine].library if engine in BACKENDS else engine
    return importlib.util.find_spec(library) is not None


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
    return tuple(filter(is_installed, BACKENDS))


def backend(name_or_array: object) -> ArrayBackend[Any]:
    """Find a backend by its name, or the one that computes with an array.

    Parameters
    ----------
    name_or_array : str or array
        "numpy", "jax", "torch", or an array of one of these libraries (a tracer included).

    Returns
    -------
    ArrayBackend
        The backend module.

    Raises
    ------
    BackendError
        If the name is unknown, its library is not installed, or it is not an array of a known
        library.

    Examples
    --------
    >>> backend("numpy").__name__
    'fcconv_numpy'
    """
    name = name_or_array if isinstance(name_or_array, str) else library(name_or_array)
    known = either(map(repr, BACKENDS))
    if name is None:
        raise BackendError(
            f"needs the name of a backend ({known}) or an array, got {_named(type(name_or_array))}"
        )
    if name not in BACKENDS:
        raise BackendError(f"unknown backend {name!r}: use {known}")
    if not is_installed(name):
        raise BackendError(
            f"the backend {name!r} needs {BACKENDS[name].library}, which is not installed: "
            f"pip install 'fcconv[{name}]'"
        )
    return _module(name)


def library(array: object) -> str | None:
    """Name the backend that computes with `array`; None if its library is not known."""
    kind: type = type(array)
    return _library_of(kind)


@functools.lru_cache
def _library_of(kind: type) -> str | None:
    """Name the backend of a type; remembered, as no type is of a library that comes later."""
    imported = (name for name, row in BACKENDS.items() if row.is_imported)
    return next((name for name in imported if _module(name).owns(kind)), None)


def backend_of_namespace(namespace: Any) -> ArrayBackend[Any]:
    """Find the backend that computes with the functions of a namespace, ``jax.numpy`` say."""
    imported = (_module(name) for name, row in BACKENDS.items() if row.is_imported)
    return next(found for found in imported if found.namespace is namespace)


def array_dtype(array: Any) -> np.dtype[Any]:
    """Name the dtype of an array of any known library in the terms of NumPy."""
    dtype = array.dtype
    return dtype if isinstance(dtype, np.dtype) else backend(array).dtype(dtype)


def without_gradients(engine: str) -> AbstractContextManager[Any]:
    """Give a context in which an engine keeps nothing for gradients."""
    return backend(engine).without_gradients() if engine in BACKENDS else nullcontext()


def on_device(engine: str, name: str) -> AbstractContextManager[Any]:
    """Give a context in which an engine computes on a device; on its own, if that has no name."""
    return backend(engine).on_device(name) if engine in BACKENDS else nullcontext()


def to_numpy(array: Any) -> npt.NDArray[Any]:
    """Make a NumPy array of one of any known library, or of a number."""
    name = library(array)
    return np.asarray(array) if name is None else _module(name).to_numpy(array)


def plain_arrays() -> str:
    """Say for errors which arrays are computed with."""
    return f"{either(row.title for row in BACKENDS.values())} array"


def either(names: Iterable[str]) -> str:
    """Join names for errors: "a, b or c"."""
    *others, last = names
    return f"{', '.join(others)} or {last}"


def check_alive(name: str, array: object) -> None:
    """Check that an array still has its numbers; those of JAX can be deleted.

    Raises
    ------
    BackendError
        If it has not.
    """
    found = library(array)
    if found is not None and _module(found).is_deleted(array):
        raise deleted(name)


def deleted(name: str) -> BackendError:
    """Make the error of an array that has lost its numbers."""
    return BackendError(
        f"{name} was deleted, or given away as an argument that is donated (donate_argnums): "
        f"make it again, or give away a copy"
    )


@functools.lru_cache
def backend_of_types(names: tuple[str, ...], types: tuple[type, ...]) -> ArrayBackend[Any]:
    """Find the one backend of the types of several named arguments.

    Raises
    ------
    BackendError
        If a type is that of no array, or two are of different libraries.
    """
    libraries = {name: _library_of(kind) for name, kind in zip(names, types, strict=True)}
    for name, kind in zip(names, types, strict=True):
        if libraries[name] is None:
            makers = ", ".join(row.maker for row in BACKENDS.values())
            raise BackendError(
                f"{name} is {_named(kind)}, which is not an array of a known library: "
                f"pass a plain {plain_arrays()} ({makers})"
            )
    first, *others = libraries.values()
    if any(other != first for other in others):
        which = ", ".join(f"{name} is of {found}" for name, found in libraries.items())
        raise BackendError(f"{which}: convert all of them to one library")
    return _module(str(first))


def _module(name: str) -> ArrayBackend[Any]:
    """Return the module of a backend, which is imported when it is first asked for."""
    package = BACKENDS[name].package
    # torch.compile follows this look-up, but neither a cache nor an import
    found: Any = sys.modules.get(package) or importlib.import_module(package)
    return cast("ArrayBackend[Any]", found)


def _named(kind: type) -> str:
    return f"a {kind.__module__}.{kind.__qualname__}".replace("builtins.", "")
