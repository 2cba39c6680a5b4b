"""Pictures that Pillow decodes as a whole: none of their formats is read by region."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fcconv.errors import ImageError
from fcconv.images.colours import cmyk_transform
from fcconv.images.libraries import needed
from fcconv.images.reading import Reading
from fcconv.images.stored import Stored, check_series, stamp

PICTURES = ("PNG", "JPEG", "BMP", "DIB", "WEBP", "GIF", "PPM", "JPEG2000")
"""Formats that Pillow may read; others run programs (EPS), or are guessed at (TGA)."""

SIZ = b"\xff\x4f\xff\x51"
"""How the codes of a JPEG 2000 begin; 42 bytes later comes the first channel's number of bits."""


def open_picture(path: Path, reading: Reading) -> Stored:
    """Decode a picture, or one of several that the file holds.

    Raises
    ------
    ImageError
        If it is too large, neither grey nor RGB, or one of several and none was chosen.
    """
    pillow, transposing = needed("PIL.Image"), needed("PIL.ImageOps")
    try:
        with pillow.open(path, formats=PICTURES) as picture:
            number = _chosen(path, picture, reading.get("series"))
            bits = _bits(path, picture)
            picture.load()
            transposing.exif_transpose(picture, in_place=True)
            plain, notes = _plain(path, picture)
            pixels = np.asarray(plain)
    except pillow.DecompressionBombError as error:
        raise ImageError(
            f"{path} is too large to be decoded as a whole: convert it to a tiled TIFF"
        ) from error
    if pixels.dtype == np.int32:
        pixels = pixels.astype(np.uint16)  # of a PGM, which Pillow stretches to 16 bits
    if bits is not None:
        pixels = pixels >> 8 * pixels.dtype.itemsize - bits  # Pillow shifted them up
    axes = "HW" if pixels.ndim == 2 else "HWC"
    return Stored((pixels,), axes, stamp=stamp(path), bits=bits, series=number, notes=notes)


def _chosen(path: Path, picture: Any, series: int | None) -> int | None:
    """Go to the picture that is asked for; None where there is one only."""
    count = 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)  # MPO: previews
    if series is None:
        if count > 1:
            raise ImageError(
                f"{path} holds {count} images: choose one with series (--series 0 to {count - 1})"
            )
        return None
    number = check_series(path, series, ["{} x {}".format(*picture.size[::-1])] * count)
    if count == 1:
        return None
    picture.seek(number)
    return number


def _bits(path: Path, picture: Any) -> int | None:
    """Return the bits of a JPEG 2000, where they are not all of a dtype.

    Pillow stretches the fewer bits of other formats to 8 or 16.

    Raises
    ------
    ImageError
        If Pillow would not give all the bits that are stored.
    """
    bits, kinds = 8, [tile[3] for tile in picture.tile]
    if picture.format == "JPEG2000" and picture.mode != "P":
        bits = _bits_of_jpeg2000(path)
    elif picture.format in ("PNG", "PPM") and any(map(_is_deep, kinds)):
        bits = 16
    if bits > 8 and not picture.mode.startswith("I"):
        raise ImageError(
            f"{path} has {bits} bits a colour, of which Pillow reads 8: convert it to a TIFF"
        )
    return None if bits in (8, 16) else bits


def _is_deep(kind: Any) -> bool:
    """Tell from how Pillow decodes a PNG or PPM whether a channel has more than 8 bits."""
    maxval = kind[1] if isinstance(kind, tuple) and len(kind) == 2 else 0
    return ";16" in str(kind) or (isinstance(maxval, int) and maxval > 255)


def _bits_of_jpeg2000(path: Path) -> int:
    """Read the bits of a channel, which Pillow does not tell."""
    codes = path.read_bytes()
    depth = codes[codes.index(SIZ) + 42]
    if depth >= 128:
        raise ImageError(f"{path} has signed pixels: convert it to a TIFF")
    return depth + 1


def _plain(path: Path, picture: Any) -> tuple[Any, tuple[str, ...]]:
    """Return a picture without palette, opacity and inks, and what is to be said of that."""
    gray = picture.mode in ("1", "L", "LA")
    if picture.has_transparency_data:
        picture = picture.convert("LA" if gray else "RGBA")
        least, _ = picture.getchannel("A").getextrema()
        if least < 255:
            raise ImageError(
                f"{path} is transparent in part: put it on a background, and save it without alpha"
            )
    if gray:
        return picture.convert("L"), ()
    if picture.mode in ("P", "RGBA"):
        return picture.convert("RGB"), ()
    if picture.mode == "CMYK":
        transform, note = cmyk_transform(path, picture.info.get("icc_profile"))
        return needed("PIL.ImageCms").applyTransform(picture, transform), (note,)
    if picture.mode != "RGB" and not picture.mode.startswith(("I", "F")):
        raise ImageError(f"{path} has {picture.mode} pixels: convert it to RGB or grey")
    return picture, ()
