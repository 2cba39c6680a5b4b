"""The dtypes to compute in and to return."""

from __future__ import annotations

import functools
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]


@functools.cache
def native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a dtype in native byte order."""
    return dtype.newbyteorder("=")


@functools.cache
def computed(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype to compute in: native byte order, and float32 for two-byte floats."""
    narrow = dtype.itemsize == 2 and dtype.kind not in "iu"
    return np.dtype(np.float32) if narrow else native(dtype)


def wide(x: Array) -> Array:
    """Convert to the dtype to compute in."""
    dtype = computed(x.dtype)
    return x if x.dtype == dtype else x.astype(dtype)
