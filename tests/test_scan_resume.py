"""A scan goes on where it was interrupted, if it is the same: image, network and all."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import zarr

import fcconv
from comparing import assert_identical
from fcconv.errors import ImageError, OutputError
from scan_cases import Array, Recording, memory_for, picture, small_network
from score_files import SUFFIXES, tree
from strategies import integers


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_complete_scan_is_resumed_without_work(suffix: str, tmp_path: Path) -> None:
    network, out = small_network(), tmp_path / f"out{suffix}"
    first = fcconv.scan(network, picture(), engine="numpy", out=out)
    again = fcconv.scan(network, picture(), out=out, existing="resume")
    assert (again.computed, again.engine) == (0, "numpy")
    assert_identical(again.scores[...], first.scores[...], suffix)
    with pytest.raises(OutputError, match="its image is"):
        fcconv.scan(network, picture(seed=1), out=out, existing="resume")


def test_one_pixel_makes_another_image(tmp_path: Path) -> None:
    given: dict[str, Any] = {"network": small_network(), "out": tmp_path / "out.zarr"}
    image = np.zeros((2, 60, 70), np.float32)
    fcconv.scan(image=image, **given)
    image[1, 33, 44] = 1
    with pytest.raises(OutputError, match="its image is"):
        fcconv.scan(image=image, existing="resume", **given)


def other(network: onnx.ModelProto) -> onnx.ModelProto:
    """Change one weight."""
    made = onnx.ModelProto()
    made.CopyFrom(network)
    last = made.graph.initializer[-1]
    weights = onnx.numpy_helper.to_array(last).copy()
    weights.flat[-1] += 1
    last.CopyFrom(onnx.numpy_helper.from_array(weights, last.name))
    return made


CHANGED: dict[str, tuple[dict[str, Any], str]] = {
    "image": ({"image": picture(seed=1)}, "image"),
    "network": (
        {"network": other(small_network())},
        r"network, by a digest of nodes and weights, is [0-9a-f]{12}, now it is [0-9a-f]{12}; "
        r"give the file of the network that began it, or overwrite it \(--overwrite",
    ),
    "stride": ({"stride": 1}, r"stride is \[2, 2\], now it is \[1, 1\]; give the same, or"),
    "engine": ({"engine": "onnxruntime"}, "engine"),
    "preparation": ({"preparation": fcconv.Preparation(scale=2)}, "preparation"),
}


def test_what_differs_is_told_where_it_is_long(tmp_path: Path) -> None:
    np.save(tmp_path / f"{'a' * 100}.npy", picture())
    given: dict[str, Any] = {
        "network": small_network(), "image": tmp_path / f"{'a' * 100}.npy", "layout": "CHW",
        "source_mpp": 1, "out": tmp_path / "out.zarr", "engine": "numpy",
    }  # fmt: skip
    fcconv.scan(**given, mpp=1)
    with pytest.raises(OutputError, match=r"is \.\.\..* times 1\.0'\], now .* times 2\.0'\];"):
        fcconv.scan(**given, mpp=0.5, existing="resume")


@pytest.mark.parametrize("suffix", [".zarr", ".npy"])
@pytest.mark.parametrize("name", CHANGED)
def test_another_run_is_not_gone_on_with(name: str, suffix: str, tmp_path: Path) -> None:
    out, network, image = tmp_path / f"out{suffix}", small_network(), picture()
    given: dict[str, Any] = {"network": network, "image": image, "engine": "numpy", "out": out}
    given["memory"] = memory_for(6, network, image)
    interrupted(given)
    before, (changed, said) = tree(tmp_path), CHANGED[name]
    other: dict[str, Any] = {**given, **changed, "existing": "resume"}
    with pytest.raises(OutputError, match=f"is of another run: its {said}"):
        fcconv.scan(**other)
    with pytest.raises(OutputError, match=r"is there: resume that run .*, or overwrite it"):
        fcconv.scan(**{**given, **changed})
    assert tree(tmp_path) == before
    found = fcconv.scan(**given, existing="resume")
    assert found.computed < found.tiles
    assert_identical(found.scores[...], fcconv.scan(network, image).scores, name)


def test_other_memory_and_labels_go_on_in_the_same_tiles(tmp_path: Path) -> None:
    network, image = small_network(), picture()
    given: dict[str, Any] = {"network": network, "image": image, "engine": "numpy"}
    given |= {"out": tmp_path / "x.zarr", "memory": memory_for(6, network, image)}
    interrupted(given)
    given |= {"memory": "1GB", "labels": ("a", "b")}
    found = fcconv.scan(**given, existing="resume")
    assert 0 < found.computed < found.tiles
    assert_identical(found.scores[...], fcconv.scan(network, image).scores, "resumed")


def interrupted(arguments: dict[str, Any]) -> None:
    """Begin a scan, and interrupt it after two tiles."""

    def stop(done: Any) -> None:
        if done.tiles == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as raised:
        fcconv.scan(**arguments, progress=stop)
    assert "resume" in raised.value.__notes__[0]


@pytest.mark.parametrize("windows", ["shared", "exact", "crops"])
def test_resume_computes_what_is_left(tmp_path: Path, windows: str) -> None:
    network, image = small_network(pad=1), picture()
    given: dict[str, Any] = {"network": network, "image": image, "engine": "numpy"}
    given |= {"out": tmp_path / "x.zarr", "windows": windows}
    given["memory"] = memory_for(9, network, image, windows=windows)
    interrupted(given)
    seen: list[Any] = []
    found = fcconv.scan(**given, existing="resume", progress=seen.append)
    assert found.computed == found.tiles - 2 or found.computed == found.tiles - 3  # one in flight
    assert [done.tiles for done in seen] == [*range(1 + found.tiles)]
    checked = found.tiles - found.computed
    assert all(done.before == done.windows for done in seen[: checked + 1])
    assert {done.before for done in seen[checked:]} == {seen[checked].windows}
    assert {done.all_tiles for done in seen} == {found.tiles}
    assert seen[-1].windows == seen[-1].all_windows == math.prod(found.cells)
    before = tree(tmp_path)
    again = fcconv.scan(**given, existing="resume", progress=seen.append)
    assert again.computed == 0
    assert tree(tmp_path) == before
    assert_identical(again.scores[...], found.scores[...], "complete")
    given["engine"] = "auto"
    auto = fcconv.scan(**given, existing="resume")
    assert (auto.engine, auto.computed) == ("numpy", 0)


def test_finished_tiles_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture()
    image[0, 3, 3] = np.nan
    given: dict[str, Any] = {"network": small_network(), "image": image, "engine": "numpy"}
    given |= {"out": tmp_path / "x.zarr", "memory": memory_for(6, small_network(), image)}
    first, read, reads = fcconv.scan(**given), zarr.Array.__getitem__, []

    def noting(array: Any, index: Any) -> Any:
        reads.append(f"{array.path} {index}")
        return read(array, index)

    monkeypatch.setattr(zarr.Array, "__getitem__", noting)
    again = fcconv.scan(**given, existing="resume")
    assert (again.computed, again.unscored) == (0, first.unscored)
    assert len(reads) == len(set(reads)) == first.tiles


@pytest.mark.parametrize("suffix", [".zarr", ".npy", ".npz"])
def test_tiles_without_a_score_are_finished(tmp_path: Path, suffix: str) -> None:
    image = picture()
    image[:, image.shape[1] // 2 :] = np.nan
    given: dict[str, Any] = {"network": small_network(), "image": image, "engine": "numpy"}
    given |= {"out": tmp_path / f"x{suffix}", "memory": memory_for(9, small_network(), image)}
    found = fcconv.scan(**given)
    assert np.isnan(found.scores[...]).any()
    again = fcconv.scan(**given, existing="resume")
    assert (again.computed, again.unscored) == (0, found.unscored)
    assert_identical(again.scores[...], found.scores[...], suffix)


def test_pixels_too_large_are_named_and_finished_tiles_kept(tmp_path: Path) -> None:
    pixels = integers(0, (2, 90, 110), "float64")
    image = Recording(pixels)
    given: dict[str, Any] = {"network": small_network(), "image": image, "engine": "numpy"}
    given |= {"out": tmp_path / "x.zarr", "memory": memory_for(9, small_network(), pixels)}
    right = pixels[1, 61, 77]
    pixels[1, 61, 77] = 1e300
    with pytest.raises(ImageError, match="holds pixels too large for float32") as raised:
        fcconv.scan(**given)
    place = str(raised.value).partition("region [")[2].partition("]")[0]
    rows, columns = ([int(n) for n in part.split(":")] for part in place.split(", "))
    assert rows[0] <= 61 < rows[1]
    assert columns[0] <= 77 < columns[1]
    assert "The tiles that are finished are kept" in raised.value.__notes__[0]
    kept = tree(tmp_path)
    assert any("/c/" in name for name in kept)
    with pytest.raises(ImageError, match="holds pixels too large for float32"):
        fcconv.scan(**given, existing="resume")
    assert kept.items() <= tree(tmp_path).items()
    pixels[1, 61, 77] = right
    with pytest.raises(OutputError, match="its image is"):  # other pixels, another image
        fcconv.scan(**given, existing="resume")


def test_a_mended_file_is_another_image(tmp_path: Path) -> None:
    path, pixels = tmp_path / "x.npy", picture()
    given: dict[str, Any] = {"network": small_network(), "image": path, "engine": "numpy"}
    given |= {"out": tmp_path / "x.zarr", "memory": memory_for(9, small_network(), pixels)}
    broken: Array = pixels.copy()
    broken[0, 0, 0] = np.nan
    np.save(path, broken)
    assert fcconv.scan(**given).unscored > 0
    np.save(path, pixels)
    with pytest.raises(OutputError, match=r"its image is .* give the same, or overwrite it"):
        fcconv.scan(**given, existing="resume")
