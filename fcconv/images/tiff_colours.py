"""What the samples of a TIFF are: brightness, colours, numbers of a palette, or inks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fcconv.errors import ImageError
from fcconv.images.colours import Inverted, cmyk_transform, of_cmyk, of_palette, of_ycbcr
from fcconv.images.raw import Turned

GDAL_NODATA = 42113
"""Tag."""

APERIO_YCBCR = 33003
"""Compression of JPEG 2000 with YCbCr pixels, though the file calls them RGB."""

SAMPLES = {"MINISWHITE": 1, "PALETTE": 1, "SEPARATED": 4}
"""How many samples pixels have that become others."""


class Seen(NamedTuple):
    """A picture of a TIFF as a network sees it.

    Attributes
    ----------
    array : array
        Its pixels.
    axes : str
        A letter for each axis, as tifffile has them.
    bits : int or None
        Bits of an unsigned integer that are in use.
    nodata : float or None
        The value that stands for no data.
    notes : tuple of str
        What was made of the samples.
    """

    array: Any
    axes: str
    bits: int | None
    nodata: float | None
    notes: tuple[str, ...] = ()


def check_colours(path: Path, page: Any) -> None:
    """Refuse samples that are neither brightness nor colours, nor can be made so.

    Raises
    ------
    ImageError
        It says what they are.
    """
    kind, bits = _kind(page), page.bitspersample
    known = kind in ("MINISBLACK", "RGB") or (kind == "YCBCR" and "JPEG" in repr(page.compression))
    if kind in SAMPLES:
        known = page.samplesperpixel == SAMPLES[kind] and np.dtype(page.dtype).kind in "bu"
    if kind == "PALETTE" and known:
        known = np.shape(page.colormap) == (3, 2**bits)
    if kind == "SEPARATED" and known:
        known = bits == 8
    if not known:
        raise ImageError(
            f"{path} stores {kind} pixels, {page.samplesperpixel} x {np.dtype(page.dtype)}, which "
            "are not understood: convert it to RGB or grey"
        )


def seen(path: Path, page: Any, array: Any, axes: str) -> Seen:
    """Return what is stored as brightness or colours, which it becomes where it is read.

    Parameters
    ----------
    path : Path
        The file, for errors.
    page : TiffPage
        What says what it is.
    array : array
        What is stored.
    axes : str
        A letter for each of its axes.

    Raises
    ------
    ImageError
        If it is CMYK without a profile.
    """
    kind, bits, nodata = _kind(page), _bits(page), _nodata(page)
    if kind == "MINISWHITE":
        most = 1 if bits is None else 2**bits - 1
        left_out = None if nodata is None else most - nodata
        return Seen(Inverted(array, most), axes, bits, left_out, ("0 is white: made black",))
    if kind == "PALETTE":
        notes = ["numbers of a palette made its colours"]
        if nodata is not None:
            notes.append(f"its no data, {nodata:g}, is a number of the palette and has a colour")
        return Seen(of_palette(array, page.colormap), f"{axes}S", None, None, tuple(notes))
    if kind == "SEPARATED":
        transform, note = cmyk_transform(path, page.iccprofile)
        last = [*(axis for axis in range(len(axes)) if axes[axis] != "S"), axes.index("S")]
        turned = Turned(array, last)  # inks may be planes
        axes = "".join(axes[axis] for axis in last)
        return Seen(of_cmyk(turned, transform), axes, None, None, (note,))
    if page.compression == APERIO_YCBCR and array.shape[-1] == 3:
        array = of_ycbcr(array)
    return Seen(array, axes, bits, nodata)


def _kind(page: Any) -> str:
    return str(getattr(page.photometric, "name", page.photometric))


def _bits(page: Any) -> int | None:
    """Return the bits of a sample that are in use."""
    bits = page.bitspersample
    return bits if isinstance(bits, int) and np.dtype(page.dtype).kind == "u" else None


def _nodata(page: Any) -> float | None:
    """Return the value that stands for no data, which GDAL writes as a text."""
    text = page.tags.valueof(GDAL_NODATA)
    try:
        return None if text is None else float(str(text).strip(" \0"))
    except ValueError:
        return None
