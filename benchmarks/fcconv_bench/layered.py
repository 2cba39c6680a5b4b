"""Networks of whole numbers, as each library would have them.

Their weights are whole and few, so that every sum on the way is a whole number that float32 holds:
whoever computes them, in whatever order, has the same scores bit for bit.
"""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]

TERMS = 3
"""Weights of an output that are 1 or -1; the others are 0, which takes as long."""

LARGEST_BIAS = 2
LARGEST_PIXEL = 255


class Conv(NamedTuple):
    """A convolution, the same along all axes, and a ReLU."""

    kernel: int
    outputs: int
    stride: int = 1
    padding: int = 0


class Pool(NamedTuple):
    """The largest of so many entries along each axis, and as many to the next."""

    size: int


class Dense(NamedTuple):
    """A dense layer, and a ReLU unless it is the last layer."""

    outputs: int


Layer: TypeAlias = Conv | Pool | Dense


class Weighted(NamedTuple):
    """A layer with weight ``(outputs, channels, *size)`` and bias, both empty for a pool.

    The size is that of the kernel, for a dense layer that of what it reads.
    """

    layer: Layer
    weight: Array
    bias: Array


@dataclass(frozen=True)
class Layered:
    """A patch classifier whose layers follow each other; patches are ``(channels, *window)``."""

    channels: int
    window: tuple[int, ...]
    layers: tuple[Layer, ...]

    @functools.cached_property
    def weighted(self) -> tuple[Weighted, ...]:
        """The layers and their weights, the same at each call."""
        rng, rank = np.random.default_rng(0), len(self.window)
        found, channels, size = [], self.channels, self.window
        for layer in self.layers:
            if isinstance(layer, Pool):
                found.append(Weighted(layer, np.empty(0), np.empty(0)))
                size = tuple(n // layer.size for n in size)
                continue
            kernel = (layer.kernel,) * rank if isinstance(layer, Conv) else size
            weight = np.zeros((layer.outputs, channels * math.prod(kernel)), np.float32)
            for row in weight:
                places = rng.permutation(row.size)[:TERMS]
                row[places] = rng.choice([-1, 1], len(places))
            bias = rng.integers(-LARGEST_BIAS, LARGEST_BIAS, layer.outputs, endpoint=True)
            shape = (layer.outputs, channels, *kernel)
            found.append(Weighted(layer, weight.reshape(shape), bias.astype(np.float32)))
            channels = layer.outputs
            size = (
                tuple((n + 2 * layer.padding - layer.kernel) // layer.stride + 1 for n in size)
                if isinstance(layer, Conv)
                else ()
            )
        return tuple(found)

    @property
    def largest(self) -> int:
        """What no number on the way exceeds: float32 holds all whole numbers up to 2**24."""
        weights = sum(not isinstance(layer, Pool) for layer in self.layers)
        return functools.reduce(
            lambda most, _: TERMS * most + LARGEST_BIAS, range(weights), LARGEST_PIXEL
        )


def onnx_model(network: Layered) -> onnx.ModelProto:
    """Return the network as a file of ONNX holds it."""
    nodes, weights, x, rank = [], [], "image", len(network.window)
    for number, (layer, weight, bias) in enumerate(network.weighted):
        name = f"layer{number}"
        if isinstance(layer, Pool):
            sizes: dict[str, Any] = {
                "kernel_shape": [layer.size] * rank,
                "strides": [layer.size] * rank,
            }
            nodes.append(helper.make_node("MaxPool", [x], [name], **sizes))
            x = name
            continue
        given = [x, f"{name}.weight", f"{name}.bias"]
        if isinstance(layer, Conv):
            ends: dict[str, Any] = {
                "strides": [layer.stride] * rank,
                "pads": [layer.padding] * 2 * rank,
            }
            nodes.append(helper.make_node("Conv", given, [name], **ends))
        else:
            nodes.append(helper.make_node("Flatten", [x], [f"{name}.flat"]))
            nodes.append(helper.make_node("Gemm", [f"{name}.flat", *given[1:]], [name], transB=1))
            weight = weight.reshape(len(weight), -1)
        weights += [
            numpy_helper.from_array(weight, given[1]),
            numpy_helper.from_array(bias, given[2]),
        ]
        x = name
        if number < len(network.layers) - 1:
            x = f"{name}.relu"
            nodes.append(helper.make_node("Relu", [name], [x]))
    image = helper.make_tensor_value_info(
        "image", TensorProto.FLOAT, ["N", network.channels, *network.window]
    )
    scores = helper.make_tensor_value_info(
        x, TensorProto.FLOAT, ["N", len(network.weighted[-1].bias)]
    )
    graph = helper.make_graph(nodes, "patches", [image], [scores], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def torch_module(network: Layered) -> Any:
    """Return the network as a module of PyTorch."""
    import torch
    from torch import nn

    conv, pool = (
        (nn.Conv1d, nn.MaxPool1d) if len(network.window) == 1 else (nn.Conv2d, nn.MaxPool2d)
    )
    modules: list[Any] = []
    for layer, weight, bias in network.weighted:
        match layer:
            case Pool(size):
                modules.append(pool(size))
                continue
            case Conv(kernel, outputs, stride, padding):
                module: Any = conv(weight.shape[1], outputs, kernel, stride, padding)
            case Dense(outputs):
                modules.append(nn.Flatten())
                module = nn.Linear(weight[0].size, outputs)
        module.weight = nn.Parameter(torch.from_numpy(weight).reshape(module.weight.shape))
        module.bias = nn.Parameter(torch.from_numpy(bias))
        modules += [module, nn.ReLU()]
    return nn.Sequential(*modules[:-1]).eval()


def jax_function(network: Layered) -> Callable[[Any], Any]:
    """Return the network as a function of a patch ``(*window, channels)``, JAX's own order."""
    import jax
    from jax import lax

    axes = "DHW"[-len(network.window) :]
    layout = (f"N{axes}C", f"{axes}IO", f"N{axes}C")
    # outputs last, channels before them
    arrays = [
        (jax.numpy.asarray(w if w.size == 0 else np.moveaxis(w, (0, 1), (-1, -2))), bias)
        for _, w, bias in network.weighted
    ]
    last = len(network.layers) - 1

    def scores(patch: Any) -> Any:
        x = patch[None]
        for number, (layer, (weight, bias)) in enumerate(zip(network.layers, arrays, strict=True)):
            match layer:
                case Pool(size):
                    step = (1, *[size] * len(axes), 1)
                    x = lax.reduce_window(x, -np.inf, lax.max, step, step, "VALID")
                    continue
                case Conv(_, _, stride, padding):
                    ends, steps = [(padding, padding)] * len(axes), [stride] * len(axes)
                    x = lax.conv_general_dilated(x, weight, steps, ends, dimension_numbers=layout)
                case Dense(outputs):
                    x = x.reshape(1, -1) @ weight.reshape(-1, outputs)
            x = x + bias
            x = x if number == last else jax.nn.relu(x)
        return x[0]

    return scores


def sklearn_model(network: Layered) -> Any:
    """Return dense layers as a model of scikit-learn that has been fitted."""
    neural = importlib.import_module("sklearn.neural_network")
    flat = [weight.reshape(len(weight), -1) for _, weight, _ in network.weighted]
    hidden = [len(weight) for weight in flat[:-1]]
    model = neural.MLPRegressor(hidden_layer_sizes=hidden, activation="relu")
    some = np.eye(2, flat[0].shape[1], dtype=np.float32)
    model.partial_fit(some, np.eye(2, len(flat[-1]), dtype=np.float32))
    model.coefs_ = [np.ascontiguousarray(weight.T) for weight in flat]
    model.intercepts_ = [bias for _, _, bias in network.weighted]
    return model
