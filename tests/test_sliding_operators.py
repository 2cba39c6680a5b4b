"""Operators slide one by one, each beside some others; the proof agrees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
import pytest

import fcconv
from graphs import Build, Net, excited, i
from random_graphs import Case
from sliding_windows import is_exact, quiet, valid


def _normal(g: Net, x: str, size: int) -> str:
    return g.add("BatchNormalization", x, *(np.abs(g.w(size)) for _ in range(4)))


def _average(g: Net, kernel: Sequence[int], **options: Any) -> str:
    return g.add("AveragePool", g.map(strides=[2, 1]), kernel_shape=kernel, **options)


def _chosen(g: Net) -> str:
    x, y = g.map(), g.map()
    return g.add("Where", g.add("Greater", x, y), x, g.w(2, 1, 1))


def _part(g: Net) -> str:
    return g.add("Slice", g.map(), i(0, 2), i(5, 5), i(2, 3))


def _branched(g: Net, x: str) -> str:
    return g.add("Add", x, g.conv(x, 2, 2, 3, 3, pads=[1, 1, 1, 1]))


def _divided(g: Net, norm: str) -> str:
    x = g.map()
    return g.add("Div", x, g.reduce(norm, x, [1]))


def _in_groups(g: Net, parameters: int) -> str:
    x = g.conv("image", 4, 2, 6, 5)
    w = [g.w(parameters) for _ in range(2)]
    return g.add("GroupNormalization", x, *w, num_groups=2, epsilon=0.25)


def _twice(g: Net, x: str) -> str:
    sizes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
    return g.add("Resize", x, "", g.array([1, 1, 3, 1]), **sizes)


def _rounded(g: Net, x: str) -> str:
    scale, zero = np.array(0.5, np.float32), np.array(3, np.int8)
    per_channel, zeros = np.abs(g.w(2)), np.zeros(2, np.uint8)
    whole = g.add("QuantizeLinear", x, scale, zero)
    part = g.add("QuantizeLinear", g.add("DequantizeLinear", whole, scale, zero), per_channel,
                 zeros, axis=1)  # fmt: skip
    return g.add("DequantizeLinear", part, per_channel, zeros, axis=1)


def _decided(g: Net) -> str:
    x, y = g.map(), g.map()
    more, less = g.add("Greater", x, y), g.add("Less", x, g.w(2, 1, 1))
    either = g.add("Xor", g.add("Or", more, less), g.add("And", more, less))
    return g.add("Where", either, g.add("Mod", x, g.w(1), fmod=1), y)


COUNTED = {"strides": [2, 2], "pads": [1, 0, 0, 1], "count_include_pad": 1}

EXACT: dict[str, Build] = {
    "LpPool": lambda g: g.dense(g.add("LpPool", g.map(), kernel_shape=[2, 2], strides=[2, 1]), 40),
    "LayerNormalization of features": lambda g: g.dense(
        g.add("LayerNormalization", g.add("Flatten", g.map()), g.w(96), g.w(96)), 96
    ),
    "LayerNormalization of channels": lambda g: g.dense(
        g.conv(g.first(g.add("LayerNormalization", g.last(g.map()), g.w(2))), 2, 2, 3, 2), 60
    ),
    "MatMul, channels last": lambda g: g.dense(
        g.add("Add", g.add("MatMul", g.last(g.map()), g.w(2, 4)), g.w(4)), 192
    ),
    "MatMul of rows": lambda g: g.dense(
        g.add("MatMul", g.reshape(g.map(), 0, 12, 8), g.w(8, 2)), 24
    ),
    "MatMul of one row": lambda g: g.add(
        "Softmax", g.add("MatMul", g.reshape(g.map(), 0, 1, 96), g.w(96, 3)), axis=-1
    ),
    "Gemm, half of it": lambda g: g.add(
        "Gemm", g.add("Flatten", g.map()), g.w(3, 96), g.w(1), alpha=0.5, transB=1
    ),
    "BatchNormalization of features": lambda g: g.dense(
        _normal(g, g.add("Flatten", g.map()), 96), 96
    ),
    "Softmax of a window, opset 11": lambda g: g.dense(g.add("Softmax", g.map(), axis=1), 96),
    "Softmax of channels, opset 11": lambda g: g.add(
        "Flatten", g.add("Softmax", g.conv("image", 3, 2, 9, 8), axis=1)
    ),
    "AveragePool, opset 11": lambda g: g.dense(_average(g, [2, 2]), 30),
    "Pad by less than nothing": lambda g: g.dense(
        g.conv(g.add("Pad", g.map(), i(0, 0, -1, -2, 0, 0, 0, -1)), 1, 2, 2, 2), 12
    ),
    "padding that is cut off": lambda g: g.dense(
        g.add("Slice", g.map(pads=[1, 1, 2, 1]), i(1, 1), i(-2, -1), i(2, 3)), 96
    ),
    "padding that is not read": lambda g: g.dense(
        g.add("Slice", g.add("Flatten", g.map(pads=[1, 0, 0, 0])), i(6), i(54), i(1)), 48
    ),
    "turned axes": lambda g: g.dense(
        g.conv(g.add("Transpose", g.map(), perm=[0, 1, 3, 2]), 3, 2, 2, 3, strides=[2, 1]), 54
    ),
    "a constant for each channel": lambda g: g.dense(
        g.add("Add", g.last(g.add("Mul", g.map(), g.w(2, 1, 1))), g.w(2)), 96
    ),
    "DepthToSpace": lambda g: g.dense(
        g.add("DepthToSpace", g.conv("image", 4, 2, 2, 3), blocksize=2), 192
    ),
    "SpaceToDepth": lambda g: g.dense(g.add("SpaceToDepth", g.map(), blocksize=2), 96),
    "Expand": lambda g: g.dense(g.add("Expand", g.reshape(g.map(), 0, 1, 96), i(1, 2, 96)), 192),
    "Tile": lambda g: g.dense(g.conv(g.add("Tile", g.map(), i(1, 2, 1, 1)), 1, 4, 2, 2), 35),
    "Slice, backwards": lambda g: g.dense(g.add("Slice", g.map(), i(-1), i(-100), i(2), i(-1)), 96),
    "no dense layer": lambda g: g.add("Squeeze", g.conv(g.map(), 3, 2, 8, 6), i(2, 3)),
    "global average alone": lambda g: g.add("Flatten", g.add("GlobalAveragePool", g.map())),
    "features, channels last": lambda g: g.dense(g.last(g.map()), 96),
    "features of two grids": lambda g: g.dense(_two_grids(g, g.map()), 98),
    "a map of scores": lambda g: g.reshape(g.conv(g.map(), 3, 2, 7, 5), 0, 12),
    "ReduceMin of a window": lambda g: g.dense(g.reduce("ReduceMin", g.map(), [1, 2, 3]), 1),
    "ReduceMax over channels": lambda g: g.dense(
        g.conv(g.reduce("ReduceMax", g.map(), [1]), 1, 1, 2, 2), 35
    ),
    "ReduceMean, channels last": lambda g: g.dense(
        g.reduce("ReduceMean", g.last(g.map()), [1, 2], 0), 2
    ),
    "ReduceSum of rows": lambda g: g.dense(g.reduce("ReduceSum", g.map(), [-1], 0), 16),
    "a constant for each pixel": lambda g: g.dense(g.add("Mul", g.map(), g.w(2, 8, 6)), 96),
    "squeeze and excitation": lambda g: g.dense(excited(g), 96),
    "MatMul of one matrix in a stack": lambda g: g.dense(
        g.add("MatMul", g.reshape(g.map(), 0, 1, 96), g.w(1, 96, 5)), 5
    ),
    "MatMul of a stack, channels last": lambda g: g.dense(
        g.add("MatMul", g.last(g.map()), g.w(1, 1, 2, 4)), 192
    ),
    "MatMul of a stack, row by row": lambda g: g.dense(
        g.add("MatMul", g.reshape(g.map(), 0, 12, 8), g.w(1, 8, 2)), 24
    ),
    "ReduceL2 of channels": lambda g: g.dense(_divided(g, "ReduceL2"), 96),
    "ReduceL1 of channels": lambda g: g.dense(g.conv(_divided(g, "ReduceL1"), 1, 2, 2, 2), 35),
    "ReduceL1 of a map": lambda g: g.dense(g.reduce("ReduceL1", g.map(), [2, 3]), 2),
    "ReduceL2 of a map": lambda g: g.dense(g.reduce("ReduceL2", g.map(), [2, 3], 0), 2),
    "ReduceProd of channels": lambda g: g.dense(
        g.conv(g.reduce("ReduceProd", g.conv("image", 5, 2, 2, 3), [1]), 1, 1, 2, 2), 35
    ),
    "ReduceProd of columns": lambda g: g.dense(g.reduce("ReduceProd", g.map(), [2]), 12),
    "ReduceSumSquare of a part": lambda g: g.dense(
        g.reduce("ReduceSumSquare", g.reshape(g.map(), 0, 2, 4, 2, 6), [1, 3], 0), 24
    ),
    "ReduceLogSumExp of a window": lambda g: g.dense(
        g.reduce("ReduceLogSumExp", g.map(), [1, 2, 3]), 1
    ),
    "LpNormalization of features": lambda g: g.dense(
        g.add("LpNormalization", g.add("Flatten", g.map()), p=1), 96
    ),
    "LpNormalization of channels": lambda g: g.dense(
        g.conv(g.add("LpNormalization", g.map(), axis=1), 1, 2, 2, 2), 35
    ),
    "Hardmax of channels": lambda g: g.dense(
        g.conv(g.first(g.add("Hardmax", g.last(g.map()))), 1, 2, 2, 2), 35
    ),
    "Hardmax of a window, opset 11": lambda g: g.dense(g.add("Hardmax", g.map(), axis=1), 96),
    "Hardmax of channels, opset 11": lambda g: g.add(
        "Flatten", g.add("Hardmax", g.conv("image", 3, 2, 9, 8), axis=1)
    ),
    "CumSum of channels": lambda g: g.dense(
        g.conv(g.add("CumSum", g.map(), i(1), exclusive=1), 1, 2, 2, 2), 35
    ),
    "CumSum of features": lambda g: g.dense(
        g.add("CumSum", g.add("Flatten", g.map()), i(-1), reverse=1), 96
    ),
    "InstanceNormalization": lambda g: g.dense(
        g.add("InstanceNormalization", g.map(), g.w(2), g.w(2)), 96
    ),
    "GroupNormalization": lambda g: g.dense(_in_groups(g, 2), 64),
    "GroupNormalization, opset 21": lambda g: g.dense(_in_groups(g, 4), 64),
    "Resize": lambda g: g.dense(_twice(g, g.map()), 288),
    "QuantizeLinear": lambda g: g.dense(g.conv(_rounded(g, g.map()), 1, 2, 2, 2), 35),
    "And, Or, Xor, Mod": lambda g: g.dense(g.conv(_decided(g), 1, 2, 2, 2), 35),
    "Where": lambda g: g.dense(g.conv(_chosen(g), 1, 2, 2, 2), 35),
}

PADDED: dict[str, Build] = {
    "padding that counts": lambda g: g.dense(
        _average(g, [3, 2], **{**COUNTED, "strides": [3, 2], "ceil_mode": 1}), 12
    ),
    "padding of one branch": lambda g: g.dense(_branched(g, g.map()), 96),
    "padding that counts, opset 11": lambda g: g.dense(_average(g, [2, 2], **COUNTED), 12),
    # a crop sees zeros, though all that a cell reads is its window's own
    "padding of a part": lambda g: g.dense(g.conv(_part(g), 1, 2, 2, 2, pads=[0, 1, 1, 0]), 15),
}


def _two_grids(g: Net, x: str) -> str:
    parts = [g.add("Flatten", part) for part in (x, g.add("GlobalAveragePool", x))]
    return g.add("Concat", *parts, axis=1)


@pytest.mark.parametrize("stride", [None, 1, (2, 3)], ids=str)
@pytest.mark.parametrize("name", [*EXACT, *PADDED])
def test_operators_slide(name: str, stride: Any) -> None:
    opset = name.rpartition("opset ")[2]
    net = Net(int(opset) if opset.isdigit() else 20)
    model = net.model({**EXACT, **PADDED}[name](net))
    sliding = fcconv.convolutionize(model, stride=stride)
    case = Case(model, sliding.window, (2, 3), stride, "float32")
    certificate = fcconv.certify(model, sliding)
    assert certificate.holds, certificate
    assert certificate.native_exact, certificate
    assert sliding.exact == is_exact(case, sliding, 0) == (name in EXACT), certificate
    onnxruntime.InferenceSession(valid(sliding).SerializeToString(), quiet())


def test_infinities_stay_where_they_are() -> None:
    """-inf at one sample of a window must not reach the others."""
    net = Net(shape=(1, 4))
    x = net.add("Exp", net.add("Add", net.add("Log", net.add("Relu", "image")), net.w(1, 4)))
    model = net.model(net.dense(x, 4))
    image = np.array([[[-1, 1, 2, 3, 4, 5]]], np.float32)
    with np.errstate(divide="ignore"):
        scores = fcconv.convolutionize(model, stride=1)(image)
    assert np.isfinite(scores).all()


def test_gemm_scales_its_bias() -> None:
    net = Net()
    x = net.add("Flatten", net.map())
    model = net.model(net.add("Gemm", x, net.w(96, 3), net.w(3), beta=3.0))
    gemm = model.graph.node[-1]
    weight = next(w for w in model.graph.initializer if w.name == gemm.input[1])
    gemm.input[1] = weight.name = f"{gemm.name}/beta"  # the name that the product would take
    assert fcconv.certify(model, fcconv.convolutionize(model)).holds


def test_a_proof_sees_padding_at_any_stride() -> None:
    net = Net(shape=(1, 12))
    x = net.conv(net.conv("image", 1, 1, 2, strides=[4]), 1, 1, 2, pads=[1, 0])
    model = net.model(net.dense(x, 3))
    sliding = fcconv.convolutionize(model, stride=1)
    assert not sliding.exact
    assert not fcconv.certify(model, sliding).exact
