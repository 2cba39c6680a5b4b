"""A certificate can't be fooled: not by a weight, by geometry, nor by what shows elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper

import fcconv
from fcconv.certificate.weights import share_weights
from fcconv.graph.files.load import load
from graphs import Array, Graph, Net, i


def _one_ulp(weight: Array) -> Array:
    changed = weight.copy()
    changed.flat[0] = np.nextafter(changed.flat[0], np.float32(np.inf))
    return changed


FORGERIES: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "input channels exchanged": ("second", lambda weight: weight[:, [1, 0, 2]]),
    "spatial axes transposed": ("second", lambda weight: weight.swapaxes(2, 3)),
    "rows exchanged": ("hidden", lambda weight: weight[[1, 0, 2, 3]]),
    "one unit in the last place": ("last", _one_ulp),
}
"""The layer that is changed, and how its weight is."""


def _honest() -> onnx.ModelProto:
    net = Net()
    first = net.add("Relu", net.add("Conv", "image", net.w(3, 2, 3, 2), name="first"))
    second = net.add("Conv", first, net.w(2, 3, 2, 2), strides=[2, 2], name="second")
    x = net.add("Flatten", net.add("Relu", second))
    x = net.add("Gemm", x, net.w(4, 18), transB=1, name="hidden")
    return net.model(net.add("MatMul", net.add("Relu", x), net.w(4, 3), name="last"))


@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize("form", ["sliding", "pointwise"])
def test_a_changed_weight_is_found(form: str, forgery: str) -> None:
    original = _honest()
    rewrite: Any = {"sliding": fcconv.convolutionize, "pointwise": fcconv.pointwise}[form]
    rewritten: Any = ir.to_proto(rewrite(original).model)
    assert fcconv.certify(original, rewritten).holds
    layer, change = FORGERIES[forgery]
    (node,) = [node for node in rewritten.graph.node if node.name == layer]
    (weight,) = [w for w in rewritten.graph.initializer if w.name == node.input[1]]
    weight.CopyFrom(
        onnx.numpy_helper.from_array(change(onnx.numpy_helper.to_array(weight)), weight.name)
    )
    certificate = fcconv.certify(original, rewritten)
    assert not certificate.holds
    assert certificate.difference is not None
    assert layer in certificate.difference


@pytest.mark.parametrize("form", [fcconv.convolutionize, fcconv.pointwise])
def test_infinite_weights_are_certified(form: Callable[[onnx.ModelProto], Any]) -> None:
    net = Net()
    hidden = net.add("Relu", net.dense(net.map(), 96))
    network = net.model(net.add("MatMul", hidden, np.full((3, 2), np.inf, np.float32)))
    certificate = fcconv.certify(network, form(network))
    assert certificate.holds
    assert all(np.isnan(row.original) for row in certificate.errors)


def test_a_default_is_what_is_written_out() -> None:
    """In float64 as well, where 0.01 is not what a float32 attribute holds."""
    models = []
    for attributes in ({}, {"alpha": 0.01}):
        net = Graph(2, 9, 8, dtype="float64")
        x = net.add("LeakyRelu", "image", **attributes)
        x = net.add("MatMul", net.add("Flatten", x), np.ones((144, 3)))
        models.append(net.model(x))
    first, second = models
    assert fcconv.certify(first, fcconv.convolutionize(second)).holds


def test_large_weights_of_both_networks_are_held_once() -> None:
    """Of a kernel, too, which has another shape."""
    net = Net()
    flat = net.add("Flatten", net.map())
    original = net.model(net.add("Gemm", flat, net.w(4096, 96), transB=1))
    models = load(original), load(fcconv.pointwise(original).model)
    share_weights(*models)
    held = [
        value.const_value.numpy()
        for model in models
        for value in model.graph.initializers.values()
        if value.const_value is not None and value.const_value.size == 4096 * 96
    ]
    matrix, kernel = held
    assert (matrix.ndim, kernel.ndim) == (2, 4)
    assert np.shares_memory(matrix, kernel)
    assert fcconv.certify(*models).holds


def test_a_network_without_classes_is_certified() -> None:
    """Nobody needs one, but other tools may write it; fcconv itself slides none."""
    patch, whole = Graph(2, 9, 8), Graph(2, "rows", "columns")
    features = patch.add("Flatten", "image")
    network = patch.model(patch.add("MatMul", features, np.zeros((144, 0), np.float32)))
    cells = whole.add("Conv", "image", np.zeros((0, 2, 9, 8), np.float32))
    certificate = fcconv.certify(network, whole.model(cells, rank=4))
    assert certificate.holds
    assert certificate.exact


def _reads_far(end: str) -> tuple[onnx.NodeProto, dict[str, Array]]:
    kernel = np.zeros((3, 1, 3, 3), np.float32)
    kernel[:, :, 1, 1], kernel[:, :, 2, 2] = 1, 0.5
    wide: dict[str, Any] = {"dilations": [5, 5], "pads": [5] * 4, "group": 3}
    return onnx.helper.make_node("Conv", [end, "far"], ["out"], "far", **wide), {"far": kernel}


def _keeps_few(end: str) -> tuple[onnx.NodeProto, dict[str, Array]]:
    bounds = {"few/from": i(0, 0), "few/to": i(7, 7), "few/axes": i(2, 3)}
    return onnx.helper.make_node("Slice", [end, *bounds], ["out"], "few"), bounds


def _mixes_images(end: str) -> tuple[onnx.NodeProto, dict[str, Array]]:
    inputs = [end, "mixed/axes"]
    return onnx.helper.make_node("ReduceSum", inputs, ["out"], "mixed"), {"mixed/axes": i(0)}


@pytest.mark.parametrize("spoil", [_reads_far, _keeps_few, _mixes_images])
def test_what_shows_elsewhere_only_is_found(spoil: Any) -> None:
    net = Net()
    original = net.model(net.dense(net.map(), 96))
    rewritten: Any = ir.to_proto(fcconv.convolutionize(original).model)
    end = rewritten.graph.output[0].name
    node, constants = spoil(end)
    rewritten.graph.node.append(node)
    rewritten.graph.initializer.extend(
        onnx.numpy_helper.from_array(array, name) for name, array in constants.items()
    )
    rewritten.graph.output[0].name = "out"
    certificate = fcconv.certify(original, rewritten)
    assert not certificate.exact
    assert not certificate.holds


def test_no_score_is_of_several_images() -> None:
    """Of images so large that one at a time is measured, and two are compared."""
    net = Net(shape=(1, 96, 96))
    x = net.add("MaxPool", net.conv("image", 1, 1, 3, 3), kernel_shape=[2, 2], strides=[2, 2])
    original = net.model(net.dense(x, 47 * 47))
    forged: Any = ir.to_proto(fcconv.convolutionize(original).model)
    end, pads = forged.graph.output[0].name, i(2, 0, 0, 0, -2, 0, 0, 0)
    forged.graph.node.append(onnx.helper.make_node("Pad", [end, "pads"], ["earlier"]))
    forged.graph.node.append(onnx.helper.make_node("Add", [end, "earlier"], ["out"]))
    forged.graph.initializer.append(onnx.numpy_helper.from_array(pads, "pads"))
    forged.graph.output[0].name = "out"
    certificate = fcconv.certify(original, forged)
    assert not certificate.exact
    assert not certificate.holds
    assert certificate.difference is not None


@pytest.mark.parametrize(
    ("layer", "attribute"),
    [
        ("first", "pads"),
        ("second", "pads"),
        ("hidden", "pads"),
        ("hidden", "strides"),
        ("first", "strides"),
        ("second", "strides"),
        ("second", "dilations"),
    ],
)
def test_a_changed_geometry_is_found(layer: str, attribute: str) -> None:
    original = _honest()
    rewritten: Any = ir.to_proto(fcconv.convolutionize(original, stride=3).model)
    (node,) = [node for node in rewritten.graph.node if node.name == layer]
    (numbers,) = [a for a in node.attribute if a.name == attribute]
    numbers.ints[0] += 1
    certificate = fcconv.certify(original, rewritten)
    assert not certificate.holds
    assert certificate.difference is not None
    assert layer in certificate.difference


@pytest.mark.parametrize("stride", [1, 3])
def test_a_rewriting_that_pads_its_first_dense_layer_is_wrong(stride: int) -> None:
    """As those by hand do; it has several cells where the original has one window."""
    net = Net()
    model = net.model(net.dense(net.map(), 96))
    made: Any = ir.to_proto(fcconv.convolutionize(model, stride=stride).model)
    dense = [node for node in made.graph.node if node.op_type == "Conv"][-1]
    kept = [a for a in dense.attribute if a.name != "pads"]
    del made.metadata_props[:], dense.attribute[:]
    dense.attribute.extend([*kept, helper.make_attribute("pads", [3] * 4)])
    certificate = fcconv.certify(model, made)
    assert not certificate.holds
    assert certificate.stride == (stride, stride)
    assert certificate.difference == f"{dense.name} (Conv)"
