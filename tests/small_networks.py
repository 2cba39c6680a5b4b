"""A small patch classifier to break, its parts, and its scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

import fcconv

node = helper.make_node


def constant(name: str, values: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> TensorProto:
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def ints(name: str, *numbers: int) -> TensorProto:
    return constant(name, numbers, np.int64)


def weight(name: str, *shape: int) -> TensorProto:
    return constant(name, np.random.default_rng(0).integers(-2, 3, shape))


def model(
    nodes: Sequence[onnx.NodeProto],
    initializers: Sequence[TensorProto] = (),
    *,
    window: Sequence[int | str | None] = ("N", 2, 6, 6),
    output: str = "y",
    opset: int = 17,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, window)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        initializers,
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def classifier(
    *between: onnx.NodeProto,
    constants: Sequence[TensorProto] = (),
    conv: dict[str, Any] | None = None,
    opset: int = 17,
) -> onnx.ModelProto:
    """A convolution, ReLU and a dense layer: what comes `between` reads "b" and makes "c"."""
    nodes = [
        node("Conv", ["x", "w"], ["a"], name="conv", **(conv or {})),
        node("Relu", ["a"], ["b"], name="relu"),
        *between,
        node("Flatten", ["c" if between else "b"], ["d"], name="flatten"),
        node("MatMul", ["d", "m"], ["y"], name="dense"),
    ]
    weights = [weight("w", 4, 2, 3, 3), weight("m", 64, 3)]
    return model(nodes, [*weights, *constants], opset=opset)


def scores(network: Any) -> Any:
    x = np.random.default_rng(1).integers(-3, 4, (2, 2, 6, 6)).astype(np.float32)
    return fcconv.compile(network)(x)
