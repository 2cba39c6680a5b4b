"""Networks that score every window exactly are certified, and told from wrong ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

import fcconv
from fcconv.errors import ModelError
from fcconv.graph.files.load import load
from fcconv.graph.files.save import save
from fcconv.graph.rewriting.locality import find_locality
from fcconv.graph.rewriting.sliding import SLIDING, from_metadata
from graphs import Build, Net, excited, i
from random_graphs import Case, cases

Change: TypeAlias = Callable[[onnx.ModelProto], None]


@given(case=cases(), seed=st.integers(0, 2**30))
@pytest.mark.usefixtures("prices")
def test_every_window_is_proved(case: Case, seed: int) -> None:
    sliding = fcconv.convolutionize(case.model, stride=case.stride, windows="exact")
    certificate = fcconv.certify(case.model, sliding, seed=seed)
    assert certificate.exact, (dict(certificate.lines()), case)
    assert certificate.holds, (dict(certificate.lines()), case)
    told = from_metadata(load(proto_of(sliding)))
    assert told is not None
    for name in ("window", "stride", "field", "reach", "margins", "exact", "ends", "cost"):
        assert getattr(told, name) == getattr(sliding, name), (name, case)


def _attention(g: Net) -> str:
    """Let the pixels of a map attend to one another, and to a token beside them."""
    pixels = g.add("Transpose", g.reshape(g.map(pads=[1, 1, 1, 1]), 0, 2, -1), perm=[0, 2, 1])
    batch = g.add("Gather", g.add("Shape", pixels), i(0), axis=0)
    shape = g.add("Concat", batch, i(1, 2), axis=0)
    x = g.add("Concat", g.add("Expand", g.w(1, 1, 2), shape), pixels, axis=1)
    queries, keys, values = (g.add("MatMul", x, g.w(2, 2)) for _ in range(3))
    mixed = g.add("MatMul", queries, g.add("Transpose", keys, perm=[0, 2, 1]))
    made = g.add("MatMul", g.add("Softmax", mixed, axis=-1), values)
    return g.add("Squeeze", g.add("Slice", made, i(0), i(1), i(1)), i(1))


def _in_squares(g: Net) -> str:
    """Mix the pixels of each square of a map by themselves, with all squares in the batch."""
    squares = g.reshape(g.map(), 0, 2, 4, 2, 3, 2)
    rows = g.reshape(g.add("Transpose", squares, perm=[0, 2, 4, 3, 5, 1]), -1, 4, 2)
    mixed = g.add("MatMul", g.w(4, 4), g.add("Softmax", rows, axis=1))
    return g.reshape(mixed, -1, 96)


def _shape_read(g: Net) -> str:
    """Flatten by a shape that is read, as exporters write it."""
    x = g.map(pads=[0, 0, 1, 1])
    batch = g.add("Unsqueeze", g.add("Gather", g.add("Shape", x), np.array(0), axis=0), i(0))
    flat = g.add("Reshape", x, g.add("Concat", batch, i(-1), axis=0))
    return g.add("Gemm", flat, g.w(126, 3), g.w(3))


def _expanded(g: Net) -> str:
    """Repeat a token by a shape whose -1 stand for 1, as exporters write it."""
    x = g.map(pads=[0, 0, 1, 1])
    first = g.add("Slice", g.add("Shape", x), i(0), i(1), i(0))
    wanted = g.add("Concat", first, i(-1, 2), axis=0)
    ones = g.add("ConstantOfShape", g.add("Shape", wanted), value=numpy_helper.from_array(i(1)))
    minus = g.add("Mul", ones, i(-1))
    shape = g.add("Where", g.add("Equal", wanted, minus), ones, wanted)
    token = g.add("Expand", g.w(1, 1, 2), shape)
    return g.add("Add", token, g.reshape(g.add("GlobalMaxPool", x), 0, 1, 2))


def _resized(g: Net) -> str:
    sizes = g.add("Concat", g.add("Shape", g.map(), start=0, end=2), i(16, 12), axis=0)
    larger = g.add("Resize", g.map(), "", "", sizes, mode="nearest")
    return g.conv(larger, 1, 2, 16, 12)


def _in_groups(g: Net) -> str:
    x = g.add("GroupNormalization", g.map(pads=[1, 1, 1, 1]), g.w(2), g.w(2), num_groups=1)
    return g.add("InstanceNormalization", x, g.w(2), g.w(2))


def _rearranged(g: Net) -> str:
    left, right = g.parts("Split", excited(g), axis=1, outputs=2, num_outputs=2)
    deep = g.add("SpaceToDepth", g.add("Mul", left, right), blocksize=2)
    return g.add("Flatten", g.add("Tile", g.add("DepthToSpace", deep, blocksize=2), i(1, 2, 1, 1)))


MIXING: dict[str, Build] = {
    "attention": _attention,
    "squares in the batch": _in_squares,
    "a shape that is read": _shape_read,
    "a shape with -1 for 1": _expanded,
    "sizes that are read": _resized,
    "groups": _in_groups,
    "a gate, halves, depth": _rearranged,
    "padding that depends on the size": lambda g: g.add(
        "MaxPool", excited(g), kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"
    ),
}


@pytest.mark.parametrize("stride", [2, (3, 10)], ids=str)
@pytest.mark.parametrize("build", MIXING.values(), ids=MIXING)
def test_what_mixes_a_window_is_proved(build: Build, stride: Any) -> None:
    net = Net(opset=21)
    model = net.model(net.add("Relu", build(net)))
    sliding = fcconv.convolutionize(model, stride=stride, windows="exact")
    certificate = fcconv.certify(model, sliding)
    assert certificate.exact, dict(certificate.lines())
    assert certificate.holds, dict(certificate.lines())


def padded(**attributes: Any) -> onnx.ModelProto:
    """A classifier of square windows whose scores are asymmetric, and which pads."""
    net = Net(shape=(2, 9, 9))
    x = net.add("Relu", net.conv("image", 3, 2, 3, 3, pads=[1, 1, 1, 1]))
    x = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], **attributes)
    x = net.add("Relu", net.conv(x, 3, 3, 3, 3, pads=[1, 1, 1, 1]))
    return net.model(net.add("Gemm", net.add("Flatten", x), net.w(48, 3), net.w(3)))


def proto_of(sliding: fcconv.Sliding) -> onnx.ModelProto:
    return ir.to_proto(sliding.model)


def constants(model: onnx.ModelProto, op: str, position: int) -> Iterator[onnx.TensorProto]:
    """Yield the constants that operators of a type read at a position."""
    arrays = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == op and node.input[position] in arrays:
            yield arrays[node.input[position]]


def nodes(model: onnx.ModelProto, op: str) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type == op]


def moved(op: str, position: int, by: int) -> Callable[[onnx.ModelProto], list[Change]]:
    """Change each constant that such operators read by itself."""

    def changes(model: onnx.ModelProto) -> list[Change]:
        def change(k: int) -> Change:
            def moves(made: onnx.ModelProto) -> None:
                tensor = [*constants(made, op, position)][k]
                array = numpy_helper.to_array(tensor)
                most = np.iinfo(np.int64).max
                tensor.CopyFrom(
                    numpy_helper.from_array(np.where(array == most, -1, array + by), tensor.name)
                )

            return moves

        return [change(k) for k in range(len([*constants(model, op, position)]))]

    return changes


def without_pads(model: onnx.ModelProto) -> list[Change]:
    def change(k: int) -> Change:
        def drops(made: onnx.ModelProto) -> None:
            ends = [a.ints for node in nodes(made, "Conv") for a in node.attribute
                    if a.name == "pads" and any(a.ints)]  # fmt: skip
            ends[k][:] = [0] * len(ends[k])

        return drops

    count = sum(any(a.ints) for node in nodes(model, "Conv") for a in node.attribute
                if a.name == "pads")  # fmt: skip
    return [change(k) for k in range(count)]


def exchanged_counts(_model: onnx.ModelProto) -> list[Change]:
    """Say that windows lie in the batch the other way round, in the end."""

    def exchange(made: onnx.ModelProto) -> None:
        (shape,) = [node for node in nodes(made, "Concat") if len(node.input) == 4]
        shape.input[1], shape.input[2] = shape.input[2], shape.input[1]

    return [exchange]


def exchanged_windows(model: onnx.ModelProto) -> list[Change]:
    """Put windows into the batch the other way round."""

    def change(k: int) -> Change:
        def turns(made: onnx.ModelProto) -> None:
            perm = [node.attribute[0].ints for node in nodes(made, "Transpose")][k]
            order = list(perm)
            order[1], order[2] = order[2], order[1]
            perm[:] = order

        return turns

    return [change(k) for k in range(len(nodes(model, "Transpose")))]


FORGERIES = {
    "a cut begins one later": moved("Slice", 1, 1),
    "a cut ends one earlier": moved("Slice", 2, -1),
    "padding is dropped": without_pads,
    "windows are told in the other order": exchanged_counts,
    "windows stand in the other order": exchanged_windows,
    "the stride is another one": moved("Div", 1, 1),
    "the window is another one": moved("Sub", 1, -1),
}


@pytest.mark.usefixtures("prices")
@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_wrong_ones_do_not_hold(forge: Callable[[onnx.ModelProto], list[Change]]) -> None:
    original = padded()
    right = proto_of(fcconv.convolutionize(original, stride=3, windows="exact"))
    assert fcconv.certify(original, right).exact
    changes = forge(right)
    assert changes
    for change in changes:
        wrong = onnx.ModelProto()
        wrong.CopyFrom(right)
        change(wrong)
        try:
            certificate = fcconv.certify(original, wrong)
        except ModelError:
            continue
        assert not certificate.exact, dict(certificate.lines())
        assert not certificate.holds, dict(certificate.lines())


def _placed(build: Build) -> str | None:
    """Say which node of a network on images of free size is not local."""
    net = Net(shape=(2, "height", "width"))
    model = ir.from_proto(net.model(build(net)))
    return find_locality(model.graph, (2, 3), (9, 9)).outside


def _in_batch(g: Net, first: int, second: int) -> str:
    """Put the rows of an image into the batch, then its columns, and tell them in some order."""
    rows = g.add("Transpose", "image", perm=[0, 2, 3, 1])
    flat = g.reshape(rows, -1, 2)
    every = g.add("Shape", "image")
    counts = [g.add("Gather", every, i(axis), axis=0) for axis in (first, second)]
    apart = g.add("Reshape", flat, g.add("Concat", i(-1), *counts, i(2), axis=0))
    return g.add("Transpose", apart, perm=[0, 3, 1, 2])


def test_windows_of_two_axes_are_told_apart() -> None:
    assert _placed(lambda g: _in_batch(g, 2, 3)) is None
    outside = _placed(lambda g: _in_batch(g, 3, 2))
    assert outside is not None
    assert "Reshape" in outside


def test_images_stay_in_their_places() -> None:
    sides = i(0, 0, 0, 0, 1, 0, 0, 0)
    shifted = _placed(lambda g: g.add("Pad", g.add("Slice", "image", i(1), i(2**40), i(0)), sides))
    assert shifted is not None
    assert "output" in shifted


@pytest.mark.parametrize(("run", "is_local"), [(1, True), (2, False)])
def test_runs_that_leave_a_rest_are_not_local(run: int, is_local: bool) -> None:
    def runs(g: Net) -> str:
        return g.reduce("ReduceMax", g.reshape("image", 0, 0, 0, -1, run), [4], 0)

    assert (_placed(runs) is None) == is_local


def test_a_file_that_claims_another_reach_is_refused() -> None:
    sliding = fcconv.convolutionize(padded(), stride=3, windows="exact")
    model = load(proto_of(sliding))
    text = model.metadata_props[SLIDING]
    assert from_metadata(model) is not None
    for old, new in (
        ('"reach": [[0, 9]', '"reach": [[0, 8]'),
        ('"cost": {"crops": ', '"cost": {"c": '),
    ):
        model.metadata_props[SLIDING] = text.replace(old, new)
        assert model.metadata_props[SLIDING] != text
        with pytest.raises(ModelError, match=r"reach|can't be read"):
            from_metadata(model)


def test_a_file_is_read_back_and_scans(path: Path) -> None:
    original = padded()
    save(fcconv.convolutionize(original, stride=3, windows="exact").model, path)
    certificate = fcconv.certify(original, path)
    assert certificate.exact, dict(certificate.lines())
    image = np.random.default_rng(0).integers(-9, 10, (1, 2, 20, 17)).astype(np.float32)
    found = fcconv.scan(path, image, engine="numpy")
    expected = fcconv.scan(original, image, engine="numpy", windows="exact", stride=3)
    assert found.exact
    assert np.array_equal(np.asarray(found.scores), np.asarray(expected.scores))
