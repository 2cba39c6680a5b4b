"""The demo itself: find the astronaut's face, and prove that one pass scores what crops score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import skimage as ski

import fcconv
from fcconv.demo.network import (
    WINDOW,
    Conv,
    Layer,
    MaxPool,
    Network,
    block_after,
    convolutionize,
    crops,
    load_faces,
    stride,
)
from fcconv.demo.peaks import Level, Peak, heatmap, strongest_peaks
from fcconv.demo.photos import Image, grey, pyramid
from fcconv.demo.picture import write_picture
from fcconv.demo.proof import Comparison, Proof, compare, prove

SHAPE = (1, WINDOW, WINDOW)


@dataclass(frozen=True)
class LayerRow:
    """One layer before and after the rewriting, and the shape of what it makes of a window."""

    name: str
    before: str
    after: str
    output: str


@dataclass(frozen=True)
class Demo:
    """What the demo found."""

    layers: list[LayerRow]
    scales: int
    comparison: Comparison
    proof: Proof
    peaks: list[Peak]


def run_demo(backend_name: str, out: Path, step: Callable[[str], None]) -> Demo:
    """Find the face in ``astronaut.png``, prove the rewriting, and write the picture.

    Parameters
    ----------
    backend_name : str
        "numpy" or "jax".
    out : path
        Where the picture goes, a PNG.
    step : callable
        Is told what begins; it shows progress.

    Returns
    -------
    Demo
        The layers, times, proof and peaks.

    Raises
    ------
    BackendError
        If the backend is unknown or not installed.
    OSError
        If the picture cannot be written.
    """
    backend = fcconv.backend(backend_name)
    if backend_name == "jax":
        _enable_float64()
    step("loading the classifier and the photo")
    network, photo = load_faces(), ski.data.astronaut()
    scales, images = zip(*pyramid(grey(photo), WINDOW), strict=True)
    step(f"scoring every window at {len(scales)} scales, by one pass and by crops")
    comparison = compare(network, images, backend)
    step("proving that both are equal")
    proof = prove(network, images, backend, comparison)
    step("drawing the picture")
    levels = _levels(network, scales, images, comparison)
    peaks = strongest_peaks(levels, 3)
    write_picture(out, photo, images[0], heatmap(levels), peaks)
    return Demo(layer_rows(network), len(scales), comparison, proof, peaks)


def _enable_float64() -> None:
    """Let JAX hold integers in float64; float32 arrays stay float32."""
    import jax

    jax.config.update("jax_enable_x64", True)


def layer_rows(network: Network) -> list[LayerRow]:
    """Describe each layer before and after the rewriting."""
    rows: list[LayerRow] = []
    block: tuple[int, ...] = SHAPE
    for before, after in zip(network, convolutionize(network, SHAPE), strict=True):
        block = block_after(after, block)
        rows.append(LayerRow(before.name, _describe(before), _describe(after), _times(block)))
    return rows


def _describe(layer: Layer) -> str:
    if isinstance(layer, MaxPool):
        return f"max pool {layer.kernel}x{layer.kernel}"
    kind = "convolution" if isinstance(layer, Conv) else "dense"
    return f"{kind} {_times(layer.weight.shape)}"


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _levels(
    network: Network, scales: Sequence[float], images: Sequence[Image], comparison: Comparison
) -> list[Level]:
    """Cut the flat scores into one map a scale."""
    step, levels, start = stride(network), [], 0
    for scale, image in zip(scales, images, strict=True):
        rows, columns = crops(image, step).shape[:2]
        scores = comparison.one_pass[start : start + rows * columns].reshape(rows, columns)
        levels.append(Level(scale, image, scores, step))
        start += rows * columns
    return levels
