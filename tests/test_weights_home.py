"""Tuned weights of a sliding network come home to the patch network, bit for bit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings

import fcconv
from fcconv.demo.network import load_faces
from fcconv.errors import ArgumentError, ShapeError, UnsupportedError
from fcconv.graph.rewriting.convolutionize import Windows
from fcconv.graph.rules.values import opened
from graphs import Net, i
from random_graphs import Case, cases
from sliding_windows import slid
from strategies import seeds


def with_other_weights(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """Change each entry of each weight; what is the same all along an axis stays so."""
    other, draw = onnx.ModelProto(), np.random.default_rng(seed)
    other.CopyFrom(model)
    for tensor in other.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype.kind == "f" and "scales" not in tensor.name:
            factors = draw.integers(2, 9, opened(array).shape).astype(array.dtype)
            tensor.CopyFrom(onnx.numpy_helper.from_array(array * factors, tensor.name))
    return other


@pytest.mark.parametrize("windows", ["shared", "exact"])
@settings(max_examples=settings().max_examples // 2)
@given(case=cases(), seed=seeds)
def test_other_weights_come_home(windows: Windows, case: Case, seed: int) -> None:
    other = Case(with_other_weights(case.model, seed), *list(vars(case).values())[1:])
    tuned = slid(other, windows)
    assert tuned.patch is not None
    home = fcconv.patch_of(slid(case, windows), fcconv.compile(tuned).params)
    for name, weight in home.weights.items():
        const = tuned.patch.graph.initializers[name].const_value
        assert const is not None
        assert weight.dtype == const.dtype.numpy()
        assert np.array_equal(weight, const.numpy()), (name, case)


def test_a_patch_network_that_came_home_scores_the_same(tmp_path: Path) -> None:
    faces = load_faces()
    sliding = fcconv.convolutionize(faces, stride=5)
    params = {n: w * np.float32(1.25) for n, w in fcconv.compile(sliding).params.items()}
    home = fcconv.patch_of(sliding, params)
    home.save(tmp_path / "patch.onnx")
    again = fcconv.convolutionize(tmp_path / "patch.onnx", stride=5)
    for name, weight in fcconv.compile(again).params.items():
        assert np.array_equal(weight, params[name])
    assert "dense1.weight" in str(home)
    assert repr(home) == f"<PatchNetwork weights={len(home.weights)}>"


def test_a_sliding_network_is_saved_with_tuned_weights(tmp_path: Path) -> None:
    sliding = fcconv.convolutionize(load_faces(), stride=5)
    network = fcconv.compile(sliding)
    tuned = {name: network.params[name] * np.float32(1.5) for name in network.trainable}
    sliding.save(tmp_path / "tuned.onnx", params=tuned)
    image = np.random.default_rng(0).random((1, 1, 40, 35), np.float32)
    expected = network.apply({**network.params, **tuned}, image)
    assert np.array_equal(fcconv.compile(tmp_path / "tuned.onnx")(image), expected)
    assert np.array_equal(sliding(image), network(image))
    unnamed: Any = 3
    with pytest.raises(ArgumentError, match="params needs weights by name"):
        fcconv.patch_of(sliding, unnamed)
    with pytest.raises(ArgumentError, match="params needs weights by name"):
        sliding.save("no", params=unnamed)
    with pytest.raises(ArgumentError, match="network needs what"):
        fcconv.patch_of(network, {})  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="the network has no weight 'no'"):
        sliding.save(tmp_path / "no.onnx", params={"no": np.zeros(3)})
    with pytest.raises(ShapeError, match=r"'score\.bias' needs the shape"):
        sliding.save(tmp_path / "no.onnx", params={"score.bias": np.zeros(3)})


def test_weights_that_were_equal_may_differ_when_they_come_home() -> None:
    """A bias of zeros, before it is tuned, is the same all along its axis."""
    net = Net()
    model = net.model(net.dense(net.map(), 96))
    for tensor in model.graph.initializer:
        if len(tensor.dims) == 1:
            zeros = np.zeros(tuple(tensor.dims), np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(zeros, tensor.name))
    sliding = fcconv.convolutionize(model)
    params = fcconv.compile(sliding).params
    biases = {n: np.arange(len(w), dtype=w.dtype) for n, w in params.items() if w.ndim == 1}
    assert biases
    home = fcconv.patch_of(sliding, {**params, **biases})
    for name, bias in biases.items():
        assert np.array_equal(home.weights[name], bias)


def test_what_the_patch_network_does_not_have_is_refused() -> None:
    net = Net(shape=(2, 9))
    features = net.add("Flatten", net.conv("image", 3, 2, 2))
    some = net.add("Gather", features, i(0, 2, 7, 9, 21), axis=1)
    sliding = fcconv.convolutionize(net.model(net.add("Gemm", some, net.w(5, 4))))
    params = fcconv.compile(sliding).params
    kernel = next(name for name in params if "/kernel_" in name)
    with pytest.raises(UnsupportedError, match=f"'{kernel}' has .* entries beside those"):
        fcconv.patch_of(sliding, {**params, kernel: params[kernel] + 1})
    with pytest.raises(ArgumentError, match=f"params needs the weight '{kernel}'"):
        fcconv.patch_of(sliding, {n: w for n, w in params.items() if n != kernel})
    with pytest.raises(ShapeError, match=f"'{kernel}' needs the shape"):
        fcconv.patch_of(sliding, {**params, kernel: np.zeros(3)})
    loaded = fcconv.Sliding(**{**vars_of(sliding), "patch": None})
    with pytest.raises(ArgumentError, match="was read from a file"):
        fcconv.patch_of(loaded, params)


def test_statistics_and_counts_are_not_trained() -> None:
    net = Net()
    ones = [np.full(3, 1 + k, np.float32) for k in range(4)]
    x = net.add("BatchNormalization", net.conv("image", 3, 2, 7, 5), *ones)
    x = net.add("Div", net.add("Relu", x), np.array(2, np.float32))
    network = fcconv.compile(net.model(net.dense(x, 36)))
    left = {name.rpartition("/")[2] for name in network.params.keys() - network.trainable}
    assert left == {"order", "rest", "constant"}  # mean, variance and the divisor
    assert len(network.trainable) == 6
    assert "score.bias" in fcconv.compile(load_faces()).trainable  # of one output


def test_copies_that_differ_are_refused() -> None:
    """A dense layer over rows that are not pixels is written once for each of them."""
    net = Net(shape=(2, 9))
    rows = net.reshape(net.conv("image", 4, 2, 9), 0, 2, 2)
    sliding = fcconv.convolutionize(net.model(net.add("MatMul", rows, net.w(2, 3)), rank=3))
    params = fcconv.compile(sliding).params
    kernel = next(name for name in params if name.endswith("/rows"))
    tuned = params[kernel].copy()
    tuned[0] += 1
    with pytest.raises(UnsupportedError, match=f"'{kernel}' holds a weight .* several times"):
        fcconv.patch_of(sliding, {**params, kernel: tuned})


def vars_of(sliding: fcconv.Sliding) -> dict[str, Any]:
    return {field.name: getattr(sliding, field.name) for field in dataclasses.fields(sliding)}
