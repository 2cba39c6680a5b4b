"""Residues with the type of the numbers that they stand for, and what only moves them.

What an operator does depends on types: 7 / 2 is 3 of integers and 3.5 of floats. A residue alone
doesn't tell, so each array carries the type that the reference would compute it in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fcconv.errors import UnsupportedError


@dataclass(frozen=True, eq=False)
class Residues:
    """An array of the finite field.

    Attributes
    ----------
    numbers : array of int64
        The residues.
    dtype : data type
        What they stand for.

    Examples
    --------
    >>> x = Residues(np.arange(6).reshape(2, 3), np.dtype("float32"))
    >>> x[:, 1].shape, x.dtype.name
    ((2,), 'float32')
    """

    numbers: npt.NDArray[np.int64]
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return self.numbers.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.numbers.ndim

    def __getitem__(self, index: Any) -> Residues:
        """Pick entries by plain indices."""
        return Residues(self.numbers[index], self.dtype)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        """Refuse to be read as plain numbers: as a shape, or as places."""
        raise UnsupportedError("what depends on the pixels is read as a shape, or as places")

    def equals(self, other: Residues) -> bool:
        """Say whether another array has the same type, shape and residues."""
        return self.dtype == other.dtype and np.array_equal(self.numbers, other.numbers)


class Moves:
    """The functions of NumPy that only move entries; the type of the first array is the result's.

    Zeros and ones are the same numbers in every field.
    """

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Let a function of NumPy's see the residues."""
        function = getattr(np, name)

        def move(*arguments: Any, **options: Any) -> Any:
            given = next(_residues([arguments, list(options.values())]))
            plain = {key: _plain(value) for key, value in options.items()}
            made = function(*map(_plain, arguments), **plain)
            if isinstance(made, list):
                return [Residues(part, given.dtype) for part in made]
            return Residues(made, given.dtype)

        return move

    def ones(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Residues:
        """Make an array of ones."""
        return Residues(np.ones(shape, np.int64), np.dtype(dtype))


def _residues(values: Any) -> Iterator[Residues]:
    """Yield the arrays of the field among arguments."""
    for value in values:
        if isinstance(value, Residues):
            yield value
        elif isinstance(value, list | tuple):
            yield from _residues(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Residues):
        return value.numbers
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    return value
