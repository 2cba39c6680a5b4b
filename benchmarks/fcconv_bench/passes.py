"""The suite of whole networks: one pass against the same windows cropped, in each engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import fcconv
from fcconv_bench import networks
from fcconv_bench.crops import Scene, random_image
from fcconv_bench.suite import Facts, Prepared, Suite
from fcconv_bench.ways import ways

ONE_PASS = "one pass"
CROPS = "crops"

TIMED_CROPS = 1024
"""Windows that are cropped for a time; that of all windows is in proportion."""


@dataclass(frozen=True)
class Picture:
    """A network that slides over a picture; the network is built where it runs.

    Attributes
    ----------
    network : callable
        Builds the patch network.
    window, channels, side, stride : int
        Pixels of a window along an axis; shape of the picture, ``(channels, side, side)``; pixels
        from window to window.
    """

    network: Callable[[], Any]
    window: int
    channels: int
    side: int
    stride: int

    @property
    def name(self) -> str:
        """The network, its stride and the picture."""
        return f"{self.group}, stride {self.stride}, {self.side}x{self.side}"

    @property
    def group(self) -> str:
        """The network."""
        return self.network.__name__

    def scene(self) -> Scene:
        """Build the network, and draw the picture."""
        sliding = fcconv.convolutionize(self.network(), stride=self.stride)
        return Scene(sliding, random_image(self.channels, self.side))

    def small(self) -> Picture:
        """Leave three windows along each axis."""
        return replace(self, side=self.window + 2 * self.stride)

    def can(self, _way: str, _engine: str) -> bool:
        """Whether the network is here: those of other people may not be."""
        return self.network in networks.OWN or networks.others_are_here()

    def prepare(self, way: str, engine: str) -> Prepared:
        """Build the network; for JAX, the first call compiles it and is counted as that."""
        scene = self.scene()
        part = scene.corner(TIMED_CROPS)
        call = scene.one_pass(engine) if way == ONE_PASS else part.crops(engine)
        facts = (
            Facts(scene.one_pass_multiplications())
            if way == ONE_PASS
            else Facts(scene.crops_multiplications(), calls=scene.windows / part.windows)
        )
        if engine != "jax":
            return Prepared(call, facts)
        begin = time.perf_counter()
        call()
        return Prepared(call, replace(facts, compile_seconds=time.perf_counter() - begin))


def suite() -> Suite[Picture]:
    """Return small networks over small pictures, and networks of other people."""
    pictures = (
        Picture(networks.bailer, 15, 1, 256, 4),
        Picture(networks.bailer, 15, 1, 128, 1),
        Picture(networks.colour, 32, 3, 256, 4),
        Picture(networks.colour, 32, 3, 96, 1),
        Picture(networks.board_to_fen, 50, 3, 400, 4),
        Picture(networks.board_to_fen, 50, 3, 400, 1),
        Picture(networks.onet, 48, 3, 512, 8),
        Picture(networks.alexnet, 224, 3, 500, 32),
    )
    contenders = partial(ways, (CROPS, ONE_PASS))
    return Suite("networks", "One pass against crops", CROPS, (ONE_PASS,), pictures, contenders)
