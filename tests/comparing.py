"""How results are compared: bit for bit, or within the bound of their rounding errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

import fcconv
from fcconv import rounding
from fcconv.backend import ArrayBackend
from fcconv.backend import to_numpy as of_library


def compute(backend: ArrayBackend[Any], function: Callable[..., Any], *arrays: Any) -> Any:
    """Call `function` on arrays of the backend; None stays None.

    Where the backend compiles, that is the whole call, which is quicker here than one by one.
    """
    given = [None if array is None else backend.asarray(array) for array in arrays]
    return backend.jit(function)(*given)


def to_numpy(array: Any) -> npt.NDArray[Any]:
    """Bring a result of any backend to NumPy; this alone may change its library."""
    return of_library(array)


def assert_same_kind(result: Any, backend: ArrayBackend[Any], dtype: str) -> None:
    """Check that a result stayed in its library, its dtype and on its device."""
    assert fcconv.backend(result) is backend, type(result)
    assert backend.dtype(result.dtype).name == dtype, (result.dtype, dtype)
    assert result.device == backend.asarray([0]).device, result.device


def assert_identical(result: Any, expected: npt.NDArray[Any], call: object) -> None:
    """Check that a result equals what is expected, value for value, NaN included."""
    found = to_numpy(result)
    assert found.shape == expected.shape, f"{call}: {found.shape}, expected {expected.shape}"
    # as Python numbers: no integer loses a digit, and bfloat16 is widened
    pairs = zip(_numbers(found), _numbers(expected), strict=True)
    same = [a == b or (a != a and b != b) for a, b in pairs]
    assert all(same), f"{call}:\n{found}\nexpected\n{expected}"


def _numbers(array: npt.NDArray[Any]) -> list[Any]:
    numbers: list[Any] = array.ravel().tolist()
    return numbers


def assert_within_bound(
    result: Any,
    exact: npt.NDArray[np.float64],
    magnitude: npt.NDArray[Any],
    terms: int,
    call: object,
) -> None:
    """Check a dot product against its value in float64, and the bounds of both."""
    found = to_numpy(result)
    assert found.shape == exact.shape, f"{call}: {found.shape}, expected {exact.shape}"
    bound = rounding.dot_bound(magnitude, terms, found.dtype)
    bound += rounding.dot_bound(magnitude, terms, "float64")
    worst = np.max(np.abs(found.astype(np.float64) - exact) - bound, initial=-np.inf)
    assert worst <= 0, f"{call}: {worst} over the bound of {terms} terms"
