"""Every window exactly, of networks that are odd but valid: each cell is its crop's score."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import onnx
import onnxruntime
import pytest

import fcconv
from fcconv.errors import UnsupportedError
from graphs import Array, Build, Net, i
from sliding_windows import crop, quiet, valid


def sliced(g: Net) -> str:
    """Count axes from the last."""
    x = g.conv("image", 2, 2, 3, 3, pads=[1, 1, 1, 1])
    return g.dense(g.add("Slice", x, i(1, 2), i(9, -1), i(-1, -2), i(2, 1)), 2 * 6 * 4)


def overhung(g: Net) -> str:
    """Leave a window that would start in the padding out, as engines do."""
    x = g.add("AveragePool", "image", kernel_shape=[4, 2], strides=[4, 2], pads=[0, 1, 3, 1],
              ceil_mode=1)  # fmt: skip
    return g.add("Relu", g.add("MaxPool", x, kernel_shape=[1, 1], strides=[1, 3], ceil_mode=1))


def paddings(g: Net) -> str:
    """Read nothing but padding along an axis."""
    x = g.add("Slice", g.conv("image", 2, 2, 3, 3, pads=[1] * 4), i(2), i(3), i(3))
    return g.dense(g.conv(x, 2, 2, 3, 4, strides=[2, 4], pads=[1, 4, 1, 2]), 2 * 5)


def one_image(g: Net) -> str:
    """Name the one image of a batch of one, in a slice and in the sizes to make."""
    x = g.conv("image", 2, 2, 3, 3, pads=[1, 1, 1, 1])
    x = g.add("Slice", x, i(0, 1), i(1, 9), i(0, 2), i(1, 1))
    return g.dense(g.add("Resize", x, "", "", i(1, 2, 5, 6), mode="linear"), 2 * 5 * 6)


def counted(g: Net) -> str:
    """Divide by how many entries there are."""
    x = g.conv("image", 2, 2, 3, 3, pads=[1, 1, 1, 1])
    size = g.add("Cast", g.add("Size", x), to=onnx.TensorProto.FLOAT)
    return g.add("Div", g.add("ReduceSum", x, i(2, 3), keepdims=0), size)


def begun(g: Net) -> str:
    """Begin with states that stand for one image."""
    rows = g.add("Transpose", g.map(pads=[1, 1, 0, 1]), perm=[2, 0, 1, 3])
    states = g.w(1, 1, 3), g.w(1, 1, 3)
    lengths = np.array([7], np.int32)
    made = g.add("LSTM", g.reshape(rows, 9, -1, 16), g.w(1, 12, 16), g.w(1, 12, 3), "", lengths,
                 *states, hidden_size=3)  # fmt: skip
    return g.add("Squeeze", g.add("Slice", made, i(6), i(7), i(0)), i(0, 1))


def sampled(g: Net) -> str:
    """Read and replace entries at places that are given for one image."""
    x = g.add("GridSample", padded(g), np.linspace(-1, 1, 40, dtype=np.float32).reshape(1, 5, 4, 2))
    x = g.add("ScatterElements", x, np.array([[[[0, 2]]]]), g.w(1, 1, 1, 2), axis=3)
    x = g.add("GatherElements", x, np.array([[[[1, 0, 1]], [[0, 2, 1]]]]), axis=3)
    return g.dense(g.add("GatherND", x, np.array([[[0], [1], [0]]]), batch_dims=1), 9)


@pytest.mark.parametrize(
    ("build", "rank"),
    [
        (begun, 2),
        (counted, 2),
        (one_image, 2),
        (overhung, 4),
        (paddings, 2),
        (sampled, 2),
        (sliced, 2),
    ],
)
@pytest.mark.usefixtures("prices")
def test_every_window_is_its_crop(build: Build, rank: int) -> None:
    net = Net(opset=17)
    model = net.model(build(net), rank=rank)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    for stride in ((1, 2), (3, 1), (9, 11)):
        assert_every_crop(model, stride)


def padded(g: Net) -> str:
    return g.map(pads=[1, 1, 1, 1])


def selected(g: Net) -> str:
    return g.dense(g.add("Unsqueeze", g.add("Gather", padded(g), np.array(0)), i(0)), 160)


def squeezed(g: Net) -> str:
    return g.dense(g.add("Unsqueeze", g.add("Squeeze", padded(g), i(0)), i(0)), 160)


def first_image(g: Net) -> str:
    return g.dense(g.add("Slice", padded(g), i(0), i(1), i(0)), 160)


def normalised(g: Net) -> str:
    return g.dense(g.add("MeanVarianceNormalization", padded(g)), 160)


def placed(g: Net) -> str:
    return g.dense(g.add("ScatterND", padded(g), np.array([[0, 1]]), g.w(1, 10, 8)), 160)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (first_image, "takes images out of the batch"),
        (normalised, "mixes the images of a batch"),
        (placed, "tells entries by their images"),
        (selected, "takes images out of the batch"),
        (squeezed, "takes images out of the batch"),
    ],
)
def test_what_knows_one_image_from_another_is_refused(build: Build, said: str) -> None:
    net = Net()
    with pytest.raises(UnsupportedError, match=rf"node2 \(\w+\): it {said}"):
        fcconv.convolutionize(net.model(build(net)), windows="exact")


def assert_every_crop(model: onnx.ModelProto, stride: Sequence[int]) -> None:
    """Compare what onnxruntime computes, to the last bits, of images of several sizes."""
    sliding = fcconv.convolutionize(model, stride=stride, windows="exact")
    whole, patch = scorer(valid(sliding)), scorer(model)
    for more in ((0, 0), (1, 0), (7, 12)):
        shape = [1, 2, *(n + m for n, m in zip(sliding.window, more, strict=True))]
        image = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        found = whole(image)
        cells = [m // s + 1 for m, s in zip(more, stride, strict=True)]
        assert all(scores.shape[2:] == tuple(cells) for scores in found)
        for cell in itertools.product(*map(range, cells)):
            expected = patch(crop((2, 3), sliding, image, cell))
            for scores, of_crop in zip(found, expected, strict=True):
                found_there = scores[:, :, cell[0], cell[1]]
                np.testing.assert_allclose(
                    found_there, of_crop.reshape(1, -1), rtol=2**-16, atol=2**-16
                )


def scorer(model: onnx.ModelProto) -> Callable[[Array], list[Array]]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), quiet())
    return lambda image: [np.asarray(y) for y in session.run(None, {"image": image})]
