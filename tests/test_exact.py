"""Every window exactly: the numbers of its crop, whatever pads or mixes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

import fcconv
from fcconv.errors import ArgumentError, UnsupportedError
from fcconv.graph.files.load import load
from fcconv.graph.node import Node
from fcconv.graph.running.run import program_of
from graphs import Array, Build, Net, i
from random_graphs import Case, cases
from sliding_windows import assert_every_window, crop, quiet, valid


@given(case=cases(), seed=st.integers(0, 2**30))
@pytest.mark.usefixtures("prices")
def test_every_window_is_its_crop_in_the_field(case: Case, seed: int) -> None:
    sliding = fcconv.convolutionize(case.model, stride=case.stride, windows="exact")
    assert sliding.exact
    assert not any(map(any, sliding.margins))
    assert_every_window(case, sliding, seed)


def vit(g: Net) -> str:
    """Cut patches into tokens, put a class token before them, and let them attend to each other."""
    tokens = g.add("Transpose", g.reshape(g.conv("image", 4, 2, 3, 2, strides=[3, 2]), 0, 4, -1),
                   perm=[0, 2, 1])  # fmt: skip
    token = g.add("Expand", g.array(g.w(1, 1, 4)), _each_image(g, "image", 1, 4))
    x = g.add("Add", g.add("Concat", token, tokens, axis=1), g.w(1, 13, 4))
    scores = g.add("MatMul", x, g.add("Transpose", x, perm=[0, 2, 1]))
    mixed = g.add("MatMul", g.add("Softmax", scores, axis=-1), x)
    first = g.add("Gather", mixed, np.array(0), axis=1)
    return g.add("Gemm", first, g.w(4, 3), g.w(3))


def _each_image(g: Net, x: str, *shape: int) -> str:
    count = g.add("Slice", g.add("Shape", x), i(0), i(1), i(0))
    return g.add("Concat", count, i(*shape), axis=0)


def padded(g: Net) -> str:
    x = g.add("Relu", g.conv("image", 4, 2, 3, 3, pads=[1, 1, 1, 1]))
    return g.dense(g.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1), 4 * 5 * 4)


def gated(g: Net) -> str:
    x = g.add("Relu", g.conv("image", 4, 2, 3, 3, pads=[1, 0, 1, 2]))
    gate = g.add("Sigmoid", g.conv(g.add("GlobalAveragePool", x), 4, 4, 1, 1))
    x = g.conv(g.add("Mul", x, gate), 3, 4, 3, 3, pads=[1, 1, 1, 1])
    return g.add("Flatten", g.add("GlobalMaxPool", x))


def normalised(g: Net) -> str:
    x = g.conv("image", 4, 2, 3, 3, pads=[1, 1, 1, 1])
    x = g.add("InstanceNormalization", x, g.w(4), g.w(4))
    return g.dense(x, 4 * 9 * 8)


def shuffled(g: Net) -> str:
    x = g.conv("image", 4, 2, 3, 3, pads=[1, 1, 1, 1])
    x = g.add("Transpose", g.reshape(x, 0, 2, 2, 9, 8), perm=[0, 2, 1, 3, 4])
    x = g.conv(g.reshape(x, 0, 4, 9, 8), 3, 4, 3, 3, pads=[0, 1, 0, 1])
    return g.add("ReduceMean", x, i(2, 3), keepdims=0)


def resized(g: Net) -> str:
    scales = np.array([1, 1, 2, 2], np.float32)
    x = g.add("Resize", g.map(pads=[1, 1, 0, 1]), "", scales, mode="linear")
    return g.dense(x, 2 * 18 * 16)


def recurrent(g: Net) -> str:
    """Read rows one after the other, as recognisers of text do."""
    rows = g.add("Transpose", g.map(pads=[1, 1, 0, 1]), perm=[2, 0, 1, 3])
    x = g.reshape(rows, 9, -1, 16)
    made = g.add("LSTM", x, g.w(1, 12, 16), g.w(1, 12, 3), hidden_size=3)
    return g.add("Squeeze", g.add("Slice", made, i(-1), i(9), i(0)), i(0, 1))


def edged(g: Net) -> str:
    x = g.add("Pad", "image", i(0, 0, 1, 2, 0, 1, 1, 1), mode="edge")
    return g.dense(g.conv(x, 2, 3, 3, 3), 2 * 9 * 9)


def mirrored(g: Net) -> str:
    return g.dense(g.add("Pad", g.map(), i(0, 0, 1, 2, 0, 0, 1, 1), mode="reflect"), 2 * 10 * 9)


NETWORKS = [edged, gated, mirrored, normalised, padded, recurrent, resized, shuffled, vit]


@pytest.mark.parametrize("batch", ["free", "one"])
@pytest.mark.parametrize("build", NETWORKS)
@pytest.mark.usefixtures("prices")
def test_networks_that_pad_or_mix(build: Build, batch: str) -> None:
    """To the last bits: onnxruntime may sum in another order for another batch."""
    net = Net()
    model = net.model(build(net))
    if batch == "one":
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    for stride in ((2, 3), (1, 8), (20, 9)):
        sliding = fcconv.convolutionize(model, stride=stride, windows="exact")
        valid(sliding)
        image = np.random.default_rng(0).standard_normal((2, 2, 9 + 45, 8 + 30)).astype(np.float32)
        found, score = scorer(sliding.model)(image), scorer(model)
        assert found.shape[2:] == (45 // stride[0] + 1, 30 // stride[1] + 1)
        for cell in itertools.product(*map(range, found.shape[2:])):
            part = crop((2, 3), sliding, image, cell)
            expected = np.concatenate([score(one[None]) for one in part])
            assert_close(found[:, :, cell[0], cell[1]], expected.reshape(2, -1))


def assert_close(found: Array, expected: Array) -> None:
    np.testing.assert_allclose(found, expected, rtol=2**-16, atol=2**-16)


def scorer(model: Any) -> Callable[[Array], Array]:
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    session = onnxruntime.InferenceSession(proto.SerializeToString(), quiet())
    name = session.get_inputs()[0].name
    return lambda image: np.asarray(session.run(None, {name: image})[0])


def test_an_axis_that_does_not_slide_is_native() -> None:
    """Whatever pads along it: bands of a spectrum, say, of which all are read."""
    net = Net()
    x = net.conv("image", 3, 2, 3, 3, pads=[1, 1, 1, 1])
    model = net.model(net.dense(net.conv(x, 2, 3, 3, 2, strides=[2, 2], pads=[1, 0, 0, 1]), 32))
    sliding = fcconv.convolutionize(model, stride=2, spatial_axes=(3,), windows="exact")
    assert (sliding.window, sliding.stride, sliding.exact) == ((8,), (2,), True)
    image = np.random.default_rng(0).standard_normal((1, 2, 9, 8 + 7)).astype(np.float32)
    found, score = scorer(sliding.model)(image), scorer(model)
    assert found.shape == (1, 3, 4)
    for k in range(4):
        assert_close(found[..., k], score(image[..., 2 * k : 2 * k + 8]))


def test_the_default_stride_is_that_of_what_windows_share() -> None:
    net = Net(shape=(2, 12, 12))
    x = net.conv("image", 4, 2, 3, 3, pads=[1, 1, 1, 1], strides=[2, 2])
    x = net.add("MaxPool", x, kernel_shape=[3, 2], strides=[3, 2])
    model = net.model(net.dense(net.add("InstanceNormalization", x, net.w(4), net.w(4)), 24))
    assert fcconv.convolutionize(model, windows="exact").stride == (6, 4)


def test_what_loses_nothing_by_sharing_is_shared() -> None:
    net = Net()
    model = net.model(net.dense(net.map(), 2 * 8 * 6))
    sliding = fcconv.convolutionize(model, windows="exact")
    assert sliding.ends is None
    assert sliding.model.graph.num_nodes() == len(fcconv.convolutionize(model).model.graph)


def test_operators_that_nobody_knows_are_each_windows_own() -> None:
    """They run where an engine knows them; here the reference, which does not, says so by name."""
    net = Net()
    x = net.conv("image", 4, 2, 3, 3, pads=[1, 1, 1, 1])
    x = net.add("Erf", net.add("FusedMatMul", net.add("Flatten", x), net.w(288, 3), alpha=0.5,
                               domain="com.microsoft"))  # fmt: skip
    model = net.model(x)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    sliding = fcconv.convolutionize(model, stride=3, windows="exact")
    image = np.random.default_rng(0).standard_normal((1, 2, 12, 8 + 6)).astype(np.float32)
    found, score = scorer(sliding.model)(image), scorer(model)
    for row, column in np.ndindex(2, 3):
        part = image[:, :, 3 * row : 3 * row + 9, 3 * column : 3 * column + 8]
        assert_close(found[:, :, row, column], score(part))
    with pytest.raises(UnsupportedError, match="FusedMatMul"):
        sliding(image)


@pytest.mark.parametrize("stride", [1, 2, 5])
@pytest.mark.usefixtures("prices")
def test_the_cost_is_what_one_more_window_takes(stride: int) -> None:
    """Counted in the written network: what grows along both axes is there for each window."""
    net = Net()
    x = net.add("Relu", net.conv("image", 4, 2, 3, 3, pads=[1, 1, 1, 1]))
    x = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 1], pads=[1, 1, 0, 0])
    model = net.model(net.dense(net.conv(x, 3, 4, 3, 2, pads=[1, 1, 1, 0]), 3 * 5 * 8))
    sliding = fcconv.convolutionize(model, stride=stride, windows="exact")
    count = {
        (i, j): multiplications(sliding.model, (2, 9 + 10 * (9 + i), 8 + 10 * (9 + j)))
        for i, j in np.ndindex(2, 2)
    }
    more = count[1, 1] - count[0, 1] - count[1, 0] + count[0, 0]
    assert sliding.cost is not None
    assert sliding.cost.exact * (10 // stride) ** 2 == more
    assert sliding.cost.crops == multiplications(load(model), (2, 9, 8))


def multiplications(model: Any, shape: Sequence[int]) -> int:
    """Run a network and count the products of its convolutions and dense layers."""
    program, total = program_of(model), []

    def count(node: Node, made: tuple[Any, ...]) -> None:
        if node.op in ("Conv", "Gemm"):
            weight = node.ir.inputs[1]
            assert weight is not None
            assert weight.shape is not None
            sizes = weight.shape.numpy()
            rows = sizes[1:] if node.op == "Conv" else sizes[:1]
            total.append(made[0].size * math.prod(rows))

    backend = fcconv.backend("numpy")
    image = np.zeros((1, *shape), np.float32)
    program.run(backend, program.parameters(backend), [image], count)
    return sum(total)


def test_sharing_ends_where_it_no_longer_pays() -> None:
    """It multiplies less at any stride below the window's width, but moving what it takes costs."""
    net = Net(shape=(2, 32, 32))
    x = net.conv("image", 64, 2, 3, 3, pads=[1, 1, 1, 1])
    x = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    model = net.model(net.dense(net.conv(x, 64, 64, 3, 3, pads=[1] * 4), 64 * 16 * 16))
    for stride, ends in ((1, "node3 (Flatten)"), (16, "node0 (Conv)"), (32, "node0 (Conv)")):
        sliding = fcconv.convolutionize(model, stride=stride, windows="exact")
        assert sliding.ends == ends
        assert sliding.cost is not None
        assert (sliding.cost.exact < sliding.cost.crops) == (stride == 1)


def random_numbers(g: Net) -> str:
    return g.dense(g.add("RandomNormalLike", g.map()), 96)


def inner_graph(g: Net) -> str:
    x = g.map()
    inner = helper.make_graph(
        [helper.make_node("Neg", [x], ["negative"])], "inner", [],
        [helper.make_tensor_value_info("negative", 1, None)],
    )  # fmt: skip
    some = g.add("ReduceSum", x, keepdims=0)
    positive = g.add("Greater", some, np.array(0, np.float32))
    return g.dense(g.add("If", positive, then_branch=inner, else_branch=inner), 96)


def batch_mean(g: Net) -> str:
    x = g.map(pads=[1, 1, 1, 1])
    return g.dense(g.add("Sub", x, g.reduce("ReduceMean", x, [0])), 2 * 10 * 8)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (random_numbers, r"node2 \(RandomNormalLike\): it draws random numbers"),
        (inner_graph, r"node4 \(If\): it has graphs of its own"),
        (batch_mean, r"node2 \(ReduceMean\): it mixes the images of a batch"),
    ],
)
def test_what_can_not_be_computed_for_many_windows_is_refused(build: Build, said: str) -> None:
    net = Net()
    with pytest.raises(UnsupportedError, match=said):
        fcconv.convolutionize(net.model(build(net)), windows="exact")


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"windows": "all"}, ArgumentError, "windows needs one of shared, exact, got 'all'"),
        ({"windows": "exact", "stride": 0}, ArgumentError, "stride"),
        ({"windows": "exact", "stride": (1, 2, 3)}, ArgumentError, "stride needs one integer or 2"),
    ],
)
def test_arguments_are_refused(options: Any, error: type[Exception], said: str) -> None:
    net = Net()
    with pytest.raises(error, match=said):
        fcconv.convolutionize(net.model(gated(net)), **options)


def test_old_operator_sets_and_batches_of_several_are_refused() -> None:
    net = Net(opset=9)
    with pytest.raises(UnsupportedError, match="exact windows need opset 11, the model is of 9"):
        fcconv.convolutionize(net.model(net.dense(net.map(pads=[1] * 4), 160)), windows="exact")
    net = Net()
    model = net.model(padded(net))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 3
    with pytest.raises(UnsupportedError, match="computes 3 images at a time"):
        fcconv.convolutionize(model, windows="exact")
