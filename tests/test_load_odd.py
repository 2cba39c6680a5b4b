"""What is read, but can't slide: an error that names the node, the input or the window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

import fcconv
from broken_networks import branch, conditional
from fcconv import ArgumentError, FcconvError, ShapeError
from refusing import USES, little_memory, refuse, write
from small_networks import classifier, constant, ints, model, node, weight

ABSURD = 10**9

ODD: dict[str, tuple[onnx.NodeProto, list[TensorProto], str]] = {
    "reshape": (node("Reshape", ["b", "k"], ["c"]), [ints("k", 7, 7)], "can't take the shape"),
    "reshape to two free": (node("Reshape", ["b", "k"], ["c"]), [ints("k", -1, -1)], "one unknown"),
    "transpose": (node("Transpose", ["b"], ["c"], perm=[0, 1, 2, 9]), [], "axis 9 is out of range"),
    "transpose few": (node("Transpose", ["b"], ["c"], perm=[0, 1]), [], "each of the 4 axes once"),
    "concat": (node("Concat", ["b", "b"], ["c"], axis=9), [], "axis 9 is out of range"),
    "squeeze": (node("Squeeze", ["b", "k"], ["c"]), [ints("k", 9)], "out of range"),
    "unsqueeze": (node("Unsqueeze", ["b", "k"], ["c"]), [ints("k", 99)], "axis 99 is out of range"),
    "slice": (node("Slice", ["b", "k", "k", "k"], ["c"]), [ints("k", 9)], "out of range"),
    "slice by 0": (
        node("Slice", ["b", "z", "k", "k", "z"], ["c"]),
        [ints("k", 2), ints("z", 0)],
        "step cannot be zero",
    ),
    "split": (node("Split", ["b", "k"], ["c"], axis=9), [ints("k", 9)], "out of range"),
    "split into less": (
        node("Split", ["b", "k"], ["c", "more"], axis=1),
        [ints("k", 4)],
        "it has 2 outputs, but parts of (4,)",
    ),
    "depth mode": (
        node("DepthToSpace", ["b"], ["c"], blocksize=2, mode="RCD"),
        [],
        "its mode is 'RCD', neither DCR nor CRD",
    ),
    "gather": (node("Gather", ["b", "k"], ["c"], axis=9), [ints("k", 0)], "out of range"),
    "reduce": (node("ReduceMean", ["b"], ["c"], axes=[9]), [], "axis 9 is out of range"),
    "depth": (node("DepthToSpace", ["b"], ["c"], blocksize=0), [], "by zero"),
    "constant": (node("ConstantOfShape", ["k"], ["c"]), [ints("k", ABSURD, ABSURD)], "absurd"),
    "expand": (node("Expand", ["b", "k"], ["c"]), [ints("k", ABSURD, ABSURD, 1, 1)], "absurd"),
    "tile": (node("Tile", ["b", "k"], ["c"]), [ints("k", 1, ABSURD, ABSURD, 1)], "absurd"),
    "unknown": (node("Twist", ["b"], ["c"]), [], "this operator is not known here"),
    "unknown domain": (node("Relu", ["b"], ["c"], domain="com.twist"), [], "(com.twist.Relu)"),
    "range": (
        node("Range", ["j", "k", "j"], ["c"]),
        [constant("j", 1), constant("k", 2**62)],
        "absurd",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_an_odd_node_is_named(path: Path, case: str) -> None:
    odd, constants, said = ODD[case]
    odd.name = "odd"
    network = classifier(odd, constants=constants)
    refuse(fcconv.convolutionize, write(path, network), "odd (", f"{odd.op_type}): ", said)
    with little_memory():
        fcconv.pointwise(path)  # what is not known stays as it is


def test_a_conditional_is_named() -> None:
    network = classifier()
    conditional(branch("b"))(network)
    network.graph.node[2].input[0] = "p"  # what a constant decides is decided at once
    network.graph.node.insert(2, node("Equal", ["b", "b"], ["p"]))
    refuse(fcconv.convolutionize, network, "if (If): this operator is not known here")
    assert len(fcconv.pointwise(network).layers) == 1


@pytest.mark.parametrize(
    ("window", "said"),
    [
        (["N", 2, "h", "w"], "give window= (--window), the shape of one input"),
        (["N", 2, 0, 6], "give window="),
        (["N", 2, None, -1], "give window="),
        (["N", 2, ABSURD, ABSURD], "is absurd"),
        ([], "give window="),
        (["N"], "of shape (N) has no spatial axes"),
        (["N", 2, 6, 6, 6, 6], "of shape (N, 2, 6, 6, 6, 6) has no spatial axes"),
        (None, "give window="),
    ],
)
def test_an_input_without_a_size(window: Any, said: str) -> None:
    network = model([node("Relu", ["x"], ["y"], name="relu")], window=window)
    refuse(fcconv.convolutionize, network, said)
    if said.startswith("give") and window != []:
        assert fcconv.convolutionize(network, window=(2, 6, 6)).window == (6, 6)


@pytest.mark.parametrize(
    ("error", "window"),
    [
        *((ShapeError, window) for window in ((2, 6), (2, 7, 6), (2, 6, 6, 6), ())),
        *((ArgumentError, window) for window in ((2, 0, 6), 6, "6", [2.5])),
    ],
)
def test_a_window_that_does_not_fit(error: type[FcconvError], window: Any) -> None:
    with pytest.raises(error, match="window"):
        fcconv.convolutionize(classifier(), window=window)
    network = model([node("Relu", ["w"], ["y"])], [weight("w", 3)])
    network.graph.ClearField("input")
    with pytest.raises(ArgumentError, match="window"):
        fcconv.convolutionize(network, window=window)


def test_several_inputs_are_named() -> None:
    network = classifier()
    network.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["N"]))
    refuse(fcconv.convolutionize, network, "has one input, the image; got x, more")


@pytest.mark.parametrize("source", [None, 3, b"model.onnx", classifier().graph, object()])
def test_unknown_sources_are_named(source: object) -> None:
    for use in USES:
        refuse(use, source, "needs a path, an onnx.ModelProto", type(source).__name__)
