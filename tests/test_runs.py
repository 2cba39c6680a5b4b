"""A file is called right when runtimes take it, too; those that take the original judge."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper

import fcconv
from fcconv.certificate import runs
from fcconv.cli import app
from fcconv.graph.files.load import load
from fcconv.graph.running.run import data_inputs
from refusing import write
from small_networks import classifier, constant, node


def declared(model: onnx.ModelProto) -> onnx.ModelProto:
    """Let a network declare its output, as ONNX's checker wants it."""
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])
    model.graph.output[0].CopyFrom(output)
    return model


def rewritten(model: onnx.ModelProto) -> onnx.ModelProto:
    made: onnx.ModelProto = ir.to_proto(fcconv.convolutionize(model).model)
    return made


@pytest.fixture(params=["onnxruntime", "numpy"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What runs the files, onnxruntime or where it is not installed NumPy."""
    if request.param == "numpy":
        find = importlib.util.find_spec
        found = {"onnxruntime": None}
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: found.get(name, find(name)))
    return str(request.param)


def refused(path: Path, original: onnx.ModelProto, other: onnx.ModelProto) -> str | None:
    first, second = write(path, original), write(path.with_name("other.onnx"), other)
    inputs = (data_inputs(load(file).graph) for file in (original, other))
    return runs.refusal(first, second, *inputs)


def changed(*between: onnx.NodeProto, kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """Return the small classifier with nodes between "z" and its output "y"."""
    model = classifier()
    model.graph.node[-1].output[0] = "z"
    model.graph.node.extend(between)
    model.graph.output[0].type.tensor_type.elem_type = kind
    model.graph.initializer.append(constant("zero", 0.0))
    return model


def test_what_is_alike(path: Path, engine: str) -> None:
    assert refused(path, classifier(), changed(node("Identity", ["z"], ["y"]))) is None
    assert refused(path, declared(classifier()), rewritten(classifier())) is None
    fixed = classifier()
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    assert refused(path, fixed, classifier()) is None
    assert refused(path, classifier(), fixed) is None


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (changed(node("Concat", ["z", "z"], ["y"], axis=1)), "6 float32 of an image, and 3"),
        (
            changed(node("Cast", ["z"], ["y"], to=TensorProto.DOUBLE), kind=TensorProto.DOUBLE),
            "3 float64 of an image, and 3 float32",
        ),
        (changed(node("Div", ["z", "zero"], ["y"])), "numbers that are not finite"),
        (changed(node("Twist", ["z"], ["y"], domain="mine")), "refuses the file"),
        (changed(node("Concat", ["z", "x"], ["y"], axis=0)), "refuses the file"),
    ],
)
def test_what_differs(path: Path, engine: str, other: onnx.ModelProto, said: str) -> None:
    found = refused(path, classifier(), other)
    assert found is not None
    assert found.startswith(engine)
    assert said in found
    assert str(path.parent) not in found


def test_the_checker_judges(path: Path, engine: str) -> None:
    wrong = rewritten(classifier())
    wrong.ClearField("ir_version")
    found = refused(path, declared(classifier()), wrong)
    assert found is not None
    assert found.startswith("onnx.checker refuses the file")


def test_who_refuses_the_original_does_not_judge(path: Path, engine: str) -> None:
    unknown = changed(node("Twist", ["z"], ["y"], domain="mine"))
    assert refused(path, unknown, unknown) is None
    assert refused(path, unknown, changed(node("Concat", ["z", "z"], ["y"], axis=1))) is None


def twice(model: onnx.ModelProto) -> onnx.ModelProto:
    """Give two nodes one name, which reading repairs."""
    for first in model.graph.node[:2]:
        first.name = "twice"
    return model


def test_names_given_twice(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    original, other = declared(classifier()), twice(rewritten(declared(classifier())))
    assert fcconv.certify(original, other).holds  # in memory, where they are repaired
    first, second = write(path, original), write(path.with_name("other.onnx"), other)
    with pytest.raises(Exception, match="same node name"):
        onnxruntime.InferenceSession(second)
    assert app.run(["verify", str(first), str(second), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["holds"]
    assert not found["exact"]
    assert "onnxruntime refuses the file" in found["difference"]
    assert "same node name" in found["difference"]
    for source in (original, str(first)):
        assert fcconv.certify(source, second).difference == found["difference"]


def test_names_that_the_original_gives_twice(path: Path) -> None:
    first = write(path, twice(declared(classifier())))
    second = write(path.with_name("other.onnx"), twice(rewritten(classifier())))
    assert fcconv.certify(first, second).holds


@pytest.mark.parametrize("form_of", [[], ["--pointwise"]])
def test_a_file_that_a_runtime_refuses_is_not_written(
    path: Path,
    form_of: list[str],
    form: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def judge(file: Path, images: Any) -> list[Any]:
        assert images is not None
        if file.name == "out.onnx":
            assert len(list(file.parent.iterdir())) == (1 if form == "one file" else 2)
            raise RuntimeError("I do not like it")
        return []

    first, out = write(path, classifier()), path.with_name("out.onnx")
    with monkeypatch.context() as patched:
        patched.setattr(runs, "_judges", lambda: {"a runtime": judge})
        assert app.run(["convert", str(first), str(out), *form_of]) == 1
    printed = capsys.readouterr().out
    assert "a runtime refuses the file: I do not like it" in printed
    assert "Nothing is written" in printed
    assert list(path.parent.iterdir()) == [first]
    assert app.run(["convert", str(first), str(out), *form_of]) == 0
    assert len(list(path.parent.iterdir())) == (2 if form == "one file" else 3)
    assert onnxruntime.InferenceSession(out).run(None, {"x": np.zeros((1, 2, 6, 6), np.float32)})
