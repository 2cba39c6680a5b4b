"""Who computes a convolution: the limit, fcconv on its backends, and peers where installed."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fcconv_bench import convolving
from fcconv_bench.cases import Case
from fcconv_bench.suite import CPU, Call, Facts, Prepared, full_name

LIMIT = "limit"
"""The least that a layer takes: see :func:`fcconv_bench.convolving.limit`."""

OURS = ("fcconv numpy", "fcconv jax")

CALLS: dict[str, Callable[[Case], Call]] = {
    LIMIT: convolving.limit,
    "fcconv numpy": convolving.fcconv_numpy,
    "torch": convolving.torch,
    "onnxruntime": convolving.onnxruntime,
    "scipy": convolving.scipy,
}

PROGRAMS: dict[str, Callable[[Case], Callable[..., Any]]] = {
    LIMIT: convolving.limit_program,
    "fcconv jax": convolving.fcconv_program,
    "lax": convolving.lax_program,
}
"""What JAX compiles; the limit, too, on a device other than the CPU."""

NEEDS = {
    LIMIT: ("numpy",),
    "fcconv numpy": ("numpy",),
    "fcconv jax": ("jax",),
    "torch": ("torch",),
    "lax": ("jax",),
    "onnxruntime": ("onnxruntime", "onnx"),
    "scipy": ("scipy",),
}


@dataclass(frozen=True)
class ConvContender:
    """A way to compute a convolution, on a device that JAX calls "cpu", "gpu" or "tpu"."""

    name: str
    platform: str

    def __str__(self) -> str:
        """Name the device too, unless it is the CPU."""
        return full_name(self.name, self.platform)

    @property
    def uses_jax(self) -> bool:
        """Whether JAX compiles this contender."""
        return self.name not in CALLS or self.platform != CPU

    @property
    def is_resident(self) -> bool:
        """Whether its peak is resident memory; the compiler of JAX knows its own."""
        return not self.uses_jax

    def can(self, case: Case) -> bool:
        """Whether it computes a case in reasonable time."""
        return self.name != "scipy" or convolving.scipy_can(case)

    def prepare(self, case: Case) -> Prepared:
        """Make the operands of a case, and compile what JAX compiles."""
        if self.uses_jax:
            return self._compiled(case)
        facts = Facts(case.multiplications, case.output_bytes)
        return Prepared(CALLS[self.name](case), facts)

    def _compiled(self, case: Case) -> Prepared:
        import jax

        arrays = convolving.limit_operands(case) if self.name == LIMIT else case.arrays()
        operands = jax.device_put(arrays, jax.devices(self.platform)[0])
        begin = time.perf_counter()
        program = jax.jit(PROGRAMS[self.name](case)).lower(*operands).compile()
        seconds = time.perf_counter() - begin
        memory = program.memory_analysis()
        peak = memory and int(memory.temp_size_in_bytes + memory.output_size_in_bytes)
        facts = Facts(case.multiplications, case.output_bytes, seconds, peak)
        return Prepared(lambda: program(*operands).block_until_ready(), facts)


def contenders(platforms: Iterable[str]) -> list[ConvContender]:
    """List the contenders that can run here, the limit first, and those of JAX on other devices."""
    found = [
        ConvContender(name, CPU)
        for name, libraries in NEEDS.items()
        if all(map(importlib.util.find_spec, libraries))
    ]
    for platform in platforms:
        found += [ConvContender(name, platform) for name in PROGRAMS]
    return found
