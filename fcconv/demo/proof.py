"""One pass against every window cropped and scored alone: exact, and within rounding."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

import fcconv
from fcconv import rounding
from fcconv.backend import Backend
from fcconv.demo.network import (
    SHAPE,
    Conv,
    Network,
    convolutionize,
    crops,
    run,
    stride,
    with_weights,
)
from fcconv.demo.photos import Image

BATCH = 1024
GREY_LEVELS = 255
LARGEST_WEIGHT = 31
EXACT_BELOW = 2**53
"""Sums of integers are exact in float64 as long as they stay below this."""


Scores: TypeAlias = npt.NDArray[Any]
"""One score a window, ``(rows, columns)``."""

Track: TypeAlias = Callable[[Sequence[Any], str], Iterable[Any]]
"""Hands out the items of a sequence while it shows, under a heading, how far it is."""


@dataclass(frozen=True)
class Proof:
    """What was compared, and how it came out.

    Attributes
    ----------
    windows : int
        Windows compared.
    equal_on_integers : int
        Windows whose scores are equal bit for bit, with integer weights and pixels.
    largest_difference, bound_there : float
        Largest difference between the float32 scores of a window, and what rounding allows there.
    within_bound : int
        Windows whose float32 scores differ by no more than rounding allows.
    """

    windows: int
    equal_on_integers: int
    largest_difference: float
    bound_there: float
    within_bound: int

    @property
    def holds(self) -> bool:
        """Whether every window passed both comparisons."""
        return self.equal_on_integers == self.within_bound == self.windows


def one_pass_scores(
    network: Network, images: Sequence[Any], backend: Backend[Any], track: Track
) -> list[Scores]:
    """Score every window of grey images ``(H, W)`` by one pass an image."""
    sliding = convolutionize(with_weights(network, backend.asarray))
    return [
        np.asarray(run(sliding, backend.asarray(image[None, None])))[0, 0]
        for image in track(images, "one pass a scale")
    ]


def crop_scores(
    network: Network, images: Sequence[Any], backend: Backend[Any], track: Track
) -> list[Scores]:
    """Score every window of grey images ``(H, W)`` cropped, in batches of equal shape."""
    network = with_weights(network, backend.asarray)
    windows = [crops(image, stride(network)) for image in images]
    stacked = np.concatenate([view.reshape(-1, *SHAPE) for view in windows])
    batches = [stacked[start : start + BATCH] for start in range(0, len(stacked), BATCH)]
    scores = [
        np.asarray(run(network, backend.asarray(batch)))[:, 0]
        for batch in track(batches, "window by window")
    ]
    shapes = [view.shape[:2] for view in windows]
    ends = np.cumsum([rows * columns for rows, columns in shapes])
    parts = np.split(np.concatenate(scores), ends[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def prove(
    network: Network,
    images: Sequence[Image],
    backend_name: str,
    one_pass: Sequence[Scores],
    by_crop: Sequence[Scores],
    track: Track,
) -> Proof:
    """Prove that one pass scores every window as its crop is scored.

    Integers leave no room for rounding: with the weights replaced by integers in proportion to
    them, both ways give the same sums, or the rewriting is wrong. What floats add is bounded.

    Parameters
    ----------
    network : sequence of layers
        The classifier, float32 NumPy arrays.
    images : sequence of array, shape (H, W)
        What was scored.
    backend_name : str
        What computes.
    one_pass, by_crop : sequence of array, shape (rows, columns)
        The float32 scores of each image, both ways.
    track : callable
        Shows progress.

    Returns
    -------
    Proof
        How both comparisons came out.
    """
    backend = fcconv.backend(backend_name)
    integers = integer_network(network)
    whole = [np.round(image * GREY_LEVELS).astype(np.float64) for image in images]
    with _float64(backend_name):
        exact = (
            _flat(scores(integers, whole, backend, under("integers", track)))
            for scores in (one_pass_scores, crop_scores)
        )
        equal = np.equal(*exact)
    # each of the two ways may be off by the bound, in opposite directions
    bound = 2 * _flat([rounding_bound(network, image) for image in track(images, "rounding bound")])
    difference = np.abs(_flat(one_pass) - _flat(by_crop))
    worst = int(difference.argmax())
    return Proof(
        windows=len(difference),
        equal_on_integers=int(equal.sum()),
        largest_difference=float(difference[worst]),
        bound_there=float(bound[worst]),
        within_bound=int((difference <= bound).sum()),
    )


def under(heading: str, track: Track) -> Track:
    """Put a heading before those of `track`."""
    return lambda items, part: track(items, f"{heading}: {part}")


def _flat(maps: Iterable[Scores]) -> npt.NDArray[Any]:
    return np.concatenate([scores.ravel() for scores in maps])


def _float64(backend_name: str) -> AbstractContextManager[None]:
    """Let JAX hold float64 for as long as the context lasts."""
    if backend_name != "jax":
        return nullcontext()
    import jax

    allowed: AbstractContextManager[None] = jax.enable_x64(True)
    return allowed


def integer_network(network: Network) -> Network:
    """Scale each weight array to integers of at most 31, held in float64.

    Raises
    ------
    OverflowError
        If a sum could reach 2**53, where float64 stops being exact.
    """

    def scale(array: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        largest = np.abs(array).max()
        return np.asarray(np.round(array.astype(np.float64) * (LARGEST_WEIGHT / largest)))

    integers = with_weights(network, scale)
    largest = np.full((1, *SHAPE), float(GREY_LEVELS))
    for layer in with_weights(integers, np.abs):
        largest = layer(largest)
        if largest.max() >= EXACT_BELOW:
            raise OverflowError(f"the sums of {layer.name} could reach 2**53")
    return integers


def rounding_bound(network: Network, image: Image) -> npt.NDArray[np.float64]:
    """Bound the error of the float32 score of each window of an image ``(H, W)``.

    A running error bound (Higham 2002, section 3.3): each convolution passes on the error of its
    input times the absolute weights and adds its own; ReLU and max pool never enlarge an error.
    """
    wide = with_weights(network, lambda array: array.astype(np.float64))
    value = image[None, None].astype(np.float64)
    error = np.zeros_like(value)
    for layer in convolutionize(wide):
        if isinstance(layer, Conv):
            weight = np.abs(layer.weight)
            magnitude = fcconv.conv(np.abs(value) + error, weight, np.abs(layer.bias))
            terms = math.prod(weight.shape[1:]) + 1
            error = fcconv.conv(error, weight)
            error += rounding.dot_bound(magnitude, terms, np.float32)
        else:
            error = layer(error)
        value = layer(value)
    bound: npt.NDArray[np.float64] = error[0, 0]
    return bound
