"""Scanned pages are what Pillow makes of them: palettes, white as 0, inks, pages of any size."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageCms
import PIL.TiffImagePlugin
import pytest
import tifffile

import fcconv
from fcconv.errors import ImageError
from fcconv.images.image import Image
from fcconv.images.opening import open_images
from graphs import Graph
from inks import cmyk_profile
from regions import HWC, RGB, check_regions, opened, whole

write_tiff: Any = tifffile.imwrite  # typed in part

WAYS: dict[str, dict[str, Any]] = {
    "raw": {},
    "strips": {"compression": "zlib", "rowsperstrip": 16},
    "tiles": {"compression": "zlib", "tile": (32, 32)},
}
INKS = np.random.default_rng(5).integers(0, 256, (90, 70, 4), dtype=np.uint8)


def take(path: Path, **reading: Any) -> Image:
    [image], batch = open_images(path, 2, **reading)
    assert not batch
    return image


def by_pillow(path: Path, mode: str, page: int = 0) -> np.ndarray:
    """Return a page as Pillow decodes it, channels first."""
    with PIL.Image.open(path) as picture:
        picture.seek(page)
        made = np.asarray(picture.convert(mode))
    return made[np.newaxis] if made.ndim == 2 else made.transpose(2, 0, 1)


# White and black --------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("bits", [1, 4, 8, 12, 16])
def test_white_as_0(way: str, bits: int, tmp_path: Path) -> None:
    path, most = tmp_path / "a.tif", 2**bits - 1
    dtype = np.uint8 if bits <= 8 else np.uint16
    pixels = np.linspace(0, most, 90 * 70).round().reshape(90, 70).astype(dtype)
    given = pixels.astype(bool) if bits == 1 else pixels
    options = {k: v for k, v in WAYS[way].items() if k != "compression" or bits in (1, 8, 16)}
    write_tiff(path, given, bitspersample=bits, photometric="miniswhite", **options)
    image = take(path)
    expected = (most - pixels)[np.newaxis].astype(image.dtype)
    check_regions(image, expected)
    assert image.notes == ("0 is white: made black",)
    if bits in (1, 8):
        np.testing.assert_array_equal(whole(image) * (255 // most), by_pillow(path, "L"))
    path.unlink()
    write_tiff(path, pixels, photometric="miniswhite", extratags=[(42113, 2, 0, "3", True)])
    assert take(path).nodata == np.iinfo(dtype).max - 3


@pytest.mark.parametrize("white", [0, 1])
@pytest.mark.parametrize("codec", ["group3", "group4", "packbits", "raw"])
def test_a_fax(codec: str, white: int, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    page = PIL.Image.fromarray(RGB[0] > 99)
    page.save(path, compression=codec, tiffinfo={262: white})
    with tifffile.TiffFile(path) as tiff:
        assert tiff.pages.first.photometric == white
    np.testing.assert_array_equal(by_pillow(path, "L")[0], np.asarray(page.convert("L")))
    check_regions(take(path), (RGB[:1] > 99).astype(np.float32))


# Palettes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_palette(way: str, tmp_path: Path) -> None:
    path, rng = tmp_path / "a.tif", np.random.default_rng(0)
    palette = rng.integers(0, 65536, (3, 256), dtype=np.uint16)
    options = {"photometric": "palette", "colormap": palette, **WAYS[way]}
    write_tiff(path, RGB[0], **options)
    image = take(path)
    colours = (palette >> 8).astype(np.uint8)[:, RGB[0]]
    check_regions(image, colours)
    np.testing.assert_array_equal(colours, by_pillow(path, "RGB"))
    check_regions(take(path, layout="HWN", page=1), colours[1:2])  # green
    write_tiff(path, RGB[0], **{**options, "colormap": palette >> 8})  # in 8 bits, as some do
    check_regions(take(path), colours)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_palette_of_few_colours(bits: int, tmp_path: Path) -> None:
    path, rng = tmp_path / "a.tif", np.random.default_rng(bits)
    numbers = RGB[0] % 2**bits
    palette = rng.integers(0, 65536, (3, 2**bits), dtype=np.uint16)
    given: dict[str, Any] = {"photometric": "minisblack", "bitspersample": bits}
    given["extratags"] = [(320, 3, palette.size, palette.ravel().tolist(), True)]
    write_tiff(path, numbers.astype(bool) if bits == 1 else numbers, **given)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags[262].overwrite(3)
    image = take(path)
    check_regions(image, (palette >> 8).astype(np.uint8)[:, numbers])
    np.testing.assert_array_equal(whole(image), by_pillow(path, "RGB"))
    assert image.bits is None  # which are those of the numbers


@pytest.mark.parametrize("codec", ["raw", "tiff_lzw"])
def test_a_palette_of_pillow(codec: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    PIL.Image.fromarray(HWC).quantize(200).save(path, compression=codec)
    check_regions(take(path), by_pillow(path, "RGB"))
    check_regions(take(path, layout="HWN", page=1), by_pillow(path, "RGB")[1:2])  # green


# Inks -------------------------------------------------------------------------------------------


def save_inks(path: Path, profile: bytes | None, **options: Any) -> PIL.Image.Image:
    """Save inks, and return the colours that they have by their profile."""
    picture = PIL.Image.fromarray(INKS, "CMYK")
    picture.save(path, icc_profile=profile, **options)
    if profile is None:
        return picture
    with PIL.Image.open(path) as stored:
        made = PIL.ImageCms.profileToProfile(
            stored,
            PIL.ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            PIL.ImageCms.createProfile("sRGB"),
            outputMode="RGB",
        )
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.tif", {}),
        ("a.tif", {"compression": "tiff_lzw"}),
        ("a.tif", {"compression": "jpeg"}),
        ("a.jpg", {"quality": 95}),
    ],
)
def test_inks_by_their_profile(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / name
    expected = np.asarray(save_inks(path, cmyk_profile("of a\nprinter"), **options))
    image = take(path)
    check_regions(image, expected.transpose(2, 0, 1))
    assert image.notes == ("CMYK made sRGB by its colour profile (of a printer), perceptual",)


@pytest.mark.parametrize("way", [*WAYS, "planes"])
def test_inks_in_tiles_and_planes(way: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels, options = INKS, dict(WAYS.get(way, {}))
    pixels[:2, :2] = 0  # no ink
    pixels[2:4, :2] = (0, 0, 0, 255)
    expected = np.asarray(save_inks(tmp_path / "b.tif", cmyk_profile())).transpose(2, 0, 1)
    if way == "planes":
        pixels = np.ascontiguousarray(INKS.transpose(2, 0, 1))
        options = {"planarconfig": "separate", "tile": (32, 32)}
    write_tiff(path, pixels, photometric="separated", iccprofile=cmyk_profile(), **options)
    image = take(path)
    check_regions(image, expected)
    assert whole(image)[:, :2, :2].min() == 255
    assert whole(image)[:, 2:4, :2].max() == 0


@pytest.mark.parametrize("suffix", ["tif", "jpg"])
def test_inks_without_a_profile_are_refused_with_a_line_that_works(
    suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"it's a.{suffix}"
    save_inks(path, None)
    with pytest.raises(ImageError, match="is CMYK without a colour profile") as caught:
        opened(path)
    words = shlex.split(str(caught.value).partition("convert it: ")[2])
    assert words[:2] == ["python", "-c"]
    subprocess.run([sys.executable, *words[1:]], cwd=tmp_path, check=True)
    check_regions(opened(tmp_path / "rgb.png"), by_pillow(path, "RGB"))


@pytest.mark.parametrize("suffix", ["tif", "jpg"])
def test_profiles_that_are_none(suffix: str, tmp_path: Path) -> None:
    path, whole_profile = tmp_path / f"a.{suffix}", cmyk_profile()
    srgb = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
    for profile, said in [
        (srgb, r"its colour profile \(.*\) is of RGB"),
        (whole_profile[:60], "can't be read"),
        (whole_profile[:200], "can't be read"),
        (whole_profile[:-1000], "can't be read"),
        (b"\xff" * 500, "can't be read"),
    ]:
        PIL.Image.fromarray(INKS, "CMYK").save(path, icc_profile=profile)
        with pytest.raises(ImageError, match=said) as caught:
            opened(path)
        assert "\n" not in str(caught.value)
        assert path.name in str(caught.value)


# Pages ------------------------------------------------------------------------------------------


def save_pages(path: Path) -> list[PIL.Image.Image]:
    """Save pages of several sizes and kinds, and of several palettes and orientations."""
    small, fax = PIL.Image.fromarray(HWC[:50, :40]), PIL.Image.fromarray(RGB[0] > 99)
    palettes = [PIL.Image.fromarray(255 - HWC if k else HWC).quantize(9) for k in range(2)]
    pages = [PIL.Image.fromarray(RGB[0]), small, *palettes, fax, PIL.Image.fromarray(RGB[1])]
    with PIL.TiffImagePlugin.AppendingTiffWriter(str(path), new=True) as writer:
        for number, page in enumerate(pages):
            page.save(writer, format="TIFF", tiffinfo={274: 6} if number == 5 else {})
            writer.newFrame()
    return pages


def test_a_page_of_a_document(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pages = save_pages(path)
    for number, page in enumerate(pages):
        mode = "RGB" if page.mode in ("RGB", "P") else "L"
        expected = by_pillow(path, mode, number)
        image = take(path, page=number)
        if page.mode == "1":
            expected = (expected > 0).astype(np.float32)
        if number == 5:  # it lies on its side, which Pillow gets wrong in a file of several pages
            expected = np.rot90(RGB[1], -1)[np.newaxis]
        check_regions(image, expected)
        assert image.name == f"a.tif, page {number}"
    with pytest.raises(ImageError, match=r"has 6 pages, 0 to 5: there is no page 6"):
        take(path, page=6)
    (note,) = take(path, series=1).notes
    assert note.endswith("; --page takes one of its 6 pages")
    check_regions(take(path, series=2, page=1), by_pillow(path, "RGB", 3))
    with pytest.raises(ImageError, match=r"2 pages, which differ in .*page \(--page 0 to 1\)"):
        take(path, series=2)
    same = tmp_path / "b.tif"
    pages[0].save(same, save_all=True, append_images=[pages[0].rotate(180)] * 9)
    check_regions(take(same, page=7), RGB[:1, ::-1, ::-1])
    check_regions(take(same, page=7, layout="NHW"), RGB[:1, ::-1, ::-1])
    batch, is_batch = open_images(same, 2, layout="NHW")
    assert (len(batch), is_batch) == (10, True)
    check_regions(batch[7], RGB[:1, ::-1, ::-1])


def test_damaged_documents_say_so_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_tiff(path, RGB[0], photometric="palette", colormap=np.zeros((3, 256), np.uint16))
    data = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages.first.tags
        entry = {name: tags[code].offset for name, code in (("map", 320), ("kind", 262))}
        value = {name: tags[code].valueoffset for name, code in (("bits", 258), ("kind", 262))}

    def changed(at: int, content: bytes) -> bytes:
        return data[:at] + content + data[at + len(content) :]

    cases = {
        "PALETTE": [
            changed(entry["map"] + 4, (30).to_bytes(4, "little")),  # 10 colours
            changed(entry["map"], (999).to_bytes(2, "little")),  # none
            changed(value["bits"], b"\x20\0"),
        ],
        "SEPARATED": [changed(value["kind"], b"\x05\0")],
        "CIELAB": [changed(value["kind"], b"\x08\0")],
        "9999": [changed(value["kind"], (9999).to_bytes(2, "little"))],
        "cut off|can't be read": [data[:-100], data[:8], data[:150]],
    }
    for said, contents in cases.items():
        for content in contents:
            path.write_bytes(content)
            with pytest.raises(ImageError, match=said) as caught:
                whole(take(path))
            assert "\n" not in str(caught.value)
    write_tiff(path, RGB[0].astype(np.float32), photometric="miniswhite")
    with pytest.raises(ImageError, match="MINISWHITE pixels, 1 x float32, which are not underst"):
        take(path)


# Networks ---------------------------------------------------------------------------------------


def test_a_grey_page_for_a_network_of_colours(tmp_path: Path) -> None:
    graph = Graph(3, 8, 8)
    kernel = graph.array(np.random.default_rng(0).integers(-2, 3, (2, 3, 8, 8)))
    network = graph.model(graph.add("Flatten", graph.add("Conv", "image", kernel)))
    path = tmp_path / "a.tif"
    write_tiff(path, RGB[0], photometric="miniswhite")
    with pytest.raises(ImageError, match=r"--rgb \(Preparation\(rgb=True\)\) makes three equal"):
        fcconv.scan(network, path, engine="numpy")
    steps = fcconv.Preparation(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.125))
    to_rgb = replace(steps, rgb=True)
    found = fcconv.scan(network, path, engine="numpy", stride=7, preparation=to_rgb)
    three = np.stack([255 - RGB[0]] * 3)
    expected = fcconv.scan(network, three, engine="numpy", stride=7, preparation=steps)
    np.testing.assert_array_equal(found.scores, expected.scores)
    assert re.match("grey in three equal channels, times 1/255, minus", found.preparation)
