"""A small patch classifier in ONNX: a window's score is positive for a face."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from onnx import helper, numpy_helper

WINDOW = 25
"""Rows and columns of the windows that the face classifier scores."""

SHAPE = (1, WINDOW, WINDOW)
"""Shape of a window, channels first."""

OPSET = 17

Arrays = Mapping[str, npt.NDArray[Any]]


def face_network(arrays: Arrays) -> onnx.ModelProto:
    """Build the face classifier from its named arrays; their dtype is the network's."""
    nodes = [
        _layer("Conv", "conv1", "window"),
        helper.make_node("Relu", ["conv1"], ["relu1"], "relu1"),
        helper.make_node(
            "MaxPool", ["relu1"], ["pool1"], "pool1", kernel_shape=[3, 3], strides=[3, 3]
        ),
        _layer("Conv", "conv2", "pool1"),
        helper.make_node("Relu", ["conv2"], ["relu2"], "relu2"),
        helper.make_node("Flatten", ["relu2"], ["features"], "flatten"),
        _layer("Gemm", "dense1", "features", transB=1),
        helper.make_node("Relu", ["dense1"], ["relu3"], "relu3"),
        _layer("Gemm", "score", "relu3", transB=1),
    ]
    dtype = helper.np_dtype_to_tensor_dtype(arrays["conv1.weight"].dtype)
    graph = helper.make_graph(
        nodes,
        "faces",
        [helper.make_tensor_value_info("window", dtype, ["N", *SHAPE])],
        [helper.make_tensor_value_info("score", dtype, ["N", 1])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8, producer_name="fcconv")


def _layer(op: str, name: str, x: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, [x, f"{name}.weight", f"{name}.bias"], [name], name, **attributes)


def load_faces() -> onnx.ModelProto:
    """Load the trained face classifier that comes with the package."""
    stored = resources.files("fcconv.demo").joinpath("faces.onnx").read_bytes()
    return onnx.load_model_from_string(stored)


def arrays_of(network: onnx.ModelProto) -> dict[str, npt.NDArray[Any]]:
    """Return the weights and biases of a network by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in network.graph.initializer}


def crops(image: npt.NDArray[Any], stride: int) -> npt.NDArray[Any]:
    """View every window of a grey image ``(H, W)`` as ``(rows, columns, *SHAPE)``."""
    return sliding_window_view(image, (WINDOW, WINDOW))[::stride, ::stride, None]
