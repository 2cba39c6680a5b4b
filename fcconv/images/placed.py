"""Pictures that may say where on the ground they lie, which takes another reader."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fcconv.errors import ImageError
from fcconv.images.libraries import needed
from fcconv.images.pictures import open_picture
from fcconv.images.rasters import open_raster
from fcconv.images.reading import Reading
from fcconv.images.stored import Stored
from fcconv.images.tiff import check_whole, open_tiff

GEO_TAGS = (34735, 34264, 33550)
"""Tags of a TIFF that lies on the ground: its system, its transform, or the size of a pixel."""

GEO_JP2 = (bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03"), b"gml.root-instance")
"""What only a JPEG 2000 that lies on the ground holds near its beginning."""

JP2_HEAD_BYTES = 2**16
"""Bytes of a JPEG 2000 that are looked at."""

NOT_KEPT = (
    "its place on the ground is not kept, which takes rasterio (pip install 'fcconv[geo]'), unless "
    "a series was asked for"
)


def open_placed_tiff(path: Path, reading: Reading) -> Stored:
    """Open a TIFF: by rasterio if its tags say where on the ground it lies, else by tifffile."""
    if not _lies_on_ground(path):
        return open_tiff(path, reading)
    if _is_for_rasterio(reading):
        return open_raster(path, reading)
    return open_tiff(path, reading, [NOT_KEPT])


def open_placed_jp2(path: Path, reading: Reading) -> Stored:
    """Open a JPEG 2000: by rasterio if it says where on the ground it lies, else by Pillow."""
    with path.open("rb") as file:
        head = file.read(JP2_HEAD_BYTES)
    if not any(mark in head for mark in GEO_JP2):
        return open_picture(path, reading)
    if _is_for_rasterio(reading):
        return open_raster(path, reading)
    return replace(open_picture(path, reading), notes=(NOT_KEPT,))


def _is_for_rasterio(reading: Reading) -> bool:
    """Say whether rasterio is there, and not asked for one of several pictures.

    Raises
    ------
    BackendError
        If it is not there, and bands are asked for by names, which no other reader knows.
    """
    if "series" in reading:
        return False
    if importlib.util.find_spec("rasterio") is None:
        asked = reading.get("channels")
        names = asked if isinstance(asked, Sequence) else ()
        if any(isinstance(name, str) and not name.isdecimal() for name in names):
            needed("rasterio", "geo")
        return False
    return True


def _lies_on_ground(path: Path) -> bool:
    """Say whether a TIFF does, and check that it is not cut off."""
    with needed("tifffile").TiffFile(path) as tiff:
        if not len(tiff.pages):
            raise ImageError(f"{path} can't be read: it holds no picture, or is cut off")
        if not any(tag in tiff.pages[0].tags for tag in GEO_TAGS):
            return False
        check_whole(path, tiff.pages)
    return True
