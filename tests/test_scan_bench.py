"""What the benchmarks of scans measure, in small."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest

import fcconv
from fcconv.graph.files.load import load
from fcconv_bench import networks, peaks, scans
from fcconv_bench.crops import Scene, random_image
from fcconv_bench.passes import Picture


def test_multiplications_are_those_of_the_layers() -> None:
    # 8 channels of 13x13 from 9 terms, 16 of 4x4 from 72, 128 of one pixel from 64, 113 from 128
    expected = 8 * 9 * 13**2 + 16 * 72 * 4**2 + 128 * 64 + 113 * 128
    assert networks.multiplications(load(networks.bailer()), (1, 1, 15, 15)) == expected


def test_crops_take_the_multiplications_of_the_patch_network_at_any_stride() -> None:
    # a pass of stride 1 computes what pools skip, and a crop does not
    patch = networks.multiplications(load(networks.colour()), (1, 3, 32, 32))
    for stride in (1, 4):
        sliding = fcconv.convolutionize(networks.colour(), stride=stride)
        scene = Scene(sliding, random_image(3, 40))
        assert scene.crops_multiplications() == patch * scene.windows


def test_every_pixel_is_scored() -> None:
    image = scans.Image(scans.EVERY_PIXEL, networks.bailer, (20 + 14, 30 + 14), 1)
    assert image.scene().windows == 600
    assert image.prepare(scans.SCAN, "numpy").call().scores.shape == (113, 20, 30)
    products = image.prepare(scans.PLAIN, "numpy").call()
    assert products[-1].shape == (113, 600)


def test_the_tiff_is_what_is_scanned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    image = scans.Image(scans.FILE, networks.colour, (600, 600), 4)
    assert image.prepare(scans.PLAIN, "numpy").call().shape == (600, 600, 3)
    found = image.prepare(scans.SCAN, "numpy").call()
    assert found.tiles > 1
    expected = fcconv.scan(networks.colour(), image.tiff(), engine="numpy")
    np.testing.assert_array_equal(found.scores[:], expected.scores)


@pytest.mark.parametrize("name", peaks.MAPS)
@pytest.mark.parametrize("cells", [(40, 30), (200,), (9, 8, 7)])
def test_peaks_are_timed_on_maps_half_of_which_reach_the_threshold(
    name: str, cells: tuple[int, ...]
) -> None:
    case = peaks.Scores(name, cells, 16, 0.3)
    scan = case.scan()
    assert (scan.scores >= 0.5).mean() > 0.4
    assert len(case.prepare(peaks.SEARCH, "numpy").call()) == len(scan.peaks("score", 0.5)) > 0


@pytest.mark.parametrize("group", scans.WRITTEN)
def test_the_command_writes_what_it_is_timed_with(
    group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    image = scans.Image(group, networks.grey, (100, 100), 24)
    image.prepare(scans.SCAN, "onnxruntime").call()
    files = {path.name for path in tmp_path.iterdir()}
    assert ("command.zarr" in files) == ("scores" in scans.WRITTEN[group])
    drawn = {"peaks.csv", "heat.png", "page.html"}
    assert (drawn & files == drawn) == ("files" in scans.WRITTEN[group])
    found = image.prepare(scans.PLAIN, "onnxruntime").call()
    if "command.zarr" in files:
        again = fcconv.scan(
            networks.grey(), image.tiff(), stride=24, engine="onnxruntime",
            out=tmp_path / "command.zarr", existing="resume",
        )  # fmt: skip
        assert again.computed == 0
        np.testing.assert_array_equal(again.scores[:], found.scores[:])


def test_a_command_that_fails_is_not_timed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="exit code 2"):
        scans.command(str(tmp_path / "none.onnx"), str(tmp_path / "none.tif"))


def test_exact_windows_are_those_of_a_plain_loop() -> None:
    image = scans.Image(scans.CUT_OUT, networks.padded, (300, 300), 100)
    loop = image.prepare(scans.PLAIN, "numpy").call()
    found = image.prepare(scans.SCAN, "numpy").call()
    assert found.scores[0].size == 9
    np.testing.assert_array_equal(found.scores, loop.T.reshape(found.scores.shape))


def test_crops_of_a_part_count_in_proportion() -> None:
    case = Picture(networks.colour, 32, 3, 256, 4)
    prepared = case.prepare("crops", "numpy")
    assert prepared.facts.calls == case.scene().windows / 1024
    assert prepared.call()[0][0].size == 1024
