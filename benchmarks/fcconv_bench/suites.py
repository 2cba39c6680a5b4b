"""The suites of the report."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from fcconv_bench.architectures import NETWORKS
from fcconv_bench.cases import Case
from fcconv_bench.contenders import LIMIT, OURS, contenders
from fcconv_bench.suite import Suite

NATIVE = "native"
MAP = "map"
"""The groups of dense layers: at the size they were trained at, and sliding over a map."""

MAP_CELLS = 16

DENSE = (
    ("seed", 1, 2, 2),
    ("LeNet", 16, 5, 120),
    ("AlexNet", 256, 6, 4096),
    ("VGG", 512, 7, 4096),
    ("R-Net", 64, 3, 128),
    ("O-Net", 128, 3, 256),
    ("board-to-fen", 100, 9, 100),
)
"""The first dense layer of a network: name, channels and size of what it reads, outputs."""


def layers() -> Suite[Case]:
    """Return dense layers as convolutions, at their native size and on a map of 16x16 cells."""
    cases: list[Case] = []
    for name, channels, size, outputs in DENSE:
        layer = f"{name} {channels}x{size}x{size} to {outputs}"
        native = Case(layer, NATIVE, channels, size, outputs, size)
        cases += [
            native,
            _batch(native, 32),
            replace(
                native,
                name=f"{layer}, map {MAP_CELLS}x{MAP_CELLS}",
                group=MAP,
                size=size + MAP_CELLS - 1,
            ),
        ]
    return Suite("layers", "Dense layers as convolutions", LIMIT, OURS, tuple(cases), contenders)


def convolutions() -> Suite[Case]:
    """Return every distinct convolution of VGG16, ResNet-50 and MobileNet-V1."""
    distinct = dict.fromkeys(case for network in NETWORKS for case in network())
    cases = tuple(case for single in distinct for case in (single, _batch(single, 8)))
    title = "Convolutions of networks at 224x224"
    return Suite("convolutions", title, LIMIT, OURS, cases, contenders)


def _made_by(module: str) -> Suite[Any]:
    """Return the suite of a module that needs more libraries: those of ONNX, or of scans."""
    made: Suite[Any] = importlib.import_module(f"fcconv_bench.{module}").suite()
    return made


SUITES: dict[str, Callable[[], Suite[Any]]] = {
    "layers": layers,
    "convolutions": convolutions,
    "networks": partial(_made_by, "passes"),
    "scans": partial(_made_by, "scans"),
    "stages": partial(_made_by, "stages"),
    "peaks": partial(_made_by, "peaks"),
    "slide": partial(_made_by, "slides"),
    "streams": partial(_made_by, "streams"),
    "peers": partial(_made_by, "peers"),
}


def _batch(case: Case, batch: int) -> Case:
    return replace(case, name=f"{case.name}, batch {batch}", batch=batch)
