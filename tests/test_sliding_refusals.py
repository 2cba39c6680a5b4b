"""What can't slide is refused, with the node and the reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

import fcconv
from fcconv.errors import UnsupportedError
from graphs import Array, Build, Net, excited, i
from refusing import refuse
from small_networks import classifier


def _attention(g: Net) -> str:
    rows = g.reshape(g.map(), 0, 12, 8)
    return g.add("MatMul", rows, g.add("Transpose", rows, perm=[0, 2, 1]))


def _places(g: Net) -> str:
    return g.add("Cast", g.parts("MaxPool", g.map(), outputs=2, kernel_shape=[2, 2])[1], to=1)


def _padded(op: str, kernel: int) -> Build:
    options = {"kernel_shape": [kernel, 2], "pads": [1, 0, 0, 0]}
    return lambda g: g.add(op, g.map(strides=[2, 1]), **options)


def _scaled_by_pixels(g: Net) -> str:
    scale = g.add("Relu", g.add("GlobalAveragePool", g.map()))
    return g.add("LayerNormalization", g.last(g.map()), g.last(scale))


def _along_pixels(g: Net) -> str:
    return g.add("ReduceSum", g.map(), g.add("Cast", g.add("GlobalMaxPool", g.map()), to=7))


def _looked_up(g: Net) -> str:
    return g.add("Gather", g.w(2, 3), g.add("ArgMax", g.map(), axis=1))


def _scales(factor: float) -> Array:
    return np.array([1, 1, factor, factor], np.float32)


def _resized(g: Net, mode: str) -> str:
    return g.add("Resize", g.map(), "", _scales(2), mode=mode)


def _rounded(g: Net) -> str:
    """Round with a scale for each row of the map."""
    scales, zeros = np.abs(g.w(8)), np.zeros(8, np.int8)
    return g.add("DequantizeLinear", g.add("QuantizeLinear", g.map(), scales, zeros, axis=2),
                 g.array(1), np.array(0, np.int8))  # fmt: skip


def _conditioned(g: Net) -> str:
    style = g.add("Gather", g.add("Flatten", g.add("GlobalAveragePool", g.map())), i(0), axis=1)
    return g.add("InstanceNormalization", g.map(), style, g.w(2))


SIDES = (0, 0, 1, 0, 0, 0, 0, 0)


def _flipped(g: Net) -> str:
    """Convolve a map that is turned round along its last axis."""
    flipped = g.add("Slice", g.map(), i(-1), i(-99), i(3), i(-1))
    return g.conv(flipped, 2, 2, 2, 2)


def _spread(g: Net) -> str:
    """Convolve a map whose channels became pixels."""
    deep = g.conv(g.map(), 4, 2, 1, 1)
    return g.conv(g.add("DepthToSpace", deep, blocksize=2), 2, 1, 2, 2)


REFUSED: list[tuple[str, str, Build]] = [
    ("Conv", "share no map.*Mul.*all samples", lambda g: g.conv(excited(g), 2, 2, 2, 2)),
    ("Conv", "share no map.*Add", lambda g: g.conv(g.add("Add", g.map(), g.w(8, 6)), 1, 2, 1, 1)),
    ("Conv", "not a map of the image, channels", lambda g: g.conv(g.last(g.map()), 2, 8, 1, 1)),
    ("Conv", "input W depends", lambda g: g.add("Conv", g.map(), g.reshape(g.map(), 2, 2, 8, 6))),
    ("Conv", "is padding", lambda g: g.conv(g.map(), 2, 2, 1, 1, pads=SIDES[2:6], strides=[9, 1])),
    ("MatMul", "as attention does", _attention),
    ("MatMul", "a weight from the left", lambda g: g.add("MatMul", g.w(3, 8), g.map())),
    ("Gemm", "its C", lambda g: g.add("Gemm", g.add("Flatten", g.map()), g.w(96, 3), g.w(3, 1))),
    ("MaxPool", "the places of maxima", _places),
    ("MaxPool", "its padding would be as long as its kernel", _padded("MaxPool", 2)),
    ("AveragePool", "dilations of opset 19", _padded("AveragePool", 3)),
    ("LpPool", "dilations of opset 18", _padded("LpPool", 3)),
    ("Pad", "by edge", lambda g: g.add("Pad", g.map(strides=[2, 1]), i(*SIDES), mode="edge")),
    ("Reshape", "the batch must stay the first axis", lambda g: g.reshape(g.map(), 1, -1)),
    ("Flatten", "the batch must stay", lambda g: g.add("Flatten", g.map(), axis=2)),
    ("Transpose", "the batch must stay", lambda g: g.add("Transpose", g.map(), perm=[1, 0, 2, 3])),
    ("Concat", "joins along the batch", lambda g: g.add("Concat", g.map(), g.map(), axis=0)),
    ("Concat", "joins a constant", lambda g: g.add("Concat", g.map(), g.w(1, 2, 8, 6), axis=1)),
    ("ReduceMean", "reduces the batch", lambda g: g.reduce("ReduceMean", g.map(), [0])),
    ("Softmax", "works along the batch", lambda g: g.add("Softmax", g.map(), axis=0)),
    ("Softmax", "not the channels of a map", lambda g: g.add("Softmax", g.map(), axis=3)),
    ("Conv", "not a map.*along axis 3 pixels do not come in their order", lambda g: _flipped(g)),
    ("Conv", "not a map.*along axis 2 are of different channels", lambda g: _spread(g)),
    ("LRN", "not a map, channels first", lambda g: g.add("LRN", g.last(g.map()), size=3)),
    ("LayerNormalization", "input Scale depends on", _scaled_by_pixels),
    ("ReduceSum", "input axes depends on", _along_pixels),
    ("Gather", "input indices depends on", _looked_up),
    ("Hardmax", "not the channels of a map", lambda g: g.add("Hardmax", g.map())),
    ("CumSum", "along the batch", lambda g: g.add("CumSum", g.map(), i(0))),
    ("Conv", "share no map", lambda g: g.conv(_resized(g, "nearest"), 2, 2, 2, 2)),
    ("Resize", "makes new pixels", lambda g: _resized(g, "linear")),
    ("Resize", "whole factors", lambda g: g.add("Resize", g.map(), "", _scales(1.5))),
    ("QuantizeLinear", "not the channels", _rounded),
    ("InstanceNormalization", "input scale depends on", _conditioned),
    ("Unique", "not known", lambda g: g.add("Unique", g.map())),
]  # fmt: skip


@pytest.mark.parametrize(
    ("op", "reason", "build"), REFUSED, ids=[f"{op}: {reason}" for op, reason, _ in REFUSED]
)
def test_refuses_with_the_node_and_the_reason(op: str, reason: str, build: Build) -> None:
    net = Net(opset=17)
    x = build(net)
    named = [node.name for node in net.nodes if node.op_type == op][-1]
    model = net.model(net.add("Relu", x))
    with pytest.raises(UnsupportedError, match=rf"^{named} \({op}\): .*{reason}"):
        fcconv.convolutionize(model, stride=1)


def test_a_batch_of_one_that_mixes_two_images_is_told_what_to_do() -> None:
    net = Net()
    model = net.model(net.add("Relu", net.reshape(net.map(), -1)))
    with pytest.raises(UnsupportedError, match="takes one image at a time, fix the batch of its"):
        fcconv.convolutionize(model)


def test_the_batch_is_not_blamed_where_one_image_is_stuck_elsewhere() -> None:
    """As a transformer is by PyTorch's older exporter: its heads have the batch second."""
    net = Net()
    placed = net.add("Add", net.reshape(net.map(), 0, 2, -1), net.w(2, 48))
    tokens = net.add("Transpose", placed, perm=[2, 0, 1])
    mixed = net.add("Add", net.add("MatMul", tokens, net.w(2, 2)), net.w(2))
    heads = net.add("Transpose", net.reshape(mixed, 48, -1, 1), perm=[1, 0, 2])
    turned = net.add("Transpose", heads, perm=[0, 2, 1])
    model = net.model(net.add("MatMul", heads, turned, name="scores"))
    with pytest.raises(UnsupportedError, match=r"^scores \(MatMul\): .*as attention does"):
        fcconv.convolutionize(model)


@pytest.mark.parametrize("attends", [True, False])
def test_attention_further_on_is_told(attends: bool) -> None:
    """What is stuck first, at an embedding of places say, is not all that there is to change."""
    net = Net()
    x = net.reshape(net.map(), 0, 2, -1)
    x = net.conv(net.add("Add", x, net.w(2, 48)), 2, 2, 1)
    if attends:
        x = net.add("MatMul", x, net.add("Transpose", x, perm=[0, 2, 1]), name="scores")
    with pytest.raises(UnsupportedError, match=r"^node4 \(Conv\)") as refused:
        fcconv.convolutionize(net.model(x))
    told = [
        note for note in refused.value.__notes__ if note.startswith("Further on scores (MatMul)")
    ]
    assert len(told) == attends


def test_a_norm_over_a_large_window_is_refused() -> None:
    net = Net(shape=(2, 80, 70))
    x = net.add("InstanceNormalization", net.map(), net.w(2), net.w(2), name="norm")
    reason = r"^norm \(Inst.*over a whole window, so that each window would keep \d+ samples"
    with pytest.raises(UnsupportedError, match=reason):
        fcconv.convolutionize(net.model(net.add("GlobalMaxPool", x)))


def test_refuses_what_is_no_image_classifier() -> None:
    net = Net()
    with pytest.raises(UnsupportedError, match=r"the output 'val_\d' does not depend on the image"):
        fcconv.convolutionize(net.model(net.add("Relu", net.w(1, 3))))
    net = Net()
    model = net.model(net.add("Add", net.map(), "other"))
    model.graph.input.append(onnx.helper.make_tensor_value_info("other", 1, ["N", 2, 8, 6]))
    with pytest.raises(UnsupportedError, match="one input, the image; got image, other"):
        fcconv.convolutionize(model)


def test_a_gate_over_a_large_map() -> None:
    """Windows that share nothing are not written out one name longer than the other."""
    g = Net(shape=(2, 57, 58))
    model = g.model(g.dense(g.conv(excited(g), 1, 2, 3, 3), 54 * 54))
    with pytest.raises(UnsupportedError, match="does not treat all samples of a window alike"):
        fcconv.convolutionize(model)


@pytest.mark.parametrize("batch", [2**16 + 1, 2**31, 2**62])
def test_an_absurd_batch(batch: int) -> None:
    right = fcconv.convolutionize(classifier())
    model = classifier()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    uses: list[Callable[[Any], Any]] = [
        fcconv.convolutionize,
        lambda source: fcconv.certify(source, right),
    ]
    for use in uses:
        refuse(use, model, f"computes {batch} images at a time", "export it with a batch")


def test_a_batch_of_large_windows() -> None:
    g = Net(shape=(2, 1024, 1024))
    model = g.model(g.add("GlobalAveragePool", "image"))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 65
    refuse(fcconv.convolutionize, model, "computes 65 images at a time")


def test_a_weight_is_not_repeated_without_end() -> None:
    """A mixer of tokens repeated it for each: 24 layers of some hundred megabytes."""
    net = Net()
    x = net.add("Gemm", net.add("Flatten", "image"), net.w(144, 2**14))
    rows = net.reshape(x, -1, 256, 64)
    model = net.model(net.add("ReduceMean", net.add("MatMul", rows, net.w(64, 1025)), i(1)))
    with pytest.raises(
        UnsupportedError, match=r"\(MatMul\): its weight would be written 256 times"
    ):
        fcconv.convolutionize(model)
    assert fcconv.convolutionize(model, windows="exact").exact
