"""One pass of a sliding network gives every window the scores of its crop; the proof agrees."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fcconv
from comparing import assert_identical
from fcconv.errors import ShapeError, UnsupportedError
from fcconv.graph.load import load
from fcconv.graph.run import Program
from fcconv_modular import Field, P
from random_graphs import Array, Case, Graph, cases
from strategies import integers, normal, seeds

ONNXRUNTIME = ("float32",)
"""What it convolves; a certificate measures its rounding errors."""

REFUSALS = [
    "at this stride it can't pad by edge: take the default stride",
    "its padding would be as long as its kernel, which engines refuse: try the default stride",
    "at this stride it needs the dilations of opset 19: convert the model to it",
]
"""Why a network of `random_graphs` may not slide, though it does by its own stride."""

extras = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 8)), min_size=3, max_size=3)
"""For each axis the windows after the first one, and pixels that no further window fits into."""


# Random networks ------------------------------------------------------------------------------


@given(case=cases(whole=True, pads=False), seed=seeds, more=extras)
def test_one_pass_equals_the_crops(case: Case, seed: int, more: Any) -> None:
    check_crops("numpy", case, seed, more)


@settings(max_examples=settings().max_examples // 8)  # each is compiled
@given(case=cases(whole=True, pads=False), seed=seeds, more=extras)
def test_one_pass_equals_the_crops_on_jax(case: Case, seed: int, more: Any) -> None:
    check_crops("jax", case, seed, more)


@given(case=cases(dtypes=ONNXRUNTIME), seed=seeds)
def test_verdict_and_proof_agree(case: Case, seed: int) -> None:
    sliding = slid(case)
    assert sliding.exact == is_exact(case, sliding, seed), case
    certificate = fcconv.certify(case.model, sliding)
    assert certificate.holds, (certificate, case)
    assert certificate.native_exact, (certificate, case)
    assert all(certificate.weights.values()), (certificate, case)
    assert certificate.exact == sliding.exact, (certificate, case)


@given(case=cases(whole=True, dtypes=ONNXRUNTIME), seed=seeds, more=extras)
def test_the_written_network_is_onnx(case: Case, seed: int, more: Any) -> None:
    sliding = slid(case)
    model = valid(sliding)
    image, cells = larger(case, sliding, seed, more)
    patch = next(crops(case, sliding, image, cells))
    session = onnxruntime.InferenceSession(model.SerializeToString(), quiet())
    for pixels in (patch, image, np.concatenate([patch, patch])):
        expected = sliding(pixels)
        for found, scores in zip(
            session.run(None, {"image": pixels}), listed(expected), strict=True
        ):
            assert_identical(found, scores, case)
    for found, scores in zip(
        listed(sliding(patch)), listed(fcconv.compile(case.model)(patch)), strict=True
    ):
        assert_identical(found.reshape(scores.shape), scores, case)


def slid(case: Case) -> fcconv.Sliding:
    """Slide a network by its case's stride; by its own, if that is refused for a good reason."""
    try:
        return fcconv.convolutionize(case.model, stride=case.stride)
    except UnsupportedError as error:
        if case.stride is None or not any(reason in str(error) for reason in REFUSALS):
            raise
        return fcconv.convolutionize(case.model)


def larger(
    case: Case, sliding: fcconv.Sliding, seed: int, more: Sequence[tuple[int, int]]
) -> tuple[Array, tuple[int, ...]]:
    """Make an image of integers with some windows an axis, and say how many."""
    shape, cells = patch_shape(case.model), []
    for axis, stride, (n, rest) in zip(case.axes, sliding.stride, more, strict=False):
        shape[axis] += stride * n + rest % stride
        cells.append(n + 1)
    return integers(seed, shape, case.dtype), tuple(cells)


def patch_shape(model: onnx.ModelProto) -> list[int]:
    return [1, *(n.dim_value for n in model.graph.input[0].type.tensor_type.shape.dim[1:])]


def crops(case: Case, sliding: fcconv.Sliding, image: Array, cells: Sequence[int]) -> Any:
    """Yield the windows of an image in the order of cells."""
    for cell in itertools.product(*map(range, cells)):
        yield crop(case.axes, sliding, image, cell)


def crop(axes: Sequence[int], sliding: fcconv.Sliding, image: Array, cell: Sequence[int]) -> Array:
    place = [slice(None)] * image.ndim
    for axis, i, stride, n in zip(axes, cell, sliding.stride, sliding.window, strict=True):
        place[axis] = slice(i * stride, i * stride + n)
    return image[tuple(place)]


def check_crops(backend: str, case: Case, seed: int, more: Any) -> None:
    sliding = slid(case)
    assert sliding.exact, case
    image, cells = larger(case, sliding, seed, more)
    windows = np.concatenate([*crops(case, sliding, image, cells)])
    one_by_one = listed(fcconv.compile(case.model)(windows))
    maps = listed(fcconv.compile(sliding.model, backend)(image))
    for scores, expected in zip(maps, one_by_one, strict=True):
        channels = expected.reshape(len(expected), -1).T
        assert_identical(scores, channels.reshape(1, len(channels), *cells), case)


def is_exact(case: Case, sliding: fcconv.Sliding, seed: int) -> bool:
    """Say whether a window amid an image has the scores of its crop, in a finite field."""
    shape, cell = patch_shape(case.model), []
    for axis, stride, n, (start, stop) in zip(
        case.axes, sliding.stride, sliding.window, sliding.reach, strict=True
    ):
        margin = n + max(-start, stop - n, 0)
        cell.append(-(-margin // stride))
        shape[axis] += cell[-1] * stride + margin
    field = Field(seed)
    image = np.random.default_rng(seed).integers(0, P, shape)
    maps, scores = (
        Program(load(model)).run(field, residues(field, model), [pixels])
        for model, pixels in (
            (sliding.model, image),
            (case.model, crop(case.axes, sliding, image, cell)),
        )
    )
    return all(
        np.array_equal(a[(0, slice(None), *cell)], b.ravel())
        for a, b in zip(maps, scores, strict=True)
    )


def residues(field: Field, model: Any) -> dict[str, Any]:
    return Program(load(model)).parameters(field)


def listed(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, tuple) else [outputs]


def quiet() -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    return options


def valid(sliding: fcconv.Sliding) -> onnx.ModelProto:
    """Check that a sliding network is valid ONNX, its batch and sizes free."""
    model: onnx.ModelProto = cast("Any", ir.to_proto(sliding.model))
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    rank = len(sliding.window)
    free = [n.dim_param for n in model.graph.input[0].type.tensor_type.shape.dim if n.dim_param]
    assert free == ["N", *(f"size_{k}" for k in range(rank))]
    for output in model.graph.output:
        batch, channels, *cells = output.type.tensor_type.shape.dim
        assert batch.dim_param == "N"
        assert channels.dim_value
        assert len({n.dim_param for n in cells} - {""}) == rank
    return model


# Operators, one by one ------------------------------------------------------------------------


class Net(Graph):
    """A network on images of two channels, 9 by 8 pixels; weights differ from layer to layer."""

    def __init__(self, opset: int = 20, shape: Sequence[int] = (2, 9, 8)) -> None:
        super().__init__(*shape, opset=opset)

    def w(self, *shape: int) -> Array:
        return normal(len(self.constants), shape, self.dtype)

    def conv(self, x: str, *shape: int, **attributes: Any) -> str:
        return self.add("Conv", x, self.w(*shape), self.w(shape[0]), **attributes)

    def map(self, **attributes: Any) -> str:
        """Make a map of two channels, 8 by 6."""
        return self.add("Relu", self.conv("image", 2, 2, 2, 3, **attributes))

    def dense(self, x: str, features: int) -> str:
        return self.add("Gemm", self.add("Flatten", x), self.w(features, 3), self.w(3))

    def reshape(self, x: str, *shape: int) -> str:
        return self.add("Reshape", x, i(*shape))

    def last(self, x: str) -> str:
        return self.add("Transpose", x, perm=[0, 2, 3, 1])

    def first(self, x: str) -> str:
        return self.add("Transpose", x, perm=[0, 3, 1, 2])


def i(*numbers: int) -> Array:
    return np.array(numbers, np.int64)


def _normal(g: Net, x: str, size: int) -> str:
    return g.add("BatchNormalization", x, *(np.abs(g.w(size)) for _ in range(4)))


def _average(g: Net, kernel: Sequence[int], **options: Any) -> str:
    return g.add("AveragePool", g.map(strides=[2, 1]), kernel_shape=kernel, **options)


def _excited(g: Net) -> str:
    """Weigh the channels of a map by its mean: squeeze and excitation."""
    x = g.map()
    return g.add("Mul", x, g.add("Sigmoid", g.conv(g.add("GlobalAveragePool", x), 2, 2, 1, 1)))


def _chosen(g: Net) -> str:
    x, y = g.map(), g.map()
    return g.add("Where", g.add("Greater", x, y), x, g.w(2, 1, 1))


def _part(g: Net) -> str:
    return g.add("Slice", g.map(), i(0, 2), i(5, 5), i(2, 3))


def _branched(g: Net, x: str) -> str:
    return g.add("Add", x, g.conv(x, 2, 2, 3, 3, pads=[1, 1, 1, 1]))


COUNTED = {"strides": [2, 2], "pads": [1, 0, 0, 1], "count_include_pad": 1}

Build: TypeAlias = Callable[[Net], str]

EXACT: dict[str, Build] = {
    "LpPool": lambda g: g.dense(g.add("LpPool", g.map(), kernel_shape=[2, 2], strides=[2, 1]), 40),
    "LayerNormalization of features": lambda g: g.dense(
        g.add("LayerNormalization", g.add("Flatten", g.map()), g.w(96), g.w(96)), 96
    ),
    "LayerNormalization of channels": lambda g: g.dense(
        g.conv(g.first(g.add("LayerNormalization", g.last(g.map()), g.w(2))), 2, 2, 3, 2), 60
    ),
    "MatMul, channels last": lambda g: g.dense(
        g.add("Add", g.add("MatMul", g.last(g.map()), g.w(2, 4)), g.w(4)), 192
    ),
    "MatMul of rows": lambda g: g.dense(
        g.add("MatMul", g.reshape(g.map(), 0, 12, 8), g.w(8, 2)), 24
    ),
    "MatMul of one row": lambda g: g.add(
        "Softmax", g.add("MatMul", g.reshape(g.map(), 0, 1, 96), g.w(96, 3)), axis=-1
    ),
    "Gemm, half of it": lambda g: g.add(
        "Gemm", g.add("Flatten", g.map()), g.w(3, 96), g.w(1), alpha=0.5, transB=1
    ),
    "BatchNormalization of features": lambda g: g.dense(
        _normal(g, g.add("Flatten", g.map()), 96), 96
    ),
    "Softmax of a window, opset 11": lambda g: g.dense(g.add("Softmax", g.map(), axis=1), 96),
    "Softmax of channels, opset 11": lambda g: g.add(
        "Flatten", g.add("Softmax", g.conv("image", 3, 2, 9, 8), axis=1)
    ),
    "AveragePool, opset 11": lambda g: g.dense(_average(g, [2, 2]), 30),
    "Pad by less than nothing": lambda g: g.dense(
        g.conv(g.add("Pad", g.map(), i(0, 0, -1, -2, 0, 0, 0, -1)), 1, 2, 2, 2), 12
    ),
    "padding that is cut off": lambda g: g.dense(
        g.add("Slice", g.map(pads=[1, 1, 2, 1]), i(1, 1), i(-2, -1), i(2, 3)), 96
    ),
    "padding that is not read": lambda g: g.dense(
        g.add("Slice", g.add("Flatten", g.map(pads=[1, 0, 0, 0])), i(6), i(54), i(1)), 48
    ),
    "turned axes": lambda g: g.dense(
        g.conv(g.add("Transpose", g.map(), perm=[0, 1, 3, 2]), 3, 2, 2, 3, strides=[2, 1]), 54
    ),
    "a constant for each channel": lambda g: g.dense(
        g.add("Add", g.last(g.add("Mul", g.map(), g.w(2, 1, 1))), g.w(2)), 96
    ),
    "DepthToSpace": lambda g: g.dense(
        g.add("DepthToSpace", g.conv("image", 4, 2, 2, 3), blocksize=2), 192
    ),
    "SpaceToDepth": lambda g: g.dense(g.add("SpaceToDepth", g.map(), blocksize=2), 96),
    "Expand": lambda g: g.dense(g.add("Expand", g.reshape(g.map(), 0, 1, 96), i(1, 2, 96)), 192),
    "Tile": lambda g: g.dense(g.conv(g.add("Tile", g.map(), i(1, 2, 1, 1)), 1, 4, 2, 2), 35),
    "Slice, backwards": lambda g: g.dense(g.add("Slice", g.map(), i(-1), i(-100), i(2), i(-1)), 96),
    "no dense layer": lambda g: g.add("Squeeze", g.conv(g.map(), 3, 2, 8, 6), i(2, 3)),
    "global average alone": lambda g: g.add("Flatten", g.add("GlobalAveragePool", g.map())),
    "features, channels last": lambda g: g.dense(g.last(g.map()), 96),
    "features of two grids": lambda g: g.dense(_two_grids(g, g.map()), 98),
    "a map of scores": lambda g: g.reshape(g.conv(g.map(), 3, 2, 7, 5), 0, 12),
    "ReduceMin of a window": lambda g: g.dense(g.reduce("ReduceMin", g.map(), [1, 2, 3]), 1),
    "ReduceMax over channels": lambda g: g.dense(
        g.conv(g.reduce("ReduceMax", g.map(), [1]), 1, 1, 2, 2), 35
    ),
    "ReduceMean, channels last": lambda g: g.dense(
        g.reduce("ReduceMean", g.last(g.map()), [1, 2], 0), 2
    ),
    "ReduceSum of rows": lambda g: g.dense(g.reduce("ReduceSum", g.map(), [-1], 0), 16),
    "a constant for each pixel": lambda g: g.dense(g.add("Mul", g.map(), g.w(2, 8, 6)), 96),
    "squeeze and excitation": lambda g: g.dense(_excited(g), 96),
    "Where": lambda g: g.dense(g.conv(_chosen(g), 1, 2, 2, 2), 35),
}

PADDED: dict[str, Build] = {
    "padding that counts": lambda g: g.dense(
        _average(g, [3, 2], **{**COUNTED, "strides": [3, 2], "ceil_mode": 1}), 12
    ),
    "padding of one branch": lambda g: g.dense(_branched(g, g.map()), 96),
    "padding that counts, opset 11": lambda g: g.dense(_average(g, [2, 2], **COUNTED), 12),
    # a crop sees zeros, though all that a cell reads is its window's own
    "padding of a part": lambda g: g.dense(g.conv(_part(g), 1, 2, 2, 2, pads=[0, 1, 1, 0]), 15),
}


def _two_grids(g: Net, x: str) -> str:
    parts = [g.add("Flatten", part) for part in (x, g.add("GlobalAveragePool", x))]
    return g.add("Concat", *parts, axis=1)


@pytest.mark.parametrize("stride", [None, 1, (2, 3)], ids=str)
@pytest.mark.parametrize("name", [*EXACT, *PADDED])
def test_operators_slide(name: str, stride: Any) -> None:
    net = Net(11 if name.endswith("opset 11") else 20)
    model = net.model({**EXACT, **PADDED}[name](net))
    sliding = fcconv.convolutionize(model, stride=stride)
    case = Case(model, sliding.window, (2, 3), stride, "float32")
    certificate = fcconv.certify(model, sliding)
    assert certificate.holds, certificate
    assert certificate.native_exact, certificate
    assert sliding.exact == is_exact(case, sliding, 0) == (name in EXACT), certificate
    onnxruntime.InferenceSession(valid(sliding).SerializeToString(), quiet())


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


def test_infinities_stay_where_they_are() -> None:
    """-inf at one sample of a window must not reach the others."""
    net = Net(shape=(1, 4))
    x = net.add("Exp", net.add("Add", net.add("Log", net.add("Relu", "image")), net.w(1, 4)))
    model = net.model(net.dense(x, 4))
    image = np.array([[[-1, 1, 2, 3, 4, 5]]], np.float32)
    with np.errstate(divide="ignore"):
        scores = fcconv.convolutionize(model, stride=1)(image)
    assert np.isfinite(scores).all()


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
    with pytest.raises(ShapeError, match="stride needs one integer or 2"):
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


def test_gemm_scales_its_bias() -> None:
    net = Net()
    x = net.add("Flatten", net.map())
    model = net.model(net.add("Gemm", x, net.w(96, 3), net.w(3), beta=3.0))
    gemm = model.graph.node[-1]
    weight = next(w for w in model.graph.initializer if w.name == gemm.input[1])
    gemm.input[1] = weight.name = f"{gemm.name}/beta"  # the name that the product would take
    assert fcconv.certify(model, fcconv.convolutionize(model)).holds


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


def test_a_proof_sees_padding_at_any_stride() -> None:
    net = Net(shape=(1, 12))
    x = net.conv(net.conv("image", 1, 1, 2, strides=[4]), 1, 1, 2, pads=[1, 0])
    model = net.model(net.dense(x, 3))
    sliding = fcconv.convolutionize(model, stride=1)
    assert not sliding.exact
    assert not fcconv.certify(model, sliding).exact


# Refusals -------------------------------------------------------------------------------------


def _attention(g: Net) -> str:
    rows = g.reshape(g.map(), 0, 12, 8)
    return g.add("MatMul", rows, g.add("Transpose", rows, perm=[0, 2, 1]))


def _places(g: Net) -> str:
    return g.add("Cast", g.parts("MaxPool", g.map(), outputs=2, kernel_shape=[2, 2])[1], to=1)


def _padded(op: str, kernel: int) -> Build:
    options = {"kernel_shape": [kernel, 2], "pads": [1, 0, 0, 0]}
    return lambda g: g.add(op, g.map(strides=[2, 1]), **options)


SIDES = (0, 0, 1, 0, 0, 0, 0, 0)

REFUSED: list[tuple[str, str, Build]] = [
    ("Conv", "share no map.*Mul.*all samples", lambda g: g.conv(_excited(g), 2, 2, 2, 2)),
    ("Conv", "share no map.*Add", lambda g: g.conv(g.add("Add", g.map(), g.w(8, 6)), 1, 2, 1, 1)),
    ("Conv", "no map of the image, channels first", lambda g: g.conv(g.last(g.map()), 2, 8, 1, 1)),
    ("Conv", "weight depends on", lambda g: g.add("Conv", g.map(), g.reshape(g.map(), 2, 2, 8, 6))),
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
    ("Transpose", "mixes the images", lambda g: g.add("Transpose", g.map(), perm=[1, 0, 2, 3])),
    ("Concat", "joins along the batch", lambda g: g.add("Concat", g.map(), g.map(), axis=0)),
    ("Concat", "joins a constant", lambda g: g.add("Concat", g.map(), g.w(1, 2, 8, 6), axis=1)),
    ("ReduceMean", "reduces the batch", lambda g: g.reduce("ReduceMean", g.map(), [0])),
    ("ReduceMin", "neither the channels nor", lambda g: g.reduce("ReduceMin", g.map(), [2])),
    ("Softmax", "normalises over the batch", lambda g: g.add("Softmax", g.map(), axis=0)),
    ("Softmax", "not the channels of a map", lambda g: g.add("Softmax", g.map(), axis=3)),
    ("LRN", "no map, channels first", lambda g: g.add("LRN", g.last(g.map()), size=3)),
    ("Hardmax", "not known", lambda g: g.add("Hardmax", g.map())),
]  # fmt: skip


@pytest.mark.parametrize(("op", "reason", "build"), REFUSED, ids=lambda value: str(value)[:40])
def test_refuses_with_the_node_and_the_reason(op: str, reason: str, build: Build) -> None:
    net = Net(opset=17)
    x = build(net)
    named = [node.name for node in net.nodes if node.op_type == op][-1]
    model = net.model(net.add("Relu", x))
    with pytest.raises(UnsupportedError, match=rf"^{named} \({op}\): .*{reason}"):
        fcconv.convolutionize(model, stride=1)


def test_refuses_what_is_no_image_classifier() -> None:
    net = Net()
    with pytest.raises(UnsupportedError, match=r"the output 'val_\d' does not depend on the image"):
        fcconv.convolutionize(net.model(net.add("Relu", net.w(1, 3))))
    net = Net()
    model = net.model(net.add("Add", net.map(), "other"))
    model.graph.input.append(onnx.helper.make_tensor_value_info("other", 1, ["N", 2, 8, 6]))
    with pytest.raises(UnsupportedError, match="one input, the image; got image, other"):
        fcconv.convolutionize(model)


# A certificate can't be fooled ------------------------------------------------------------------


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
