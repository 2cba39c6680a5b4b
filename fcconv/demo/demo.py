"""The demo itself: find the astronaut's face, and prove that one pass scores what crops score."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx_ir as ir
import skimage as ski

import fcconv
from fcconv.demo.network import WINDOW, load_faces
from fcconv.demo.peaks import FoundFace, Level, heatmap, strongest_peaks
from fcconv.demo.photos import grey, pyramid
from fcconv.demo.picture import write_picture
from fcconv.demo.proof import Proof, Track, crop_scores, one_pass_scores, prove, under
from fcconv.graph.rewriting.sliding import Sliding


@dataclass(frozen=True)
class LayerRow:
    """One layer before and after the rewriting."""

    name: str
    before: str
    after: str


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
    peaks : list of FoundFace
        The strongest first.
    """

    layers: list[LayerRow]
    scales: int
    stride: int
    one_pass_seconds: float
    crops_seconds: float
    proof: Proof
    peaks: list[FoundFace]


def run_demo(backend: str, out: Path, track: Track, seed: int | None = None) -> Demo:
    """Find the face in ``astronaut.png``, prove the rewriting, and write the picture.

    Parameters
    ----------
    backend : str
        What computes, see :func:`fcconv.backends`.
    out : path
        Where the picture goes, a PNG.
    track : callable
        Shows progress: hands out the items of a sequence under a heading.
    seed : int, optional
        Repeats a proof, see :func:`fcconv.certify`.

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
    network, photo = load_faces(), ski.data.astronaut()
    sliding = fcconv.convolutionize(network)
    (step, _) = sliding.stride
    one, many = (fcconv.compile(model, backend) for model in (sliding.model, network))
    scales, images = zip(*pyramid(grey(photo), WINDOW), strict=True)
    if fcconv.backend(backend).compiles:  # compilation is not timed
        one_pass_scores(one, images, under("compiling", track))
        crop_scores(many, images, step, under("compiling", track))
    floats = under("floats", track)
    begin = time.perf_counter()
    one_pass = one_pass_scores(one, images, floats)
    between = time.perf_counter()
    by_crop = crop_scores(many, images, step, floats)
    end = time.perf_counter()
    proof = prove(network, images, backend, one_pass, by_crop, track=track, seed=seed)
    levels = [Level(scale, scores, step) for scale, scores in zip(scales, one_pass, strict=True)]
    peaks = strongest_peaks(levels, 3)
    write_picture(out, photo, images[0], heatmap(levels, images[0].shape), peaks)
    return Demo(
        layer_rows(network, sliding),
        len(scales),
        step,
        between - begin,
        end - between,
        proof,
        peaks,
    )


def layer_rows(network: onnx.ModelProto, sliding: Sliding) -> list[LayerRow]:
    """Describe each layer before and after the rewriting."""
    after = {node.name: node for node in sliding.model.graph}
    return [
        LayerRow(str(node.name), describe(node), describe(after[node.name]))
        for node in ir.from_proto(network).graph
        if node.op_type in ("Conv", "Gemm", "MaxPool")
    ]


def describe(node: ir.Node) -> str:
    """Describe a layer by its type and the shape of its weight or kernel."""
    if node.op_type == "MaxPool":
        return f"max pool {_times(node.attributes['kernel_shape'].as_ints())}"
    weight = node.inputs[1]
    shape = () if weight is None or weight.shape is None else weight.shape.numpy()
    return f"{'dense' if node.op_type == 'Gemm' else 'convolution'} {_times(shape)}"


def _times(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
