"""Probabilities of scores: what many classifiers leave to the loss that they were trained with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fcconv.errors import ArgumentError

if TYPE_CHECKING:
    import onnx_ir as ir

Array: TypeAlias = npt.NDArray[Any]

SHAPING = {"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
"""Nodes after which a probability is still one."""


def _softmax(scores: Array) -> Array:
    shifted = np.exp(scores - scores.max(axis=0))  # at most 1: nothing overflows
    return np.asarray(shifted / shifted.sum(axis=0))


def _sigmoid(scores: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-scores)))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"softmax": _softmax, "sigmoid": _sigmoid}
"""Name to what makes probabilities ``(K, *cells)`` of scores of that shape, in their dtype."""


def activated(activation: str | None, scores: Array) -> Array:
    """Make probabilities of scores.

    Parameters
    ----------
    activation : {"softmax", "sigmoid"} or None
        Among the classes, or for each by itself; None for the scores as they are.
    scores : array of floats, shape (K, *cells)
        Types shorter than float32 are computed in it.

    Returns
    -------
    array, shape (K, *cells)
        In the dtype of the scores; NaN stays NaN.

    Examples
    --------
    >>> activated("sigmoid", np.array([[0.0, -np.inf, np.nan]]))
    array([[0.5, 0. , nan]])
    """
    if activation is None:
        return scores
    with np.errstate(over="ignore", invalid="ignore"):  # exp(1000) is infinite, its inverse 0
        made = ACTIVATIONS[activation](scores.astype(np.promote_types(scores.dtype, np.float32)))
    return made.astype(scores.dtype, copy=False)


def check_activation(
    activation: Any, outputs: Mapping[str, tuple[int, np.dtype[Any]]], model: ir.Model
) -> None:
    """Check that what a network scores can become probabilities.

    Parameters
    ----------
    activation : {"softmax", "sigmoid"} or None
        What is asked for.
    outputs : mapping of str to (int, dtype)
        Channels and type of each output, of which the first is to go through it.
    model : onnx_ir.Model
        The network.

    Raises
    ------
    ArgumentError
        If it is unknown, scores are integers, one class is to be compared with others, or the
        network itself ends in one.
    """
    if activation is None:
        return
    if activation not in ACTIVATIONS:
        raise ArgumentError(f"activation is 'softmax', 'sigmoid' or None, got {activation!r}")
    name, (channels, dtype) = next(iter(outputs.items()))
    said = f"activation={activation!r} (--activation {activation})"
    if dtype.kind in "iub":
        raise ArgumentError(f"{said} needs scores of floats, but {name!r} is {dtype}: leave it out")
    if activation == "softmax" and channels == 1:
        raise ArgumentError(
            f"{said} compares classes, but {name!r} has one, which would be 1 everywhere: take "
            f"'sigmoid'"
        )
    last = _last_node(model)
    if last is not None and last.op_type.lower() in ACTIVATIONS:
        raise ArgumentError(
            f"{said} needs scores that are not probabilities yet, but the network ends in "
            f"{last.op_type} ({last.name}): leave it out"
        )


def _last_node(model: ir.Model) -> ir.Node | None:
    """Find the node that computes the first output, before it is brought into shape."""
    node = model.graph.outputs[0].producer()
    while node is not None and node.op_type in SHAPING:
        first = node.inputs[0]
        node = None if first is None else first.producer()
    return node
