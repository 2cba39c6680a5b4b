"""Windows that contain a pixel without a value have no score; all others are scored as ever."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

import fcconv
from comparing import assert_identical
from fcconv.cli import app
from fcconv.errors import ArgumentError, ImageError
from fcconv.graph.engines.compiling import Engine
from fcconv.images.missing import are_finite, without_value
from fcconv.images.scales import resized
from fcconv.scanning.cutting import planned
from fcconv.scanning.job import make_job
from fcconv.scanning.network import as_network
from graphs import Graph
from regions import opened
from scan_cases import Array, Recording, cut_into, integer_network, of_crops, picture, small_network
from strategies import seeds

BAD = {"NaN": np.nan, "infinite": -np.inf, "nodata": -9999.0}


def spoilt(image: Array, places: Any, bad: float) -> Array:
    """Put a number into some pixels: into one channel what is not finite, nodata into all."""
    made = image.copy()
    for row, column in places:
        channels = slice(None) if math.isfinite(bad) else row % len(image)
        made[channels, row % image.shape[1], column % image.shape[2]] = bad
    return made


def with_bad_pixels(scan: fcconv.Scan, image: Array) -> Array:
    """Look through the windows one by one."""
    bad = (~np.isfinite(image)).any(axis=0) | (image == BAD["nodata"]).all(axis=0)
    found = np.zeros(scan.cells, bool)
    for cell in np.ndindex(*scan.cells):
        found[cell] = bad[scan.box(*cell)].any()
    return found


@given(
    places=st.lists(st.tuples(seeds, seeds), min_size=1, max_size=4),
    kind=st.sampled_from([*BAD]),
    other=st.floats(-99, 99, width=32),
    tiles=st.integers(1, 9),
    stride=st.sampled_from([1, 2, 3, 7, 11]),
    windows=st.sampled_from(["shared", "exact", "crops"]),
)
def test_windows_with_a_missing_pixel_have_no_score(
    places: Any, kind: str, other: float, tiles: int, stride: int, windows: str
) -> None:
    image = picture()
    rng = np.random.default_rng(0)
    image += rng.random(image.shape, np.float32)  # so that scores have bits to lose
    given_image = spoilt(image, places, BAD[kind])
    arguments: dict[str, Any] = {"stride": stride, "engine": "numpy", "windows": windows}
    preparation = fcconv.Preparation(nodata=BAD["nodata"], mean=(0.5,))
    before = given_image.copy()
    with cut_into(tiles):
        found = fcconv.scan(small_network(), given_image, preparation=preparation, **arguments)
        filled = np.where((given_image == image).all(axis=0), image, np.float32(other))
        whole = fcconv.scan(small_network(), filled, preparation=preparation, **arguments)
    assert_identical(given_image, before, "the image is not changed")
    without = with_bad_pixels(found, given_image)
    assert found.unscored == without.sum()
    assert_identical(np.isnan(found.scores), np.broadcast_to(without, found.scores.shape), places)
    assert_identical(found.scores[:, ~without], whole.scores[:, ~without], (places, kind))


@pytest.mark.parametrize("windows", ["shared", "exact", "crops"])
def test_padded_networks_read_zeros_where_there_is_no_value(windows: str) -> None:
    network, image = small_network(pad=1), picture()
    preparation = fcconv.Preparation(mean=(3,))
    holes = spoilt(image, [(11, 14), (3, 30)], np.nan)
    arguments: dict[str, Any] = {"windows": windows, "engine": "numpy"}
    found = fcconv.scan(network, holes, preparation=preparation, **arguments)
    filled = np.where(np.isnan(holes).any(axis=0), np.float32(3), image)  # zeros, once prepared
    whole = fcconv.scan(network, filled, preparation=preparation, **arguments)
    without = with_bad_pixels(found, holes)
    assert 0 < found.unscored == without.sum() < without.size
    assert np.isnan(found.scores[:, without]).all()
    assert_identical(found.scores[:, ~without], whole.scores[:, ~without], windows)


def test_which_pixels_have_no_value() -> None:
    image = np.array([[0, 0, 5, np.nan, -np.inf], [0, 7, 0, 1, 1]], np.float32)
    for nodata, expected in ((0.0, [1, 0, 0, 1, 1]), (None, [0, 0, 0, 1, 1])):
        found = without_value(image, nodata)
        assert found is not None
        assert found.tolist() == [bool(n) for n in expected]
    # numbers as a file writes them, and such as the dtype does not hold
    lowest = np.full((1, 2), np.finfo(np.float32).min)
    assert np.all(without_value(lowest, -3.4028234663852886e38))
    for nodata in (-9999.0, 255.5, 1e300, np.nan):
        assert without_value(np.zeros((1, 2), np.uint8), nodata) is None
    assert without_value(np.zeros((1, 2), np.uint8), 0.0) is not None


@pytest.mark.parametrize(
    ("dtype", "largest"),
    [(np.float16, 6e4), (np.float32, 3e38), (np.float64, 1e308), (ml_dtypes.bfloat16, 3e38)],
)
def test_one_entry_that_is_not_finite_is_found(dtype: Any, largest: float) -> None:
    for filled in (0, 1, largest, -largest):  # of which sums overflow
        pixels = np.full((3, 20, 30), filled, dtype)
        assert are_finite(pixels)
        for bad in ([np.nan], [np.inf], [-np.inf], [np.inf, -np.inf]):
            pixels[1, 2, : len(bad)] = bad
            assert not are_finite(pixels)
    assert are_finite(np.full((3, 4), 255, np.uint8))


def test_what_a_file_says_holds_until_told_otherwise(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(1, 255, (2, 27, 33)).astype(np.uint8)
    pixels[:, 13, 14] = 0
    image = opened(pixels)
    object.__setattr__(image.stored, "nodata", 0.0)
    for nodata, expected in ((None, True), (math.nan, False), (300.0, False)):
        preparation = fcconv.Preparation(nodata=nodata)
        found = fcconv.scan(small_network(), image, preparation=preparation, engine="numpy")
        assert bool(found.unscored) == expected
        assert ("nodata 0 left out" in found.preparation) == expected


@pytest.mark.parametrize("suffix", [".zarr", ".npy"])
def test_a_resumed_scan_counts_all_windows_without_a_score(suffix: str, tmp_path: Path) -> None:
    image = spoilt(picture(), [(0, 0), (26, 32)], np.nan)
    arguments: dict[str, Any] = {"engine": "numpy", "out": tmp_path / f"out{suffix}"}

    def stop(progress: Any) -> None:
        if progress.tiles == 3:
            raise KeyboardInterrupt

    with cut_into(9):
        with pytest.raises(KeyboardInterrupt):
            fcconv.scan(small_network(), image, progress=stop, **arguments)
        found = fcconv.scan(small_network(), image, existing="resume", **arguments)
        again = fcconv.scan(small_network(), image, existing="resume", **arguments)
    assert 0 < found.computed < found.tiles
    assert again.computed == 0
    count = with_bad_pixels(found, image).sum()
    assert count == found.unscored == again.unscored == np.isnan(found.scores[0]).sum()


def test_integers_can_not_say_that_there_is_no_score() -> None:
    network, image = integer_network(), picture()
    assert fcconv.scan(network, image, engine="numpy").scores.dtype == np.int32
    with pytest.raises(ImageError, match="output 'whole' are int32, which has no NaN"):
        fcconv.scan(network, spoilt(image, [(5, 5)], np.nan), engine="numpy")


@pytest.mark.parametrize("scale", [0.3, 0.5, 1.0, 1.7, 2.0])
def test_resized_pixels_that_cover_a_missing_one_are_missing(scale: float) -> None:
    pixels = np.random.default_rng(1).random((2, 60, 50), np.float32)
    holes = spoilt(pixels, [(31, 20), (0, 49)], np.nan)
    image = resized(opened(holes), scale)
    region = tuple(slice(0, n) for n in image.size)
    made, missing = image.read_valid(region, None)
    assert missing is not None
    # a pixel is missing if it changes with what stands in the holes
    filled = [np.where(np.isnan(holes).any(axis=0), n, pixels) for n in (0, 1e6)]
    one, two = (
        resized(opened(x.astype(np.float32)), scale).read_valid(region, None)[0] for x in filled
    )
    assert_identical(missing, (one != two).any(axis=0), scale)
    assert_identical(made[:, ~missing], one[:, ~missing], scale)


# Exact windows ------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [(9, 30), (5, 11), (20, 20)])
@pytest.mark.parametrize("tiles", [1, 2, 4])
@pytest.mark.parametrize("windows", ["exact", "crops"])
def test_gaps_between_windows_are_not_read(
    stride: tuple[int, int], tiles: int, windows: str
) -> None:
    network = small_network(pad=1)
    pixels = np.random.default_rng(0).integers(-9, 9, (2, 47, 71)).astype(np.float32)
    image = Recording(pixels)
    arguments: dict[str, Any] = {"stride": stride, "windows": windows, "engine": "numpy"}
    with cut_into(tiles):
        found = fcconv.scan(network, image, **arguments)
    assert_identical(found.scores, of_crops(network, pixels, found)[0], stride)
    rows, columns = (
        min(n, (cells - 1) * step + k) if step <= k else cells * k
        for n, cells, step, k in zip(found.size, found.cells, stride, found.window, strict=True)
    )
    slack = 2 if tiles > 1 else 1  # tiles read some pixels again
    assert sum(image.reads) <= slack * 2 * rows * columns + 2 * rows * max(stride)


@pytest.mark.parametrize("engine", ["numpy", "onnxruntime", "jax"])
@pytest.mark.parametrize("side", [40, 300])
@pytest.mark.parametrize("stride", [1, 2, 8, 16, 40])
def test_tiles_of_crops_hold_many_windows_within_their_memory(
    stride: int, side: int, engine: str
) -> None:
    image = np.zeros((2, side, side), np.float32)
    sliding = as_network(small_network(pad=1), stride)
    job = make_job(sliding, image, windows="crops")
    cut, batch = planned(job, 512 * 10**6, engine)
    windows = math.prod(cut.kept)
    assert windows >= min(math.prod(cut.cells), 16)
    assert 1 <= batch <= min(windows, 256)
    assert -(-windows // batch) * batch - windows < -(-windows // batch)  # batches of one size
    with pytest.raises(ArgumentError, match="not even the smallest tile"):
        planned(job, 1000, engine)


@pytest.mark.parametrize("engine", ["numpy", "jax", "onnxruntime"])
def test_batches_are_filled_only_for_those_who_compile(
    monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    network = small_network(pad=1)
    image = picture()
    sliding = fcconv.convolutionize(network)
    kind, sizes = type(sliding.compiled(Engine(engine), patch=True)), []
    compute = kind.__call__

    def noting(compiled: fcconv.Compiled, crops: Any) -> Any:
        sizes.append(len(crops))
        return compute(compiled, crops)

    monkeypatch.setattr(kind, "__call__", noting)
    with cut_into(1, batch=100):
        found = fcconv.scan(sliding, image, windows="crops", engine=engine)
    assert found.cells == (11, 13)
    assert sizes == ([100, 64] if engine == "jax" else [100, 43])
    assert_identical(found.scores, of_crops(network, image, found)[0], engine)


def test_networks_of_a_fixed_batch_score_crops() -> None:
    network = small_network(pad=1)
    expected = fcconv.scan(network, picture(), windows="crops", engine="numpy").scores
    for value in (network.graph.input[0], network.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 5
    for engine in ("numpy", "onnxruntime"):
        found = fcconv.scan(network, picture(), windows="crops", engine=engine)
        assert_identical(found.scores, expected, engine)


# The command line ---------------------------------------------------------------------------------


def test_the_command_line_counts_windows_without_a_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.full((2, 27, 33), 7, np.uint8)
    pixels[:, 13, 14] = 9
    onnx.save(small_network(), tmp_path / "model.onnx")
    tifffile.imwrite(tmp_path / "image.tif", pixels, photometric="minisblack")
    words = ["scan", str(tmp_path / "model.onnx"), str(tmp_path / "image.tif"), "--layout", "CHW"]
    words += ["--engine", "numpy", "--nodata", "9"]
    assert app.run([*words, "--json"]) == 0
    (facts,) = json.loads(capsys.readouterr().out)["scans"]
    count = facts["unscored"]
    expected = np.zeros(facts["cells"], bool)
    for i, j in np.ndindex(*expected.shape):
        expected[i, j] = 2 * i <= 13 < 2 * i + 7 and 2 * j <= 14 < 2 * j + 8
    assert count == expected.sum()
    assert app.run(words) == 0
    printed = capsys.readouterr().out
    assert f"{count} windows, in which pixels have no value" in printed
    assert "nodata 9 left out" in printed


@pytest.mark.parametrize("suffix", [None, ".zarr"])
def test_a_nan_that_the_network_makes_in_one_class_is_not_a_window_without_a_score(
    suffix: str | None, tmp_path: Path
) -> None:
    graph = Graph(2, 3, 3)
    x = graph.add("Flatten", "image")
    x = graph.add("MatMul", x, graph.array(np.eye(18)[:, [4, 13]]))  # the pixels in the middle
    x = graph.add("Sqrt", x)
    image = np.ones((2, 27, 33), np.float32)
    image[0, 9, 9], image[0, 20, 20] = np.nan, -1  # whose root only the first class asks for
    given: dict[str, Any] = {"out": suffix and tmp_path / f"x{suffix}", "existing": "resume"}
    given |= {"network": graph.model(x), "image": image, "engine": "numpy"}
    first, again = fcconv.scan(**given), fcconv.scan(**given)
    assert np.isnan(first.scores[...]).sum(axis=(1, 2)).tolist() == [10, 9]
    assert first.unscored == again.unscored == 9
