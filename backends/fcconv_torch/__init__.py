"""The PyTorch backend: on tensors of any device, with gradients, to be compiled and exported.

Convolutions are PyTorch's own, but for kernels that cover their input, which are one product, and
for integers. It trusts its arguments, see :class:`fcconv.backend.Backend` for what they mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from fcconv_torch import namespace as namespace
from fcconv_torch.convolution import columns, convolve, linear, product
from fcconv_torch.dtypes import (
    COMPUTED,
    SIGNED,
    find,
    from_numpy,
    is_whole,
    narrow,
    of_numpy,
    signed,
    wide,
)
from fcconv_torch.dtypes import to_numpy as to_numpy
from fcconv_torch.network import Network, as_module
from fcconv_torch.pooling import highest, sums

if TYPE_CHECKING:
    from fcconv.backend import ArrayBackend
    from fcconv.geometry import Window

compiles = False


def asarray(values: Any) -> torch.Tensor:
    """Copy an array onto the default device; leave a tensor as it is."""
    if isinstance(values, torch.Tensor):
        return values
    return from_numpy(values).to(torch.get_default_device())


def copy(array: torch.Tensor) -> torch.Tensor:
    """Copy a tensor."""
    return array.clone(memory_format=torch.contiguous_format)


def running_network() -> AbstractContextManager[None]:
    """Change nothing: PyTorch has threads of its own."""
    return nullcontext()


def dense(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Multiply ``x (..., I)`` with ``weight (O, I)`` and add the bias."""
    return narrow(linear(wide(x), wide(weight), _wide_bias(bias)), x.dtype)


def im2col(x: torch.Tensor, window: Window) -> torch.Tensor:
    """Gather the windows as columns, ``(N, C*prod(K), prod(S'))``."""
    return narrow(columns(signed(x), window), x.dtype)


def conv(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, window: Window, groups: int
) -> torch.Tensor:
    """Convolve, ``(N, O, *S')``."""
    if x.dtype in COMPUTED:  # small layers are called in microseconds
        return convolve(x, weight, bias, window, groups)
    return narrow(convolve(wide(x), wide(weight), _wide_bias(bias), window, groups), x.dtype)


def conv1x1(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Mix channels with ``weight (O, C)``, ``(N, O, *S)``."""
    n, c, *size = x.shape
    y = product(wide(weight), wide(x).reshape(n, c, math.prod(size)))
    y = y if bias is None else y + wide(bias)[:, None]
    return narrow(y.reshape(n, weight.shape[0], *size), x.dtype)


def max_pool(x: torch.Tensor, window: Window) -> torch.Tensor:
    """Take the maximum of each window; padding never wins."""
    return _in_order(lambda x: highest(x, window), x)


def avg_pool(x: torch.Tensor, window: Window, count: npt.NDArray[np.int64]) -> torch.Tensor:
    """Divide the sum of each window by its count."""
    total = sums(wide(x), window)
    each = torch.as_tensor(count, dtype=total.dtype, device=x.device)
    return narrow(total / each, x.dtype)


def matmul(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Multiply stacks of matrices."""
    return narrow(product(wide(a), wide(b)), a.dtype)


def add(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Add, with broadcasting."""
    return _modular(torch.add, a, b)


def subtract(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Subtract, with broadcasting."""
    return _modular(torch.sub, a, b)


def multiply(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Multiply entry by entry, with broadcasting."""
    return _modular(torch.mul, a, b)


def divide(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Divide, with broadcasting; integers towards zero."""
    if a.dtype in SIGNED:
        return elementwise("Div", lambda _xp, a, b: a // b, a, b)
    return torch.div(a, b, rounding_mode="trunc" if is_whole(a) else None)


def elementwise(_key: str, function: Callable[..., Any], *xs: torch.Tensor) -> torch.Tensor:
    """Apply ``function(namespace, *xs)``; for unsigned integers of several bytes by NumPy.

    PyTorch has no arithmetic of these.
    """
    if any(x.dtype in SIGNED for x in xs):
        return from_numpy(function(np, *map(to_numpy, xs))).to(xs[0].device)
    made: torch.Tensor = function(namespace, *xs)
    return made


def along(_key: str, function: Callable[..., Any], x: torch.Tensor, _axis: int) -> torch.Tensor:
    """Apply ``function(namespace, x)``."""
    return elementwise(_key, function, x)


def reduce_sum(x: torch.Tensor, axes: Sequence[int]) -> torch.Tensor:
    """Sum over axes, which stay with length 1."""
    if not axes:  # PyTorch would take all
        return x
    given = wide(x)
    return narrow(given.sum(tuple(axes), keepdim=True, dtype=given.dtype), x.dtype)


def reduce_max(x: torch.Tensor, axes: Sequence[int]) -> torch.Tensor:
    """Take the maximum over axes, which stay with length 1."""
    return _in_order(lambda x: x.amax(tuple(axes), keepdim=True), x) if axes else x


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function: who wants it compiled calls ``torch.compile``."""
    return function


def as_library(network: Any) -> Network:
    """Make a module of a network."""
    return as_module(network)


def owns(kind: type) -> bool:
    """Say whether arrays of a type are tensors."""
    return issubclass(kind, torch.Tensor)


def device(array: torch.Tensor) -> str:
    """Name the device."""
    return str(array.device)


def on_device(name: str) -> AbstractContextManager[Any]:
    """Make tensors on a device."""
    return torch.device(name)


def is_deleted(_array: torch.Tensor) -> bool:
    """Say no: a tensor keeps its numbers."""
    return False


def dtype(dtype: torch.dtype) -> np.dtype[Any]:
    """Name a dtype in NumPy's terms."""
    return of_numpy(dtype)


def missing_dtype(dtype: np.dtype[Any]) -> str:
    """Say which dtypes PyTorch has not, or not on Apple's GPUs."""
    if find(dtype) is None:
        return "PyTorch has no arrays: cast in NumPy, or take another backend"
    if dtype == np.float64 and torch.get_default_device().type == "mps":
        return 'PyTorch needs another device than "mps": torch.set_default_device("cpu")'
    return ""


def double_precision() -> AbstractContextManager[None]:
    """Change nothing: tensors can always be float64."""
    return nullcontext()


def without_gradients() -> AbstractContextManager[Any]:
    """Let no tensor record what it was made of."""
    return torch.no_grad()


def column_bytes() -> None:
    """Return nothing: PyTorch decides what it gathers."""


def erf(x: torch.Tensor) -> torch.Tensor:
    """Apply the error function."""
    return torch.erf(x)


def _wide_bias(bias: torch.Tensor | None) -> torch.Tensor | None:
    return None if bias is None else wide(bias)


def _modular(
    function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], a: torch.Tensor, b: torch.Tensor
) -> torch.Tensor:
    """Apply a function whose bits do not depend on the sign of integers."""
    y = function(signed(a), signed(b))
    return narrow(y, a.dtype) if a.dtype in SIGNED else y


def _in_order(function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Apply a function of the order of numbers.

    Signed integers have that of unsigned ones, if the first bit is turned.
    """
    if x.dtype not in SIGNED:
        return function(x)
    first = torch.iinfo(SIGNED[x.dtype]).min
    return narrow(function(signed(x) ^ first) ^ first, x.dtype)


if TYPE_CHECKING:
    import fcconv_torch

    _: ArrayBackend[torch.Tensor] = fcconv_torch
