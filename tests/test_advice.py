"""What errors say is to be done is done here, and helps."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.utils
import pytest
from onnx import TensorProto, helper

import fcconv
from fcconv import UnsupportedError
from fcconv.cli import app
from refusing import refuse_everywhere, write
from small_networks import classifier, constant, node

PIXELS = np.random.default_rng(0).integers(0, 9, (3, 2, 6, 6)).astype(np.uint8)


def small(*between: onnx.NodeProto) -> onnx.ModelProto:
    """Return the small classifier, which declares the shape of its output, as exporters do."""
    model = classifier(*between)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, ("N", 3)))
    return model


def extract(said: str, path: Path) -> Path:
    """Follow the advice to cut a network."""
    names = r"(\[.*?\])"
    (call,) = re.findall(rf"extract_model\(path, 'cut\.onnx', {names}, {names}\)", said)
    inputs, outputs = (re.findall(r"'(.*?)'", names) for names in call)
    cut = path.with_name("cut.onnx")
    onnx.utils.extract_model(path, cut, inputs, outputs)
    return cut


def of_bytes(opening: onnx.NodeProto, *tensors: onnx.TensorProto) -> onnx.ModelProto:
    """Return the small classifier, of images that a node makes of bytes."""
    model = small()
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    model.graph.node[0].input[0] = "floats"
    model.graph.node.insert(0, opening)
    model.graph.initializer.extend(tensors)
    return model


@pytest.mark.parametrize(
    ("model", "floats"),
    [
        (of_bytes(node("Cast", ["x"], ["floats"], name="cast", to=1)), PIXELS),
        (
            of_bytes(
                node("DequantizeLinear", ["x", "s", "z"], ["floats"], name="dq"),
                constant("s", 0.5),
                constant("z", 3, np.uint8),
            ),
            (PIXELS - 3.0) / 2,
        ),
    ],
)
def test_an_image_of_bytes(path: Path, model: onnx.ModelProto, floats: Any) -> None:
    write(path, model)
    with pytest.raises(UnsupportedError, match="'x' holds UINT8 numbers") as caught:
        fcconv.convolutionize(path)
    assert f"cut off {model.graph.node[0].name} (" in str(caught.value)
    sliding = fcconv.convolutionize(extract(str(caught.value), path))
    scores = fcconv.compile(path)(PIXELS)
    assert np.array_equal(sliding(floats.astype(np.float32))[:, :, 0, 0], scores)


def test_an_image_of_bytes_that_nothing_casts(path: Path) -> None:
    model = of_bytes(node("Transpose", ["x"], ["bytes"], perm=[0, 1, 3, 2]))
    model.graph.node.insert(1, node("Cast", ["bytes"], ["floats"], to=1))
    with pytest.raises(UnsupportedError, match="export it with a float32 input"):
        fcconv.convolutionize(write(path, model))


def twisted(between: onnx.NodeProto) -> onnx.ModelProto:
    model = small(between)
    model.opset_import.append(helper.make_opsetid("mine", 1))
    return model


def test_a_network_is_cut_before_what_is_not_known(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(path, twisted(node("Twist", ["b"], ["c"], name="twist", domain="mine")))
    assert app.run(["inspect", str(path)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "twist (mine.Twist): this operator is not known here" in said
    sliding = fcconv.convolutionize(extract(said, path))
    x = PIXELS.astype(np.float32)
    convolution = classifier().graph
    del convolution.node[2:]
    convolution.output[0].name = "b"
    model = classifier()
    model.graph.CopyFrom(convolution)
    assert np.array_equal(sliding(x)[..., 0, 0], fcconv.compile(model)(x).reshape(3, -1))
    with pytest.raises(UnsupportedError) as caught:
        fcconv.compile(path)
    assert extract(caught.value.__notes__[0], path).exists()


def test_nothing_is_cut_before_the_first_node(path: Path) -> None:
    model = classifier()
    model.graph.node[0].op_type = "Twist"
    model.graph.node[0].domain = "mine"
    model.opset_import.append(helper.make_opsetid("mine", 1))
    with pytest.raises(UnsupportedError) as caught:
        fcconv.convolutionize(write(path, model))
    assert not any("extract_model" in note for note in caught.value.__notes__)


def test_scores_in_dictionaries(path: Path) -> None:
    model = small()
    model.graph.node.append(
        node("ZipMap", ["y"], ["scores"], domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2])
    )
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    scores = helper.make_map_type_proto(
        TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    )
    kind = helper.make_sequence_type_proto(scores)
    model.graph.output.append(helper.make_value_info("scores", kind))
    onnx.checker.check_model(model)
    refuse_everywhere(
        write(path, model), "the output 'scores' holds dictionaries", "options={'zipmap': False}"
    )
