"""The third statement of a certificate: what floats add, measured beside the original."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

import fcconv_numpy
from fcconv.certificate.report import Rounding
from fcconv.certificate.side import Array, Grid, Side, filled_up, flat
from fcconv.errors import UnsupportedError
from fcconv.graph import engines
from fcconv.graph.run import Program, fixed_batch

ENGINES = ("numpy", "onnxruntime")


def rounding_errors(
    original: ir.Model, rewritten: ir.Model, grid: Grid, rng: np.random.Generator
) -> list[Rounding]:
    """Compare each engine on both networks with the original in float64.

    An engine that can't run the original has no row.

    Raises
    ------
    UnsupportedError
        If an engine runs the original, but not the rewritten network.
    """
    images = rng.standard_normal((1, *grid.image))
    crops = grid.crops(images)
    truth = flat(Side(Program(original), fcconv_numpy, np.float64).run(crops))
    dtype = original.graph.inputs[0].dtype
    narrow = np.float32 if dtype is None else dtype.numpy()
    rows = []
    for engine in ENGINES:
        if importlib.util.find_spec(engine) is None:
            continue
        try:
            patch = _listing(engines.compile(original, engine))
            patches = filled_up(patch, crops.astype(narrow), fixed_batch(original.graph.inputs))
        except UnsupportedError:  # onnxruntime has no float64 convolution, for one
            continue
        maps = _listing(engines.compile(rewritten, engine))(images.astype(narrow))
        scores = grid.by_window(maps) or flat(maps)
        rows.append(Rounding(engine, _largest(truth, flat(patches)), _largest(truth, scores)))
    return rows


def _listing(network: Callable[..., Any]) -> Callable[[Array], list[Array]]:
    """Let a network return a list, also of a single output."""

    def call(images: Array) -> list[Array]:
        results = network(images)
        return list(results) if isinstance(results, tuple) else [results]

    return call


def _largest(truth: Sequence[Array], found: Sequence[Array]) -> float:
    """Return the largest difference of floating point outputs; other shapes are no numbers."""
    pairs = list(zip(truth, found, strict=False))
    if len(truth) != len(found) or any(a.shape != b.shape for a, b in pairs):
        return float("nan")
    with np.errstate(all="ignore"):  # infinities have no difference
        return max((_difference(a, b) for a, b in pairs if b.dtype.kind == "f"), default=0.0)


def _difference(a: Array, b: Array) -> float:
    return float(np.abs(a - b).max(initial=0))
