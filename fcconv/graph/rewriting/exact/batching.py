"""What single operators do with the images of a batch, among which windows are to stand.

Most of them are computed by onnxruntime only, so that there is no record of them in ``OPERATORS``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fcconv.graph.node import Node

MIXES = "it mixes the images of a batch, in which windows are to stand"


@dataclass(frozen=True)
class Batching:
    """How an operator takes a batch.

    Attributes
    ----------
    refusal : callable, optional
        Says why a node can't compute any number of images; None if it can.
    results : tuple of int
        The axis of the batch in each result, if that is known.
    beside : callable, optional
        Says which inputs have as many entries as there are images, beside what depends on them, and
        along which axis.
    """

    refusal: Callable[[Node], str | None] | None = None
    results: tuple[int, ...] = ()
    beside: Callable[[Node], tuple[range, int]] | None = None


def _draws(_node: Node) -> str:
    return "it draws random numbers, other ones for each window: remove it"


def _mixes_images(node: Node) -> str | None:
    return MIXES if 0 in node.attribute("axes", (0, 2, 3)) else None


def _indexes_images(node: Node) -> str | None:
    x = node.ir.inputs[0]
    if node.attribute("batch_dims", 0) or x is None or x.const_value is not None:
        return None
    return (
        "it tells entries by their images, of which there are more with windows in the batch: "
        "index along one axis (Gather, ScatterElements)"
    )


def _further(node: Node) -> tuple[range, int]:
    return range(1, len(node.ir.inputs)), 0


def _joined(node: Node) -> tuple[range, int]:
    inputs = range(len(node.ir.inputs))
    return inputs if node.attribute("axis", 0) else inputs[:0], 0


def _states(node: Node) -> tuple[range, int]:
    """Lengths of sequences, and the states that a recurrent network begins with."""
    return range(4, min(len(node.ir.inputs), 7)), 1 - node.attribute("layout", 0)


BATCHING = {
    "Bernoulli": Batching(_draws),
    "Concat": Batching(beside=_joined),
    "GRU": Batching(results=(2, 1), beside=_states),
    "GatherElements": Batching(beside=_further),
    "GatherND": Batching(_indexes_images, beside=_further),
    "GridSample": Batching(beside=_further),
    "LSTM": Batching(results=(2, 1, 1), beside=_states),
    "MeanVarianceNormalization": Batching(_mixes_images),
    "Multinomial": Batching(_draws),
    "RNN": Batching(results=(2, 1), beside=_states),
    "RandomNormal": Batching(_draws),
    "RandomNormalLike": Batching(_draws),
    "RandomUniform": Batching(_draws),
    "RandomUniformLike": Batching(_draws),
    "ScatterElements": Batching(beside=_further),
    "ScatterND": Batching(_indexes_images),
}
"""Operators of which there is anything to say, by type."""

PLAIN = Batching()


def batching_of(node: Node) -> Batching:
    """Look up what is said of a node's operator."""
    return BATCHING.get(node.op, PLAIN)
