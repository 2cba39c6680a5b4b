"""Channels by number and by name: which are read, in which order, and that no other is."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st

import fcconv
from fcconv.cli import app
from fcconv.errors import ImageError
from fcconv.images.channels import find_channels
from fcconv.images.image import Image
from fcconv.images.opening import open_images
from regions import check_regions
from scan_cases import small_network

PIXELS = np.random.default_rng(0).integers(0, 255, (5, 40, 30), dtype=np.uint8)
NAMES = ("blue", "green", "red", "2", "red")


@dataclass
class Recorded:
    """An array that says what was read of it."""

    pixels: Any
    read: list[tuple[slice, ...]] = field(default_factory=list)

    @property
    def shape(self) -> Any:
        return self.pixels.shape

    @property
    def dtype(self) -> Any:
        return self.pixels.dtype

    def __getitem__(self, index: tuple[slice, ...]) -> Any:
        self.read.append(index)
        return self.pixels[index]


def take(source: Any, **choice: Any) -> Image:
    [image], batch = open_images(source, 2, **choice)
    assert not batch
    return image


@given(st.lists(st.integers(1, 5), min_size=1, max_size=7))
def test_channels_are_those_in_this_order_and_no_others_are_read(numbers: list[int]) -> None:
    source = Recorded(PIXELS)
    region = (slice(3, 20), slice(4, 5))
    pixels = take(source, channels=numbers).read(region)
    np.testing.assert_array_equal(pixels, PIXELS[[n - 1 for n in numbers], 3:20, 4:5])
    places = [k for index in source.read for k in range(*index[0].indices(5))]
    assert sorted(places) == sorted({n - 1 for n in numbers})  # each of them once


def test_channels_of_files(tmp_path: Path) -> None:
    hwc = np.ascontiguousarray(PIXELS.transpose(1, 2, 0))
    np.save(tmp_path / "a.npy", PIXELS)
    zarr.create_array(tmp_path / "a.zarr", data=PIXELS, chunks=(2, 16, 16))
    options: dict[str, Any] = {"photometric": "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(tmp_path / "a.tif", hwc, tile=(16, 16), **options)
    np.save(tmp_path / "b.npy", hwc)
    for name, layout in (("a.npy", None), ("a.zarr", None), ("a.tif", "HWC"), ("b.npy", "HWC")):
        image = take(tmp_path / name, layout=layout, channels=("4", 1, np.int64(2)))
        check_regions(image, PIXELS[[3, 0, 1]])
        assert image.name == f"{name}, channels 4,1,2"
        assert image.notes == ("channels 4, 1, 2 of 5",)
        assert (
            image.identity() != take(tmp_path / name, layout=layout, channels=(4, 2, 1)).identity()
        )
    check_regions(take(PIXELS[0], channels=(1, 1, 1)), PIXELS[[0, 0, 0]])


def test_opacity_is_a_channel_that_is_read_where_it_is_named(tmp_path: Path) -> None:
    rgba = np.ascontiguousarray(PIXELS[:4].transpose(1, 2, 0))
    options: dict[str, Any] = {"photometric": "rgb", "extrasamples": ["unassalpha"]}
    tifffile.imwrite(tmp_path / "a.tif", rgba, **options)
    check_regions(take(tmp_path / "a.tif", channels=(4, 3, 2)), PIXELS[[3, 2, 1]])


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ((0,), "has no channel 0: choose by number from 1 (blue), 2 (green), 3 (red), 4 (2), 5"),
        ((6,), "no channel 6"),
        (("nir",), "no channel 'nir'"),
        (("red",), "several channels 'red'"),
        ((1.5,), "no channel 1.5"),
        ((True,), "no channel True"),
        ("red", "needs numbers from 1 on or names"),
        ((), "needs numbers from 1 on or names"),
        (3, "needs numbers from 1 on or names"),
    ],
)
def test_what_is_no_channel_is_refused(asked: Any, complaint: str) -> None:
    with pytest.raises(ImageError) as raised:
        find_channels("scene.tif", asked, 5, NAMES)
    assert complaint in str(raised.value)


def test_a_name_goes_before_a_number() -> None:
    assert find_channels("scene.tif", ("2", 2, "1"), 5, NAMES) == (3, 1, 0)


def test_the_command_line_takes_channels_and_a_scan_remembers_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx.save(small_network(), tmp_path / "model.onnx")
    np.save(tmp_path / "a.npy", PIXELS)
    words = ["scan", *(str(tmp_path / name) for name in ("model.onnx", "a.npy")), "--json"]
    words += ["--out", str(tmp_path / "a.zarr"), "--engine", "numpy"]
    assert app.run([*words, "--channels", "4,6"]) == 2
    assert "no channel '6'" in capsys.readouterr().err
    assert app.run([*words, "--channels", "4,2"]) == 0
    assert "channels 4, 2 of 5" in json.loads(capsys.readouterr().out)["scans"][0]["notes"]
    opened = fcconv.open_scan(tmp_path / "a.zarr", tmp_path / "a.npy")
    assert not any("not known" in note for note in opened.notes)
    np.testing.assert_array_equal(opened.overview(40), PIXELS[[3, 1]])
    scanned = fcconv.scan(str(tmp_path / "model.onnx"), PIXELS[[3, 1]], engine="numpy")
    np.testing.assert_array_equal(opened.scores[:], scanned.scores)
