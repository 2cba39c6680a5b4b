"""Networks that can't slide score windows that are cut out; sliding ones keep every n-th window."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import fcconv
from comparing import assert_identical
from fcconv.cli import app
from fcconv.errors import ArgumentError, FcconvError, ShapeError, UnsupportedError
from graphs import Graph
from scan_cases import (
    NETWORKS,
    attending,
    cut_into,
    looped,
    memory_for,
    of_crops,
    picture,
    small_network,
    squeezing,
)
from strategies import integers

CROPS: dict[str, Any] = {"windows": "crops", "stride": 3}


# Networks that can't slide ------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["numpy", "jax", "onnxruntime", "auto"])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("stride", [1, (3, 5), 20])
@pytest.mark.parametrize("windows", ["exact", "crops"])
def test_windows_of_a_network_that_can_not_slide(
    name: str, engine: str, stride: Any, windows: str
) -> None:
    network, image = NETWORKS[name](), picture()
    with pytest.raises(UnsupportedError):
        fcconv.convolutionize(network)
    with cut_into(3):
        found = fcconv.scan(network, image, stride=stride, windows=windows, engine=engine)
    assert found.stride == fcconv.geometry.per_axis(stride, 2, "stride")
    assert found.exact
    assert found.tiles >= min(3, found.cells[0] * found.cells[1])
    assert found.windows == windows
    assert_identical(found.scores, looped(network, image, found, "numpy"), (name, stride))


def test_channels_may_be_last() -> None:
    image = picture()
    found = fcconv.scan(squeezing("last"), image, engine="numpy", **CROPS)
    first = fcconv.scan(squeezing(), image, engine="numpy", **CROPS)
    assert found.window == (7, 8)
    assert_identical(found.scores, first.scores, "channels last")


@pytest.mark.parametrize("engine", ["onnxruntime", "auto"])
@pytest.mark.parametrize("windows", ["exact", "crops"])
def test_operators_that_only_onnxruntime_knows(engine: str, windows: str) -> None:
    network, image = attending("TopK"), picture()
    found = fcconv.scan(network, image, stride=3, windows=windows, engine=engine)
    assert found.engine == "onnxruntime"
    assert_identical(found.scores, looped(network, image, found, "onnxruntime"), engine)


@pytest.mark.parametrize("engine", ["numpy", "jax"])
@pytest.mark.parametrize("windows", ["exact", "crops"])
def test_other_engines_name_the_operator(engine: str, windows: str) -> None:
    with pytest.raises(UnsupportedError, match=r"TopK.*not known"):
        fcconv.scan(attending("TopK"), picture(), stride=3, windows=windows, engine=engine)


def test_what_is_missing_is_said() -> None:
    for refuse in (fcconv.convolutionize, lambda network: fcconv.scan(network, picture())):
        with pytest.raises(UnsupportedError) as refused:
            refuse(squeezing())
        assert "windows='exact' (--windows exact)" in refused.value.__notes__[-1]
    with pytest.raises(ArgumentError, match=r"Mul.*give stride \(--stride\)"):
        fcconv.scan(squeezing(), picture(), windows="crops")
    assert fcconv.scan(squeezing(), picture(), windows="exact", engine="numpy").stride == (1, 1)
    assert fcconv.scan(attending(), picture(), windows="exact", engine="numpy").stride == (4, 4)
    network = attending()
    network.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "H"
    with pytest.raises(ShapeError, match="give window="):
        fcconv.scan(network, picture(), **CROPS)
    found = fcconv.scan(network, picture(), window=(2, 8, 8), **CROPS)
    assert_identical(found.scores, fcconv.scan(attending(), picture(), **CROPS).scores, "window")


def test_scores_need_a_batch() -> None:
    graph = Graph(2, 7, 8)
    x = graph.add("Mul", "image", graph.reduce("ReduceMax", "image", [0, 2, 3]))
    flat = graph.add("Flatten", x)
    sums = graph.reduce("ReduceSum", x, [0, 1, 2, 3], keepdims=0)
    for made, rank in ((sums, 0), (graph.add("Transpose", flat), 2)):
        with pytest.raises(UnsupportedError, match="needs to be its first axis"):
            fcconv.scan(graph.model(made, rank=rank), picture(), engine="numpy", **CROPS)
    over_all = graph.model(graph.reduce("ReduceSum", flat, [0]))  # which shows in larger batches
    with pytest.raises(UnsupportedError, match="needs to be its first axis"):
        fcconv.scan(over_all, picture(), engine="numpy", **CROPS)


def test_memory_is_that_of_a_batch() -> None:
    for engine in ("numpy", "onnxruntime"):
        with pytest.raises(ArgumentError, match="not even the smallest tile"):
            fcconv.scan(attending(), picture(), memory=3000, engine=engine, **CROPS)
    with pytest.raises(ArgumentError, match="not even the smallest tile"):
        fcconv.scan(attending("TopK"), picture(), memory=3000, engine="onnxruntime", **CROPS)


def test_the_command_line_cuts_out_windows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network, image, out = attending(), np.abs(picture()), tmp_path / "scores.zarr"
    onnx.save(network, tmp_path / "model.onnx")
    np.save(tmp_path / "image.npy", image)
    words = ["scan", str(tmp_path / "model.onnx"), str(tmp_path / "image.npy")]
    assert app.run(words) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert "--windows exact" in complaint
    words += ["--windows", "crops", "--stride", "3", "--out", str(out), "--threshold", "1"]
    files = [tmp_path / name for name in ("heat.png", "page.html", "peaks.csv")]
    for option, file in zip(("--heatmap", "--report", "--peaks"), files, strict=True):
        words += [option, str(file)]
    assert app.run([*words, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    expected = fcconv.scan(network, image, engine="numpy", **CROPS)
    assert facts["scans"][0]["cells"] == list(expected.cells)
    assert facts["scans"][0]["exact"]
    assert len(facts["peaks"]) == len(expected.peaks(expected.labels, 1)) > 0
    assert all(file.stat().st_size for file in files)
    assert app.run([*words, "--json", "--resume"]) == 0
    assert json.loads(capsys.readouterr().out)["scans"][0]["computed"] == 0


# Every n-th window --------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["numpy", "jax", "onnxruntime"])
@pytest.mark.parametrize("pad", [0, 1])
@pytest.mark.parametrize("stride", [2, 4, (6, 2), (10, 16)])
def test_every_so_many_windows_of_a_sliding_network(
    engine: str, pad: int, stride: Any, tmp_path: Path
) -> None:
    sliding = fcconv.convolutionize(small_network(pad=pad))
    sliding.save(tmp_path / "sliding.onnx")
    image = integers(1, (2, 31, 40), "float32")
    fine = fcconv.scan(sliding, image, windows="shared", engine="numpy")
    rows, columns = (n // 2 for n in fcconv.geometry.per_axis(stride, 2, "stride"))
    for network in (sliding, tmp_path / "sliding.onnx"):
        for tiles in (1, 5):
            with cut_into(tiles):
                found = fcconv.scan(network, image, stride=stride, windows="shared", engine=engine)
            assert found.tiles >= min(tiles, found.cells[0] * found.cells[1])
            assert found.box(1, 1) == fine.box(rows, columns)
            assert_identical(found.scores, fine.scores[:, ::rows, ::columns], (stride, tiles))


def test_planned_tiles_of_every_so_many_windows_fit() -> None:
    sliding, image = fcconv.convolutionize(small_network(pad=1)), picture()
    fine = fcconv.scan(sliding, image, windows="shared", engine="numpy")
    memory = memory_for(4, sliding, image, stride=4, windows="shared")
    found = fcconv.scan(sliding, image, stride=4, windows="shared", engine="numpy", memory=memory)
    assert found.tiles >= 4
    assert_identical(found.scores, fine.scores[:, ::2, ::2], memory)


def test_windows_in_between_are_not_those_of_the_network() -> None:
    sliding, image = fcconv.convolutionize(small_network()), picture()
    for stride in (1, 3, (4, 5)):
        with pytest.raises(ArgumentError, match=r"slides by \(2, 2\).*multiples"):
            fcconv.scan(sliding, image, stride=stride)
        with pytest.raises(FcconvError, match="stride"):
            fcconv.scan(sliding, image, stride=0)
        for windows in ("exact", "crops"):
            found = fcconv.scan(sliding, image, stride=stride, windows=windows, engine="numpy")
            assert_identical(found.scores, of_crops(small_network(), image, found)[0], stride)
