"""Patch classifiers as ONNX graphs, put together node by node.

Names are chosen to collide with those that a rewriting makes up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from strategies import normal

Array: TypeAlias = npt.NDArray[Any]

TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}


class Graph:
    """A graph under construction; arrays among the inputs of a node become initialisers."""

    def __init__(self, *shape: int | str, dtype: str = "float32", opset: int = 20) -> None:
        self.shape, self.dtype, self.opset = shape, dtype, opset
        self.prefix = "val_"  # of the names of values, as a rewriting names its own
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}

    def array(self, values: npt.ArrayLike) -> Array:
        return np.asarray(values, self.dtype)

    def parts(self, op: str, *inputs: str | Array, **attributes: Any) -> list[str]:
        """Add a node of several `outputs`, with a `name` perhaps."""
        name = str(attributes.pop("name", f"node{len(self.nodes)}"))
        outputs = int(attributes.pop("outputs", 1))
        kind = {"Conv": ("weight", "bias"), "Gemm": ("kernel", "bias"), "MatMul": ("kernel",)}
        parts = [*kind.get(op, ("constant", "channels", "order")), "rest", "rest_", "rest__"]
        names = [
            x if isinstance(x, str) else self.constant(x, f"{name}/{parts[max(position - 1, 0)]}")
            for position, x in enumerate(inputs)
        ]
        count = sum(len(node.output) for node in self.nodes)
        made = [f"{self.prefix}{count + k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(op, names, made, name, **attributes))
        return made

    def add(self, op: str, *inputs: str | Array, **attributes: Any) -> str:
        """Add a node of one output."""
        return self.parts(op, *inputs, **attributes)[0]

    def constant(self, values: Array, name: str) -> str:
        name = self._free(name, set(self.constants))
        self.constants[name] = values
        return name

    def _free(self, name: str, taken: set[str]) -> str:
        while name in taken:
            name += "_"
        return name

    def with_ints(
        self, op: str, x: str, since: int, attribute: str, *ints: int, **rest: Any
    ) -> str:
        """Add a node whose integers are an input from opset `since` on."""
        if self.opset < since:
            return self.add(op, x, **{attribute: ints}, **rest)
        return self.add(op, x, np.array(ints, np.int64), **rest)

    def reduce(self, op: str, x: str, axes: Sequence[int], keepdims: int = 1) -> str:
        since = 13 if op == "ReduceSum" else 18
        return self.with_ints(op, x, since, "axes", *axes, keepdims=keepdims)

    def model(self, *outputs: str, rank: int = 2) -> onnx.ModelProto:
        """Put the model together; its outputs have `rank` axes."""
        image = helper.make_tensor_value_info("image", TYPES[self.dtype], ["N", *self.shape])
        made = []
        for name in outputs:
            (node,) = [n for n in self.nodes if name in n.output]
            places = node.op_type == "ArgMax"
            kept = all(a.i for a in node.attribute if places and a.name == "keepdims")
            dtype = TensorProto.INT64 if places else TYPES[self.dtype]
            shape = ["N", *[None] * (rank - 2 + kept)]
            made.append(helper.make_tensor_value_info(name, dtype, shape))
        weights = [
            numpy_helper.from_array(np.array(values), name)
            for name, values in self.constants.items()
        ]
        graph = helper.make_graph(self.nodes, "network", [image], made, weights)
        opsets = [helper.make_opsetid("", self.opset)]
        version = helper.find_min_ir_version_for(opsets)
        return helper.make_model(graph, opset_imports=opsets, ir_version=version)


class Net(Graph):
    """A network on images of two channels, 9 by 8 pixels; weights differ from layer to layer."""

    def __init__(self, opset: int = 20, shape: Sequence[int | str] = (2, 9, 8)) -> None:
        super().__init__(*shape, opset=opset)

    def w(self, *shape: int) -> Array:
        return normal(len(self.constants), shape, self.dtype)

    def conv(self, x: str, *shape: int, **attributes: Any) -> str:
        return self.add("Conv", x, self.w(*shape), self.w(shape[0]), **attributes)

    def map(self, **attributes: Any) -> str:
        """Make a map of two channels, 8 by 6."""
        return self.add("Relu", self.conv("image", 2, 2, 2, 3, **attributes))

    def dense(self, x: str, features: int) -> str:
        return self.add("Gemm", self.add("Flatten", x), self.w(features, 3), self.w(3))

    def reshape(self, x: str, *shape: int) -> str:
        return self.add("Reshape", x, i(*shape))

    def last(self, x: str) -> str:
        return self.add("Transpose", x, perm=[0, 2, 3, 1])

    def first(self, x: str) -> str:
        return self.add("Transpose", x, perm=[0, 3, 1, 2])


def i(*numbers: int) -> Array:
    return np.array(numbers, np.int64)


Build: TypeAlias = Callable[[Net], str]


def excited(g: Net) -> str:
    """Weigh the channels of a map by its mean: squeeze and excitation."""
    x = g.map()
    return g.add("Mul", x, g.add("Sigmoid", g.conv(g.add("GlobalAveragePool", x), 2, 2, 1, 1)))
