"""What is timed: fcconv on its backends, the bare matrix product, and peers where installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

import fcconv
from fcconv_bench.cases import Case

Call: TypeAlias = Callable[[], Any]
"""Computes the layer once and returns when the result is there."""

LIMIT = "matmul"
"""One product of ready operands, of the shape that the layer takes."""

OURS = ("fcconv numpy", "fcconv jax")
PEERS = ("torch", "lax")
CPU = "cpu"


@dataclass(frozen=True)
class Contender:
    """A way to compute a layer, on a device that JAX calls "cpu", "gpu" or "tpu"."""

    name: str
    device: str

    def __str__(self) -> str:
        """Name the device too, unless it is the CPU."""
        return self.name if self.device == CPU else f"{self.name} on {self.device}"

    def prepare(self, case: Case) -> Call:
        """Make the operands of a case and return the call to time."""
        if self.name == "fcconv numpy":
            return partial(fcconv.conv, *case.arrays(), **case.arguments)
        if self.name == "torch":
            return _torch(case)
        if self.name == LIMIT and self.device == CPU:
            return partial(np.matmul, *case.matrices())
        compiled, operands = self.compile(case)
        return lambda: compiled(*operands).block_until_ready()

    def compile(self, case: Case) -> tuple[Any, list[Any]]:
        """Compile a contender of JAX; return the program and its operands, on the device."""
        import jax

        functions: dict[str, Callable[..., Any]] = {
            LIMIT: partial(jax.numpy.matmul, precision="highest"),
            "fcconv jax": partial(fcconv.conv, **case.arguments),
            "lax": partial(_lax, case),
        }
        arrays = case.matrices() if self.name == LIMIT else case.arrays()
        operands = [jax.device_put(array, jax.devices(self.device)[0]) for array in arrays]
        return jax.jit(functions[self.name]).lower(*operands).compile(), operands

    @property
    def uses_jax(self) -> bool:
        """Whether JAX compiles this contender."""
        return self.name in ("fcconv jax", "lax") or self.device != CPU


def devices() -> dict[str, str]:
    """Name the kind of device of each platform that JAX sees; without JAX, the CPU alone."""
    if not importlib.util.find_spec("jax"):
        return {CPU: CPU}
    import jax

    return {CPU: CPU, **{device.platform: device.device_kind for device in jax.devices()}}


def contenders(platforms: dict[str, str]) -> list[Contender]:
    """List the contenders that can run here, device by device, the limit first."""
    libraries = {"fcconv numpy": "numpy", "fcconv jax": "jax", "torch": "torch", "lax": "jax"}
    installed = [n for n in (*OURS, *PEERS) if importlib.util.find_spec(libraries[n])]
    found = [Contender(name, CPU) for name in (LIMIT, *installed)]
    for platform in platforms:
        if platform != CPU:
            found += [Contender(name, platform) for name in (LIMIT, "fcconv jax", "lax")]
    return found


def _torch(case: Case) -> Call:
    import torch

    arrays = [torch.from_numpy(array) for array in case.arrays()]
    return partial(torch.nn.functional.conv2d, *arrays, **case.arguments)


def _lax(case: Case, x: Any, weight: Any, bias: Any) -> Any:
    from jax import lax

    y = lax.conv_general_dilated(
        x,
        weight,
        window_strides=(case.stride,) * 2,
        padding=((case.padding, case.padding),) * 2,
        rhs_dilation=(case.dilation,) * 2,
        precision=lax.Precision.HIGHEST,
    )
    return y + bias[None, :, None, None]
