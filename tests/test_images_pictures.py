"""PNG, JPEG and other pictures hold what Pillow reads of them; broken ones say so."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from fcconv.errors import ImageError
from regions import HWC, RGB, check_regions, opened, tampered


def png(mode: int, size: tuple[int, int], rows: bytes, bits: int = 8) -> bytes:
    """Write a PNG by hand, with what Pillow would not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", *size, bits, mode, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize("suffix", ["png", "bmp", "webp", "ppm"])
def test_pictures(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix.upper()}"
    PIL.Image.fromarray(HWC).save(path, lossless=True)
    check_regions(opened(path), RGB)


def test_modes_of_pictures(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    deep = RGB[:1].astype(np.uint16) * 257
    rgba = np.dstack([HWC, np.full_like(HWC[..., 0], 255)])
    cases: list[tuple[Any, np.ndarray]] = [
        (PIL.Image.fromarray(RGB[0]), RGB[:1]),
        (PIL.Image.fromarray(deep[0]), deep),
        (PIL.Image.fromarray(RGB[0] > 99), np.where(RGB[:1] > 99, np.uint8(255), np.uint8(0))),
        (PIL.Image.fromarray(rgba), RGB),
        (PIL.Image.fromarray(rgba[..., 2:]), RGB[2:]),
    ]
    for picture, expected in cases:
        picture.save(path)
        check_regions(opened(path), expected)
    palette = PIL.Image.fromarray(HWC).quantize(16)
    palette.save(path)
    check_regions(opened(path), np.asarray(palette.convert("RGB")).transpose(2, 0, 1))
    with pytest.raises(ImageError, match="DHW"):
        opened(path, 3)


def test_orientation_of_a_photo(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # turned to the left
    PIL.Image.fromarray(HWC).save(tmp_path / "a.png", exif=exif)
    check_regions(opened(tmp_path / "a.png"), np.rot90(RGB, -1, (1, 2)))


def test_pictures_that_are_refused(tmp_path: Path) -> None:
    def refused(path: Path, said: str) -> None:
        with pytest.raises(ImageError, match=said) as caught:
            opened(path)
        assert path.name in str(caught.value)

    rgba = np.dstack([HWC, np.full_like(HWC[..., 0], 255)])
    rgba[3, 4, 3] = 254
    path = tmp_path / "a.png"
    for see_through in (PIL.Image.fromarray(rgba), PIL.Image.fromarray(rgba[..., 2:])):
        see_through.save(path)
        refused(path, "transparent .* background")
    PIL.Image.fromarray(HWC).quantize(16).save(path, transparency=3)
    refused(path, "transparent")
    path.write_bytes(png(0, (100_000, 100_000), b""))
    refused(path, "convert it to a tiled TIFF")
    path.write_bytes(png(2, (2, 1), b"\0" * 13, bits=16))
    refused(path, "16 bits a colour")
    for suffix in ("png", "jpg"):
        PIL.Image.fromarray(HWC).save(tmp_path / f"b.{suffix}")
        for length in (0, 20, 2000):
            refused(tampered(tmp_path / f"b.{suffix}", f"cut.{suffix}", length), "can't be read")
    PIL.Image.fromarray(HWC).convert("CMYK").save(tmp_path / "a.jpg")
    refused(tmp_path / "a.jpg", "CMYK without a colour profile")
    frames = [PIL.Image.fromarray(plane) for plane in RGB]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    refused(tmp_path / "a.gif", "3 images")
    PIL.Image.fromarray(HWC).save(tmp_path / "other.png", format="TGA")
    refused(tmp_path / "other.png", "can't be read")


def test_a_decoder_that_warns_is_not_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PIL.Image.fromarray(HWC).save(tmp_path / "a.png")
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 90 * 70 - 1)  # a warning, but no error
    check_regions(opened(tmp_path / "a.png"), RGB)
