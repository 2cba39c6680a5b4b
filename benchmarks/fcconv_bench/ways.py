"""Ways to compute with an engine of networks: the contenders of networks, scans and peaks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fcconv.backend import engines, is_installed
from fcconv_bench.suite import CPU, Prepared, TimedCase, full_name


class EngineCase(TimedCase, Protocol):
    """Something to compute in several ways, each with any engine."""

    def can(self, way: str, engine: str, /) -> bool:
        """Whether there is such a way here, in reasonable time."""
        ...

    def prepare(self, way: str, engine: str, /) -> Prepared:
        """Make what a way needs."""
        ...


@dataclass(frozen=True)
class Way:
    """A way to compute cases with an engine; JAX does it on a device."""

    name: str
    engine: str
    device: str = CPU
    is_resident: bool = False

    def __str__(self) -> str:
        """Name the engine, too."""
        return f"{self.name}, {self.platform}"

    @property
    def platform(self) -> str:
        """The engine, and its device unless that is the CPU."""
        return full_name(self.engine, self.device)

    def can(self, case: EngineCase) -> bool:
        """Whether it computes a case in reasonable time."""
        return case.can(self.name, self.engine)

    def prepare(self, case: EngineCase) -> Prepared:
        """Make what a case needs; JAX computes on the device from then on, in all its threads."""
        if self.engine == "jax":
            import jax

            (device, *_), (default, *_) = jax.devices(self.device), jax.devices()
            if device != default:
                jax.config.update("jax_default_device", device)
        return case.prepare(self.name, self.engine)


def ways(
    names: Sequence[str], platforms: Iterable[str], resident: Collection[str] = ()
) -> list[Way]:
    """List ways with each engine that is here, and with JAX on other platforms."""
    places = [(engine, CPU) for engine in filter(is_installed, engines())]
    places += [("jax", platform) for platform in platforms]
    return [Way(name, *place, name in resident) for place in places for name in names]
