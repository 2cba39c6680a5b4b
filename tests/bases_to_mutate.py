"""Networks to mutate: small ones made by hand, one a family of operators, and random ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from hypothesis import HealthCheck, Phase, given, settings
from onnx import TensorProto, helper, numpy_helper

from fcconv.demo.network import load_faces
from graphs import Array, Net, i
from random_graphs import Case, cases
from small_networks import classifier, constant, ints, node

RANDOM = 12
"""Random networks of integers, and as many of floats."""


class Whole(Net):
    """Weights are small integers, so that scores are exact in any order of summation."""

    def __init__(self, opset: int = 17, shape: Sequence[int] = (2, 6, 5)) -> None:
        super().__init__(opset, shape)

    def w(self, *shape: int) -> Array:
        rng = np.random.default_rng(len(self.constants))
        return self.array(rng.integers(1, 4, shape) * rng.choice([-1, 1], shape))

    def map(self, **attributes: Any) -> str:
        """Make a map of two channels, 5 by 4."""
        return self.add("Relu", self.conv("image", 2, 2, 2, 2, **attributes))

    def scores(self, x: str, features: int) -> str:
        return self.add("MatMul", self.add("Flatten", x), self.w(features, 3))


def gemm(g: Whole) -> str:
    x = g.add("Flatten", g.map(pads=[1, 0, 0, 1]))
    x = g.add("Gemm", x, g.w(4, 60), g.w(1, 4), alpha=2.0, beta=3.0, transB=1)
    return g.add("Gemm", x, g.w(4, 3), g.w(3), beta=0.5)


def normalised(g: Whole) -> str:
    x = g.add("BatchNormalization", g.map(), *(np.abs(g.w(2)) for _ in range(4)))
    return g.scores(g.add("LRN", x, size=3, alpha=0.5), 40)


def layer_normalised(g: Whole) -> str:
    x = g.add("LayerNormalization", g.last(g.map()), g.w(2), g.w(2), axis=-1)
    return g.add("Softmax", g.scores(g.first(x), 40), axis=1)


def reduced(g: Whole) -> list[str]:
    x = g.map()
    mean = g.reduce("ReduceMean", x, [2, 3], 0)
    most = g.scores(g.reduce("ReduceMax", x, [-1]), 10)
    return [g.add("LogSoftmax", most, axis=-1), g.add("ArgMax", mean, axis=1, keepdims=0)]


def sliced(g: Whole) -> str:
    x = g.add("Slice", g.map(), i(1, 0), i(5, -1), i(2, 3), i(2, 1))
    x = g.add("Pad", x, i(0, 0, 1, 0, 0, 0, 0, 1), g.array(2.0))
    return g.scores(g.add("Transpose", x, perm=[0, 2, 3, 1]), 24)


def reshaped(g: Whole) -> str:
    x = g.map()
    batch = g.add("Slice", g.add("Shape", x), i(0), i(1), i(0))
    x = g.add("Reshape", x, g.add("Concat", batch, i(2, -1), axis=0))
    x = g.add("Unsqueeze", g.add("Transpose", x, perm=[0, 2, 1]), i(1))
    x = g.add("Squeeze", x, i(1))
    return g.add("Add", g.scores(g.add("Reshape", x, i(0, -1)), 40), g.w(3))


def joined(g: Whole) -> str:
    parts = g.parts("Split", g.map(), i(1, 1), axis=1, outputs=2)
    pool = g.add("MaxPool", parts[0], kernel_shape=[2, 2], strides=[2, 1], ceil_mode=1)
    mean = g.add("AveragePool", parts[1], kernel_shape=[2, 2], strides=[2, 1], auto_pad="VALID")
    pool = g.add("Slice", pool, i(0), i(2), i(2))
    x = g.add("Concat", pool, mean, g.add("Clip", mean, g.array(0.0), g.array(6.0)), axis=1)
    return g.scores(g.add("Gather", x, i(2, 0, 1), axis=1), 18)


def chosen(g: Whole) -> str:
    x = g.map()
    x = g.add("Where", g.add("Greater", x, g.array(2.0)), x, g.add("Neg", x))
    x = g.add("PRelu", g.add("Sub", x, g.w(2, 1, 1)), g.w(2, 1, 1))
    x = g.add("Cast", g.add("Floor", g.add("Div", x, g.array(2.0))), to=TensorProto.FLOAT)
    return g.scores(g.add("Expand", g.add("Tile", x, i(1, 1, 1, 1)), i(1, 2, 5, 4)), 40)


def moved(g: Whole) -> str:
    x = g.add("SpaceToDepth", g.add("Slice", g.map(), i(0), i(4), i(2)), blocksize=2)
    return g.scores(g.add("DepthToSpace", x, blocksize=2, mode="CRD"), 32)


def strided(g: Whole) -> str:
    x = g.conv("image", 4, 1, 2, 2, group=2, strides=[2, 1], dilations=[1, 2])
    x = g.add("GlobalMaxPool", g.add("MaxPool", x, kernel_shape=[2, 2], pads=[0, 1, 0, 1]))
    return g.scores(x, 4)


def of_shapes(g: Whole) -> str:
    x = g.map()
    ones = g.add("ConstantOfShape", g.add("Shape", x), value=numpy_helper.from_array(g.array([2])))
    steps = g.add("Range", np.array(0), np.array(4), np.array(1))
    x = g.add("Mul", g.add("Add", x, ones), g.add("Cast", steps, to=TensorProto.FLOAT))
    return g.scores(x, 40)


BY_HAND: list[Callable[[Whole], str | list[str]]] = [
    gemm,
    normalised,
    layer_normalised,
    reduced,
    sliced,
    reshaped,
    joined,
    chosen,
    moved,
    strided,
    of_shapes,
]


def with_constants() -> onnx.ModelProto:
    """Weights from Constant nodes, and one in an initialiser that is an input, too."""
    network = classifier(
        node("Constant", [], ["k"], name="k", value_float=2.0),
        node("Mul", ["b", "k"], ["c"], name="scale"),
    )
    kept = network.graph.initializer.pop()
    network.graph.node.insert(0, node("Constant", [], [kept.name], name="m", value=kept))
    shape = helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 2, 3, 3])
    network.graph.input.append(shape)
    return network


def with_if() -> onnx.ModelProto:
    branches: dict[str, Any] = {
        f"{name}_branch": helper.make_graph(
            [node(op, ["b"], [name], name=op)],
            name,
            [],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)],
        )
        for name, op in (("then", "Neg"), ("else", "Relu"))
    }
    choose = helper.make_node("If", ["choice"], ["c"], "if", None, None, None, **branches)
    return classifier(choose, constants=[constant("choice", False, bool)])


def with_function() -> onnx.ModelProto:
    network = classifier(node("Twice", ["b"], ["c"], name="call", domain="own"))
    add = node("Add", ["p", "p"], ["q"], name="add")
    opsets = [helper.make_opsetid("", 17)]
    network.functions.append(helper.make_function("own", "Twice", ["p"], ["q"], [add], opsets))
    network.opset_import.add(domain="own", version=1)
    return network


def with_two_inputs() -> onnx.ModelProto:
    network = classifier(node("Add", ["b", "z"], ["c"], name="add"))
    shape = helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", 4, 4, 4])
    network.graph.input.append(shape)
    features = helper.make_tensor_value_info("d", TensorProto.FLOAT, ["N", 64])
    network.graph.output.append(features)
    return network


def of_bytes() -> onnx.ModelProto:
    """Pixels are bytes, and a Cast makes floats of them."""
    network = classifier(node("Reshape", ["b", "s"], ["c"], name="r"), constants=[ints("s", 0, -1)])
    network.graph.node.insert(0, node("Cast", ["x"], ["f"], name="cast", to=TensorProto.FLOAT))
    network.graph.node[1].input[0] = "f"
    network.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    return network


def random_cases(whole: bool) -> list[Case]:
    """Draw random networks, the same ones each time."""
    found: list[Case] = []

    @settings(
        max_examples=RANDOM,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(cases(whole=whole, dtypes=("float32",)))
    def draw(case: Case) -> None:
        found.append(case)

    draw()
    return found


def bases() -> list[onnx.ModelProto]:
    """Make every network that is mutated."""
    made = []
    for number, build in enumerate(BY_HAND):
        opset = (17, 13, 18, 20)[number % 4] if number != 2 else 17
        graph = Whole(opset)
        outputs = build(graph)
        made.append(graph.model(*([outputs] if isinstance(outputs, str) else outputs)))
    made += [with_constants(), with_if(), with_function(), with_two_inputs(), of_bytes()]
    made += [case.model for whole in (True, False) for case in random_cases(whole)]
    return [*made, load_faces()]
