"""What a window is on the way may take any form: other axes than the image's, in another order."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import fcconv
from comparing import assert_identical
from graphs import Build, Net, excited, i
from random_graphs import Case
from sliding_windows import assert_every_window, quiet, valid


def _line(g: Net) -> str:
    """Make a map of two channels, 14 long, of a recording."""
    return g.add("Relu", g.conv("image", 2, 2, 3))


def _row(g: Net, x: str, *shape: int, **attributes: Any) -> str:
    """Convolve a line as an image of one row, as TensorFlow does."""
    row = g.conv(g.add("Unsqueeze", x, i(2)), *shape, **attributes)
    return g.add("Squeeze", row, i(2))


def _pooled_last(g: Net) -> str:
    """Pool a map, channels last, as a volume of one channel."""
    deep = g.add("Unsqueeze", g.last(g.map()), i(1))
    pooled = g.add("MaxPool", deep, kernel_shape=[2, 2, 1], strides=[2, 2, 1])
    return g.first(g.add("Squeeze", pooled, i(1)))


def _normalised(g: Net, x: str, axis: int, square: str, keepdims: int = 1) -> str:
    """Normalise along an axis, written out with what every library has."""
    axes = [axis]
    centred = g.add("Sub", x, _mean(g, x, axes, keepdims))
    if square == "Pow":
        squares = g.add("Pow", centred, g.array(2))
    else:
        squares = g.add("Mul", centred, centred)
    spread = g.add("Sqrt", g.add("Add", _mean(g, squares, axes, keepdims), g.array(1e-3)))
    return g.add("Div", centred, spread)


def _mean(g: Net, x: str, axes: list[int], keepdims: int) -> str:
    mean = g.reduce("ReduceMean", x, axes, keepdims)
    return mean if keepdims else g.add("Unsqueeze", mean, i(*axes))


def _scaled_last(g: Net, square: str, keepdims: int = 1) -> str:
    x = _normalised(g, g.last(g.conv("image", 3, 2, 2, 3)), -1, square, keepdims)
    return g.first(g.add("Add", g.add("Mul", x, g.w(3)), g.w(3)))


def _tokens(g: Net) -> str:
    """Let each pixel be a row: normalise, mix the features, add what came in."""
    rows = g.add("Transpose", g.reshape(g.map(), 0, 2, -1), perm=[0, 2, 1])
    mixed = g.add("Add", g.add("MatMul", _normalised(g, rows, 2, "Pow"), g.w(2, 2)), g.w(2))
    return g.add("Add", g.add("Relu", mixed), rows)


def _in_phases(g: Net, x: str, order: str, channels: int = 2) -> str:
    """Move blocks of 2 by 2 pixels of an 8 by 6 map into channels, by reshaping."""
    cut = g.reshape(x, 0, channels, 4, 2, 3, 2)
    perm = {"CRD": [0, 1, 3, 5, 2, 4], "DCR": [0, 3, 5, 1, 2, 4]}[order]
    return g.reshape(g.add("Transpose", cut, perm=perm), 0, 4 * channels, 4, 3)


def _gray(g: Net) -> str:
    """Scale the phases of a map of one channel, each by itself."""
    deep = g.add("SpaceToDepth", g.conv("image", 1, 2, 2, 3), blocksize=2)
    return g.conv(g.add("Mul", deep, g.w(4, 1, 1)), 3, 4, 2, 2)


def _weighed(g: Net) -> str:
    """Weigh each block of 2 by 2 pixels of a map of one channel."""
    deep = g.add("SpaceToDepth", g.conv("image", 1, 2, 2, 3), blocksize=2)
    return g.add("Mul", deep, g.conv(deep, 1, 4, 1, 1))


def _in_rows(g: Net) -> str:
    """Send each pixel of a batch through a dense layer as one row of a matrix."""
    rows = g.reshape(g.last(g.map()), -1, 2)
    mixed = g.add("Gemm", _normalised(g, rows, 1, "Mul"), g.w(3, 2), g.w(3), transB=1, alpha=0.5)
    return g.conv(g.first(g.reshape(mixed, -1, 8, 6, 3)), 2, 3, 2, 2)


def _strided_view(g: Net) -> str:
    """Read pooled features of a batch by their places in memory, as PyTorch exports a view."""
    flat = g.reshape(g.add("GlobalAveragePool", g.map()), -1)
    shape = g.add("Shape", "image", start=0, end=1)
    count = g.add("Squeeze", shape, i(0))
    images = g.add("Range", np.array(0, np.int64), count, np.array(1, np.int64))
    starts = g.add("Unsqueeze", g.add("Mul", images, np.array(2, np.int64)), i(1, 2, 3))
    places = g.add("Add", starts, np.arange(2).reshape(1, 2, 1, 1))
    return g.add("Gather", flat, places, axis=0)


def _batch_last(g: Net) -> str:
    """Put the batch last, average there, and bring it back."""
    x = g.reduce("ReduceMean", g.add("Transpose", g.map(), perm=[2, 3, 1, 0]), [0, 1], 0)
    return g.add("Transpose", x, perm=[1, 0])


LINES: dict[str, Build] = {
    "a convolution of one row": lambda g: g.dense(_row(g, _line(g), 3, 2, 1, 4), 33),
    "a convolution of one row, grouped and strided": lambda g: g.dense(
        _row(g, _line(g), 4, 1, 1, 3, strides=[1, 2], group=2), 24
    ),
    "a kernel of three rows over one": lambda g: g.dense(
        _row(g, _line(g), 3, 2, 3, 4, pads=[1, 0, 1, 0]), 33
    ),
    "a pool of one row": lambda g: g.dense(
        g.add("Squeeze", g.add("AveragePool", g.add("Unsqueeze", _line(g), i(2)),
                               kernel_shape=[1, 4], strides=[1, 5]), i(2)), 6
    ),
    "means of parts of different length": lambda g: g.dense(
        g.reduce("ReduceMean", g.add("Transpose", g.add("GatherND", g.add("Transpose", _line(g),
                 perm=[2, 0, 1]), np.arange(15).reshape(3, 5, 1) - np.array([[[0]], [[1]], [[1]]])),
                 perm=[2, 3, 0, 1]), [3], 0), 6
    ),
    "a mean of one row": lambda g: g.dense(
        g.reduce("ReduceMean", g.add("Unsqueeze", _line(g), i(2)), [-1, -2], 0), 2
    ),
}  # fmt: skip

PICTURES: dict[str, Build] = {
    "a mean of rows, then of columns": lambda g: g.dense(
        g.reduce("ReduceMean", g.reduce("ReduceMean", g.map(), [3], 0), [2], 0), 2
    ),
    "a maximum of rows, then a line": lambda g: g.dense(
        g.add("MaxPool", g.conv(g.reduce("ReduceMax", g.map(), [3], 0), 3, 2, 3),
              kernel_shape=[2], strides=[2]), 9
    ),
    "a mean of merged axes": lambda g: g.dense(
        g.reduce("ReduceMean", g.reshape(g.map(), 0, 2, -1), [2], 0), 2
    ),
    "a pool, channels last, as a volume": lambda g: g.dense(_pooled_last(g), 24),
    "layers normalised, channels last": lambda g: g.dense(
        g.conv(_scaled_last(g, "Pow"), 2, 3, 2, 2), 70
    ),
    "layers normalised by products": lambda g: g.dense(
        g.conv(_scaled_last(g, "Mul", 0), 2, 3, 2, 2), 70
    ),
    "layers normalised, channels first": lambda g: g.dense(
        g.conv(_normalised(g, g.map(), 1, "Mul"), 2, 2, 2, 2), 70
    ),
    "pixels as rows of an image": lambda g: g.dense(g.reduce("ReduceMean", _tokens(g), [1], 0), 2),
    "pixels as rows, flattened": lambda g: g.dense(_tokens(g), 96),
    "SpaceToDepth, then a convolution": lambda g: g.dense(
        g.conv(g.add("SpaceToDepth", g.map(), blocksize=2), 3, 8, 2, 2), 18
    ),
    "phases by reshaping, then a convolution": lambda g: g.dense(
        g.conv(_in_phases(g, g.map(), "CRD"), 4, 4, 2, 2, group=2), 24
    ),
    "phases by reshaping, depth first": lambda g: g.dense(
        g.conv(_in_phases(g, g.map(), "DCR"), 3, 8, 2, 2, strides=[2, 1]), 12
    ),
    "phases of one channel": lambda g: g.dense(_gray(g), 18),
    "phases of one channel, weighed": lambda g: g.dense(g.conv(_weighed(g), 1, 4, 2, 2), 6),
    "one of several axes of features": lambda g: g.dense(
        g.add("Mul", g.reshape(g.conv("image", 6, 2, 2, 3), 0, 2, 3, 8, 6),
              g.reduce("ReduceMax", g.reshape(g.conv("image", 6, 2, 2, 3), 0, 2, 3, 8, 6), [1])),
        288,
    ),
    "pixels as rows of a batch": lambda g: g.dense(_in_rows(g), 70),
    "a strided view of a batch": lambda g: g.dense(_strided_view(g), 2),
    "the batch last, and back": lambda g: g.add("Gemm", _batch_last(g), g.w(2, 3), g.w(3)),
}  # fmt: skip


@pytest.mark.parametrize("stride", [None, 1, 3, 11])
@pytest.mark.parametrize("name", [*LINES, *PICTURES])
def test_forms_slide(name: str, stride: int | None) -> None:
    net = Net(shape=(2, 16) if name in LINES else (2, 9, 8))
    model = net.model({**LINES, **PICTURES}[name](net))
    sliding = fcconv.convolutionize(model, stride=stride)
    assert sliding.window == net.shape[1:]
    axes = tuple(range(2, 1 + len(net.shape)))
    case = Case(model, sliding.window, axes, stride, "float32")
    assert_every_window(case, sliding)
    certificate = fcconv.certify(model, sliding)
    assert certificate.holds, certificate
    assert certificate.exact, certificate
    assert sliding.exact
    onnxruntime.InferenceSession(valid(sliding).SerializeToString(), quiet())


def _squeezed(g: Net) -> str:
    """Drop every axis of length 1, the batch among them."""
    x = g.add("Squeeze", g.add("GlobalAveragePool", g.map()))
    return g.add("Softmax", g.add("Add", g.add("MatMul", x, g.w(2, 3)), g.w(3)), axis=0)


ONE_IMAGE: dict[str, Build] = {
    "squeezed": _squeezed,
    "one row": lambda g: g.add("Gemm", g.reshape(g.map(), 1, 96), g.w(96, 3), g.w(3)),
    "no row": lambda g: g.add("MatMul", g.reshape(g.map(), 96), g.w(96, 3)),
    "a map without the batch": lambda g: g.dense(
        g.add("Unsqueeze", g.add("Relu", g.add("Squeeze", g.map())), i(0)), 96
    ),
    "a mean over the batch": lambda g: g.reduce("ReduceMean", g.dense(g.map(), 96), [0], 0),
    "pixels as rows": lambda g: g.dense(
        g.reshape(g.add("MatMul", g.reshape(g.last(g.map()), 48, 2), g.w(2, 3)), 1, -1), 144
    ),
}


@pytest.mark.parametrize("stride", [None, 1, 3, 11])
@pytest.mark.parametrize("name", ONE_IMAGE)
def test_a_batch_of_one_keeps_its_meaning_for_each_window(name: str, stride: int | None) -> None:
    net = Net()
    model = net.model(ONE_IMAGE[name](net))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    model.graph.output[0].type.tensor_type.ClearField("shape")
    sliding = fcconv.convolutionize(model, stride=stride)
    assert_every_window(Case(model, (9, 8), (2, 3), stride, "float32"), sliding)
    certificate = fcconv.certify(model, sliding)
    assert certificate.holds, certificate
    assert certificate.exact, certificate
    image = np.random.default_rng(0).standard_normal((3, 2, 9, 8)).astype(np.float32)
    crops = fcconv.compile(model)(image)
    assert crops.shape == (3, 3) == sliding(image).shape[:2]


@pytest.mark.parametrize("name", ["one row", "no row"])
def test_a_batch_that_is_declared_free_but_is_one(name: str) -> None:
    net = Net()
    model = net.model(ONE_IMAGE[name](net))
    model.graph.output[0].type.tensor_type.ClearField("shape")
    alone = onnx.ModelProto.FromString(model.SerializeToString())
    alone.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    sliding = fcconv.convolutionize(model)
    assert_every_window(Case(alone, (9, 8), (2, 3), None, "float32"), sliding)
    certificate = fcconv.certify(model, sliding)
    assert certificate.exact, certificate
    assert_own_crops(model)


def test_exact_windows_where_the_batch_is_declared_free_but_is_one() -> None:
    net = Net()
    padded = net.reshape(net.map(pads=[1, 1, 1, 1]), 1, 160)
    model = net.model(net.add("Gemm", padded, net.w(160, 3), net.w(3)))
    alone = onnx.ModelProto.FromString(model.SerializeToString())
    alone.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    sliding = fcconv.convolutionize(model, windows="exact")
    assert_every_window(Case(alone, (9, 8), (2, 3), None, "float32"), sliding)


def test_one_that_cannot_slide_is_scored_one_window_a_call() -> None:
    net = Net()
    model = net.model(net.reshape(excited(net), 1, 96))
    model.graph.output[0].type.tensor_type.ClearField("shape")
    assert_own_crops(model)


def assert_own_crops(model: onnx.ModelProto) -> None:
    """Compare the scores of windows that are cut out with those of calls for one crop each."""
    image = np.random.default_rng(0).standard_normal((2, 12, 13)).astype(np.float32)
    found = fcconv.scan(model, image, engine="numpy", windows="crops", stride=2)
    network = fcconv.compile(model)
    for cell in np.ndindex(*found.cells):
        crop = network(image[None, :, *found.box(*cell)]).ravel()
        assert_identical(found.scores[:, *cell], crop, cell)
