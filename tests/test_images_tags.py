"""What a file says of its pixels is believed: bits, orientation, colours, no data, axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import tifffile

from fcconv.errors import ImageError
from fcconv.images.image import Image
from fcconv.images.preparation import Preparation
from fcconv.images.scales import Resized, resized
from regions import HWC, RGB, check_regions, opened, whole
from tiff_files import write_aperio

write_tiff: Any = tifffile.imwrite  # typed in part


def scaled(image: Image | Resized) -> np.ndarray:
    """Return pixels as a network sees them by default."""
    steps = Preparation().resolved(image.dtype, image.bits)
    pixels, _ = image.read_valid(tuple(slice(0, n) for n in image.size), None)
    return steps.prepared(pixels, np.float32)


def ramp(bits: int) -> np.ndarray:
    """Return every value that so many bits hold, or some of them."""
    values = np.linspace(0, 2**bits - 1, 16 * 16).round().reshape(16, 16)
    return values.astype(np.uint8 if bits <= 8 else np.uint16)


def expected(pixels: np.ndarray, most: int) -> np.ndarray:
    return pixels.astype(np.float32)[np.newaxis] * np.float32(1 / most)


# Bits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 6, 8, 10, 12, 14, 16])
def test_white_is_1_for_any_bits_of_a_tiff(bits: int, tiled: bool, tmp_path: Path) -> None:
    path, pixels = tmp_path / "a.tif", ramp(bits)
    options: dict[str, Any] = {"tile": (16, 16)} if tiled else {}
    given = pixels.astype(bool) if bits == 1 else pixels
    write_tiff(path, given, bitspersample=bits, photometric="minisblack", **options)
    image = opened(path)
    made = scaled(image)
    np.testing.assert_array_equal(made, expected(pixels, 2**bits - 1))
    assert (made.min(), made.max()) == (0, 1)
    assert scaled(resized(image, 2.0)).max() == 1


def test_bits_of_an_opaque_tiff_and_of_signed_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    rgba = np.dstack([ramp(12)] * 3 + [np.full_like(ramp(12), 4095)])
    options: dict[str, Any] = {"photometric": "rgb", "extrasamples": ["unassalpha"]}
    write_tiff(path, rgba, bitspersample=12, **options)
    np.testing.assert_array_equal(scaled(opened(path)), np.repeat(expected(ramp(12), 4095), 3, 0))
    write_tiff(path, ramp(8).astype(np.int16) - 100)
    with pytest.raises(ImageError, match="int16, whose range is not known: give scale"):
        scaled(opened(path))


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("most", [1, 15, 100, 255, 1023, 4095, 65535])
def test_white_is_1_for_any_maxval_of_a_pgm(most: int, plain: bool, tmp_path: Path) -> None:
    pixels = np.linspace(0, most, 256).round().reshape(16, 16).astype(np.uint16)
    stored = pixels.astype(">u2" if most > 255 else "u1").tobytes()
    if plain:
        stored = " ".join(map(str, pixels.ravel())).encode()
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P%d 16 16 %d\n" % (2 if plain else 5, most) + stored)
    made = scaled(opened(path))
    assert (made.min(), made.max()) == (0, 1)
    step = 0.5 / (255 if most <= 255 else 65535)  # Pillow rounds to 8 or 16 bits
    assert np.abs(made[0] - pixels / most).max() <= step * (1 + 1e-4)


def test_a_ppm_of_which_pillow_would_drop_bits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ppm"
    for most in (1023, 65535):
        path.write_bytes(b"P6 2 1 %d\n" % most + bytes(12))
        with pytest.raises(ImageError, match="16 bits a colour, of which Pillow reads 8"):
            opened(path)
    path.write_bytes(b"P6 2 1 255\n" + bytes([0, 1, 2, 253, 254, 255]))
    np.testing.assert_array_equal(whole(opened(path))[:, 0], [[0, 253], [1, 254], [2, 255]])


@pytest.mark.parametrize("bits", [4, 7, 8, 10, 12, 16])
def test_white_is_1_for_any_bits_of_a_jpeg_2000(bits: int, tmp_path: Path) -> None:
    path, pixels = tmp_path / "a.jp2", ramp(bits)
    path.write_bytes(imagecodecs.jpeg2k_encode(pixels, bitspersample=bits, level=0))
    np.testing.assert_array_equal(scaled(opened(path)), expected(pixels, 2**bits - 1))


def test_colours_of_a_jpeg_2000(tmp_path: Path) -> None:
    path, pixels = tmp_path / "a.jp2", np.dstack([ramp(4), ramp(4)[::-1], ramp(4).T])
    path.write_bytes(imagecodecs.jpeg2k_encode(pixels, bitspersample=4, level=0))
    planes = pixels.transpose(2, 0, 1).astype(np.float32)
    np.testing.assert_array_equal(scaled(opened(path)), planes * np.float32(1 / 15))
    deep = np.dstack([ramp(12)] * 3)
    path.write_bytes(imagecodecs.jpeg2k_encode(deep, bitspersample=12, level=0))
    with pytest.raises(ImageError, match="12 bits a colour"):
        opened(path)
    signed = ramp(8).astype(np.int16)
    path.write_bytes(imagecodecs.jpeg2k_encode(signed, level=0))
    with pytest.raises(ImageError, match="signed pixels"):
        opened(path)


# Orientation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_a_tiff(orientation: int, tiled: bool, tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[274] = orientation
    PIL.Image.fromarray(HWC).save(tmp_path / "a.png", exif=exif)
    with PIL.Image.open(tmp_path / "a.png") as picture:
        turned = np.asarray(PIL.ImageOps.exif_transpose(picture)).transpose(2, 0, 1)
    path = tmp_path / "a.tif"
    options: dict[str, Any] = {"tile": (32, 32), "compression": "zlib"} if tiled else {}
    tags = [(274, 3, 1, orientation, True)]
    write_tiff(path, HWC, photometric="rgb", extratags=tags, **options)
    image = opened(path)
    check_regions(image, turned)
    assert bool(image.notes) == (orientation != 1)
    planes = {"photometric": "rgb", "planarconfig": "separate"}
    write_tiff(path, RGB, extratags=tags, **planes, **options)
    check_regions(opened(path), turned)


# Colours and no data ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ycbcr", "rgb"])
def test_aperio_jpeg_2000_is_rgb(name: str, tmp_path: Path) -> None:
    rows, columns = np.mgrid[:64, :64].astype(np.uint8)
    rgb = np.dstack([columns * 4, rows * 4, 255 - columns * 2])
    path = tmp_path / "a.svs"
    if name == "rgb":
        write_aperio(path, rgb, compression=33005)
        check_regions(opened(path), rgb.transpose(2, 0, 1))
        return
    y, cb, cr = (
        plane.astype(float)
        for plane in np.dstack([rows * 3 + 20, columns + 90, 160 - rows]).transpose(2, 0, 1)
    )
    write_aperio(path, np.dstack([y, cb, cr]).astype(np.uint8), compression=33003)
    # Recommendation ITU-T T.871, section 7
    red = y + 1.402 * (cr - 128)
    green = y - (0.114 * 1.772 * (cb - 128) + 0.299 * 1.402 * (cr - 128)) / 0.587
    blue = y + 1.772 * (cb - 128)
    exact = np.stack([red, green, blue]).clip(0, 255)
    assert np.abs(whole(opened(path)) - exact).max() <= 1  # in 8-bit integers


@pytest.mark.parametrize(
    ("text", "value"), [("-9999", -9999), ("0", 0), ("1.5e3 ", 1500), ("nan", np.nan), ("x", None)]
)
def test_no_data_of_gdal(text: str, value: float | None, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_tiff(path, RGB[0])
    assert opened(path).stored.nodata is None
    write_tiff(path, RGB[0], extratags=[(42113, 2, 0, text, True)])
    np.testing.assert_equal(opened(path).stored.nodata, value)


def test_a_fourth_band_is_opacity_only_where_the_file_says_so(tmp_path: Path) -> None:
    path, bands = tmp_path / "a.tif", np.dstack([HWC, HWC[..., :1]])
    write_tiff(path, bands, photometric="rgb", extrasamples=["unspecified"])
    check_regions(opened(path), bands.transpose(2, 0, 1))
    write_tiff(path, bands, photometric="rgb", extrasamples=["unassalpha"])
    with pytest.raises(ImageError, match=r"layout='HWC' .* counts it as a channel"):
        whole(opened(path))
    check_regions(opened(path, layout="HWC"), bands.transpose(2, 0, 1))
