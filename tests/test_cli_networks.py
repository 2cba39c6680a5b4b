"""``fcconv inspect``, ``convert`` and ``verify`` on the demo's classifier."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import fcconv
from fcconv.certificate.report import json_text
from fcconv.cli import app
from fcconv.demo.network import load_faces
from graphs import Net


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    path = tmp_path / "faces.onnx"
    onnx.save(load_faces(), path)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = app.run([str(argument) for argument in arguments])
    return code, capsys.readouterr().out


def test_inspect_says_what_the_network_becomes(
    faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed = run(capsys, "inspect", faces)
    assert code == 0
    for word in ("25x25", "3x3", "dense1", "64x800", "64x32x5x5", "CHW", "yes"):
        assert word in printed
    code, printed = run(capsys, "inspect", faces, "--json", "--stride", "2,1")
    found = json.loads(printed)
    assert found["stride"] == [2, 1]
    assert found["window"] == [25, 25]
    assert found["exact"] is True
    assert [layer["method"] for layer in found["layers"]] == ["kernel", "1x1"]


def test_names_are_printed_as_they_are(faces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network, names = onnx.load(faces), ["[/b]", "[red]x[/red]", ":cat:"]
    for node, name in zip(reversed(network.graph.node), names, strict=False):
        node.name = name
    onnx.save(network, faces)
    code, printed = run(capsys, "inspect", faces)
    assert code == 0
    layers = [layer.name for layer in fcconv.convolutionize(faces).layers]
    assert set(layers) & set(names)
    assert all(name in printed for name in layers)
    photo, cat = faces.with_name("a.npy"), ":cat: [/b]"
    np.save(photo, np.zeros((30, 30), np.float32))
    code, printed = run(capsys, "scan", faces, photo, "--labels", cat, "--threshold", -99)
    assert code == 0
    assert cat in printed


def test_json_has_null_for_what_is_infinite(
    faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network, photo = onnx.load(faces), faces.with_name("a.npy")
    (bias,) = (weight for weight in network.graph.initializer if weight.name == "score.bias")
    bias.CopyFrom(numpy_helper.from_array(np.array([np.inf], np.float32), bias.name))
    onnx.save(network, faces)
    np.save(photo, np.zeros((30, 30), np.float32))
    code, printed = run(capsys, "scan", faces, photo, "--threshold", 0, "--json")
    assert code == 0
    assert "Infinity" not in printed
    assert [peak["score"] for peak in json.loads(printed)["peaks"]] == [None]
    assert '"probability": null' in json_text({"probability": np.inf, "rest": [1.5]})


def test_convert_writes_a_network_that_slides(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sliding[1].onnx"  # brackets are rich's markup
    code, printed = run(capsys, "convert", faces, out, "--stride", 4)
    assert code == 0
    assert "proved equal" in printed
    assert "sliding[1].onnx" in printed.replace("\n", "")
    onnx.checker.check_model(out, full_check=True)
    scores = fcconv.compile(out, "onnxruntime")(np.zeros((1, 1, 40, 30), np.float32))
    assert scores.shape == (1, 1, 4, 2)
    code, printed = run(capsys, "verify", faces, out, "--json")
    found = json.loads(printed)
    assert code == 0
    assert found["exact"]
    assert found["holds"]
    assert found["equal"] == found["windows"] == 9
    for command in (["inspect", out], ["convert", out, tmp_path / "again.onnx"]):
        assert app.run(list(map(str, command))) == 2
        assert "the network slides already: use it as it is" in capsys.readouterr().err


def test_convert_pointwise_keeps_shapes(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pointwise.onnx"
    code, printed = run(capsys, "convert", faces, out, "--pointwise", "--json")
    assert code == 0
    assert json.loads(printed)["certificate"]["form"] == "pointwise"
    onnx.checker.check_model(out, full_check=True)
    x = np.random.default_rng(0).random((2, 1, 25, 25), np.float32)
    before, after = (fcconv.compile(path, "onnxruntime")(x) for path in (faces, out))
    assert before.shape == after.shape == (2, 1)
    assert np.abs(before - after).max() < 1e-3 * np.abs(before).max()
    assert run(capsys, "verify", faces, out)[0] == 0


def test_a_printed_seed_repeats_a_proof(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rewritten.onnx"
    for form in ([], ["--pointwise"]):
        _, printed = run(capsys, "convert", faces, out, *form, "--json")
        certificate = json.loads(printed)["certificate"]
        seed = ["--seed", certificate["seed"], "--json"]
        assert (
            json.loads(run(capsys, "convert", faces, out, *form, *seed)[1])["certificate"]
            == certificate
        )
        assert json.loads(run(capsys, "verify", faces, out, *seed)[1]) == certificate
        _, printed = run(capsys, "verify", faces, out, "--json")
        assert json.loads(printed)["seed"] != certificate["seed"]


def test_verify_names_what_is_wrong(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "wrong.onnx"
    sliding = fcconv.convolutionize(faces)
    sliding.save(out)
    proto = onnx.load(out)
    last = next(t for t in proto.graph.initializer if t.name == "score/kernel")
    kernel = numpy_helper.to_array(last).copy()
    kernel.flat[7] = np.nextafter(kernel.flat[7], np.float32(9))
    last.CopyFrom(numpy_helper.from_array(kernel, last.name))
    onnx.save(proto, out)
    code, printed = run(capsys, "verify", faces, out)
    assert code == 1
    assert "IS WRONG" in printed
    assert "score (Conv)" in printed
    assert "score: CHANGED" in printed


def test_verify_notices_networks_in_the_wrong_order(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, other = tmp_path / "out.onnx", tmp_path / "other.onnx"
    fcconv.convolutionize(faces).save(out)
    assert app.run(["verify", str(out), str(faces)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("fcconv: the networks look exchanged")
    assert "fcconv verify ORIGINAL REWRITTEN" in printed.err
    wrong = onnx.load(faces)
    wrong.graph.initializer[0].raw_data = bytes(len(wrong.graph.initializer[0].raw_data))
    onnx.save(wrong, other)
    assert run(capsys, "verify", faces, other)[0] == 1  # neither says that it was rewritten


def test_a_failed_certificate_writes_nothing(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    out = tmp_path / "out.onnx"
    out.write_bytes(b"as it was")
    right = fcconv.certify(faces, fcconv.convolutionize(faces))
    wrong = type(right)(**{**vars(right), "holds": False, "difference": "score (Conv)"})
    monkeypatch.setattr("fcconv.cli.network.certify", lambda *_, **__: wrong)
    code, printed = run(capsys, "convert", faces, out)
    assert code == 1
    assert "Nothing is written" in printed
    assert out.read_bytes() == b"as it was"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces.onnx", "out.onnx"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that is never writable")
@pytest.mark.parametrize("form", [(), ("--pointwise",)], ids=str)
def test_an_output_that_cannot_be_written_is_named_before_the_work(
    form: tuple[str, ...], faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["convert", str(faces), "/proc/self/x.onnx", *form]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("fcconv: /proc/self/x.onnx can't be written")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["inspect", "no.onnx"], "does not exist"),
        (["inspect", "pyproject.toml"], "not an ONNX file"),
        (["convert", "pyproject.toml", "no/such/x.onnx"], "there is no folder no/such"),
        (["convert", "pyproject.toml", "x.onnx", "--pointwise", "--stride", "2"], "no --stride"),
        (["inspect", "pyproject.toml", "--stride", "two"], "'two' is not an integer"),
        (["inspect", "pyproject.toml", "--window", "3,x"], "'3,x' is not an integer"),
        (["convert", "pyproject.toml", "./pyproject.toml"], "it would replace MODEL"),
        (["convert", "pyproject.toml", "x.bin"], "OUT: x.bin needs to end in .onnx"),
        (["verify", "pyproject.toml"], "Missing argument 'REWRITTEN'"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("fcconv: ")
    assert printed.err.count("\n") == 1
    assert said in printed.err


def test_exact_windows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = Net(shape=(2, 32, 32))
    padded = net.map(pads=[1, 1, 1, 1])
    model, out = tmp_path / "padded.onnx", tmp_path / "exact.onnx"
    onnx.save(net.model(net.add("Flatten", net.add("GlobalMaxPool", padded))), model)
    code, printed = run(capsys, "inspect", model, "--windows", "exact", "--stride", 2)
    assert code == 0
    for word in ("every cell equals its crop │ yes", "exact: ", "times fewer than crops"):
        assert word in printed
    assert "dense" not in printed
    code, printed = run(capsys, "convert", model, out, "--windows", "exact", "--json")
    found = json.loads(printed)
    assert code == 0
    assert found["certificate"]["exact"]
    assert found["cost"]["crops"] > found["cost"]["exact"] > 0
    assert found["ends"] is not None
    code, printed = run(capsys, "verify", model, out)
    assert code == 0
    assert printed.count("proved equal") == 2
    code, _ = run(capsys, "convert", model, out, "--windows", "exact", "--pointwise")
    assert code == 2
