"""Arrays with bounds on the errors of their numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fcconv.errors import UnsupportedError

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Bounded:
    """An array with bounds on its errors.

    Attributes
    ----------
    value : array
        What float64 makes of it; integers and booleans are whole numbers.
    error : array of float64
        How far off the type's own arithmetic may be.
    dtype : data type
        The type.
    """

    value: npt.NDArray[Any]
    error: Floats
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return self.value.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.value.ndim

    @property
    def parts(self) -> tuple[npt.NDArray[Any], ...]:
        """The arrays that are moved alike."""
        return self.value, self.error

    def of(self, value: npt.NDArray[Any], error: npt.NDArray[Any]) -> Bounded:
        """Make an array of the same type."""
        return Bounded(value, error, self.dtype)

    def __getitem__(self, index: Any) -> Bounded:
        """Pick entries by plain indices."""
        return self.of(self.value[index], self.error[index])

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        """Refuse to be read as plain numbers: as a shape, or as places."""
        raise UnsupportedError("what depends on the pixels is read as a shape, or as places")

    @property
    def size_of(self) -> Floats:
        """The largest absolute value of each entry."""
        size: Floats = np.abs(self.value) + self.error
        return size

    def end(self, sign: int) -> npt.NDArray[Any]:
        """Return one end of each interval, in the type that functions are to see."""
        return native(self.value + sign * self.error, self.dtype)


def is_one(x: Bounded) -> npt.NDArray[np.bool_]:
    """Say which numbers change no other by more than its sign."""
    alike: npt.NDArray[np.bool_] = (np.abs(x.value) == 1) & (x.error == 0)
    return alike


def may_have_pole(base: Bounded, exponent: Bounded) -> npt.NDArray[np.bool_]:
    """Say where a power may be of 0, and have an exponent below."""
    pole: npt.NDArray[np.bool_] = np.abs(base.value) <= base.error
    return pole & (exponent.value < exponent.error)


def native(value: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Let functions see floats in float64, and integers and booleans as what they are."""
    if dtype.kind == "b":
        return np.asarray(value >= 0.5)
    if dtype.kind in "iu" and value.dtype.kind == "f":
        limits = np.iinfo(dtype)
        value = np.nan_to_num(np.clip(np.round(value), limits.min, limits.max))
    return value.astype(dtype if dtype.kind in "iu" else np.float64)


def wide(part: npt.NDArray[Any]) -> Floats:
    """Let numbers be float64."""
    return np.asarray(part, np.float64)


def common_type(a: Bounded, b: Bounded) -> np.dtype[Any]:
    """Give the type that two are computed with in."""
    return a.dtype if a.dtype == b.dtype else np.promote_types(a.dtype, b.dtype)
