"""One pass gives every window the score of its crop, tile by tile, within the memory allowed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import fcconv
from comparing import assert_identical
from fcconv.cli import app
from fcconv.errors import ArgumentError, UnsupportedError
from fcconv.scanning.memory import corners, footprint_of
from fcconv.scanning.network import as_network
from graphs import Graph
from scan_cases import (
    TYPES,
    attending,
    memory_for,
    of_crops,
    picture,
    small_network,
    squeezing,
)

NETWORKS = {"padded": small_network(pad=1), "squeezing": squeezing(), "attending": attending()}


def drawing() -> onnx.ModelProto:
    """Put together a network that adds random numbers."""
    graph = Graph(2, 7, 8)
    noise = graph.add("RandomNormalLike", "image")
    x = graph.add("Flatten", graph.add("Add", "image", noise))
    return graph.model(graph.add("MatMul", x, graph.array(np.ones((112, 3)))))


@pytest.mark.parametrize("engine", TYPES)
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("stride", [None, 1, 3, 9])
def test_tiles_of_padded_networks_equal_crops(engine: str, rank: int, stride: int | None) -> None:
    network = small_network(rank, TYPES[engine], pad=1, heads=2)
    image = picture(rank, TYPES[engine])
    given: dict[str, Any] = {"engine": engine, "stride": stride, "windows": "exact"}
    found = fcconv.scan(network, image, memory=memory_for(4, network, image, **given), **given)
    assert found.tiles >= min(4, math.prod(found.cells))
    assert found.exact
    assert not found.reasons
    for scores, expected in zip(
        found.outputs.values(), of_crops(network, image, found), strict=True
    ):
        assert_identical(scores, expected, (engine, rank, stride))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("engine", ["numpy", "onnxruntime"])
@pytest.mark.parametrize("strides", [(0, 0), (5, 0), (0, 9), (3, 4)])
def test_the_smallest_images_tell_what_a_tile_takes(
    name: str, engine: str, strides: tuple[int, int]
) -> None:
    network = as_network(NETWORKS[name], 3, windows="exact")
    sliding, layout = network.sliding, network.layout
    smallest = [layout.shape(size) for size in corners((99, 99), sliding.window, sliding.stride)]
    tile = [k + n * 3 for k, n in zip(sliding.window, strides, strict=True)]
    found = footprint_of(sliding.model, smallest, engine).bytes(strides)
    assert found == footprint_of(sliding.model, [layout.shape(tile)], engine).bytes(())


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("engine", ["numpy", "onnxruntime"])
def test_own_windows_that_do_not_fit_are_refused(name: str, engine: str) -> None:
    network, image = NETWORKS[name], picture()
    with pytest.raises(ArgumentError, match=r"not even the smallest tile.*needs [\d.]+ MB") as said:
        fcconv.scan(network, image, stride=3, windows="exact", engine=engine, memory=2000)
    needed = float(str(said.value).split("needs ")[1].split(" MB")[0]) * 1e6
    found = fcconv.scan(
        network, image, stride=3, windows="exact", engine=engine, memory=int(needed + 5e4)
    )
    assert found.tiles > 1


def test_a_fixed_batch_is_cut_out_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network, image = small_network(pad=1), np.abs(picture())
    expected = fcconv.scan(network, image, windows="exact", engine="numpy")
    for value in (network.graph.input[0], network.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 5
    found = fcconv.scan(network, image, windows="exact", engine="numpy")
    assert (expected.windows, found.windows) == ("exact", "crops")
    assert found.exact
    assert "cut out" in found.notes[0]
    assert "computes 5 images at a time" in found.notes[0]
    assert_identical(found.scores, expected.scores, "a batch of five")
    onnx.save(network, tmp_path / "five.onnx")
    np.save(tmp_path / "image.npy", image)
    words = ["scan", str(tmp_path / "five.onnx"), str(tmp_path / "image.npy")]
    assert app.run([*words, "--windows", "exact", "--engine", "numpy"]) == 0
    assert "5 images at a time" in " ".join(capsys.readouterr().out.replace("│", "").split())


def test_random_numbers_are_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"node0.*random") as refused:
        fcconv.scan(drawing(), picture(), stride=3, windows="exact")
    assert "--windows crops" in refused.value.__notes__[-1]


@pytest.mark.parametrize("network", ["padded", "attending"])
def test_the_command_line(network: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, out = np.abs(picture()), tmp_path / "scores.zarr"
    image[:, 13, 14] = 99
    onnx.save(NETWORKS[network], tmp_path / "model.onnx")
    np.save(tmp_path / "image.npy", image)
    words = ["scan", str(tmp_path / "model.onnx"), str(tmp_path / "image.npy"), "--out", str(out)]
    words += ["--windows", "exact", "--scales", "1,0.5", "--nodata", "99", "--engine", "numpy"]
    words += ["--report", str(tmp_path / "page.html"), "--labels"]
    words += ["a,b" if network == "padded" else "a,b,c"]
    assert app.run([*words, "--json"]) == 0
    whole, half = json.loads(capsys.readouterr().out)["scans"]
    expected = fcconv.scan(
        NETWORKS[network], image, windows="crops", stride=whole["stride"], engine="numpy",
        preparation=fcconv.Preparation(nodata=99),
    )  # fmt: skip
    for facts in (whole, half):
        assert facts["exact"]
        assert facts["windows"] == "exact"
    assert whole["unscored"] == expected.unscored > 0
    assert whole["labels"][0] == "a"
    assert (tmp_path / "page.html").stat().st_size
    scores = fcconv.scan(
        NETWORKS[network], tmp_path / "image.npy", windows="exact", existing="resume",
        out=tmp_path / "scores-1.zarr", preparation=fcconv.Preparation(nodata=99),
    )  # fmt: skip
    assert scores.computed == 0
    assert_identical(scores.scores[...], expected.scores, network)
    assert app.run([*words, "--overwrite"]) == 0
    assert "one pass that they share, each as its crop" in " ".join(capsys.readouterr().out.split())
