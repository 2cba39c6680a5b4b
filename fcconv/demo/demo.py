"""The demo itself: find the astronaut's face, and prove that one pass scores what crops score."""

from __future__ import annotations

import time
from dataclasses import dataclass
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
from fcconv.demo.proof import Proof, Track, crop_scores, one_pass_scores, prove, under


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
    stride : int
        Pixels from one window to the next.
    one_pass_seconds, crops_seconds : float
        Time to score all windows; compilation, if any, came before.
    proof : Proof
        Whether both ways are equal.
    peaks : list of Peak
        The strongest first.
    """

    layers: list[LayerRow]
    scales: int
    stride: int
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
    if backend_name == "jax":  # compilation is no part of what is timed
        for score in (one_pass_scores, crop_scores):
            score(network, images, backend, under("compiling", track))
    floats = under("floats", track)
    begin = time.perf_counter()
    one_pass = one_pass_scores(network, images, backend, floats)
    between = time.perf_counter()
    by_crop = crop_scores(network, images, backend, floats)
    end = time.perf_counter()
    proof = prove(network, images, backend_name, one_pass, by_crop, track)
    step = stride(network)
    levels = [Level(scale, scores, step) for scale, scores in zip(scales, one_pass, strict=True)]
    peaks = strongest_peaks(levels, 3)
    write_picture(out, photo, images[0], heatmap(levels, images[0].shape), peaks)
    return Demo(
        layer_rows(network), len(scales), step, between - begin, end - between, proof, peaks
    )


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
