"""Files of images, opened so that they are read by region: which reader opens which format."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fcconv.errors import FcconvError, ImageError
from fcconv.images.libraries import reason
from fcconv.images.pictures import open_picture
from fcconv.images.placed import open_placed_jp2, open_placed_tiff
from fcconv.images.rasters import open_raster
from fcconv.images.raw import Turned, open_raw
from fcconv.images.reading import ANY_IMAGE, Reading
from fcconv.images.slides import dicom_in, files_beside, open_slide, open_tiff_slide
from fcconv.images.sounds import is_sound, open_sound
from fcconv.images.stored import Stored, check_series, stamp
from fcconv.images.volumes import open_volume
from fcconv.images.zarrs import open_zarr
from fcconv.remote import Place, Remote


def open_file(path: Place, reading: Reading) -> Stored:
    """Open the image in a file or a Zarr folder; its suffix says the format.

    Parameters
    ----------
    path : Path or Remote
        The file or folder; in a store such as S3 a Zarr array.
    reading : Reading
        How it is opened, which the format must know of.

    Raises
    ------
    ImageError
        If there is none, it can't be read, or is not opened so.
    BackendError
        If a library is missing that reads the format.
    """
    found = _format(path)
    for name in reading.keys() - ANY_IMAGE - found.takes:
        if name == "series":  # the first is there, and no other
            check_series(path, reading.get("series"), ["the only one"])
        else:
            raise ImageError(f"{path} is not opened by {name} (--{name}): leave it out")
    try:
        with warnings.catch_warnings():  # libraries warn of odd files that are read all the same
            warnings.simplefilter("ignore")
            return found.open(path, reading)
    except FcconvError:
        raise
    except Exception as error:  # decoders raise anything on a file that is broken on purpose
        raise ImageError(f"{path} can't be read: {reason(error)}") from error


def files_of(path: Path) -> list[Path]:
    """Return the files that hold an image, the one that names it first; they need not exist."""
    return [path, *(_format(path).beside(path) if path.exists() else ())]


def _alone(_path: Path) -> Iterable[Path]:
    return ()


@dataclass(frozen=True)
class Format:
    """A format of images.

    Attributes
    ----------
    open : callable
        ``open(path, reading)`` opens a file of it.
    takes : set of str
        What of a reading says how its files are opened, beside what does of all images.
    beside : callable
        ``beside(path)`` returns the other files that hold what a file of it names.
    """

    open: Callable[[Any, Reading], Stored]
    takes: Set[str] = frozenset()
    beside: Callable[[Path], Iterable[Path]] = _alone


def _format(path: Place) -> Format:
    """Return the format of a file."""
    if isinstance(path, Remote):
        if any(path.joinpath(file).is_file() for file in ZARR):
            return ZARR_FORMAT
        raise ImageError(
            f"{path} is not Zarr, or not there: of a store nothing else is read by region, so "
            f"download it, and give the file"
        )
    if not path.exists():
        raise ImageError(f"{path} does not exist")
    if path.is_dir():
        if path.suffix == ".zarr" or any((path / f).exists() for f in ZARR):
            return ZARR_FORMAT
        if next(dicom_in(path), None):
            return SLIDE
        raise ImageError(f"{path} is a folder: give a file in it, a Zarr array or DICOM")
    if not path.is_file():  # opening a pipe would wait for somebody to write to it
        raise ImageError(f"{path} is a pipe or a device, which is not read by region: give a file")
    for suffix, found in OPENERS.items():
        if path.name.lower().endswith(suffix):
            return found
    if is_sound(path):
        return SOUND
    raise ImageError(
        f"{path} has a suffix of no known format ({', '.join(OPENERS)}), and is not a sound that "
        f"soundfile reads: rename or convert it"
    )


def _open_npy(path: Path, _reading: Reading) -> Stored:
    """Open a NumPy file."""
    mapped = np.lib.format.open_memmap(path, mode="r")  # which checks that it is all there
    order = range(mapped.ndim)
    if mapped.flags.c_contiguous:
        return Stored(
            (open_raw(path, mapped.dtype, mapped.shape, mapped.offset),), stamp=stamp(path)
        )
    raw = open_raw(path, mapped.dtype, mapped.shape[::-1], mapped.offset)
    return Stored((Turned(raw, order[::-1]),), stamp=stamp(path))


ZARR = ("zarr.json", ".zarray", ".zgroup")
"""Files that only a Zarr folder holds."""

ZARR_FORMAT = Format(open_zarr, {"series"})
TIFF = Format(open_placed_tiff, {"series"})
TIFF_SLIDE = Format(open_tiff_slide, {"series"})
SLIDE = Format(open_slide, beside=files_beside)
PICTURE = Format(open_picture, {"series"})
SOUND = Format(open_sound, {"rate", "mono"})

OPENERS: dict[str, Format] = {
    **dict.fromkeys((".tif", ".tiff", ".btf"), TIFF),
    **dict.fromkeys((".svs", ".ndpi", ".scn", ".bif", ".qptiff"), TIFF_SLIDE),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif"), PICTURE),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), PICTURE),
    ".jp2": Format(open_placed_jp2, {"series"}),
    **dict.fromkeys((".vrt", ".img"), Format(open_raster)),
    ".npy": Format(_open_npy),
    **dict.fromkeys((".wav", ".flac", ".mp3", ".ogg", ".opus"), SOUND),
    **dict.fromkeys((".mrxs", ".vms", ".vmu", ".svslide", ".dcm"), SLIDE),
    **dict.fromkeys((".nii", ".nii.gz"), Format(open_volume, {"orientation"})),
}
"""Suffix to the format of such a file."""
