"""What public functions check before a backend computes, and how their errors name the call."""

from __future__ import annotations

import functools
import inspect
import reprlib
from collections.abc import Callable
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

import numpy as np

from fcconv.backend import (
    Array,
    ArrayBackend,
    ArrayT,
    array_dtype,
    backend_of_types,
    deleted,
    library,
)
from fcconv.errors import ArgumentError, DtypeError, FcconvError, ShapeError
from fcconv.geometry import integer

P = ParamSpec("P")
R = TypeVar("R")
Shape: TypeAlias = tuple[int, ...]


def annotate_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Let every fcconv error that leaves `function` begin with the call: names, dtypes, shapes."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except FcconvError as error:
            given = signature.bind(*args, **kwargs).arguments
            call = ", ".join(f"{name}={_describe(value)}" for name, value in given.items())
            raise error.about(f"{function.__name__}({call})") from None

    return checked


def _describe(value: object) -> str:
    """Show an array as its dtype and shape, and anything else as it is, shortened."""
    shape = getattr(value, "shape", None)
    if shape is not None and not isinstance(value, np.generic):
        dtype = getattr(value, "dtype", "") if library(value) is None else array_dtype(value)
        return f"{dtype}{tuple(shape)}"
    return reprlib.repr(value)


def cache_by_shape(function: Callable[P, R]) -> Callable[P, R]:
    """Remember what a function of shapes and integers returns: layers are called again and again.

    Arguments of other types bypass the cache, where ``(1.0,)`` would find the entry of ``(1,)``.
    """
    cached: Callable[..., R] = functools.lru_cache(maxsize=4096, typed=True)(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for value in (*args, *kwargs.values()):  # small layers are called in microseconds
            if type(value) not in _PLAIN and not _is_whole(value):
                return function(*args, **kwargs)
        return cached(*args, **kwargs)

    return call


_INTEGERS, _TUPLES = frozenset({int}), frozenset({tuple})
_PLAIN = frozenset({int, bool, str, type(None)})


def _is_whole(value: object) -> bool:
    """Say whether an argument is a tuple of integers, or of such tuples."""
    if type(value) is not tuple:
        return False
    entries = cast("tuple[object, ...]", value)
    if _INTEGERS.issuperset(map(type, entries)):
        return True
    return _TUPLES.issuperset(map(type, entries)) and all(map(_is_whole, entries))


def shape_of(array: Array) -> Shape:
    """Return the shape as a plain tuple, which is hashed and printed the same for each library."""
    return tuple(array.shape)


def check_arrays(bias: ArrayT | None = None, **arrays: ArrayT) -> ArrayBackend[ArrayT]:
    """Check that the named arrays are of one library and one dtype; return their backend.

    A bias may be left out.

    Raises
    ------
    BackendError
        If an argument is not an array of a known library, or one that was deleted, or two are of
        different libraries.
    DtypeError
        If a dtype is neither integer nor real floating point, or two differ.
    """
    if bias is not None:
        arrays["bias"] = bias
    given = arrays.values()
    dtypes = tuple([getattr(array, "dtype", None) for array in given])
    backend: ArrayBackend[ArrayT] = _checked(tuple(arrays), tuple(map(type, given)), dtypes)
    for name, array in arrays.items():
        if backend.is_deleted(array):
            raise deleted(name)
    return backend


@functools.lru_cache
def _checked(
    names: tuple[str, ...], types: tuple[type, ...], given: tuple[Any, ...]
) -> ArrayBackend[Any]:
    """Find the backend of the named arrays, and check that it has arithmetic for their dtype."""
    backend = backend_of_types(names, types)
    dtypes = [backend.dtype(dtype) for dtype in given]
    for name, dtype in zip(names, dtypes, strict=True):
        if not _has_arithmetic(dtype):
            raise DtypeError(
                f"{name} has dtype {dtype}: convert it to an integer or real floating point dtype"
            )
    if len({dtype.name for dtype in dtypes}) > 1:  # the byte order may differ
        each = zip(names, dtypes, strict=True)
        which = ", ".join(f"{name} has dtype {dtype}" for name, dtype in each)
        raise DtypeError(f"{which}: convert all of them to one dtype")
    return backend


def _has_arithmetic(dtype: Any) -> bool:
    """Say whether a dtype is an integer or a real float of at least two bytes."""
    if getattr(dtype, "kind", "") == "f":
        return bool(dtype.itemsize >= 2)
    return getattr(dtype, "kind", "") in ("i", "u") or str(dtype) == "bfloat16"


def check_ndim(
    name: str, shape: Shape, layout: str, *, exactly: int | None = None, at_least: int = 0
) -> None:
    """Check the number of axes of an array whose `layout` is, say, ``(O, I)``."""
    axes = len(shape)
    if exactly is not None and axes != exactly:
        raise ShapeError(f"{name} {layout} needs {exactly} axes, got {axes}")
    if axes < at_least:
        raise ShapeError(f"{name} {layout} needs at least {at_least} axis, got {axes}")


def check_spatial(x: Shape) -> None:
    """Check that `x` has a batch, channels and one to three spatial axes."""
    if not 3 <= len(x) <= 5:
        raise ShapeError(
            f"x (N, C, *S) needs 3 to 5 axes, one to three of them spatial, got {len(x)}"
        )


def check_channels(name: str, channels: int, weight: Shape, groups: int = 1) -> int:
    """Check that a weight reads the channels of the argument `name`; return groups as an int."""
    groups = integer(groups, "groups", 1)
    outputs, per_group = weight[:2]
    if channels % groups or outputs % groups:
        raise ShapeError(
            f"groups={groups} must divide the {channels} channels of {name} and the {outputs} "
            f"outputs of weight"
        )
    if channels != per_group * groups:
        each = f" in each of {groups} groups" if groups > 1 else ""
        raise ShapeError(f"{name} has {channels} channels, but weight reads {per_group}{each}")
    return groups


def check_bias(bias: Shape | None, outputs: int) -> None:
    """Check that a bias, if there is one, has one entry per output."""
    if bias is not None and tuple(bias) != (outputs,):
        raise ShapeError(
            f"bias needs the shape ({outputs},), one entry per output of weight, got {bias}"
        )


def check_flag(name: str, value: object) -> None:
    """Check that an option is True or False."""
    if not isinstance(value, bool | np.bool):
        raise ArgumentError(f"{name} needs True or False, got {value!r}")
