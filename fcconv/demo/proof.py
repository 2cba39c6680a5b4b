"""One pass against every window cropped and scored alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx

import fcconv
from fcconv.backend import to_numpy
from fcconv.certificate.report import Certificate
from fcconv.demo.network import SHAPE, arrays_of, crops, face_network
from fcconv.demo.photos import Image
from fcconv.graph.files.load import load
from fcconv.graph.node import Node
from fcconv.graph.running.run import program_of

BATCH = 1024
GREY_LEVELS = 255
LARGEST_WEIGHT = 31
EXACT_BELOW = 2**53
"""Sums of integers are exact in float64 as long as they stay below this."""

Scores: TypeAlias = npt.NDArray[Any]
"""One score a window, ``(rows, columns)``."""

Score: TypeAlias = Callable[[Any], Any]
"""A network: windows ``(N, *SHAPE)`` to scores ``(N, 1)``, or images to maps of scores."""

Track: TypeAlias = Callable[[Sequence[Any], str], Iterable[Any]]
"""Hands out the items of a sequence while it shows, under a heading, how far it is."""


@dataclass(frozen=True)
class Proof:
    """What was compared, and how it came out.

    Attributes
    ----------
    certificate : Certificate
        The proof in a finite field.
    windows : int
        Windows of the photo that were compared.
    equal_on_integers : int
        Windows whose scores are equal bit for bit, with integer weights and pixels.
    largest_difference : float
        Largest difference between the float32 scores of a window.
    """

    certificate: Certificate
    windows: int
    equal_on_integers: int
    largest_difference: float

    @property
    def holds(self) -> bool:
        """Whether the certificate proves equality, and every window of the photo shows it."""
        return self.certificate.exact and self.equal_on_integers == self.windows


def one_pass_scores(sliding: Score, images: Sequence[Any], track: Track) -> list[Scores]:
    """Score every window of grey images ``(H, W)`` by one pass an image."""
    return [
        to_numpy(sliding(image[None, None]))[0, 0] for image in track(images, "one pass a scale")
    ]


def crop_scores(patch: Score, images: Sequence[Any], stride: int, track: Track) -> list[Scores]:
    """Score every window of grey images ``(H, W)`` cropped, in batches of equal shape."""
    windows = [crops(image, stride) for image in images]
    stacked = np.concatenate([view.reshape(-1, *SHAPE) for view in windows])
    batches = [stacked[start : start + BATCH] for start in range(0, len(stacked), BATCH)]
    scores = [to_numpy(patch(batch))[:, 0] for batch in track(batches, "window by window")]
    shapes = [view.shape[:2] for view in windows]
    ends = np.cumsum([rows * columns for rows, columns in shapes])
    parts = np.split(np.concatenate(scores), ends[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def prove(
    network: onnx.ModelProto,
    images: Sequence[Image],
    backend: str,
    one_pass: Sequence[Scores],
    by_crop: Sequence[Scores],
    *,
    track: Track,
    seed: int | None = None,
) -> Proof:
    """Prove that one pass scores every window as its crop is scored.

    The certificate proves it for all images. Integers show it on this one: with the weights
    replaced by integers in proportion to them, nothing is rounded, and both ways give the same
    sums, or the rewriting is wrong.

    Parameters
    ----------
    network : onnx.ModelProto
        The classifier.
    images : sequence of array, shape (H, W)
        What was scored.
    backend : str
        What computes.
    one_pass, by_crop : sequence of array, shape (rows, columns)
        The float32 scores of each image, both ways.
    track : callable
        Shows progress.
    seed : int, optional
        Repeats a proof, see :func:`fcconv.certify`.

    Returns
    -------
    Proof
        The certificate, and how the windows compare.
    """
    integers = integer_network(network)
    sliding = fcconv.convolutionize(integers)
    whole = [np.round(image * GREY_LEVELS).astype(np.float64) for image in images]
    with fcconv.backend(backend).double_precision():
        one = fcconv.compile(sliding.model, backend)
        many = fcconv.compile(integers, backend)
        tracked = under("integers", track)
        exact = _flat(one_pass_scores(one, whole, tracked))
        equal = exact == _flat(crop_scores(many, whole, sliding.stride[0], tracked))
    return Proof(
        certificate=fcconv.certify(network, fcconv.convolutionize(network), seed=seed),
        windows=len(equal),
        equal_on_integers=int(equal.sum()),
        largest_difference=float(np.abs(_flat(one_pass) - _flat(by_crop)).max()),
    )


def under(heading: str, track: Track) -> Track:
    """Put a heading before those of `track`."""
    return lambda items, part: track(items, f"{heading}: {part}")


def _flat(maps: Iterable[Scores]) -> npt.NDArray[Any]:
    return np.concatenate([scores.ravel() for scores in maps])


def integer_network(network: onnx.ModelProto) -> onnx.ModelProto:
    """Scale each weight array to integers of at most 31, held in float64.

    Raises
    ------
    OverflowError
        If a sum could reach 2**53, where float64 stops being exact.
    """
    scaled = {
        name: np.round(array.astype(np.float64) * (LARGEST_WEIGHT / np.abs(array).max()))
        for name, array in arrays_of(network).items()
    }

    def check(node: Node, outputs: tuple[Any, ...]) -> None:
        if outputs[0].max() >= EXACT_BELOW:
            raise OverflowError(f"the sums of {node} could reach 2**53")

    largest = np.full((1, *SHAPE), float(GREY_LEVELS))
    absolute = {name: np.abs(array) for name, array in scaled.items()}
    program = program_of(load(face_network(absolute)))
    program.run(fcconv.backend("numpy"), absolute, [largest], check)
    return face_network(scaled)
