"""What the benchmarks of scans measure, in small."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import tifffile

import fcconv
from fcconv.graph.files.load import load
from fcconv_bench import networks, scans
from fcconv_bench import peaks as after
from fcconv_bench.crops import Scene, random_image


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
    assert Scene(*scans.all_pixels((20, 30))).windows == 600
    assert min(scans.all_pixels_seconds("numpy", (20, 30))) > 0
    assert scans.all_pixels_memory("numpy", (20, 30)) >= 0


def test_tiles_and_whole_are_timed() -> None:
    tiles, cut, whole = scans.tiling("numpy", 96)
    assert tiles == 1
    assert min(cut, whole) > 0


def test_the_tiff_is_what_is_scanned(tmp_path: Path) -> None:
    path, out = tmp_path / "image.tif", tmp_path / "scores.zarr"
    scans.write_tiff(path, 600)
    assert tifffile.imread(path).shape == (600, 600, 3)
    seconds, megabytes, tiles = scans.memory("numpy", str(path), str(out))
    assert seconds > 0
    assert megabytes > 50  # the interpreter and NumPy alone
    expected = fcconv.scan(networks.colour(), path, engine="numpy")
    resumed = fcconv.scan(networks.colour(), path, engine="numpy", out=out, existing="resume")
    assert (tiles, 0) == (resumed.tiles, resumed.computed)
    np.testing.assert_array_equal(resumed.scores[:], expected.scores)
    assert math.prod(expected.cells) == expected.scores[0].size


@pytest.mark.parametrize("name", after.MAPS)
@pytest.mark.parametrize("cells", [(40, 30), (200,), (9, 8, 7)])
def test_peaks_are_timed_on_maps_half_of_which_reach_the_threshold(
    name: str, cells: tuple[int, ...]
) -> None:
    scan = after.scan_of(name, cells, 16)
    assert (scan.scores >= 0.5).mean() > 0.4
    count, seconds, taken = after.peaks(name, cells, 16, 0.3)
    assert count == len(scan.peaks("score", 0.5)) > 0
    assert seconds > 0
    assert taken is None or taken >= 0


@pytest.mark.parametrize("files", [False, True])
def test_the_whole_command_is_timed(files: bool) -> None:
    whole, scored = after.whole_command("numpy", 600, files)
    assert 0 < scored < whole


@pytest.mark.parametrize("out", [False, True])
def test_many_classes_are_timed(out: bool) -> None:
    whole, scored = after.classes("numpy", 20, 60, out)
    assert 0 < scored < whole


def test_a_command_that_fails_is_not_timed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="exit code 2"):
        after.command(after.grey(), str(tmp_path / "none.npy"), {})


def test_exact_windows_are_those_of_a_plain_loop() -> None:
    windows, *seconds = scans.exact_windows("numpy", 100, 300)
    assert windows == 9
    assert min(seconds) > 0
    image = np.random.default_rng(0).integers(0, 9, (3, 150, 170)).astype(np.float32)
    network = networks.padded()
    found = fcconv.scan(network, image, stride=64, windows="exact", engine="numpy")
    loop = scans.plain_loop(fcconv.compile(network), image, 64, batch=math.prod(found.cells))
    np.testing.assert_array_equal(found.scores, loop.T.reshape(found.scores.shape))
