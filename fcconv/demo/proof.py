"""One pass against every window cropped and scored alone: exact, and within rounding."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import fcconv
from fcconv import rounding
from fcconv.backend import Backend
from fcconv.demo.network import (
    WINDOW,
    Conv,
    MaxPool,
    Network,
    convolutionize,
    crops,
    run,
    stride,
    with_weights,
)

BATCH = 1024
GREY_LEVELS = 255
LARGEST_WEIGHT = 31
EXACT_BELOW = 2**53
"""Sums of integers are exact in float64 as long as they stay below this."""


@dataclass(frozen=True)
class Comparison:
    """Scores of all windows of some images, by one pass an image and by crops.

    Attributes
    ----------
    one_pass, crops : array, shape (windows,)
        Scores, image after image, row by row.
    one_pass_seconds, crops_seconds : float
        Time that they took; compilation, if any, came before.
    """

    one_pass: npt.NDArray[Any]
    crops: npt.NDArray[Any]
    one_pass_seconds: float
    crops_seconds: float


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


def compare(network: Network, images: Sequence[npt.NDArray[Any]], backend: Backend) -> Comparison:
    """Score every window of grey images ``(H, W)``, by one pass an image and by crops."""
    step = stride(network)
    network = with_weights(network, backend.asarray)
    sliding = convolutionize(network, (1, WINDOW, WINDOW))
    windows = np.concatenate(
        [crops(image, step).reshape(-1, 1, WINDOW, WINDOW) for image in images]
    )
    batches = [windows[start : start + BATCH] for start in range(0, len(windows), BATCH)]
    one_pass, one_pass_seconds = _timed(sliding, [image[None, None] for image in images], backend)
    by_crop, crops_seconds = _timed(network, batches, backend)
    return Comparison(one_pass, by_crop, one_pass_seconds, crops_seconds)


def _timed(
    network: Network, inputs: Sequence[npt.NDArray[Any]], backend: Backend
) -> tuple[npt.NDArray[Any], float]:
    """Score inputs; JAX compiles a shape when it first sees it, so each shape runs once before."""
    for distinct in {x.shape: x for x in inputs}.values():
        np.asarray(run(network, backend.asarray(distinct)))
    start = time.perf_counter()
    scores = [np.asarray(run(network, backend.asarray(x))).ravel() for x in inputs]
    return np.concatenate(scores), time.perf_counter() - start


def prove(
    network: Network,
    images: Sequence[npt.NDArray[np.float32]],
    backend: Backend,
    floats: Comparison,
) -> Proof:
    """Prove that one pass scores every window as its crop is scored.

    Integers leave no room for rounding: with the weights replaced by integers in proportion to
    them, both ways give the same sums, or the rewriting is wrong. What floats add is bounded.
    """
    whole = [np.round(image * GREY_LEVELS).astype(np.float64) for image in images]
    exact = compare(integer_network(network), whole, backend)
    sliding = convolutionize(network, (1, WINDOW, WINDOW))
    # each of the two ways may be off by the bound, in opposite directions
    bound = 2 * np.concatenate([rounding_bound(sliding, image[None, None]) for image in images])
    difference = np.abs(floats.one_pass - floats.crops)
    worst = int(difference.argmax())
    return Proof(
        windows=len(difference),
        equal_on_integers=int((exact.one_pass == exact.crops).sum()),
        largest_difference=float(difference[worst]),
        bound_there=float(bound[worst]),
        within_bound=int((difference <= bound).sum()),
    )


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
    brightest = np.full((1, 1, WINDOW, WINDOW), float(GREY_LEVELS))
    if run(with_weights(integers, np.abs), brightest).max() >= EXACT_BELOW:
        raise OverflowError("the sums of the integer network could exceed 2**53")
    return integers


def rounding_bound(
    sliding: Sequence[Conv | MaxPool], x: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Bound the error of each float32 score of ``x (1, 1, H, W)``, as a flat array.

    A running error bound (Higham 2002, section 3.3): each convolution passes on the error of its
    input times the absolute weights and adds its own; ReLU and max pool never enlarge an error.
    """
    value, error = x.astype(np.float64), np.zeros(x.shape)
    for layer in sliding:
        if isinstance(layer, Conv):
            weight, bias = layer.weight.astype(np.float64), layer.bias.astype(np.float64)
            terms = math.prod(weight.shape[1:]) + 1
            magnitude = fcconv.conv(np.abs(value) + error, np.abs(weight), np.abs(bias))
            error = fcconv.conv(error, np.abs(weight))
            error += rounding.dot_bound(magnitude, terms, np.float32)
            value = Conv(layer.name, weight, bias, layer.relu)(value)
        else:
            value, error = layer(value), layer(error)
    return error.ravel()
