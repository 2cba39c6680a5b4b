"""The demo itself: find the astronaut's face, and prove that one pass scores what crops score."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import skimage as ski

import fcconv
from fcconv.demo.network import (
    SHAPE,
    WINDOW,
    Conv,
    Layer,
    MaxPool,
    Network,
    block_after,
    convolutionize,
    load_faces,
    stride,
)
from fcconv.demo.peaks import Level, Peak, heatmap, strongest_peaks
from fcconv.demo.photos import grey, pyramid
from fcconv.demo.picture import write_picture
from fcconv.demo.proof import Proof, Scores, Track, crop_scores, one_pass_scores, prove


@dataclass(frozen=True)
class LayerRow:
    """One layer before and after the rewriting, and the shape of what it makes of a window."""

    name: str
    before: str
    after: str
    output: str


@dataclass(frozen=True)
class Demo:
    """What the demo found.

    Attributes
    ----------
    layers : list of LayerRow
        The classifier.
    scales : int
        Number of scaled images.
    one_pass_seconds, crops_seconds : float
        Time to score all windows; compilation, if any, came before.
    proof : Proof
        Whether both ways are equal.
    peaks : list of Peak
        The strongest first.
    """

    layers: list[LayerRow]
    scales: int
    one_pass_seconds: float
    crops_seconds: float
    proof: Proof
    peaks: list[Peak]


def run_demo(backend_name: str, out: Path, track: Track) -> Demo:
    """Find the face in ``astronaut.png``, prove the rewriting, and write the picture.

    Parameters
    ----------
    backend_name : str
        "numpy" or "jax".
    out : path
        Where the picture goes, a PNG.
    track : callable
        Shows progress: hands out the items of a sequence under a heading.

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
    network, photo = load_faces(), ski.data.astronaut()
    scales, images = zip(*pyramid(grey(photo), WINDOW), strict=True)
    compiles = backend_name == "jax"
    one_pass, one_pass_seconds = _timed(
        partial(one_pass_scores, network, images, backend, track), compiles
    )
    by_crop, crops_seconds = _timed(partial(crop_scores, network, images, backend, track), compiles)
    proof = prove(network, images, backend_name, one_pass, by_crop, track)
    step = stride(network)
    levels = [Level(scale, scores, step) for scale, scores in zip(scales, one_pass, strict=True)]
    peaks = strongest_peaks(levels, 3)
    write_picture(out, photo, images[0], heatmap(levels, images[0].shape), peaks)
    return Demo(layer_rows(network), len(scales), one_pass_seconds, crops_seconds, proof, peaks)


def _timed(score: Callable[[], list[Scores]], compiles: bool) -> tuple[list[Scores], float]:
    """Time the scoring; if it compiles, that happens in a first run."""
    if compiles:
        score()
    begin = time.perf_counter()
    scores = score()
    return scores, time.perf_counter() - begin


def layer_rows(network: Network) -> list[LayerRow]:
    """Describe each layer before and after the rewriting."""
    rows: list[LayerRow] = []
    block: tuple[int, ...] = SHAPE
    for before, after in zip(network, convolutionize(network), strict=True):
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
