"""Residues with the type of the numbers that they stand for.

What an operator does depends on types: 7 / 2 is 3 of integers and 3.5 of floats. A residue alone
doesn't tell, so each array carries the type that the reference would compute it in.
"""

from __future__ import annotations

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
    numbers : array of int64, or of int32 where many are kept
        The residues.
    dtype : data type
        What they stand for.

    Examples
    --------
    >>> x = Residues(np.arange(6).reshape(2, 3), np.dtype("float32"))
    >>> x[:, 1].shape, x.dtype.name
    ((2,), 'float32')
    """

    numbers: npt.NDArray[np.signedinteger[Any]]
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return self.numbers.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.numbers.ndim

    @property
    def parts(self) -> tuple[npt.NDArray[np.signedinteger[Any]]]:
        """The array that is moved."""
        return (self.numbers,)

    def of(self, numbers: npt.NDArray[np.signedinteger[Any]]) -> Residues:
        """Make an array of the same type."""
        return Residues(numbers, self.dtype)

    def __getitem__(self, index: Any) -> Residues:
        """Pick entries by plain indices."""
        return self.of(self.numbers[index])

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        """Refuse to be read as plain numbers: as a shape, or as places."""
        raise UnsupportedError("what depends on the pixels is read as a shape, or as places")

    def equals(self, other: Residues) -> bool:
        """Say whether another array has the same type, shape and residues."""
        return self.dtype == other.dtype and np.array_equal(self.numbers, other.numbers)
