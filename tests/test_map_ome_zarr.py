"""Scores as OME-Zarr lie on the image, class by class; what is not theirs is not replaced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fcconv
from fcconv.cli import app
from fcconv.errors import OutputError
from fcconv.images.coordinates import Coordinates, spaced
from fcconv.images.opening import open_images
from ome_files import multiscale, write_ome_zarr
from scan_cases import small_network
from score_files import tree
from small_scans import make_scan, randoms

SAME = [HealthCheck.function_scoped_fixture]


def told(path: Path) -> tuple[Any, list[float], list[float]]:
    """Return the metadata of a map, its scale and its translation."""
    ome = json.loads((path / "zarr.json").read_text())["attributes"]["ome"]
    ((dataset,),) = ([*one["datasets"]] for one in ome["multiscales"])
    first, second = dataset["coordinateTransformations"]
    return ome, first["scale"], second["translation"]


@pytest.mark.parametrize("rank", [2, 3])
def test_a_cell_lies_where_the_centre_of_its_window_does(rank: int, tmp_path: Path) -> None:
    axes, shape = "czyx"[-rank:], (2, 11, 27, 33)[-rank:]
    scale, first = [3, 0.5, 0.25][-rank:], [10, 20, 30][-rank:]
    pixels = np.random.default_rng(0).integers(0, 255, (2, *shape), np.uint8)
    placed = multiscale(f"c{axes}"[-rank - 1 :], [1, *scale], [0, *first])
    write_ome_zarr(tmp_path / "cells.zarr", "0.4", pixels, placed)
    found = fcconv.scan(small_network(rank), tmp_path / "cells.zarr", engine="numpy")
    found.write_map(tmp_path / "scores.ome.zarr")
    ome, steps, begin = told(tmp_path / "scores.ome.zarr")
    # the centre of the pixel i lies at first + scale * i, that of n pixels from 0 on at (n - 1) / 2
    assert steps == [1, *(2 * n for n in scale)]
    centres = [f + n * (k - 1) / 2 for f, n, k in zip(first, scale, found.window, strict=True)]
    assert begin == [0, *centres]
    assert [axis["name"] for axis in ome["multiscales"][0]["axes"]] == ["c", *"zyx"[-rank:]]
    assert {axis.get("unit") for axis in ome["multiscales"][0]["axes"][1:]} == {"micrometer"}
    assert [one["label"] for one in ome["omero"]["channels"]] == [*found.labels]
    ends = [(one["window"]["min"], one["window"]["max"]) for one in ome["omero"]["channels"]]
    assert ends == [(y.min(), y.max()) for y in np.asarray(found.scores)]
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "scores.ome.zarr/0"), found.scores)


NUMBERS = st.integers(1, 64).map(lambda n: n / 8)


@settings(max_examples=10, suppress_health_check=SAME)
@given(
    spacing=st.tuples(NUMBERS, NUMBERS), first=st.tuples(NUMBERS, NUMBERS),
    window=st.tuples(st.integers(1, 9), st.integers(1, 9)), stride=st.integers(1, 5),
    scale=st.sampled_from([1, 0.5, 2]),
)  # fmt: skip
def test_a_map_read_again_lies_where_the_scan_says(
    spacing: tuple[float, float],
    first: tuple[float, float],
    window: tuple[int, int],
    stride: int,
    scale: float,
    tmp_path: Path,
) -> None:
    placed = spaced(spacing, "mm", ("y", "x"), first)
    found = make_scan(randoms(2, 3, 4), window, (stride, stride), scale=scale, coordinates=placed)
    found.write_map(tmp_path / "a.ome.zarr")  # which replaces that of the example before
    ((image,), _) = open_images(tmp_path / "a.ome.zarr", 2)
    again, cells = image.coordinates, found.map_coordinates
    assert again is not None
    assert cells is not None
    for cell in ((0.5, 0.5), (2.5, 3.5)):
        of_picture = [
            ((i - 0.5) * stride + k / 2) / scale for i, k in zip(cell, window, strict=True)
        ]
        assert [1000 * n for n in placed.at(of_picture)] == [*again.at(cell)]


@pytest.mark.parametrize(
    ("placed", "scale", "begin", "unit"),
    [
        (None, (3, 3), (2, 3), None),
        (spaced((2, 4), "µm", ("y", "x")), (6, 12), (4, 12), "micrometer"),  # not where it begins
        (spaced((2, 4), "µm", ("y", "x"), (1, 2)), (6, 12), (6, 16), "micrometer"),
        (Coordinates(("x", "y"), "m", ((0, 2, 100), (-4, 0, 50))), (12, 6), (8, 6), "meter"),
        (Coordinates(("x", "y"), "°", ((2, 0, 100), (0, -4, 50))), (6, 12), (4, 12), "°"),
    ],
)
def test_what_is_not_placed_or_is_turned_lies_at_distances_on_the_image(
    placed: Coordinates | None,
    scale: tuple[float, ...],
    begin: tuple[float, ...],
    unit: str | None,
    tmp_path: Path,
) -> None:
    found = make_scan(randoms(1, 3, 4), (5, 7), (3, 3), coordinates=placed)
    found.write_map(tmp_path / "a.ome.zarr")
    ome, steps, centre = told(tmp_path / "a.ome.zarr")
    assert (steps, centre) == ([1, *scale], [0, *begin])
    assert ome["multiscales"][0]["axes"][1].get("unit") == unit


def test_many_classes_and_cells_without_a_score(tmp_path: Path) -> None:
    scores = randoms(40, 400, 300)
    scores[:, :350], scores[3], scores[4, -1, -1] = np.nan, np.nan, np.inf
    found = make_scan(scores, (5, 5), (2, 2))
    found.write_map(tmp_path / "a.ome.zarr")
    array = zarr.open_array(tmp_path / "a.ome.zarr/0")
    np.testing.assert_array_equal(array, scores)
    assert array.chunks == (1, 324, 300)
    assert array.shards == (40, 324, 300)
    channels = told(tmp_path / "a.ome.zarr")[0]["omero"]["channels"]
    assert (channels[3]["window"]["min"], channels[3]["window"]["max"]) == (0, 1)
    assert np.isfinite(channels[4]["window"]["max"])


def test_only_what_was_written_so_is_replaced(tmp_path: Path) -> None:
    found, target = make_scan(randoms(1, 3, 4), (5, 5), (2, 2)), tmp_path / "a.ome.zarr"
    target.mkdir()
    (target / "precious.txt").write_text("words")
    before = tree(tmp_path)
    with pytest.raises(OutputError, match="not written as a map of scores: remove it"):
        found.write_map(target)
    assert tree(tmp_path) == before
    (target / "precious.txt").unlink()
    target.rmdir()
    found.write_map(target)
    make_scan(randoms(2, 3, 4), (5, 5), (2, 2)).write_map(target)
    assert zarr.open_array(target / "0").shape == (2, 3, 4)
    zarr.open_group(target).create_group("labels")  # somebody's work
    before = tree(tmp_path)
    with pytest.raises(OutputError, match="not written as a map of scores"):
        found.write_map(target)
    assert tree(tmp_path) == before
    with pytest.raises(OutputError, match="OME-Zarr holds no scores along 1 axis:"):
        make_scan(randoms(1, 3), (5,), (2,)).write_map(tmp_path / "b.ome.zarr")


def test_the_command_replaces_a_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fcconv.convolutionize(small_network()).save("net.onnx")
    for size in (30, 34):
        np.save("a.npy", np.zeros((2, size, size), np.float32))
        words = ["scan", "net.onnx", "a.npy", "--engine", "numpy", "--map", "a.ome.zarr"]
        assert app.run(words) == 0
        cells = fcconv.scan("net.onnx", Path("a.npy"), engine="numpy").cells
        assert zarr.open_array("a.ome.zarr/0").shape[1:] == cells


def test_the_command_writes_the_files_of_each_plane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 255, (3, 2, 2, 27, 33), np.uint8)
    write_ome_zarr(Path("cells.zarr"), "0.5", pixels, multiscale("tczyx", (1, 1, 2, 0.5, 0.5)))
    fcconv.convolutionize(small_network()).save("net.onnx")
    words = ["scan", "net.onnx", "cells.zarr", "--engine", "numpy", "--time", "all", "--z", "1"]
    files = ["--map", "s.ome.zarr", "--peaks", "p.csv", "--threshold", "-9e9"]
    assert app.run([*words, *files, "--out", "out.zarr", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {peak["image"] for peak in printed["peaks"]} == {0, 1, 2}
    for k in range(3):
        expected = fcconv.scan("net.onnx", Path("cells.zarr"), engine="numpy", time=k, z=1)
        np.testing.assert_array_equal(zarr.open_array(f"s-{k}.ome.zarr/0"), expected.scores)
        lines = Path(f"p-{k}.csv").read_text().splitlines()
        peaks = expected.peaks(expected.labels, -9e9)
        assert len(lines) == 1 + len(peaks)
        assert next(p["score"] for p in printed["peaks"] if p["image"] == k) == peaks[0].score
    again = fcconv.open_scan("out.zarr", "cells.zarr")
    assert (again.scores.shape[0], len(again.images)) == (3, 3)
    assert app.run(["show", "out.zarr", "--threshold", "-9e9"]) == 0
    assert "image" in capsys.readouterr().out
    Path("p-2.csv").unlink()
    Path("p-2.csv").mkdir()
    before = tree(tmp_path)
    assert app.run([*words, *files]) == 2
    assert tree(tmp_path) == before
    assert app.run([*words, "--map", "x.ome.zarr", "--out", "x-1.ome.zarr"]) == 2
    assert "which is read or takes the scores" in capsys.readouterr().err
    assert tree(tmp_path) == before
    assert app.run([*words[:-3], "any", *words[-2:]]) == 2
    assert "'any' is not an integer or all" in capsys.readouterr().err
