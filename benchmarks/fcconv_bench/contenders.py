"""What is timed: fcconv on its backends, the bare matrix product, and peers where installed."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np

import fcconv
from fcconv_bench.cases import Case

Call: TypeAlias = Callable[[], Any]
"""Computes the layer once and returns when the result is there."""

MATMUL = "matmul"
"""The limit: one product of ready operands, of the shape that the layer takes."""


def prepare(contender: str, case: Case) -> Call:
    """Make the operands of a case and return the call to time."""
    name, _, device = contender.partition(" on ")
    return _PREPARE[name](case, device)


def contenders(platforms: tuple[str, ...]) -> list[str]:
    """Name the contenders that can run here; those of JAX once a platform ("cpu", "gpu")."""
    names = [MATMUL, "fcconv numpy"]
    if importlib.util.find_spec("torch"):
        names.append("torch")
    if importlib.util.find_spec("jax"):
        names += [f"{n} on {platform}" for platform in platforms for n in ("fcconv jax", "lax")]
    return names


def platforms() -> tuple[str, ...]:
    """Name the platforms that JAX sees, the CPU first."""
    if not importlib.util.find_spec("jax"):
        return ()
    import jax

    return tuple(dict.fromkeys(["cpu", *(device.platform for device in jax.devices())]))


def _matmul(case: Case, _device: str) -> Call:
    rows, terms, columns = case.product
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((rows, terms), np.float32)
    return partial(np.matmul, weight, rng.standard_normal((terms, columns), np.float32))


def _fcconv_numpy(case: Case, _device: str) -> Call:
    return partial(fcconv.conv, *case.arrays(), **case.arguments)


def _torch(case: Case, _device: str) -> Call:
    import torch

    arrays = [torch.from_numpy(array) for array in case.arrays()]
    return partial(torch.nn.functional.conv2d, *arrays, **case.arguments)


def _fcconv_jax(case: Case, device: str) -> Call:
    return _compiled(partial(fcconv.conv, **case.arguments), case, device)


def _lax(case: Case, device: str) -> Call:
    from jax import lax

    def conv(x: Any, weight: Any, bias: Any) -> Any:
        y = lax.conv_general_dilated(
            x,
            weight,
            window_strides=(case.stride,) * 2,
            padding=((case.padding, case.padding),) * 2,
            rhs_dilation=(case.dilation,) * 2,
            dimension_numbers=("NCHW", "OIHW", "NCHW"),
            precision=lax.Precision.HIGHEST,
        )
        return y + bias[:, None, None]

    return _compiled(conv, case, device)


def _compiled(function: Callable[..., Any], case: Case, device: str) -> Call:
    import jax

    arrays = [jax.device_put(array, jax.devices(device)[0]) for array in case.arrays()]
    compiled = jax.jit(function)
    compiled(*arrays).block_until_ready()
    return lambda: compiled(*arrays).block_until_ready()


_PREPARE: dict[str, Callable[[Case, str], Call]] = {
    MATMUL: _matmul,
    "fcconv numpy": _fcconv_numpy,
    "fcconv jax": _fcconv_jax,
    "torch": _torch,
    "lax": _lax,
}


def largest_error(case: Case, result: Any) -> float:
    """Compare a result with NumPy's in float64, in parts of what rounding allows."""
    from fcconv.rounding import dot_bound

    x, weight, bias = (array.astype(np.float64) for array in case.arrays())
    exact = fcconv.conv(x, weight, bias, **case.arguments)
    magnitude = fcconv.conv(np.abs(x), np.abs(weight), np.abs(bias), **case.arguments)
    bound = dot_bound(magnitude, math.prod(weight.shape[1:]) + 1, np.float32)
    return float((np.abs(np.asarray(result) - exact) / bound).max())
