"""Normalisations with stored or local statistics: batch, local response, layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from fcconv.backend import array_dtype
from fcconv.errors import ShapeError
from fcconv.graph import receptive
from fcconv.graph.operator import Operator
from fcconv.graph.operators.elementwise import rounded_once
from fcconv.graph.rules.features import apply_to_features, unfold
from fcconv.graph.rules.values import Constant, SlidingValue
from fcconv.graph.rules.writing import along_last_axis, copy

if TYPE_CHECKING:
    from fcconv.backend import Backend
    from fcconv.graph.call import Call
    from fcconv.graph.rules.context import Context
    from fcconv.graph.rules.values import T

OF_TRAINING = "momentum"
"""The attribute of BatchNormalization that matters while a network is trained."""


def _batch_norm(
    backend: Backend[Any], node: Call, x: Any, scale: Any, bias: Any, mean: Any, variance: Any
) -> Any:
    _refuse_training(node)
    parameters = scale, bias, mean, variance
    _check_parameters(x.shape, parameters)
    scale, bias, mean, variance = (
        backend.namespace.reshape(p, (-1, *(1,) * (x.ndim - 2))) for p in parameters
    )
    spread = _root(backend, variance, node.attribute("epsilon", 1e-5))
    centred = backend.subtract(x, mean)
    return backend.add(backend.multiply(backend.divide(centred, spread), scale), bias)


def _refuse_training(node: Call) -> None:
    """Refuse to normalise with the statistics of the batch.

    Before opset 14 a node is in training mode if it has the outputs that training asks for.
    """
    of_old = node.opset < 14 and len(node.asked) > 1
    if node.attribute("training_mode", 0) or of_old:
        asked = f" by its {len(node.asked)} outputs" if of_old else ""
        raise node.unsupported(
            f"it is in training mode{asked}: export the network for inference, with model.eval() "
            f"in PyTorch"
        )


def _check_parameters(shape: tuple[int, ...], parameters: Sequence[Any]) -> None:
    """Check that each parameter has one entry per channel of an input of `shape`."""
    shapes = {tuple(p.shape) for p in parameters}
    if len(shape) < 2 or shapes != {shape[1:2]}:
        raise ShapeError(
            f"an input of shape {shape} needs parameters with one entry per channel, got "
            f"{', '.join(map(str, sorted(shapes)))}"
        )


def _root(backend: Backend[Any], variance: Any, epsilon: float) -> Any:
    return backend.elementwise(
        f"root of variance {epsilon}", rounded_once(lambda xp, v: xp.sqrt(v + epsilon)), variance
    )


def _slide_batch_norm(
    context: Context[T], node: Call, x: SlidingValue[T], *parameters: Constant
) -> SlidingValue[T]:
    _refuse_training(node)
    _check_parameters(x.shape, parameters)
    values = [context.target.keep(p, node) for p in parameters]
    made = apply_to_features(
        context, node, x, [1], lambda tensor: copy(context.target, node, [tensor, *values])
    )
    if made is None:
        raise node.unsupported(f"its input of shape {x.shape} is not a map, channels first")
    return made


def _lrn(backend: Backend[Any], node: Call, x: Any) -> Any:
    size, alpha = node.attribute("size"), node.attribute("alpha", 1e-4)
    beta, offset = node.attribute("beta", 0.75), node.attribute("bias", 1.0)
    before = (size - 1) // 2
    squares = backend.multiply(x, x)
    pads = [(0, 0), (before, size - 1 - before), *[(0, 0)] * (x.ndim - 2)]
    padded = backend.namespace.pad(squares, pads)
    total = backend.namespace.zeros_like(x)
    for shift in range(size):
        total = backend.add(total, padded[:, shift : shift + x.shape[1]])
    return backend.elementwise(
        f"LRN {size} {alpha} {beta} {offset}",
        rounded_once(lambda _xp, x, total: x / (offset + alpha / size * total) ** beta),
        x,
        total,
    )


def _slide_lrn(context: Context[T], node: Call, x: SlidingValue[T]) -> SlidingValue[T]:
    made = apply_to_features(
        context, node, x, [1], lambda tensor: copy(context.target, node, [tensor])
    )
    if made is None:
        raise node.unsupported(f"its input of shape {x.shape} is not a map, channels first")
    return made


def _layer_norm(backend: Backend[Any], node: Call, x: Any, scale: Any, bias: Any = None) -> Any:
    stash = ir.DataType(node.attribute("stash_type", ir.DataType.FLOAT)).numpy()
    given = array_dtype(x)
    wide = _cast(backend, x, stash) if given.itemsize < stash.itemsize else x
    (axis,) = node.axes([node.attribute("axis", -1)], x.ndim)
    axes = tuple(range(axis, x.ndim))
    count = backend.asarray(np.array(math.prod(x.shape[axis:]), array_dtype(wide)))
    mean = backend.divide(backend.reduce_sum(wide, axes), count)
    centred = backend.subtract(wide, mean)
    squares = backend.reduce_sum(backend.multiply(centred, centred), axes)
    spread = _root(backend, backend.divide(squares, count), node.attribute("epsilon", 1e-5))
    made = backend.multiply(_cast(backend, backend.divide(centred, spread), given), scale)
    inverse = backend.divide(backend.namespace.ones_like(spread), spread)
    return (
        made if bias is None else backend.add(made, bias),
        _cast(backend, mean, stash),
        _cast(backend, inverse, stash),
    )


def _cast(backend: Backend[Any], x: Any, dtype: Any) -> Any:
    if array_dtype(x) == dtype:
        return x
    return backend.elementwise("Cast f", lambda xp, x: xp.astype(x, dtype), x)


def _slide_layer_norm(
    context: Context[T],
    node: Call,
    x: SlidingValue[T],
    scale: Constant,
    bias: Constant | None = None,
) -> SlidingValue[T]:
    if node.has_output(1) or node.has_output(2):
        raise node.unsupported("its mean and deviation as outputs are not computed")
    rank = len(x.shape)
    (axis,) = node.axes([node.attribute("axis", -1)], rank)
    options = {"axis": -1, "epsilon": node.attribute("epsilon", 1e-5)}
    parameters = [p for p in (scale, bias) if p is not None]

    size = x.shape[axis:]
    for p in parameters:
        if p.shape != size[len(size) - len(p.shape) :]:
            raise ShapeError(f"a parameter of shape {p.shape} does not fit an input of {x.shape}")

    def emit(tensor: Any) -> Any:
        flat = [
            context.target.constant(
                np.broadcast_to(p.array, size).ravel(), f"{node.name}/parameter"
            )
            for p in parameters
        ]
        return along_last_axis(context.target, node, tensor, len(context.stride), options, flat)

    made = apply_to_features(context, node, x, range(axis, rank), emit)
    if made is None:
        own = unfold(context, node, x, x.shape, "normalises over a whole window")
        made = apply_to_features(context, node, own, range(axis, rank), emit)
    if made is None:
        raise node.unsupported(f"axis {axis} of shape {x.shape} is not the channels of a map")
    return made


OPERATORS = {
    "BatchNormalization": Operator(
        _batch_norm,
        _slide_batch_norm,
        attributes=("epsilon", "training_mode", OF_TRAINING),
        spread=receptive.by_channel,
        statistics=frozenset([3, 4]),
    ),
    "LRN": Operator(
        _lrn, _slide_lrn, attributes=("size", "alpha", "beta", "bias"), spread=receptive.by_channel
    ),
    "LayerNormalization": Operator(
        _layer_norm,
        _slide_layer_norm,
        attributes=("axis", "epsilon", "stash_type"),
        spread=receptive.mixing_from(-1),
    ),
}
