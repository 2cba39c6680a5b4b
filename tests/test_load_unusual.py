"""Networks that are only unusual work, local functions and all; sources stay as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

import fcconv
from broken_networks import branch, conditional
from refusing import USES, refuse, write
from small_networks import classifier, constant, node, scores, weight


def test_nodes_out_of_order_are_sorted(path: Path) -> None:
    network = classifier()
    backwards = list(network.graph.node)[::-1]
    network.graph.ClearField("node")
    network.graph.node.extend(backwards)
    for use in USES:
        assert np.array_equal(
            scores(use(write(path, network)).model).ravel(), scores(classifier()).ravel()
        )


def test_weights_as_inputs_need_no_value() -> None:
    network = classifier()
    for held in network.graph.initializer:
        network.graph.input.append(
            helper.make_tensor_value_info(held.name, TensorProto.FLOAT, list(held.dims))
        )
    assert fcconv.convolutionize(network).exact


@pytest.mark.parametrize("output", ["x", "m"])
def test_an_output_that_nothing_computes(output: str) -> None:
    network = classifier()
    network.graph.output[0].CopyFrom(network.graph.input[0])
    network.graph.output[0].name = output
    if output == "m":
        refuse(fcconv.convolutionize, network, "the output 'm' does not depend on the image")
    else:
        assert fcconv.convolutionize(network).field == (6, 6)
    assert len(fcconv.pointwise(network).layers) == 1


def test_an_input_that_is_an_output_keeps_its_shape() -> None:
    network = classifier()
    network.graph.output.append(helper.make_tensor_value_info("x", TensorProto.UNDEFINED, None))
    assert fcconv.convolutionize(network).window == (6, 6)
    image = np.ones((2, 2, 6, 6), np.float32)
    assert np.array_equal(fcconv.compile(network)(image)[1], image)


def test_constants_that_are_no_numbers() -> None:
    network = classifier(node("Log", ["k"], ["nan"]), node("Add", ["b", "nan"], ["c"]),
                         constants=[constant("k", [-1])])  # fmt: skip
    assert np.isnan(scores(fcconv.convolutionize(network).model)).all()


@pytest.mark.parametrize("alpha", [float("nan"), float("inf")])
def test_factors_that_are_no_numbers_are_certified(alpha: float) -> None:
    gemm = node("Gemm", ["f", "k"], ["c"], alpha=alpha)
    network = classifier(node("Flatten", ["b"], ["f"]), gemm, constants=[weight("k", 64, 64)])
    for use in USES:
        assert fcconv.certify(network, use(network)).holds


def test_types_are_known_of_the_branch_that_is_taken() -> None:
    network = classifier()
    conditional(branch("b"))(network)
    network.graph.initializer[1].CopyFrom(constant("m", np.ones((64, 3)), np.float64))
    refuse(fcconv.convolutionize, network, "dense (MatMul): it mixes the types FLOAT and DOUBLE")


def test_words_and_constants_that_nothing_reads(path: Path) -> None:
    network = classifier()
    words = TensorProto(name="s", data_type=TensorProto.STRING, dims=[1], string_data=[b"a"])
    network.graph.initializer.append(words)
    network.graph.node.append(node("Constant", [], ["unread"], value_string="text"))
    network.graph.output.append(network.graph.output[0])
    network.graph.output[1].name = "b"
    assert fcconv.convolutionize(write(path, network)).exact
    fcconv.pointwise(path).save(path)
    assert words in onnx.load(path).graph.initializer


def function(name: str, *nodes: onnx.NodeProto, version: int = 17) -> onnx.FunctionProto:
    opsets = [helper.make_opsetid("", version), helper.make_opsetid("own", 1)]
    return helper.make_function("own", name, ["p"], ["q"], nodes, opsets)


def calling(*functions: onnx.FunctionProto) -> onnx.ModelProto:
    network = classifier(node(functions[-1].name, ["b"], ["c"], name="call", domain="own"))
    network.functions.extend(functions)
    network.opset_import.add(domain="own", version=1)
    return network


def test_local_functions_are_written_out(path: Path) -> None:
    inner = function("Inner", node("Neg", ["p"], ["q"]))
    outer = function(
        "Outer",
        node("Inner", ["p"], ["r"], domain="own"),
        node("Inner", ["r"], ["s"], domain="own"),
        node("Add", ["s", "p"], ["q"]),
    )
    write(path, calling(inner, outer))
    doubled = scores(classifier(node("Add", ["b", "b"], ["c"])))
    for use in USES:
        made = use(path)
        assert not made.model.functions
        assert np.array_equal(scores(made.model).ravel(), doubled.ravel())
        assert made.model.graph.outputs[0].name == "y"


def test_local_functions_that_never_end() -> None:
    endless = function("F", node("F", ["p"], ["q"], domain="own"))
    doubling = [function("F0", node("Neg", ["p"], ["q"]))]
    for k in range(40):
        calls = [node(f"F{k}", [x], [y], domain="own") for x, y in ("pr", "rq")]
        doubling.append(function(f"F{k + 1}", *calls))
    undefined = function("F", node("Neg", ["nothing"], ["q"]))
    for use in USES:
        refuse(use, calling(endless), "in a circle")
        refuse(use, calling(*doubling), "more than 1000000 nodes")
        refuse(use, calling(undefined), "can't be written out", "nothing")
        refuse(use, calling(function("F", node("Neg", ["p"], ["q"]), version=13)), "version 13")
        refuse(use, calling(function("F", node("Neg", ["p"], ["z"]))), "no 'q'")


def test_sources_are_not_changed() -> None:
    proto = classifier(node("Add", ["b", "k"], ["c"]))
    proto.graph.node.insert(0, node("Constant", [], ["k"], value=constant("k", [2])))
    proto.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 2, 3, 3]))
    network = ir.from_proto(proto)
    before = proto.SerializeToString(), ir.to_proto(network)
    for use in USES:
        use(proto)
        use(network)
    assert (proto.SerializeToString(), ir.to_proto(network)) == before


def test_an_unsorted_graph_in_memory_is_named() -> None:
    network = ir.from_proto(classifier())
    first = network.graph[0]
    network.graph.remove(first)
    network.graph.append(first)
    for use in USES:
        refuse(use, network, "can't be copied, sort its graph first")
