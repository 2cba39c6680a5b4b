"""TIFF of every kind, read by region, holds what the whole one holds; broken ones say so."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tifffile

from fcconv.errors import BackendError, ImageError
from fcconv.images import stored
from regions import HWC, RGB, check_regions, opened, tampered, whole

write_tiff: Any = tifffile.imwrite  # typed in part

TIFFS: dict[str, dict[str, Any]] = {
    "plain": {"photometric": "rgb"},
    "strips": {"photometric": "rgb", "compression": "zlib", "rowsperstrip": 16, "predictor": True},
    "tiles": {"photometric": "rgb", "compression": "zlib", "tile": (32, 32)},
    "big": {"photometric": "rgb", "tile": (16, 32), "bigtiff": True},
    "other byte order": {"photometric": "rgb", "byteorder": ">"},
}


@pytest.mark.parametrize("kind", TIFFS)
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_tiff(kind: str, dtype: str, tmp_path: Path) -> None:
    options = dict(TIFFS[kind])
    if dtype == "f4":
        options.pop("predictor", None)  # tifffile needs imagecodecs for that of floats
    pixels = (RGB.astype(dtype) * 200).astype(dtype) if dtype != "u1" else RGB
    write_tiff(tmp_path / "a.tif", pixels.transpose(1, 2, 0), **options)
    check_regions(opened(tmp_path / "a.tif"), pixels)


def test_axes_of_a_tiff(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    planes: dict[str, Any] = {"photometric": "rgb", "planarconfig": "separate", "tile": (32, 32)}
    write_tiff(path, RGB, **planes)
    check_regions(opened(path), RGB)
    write_tiff(path, RGB[0, :1])
    check_regions(opened(path), RGB[:1, :1])
    check_regions(opened(path, 1), RGB[0, :1])
    write_tiff(path, RGB[0])
    check_regions(opened(path, layout="WH"), RGB[:1].transpose(0, 2, 1))
    ome = tmp_path / "a.ome.tif"
    write_tiff(ome, np.stack([RGB, RGB[::-1]]), metadata={"axes": "ZCYX"})
    check_regions(opened(ome, 3), np.stack([RGB, RGB[::-1]], axis=1))
    with pytest.raises(ImageError, match="axis D of 2"):
        opened(ome)
    write_tiff(path, RGB, photometric="minisblack")
    with pytest.raises(ImageError, match=r"axis Q of 3; .* layout"):
        opened(path)
    check_regions(opened(path, layout="CHW"), RGB)


def test_a_tiff_is_read_by_tile(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_tiff(path, HWC, tile=(32, 32), photometric="rgb", compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        page: Any = tiff.pages[0]
        start, length = page.dataoffsets[4], page.databytecounts[4]  # rows 32:64, columns 32:64
    image = opened(tampered(path, "broken.tif", start, length))
    region = (slice(0, 32), slice(0, 70))
    np.testing.assert_array_equal(image.read(region), RGB[:, :32])
    with pytest.raises(ImageError, match=r"broken\.tif .* region \[30:40, 30:40\]"):
        image.read((slice(30, 40), slice(30, 40)))


def test_overviews_are_read_from_a_pyramid(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    options: dict[str, Any] = {"photometric": "rgb", "tile": (16, 16), "compression": "zlib"}
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        writer.write(HWC, subifds=2, **options)
        writer.write(255 - HWC[::2, ::2], subfiletype=1, **options)
        writer.write(HWC[::4, ::4], subfiletype=1, **options)
    image = opened(path)
    np.testing.assert_array_equal(whole(image), RGB)
    for most, expected in [
        (200, RGB), (90, RGB), (89, 255 - RGB[:, ::2, ::2]), (46, 255 - RGB[:, ::2, ::2]),
        (45, RGB[:, ::4, ::4]), (23, RGB[:, ::4, ::4]), (10, RGB[:, ::12, ::12]),
    ]:  # fmt: skip
        np.testing.assert_array_equal(image.overview(most), expected)


def test_what_a_tiff_can_not_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    for options in ({}, {"compression": "zlib"}, {"tile": (32, 32)}):
        write_tiff(path, HWC, photometric="rgb", **options)
        cut = tampered(path, "cut.tif", path.stat().st_size - 2000)
        with pytest.raises(ImageError, match=r"cut\.tif is cut off"):
            opened(cut)
    for start in (0, 6, 100):
        with pytest.raises(ImageError, match=r"cut\.tif"):
            opened(tampered(path, "cut.tif", start))
    write_tiff(path, HWC, photometric="rgb", compression="zlib")
    monkeypatch.setattr(stored, "MOST_CHUNK", HWC.nbytes - 1)
    with pytest.raises(ImageError, match=f"{HWC.nbytes} bytes.*convert it to tiles"):
        opened(path)
    write_tiff(path, HWC, photometric="rgb")
    check_regions(opened(path), RGB)


def test_a_tiff_that_does_not_tell_where_all_is(tmp_path: Path) -> None:
    path, length, width = tmp_path / "a.tif", 257, 256
    cases: list[tuple[dict[str, Any], int, int]] = [
        ({"rowsperstrip": 8}, length, 50),
        ({"tile": (16, 16)}, width, 100),
    ]
    for options, tag, parts in cases:
        pixels = np.ones((32, 32), np.uint8)
        write_tiff(path, pixels, compression="zlib", metadata=None, **options)
        check_regions(opened(path), pixels[np.newaxis])
        with tifffile.TiffFile(path, mode="r+") as tiff:
            tiff.pages.first.tags[tag].overwrite(400 if tag == length else 800)
        with pytest.raises(ImageError, match=rf"where 4 of the {parts} strips or tiles"):
            opened(path)


def test_a_tiff_whose_codec_may_be_missing(tmp_path: Path) -> None:
    PIL.Image.fromarray(HWC).save(tmp_path / "a.tif", compression="tiff_lzw")
    if importlib.util.find_spec("imagecodecs"):
        check_regions(opened(tmp_path / "a.tif"), RGB)
        return
    with pytest.raises(BackendError, match=r"a\.tif .*LZW.* 'imagecodecs' package: install it"):
        opened(tmp_path / "a.tif")


def test_opacity_of_a_tiff_is_full_where_it_is_read(tmp_path: Path) -> None:
    rgba = np.dstack([HWC, np.full_like(HWC[..., 0], 255)])
    rgba[80, 60, 3] = 254
    options: dict[str, Any] = {
        "photometric": "rgb",
        "extrasamples": ["unassalpha"],
        "tile": (16, 16),
    }
    write_tiff(tmp_path / "a.tif", rgba, **options)
    image = opened(tmp_path / "a.tif")
    assert image.channels == 3
    np.testing.assert_array_equal(image.read((slice(0, 80), slice(0, 70))), RGB[:, :80])
    with pytest.raises(ImageError, match=r"transparent .* region \[70:90, 0:70\]"):
        image.read((slice(70, 90), slice(0, 70)))
