"""Files of images, opened so that they are read by region: which reader opens which format."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fcconv.errors import FcconvError, ImageError
from fcconv.images.pictures import open_picture
from fcconv.images.raw import Turned, open_raw
from fcconv.images.readers import open_sound, open_volume
from fcconv.images.stored import Stored, check_series, stamp
from fcconv.images.tiff import open_tiff
from fcconv.images.zarrs import open_zarr
from fcconv.remote import Place, Remote

VOLUMES = {1: "W", 2: "HW", 3: "DHW", 4: "DHWC", 5: "DHWtC"}
"""Axes of a NIfTI file: three in space, then channels; with five, time before these."""


def open_file(path: Place, series: int | None = None) -> Stored:
    """Open the image in a file or a Zarr folder; its suffix says the format.

    Parameters
    ----------
    path : Path or Remote
        The file or folder; in a store such as S3 a Zarr array.
    series : int, optional
        Which picture, of a file that holds several; by default the largest that is not a label, a
        macro image or a thumbnail.

    Raises
    ------
    ImageError
        If there is none, or it can't be read.
    BackendError
        If a library is missing that reads the format.
    """
    try:
        with warnings.catch_warnings():  # libraries warn of odd files that are read all the same
            warnings.simplefilter("ignore")
            if isinstance(path, Remote):
                return _open_remote(path, series)
            return _opener(path)(path, series)
    except FcconvError:
        raise
    except Exception as error:  # decoders raise anything on a file that is broken on purpose
        raise ImageError(f"{path} can't be read: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Return what an error says, or its name where it says nothing."""
    return str(error) or type(error).__name__


Opener = Callable[[Any, int | None], Stored]


def _opener(path: Path) -> Opener:
    """Return the function that opens the file."""
    if not path.exists():
        raise ImageError(f"{path} does not exist")
    if path.is_dir():
        if path.suffix == ".zarr" or any((path / f).exists() for f in ZARR):
            return _single(open_zarr)
        raise ImageError(f"{path} is a folder: give a file in it, or a Zarr array")
    for suffix, opener in OPENERS.items():
        if path.name.lower().endswith(suffix):
            return opener
    raise ImageError(
        f"{path} has a suffix of no known format ({', '.join(OPENERS)}): rename or convert it"
    )


def _single(opener: Callable[[Any], Stored]) -> Opener:
    """Make an opener of files with one picture refuse to open another."""

    def opened(path: Place, series: int | None) -> Stored:
        if series is not None:
            check_series(path, series, ["the only one"])
        return opener(path)

    return opened


def _open_remote(path: Remote, series: int | None) -> Stored:
    """Open a Zarr array in a store that is read by region."""
    if not path.joinpath("zarr.json").is_file() and not path.joinpath(".zarray").is_file():
        raise ImageError(f"{path} is not a Zarr array, or not there: of a store no others are read")
    return _single(open_zarr)(path, series)


def _open_npy(path: Path) -> Stored:
    """Open a NumPy file."""
    mapped = np.lib.format.open_memmap(path, mode="r")  # which checks that it is all there
    order = range(mapped.ndim)
    if mapped.flags.c_contiguous:
        return Stored(
            (open_raw(path, mapped.dtype, mapped.shape, mapped.offset),), stamp=stamp(path)
        )
    raw = open_raw(path, mapped.dtype, mapped.shape[::-1], mapped.offset)
    return Stored((Turned(raw, order[::-1]),), stamp=stamp(path))


def _open_sound(path: Path) -> Stored:
    """Open a sound file."""
    return Stored((open_sound(path),), "WC", stamp=stamp(path))


def _open_volume(path: Path) -> Stored:
    """Open a NIfTI file, and say which way its axes run: they are not turned."""
    volume = open_volume(path)
    axes = VOLUMES.get(len(volume.shape))
    if axes is None:
        raise ImageError(f"{path} has {len(volume.shape)} axes: save the part to scan by itself")
    return Stored((volume,), axes, stamp=stamp(path), notes=(volume.orientation,))


ZARR = ("zarr.json", ".zarray", ".zgroup")
"""Files that only a Zarr folder holds."""

OPENERS: dict[str, Opener] = {
    **dict.fromkeys((".tif", ".tiff", ".btf", ".svs", ".ndpi", ".scn"), open_tiff),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif"), open_picture),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm", ".jp2"), open_picture),
    ".npy": _single(_open_npy),
    **dict.fromkeys((".wav", ".flac", ".ogg"), _single(_open_sound)),
    **dict.fromkeys((".nii", ".nii.gz"), _single(_open_volume)),
}
"""Suffix to the function that opens such a file."""
