"""What only moves entries, for arrays that are several arrays and a type."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class Typed(Protocol):
    """An array of parts that are moved alike, with the type of the numbers that it stands for."""

    @property
    def parts(self) -> tuple[npt.NDArray[Any], ...]:
        """The parts; the first one holds the numbers."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that the reference would compute it in."""
        ...

    @property
    def of(self) -> Callable[..., Any]:
        """Make an array of the same type of as many parts."""
        ...


class PartwiseMoves:
    """The functions of NumPy that only move entries, on each part; the first array has the type."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Let a function of NumPy's see the parts."""
        function = getattr(np, name)

        def move(*arguments: Any, **options: Any) -> Any:
            given = next(_typed([arguments, list(options.values())]))
            made = [
                function(*_part(arguments, k), **{n: _part(x, k) for n, x in options.items()})
                for k in range(len(given.parts))
            ]
            if isinstance(made[0], list):
                return [given.of(*parts) for parts in zip(*made, strict=True)]
            return given.of(*made)

        return move

    def ones_like(self, x: Any) -> Any:
        """Make ones, which have no other part."""
        return x.of(np.ones_like(x.parts[0]), *map(np.zeros_like, x.parts[1:]))


def is_float(dtype: np.dtype[Any]) -> bool:
    """Say whether a type is floating point of two bytes or more; NumPy does not know bfloat16."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def type_of(function: Callable[..., Any], *xs: Any) -> np.dtype[Any]:
    """Learn the type of what ``function(numpy, *xs)`` makes, from one entry of each argument."""
    with np.errstate(all="ignore"):
        made = function(np, *(np.ones((1,) * x.ndim, x.dtype) for x in xs))
    return np.asarray(made).dtype


def _typed(values: Any) -> Iterator[Typed]:
    """Yield the arrays of parts among arguments."""
    for value in values:
        if hasattr(value, "parts"):
            yield value
        elif isinstance(value, list | tuple):
            yield from _typed(value)


def _part(value: Any, k: int) -> Any:
    if hasattr(value, "parts"):
        return value.parts[k]
    if isinstance(value, list | tuple):
        return type(value)(_part(inner, k) for inner in value)
    return value
