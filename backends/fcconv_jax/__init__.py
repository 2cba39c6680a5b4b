"""The JAX backend: mirrors the reference through ``lax.conv_general_dilated`` and its kin.

On a CPU `forms` names the convolutions that another form computes faster.

Every function is traceable (``jit``, ``vmap``, ``grad``) and runs on any device. It trusts its
arguments, see :class:`fcconv.backend.Backend` for what they mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, cast

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import lax
from jax.core import Tracer

from fcconv.errors import BackendError
from fcconv_jax.convolution import convolve

if TYPE_CHECKING:
    from fcconv.backend import ArrayBackend
    from fcconv.geometry import Window

namespace = jnp

compiles = True


def asarray(values: npt.ArrayLike) -> jax.Array:
    """Make an array on the default device."""
    return jnp.asarray(values)


def running_network() -> AbstractContextManager[None]:
    """Change nothing: XLA has threads of its own."""
    return nullcontext()


def dense(x: jax.Array, weight: jax.Array, bias: jax.Array | None) -> jax.Array:
    """Multiply ``x (..., I)`` with ``weight (O, I)`` and add the bias."""
    y = lax.dot_general(
        _wide(x), _wide(weight), (((x.ndim - 1,), (1,)), ((), ())), precision=_precision()
    )
    return _finish(y, bias, x.dtype, channel=y.ndim - 1)


def im2col(x: jax.Array, window: Window) -> jax.Array:
    """Gather the windows as columns, ``(N, C*prod(K), prod(S'))``."""
    n, c = x.shape[:2]
    return _windows(x, window, 0).reshape(n, c * math.prod(window.kernel), math.prod(window.output))


def conv(
    x: jax.Array, weight: jax.Array, bias: jax.Array | None, window: Window, groups: int
) -> jax.Array:
    """Convolve, ``(N, O, *S')``."""
    if x.dtype.kind in "iu":
        y = _integer_conv(x, weight, window, groups)
    else:
        y = convolve(_wide(x), _wide(weight), window, groups, _precision())
    return _finish(y, bias, x.dtype, channel=1)


def conv1x1(x: jax.Array, weight: jax.Array, bias: jax.Array | None) -> jax.Array:
    """Mix channels with ``weight (O, C)``, ``(N, O, *S)``."""
    y = lax.dot_general(_wide(weight), _wide(x), (((1,), (1,)), ((), ())), precision=_precision())
    return _finish(jnp.moveaxis(y, 0, 1), bias, x.dtype, channel=1)


def max_pool(x: jax.Array, window: Window) -> jax.Array:
    """Take the maximum of each window; padding never wins."""
    lowest = np.array(np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf, x.dtype)
    if any(e > 1 for e in window.dilation):  # lax.reduce_window has no gradient there
        rank = len(window.kernel)
        return _windows(x, window, lowest).max(axis=tuple(range(2, 2 + rank)))
    highest: jax.Array = lax.reduce_window(x, lowest, lax.max, **_reduction(window))
    return highest


def avg_pool(x: jax.Array, window: Window, count: npt.NDArray[np.int64]) -> jax.Array:
    """Divide the sum of each window by its count."""
    wide = _wide(x)
    total: jax.Array = lax.reduce_window(
        wide, np.zeros((), wide.dtype), lax.add, **_reduction(window)
    )
    return (total / count.astype(wide.dtype)[None, None]).astype(x.dtype)


def matmul(a: jax.Array, b: jax.Array) -> jax.Array:
    """Multiply stacks of matrices."""
    product = jnp.matmul(_wide(a), _wide(b), precision=_precision())
    return product.astype(a.dtype)


def add(a: jax.Array, b: jax.Array) -> jax.Array:
    """Add, with broadcasting."""
    return jnp.add(*_same_rank(a, b))


def subtract(a: jax.Array, b: jax.Array) -> jax.Array:
    """Subtract, with broadcasting."""
    return jnp.subtract(*_same_rank(a, b))


def multiply(a: jax.Array, b: jax.Array) -> jax.Array:
    """Multiply entry by entry, with broadcasting."""
    return jnp.multiply(*_same_rank(a, b))


def divide(a: jax.Array, b: jax.Array) -> jax.Array:
    """Divide, with broadcasting; integers towards zero."""
    a, b = _same_rank(a, b)
    if a.dtype.kind in "iu":
        return jnp.sign(a) * jnp.sign(b) * (jnp.abs(a) // jnp.abs(b))
    return jnp.divide(a, b)


def elementwise(_key: str, function: Callable[..., jax.Array], *xs: jax.Array) -> jax.Array:
    """Apply ``function(jax.numpy, *xs)``."""
    return function(jnp, *_same_rank(*xs))


def along(_key: str, function: Callable[..., jax.Array], x: jax.Array, _axis: int) -> jax.Array:
    """Apply ``function(jax.numpy, x)``."""
    return function(jnp, x)


def reduce_sum(x: jax.Array, axes: Sequence[int]) -> jax.Array:
    """Sum over axes, which stay with length 1."""
    return _wide(x).sum(axis=tuple(axes), keepdims=True).astype(x.dtype)


def reduce_max(x: jax.Array, axes: Sequence[int]) -> jax.Array:
    """Take the maximum over axes, which stay with length 1."""
    return x.max(axis=tuple(axes), keepdims=True)


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function by XLA."""
    return jax.jit(function)


def as_library(network: Any) -> Any:
    """Return the network: its weights are a pytree."""
    return network


def copy(array: jax.Array) -> jax.Array:
    """Copy an array."""
    return array.copy()


def dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype."""
    return dtype


def owns(kind: type) -> bool:
    """Say whether arrays of a type are JAX's, or stand for them while a function is traced."""
    return issubclass(kind, jax.Array | Tracer)


def device(_array: jax.Array) -> str:
    """Return nothing: what is made of numbers follows other arrays."""
    return ""


def on_device(name: str) -> AbstractContextManager[Any]:
    """Make arrays, and compute what is committed to no device, on the one that has this name."""
    return jax.default_device(_device(name)) if name else nullcontext()


def check_device(name: str) -> None:
    """Check that there is such a device."""
    _device(name)


def _device(name: str) -> Any:
    """Find a device by its platform, and its number there unless it is the first: "cuda:1".

    Raises
    ------
    BackendError
        If there is none.
    """
    platform, _, number = name.partition(":")
    try:
        there = enumerate(jax.local_devices(backend=platform))
        return {str(number): device for number, device in there}[number or "0"]
    except (RuntimeError, KeyError):
        found = jax.extend.backend.backends()
        here = [f"{p}:{i}" for p, c in found.items() for i in range(len(c.local_devices()))]
        raise BackendError(
            f"device (--device) {name!r}: JAX has no such device here, but {', '.join(here)}"
        ) from None


def is_deleted(array: jax.Array) -> bool:
    """Say whether an array was deleted, or donated; what is being traced has no numbers to lose."""
    return not isinstance(array, Tracer) and array.is_deleted()


def to_numpy(array: jax.Array) -> npt.NDArray[Any]:
    """Copy an array from its device."""
    return np.asarray(array)


def missing_dtype(dtype: np.dtype[Any]) -> str:
    """Say how arrays can be float64; integers of 64 bits become shorter ones, as ever in JAX."""
    if dtype != np.float64 or jnp.asarray(np.zeros(1, dtype)).dtype == dtype:
        return ""
    return (
        'JAX is to be started with JAX_ENABLE_X64=1, or jax.config.update("jax_enable_x64", True)'
    )


def double_precision() -> AbstractContextManager[None]:
    """Let arrays have 64 bits for as long as the context lasts."""
    allowed: AbstractContextManager[None] = jax.enable_x64(True)
    return allowed


def without_gradients() -> AbstractContextManager[None]:
    """Change nothing: gradients are asked for."""
    return nullcontext()


def column_bytes() -> None:
    """Return nothing: XLA decides what it gathers."""


def erf(x: jax.Array) -> jax.Array:
    """Apply the error function."""
    return jax.scipy.special.erf(x)


def _same_rank(*xs: jax.Array) -> list[jax.Array]:
    """Give arrays leading axes until they broadcast without JAX's rank promotion."""
    shape = jnp.broadcast_shapes(*(x.shape for x in xs))
    return [jnp.expand_dims(x, tuple(range(len(shape) - x.ndim))) for x in xs]


def _wide(x: jax.Array) -> jax.Array:
    """Convert to the dtype to compute in: float32 for two-byte floats."""
    narrow = x.dtype.itemsize == 2 and x.dtype.kind not in "iu"
    return x.astype(jnp.float32) if narrow else x


def _precision() -> lax.Precision | None:
    """Keep float32 whole (no TF32, no bfloat16 passes) unless the caller's context says how."""
    chosen = cast("Any", jax.config).jax_default_matmul_precision
    return None if chosen else lax.Precision.HIGHEST


def _finish(y: jax.Array, bias: jax.Array | None, dtype: np.dtype[Any], channel: int) -> jax.Array:
    """Add the bias along the axis `channel` and convert to the result's dtype."""
    if bias is not None:
        y = y + jnp.expand_dims(_wide(bias), [axis for axis in range(y.ndim) if axis != channel])
    return y.astype(dtype)


def _windows(x: jax.Array, window: Window, padding: npt.ArrayLike) -> jax.Array:
    """Gather the padded input as ``(N, C, *K, *S')``."""
    # indices, not lax.conv_general_dilated_patches: that one multiplies, and NaN * 0 is NaN
    padded = jnp.pad(x, [(0, 0), (0, 0), *window.padding], constant_values=padding)
    rank = len(window.kernel)
    index = []
    for axis in range(rank):
        tap = np.arange(window.kernel[axis]) * window.dilation[axis]
        first = np.arange(window.output[axis]) * window.stride[axis]
        others = [i for i in range(2 * rank) if i not in (axis, rank + axis)]
        index.append(np.expand_dims(np.add.outer(tap, first), others))
    return padded[:, :, *index]


def _integer_conv(x: jax.Array, weight: jax.Array, window: Window, groups: int) -> jax.Array:
    """Convolve by im2col and a matrix product: GPUs have no convolution of integers."""
    n, outputs, terms = len(x), len(weight), math.prod(weight.shape[1:])
    columns = im2col(x, window).reshape(n, groups, terms, math.prod(window.output))
    products = weight.reshape(groups, outputs // groups, terms) @ columns
    return products.reshape(n, outputs, *window.output)


def _reduction(window: Window) -> dict[str, Any]:
    """Give the arguments of ``lax.reduce_window``, which names the batch and channels too."""
    return {
        "window_dimensions": (1, 1, *window.kernel),
        "window_strides": (1, 1, *window.stride),
        "padding": ((0, 0), (0, 0), *window.padding),
        "window_dilation": (1, 1, *window.dilation),
    }


if TYPE_CHECKING:
    import fcconv_jax

    _: ArrayBackend[jax.Array] = fcconv_jax
