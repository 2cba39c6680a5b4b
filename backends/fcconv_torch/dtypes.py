"""The dtypes of PyTorch in NumPy's terms, and those to compute in."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fcconv.errors import BackendError, DtypeError

SIGNED = {torch.uint16: torch.int16, torch.uint32: torch.int32, torch.uint64: torch.int64}
"""Dtypes that have no arithmetic, and those whose sums and products have the same bits."""


COMPUTED = frozenset({torch.float32, torch.float64})
"""Dtypes that floats are computed in."""


@functools.cache
def to_torch(dtype: np.dtype[Any]) -> torch.dtype:
    """Look up the dtype of PyTorch that stands for one of NumPy, which has the same name."""
    found = find(dtype)
    if found is None:
        raise DtypeError(f"PyTorch has no arrays of dtype {dtype}: convert them before")
    return found


def find(dtype: np.dtype[Any]) -> torch.dtype | None:
    """Do the same, if there is one; of integers below a byte there is no more than the name."""
    found = getattr(torch, dtype.name, None)
    known = isinstance(found, torch.dtype) and (_is_numpys(dtype) or found.is_floating_point)
    return found if known else None


def _is_numpys(dtype: np.dtype[Any]) -> bool:
    """Say whether a dtype is NumPy's own; ``ml_dtypes`` adds others."""
    return dtype.type.__module__ == "numpy"


@functools.cache
def of_numpy(dtype: torch.dtype) -> np.dtype[Any]:
    """Look up the dtype of NumPy, or of ``ml_dtypes``, that stands for one of PyTorch."""
    name = str(dtype).removeprefix("torch.")
    if hasattr(np, name):
        return np.dtype(name)
    try:
        import ml_dtypes
    except ModuleNotFoundError:
        raise BackendError(f"{dtype} needs ml_dtypes: pip install 'fcconv[torch]'") from None
    if not hasattr(ml_dtypes, name):
        raise DtypeError(f"NumPy has no {dtype}: convert to an integer or float")
    found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return found


def is_whole(x: torch.Tensor) -> bool:
    """Say whether numbers are integers."""
    return not (x.is_floating_point() or x.is_complex() or x.dtype == torch.bool)


def wide(x: torch.Tensor) -> torch.Tensor:
    """Convert to the dtype to compute in: float32 for two-byte floats, signed for integers."""
    if x.is_floating_point():
        return x.float() if x.dtype.itemsize == 2 else x
    return signed(x)


def signed(x: torch.Tensor) -> torch.Tensor:
    """Read unsigned integers of several bytes as signed ones, bit for bit."""
    return x.view(SIGNED[x.dtype]) if x.dtype in SIGNED else x


def narrow(y: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Convert what was computed in the dtype of :func:`wide` to the result's."""
    if y.dtype == dtype:  # an exported function would say that it is converted
        return y
    return y.view(dtype) if dtype in SIGNED else y.to(dtype)


def from_numpy(values: npt.ArrayLike) -> torch.Tensor:
    """Copy an array of NumPy, of any dtype and byte order, onto the CPU."""
    given = np.asarray(values)
    array = np.array(given, given.dtype.newbyteorder("="), order="C")
    dtype = to_torch(array.dtype)
    if _is_numpys(array.dtype):
        return torch.from_numpy(array)
    bits = torch.from_numpy(array.view(f"u{array.itemsize}"))  # of ml_dtypes
    return bits.view(dtype)


def to_numpy(array: torch.Tensor) -> npt.NDArray[Any]:
    """Copy a tensor from its device; one of the CPU shares its memory."""
    dtype = of_numpy(array.dtype)
    if _is_numpys(dtype):
        return array.numpy(force=True)
    bits: torch.Tensor = array.detach().view(torch.uint8 if dtype.itemsize == 1 else torch.int16)
    return bits.numpy(force=True).view(dtype)
