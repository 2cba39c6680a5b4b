"""The suite of whole networks: one pass against the same windows cropped, in each engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import fcconv
from fcconv.backend import engines, is_installed
from fcconv_bench import networks
from fcconv_bench.crops import Scene, random_image
from fcconv_bench.suite import CPU, Call, Facts, Prepared, Suite, full_name

ONE_PASS = "one pass"
CROPS = "crops"


@dataclass(frozen=True)
class Picture:
    """A network that slides over a picture; the network is built where it runs.

    Attributes
    ----------
    network : callable
        Builds the patch network.
    channels, side, stride : int
        Shape of the picture, ``(channels, side, side)``; pixels from window to window.
    """

    network: Callable[[], Any]
    channels: int
    side: int
    stride: int

    @property
    def name(self) -> str:
        """The network, its stride and the picture."""
        return f"{self.network.__name__}, stride {self.stride}, {self.side}x{self.side}"

    @property
    def group(self) -> str:
        """The network."""
        return self.network.__name__

    def scene(self) -> Scene:
        """Build the network, and draw the picture."""
        sliding = fcconv.convolutionize(self.network(), stride=self.stride)
        return Scene(sliding, random_image(self.channels, self.side))


@dataclass(frozen=True)
class Way:
    """A way to score all windows in an engine; JAX does it on a device."""

    name: str
    engine: str
    device: str = CPU

    @property
    def platform(self) -> str:
        """The engine, and its device unless that is the CPU."""
        return full_name(self.engine, self.device)

    @property
    def is_resident(self) -> bool:
        """Memory is measured by ``fcconv_bench.scans``, which bounds it too."""
        return False

    def can(self, picture: Picture) -> bool:
        """Whether it computes a case in reasonable time: all do."""
        return True

    def prepare(self, picture: Picture) -> Prepared:
        """Build the network; for JAX, the first call compiles it and is counted as that."""
        scene = picture.scene()
        if self.name == ONE_PASS:
            call, multiplications = scene.one_pass(self.engine), scene.one_pass_multiplications()
        else:
            call, multiplications = scene.crops(self.engine), scene.crops_multiplications()
        if self.engine != "jax":
            return Prepared(call, Facts(multiplications))
        call = self._on_device(call)
        begin = time.perf_counter()
        call()
        seconds = time.perf_counter() - begin
        return Prepared(call, Facts(multiplications, compile_seconds=seconds))

    def _on_device(self, call: Call) -> Call:
        import jax

        device = jax.devices(self.device)[0]

        def on_device() -> Any:
            with jax.default_device(device):
                return call()

        return on_device


def ways(platforms: Iterable[str]) -> list[Way]:
    """List the engines that are here, crops before one pass."""
    places = [(engine, CPU) for engine in filter(is_installed, engines())]
    places += [("jax", platform) for platform in platforms]
    return [Way(name, *place) for place in places for name in (CROPS, ONE_PASS)]


def suite() -> Suite[Picture]:
    """Return small networks over small pictures, so that all crops can be timed."""
    pictures = (
        Picture(networks.bailer, 1, 256, 4),
        Picture(networks.bailer, 1, 128, 1),
        Picture(networks.colour, 3, 256, 4),
        Picture(networks.colour, 3, 96, 1),
    )
    title = "One pass against crops"
    return Suite("networks", title, CROPS, (ONE_PASS,), pictures, ways)
