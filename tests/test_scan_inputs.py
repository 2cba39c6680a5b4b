"""What a scan takes: arrays of every library, read by tile, engines; and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array
import jax.numpy as jnp
import numpy as np
import onnx
import PIL.Image
import pytest
import soundfile
import zarr

import fcconv
from comparing import assert_identical
from fcconv.backend import BACKENDS
from fcconv.cli import app
from fcconv.errors import ArgumentError, BackendError, ImageError, UnsupportedError
from fcconv.scanning import engine as engines
from fcconv.scanning.cutting import planned
from fcconv.scanning.job import make_job
from fcconv.scanning.network import as_network
from scan_cases import TYPES, Array, Recording, memory_for, picture, small_network

dask_array: Any = dask.array.from_array  # not typed


# Array-likes ------------------------------------------------------------------------------------


def _mapped(pixels: Array, folder: Path) -> Any:
    np.save(folder / "x.npy", pixels)
    return np.load(folder / "x.npy", "r")


LIKES: dict[str, Callable[[Array, Path], Any]] = {
    "memmap": _mapped,
    "zarr": lambda pixels, folder: zarr.array(pixels, store=folder / "x.zarr", chunks=(1, 9, 9)),
    "dask": lambda pixels, _: dask_array(pixels, chunks=(1, 10, 7)),
    "jax": lambda pixels, _: jnp.asarray(pixels),
    "other": lambda pixels, _: Recording(pixels),
}


@pytest.mark.parametrize("kind", LIKES)
def test_arrays_of_every_library(kind: str, tmp_path: Path) -> None:
    network, pixels = small_network(), picture()
    image = LIKES[kind](pixels, tmp_path)
    memory = memory_for(8, network, pixels)
    found = fcconv.scan(network, image, engine="numpy", memory=memory)
    expected = fcconv.scan(network, pixels, engine="numpy", memory=memory)
    assert found.scores.tobytes() == expected.scores.tobytes()
    assert found.tiles >= 8


@pytest.mark.parametrize("windows", ["shared", "exact", "crops"])
def test_images_are_read_by_tile(windows: str) -> None:
    network, image = small_network(pad=1), Recording(picture())
    memory = memory_for(8, network, image, windows=windows)
    job = make_job(as_network(network, windows=windows), image, windows=windows)
    cut, _ = planned(job, memory, "numpy")
    image.reads.clear()
    fcconv.scan(network, image, engine="numpy", memory=memory, windows=windows)
    tile = 2 * math.prod(cut.pixels)
    assert max(image.reads) == tile < image.pixels.size
    assert image.reads.count(tile) == len(cut)
    assert sum(image.reads) < len(cut) * tile + 1000  # and pixels that tell images apart


# Engines and refusals ---------------------------------------------------------------------------


def test_auto_takes_the_fastest_and_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    network, image = small_network(), picture()
    assert fcconv.scan(network, image).engine == "numpy"  # a moment
    monkeypatch.setattr(engines, "AUTO_ENGINE_SECONDS", 0)
    found = fcconv.scan(network, image)
    assert found.engine in TYPES
    assert_identical(found.scores, fcconv.scan(network, image, engine="numpy").scores, found.engine)


def test_auto_passes_over_engines_that_can_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "AUTO_ENGINE_SECONDS", 0)
    network, image = small_network(dtype="float64"), picture(dtype="float64")
    found = fcconv.scan(network, image)  # onnxruntime convolves no float64
    assert found.engine in BACKENDS
    assert found.scores.dtype == np.float64


def test_engines_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendError, match="unknown engine 'tensorflow': use 'auto', 'numpy'"):
        fcconv.scan(small_network(), picture(), engine="tensorflow")
    monkeypatch.setattr(engines, "is_installed", lambda name: name == "numpy")
    with pytest.raises(BackendError, match="jax is not installed: pip install jax"):
        fcconv.scan(small_network(), picture(), engine="jax")
    monkeypatch.setattr(engines, "AUTO_ENGINE_SECONDS", 0)
    assert fcconv.scan(small_network(), picture()).engine == "numpy"


def test_networks_that_pad_need_a_choice() -> None:
    network = small_network(pad=1)
    with pytest.raises(UnsupportedError) as refused:
        fcconv.scan(network, picture())
    for word in ("Conv", "node0", "windows='shared'", "windows='exact'", "--windows exact"):
        assert word in str(refused.value)
    with pytest.raises(ArgumentError, match="'shared', 'exact' or 'crops', got 'both'"):
        fcconv.scan(network, picture(), windows="both")


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    **{
        f"memory {memory!r:.20}": ({"memory": memory}, ArgumentError, "memory needs an amount")
        for memory in (
            0, -1, "0", "abc", "", "1e999", "nan", None, True, "-2MB", "2 XB", "1" + 300 * "0" + "T"
        )
    },
    "too little memory": ({"memory": "2KB"}, ArgumentError, "not even the smallest tile"),
    "too few pixels": ({"image": np.zeros((2, 6, 99), np.float32)}, ImageError, "smaller than"),
    "other channels": ({"image": np.zeros((3, 20, 20), np.float32)}, ImageError, "3 channels"),
    "no pixels": ({"image": np.zeros((0, 2, 20, 20), np.float32)}, ImageError, "no pixels"),
    "no image": ({"image": 7}, ImageError, "an array or the path"),
    "few labels": ({"labels": ["a"]}, ArgumentError, "needs 2 labels"),
    "equal labels": ({"labels": ["a", "a"]}, ArgumentError, "needs 2 labels"),
    "existing": ({"existing": "append"}, ArgumentError, "existing is 'refuse'"),
    "stride 0": ({"stride": 0}, ArgumentError, "stride"),
    "three strides": ({"stride": (1, 1, 1)}, ArgumentError, "stride"),
    "layout": ({"layout": "QQ"}, ImageError, "layout"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    arguments, error, said = REFUSED[name]
    given: dict[str, Any] = {"image": picture(), "engine": "numpy", **arguments}
    with pytest.raises(error, match=said):
        fcconv.scan(small_network(), **given)


def rows_network() -> onnx.ModelProto:
    """Make a network of dense layers only: 8 numbers in, 3 out."""
    weight = onnx.numpy_helper.from_array(np.ones((8, 3), np.float32), "weight")
    shapes = {"x": ("n", 8), "y": ("n", 3)}
    x, y = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    )
    node = onnx.helper.make_node("MatMul", ["x", "weight"], ["y"])
    graph = onnx.helper.make_graph([node], "dense", [x], [y], [weight])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])


@pytest.mark.parametrize("shape", [(5, 8), (3, 20, 20), (2, 8, 30), (1, 1, 1, 9)])
def test_networks_of_rows_say_so(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError) as refused:
        fcconv.scan(rows_network(), np.zeros(shape, np.float32))
    assert "takes rows of 8 numbers, no channels" in "".join(refused.value.__notes__)
    assert fcconv.scan(rows_network(), np.zeros(20, np.float32)).cells == (13,)


def test_networks_of_rows_say_so_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx.save(rows_network(), tmp_path / "model.onnx")
    PIL.Image.fromarray(np.zeros((20, 30), np.uint8)).save(tmp_path / "image.png")
    assert app.run(["scan", str(tmp_path / "model.onnx"), str(tmp_path / "image.png")]) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert "takes rows of 8 numbers, no channels" in complaint


def test_sound_has_samples_and_channels_to_choose_from(tmp_path: Path) -> None:
    path, sound = tmp_path / "a.wav", np.zeros((50, 2), np.float32)
    soundfile.write(path, sound, 8000, "FLOAT")
    network = small_network(rank=1, layout="none")
    with pytest.raises(ImageError, match=r"has 2 channels, .* reads 1: .*\(--channels 1\)"):
        fcconv.scan(network, path)
    soundfile.write(path, sound[:5, :1], 8000, "FLOAT")
    with pytest.raises(ImageError, match=r"\(5,\) samples is smaller"):
        fcconv.scan(network, path)
    sound[30] = np.nan
    soundfile.write(path, sound[:, :1], 8000, "FLOAT")
    found = fcconv.scan(network, path, engine="numpy")
    windows = [sound[:, 0][found.box(i)] for i in range(*found.cells)]
    assert found.unscored == sum(bool(np.isnan(window).any()) for window in windows) > 0
