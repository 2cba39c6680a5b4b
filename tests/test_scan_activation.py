"""Probabilities of scores: softmax or sigmoid, stored, compared and shown in their place."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fcconv
from comparing import assert_identical
from fcconv.cli import app
from fcconv.demo.network import load_faces
from fcconv.errors import ArgumentError, OutputError
from fcconv.report.heatmap import draw
from fcconv.report.page import write_page
from fcconv.scanning.activation import ACTIVATIONS, activated
from graphs import Graph
from scan_cases import Array, cut_into, integer_network, picture, small_network
from small_scans import make_scan, randoms


def test_probabilities_are_those_of_the_definition() -> None:
    scores = np.array([[0.0, 1.0, -700, np.nan, -np.inf], [1.0, 1.0, 900, 0, 3]])
    e = math.exp(1)
    expected = {
        "softmax": [[1 / (1 + e), 0.5, 0, np.nan, 0], [e / (1 + e), 0.5, 1, np.nan, 1]],
        "sigmoid": [[0.5, e / (1 + e), math.exp(-700), np.nan, 0], [e / (1 + e)] * 2 + [1, 0.5]],
    }
    expected["sigmoid"][1].append(1 / (1 + math.exp(-3)))
    for name, values in expected.items():
        made, wanted = activated(name, scores), np.array(values)
        assert_identical(np.isnan(made), np.isnan(wanted), name)
        # exponentials of NumPy and of the C library are within 4 units in the last place
        bound = 10 * np.finfo(np.float64).eps * np.nan_to_num(wanted)
        assert (np.abs(np.nan_to_num(made) - np.nan_to_num(wanted)) <= bound).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_types_stay_and_large_scores_do_not_overflow(name: str, dtype: Any) -> None:
    largest = np.finfo(dtype).max
    made = activated(name, np.array([[largest, -largest, 0], [0, 0, 0]], dtype))
    assert made.dtype == dtype
    assert made[0].tolist() == [1, 0, 0.5]


@pytest.mark.parametrize("windows", ["shared", "exact", "crops"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_first_output_goes_through_it_in_every_tile(name: str, windows: str) -> None:
    network, image = small_network(heads=2), picture() / np.float32(64)
    given: dict[str, Any] = {"engine": "numpy", "windows": windows}
    with cut_into(9):
        plain = fcconv.scan(network, image, **given)
        found = fcconv.scan(network, image, activation=name, **given)
    assert (plain.measure, found.measure) == ("score", "probability")
    (first, second), (made, same) = plain.outputs.values(), found.outputs.values()
    assert_identical(made, activated(name, first), name)
    assert_identical(same, second, "other outputs stay")


def test_peaks_and_audits_have_probabilities_of_crops() -> None:
    network, image = small_network(pad=1), picture() / np.float32(64)
    given: dict[str, Any] = {"engine": "numpy", "activation": "softmax"}
    found = fcconv.scan(network, image, windows="shared", audit=50, **given)
    crops = fcconv.scan(network, image, windows="crops", **given)
    for peak in found.peaks(0, 0.1, exact=True):
        assert peak.score == crops.scores[0, *peak.cell]
    assert found.audit is not None
    assert 0 < found.audit.drawn.largest <= 1


@pytest.mark.parametrize("suffix", [".zarr", ".npy"])
def test_the_store_tells_the_activation(suffix: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {"network": small_network(), "image": picture(), "engine": "numpy"}
    given |= {"out": tmp_path / f"x{suffix}"}
    fcconv.scan(**given, activation="softmax")
    with pytest.raises(OutputError, match="its activation is 'softmax', now it is None; give the"):
        fcconv.scan(**given, existing="resume")
    again = fcconv.scan(**given, activation="softmax", existing="resume")
    assert (again.computed, again.measure) == (0, "probability")


def ending_in(op: str, **attributes: Any) -> Any:
    graph = Graph(1, 4, 4)
    x = graph.add("Flatten", "image")
    x = graph.add("MatMul", x, graph.array(np.arange(48).reshape(16, 3) / 48))
    x = graph.add(op, x, **attributes)
    return graph.model(graph.add("Reshape", x, np.array([0, 3], np.int64)))


def test_what_cannot_become_a_probability_is_refused() -> None:
    image: Array = np.zeros((1, 8, 8), np.float32)
    with pytest.raises(ArgumentError, match="activation is 'softmax', 'sigmoid' or None, got 'x'"):
        fcconv.scan(ending_in("Identity"), image, activation="x")
    for op in ("Softmax", "Sigmoid"):
        with pytest.raises(ArgumentError, match=f"the network ends in {op} .*: leave it out"):
            fcconv.scan(ending_in(op), image, activation="sigmoid")
    assert fcconv.scan(ending_in("LogSoftmax"), image, activation="softmax").scores.max() <= 1
    with pytest.raises(ArgumentError, match=r"needs scores of floats, but 'whole' is int32"):
        fcconv.scan(integer_network(), picture(), activation="sigmoid")
    with pytest.raises(ArgumentError, match="has one, which would be 1 everywhere: take 'sigmoid'"):
        fcconv.scan(load_faces(), np.zeros((1, 30, 30), np.float32), activation="softmax")


def test_pictures_say_probability(tmp_path: Path) -> None:
    found = make_scan(np.abs(randoms(2, 9, 9)) / 9, (8, 8), (4, 4), activation="softmax")
    labels = [axes.get_ylabel() for axes in draw(found, randoms(1, 40, 40)).axes]
    assert "probability, from 0 to 1" in labels
    line = make_scan(np.abs(randoms(2, 9)) / 9, (8,), (4,), activation="sigmoid")
    assert [a.get_ylabel() for a in draw(line, randoms(1, 40)).axes] == ["signal", "probability"]
    write_page(tmp_path / "page.html", found, randoms(1, 40, 40), None, ())
    page = (tmp_path / "page.html").read_text()
    assert "its highest probability" in page
    assert "<dt>Probabilities</dt><dd>by softmax</dd>" in page


def test_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fcconv.convolutionize(small_network()).save("net.onnx")
    np.save("image.npy", picture())
    words = ["scan", "net.onnx", "image.npy", "--engine", "numpy", "--activation"]
    assert app.run([*words, "softmax"]) == 0
    assert "probabilities" in capsys.readouterr().out
    for name, told in (("sigmoid", "sigmoid"), ("none", None)):
        assert app.run([*words, name, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["scans"][0]["activation"] == told
    assert app.run([*words, "relu"]) == 2
    assert "--activation" in capsys.readouterr().err
