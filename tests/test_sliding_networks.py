"""What a sliding network is as a whole: its window, layout, outputs, layers, names and batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest

import fcconv
from comparing import assert_identical
from fcconv.errors import ArgumentError, ShapeError
from graphs import Net, i
from random_graphs import Case
from sliding_windows import assert_every_window, is_exact, quiet, valid
from strategies import integers


def test_what_no_window_reads_is_left_out() -> None:
    """Windows of 28 pixels, of which the network sees 26."""
    net = Net(shape=(2, 28))
    x = net.add("MaxPool", net.conv("image", 2, 2, 5), kernel_shape=[2], strides=[2])
    x = net.add("MaxPool", net.conv(x, 3, 2, 2), kernel_shape=[2], strides=[2])
    model = net.model(net.dense(x, 15))
    for stride in (None, 1, 3):
        sliding = fcconv.convolutionize(model, stride=stride)
        assert (sliding.window, sliding.field, sliding.exact) == ((28,), (26,), True)
        case = Case(model, sliding.window, (2,), stride, "float32")
        assert fcconv.certify(model, sliding).exact
        for extra in range(6):
            image = integers(extra, (1, 2, 28 + extra), "float32")
            assert sliding(image).shape == (1, 3, extra // sliding.stride[0] + 1), case
        with pytest.raises(ShapeError):
            sliding(integers(0, (1, 2, 27), "float32"))


def test_two_outputs_and_their_types() -> None:
    net = Net()
    x = net.map()
    places = net.add("ArgMax", net.conv(x, 3, 2, 7, 5), axis=1, keepdims=0)
    best = net.add("ArgMax", net.dense(x, 96), axis=-1, select_last_index=1)
    model = net.model(places, best, rank=4)
    del model.graph.output[1].type.tensor_type.shape.dim[2:]
    sliding = fcconv.convolutionize(model, stride=2)
    image = integers(0, (2, 2, 13, 8), "float32")
    session = onnxruntime.InferenceSession(valid(sliding).SerializeToString(), quiet())
    for scores, found, channels in zip(
        sliding(image), session.run(None, {"image": image}), (4, 1), strict=True
    ):
        assert scores.shape == (2, channels, 3, 1)
        assert scores.dtype == np.int64
        assert_identical(found, scores, "onnxruntime")
    assert fcconv.certify(model, sliding).exact


@pytest.mark.parametrize(
    ("shape", "perm", "axes", "given"),
    [
        ((9, 8, 2), [0, 3, 1, 2], (1, 2), None),
        ((9, 2, 8), [0, 2, 1, 3], (1, 3), (1, -1)),
        ((9, 8), None, (1, 2), None),
    ],
)
def test_layouts_are_found_or_told(shape: Any, perm: Any, axes: Any, given: Any) -> None:
    net = Net(shape=shape)
    x = net.add("Transpose", "image", perm=perm) if perm else net.add("Unsqueeze", "image", i(1))
    channels = 2 if perm else 1
    model = net.model(net.dense(net.conv(x, 2, channels, 2, 3), 96))
    for stride in (None, 2, (3, 1)):
        sliding = fcconv.convolutionize(model, stride=stride, spatial_axes=given)
        assert sliding.window == (9, 8)
        assert sliding.exact
        assert is_exact(Case(model, (9, 8), axes, stride, "float32"), sliding, 0)
    with pytest.raises(ArgumentError, match="stride needs one integer or 2"):
        fcconv.convolutionize(model, stride=(1, 2, 3), spatial_axes=axes)


def test_layers_tell_what_became_of_them() -> None:
    net = Net()
    x = net.add("Flatten", net.last(net.map()), name="flatten")
    x = net.add("MatMul", x, net.w(96, 5), name="first")
    model = net.model(net.add("Gemm", x, net.w(3, 5), transB=1, name="second"))
    first, second = fcconv.convolutionize(model).layers
    assert (first.name, first.method, first.before, first.after, first.order) == (
        "first", "kernel", (96, 5), (5, 2, 8, 6), "HWC",
    )  # fmt: skip
    assert (second.name, second.method, second.before, second.after, second.order) == (
        "second", "1x1", (3, 5), (3, 5, 1, 1), "C",
    )  # fmt: skip


def test_names_do_not_collide() -> None:
    """A rewriting numbers values, and names constants after nodes; so do exporters."""
    net = Net()
    net.prefix = "value_"
    scale, weight = net.constant(net.w(), "val_2"), net.constant(net.w(2, 2, 2, 2), "turned/weight")
    x = net.add("Mul", net.conv(net.map(), 2, 2, 1, 1), scale)
    x = net.add("Transpose", x, perm=[0, 1, 3, 2])
    x = net.add("Conv", x, weight, name="turned")
    x = net.add("Conv", net.add("Transpose", x, perm=[0, 1, 3, 2]), weight, name="straight")
    model = net.model(net.dense(x, 48))
    model.graph.output[0].name = model.graph.node[-1].output[0] = "val_3"
    sliding = fcconv.convolutionize(model)
    assert fcconv.certify(model, sliding).exact
    onnxruntime.InferenceSession(valid(sliding).SerializeToString(), quiet())


@pytest.mark.parametrize("batch", [1, 3])
def test_a_fixed_batch_becomes_free(batch: int) -> None:
    net = Net()
    model = net.model(net.add("Gemm", net.reshape(net.map(), batch, -1), net.w(96, 3)))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = batch
    sliding = fcconv.convolutionize(model)
    assert sliding(integers(0, (2, 2, 9, 9), "float32")).shape == (2, 3, 1, 2)
    valid(sliding)
    assert fcconv.certify(model, sliding).exact


def _spectra(net: Net, x: str, features: int, **pads: Any) -> str:
    """Classify spectra of 12 bands with convolutions that pad along these."""
    x = net.add("Relu", net.conv(x, 3, 1, 3, 3, pads=[1, 0, 1, 0]))
    x = net.conv(x, 2, 3, 3, 3, **pads)
    x = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    return net.dense(x, features)


@pytest.mark.parametrize("stride", [None, 1, 3])
@pytest.mark.parametrize(
    ("shape", "perm", "axis"),
    [((1, 12, 16), None, 3), ((12, 16), [0, 1, 2], 2), ((16, 12, 1), [0, 3, 2, 1], 1)],
)
def test_an_axis_stays_as_long_as_the_window(
    shape: tuple[int, ...], perm: Any, axis: int, stride: int | None
) -> None:
    net = Net(shape=shape)
    x = net.add("Transpose", "image", perm=perm) if perm else "image"
    x = net.add("Unsqueeze", x, i(1)) if len(shape) == 2 else x
    model = net.model(_spectra(net, x, 72, pads=[1, 0, 1, 0]))
    sliding = fcconv.convolutionize(model, stride=stride, spatial_axes=(axis,))
    assert (sliding.window, sliding.stride) == ((16,), (stride or 2,))
    assert sliding.exact, sliding.reasons
    assert_every_window(Case(model, (16,), (axis,), stride, "float32"), sliding)
    assert fcconv.certify(model, sliding).exact
    onnxruntime.InferenceSession(valid(sliding).SerializeToString(), quiet())


def test_an_axis_that_slides_reads_its_padding() -> None:
    net = Net(shape=(1, 12, 16))
    model = net.model(_spectra(net, "image", 84, pads=[1, 1, 1, 1]))
    sliding = fcconv.convolutionize(model, spatial_axes=(3,))
    assert sliding.reasons == ("node2 (Conv) reads padding (1 before and 1 after)",)
    certificate = fcconv.certify(model, sliding)
    assert certificate.holds
    assert not certificate.exact
    assert not fcconv.convolutionize(model, spatial_axes=(2, 3)).exact
    with pytest.raises(ArgumentError, match="in order"):
        fcconv.convolutionize(model, spatial_axes=(3, 2))
