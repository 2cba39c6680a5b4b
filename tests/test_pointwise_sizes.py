"""Pointwise networks whose image has free sizes: what a weight fixes is not invented."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, cast

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import fcconv
from fcconv.errors import UnsupportedError
from fcconv.graph.files.load import load
from forgers import values_renamed
from graphs import Net, i
from refusing import little_memory
from sliding_windows import quiet


def _own_shape(g: Net) -> str:
    """Flatten by a shape that the network computes."""
    batch = g.add("Slice", g.add("Shape", "image"), i(0), i(1))
    return g.add("Reshape", g.map(), g.add("Concat", batch, i(-1), axis=0))


NETWORKS: dict[str, Callable[[Net], str]] = {
    "Flatten and Gemm": lambda g: g.dense(g.map(), 96),
    "Flatten and MatMul": lambda g: g.add("MatMul", g.add("Flatten", g.map()), g.w(96, 3)),
    "a shape of its own": lambda g: g.add("MatMul", _own_shape(g), g.w(96, 3)),
    "a stack of one matrix": lambda g: g.reduce(
        "ReduceMean", g.add("MatMul", g.reshape(g.map(), -1, 12, 8), g.w(1, 8, 4)), [1], 0
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_free_sizes_are_proved(name: str) -> None:
    net = Net()
    net.shape = (2, "height", "width")
    model = net.model(NETWORKS[name](net))
    rewritten = fcconv.pointwise(model)
    assert not rewritten.left
    for window in (None, (2, 9, 8)):
        certificate = fcconv.certify(model, rewritten, window=window)
        assert certificate.holds, certificate
        assert certificate.windows == len(rewritten.layers) == 1
    onnxruntime.InferenceSession(model.SerializeToString(), quiet())


def test_a_number_of_images_is_not_treated_apart() -> None:
    """More than 20 images get other scores: numbers that are proved for 3 of them."""
    net = Net()
    original = net.model(net.dense(net.map(), 96))
    rewritten = ir.to_proto(fcconv.pointwise(original).model)
    (scores,) = [output.name for output in rewritten.graph.output]
    for node in rewritten.graph.node:
        node.output[:] = ["scores" if name == scores else name for name in node.output]
    made: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("Neg", ["scores"], "negated", {}),
        ("Concat", ["scores", "negated"], "both", {"axis": 1}),
        ("Shape", ["scores"], "shape", {}),
        ("Gather", ["shape", "first"], "images", {"axis": 0}),
        ("Greater", ["images", "many"], "are many", {}),
        ("Cast", ["are many"], "one", {"to": TensorProto.INT64}),
        ("Mul", ["one", "classes"], "shift", {}),
        ("Add", ["shift", "classes in order"], "places", {}),
        ("Gather", ["both", "places"], scores, {"axis": 1}),
    ]
    rewritten.graph.node.extend(
        helper.make_node(op, inputs, [output], **attributes)
        for op, inputs, output, attributes in made
    )
    rewritten.graph.initializer.extend(
        numpy_helper.from_array(np.array(numbers), name)
        for name, numbers in (
            ("first", 0), ("many", 20), ("classes", 3), ("classes in order", [0, 1, 2])
        )
    )  # fmt: skip
    images = np.ones((21, 2, 9, 8), np.float32)
    several, many = (fcconv.compile(rewritten)(images[:n]) for n in (20, 21))
    assert np.array_equal(several, -many[:20])
    assert not fcconv.certify(original, rewritten).holds


def test_names_do_not_decide() -> None:
    """Of values either, where a network also reads and computes shapes."""
    net = Net()
    original = net.model(net.add("MatMul", net.add("Relu", _own_shape(net)), net.w(96, 3)))
    rewritten = ir.to_proto(fcconv.pointwise(original).model)
    assert values_renamed(Random(0), rewritten)
    assert fcconv.certify(original, rewritten).holds
    (kernel,) = [w for w in rewritten.graph.initializer if "kernel" in w.name]
    weight = numpy_helper.to_array(kernel).copy()
    weight.flat[0] += 1
    kernel.CopyFrom(numpy_helper.from_array(weight, kernel.name))
    assert not fcconv.certify(original, rewritten).holds


def test_a_wrong_weight_is_found_with_free_sizes() -> None:
    net = Net()
    net.shape = (2, "height", "width")
    model = net.model(net.dense(net.map(), 96))
    rewritten = fcconv.pointwise(model).model
    (conv,) = [node for node in rewritten.graph if node.name == "node3" and node.op_type == "Conv"]
    (kernel,) = [value for value in conv.inputs[1:2] if value is not None]
    assert kernel.const_value is not None
    kernel.const_value.numpy()[1, 5] += 1
    assert not fcconv.certify(model, rewritten).holds


def test_sizes_that_nothing_tells_are_asked_for() -> None:
    net = Net()
    net.shape = (2, "height", "width")
    model = net.model(net.dense(net.add("AveragePool", net.map(), kernel_shape=[7, 5]), 8))
    other = onnx.ModelProto()
    other.CopyFrom(model)
    other.graph.node[2].attribute.add(name="ceil_mode", i=0, type=onnx.AttributeProto.INT)
    with pytest.raises(UnsupportedError, match="fix the sizes of the input in both networks"):
        fcconv.certify(model, load(other))


def test_what_is_told_of_a_value_on_the_way_is_not_believed() -> None:
    net = Net()
    model = net.model(net.dense(net.map(), 96))
    for node in model.graph.node[:-1]:
        told = helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, [3, -1, 2**40])
        model.graph.value_info.append(told)
    rewritten = fcconv.pointwise(model)
    assert len(rewritten.layers) == 1
    assert fcconv.certify(model, rewritten).holds


def test_an_image_too_large_to_be_shown_is_left_alone() -> None:
    net = Net()
    net.shape = (2, 2**20, 2**20)
    model = net.model(net.add("MatMul", _own_shape(net), net.w(96, 3)))
    with little_memory():
        fcconv.pointwise(model)


def test_a_network_without_an_input_is_left_alone() -> None:
    net = Net()
    net.constants["image"] = np.ones((), np.float32)  # takes the place of the input
    model = net.model(net.add("MatMul", _own_shape(net), net.w(96, 3), name="dense"))
    assert fcconv.pointwise(model).left == (
        "dense (MatMul): the number of axes of its input is not known",
    )


def test_a_bias_of_pixels_is_alike_for_all_images() -> None:
    net = Net()
    features = net.add("Flatten", net.map())
    added = net.add("Add", net.w(1, 3), net.add("ReduceMax", features, i(0, 1)))
    model = net.model(net.add("Gemm", features, net.w(96, 3), added, alpha=0.5, beta=3.0))
    rewritten = fcconv.pointwise(model)
    assert len(rewritten.layers) == 1
    assert fcconv.certify(model, rewritten).holds


@pytest.mark.parametrize("sizes", [["N", 3], ["N", None], None])
def test_outputs_may_declare_fewer_sizes(sizes: list[str | int | None] | None) -> None:
    net = Net()
    model = net.model(net.dense(net.map(), 96))
    rewritten = onnx.ModelProto()
    rewritten.CopyFrom(ir.to_proto(fcconv.pointwise(model).model))
    output = helper.make_tensor_value_info(rewritten.graph.output[0].name, TensorProto.FLOAT, sizes)
    rewritten.graph.output[0].CopyFrom(output)
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 3
    assert fcconv.certify(model, rewritten).holds
    rewritten.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    assert not fcconv.certify(model, rewritten).holds


def test_an_output_of_other_axes_than_it_declares_is_run() -> None:
    net = Net()
    features = net.add("Flatten", net.map())
    model = net.model(net.add("MatMul", features, net.w(96, 3)), net.nodes[0].output[0])
    rewritten = fcconv.pointwise(model)
    assert fcconv.certify(model, rewritten).holds
    proto = cast("Any", ir.to_proto(rewritten.model))
    onnxruntime.InferenceSession(proto.SerializeToString(), quiet())


def test_an_input_that_is_fixed_is_another_one() -> None:
    net = Net()
    model = net.model(net.dense(net.map(), 96))
    rewritten = fcconv.pointwise(model).model
    rewritten.graph.inputs[0].shape = ir.Shape([1, 2, 9, 8])
    assert not fcconv.certify(model, rewritten).holds


def test_a_weight_that_is_an_output_stays() -> None:
    net = Net()
    features = net.add("Flatten", net.map())
    model = net.model(net.add("MatMul", features, net.w(96, 3), name="dense"))
    weight = helper.make_tensor_value_info("dense/kernel", TensorProto.FLOAT, [96, 3])
    model.graph.output.append(weight)
    proto = cast("Any", ir.to_proto(fcconv.pointwise(model).model))
    session = onnxruntime.InferenceSession(proto.SerializeToString(), quiet())
    assert [output.name for output in session.get_outputs()][1] == "dense/kernel"
