"""What is saved is what is read again."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import helper

import fcconv
from fcconv import ModelError
from fcconv.graph.files import save as saving
from fcconv.graph.files.save import save
from saved_networks import array, initializers, network
from small_networks import classifier, node, weight

DTYPES = [
    *("float64", "float32", "float16", "int64", "int32", "int16", "int8", "bool"),
    *("uint64", "uint32", "uint16", "uint8", "complex64", "complex128"),
    *("bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint4", "float4_e2m1fn"),
]

SHAPES = [(), (1,), (0,), (3, 0, 2), (5,), (7, 300), (600, 5)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_are_kept_bit_for_bit(path: Path, dtype: str, form: str) -> None:
    arrays = {f"w{k}": array(shape, dtype) for k, shape in enumerate(SHAPES)}
    arrays["turned"] = array((40, 300), dtype).T
    arrays["sparse"] = array((400, 400), dtype)[::2, 1::3]
    model = network(**arrays)
    expected = initializers(model)
    save(model, path)
    onnx.checker.check_model(path, full_check=True)
    assert initializers(ir.load(path)) == expected
    assert path.with_name("model.onnx.data").exists() == (form == "two files")
    assert [held.name for held in onnx.load(path).graph.initializer] == list(arrays)


def test_everything_else_is_kept(path: Path) -> None:
    model = network(small=array((3,), "float32"), large=array((40, 40), "int64"))
    expected = ir.to_proto(model)
    save(model, path)
    assert onnx.load(path) == expected
    assert ir.to_proto(model) == expected  # and the model is what it was


def test_everything_else_is_kept_beside_weights_in_a_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "LARGEST_FILE", 0)
    model = network(small=array((3,), "float32"), large=array((40, 40), "int64"))
    save(model, path)
    found = onnx.load(path)
    for held in found.graph.initializer:
        held.ClearField("data_location")
    assert found == ir.to_proto(model)


def test_words_functions_and_branches_are_kept(path: Path) -> None:
    proto = classifier(node("Own", ["b"], ["c"], domain="own"))
    body = [node("Relu", ["p"], ["q"])]
    opsets = [helper.make_opsetid("", 17)]
    proto.functions.append(helper.make_function("own", "Own", ["p"], ["q"], body, opsets))
    proto.opset_import.add(domain="own", version=1)
    words = onnx.TensorProto(name="words", data_type=onnx.TensorProto.STRING, dims=[1])
    words.string_data.append("é".encode())
    proto.graph.initializer.append(words)
    made = helper.make_tensor_value_info("t", onnx.TensorProto.FLOAT, None)
    branch = helper.make_graph([node("Relu", ["x"], ["t"])], "b", [], [made], [weight("in", 999)])
    branches: dict[str, Any] = {"then_branch": branch, "else_branch": branch}
    choose = helper.make_node("If", ["w"], ["chosen"], "if", None, None, None, **branches)
    proto.graph.node.append(choose)
    save(ir.from_proto(proto), path)
    assert onnx.load(path) == ir.to_proto(ir.from_proto(proto))


def test_a_graph_that_is_not_whole_is_refused(path: Path) -> None:
    model = ir.from_proto(classifier())
    del model.graph.initializers["w"]
    with pytest.raises(ModelError, match="can't be written as ONNX"):
        save(model, path)
    assert not path.exists()


@pytest.mark.usefixtures("form")
def test_onnxruntime_reads_it(path: Path) -> None:
    sliding = fcconv.convolutionize(classifier())
    sliding.save(path)
    session: Any = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).integers(-3, 4, (2, 2, 9, 7)).astype(np.float32)
    (scores,) = session.run(None, {"x": image})
    assert np.array_equal(scores, sliding(image))
    assert scores.shape == (2, 3, 4, 2)


def test_weights_in_a_file_begin_at_pages(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "LARGEST_FILE", 0)
    save(network(**{f"w{k}": array((300 + k,), "int64") for k in range(4)}), path)
    proto = onnx.load(path, load_external_data=False)
    entries = [{e.key: e.value for e in held.external_data} for held in proto.graph.initializer]
    assert [int(e["offset"]) % 4096 for e in entries] == [0] * 4
    assert {e["location"] for e in entries} == {"model.onnx.data"}


def test_no_second_copy_of_the_weights(path: Path) -> None:
    model = network(large=array((1000, 2000), "float64"))
    tracemalloc.start()
    save(model, path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 16_000_000
    assert peak < 1_000_000
