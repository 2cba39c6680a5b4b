"""What is constant is computed when a network is loaded, whichever operators make it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import fcconv
from fcconv.graph.files.load import load
from graphs import Net, i
from refusing import refuse
from sliding_windows import quiet

Array: TypeAlias = npt.NDArray[Any]


def _whole(*shape: int) -> Array:
    return np.random.default_rng(0).integers(-3, 4, shape).astype(np.float32)


def _floats(*numbers: float) -> Array:
    return np.array(numbers, np.float32)


def _int8(*shape: int) -> Array:
    return _whole(*shape).astype(np.int8)


def _scores(g: Net, weight: str, outputs: int = 3) -> str:
    """Read the map with a weight of shape (O, 96)."""
    assert outputs == 3
    return g.add("Gemm", g.add("Flatten", _map(g)), weight, transB=1)


def _map(g: Net) -> str:
    return g.add("Relu", g.add("Conv", "image", _whole(2, 2, 2, 3)))


def _convolved(g: Net, weight: str) -> str:
    """Convolve the image with a weight of shape (2, 2, 2, 3)."""
    x = g.add("Flatten", g.add("Conv", "image", weight))
    return g.add("Gemm", x, _whole(96, 3))


def _standardised(g: Net) -> str:
    """Make a weight of mean 0 and deviation 1, as weight standardisation does, here by halves."""
    rows = np.tile(_floats(1, -1), (2, 6)).reshape(1, 2, 12)
    ones, zeros = np.ones(2, np.float32), np.zeros(2, np.float32)
    made, *_ = g.parts("BatchNormalization", rows, ones, zeros, zeros, ones, outputs=3,
                       training_mode=1, epsilon=3.0)  # fmt: skip
    return g.reshape(made, 2, 2, 2, 3)


def _written_out(g: Net) -> str:
    """Standardise a weight in single operators."""
    rows = g.add("Identity", np.tile(_floats(3, -1), (2, 6)))
    centred = g.add("Sub", rows, g.reduce("ReduceMean", rows, [1]))
    variance = g.reduce("ReduceMean", g.add("Mul", centred, centred), [1])
    return g.reshape(g.add("Div", centred, g.add("Sqrt", variance)), 2, 2, 2, 3)


def _value_info(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)


def _graph(
    nodes: list[onnx.NodeProto], output: str, constants: dict[str, Array] | None = None
) -> onnx.GraphProto:
    held = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    return helper.make_graph(nodes, "branch", [], [_value_info(output)], held)


def _either(g: Net, condition: str | Array, then: onnx.GraphProto, other: onnx.GraphProto) -> str:
    return g.add("If", condition, then_branch=then, else_branch=other)


def _doubled(x: str) -> onnx.GraphProto:
    """Make a branch with a constant of its own."""
    return _graph([helper.make_node("Mul", [x, "two"], ["double"])], "double",
                  {"two": np.array(2, np.float32)})  # fmt: skip


def _negated(x: str) -> onnx.GraphProto:
    return _graph([helper.make_node("Neg", [x], ["minus"])], "minus")


def _chosen(g: Net) -> str:
    x = _map(g)
    return _scores_of(g, _either(g, np.array(True), _doubled(x), _negated(x)))


def _chosen_within(g: Net) -> str:
    x = _map(g)
    condition = helper.make_node("Constant", [], ["no"], value=numpy_helper.from_array(np.array(0)))
    cast = helper.make_node("Cast", ["no"], ["not"], to=TensorProto.BOOL)
    inner = helper.make_node("If", ["not"], ["in"], then_branch=_negated(x),
                             else_branch=_doubled(x))  # fmt: skip
    return _scores_of(g, _either(g, np.array([1 > 0]), _graph([condition, cast, inner], "in"),
                                 _negated(x)))  # fmt: skip


def _squeezed(g: Net) -> str:
    """Squeeze an axis if its length is 1, as TorchScript's export writes ``squeeze(1)``."""
    x = g.add("Conv", _map(g), _whole(1, 2, 2, 2))
    length = g.add("Gather", g.add("Shape", x), i(1).reshape(()))
    squeeze = helper.make_node("Squeeze", [x, "one"], ["line"])
    keep = helper.make_node("Identity", [x], ["line"])
    made = _either(g, g.add("Equal", length, i(1).reshape(())),
                   _graph([squeeze], "line", {"one": i(1)}), _graph([keep], "line"))  # fmt: skip
    return _scores_of(g, made, 35)


def _flat_of_a_product(g: Net) -> str:
    x = _map(g)
    count = g.reduce("ReduceProd", g.add("Slice", g.add("Shape", x), i(1), i(4)), [0])
    shape = g.add("Concat", i(-1), count, axis=0)
    return g.add("Gemm", g.add("Reshape", x, shape), _whole(96, 3))


def _scores_of(g: Net, x: str, features: int = 96) -> str:
    return g.add("Gemm", g.add("Flatten", x), _whole(features, 3))


CONSTANTS: dict[str, Callable[[Net], str]] = {
    "DequantizeLinear": lambda g: _convolved(
        g, g.add("DequantizeLinear", _int8(2, 2, 2, 3), _floats(0.5, 2), _int8(2), axis=0)
    ),
    "Transpose": lambda g: _scores(g, g.add("Transpose", _whole(96, 3), perm=[1, 0])),
    "Reshape of a shape that is made": lambda g: _scores(
        g, g.add("Reshape", _whole(288), g.add("Concat", i(3), i(96), axis=0))
    ),
    "Identity, Dropout, Cast": lambda g: _scores(
        g, g.add("Dropout", g.add("Cast", g.add("Identity", _int8(3, 96)), to=TensorProto.FLOAT))
    ),
    "ConstantOfShape": lambda g: _scores(
        g, g.add("Add", _whole(3, 96), g.add("ConstantOfShape", i(3, 1)))
    ),
    "CumSum": lambda g: _scores(g, g.add("CumSum", _whole(3, 96), np.array(1))),
    "ScatterND": lambda g: _scores(
        g, g.add("ScatterND", _whole(3, 96), i(1).reshape(1, 1), _whole(1, 96))
    ),
    "OneHot": lambda g: _scores(
        g, g.add("OneHot", i(4, 5, 95), np.array(96), _floats(-1, 2))
    ),
    "BatchNormalization of a weight": lambda g: _convolved(g, _standardised(g)),
    "a standardised weight": lambda g: _convolved(g, _written_out(g)),
    "If": _chosen,
    "If in If": _chosen_within,
    "If on a length": _squeezed,
    "ReduceProd of a shape": _flat_of_a_product,
}  # fmt: skip


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_are_computed(name: str) -> None:
    net = Net()
    model = net.model(CONSTANTS[name](net))
    sliding = fcconv.convolutionize(model)
    assert fcconv.certify(model, sliding).exact
    session = onnxruntime.InferenceSession(model.SerializeToString(), quiet())
    image = _whole(2, 2, 9, 8)
    (expected,) = session.run(None, {"image": image})
    np.testing.assert_array_equal(sliding(image)[..., 0, 0], expected)
    np.testing.assert_array_equal(fcconv.compile(model)(image), expected)


def test_shapes_that_are_declared_do_not_decide() -> None:
    net = Net()
    model = net.model(_squeezed(net))
    (made,) = [node.output[0] for node in model.graph.node if node.op_type == "Shape"]
    wrong = helper.make_tensor_value_info(model.graph.node[2].output[0], 1, ["N", 2, 7, 5])
    assert made
    model.graph.value_info.append(wrong)
    assert "Squeeze" in [node.op_type for node in load(model).graph]


@pytest.mark.parametrize("op", ["RandomNormal", "RandomUniformLike", "Bernoulli"])
def test_random_numbers_are_not(op: str) -> None:
    net = Net()
    inputs = [] if op == "RandomNormal" else [_whole(3, 96)]
    attributes: dict[str, Any] = {} if inputs else {"shape": [3, 96]}
    model = net.model(_scores(net, net.add(op, *inputs, name="noise", **attributes)))
    refuse(fcconv.convolutionize, model, f"noise ({op}): this operator is not known here")


def test_what_would_take_all_memory_is_not() -> None:
    net = Net()
    huge = net.add("OneHot", i(4), i(10**12), _floats(-1, 2), name="huge")
    model = net.model(_scores(net, net.add("Slice", huge, i(0), i(96), i(1))))
    refuse(fcconv.convolutionize, model, "huge (OneHot): this operator is not known here")


def test_what_the_reference_can_not_compute_is_named() -> None:
    net = Net()
    model = net.model(_scores(net, net.add("Einsum", _whole(3), equation="ij->", name="odd")))
    refuse(fcconv.convolutionize, model, "odd (Einsum): this operator is not known here")
